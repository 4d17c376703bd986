//! One connection's way out: rooms write to it directly while the socket takes it, and it holds a bounded backlog while
//! the socket does not.
//!
//! Owns: the queue, its bounds, what is purged when a right is lost, and the order of bytes on the wire: every write
//! happens under the one lock. Must not know: how a socket is opened or read. Invariant: a frame is never silently
//! skipped; a reader that does not keep up loses its heaviest subscription and is told where to go on.
//!
//! Writing from the room costs one system call a receiver and no task switch; a queue and a task for each connection
//! cost half as much again (docs/performance.md).

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use roundtable_protocol::frame::{Lagging, ServerFrame};
use roundtable_protocol::{Code, ConnectionId, Problem, Seq, SessionId, StreamSet};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::frame::Frame;

mod behind;

pub(crate) use behind::{Behind, Placed};

/// Most bytes that wait for one connection.
pub const BACKLOG_BYTES: usize = 1024 * 1024;
/// Most frames that wait for one connection.
pub const BACKLOG_FRAMES: usize = 2_000;
/// Most sessions that one connection has to do with: that it reads, or that owe it an answer.
pub const MAX_SESSIONS: usize = 256;
/// Most bytes that one `take` hands out, so that a write stays short.
const TAKE_BYTES: usize = 256 * 1024;
/// What waits goes in one write up to this size, but at least one frame. Unit: bytes.
const JOIN_BYTES: usize = 16 * 1024;
/// Most frames in one write.
const JOIN_FRAMES: usize = 16;

/// Where bytes go: a socket that is written without waiting.
pub trait Wire: Send + Sync {
    /// Writes as much as fits now of one piece after the other.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits; anything else when the socket is gone.
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> std::io::Result<usize>;
}

/// How far an outbox could be written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenOut {
    /// Nothing waits.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// The socket is gone.
    Gone,
}

/// What waits for one connection.
pub struct Outbox {
    id: ConnectionId,
    backlog: Mutex<Backlog>,
    filled: Notify,
    drained: Notify,
    submitted: AtomicU64,
    behind: Behind,
}

#[derive(Default)]
struct Backlog {
    queue: VecDeque<Frame>,
    bytes: usize,
    closed: bool,
    subscriptions: Vec<Subscribed>,
    wire: Option<Arc<dyn Wire>>,
    deflate: bool,
    /// The rest of what was written in part; it goes before everything else and cannot be taken back.
    rest: Bytes,
    gone: bool,
}

/// What the backlog knows of one session, from its first subscription or command until nothing is open there any more.
#[derive(Clone, Copy, Debug)]
struct Subscribed {
    session: SessionId,
    /// Whether a room may have a subscription of this connection. One that lags still counts: the room must learn of the
    /// connection's end.
    open: bool,
    streams: StreamSet,
    pushed: [Seq; 4],
    lagging: bool,
    unanswered: usize,
    gate: Option<Gate>,
}

/// The earliest retryably refused command; later ones wait until its key returns.
#[derive(Clone, Copy, Debug)]
struct Gate {
    order: u64,
    key: Uuid,
}

/// What became of a pushed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits.
    Waits,
    /// The subscription has been taken away, because the reader did not keep up; or the connection is closed.
    Gone,
}

impl Outbox {
    /// Makes the outbox of a new connection.
    pub fn new(id: ConnectionId) -> Arc<Self> {
        Arc::new(Self {
            id,
            backlog: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            submitted: AtomicU64::new(0),
            behind: Behind::default(),
        })
    }

    /// Returns the connection.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Puts a frame of the connection's own into the queue: welcome, pong, error, bye.
    pub fn push(&self, frame: Frame) {
        self.offer(frame);
    }

    /// From now on frames are written to `wire` as they come.
    pub fn attach(&self, wire: Arc<dyn Wire>) {
        self.lock().wire = Some(wire);
        self.filled.notify_one();
    }

    /// From now on large frames go compressed: the reader has said that it can read that.
    pub fn compress(&self) {
        self.lock().deflate = true;
    }

    /// Waits until something waits that could not be written at once, or the outbox is closed.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Writes what waits, as far as the attached wire takes it.
    pub fn write_out(&self) -> WrittenOut {
        let mut backlog = self.lock();
        let written = backlog.write_out();
        let free = backlog.bytes <= BACKLOG_BYTES / 2 && backlog.queue.len() <= BACKLOG_FRAMES / 2;
        drop(backlog);
        if free {
            self.drained.notify_one();
        }
        written
    }

    /// Returns how much waits for the connection. Unit: bytes.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Returns whether the outbox is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until something is there, then moves up to 256 KiB of it to `into`. False once closed and empty.
    ///
    /// Cancel safe: frames leave the queue only when the call returns.
    pub async fn take(&self, into: &mut Vec<Frame>) -> bool {
        loop {
            let filled = self.filled.notified();
            if self.try_take(into) {
                return true;
            }
            if self.lock().closed {
                return false;
            }
            filled.await;
        }
    }

