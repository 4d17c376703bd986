//! Clean histories give no finding; one planted fault always gives one.

use roundtable_protocol::ids::{SessionId, Stream};

use super::*;
use crate::trial::dice::Dice;

const MAIN: Place = Place { session: SessionId(Uuid::from_u128(1)), stream: Stream::Main };
const CLIENTS: u32 = 4;

/// A small server that makes no mistakes, and the clients that write down what it does.
struct Story {
    dice: Dice,
    records: Vec<Record>,
    log: Vec<Entry>,
    clients: Vec<Client>,
    numbers: u64,
    keys: u128,
}

#[derive(Clone, Default)]
struct Client {
    connection: u64,
    open: bool,
    has: Seq,
}

impl Story {
    fn new(seed: u64) -> Self {
        let clients = vec![Client::default(); CLIENTS as usize];
        let mut story =
            Self { dice: Dice::new(seed), records: Vec::new(), log: Vec::new(), clients, numbers: 0, keys: 0 };
        (0..CLIENTS).for_each(|client| story.connect(client));
        story
    }

    /// A story with everything in it, several times, in random order.
    fn long(seed: u64) -> Self {
        let mut story = Self::new(seed);
        for _ in 0..40 {
            let client = story.dice.within(0..u64::from(CLIENTS)) as u32;
            match story.dice.within(0..8) {
                0 => story.refused(client),
                1 => story.lost_answer(client),
                2 => story.never_arrived(client),
                3 => story.read(client),
                4 => {
                    story.disconnect(client);
                    story.post(if client == 0 { 1 } else { 0 });
                    story.connect(client);
                }
                5 => story.lagging(client),
                _ => story.post(client),
            }
        }
        // Each fault below has something to spoil.
        story.refused(0);
        story.post(0);
        story.read(0);
        story.post(1);
        story.quiet();
        story
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn key(&mut self) -> Uuid {
        self.keys += 1;
        Uuid::from_u128(self.keys)
    }

    fn head(&self) -> Seq {
        Seq(self.log.len() as u64)
    }

    fn connect(&mut self, client: u32) {
        let connection = self.number();
        self.clients[client as usize].connection = connection;
        self.clients[client as usize].open = true;
        self.records.push(Record::Opened { client, connection });
        self.subscribe(client);
    }

    fn subscribe(&mut self, client: u32) {
        let (request, head) = (self.number(), self.head());
        let Client { connection, has, .. } = self.clients[client as usize];
        self.records.push(Record::Asked { connection, request, after: vec![(MAIN, has)] });
        let mode = if has == head {
            StartMode::Live
        } else if self.dice.one_in(2) {
            StartMode::Replay
        } else {
            StartMode::Snapshot
        };
        self.records.push(Record::Started { connection, request, place: MAIN, head, mode });
        if mode == StartMode::Snapshot {
            let at = Seq(self.dice.within(has.0..head.0 + 1));
            self.records.push(Record::Folded { connection, place: MAIN, at });
            self.clients[client as usize].has = at;
        }
        if mode == StartMode::Snapshot && self.dice.one_in(2) {
            // The snapshot is made of what was recorded meanwhile too; that is also sent live.
            let newer = self.key();
            self.append(newer);
            let last = self.records.len() - 1;
            self.records[last] = Record::Folded { connection, place: MAIN, at: self.head() };
            self.clients[client as usize].has = head;
            return self.deliver_all();
        }
        self.deliver(client);
    }

    fn deliver(&mut self, client: u32) {
        let client = &mut self.clients[client as usize];
        if client.open {
            for entry in self.log.iter().skip(client.has.0 as usize) {
                self.records.push(Record::Delivered { connection: client.connection, place: MAIN, entry: *entry });
            }
            client.has = Seq(self.log.len() as u64);
        }
    }

    fn disconnect(&mut self, client: u32) {
        self.clients[client as usize].open = false;
        self.records.push(Record::Closed { connection: self.clients[client as usize].connection });
    }

    fn send(&mut self, client: u32, key: Uuid) {
        self.records.push(Record::Sent { client, key, place: MAIN });
    }

    fn ack(&mut self, client: u32, key: Uuid, seq: Seq, duplicate: bool) {
        self.records.push(Record::Acked { client, key, place: MAIN, seq, duplicate });
    }

    fn append(&mut self, key: Uuid) -> Seq {
        let seq = self.head().next();
        self.log.push(Entry { seq, id: EventId(key), hash: seq.0 * 7 });
        seq
    }

    fn deliver_all(&mut self) {
        (0..CLIENTS).for_each(|client| self.deliver(client));
    }

    fn post(&mut self, client: u32) {
        let key = self.key();
        self.send(client, key);
        let seq = self.append(key);
        self.deliver_all();
        self.ack(client, key, seq, false);
    }

    fn refused(&mut self, client: u32) {
        let key = self.key();
        self.send(client, key);
        self.records.push(Record::Refused { key, code: Code::Forbidden });
    }

    /// The answer is lost with the connection; the command is sent again and found.
    fn lost_answer(&mut self, client: u32) {
        let key = self.key();
        self.send(client, key);
        let seq = self.append(key);
        self.disconnect(client);
        self.deliver_all();
        self.connect(client);
        self.send(client, key);
        self.ack(client, key, seq, true);
    }

    /// The command is lost with the connection and never sent again.
    fn never_arrived(&mut self, client: u32) {
        let key = self.key();
        self.send(client, key);
        self.disconnect(client);
        self.connect(client);
    }

    fn lagging(&mut self, client: u32) {
        let connection = self.clients[client as usize].connection;
        self.records.push(Record::Lagging { connection, place: MAIN });
        self.clients[client as usize].open = false;
        self.post(if client == 0 { 1 } else { 0 });
        self.clients[client as usize].open = true;
        self.subscribe(client);
    }

    fn read(&mut self, client: u32) {
        let (read, limit) = (self.number(), 5);
        self.records.push(Record::Reading { client, read, place: MAIN });
        let after = Seq(self.dice.within(0..self.head().0 + 1));
        let items: Vec<_> = self.log.iter().skip(after.0 as usize).take(limit).copied().collect();
        self.records.push(Record::Read { read, after, head: self.head(), limit, items });
    }

    fn quiet(&mut self) {
        let present: BTreeSet<_> = (0..CLIENTS).map(|n| ParticipantId(Uuid::from_u128(n.into()))).collect();
        self.records.push(Record::Quiet { present: present.clone() });
        for client in 0..CLIENTS {
            self.records.push(Record::Shows { client, people: present.clone() });
        }
    }

    fn findings(&self) -> Vec<Finding> {
        check(&self.records, &Log::from([(MAIN, self.log.clone())]))
    }

    /// Returns the laws that the checker finds broken.
    fn broken(&self) -> BTreeSet<&'static str> {
        self.findings().iter().map(|finding| finding.law).collect()
    }

