//! The built-in role table: one row a permission, one column a role.

use roundtable_protocol::grant::{Permission, Permissions, Role};

/// Permission, then whether viewer, collaborator, moderator and owner have it.
const TABLE: [(Permission, [bool; 4]); 26] = {
    use Permission as P;
    const NO: bool = false;
    const YES: bool = true;
    [
        (P::SessionView, [YES, YES, YES, YES]),
        (P::SessionChange, [NO, NO, NO, YES]),
        (P::SessionEnd, [NO, NO, NO, YES]),
        (P::SessionDelete, [NO, NO, NO, YES]),
        (P::ParticipantJoin, [NO, NO, NO, NO]),
        (P::ParticipantBe, [YES, YES, YES, YES]),
        (P::ParticipantRemove, [NO, NO, YES, YES]),
        (P::ParticipantAdmit, [NO, NO, YES, YES]),
        (P::ParticipantChangeRole, [NO, NO, YES, YES]),
        (P::MessagePost, [NO, YES, YES, YES]),
        (P::MessageRedactAny, [NO, NO, YES, YES]),
        (P::SidePost, [NO, YES, YES, YES]),
        (P::TurnPrompt, [NO, YES, YES, YES]),
        (P::TurnManage, [NO, NO, YES, YES]),
        (P::DecisionRecord, [NO, YES, YES, YES]),
        (P::LinkManage, [NO, NO, YES, YES]),
        (P::BranchWrite, [NO, YES, YES, YES]),
        (P::BranchManage, [NO, NO, YES, YES]),
        (P::TurnDrive, [NO, NO, NO, NO]),
        // One answer is streamed to all, so all who may prompt may stop it: docs/decisions/0005.
        (P::TurnStop, [NO, YES, YES, YES]),
        (P::SessionPause, [NO, NO, YES, YES]),
        (P::ContextWrite, [NO, YES, YES, YES]),
        (P::ContextOverride, [NO, NO, YES, YES]),
        (P::MemoryWrite, [NO, YES, YES, YES]),
        (P::MemoryManage, [NO, NO, YES, YES]),
        (P::ActionPerform, [NO, YES, YES, YES]),
    ]
};

/// Returns what `role` may do.
pub fn permissions(role: Role) -> Permissions {
    TABLE.iter().filter(|(_, row)| row[role as usize]).map(|(p, _)| *p).collect()
}
