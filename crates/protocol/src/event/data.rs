//! What each kind of event says.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::branching::{CopiedFrom, ForkedFrom};
use crate::grant::Role;
use crate::ids::{BranchId, Epoch, LinkId, MessageId, ParticipantId, ProjectId, Timestamp, TurnId, UserId};
use crate::model::{Attachment, EndReason, Lease, Participant, SessionKind, SessionState, Settings, Usage, Visibility};

mod life;

pub use life::*;

/// Data of `session.created`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionCreated {
    /// What it is called.
    pub title: String,
    /// What it is for.
    #[serde(default)]
    pub kind: SessionKind,
    /// Who can find it.
    #[serde(default)]
    pub visibility: Visibility,
    /// Its settings.
    #[serde(default)]
    pub settings: Settings,
    /// Who owns it.
    pub owner: UserId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Its main branch.
    pub main_branch: BranchId,
    /// The identity of its numbering.
    pub epoch: Epoch,
    /// What it is about.
    #[serde(default)]
    pub description: String,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// One word to group it by.
    #[serde(default)]
    pub category: Option<String>,
    /// When it ends by itself.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Whether nobody has given it a title: its first message will. Absent in logs of before: the title was given.
    #[serde(default, skip_serializing_if = "is_false")]
    pub untitled: bool,
    /// What it began as a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
}

/// Data of `session.started`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionStarted {}

/// Data of `session.renamed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionRenamed {
    /// The new title.
    pub title: String,
    /// The message that it was made from; absent when a person gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_from: Option<MessageId>,
    /// Whether it has no title any more, because the message that it was made from was erased: the next one will give one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub untitled: bool,
    /// Whether the title has been erased with the message that it was made from.
    #[serde(default, skip_serializing_if = "is_false")]
    pub redacted: bool,
}

/// Data of `session.details_changed`: all of them, changed or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionDetailsChanged {
    /// What it is about.
    pub description: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// One word to group it by.
    pub category: Option<String>,
    /// Who can find it.
    pub visibility: Visibility,
}

/// Data of `session.settings_changed`: all of them, changed or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionSettingsChanged {
    /// The settings from now on.
    pub settings: Settings,
}

/// Data of `session.ended`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionEnded {
    /// Completed, failed or terminated.
    pub state: SessionState,
    /// Why, in a word: `ended`, `expired`, `time_limit`, `idle_limit`; the cause's stable word when it failed.
    pub reason: String,
    /// The cause in words, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Data of `participant.joined`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantJoined {
    /// Who is in, as from now.
    pub participant: Participant,
    /// By which link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<LinkId>,
}

/// Data of `participant.left`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantLeft {
    /// Who went.
    pub participant: ParticipantId,
}

/// Data of `participant.removed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantRemoved {
    /// Who was sent away.
    pub participant: ParticipantId,
    /// Why, in the remover's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `participant.role_changed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantRoleChanged {
    /// Whose role.
    pub participant: ParticipantId,
    /// The role from now on.
    pub role: Role,
}

/// Data of `participant.profile_changed`: all of it, changed or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantProfileChanged {
    /// Whose.
    pub participant: ParticipantId,
    /// The name from now on.
    pub display_name: String,
    /// The hue from now on, 0 to 11.
    pub colour: u8,
}

/// Data of `message.posted`. The message's id is the event's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessagePosted {
    /// What was said; Markdown; at most 64 KiB.
    pub text: String,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// Whom it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<ParticipantId>,
    /// Whether it asks the assistant.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ask: bool,
    /// Whether the text has been erased.
    #[serde(default, skip_serializing_if = "is_false")]
    pub redacted: bool,
    /// Files that came with it; none once erased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The message that it follows. Absent: the message before it in the stream; the id of zeros: none, it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<MessageId>,
    /// The message whose text this is, when it was copied from another branch or session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_from: Option<CopiedFrom>,
    /// What programs say beside the text; an edit keeps it, none once erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl MessagePosted {
    /// Returns a message that says nothing, to be filled.
    pub fn empty() -> Self {
        Self {
            text: String::new(),
            reply_to: None,
            mentions: Vec::new(),
            ask: false,
            redacted: false,
            attachments: Vec::new(),
            parent: None,
            copied_from: None,
            data: None,
        }
    }
}

