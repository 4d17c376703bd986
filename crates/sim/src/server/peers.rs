//! Connections: what each is sent, and when it is sent no more.
//!
//! Invariant: a join subscribes to live events first, then reads, then releases what came meanwhile; a full backlog
//! ends a subscription with a resume point, never with a hole.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_protocol::Code;
use roundtable_protocol::command::{Command, Envelope};
use roundtable_protocol::event::Event;
use roundtable_protocol::frame::{
    Access, ClientFrame, CommandFrame, ErrorFrame, Head, Lagging, Limits, ServerFrame, Snapshot, StartMode,
    StreamStart, Subscribe, Subscribed, Unsubscribed, Welcome, You,
};
use roundtable_protocol::grant::Grant;
use roundtable_protocol::ids::{ConnectionId, Seq, Stream, StreamSet, Timestamp, UserId};
use serde_json::json;
use uuid::Uuid;

use super::{From, INBOX, Item, Server, Want};
use crate::check::Checks;
use crate::disk::Disk;
use crate::grants;
use crate::world::Fault;

/// How many frames a connection may owe before its subscriptions end.
const BACKLOG: usize = 24;
/// How many events a join replays; more: a snapshot.
const REPLAY: usize = 40;
/// The heartbeat that clients are told. Unit: milliseconds.
pub const HEARTBEAT_MS: u64 = 15_000;

#[derive(Debug, Default)]
pub(super) struct Peer {
    user: Option<UserId>,
    subscriptions: BTreeMap<Stream, Subscription>,
    /// Joins that have subscribed and not yet read.
    joins: BTreeMap<u64, Join>,
    last_join: u64,
    /// The refused command that must come back first.
    blocked_on: Option<Uuid>,
    /// Frames written and not delivered.
    pub backlog: usize,
}

#[derive(Debug)]
struct Subscription {
    sent: Seq,
    /// The join that has not read yet, and what came meanwhile.
    joining: Option<(u64, Vec<Event>)>,
}

#[derive(Debug)]
struct Join {
    frame: Subscribe,
    /// What the reader might do when it asked; some servers answer by that.
    grant: Option<Grant>,
    acknowledged: BTreeMap<Stream, Seq>,
}

impl Peer {
    pub fn user(&self) -> Option<UserId> {
        self.user
    }

    pub fn blocked_on(&self) -> Option<Uuid> {
        self.blocked_on
    }

    /// Returns whether live events of a stream reach this connection.
    pub fn reads(&self, stream: Stream) -> bool {
        self.subscriptions.get(&stream).is_some_and(|s| s.joining.is_none())
    }
}

impl Server {
    /// A connection was opened.
    pub fn accept(&mut self, conn: u64) {
        self.peers.insert(conn, Peer::default());
    }

    /// A connection is gone, and with it what it blocks; so its waiting commands go too, or one that was refused for now
    /// would let later ones pass. The client sends them all again.
    pub fn gone(&mut self, conn: u64) {
        self.peers.remove(&conn);
        self.inbox.retain(|item| !matches!(item.from, From::Peer { conn: from, .. } if from == conn));
    }

