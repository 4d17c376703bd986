//! The sync machine: what a client does with sockets, frames, commands and time.
//!
//! Owns: the order of everything between a user's wish and the wire. Must not know: sockets, clocks, randomness; time
//! comes in through [`Machine::tick`], keys and jitter through [`Entropy`]. Invariant: every input is handled at once
//! and completely; what it causes is taken out with [`Machine::poll`].
//!
//! | module | holds |
//! |---|---|
//! | `link` | phases of the connection, backoff, watchdog |
//! | `session` | positions, view, snapshots, gaps of one session |
//! | `commands` | unanswered commands of one session, in order |

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use roundtable_protocol::event::Event;
use roundtable_protocol::frame::{
    Accepted, ClientFrame, EphemeralIn, EphemeralOut, ErrorFrame, Hello, Lane, Ping, ServerFrame, Unsubscribe,
};
use roundtable_protocol::ids::{SessionId, Stream, StreamSet};
use roundtable_protocol::{Code, Command, Problem};
use serde_json::Value;
use uuid::Uuid;

use self::commands::Pending;
use self::link::{Due, Link};
use self::session::Effect;
use crate::incoming::{Incoming, Item};

mod commands;
mod link;
mod session;

pub use self::link::{CONNECT_TIMEOUT_MS, STABLE_MS, Status};
pub use self::session::{BEHIND_MS, RESUBSCRIBE_MS, SessionSync};

/// The first backoff's ceiling. Unit: milliseconds.
pub const BACKOFF_FIRST_MS: u64 = 250;
/// The highest backoff's ceiling. Unit: milliseconds.
pub const BACKOFF_LAST_MS: u64 = 15_000;

/// Where keys and jitter come from.
pub trait Entropy: Send {
    /// Returns a fresh UUIDv7.
    fn key(&mut self) -> Uuid;
    /// Returns a number from 0 to 1, evenly spread.
    fn jitter(&mut self) -> f64;
}

/// What the machine wants done or known.
#[derive(Clone, Debug)]
pub enum Output {
    /// Open a socket; report `connected` or `disconnected`.
    Connect,
    /// Drop the socket; report nothing more about it.
    Close,
    /// Write a frame.
    Send(Box<ClientFrame>),
    /// The connection stands otherwise.
    Status(Status),
    /// A command was answered for good.
    Settled {
        /// Whose.
        session: SessionId,
        /// Which.
        key: Uuid,
        /// Recorded, or refused.
        result: Result<Accepted, Box<Problem>>,
    },
    /// A command was refused for now and is sent again by itself.
    Postponed {
        /// Whose.
        session: SessionId,
        /// Which.
        key: Uuid,
        /// Why.
        problem: Box<Problem>,
        /// When it is sent again.
        until_ms: u64,
    },
    /// A subscription was refused for good; nothing of the session is held any more.
    Refused {
        /// Which session.
        session: SessionId,
        /// Why.
        problem: Box<Problem>,
    },
    /// An event was folded into the view.
    Applied {
        /// Whose.
        session: SessionId,
        /// Which.
        event: Box<Event>,
    },
    /// What others show.
    Ephemeral(Box<EphemeralOut>),
    /// View, role or subscription of a session changed. Comes after everything else that one input caused.
    Changed(SessionId),
}

/// A client's side of the session protocol.
pub struct Machine {
    token: Option<String>,
    features: Vec<String>,
    entropy: Box<dyn Entropy>,
    now: u64,
    link: Link,
    sessions: BTreeMap<SessionId, SessionSync>,
    /// The last id given to a request.
    last_id: u64,
    outputs: VecDeque<Output>,
    changed: BTreeSet<SessionId>,
}