/// Data of `message.edited`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageEdited {
    /// Which message.
    pub message: MessageId,
    /// Its text from now on.
    pub text: String,
    /// Whether the text has been erased.
    #[serde(default, skip_serializing_if = "is_false")]
    pub redacted: bool,
}

/// Data of `message.redacted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageRedacted {
    /// Which message.
    pub message: MessageId,
    /// Why, in the redactor's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `decision.recorded`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionRecorded {
    /// Which message.
    pub message: MessageId,
}

/// Data of `decision.withdrawn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionWithdrawn {
    /// Which message.
    pub message: MessageId,
}

/// Data of `turn.queued`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnQueued {
    /// The turn.
    pub turn: TurnId,
    /// The message that asks.
    pub message: MessageId,
    /// Who asked.
    pub requester: ParticipantId,
    /// Who answers.
    pub assistant: ParticipantId,
    /// The waiting turn that it goes in front of; absent: the end of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<TurnId>,
    /// The branch that the assistant reads, when it is not the one on which it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<BranchId>,
}

/// Data of `turn.edited`; the text is in the `message.edited` beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnEdited {
    /// The turn.
    pub turn: TurnId,
}

/// Data of `turn.withdrawn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnWithdrawn {
    /// The turn.
    pub turn: TurnId,
}

/// Data of `turn.started`: the claim, made before anything costs money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnStarted {
    /// The turn.
    pub turn: TurnId,
    /// The message that asks.
    pub message: MessageId,
    /// Who answers.
    pub assistant: ParticipantId,
    /// The message that the answer grows in.
    pub answer: MessageId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The claim.
    pub lease: Lease,
    /// Which driver answers: `guide`, `model`.
    pub driver: String,
    /// What the answer is labelled with, such as the model's name.
    pub label: String,
    /// The message that it follows. Absent: the message before it in the stream; the id of zeros: none, it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<MessageId>,
}

/// Data of `turn.progressed`: new text only, at each second, 4 KB or boundary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnProgressed {
    /// The turn.
    pub turn: TurnId,
    /// The message that grows.
    pub message: MessageId,
    /// Where the text begins. Unit: UTF-16 code units from the start of the message.
    pub offset: u64,
    /// The new text; empty when only the lease is renewed.
    pub text: String,
    /// How the text arrived: pairs of milliseconds since the last piece and UTF-16 code units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pace: Vec<(u32, u32)>,
    /// When the lease now ends.
    pub lease_until: Timestamp,
    /// Whether the text has been erased.
    #[serde(default, skip_serializing_if = "is_false")]
    pub redacted: bool,
}

/// Data of `turn.completed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnCompleted {
    /// The turn.
    pub turn: TurnId,
    /// The answer.
    pub message: MessageId,
    /// How long the answer is. Unit: UTF-16 code units.
    pub length: u64,
    /// SHA-256 of the answer's UTF-8 text, in hexadecimal.
    pub hash: String,
    /// Why it ended.
    pub reason: EndReason,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

/// Data of `turn.stopped`; who stopped it is the event's actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnStopped {
    /// The turn.
    pub turn: TurnId,
    /// The answer as far as it came.
    pub message: MessageId,
    /// How long it is. Unit: UTF-16 code units.
    pub length: u64,
    /// What it used, as far as known.
    #[serde(default)]
    pub usage: Usage,
}

/// Data of `turn.failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnFailed {
    /// The turn.
    pub turn: TurnId,
    /// The answer as far as it came; absent when it failed before it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// How long it is. Unit: UTF-16 code units.
    pub length: u64,
    /// A stable word for what went wrong.
    pub code: String,
    /// What went wrong and what to do, for people.
    pub detail: String,
    /// What it used, as far as known.
    #[serde(default)]
    pub usage: Usage,
}

/// Data of `turn.lost`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnLost {
    /// The turn.
    pub turn: TurnId,
    /// The answer as far as it was recorded.
    pub message: MessageId,
    /// How long it is. Unit: UTF-16 code units.
    pub length: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_false(value: &bool) -> bool {
    !value
}
