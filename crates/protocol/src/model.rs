//! The nouns inside events, views and answers.
//!
//! Owns: their shapes. Must not know: when they change. Invariant: fields are only ever added, and a new field
//! has a default, so that old rows still read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::context::Strategy;
use crate::grant::Role;
use crate::ids::{
    AttachmentId, BranchId, LeaseId, MessageId, ParticipantId, ProjectId, SessionId, Timestamp, TurnId, UserId,
};

/// What a session is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// One person.
    Single,
    /// Several people.
    #[default]
    Collaborative,
    /// Nobody watching: scheduled or triggered work.
    Background,
}

/// Who can find and read a session without being let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Participants.
    #[default]
    Private,
    /// Whoever has a link.
    Link,
    /// Everybody.
    Public,
}

/// Where a session is in its life. "Resumed" is an event, not a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Made, not started.
    #[default]
    Created,
    /// Open for work.
    Active,
    /// Assistants rest; people may talk.
    Paused,
    /// Ended as intended.
    Completed,
    /// Stopped by a fault; can be resumed when its cause is gone.
    Failed,
    /// Ended by force.
    Terminated,
}

impl SessionState {
    /// Returns whether people may write: active and paused.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Active | Self::Paused)
    }

    /// Returns whether the session is over.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Terminated)
    }

    /// Returns the state's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Terminated => "terminated",
        }
    }
}

/// What becomes of questions that are not answered when a session is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// Those that wait are withdrawn, the running answer is stopped, and the session ends at once.
    #[default]
    Cancel,
    /// They are answered first; no new ones are taken.
    Finish,
}

impl Pending {
    /// Returns whether this is what goes without saying.
    pub fn is_cancel(&self) -> bool {
        *self == Self::Cancel
    }
}

/// What ends a session by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The moment `expires_at`.
    Expiry,
    /// The time since its start.
    Time,
    /// The time since something last happened.
    Idle,
}

/// How a session came to work on with nobody leading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetachReason {
    /// Its owner said so.
    Asked,
    /// Its owner went, and nobody was there who could have become it.
    NobodyLeft,
}

/// How a session came to have another owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuccessionReason {
    /// The owner left the session.
    Left,
    /// The owner's last connection dropped and none came back in time.
    Away,
}

/// When the assistant answers text that is not addressed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Respond {
    /// Only when named.
    Mention,
    /// To everything in `main`.
    Always,
    /// When named, and to replies to its answers.
    Reply,
    /// Only when asked with `ask`.
    Manual,
}

/// A session's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// How many participants there may be; null: no cap. Counts people, not watchers and not assistants.
    pub max_participants: Option<u32>,
    /// Whether somebody who is not yet a participant may join.
    pub allow_join: bool,
    /// Whether joining waits for approval.
    pub require_approval: bool,
    /// Whether the session is recorded.
    pub recording: bool,
    /// When the assistant answers unaddressed text. Null: always while one person who may prompt is online, on
    /// mention while there are more.
    pub respond: Option<Respond>,
    /// Which assistant answers: a name of the list of assistants, such as `guide`.
    pub assistant: String,
    /// Whether viewers may read the side chat.
    pub side_for_viewers: bool,
    /// How long the session may last from its start; null: no limit. Unit: seconds; 1 to 31,536,000.
    pub time_limit_s: Option<u32>,
    /// How long nothing may happen in the active session before it ends; null: no limit. Unit: seconds; 1 to
    /// 31,536,000.
    pub idle_limit_s: Option<u32>,
    /// What becomes of writes of the shared context that conflict, by the longest prefix of their path.
    pub context_strategies: BTreeMap<String, Strategy>,
    /// Whether every write of the shared context must say which version it rests on.
    pub context_base_required: bool,
    /// Whether assistants are given the session's memories with each question.
    pub memories_to_assistants: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_participants: None,
            allow_join: true,
            require_approval: false,
            recording: true,
            respond: None,
            assistant: "guide".to_owned(),
            side_for_viewers: true,
            time_limit_s: None,
            idle_limit_s: None,
            context_strategies: BTreeMap::new(),
            context_base_required: false,
            memories_to_assistants: false,
        }
    }
}

/// What a caller wants to change in the settings; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsPatch {
    /// The new cap; null lifts it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<u32>)]
    pub max_participants: Option<Option<u32>>,
    /// See [`Settings::allow_join`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_join: Option<bool>,
    /// See [`Settings::require_approval`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<bool>,
    /// See [`Settings::recording`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<bool>,
    /// See [`Settings::respond`]; null is automatic.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Respond>)]
    pub respond: Option<Option<Respond>>,
    /// See [`Settings::assistant`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assistant: Option<String>,
    /// See [`Settings::side_for_viewers`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side_for_viewers: Option<bool>,
    /// See [`Settings::time_limit_s`]; null lifts it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<u32>)]
    pub time_limit_s: Option<Option<u32>>,
    /// See [`Settings::idle_limit_s`]; null lifts it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<u32>)]
    pub idle_limit_s: Option<Option<u32>>,
    /// See [`Settings::context_strategies`]; all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_strategies: Option<BTreeMap<String, Strategy>>,
    /// See [`Settings::context_base_required`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_base_required: Option<bool>,
    /// See [`Settings::memories_to_assistants`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memories_to_assistants: Option<bool>,
}

