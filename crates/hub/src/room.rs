//! The one loop of a live session: take what waits, decide on pending, append one commit, publish, do what is owed.
//!
//! Owns: the committed and the pending state, the inbox, the order of work. Must not know: sockets, drivers, SQL.
//! Invariant: one append is in flight at most; only committed facts are read, sent or snapshotted; refusals too are
//! answered only after the append, because they may rest on pending facts.

mod archive;
mod batch;
mod delete;
mod host;
mod inputs;
mod load;
mod lobby;
mod lookup;
mod publish;
mod settle;
mod tail;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use roundtable_access::Subject;
use roundtable_core::{Caller, Owed, Presence, Session};
use roundtable_protocol::command::{Envelope, ErrorReport, SessionFail, TurnStart};
use roundtable_protocol::frame::{Ack, EphemeralIn, StreamPosition};
use roundtable_protocol::{
    Code, Command, ConnectionId, EventId, LeaseId, ParticipantId, Problem, Rev, Seq, SessionId, Stream, StreamSet,
    Timestamp, UserId,
};
use roundtable_store::{AppendError, Appended, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant};

use crate::clock;
use crate::fanout::Fanout;
use crate::grants::Grants;
use crate::lanes::Lanes;
use crate::metrics::Rate;
use crate::outbox::Outbox;
use crate::rooms::{Online, Shared};
use crate::turns::{LiveTurn, Said};
use crate::views::Views;

pub(crate) use batch::{Batch, RecentKeys, birth, fingerprint, founded_as};
pub(crate) use load::Loaded;
use settle::Missed;
use tail::{Tail, When};

/// What comes into a room.
pub(crate) enum Input {
    /// A command from a caller.
    Command(Box<Queued>),
    /// A connection wants to read.
    Subscribe(UserId, Subscription, oneshot::Sender<Result<(), Problem>>),
    /// History has been sent to a joiner, or could not be.
    Released { connection: ConnectionId, number: u64, ok: bool },
    /// A connection wants to read no more.
    Unsubscribe(ConnectionId),
    /// A connection is gone.
    Disconnected(ConnectionId),
    /// Somebody shows something.
    Ephemeral(ConnectionId, EphemeralIn),
    /// Somebody has applied a stream this far.
    Acked(ConnectionId, Ack),
    /// A question about the committed state.
    Ask(Question),
    /// A driver says something.
    Said(LeaseId, Said),
    /// Rights outside the log have changed.
    RightsMoved(u64),
    /// Look whether something is due.
    Wake,
    /// Somebody deletes the session.
    Delete(UserId, Deleted),
    /// Write what must be written and end.
    Shutdown(oneshot::Sender<()>),
}

/// Where it is said what became of a deletion.
pub(crate) type Deleted = oneshot::Sender<Result<(), Problem>>;

/// A question about the committed state of a room.
pub(crate) type Question = Box<dyn FnOnce(&mut Look<'_>) + Send>;

/// What a question may look at.
pub(crate) struct Look<'a> {
    pub(crate) session: &'a Session,
    pub(crate) grants: &'a mut Grants,
    pub(crate) presence: &'a Presence,
    pub(crate) views: &'a Arc<Views>,
    pub(crate) read: &'a ReadMarks,
    /// Says how busy the room is.
    pub(crate) figures: &'a mut dyn FnMut() -> Figures,
}

/// What a room says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) connections: usize,
    pub(crate) commands_waiting: usize,
    pub(crate) drivers: usize,
    pub(crate) events_per_s: f64,
    pub(crate) waiting_bytes: u64,
    pub(crate) broken: Option<Code>,
}

/// What a connection wants to read.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The connection's outbox.
    pub connection: Arc<Outbox>,
    /// The request's id, echoed in `subscribed`.
    pub re: u64,
    /// Which session.
    pub session_id: SessionId,
    /// Which streams, each from where.
    pub streams: Vec<StreamPosition>,
    /// Whether the reader is there as a person; a program that only copies events is not.
    pub present: bool,
}