    /// A frame has left for good.
    pub fn delivered(&mut self, conn: u64) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.backlog = peer.backlog.saturating_sub(1);
        }
    }

    /// A frame has come. A token is the user's id.
    pub fn frame(&mut self, conn: u64, frame: ClientFrame, now: Timestamp, checks: &mut Checks) {
        if !self.peers.contains_key(&conn) {
            return;
        }
        match frame {
            ClientFrame::Hello(hello) => self.hello(conn, hello.token.and_then(|t| t.parse().ok()), now),
            ClientFrame::Subscribe(frame) => self.subscribe(conn, frame, checks),
            ClientFrame::Unsubscribe(frame) => {
                for stream in Stream::ALL {
                    self.end(conn, stream, checks);
                }
                self.send(conn, ServerFrame::Unsubscribed(Unsubscribed { re: frame.id, session_id: frame.session_id }));
            }
            ClientFrame::Command(frame) => self.command(conn, frame),
            ClientFrame::Ping(ping) => self.send(conn, ServerFrame::Pong(ping)),
            ClientFrame::Ephemeral(_) | ClientFrame::Ack(_) => {}
        }
    }

    fn hello(&mut self, conn: u64, user: Option<UserId>, now: Timestamp) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.user = user;
        }
        let limits = Limits { message_bytes: 65_536, frame_bytes: 1_048_576, commands_per_second: 50, window: 32 };
        self.send(
            conn,
            ServerFrame::Welcome(Welcome {
                connection_id: ConnectionId::derive(Uuid::nil(), conn),
                now,
                heartbeat_ms: HEARTBEAT_MS,
                limits,
                version: "0.1.0".to_owned(),
            }),
        );
    }

    fn command(&mut self, conn: u64, frame: CommandFrame) {
        let Some(user) = self.peers.get(&conn).and_then(|p| p.user) else { return };
        let command: Command = serde_json::from_value(json!({"name": frame.name, "data": frame.data}))
            .expect("people of the simulation send commands of this version");
        // Refused in its turn, not before those that wait: the client relies on the order of refusals.
        let overloaded = self.inbox.len() >= INBOX || self.rng.chance(4);
        self.inbox.push_back(Item {
            from: From::Peer { conn, re: frame.id, user, overloaded },
            key: frame.key,
            envelope: Some(Envelope {
                key: frame.key,
                stream: frame.stream.unwrap_or(Stream::Main),
                seen: frame.seen,
                retry: frame.retry,
                command,
            }),
        });
    }

    /// Returns whether a command may be decided now: nothing was refused before it, or it is what was refused.
    pub(super) fn in_turn(&mut self, conn: u64, key: Uuid) -> bool {
        let Some(peer) = self.peers.get_mut(&conn) else { return true };
        peer.blocked_on.take_if(|blocked| *blocked == key);
        peer.blocked_on.is_none()
    }

    /// A command was refused retryably: later ones wait until it has come back.
    pub(super) fn block(&mut self, conn: u64, key: Uuid) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.blocked_on.get_or_insert(key);
        }
    }

    /// The batch came to nothing: so did what it blocked.
    pub(super) fn restore_block(&mut self, conn: u64, blocked_on: Option<Uuid>) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.blocked_on = blocked_on;
        }
    }

    /// Subscribes to live events at once; the reading comes later.
    fn subscribe(&mut self, conn: u64, frame: Subscribe, checks: &mut Checks) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        peer.last_join += 1;
        let id = peer.last_join;
        for position in &frame.streams {
            let joining = Some((id, Vec::new()));
            peer.subscriptions.insert(position.stream, Subscription { sent: Seq::ZERO, joining });
            checks.ends(conn, position.stream);
        }
        let acknowledged = Stream::ALL.into_iter().filter_map(|s| Some((s, checks.newest(s)?))).collect();
        let grant = peer.user.filter(|_| self.answers_early).map(|user| grants::grant(&self.committed, user));
        peer.joins.insert(id, Join { frame, grant, acknowledged });
        self.out.push_back(Want::Read(conn, id));
    }

    /// Reads for a join: `subscribed`, then the replay or the snapshot, then what came meanwhile. A join that a later one
    /// has overtaken is not answered: the later answer is about every stream.
    pub fn read(&mut self, conn: u64, id: u64, disk: &Disk, checks: &mut Checks) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        let Some(Join { frame, grant, acknowledged }) = peer.joins.remove(&id) else { return };
        let Some(user) = peer.user.filter(|_| id == peer.last_join) else { return };
        let grant = grant.unwrap_or_else(|| grants::grant(&self.committed, user));
        if grant.streams.is_empty() {
            for position in &frame.streams {
                self.end(conn, position.stream, checks);
            }
            let problem = Code::NotAParticipant.into();
            let (re, session_id) = (Some(frame.id), Some(self.session_id));
            return self.send(conn, ServerFrame::Error(ErrorFrame { re, session_id, problem }));
        }
        let mut starts = Vec::new();
        let mut bulk = Vec::new();
        let mut folded = StreamSet::EMPTY;
        for position in &frame.streams {
            let stream = position.stream;
            if !grant.streams.contains(stream) {
                self.end(conn, stream, checks);
                continue;
            }
            if !self.answers_early {
                self.join_anew(conn, stream, id);
            }
            let lost = !self.peers[&conn].subscriptions.contains_key(&stream);
            let after = position.after.as_ref().map_or(Seq::ZERO, |a| a.seq);
            let head = self.view.head(stream);
            checks.read(stream, head, acknowledged.get(&stream).copied());
            let missed: Vec<Event> = disk.read(stream, after).filter(|e| e.seq <= head).cloned().collect();
            let forgets = self.fault == Some(Fault::ForgottenResume) && after > Seq::ZERO;
            let mode = match missed.len() {
                _ if forgets => StartMode::Live,
                0 => StartMode::Live,
                1..=REPLAY => StartMode::Replay,
                _ => StartMode::Snapshot,
            };
            match mode {
                _ if lost => {}
                StartMode::Replay => bulk.push((stream, missed)),
                StartMode::Snapshot => folded = folded.with(stream),
                StartMode::Live | StartMode::Waiting => {}
            }
            starts.push((StreamStart { stream, epoch: self.committed.epoch().clone(), head, mode }, after));
        }
        self.begin(conn, frame.id, &grant, user, starts, checks);
        self.snapshot(conn, folded);
        for (stream, events) in bulk {
            self.write(conn, stream, events, checks);
        }
        for position in &frame.streams {
            self.release(conn, position.stream, id, checks);
        }
    }

    /// A stream that was lost and regained since the subscribe is subscribed again: the answer must name it.
    fn join_anew(&mut self, conn: u64, stream: Stream, id: u64) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            let joining = Some((id, Vec::new()));
            peer.subscriptions.entry(stream).or_insert(Subscription { sent: Seq::ZERO, joining });
        }
    }

    fn begin(
        &mut self,
        conn: u64,
        re: u64,
        grant: &Grant,
        user: UserId,
        starts: Vec<(StreamStart, Seq)>,
        checks: &mut Checks,
    ) {
        for (start, after) in &starts {
            let sent = if start.mode == StartMode::Replay { *after } else { start.head };
            checks.begins(conn, start.stream, Some(sent));
            if let Some(sub) = self.peers.get_mut(&conn).and_then(|p| p.subscriptions.get_mut(&start.stream)) {
                sub.sent = sent;
            }
        }
        let streams = starts.into_iter().map(|(start, _)| start).collect();
        let (session_id, you) = (self.session_id, self.you(grant, user));
        self.send(conn, ServerFrame::Subscribed(Subscribed { re, session_id, you, people: Vec::new(), streams }));
    }

    fn you(&self, grant: &Grant, user: UserId) -> You {
        let person = self.committed.participant_of(user).filter(|_| !grant.streams.is_empty());
        You {
            participant_id: person.map(|p| p.id),
            role: person.map(|p| p.role),
            can: grant.mask,
            read: BTreeMap::new(),
        }
    }

    fn snapshot(&mut self, conn: u64, streams: StreamSet) {
        if streams.is_empty() {
            return;
        }
        let view = if self.fault == Some(Fault::StaleSnapshot) { &self.stale } else { &self.view };
        let head = view.to_head(streams);
        let at = streams.iter().map(|s| (s, self.view.head(s))).collect();
        self.send(conn, ServerFrame::Snapshot(Snapshot { session_id: self.session_id, at, head }));
    }

    /// Sends what came between the subscription and the reading.
    fn release(&mut self, conn: u64, stream: Stream, join: u64, checks: &mut Checks) {
        let Some(sub) = self.peers.get_mut(&conn).and_then(|p| p.subscriptions.get_mut(&stream)) else { return };
        let sent = sub.sent;
        let Some((_, mut events)) = sub.joining.take_if(|(id, _)| *id == join) else { return };
        events.retain(|e| e.seq > sent);
        self.write(conn, stream, events, checks);
    }

    /// Gives committed events to everybody who has subscribed.
    pub(super) fn publish(&mut self, events: &[Event], checks: &mut Checks) {
        let conns: Vec<_> = self.peers.keys().copied().collect();
        for conn in conns {
            for stream in Stream::ALL {
                let Some(sub) = self.peers.get_mut(&conn).and_then(|p| p.subscriptions.get_mut(&stream)) else {
                    continue;
                };
                let theirs: Vec<Event> = events.iter().filter(|e| e.stream == stream).cloned().collect();
                if let Some((_, meanwhile)) = &mut sub.joining {
                    meanwhile.extend(theirs);
                } else {
                    self.live(conn, stream, theirs, checks);
                }
            }
        }
    }

    fn live(&mut self, conn: u64, stream: Stream, mut events: Vec<Event>, checks: &mut Checks) {
        if events.is_empty() {
            return;
        }
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        if peer.backlog >= BACKLOG {
            let after = peer.subscriptions.get(&stream).map_or(Seq::ZERO, |s| s.sent);
            self.end(conn, stream, checks);
            let session_id = self.session_id;
            return self.send(conn, ServerFrame::Lagging(Lagging { session_id, stream, after }));
        }
        match self.fault {
            Some(Fault::Skip) if self.rng.chance(20) => drop(events.pop()),
            Some(Fault::Swap) if events.len() > 1 && self.rng.chance(100) => events.swap(0, 1),
            _ => {}
        }
        self.write(conn, stream, events, checks);
    }

    fn write(&mut self, conn: u64, stream: Stream, events: Vec<Event>, checks: &mut Checks) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        let Some(sub) = peer.subscriptions.get_mut(&stream) else { return };
        let Some(last) = events.last() else { return };
        sub.sent = last.seq;
        peer.backlog += 1;
        let allowed = peer.user.is_some_and(|u| grants::grant(&self.committed, u).streams.contains(stream));
        for event in &events {
            checks.written(conn, event, allowed);
        }
        self.out.push_back(Want::Events(conn, stream, events));
    }

    fn end(&mut self, conn: u64, stream: Stream, checks: &mut Checks) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.subscriptions.remove(&stream);
        }
        checks.ends(conn, stream);
    }

    /// Rights have changed: ends what may not be read any more, before anything else is written.
    pub(super) fn reauthorize(&mut self, checks: &mut Checks) {
        let users: Vec<_> = self.peers.iter().filter_map(|(conn, p)| Some((*conn, p.user?))).collect();
        for (conn, user) in users {
            let grant = grants::grant(&self.committed, user);
            let held: BTreeSet<_> = self.peers[&conn].subscriptions.keys().copied().collect();
            if held.is_empty() && self.peers[&conn].joins.is_empty() {
                continue;
            }
            for stream in held.into_iter().filter(|s| !grant.streams.contains(*s)) {
                self.end(conn, stream, checks);
            }
            let (session_id, you) = (self.session_id, self.you(&grant, user));
            let reason = "role_changed".to_owned();
            let streams = grant.streams.iter().collect();
            self.send(conn, ServerFrame::Access(Access { session_id, you, streams, reason }));
        }
    }

    /// Tells everybody how far the streams are.
    pub fn heads(&mut self) {
        let conns: Vec<_> = self.peers.keys().copied().collect();
        for conn in conns {
            let subscribed = self.peers[&conn].subscriptions.iter().filter(|(_, s)| s.joining.is_none());
            let streams: BTreeMap<_, _> = subscribed.map(|(s, _)| (*s, self.view.head(*s))).collect();
            if !streams.is_empty() {
                self.send(conn, ServerFrame::Head(Head { session_id: self.session_id, streams }));
            }
        }
    }
}