    /// Moves what is there, up to 256 KiB, to `into`; false when nothing is there.
    pub fn try_take(&self, into: &mut Vec<Frame>) -> bool {
        let mut backlog = self.lock();
        let mut taken = 0;
        while let Some(frame) = backlog.queue.front() {
            if taken > 0 && taken + frame.weight() > TAKE_BYTES {
                break;
            }
            taken += frame.weight();
            into.extend(backlog.queue.pop_front());
        }
        backlog.bytes -= taken;
        drop(backlog);
        if taken > 0 {
            self.drained.notify_one();
        }
        taken > 0
    }

    /// Ends the connection: what is queued is still handed out, nothing new is taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
        self.drained.notify_one();
    }

    /// Returns the sessions that the connection has to do with.
    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        self.lock().subscriptions.iter().map(|s| s.session).collect()
    }

    /// Returns whether the connection reads a session, so that it is told its heads.
    pub fn is_reading(&self) -> bool {
        self.lock().subscriptions.iter().any(|s| s.open && !s.lagging && !s.streams.is_empty())
    }

    /// Begins or renews a subscription. `has`: how far the reader has each stream.
    ///
    /// # Errors
    /// The connection has to do with too many sessions, or is gone: its end has been told already.
    pub(crate) fn open(&self, session: SessionId, streams: StreamSet, has: [Seq; 4]) -> Result<(), Problem> {
        let mut backlog = self.lock();
        if backlog.closed {
            return Err(Problem::new(Code::Unavailable).with_detail("The connection is closed."));
        }
        let s = backlog.entry(session)?;
        s.open = true;
        s.streams = streams;
        s.pushed = has;
        s.lagging = false;
        Ok(())
    }

    /// Ends a subscription and drops what waits for it, answers excepted.
    pub(crate) fn shut(&self, session: SessionId) {
        let mut backlog = self.lock();
        backlog.purge(|f| f.session() == Some(session) && !f.is_answer());
        if let Some(s) = backlog.find(session) {
            s.open = false;
            s.streams = StreamSet::EMPTY;
        }
        backlog.tidy(session);
    }

    /// Ends a subscription and says where each of its streams goes on.
    pub(crate) fn lag(&self, session: SessionId) {
        let mut backlog = self.lock();
        if backlog.find(session).is_some_and(|s| !s.lagging) {
            backlog.end_subscription(session);
            drop(backlog);
            self.filled.notify_one();
        }
    }

    /// Drops what waits of streams that may not be read any more.
    pub(crate) fn restrict(&self, session: SessionId, streams: StreamSet) {
        let mut backlog = self.lock();
        if let Some(s) = backlog.find(session) {
            s.streams = streams;
        }
        let lost = |f: &Frame| f.session() == Some(session) && !f.is_within(streams);
        let torn = backlog.queue.iter().any(|f| lost(f) && f.kind() == "snapshot");
        backlog.purge(lost);
        if torn {
            // What was folded together cannot be taken apart: the reader starts again with what is left to it.
            backlog.end_subscription(session);
        }
    }

    /// Writes a frame, or puts it into the queue, or takes the heaviest subscription away when that passes the bounds.
    pub(crate) fn offer(&self, frame: Frame) -> Pushed {
        self.offer_with(frame, true)
    }

    /// The same; without `last` the frame waits for the one that follows at once, so that both go in one write.
    pub(crate) fn offer_with(&self, frame: Frame, last: bool) -> Pushed {
        let mut backlog = self.lock();
        if backlog.closed {
            return Pushed::Gone;
        }
        let session = frame.session();
        if !frame.is_answer() {
            let Some(session) = session else { return Pushed::Gone };
            let Some(s) = backlog.find(session).filter(|s| !s.lagging) else { return Pushed::Gone };
            if !frame.is_within(s.streams) {
                // Made before a right was lost, offered after it: history that was being sent.
                if frame.kind() != "snapshot" {
                    return Pushed::Waits;
                }
                backlog.end_subscription(session);
                self.filled.notify_one();
                return Pushed::Gone;
            }
            if let Some((stream, _, last)) = frame.events() {
                s.pushed[stream as usize] = last;
            }
        }
        // What a connection says to itself goes with what everybody gets, or when its task comes round.
        let at_once = last && !frame.is_answer() && backlog.wire.is_some();
        let blocked = !backlog.rest.is_empty();
        backlog.bytes += frame.weight();
        backlog.queue.push_back(frame);
        if at_once && !blocked && backlog.write_out() == WrittenOut::All {
            return Pushed::Waits;
        }
        let over = backlog.bytes > BACKLOG_BYTES || backlog.queue.len() > BACKLOG_FRAMES;
        if over {
            backlog.drop_heaviest();
        }
        let gone = over && session.and_then(|s| backlog.find(s)).is_some_and(|s| s.lagging);
        drop(backlog);
        if last || over {
            self.filled.notify_one();
        }
        if gone { Pushed::Gone } else { Pushed::Waits }
    }

    /// Puts a frame into the queue once half of the bounds is free: for history, which is larger than a backlog.
    pub(crate) async fn offer_when_free(&self, frame: Frame) -> Pushed {
        loop {
            let drained = self.drained.notified();
            {
                let backlog = self.lock();
                let free = backlog.bytes <= BACKLOG_BYTES / 2 && backlog.queue.len() <= BACKLOG_FRAMES / 2;
                if free || backlog.closed {
                    break;
                }
            }
            drained.await;
        }
        self.offer(frame)
    }

    /// Counts a submitted command. Returns its place in the order of submission, or why it is refused at once.
    pub(crate) fn submit(&self, session: SessionId, key: Uuid, window: usize) -> Result<u64, Refused> {
        let order = self.submitted.fetch_add(1, Ordering::Relaxed);
        let mut backlog = self.lock();
        let s = backlog.entry(session)?;
        match s.gate {
            Some(gate) if gate.key == key => s.gate = None,
            Some(_) => return Err(Refused::RetryInOrder),
            None => {}
        }
        if s.unanswered >= window {
            s.gate = Some(Gate { order, key });
            return Err(Refused::WindowFull);
        }
        s.unanswered += 1;
        Ok(order)
    }

    /// Notes that the connection's owner refuses a command retryably before the hub sees it, so that later ones wait
    /// until its key returns.
    ///
    /// # Errors
    /// Another refusal goes before: an earlier command is waited for, or there is no place to wait in.
    pub fn hold(&self, session: SessionId, key: Uuid) -> Result<(), Refused> {
        let order = self.submitted.fetch_add(1, Ordering::Relaxed);
        let mut backlog = self.lock();
        let s = backlog.entry(session)?;
        if s.gate.is_some_and(|gate| gate.key != key) {
            return Err(Refused::RetryInOrder);
        }
        s.gate = Some(Gate { order, key });
        Ok(())
    }

    /// Returns whether a command must wait because an earlier one was refused retryably.
    pub(crate) fn is_gated(&self, session: SessionId, order: u64) -> bool {
        self.lock().find(session).and_then(|s| s.gate).is_some_and(|g| g.order < order)
    }

    /// Notes that a submitted command was refused retryably: later ones wait until its key returns.
    pub(crate) fn close_gate(&self, session: SessionId, order: u64, key: Uuid) {
        let mut backlog = self.lock();
        let Some(s) = backlog.find(session) else { return };
        if s.gate.is_none_or(|g| order < g.order) {
            s.gate = Some(Gate { order, key });
        }
    }

    /// Returns the commands that wait behind one that is not with its room yet.
    pub(crate) fn behind(&self) -> &Behind {
        &self.behind
    }

    /// Notes that a submitted command is answered before any room saw it.
    pub(crate) fn answered(&self, session: SessionId) {
        self.lock().answered(session);
    }

    /// Puts the answer to a submitted command into the queue. It is written with what everybody gets next, or by
    /// [`Outbox::write_now`], which must follow.
    pub(crate) fn reply(&self, session: SessionId, frame: Frame) {
        let mut backlog = self.lock();
        backlog.answered(session);
        if !backlog.closed {
            backlog.bytes += frame.weight();
            backlog.queue.push_back(frame);
        }
    }

    /// Writes what waits, or wakes the connection's task for what the socket does not take.
    pub(crate) fn write_now(&self) {
        let mut backlog = self.lock();
        let waits = !backlog.queue.is_empty();
        if waits && (!backlog.rest.is_empty() || backlog.write_out() != WrittenOut::All) {
            drop(backlog);
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a command was refused before any room saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// An earlier one waits to be sent again.
    RetryInOrder,
    /// Too many are unanswered.
    WindowFull,
    /// The connection has to do with [`MAX_SESSIONS`] others already.
    TooManySessions,
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::RetryInOrder => Self::new(Code::RetryInOrder),
            Refused::WindowFull => Self::new(Code::WindowFull).retry_after_ms(100),
            Refused::TooManySessions => Self::new(Code::TooManySessions),
        }
    }
}