impl Machine {
    /// Makes a machine that has not connected. `token` is absent when a cookie logs in.
    pub fn new(token: Option<String>, features: Vec<String>, entropy: Box<dyn Entropy>) -> Self {
        Self {
            token,
            features,
            entropy,
            now: 0,
            link: Link::new(),
            sessions: BTreeMap::new(),
            last_id: 0,
            outputs: VecDeque::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Returns how the connection stands.
    pub fn status(&self) -> Status {
        self.link.status
    }

    /// Returns a session that is subscribed or has unanswered commands.
    pub fn session(&self, session: SessionId) -> Option<&SessionSync> {
        self.sessions.get(&session)
    }

    /// Returns the keys of a session's commands without a final answer, in order.
    pub fn unanswered(&self, session: SessionId) -> Vec<Uuid> {
        self.sessions.get(&session).map(|s| s.commands.iter().map(|c| c.key).collect()).unwrap_or_default()
    }

    /// Returns when [`Machine::tick`] must be called next. Unit: milliseconds of the caller's clock.
    pub fn deadline(&self) -> Option<u64> {
        let sessions = self.sessions.values().filter(|_| self.link.is_ready()).filter_map(SessionSync::deadline);
        sessions.chain(self.link.deadline()).min()
    }

    /// Takes out the next thing to do or know.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front().or_else(|| self.changed.pop_first().map(Output::Changed))
    }

    /// Starts connecting, unless a connection exists or is being made. Also the way out of `Failed`.
    pub fn connect(&mut self) {
        if matches!(self.link.status, Status::Idle | Status::Failed { .. } | Status::Closed | Status::Waiting { .. }) {
            self.link.connecting(self.now);
            self.push_status();
            self.outputs.push_back(Output::Connect);
        }
    }

    /// Takes another token for the next `hello`.
    pub fn set_token(&mut self, token: Option<String>) {
        self.token = token;
    }

    /// Closes the connection for good; what is held and unanswered stays.
    pub fn close(&mut self) {
        if self.link.is_open() || self.link.status == Status::Connecting {
            self.outputs.push_back(Output::Close);
        }
        self.drop_subscriptions();
        self.link.ended(Status::Closed);
        self.push_status();
    }

    /// The socket is open.
    pub fn connected(&mut self) {
        if self.link.status != Status::Connecting {
            return;
        }
        self.link.greeting(self.now);
        self.push_status();
        self.send(ClientFrame::Hello(Hello { token: self.token.clone(), features: self.features.clone() }));
    }

    /// The socket is gone, or could not be opened; `code` is the close code, if one came.
    pub fn disconnected(&mut self, code: Option<u16>) {
        if !self.link.is_open() && self.link.status != Status::Connecting {
            return;
        }
        match code {
            Some(code @ 4400..=4499) => {
                self.drop_subscriptions();
                self.link.ended(Status::Failed { code });
                self.push_status();
            }
            _ => self.lost(),
        }
    }

    /// Time has passed. `now_ms` never decreases; a smaller one counts as the last one.
    pub fn tick(&mut self, now_ms: u64) {
        self.now = self.now.max(now_ms);
        match self.link.due(self.now) {
            Due::Nothing => {}
            Due::Connect => self.connect(),
            Due::Ping => {
                self.last_id += 1;
                let id = self.last_id;
                self.send(ClientFrame::Ping(Ping { id }));
            }
            Due::GiveUp => {
                self.outputs.push_back(Output::Close);
                self.lost();
            }
        }
        if !self.link.is_ready() {
            return;
        }
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for session in sessions {
            if self.sessions[&session].is_due(self.now) {
                self.send_subscribe(session);
            }
            self.send_commands(session);
        }
    }

    /// Wants these streams of a session; those not named are given up.
    pub fn subscribe(&mut self, session: SessionId, streams: impl IntoIterator<Item = Stream>) {
        let streams: StreamSet = streams.into_iter().collect();
        self.sessions.entry(session).or_default().want(streams);
        if self.link.is_ready() {
            self.send_subscribe(session);
        }
    }

    /// Wants nothing more of a session; its view goes, unanswered commands stay.
    pub fn unsubscribe(&mut self, session: SessionId) {
        let Some(sync) = self.sessions.get_mut(&session) else { return };
        sync.want(StreamSet::EMPTY);
        self.release(session);
        self.changed.insert(session);
        if self.link.is_ready() {
            self.last_id += 1;
            let id = self.last_id;
            self.send(ClientFrame::Unsubscribe(Unsubscribe { id, session_id: session }));
        }
    }

    /// Gives a command and returns its key, under which it settles.
    pub fn command(&mut self, session: SessionId, stream: Stream, command: &Command) -> Uuid {
        let mut parts = serde_json::to_value(command).expect("commands serialise: string keys, no failing impls");
        let data = parts.get_mut("data").map(Value::take).unwrap_or_default();
        self.command_raw(session, stream, command.name(), data)
    }

    /// Gives a command by name, for one that this version has no type for.
    pub fn command_raw(&mut self, session: SessionId, stream: Stream, name: &str, data: Value) -> Uuid {
        let key = self.entropy.key();
        let sync = self.sessions.entry(session).or_default();
        let seen = sync.position(stream);
        sync.commands.push(Pending::new(key, stream, seen, name.to_owned(), data));
        if self.link.is_ready() {
            self.send_commands(session);
        }
        key
    }

    /// Shows something to those who are there; dropped while there is no connection.
    pub fn ephemeral(&mut self, session: SessionId, stream: Stream, lane: Lane, data: Value) {
        if self.link.is_ready() {
            self.send(ClientFrame::Ephemeral(EphemeralIn { session_id: session, stream, lane, data }));
        }
    }

    /// A frame has come.
    pub fn frame(&mut self, frame: impl Into<Incoming>) {
        if !self.link.is_open() {
            return;
        }
        self.link.heard(self.now);
        match frame.into() {
            Incoming::Events { session, stream, items } => self.events(session, stream, items),
            Incoming::Frame(frame) => self.plain(frame),
            Incoming::Unknown => {}
        }
    }

    fn plain(&mut self, frame: ServerFrame) {
        let now = self.now;
        match frame {
            ServerFrame::Welcome(welcome) => self.welcomed(welcome.heartbeat_ms),
            ServerFrame::Subscribed(frame) => {
                let session = frame.session_id;
                self.with(session, |s| {
                    s.subscribed(frame, now);
                    Effect::Changed
                });
                self.resubscribe_if_due(session);
            }
            ServerFrame::Snapshot(frame) => self.with(frame.session_id, |s| s.snapshot(frame, now)),
            ServerFrame::Delta(frame) => self.with(frame.session_id, |s| s.delta(&frame)),
            ServerFrame::Access(frame) => self.with(frame.session_id, |s| s.access(frame)),
            ServerFrame::Lagging(frame) => {
                self.with(frame.session_id, |s| {
                    s.lagging(frame.stream, now);
                    Effect::Nothing
                });
                self.resubscribe_if_due(frame.session_id);
            }
            ServerFrame::Reset(frame) => self.with(frame.session_id, |s| s.reset(&frame)),
            ServerFrame::Head(frame) => self.with(frame.session_id, |s| {
                s.head(&frame, now);
                Effect::Nothing
            }),
            ServerFrame::Ok(frame) => self.accepted(frame),
            ServerFrame::Error(frame) => self.error(frame),
            ServerFrame::Ephemeral(frame) => self.outputs.push_back(Output::Ephemeral(Box::new(frame))),
            ServerFrame::Bye(frame) => self.link.asked_to_wait(frame.retry_after_ms),
            ServerFrame::Events(_) | ServerFrame::Unsubscribed(_) | ServerFrame::Pong(_) => {}
        }
    }

    fn welcomed(&mut self, heartbeat_ms: u64) {
        if self.link.status != Status::Greeting {
            return;
        }
        self.link.ready(self.now, heartbeat_ms);
        self.push_status();
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.send_subscribe(session);
            self.send_commands(session);
        }
    }

