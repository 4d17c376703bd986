//! Connections of those who wait to be let in.
//!
//! Owns: whom to tell what became of a request. Must not know: who may admit. Invariant: such a connection is told nothing
//! of the session; once its person is in, it subscribes like any other.

use std::sync::Arc;

use roundtable_protocol::event::EventBody;
use roundtable_protocol::frame::{Access, ServerFrame, StartMode, StreamStart, Subscribed, You};
use roundtable_protocol::grant::Permissions;
use roundtable_protocol::lobby::RequestStatus;
use roundtable_protocol::model::Membership;
use roundtable_protocol::{Code, ConnectionId, Epoch, Problem, Seq, StreamSet, UserId};

use super::{Room, Subscription};
use crate::frame::Frame;
use crate::outbox::Outbox;

/// How many connections of one person may wait.
const EACH: usize = 4;

/// A connection that waits.
pub(crate) struct Waiting {
    user: UserId,
    outbox: Arc<Outbox>,
    wanted: StreamSet,
}

impl Waiting {
    /// Returns whether the connection has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.outbox.is_closed()
    }

    /// Returns whether this is that connection.
    pub(crate) fn is(&self, connection: ConnectionId) -> bool {
        self.outbox.id() == connection
    }
}

impl Room {
    /// Keeps the connection of somebody who waits; whoever does not wait finds nothing here.
    pub(crate) fn subscribe_waiting(&mut self, user: UserId, request: Subscription) -> Result<(), Problem> {
        let asked = self.committed.asked(user);
        if asked.is_none_or(|asked| asked.status != RequestStatus::Waiting) {
            return Err(Problem::new(Code::NotFound));
        }
        self.waiting.retain(|w| w.outbox.id() != request.connection.id() && !w.outbox.is_closed());
        if self.waiting.iter().filter(|w| w.user == user).count() >= EACH {
            return Err(Problem::new(Code::TooManyConnections));
        }
        request.connection.open(self.id, StreamSet::EMPTY, [Seq::ZERO; 4])?;
        let wanted: StreamSet = request.streams.iter().map(|p| p.stream).collect();
        let (epoch, head, mode) = (Epoch(String::new()), Seq::ZERO, StartMode::Waiting);
        let subscribed = Subscribed {
            re: request.re,
            session_id: self.id,
            you: nobody(),
            people: Vec::new(),
            streams: wanted.iter().map(|stream| StreamStart { stream, epoch: epoch.clone(), head, mode }).collect(),
        };
        request.connection.push(Frame::encode(&ServerFrame::Subscribed(subscribed)));
        self.waiting.push(Waiting { user, outbox: request.connection, wanted });
        Ok(())
    }

    /// A connection waits no more.
    pub(crate) fn stop_waiting(&mut self, connection: ConnectionId) {
        if let Some(place) = self.waiting.iter().position(|w| w.outbox.id() == connection) {
            self.waiting.swap_remove(place).outbox.shut(self.id);
        }
    }

    /// Tells those who have waited what became of it.
    pub(crate) fn tell_waiting(&mut self, bodies: &[EventBody]) {
        let answers = |body: &EventBody| {
            let is_answer =
                |b: &EventBody| matches!(b, EventBody::ParticipantDenied(_) | EventBody::ParticipantRequestEnded(_));
            matches!(body, EventBody::ParticipantApproved(_)) || is_answer(body)
        };
        if self.waiting.is_empty() || !bodies.iter().any(answers) {
            return;
        }
        for waiting in std::mem::take(&mut self.waiting) {
            let asked = self.committed.asked(waiting.user);
            match asked.map(|asked| asked.status) {
                Some(RequestStatus::Waiting) => self.waiting.push(waiting),
                Some(status) => self.turn_away(&waiting, status.name()),
                None => self.admit_waiting(&waiting),
            }
        }
    }

    /// Ends the waiting of everybody: the session is no more.
    pub(crate) fn turn_all_away(&mut self, reason: &str) {
        for waiting in std::mem::take(&mut self.waiting) {
            self.turn_away(&waiting, reason);
        }
    }

    fn turn_away(&self, waiting: &Waiting, reason: &str) {
        self.tell(waiting, nobody(), StreamSet::EMPTY, reason);
    }

    fn admit_waiting(&mut self, waiting: &Waiting) {
        let grant = self.grants.authorize(&self.committed, waiting.user);
        let participant = self.committed.participant_of(waiting.user).filter(|p| p.membership == Membership::Joined);
        let (id, role) = (participant.map(|p| p.id), participant.map(|p| p.role));
        let you = self.you(id, role, &grant);
        self.tell(waiting, you, waiting.wanted.intersect(grant.streams), "admitted");
    }

    fn tell(&self, waiting: &Waiting, you: You, streams: StreamSet, reason: &str) {
        waiting.outbox.shut(self.id);
        let access = Access { session_id: self.id, you, streams: streams.iter().collect(), reason: reason.to_owned() };
        waiting.outbox.push(Frame::encode(&ServerFrame::Access(access)));
        waiting.outbox.write_now();
    }
}

/// Says that the reader is nobody here.
fn nobody() -> You {
    You { participant_id: None, role: None, can: Permissions::NONE, read: std::collections::BTreeMap::new() }
}
