//! Grants at hand: computed once for each user and state of rights, and computed again when they are stale.

use std::collections::HashMap;

use roundtable_access::{Facts, Subject, authorize};
use roundtable_core::{Caller, Session};
use roundtable_protocol::model::Membership;
use roundtable_protocol::{Grant, UserId};

/// Most users whose grants are kept; more: all are computed anew.
const KEPT: usize = 4096;

/// The grants of one room.
#[derive(Default)]
pub(crate) struct Grants {
    rights_epoch: u64,
    kept: HashMap<UserId, Grant>,
}

impl Grants {
    pub(crate) fn new(rights_epoch: u64) -> Self {
        Self { rights_epoch, kept: HashMap::new() }
    }

    /// Returns the rights epoch that grants are computed from.
    pub(crate) fn rights_epoch(&self) -> u64 {
        self.rights_epoch
    }

    /// The rights epoch has moved: nothing at hand holds.
    pub(crate) fn moved(&mut self, rights_epoch: u64) {
        self.rights_epoch = rights_epoch;
        self.kept.clear();
    }

    /// Returns a user's grant as far as it is at hand, stale or not; `core` refuses a stale one.
    pub(crate) fn at_hand(&mut self, session: &Session, user: UserId) -> Grant {
        match self.kept.get(&user) {
            Some(grant) => grant.clone(),
            None => self.authorize(session, user),
        }
    }

    /// Computes a user's grant anew from `session`.
    pub(crate) fn authorize(&mut self, session: &Session, user: UserId) -> Grant {
        let grant = self.of(session, Caller::User(user), Subject::Stranger);
        if self.kept.len() >= KEPT {
            self.kept.clear();
        }
        self.kept.insert(user, grant.clone());
        grant
    }

    /// Computes the grant of any caller; the server's own commands say as what they come.
    pub(crate) fn of(&self, session: &Session, caller: Caller, own: Subject) -> Grant {
        let subject = match caller {
            Caller::System => own,
            Caller::User(user) => match session.participant_of(user) {
                Some(p) if p.membership == Membership::Joined => Subject::Participant(p.role),
                _ => Subject::Stranger,
            },
        };
        authorize(&Facts {
            subject,
            side_for_viewers: session.settings().side_for_viewers,
            roles_rev: session.roles_rev(),
            rights_epoch: self.rights_epoch,
        })
    }
}
