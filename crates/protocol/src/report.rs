//! What a session came to: the figures of its report.
//!
//! Owns: their shapes. Must not know: how they are counted. Invariant: every figure can be counted again from the events
//! of `main` up to and including `session.ended`; a test does.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::grant::Role;
use crate::ids::{MessageId, ParticipantId, Timestamp};
use crate::model::{ParticipantKind, SessionState, Usage};

/// What a session came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// How it ended.
    pub state: SessionState,
    /// Why, in a word.
    pub reason: String,
    /// When it started; null when it never did.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// From start to end, pauses included; 0 when it never started. Unit: milliseconds.
    pub duration_ms: u64,
    /// How much of that it was paused. Unit: milliseconds.
    pub paused_ms: u64,
    /// Everybody who was ever in it, in the order of first joining.
    pub participants: Vec<ReportPerson>,
    /// How many messages people wrote in `main`, erased ones included.
    pub messages: u64,
    /// What became of the questions to assistants.
    pub turns: TurnCounts,
    /// Messages that are marked as decisions, in their order.
    pub decisions: Vec<MessageId>,
    /// What the answers used, by driver, in the order of first use.
    pub usage: Vec<DriverUsage>,
    /// What was written to the shared context; absent in reports of before it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextFigures>,
    /// How many events `main` had, `session.ended` included.
    pub events: u64,
}

/// Somebody in a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportPerson {
    /// Who.
    pub participant: ParticipantId,
    /// Person or program.
    pub kind: ParticipantKind,
    /// The role at the end.
    pub role: Role,
    /// How many messages they wrote in `main`; answers, for an assistant.
    pub messages: u64,
}

/// What became of turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnCounts {
    /// Asked.
    pub asked: u64,
    /// Answered whole.
    pub completed: u64,
    /// Stopped by somebody, a pause or the end.
    pub stopped: u64,
    /// Failed.
    pub failed: u64,
    /// Lost with whoever answered.
    pub lost: u64,
    /// Taken back, or never begun.
    pub withdrawn: u64,
}

/// What was written to the shared context, on all branches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextFigures {
    /// How many writes changed something.
    pub writes: u64,
    /// How many conflicts were left to people.
    pub conflicts: u64,
    /// How many of them people have resolved; the others are open.
    pub resolved: u64,
    /// How many values the main branch's document holds, objects and lists counted, the document itself not.
    pub values: u64,
    /// How long the main branch's document is as JSON without blanks. Unit: bytes.
    pub size_bytes: u64,
}

/// What the answers of one driver used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DriverUsage {
    /// Which driver: `guide`, `model` ...
    pub driver: String,
    /// How many answers.
    pub answers: u64,
    /// The sum; its `source` is the least certain one.
    pub usage: Usage,
}
