//! Who gets what, and when: subscribers of one room, and the coalescing of events into frames.
//!
//! Owns: the list of subscribers, what waits for the next flush. Must not know: rules, storage. Invariant: each
//! subscriber's frames of a stream are consecutive; the first event of a burst leaves at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roundtable_protocol::frame::{Lagging, ServerFrame};
use roundtable_protocol::{ConnectionId, Grant, ParticipantId, Permission, Seq, SessionId, Stream, StreamSet, UserId};
use tokio::time::Instant;

use crate::frame::Frame;
use crate::outbox::{BACKLOG_BYTES, BACKLOG_FRAMES, Outbox, Pushed};

/// Up to so many subscribers are written by the room's own thread.
const INLINE: usize = 256;
/// Least number of subscribers that are worth a thread of their own.
const SHARD: usize = 512;

/// One connection that reads a session.
pub(crate) struct Subscriber {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) session: SessionId,
    pub(crate) user: UserId,
    pub(crate) participant: Option<ParticipantId>,
    pub(crate) grant: Grant,
    /// What it asked for.
    pub(crate) wanted: StreamSet,
    /// What it asked for and may read.
    pub(crate) streams: StreamSet,
    /// Tells this subscription from an earlier one of the same connection.
    pub(crate) number: u64,
    /// Live frames that wait until history has been sent; `None` once it has.
    held: Option<Held>,
    /// What became of the last frame: whether the subscription goes on.
    stays: bool,
    ended: bool,
}

#[derive(Default)]
struct Held {
    frames: Vec<Frame>,
    bytes: usize,
}

impl Subscriber {
    pub(crate) fn new(
        outbox: Arc<Outbox>,
        session: SessionId,
        user: UserId,
        participant: Option<ParticipantId>,
        grant: Grant,
        wanted: StreamSet,
        number: u64,
    ) -> Self {
        let streams = wanted.intersect(grant.streams);
        let held = Some(Held::default());
        Self { outbox, session, user, participant, grant, wanted, streams, number, held, stays: true, ended: false }
    }

    pub(crate) fn connection(&self) -> ConnectionId {
        self.outbox.id()
    }

    /// Readers who cannot write are flushed less often.
    fn class(&self) -> usize {
        usize::from(!self.grant.allows(Permission::MessagePost))
    }

    /// Sends or holds a frame; false when the subscription is over.
    fn give(&mut self, frame: &Frame) -> bool {
        self.give_with(frame, true)
    }

    /// Sends or holds those of `frames` that are of the reader's streams, in one write.
    fn give_all(&mut self, frames: &[(Stream, Frame)]) -> bool {
        let streams = self.streams;
        let mut mine = frames.iter().filter(|(stream, _)| streams.contains(*stream)).peekable();
        while let Some((_, frame)) = mine.next() {
            if !self.give_with(frame, mine.peek().is_none()) {
                return false;
            }
        }
        true
    }

    fn give_with(&mut self, frame: &Frame, last: bool) -> bool {
        let Some(held) = &mut self.held else {
            return self.outbox.offer_with(frame.clone(), last) == Pushed::Waits;
        };
        held.bytes += frame.weight();
        held.frames.push(frame.clone());
        held.bytes <= BACKLOG_BYTES && held.frames.len() <= BACKLOG_FRAMES
    }

    /// History has been sent: what was held follows. False when the subscription is over.
    pub(crate) fn release(&mut self) -> bool {
        let held = self.held.take().unwrap_or_default();
        held.frames.into_iter().all(|f| self.outbox.offer(f) == Pushed::Waits)
    }

    /// Whether history is still being sent.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }
}

impl Drop for Subscriber {
    /// A subscription that ends with its room, or because its reader was too slow while history was sent, is told to
    /// subscribe again from what it has.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        for stream in self.streams.iter() {
            let lagging = Lagging { session_id: self.session, stream, after: Seq::ZERO };
            self.outbox.offer(Frame::encode(&ServerFrame::Lagging(lagging)));
        }
    }
}

/// One event on its way out.
#[derive(Clone, Debug)]
pub(crate) struct OutEvent {
    pub(crate) stream: Stream,
    pub(crate) seq: Seq,
    /// The event in its wire form.
    pub(crate) wire: Bytes,
}

/// A room's subscribers and what waits for them.
pub(crate) struct Fanout {
    session: SessionId,
    subscribers: Vec<Subscriber>,
    /// Participants, then watchers.
    classes: [Class; 2],
}

struct Class {
    waiting: Vec<OutEvent>,
    window: Duration,
    last_flush: Option<Instant>,
}

