//! The laws that every history must keep, whatever was killed on the way.
//!
//! Owns: I1 to I9. Must not know: sockets, processes, time; "before" means earlier in the history. Invariant: a clean
//! history gives no finding, and one planted fault always gives one.
//!
//! | law | says |
//! |---|---|
//! | I1 | an acknowledged command is in the final log under the number it was acknowledged with |
//! | I2 | a key is in the log at most once, a refused one never |
//! | I3 | numbers are dense, and everything delivered or read equals the final log |
//! | I4 | what was acknowledged before another command was first sent has the lower number |
//! | I5 | on one connection events come one after the other, from where the client asked or behind a snapshot |
//! | I6 | a client never sees less than it has seen, over all its connections and reads |
//! | I7 | a read or subscription begun after a client's own acknowledgement contains what was acknowledged |
//! | I8 | when all is quiet every open connection has everything |
//! | I9 | when all is quiet everybody shows those who are connected, and nobody else |

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use roundtable_protocol::frame::StartMode;
use roundtable_protocol::ids::{EventId, ParticipantId, Seq};
use roundtable_protocol::problem::Code;
use uuid::Uuid;

use super::history::{Entry, Log, Place, Record};

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which law.
    pub law: &'static str,
    /// By what.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.what)
    }
}

/// Returns every breach of a law that the history shows.
pub fn check(records: &[Record], log: &Log) -> Vec<Finding> {
    let mut checker = Checker { log, index: HashMap::new(), findings: Vec::new() };
    checker.log();
    checker.commands(records);
    checker.connections(records);
    checker.reads(records);
    checker.presence(records);
    checker.findings
}

struct Checker<'a> {
    log: &'a Log,
    index: HashMap<EventId, (Place, Seq)>,
    findings: Vec<Finding>,
}

/// What is known of one command.
struct Sent {
    place: Place,
    /// The highest number acknowledged in its stream before it was first sent.
    floor: Seq,
    acked: Option<(Place, Seq)>,
    refused: Option<Code>,
}

/// What one connection has been told of one stream.
#[derive(Default)]
struct Feed {
    /// The number before the one that must come next.
    at: Seq,
    /// The last number folded into a snapshot.
    folded: Seq,
    /// The head when the subscription began: what came after it is sent live.
    head: Seq,
    open: bool,
    /// A snapshot was announced and has not come.
    awaits_snapshot: bool,
}

/// The most that one client is known to have seen of each stream, and the most that it has had acknowledged.
#[derive(Clone, Default)]
struct Known {
    seen: HashMap<Place, Seq>,
    acked: HashMap<Place, Seq>,
}

