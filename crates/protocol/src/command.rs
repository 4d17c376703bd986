//! What can be asked of a session.
//!
//! Owns: the commands and the envelope that carries one. Must not know: who may ask, and what comes of it.
//! Invariant: a command's name is `noun.verb`; the ones that only the server itself may give are told by
//! [`Command::is_internal`], and no frame or route reads them from a client.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::branching::HeadMoved;
use crate::context::{PatchOp, Strategy, Take};
use crate::event::{MessageEdited, SessionArchived};
use crate::grant::Role;
use crate::ids::{
    AttachmentId, BranchId, EventId, LeaseId, LinkId, MessageId, ParticipantId, Seq, Stream, Timestamp, TurnId, UserId,
};
use crate::model::{EndReason, ParticipantKind, Pending, SettingsPatch, Usage, Visibility};

mod branching;
mod lobby;
mod memories;

pub use branching::*;
pub use lobby::*;
pub use memories::*;

/// A command with everything the caller says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Chosen by the caller; becomes the id of the first event and of what is made. A retry bears the same key.
    pub key: Uuid,
    /// The stream that a message goes to; `main` for everything else.
    pub stream: Stream,
    /// The last seq of that stream that the caller had applied.
    pub seen: Option<Seq>,
    /// Whether the caller has sent this key before.
    pub retry: bool,
    /// What is asked.
    pub command: Command,
}

