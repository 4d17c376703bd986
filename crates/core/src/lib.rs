//! The sans-IO session engine: rules, roles and what is owed.
//!
//! Owns: what a command would do now, what an event changes, what must still be done. Must not know: stores, sockets,
//! tasks, clocks, randomness; time and callers come in through [`Context`]. Invariant: `decide` changes nothing,
//! `apply` is the only change and cannot fail, and the same `apply` runs live, after a restart, in replay and in the
//! simulator.
//!
//! | module | holds |
//! |---|---|
//! | [`context`] | what comes in beside a command, what comes out of a decision |
//! | [`mod@permission`] | command -> permission, the one table |
//! | [`session`] | [`Session`]: the state and its two matches |
//! | [`presence`] | who is there: its own type, never in [`Session`] |

pub mod context;
pub mod permission;
pub mod presence;
pub mod session;

pub use context::{Caller, Context, Copied, CopiedMessage, Decision, Founding, Owed, Rejection, Upload};
pub use permission::permission;
pub use presence::Presence;
pub use session::Session;
