//! What happened, once more: the state at any place of the log, and the events after it at the pace at which they came.
//!
//! Owns: finding a place by seq or time, folding up to it, pauses between events, the timeline. Must not know: HTTP,
//! who waits for the pauses. Invariant: the state at a seq is what a live reader of the same streams had at that seq,
//! and nothing is shown that the reader may not read now or that has been erased since.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use roundtable_protocol::event::{Event, EventBody, TurnProgressed};
use roundtable_protocol::frame::{Delta, ServerFrame, Snapshot};
use roundtable_protocol::view::{utf16_len, utf16_prefix};
use roundtable_protocol::{Code, Epoch, Problem, Rev, Seq, SessionId, Stream, StreamSet, Timestamp, UserId, View};
use roundtable_store::StoredEvent;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::frame::Frame;
use crate::joins::wire;
use crate::manager::{SessionManager, unavailable};
use crate::views::fold;

mod timeline;

/// The slowest replay: a quarter of the pace at which it happened.
pub const SLOWEST: f64 = 0.25;
/// The fastest replay.
pub const FASTEST: f64 = 16.0;
/// What a pause between two events is cut to unless the caller says otherwise.
pub const MAX_GAP: Duration = Duration::from_secs(2);
/// How many events are read at once while folding.
const CHUNK: usize = 2_000;
/// How many events a replay holds ready, at most, besides the rest of a commit.
const READY: usize = 256;
/// How old what is held ready may be when it is shown: text that was erased meanwhile is not.
const FRESH: Duration = Duration::from_millis(500);

/// A place in a session's history, after which a replay begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind everything that these seqs and what came before them say; streams that are not named do not count.
    /// Empty: before the first event.
    At(BTreeMap<Stream, Seq>),
    /// Behind everything that had happened at that time.
    Time(Timestamp),
    /// Behind everything there is now.
    Now,
}

impl Place {
    /// Returns the place behind one event of one stream.
    ///
    /// ```
    /// use roundtable_hub::replay::Place;
    /// use roundtable_protocol::{Seq, Stream};
    ///
    /// assert!(matches!(Place::seq(Stream::Main, Seq(7)), Place::At(places) if places[&Stream::Main] == Seq(7)));
    /// ```
    pub fn seq(stream: Stream, seq: Seq) -> Self {
        Self::At(BTreeMap::from([(stream, seq)]))
    }

    /// Returns whether an event lies behind the place.
    fn is_before(&self, stream: Stream, seq: Seq, at: Timestamp) -> bool {
        match self {
            Self::At(seqs) if seqs.is_empty() => true,
            Self::At(seqs) => seqs.get(&stream).is_some_and(|last| seq > *last),
            Self::Time(time) => at > *time,
            Self::Now => false,
        }
    }
}

/// How to replay.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayOptions {
    /// Which streams; those that the reader may not read are left out.
    pub streams: StreamSet,
    /// Where to begin.
    pub from: Place,
    /// How fast, [`SLOWEST`] to [`FASTEST`]; 1 is the pace at which it happened.
    pub speed: f64,
    /// What a pause is cut to, before the speed counts; none: pauses are kept as long as they were.
    pub max_gap: Option<Duration>,
    /// After how many events to stop; none: at the end.
    pub limit: Option<usize>,
}

impl ReplayOptions {
    /// Returns a replay of some streams from the start, at the pace at which it happened, without long pauses.
    ///
    /// ```
    /// use roundtable_hub::replay::ReplayOptions;
    /// use roundtable_protocol::{Stream, StreamSet};
    ///
    /// assert_eq!(ReplayOptions::new(StreamSet::EMPTY.with(Stream::Main)).speed, 1.0);
    /// ```
    pub fn new(streams: StreamSet) -> Self {
        let from = Place::At(BTreeMap::new());
        Self { streams, from, speed: 1.0, max_gap: Some(MAX_GAP), limit: None }
    }
}

/// The state of a session at a place of its history, as a reader of some streams sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct StateAt {
    /// The identity of the numbering.
    pub epoch: Epoch,
    /// The last seq of each stream that is folded in.
    pub at: BTreeMap<Stream, Seq>,
    /// When the last of these happened; none before the first.
    pub time: Option<Timestamp>,
    /// The state: everything but the older messages.
    pub view: View,
}