/// What can be asked of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "name", content = "data")]
pub enum Command {
    /// Begin work in a session that was made with `start: false`.
    #[serde(rename = "session.start")]
    SessionStart(SessionStart),
    /// Give it another title.
    #[serde(rename = "session.rename")]
    SessionRename(SessionRename),
    /// Change description, tags, category or visibility.
    #[serde(rename = "session.change_details")]
    SessionChangeDetails(SessionChangeDetails),
    /// Change settings.
    #[serde(rename = "session.change_settings")]
    SessionChangeSettings(SettingsPatch),
    /// End it.
    #[serde(rename = "session.end")]
    SessionEnd(SessionEnd),
    /// Let assistants rest; people may go on talking.
    #[serde(rename = "session.pause")]
    SessionPause(SessionPause),
    /// Go on after a pause, or after a failure whose cause is gone.
    #[serde(rename = "session.resume")]
    SessionResume(SessionResume),
    /// Go away and let the session work on.
    #[serde(rename = "session.detach")]
    SessionDetach(SessionDetach),
    /// Change when it ends by itself.
    #[serde(rename = "session.change_expiry")]
    SessionChangeExpiry(SessionChangeExpiry),
    /// Stop it because of a fault. Only the server says this.
    #[serde(rename = "session.fail")]
    SessionFail(SessionFail),
    /// Somebody who can lead it is connected. Only the server says this.
    #[serde(rename = "session.attach")]
    SessionAttach(SessionAttach),
    /// The owner is not connected any more. Only the server says this.
    #[serde(rename = "session.miss_host")]
    SessionMissHost(SessionMissHost),
    /// Record that the log of an ended session is whole. Only the server says this.
    #[serde(rename = "session.archive")]
    SessionArchive(SessionArchived),
    /// Become a participant. Only the server's doors say this.
    #[serde(rename = "participant.join")]
    ParticipantJoin(ParticipantJoin),
    /// Let somebody in who waits.
    #[serde(rename = "participant.approve")]
    ParticipantApprove(ParticipantApprove),
    /// Do not let somebody in who waits.
    #[serde(rename = "participant.deny")]
    ParticipantDeny(ParticipantDeny),
    /// Stop waiting to be let in. Only the server's doors say this.
    #[serde(rename = "participant.withdraw_request")]
    ParticipantWithdrawRequest(ParticipantWithdrawRequest),
    /// Stop being a participant.
    #[serde(rename = "participant.leave")]
    ParticipantLeave(ParticipantLeave),
    /// Send somebody away.
    #[serde(rename = "participant.remove")]
    ParticipantRemove(ParticipantRemove),
    /// Change what somebody may do.
    #[serde(rename = "participant.change_role")]
    ParticipantChangeRole(ParticipantChangeRole),
    /// Change one's own name or colour here.
    #[serde(rename = "participant.change_profile")]
    ParticipantChangeProfile(ParticipantChangeProfile),
    /// Say something.
    #[serde(rename = "message.post")]
    MessagePost(MessagePost),
    /// Change the text of one's own message.
    #[serde(rename = "message.edit")]
    MessageEdit(MessageEdit),
    /// Erase a message's text, everywhere.
    #[serde(rename = "message.redact")]
    MessageRedact(MessageRedact),
    /// Mark a message as a decision.
    #[serde(rename = "decision.record")]
    DecisionRecord(DecisionRecord),
    /// Take that mark away.
    #[serde(rename = "decision.withdraw")]
    DecisionWithdraw(DecisionWithdraw),
    /// Make a checkpoint of now.
    #[serde(rename = "checkpoint.create")]
    CheckpointCreate(CheckpointCreate),
    /// Give a checkpoint another name.
    #[serde(rename = "checkpoint.rename")]
    CheckpointRename(CheckpointRename),
    /// Delete a checkpoint; what it names stays.
    #[serde(rename = "checkpoint.delete")]
    CheckpointDelete(CheckpointDelete),
    /// Keep something in mind.
    #[serde(rename = "memory.add")]
    MemoryAdd(MemoryAdd),
    /// Change a memory's text, tags or place.
    #[serde(rename = "memory.edit")]
    MemoryEdit(MemoryEdit),
    /// Remove a memory, and its texts everywhere.
    #[serde(rename = "memory.remove")]
    MemoryRemove(MemoryRemove),
    /// Say what data of a type of actions must be.
    #[serde(rename = "action.define_type")]
    ActionDefineType(ActionDefineType),
    /// Do something beside speaking.
    #[serde(rename = "action.perform")]
    ActionPerform(ActionPerform),
    /// Go back to a checkpoint; nothing is deleted.
    #[serde(rename = "checkpoint.restore")]
    CheckpointRestore(CheckpointRestore),
    /// Begin a branch.
    #[serde(rename = "branch.create")]
    BranchCreate(BranchCreate),
    /// Move a branch's head.
    #[serde(rename = "branch.move")]
    BranchMove(BranchMove),
    /// Give a branch another name.
    #[serde(rename = "branch.rename")]
    BranchRename(BranchRename),
    /// Put a branch away, or take it out again.
    #[serde(rename = "branch.archive")]
    BranchArchive(BranchArchive),
    /// Show everybody a branch.
    #[serde(rename = "branch.focus")]
    BranchFocus(BranchFocus),
    /// Bring what was said on one branch to another.
    #[serde(rename = "branch.merge")]
    BranchMerge(BranchMerge),
    /// Begin another session as a copy of this one.
    #[serde(rename = "session.fork")]
    SessionFork(SessionFork),
    /// Erase copies of what was erased where it came from.
    #[serde(rename = "copies.erase")]
    CopiesErase(CopiesErase),
    /// Record that something went wrong.
    #[serde(rename = "error.report")]
    ErrorReport(ErrorReport),
    /// Ask the assistant about a message that is there already.
    #[serde(rename = "turn.ask")]
    TurnAsk(TurnAsk),
    /// Change what is asked while it waits.
    #[serde(rename = "turn.edit")]
    TurnEdit(TurnEdit),
    /// Take a waiting question back.
    #[serde(rename = "turn.withdraw")]
    TurnWithdraw(TurnWithdraw),
    /// Stop the answer.
    #[serde(rename = "turn.stop")]
    TurnStop(TurnStop),
    /// Claim a waiting turn. Only the server says this.
    #[serde(rename = "turn.start")]
    TurnStart(TurnStart),
    /// Record new text of the answer. Only the server says this.
    #[serde(rename = "turn.progress")]
    TurnProgress(TurnProgress),
    /// Record that the answer is whole. Only the server says this.
    #[serde(rename = "turn.complete")]
    TurnComplete(TurnComplete),
    /// Record that the assistant could not go on. Only the server says this.
    #[serde(rename = "turn.fail")]
    TurnFail(TurnFail),
    /// Record that whoever answered is gone. Only the server says this.
    #[serde(rename = "turn.lose")]
    TurnLose(TurnLose),
    /// Write the shared context.
    #[serde(rename = "context.patch")]
    ContextPatch(ContextPatch),
    /// Take writes of the shared context back.
    #[serde(rename = "context.revert")]
    ContextRevert(ContextRevert),
    /// Choose in an open conflict of the shared context.
    #[serde(rename = "context.resolve")]
    ContextResolve(ContextResolve),
}

