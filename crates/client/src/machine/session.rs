//! One session as this client has it: positions, view, unanswered commands.
//!
//! Owns: what each frame about the session changes. Must not know: the connection. Invariant: `position` and the view's
//! head of a stream move together, one event at a time, or by a whole snapshot.

use std::collections::BTreeMap;

use roundtable_protocol::frame::{
    Access, After, Delta, Head, Person, Reset, Snapshot, StartMode, StreamPosition, StreamStart, Subscribe, Subscribed,
    You,
};
use roundtable_protocol::ids::{Epoch, EventId, Seq, SessionId, Stream, StreamSet};
use roundtable_protocol::view::View;

use super::commands::Commands;
use crate::incoming::Item;

/// Subscriptions to one session that a gap or `lagging` causes are at least this far apart. Unit: milliseconds.
pub const RESUBSCRIBE_MS: u64 = 1_000;
/// A stream that a `head` frame found behind, and that gets no event for this long, is subscribed again. Unit:
/// milliseconds.
pub const BEHIND_MS: u64 = 5_000;

/// A session that is subscribed or has unanswered commands.
#[derive(Debug, Default)]
pub struct SessionSync {
    wanted: StreamSet,
    streams: BTreeMap<Stream, StreamSync>,
    view: View,
    you: Option<You>,
    people: Vec<Person>,
    pub(super) commands: Commands,
    /// The latest subscribe request, while it is not answered. It names every wanted stream, so that only its answer
    /// counts.
    asked: Option<u64>,
    /// What may be read, when `access` said so while the request travelled: the answer may have been made before it.
    overtaken_by: Option<StreamSet>,
    last_subscribe_ms: Option<u64>,
    resubscribe_at_ms: Option<u64>,
    subscribe_refusals: u32,
}

/// How far one stream is.
#[derive(Debug, Default)]
struct StreamSync {
    epoch: Option<Epoch>,
    seq: Seq,
    id: Option<EventId>,
    /// Whether the server sends it on this connection.
    open: bool,
    /// A snapshot was announced and has not come.
    awaits_snapshot: bool,
    /// The largest head that was announced.
    target: Seq,
    /// Since when a `head` frame has found it behind and nothing has come.
    behind_since_ms: Option<u64>,
}

impl StreamSync {
    fn moved(&mut self, now: u64) {
        self.behind_since_ms = self.behind_since_ms.filter(|_| self.seq < self.target).map(|_| now);
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that anybody sees.
    Nothing,
    /// The view, the role or a subscription changed.
    Changed,
    /// The same, and the session must be subscribed again at once.
    Resubscribe,
}

impl SessionSync {
    /// Returns the view; the old one stays until a new one is whole.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Returns who the client is in the session, once the server has said so.
    pub fn you(&self) -> Option<&You> {
        self.you.as_ref()
    }

    /// Returns who was there when the last subscription began.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Returns the last seq applied of `stream`; none when the stream is not held.
    pub fn position(&self, stream: Stream) -> Option<Seq> {
        self.streams.get(&stream).map(|s| s.seq)
    }

    /// Returns the streams of which something is held or asked for.
    pub fn streams(&self) -> impl Iterator<Item = Stream> {
        self.streams.keys().copied()
    }

    /// Returns whether `stream` is open on this connection and has reached every head that was announced.
    pub fn is_live(&self, stream: Stream) -> bool {
        self.streams.get(&stream).is_some_and(|s| s.open && !s.awaits_snapshot && s.seq >= s.target)
    }