impl Backlog {
    /// Writes what waits until nothing does or the wire takes no more. Small frames go in one write: the bytes are
    /// shared with other readers, so they are handed over where they are, not copied together.
    fn write_out(&mut self) -> WrittenOut {
        let Some(wire) = self.wire.clone() else { return WrittenOut::Blocked };
        if self.gone {
            return WrittenOut::Gone;
        }
        loop {
            if self.rest.is_empty() && self.queue.is_empty() {
                // What is empty may still hold the memory of a whole history.
                self.rest = Bytes::new();
                return WrittenOut::All;
            }
            match self.write_once(&*wire) {
                Ok(0) => return self.lost(),
                Ok(n) => self.written(n),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return WrittenOut::Blocked,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return self.lost(),
            }
        }
    }

    /// Hands the rest of what was begun and the next frames to the wire.
    fn write_once(&self, wire: &dyn Wire) -> std::io::Result<usize> {
        let mut pieces = [IoSlice::new(&[]); JOIN_FRAMES];
        let (mut used, mut bytes) = (0, 0);
        let waiting = self.queue.iter().map(|frame| frame.framed(self.deflate).as_ref());
        for piece in Some(self.rest.as_ref()).filter(|rest| !rest.is_empty()).into_iter().chain(waiting) {
            if used == JOIN_FRAMES || (used > 0 && bytes + piece.len() > JOIN_BYTES) {
                break;
            }
            pieces[used] = IoSlice::new(piece);
            used += 1;
            bytes += piece.len();
        }
        wire.try_write(&pieces[..used])
    }

