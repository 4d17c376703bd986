//! Checkpoints and branches as people see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::branching::CheckpointInfo;
use crate::event::{CheckpointCreated, CheckpointDeleted, CheckpointRenamed, Event};

/// The branches of the conversation and the named points of the session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct BranchingView {
    /// The checkpoints that have a name, in the order in which they were made or named. Automatic ones without a name are
    /// read with `GET .../checkpoints`.
    pub checkpoints: Vec<CheckpointInfo>,
}

impl BranchingView {
    pub(super) fn checkpoint_created(&mut self, event: &Event, data: &CheckpointCreated) {
        if data.checkpoint.name.is_some() {
            let (by, at, seq) = (event.header.actor, event.header.at, event.seq);
            self.checkpoints.push(CheckpointInfo { checkpoint: data.checkpoint.clone(), by, at, seq });
        }
    }

    pub(super) fn checkpoint_renamed(&mut self, data: &CheckpointRenamed) {
        let new = &data.checkpoint;
        match self.checkpoints.iter_mut().find(|c| c.checkpoint.id == new.checkpoint.id) {
            Some(old) => old.clone_from(new),
            None => self.checkpoints.push(new.clone()),
        }
    }

    pub(super) fn checkpoint_deleted(&mut self, data: &CheckpointDeleted) {
        self.checkpoints.retain(|c| c.checkpoint.id != data.checkpoint);
    }
}
