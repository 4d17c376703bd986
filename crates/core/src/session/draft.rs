//! A decision while it is made: who speaks, the next seq of each stream, the next id.
//!
//! Invariant: the first event bears the command's key as its id, every later one an id derived from it, so that a
//! repeated command makes the same ids.

use roundtable_protocol::command::Envelope;
use roundtable_protocol::event::{Actor, Event, EventBody, EventHeader};
use roundtable_protocol::grant::Permission;
use roundtable_protocol::ids::{BranchId, EventId, MessageId, ParticipantId, Seq, Stream, Timestamp};
use roundtable_protocol::model::Participant;
use roundtable_protocol::problem::{Code, Problem};
use uuid::Uuid;

use super::Session;
use super::messages::MessageRef;
use crate::context::{Context, Decision, Rejection};

// What a command makes besides events derives its id from the key under these numbers; events count from 1, far below.
/// The turn that a command queues.
pub(super) const TURN_ID: u64 = 1000;
/// The message that the answer of a started turn grows in.
pub(super) const ANSWER_ID: u64 = 1001;
/// The participant that joins, or the owner of a new session.
pub(super) const PARTICIPANT_ID: u64 = 1002;
/// The assistant of a new session.
pub(super) const ASSISTANT_ID: u64 = 1003;
/// The main branch of a new session.
pub(super) const BRANCH_ID: u64 = 1004;

/// The checkpoint that a rule makes.
pub(super) const CHECKPOINT_ID: u64 = 1005;
/// The first event of a refusal that is recorded; later ones count on with `staff`, so that a key that is sent again does
/// not make the same id.
const REFUSAL_ID: u64 = 1 << 32;

/// The branch that a new message or another answer begins.
pub(super) const FORK_ID: u64 = 1006;
/// The session that begins as a copy.
pub(super) const FORK_SESSION_ID: u64 = 1007;
/// From which the ids of what a copy begins with are derived.
pub(super) const FORK_COPY_ID: u64 = 1008;

/// A command that has been admitted: it may be given now by whom it is given.
pub(super) struct By<'a> {
    pub session: &'a Session,
    pub cx: &'a Context<'a>,
    pub envelope: &'a Envelope,
    /// The caller; none when the server itself speaks.
    pub person: Option<&'a Participant>,
}

impl<'a> By<'a> {
    /// Begins a decision in the caller's name.
    pub fn draft(&self) -> Draft {
        self.draft_as(self.person.map_or(Actor::System, |p| Actor::Participant(p.id)), None)
    }

    /// Begins a decision in another's name.
    pub fn draft_as(&self, actor: Actor, on_behalf_of: Option<ParticipantId>) -> Draft {
        let mut draft = Draft::new(self.session, self.envelope.key, self.cx.now, actor);
        draft.on_behalf_of = on_behalf_of;
        let (stream, head) = (self.envelope.stream, self.session.heads[self.envelope.stream as usize]);
        draft.seen = self.envelope.seen.map(|seen| (stream, seen.min(head)));
        draft
    }

    /// Returns the caller where only a participant makes sense.
    pub fn person(&self) -> Result<&'a Participant, Rejection> {
        self.person.ok_or_else(|| Code::Forbidden.into())
    }

    /// Returns whether the caller is `who`, or may do this with everybody's.
    pub fn is_or_may(&self, who: ParticipantId, permission: Permission) -> bool {
        self.person.is_none_or(|p| p.id == who) || self.cx.grant.allows(permission)
    }

    /// Returns what is known of a message that the caller may read.
    pub fn message(&self, pointer: &'static str, id: MessageId) -> Result<MessageRef, Rejection> {
        let readable = |m: &MessageRef| self.person.is_none() || self.cx.grant.streams.contains(m.stream);
        self.session
            .messages
            .get(id)
            .filter(readable)
            .ok_or_else(|| Rejection::field(pointer, Code::NoSuchMessage, "there is no such message here"))
    }
}

/// Events in the making.
pub(super) struct Draft {
    key: Uuid,
    at: Timestamp,
    actor: Actor,
    on_behalf_of: Option<ParticipantId>,
    seen: Option<(Stream, Seq)>,
    branch: Option<BranchId>,
    heads: [Seq; 4],
    decision: Decision,
}

impl Draft {
    /// Begins a decision on top of `session`.
    pub fn new(session: &Session, key: Uuid, now: Timestamp, actor: Actor) -> Self {
        Self {
            key,
            at: now.max(session.last_at),
            actor,
            on_behalf_of: None,
            seen: None,
            branch: None,
            heads: session.heads,
            decision: Decision::default(),
        }
    }

    /// What follows is another's doing.
    pub fn speak_as(&mut self, actor: Actor) {
        self.actor = actor;
    }

    /// Returns the time that all events of this decision bear.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Returns the command's key.
    pub fn key(&self) -> Uuid {
        self.key
    }

    /// Says on which branch the following events are; none: the main one.
    pub fn on(&mut self, branch: Option<BranchId>) {
        self.branch = branch;
    }

    /// Returns the last seq of `stream` with the events of this decision.
    pub fn head(&self, stream: Stream) -> Seq {
        self.heads[stream as usize]
    }

    /// Adds an event and returns its id.
    pub fn push(&mut self, stream: Stream, causes: Vec<EventId>, body: impl Into<EventBody>) -> EventId {
        let id = match self.decision.events.len() as u64 {
            0 => EventId(self.key),
            n => EventId::derive(self.key, n),
        };
        let head = &mut self.heads[stream as usize];
        *head = head.next();
        let header = EventHeader {
            id,
            actor: self.actor,
            on_behalf_of: self.on_behalf_of,
            at: self.at,
            branch: self.branch,
            seen: self.seen.filter(|(s, _)| *s == stream).map(|(_, seen)| seen),
            causes,
        };
        self.decision.events.push(Event { stream, seq: *head, header, body: body.into() });
        id
    }

    /// Returns what has been decided so far.
    pub fn events(&self) -> &[Event] {
        &self.decision.events
    }

    /// Records in `staff` that nothing of what was asked happens, and says what the caller is told. The key stays free.
    pub fn refuse(&mut self, body: impl Into<EventBody>, problem: Problem) {
        let id = EventId::derive(self.key, REFUSAL_ID + self.heads[Stream::Staff as usize].0);
        self.push(Stream::Staff, vec![], body);
        if let Some(event) = self.decision.events.last_mut() {
            event.header.id = id;
        }
        self.decision.refused = Some(Box::new(problem));
    }

    /// Has the text of earlier events erased with this commit.
    pub fn redact(&mut self, texts: impl IntoIterator<Item = (Stream, Seq)>) {
        self.decision.redactions.extend(texts);
    }

    /// Returns what was decided.
    pub fn finish(self) -> Decision {
        self.decision
    }
}
