//! The session client: a sans-IO sync machine and a thin tokio socket around it.
//!
//! Owns: connecting, resuming, gaps, backoff, keys and retries. Must not know: how a session decides, what a page looks
//! like. Invariant: an event is applied only when it is the next one of its stream, and a command keeps its key until
//! it is answered for good.
//!
//! | module | holds |
//! |---|---|
//! | [`machine`] | [`Machine`]: inputs, outputs, no clock, no randomness, no socket |
//! | [`incoming`] | server frames read leniently: kinds of a newer server are counted, not refused |
//! | [`socket`] | [`Client`]: the machine on a tokio WebSocket |
//! | `trial` | what every client saw, and the laws it must keep; a server put through bad days (feature `trial`) |
//!
//! The machine has a twin in `web/src/session`; `fixtures/frames/client-machine/*.jsonl` bind both.

pub mod incoming;
pub mod machine;
pub mod socket;
#[cfg(any(test, feature = "trial"))]
pub mod trial;

pub use incoming::{Incoming, Item};
pub use machine::{Entropy, Machine, Output, Status};
pub use socket::Client;
