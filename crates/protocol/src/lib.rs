//! The recorded and spoken vocabulary of Roundtable: everything that is stored or sent.
//!
//! Owns: ids, commands, events, frames, the error catalogue, grants and the [`view::View`] with its
//! reducer. Must not know: rules (they are in `core`), storage, sockets, clocks.
//! Invariant: a type that somebody else stores or reads derives serde here and nowhere else, so every
//! promise stands in this folder.
//!
//! | module | holds |
//! |---|---|
//! | [`ids`] | newtypes over UUIDv7, sequence numbers, streams |
//! | [`branching`] | the nouns of checkpoints and branches |
//! | [`mod@context`] | how the shared context is written: operations, changes, conflicts |
//! | [`lobby`] | who asks to be let in |
//! | [`memory`] | memories and action types |
//! | [`command`] | what can be asked of a session |
//! | [`event`] | what happened and was recorded |
//! | [`model`] | the nouns inside events and views: participant, settings, turn ... |
//! | [`grant`] | permissions, roles and the value that `access` computes |
//! | [`problem`] | the error catalogue and the one error shape |
//! | [`frame`] | what travels on the WebSocket |
//! | [`timeline`] | a session's history at a glance |
//! | [`view`] | the fold that people see |

pub mod branching;
pub mod command;
pub mod context;
pub mod event;
pub mod frame;
pub mod grant;
pub mod ids;
pub mod lobby;
pub mod memory;
pub mod model;
pub mod problem;
pub mod report;
pub mod timeline;
pub mod view;

pub use command::Command;
pub use event::{Actor, Event, EventBody, EventHeader};
pub use frame::{ClientFrame, ServerFrame};
pub use grant::{Grant, Permission, Permissions, Role};
pub use ids::*;
pub use problem::{Code, Problem};
pub use view::View;
