//! What the view keeps of the shared context: where it stands, not what it says.
//!
//! Owns: the version and the open conflicts. Must not know: the document; who shows it reads it with `GET` and follows
//! it by the events' changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::{ContextPatched, ContextResolved, Event};
use crate::ids::{BranchId, EventId, Seq};

/// Where the shared context stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextView {
    /// The seq of the last write on the main branch; 0 before the first.
    pub version: Seq,
    /// The seq of the last write on each other branch that has been written on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub branches: BTreeMap<BranchId, Seq>,
    /// The conflicts that wait for people, the oldest first.
    pub conflicts: Vec<EventId>,
}

impl ContextView {
    /// Returns whether nothing has been written and nothing waits.
    pub fn is_untouched(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn patched(&mut self, event: &Event, data: &ContextPatched) {
        match event.header.branch {
            _ if data.ops.is_empty() => {}
            None => self.version = event.seq,
            Some(branch) => {
                self.branches.insert(branch, event.seq);
            }
        }
    }

    pub(super) fn conflicted(&mut self, event: &Event) {
        self.conflicts.push(event.header.id);
    }

    pub(super) fn resolved(&mut self, data: &ContextResolved) {
        self.conflicts.retain(|id| *id != data.conflict);
    }
}