/// A command on its way.
pub(crate) struct Queued {
    pub(crate) caller: Caller,
    /// As what the server's own commands come.
    pub(crate) subject: Subject,
    pub(crate) envelope: Envelope,
    pub(crate) fingerprint: u64,
    pub(crate) reply: Reply,
    pub(crate) attempts: u32,
}

/// Where the answer to a command goes.
pub(crate) enum Reply {
    /// To a caller that waits.
    Waiter(oneshot::Sender<Result<Receipt, Problem>>),
    /// To a connection.
    Connection { outbox: Arc<Outbox>, re: u64, order: u64 },
    /// Nowhere: the server asked itself.
    Nobody,
}

impl Reply {
    /// Returns the connection that is answered, with the number of its frame and its place in the order of submission.
    pub(crate) fn connection(&self) -> Option<(Arc<Outbox>, u64, u64)> {
        match self {
            Self::Connection { outbox, re, order } => Some((Arc::clone(outbox), *re, *order)),
            Self::Waiter(_) | Self::Nobody => None,
        }
    }
}

/// A command is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The stream of the first event.
    pub stream: Stream,
    /// The seq of the first event.
    pub seq: Seq,
    /// The id of the first event: the command's key.
    pub id: EventId,
    /// Whether the key had been accepted before.
    pub duplicate: bool,
}

/// What the store is busy with for this room.
type InFlight = BoxFuture<'static, Landed>;

/// What the store has answered.
enum Landed {
    /// To a commit.
    Appended(Batch, Result<Appended, AppendError>),
    /// What this room has missed; the batch is decided again once nothing is missing.
    Missed(Batch, Result<Missed, StoreError>),
}

/// How far participants have read streams.
pub(crate) type ReadMarks = HashMap<(ParticipantId, Stream), Seq>;

/// Returns how far somebody has read those streams that may be read now.
fn read_by(marks: &ReadMarks, who: Option<ParticipantId>, streams: StreamSet) -> BTreeMap<Stream, Seq> {
    let read = |stream| Some((stream, *marks.get(&(who?, stream))?));
    streams.iter().filter_map(read).collect()
}

/// One live session.
pub(crate) struct Room {
    id: SessionId,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Input>,
    to_self: mpsc::WeakSender<Input>,
    online: Arc<Online>,
    committed: Session,
    pending: Session,
    rev: Rev,
    broken: Option<Code>,
    grants: Grants,
    queue: VecDeque<Queued>,
    in_flight: Option<InFlight>,
    /// The log cannot be read back, so nothing can be decided: commands are refused, what is committed is still read.
    blind: bool,
    /// A deadline of the session has passed; what follows is decided with the next batch.
    due: bool,
    /// The store said no; the server's own commands wait this long.
    pause_until: Option<Instant>,
    recent: RecentKeys,
    fanout: Fanout,
    subscriptions: u64,
    presence: Presence,
    lanes: Lanes,
    views: Arc<Views>,
    live: Option<LiveTurn>,
    /// Turns that this room has asked to claim.
    claiming: Option<LeaseId>,
    /// How far everybody has read.
    read: ReadMarks,
    /// What of that is still to be written.
    marks: ReadMarks,
    marks_due: Option<Instant>,
    head_due: Instant,
    /// Since when nobody has needed the room.
    idle_since: Option<Instant>,
    /// Since when nobody has been connected and nothing has happened.
    quiet_since: Option<Instant>,
    /// It is at rest: everything is written, and what can be read again is not held.
    rests: bool,
    tail: Tail,
    /// When the room was loaded.
    loaded_at: Timestamp,
    /// The owner has been connected to this room.
    host_seen: bool,
    /// When the owner's being here is recorded: not at once, so that a look in passing leaves no trace.
    host_due: Option<Instant>,
    rate: Rate,
    /// The log is being walked.
    archiving: bool,
    leaving: Option<oneshot::Sender<()>>,
    /// Who waits for the session's end: it is deleted as soon as nothing is in flight.
    deleting: Vec<Deleted>,
    deleted: bool,
    /// Connections of those who wait to be let in.
    waiting: Vec<lobby::Waiting>,
}

