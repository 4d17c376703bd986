//! What events about checkpoints and branches say.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::branching::{Checkpoint, CheckpointInfo, MergeHow, RestoreHow};
use crate::ids::{BranchId, CheckpointId, MessageId, Seq, SessionId};

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

/// Data of `checkpoint.restored`; what it does to branches is in the events beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointRestored {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// How.
    pub how: RestoreHow,
    /// The branch that was made; absent when it was done in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
}

/// Data of `branch.created`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BranchCreated {
    /// The branch.
    pub branch: BranchId,
    /// What it is called.
    pub name: String,
    /// The branch that it leaves.
    pub from_branch: BranchId,
    /// The last message that both share; absent: it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork_message: Option<MessageId>,
    /// The seq in `main` up to which it shares the context of the branch that it leaves.
    pub fork_seq: Seq,
    /// Its newest message: the shared one, or the one that was posted with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<MessageId>,
}

/// Data of `branch.moved`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BranchMoved {
    /// Which branch.
    pub branch: BranchId,
    /// Its newest message from now on; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<MessageId>,
    /// Its newest message before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<MessageId>,
}

/// Data of `branch.renamed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BranchRenamed {
    /// Which branch.
    pub branch: BranchId,
    /// What it is called from now on.
    pub name: String,
}

/// Data of `branch.archived`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BranchArchived {
    /// Which branch.
    pub branch: BranchId,
    /// Whether it is put away from now on, or taken out again.
    pub archived: bool,
}

/// Data of `branch.focused`: what whoever presents shows; what each reader looks at is their own affair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BranchFocused {
    /// Which branch.
    pub branch: BranchId,
}

/// Data of `session.forked`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionForked {
    /// The new session.
    pub session: SessionId,
    /// The branch whose messages it has.
    pub branch: BranchId,
    /// The last one of them; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// The seq in `main` up to which it took over the shared context.
    pub seq: Seq,
}

/// Data of `branch.merged`. What is copied or summed up is posted by the events beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BranchMerged {
    /// The branch that gains.
    pub into: BranchId,
    /// The branch whose messages come.
    pub from: BranchId,
    /// How.
    pub how: MergeHow,
    /// The newest message of `into` from now on, when it was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<MessageId>,
    /// The newest message of `into` before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<MessageId>,
    /// The messages that were picked, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageId>,
}