impl Checker<'_> {
    fn find(&mut self, law: &'static str, what: String) {
        self.findings.push(Finding { law, what });
    }

    /// I3 and I2 over the log alone.
    fn log(&mut self) {
        for (place, entries) in self.log {
            for (n, entry) in entries.iter().enumerate() {
                let expected = Seq(n as u64 + 1);
                if entry.seq != expected {
                    self.find("I3", format!("{place} holds {} where {expected} belongs", entry.seq));
                }
                if let Some((other, seq)) = self.index.insert(entry.id, (*place, entry.seq)) {
                    self.find("I2", format!("{} is in {other} at {seq} and in {place} at {}", entry.id, entry.seq));
                }
            }
        }
    }

    /// I1, I2, I4.
    fn commands(&mut self, records: &[Record]) {
        let mut commands: BTreeMap<Uuid, Sent> = BTreeMap::new();
        let mut acked: HashMap<Place, Seq> = HashMap::new();
        for record in records {
            match record {
                Record::Sent { key, place, .. } => {
                    let floor = acked.get(place).copied().unwrap_or_default();
                    let command = commands.entry(*key);
                    command.or_insert(Sent { place: *place, floor, acked: None, refused: None }).refused = None;
                }
                Record::Acked { key, place, seq, .. } => {
                    raise(&mut acked, *place, *seq);
                    let Some(command) = commands.get_mut(key) else {
                        self.find("I1", format!("{key} was acknowledged and never sent"));
                        continue;
                    };
                    if let Some(before) = command.acked.replace((*place, *seq)).filter(|b| *b != (*place, *seq)) {
                        let (there, then) = before;
                        self.find(
                            "I1",
                            format!("{key} was acknowledged in {there} at {then}, then in {place} at {seq}"),
                        );
                    }
                }
                Record::Refused { key, code } => {
                    if let Some(command) = commands.get_mut(key) {
                        command.refused = Some(*code);
                    }
                }
                _ => {}
            }
        }
        for (key, command) in commands {
            self.outcome(key, &command);
        }
    }

    fn outcome(&mut self, key: Uuid, command: &Sent) {
        let found = self.index.get(&EventId(key)).copied();
        if let Some((place, seq)) = command.acked {
            match found {
                Some(at) if at == (place, seq) => {}
                Some((there, at)) => {
                    self.find("I1", format!("{key} was acknowledged in {place} at {seq} and is in {there} at {at}"));
                }
                None => self.find("I1", format!("{key} was acknowledged in {place} at {seq} and is not in the log")),
            }
        }
        let Some((place, seq)) = found else { return };
        if let Some(code) = command.refused.filter(|_| command.acked.is_none()) {
            self.find("I2", format!("{key} was refused as {} and is in {place} at {seq}", code.name()));
        }
        if place == command.place && seq <= command.floor {
            self.find(
                "I4",
                format!("{key} is in {place} at {seq}, and {} was acknowledged before it was sent", command.floor),
            );
        }
    }

    /// I3, I5, I8.
    fn connections(&mut self, records: &[Record]) {
        let mut feeds: BTreeMap<u64, BTreeMap<Place, Feed>> = BTreeMap::new();
        let mut asked: HashMap<(u64, u64, Place), Seq> = HashMap::new();
        let mut quiet = false;
        for record in records {
            match record {
                Record::Opened { connection, .. } => {
                    feeds.insert(*connection, BTreeMap::new());
                }
                Record::Asked { connection, request, after } => {
                    asked.extend(after.iter().map(|(place, seq)| ((*connection, *request, *place), *seq)));
                }
                Record::Started { connection, request, place, head, mode } => {
                    let after = asked.get(&(*connection, *request, *place)).copied();
                    let feed = feeds.entry(*connection).or_default().entry(*place).or_default();
                    self.started(feed, *connection, *place, after, *head, *mode);
                }
                Record::Folded { connection, place, at } => {
                    let feed = feeds.entry(*connection).or_default().entry(*place).or_default();
                    if !feed.awaits_snapshot {
                        self.find("I5", format!("connection {connection}: a snapshot of {place} at {at} came unasked"));
                    }
                    feed.awaits_snapshot = false;
                    // A snapshot may be newer than the subscription; then what both hold comes twice, as the protocol
                    // says: clients drop what they have.
                    feed.at = (*at).min(feed.head);
                    feed.folded = *at;
                }
                Record::Delivered { connection, place, entry } => {
                    let feed = feeds.entry(*connection).or_default().entry(*place).or_default();
                    self.delivered(feed, *connection, *place, entry);
                }
                Record::Lagging { connection, place } => {
                    feeds.entry(*connection).or_default().entry(*place).or_default().open = false;
                }
                Record::Reset { connection, place } => {
                    self.find("I3", format!("connection {connection}: the server has another history of {place}"));
                }
                Record::Unreadable { connection, why } => {
                    self.find("I5", format!("connection {connection}: a frame makes no sense: {why}"));
                }
                Record::Closed { connection } => {
                    feeds.remove(connection);
                }
                Record::Quiet { .. } => quiet = true,
                _ => {}
            }
        }
        if quiet {
            self.complete(&feeds);
        }
    }

    fn started(
        &mut self,
        feed: &mut Feed,
        connection: u64,
        place: Place,
        after: Option<Seq>,
        head: Seq,
        mode: StartMode,
    ) {
        let Some(after) = after else {
            self.find("I5", format!("connection {connection}: an answer about {place} to no request"));
            return;
        };
        if mode == StartMode::Live && after != head {
            let what = format!("connection {connection}: {place} goes on live at {head}, the client has {after}");
            self.find("I5", what);
        }
        let (open, awaits_snapshot) = (mode != StartMode::Waiting, mode == StartMode::Snapshot);
        *feed = Feed { at: after, folded: Seq::ZERO, head, open, awaits_snapshot };
    }

    fn delivered(&mut self, feed: &mut Feed, connection: u64, place: Place, entry: &Entry) {
        let expected = feed.at.next();
        if !feed.open {
            let what = format!("connection {connection}: {} of {place} came unasked", entry.seq);
            self.find("I5", what);
        } else if feed.awaits_snapshot {
            self.find("I5", format!("connection {connection}: {} of {place} came before its snapshot", entry.seq));
        } else if entry.seq != expected {
            self.find("I5", format!("connection {connection}: {} of {place} came, {expected} was next", entry.seq));
        }
        feed.at = feed.at.max(entry.seq);
        self.equals_log("I3", &format!("connection {connection}"), place, entry);
    }

    fn equals_log(&mut self, law: &'static str, who: &str, place: Place, entry: &Entry) {
        let at = usize::try_from(entry.seq.0).ok().and_then(|seq| seq.checked_sub(1));
        match at.and_then(|at| self.log.get(&place)?.get(at)) {
            Some(stored) if stored == entry => {}
            Some(stored) if stored.id == entry.id => {
                self.find(law, format!("{who}: {} of {place} ({}) has other content in the log", entry.seq, entry.id));
            }
            Some(stored) => {
                let what = format!("{who}: {} of {place} is {}, in the log {}", entry.seq, entry.id, stored.id);
                self.find(law, what);
            }
            None => self.find(law, format!("{who}: {} of {place} ({}) is not in the log", entry.seq, entry.id)),
        }
    }

    fn complete(&mut self, feeds: &BTreeMap<u64, BTreeMap<Place, Feed>>) {
        for (connection, feeds) in feeds {
            if feeds.is_empty() {
                self.find("I8", format!("connection {connection} is open and has nothing"));
            }
            for (place, feed) in feeds {
                let (end, has) = (end(self.log, *place), feed.at.max(feed.folded));
                if has != end {
                    self.find("I8", format!("connection {connection} has {place} up to {has}, the log ends at {end}"));
                }
            }
        }
    }

    /// I6, I7, and I3 over what was read.
    fn reads(&mut self, records: &[Record]) {
        let mut known: HashMap<u32, Known> = HashMap::new();
        let mut owner: HashMap<u64, u32> = HashMap::new();
        let mut asked: HashMap<(u64, u64), Known> = HashMap::new();
        let mut reading: HashMap<u64, (u32, Place, Known)> = HashMap::new();
        for record in records {
            match record {
                Record::Acked { client, place, seq, .. } => {
                    raise(&mut known.entry(*client).or_default().acked, *place, *seq);
                }
                Record::Opened { client, connection } => {
                    owner.insert(*connection, *client);
                }
                Record::Delivered { connection, place, entry: Entry { seq, .. } }
                | Record::Folded { connection, place, at: seq } => {
                    if let Some(client) = owner.get(connection) {
                        raise(&mut known.entry(*client).or_default().seen, *place, *seq);
                    }
                }
                Record::Asked { connection, request, .. } => {
                    if let Some(client) = owner.get(connection) {
                        asked.insert((*connection, *request), known.entry(*client).or_default().clone());
                    }
                }
                Record::Started { connection, request, place, head, .. } => {
                    if let Some(then) = asked.get(&(*connection, *request)) {
                        self.at_least(then, &format!("connection {connection}"), *place, *head);
                    }
                }
                Record::Reading { client, read, place } => {
                    reading.insert(*read, (*client, *place, known.entry(*client).or_default().clone()));
                }
                Record::Read { read, after, head, limit, items } => {
                    let Some((client, place, then)) = reading.remove(read) else { continue };
                    let who = format!("read {read} of client {client}");
                    self.at_least(&then, &who, place, *head);
                    self.page(&who, place, *after, *head, *limit, items);
                    raise(&mut known.entry(client).or_default().seen, place, *head);
                }
                _ => {}
            }
        }
    }

    fn at_least(&mut self, known: &Known, who: &str, place: Place, head: Seq) {
        let acked = known.acked.get(&place).copied().unwrap_or_default();
        if head < acked {
            self.find("I7", format!("{who}: {place} ends at {head}, the client's own {acked} was acknowledged before"));
        }
        let seen = known.seen.get(&place).copied().unwrap_or_default();
        if head < seen {
            self.find("I6", format!("{who}: {place} ends at {head}, the client had seen {seen}"));
        }
    }

    fn page(&mut self, who: &str, place: Place, after: Seq, head: Seq, limit: usize, items: &[Entry]) {
        let mut last = after;
        for entry in items {
            if entry.seq != last.next() {
                self.find("I3", format!("{who}: {} of {place} came after {last}", entry.seq));
            }
            last = entry.seq;
            self.equals_log("I3", who, place, entry);
        }
        if items.len() < limit && last < head {
            self.find("I3", format!("{who}: {place} stops at {last}, its head is {head}"));
        }
    }

    fn presence(&mut self, records: &[Record]) {
        let mut present: Option<&BTreeSet<ParticipantId>> = None;
        for record in records {
            match record {
                Record::Quiet { present: now } => present = Some(now),
                Record::Shows { client, people } => {
                    let Some(present) = present.filter(|present| *present != people) else { continue };
                    let ghosts = people.difference(present).count();
                    let missing = present.difference(people).count();
                    self.find("I9", format!("client {client} shows {ghosts} who are gone and misses {missing}"));
                }
                _ => {}
            }
        }
    }
}

fn end(log: &Log, place: Place) -> Seq {
    log.get(&place).and_then(|entries| entries.last()).map_or(Seq::ZERO, |entry| entry.seq)
}

fn raise(known: &mut HashMap<Place, Seq>, place: Place, seq: Seq) {
    let known = known.entry(place).or_default();
    *known = (*known).max(seq);
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of session {}", self.stream, self.session)
    }
}

#[cfg(test)]
mod tests;