enum Happened {
    Landed(Landed),
    Input(Option<Input>),
    Timer,
}

impl Room {
    /// Runs until nobody needs the room any more.
    pub(crate) async fn run(mut self) {
        self.owe();
        self.miss_host();
        loop {
            // A batch of which nothing is to be stored leaves nothing in flight.
            while self.in_flight.is_none() && self.may_begin() {
                self.begin().await;
            }
            if self.in_flight.is_none() && !self.deleting.is_empty() {
                self.delete().await;
            }
            if self.is_done() {
                break;
            }
            self.rest_when_quiet();
            match self.wait().await {
                Happened::Landed(landed) => {
                    self.in_flight = None;
                    self.settle(landed).await;
                }
                Happened::Input(Some(input)) => self.take_waiting(input).await,
                Happened::Input(None) => break,
                Happened::Timer => self.on_timer().await,
            }
        }
        self.leave().await;
    }

    /// Has the session fail as the first thing that happens in it.
    pub(crate) fn fail(&mut self, code: &str, detail: &str) {
        if self.broken.is_none() && self.committed.state().is_open() {
            let fail = SessionFail { code: code.to_owned(), detail: detail.to_owned() };
            self.own_command(Subject::Rule, Command::SessionFail(fail));
        }
    }

    /// Has it recorded as the first thing that happens that something went wrong here.
    pub(crate) fn record_error(&mut self, code: &str, detail: &str) {
        if self.broken.is_none() && self.committed.state().is_open() {
            let report = ErrorReport { code: code.to_owned(), detail: detail.to_owned(), turn: None };
            self.own_command(Subject::Rule, Command::ErrorReport(report));
        }
    }

