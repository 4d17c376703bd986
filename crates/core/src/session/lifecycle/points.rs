//! When a checkpoint is made by itself: every 500 events, and every five minutes while a session works on detached.
//!
//! Owns: the rule. Must not know: what a checkpoint holds. Invariant: derived from the state; none is made where nothing has
//! happened since the last one. The ones of a pause and of the end are made by those decisions.

use std::time::Duration;

use roundtable_protocol::ids::Timestamp;

use super::Session;
use crate::session::checkpoints;
use crate::session::draft::Draft;

/// After how many events a checkpoint is made.
pub const EVERY_EVENTS: u64 = 500;
/// How often one is made while a session works on detached.
pub const EVERY_DETACHED: Duration = Duration::from_secs(5 * 60);

/// Returns when the next checkpoint is due, and by which rule.
fn due(session: &Session) -> Option<(Timestamp, &'static str)> {
    if !session.state().is_open() {
        return None;
    }
    let last = session.checkpoints().next_back();
    let then: u64 = last.map_or(0, |c| c.checkpoint.seqs.values().map(|seq| seq.0).sum());
    let now: u64 = session.heads.iter().map(|head| head.0).sum();
    if now.saturating_sub(then) >= EVERY_EVENTS {
        return Some((Timestamp::UNIX_EPOCH, "events"));
    }
    // The checkpoint itself is an event.
    let since = session.detached_since().filter(|_| now > then + u64::from(last.is_some()))?;
    let from = last.map_or(since, |c| c.at.max(since));
    Some((from.checked_add(EVERY_DETACHED).ok()?, "detached"))
}

/// Returns when the next checkpoint is due.
pub fn next_deadline(session: &Session) -> Option<Timestamp> {
    due(session).map(|(at, _)| at)
}

/// Makes the checkpoint that is due.
pub fn on_time(session: &Session, now: Timestamp, draft: &mut Draft) {
    if let Some((_, why)) = due(session).filter(|(at, _)| *at <= now) {
        checkpoints::automatic(session, draft, why);
    }
}