    /// Takes what the wire has taken out of the queue; a frame that it took in part becomes the rest.
    fn written(&mut self, mut n: usize) {
        let of_rest = n.min(self.rest.len());
        self.rest.advance(of_rest);
        n -= of_rest;
        while n > 0 {
            let Some(frame) = self.queue.pop_front() else { break };
            self.bytes -= frame.weight();
            let whole = frame.framed(self.deflate);
            if n < whole.len() {
                self.rest = whole.slice(n..);
            }
            n = n.saturating_sub(whole.len());
        }
    }

    fn lost(&mut self) -> WrittenOut {
        self.gone = true;
        self.closed = true;
        self.queue.clear();
        self.bytes = 0;
        self.rest = Bytes::new();
        WrittenOut::Gone
    }

    fn answered(&mut self, session: SessionId) {
        if let Some(s) = self.find(session) {
            s.unanswered = s.unanswered.saturating_sub(1);
        }
        self.tidy(session);
    }

    fn find(&mut self, session: SessionId) -> Option<&mut Subscribed> {
        self.subscriptions.iter_mut().find(|s| s.session == session)
    }

    fn entry(&mut self, session: SessionId) -> Result<&mut Subscribed, Refused> {
        let place = match self.subscriptions.iter().position(|s| s.session == session) {
            Some(place) => place,
            None if self.subscriptions.len() >= MAX_SESSIONS => return Err(Refused::TooManySessions),
            None => {
                self.subscriptions.push(Subscribed {
                    session,
                    open: false,
                    streams: StreamSet::EMPTY,
                    pushed: [Seq::ZERO; 4],
                    lagging: false,
                    unanswered: 0,
                    gate: None,
                });
                self.subscriptions.len() - 1
            }
        };
        Ok(&mut self.subscriptions[place])
    }

    /// Forgets a session of which nothing is read, unanswered or waited for.
    fn tidy(&mut self, session: SessionId) {
        let over = |s: &Subscribed| !s.open && s.unanswered == 0 && s.gate.is_none();
        self.subscriptions.retain(|s| s.session != session || !over(s));
    }

    fn purge(&mut self, drop_it: impl Fn(&Frame) -> bool) {
        self.queue.retain(|f| !drop_it(f));
        self.bytes = self.queue.iter().map(Frame::weight).sum();
    }

    /// Takes the subscription with the most bytes away and says where each of its streams goes on.
    fn drop_heaviest(&mut self) {
        let weight = |session| -> usize {
            self.queue.iter().filter(|f| f.session() == Some(session) && !f.is_answer()).map(Frame::weight).sum()
        };
        let live = self.subscriptions.iter().filter(|s| !s.lagging).map(|s| s.session);
        if let Some(heaviest) = live.max_by_key(|session| weight(*session)) {
            self.end_subscription(heaviest);
        }
    }

    /// Drops what waits of a subscription and says where each of its streams goes on.
    fn end_subscription(&mut self, session: SessionId) {
        let Some(s) = self.find(session) else { return };
        s.lagging = true;
        let Subscribed { streams, pushed: mut after, .. } = *s;
        let waiting = self.queue.iter().rev().filter(|f| f.session() == Some(session));
        for (stream, first, _) in waiting.filter_map(Frame::events) {
            after[stream as usize] = Seq(first.0.saturating_sub(1));
        }
        self.purge(|f| f.session() == Some(session) && !f.is_answer());
        for stream in streams.iter() {
            let frame = Lagging { session_id: session, stream, after: after[stream as usize] };
            let frame = Frame::encode(&ServerFrame::Lagging(frame));
            self.bytes += frame.weight();
            self.queue.push_back(frame);
        }
    }
}

#[cfg(test)]
mod tests;
