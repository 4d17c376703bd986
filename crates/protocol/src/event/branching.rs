//! What events about checkpoints and branches say.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::branching::{Checkpoint, CheckpointInfo};
use crate::ids::CheckpointId;

/// Data of `checkpoint.created`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointCreated {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
}

/// Data of `checkpoint.renamed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointRenamed {
    /// The whole checkpoint under its new name; readers do not hold automatic ones before they are named.
    pub checkpoint: CheckpointInfo,
}

/// Data of `checkpoint.deleted`: the name is gone, what it names stays in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointDeleted {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
}
