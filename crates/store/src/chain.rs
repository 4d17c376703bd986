//! The hash chain over the stored events of one stream.
//!
//! Owns: how a row is sealed and linked, and the walk that checks it. Must not know: where rows are kept.
//! Invariant: `hash = SHA-256(previous hash || header || seal)` with `seal = SHA-256(salt || body)`, and the first
//! previous hash is 32 zero bytes. A redacted row keeps its seal and loses salt and text: the chain still verifies,
//! and without the salt nobody can find out by guessing what the text was.

use roundtable_protocol::{Seq, Stream};
use sha2::{Digest, Sha256};

use crate::types::Verification;

/// A SHA-256.
pub type Hash = [u8; 32];

/// What keeps a short body from being guessed by its hash.
pub type Salt = [u8; 16];

/// The hash before a stream's first event.
pub const GENESIS: Hash = [0; 32];

/// Returns the hash that stands for a body, also after the body is gone.
pub fn seal(salt: &Salt, body: &[u8]) -> Hash {
    Sha256::new().chain_update(salt).chain_update(body).finalize().into()
}

/// Returns the hash of an event that follows one with hash `previous`.
pub fn link(previous: &Hash, header: &[u8], seal: &Hash) -> Hash {
    Sha256::new().chain_update(previous).chain_update(header).chain_update(seal).finalize().into()
}

/// Draws salts for `n` events.
///
/// # Errors
/// The system has no randomness to give.
pub fn salts(n: usize) -> Result<Vec<Salt>, getrandom::Error> {
    let mut salts = vec![[0; 16]; n];
    getrandom::fill(salts.as_flattened_mut())?;
    Ok(salts)
}

/// What a row keeps of its body.
#[derive(Clone, Copy, Debug)]
pub enum Kept<'a> {
    /// The body itself and its salt.
    Body {
        /// The salt.
        salt: &'a Salt,
        /// The body.
        body: &'a [u8],
    },
    /// Only the seal: the body was redacted.
    Seal(&'a Hash),
    /// Neither: the row was tampered with.
    Nothing,
}

/// One walk along one stream, from its first event to its head.
#[derive(Debug)]
pub struct Walk {
    stream: Stream,
    last: Seq,
    hash: Hash,
    broken: Option<Seq>,
    events: u64,
    redacted: u64,
}

impl Walk {
    /// Starts before the first event of `stream`.
    pub fn new(stream: Stream) -> Self {
        Self { stream, last: Seq::ZERO, hash: GENESIS, broken: None, events: 0, redacted: 0 }
    }

    /// Starts behind an event that is not kept any more.
    pub fn behind(stream: Stream, last: Seq, hash: Hash) -> Self {
        Self { last, hash, ..Self::new(stream) }
    }

    /// Takes the next row in the order of seqs.
    pub fn step(&mut self, seq: Seq, header: &[u8], kept: Kept<'_>, hash: &[u8]) {
        let seal = match kept {
            Kept::Body { salt, body } => Some(seal(salt, body)),
            Kept::Seal(seal) => Some(*seal),
            Kept::Nothing => None,
        };
        let expected = seal.map(|seal| link(&self.hash, header, &seal));
        self.events += 1;
        self.redacted += u64::from(matches!(kept, Kept::Seal(_)));
        if self.broken.is_none() {
            if seq != self.last.next() {
                self.broken = Some(self.last.next());
            } else if expected.as_ref().map(Hash::as_slice) != Some(hash) {
                self.broken = Some(seq);
            }
        }
        self.last = seq;
        // Going on from what is stored finds the first fault of the stream once, not at every later event.
        self.hash = hash.try_into().unwrap_or(GENESIS);
    }

    /// Compares the end with what the session knows of the stream and adds the result to `verification`.
    pub fn finish(mut self, head: Seq, tip: &Hash, verification: &mut Verification) {
        if self.broken.is_none() {
            if self.last != head {
                self.broken = Some(self.last.min(head).next());
            } else if self.hash != *tip {
                self.broken = Some(head);
            }
        }
        verification.events += self.events;
        verification.redacted += self.redacted;
        verification.broken.extend(self.broken.map(|seq| (self.stream, seq)));
        if self.events > 0 {
            verification.heads.push((self.stream, self.last, self.hash));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of `bodies` as (salt, seal, hash).
    fn chained(bodies: &[&[u8]]) -> Vec<(Salt, Hash, Hash)> {
        let mut previous = GENESIS;
        bodies
            .iter()
            .enumerate()
            .map(|(n, body)| {
                let salt = [u8::try_from(n).expect("few bodies"); 16];
                let seal = seal(&salt, body);
                previous = link(&previous, b"{}", &seal);
                (salt, seal, previous)
            })
            .collect()
    }

    fn walk(rows: &[(u64, Kept<'_>, Hash)], head: u64, tip: &Hash) -> Verification {
        let mut walk = Walk::new(Stream::Main);
        for (seq, kept, hash) in rows {
            walk.step(Seq(*seq), b"{}", *kept, hash);
        }
        let mut verification = Verification::default();
        walk.finish(Seq(head), tip, &mut verification);
        verification
    }

    #[test]
    fn the_hash_is_what_the_design_says() {
        let salt = [7; 16];
        let mut inner = salt.to_vec();
        inner.extend_from_slice(b"body");
        let inner: Hash = Sha256::digest(&inner).into();
        let mut outer = [0u8; 32].to_vec();
        outer.extend_from_slice(b"header");
        outer.extend_from_slice(&inner);
        let outer: Hash = Sha256::digest(&outer).into();
        assert_eq!(link(&GENESIS, b"header", &seal(&salt, b"body")), outer);
    }

    #[test]
    fn a_whole_chain_verifies_with_and_without_a_body() {
        let rows = chained(&[b"a", b"b"]);
        let first = Kept::Body { salt: &rows[0].0, body: b"a" };
        let second = Kept::Seal(&rows[1].1);
        let found = walk(&[(1, first, rows[0].2), (2, second, rows[1].2)], 2, &rows[1].2);
        let heads = vec![(Stream::Main, Seq(2), rows[1].2)];
        assert_eq!(found, Verification { events: 2, redacted: 1, broken: vec![], heads });
    }

    #[test]
    fn each_fault_is_found_where_it_is() {
        let rows = chained(&[b"a", b"b", b"c"]);
        let body = |n: usize, text: &'static [u8]| Kept::Body { salt: &rows[n].0, body: text };
        let (a, b, c) = (rows[0].2, rows[1].2, rows[2].2);
        let broken = |found: Verification| found.broken;

        let changed = [(1, body(0, b"a"), a), (2, body(1, b"x"), b), (3, body(2, b"c"), c)];
        assert_eq!(broken(walk(&changed, 3, &c)), [(Stream::Main, Seq(2))]);
        let missing = [(1, body(0, b"a"), a), (3, body(2, b"c"), c)];
        assert_eq!(broken(walk(&missing, 3, &c)), [(Stream::Main, Seq(2))]);
        let cut = [(1, body(0, b"a"), a), (2, body(1, b"b"), b)];
        assert_eq!(broken(walk(&cut, 3, &c)), [(Stream::Main, Seq(3))]);
        let other_tip = [(1, body(0, b"a"), a)];
        assert_eq!(broken(walk(&other_tip, 1, &b)), [(Stream::Main, Seq(1))]);
        let no_proof = [(1, Kept::Nothing, a)];
        assert_eq!(broken(walk(&no_proof, 1, &a)), [(Stream::Main, Seq(1))]);
    }
}