    async fn wait(&mut self) -> Happened {
        let timer = self.next_timer();
        let Self { in_flight, inbox, .. } = self;
        let landed = async {
            match in_flight {
                Some(in_flight) => in_flight.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            landed = landed => Happened::Landed(landed),
            input = inbox.recv() => Happened::Input(input),
            () = tokio::time::sleep_until(timer) => Happened::Timer,
        }
    }

    async fn take_waiting(&mut self, first: Input) {
        self.take(first).await;
        for _ in 1..self.shared.config.batch {
            match self.inbox.try_recv() {
                Ok(input) => self.take(input).await,
                Err(_) => break,
            }
        }
    }

    fn may_begin(&self) -> bool {
        if !self.deleting.is_empty() || self.deleted {
            return false;
        }
        let paused = self.pause_until.is_some_and(|until| Instant::now() < until);
        if !paused {
            return self.due || !self.queue.is_empty();
        }
        self.queue.iter().any(|q| q.caller != Caller::System)
    }

    /// Gives the server's own command to this room.
    pub(crate) fn own_command(&mut self, subject: Subject, command: Command) {
        let envelope = Envelope { key: clock::new_key(), stream: Stream::Main, seen: None, retry: false, command };
        let (caller, reply) = (Caller::System, Reply::Nobody);
        self.queue.push_back(Queued { caller, subject, envelope, fingerprint: 0, reply, attempts: 0 });
    }

    /// Does what the committed state says must be done.
    fn owe(&mut self) {
        if self.broken.is_some() || self.claiming.is_some() || self.leaving.is_some() {
            return;
        }
        for owed in self.committed.owed() {
            let (turn, driver) = match owed {
                Owed::StartTurn { turn, driver, .. } => (turn, driver),
                Owed::Archive => {
                    self.archive();
                    continue;
                }
            };
            let lease = LeaseId(clock::new_key());
            let label = (self.shared.config.label)(&driver);
            self.claiming = Some(lease);
            self.own_command(Subject::Driver, Command::TurnStart(TurnStart { turn, lease, driver, label }));
        }
    }

    fn next_timer(&self) -> Instant {
        let now = Instant::now();
        let config = &self.shared.config;
        let far = now + Duration::from_secs(3600);
        let wall_now = self.shared.now();
        let wall = |at: Option<Timestamp>| {
            at.map(|at| {
                let ms = at.as_millisecond().saturating_sub(wall_now.as_millisecond()).max(1);
                now + Duration::from_millis(u64::try_from(ms).unwrap_or(1))
            })
        };
        let busy = self.in_flight.is_some();
        [
            self.fanout.next_flush(),
            self.lanes.next(config.lane_flush, now),
            self.live
                .as_ref()
                .and_then(|live| live.next(config))
                .map(|at| if busy { at.max(now + config.flush) } else { at }),
            wall(self.presence.next_deadline()),
            wall(self.turn_over_at()),
            wall(self.committed.next_deadline().filter(|_| !busy && self.broken.is_none())),
            self.pause_until.filter(|_| !busy),
            self.marks_due,
            self.host_due,
            (!self.fanout.is_empty()).then_some(self.head_due),
            self.idle_since.map(|since| since + config.unload_after),
            self.quiet_since.filter(|_| !self.rests).map(|since| since + config.rest_after),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(far)
    }

    /// Nothing is connected, waits or runs.
    fn is_quiet(&self) -> bool {
        self.fanout.is_empty()
            && self.waiting.is_empty()
            && self.queue.is_empty()
            && self.in_flight.is_none()
            && self.live.is_none()
    }

    /// It is quiet, and nothing is owed either.
    fn is_idle(&self) -> bool {
        self.is_quiet()
            && self.marks.is_empty()
            && (self.broken.is_some() || !self.committed.host_is_missed())
            && (self.broken.is_some() || self.committed.owed().is_empty())
    }

    /// Writes what must be written once it has been quiet for a while, and holds nothing that can be read again. What is
    /// left for the end is little, however large the session is.
    fn rest_when_quiet(&mut self) {
        if !self.is_quiet() {
            (self.quiet_since, self.rests) = (None, false);
            return;
        }
        let quiet_for = self.quiet_since.get_or_insert_with(Instant::now).elapsed();
        if !self.rests && quiet_for >= self.shared.config.rest_after {
            self.rests = true;
            if self.broken.is_none() && !self.blind {
                self.write_snapshots(When::AtRest).map(tokio::spawn);
            }
        }
    }

    /// Whether the loop ends: asked to, or idle for long enough and nobody sends any more.
    fn is_done(&mut self) -> bool {
        if self.deleted {
            return true;
        }
        if self.leaving.is_some() {
            return self.blind || self.in_flight.is_none() && (self.queue.is_empty() || self.pause_until.is_some());
        }
        self.waiting.retain(|w| !w.is_gone());
        if !self.is_idle() {
            // What becomes of a session that everybody has left keeps its room no longer than needed.
            if !self.fanout.is_empty() || self.live.is_some() || !self.waiting.is_empty() {
                self.idle_since = None;
            }
            return false;
        }
        self.idle_since.get_or_insert_with(Instant::now).elapsed() >= self.shared.config.unload_after
            && self.inbox.is_empty()
            && self.shared.retire(self.id, &self.to_self)
    }

    /// Writes the state snapshot, hands late inputs on, and lets those who wait know.
    async fn leave(mut self) {
        if self.deleted {
            // Whoever comes now finds no session.
            self.shared.forget_room(self.id, &self.to_self);
        }
        self.inbox.close();
        if self.broken.is_none() && !self.deleted && !self.blind {
            self.write_marks().await;
            if let Some(write) = self.write_snapshots(When::AtRest) {
                write.await;
            }
        }
        while let Ok(input) = self.inbox.try_recv() {
            self.shared.hand_on(self.id, input);
        }
        self.online.set(0, Vec::new());
        if let Some(done) = self.leaving.take() {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }
}

/// Refuses a command that no room can decide.
pub(crate) fn refuse(session: SessionId, queued: Queued, problem: Problem) {
    settle::answer(session, queued, batch::Outcome::Refused(problem));
}
