//! What the hub counts and times.
//!
//! Owns: counters and histograms that rooms write while they work. Must not know: who reads them, or in which form.
//! Invariant: writing one is a few relaxed additions: no lock, no allocation, nothing that waits.
//!
//! Own atomics and no crate: `prometheus-client` and `metrics` bring registries, labels and locks for what are five
//! numbers and two histograms on this path, and neither would be allowed in here without its exporter's types.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the hub counts and times.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Commits that are on the disk.
    pub commits: Counter,
    /// Events in them.
    pub events: Counter,
    /// Appends that the store refused.
    pub append_failures: Counter,
    /// From handing a commit to the store until it is on the disk or refused.
    pub append: Histogram,
    /// From a commit being on the disk until its events have been handed to its readers' sockets, or wait for the next
    /// flush.
    pub fanout: Histogram,
}

/// How many events a second, over the last ten seconds. Unit of its slots: events in one second.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    began: Option<Instant>,
    slots: [u64; Rate::SECONDS],
    /// The second, counted from `began`, of the last slot that was written.
    last: u64,
}

impl Rate {
    const SECONDS: usize = 10;

    /// Counts `n` more.
    pub(crate) fn add(&mut self, n: u64, now: Instant) {
        let slot = self.move_to(now);
        self.slots[slot] += n;
    }

    /// Returns the mean of the last ten seconds; of all there were, when there were fewer.
    pub(crate) fn per_second(&mut self, now: Instant) -> f64 {
        self.move_to(now);
        let seconds = (self.last + 1).min(Self::SECONDS as u64);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let mean = self.slots.iter().sum::<u64>() as f64 / seconds as f64;
        mean
    }

    fn move_to(&mut self, now: Instant) -> usize {
        let began = *self.began.get_or_insert(now);
        let second = now.saturating_duration_since(began).as_secs();
        let n = Self::SECONDS as u64;
        for skipped in (self.last + 1)..=second.min(self.last + n) {
            self.slots[usize::try_from(skipped % n).unwrap_or(0)] = 0;
        }
        self.last = self.last.max(second);
        usize::try_from(self.last % n).unwrap_or(0)
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Returns the number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper ends of the classes. Unit: microseconds. From what a commit on a fast disk takes to what nobody waits for.
pub const BOUNDS_US: [u64; 14] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000];

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    classes: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Notes one duration.
    pub fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS_US.partition_point(|bound| *bound < us);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Returns how many took at most each bound, then how many there are, then their sum in microseconds.
    pub fn read(&self) -> ([u64; BOUNDS_US.len()], u64, u64) {
        let mut below = [0; BOUNDS_US.len()];
        let mut total = 0;
        for (class, count) in self.classes.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            if let Some(place) = below.get_mut(class) {
                *place = total;
            }
        }
        (below, total, self.sum_us.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_what_took_at_most_each_bound() {
        let histogram = Histogram::default();
        for us in [50, 100, 101, 1_000, 9_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let (below, total, sum) = histogram.read();
        assert_eq!((below[0], below[1], below[2], below[3], below[13]), (2, 3, 3, 4, 4));
        assert_eq!((total, sum), (5, 9_001_251));
    }
}
