//! The time, in one place.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use roundtable_protocol::Timestamp;
use roundtable_protocol::ids::uuid_v7;
use uuid::Uuid;

/// Returns the wall-clock time, cut to milliseconds; in this process it never goes back.
///
/// A clock that is set back would keep a dead lease alive for as long as the jump, so from then on time goes on at the
/// pace of the monotonic clock until the wall has caught up.
pub fn now() -> Timestamp {
    static LAST: Mutex<Option<(Timestamp, Instant)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let (wall, instant) = (Timestamp::now(), Instant::now());
    let now = forward(*last, wall, instant);
    *last = Some((now, instant));
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// Returns the later of the wall's time and the last time plus what has passed since.
fn forward(last: Option<(Timestamp, Instant)>, wall: Timestamp, instant: Instant) -> Timestamp {
    let passed = last.and_then(|(at, then)| at.checked_add(instant.duration_since(then)).ok());
    passed.map_or(wall, |passed| passed.max(wall))
}

/// Makes a new UUIDv7: the key of a command that the server gives itself.
///
/// # Panics
/// When the operating system has no randomness.
pub fn new_key() -> Uuid {
    uuid_v7(now(), drawn())
}

/// Returns random bytes from the operating system.
///
/// # Panics
/// When the operating system has no randomness; nothing here is safe without it.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// How much is asked for at once. Unit: bytes.
const POOL: usize = 640;

/// Returns random bytes of which the operating system was asked for many at once: every message has a key, and a call for
/// each would take longer than the rest of making it. Each byte is given once. Secrets come from [`random`].
fn drawn<const N: usize>() -> [u8; N] {
    const { assert!(N <= POOL) };
    thread_local! {
        static LEFT: RefCell<([u8; POOL], usize)> = const { RefCell::new(([0; POOL], 0)) };
    }
    LEFT.with_borrow_mut(|(pool, left)| {
        if *left < N {
            (*pool, *left) = (random(), POOL);
        }
        *left -= N;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&pool[*left..*left + N]);
        bytes
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_jumps_never_takes_time_back_or_stops_it() {
        let (at, then) = (Timestamp::UNIX_EPOCH, Instant::now());
        let hour = Duration::from_secs(3600);
        let second = Duration::from_secs(1);
        let wall = |d: Duration| at.checked_add(d).expect("a time");
        assert_eq!(forward(None, at, then), at);
        assert_eq!(forward(Some((wall(hour), then)), at, then + second), wall(hour + second), "set back: goes on");
        assert_eq!(forward(Some((at, then)), wall(hour), then + second), wall(hour), "set forward: follows");
    }

    #[test]
    fn no_random_byte_is_given_twice_on_any_thread() {
        // Far more than one pool, in sizes that do not divide it.
        let draw = || (0..1_000).flat_map(|_| [drawn::<10>().to_vec(), drawn::<13>().to_vec()]).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let all = threads.into_iter().flat_map(|thread| thread.join().expect("no panic"));
        let mut parts = HashSet::new();
        // Eight bytes that come twice among so few were given twice.
        assert!(all.map(|bytes| bytes[..8].to_vec()).all(|part| parts.insert(part)));
        assert_eq!(parts.len(), 8_000);
    }

    #[test]
    fn keys_bear_the_time_and_are_all_different() {
        let before = now().as_millisecond();
        let keys: HashSet<Uuid> = (0..10_000).map(|_| new_key()).collect();
        let after = now().as_millisecond();
        assert_eq!(keys.len(), 10_000);
        let made = |key: &Uuid| i64::try_from(key.as_u128() >> 80).expect("48 bits");
        assert!(keys.iter().all(|key| (before..=after).contains(&made(key))));
    }
}