impl StateAt {
    /// Returns what stands for the whole state: SHA-256 of its JSON, in hexadecimal. The same at the same place, however
    /// it was come by.
    ///
    /// # Panics
    /// Never: a view serialises.
    pub fn hash(&self) -> String {
        let json = serde_json::to_vec(&self.view).expect("a view serialises: string keys, no failing parts");
        Sha256::digest(&json).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the frame that a reader begins with.
    pub fn frame(&self, session_id: SessionId) -> Frame {
        Frame::encode(&ServerFrame::Snapshot(Snapshot { session_id, at: self.at.clone(), head: self.view.clone() }))
    }
}

/// The next thing of a replay, and how long to wait before it is shown.
#[derive(Clone, Debug)]
pub struct ReplayStep {
    /// How long to wait.
    pub pause: Duration,
    /// What to show: an `events` frame with one event, or a `delta` frame with a piece of an answer.
    pub frame: Frame,
    /// Which event it is; none for a piece.
    pub event: Option<(Stream, Seq)>,
}

/// A replay under way. Whoever holds it decides when to ask for the next step: that is pausing and stepping; seeking is
/// beginning another one.
pub struct Replay {
    manager: SessionManager,
    session: SessionId,
    user: UserId,
    options: ReplayOptions,
    start: StateAt,
    /// The last commit that has been read.
    rev: Rev,
    /// How far each stream has been shown.
    at: BTreeMap<Stream, Seq>,
    last: Option<Timestamp>,
    ready: VecDeque<Ready>,
    read: Instant,
    steps: VecDeque<ReplayStep>,
    shown: usize,
}

struct Ready {
    stored: StoredEvent,
    at: Timestamp,
}

impl SessionManager {
    /// Returns the state of a session at a place of its history, for a reader of `streams`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_hub::replay::Place;
    /// use roundtable_protocol::{Seq, Stream, StreamSet};
    ///
    /// let main = StreamSet::EMPTY.with(Stream::Main);
    /// let first = manager.state_at(session, ana, main, &Place::seq(Stream::Main, Seq(1))).await?;
    /// assert!(first.view.participants.is_empty(), "nobody had joined yet");
    /// assert_eq!(manager.state_at(session, ana, main, &Place::Now).await?.view.participants.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session or stream for this user, `not_recorded` when the session is not recorded,
    /// `events_trimmed` for a place before now where the log is not kept from its beginning.
    pub async fn state_at(
        &self,
        session: SessionId,
        user: UserId,
        streams: StreamSet,
        place: &Place,
    ) -> Result<StateAt, Problem> {
        let (epoch, streams) = self.replayable(session, user, streams).await?;
        Ok(self.found(session, epoch, streams, place).await?.state)
    }

    /// Begins a replay. Its first step is what happened after the state it starts from.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_hub::replay::ReplayOptions;
    /// use roundtable_protocol::{Stream, StreamSet};
    ///
    /// let mut replay = manager.replay(session, ana, ReplayOptions::new(StreamSet::EMPTY.with(Stream::Main))).await?;
    /// let mut steps = 0;
    /// while replay.next().await?.is_some() {
    ///     steps += 1;
    /// }
    /// assert!(steps >= 3);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SessionManager::state_at`]; `invalid_field` when the speed is out of range.
    pub async fn replay(&self, session: SessionId, user: UserId, options: ReplayOptions) -> Result<Replay, Problem> {
        if !(SLOWEST..=FASTEST).contains(&options.speed) {
            let detail = format!("{SLOWEST} to {FASTEST}");
            return Err(Problem::new(Code::InvalidField).with_field("/speed", Code::InvalidField, detail));
        }
        let (epoch, streams) = self.replayable(session, user, options.streams).await?;
        let Folded { state, rev, rest } = self.found(session, epoch, streams, &options.from).await?;
        Ok(Replay {
            manager: self.clone(),
            session,
            user,
            options: ReplayOptions { streams, ..options },
            at: state.at.clone(),
            last: state.time,
            start: state,
            rev,
            ready: rest,
            read: Instant::now(),
            steps: VecDeque::new(),
            shown: 0,
        })
    }

