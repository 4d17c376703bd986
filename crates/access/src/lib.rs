//! From facts to a [`Grant`]: who may do what in a session now.
//!
//! Owns: the built-in role table behind one fail-closed [`authorize`], and the table of routes with the action that
//! each one needs. Must not know: commands, storage, HTTP. Invariant: whatever is not said here is denied; a grant is
//! computed from facts alone and carries the revisions of those facts.
//!
//! | module | holds |
//! |---|---|
//! | [`roles`] | the role table |
//! | [`routes`] | which action each route needs; a route without one does not start |

pub mod roles;
pub mod routes;

use roundtable_protocol::grant::{Grant, Permission, Permissions, Role};
use roundtable_protocol::ids::{Seq, Stream, StreamSet};

/// What is known about a caller and a session, as of two revisions.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Who asks.
    pub subject: Subject,
    /// Whether viewers may read the side chat.
    pub side_for_viewers: bool,
    /// The session's `roles_rev` that these facts are of.
    pub roles_rev: u64,
    /// The project's `rights_epoch` that these facts are of.
    pub rights_epoch: u64,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Somebody without any standing in this session.
    Stranger,
    /// A participant with a role.
    Participant(Role),
    /// The server's door, letting somebody in after it has checked link or code.
    Door,
    /// The server's turn driver.
    Driver,
    /// The server's own rules: deadlines, expiry.
    Rule,
}

/// Computes what the subject may do. Fails closed: a stranger gets nothing.
pub fn authorize(facts: &Facts) -> Grant {
    let (mask, streams) = match facts.subject {
        Subject::Stranger => (Permissions::NONE, StreamSet::EMPTY),
        Subject::Participant(role) => (roles::permissions(role), streams(role, facts.side_for_viewers)),
        Subject::Door => (Permissions::NONE.with(Permission::ParticipantJoin), StreamSet::EMPTY),
        Subject::Driver => (Permissions::NONE.with(Permission::TurnDrive), StreamSet::EMPTY.with(Stream::Main)),
        Subject::Rule => {
            let own = [Permission::SessionEnd, Permission::TurnDrive, Permission::ActionPerform];
            (own.into_iter().collect(), StreamSet::EMPTY)
        }
    };
    Grant {
        mask,
        streams,
        floor: Seq::ZERO,
        delay_ms: 0,
        valid_until: None,
        roles_rev: facts.roles_rev,
        rights_epoch: facts.rights_epoch,
    }
}

fn streams(role: Role, side_for_viewers: bool) -> StreamSet {
    let main = StreamSet::EMPTY.with(Stream::Main);
    match role {
        Role::Viewer if !side_for_viewers => main,
        Role::Viewer | Role::Collaborator => main.with(Stream::Side),
        Role::Moderator | Role::Owner => main.with(Stream::Side).with(Stream::Staff),
    }
}

#[cfg(test)]
mod tests;
