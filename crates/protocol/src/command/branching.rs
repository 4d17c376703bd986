//! What can be asked about checkpoints and branches.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::branching::{MergeHow, RestoreHow};
use crate::context::ContextThen;
use crate::ids::{BranchId, CheckpointId, MemoryId, MessageId, Seq, SessionId};
use crate::model::Attachment;

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

/// Data of `checkpoint.restore`; the id of the branch that is made is the command's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointRestore {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// As a new branch, or in place.
    #[serde(default)]
    pub how: RestoreHow,
    /// Which of the checkpoint's branches becomes the new branch; the main one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// What the new branch is called; 1 to 80 characters; made from the checkpoint's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the contexts were that are gone back to and that the rules do not keep: looked up by the server, whatever a
    /// caller writes here.
    #[serde(skip)]
    pub then: Vec<ContextThen>,
}

/// Data of `branch.create`; the branch's id is the command's key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BranchCreate {
    /// What it is called; 1 to 80 characters; numbered when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The branch that it leaves; absent: that of `message`, else the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_branch: Option<BranchId>,
    /// The last message that both share; absent: the newest one, or the newest at `seq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// Instead of `message`: the last seq of `main` that both share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// What the contexts were that are gone back to and that the rules do not keep: looked up by the server, whatever a
    /// caller writes here.
    #[serde(skip)]
    pub then: Vec<ContextThen>,
}

/// Data of `branch.move`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BranchMove {
    /// Which branch.
    pub branch: BranchId,
    /// Its newest message from now on.
    pub head: MessageId,
    /// The newest message that the caller knows of; another one: `head_moved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_head: Option<MessageId>,
}

/// Data of `branch.rename`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BranchRename {
    /// Which branch.
    pub branch: BranchId,
    /// What it is called from now on; 1 to 80 characters.
    pub name: String,
}

/// Data of `branch.archive`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BranchArchive {
    /// Which branch; never the main one.
    pub branch: BranchId,
    /// Put it away, or take it out again.
    pub archived: bool,
}

/// Data of `branch.focus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BranchFocus {
    /// Which branch.
    pub branch: BranchId,
}

/// Data of `branch.merge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BranchMerge {
    /// The branch that gains.
    pub into: BranchId,
    /// The branch whose messages come.
    pub from: BranchId,
    /// How.
    pub how: MergeHow,
    /// The newest message of `into` that the caller knows of; another one: `head_moved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_head: Option<MessageId>,
    /// Which messages are picked; 1 to 100, all on `from` and none on `into`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageId>,
    /// The summary; absent: the assistant is asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What the assistant is asked when it makes the summary; a sentence in English when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What the picked messages say: looked up by the server, whatever a caller writes here.
    #[serde(skip)]
    pub said: Vec<Said>,
}

/// What a message says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The message.
    pub message: MessageId,
    /// Its text.
    pub text: String,
    /// Its files.
    pub attachments: Vec<Attachment>,
    /// What programs say beside the text.
    pub data: Option<serde_json::Value>,
}

/// Data of `session.fork`: a new session that begins as a copy of this one up to a point. At most one of `message`, `seq` and
/// `checkpoint`; none of them: up to now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionFork {
    /// The branch whose messages are copied; absent: the one that holds `message`, else the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The last message that is copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// Everything up to this seq of `main`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// As it was at this checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointId>,
    /// What the new session is called; absent: as this one, unless a message gave it its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// Data of `copies.erase`: what was erased in the session that it was copied from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopiesErase {
    /// The other session.
    pub from: SessionId,
    /// Its messages whose text was erased.
    pub messages: Vec<MessageId>,
    /// Its memories that were removed.
    pub memories: Vec<MemoryId>,
}