    /// Returns which of `streams` a user may read of a session that is recorded.
    async fn replayable(
        &self,
        session: SessionId,
        user: UserId,
        streams: StreamSet,
    ) -> Result<(Epoch, StreamSet), Problem> {
        let look = move |look: &mut crate::room::Look<'_>, grant: roundtable_protocol::Grant| {
            let readable: StreamSet = streams.iter().filter(|stream| grant.streams.contains(*stream)).collect();
            (look.session.epoch().clone(), readable, look.session.settings().recording)
        };
        let (epoch, readable, recorded) = self.viewed(session, user, look).await?;
        match (recorded, readable == StreamSet::EMPTY) {
            (_, true) => Err(Problem::new(Code::NotFound)),
            (false, _) => Err(Problem::new(Code::NotRecorded)),
            (true, false) => Ok((epoch, readable)),
        }
    }

    /// Returns the state at a place. That of now is known also where the log is not kept from its beginning.
    async fn found(
        &self,
        session: SessionId,
        epoch: Epoch,
        streams: StreamSet,
        place: &Place,
    ) -> Result<Folded, Problem> {
        match self.fold_to(session, epoch.clone(), streams, place).await {
            Err(problem) if problem.code == Code::EventsTrimmed && *place == Place::Now => {
                self.kept_now(session, epoch, streams).await
            }
            found => found,
        }
    }

    /// Returns the state of now from the view that stands for what is gone.
    async fn kept_now(&self, session: SessionId, epoch: Epoch, streams: StreamSet) -> Result<Folded, Problem> {
        let views = self.ask(session, |look| Arc::clone(look.views)).await?;
        let (rev, view) = views.view_at(streams).await.map_err(unavailable)?;
        let at: BTreeMap<Stream, Seq> = view.streams.iter().map(|(stream, of)| (*stream, of.head)).collect();
        let mut time = None;
        for (stream, head) in at.iter().filter(|(_, head)| **head > Seq::ZERO) {
            let last =
                self.store().read(session, *stream, Seq(head.0 - 1), 1, usize::MAX).await.map_err(unavailable)?;
            time = time.max(last.first().map(time_of));
        }
        Ok(Folded { state: StateAt { epoch, at, time, view }, rev, rest: VecDeque::new() })
    }

    async fn fold_to(
        &self,
        session: SessionId,
        epoch: Epoch,
        streams: StreamSet,
        place: &Place,
    ) -> Result<Folded, Problem> {
        let (mut view, mut rev, mut time) = (View::default(), Rev::ZERO, None);
        let mut rest = VecDeque::new();
        while rest.is_empty() {
            let events = self.store().read_commits(session, rev, CHUNK).await.map_err(unavailable)?;
            let Some(last) = events.last() else { break };
            rev = last.rev;
            for stored in events.into_iter().filter(|event| streams.contains(event.stream)) {
                let at = time_of(&stored);
                if rest.is_empty() && !place.is_before(stored.stream, stored.seq, at) {
                    fold(&mut view, &stored);
                    time = Some(at);
                } else {
                    rest.push_back(Ready { stored, at });
                }
            }
            view = view.into_head(streams);
        }
        for stream in streams.iter() {
            view.streams.entry(stream).or_default();
        }
        let at = view.streams.iter().map(|(stream, of)| (*stream, of.head)).collect();
        Ok(Folded { state: StateAt { epoch, at, time, view }, rev, rest })
    }
}

struct Folded {
    state: StateAt,
    /// The last commit that was read.
    rev: Rev,
    /// What was read and lies behind the place.
    rest: VecDeque<Ready>,
}

impl Replay {
    /// Returns the state that the replay starts from.
    pub fn start(&self) -> &StateAt {
        &self.start
    }

    /// Returns how far each stream has been shown.
    pub fn position(&self) -> &BTreeMap<Stream, Seq> {
        &self.at
    }

