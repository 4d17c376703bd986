//! The private state snapshot: a cache of the fold, thrown away when its format is another.
//!
//! Owns: the format tag. Must not know: where it is kept. Invariant: folding on from a snapshot gives what folding from
//! the first event gives; it holds no message text.

use super::Session;

impl Session {
    /// The format of [`Session::to_snapshot`]. Raised whenever any type inside changes.
    pub const SNAPSHOT_FORMAT: u32 = 9;

    /// Returns the state as bytes, about 60 a message.
    pub fn to_snapshot(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("the state serialises: string keys, no failing impls")
    }

    /// Reads a state back; none when the format is another or the bytes are no snapshot, and the log must be folded.
    pub fn from_snapshot(format: u32, bytes: &[u8]) -> Option<Self> {
        if format != Self::SNAPSHOT_FORMAT {
            return None;
        }
        let mut session: Self = serde_json::from_slice(bytes).ok()?;
        session.roster.index();
        session.messages.index().then_some(session)
    }
}

#[cfg(test)]
mod tests;
