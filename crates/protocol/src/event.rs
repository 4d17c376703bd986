//! What happened: the recorded vocabulary.
//!
//! Owns: one type per event kind, the header, and how both become bytes. Must not know: why an event was decided.
//! Invariant: kinds are for ever; optional fields and new kinds are added, nothing is renamed or taken away.
//!
//! An event is stored as two JSON objects, header and body, so that a body can be redacted while the header stays;
//! [`wire_event`] joins them with stream and seq to what travels, without parsing.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::ids::{BranchId, EventId, MessageId, ParticipantId, Seq, Stream, Timestamp};

mod branching;
mod context;
mod data;
mod fault;
mod lobby;
mod memories;

pub use branching::*;
pub use context::*;
pub use data::*;
pub use fault::*;
pub use lobby::*;
pub use memories::*;

/// One recorded event, as everybody in its audience sees it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Event {
    /// Whose audience it belongs to.
    pub stream: Stream,
    /// Its number in that stream.
    pub seq: Seq,
    /// Who, when, and what it rests on.
    #[serde(flatten)]
    pub header: EventHeader,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// Everything about an event but its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventHeader {
    /// The event; the first event of a command bears the command's key.
    pub id: EventId,
    /// Who did it.
    pub actor: Actor,
    /// For whom, when an agent acts for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<ParticipantId>,
    /// When; never decreases in a session.
    pub at: Timestamp,
    /// On which branch; absent on the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The last seq of its own stream that its author had applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seq>,
    /// Explicit parents, across streams too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<EventId>,
}

/// Who did something: a participant, or the server itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The server, by a rule or a deadline. `"system"` on the wire.
    System,
    /// A participant. Its id on the wire.
    Participant(ParticipantId),
}

impl utoipa::PartialSchema for Actor {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

impl ToSchema for Actor {}

impl Actor {
    /// Returns the participant, if it was one.
    pub fn participant(self) -> Option<ParticipantId> {
        match self {
            Self::System => None,
            Self::Participant(id) => Some(id),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Participant(id) => id.fmt(f),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::System => serializer.serialize_str("system"),
            Self::Participant(id) => id.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text == "system" {
            return Ok(Self::System);
        }
        text.parse().map(Self::Participant).map_err(D::Error::custom)
    }
}

// `tt` and not `literal`: utoipa does not see through the group that a `literal` arrives in.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $kind:tt,)*) => {
        /// What happened, by kind.
        #[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
        #[serde(tag = "kind", content = "data")]
        pub enum EventBody {
            $($(#[$doc])* #[serde(rename = $kind)] $variant($variant),)*
        }

        impl EventBody {
            /// Every kind, in the order of the catalogue.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// Returns the kind's name.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $kind,)*
                }
            }

            /// Reads the body of an event of `kind`.
            ///
            /// # Errors
            /// The kind is unknown to this version, or the data has not its shape.
            pub fn parse(kind: &str, data: &str) -> Result<Self, BodyError> {
                match kind {
                    $($kind => serde_json::from_str(data).map(Self::$variant).map_err(BodyError::Malformed),)*
                    _ => Err(BodyError::UnknownKind(kind.to_owned())),
                }
            }

            /// Reads the body of an event of `kind` from data that has been parsed already.
            ///
            /// # Errors
            /// See [`EventBody::parse`].
            pub fn from_value(kind: &str, data: serde_json::Value) -> Result<Self, BodyError> {
                match kind {
                    $($kind => serde_json::from_value(data).map(Self::$variant).map_err(BodyError::Malformed),)*
                    _ => Err(BodyError::UnknownKind(kind.to_owned())),
                }
            }

            /// Returns the body alone as JSON.
            pub fn to_json(&self) -> Vec<u8> {
                match self {
                    $(Self::$variant(data) => json(data),)*
                }
            }
        }

        $(impl From<$variant> for EventBody {
            fn from(data: $variant) -> Self {
                Self::$variant(data)
            }
        })*
    };
}