    fn find(&self, which: impl Fn(&Record) -> bool) -> usize {
        self.records.iter().rposition(which).expect("the story has one")
    }
}

/// Plants the same fault into many stories; each time the law must be found broken.
fn planted(law: &str, fault: impl Fn(&mut Story)) {
    for seed in 0..50 {
        let mut story = Story::long(seed);
        assert_eq!(story.findings(), [], "seed {seed}: a clean history");
        fault(&mut story);
        assert!(story.broken().contains(law), "seed {seed}: {law} is not among {:?}", story.findings());
    }
}

/// Plants a fault that breaks this law and no other.
fn planted_alone(law: &'static str, fault: impl Fn(&mut Story)) {
    planted(law, |story| {
        fault(story);
        assert_eq!(story.broken(), BTreeSet::from([law]), "{:?}", story.findings());
    });
}

#[test]
fn a_clean_history_gives_no_finding() {
    for seed in 0..500 {
        assert_eq!(Story::long(seed).findings(), [], "seed {seed}");
    }
}

#[test]
fn i1_a_lost_tail_is_found() {
    planted("I1", |story| story.log.truncate(story.log.len() - 2));
}

#[test]
fn i1_two_answers_that_differ_are_found() {
    planted_alone("I1", |story| {
        let at = story.find(|r| matches!(r, Record::Acked { .. }));
        let Record::Acked { client, key, place, seq, .. } = story.records[at].clone() else { unreachable!() };
        story.records.insert(at, Record::Acked { client, key, place, seq: Seq(seq.0 - 1), duplicate: false });
    });
}

#[test]
fn i2_an_event_stored_twice_is_found() {
    planted("I2", |story| {
        let entry = story.log[story.log.len() / 2];
        story.log.push(Entry { seq: story.head().next(), ..entry });
    });
}

#[test]
fn i2_a_refused_command_that_is_there_is_found() {
    planted("I2", |story| {
        let refused = story.find(|r| matches!(r, Record::Refused { .. }));
        let Record::Refused { key, .. } = story.records[refused] else { unreachable!() };
        let last = story.log.len() - 1;
        story.log[last].id = EventId(key);
    });
}

