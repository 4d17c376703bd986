//! What commands of the shared context say.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::context::{ContextThen, PatchOp, Strategy, Take};
use crate::ids::{BranchId, EventId, Seq};

/// Data of `context.patch`. Either `ops` or `merge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContextPatch {
    /// The branch on whose context; absent: the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The version that the author has read: writes since then to the same places conflict. Absent: nothing conflicts,
    /// unless the session forbids to write without looking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Seq>,
    /// Applies only if the document is at exactly this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_version: Option<Seq>,
    /// RFC 6902 and this product's own operations, in order; at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<PatchOp>,
    /// RFC 7396: an object that is laid over the document; null takes a member away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub merge: Option<serde_json::Value>,
    /// What becomes of what conflicts; absent: what the session's settings say for the path, else `reject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Whether all operations apply or none.
    pub atomic: bool,
    /// Why; at most 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Default for ContextPatch {
    fn default() -> Self {
        let (branch, base, if_version, merge, strategy, reason) = (None, None, None, None, None, None);
        Self { branch, base, if_version, ops: Vec::new(), merge, strategy, atomic: true, reason }
    }
}

/// Data of `context.revert`. Either `event` or `to_version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContextRevert {
    /// The branch on whose context; absent: the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The write to take back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// The version to which everything, or everything at `paths`, is brought back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_version: Option<Seq>,
    /// Only at and below these paths; empty: everywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The version that the author has read; with `to_version` only: writes since then conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Seq>,
    /// What becomes of what conflicts; see [`ContextPatch::strategy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Why; at most 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the contexts were that are gone back to and that the rules do not keep: looked up by the server, whatever a
    /// caller writes here.
    #[serde(skip)]
    pub then: Vec<ContextThen>,
}

/// Data of `context.resolve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextResolve {
    /// Which conflict.
    pub conflict: EventId,
    /// Which side is taken.
    pub take: Take,
    /// The value, when neither side's is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub value: Option<serde_json::Value>,
}
