//! Loading a room: snapshot and tail, and what to do with a history that cannot be folded.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use roundtable_access::Subject;
use roundtable_core::{Presence, Session};
use roundtable_protocol::command::TurnLose;
use roundtable_protocol::event::BodyError;
use roundtable_protocol::{Code, Command, Event, Rev, SessionId};
use roundtable_store::{SessionHead, StoreError, StoredEvent};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::tail::Tail;
use super::{Input, ReadMarks, RecentKeys, Room};
use crate::fanout::Fanout;
use crate::frame::inflate;
use crate::grants::Grants;
use crate::lanes::Lanes;
use crate::metrics::Rate;
use crate::rooms::{Online, Shared};
use crate::views::Views;

/// How many events are read at once.
const CHUNK: usize = 2_000;

/// A session as the store has it.
pub(crate) struct Loaded {
    session: Session,
    rev: Rev,
    /// Of the state snapshot that was found; 0: none.
    snapshot_bytes: u64,
    tail: u64,
    rights_epoch: u64,
    read: ReadMarks,
    broken: Option<Code>,
}

impl Loaded {
    /// Reads a session; `None` when there is no such session.
    pub(crate) async fn read(id: SessionId, shared: &Shared) -> Result<Option<Self>, StoreError> {
        let Some(SessionHead { rights_epoch, rev: newest, .. }) = shared.store.head(id).await? else { return Ok(None) };
        let snapshot = shared.store.state(id).await?.filter(|s| s.rev <= newest);
        let known = snapshot.and_then(|s| {
            let json = inflate(&s.bytes)?;
            Some((Session::from_snapshot(s.format, &json)?, s.rev, json.len() as u64))
        });
        let (session, rev, snapshot_bytes) = known.unwrap_or_else(|| (Session::empty(id), Rev::ZERO, 0));
        let marks = shared.store.read_marks(id).await?;
        let read = marks.into_iter().map(|(who, stream, seq)| ((who, stream), seq)).collect();
        let mut loaded = Self { session, rev, snapshot_bytes, tail: 0, rights_epoch, read, broken: None };
        while loaded.broken.is_none() {
            let events = shared.store.read_commits(id, loaded.rev, CHUNK).await?;
            if events.is_empty() {
                break;
            }
            loaded.fold(id, &events);
        }
        Ok(Some(loaded))
    }

    /// Returns the session as far as it can be folded.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    fn fold(&mut self, id: SessionId, events: &[StoredEvent]) {
        for stored in events {
            if let Err(code) = fold(&mut self.session, stored) {
                tracing::error!(session.id = %id, stream = %stored.stream, seq = stored.seq.0, code = code.name(),
                    "the session is served read-only from before this event");
                self.broken = Some(code);
                return;
            }
            self.rev = stored.rev;
            self.tail += 1;
        }
    }
}

/// Folds one stored event into `session`.
pub(crate) fn fold(session: &mut Session, stored: &StoredEvent) -> Result<Event, Code> {
    let event = match Event::from_stored(stored.stream, stored.seq, &stored.header, &stored.body) {
        Ok(event) => event,
        Err(BodyError::UnknownKind(_)) => return Err(Code::UpgradeInProgress),
        Err(_) => return Err(Code::HistoryBroken),
    };
    std::panic::catch_unwind(AssertUnwindSafe(|| session.apply(&event))).map_err(|_| Code::HistoryBroken)?;
    Ok(event)
}

impl Room {
    pub(crate) fn new(
        id: SessionId,
        shared: Arc<Shared>,
        loaded: Loaded,
        inbox: mpsc::Receiver<Input>,
        to_self: mpsc::WeakSender<Input>,
        online: Arc<Online>,
    ) -> Self {
        let Loaded { session, rev, snapshot_bytes, tail, rights_epoch, read, broken } = loaded;
        let now = Instant::now();
        let config = &shared.config;
        let mut room = Self {
            id,
            inbox,
            to_self,
            online,
            pending: session.clone(),
            rev,
            broken,
            grants: Grants::new(rights_epoch),
            queue: std::collections::VecDeque::new(),
            in_flight: None,
            blind: false,
            due: false,
            pause_until: None,
            recent: RecentKeys::default(),
            fanout: Fanout::new(id, config.flush, config.watcher_flush),
            subscriptions: 0,
            presence: Presence::default(),
            lanes: Lanes::default(),
            views: Arc::new(Views::new(id, Arc::clone(&shared.store))),
            live: None,
            claiming: None,
            read,
            marks: std::collections::HashMap::new(),
            marks_due: None,
            head_due: now + config.head_every,
            idle_since: None,
            quiet_since: None,
            rests: false,
            tail: Tail::new(tail, snapshot_bytes),
            loaded_at: shared.now(),
            host_seen: false,
            host_due: None,
            rate: Rate::default(),
            archiving: false,
            leaving: None,
            deleting: Vec::new(),
            deleted: false,
            waiting: Vec::new(),
            committed: session,
            shared,
        };
        room.lose_orphan();
        room
    }

    /// A turn that was running when the room was last left has no driver any more. When nobody else can have it, it
    /// is lost at once; otherwise its lease decides.
    fn lose_orphan(&mut self) {
        if self.broken.is_some() || !self.shared.store.exclusive() {
            return;
        }
        if let Some(running) = self.committed.running_turn() {
            let (turn, lease) = (running.turn, running.lease.id);
            self.own_command(Subject::Driver, Command::TurnLose(TurnLose { turn, lease }));
        }
    }
}