kinds! {
    /// The first event of every session.
    SessionCreated = "session.created",
    /// Work may begin.
    SessionStarted = "session.started",
    /// It has another title.
    SessionRenamed = "session.renamed",
    /// Description, tags, category or visibility are others.
    SessionDetailsChanged = "session.details_changed",
    /// It has other settings.
    SessionSettingsChanged = "session.settings_changed",
    /// It is over.
    SessionEnded = "session.ended",
    /// Somebody is in, for the first time or again.
    ParticipantJoined = "participant.joined",
    /// Somebody went.
    ParticipantLeft = "participant.left",
    /// Somebody was sent away.
    ParticipantRemoved = "participant.removed",
    /// Somebody may do more or less.
    ParticipantRoleChanged = "participant.role_changed",
    /// Somebody has another name or colour.
    ParticipantProfileChanged = "participant.profile_changed",
    /// Somebody asks to be let in.
    ParticipantRequested = "participant.requested",
    /// Somebody who waited was let in.
    ParticipantApproved = "participant.approved",
    /// Somebody who waited was not let in.
    ParticipantDenied = "participant.denied",
    /// Somebody waits no more, without an answer.
    ParticipantRequestEnded = "participant.request_ended",
    /// Somebody said something.
    MessagePosted = "message.posted",
    /// A message has another text.
    MessageEdited = "message.edited",
    /// A message's text is gone, everywhere.
    MessageRedacted = "message.redacted",
    /// A message is a decision.
    DecisionRecorded = "decision.recorded",
    /// A message is no decision any more.
    DecisionWithdrawn = "decision.withdrawn",
    /// A point was made that can be gone back to.
    CheckpointCreated = "checkpoint.created",
    /// A checkpoint has another name.
    CheckpointRenamed = "checkpoint.renamed",
    /// A checkpoint is no more; what it named stays.
    CheckpointDeleted = "checkpoint.deleted",
    /// Something is kept in mind.
    MemoryAdded = "memory.added",
    /// A memory has another text or other tags.
    MemoryEdited = "memory.edited",
    /// A memory is gone, and its texts everywhere.
    MemoryRemoved = "memory.removed",
    /// A memory stands first, or no longer.
    MemoryPinned = "memory.pinned",
    /// A type of actions has another schema, or none.
    ActionTypeDefined = "action.type_defined",
    /// Somebody has done something beside speaking.
    ActionPerformed = "action.performed",
    /// The data of actions is gone, everywhere.
    ActionRedacted = "action.redacted",
    /// A checkpoint was gone back to.
    CheckpointRestored = "checkpoint.restored",
    /// A line of the conversation begins.
    BranchCreated = "branch.created",
    /// A branch's newest message is another one.
    BranchMoved = "branch.moved",
    /// A branch has another name.
    BranchRenamed = "branch.renamed",
    /// A branch was put away, or taken out again.
    BranchArchived = "branch.archived",
    /// Whoever presents shows a branch.
    BranchFocused = "branch.focused",
    /// What was said on one branch has come to another.
    BranchMerged = "branch.merged",
    /// Another session began as a copy of this one up to a point.
    SessionForked = "session.forked",
    /// Something went wrong that everybody should know of.
    ErrorRecorded = "error",
    /// The assistant was asked.
    TurnQueued = "turn.queued",
    /// What is asked has changed while it waits.
    TurnEdited = "turn.edited",
    /// The question was taken back.
    TurnWithdrawn = "turn.withdrawn",
    /// The answer was claimed and begins.
    TurnStarted = "turn.started",
    /// The answer has grown.
    TurnProgressed = "turn.progressed",
    /// The answer is whole.
    TurnCompleted = "turn.completed",
    /// Somebody stopped the answer.
    TurnStopped = "turn.stopped",
    /// The assistant could not go on.
    TurnFailed = "turn.failed",
    /// The server or process that answered is gone.
    TurnLost = "turn.lost",
    /// Assistants rest; people may go on talking.
    SessionPaused = "session.paused",
    /// It goes on after a pause or a failure.
    SessionResumed = "session.resumed",
    /// It ends as soon as what was asked is answered.
    SessionEnding = "session.ending",
    /// It ends by itself at another time, or not any more.
    SessionExpiryChanged = "session.expiry_changed",
    /// It will soon end by itself.
    SessionWarned = "session.warned",
    /// It works on with nobody leading it.
    SessionDetached = "session.detached",
    /// Somebody leads it again.
    SessionAttached = "session.attached",
    /// What was asked before it was detached has been done.
    SessionWorkDone = "session.work_done",
    /// Its owner is connected.
    SessionHostArrived = "session.host_arrived",
    /// Its owner is not connected any more, and has a while to come back.
    SessionHostLeft = "session.host_left",
    /// It belongs to somebody else.
    SessionOwnerChanged = "session.owner_changed",
    /// What it came to, after its end.
    SessionReported = "session.reported",
    /// Its log is whole up to its end.
    SessionArchived = "session.archived",
    /// The shared context was written.
    ContextPatched = "context.patched",
    /// A write of the shared context conflicted.
    ContextRefused = "context.refused",
    /// A conflict in the shared context waits for people.
    ContextConflicted = "context.conflicted",
    /// Somebody has chosen.
    ContextResolved = "context.resolved",
}

