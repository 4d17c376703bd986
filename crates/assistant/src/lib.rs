//! Turn drivers: what a turn owes goes in, agent events come out.
//!
//! Owns: the [`driver`] traits, the prompt that a transcript becomes, and the drivers. Must not know: sessions'
//! storage, the hub, sockets. Invariants: text of a stream other than `main` cannot be put into a [`turn::TurnInput`];
//! each started turn gives exactly one [`driver::AgentEvent::Ended`], as its last event; no key is ever part of a
//! message, an event or a log line.
//!
//! | module | holds |
//! |---|---|
//! | [`driver`] | [`driver::Driver`], [`driver::AgentSession`], what they can do and what they say |
//! | [`turn`] | what a driver is given: [`turn::TurnInput`] and its transcript |
//! | [`prompt`] | from a transcript to the messages that a model reads |
//! | [`guide`] | the built-in driver without a model |
//! | [`model`] | a model behind chat completions, Anthropic's messages or Ollama's chat |
//! | [`secret`] | text that must not be shown |
//! | `turns` | runs one turn at a time, for drivers that run in this process |
#![forbid(unsafe_code)]

pub mod driver;
pub mod guide;
pub mod model;
pub mod prompt;
pub mod secret;
pub mod turn;
mod turns;

pub use driver::{AgentEvent, AgentSession, Caps, Driver, Failure, FailureCode, OpenSpec, Opened, TurnEnd};
pub use guide::Guide;
pub use model::{ModelConfig, ModelDriver, Provider};
pub use secret::Secret;
pub use turn::{AuthorKind, EntryAttachment, MainText, MemoryEntry, TranscriptEntry, TurnInput};
