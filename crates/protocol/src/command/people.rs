//! What commands about participants say.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::grant::Role;
use crate::ids::{LinkId, ParticipantId, UserId};
use crate::model::ParticipantKind;

/// Data of `participant.join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantJoin {
    /// Who.
    pub user: UserId,
    /// Person or program.
    pub kind: ParticipantKind,
    /// The role that the door gives; never taken from the one who joins.
    pub role: Role,
    /// The name that others see; made unique among those present.
    pub display_name: String,
    /// Whether this is a guest who came by link or code.
    pub guest: bool,
    /// By which link.
    pub via: Option<LinkId>,
    /// The hue that this user has chosen, 0 to 11; absent: the one that follows from the user's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<u8>,
    /// Whether somebody who may admit stands for them, so that they need not wait in the lobby.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub vouched: bool,
}

/// Data of `participant.leave`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantLeave {}

/// Data of `participant.remove`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantRemove {
    /// Whom.
    pub participant: ParticipantId,
    /// Why; at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `participant.change_role`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantChangeRole {
    /// Whose.
    pub participant: ParticipantId,
    /// The role from now on; never owner.
    pub role: Role,
}

/// Data of `participant.change_profile`; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ParticipantChangeProfile {
    /// The name that others see; 1 to 40 characters, made unique among those present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// One of twelve hues, 0 to 11.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colour: Option<u8>,
}
