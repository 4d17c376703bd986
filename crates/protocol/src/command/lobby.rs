//! What can be asked about the lobby.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{ParticipantId, UserId};

/// Data of `participant.approve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantApprove {
    /// Whom: the id of the request.
    pub participant: ParticipantId,
}

/// Data of `participant.deny`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantDeny {
    /// Whom: the id of the request.
    pub participant: ParticipantId,
    /// Why; at most 500 characters. Whoever waits is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `participant.withdraw_request`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantWithdrawRequest {
    /// Who does not want to come in any more.
    pub user: UserId,
}