impl Command {
    /// Every command's name.
    pub const NAMES: &'static [&'static str] = &[
        "session.start",
        "session.rename",
        "session.change_details",
        "session.change_settings",
        "session.end",
        "participant.join",
        "participant.leave",
        "participant.remove",
        "participant.change_role",
        "participant.change_profile",
        "message.post",
        "message.edit",
        "message.redact",
        "decision.record",
        "decision.withdraw",
        "checkpoint.create",
        "checkpoint.rename",
        "checkpoint.delete",
        "checkpoint.restore",
        "branch.create",
        "branch.move",
        "branch.rename",
        "branch.archive",
        "branch.focus",
        "branch.merge",
        "turn.ask",
        "turn.edit",
        "turn.withdraw",
        "turn.stop",
        "turn.start",
        "turn.progress",
        "turn.complete",
        "turn.fail",
        "turn.lose",
        "session.pause",
        "session.resume",
        "session.detach",
        "session.change_expiry",
        "session.fail",
        "session.attach",
        "session.miss_host",
        "session.archive",
        "context.patch",
        "context.revert",
        "context.resolve",
        "memory.add",
        "memory.edit",
        "memory.remove",
        "action.define_type",
        "action.perform",
        "session.fork",
        "copies.erase",
        "participant.approve",
        "participant.deny",
        "participant.withdraw_request",
        "error.report",
    ];

    /// Returns the command's name.
    pub fn name(&self) -> &'static str {
        let i = match self {
            Self::SessionStart(_) => 0,
            Self::SessionRename(_) => 1,
            Self::SessionChangeDetails(_) => 2,
            Self::SessionChangeSettings(_) => 3,
            Self::SessionEnd(_) => 4,
            Self::ParticipantJoin(_) => 5,
            Self::ParticipantLeave(_) => 6,
            Self::ParticipantRemove(_) => 7,
            Self::ParticipantChangeRole(_) => 8,
            Self::ParticipantChangeProfile(_) => 9,
            Self::MessagePost(_) => 10,
            Self::MessageEdit(_) => 11,
            Self::MessageRedact(_) => 12,
            Self::DecisionRecord(_) => 13,
            Self::DecisionWithdraw(_) => 14,
            Self::CheckpointCreate(_) => 15,
            Self::CheckpointRename(_) => 16,
            Self::CheckpointDelete(_) => 17,
            Self::CheckpointRestore(_) => 18,
            Self::BranchCreate(_) => 19,
            Self::BranchMove(_) => 20,
            Self::BranchRename(_) => 21,
            Self::BranchArchive(_) => 22,
            Self::BranchFocus(_) => 23,
            Self::BranchMerge(_) => 24,
            Self::TurnAsk(_) => 25,
            Self::TurnEdit(_) => 26,
            Self::TurnWithdraw(_) => 27,
            Self::TurnStop(_) => 28,
            Self::TurnStart(_) => 29,
            Self::TurnProgress(_) => 30,
            Self::TurnComplete(_) => 31,
            Self::TurnFail(_) => 32,
            Self::TurnLose(_) => 33,
            Self::SessionPause(_) => 34,
            Self::SessionResume(_) => 35,
            Self::SessionDetach(_) => 36,
            Self::SessionChangeExpiry(_) => 37,
            Self::SessionFail(_) => 38,
            Self::SessionAttach(_) => 39,
            Self::SessionMissHost(_) => 40,
            Self::SessionArchive(_) => 41,
            Self::ContextPatch(_) => 42,
            Self::ContextRevert(_) => 43,
            Self::ContextResolve(_) => 44,
            Self::MemoryAdd(_) => 45,
            Self::MemoryEdit(_) => 46,
            Self::MemoryRemove(_) => 47,
            Self::ActionDefineType(_) => 48,
            Self::ActionPerform(_) => 49,
            Self::SessionFork(_) => 50,
            Self::CopiesErase(_) => 51,
            Self::ParticipantApprove(_) => 52,
            Self::ParticipantDeny(_) => 53,
            Self::ParticipantWithdrawRequest(_) => 54,
            Self::ErrorReport(_) => 55,
        };
        Self::NAMES[i]
    }

    /// Returns whether only the server itself may give this command.
    pub fn is_internal(&self) -> bool {
        matches!(
            self,
            Self::ParticipantJoin(_)
                | Self::ParticipantWithdrawRequest(_)
                | Self::TurnStart(_)
                | Self::TurnProgress(_)
                | Self::TurnComplete(_)
                | Self::TurnFail(_)
                | Self::TurnLose(_)
                | Self::SessionFail(_)
                | Self::SessionAttach(_)
                | Self::SessionMissHost(_)
                | Self::SessionArchive(_)
                | Self::CopiesErase(_)
        )
    }
}