    fn events(&mut self, session: SessionId, stream: Stream, items: Vec<Item>) {
        let Some(sync) = self.sessions.get_mut(&session) else { return };
        let (taken, effect) = sync.events(stream, items, self.now);
        for item in taken {
            if let Item::Event(event) = item {
                self.outputs.push_back(Output::Applied { session, event });
            }
        }
        self.after(session, effect);
        self.resubscribe_if_due(session);
    }

    fn accepted(&mut self, frame: Accepted) {
        let session = frame.session_id;
        let Some(sync) = self.sessions.get_mut(&session) else { return };
        if let Some(command) = sync.commands.accepted(frame.id.0) {
            self.outputs.push_back(Output::Settled { session, key: command.key, result: Ok(frame) });
            self.send_commands(session);
            self.release(session);
        }
    }

    fn error(&mut self, frame: ErrorFrame) {
        let Some(re) = frame.re else { return };
        let found = self.sessions.iter().find_map(|(session, sync)| match sync.commands.key_of(re) {
            Some(key) => Some((*session, Some(key))),
            None => sync.asked(re).then_some((*session, None)),
        });
        match found {
            Some((session, Some(key))) => self.command_refused(session, key, re, frame.problem),
            Some((session, None)) => self.subscribe_refused(session, frame.problem),
            None => {}
        }
    }

