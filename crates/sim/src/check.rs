//! What must hold, and what was seen.
//!
//! The names I1 to I8, I10 and I12 are the invariants of the project's plan: an acknowledged event is in the log at its
//! seq (I1), each key at most once (I2), seq dense and one order for all (I3), real time order (I4), consecutive
//! deliveries (I5), monotone reads (I6), read your writes (I7), completeness (I8), nothing after revocation (I10),
//! replay gives the same state (I12).

use std::collections::{BTreeMap, BTreeSet};

use roundtable_protocol::event::Event;
use roundtable_protocol::ids::{EventId, Seq, Stream};
use uuid::Uuid;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Checks {
    /// The first thing that went wrong.
    pub violation: Option<String>,
    delivered: BTreeMap<(Stream, Seq), EventId>,
    /// Per connection and stream: the last seq written to it; none: nothing yet since it began.
    lines: BTreeMap<(u64, Stream), Option<Seq>>,
    acknowledged: BTreeMap<Uuid, (Stream, Seq)>,
    refused: BTreeSet<Uuid>,
    /// Refused by the server, whether or not the client heard of it.
    declined: BTreeSet<Uuid>,
    /// The highest acknowledged seq of each stream.
    newest: BTreeMap<Stream, Seq>,
    /// What was acknowledged when a command was given, and by whom it was given.
    given: BTreeMap<Uuid, (usize, u64, BTreeMap<Stream, Seq>)>,
    positions: BTreeMap<(usize, Stream), Seq>,
}

impl Checks {
    /// Notes that something is wrong; the first one counts.
    pub fn fail(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    /// A subscription of a connection begins (anew).
    pub fn begins(&mut self, conn: u64, stream: Stream, after: Option<Seq>) {
        self.lines.insert((conn, stream), after);
    }

    /// A subscription has ended.
    pub fn ends(&mut self, conn: u64, stream: Stream) {
        self.lines.remove(&(conn, stream));
    }

    /// An event is written to a connection whose reader may read `allowed`.
    pub fn written(&mut self, conn: u64, event: &Event, allowed: bool) {
        let (stream, seq) = (event.stream, event.seq);
        if !allowed {
            self.fail(|| format!("I10: {stream} {seq} written to connection {conn} after its right was gone"));
        }
        match self.lines.get(&(conn, stream)) {
            None => self.fail(|| format!("I5: {stream} {seq} written to connection {conn} without a subscription")),
            Some(Some(last)) if last.next() != seq => {
                let last = *last;
                self.fail(|| format!("I5: connection {conn} got {stream} {seq} after {last}"));
            }
            Some(_) => {}
        }
        self.lines.insert((conn, stream), Some(seq));
        let first = *self.delivered.entry((stream, seq)).or_insert(event.header.id);
        if first != event.header.id {
            self.fail(|| format!("I3: {stream} {seq} was {first} for one reader and {} for another", event.header.id));
        }
    }

    /// A subscribe was answered: the reader must find at least what was acknowledged when it asked.
    pub fn read(&mut self, stream: Stream, head: Seq, acknowledged: Option<Seq>) {
        if acknowledged.is_some_and(|seq| seq > head) {
            self.fail(|| format!("I7: {stream} was read up to {head} after {acknowledged:?} was acknowledged"));
        }
    }

    /// Returns the highest acknowledged seq of a stream.
    pub fn newest(&self, stream: Stream) -> Option<Seq> {
        self.newest.get(&stream).copied()
    }

    /// Somebody gives a command.
    pub fn gives(&mut self, person: usize, key: Uuid) {
        let n = self.given.len() as u64;
        self.given.insert(key, (person, n, self.newest.clone()));
    }

    /// Somebody's command was acknowledged.
    pub fn acknowledges(&mut self, key: Uuid, stream: Stream, seq: Seq) {
        let before = self.given.get(&key).and_then(|(_, _, newest)| newest.get(&stream)).copied();
        if before.is_some_and(|before| before >= seq) {
            self.fail(|| format!("I4: {key} is {stream} {seq}, but {before:?} was acknowledged before it was given"));
        }
        self.acknowledged.insert(key, (stream, seq));
        let newest = self.newest.entry(stream).or_default();
        *newest = (*newest).max(seq);
    }

    /// Somebody's command was refused for good.
    pub fn refuses(&mut self, key: Uuid) {
        self.refused.insert(key);
    }

    /// The server refuses a command for good. The answer may be lost, and the command sent again may then be accepted.
    pub fn declines(&mut self, key: Uuid) {
        self.declined.insert(key);
    }

    /// A client holds a stream this far; none, or seq 0: nothing of it.
    pub fn holds(&mut self, person: usize, stream: Stream, seq: Option<Seq>) {
        let Some(seq) = seq.filter(|seq| *seq > Seq::ZERO) else {
            self.positions.remove(&(person, stream));
            return;
        };
        let before = self.positions.insert((person, stream), seq);
        if before.is_some_and(|before| before > seq) {
            self.fail(|| format!("I6: client {person} went back from {before:?} to {seq} in {stream}"));
        }
    }

    /// Compares what was seen with the log as it is at the end.
    pub fn finish(&mut self, log: &[Event]) {
        let mut places = BTreeMap::new();
        let mut heads = BTreeMap::<Stream, Seq>::new();
        for event in log {
            let head = heads.entry(event.stream).or_default();
            if head.next() != event.seq {
                let head = *head;
                self.fail(|| format!("I3: the log has {} {} after {head}", event.stream, event.seq));
            }
            *head = event.seq;
            if let Some(other) = places.insert(event.header.id.0, (event.stream, event.seq)) {
                self.fail(|| format!("I2: {} is {other:?} and {} {}", event.header.id, event.stream, event.seq));
            }
            let delivered = self.delivered.get(&(event.stream, event.seq)).copied();
            if delivered.is_some_and(|id| id != event.header.id) {
                self.fail(|| format!("I3: {} {} was delivered as {delivered:?}", event.stream, event.seq));
            }
        }
        let beyond = self.delivered.keys().find(|(s, seq)| heads.get(s).is_none_or(|head| seq > head)).copied();
        if let Some(place) = beyond {
            self.fail(|| format!("I3: {place:?} was delivered and is not in the log"));
        }
        let lost = self.acknowledged.iter().find(|(key, place)| places.get(key) != Some(place));
        if let Some((key, place)) = lost.map(|(key, place)| (*key, *place)) {
            self.fail(|| format!("I1: {key} was acknowledged as {place:?}, the log has {:?}", places.get(&key)));
        }
        if let Some(key) = self.refused.iter().find(|key| places.contains_key(key)).copied() {
            self.fail(|| format!("I2: {key} was refused and is in the log"));
        }
        self.in_order(&places);
    }

    /// Commands of one client are recorded in the order in which they were given, but for those that were refused once.
    fn in_order(&mut self, places: &BTreeMap<Uuid, (Stream, Seq)>) {
        let mut last = BTreeMap::<(usize, Stream), (u64, Seq)>::new();
        let kept = self.given.iter().filter(|(key, _)| !self.declined.contains(key));
        let mut given: Vec<_> = kept.map(|(key, (person, n, _))| (*n, *person, *key)).collect();
        given.sort_unstable();
        for (n, person, key) in given {
            let Some((stream, seq)) = places.get(&key).copied() else { continue };
            if let Some((_, before)) = last.insert((person, stream), (n, seq)).filter(|(_, before)| *before > seq) {
                self.fail(|| {
                    format!("order: client {person} gave {key} later, but it is {stream} {seq} before {before}")
                });
            }
        }
    }
}
