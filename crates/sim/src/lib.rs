//! The simulator: core and client over a bad network, a bad disk and a server that dies, all decided by a seed.
//!
//! Owns: a small deterministic room, people who do random things, chaos, and the checks. Must not know: tokio, the real
//! store, the real sockets. Invariant: the same seed gives the same trace, to the bit.
//!
//! | module | holds |
//! |---|---|
//! | [`world`] | time, the network, chaos, one run from seed to verdict |
//! | [`server`] | the room: batches, commits, joins, fan-out, the scripted assistant |
//! | [`person`] | a client machine and what its user feels like doing |
//! | [`check`] | what must hold, and what was seen |
//! | [`disk`] | what survives |
//! | [`grants`] | the role table in the small |
//! | [`rng`] | randomness from a seed |
//! | [`fixtures`] | `fixtures/views/*.jsonl`, which bind the view to its TypeScript twin |

pub mod check;
pub mod disk;
pub mod fixtures;
pub mod grants;
pub mod person;
pub mod rng;
pub mod server;
pub mod world;

pub use world::{Fault, Report, run, run_aloud};
