//! The shape of every driver.
//!
//! Owns: the traits, capabilities, events and failures. Must not know: any one protocol or vendor.
//! Invariants: at most one turn runs per [`AgentSession`] (agents merge or mix up prompts that arrive while they are
//! busy, so the queue is the server's); each accepted prompt gives exactly one [`AgentEvent::Ended`], last.
//!
//! One turn, from the caller's side:
//!
//! ```no_run
//! # use roundtable_assistant::{driver::*, turn::TurnInput};
//! # use tokio_util::sync::CancellationToken;
//! # async fn one_turn(driver: &dyn Driver, spec: OpenSpec, input: TurnInput, stop: CancellationToken) -> Result<(), Failure> {
//! let Opened { mut session, mut events } = driver.open(spec).await?;
//! session.prompt(input, stop).await.expect("a fresh session is idle");
//! while let Some(event) = events.recv().await {
//!     if let AgentEvent::Ended(_) = event {
//!         break;
//!     }
//! }
//! session.close().await;
//! # Ok(())
//! # }
//! ```

use std::fmt;

use futures_util::future::BoxFuture;
use roundtable_protocol::model::{EndReason, Usage};
use roundtable_protocol::{ParticipantId, SessionId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::turn::TurnInput;

/// How many events a session's output holds before the driver waits for its reader. Unit: events.
///
/// Source: a model at 100 tokens a second fills it in 2.5 s; a reader that is slower than that for longer should slow
/// the model down rather than grow the memory.
pub const EVENT_CAPACITY: usize = 256;

/// Something that can answer turns.
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// Finds out what this driver can do, asking its other side where it has one.
    ///
    /// Fails when the other side cannot be used now; the driver itself stays usable and may be probed again.
    fn probe(&self) -> BoxFuture<'_, Result<Caps, Failure>>;

    /// Opens a conversation for one assistant in one session.
    fn open(&self, spec: OpenSpec) -> BoxFuture<'_, Result<Opened, Failure>>;
}

/// One assistant's side of one session. Dropping it stops the running turn.
pub trait AgentSession: Send {
    /// Starts a turn; its events come out of [`Opened::events`]. Cancelling `stop` ends it as [`TurnEnd::Stopped`].
    ///
    /// Returns when the turn was accepted, not when it ended.
    fn prompt(&mut self, input: TurnInput, stop: CancellationToken) -> BoxFuture<'_, Result<(), PromptRejection>>;

    /// Stops the running turn, if any, and waits until nothing of this session runs. Unread events may be dropped.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// What a driver can do, so that callers ask instead of guessing from its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The driver's name in settings: `guide`, `model`.
    pub driver: &'static str,
    /// What people see beside its answers.
    pub label: String,
    /// Which model answers; `None` when none does.
    pub model: Option<String>,
    /// Whether turns say what they used.
    pub usage: bool,
}

/// For whom a conversation is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSpec {
    /// The session.
    pub session: SessionId,
    /// The assistant in it.
    pub assistant: ParticipantId,
}

/// An open conversation.
pub struct Opened {
    /// Where prompts go in.
    pub session: Box<dyn AgentSession>,
    /// What comes out, at most [`EVENT_CAPACITY`] unread. Dropping it stops the running turn.
    pub events: mpsc::Receiver<AgentEvent>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("events", &self.events).finish_non_exhaustive()
    }
}

/// What a driver says during a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// The next piece of the answer; never empty.
    Text(String),
    /// What the turn used. At most once, before the end.
    Usage(Usage),
    /// Something that this server has no word for, as the vendor said it; for the record, not for people.
    Unknown {
        /// What it was, as far as can be told.
        what: String,
        /// The vendor's own words.
        raw: serde_json::Value,
    },
    /// The turn is over; nothing of it follows.
    Ended(TurnEnd),
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnEnd {
    /// As intended.
    Completed(EndReason),
    /// Somebody stopped it; the text so far stands.
    Stopped,
    /// It went wrong; the text so far stands.
    Failed(Failure),
}

/// What went wrong, in words that may be shown to everybody in the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// A stable word for it.
    pub code: FailureCode,
    /// What went wrong and what to do, for people. Holds no key and no part of a URL that could be one.
    pub message: String,
    /// Whether the same prompt may succeed later.
    pub retryable: bool,
}

/// Stable words for what goes wrong in a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureCode {
    /// The endpoint could not be reached.
    ModelUnreachable,
    /// The endpoint did not accept the key.
    ModelRefusedKey,
    /// The endpoint asked to slow down, or the account is used up.
    ModelRateLimited,
    /// The endpoint said nothing for too long.
    ModelTimedOut,
    /// The endpoint answered with an error, or with something that is no answer.
    ModelFailed,
    /// The guide was asked to fail.
    GuideDemoError,
    /// The driver itself broke: a bug.
    DriverBroke,
}

impl FailureCode {
    /// Returns the code on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::ModelUnreachable => "model_unreachable",
            Self::ModelRefusedKey => "model_refused_key",
            Self::ModelRateLimited => "model_rate_limited",
            Self::ModelTimedOut => "model_timed_out",
            Self::ModelFailed => "model_failed",
            Self::GuideDemoError => "guide_demo_error",
            Self::DriverBroke => "driver_broke",
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a prompt was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromptRejection {
    /// A turn is running; its end must come first.
    #[error("a turn is already running")]
    Busy,
}
