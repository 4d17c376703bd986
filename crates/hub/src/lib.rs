//! The tokio driver of sessions: one task per live session, fan-out, timers; the embeddable [`SessionManager`].
//!
//! Owns: rooms, their order of work, connections' outboxes, grants at hand, snapshots. Must not know: HTTP, cookies,
//! models. Invariant: what a room has acknowledged or sent is on the disk; pending facts never leave the room.
//!
//! | module | holds |
//! |---|---|
//! | [`manager`] | [`SessionManager`]: the library's face |
//! | `rooms` | the rooms of this process: found, loaded, woken, retired |
//! | [`config`] | limits and times, with their reasons |
//! | [`room`] | the one loop: inbox, batch, commit, publish, owed |
//! | [`metrics`] | what rooms count and time |
//! | [`outbox`] | one connection's bounded backlog |
//! | [`frame`] | frames encoded once and shared |
//! | `grants` | grants at hand and when they are stale |
//! | `fanout` | who gets what, coalescing |
//! | `joins` | subscribe, then read, then release |
//! | [`library`] | short calls and a watcher, for programs without a server |
//! | `lineage` | what sessions owe their copies |
//! | `lanes` | ephemeral slots, newest wins |
//! | [`replay`] | the state at any place of the log, and what followed at its pace |
//! | `views` | view snapshots and pages, made off the room's task |
//! | [`turns`] | the live text of a running turn, and what is handed to drivers |
//! | [`context`] | the shared context: read, write, what came of it |
//! | [`uploads`] | uploaded files: who may, who reads, what assistants are told |
//! | [`clock`] | the time, in one place |

pub mod clock;
pub mod config;
pub mod context;
mod fanout;
pub mod frame;
mod grants;
mod joins;
mod lanes;
pub mod library;
mod lineage;
pub mod manager;
pub mod metrics;
pub mod outbox;
pub mod replay;
pub mod room;
mod rooms;
pub mod turns;
pub mod uploads;
mod views;

pub use config::HubConfig;
pub use context::{ContextValue, ContextWritten};
pub use frame::Frame;
pub use manager::MemoryQuery;
pub use manager::{
    Acknowledged, BranchList, Comparison, Created, Entry, EventPage, Health, History, HistoryQuery, Known, Lineage,
    PathMessage, SessionManager, Standing, Stats, TurnHealth, Unread, trimmed,
};
pub use metrics::Metrics;
pub use outbox::Outbox;
pub use room::{Receipt, Subscription};
pub use rooms::OnlinePerson;
pub use roundtable_core::Founding;
pub use roundtable_core::session::{chosen_colour, colour, display_name};
pub use turns::{TranscriptMemory, TranscriptMessage, TurnHandle, TurnWork};
pub use uploads::TranscriptAttachment;