impl SettingsPatch {
    /// Returns `settings` with the present fields replaced.
    pub fn resolve(&self, settings: &Settings) -> Settings {
        let old = settings.clone();
        Settings {
            max_participants: self.max_participants.unwrap_or(old.max_participants),
            allow_join: self.allow_join.unwrap_or(old.allow_join),
            require_approval: self.require_approval.unwrap_or(old.require_approval),
            recording: self.recording.unwrap_or(old.recording),
            respond: self.respond.unwrap_or(old.respond),
            assistant: self.assistant.clone().unwrap_or(old.assistant),
            side_for_viewers: self.side_for_viewers.unwrap_or(old.side_for_viewers),
            time_limit_s: self.time_limit_s.unwrap_or(old.time_limit_s),
            idle_limit_s: self.idle_limit_s.unwrap_or(old.idle_limit_s),
            context_strategies: self.context_strategies.clone().unwrap_or(old.context_strategies),
            context_base_required: self.context_base_required.unwrap_or(old.context_base_required),
            memories_to_assistants: self.memories_to_assistants.unwrap_or(old.memories_to_assistants),
        }
    }
}

/// Tells a field that is there and null from one that is absent.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(d).map(Some)
}

/// Person or program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParticipantKind {
    /// A person.
    User,
    /// An assistant or another program.
    Agent,
}

/// Whether somebody is in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// Is a participant.
    Joined,
    /// Went.
    Left,
    /// Was sent away.
    Removed,
}

/// Somebody in a session. Membership is durable; being connected is presence and not in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Participant {
    /// Who this is in this session.
    pub id: ParticipantId,
    /// Who this is beyond it.
    pub user_id: UserId,
    /// Person or program.
    pub kind: ParticipantKind,
    /// What this participant may do.
    pub role: Role,
    /// The name that others see; 1 to 40 characters, unique among those present.
    pub display_name: String,
    /// One of twelve hues, 0 to 11.
    pub colour: u8,
    /// Whether this is a guest who came by link or code.
    pub guest: bool,
    /// Whether this participant is in the session.
    pub membership: Membership,
    /// When membership last began.
    pub joined_at: Timestamp,
}

/// A file that was posted with a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// The file.
    pub id: AttachmentId,
    /// Its name, cleaned: no folders, nothing hidden; at most 200 characters.
    pub name: String,
    /// What it is, told from its content: `image/png`, `text/plain` ... `application/octet-stream` when unknown.
    pub media_type: String,
    /// How large it is. Unit: bytes.
    pub size_bytes: u64,
    /// How wide a picture is, as it is shown. Unit: pixels.
    #[serde(default)]
    pub width: Option<u32>,
    /// How high a picture is, as it is shown. Unit: pixels.
    #[serde(default)]
    pub height: Option<u32>,
}

/// Where a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// Waits for the assistant.
    Queued,
    /// Is being answered.
    Running,
}

/// A turn that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Turn {
    /// The turn.
    pub id: TurnId,
    /// The message that asks.
    pub message: MessageId,
    /// Who asked.
    pub requester: ParticipantId,
    /// Who answers.
    pub assistant: ParticipantId,
    /// Where it is.
    pub state: TurnState,
    /// When it was queued, then when it started.
    pub since: Timestamp,
    /// The message that the answer grows in, once started.
    pub answer: Option<MessageId>,
}

/// Why an answer ended as intended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The assistant had said what it had to say.
    EndTurn,
    /// The model's output limit was reached.
    MaxTokens,
    /// The model refused.
    Refusal,
}

/// Where usage figures come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider said so.
    Reported,
    /// Counted here, because the provider said nothing or the call was cut.
    Estimated,
    /// Nothing is known.
    #[default]
    Unknown,
}

/// Tokens that a turn used. Unit: tokens. The parts do not overlap, except that `reasoning` is part of `output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Usage {
    /// Input that was not served from a cache.
    pub input_uncached: u64,
    /// Input read from the provider's cache.
    pub cache_read: u64,
    /// Input written to the provider's cache.
    pub cache_write: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// The part of the output that was reasoning.
    pub reasoning: u64,
    /// Where the figures come from.
    pub source: UsageSource,
}

/// A time-limited claim on a running turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    /// The claim; a stale one cannot write.
    pub id: LeaseId,
    /// When it ends unless renewed.
    pub until: Timestamp,
}

/// A session as lists and the first line of a page show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionInfo {
    /// The session.
    pub id: SessionId,
    /// Who owns it.
    pub owner_id: UserId,
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// One word to group it by.
    pub category: Option<String>,
    /// Who can find it.
    pub visibility: Visibility,
    /// What it is for.
    pub kind: SessionKind,
    /// Where it is in its life.
    pub state: SessionState,
    /// Whether people may write: state active or paused.
    pub is_active: bool,
    /// The main branch.
    pub conversation_id: BranchId,
    /// Its settings.
    pub settings: Settings,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something last happened.
    pub updated_at: Timestamp,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Since when it works on with nobody leading it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detached_at: Option<Timestamp>,
    /// Whether everything that was asked of it while it works on is done, and something was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub work_done: bool,
    /// What it began as a copy of; absent: it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<crate::branching::ForkedFrom>,
    /// How many people are participants.
    pub participant_count: u32,
    /// How many events it has, over all streams.
    pub event_count: u64,
}
