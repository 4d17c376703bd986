//! How much of the store's time a busy session may take from the others.
//!
//! A store writes one group of commits after another, so whoever comes while a group is written waits for its end. A
//! session that commits without a pause would make all others wait that long each time. So it leaves a gap between its
//! commits, in which more of its own commands come together; nobody else's are in the way.
//!
//! Owns: when the next commit may begin. Must not know: what is in it.

use tokio::time::{Duration, Instant};

/// So many commits a session may make without a gap, and it earns a new one this often.
const BURST: u32 = 32;
const EARNED_EVERY: Duration = Duration::from_millis(5);
/// How long the gap is, measured by the commit before it, and at most.
const GAP: u32 = 2;
const LONGEST_GAP: Duration = Duration::from_millis(2);
/// A commit that is faster than this is in nobody's way. The least that a flush to a disk takes.
const CHEAP: Duration = Duration::from_micros(100);

/// When a room may begin its next commit.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// When everything would be earned again that was used.
    earned: Instant,
    until: Option<Instant>,
}

impl Throttle {
    pub(crate) fn new(now: Instant) -> Self {
        Self { earned: now, until: None }
    }

    /// Takes note of a commit that took so long.
    pub(crate) fn committed(&mut self, took: Duration, now: Instant) {
        self.earned = self.earned.max(now) + EARNED_EVERY;
        let is_busy = self.earned.duration_since(now) > BURST * EARNED_EVERY;
        self.until = (is_busy && took >= CHEAP).then(|| now + (GAP * took).min(LONGEST_GAP));
        // What was used beyond the burst is not owed for ever.
        self.earned = self.earned.min(now + (BURST + 1) * EARNED_EVERY);
    }

    /// Returns until when the next commit waits, unless it is full before.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_quiet_session_never_waits() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(now);
        for _ in 0..1_000 {
            now += EARNED_EVERY;
            throttle.committed(MS, now);
            assert_eq!(throttle.until(), None);
        }
    }

    #[test]
    fn a_session_that_commits_without_a_pause_leaves_gaps_after_a_burst() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(now);
        let mut commit = |took: Duration, pause: Duration| {
            now += took + pause;
            throttle.committed(took, now);
            throttle.until().map(|until| until - now)
        };
        assert!((0..BURST).all(|_| commit(MS / 2, Duration::ZERO).is_none()));
        assert_eq!((0..100).filter_map(|_| commit(MS / 2, Duration::ZERO)).last(), Some(MS));
        assert_eq!(commit(4 * MS, Duration::ZERO), Some(LONGEST_GAP));
        assert_eq!(commit(CHEAP / 2, Duration::ZERO), None, "it was in nobody's way");
        assert_eq!(commit(MS, EARNED_EVERY * BURST), None, "it has rested");
    }
}
