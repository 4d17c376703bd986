//! Who may do what, in the small: the same role table as the server's, over the session alone.

use roundtable_core::Session;
use roundtable_protocol::grant::{Grant, Permission, Permissions, Role};
use roundtable_protocol::ids::{Stream, StreamSet, UserId};
use roundtable_protocol::model::Membership;

/// Returns what `user` may do in `session` as it stands.
pub fn grant(session: &Session, user: UserId) -> Grant {
    let nothing = Grant::nothing(session.roles_rev(), 0);
    let Some(person) = session.participant_of(user).filter(|p| p.membership == Membership::Joined) else {
        return nothing;
    };
    let side = person.role >= Role::Collaborator || session.settings().side_for_viewers;
    let streams = [Some(Stream::Main), side.then_some(Stream::Side)].into_iter().flatten().collect();
    Grant { mask: permissions(person.role), streams, ..nothing }
}

/// Returns what the server's own rules, doors and drivers may do.
pub fn system(session: &Session) -> Grant {
    let mask = Permission::ALL.into_iter().collect();
    Grant { mask, streams: Stream::ALL.into_iter().collect::<StreamSet>(), ..Grant::nothing(session.roles_rev(), 0) }
}

fn permissions(role: Role) -> Permissions {
    use Permission as P;
    let from = |least: Role, all: &[P]| if role >= least { all.to_vec() } else { Vec::new() };
    [
        from(Role::Viewer, &[P::SessionView, P::ParticipantBe]),
        from(
            Role::Collaborator,
            &[
                P::MessagePost,
                P::SidePost,
                P::TurnPrompt,
                P::TurnStop,
                P::DecisionRecord,
                P::BranchWrite,
                P::ContextWrite,
                P::MemoryWrite,
                P::ActionPerform,
            ],
        ),
        from(
            Role::Moderator,
            &[
                P::ParticipantRemove,
                P::ParticipantAdmit,
                P::ParticipantChangeRole,
                P::MessageRedactAny,
                P::TurnManage,
                P::LinkManage,
                P::BranchManage,
                P::MemoryManage,
                P::SessionPause,
                P::ContextOverride,
            ],
        ),
        from(Role::Owner, &[P::SessionChange, P::SessionEnd, P::SessionDelete]),
    ]
    .into_iter()
    .flatten()
    .collect()
}
