//! The time, in one place.

use roundtable_protocol::Timestamp;
use roundtable_protocol::ids::uuid_v7;
use uuid::Uuid;

/// Returns the wall-clock time, cut to milliseconds.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// Makes a new UUIDv7: the key of a command that the server gives itself.
///
/// # Panics
/// When the operating system has no randomness.
pub fn new_key() -> Uuid {
    uuid_v7(now(), random())
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