/// Data of `session.start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionStart {}

/// Data of `session.rename`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRename {
    /// The new title; 1 to 200 characters.
    pub title: String,
}

/// Data of `session.change_details`; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionChangeDetails {
    /// What it is about; at most 2,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// At most 10 words of at most 40 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// At most 40 characters; empty takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Who can find it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// Data of `session.end`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionEnd {
    /// True: terminated, running turns are cut. False: completed, running turns are stopped too, but as intended.
    pub terminate: bool,
    /// Why, in a word; `ended` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What becomes of questions that are not answered yet. A termination cancels them whatever this says.
    #[serde(skip_serializing_if = "Pending::is_cancel")]
    pub pending: Pending,
}

/// Data of `session.pause`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionPause {
    /// Why, in a few words; at most 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `session.resume`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionResume {}

/// Data of `session.detach`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionDetach {}

/// Data of `session.change_expiry`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionChangeExpiry {
    /// When it ends by itself; null: never.
    pub expires_at: Option<Timestamp>,
}

/// Data of `session.fail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionFail {
    /// A stable word for the cause.
    pub code: String,
    /// The cause, and what to do before the session is resumed, for people.
    pub detail: String,
}

/// Data of `session.attach`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionAttach {
    /// Who is connected.
    pub participant: ParticipantId,
}

/// Data of `session.miss_host`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionMissHost {
    /// When the owner's last connection dropped.
    pub since: Timestamp,
}

/// Data of `participant.join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantJoin {
    /// Who.
    pub user: UserId,
    /// Person or program.
    pub kind: ParticipantKind,
    /// The role that the door gives; never taken from the one who joins.
    pub role: Role,
    /// The name that others see; made unique among those present.
    pub display_name: String,
    /// Whether this is a guest who came by link or code.
    pub guest: bool,
    /// By which link.
    pub via: Option<LinkId>,
    /// The hue that this user has chosen, 0 to 11; absent: the one that follows from the user's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<u8>,
    /// Whether somebody who may admit stands for them, so that they need not wait in the lobby.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub vouched: bool,
}

/// Data of `participant.leave`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantLeave {}

/// Data of `participant.remove`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantRemove {
    /// Whom.
    pub participant: ParticipantId,
    /// Why; at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `participant.change_role`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantChangeRole {
    /// Whose.
    pub participant: ParticipantId,
    /// The role from now on; never owner.
    pub role: Role,
}

