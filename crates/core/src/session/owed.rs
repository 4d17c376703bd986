//! What the state says must be done, and when it must be looked at again.
//!
//! Owns: derived work and deadlines. Must not know: who does the work. Invariant: a pure function of the state; nothing
//! is remembered, so a crash forgets nothing.

use roundtable_protocol::event::Actor;
use roundtable_protocol::ids::Timestamp;
use roundtable_protocol::model::SessionState;
use uuid::Uuid;

use super::draft::Draft;
use super::{Session, lifecycle, messages, turns};
use crate::context::{Context, Decision, Owed};

impl Session {
    /// Returns what must be done now: the next turn started, when the session is active and none runs.
    pub fn owed(&self) -> Vec<Owed> {
        if self.state() != SessionState::Active || self.running_turn().is_some() {
            return Vec::new();
        }
        let start = |turn: &super::QueuedTurn| Owed::StartTurn {
            turn: turn.turn,
            message: turn.message,
            requester: turn.requester,
            assistant: turn.assistant,
            driver: self.settings().assistant.clone(),
        };
        self.queue().first().map(start).into_iter().collect()
    }

    /// Returns when [`Session::on_time`] has something to decide: the expiry, the end of a lease, or the erasing of
    /// what was not recorded.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let lease = self.running_turn().map(|t| t.lease.until);
        [self.lifecycle.expiry(), lease, self.forgets_at()].into_iter().flatten().min()
    }

    /// Returns when what was said has to be erased because nobody wanted it recorded; none once it is.
    fn forgets_at(&self) -> Option<Timestamp> {
        self.lifecycle.forgets_at().filter(|_| self.messages.unerased().next().is_some())
    }

    /// Returns when somebody must look at this session again: now while anything is owed, else the next deadline.
    pub fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.owed().is_empty() { self.next_deadline() } else { Some(now) }
    }
}

pub(super) fn on_time(session: &Session, cx: &Context<'_>, key: Uuid) -> Decision {
    let mut draft = Draft::new(session, key, cx.now, Actor::System);
    if session.lifecycle.expiry().is_some_and(|at| at <= cx.now) {
        return lifecycle::end(session, draft, SessionState::Completed, "expired".to_owned());
    }
    if session.forgets_at().is_some_and(|at| at <= cx.now) {
        messages::erase_some(session, &mut draft, "the session was not recorded");
        return draft.finish();
    }
    if session.running_turn().is_some_and(|t| t.lease.until <= cx.now) {
        turns::lose_running(session, &mut draft);
    }
    draft.finish()
}
