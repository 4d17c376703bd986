//! What commands of messages and decisions say.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::is_default;
use crate::branching::HeadMoved;
use crate::event::MessageEdited;
use crate::ids::{AttachmentId, BranchId, MessageId, ParticipantId};

/// Data of `message.post`; the stream is the envelope's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessagePost {
    /// What is said; Markdown; 1 byte to 64 KiB, or nothing beside attachments.
    pub text: String,
    /// The message it answers, in the same stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// Whom it names, besides those that `@name` in the text names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<ParticipantId>,
    /// True: asks the assistant. False: for the people. Absent: the session's settings decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<bool>,
    /// Files that the author has uploaded for this stream and not posted yet; at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachmentId>,
    /// The branch that it goes to, in `main`; absent: that of `parent`, else the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The newest message of the branch that the author has seen; absent: it follows whatever is the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<MessageId>,
    /// What becomes of it when `parent` is not the newest any more.
    #[serde(default, skip_serializing_if = "is_default")]
    pub if_head_moved: HeadMoved,
    /// The message beside which it stands, as its other wording: it begins a new branch before that message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sibling_of: Option<MessageId>,
    /// What a program says beside the text: a JSON object, at most 16 KiB, at most 32 levels deep. An edit keeps it, erasing
    /// the message erases it, and assistants are not shown it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

/// Data of `message.edit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageEdit {
    /// Which message.
    pub message: MessageId,
    /// Its text from now on; 1 byte to 64 KiB.
    pub text: String,
}

impl From<MessageEdit> for MessageEdited {
    fn from(edit: MessageEdit) -> Self {
        Self { message: edit.message, text: edit.text, redacted: false }
    }
}

/// Data of `message.redact`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageRedact {
    /// Which message.
    pub message: MessageId,
    /// Why; at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `decision.record`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRecord {
    /// Which message.
    pub message: MessageId,
}

/// Data of `decision.withdraw`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionWithdraw {
    /// Which message.
    pub message: MessageId,
}