/// Data of `participant.change_profile`; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ParticipantChangeProfile {
    /// The name that others see; 1 to 40 characters, made unique among those present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// One of twelve hues, 0 to 11.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colour: Option<u8>,
}

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

/// Data of `turn.ask`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnAsk {
    /// The message in `main` to answer.
    pub message: MessageId,
    /// Another answer beside the one that there is: it begins a new branch at the message.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sibling: bool,
}

/// Data of `turn.edit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnEdit {
    /// Which turn.
    pub turn: TurnId,
    /// What is asked from now on; 1 byte to 64 KiB.
    pub text: String,
}

/// Data of `turn.withdraw`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnWithdraw {
    /// Which turn.
    pub turn: TurnId,
}

/// Data of `turn.stop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnStop {
    /// Which turn.
    pub turn: TurnId,
}

/// Data of `turn.start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnStart {
    /// Which turn.
    pub turn: TurnId,
    /// The claim's id.
    pub lease: LeaseId,
    /// Which driver answers.
    pub driver: String,
    /// What the answer is labelled with.
    pub label: String,
}

/// Data of `turn.progress`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnProgress {
    /// Which turn.
    pub turn: TurnId,
    /// The claim under which it is written.
    pub lease: LeaseId,
    /// Where the text begins. Unit: UTF-16 code units.
    pub offset: u64,
    /// New text; empty to renew the lease only.
    pub text: String,
    /// See [`crate::event::TurnProgressed::pace`].
    #[serde(default)]
    pub pace: Vec<(u32, u32)>,
}

/// Data of `turn.complete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnComplete {
    /// Which turn.
    pub turn: TurnId,
    /// The claim under which it is written.
    pub lease: LeaseId,
    /// SHA-256 of the whole text, in hexadecimal.
    pub hash: String,
    /// Why it ended.
    pub reason: EndReason,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

/// Data of `turn.fail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnFail {
    /// Which turn.
    pub turn: TurnId,
    /// The claim under which it is written.
    pub lease: LeaseId,
    /// A stable word for what went wrong.
    pub code: String,
    /// What went wrong and what to do, for people.
    pub detail: String,
    /// What it used, as far as known.
    #[serde(default)]
    pub usage: Usage,
}

/// Data of `turn.lose`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnLose {
    /// Which turn.
    pub turn: TurnId,
    /// The claim that is given up.
    pub lease: LeaseId,
}

/// Data of `context.patch`. Either `ops` or `merge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContextPatch {
    /// The branch on whose context; absent: the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The version that the author has read: writes since then to the same places conflict. Absent: nothing conflicts,
    /// unless the session forbids to write without looking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Seq>,
    /// Applies only if the document is at exactly this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_version: Option<Seq>,
    /// RFC 6902 and this product's own operations, in order; at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<PatchOp>,
    /// RFC 7396: an object that is laid over the document; null takes a member away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub merge: Option<serde_json::Value>,
    /// What becomes of what conflicts; absent: what the session's settings say for the path, else `reject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Whether all operations apply or none.
    pub atomic: bool,
    /// Why; at most 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Default for ContextPatch {
    fn default() -> Self {
        let (branch, base, if_version, merge, strategy, reason) = (None, None, None, None, None, None);
        Self { branch, base, if_version, ops: Vec::new(), merge, strategy, atomic: true, reason }
    }
}

/// Data of `context.revert`. Either `event` or `to_version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContextRevert {
    /// The branch on whose context; absent: the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The write to take back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// The version to which everything, or everything at `paths`, is brought back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_version: Option<Seq>,
    /// Only at and below these paths; empty: everywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The version that the author has read; with `to_version` only: writes since then conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Seq>,
    /// What becomes of what conflicts; see [`ContextPatch::strategy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Why; at most 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `context.resolve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextResolve {
    /// Which conflict.
    pub conflict: EventId,
    /// Which side is taken.
    pub take: Take,
    /// The value, when neither side's is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub value: Option<serde_json::Value>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