    /// Returns how many commands have no final answer.
    pub fn unanswered(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn want(&mut self, streams: StreamSet) {
        self.wanted = streams;
        if streams.is_empty() {
            self.resubscribe_at_ms = None;
        }
        let unwanted: Vec<_> = self.streams.keys().copied().filter(|s| !streams.contains(*s)).collect();
        for stream in unwanted {
            self.forget(stream);
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Makes the subscription from where each stream is.
    pub(super) fn subscribe(&mut self, session_id: SessionId, id: u64, now: u64) -> Subscribe {
        self.last_subscribe_ms = Some(now);
        self.resubscribe_at_ms = None;
        self.asked = Some(id);
        self.overtaken_by = None;
        let mut streams = Vec::new();
        for stream in self.wanted.iter() {
            let sync = self.streams.entry(stream).or_default();
            sync.behind_since_ms = None;
            let known = sync.seq > Seq::ZERO;
            streams.push(StreamPosition {
                stream,
                epoch: sync.epoch.clone().filter(|_| known),
                after: known.then_some(After { seq: sync.seq, id: sync.id }),
            });
        }
        Subscribe { id, session_id, streams }
    }

    pub(super) fn subscribed(&mut self, frame: Subscribed, now: u64) {
        self.subscribe_refusals = 0;
        if self.asked != Some(frame.re) {
            return;
        }
        self.asked = None;
        let overtaken_by = self.overtaken_by.take();
        if overtaken_by.is_none() {
            self.you = Some(frame.you);
        }
        self.people = frame.people;
        let mut missing = self.wanted;
        for start in frame.streams {
            let allowed = overtaken_by.is_none_or(|allowed| allowed.contains(start.stream));
            if allowed && start.mode != StartMode::Waiting && missing.contains(start.stream) {
                missing = missing.iter().filter(|s| *s != start.stream).collect();
                self.begins(start);
            }
        }
        for stream in missing.iter() {
            self.forget(stream);
        }
        if overtaken_by.is_some() {
            self.plan_subscribe(now);
        }
    }

    fn begins(&mut self, start: StreamStart) {
        let sync = self.streams.entry(start.stream).or_default();
        sync.open = true;
        sync.epoch = Some(start.epoch);
        sync.awaits_snapshot = start.mode == StartMode::Snapshot;
        sync.target = start.head;
        sync.behind_since_ms = None;
        if start.head == Seq::ZERO && sync.seq == Seq::ZERO {
            self.clear(start.stream);
        }
    }

    /// The subscription was refused for good: nothing of it may stay.
    pub(super) fn refused(&mut self) {
        for stream in Stream::ALL {
            self.forget(stream);
        }
        self.asked = None;
        self.you = None;
        self.people.clear();
    }

    pub(super) fn asked(&self, re: u64) -> bool {
        self.asked == Some(re)
    }

    pub(super) fn subscribe_refusals(&self) -> u32 {
        self.subscribe_refusals
    }

    pub(super) fn subscribe_postponed(&mut self, until: u64) {
        self.asked = None;
        self.subscribe_refusals += 1;
        self.resubscribe_at_ms = Some(until);
    }

    /// Applies events as far as they are the next ones. Returns those taken and what it did.
    pub(super) fn events(&mut self, stream: Stream, items: Vec<Item>, now: u64) -> (Vec<Item>, Effect) {
        let (mut taken, mut gap) = (Vec::new(), false);
        for item in items {
            let Some(sync) = self.streams.get_mut(&stream) else { break };
            if item.seq() <= sync.seq {
                continue;
            }
            if item.seq() != sync.seq.next() {
                gap = true;
                break;
            }
            if sync.seq == Seq::ZERO {
                self.clear(stream);
            }
            self.apply(stream, &item, now);
            taken.push(item);
        }
        let waits = |s: &StreamSync| s.open && !s.awaits_snapshot;
        if gap && self.asked.is_none() && self.streams.get(&stream).is_some_and(waits) {
            self.resubscribe_soon(stream, now);
        }
        let effect = if taken.is_empty() { Effect::Nothing } else { Effect::Changed };
        (taken, effect)
    }

    fn apply(&mut self, stream: Stream, item: &Item, now: u64) {
        match item {
            Item::Event(event) => self.view.apply(event),
            Item::Unknown { seq, .. } => self.view.skip(stream, *seq),
        }
        if let Some(sync) = self.streams.get_mut(&stream) {
            sync.seq = item.seq();
            sync.id = Some(item.id());
            sync.moved(now);
        }
    }

    /// Takes the streams of a snapshot that are not older than what is held. `main` brings session, roster and turns.
    pub(super) fn snapshot(&mut self, frame: Snapshot, now: u64) -> Effect {
        let mut head = frame.head;
        let (mut told, mut requests) = (std::mem::take(&mut head.streams), std::mem::take(&mut head.requests));
        let mut effect = Effect::Nothing;
        for (stream, at) in frame.at {
            let Some(sync) = self.streams.get_mut(&stream) else { continue };
            sync.awaits_snapshot = false;
            if at < sync.seq {
                continue;
            }
            if at > sync.seq {
                sync.id = None;
            }
            sync.seq = at;
            sync.moved(now);
            let mut view = told.remove(&stream).unwrap_or_default();
            view.head = at;
            self.view.streams.insert(stream, view);
            match stream {
                Stream::Main => {
                    // Everything but the streams, and who waits, is told in `main`.
                    let held = std::mem::take(&mut self.view);
                    let (streams, requests) = (held.streams, held.requests);
                    self.view = View { streams, requests, ..std::mem::take(&mut head) };
                }
                Stream::Staff => self.view.requests = std::mem::take(&mut requests),
                Stream::Side | Stream::Stage => {}
            }
            effect = Effect::Changed;
        }
        effect
    }

    pub(super) fn delta(&mut self, frame: &Delta) -> Effect {
        match self.view.apply_delta(frame.message, frame.offset, &frame.text) {
            true => Effect::Changed,
            false => Effect::Nothing,
        }
    }

    pub(super) fn access(&mut self, frame: Access) -> Effect {
        let allowed: StreamSet = frame.streams.into_iter().collect();
        self.you = Some(frame.you);
        for stream in Stream::ALL {
            if !allowed.contains(stream) {
                self.forget(stream);
            }
        }
        if self.asked.is_some() {
            self.overtaken_by = Some(allowed);
            return Effect::Changed;
        }
        let closed = |s: Stream| self.streams.get(&s).is_none_or(|sync| !sync.open);
        match self.wanted.intersect(allowed).iter().any(closed) {
            true => Effect::Resubscribe,
            false => Effect::Changed,
        }
    }

    pub(super) fn lagging(&mut self, stream: Stream, now: u64) {
        let Some(sync) = self.streams.get_mut(&stream) else { return };
        sync.open = false;
        if self.asked.is_none() {
            self.resubscribe_soon(stream, now);
        }
    }

    /// The history is another one: every position in an older numbering is dropped, its view shown until the new one
    /// comes.
    pub(super) fn reset(&mut self, frame: &Reset) -> Effect {
        let stream = self.streams.get(&frame.stream);
        if stream.is_none_or(|s| s.seq == Seq::ZERO && self.asked.is_some()) {
            return Effect::Nothing;
        }
        for (stream, sync) in &mut self.streams {
            if *stream == frame.stream || sync.epoch.as_ref() != Some(&frame.epoch) {
                *sync = StreamSync::default();
            }
        }
        Effect::Resubscribe
    }

    pub(super) fn head(&mut self, frame: &Head, now: u64) {
        for (stream, head) in &frame.streams {
            let Some(sync) = self.streams.get_mut(stream) else { continue };
            sync.target = sync.target.max(*head);
            if sync.open && !sync.awaits_snapshot && sync.seq < sync.target {
                sync.behind_since_ms.get_or_insert(now);
            }
        }
    }

    pub(super) fn disconnected(&mut self) {
        for sync in self.streams.values_mut() {
            sync.open = false;
            sync.awaits_snapshot = false;
            sync.behind_since_ms = None;
        }
        self.resubscribe_at_ms = None;
        self.last_subscribe_ms = None;
        self.asked = None;
        self.commands.disconnected();
    }

    /// Returns whether the session must be subscribed again now.
    pub(super) fn is_due(&self, now: u64) -> bool {
        self.resubscribe_at_ms.is_some_and(|at| now >= at) || self.behind_deadline().is_some_and(|at| now >= at)
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        [self.resubscribe_at_ms, self.behind_deadline(), self.commands.deadline()].into_iter().flatten().min()
    }

    fn behind_deadline(&self) -> Option<u64> {
        let since = self.streams.values().filter_map(|s| s.behind_since_ms).min()?;
        self.asked.is_none().then_some(since + BEHIND_MS)
    }

    fn resubscribe_soon(&mut self, stream: Stream, now: u64) {
        if let Some(sync) = self.streams.get_mut(&stream) {
            sync.open = false;
        }
        self.plan_subscribe(now);
    }

    fn plan_subscribe(&mut self, now: u64) {
        let at = self.last_subscribe_ms.map_or(now, |last| now.max(last + RESUBSCRIBE_MS));
        self.resubscribe_at_ms = Some(self.resubscribe_at_ms.map_or(at, |planned| planned.min(at)));
    }

    /// Drops position and view of a stream.
    fn forget(&mut self, stream: Stream) {
        self.streams.remove(&stream);
        self.clear(stream);
    }

    /// Drops what is shown of a stream.
    fn clear(&mut self, stream: Stream) {
        self.view.streams.remove(&stream);
        match stream {
            Stream::Main => {
                let View { streams, requests, .. } = std::mem::take(&mut self.view);
                self.view = View { streams, requests, ..View::default() };
            }
            Stream::Staff => self.view.requests.clear(),
            Stream::Side | Stream::Stage => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use roundtable_protocol::view::LifeView;

    use super::*;

    #[test]
    fn a_snapshot_of_main_brings_everything_that_the_session_is() {
        let mut sync = SessionSync::default();
        sync.streams.insert(Stream::Main, StreamSync::default());
        let life = LifeView { cause: Some("the model is gone".to_owned()), ..LifeView::default() };
        let mut head = View { life, ..View::default() };
        head.streams.entry(Stream::Main).or_default().head = Seq(7);
        let at = BTreeMap::from([(Stream::Main, Seq(7))]);
        let session_id = SessionId::NIL;
        assert_eq!(sync.snapshot(Snapshot { session_id, at, head: head.clone() }, 0), Effect::Changed);
        assert_eq!(sync.view, head);
        sync.forget(Stream::Main);
        assert_eq!(sync.view, View::default(), "and all of it goes with the stream");
    }
}
