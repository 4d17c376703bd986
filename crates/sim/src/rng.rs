//! Randomness that a seed decides.

use roundtable_client::Entropy;
use roundtable_protocol::ids::{Timestamp, uuid_v7};
use uuid::Uuid;

/// 2026-11-20T00:00:00Z: where every simulated calendar starts. Unit: milliseconds since 1970.
pub const DAY_ONE_MS: i64 = 1_795_132_800_000;

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Makes a generator; streams of different `salt` do not follow each other.
    pub fn new(seed: u64, salt: u64) -> Self {
        let mut rng = Self(seed ^ salt.wrapping_mul(0xd134_2543_de82_ef95));
        rng.draw();
        rng
    }

    /// Returns 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.draw() % n }
    }

    /// Returns an index into something of length `len`.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    /// Returns a number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Returns true in `per_mille` of 1,000 cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// Picks one of `all`.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.index(all.len()))
    }

    /// Makes a UUIDv7.
    pub fn uuid(&mut self) -> Uuid {
        let at = DAY_ONE_MS + i64::try_from(self.below(1_000_000)).expect("small");
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.draw().to_be_bytes());
        random[8..].copy_from_slice(&self.draw().to_be_bytes()[..2]);
        uuid_v7(Timestamp::from_millisecond(at).expect("in this century"), random)
    }
}

impl Entropy for Rng {
    fn key(&mut self) -> Uuid {
        self.uuid()
    }

    fn jitter(&mut self) -> f64 {
        f64::from(u32::try_from(self.draw() >> 32).expect("32 bits")) / f64::from(u32::MAX)
    }
}
