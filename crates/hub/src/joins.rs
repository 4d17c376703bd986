//! Joining: subscribe to live first, then read history, then release what was held.
//!
//! Owns: how a subscription starts, stream by stream. Must not know: rights; the room has already cut the request down
//! to what may be read. Invariant: between history and live events there is no hole.

use std::sync::Arc;

use roundtable_protocol::event::wire_event;
use roundtable_protocol::frame::{
    ErrorFrame, MAX_REPLAY_BYTES, MAX_REPLAY_EVENTS, Person, Reset, ServerFrame, StartMode, StreamPosition,
    StreamStart, Subscribed, You,
};
use roundtable_protocol::{Code, Epoch, Problem, Seq, SessionId, Stream, StreamSet};
use roundtable_store::{Store, StoreError, StoredEvent};
use tokio::sync::mpsc;

use crate::frame::Frame;
use crate::outbox::{Outbox, Pushed};
use crate::room::Input;
use crate::views::Views;

/// How many events a reader who has nothing is replayed rather than sent a snapshot.
const FRESH_REPLAY: u64 = 256;
/// How many events go into one frame of history.
const CHUNK_EVENTS: usize = 256;
/// When a reader whose history could not be read is to come again. Unit: milliseconds.
const COME_AGAIN_MS: u64 = 1_000;
/// How many bytes go into one frame of history.
const CHUNK_BYTES: usize = 256 * 1024;

/// Everything that sending history needs, taken from the room when the subscription began.
pub(crate) struct Join {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) session: SessionId,
    pub(crate) re: u64,
    pub(crate) number: u64,
    pub(crate) you: You,
    pub(crate) people: Vec<Person>,
    pub(crate) positions: Vec<StreamPosition>,
    pub(crate) epoch: Epoch,
    pub(crate) heads: [Seq; 4],
    pub(crate) store: Arc<dyn Store>,
    pub(crate) views: Arc<Views>,
    pub(crate) room: mpsc::Sender<Input>,
    /// Whether `subscribed` has been said.
    pub(crate) begun: bool,
}

/// How a stream starts.
enum Start {
    /// From nothing.
    Fresh,
    /// After a seq that the reader has.
    After(Seq),
    /// What the reader has is of another history.
    Other(&'static str),
}

impl Join {
    /// Sends what the reader has not, then tells the room to go on.
    pub(crate) async fn run(mut self) {
        let ok = match self.send().await {
            Ok(goes_on) => goes_on,
            Err(error) => {
                tracing::warn!(session.id = %self.session, %error, "history could not be read for a joiner");
                self.failed(&error);
                false
            }
        };
        // A room that is gone has ended the subscription itself.
        let _ = self.room.send(Input::Released { connection: self.outbox.id(), number: self.number, ok }).await;
    }

    /// Tells the reader that it gets nothing now and is to come again.
    fn failed(&self, error: &StoreError) {
        if self.begun {
            return self.outbox.lag(self.session);
        }
        let problem = match error {
            StoreError::Full => Problem::new(Code::StorageFull),
            StoreError::Unavailable(_) | StoreError::Trimmed { .. } => Problem::new(Code::Unavailable),
        };
        let problem = problem.retry_after_ms(COME_AGAIN_MS);
        let error = ErrorFrame { re: Some(self.re), session_id: Some(self.session), problem };
        self.outbox.push(Frame::encode(&ServerFrame::Error(error)));
    }

    /// Returns whether the subscription goes on.
    async fn send(&mut self) -> Result<bool, StoreError> {
        let mut starts = Vec::with_capacity(self.positions.len());
        for position in &self.positions {
            starts.push((position.stream, self.start(position).await?));
        }
        let resets: Vec<_> = starts
            .iter()
            .filter_map(|(s, start)| if let Start::Other(why) = start { Some((*s, *why)) } else { None })
            .collect();
        if !resets.is_empty() {
            for (stream, reason) in resets {
                let (session_id, epoch, reason) = (self.session, self.epoch.clone(), reason.to_owned());
                self.outbox.push(Frame::encode(&ServerFrame::Reset(Reset { session_id, stream, epoch, reason })));
            }
            return Ok(false);
        }
        match self.replay(&starts).await? {
            Some(events) => {
                self.subscribed(|stream| {
                    if events.iter().any(|e| e.stream == stream) { StartMode::Replay } else { StartMode::Live }
                });
                self.events(&events).await
            }
            None => {
                let streams: StreamSet = starts.iter().map(|(s, _)| *s).collect();
                let head = self.views.head(streams, self.heads).await?;
                self.subscribed(|_| StartMode::Snapshot);
                if self.outbox.offer_when_free(head.frame.clone()).await == Pushed::Gone {
                    return Ok(false);
                }
                let mut tail = Vec::new();
                for stream in streams.iter() {
                    let at = head.at.get(&stream).copied().unwrap_or_default();
                    tail.extend(self.read(stream, at, usize::MAX).await?);
                }
                self.events(&tail).await
            }
        }
    }

