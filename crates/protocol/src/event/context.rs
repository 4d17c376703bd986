//! What events of the shared context say.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::context::{ContextChange, ContextConflict, Overwrote, PatchOp, SkippedOp, Strategy, Take};
use crate::ids::{EventId, Seq};

/// Data of `context.patched`. Its version is the event's seq, when it changes anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextPatched {
    /// The version that its author had read; absent: written without looking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Seq>,
    /// What has changed, in order; everything that was asked has been resolved to this.
    pub ops: Vec<ContextChange>,
    /// The loosest strategy that was used.
    #[serde(default)]
    pub strategy: Strategy,
    /// Operations that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedOp>,
    /// Writes of others that were overwritten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overwrote: Vec<Overwrote>,
    /// Writes that this one takes back; nothing of them is removed from the log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reverts: Vec<EventId>,
    /// Why, in the author's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `context.refused`, in `staff`: a write that conflicted. Nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextRefused {
    /// The version that its author had read.
    #[serde(default)]
    pub base: Option<Seq>,
    /// What conflicts.
    pub conflicts: Vec<ContextConflict>,
}

/// Data of `context.conflicted`: the current value stays, people will choose. The event's id names the conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextConflicted {
    /// The operation that was wanted.
    pub wanted: PatchOp,
    /// What it conflicts with.
    pub conflict: ContextConflict,
}

/// Data of `context.resolved`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextResolved {
    /// Which conflict.
    pub conflict: EventId,
    /// Which side was taken.
    pub take: Take,
}
