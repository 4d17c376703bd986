//! What the state says must be done, and when it must be looked at again.
//!
//! Owns: derived work and deadlines. Must not know: who does the work. Invariant: a pure function of the state; nothing
//! is remembered, so a crash forgets nothing.

use roundtable_protocol::event::Actor;
use roundtable_protocol::ids::Timestamp;
use roundtable_protocol::model::SessionState;
use uuid::Uuid;

use super::draft::Draft;
use super::lifecycle::{host, limits, moves, points};
use super::{Session, lobby, messages, turns};
use crate::context::{Context, Decision, Owed};

impl Session {
    /// Returns what must be done now: the next turn started, when the session is active and none runs; the log of an
    /// ended session walked.
    pub fn owed(&self) -> Vec<Owed> {
        if moves::is_archive_owed(self) {
            return vec![Owed::Archive];
        }
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

    /// Returns when [`Session::on_time`] has something to decide: a limit, the owner's grace, the end of a lease, a checkpoint, or the
    /// erasing of what was not recorded.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let lease = self.running_turn().map(|t| t.lease.until);
        // Due whatever the clock says, also after it was set back.
        let ending = moves::ending_due(self).map(|_| Timestamp::UNIX_EPOCH);
        let life = [limits::next_deadline(&self.lifecycle), host::next_deadline(self), points::next_deadline(self)];
        let lobby = self.lobby.next_deadline().filter(|_| self.state().is_open());
        life.into_iter().chain([lease, ending, lobby, self.forgets_at()]).flatten().min()
    }

    /// Returns when what was said has to be erased because nobody wanted it recorded; none once it is.
    fn forgets_at(&self) -> Option<Timestamp> {
        let kept =
            || self.messages.unerased().next().is_some() || !self.memories.is_empty() || !self.actions.is_empty();
        self.lifecycle.forgets_at().filter(|_| kept())
    }

    /// Returns when somebody must look at this session again: now while anything is owed, else the next deadline. A
    /// session whose owner is connected and that has no deadline answers [`watched`].
    pub fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        if !self.owed().is_empty() {
            return Some(now);
        }
        let watched = (self.state().is_open() && self.host_is_here()).then(watched);
        self.next_deadline().into_iter().chain(watched).min()
    }
}

/// The `wake_at` of a session whose owner is connected: a moment that never comes. A server that starts finds by it the
/// sessions whose owners have lost their connections together with the server before.
pub fn watched() -> Timestamp {
    Timestamp::from_second(WATCHED_S).expect("a moment of the year 9000")
}

/// 9000-01-01T00:00:00Z. Unit: seconds since 1970.
const WATCHED_S: i64 = 221_845_392_000;

pub(super) fn on_time(session: &Session, cx: &Context<'_>, key: Uuid) -> Decision {
    let mut draft = Draft::new(session, key, cx.now, Actor::System);
    if let Some(strike) = limits::struck(&session.lifecycle, cx.now) {
        return moves::end(session, draft, SessionState::Completed, strike.reason().to_owned());
    }
    if session.forgets_at().is_some_and(|at| at <= cx.now) {
        messages::erase_some(session, &mut draft, "the session was not recorded");
        return draft.finish();
    }
    if let Some(reason) = moves::ending_due(session) {
        return moves::end(session, draft, SessionState::Completed, reason.to_owned());
    }
    limits::warn(&session.lifecycle, cx.now, &mut draft);
    host::on_time(session, cx.present, cx.now, &mut draft);
    lobby::on_time(session, cx.now, &mut draft);
    points::on_time(session, cx.now, &mut draft);
    if session.running_turn().is_some_and(|t| t.lease.until <= cx.now) {
        turns::lose_running(session, &mut draft);
    }
    draft.finish()
}
