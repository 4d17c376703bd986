//! What is written when a session has ended for good: the last state snapshot, and where its hash chain stands.
//!
//! Owns: walking the log off the room's task. Must not know: how the chain is made. Invariant: derived from the state, so a
//! crash before it is recorded has it done by the next server that loads the session.

use std::sync::Arc;

use roundtable_access::Subject;
use roundtable_core::Caller;
use roundtable_protocol::command::Envelope;
use roundtable_protocol::event::{ArchivedHead, SessionArchived};
use roundtable_protocol::{Command, Stream};

use super::{Input, Queued, Reply, Room};
use crate::clock;

impl Room {
    /// Has the session put in words, walks the log, then has recorded where its streams stand. A broken chain is logged and
    /// not recorded as whole; it is walked again when the session is loaded the next time.
    pub(super) fn archive(&mut self) {
        if std::mem::replace(&mut self.archiving, true) {
            return;
        }
        let room = self.to_self.clone();
        let (store, session) = (Arc::clone(&self.shared.store), self.id);
        let (summarise, within) = (Arc::clone(&self.shared.config.summarise), self.shared.config.summarise_within);
        tokio::spawn(async move {
            let words = tokio::time::timeout(within, summarise(session));
            if words.await.is_ok_and(|over| !over) {
                return;
            }
            let found = match store.verify(session).await {
                Ok(found) if found.broken.is_empty() => found,
                Ok(found) => {
                    tracing::error!(session.id = %session, broken = ?found.broken, "the log of an ended session was changed");
                    return;
                }
                Err(error) => {
                    tracing::warn!(session.id = %session, %error, "the log of an ended session could not be walked");
                    return;
                }
            };
            let hex = |hash: [u8; 32]| hash.iter().map(|b| format!("{b:02x}")).collect();
            let head = |(stream, seq, hash)| ArchivedHead { stream, seq, hash: hex(hash) };
            let command =
                Command::SessionArchive(SessionArchived { heads: found.heads.into_iter().map(head).collect() });
            let envelope = Envelope { key: clock::new_key(), stream: Stream::Main, seen: None, retry: false, command };
            let (caller, subject, reply) = (Caller::System, Subject::Driver, Reply::Nobody);
            let queued = Queued { caller, subject, envelope, fingerprint: 0, reply, attempts: 0 };
            // A room that is gone is loaded again, because the archive is still owed.
            if let Some(room) = room.upgrade() {
                let _ = room.send(Input::Command(Box::new(queued))).await;
            }
        });
    }
}
