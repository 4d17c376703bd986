//! What events of memories and actions say.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::data::is_false;
use crate::branching::CopiedMemory;
use crate::ids::{MemoryId, MessageId, Seq};

/// Data of `memory.added`. The memory's id is the event's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemoryAdded {
    /// What is remembered.
    pub text: String,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The message in `main` that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MessageId>,
    /// Whether it stands first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pinned: bool,
    /// Whether text and tags have been erased.
    #[serde(default, skip_serializing_if = "is_false")]
    pub redacted: bool,
    /// The memory of another session that it was copied from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_from: Option<CopiedMemory>,
}

/// Data of `memory.edited`; what is absent stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemoryEdited {
    /// Which memory.
    pub memory: MemoryId,
    /// Its text from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its tags from now on, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Whether text and tags have been erased.
    #[serde(default, skip_serializing_if = "is_false")]
    pub redacted: bool,
}

/// Data of `memory.removed`; its texts are erased with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemoryRemoved {
    /// Which memory.
    pub memory: MemoryId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `memory.pinned`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemoryPinned {
    /// Which memory.
    pub memory: MemoryId,
    /// Whether it stands first from now on.
    pub pinned: bool,
}

/// Data of `action.type_defined`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionTypeDefined {
    /// The type.
    #[serde(rename = "type")]
    pub name: String,
    /// What data of this type must be from now on; absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

/// Data of `action.performed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionPerformed {
    /// The type.
    #[serde(rename = "type")]
    pub name: String,
    /// What it says; null once erased.
    #[serde(default)]
    pub data: Value,
    /// Whether the data has been erased.
    #[serde(default, skip_serializing_if = "is_false")]
    pub redacted: bool,
}

/// Data of `action.redacted`: the data of all actions up to here is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionRedacted {
    /// The seq of the last one in `main`.
    pub upto: Seq,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
