//! Who takes part.

use super::View;
use crate::event::{ParticipantJoined, ParticipantProfileChanged};
use crate::grant::Role;
use crate::ids::ParticipantId;
use crate::model::Membership;

impl View {
    pub(super) fn joined(&mut self, data: &ParticipantJoined) {
        match self.participants.iter_mut().find(|p| p.id == data.participant.id) {
            Some(known) => known.clone_from(&data.participant),
            None => self.participants.push(data.participant.clone()),
        }
    }

    pub(super) fn membership(&mut self, id: ParticipantId, membership: Membership) {
        if let Some(p) = self.participants.iter_mut().find(|p| p.id == id) {
            p.membership = membership;
        }
    }

    pub(super) fn role(&mut self, id: ParticipantId, role: Role) {
        if let Some(p) = self.participants.iter_mut().find(|p| p.id == id) {
            p.role = role;
        }
    }

    pub(super) fn profile(&mut self, data: &ParticipantProfileChanged) {
        if let Some(p) = self.participants.iter_mut().find(|p| p.id == data.participant) {
            p.display_name.clone_from(&data.display_name);
            p.colour = data.colour;
        }
    }
}
