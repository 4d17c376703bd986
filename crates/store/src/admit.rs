//! What a commit must fulfil before a byte of it is written, the same for every store.
//!
//! Must not know: where sessions are kept, nor which ids are taken (each store looks for duplicates in its own way).

use roundtable_protocol::{Rev, Seq};

use crate::types::{AppendError, Commit};

/// Where the session stands when the commit's turn has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) rev: Rev,
    pub(crate) heads: [Seq; 4],
}

/// Checks rev, birth, rights epoch, the density of every stream and that redactions name events that are there.
///
/// Answers the heads after the commit. A gap, a redaction of nothing and a birth that is missing are faults of the
/// caller; they are answered `Conflict` like every other disagreement about where the session stands.
pub(crate) fn admit(commit: &Commit, position: Option<Position>, rights_epoch: u64) -> Result<[Seq; 4], AppendError> {
    let Position { rev, mut heads } = position.unwrap_or(Position { rev: Rev::ZERO, heads: [Seq::ZERO; 4] });
    let conflict = AppendError::Conflict { actual: rev };
    let is_birth = commit.expected_rev == Rev::ZERO;
    if commit.expected_rev != rev || is_birth != commit.birth.is_some() || is_birth != position.is_none() {
        return Err(conflict);
    }
    if commit.expected_rights != rights_epoch {
        return Err(AppendError::RightsMoved { actual: rights_epoch });
    }
    for event in &commit.events {
        let head = &mut heads[event.stream as usize];
        if event.seq != head.next() {
            return Err(conflict);
        }
        *head = event.seq;
    }
    let there = |&(stream, seq): &(_, Seq)| seq > Seq::ZERO && seq <= heads[stream as usize];
    if !commit.redactions.iter().all(there) {
        return Err(conflict);
    }
    Ok(heads)
}
