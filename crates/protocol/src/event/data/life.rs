//! What the events of a session's life say beyond its beginning and its end.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{ParticipantId, Seq, Stream, Timestamp, UserId};
use crate::model::{DetachReason, Limit, SessionState, SuccessionReason};
use crate::report::Report;

/// Data of `session.paused`; who paused it is the event's actor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionPaused {
    /// Why, in the words of who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Data of `session.resumed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionResumed {
    /// What it was: paused or failed.
    pub from: SessionState,
}

/// Data of `session.ending`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionEnding {
    /// Why it will end, in a word.
    pub reason: String,
}

/// Data of `session.expiry_changed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionExpiryChanged {
    /// When it ends by itself; null: never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// Data of `session.warned`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionWarned {
    /// What will end it.
    pub limit: Limit,
    /// When, unless something changes.
    pub strikes_at: Timestamp,
}

/// Data of `session.detached`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionDetached {
    /// How it came about.
    pub why: DetachReason,
}

/// Data of `session.attached`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionAttached {
    /// Who came.
    pub participant: ParticipantId,
}

/// Data of `session.work_done`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionWorkDone {
    /// How many turns have ended since it was detached.
    pub turns: u32,
    /// How many of them failed, were lost or were stopped.
    pub unfinished: u32,
}

/// Data of `session.reported`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionReported {
    /// The figures.
    pub report: Report,
}

/// Data of `session.archived`: where each stream's hash chain stood when it was walked after the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionArchived {
    /// One for each stream that has events.
    pub heads: Vec<ArchivedHead>,
}

/// Where a stream's hash chain stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArchivedHead {
    /// The stream.
    pub stream: Stream,
    /// Its last event.
    pub seq: Seq,
    /// The hash of that event, in hexadecimal; it covers every event before.
    pub hash: String,
}

/// Data of `session.host_arrived`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionHostArrived {}

/// Data of `session.host_left`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionHostLeft {
    /// Until when the owner may come back before somebody else becomes it.
    pub until: Timestamp,
}

/// Data of `session.owner_changed`. Who owned it is a moderator from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionOwnerChanged {
    /// Who owned it.
    pub from: ParticipantId,
    /// Who owns it now.
    pub to: ParticipantId,
    /// The same as a user.
    pub owner: UserId,
    /// How it came about.
    pub why: SuccessionReason,
}
