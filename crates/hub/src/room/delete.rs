//! The end of a session: everything that is its own is deleted, by its own room.
//!
//! The room stays in the map until the store has answered, so that nobody can load the session anew in between.

use roundtable_protocol::frame::{Access, You};
use roundtable_protocol::grant::Permissions;
use roundtable_protocol::{Code, Permission, Problem, ServerFrame, UserId};
use roundtable_store::Deletion;

use super::settle::answer;
use super::{Deleted, Room};
use crate::frame::Frame;
use crate::manager::unavailable;
use crate::room::batch::Outcome;

impl Room {
    /// Notes that somebody who may wants the session deleted. What is in flight is settled first.
    pub(crate) fn want_deleted(&mut self, user: UserId, deleted: Deleted) {
        let grant = self.grants.authorize(&self.committed, user);
        let refused = if !grant.allows(Permission::SessionView) {
            Some(Code::NotFound)
        } else if !grant.allows(Permission::SessionDelete) {
            Some(Code::Forbidden)
        } else if self.leaving.is_some() {
            Some(Code::ShuttingDown)
        } else if self.blind {
            Some(Code::Unavailable)
        } else {
            None
        };
        match refused {
            // A caller that has gone does not want the answer.
            Some(code) => drop(deleted.send(Err(Problem::new(code)))),
            None => self.deleting.push(deleted),
        }
    }

    /// Deletes the session, tells its readers and ends the room; when the store cannot, everything goes on.
    pub(crate) async fn delete(&mut self) {
        let wanted = std::mem::take(&mut self.deleting);
        let result = match self.shared.store.delete_session(self.id).await {
            // What it owes its copies would go with it.
            Ok(Deletion::Owes) => Err(Problem::new(Code::Overloaded).retry_after_ms(250)),
            other => other.map(drop).map_err(unavailable),
        };
        if result.is_ok() {
            self.deleted = true;
            self.live = None;
            self.tell_deleted();
            while let Some(queued) = self.queue.pop_front() {
                answer(self.id, queued, Outcome::Refused(Problem::new(Code::NotFound)));
            }
        }
        for deleted in wanted {
            // A caller that has gone does not want the answer.
            let _ = deleted.send(result.clone());
        }
    }

    /// Ends every subscription with the reason.
    fn tell_deleted(&mut self) {
        let you = You {
            participant_id: None,
            role: None,
            can: Permissions::default(),
            read: std::collections::BTreeMap::new(),
        };
        let reason = "session_deleted".to_owned();
        let access = Access { session_id: self.id, you, streams: Vec::new(), reason };
        let frame = Frame::encode(&ServerFrame::Access(access));
        self.turn_all_away("session_deleted");
        for subscriber in self.fanout.clear() {
            subscriber.outbox.shut(self.id);
            subscriber.outbox.push(frame.clone());
            subscriber.outbox.write_now();
        }
    }
}
