//! Checkpoints and branches as people see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::branching::{Branch, CheckpointInfo, Fork, ForkedFrom};
use crate::event::{
    BranchCreated, BranchMerged, CheckpointCreated, CheckpointDeleted, CheckpointRenamed, Event, SessionCreated,
    SessionForked,
};
use crate::ids::{BranchId, MessageId, Stream};

/// The branches of the conversation and the named points of the session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BranchingView {
    /// The branches, the main one first.
    #[serde(default)]
    #[schema(required)]
    pub branches: Vec<Branch>,
    /// The branch that whoever presents shows; null: nobody has chosen one.
    #[serde(default)]
    #[schema(required)]
    pub focus: Option<BranchId>,
    /// The checkpoints that have a name, in the order in which they were made or named. Automatic ones without a name are
    /// read with `GET .../checkpoints`.
    #[serde(default)]
    #[schema(required)]
    pub checkpoints: Vec<CheckpointInfo>,
    /// What the session began as a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
    /// The sessions that began as copies of this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<Fork>,
}

impl BranchingView {
    /// The main branch is there from the start.
    pub(super) fn began(&mut self, event: &Event, data: &SessionCreated) {
        self.forked_from = data.forked_from;
        self.branches.push(Branch::main(event, data));
    }

    /// A message is the newest one of the branch that it was said on.
    pub(super) fn said(&mut self, event: &Event, message: MessageId) {
        if event.stream != Stream::Main {
            return;
        }
        let branch = match event.header.branch {
            Some(id) => self.branches.iter_mut().find(|b| b.id == id),
            None => self.branches.first_mut(),
        };
        // One that begins its branch stands before `branch.created`, which names it.
        if let Some(branch) = branch {
            branch.head = Some(message);
        }
    }

    pub(super) fn forked(&mut self, event: &Event, data: &SessionForked) {
        let SessionForked { session, branch, message, seq } = *data;
        self.forks.push(Fork { session, branch, message, seq, by: event.header.actor, at: event.header.at });
    }

    pub(super) fn created(&mut self, event: &Event, data: &BranchCreated) {
        self.branches.push(Branch::begun(event, data));
    }

    pub(super) fn merged(&mut self, data: &BranchMerged) {
        if data.head.is_some() {
            self.with(data.into, |b| b.head = data.head);
        }
    }

    pub(super) fn with(&mut self, id: BranchId, change: impl FnOnce(&mut Branch)) {
        if let Some(branch) = self.branches.iter_mut().find(|b| b.id == id) {
            change(branch);
        }
    }

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