    /// Returns the next step, or `None` at the end of what there is. Waits for nothing but the store.
    ///
    /// # Errors
    /// The reader may not read the session any more, it is not recorded any more, or the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<ReplayStep>, Problem> {
        if let Some(step) = self.steps.pop_front() {
            return Ok(Some(step));
        }
        loop {
            if self.options.limit.is_some_and(|limit| self.shown >= limit) {
                return Ok(None);
            }
            let Some(Ready { stored, at }) = self.ready().await? else { return Ok(None) };
            let shown = self.at.entry(stored.stream).or_default();
            if stored.seq <= *shown {
                continue;
            }
            *shown = stored.seq;
            self.shown += 1;
            self.queue(&stored, at);
            self.last = Some(at);
            return Ok(self.steps.pop_front());
        }
    }

    /// Returns the next event that the reader may read now.
    async fn ready(&mut self) -> Result<Option<Ready>, Problem> {
        let (_, readable) = self.manager.replayable(self.session, self.user, self.options.streams).await?;
        if self.read.elapsed() > FRESH
            && let Some(next) = self.ready.front()
        {
            // From the commit of the next event on, once more; what has been shown of it is left out by its seq.
            self.rev = Rev(next.stored.rev.0 - 1);
            self.ready.clear();
        }
        loop {
            while let Some(next) = self.ready.pop_front() {
                if readable.contains(next.stored.stream) {
                    return Ok(Some(next));
                }
            }
            let store = self.manager.store();
            let events = store.read_commits(self.session, self.rev, READY).await.map_err(unavailable)?;
            self.read = Instant::now();
            let Some(last) = events.last() else { return Ok(None) };
            self.rev = last.rev;
            self.ready.extend(events.into_iter().map(|stored| Ready { at: time_of(&stored), stored }));
        }
    }

    /// Queues what one event shows: the pieces in which an answer's text came, then the event.
    fn queue(&mut self, stored: &StoredEvent, at: Timestamp) {
        let gap = self.last.map_or(Duration::ZERO, |last| at.duration_since(last).try_into().unwrap_or_default());
        let event = Event::from_stored(stored.stream, stored.seq, &stored.header, &stored.body).ok();
        let pieces = match event.as_ref().map(|event| &event.body) {
            Some(EventBody::TurnProgressed(data)) => pieces(data),
            _ => Vec::new(),
        };
        let paced: Duration = pieces.iter().map(|piece| piece.after).sum();
        let mut pause = self.paced(gap.saturating_sub(paced));
        for Piece { after, offset, text } in pieces {
            let Some(EventBody::TurnProgressed(data)) = event.as_ref().map(|event| &event.body) else { break };
            let delta = Delta { session_id: self.session, turn: data.turn, message: data.message, offset, text };
            let frame = Frame::encode(&ServerFrame::Delta(delta));
            self.steps.push_back(ReplayStep { pause: pause + self.paced(after), frame, event: None });
            pause = Duration::ZERO;
        }
        let bytes = wire(stored);
        let items = std::iter::once(bytes.as_slice());
        let frame = Frame::events_of(self.session, stored.stream, stored.seq, stored.seq, items);
        self.steps.push_back(ReplayStep { pause, frame, event: Some((stored.stream, stored.seq)) });
    }

    /// Returns how long a pause is in this replay.
    fn paced(&self, gap: Duration) -> Duration {
        self.options.max_gap.map_or(gap, |max| gap.min(max)).div_f64(self.options.speed)
    }
}

/// A piece of text as it came.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    /// How long after the piece before it.
    after: Duration,
    /// Where it begins. Unit: UTF-16 code units.
    offset: u64,
    text: String,
}

/// Returns the pieces in which the text of a `turn.progressed` came, as far as that is recorded.
fn pieces(data: &TurnProgressed) -> Vec<Piece> {
    let (mut offset, mut text) = (data.offset, data.text.as_str());
    let mut pieces = Vec::new();
    for (millis, units) in &data.pace {
        let (piece, rest) = text.split_at(utf16_prefix(text, u64::from(*units)));
        if piece.is_empty() {
            break;
        }
        let after = Duration::from_millis(u64::from(*millis));
        pieces.push(Piece { after, offset, text: piece.to_owned() });
        offset += utf16_len(piece);
        text = rest;
    }
    pieces
}

/// Returns when an event happened; the start of time when its header cannot be read, so that it is shown at once.
fn time_of(stored: &StoredEvent) -> Timestamp {
    #[derive(serde::Deserialize)]
    struct Header {
        at: Timestamp,
    }
    serde_json::from_slice::<Header>(&stored.header).map_or(Timestamp::UNIX_EPOCH, |header| header.at)
}

#[cfg(test)]
mod tests;
