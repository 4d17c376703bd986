//! A session's history at a glance.
//!
//! Owns: what a replay's bar shows. Must not know: how it is made. Invariant: fields are only ever added.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{Epoch, MessageId, Seq, Stream, Timestamp, TurnId};

/// A stream's history at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Timeline {
    /// The identity of the numbering.
    pub epoch: Epoch,
    /// The stream.
    pub stream: Stream,
    /// Its last seq.
    pub head: Seq,
    /// When its first event happened, of those that are kept.
    pub first_at: Option<Timestamp>,
    /// When its last event happened.
    pub last_at: Option<Timestamp>,
    /// When which seq was reached: the first event, the last one, and at most 998 between them at equal steps.
    pub points: Vec<Point>,
    /// What stands out, at most 2,000, in order.
    pub markers: Vec<Marker>,
    /// How many markers there are beyond these.
    pub markers_left_out: u64,
    /// The oldest seq that is kept, when what came before it is not: then the first point is not the session's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trimmed_before: Option<Seq>,
}

/// When a seq was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Point {
    /// The seq.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
}

/// An event that stands out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Marker {
    /// Which event.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// What kind of event.
    pub kind: String,
    /// What it is called, when it has a name: a checkpoint's, a branch's.
    pub name: Option<String>,
    /// The message that it is about.
    pub message: Option<MessageId>,
    /// The turn that it is about.
    pub turn: Option<TurnId>,
}
