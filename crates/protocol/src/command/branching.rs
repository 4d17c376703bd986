//! What can be asked about checkpoints and branches.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::CheckpointId;

/// Data of `checkpoint.create`; the checkpoint's id is the command's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointCreate {
    /// What it is called; 1 to 80 characters.
    pub name: String,
}

/// Data of `checkpoint.rename`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointRename {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// What it is called from now on; 1 to 80 characters.
    pub name: String,
}

/// Data of `checkpoint.delete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointDelete {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
}
