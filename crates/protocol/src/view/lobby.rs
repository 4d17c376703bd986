//! Who waits to be let in, as those who may admit see it.

use super::View;
use crate::event::ParticipantRequested;
use crate::ids::ParticipantId;

impl View {
    pub(super) fn requested(&mut self, data: &ParticipantRequested) {
        self.requests.retain(|known| known.id != data.request.id);
        self.requests.push(data.request.clone());
    }

    pub(super) fn answered(&mut self, participant: ParticipantId) {
        self.requests.retain(|known| known.id != participant);
    }
}
