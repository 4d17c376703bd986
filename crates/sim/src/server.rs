//! The room in the small: one thread, no clock, no disk of its own.
//!
//! Owns: the order batch, commit, acknowledge, publish; connections and their subscriptions. Must not know: time and
//! the network; what it wants is taken out of [`Server::out`]. Invariant (broken only by a planted fault): committed
//! state, acknowledgements and fan-out follow the disk.
//!
//! | module | holds |
//! |---|---|
//! | `peers` | connections: subscribe-then-read joins, fan-out, bounded backlog, lost rights |
//! | `assistant` | the scripted assistant: claims, deltas, progress, ends |

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use roundtable_core::{Caller, Context, Decision, Session};
use roundtable_protocol::command::{BranchMerge, Command, Envelope, Said};
use roundtable_protocol::event::Event;
use roundtable_protocol::frame::{Accepted, ErrorFrame, ServerFrame};
use roundtable_protocol::ids::{ParticipantId, Seq, SessionId, Stream, Timestamp, UserId};
use roundtable_protocol::view::View;
use roundtable_protocol::{Code, Problem};
use uuid::Uuid;

use self::assistant::Driver;
use self::peers::Peer;
use crate::check::Checks;
use crate::disk::{Commit, Disk};
use crate::grants;
use crate::rng::Rng;
use crate::world::Fault;

mod assistant;
mod peers;

/// How many commands may wait.
const INBOX: usize = 48;
/// How many commands one commit may hold.
const BATCH: u64 = 8;

/// What the server wants done.
#[derive(Debug)]
pub enum Want {
    /// Write a frame to a connection.
    Send(u64, Box<ServerFrame>),
    /// Write events to a connection.
    Events(u64, Stream, Vec<Event>),
    /// Append this, then say how it went.
    Append(Commit),
    /// Read for this join, some time later.
    Read(u64, u64),
    /// Let the assistant do its next step, some time later.
    Drive,
}

/// Who gave a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// A connection's request.
    Peer { conn: u64, re: u64, user: UserId, overloaded: bool },
    /// A door or deadline; nobody waits for the answer.
    House,
    /// The assistant.
    Driver,
}

#[derive(Clone, Debug)]
struct Item {
    from: From,
    /// Absent: whatever is due.
    envelope: Option<Envelope>,
    key: Uuid,
}

type Outcome = Result<(Stream, Seq, bool), Problem>;

/// A running server process. A crash drops it.
pub struct Server {
    session_id: SessionId,
    fault: Option<Fault>,
    rng: Rng,
    /// Whether the answer to a subscribe tells the rights of the time it came, not of the time it is written. Both are
    /// right for a server, and a client must live with both.
    answers_early: bool,
    pending: Session,
    committed: Session,
    view: View,
    /// A view of long ago, for the planted stale snapshot.
    stale: View,
    commits: u64,
    /// Keys in the batch that is being appended.
    fresh: BTreeMap<Uuid, (Stream, Seq)>,
    inbox: VecDeque<Item>,
    in_flight: Option<(Vec<(Item, Outcome)>, Commit)>,
    /// What each connection was blocked on when the batch began.
    blocks: BTreeMap<u64, Option<Uuid>>,
    peers: BTreeMap<u64, Peer>,
    driver: Option<Driver>,
    /// What to do next.
    pub out: VecDeque<Want>,
    /// Keys that were refused for good; a client that never heard of it may succeed with one later.
    pub declined: Vec<Uuid>,
}

impl Server {
    /// Loads the session from the disk.
    pub fn load(session_id: SessionId, disk: &Disk, fault: Option<Fault>, mut rng: Rng) -> Self {
        let committed = disk.session(session_id);
        Self {
            session_id,
            fault,
            answers_early: rng.chance(500),
            rng,
            pending: committed.clone(),
            committed,
            view: disk.view(),
            stale: View::default(),
            commits: 0,
            fresh: BTreeMap::new(),
            inbox: VecDeque::new(),
            in_flight: None,
            blocks: BTreeMap::new(),
            peers: BTreeMap::new(),
            driver: None,
            out: VecDeque::new(),
            declined: Vec::new(),
        }
    }

