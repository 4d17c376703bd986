//! What is written down while a server is on trial.
//!
//! Owns: the records and their one order. Must not know: what is right or wrong about them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roundtable_protocol::frame::StartMode;
use roundtable_protocol::ids::{EventId, ParticipantId, Seq, SessionId, Stream};
use roundtable_protocol::problem::Code;
use uuid::Uuid;

use crate::incoming::Item;

/// A numbering: one stream of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Which session.
    pub session: SessionId,
    /// Which of its streams.
    pub stream: Stream,
}

/// One event, as far as the laws look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: Seq,
    /// Its id; the key of the command, when it is the command's first event.
    pub id: EventId,
    /// Stands for its whole content.
    pub hash: u64,
}

impl From<&Item> for Entry {
    fn from(item: &Item) -> Self {
        let mut hasher = DefaultHasher::new();
        if let Item::Event(event) = item {
            serde_json::to_string(event).expect("events serialise: string keys, no failing impls").hash(&mut hasher);
        }
        Self { seq: item.seq(), id: item.id(), hash: hasher.finish() }
    }
}

/// What is on the disk in the end, read once everything is over.
pub type Log = BTreeMap<Place, Vec<Entry>>;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Record {
    /// A client is about to send a command, for the first time or again.
    Sent {
        /// Who.
        client: u32,
        /// Under which key.
        key: Uuid,
        /// Where its event would go.
        place: Place,
    },
    /// `ok` has come.
    Acked {
        /// Who.
        client: u32,
        /// Which command.
        key: Uuid,
        /// Where its event is said to be.
        place: Place,
        /// Under which number.
        seq: Seq,
        /// Whether the server had taken it before.
        duplicate: bool,
    },
    /// `error` has come.
    Refused {
        /// Which command.
        key: Uuid,
        /// Why.
        code: Code,
    },
    /// A socket is open.
    Opened {
        /// Whose.
        client: u32,
        /// Its number.
        connection: u64,
    },
    /// A subscription is about to be sent.
    Asked {
        /// Over which connection.
        connection: u64,
        /// The request's id.
        request: u64,
        /// What the client has of each stream.
        after: Vec<(Place, Seq)>,
    },
    /// A subscription was answered.
    Started {
        /// Over which connection.
        connection: u64,
        /// The request's id.
        request: u64,
        /// Which stream.
        place: Place,
        /// Its last number, as the server says.
        head: Seq,
        /// What comes first.
        mode: StartMode,
    },
    /// A snapshot has come: everything up to a number counts as delivered.
    Folded {
        /// Over which connection.
        connection: u64,
        /// Which stream.
        place: Place,
        /// Up to which number.
        at: Seq,
    },
    /// An event has come.
    Delivered {
        /// Over which connection.
        connection: u64,
        /// Of which stream.
        place: Place,
        /// Which.
        entry: Entry,
    },
    /// The server says that it sends no more of a stream until it is asked again.
    Lagging {
        /// Over which connection.
        connection: u64,
        /// Which stream.
        place: Place,
    },
    /// The server says that what the client has is of another history.
    Reset {
        /// Over which connection.
        connection: u64,
        /// Which stream.
        place: Place,
    },
    /// A frame made no sense.
    Unreadable {
        /// Over which connection.
        connection: u64,
        /// What was wrong with it.
        why: String,
    },
    /// A socket is gone.
    Closed {
        /// Which.
        connection: u64,
    },
    /// A read of history begins.
    Reading {
        /// Who reads.
        client: u32,
        /// The read's number.
        read: u64,
        /// What.
        place: Place,
    },
    /// A read of history is over.
    Read {
        /// The read's number.
        read: u64,
        /// After which number.
        after: Seq,
        /// The last number, as the server says.
        head: Seq,
        /// How many events were asked for.
        limit: usize,
        /// What came.
        items: Vec<Entry>,
    },
    /// All is quiet: everybody who is connected should have everything by now.
    Quiet {
        /// Who is connected.
        present: BTreeSet<ParticipantId>,
    },
    /// Whom a client shows as connected.
    Shows {
        /// Who looks.
        client: u32,
        /// Whom it shows.
        people: BTreeSet<ParticipantId>,
    },
}

/// Where everybody writes down what happens. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    records: Mutex<Vec<Record>>,
    numbers: AtomicU64,
    acks: AtomicU64,
}

impl History {
    /// Returns an empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes down what is about to be sent, or what has just come.
    pub fn push(&self, record: Record) {
        if matches!(record, Record::Acked { .. }) {
            self.0.acks.fetch_add(1, Ordering::Relaxed);
        }
        self.lock().push(record);
    }

    /// Returns how many acknowledgements were written down.
    pub fn acks(&self) -> u64 {
        self.0.acks.load(Ordering::Relaxed)
    }

    /// Returns a number that nobody else has, for a connection or a read.
    pub fn number(&self) -> u64 {
        self.0.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes out everything that was written down.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.lock())
    }

    /// Returns whether something was written down.
    pub fn holds(&self, which: impl Fn(&Record) -> bool) -> bool {
        self.lock().iter().any(which)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.0.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
