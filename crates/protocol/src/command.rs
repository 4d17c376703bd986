//! What can be asked of a session.
//!
//! Owns: the commands and the envelope that carries one. Must not know: who may ask, and what comes of it.
//! Invariant: a command's name is `noun.verb`; the ones that only the server itself may give are told by
//! [`Command::is_internal`], and no frame or route reads them from a client.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::event::SessionArchived;
use crate::ids::{Seq, Stream};
use crate::model::SettingsPatch;

mod branching;
mod context;
mod lobby;
mod memories;
mod messages;
mod people;
mod session;
mod turns;

pub use branching::*;
pub use context::*;
pub use lobby::*;
pub use memories::*;
pub use messages::*;
pub use people::*;
pub use session::*;
pub use turns::*;

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

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
