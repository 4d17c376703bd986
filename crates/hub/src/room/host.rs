//! Tells the rules whether somebody leads the session: connections are presence, which the rules do not know.
//!
//! Owns: when the owner counts as gone, and when somebody counts as come. Must not know: who follows. Invariant: what is
//! lost with the process is found again when the room is loaded: an owner who was connected and is not any more is
//! missed from then on.

use roundtable_access::Subject;
use roundtable_core::presence::GRACE;
use roundtable_protocol::command::{SessionAttach, SessionMissHost};
use roundtable_protocol::event::EventBody;
use roundtable_protocol::model::DetachReason;
use roundtable_protocol::{Command, ParticipantId};

use tokio::time::Instant;

use super::Room;

impl Room {
    /// Somebody has opened a connection.
    pub(crate) fn host_connects(&mut self, participant: ParticipantId) {
        self.host_seen |= self.committed.owner().is_some_and(|owner| owner.id == participant);
        if self.broken.is_some() || self.leaving.is_some() || !self.committed.is_led_by(participant) {
            return;
        }
        if self.committed.detached_since().is_some() {
            self.own_command(Subject::Driver, Command::SessionAttach(SessionAttach { participant }));
        } else {
            self.host_due.get_or_insert(Instant::now() + self.shared.config.host_after);
        }
    }

    /// The owner was not only looking in: that is recorded.
    pub(crate) fn host_stays(&mut self) {
        self.host_due = None;
        let Some(participant) = self.committed.owner().map(|owner| owner.id) else { return };
        if self.committed.is_led_by(participant) && self.presence.is_connected(participant) {
            self.own_command(Subject::Driver, Command::SessionAttach(SessionAttach { participant }));
        }
    }

    /// The state has changed: those who are there already may count from now on.
    pub(crate) fn follow_host(&mut self, bodies: &[EventBody]) {
        let begins = |body: &EventBody| match body {
            EventBody::SessionStarted(_) | EventBody::SessionResumed(_) => self.committed.detached_since().is_none(),
            EventBody::SessionDetached(data) => data.why == DetachReason::NobodyLeft,
            _ => false,
        };
        if bodies.iter().any(begins) {
            self.presence.online().into_iter().for_each(|id| self.host_connects(id));
        }
        if bodies.iter().any(|body| matches!(body, EventBody::SessionDetached(_))) {
            // An owner who detaches on purpose does not attach by connections that are open still.
            self.host_due = None;
        }
        if bodies.iter().any(|body| matches!(body, EventBody::SessionOwnerChanged(_))) {
            self.host_seen = true;
            self.miss_host();
        }
    }

    /// Says that the owner is not there any more, once the last connection has been gone for as long as a reload may
    /// take.
    pub(crate) fn miss_host(&mut self) {
        // Another server may have the owner's connection, unless the owner was here.
        let mine = self.host_seen || self.shared.store.exclusive();
        if !mine || self.broken.is_some() || self.leaving.is_some() || !self.committed.state().is_open() {
            return;
        }
        let Some(owner) = self.committed.owner().map(|owner| owner.id) else { return };
        if self.committed.host_is_here() && !self.presence.online().contains(&owner) {
            let since = (self.shared.now() - GRACE).max(self.loaded_at);
            self.own_command(Subject::Driver, Command::SessionMissHost(SessionMissHost { since }));
        }
    }
}
