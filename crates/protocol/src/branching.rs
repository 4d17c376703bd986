//! The nouns of checkpoints and branches.
//!
//! Owns: what a checkpoint and a branch hold. Must not know: how one is restored. Invariant: a checkpoint is a list of positions;
//! it holds nothing that could be lost with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::{Actor, BranchCreated, Event, SessionCreated};
use crate::ids::{BranchId, CheckpointId, MemoryId, MessageId, Seq, SessionId, Stream, Timestamp};

/// A point of a session that can be gone back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkpoint {
    /// The checkpoint.
    pub id: CheckpointId,
    /// What it is called; absent while nobody has named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who made it: a person or a rule.
    pub kind: CheckpointKind,
    /// By which rule an automatic one was made: `pause`, `end`, `events`, `detached`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The last seq of each stream that belongs to it; a stream without events is absent.
    pub seqs: BTreeMap<Stream, Seq>,
    /// The newest message of each branch that is not archived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<BranchHead>,
    /// The version of the main branch's shared context; absent while nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Seq>,
}

/// Who made a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointKind {
    /// A person, who named it.
    Named,
    /// A rule.
    Automatic,
}

/// The newest message of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BranchHead {
    /// The branch.
    pub branch: BranchId,
    /// Its newest message; absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<MessageId>,
    /// The version of its shared context; absent while nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Seq>,
}

/// A checkpoint and how it came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointInfo {
    /// The checkpoint.
    #[serde(flatten)]
    pub checkpoint: Checkpoint,
    /// Who made it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The seq in `main` of the event that made it.
    pub seq: Seq,
}

/// A named line of the conversation: a head, and from there every message by its parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Branch {
    /// The branch.
    pub id: BranchId,
    /// What it is called.
    pub name: String,
    /// Its newest message; null while it has none.
    pub head: Option<MessageId>,
    /// The branch that it left.
    pub from_branch: Option<BranchId>,
    /// The last message that it shares with the branch that it left; null: it began anew.
    pub fork_message: Option<MessageId>,
    /// The seq in `main` up to which it shares the context of the branch that it left.
    pub fork_seq: Seq,
    /// Who made it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Whether it is put away: nothing is written on it.
    pub archived: bool,
}

impl Branch {
    /// Returns the main branch of a session that `created` has just begun.
    pub fn main(created: &Event, data: &SessionCreated) -> Self {
        Self {
            id: data.main_branch,
            name: "main".to_owned(),
            head: None,
            from_branch: None,
            fork_message: None,
            fork_seq: Seq::ZERO,
            by: created.header.actor,
            at: created.header.at,
            archived: false,
        }
    }

    /// Returns the branch that `created` begins.
    pub fn begun(created: &Event, data: &BranchCreated) -> Self {
        Self {
            id: data.branch,
            name: data.name.clone(),
            head: data.head,
            from_branch: Some(data.from_branch),
            fork_message: data.fork_message,
            fork_seq: data.fork_seq,
            by: created.header.actor,
            at: created.header.at,
            archived: false,
        }
    }
}

/// What becomes of a message whose author has not seen the branch's newest one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeadMoved {
    /// It follows the newest one: right for two people who type at once.
    #[default]
    Append,
    /// It begins a new branch where its author was.
    Fork,
    /// It is refused: `head_moved`.
    Reject,
}

/// How what was said on one branch comes to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeHow {
    /// The head moves to the other branch's head.
    Adopt,
    /// Some messages are copied.
    Pick,
    /// A text about them is posted.
    Summary,
}

/// How a checkpoint is gone back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestoreHow {
    /// As a new branch; nothing else changes.
    #[default]
    Branch,
    /// Every branch's head moves back to where it was, and its context to what it was.
    InPlace,
}

/// Where the text of a copied message comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopiedFrom {
    /// The message.
    pub message: MessageId,
    /// Who said it.
    pub author: Actor,
    /// How it was there, when the message is one of another session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub there: Option<Box<CopiedThere>>,
}

/// What a copy tells of a message of another session, whose people its readers may not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopiedThere {
    /// The session.
    pub session: SessionId,
    /// What the author is called there.
    pub name: String,
    /// Whether the author is an assistant.
    #[serde(default, skip_serializing_if = "is_default")]
    pub agent: bool,
    /// When it was said.
    pub at: Timestamp,
    /// How many files came with it; they stay there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub files: usize,
}

impl CopiedFrom {
    /// Returns the session that the message is in, when that is another one.
    pub fn session(&self) -> Option<SessionId> {
        self.there.as_ref().map(|there| there.session)
    }
}

/// Where a memory was copied from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopiedMemory {
    /// The session.
    pub session: SessionId,
    /// The memory.
    pub memory: MemoryId,
}

/// Which point of which session a session began as a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ForkedFrom {
    /// The session.
    pub session: SessionId,
    /// The branch whose messages were copied.
    pub branch: BranchId,
    /// The last one of them; absent: none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// The seq in that session's `main` up to which its shared context was taken over.
    pub seq: Seq,
    /// How many older messages were left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub left_out: u64,
}

/// A session that began as a copy of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fork {
    /// The session.
    pub session: SessionId,
    /// The branch of this session whose messages it has.
    pub branch: BranchId,
    /// The last one of them; null: none.
    pub message: Option<MessageId>,
    /// The seq in `main` up to which it took over the shared context.
    pub seq: Seq,
    /// Who made it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
