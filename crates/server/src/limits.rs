//! Rates and numbers of connections.
//!
//! Owns: token buckets and counters. Must not know: what they protect. Invariant: what is kept for one address or login
//! is forgotten once it is full again, so that many addresses cannot fill the memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How many buckets are kept before those that are full again are thrown away.
const KEPT: usize = 50_000;

/// How fast and how much at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    per_second: f64,
    burst: f64,
}

impl Rate {
    /// Makes a rate; `None` when `per_second` is 0: without limit.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        (per_second > 0).then(|| Self { per_second: f64::from(per_second), burst: f64::from(burst.max(1)) })
    }

    /// Makes a rate of so many in so many seconds, all of which may come at once.
    pub fn within(count: u32, seconds: u32) -> Self {
        Self { per_second: f64::from(count) / f64::from(seconds), burst: f64::from(count) }
    }
}

/// What one caller has left.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// Makes a full bucket.
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { left: rate.burst, at: now }
    }

    /// Takes one, or says in how many milliseconds there is one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), u64> {
        self.fill(rate, now);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        Err(((1.0 - self.left) / rate.per_second * 1000.0).ceil() as u64)
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * rate.per_second).min(rate.burst);
        self.at = now;
    }
}

/// One bucket for each key.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Option<Rate>,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Makes buckets of one rate; `None`: without limit.
    pub fn new(rate: Option<Rate>) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes one for `key`, or says in how many milliseconds there is one.
    pub fn take(&self, key: K) -> Result<(), u64> {
        self.take_at(key, Instant::now())
    }

    /// Puts one back that was taken for nothing.
    pub fn give_back(&self, key: &K) {
        if let (Some(rate), Some(bucket)) = (self.rate, lock(&self.buckets).get_mut(key)) {
            bucket.left = (bucket.left + 1.0).min(rate.burst);
        }
    }

    fn take_at(&self, key: K, now: Instant) -> Result<(), u64> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= KEPT {
            buckets.retain(|_, bucket| {
                bucket.fill(rate, now);
                bucket.left < rate.burst
            });
        }
        buckets.entry(key).or_insert_with(|| Bucket::full(rate, now)).take(rate, now)
    }
}

/// Whom a limit for addresses binds: an IPv4 address, or the /64 that one IPv6 customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Neighbour(IpAddr);

impl From<IpAddr> for Neighbour {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 => v4,
        })
    }
}

/// Counts open sockets by address.
#[derive(Clone, Debug, Default)]
pub struct Sockets(Arc<Mutex<HashMap<Neighbour, usize>>>);

impl Sockets {
    /// Returns how many are open.
    pub fn count(&self) -> usize {
        lock(&self.0).values().sum()
    }

    /// Counts one more of `address`, unless it has `most` already. 0: without limit.
    pub fn open(&self, address: IpAddr, most: usize) -> Option<OpenSocket> {
        let of = Neighbour::from(address);
        let mut all = lock(&self.0);
        let count = all.entry(of).or_default();
        if most > 0 && *count >= most {
            return None;
        }
        *count += 1;
        drop(all);
        Some(OpenSocket { sockets: self.clone(), of })
    }
}

/// One counted socket; not counted any more once dropped.
#[derive(Debug)]
pub struct OpenSocket {
    sockets: Sockets,
    of: Neighbour,
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        let mut all = lock(&self.sockets.0);
        if let Some(count) = all.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.of);
            }
        }
    }
}

/// Locks, also after a panic of another holder: every change here is one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let rate = Rate::new(10, 3).expect("limited");
        let start = Instant::now();
        let mut bucket = Bucket::full(rate, start);
        assert!((0..3).all(|_| bucket.take(rate, start).is_ok()));
        assert_eq!(bucket.take(rate, start), Err(100));
        assert_eq!(bucket.take(rate, start + Duration::from_millis(40)), Err(60));
        assert_eq!(bucket.take(rate, start + Duration::from_millis(100)), Ok(()));
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..10).filter(|_| bucket.take(rate, later).is_ok()).count(), 3, "no more than the burst");
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let buckets = Buckets::new(Rate::new(0, 1));
        assert!((0..1000).all(|_| buckets.take(1).is_ok()));
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let buckets = Buckets::new(Rate::new(1000, 1));
        let start = Instant::now();
        for key in 0..KEPT {
            buckets.take_at(key, start).expect("a fresh key");
        }
        buckets.take_at(KEPT, start + Duration::from_secs(1)).expect("a fresh key");
        assert_eq!(lock(&buckets.buckets).len(), 1);
    }

    #[test]
    fn sockets_are_counted_by_address_until_dropped() {
        let sockets = Sockets::default();
        let (here, there) = ("2001:db8::1".parse().expect("ip"), "2001:db8::ffff:1".parse().expect("ip"));
        let first = sockets.open(here, 2).expect("room");
        let second = sockets.open(there, 2).expect("room: the same /64");
        assert!(sockets.open(here, 2).is_none());
        assert!(sockets.open("2001:db8:0:1::1".parse().expect("ip"), 2).is_some(), "another /64");
        drop(first);
        assert!(sockets.open(here, 2).is_some());
        drop(second);
        assert!(lock(&sockets.0).is_empty());
        let unlimited: Vec<_> = (0..1000).filter_map(|_| sockets.open(here, 0)).collect();
        assert_eq!(unlimited.len(), 1000);
    }
}