/// Why a stored event could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// A newer version wrote it.
    #[error("unknown event kind {0}")]
    UnknownKind(String),
    /// The data has not the shape of its kind.
    #[error("malformed event data: {0}")]
    Malformed(#[source] serde_json::Error),
    /// The header has not its shape.
    #[error("malformed event header: {0}")]
    Header(#[source] serde_json::Error),
}

/// A header as it is stored: with the kind in it.
#[derive(Serialize, Deserialize)]
struct StoredHeader<K> {
    id: EventId,
    kind: K,
    actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<ParticipantId>,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<BranchId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Seq>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    causes: Vec<EventId>,
}

impl<K> StoredHeader<K> {
    fn split(self) -> (K, EventHeader) {
        let Self { id, kind, actor, on_behalf_of, at, branch, seen, causes } = self;
        (kind, EventHeader { id, actor, on_behalf_of, at, branch, seen, causes })
    }
}

impl Event {
    /// Returns the header with the kind as the JSON object that is stored and hashed.
    pub fn header_json(&self) -> Vec<u8> {
        let EventHeader { id, actor, on_behalf_of, at, branch, seen, ref causes } = self.header;
        let kind = self.body.kind();
        json(&StoredHeader { id, kind, actor, on_behalf_of, at, branch, seen, causes: causes.clone() })
    }

    /// Reads a stored event.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub fn from_stored(stream: Stream, seq: Seq, header: &[u8], body: &[u8]) -> Result<Self, BodyError> {
        let stored: StoredHeader<std::borrow::Cow<'_, str>> =
            serde_json::from_slice(header).map_err(BodyError::Header)?;
        let (kind, header) = stored.split();
        let text = std::str::from_utf8(body).map_err(|e| BodyError::Malformed(serde_json::Error::custom(e)))?;
        Ok(Self { stream, seq, header, body: EventBody::parse(&kind, text)? })
    }

    /// Returns the turn that this event ends after it was started.
    pub fn ends_turn(&self) -> Option<crate::ids::TurnId> {
        match &self.body {
            EventBody::TurnCompleted(data) => Some(data.turn),
            EventBody::TurnStopped(data) => Some(data.turn),
            EventBody::TurnFailed(data) => Some(data.turn),
            EventBody::TurnLost(data) => Some(data.turn),
            _ => None,
        }
    }

    /// Returns the message whose text this event carries, if it carries one.
    pub fn text_of(&self) -> Option<MessageId> {
        match &self.body {
            EventBody::MessagePosted(_) => Some(MessageId(self.header.id.0)),
            EventBody::MessageEdited(data) => Some(data.message),
            EventBody::TurnProgressed(data) => Some(data.message),
            EventBody::SessionRenamed(data) => data.made_from,
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            stream: Stream,
            seq: Seq,
            id: EventId,
            kind: String,
            actor: Actor,
            #[serde(default)]
            on_behalf_of: Option<ParticipantId>,
            at: Timestamp,
            #[serde(default)]
            branch: Option<BranchId>,
            #[serde(default)]
            seen: Option<Seq>,
            #[serde(default)]
            causes: Vec<EventId>,
            // Not a raw value: those cannot be read from inside a tagged frame.
            data: serde_json::Value,
        }
        let w = Wire::deserialize(deserializer)?;
        let body = EventBody::from_value(&w.kind, w.data).map_err(D::Error::custom)?;
        let header = EventHeader {
            id: w.id,
            actor: w.actor,
            on_behalf_of: w.on_behalf_of,
            at: w.at,
            branch: w.branch,
            seen: w.seen,
            causes: w.causes,
        };
        Ok(Self { stream: w.stream, seq: w.seq, header, body })
    }
}

/// Appends the wire form of a stored event to `out`: stream, seq, the header's fields, then `data`.
pub fn wire_event(out: &mut Vec<u8>, stream: Stream, seq: Seq, header: &[u8], body: &[u8]) {
    out.extend_from_slice(b"{\"stream\":\"");
    out.extend_from_slice(stream.name().as_bytes());
    out.extend_from_slice(b"\",\"seq\":");
    out.extend_from_slice(seq.0.to_string().as_bytes());
    out.push(b',');
    out.extend_from_slice(&header[1..header.len() - 1]);
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(body);
    out.push(b'}');
}

/// Returns `body` with its text and what came with it erased and `redacted` set; what cannot be read becomes nothing but that mark.
pub fn redacted_body(body: &[u8]) -> Vec<u8> {
    let mut data = match serde_json::from_slice(body) {
        Ok(serde_json::Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    for name in ["text", "title", "detail"] {
        if let Some(text) = data.get_mut(name) {
            *text = serde_json::Value::String(String::new());
        }
    }
    for name in ["pace", "attachments", "tags", "data"] {
        data.remove(name);
    }
    data.insert("redacted".to_owned(), serde_json::Value::Bool(true));
    json(&data)
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("protocol types serialise: string keys, no failing impls")
}

#[cfg(test)]
mod tests;