#[test]
fn i3_two_swapped_events_are_found() {
    planted("I3", |story| {
        let at = story.log.len() - 2;
        story.log.swap(at, at + 1);
        story.log[at].seq = Seq(at as u64 + 1);
        story.log[at + 1].seq = Seq(at as u64 + 2);
    });
}

#[test]
fn i3_a_hole_in_the_log_is_found() {
    planted("I3", |story| {
        let last = story.log.len() - 1;
        story.log[last].seq = story.log[last].seq.next();
    });
}

#[test]
fn i3_a_rewritten_event_is_found() {
    planted_alone("I3", |story| {
        let last = story.log.len() - 1;
        story.log[last].hash ^= 1;
    });
}

#[test]
fn i3_a_page_that_stops_too_early_is_found() {
    planted_alone("I3", |story| {
        let at = story.find(|r| matches!(r, Record::Read { .. }));
        let Record::Read { items, after, head, .. } = &mut story.records[at] else { unreachable!() };
        items.clear();
        *after = Seq(head.0 - 1);
    });
}

#[test]
fn i4_an_inverted_order_is_found() {
    planted_alone("I4", |story| {
        // The server acknowledges `a` with a number, then gives `b`, sent later, the lower one.
        let (a, b) = (story.key(), story.key());
        story.records.retain(|r| !matches!(r, Record::Quiet { .. } | Record::Shows { .. }));
        story.send(0, a);
        let (lower, higher) = (story.head().next(), story.head().next().next());
        story.ack(0, a, higher, false);
        story.send(1, b);
        assert_eq!((story.append(b), story.append(a)), (lower, higher));
        story.deliver_all();
        story.ack(1, b, lower, false);
        story.quiet();
    });
}

#[test]
fn i5_a_dropped_delivery_is_found() {
    planted("I5", |story| {
        let last = story.head();
        let dropped = |r: &Record| matches!(r, Record::Delivered { entry, .. } if entry.seq.next() == last);
        story.records.remove(story.find(dropped));
    });
}

#[test]
fn i5_a_double_delivery_is_found() {
    planted_alone("I5", |story| {
        let at = story.find(|r| matches!(r, Record::Delivered { .. }));
        story.records.insert(at, story.records[at].clone());
    });
}

#[test]
fn i5_a_forgotten_resume_is_found() {
    planted("I5", |story| {
        story.disconnect(2);
        let has = story.head();
        story.post(0);
        // The server goes on from its head, not from where the client asked.
        let (connection, request, head) = (story.number(), story.number(), story.head());
        story.records.push(Record::Opened { client: 2, connection });
        story.records.push(Record::Asked { connection, request, after: vec![(MAIN, has)] });
        story.records.push(Record::Started { connection, request, place: MAIN, head, mode: StartMode::Replay });
        story.clients[2] = Client { connection, open: true, has: head };
        story.post(0);
    });
}

#[test]
fn i6_a_page_older_than_what_was_seen_is_found() {
    planted_alone("I6", |story| {
        // Client 3 has seen everything; it has not necessarily written the last.
        let (read, head) = (story.number(), story.head());
        story.post(0);
        story.deliver_all();
        story.records.push(Record::Reading { client: 3, read, place: MAIN });
        story.records.push(Record::Read { read, after: head, head, limit: 5, items: Vec::new() });
    });
}

#[test]
fn i7_a_stale_page_is_found() {
    planted("I7", |story| {
        let (read, head) = (story.number(), story.head());
        story.post(0);
        story.records.push(Record::Reading { client: 0, read, place: MAIN });
        story.records.push(Record::Read { read, after: head, head, limit: 5, items: Vec::new() });
    });
}

#[test]
fn i8_a_connection_left_behind_is_found() {
    planted_alone("I8", |story| {
        let last = story.head();
        let latest = |r: &Record| {
            matches!(r, Record::Delivered { connection, entry, .. }
            if entry.seq == last && *connection == story.clients[2].connection)
        };
        story.records.remove(story.find(latest));
    });
}

#[test]
fn i9_a_ghost_and_a_missing_person_are_found() {
    for ghost in [true, false] {
        planted_alone("I9", |story| {
            let at = story.find(|r| matches!(r, Record::Shows { .. }));
            let Record::Shows { people, .. } = &mut story.records[at] else { unreachable!() };
            if ghost {
                people.insert(ParticipantId(Uuid::from_u128(99)));
            } else {
                people.pop_first();
            }
        });
    }
}
