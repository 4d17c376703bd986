//! What events of the lobby say. All of them are in `staff`; who is let in joins in `main` in the same commit.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::ParticipantId;
use crate::lobby::{JoinRequest, RequestStatus};

/// Data of `participant.requested`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantRequested {
    /// Who asks, and for what.
    pub request: JoinRequest,
}

/// Data of `participant.approved`; who did it is the event's actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantApproved {
    /// Who was let in.
    pub participant: ParticipantId,
}

/// Data of `participant.denied`; who did it is the event's actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantDenied {
    /// Who was not let in.
    pub participant: ParticipantId,
    /// Why, in the words of who said no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `participant.request_ended`: nobody has answered it, and nobody has to any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantRequestEnded {
    /// Whose request.
    pub participant: ParticipantId,
    /// What became of it.
    pub status: RequestStatus,
}
