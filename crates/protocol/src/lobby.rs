//! The lobby: who asks to be let in, and what becomes of it.
//!
//! Owns: the shapes. Must not know: who may admit, how long one waits.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::grant::Role;
use crate::ids::{LinkId, ParticipantId, Timestamp, UserId};

/// Somebody who asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinRequest {
    /// The participant that they are once they are let in.
    pub id: ParticipantId,
    /// Who.
    pub user_id: UserId,
    /// The name that others will see; made unique when they are let in.
    pub display_name: String,
    /// The role that the door gives.
    pub role: Role,
    /// Whether this is a guest who came by link or code.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
    /// The hue, 0 to 11.
    pub colour: u8,
    /// By which link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<LinkId>,
    /// When they asked.
    pub requested_at: Timestamp,
    /// When they are told that nobody has answered.
    pub expires_at: Timestamp,
}

/// Where a request to be let in stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestStatus {
    /// Nobody has answered yet.
    Waiting,
    /// They are in.
    Joined,
    /// Somebody said no.
    Denied,
    /// They do not want to come in any more.
    Withdrawn,
    /// Nobody has answered in time.
    Expired,
    /// The session has ended.
    SessionEnded,
}

impl RequestStatus {
    /// Returns the status's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Joined => "joined",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::SessionEnded => "session_ended",
        }
    }
}

/// What somebody who has asked to be let in may know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Asked {
    /// What they asked.
    pub request: JoinRequest,
    /// Where it stands.
    pub status: RequestStatus,
    /// Why, in the words of who said no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
