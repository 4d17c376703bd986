//! What commands of memories and actions say.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::ids::{MemoryId, MessageId, TurnId};

/// Data of `memory.add`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryAdd {
    /// What is to be remembered; 1 to 1,000 characters.
    pub text: String,
    /// At most 10 words of at most 40 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The message in `main` that it is made from: when that is erased, the memory goes too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MessageId>,
    /// Whether it stands first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

/// Data of `memory.edit`; what is absent stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryEdit {
    /// Which memory.
    pub memory: MemoryId,
    /// Its text from now on; own memories, or with `memory_manage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its tags from now on, all of them; own memories, or with `memory_manage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Whether it stands first; anybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
}

/// Data of `memory.remove`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryRemove {
    /// Which memory.
    pub memory: MemoryId,
    /// Why; at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `action.define_type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionDefineType {
    /// The type; 1 to 64 of the characters a-z, 0-9, `.`, `_`, `-`.
    #[serde(rename = "type")]
    pub name: String,
    /// What its data must be, in the part of JSON Schema that `docs/actions.md` lists; absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

/// Data of `action.perform`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionPerform {
    /// The type; 1 to 64 of the characters a-z, 0-9, `.`, `_`, `-`.
    #[serde(rename = "type")]
    pub name: String,
    /// What it says; at most 16 KiB as JSON, at most 32 levels deep.
    #[serde(default)]
    pub data: Value,
}

/// Data of `error.report`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorReport {
    /// A stable word for what went wrong; 1 to 64 of the characters a-z, 0-9, `.`, `_`, `-`.
    pub code: String,
    /// What went wrong and what to do, for people; 1 to 2,000 characters.
    pub detail: String,
    /// The turn that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
}
