//! Which permission each command needs: the one table.
//!
//! Owns: command -> permission. Must not know: roles (their table is in `access`) or who asks. Invariant: every command
//! stands here exactly once, and the match has no catch-all, so a new command does not compile without its permission.

use roundtable_protocol::command::Command;
use roundtable_protocol::grant::Permission;
use roundtable_protocol::ids::Stream;

/// Returns what one must be allowed to do to give `command`.
///
/// `stream` is the stream that a message goes to or is in; other commands ignore it. Some commands allow more to those
/// who have a second permission as well: erasing other people's messages ([`Permission::MessageRedactAny`]),
/// withdrawing other people's waiting turns ([`Permission::TurnManage`]), changing other people's
/// checkpoints and branches and restoring in place ([`Permission::BranchManage`]), writing the context by a looser
/// strategy than the settings say ([`Permission::ContextOverride`]), changing and removing other people's memories
/// ([`Permission::MemoryManage`]).
pub fn permission(command: &Command, stream: Stream) -> Permission {
    match command {
        Command::SessionStart(_)
        | Command::SessionRename(_)
        | Command::SessionChangeDetails(_)
        | Command::SessionChangeSettings(_)
        | Command::SessionChangeExpiry(_)
        | Command::SessionDetach(_) => Permission::SessionChange,
        Command::SessionEnd(_) | Command::SessionFail(_) => Permission::SessionEnd,
        Command::SessionPause(_) | Command::SessionResume(_) => Permission::SessionPause,
        Command::ParticipantApprove(_) | Command::ParticipantDeny(_) => Permission::ParticipantAdmit,
        Command::ParticipantJoin(_) | Command::ParticipantWithdrawRequest(_) => Permission::ParticipantJoin,
        Command::ParticipantLeave(_) | Command::ParticipantChangeProfile(_) => Permission::ParticipantBe,
        Command::ParticipantRemove(_) => Permission::ParticipantRemove,
        Command::ParticipantChangeRole(_) => Permission::ParticipantChangeRole,
        Command::MessagePost(_) | Command::MessageEdit(_) | Command::MessageRedact(_) => match stream {
            Stream::Side => Permission::SidePost,
            Stream::Main | Stream::Staff | Stream::Stage => Permission::MessagePost,
        },
        Command::DecisionRecord(_) | Command::DecisionWithdraw(_) => Permission::DecisionRecord,
        Command::CheckpointCreate(_)
        | Command::CheckpointRename(_)
        | Command::CheckpointDelete(_)
        | Command::CheckpointRestore(_)
        | Command::BranchCreate(_)
        | Command::BranchMove(_)
        | Command::BranchRename(_)
        | Command::BranchArchive(_)
        | Command::BranchMerge(_)
        | Command::SessionFork(_) => Permission::BranchWrite,
        Command::BranchFocus(_) => Permission::BranchManage,
        Command::MemoryAdd(_) | Command::MemoryEdit(_) | Command::MemoryRemove(_) => Permission::MemoryWrite,
        Command::ActionDefineType(_) => Permission::SessionChange,
        Command::ActionPerform(_) | Command::ErrorReport(_) => Permission::ActionPerform,
        Command::TurnAsk(_) | Command::TurnEdit(_) | Command::TurnWithdraw(_) => Permission::TurnPrompt,
        Command::TurnStop(_) => Permission::TurnStop,
        Command::ContextPatch(_) | Command::ContextRevert(_) | Command::ContextResolve(_) => Permission::ContextWrite,
        Command::TurnStart(_)
        | Command::TurnProgress(_)
        | Command::TurnComplete(_)
        | Command::TurnFail(_)
        | Command::TurnLose(_)
        | Command::SessionAttach(_)
        | Command::SessionMissHost(_)
        | Command::SessionArchive(_)
        | Command::CopiesErase(_) => Permission::TurnDrive,
    }
}
