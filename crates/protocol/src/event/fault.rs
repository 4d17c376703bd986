//! What an event says that tells of an error.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::data::is_false;
use crate::ids::TurnId;

/// Data of `error`: something went wrong that everybody in the session should know of. Who found it is the event's actor:
/// a person or program, or the server itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorRecorded {
    /// A stable word for what went wrong, such as `room_panicked`.
    pub code: String,
    /// What went wrong and what to do, for people; empty once erased.
    pub detail: String,
    /// The turn that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
    /// Whether the detail has been erased.
    #[serde(default, skip_serializing_if = "is_false")]
    pub redacted: bool,
}
