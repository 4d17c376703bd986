//! Commands of one connection that wait behind one that is not with its room yet.
//!
//! Owns: their order. Must not know: what is waited for. Invariant: while something waits for a session, everything
//! that the connection says to that session waits behind it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use roundtable_protocol::SessionId;

use crate::room::Queued;

/// What waits, by session; empty for nearly every connection at nearly every moment.
#[derive(Default)]
pub(crate) struct Behind(Mutex<Vec<(SessionId, VecDeque<Box<Queued>>)>>);

/// What became of a command that was to be queued.
pub(crate) enum Placed {
    /// Nothing waits: it may go on at once.
    Free(Box<Queued>),
    /// It waits behind others; whoever hands those on hands it on too.
    Waits,
    /// It waits, and is the first: its caller has to hand on what waits, by [`Behind::next`] until there is nothing.
    First,
}

impl Behind {
    /// Queues a command when something waits for the session already, or when it `must_wait` itself.
    pub(crate) fn place(&self, session: SessionId, queued: Box<Queued>, must_wait: bool) -> Placed {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.iter_mut().find(|(of, _)| *of == session) {
            Some((_, waiting)) => {
                waiting.push_back(queued);
                Placed::Waits
            }
            None if must_wait => {
                all.push((session, VecDeque::from([queued])));
                Placed::First
            }
            None => Placed::Free(queued),
        }
    }

    /// Takes the next that waits. At `None` nothing waits any more, and what comes then may go on at once.
    pub(crate) fn next(&self, session: SessionId) -> Option<Box<Queued>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|(of, _)| *of == session)?;
        let next = all[place].1.pop_front();
        if next.is_none() {
            all.swap_remove(place);
        }
        next
    }
}