    async fn start(&self, position: &StreamPosition) -> Result<Start, StoreError> {
        let Some(after) = &position.after else { return Ok(Start::Fresh) };
        if position.epoch.as_ref().is_some_and(|epoch| *epoch != self.epoch) {
            return Ok(Start::Other("epoch_changed"));
        }
        if after.seq > self.heads[position.stream as usize] {
            return Ok(Start::Other("ahead_of_head"));
        }
        if after.seq == Seq::ZERO {
            return Ok(Start::Fresh);
        }
        if let Some(id) = after.id {
            let before = Seq(after.seq.0 - 1);
            match self.store.read(self.session, position.stream, before, 1, usize::MAX).await {
                Ok(known) if known.first().is_none_or(|e| e.seq != after.seq || e.id != id) => {
                    return Ok(Start::Other("other_history"));
                }
                // Its last event is gone; whether what follows is kept is looked at below.
                Ok(_) | Err(StoreError::Trimmed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if self.store.retention().is_some()
            && let Err(StoreError::Trimmed { .. }) = self.read(position.stream, after.seq, 1).await
        {
            return Ok(Start::Other("trimmed"));
        }
        Ok(Start::After(after.seq))
    }

    /// Returns the events to replay, or `None` when a snapshot is shorter.
    async fn replay(&self, starts: &[(Stream, Start)]) -> Result<Option<Vec<StoredEvent>>, StoreError> {
        let missing = |(stream, start): &(Stream, Start)| {
            let head = self.heads[*stream as usize].0;
            match start {
                Start::After(seq) => (head - seq.0, MAX_REPLAY_EVENTS as u64),
                _ => (head, FRESH_REPLAY),
            }
        };
        if starts.iter().map(missing).any(|(events, most)| events > most) {
            return Ok(None);
        }
        let mut events = Vec::new();
        let mut left = MAX_REPLAY_BYTES;
        for (stream, start) in starts {
            let after = if let Start::After(seq) = start { *seq } else { Seq::ZERO };
            let part = match self.read(*stream, after, left).await {
                Ok(part) => part,
                Err(StoreError::Trimmed { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            left = left.saturating_sub(part.iter().map(weight).sum());
            if part.last().map_or(after, |e| e.seq) < self.heads[*stream as usize] {
                return Ok(None);
            }
            events.extend(part);
        }
        Ok(Some(events))
    }

    /// Reads a stream from `after` up to where the subscription began.
    async fn read(&self, stream: Stream, after: Seq, bytes: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let head = self.heads[stream as usize];
        if after >= head {
            return Ok(Vec::new());
        }
        let limit = usize::try_from(head.0 - after.0).unwrap_or(usize::MAX);
        self.store.read(self.session, stream, after, limit, bytes).await
    }

    fn subscribed(&mut self, mode: impl Fn(Stream) -> StartMode) {
        let start = |p: &StreamPosition| StreamStart {
            stream: p.stream,
            epoch: self.epoch.clone(),
            head: self.heads[p.stream as usize],
            mode: mode(p.stream),
        };
        self.begun = true;
        self.outbox.push(Frame::encode(&ServerFrame::Subscribed(Subscribed {
            re: self.re,
            session_id: self.session,
            you: self.you.clone(),
            people: self.people.clone(),
            streams: self.positions.iter().map(start).collect(),
        })));
    }

    /// Sends events in a few large frames, as fast as the reader takes them.
    async fn events(&self, events: &[StoredEvent]) -> Result<bool, StoreError> {
        let mut rest = events;
        while let Some(first) = rest.first() {
            let mut bytes = 0;
            let fits = |e: &&StoredEvent| {
                bytes += weight(e);
                e.stream == first.stream && (bytes <= CHUNK_BYTES || e.seq == first.seq)
            };
            let n = rest.iter().take(CHUNK_EVENTS).take_while(fits).count();
            let (chunk, further) = rest.split_at(n);
            rest = further;
            if self.outbox.offer_when_free(frame(self.session, chunk)).await == Pushed::Gone {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn weight(event: &StoredEvent) -> usize {
    event.header.len() + event.body.len()
}

fn frame(session: SessionId, chunk: &[StoredEvent]) -> Frame {
    let wires: Vec<Vec<u8>> = chunk.iter().map(wire).collect();
    let (first, last) = (&chunk[0], &chunk[chunk.len() - 1]);
    Frame::events_of(session, first.stream, first.seq, last.seq, wires.iter().map(Vec::as_slice))
}

/// Returns a stored event in its wire form.
pub(crate) fn wire(event: &StoredEvent) -> Vec<u8> {
    let mut wire = Vec::with_capacity(weight(event) + 64);
    wire_event(&mut wire, event.stream, event.seq, &event.header, &event.body);
    wire
}