    /// Returns the state as far as it is committed.
    pub fn session(&self) -> &Session {
        &self.committed
    }

    /// Returns the view of everything committed.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Returns whether nothing waits, runs or is owed.
    pub fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.in_flight.is_none() && self.committed.owed().is_empty()
    }

    /// A door lets somebody in, or a deadline asks for what is due.
    pub fn house(&mut self, command: Option<Command>) {
        let key = self.rng.uuid();
        self.enqueue(From::House, key, command);
    }

    fn enqueue(&mut self, from: From, key: Uuid, command: Option<Command>) {
        let envelope = command.map(|command| Envelope { key, stream: Stream::Main, seen: None, retry: false, command });
        self.inbox.push_back(Item { from, envelope, key });
    }

    /// Takes what waits, decides it on pending and asks for one append.
    pub fn step(&mut self, now: Timestamp, disk: &Disk) {
        if self.in_flight.is_some() {
            return;
        }
        self.start_owed();
        let most = usize::try_from(self.rng.between(1, BATCH)).expect("small");
        let taken: Vec<_> = self.inbox.drain(..most.min(self.inbox.len())).collect();
        if taken.is_empty() {
            return;
        }
        self.blocks = self.peers.iter().map(|(conn, peer)| (*conn, peer.blocked_on())).collect();
        let mut commit = Commit::default();
        let mut answers = Vec::new();
        for item in taken {
            let outcome = self.decide(&item, now, disk, &mut commit);
            if let (Err(problem), From::Peer { conn, .. }) = (&outcome, item.from) {
                match problem.retryable {
                    true => self.block(conn, item.key),
                    false => self.declined.push(item.key),
                }
            }
            answers.push((item, outcome));
        }
        if self.fault == Some(Fault::AckBeforeCommit) {
            self.answer(std::mem::take(&mut answers));
        }
        if commit.events.is_empty() {
            self.answer(answers);
            return;
        }
        self.out.push_back(Want::Append(commit.clone()));
        self.in_flight = Some((answers, commit));
    }

    fn decide(&mut self, item: &Item, now: Timestamp, disk: &Disk, commit: &mut Commit) -> Outcome {
        let caller = match item.from {
            From::Peer { conn, overloaded, user, .. } => {
                if !self.in_turn(conn, item.key) {
                    return Err(Code::RetryInOrder.into());
                }
                if overloaded {
                    return Err(Problem::new(Code::Overloaded).retry_after_ms(50));
                }
                Caller::User(user)
            }
            From::House | From::Driver => Caller::System,
        };
        let known = disk.find(item.key).or_else(|| self.fresh.get(&item.key).copied());
        if let Some((stream, seq)) = known.filter(|_| self.fault != Some(Fault::Double)) {
            return Ok((stream, seq, true));
        }
        let grant = match caller {
            Caller::User(user) => grants::grant(&self.pending, user),
            Caller::System => grants::system(&self.pending),
        };
        let present: Vec<_> = self.present();
        let cx = Context { now, caller, grant: &grant, present: &present, uploads: &[] };
        let decision = match &item.envelope {
            Some(envelope) => self.pending.decide(&cx, &self.looked_up(envelope))?,
            None => self.pending.on_time(&cx, item.key),
        };
        self.take(decision, commit).ok_or_else(|| Code::AlreadyRecorded.into())
    }

    /// What picked messages say is looked up in what is committed; the rules hold no texts.
    fn looked_up<'a>(&self, envelope: &'a Envelope) -> Cow<'a, Envelope> {
        let Command::BranchMerge(merge) = &envelope.command else { return Cow::Borrowed(envelope) };
        let messages = self.view.streams.get(&Stream::Main).map_or(&[][..], |main| &main.messages);
        let said = merge.messages.iter().filter_map(|id| messages.iter().rfind(|m| m.id == *id));
        let said = said.map(|m| Said {
            message: m.id,
            text: m.text.clone(),
            attachments: m.attachments.clone(),
            data: m.data.clone(),
        });
        let command = Command::BranchMerge(BranchMerge { said: said.collect(), ..merge.clone() });
        Cow::Owned(Envelope { command, ..envelope.clone() })
    }

    /// Applies a decision to pending and adds it to the commit. Returns where its first event is.
    fn take(&mut self, decision: Decision, commit: &mut Commit) -> Option<(Stream, Seq, bool)> {
        let first = decision.events.first().map(|e| (e.stream, e.seq, false));
        for event in &decision.events {
            self.pending.apply(event);
            self.fresh.insert(event.header.id.0, (event.stream, event.seq));
        }
        commit.events.extend(decision.events);
        commit.redactions.extend(decision.redactions);
        first
    }

    fn present(&self) -> Vec<ParticipantId> {
        let users = self.peers.values().filter_map(Peer::user);
        users.filter_map(|user| self.committed.participant_of(user)).map(|p| p.id).collect()
    }

    /// The append is over: committed follows, or pending goes back.
    pub fn appended(&mut self, result: Result<(), Code>, disk: &Disk, checks: &mut Checks) {
        let Some((mut answers, commit)) = self.in_flight.take() else { return };
        self.fresh.clear();
        if let Err(code) = result {
            self.pending = self.committed.clone();
            for (conn, blocked) in std::mem::take(&mut self.blocks) {
                self.restore_block(conn, blocked);
            }
            for (item, outcome) in &mut answers {
                if outcome.is_err() || disk.find(item.key).is_none() {
                    *outcome = Err(self.unavailable(item, code));
                }
            }
            self.answer(answers);
            return;
        }
        let revision = self.committed.roles_rev();
        if self.commits.is_multiple_of(4) {
            self.stale = self.view.clone();
        }
        self.commits += 1;
        for event in &commit.events {
            self.committed.apply(event);
            self.view.apply(event);
        }
        debug_assert_eq!(self.pending, self.committed, "pending and committed are one after a commit");
        self.answer(answers);
        if self.committed.roles_rev() != revision {
            self.reauthorize(checks);
        }
        self.publish(&commit.events, checks);
    }

    /// Refusals rest on pending facts that did not become true: they too are answered so that they come again.
    fn unavailable(&mut self, item: &Item, code: Code) -> Problem {
        if let From::Peer { conn, .. } = item.from {
            if !self.in_turn(conn, item.key) {
                return Code::RetryInOrder.into();
            }
            self.block(conn, item.key);
        }
        Problem::new(code).retry_after_ms(100)
    }

    fn answer(&mut self, answers: Vec<(Item, Outcome)>) {
        for (item, outcome) in answers {
            match item.from {
                From::Peer { conn, re, .. } => self.reply(conn, re, item.key, outcome),
                From::Driver => self.driven(item, &outcome),
                From::House => {
                    if outcome.is_err_and(|problem| problem.retryable) {
                        self.inbox.push_back(item);
                    }
                }
            }
        }
    }

    fn reply(&mut self, conn: u64, re: u64, key: Uuid, outcome: Outcome) {
        let session_id = self.session_id;
        let frame = match outcome {
            Ok((stream, seq, duplicate)) => {
                ServerFrame::Ok(Accepted { re, session_id, stream, seq, id: key.into(), duplicate })
            }
            Err(problem) => ServerFrame::Error(ErrorFrame { re: Some(re), session_id: Some(session_id), problem }),
        };
        self.send(conn, frame);
    }

    fn send(&mut self, conn: u64, frame: ServerFrame) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.backlog += 1;
            self.out.push_back(Want::Send(conn, Box::new(frame)));
        }
    }
}
