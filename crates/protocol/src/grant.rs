//! Roles, permissions and grants.
//!
//! Owns: the words. Must not know: which role may do what (that table is in `access`), nor which command
//! needs what (that table is in `core`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{Seq, StreamSet, Timestamp};

/// What somebody is in a session. Ordered: a later role may do more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, writes and prompts.
    Collaborator,
    /// A collaborator who also keeps order among the others.
    Moderator,
    /// The one whom the session belongs to; exactly one at any time.
    Owner,
}

impl Role {
    /// All roles, from the least to the most.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Collaborator, Self::Moderator, Self::Owner];

    /// Returns the role's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Collaborator => "collaborator",
            Self::Moderator => "moderator",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that somebody may be allowed to do in a session. The number is its bit in [`Permissions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Permission {
    /// Read the session and its streams.
    SessionView = 0,
    /// Rename, change settings, start.
    SessionChange = 1,
    /// End the session.
    SessionEnd = 2,
    /// Delete the session and all its data.
    SessionDelete = 3,
    /// Become a participant; only the server's doors hold it.
    ParticipantJoin = 4,
    /// Leave, be present, show typing and pointers.
    ParticipantBe = 5,
    /// Remove participants below oneself.
    ParticipantRemove = 6,
    /// Change the roles of participants below oneself.
    ParticipantChangeRole = 7,
    /// Post to `main`, edit and redact own messages.
    MessagePost = 8,
    /// Redact anybody's message.
    MessageRedactAny = 9,
    /// Post to `side`.
    SidePost = 10,
    /// Ask the assistant; edit and withdraw own waiting turns.
    TurnPrompt = 11,
    /// Withdraw anybody's waiting turn.
    TurnManage = 12,
    /// Mark a message as a decision, or take the mark away.
    DecisionRecord = 13,
    /// See, make and revoke access links.
    LinkManage = 14,
    /// Write what an agent's turn produced; only the server's drivers hold it.
    TurnDrive = 15,
    /// Stop the answer that is running, whoever asked for it.
    TurnStop = 16,
    /// Make checkpoints and branches, rename and delete own ones.
    BranchWrite = 17,
    /// Rename, archive and delete anybody's, move the heads of branches that others write on.
    BranchManage = 18,
    /// Pause and resume.
    SessionPause = 19,
    /// Write the shared context, take writes back, choose in open conflicts.
    ContextWrite = 20,
    /// Write the shared context by a looser strategy than the session's settings say for the path.
    ContextOverride = 21,
    /// Add memories, pin anybody's, change and remove own ones.
    MemoryWrite = 22,
    /// Change and remove anybody's memories.
    MemoryManage = 23,
    /// Perform actions.
    ActionPerform = 24,
    /// See who waits to be let in; let them in or not.
    ParticipantAdmit = 25,
}

impl Permission {
    /// All permissions, in the order of their bits.
    pub const ALL: [Self; 26] = [
        Self::SessionView,
        Self::SessionChange,
        Self::SessionEnd,
        Self::SessionDelete,
        Self::ParticipantJoin,
        Self::ParticipantBe,
        Self::ParticipantRemove,
        Self::ParticipantChangeRole,
        Self::MessagePost,
        Self::MessageRedactAny,
        Self::SidePost,
        Self::TurnPrompt,
        Self::TurnManage,
        Self::DecisionRecord,
        Self::LinkManage,
        Self::TurnDrive,
        Self::TurnStop,
        Self::BranchWrite,
        Self::BranchManage,
        Self::SessionPause,
        Self::ContextWrite,
        Self::ContextOverride,
        Self::MemoryWrite,
        Self::MemoryManage,
        Self::ActionPerform,
        Self::ParticipantAdmit,
    ];
}

/// A set of permissions, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u64);

impl Permissions {
    /// No permission at all.
    pub const NONE: Self = Self(0);

    /// Returns the set with `permission` added.
    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        Self(self.0 | 1 << permission as u8)
    }

    /// Returns whether `permission` is in the set.
    pub const fn allows(self, permission: Permission) -> bool {
        self.0 & 1 << permission as u8 != 0
    }

    /// Returns what is in both sets.
    #[must_use]
    pub const fn intersect(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the members in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |p| self.allows(*p))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(all: I) -> Self {
        all.into_iter().fold(Self::NONE, Self::with)
    }
}

impl Serialize for Permissions {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Permission>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// What one caller may do in one session now, computed by `access::authorize`.
///
/// It is a value: it can be held by a connection and compared. `core` refuses `stale_grant` when `roles_rev` is
/// not the session's or `valid_until` has passed; the store refuses a commit when `rights_epoch` has moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What may be done.
    pub mask: Permissions,
    /// What may be read.
    pub streams: StreamSet,
    /// Events at or below this seq of `main` are never sent to this reader.
    pub floor: Seq,
    /// How long after its commit an event may be sent, in milliseconds; 0 for participants.
    pub delay_ms: u32,
    /// When the grant ends by itself.
    pub valid_until: Option<Timestamp>,
    /// The session's `roles_rev` that the grant was computed from.
    pub roles_rev: u64,
    /// The project's `rights_epoch` that the grant was computed from.
    pub rights_epoch: u64,
}

impl Grant {
    /// Returns a grant that allows nothing, as of the given revisions.
    pub fn nothing(roles_rev: u64, rights_epoch: u64) -> Self {
        Self {
            mask: Permissions::NONE,
            streams: StreamSet::EMPTY,
            floor: Seq::ZERO,
            delay_ms: 0,
            valid_until: None,
            roles_rev,
            rights_epoch,
        }
    }

    /// Returns whether `permission` is granted.
    pub fn allows(&self, permission: Permission) -> bool {
        self.mask.allows(permission)
    }
}
