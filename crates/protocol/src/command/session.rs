//! What commands of a session's life and settings say.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{ParticipantId, Timestamp};
use crate::model::{Pending, Visibility};

/// Data of `session.start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionStart {}

/// Data of `session.rename`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRename {
    /// The new title; 1 to 200 characters.
    pub title: String,
}

/// Data of `session.change_details`; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionChangeDetails {
    /// What it is about; at most 2,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// At most 10 words of at most 40 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// At most 40 characters; empty takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Who can find it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// Data of `session.end`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionEnd {
    /// True: terminated, running turns are cut. False: completed, running turns are stopped too, but as intended.
    pub terminate: bool,
    /// Why, in a word; `ended` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What becomes of questions that are not answered yet. A termination cancels them whatever this says.
    #[serde(skip_serializing_if = "Pending::is_cancel")]
    pub pending: Pending,
}

/// Data of `session.pause`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionPause {
    /// Why, in a few words; at most 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `session.resume`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionResume {}

/// Data of `session.detach`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionDetach {}

/// Data of `session.change_expiry`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionChangeExpiry {
    /// When it ends by itself; null: never.
    pub expires_at: Option<Timestamp>,
}

/// Data of `session.fail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionFail {
    /// A stable word for the cause.
    pub code: String,
    /// The cause, and what to do before the session is resumed, for people.
    pub detail: String,
}

/// Data of `session.attach`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionAttach {
    /// Who is connected.
    pub participant: ParticipantId,
}

/// Data of `session.miss_host`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionMissHost {
    /// When the owner's last connection dropped.
    pub since: Timestamp,
}
