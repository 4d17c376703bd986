//! A server on trial: everything its clients saw, the laws that must hold, and the bad days it goes through.
//!
//! Owns: what is written down, what may not happen, how faults are made. Must not know: how a server works inside; it
//! is a program with a port and a data folder. Invariant: the order in which records are written down agrees with real
//! time, so that "acknowledged before it was asked" can be read off it.
//!
//! | module | holds |
//! |---|---|
//! | [`history`] | what is written down |
//! | [`checker`] | the laws I1 to I9 over a history and the final log |
//! | [`dice`] | chance by seed |
//! | `recorder` | from a client's traffic to a history |
//! | `server` | the process: start, SIGKILL, memory |
//! | `rest` | calls over HTTP, as plain as they go |
//! | `people` | users, sessions and clients to fill a server with |
//! | `rounds` | kill -9 in rounds while writers write |
//! | `crowd` | normal clients whose waiting time is measured |
//! | `nuisance` | callers who hold, flood and never finish |

pub mod checker;
pub mod dice;
pub mod history;

#[cfg(feature = "trial")]
pub mod crowd;
#[cfg(feature = "trial")]
pub mod nuisance;
#[cfg(feature = "trial")]
pub mod people;
#[cfg(feature = "trial")]
pub mod recorder;
#[cfg(feature = "trial")]
pub mod rest;
#[cfg(feature = "trial")]
pub mod rounds;
#[cfg(feature = "trial")]
pub mod server;
