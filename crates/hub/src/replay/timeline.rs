//! A session's history at a glance: when how much happened, and what stands out.

use roundtable_protocol::timeline::{Marker, Point, Timeline};
use roundtable_protocol::{Epoch, MessageId, Problem, Seq, SessionId, Stream, StreamSet, Timestamp, TurnId, UserId};
use roundtable_store::{READ_BYTES, StoreError, StoredEvent};
use serde::Deserialize;

use super::{CHUNK, SessionManager};
use crate::manager::unavailable;

/// Most points of a timeline.
const POINTS: usize = 1_000;
/// Most markers of a timeline; where there are more, the last ones are left out and `markers_left_out` says how many.
const MARKERS: usize = 2_000;
/// Kinds that stand out: these, and everything about checkpoints and branches.
const STAND_OUT: [&str; 7] = [
    "session.started",
    "session.paused",
    "session.resumed",
    "session.ended",
    "participant.joined",
    "turn.started",
    "decision.recorded",
];

impl SessionManager {
    /// Returns the timeline of one stream of a session, as far as its events are kept.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::Stream;
    ///
    /// assert!(manager.timeline(session, ana, Stream::Main).await?.first_at.is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session or stream for this user, `not_recorded` when the session is not recorded.
    pub async fn timeline(&self, session: SessionId, user: UserId, stream: Stream) -> Result<Timeline, Problem> {
        let (epoch, _) = self.replayable(session, user, StreamSet::EMPTY.with(stream)).await?;
        let (mut made, mut after) = (Making::default(), Seq::ZERO);
        loop {
            match self.store().read(session, stream, after, CHUNK, READ_BYTES).await {
                // What is gone is told of, and what is kept is shown from its beginning.
                Err(StoreError::Trimmed { oldest }) if oldest > after.next() => {
                    made = Making { trimmed_before: Some(oldest), ..Making::default() };
                    after = Seq(oldest.0 - 1);
                }
                read => {
                    let events = read.map_err(unavailable)?;
                    let Some(last) = events.last() else { break };
                    after = last.seq;
                    events.iter().for_each(|event| made.add(event));
                }
            }
        }
        Ok(made.finish(epoch, stream))
    }
}

#[derive(Default)]
struct Making {
    points: Vec<Point>,
    /// Every which event becomes a point: doubled when there are too many.
    step: u64,
    last: Option<Point>,
    markers: Vec<Marker>,
    left_out: u64,
    trimmed_before: Option<Seq>,
}

impl Making {
    fn add(&mut self, event: &StoredEvent) {
        #[derive(Deserialize)]
        struct Header<'a> {
            at: Timestamp,
            kind: &'a str,
        }
        // A kind is letters and a dot: it needs no unescaping.
        let Ok(Header { at, kind }) = serde_json::from_slice::<Header<'_>>(&event.header) else { return };
        let point = Point { seq: event.seq, at };
        self.step = self.step.max(1);
        let first = self.points.first().map_or(event.seq, |first| first.seq);
        if (event.seq.0 - first.0).is_multiple_of(self.step) {
            self.points.push(point);
        }
        self.last = Some(point);
        if self.points.len() >= POINTS {
            self.step *= 2;
            let step = self.step;
            self.points.retain(|point| (point.seq.0 - first.0).is_multiple_of(step));
        }
        if STAND_OUT.contains(&kind) || kind.starts_with("branch.") || kind.starts_with("checkpoint.") {
            match self.markers.len() < MARKERS {
                true => self.markers.push(marker(point, kind, &event.body)),
                false => self.left_out += 1,
            }
        }
    }

    fn finish(mut self, epoch: Epoch, stream: Stream) -> Timeline {
        if let Some(last) = self.last.filter(|last| self.points.last() != Some(last)) {
            self.points.push(last);
        }
        Timeline {
            epoch,
            stream,
            head: self.last.map_or(Seq::ZERO, |point| point.seq),
            first_at: self.points.first().map(|point| point.at),
            last_at: self.last.map(|point| point.at),
            points: self.points,
            markers: self.markers,
            markers_left_out: self.left_out,
            trimmed_before: self.trimmed_before,
        }
    }
}

fn marker(Point { seq, at }: Point, kind: &str, body: &[u8]) -> Marker {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct About {
        name: Option<String>,
        checkpoint: Option<serde_json::Value>,
        message: Option<MessageId>,
        turn: Option<TurnId>,
    }
    // A body of another shape has nothing to show here.
    let about: About = serde_json::from_slice(body).unwrap_or_default();
    let of_checkpoint = about.checkpoint.as_ref().and_then(|checkpoint| checkpoint.get("name")?.as_str());
    let name = about.name.or_else(|| of_checkpoint.map(str::to_owned));
    Marker { seq, at, kind: kind.to_owned(), name, message: about.message, turn: about.turn }
}