    fn command_refused(&mut self, session: SessionId, key: Uuid, re: u64, problem: Problem) {
        let retryable = problem.retryable || problem.code == Code::RetryInOrder;
        let jitter = if retryable { self.entropy.jitter() } else { 0.0 };
        let Some(sync) = self.sessions.get_mut(&session) else { return };
        let problem = Box::new(problem);
        if retryable {
            let pause = problem.retry_after_ms.unwrap_or(0) + link::jittered(sync.commands.refusals(), jitter);
            let until_ms = self.now + pause;
            sync.commands.postponed(re, until_ms);
            self.outputs.push_back(Output::Postponed { session, key, problem, until_ms });
        } else {
            sync.commands.refused(re);
            self.outputs.push_back(Output::Settled { session, key, result: Err(problem) });
        }
        self.send_commands(session);
        self.release(session);
    }

    fn subscribe_refused(&mut self, session: SessionId, problem: Problem) {
        let jitter = if problem.retryable { self.entropy.jitter() } else { 0.0 };
        let Some(sync) = self.sessions.get_mut(&session) else { return };
        if problem.retryable {
            let pause = problem.retry_after_ms.unwrap_or(0) + link::jittered(sync.subscribe_refusals(), jitter);
            sync.subscribe_postponed(self.now + pause);
        } else {
            sync.refused();
            self.outputs.push_back(Output::Refused { session, problem: Box::new(problem) });
            self.changed.insert(session);
        }
    }

    fn with(&mut self, session: SessionId, change: impl FnOnce(&mut SessionSync) -> Effect) {
        if let Some(sync) = self.sessions.get_mut(&session) {
            let effect = change(sync);
            self.after(session, effect);
        }
    }

    fn after(&mut self, session: SessionId, effect: Effect) {
        if effect != Effect::Nothing {
            self.changed.insert(session);
        }
        if effect == Effect::Resubscribe {
            self.send_subscribe(session);
        }
    }

    fn resubscribe_if_due(&mut self, session: SessionId) {
        if self.link.is_ready() && self.sessions.get(&session).is_some_and(|s| s.is_due(self.now)) {
            self.send_subscribe(session);
        }
    }

    /// Forgets a session that nobody wants and that owes no answer.
    fn release(&mut self, session: SessionId) {
        if self.sessions.get(&session).is_some_and(|s| !s.is_wanted() && s.commands.is_empty()) {
            self.sessions.remove(&session);
        }
    }

    fn send_subscribe(&mut self, session: SessionId) {
        let Some(sync) = self.sessions.get_mut(&session).filter(|s| s.is_wanted()) else { return };
        self.last_id += 1;
        let frame = sync.subscribe(session, self.last_id, self.now);
        self.send(ClientFrame::Subscribe(frame));
    }

    fn send_commands(&mut self, session: SessionId) {
        let Some(sync) = self.sessions.get_mut(&session) else { return };
        for frame in sync.commands.sendable(self.now, session, &mut self.last_id) {
            self.send(ClientFrame::Command(frame));
        }
    }

    fn send(&mut self, frame: ClientFrame) {
        self.link.last_out_ms = self.now;
        self.outputs.push_back(Output::Send(Box::new(frame)));
    }

    fn lost(&mut self) {
        self.drop_subscriptions();
        let jitter = self.entropy.jitter();
        self.link.lost(self.now, jitter);
        self.push_status();
    }

    fn drop_subscriptions(&mut self) {
        for sync in self.sessions.values_mut() {
            sync.disconnected();
        }
    }

    fn push_status(&mut self) {
        self.outputs.push_back(Output::Status(self.link.status));
    }
}

/// Returns the longest pause before attempt `attempt` (from 0): 0.25 s, doubled each time, at most 15 s.
pub fn backoff_ceiling_ms(attempt: u32) -> u64 {
    BACKOFF_FIRST_MS.saturating_mul(1 << attempt.min(16)).min(BACKOFF_LAST_MS)
}
