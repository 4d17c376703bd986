//! Identities and positions.
//!
//! Owns: newtypes over UUIDv7, `Seq`, `Rev`, `Epoch`, `Stream`, time. Must not know: what they identify.
//! Invariant: an id is never the protection of anything, and order is only `(stream, epoch, seq)`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A moment in UTC, RFC 3339 on the wire, millisecond precision by convention of the driver.
pub use jiff::Timestamp;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Returns the id that consists of zeros; it identifies nothing.
            pub const NIL: Self = Self(Uuid::nil());

            /// Derives the `n`th id that belongs to `key`: the same time half, the rest hashed.
            ///
            /// Deterministic, so that a retried command makes the same ids.
            pub fn derive(key: Uuid, n: u64) -> Self {
                Self(derive_uuid(key, n))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id!(
    /// One live, recorded room.
    SessionId
);
id!(
    /// A user or agent with a role in one session.
    ParticipantId
);
id!(
    /// A person (or agent principal) known to the server, with or without an account.
    UserId
);
id!(
    /// An event; the first event of a command bears the command's key.
    EventId
);
id!(
    /// A message; equals the id of the `message.posted` event, or is derived for an answer.
    MessageId
);
id!(
    /// One agent answer, from being queued to its end.
    TurnId
);
id!(
    /// A time-limited claim on a turn.
    LeaseId
);
id!(
    /// A named line of the conversation.
    BranchId
);
id!(
    /// A point of a session that can be gone back to.
    CheckpointId
);
id!(
    /// An access link.
    LinkId
);
id!(
    /// Something that a session keeps in mind.
    MemoryId
);
id!(
    /// A file that somebody has uploaded into a session.
    AttachmentId
);
id!(
    /// A container that owns sessions and role documents.
    ProjectId
);
id!(
    /// One socket or event stream of one reader.
    ConnectionId
);

/// The project that sessions belong to until somebody makes another one.
pub const DEFAULT_PROJECT: ProjectId = ProjectId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));

/// Builds a UUIDv7 from `at` and ten random bytes.
///
/// Source: RFC 9562 section 5.7. The randomness is the caller's because nothing here may draw any.
pub fn uuid_v7(at: Timestamp, random: [u8; 10]) -> Uuid {
    let ms = u64::try_from(at.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
}

fn derive_uuid(key: Uuid, n: u64) -> Uuid {
    let digest = Sha256::new().chain_update(key.as_bytes()).chain_update(n.to_be_bytes()).finalize();
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[..6].copy_from_slice(&key.as_bytes()[..6]);
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uuid::from_bytes(bytes)
}

/// Derives the UUID that stands for a free-form idempotency key of `user`.
pub fn uuid_of_text(user: UserId, scope: &str, text: &str) -> Uuid {
    let digest = Sha256::new()
        .chain_update(user.0.as_bytes())
        .chain_update((scope.len() as u64).to_be_bytes())
        .chain_update(scope)
        .chain_update(text)
        .finalize();
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uuid::from_bytes(bytes)
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Before the first one.
            pub const ZERO: Self = Self(0);

            /// Returns the number after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The dense number of an event in one stream of a session, from 1. Below 2^53.
    Seq
);
number!(
    /// The number of a session's commit, from 1. Not sent to clients.
    Rev
);

/// The identity of a session's numbering; replaced only when history was lost or restored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Epoch(pub String);

impl Epoch {
    /// Makes an epoch of 12 base-32 characters from eight random bytes.
    pub fn from_random(random: [u8; 8]) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut bits = u64::from_be_bytes(random);
        let text = (0..12)
            .map(|_| {
                let c = ALPHABET[(bits & 31) as usize];
                bits >>= 5;
                char::from(c)
            })
            .collect();
        Self(text)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One audience's ordered part of a session's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Stream {
    /// The conversation; the assistant sees it.
    Main = 0,
    /// Side chat; never reaches a model.
    Side = 1,
    /// Moderation and join requests.
    Staff = 2,
    /// Spectator chat.
    Stage = 3,
}

impl Stream {
    /// All streams, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Main, Self::Side, Self::Staff, Self::Stage];

    /// Returns the stream's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Side => "side",
            Self::Staff => "staff",
            Self::Stage => "stage",
        }
    }

    /// Returns the stream with that number.
    pub fn from_number(n: u8) -> Option<Self> {
        Self::ALL.get(usize::from(n)).copied()
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Stream {
    type Err = UnknownStream;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|s| s.name() == text).ok_or(UnknownStream)
    }
}

/// The text names no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown stream; streams are main, side, staff and stage")]
pub struct UnknownStream;

/// A set of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamSet(u8);

impl StreamSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Returns the set with `stream` added.
    #[must_use]
    pub const fn with(self, stream: Stream) -> Self {
        Self(self.0 | 1 << stream as u8)
    }

    /// Returns whether `stream` is in the set.
    pub const fn contains(self, stream: Stream) -> bool {
        self.0 & 1 << stream as u8 != 0
    }

    /// Returns what is in both sets.
    #[must_use]
    pub const fn intersect(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the members in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Stream> {
        Stream::ALL.into_iter().filter(move |s| self.contains(*s))
    }

    /// Returns the set as a small number, for use as a key.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl FromIterator<Stream> for StreamSet {
    fn from_iter<I: IntoIterator<Item = Stream>>(streams: I) -> Self {
        streams.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl Serialize for StreamSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for StreamSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Stream>::deserialize(deserializer)?.into_iter().collect())
    }
}