impl Fanout {
    pub(crate) fn new(session: SessionId, flush: Duration, watcher_flush: Duration) -> Self {
        let class = |window| Class { waiting: Vec::new(), window, last_flush: None };
        Self { session, subscribers: Vec::new(), classes: [class(flush), class(watcher_flush)] }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    pub(crate) fn subscribers_mut(&mut self) -> &mut Vec<Subscriber> {
        &mut self.subscribers
    }

    /// Adds a subscriber, in place of an earlier one of the same connection.
    pub(crate) fn add(&mut self, subscriber: Subscriber) {
        self.flush_all();
        self.remove(subscriber.connection());
        self.subscribers.push(subscriber);
    }

    /// Takes a connection's subscription away; returns it.
    pub(crate) fn remove(&mut self, connection: ConnectionId) -> Option<Subscriber> {
        let place = self.subscribers.iter().position(|s| s.connection() == connection)?;
        let mut subscriber = self.subscribers.swap_remove(place);
        subscriber.ended = true;
        Some(subscriber)
    }

    /// Takes all subscriptions away; returns them.
    pub(crate) fn clear(&mut self) -> Vec<Subscriber> {
        self.classes.iter_mut().for_each(|class| class.waiting.clear());
        self.subscribers.iter_mut().for_each(|s| s.ended = true);
        std::mem::take(&mut self.subscribers)
    }

    pub(crate) fn find(&mut self, connection: ConnectionId) -> Option<&mut Subscriber> {
        self.subscribers.iter_mut().find(|s| s.connection() == connection)
    }

    /// Takes events for the readers: at once when the last flush is long enough ago, else with the next flush.
    pub(crate) fn publish(&mut self, events: &[OutEvent], now: Instant) {
        for class in 0..2 {
            if !self.subscribers.iter().any(|s| s.class() == class) {
                continue;
            }
            let waiting = &mut self.classes[class];
            waiting.waiting.extend_from_slice(events);
            if waiting.due().is_none_or(|due| due <= now) {
                self.flush(class, None);
            }
        }
    }

    /// Returns when the next flush is due, if anything waits.
    pub(crate) fn next_flush(&self) -> Option<Instant> {
        self.classes.iter().filter(|c| !c.waiting.is_empty()).filter_map(|c| c.due()).min()
    }

    /// Flushes what is due.
    pub(crate) fn flush_due(&mut self, now: Instant) {
        for class in 0..2 {
            if !self.classes[class].waiting.is_empty() && self.classes[class].due().is_none_or(|due| due <= now) {
                self.flush(class, None);
            }
        }
    }

    /// Flushes everything, due or not: before a reader is added or rights change.
    pub(crate) fn flush_all(&mut self) {
        for class in 0..2 {
            if !self.classes[class].waiting.is_empty() {
                self.flush(class, None);
            }
        }
    }

    /// Sends a frame to everybody who may read `stream`.
    pub(crate) fn send(&mut self, frame: &Frame, stream: Stream) {
        self.each(|s| !s.streams.contains(stream) || s.give(frame));
    }

    /// Sends a frame behind the events that wait, both in one write.
    pub(crate) fn send_behind_events(&mut self, frame: &Frame, stream: Stream) {
        for class in 0..2 {
            self.flush(class, Some((stream, frame)));
        }
    }

    /// Sends each reader the frame that `make` gives for its streams; made once for each set of streams.
    pub(crate) fn send_by_streams(&mut self, make: impl Fn(StreamSet) -> Frame) {
        let mut made: Vec<(StreamSet, Frame)> = Vec::new();
        for s in &self.subscribers {
            if !made.iter().any(|(set, _)| *set == s.streams) {
                made.push((s.streams, make(s.streams)));
            }
        }
        self.each(|s| made.iter().find(|(set, _)| *set == s.streams).is_none_or(|(_, frame)| s.give(frame)));
    }

    fn flush(&mut self, class: usize, behind: Option<(Stream, &Frame)>) {
        if !self.subscribers.iter().any(|s| s.class() == class) {
            self.classes[class].waiting.clear();
            return;
        }
        let waiting = std::mem::take(&mut self.classes[class].waiting);
        let joined = Stream::ALL.into_iter().filter_map(|stream| {
            let mut of = waiting.iter().filter(|e| e.stream == stream);
            let first = of.next()?;
            let last = of.next_back().unwrap_or(first);
            let items = waiting.iter().filter(|e| e.stream == stream).map(|e| e.wire.as_ref());
            Some((stream, Frame::events_of(self.session, stream, first.seq, last.seq, items)))
        });
        let frames: Vec<(Stream, Frame)> =
            joined.chain(behind.map(|(stream, frame)| (stream, frame.clone()))).collect();
        self.each(|s| s.class() != class || s.give_all(&frames));
        // From the end, not the beginning: a crowd that takes longer than the window is to be told less often, not more.
        self.classes[class].last_flush = Some(Instant::now());
    }

    /// Calls `f` for each subscriber and lets those go for whom it is false: their outbox has told them why, or will.
    ///
    /// Up to [`INLINE`] the room's own thread does it; above that, shards of subscribers on as many threads as there are
    /// cores, with the same bytes. The room waits for them, so every subscriber's frames keep their order.
    fn each(&mut self, f: impl Fn(&mut Subscriber) -> bool + Sync) {
        let ask = |shard: &mut [Subscriber]| {
            for s in shard {
                s.stays = f(s);
            }
        };
        let n = self.subscribers.len();
        if n <= INLINE {
            ask(&mut self.subscribers);
        } else {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let shard = n.div_ceil(cores).max(SHARD);
            std::thread::scope(|threads| {
                for shard in self.subscribers.chunks_mut(shard) {
                    threads.spawn(|| ask(shard));
                }
            });
        }
        self.subscribers.retain_mut(|s| {
            // A held subscription that overflows has not been told yet; dropping it tells.
            s.ended = !s.stays && s.held.is_none();
            s.stays
        });
    }
}

impl Class {
    fn due(&self) -> Option<Instant> {
        self.last_flush.map(|last| last + self.window)
    }
}
