//! Memories and action types, as people and programs see them.
//!
//! Owns: their shapes. Must not know: who may change them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::event::Actor;
use crate::ids::{MemoryId, MessageId, Timestamp};

/// Something that a session keeps in mind, beside what is said in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Memory {
    /// The memory: the id of the event that added it.
    pub id: MemoryId,
    /// What is remembered; 1 to 1,000 characters.
    pub text: String,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Who added it.
    pub author: Actor,
    /// When.
    pub at: Timestamp,
    /// When its text or tags were last changed; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// The message in `main` that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MessageId>,
    /// Whether it stands first, for people and for assistants.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

/// What data actions of a type may bear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionType {
    /// The type, such as `vote.cast`.
    #[serde(rename = "type")]
    pub name: String,
    /// What its data must be, in the part of JSON Schema that `docs/actions.md` lists.
    pub schema: Value,
}
