//! Ephemeral slots: what people show each other, newest wins, nothing stored.
//!
//! Owns: one slot for each participant, lane and stream, and when it is shown. Must not know: what the data means,
//! but that typing ends by itself.

use std::collections::HashMap;
use std::time::Duration;

use roundtable_protocol::frame::{EphemeralItem, EphemeralOut, Lane, Person, ServerFrame};
use roundtable_protocol::{ParticipantId, SessionId, Stream};
use serde_json::Value;
use tokio::time::Instant;

use crate::frame::Frame;

/// How long typing shows unless renewed (DESIGN 5).
const TYPING: Duration = Duration::from_secs(6);
/// Largest value of a slot. Unit: bytes of JSON.
const MAX_DATA: usize = 1024;

/// Returns whether a value is small enough to be shown.
pub(crate) fn fits(data: &Value) -> bool {
    serde_json::to_vec(data).is_ok_and(|json| json.len() <= MAX_DATA)
}

/// The slots of one room.
#[derive(Default)]
pub(crate) struct Lanes {
    slots: HashMap<(Stream, Lane, ParticipantId), Slot>,
    last_flush: Option<Instant>,
}

struct Slot {
    data: Value,
    changed: bool,
    ends: Option<Instant>,
}

impl Lanes {
    /// Puts a value into its slot; null empties it. What has been said in the server's own lane is left out.
    pub(crate) fn put(&mut self, stream: Stream, lane: Lane, who: ParticipantId, data: Value, now: Instant) {
        if lane == Lane::Presence {
            return;
        }
        let ends = (lane == Lane::Typing && !data.is_null()).then(|| now + TYPING);
        match self.slots.get_mut(&(stream, lane, who)) {
            Some(slot) => {
                slot.changed |= slot.data != data;
                slot.data = data;
                slot.ends = ends;
            }
            None if data.is_null() => {}
            None => {
                self.slots.insert((stream, lane, who), Slot { data, changed: true, ends });
            }
        }
    }

    /// Empties all slots of somebody who went.
    pub(crate) fn gone(&mut self, who: ParticipantId) {
        for ((_, _, participant), slot) in &mut self.slots {
            if *participant == who && !slot.data.is_null() {
                slot.data = Value::Null;
                slot.changed = true;
            }
        }
    }

    /// Returns when something is to be shown or ends.
    pub(crate) fn next(&self, every: Duration, now: Instant) -> Option<Instant> {
        let flush = self.slots.values().any(|s| s.changed).then(|| self.last_flush.map_or(now, |last| last + every));
        flush.into_iter().chain(self.slots.values().filter_map(|s| s.ends)).min()
    }

    /// Returns the frames that are due, and forgets slots that have ended.
    pub(crate) fn flush(&mut self, session: SessionId, every: Duration, now: Instant) -> Vec<(Stream, Frame)> {
        for slot in self.slots.values_mut().filter(|s| s.ends.is_some_and(|ends| ends <= now)) {
            slot.data = Value::Null;
            slot.ends = None;
            slot.changed = true;
        }
        if self.last_flush.is_some_and(|last| now < last + every) || !self.slots.values().any(|s| s.changed) {
            return Vec::new();
        }
        self.last_flush = Some(now);
        let frames = self.frames(session, |slot| slot.changed);
        self.slots.retain(|_, slot| {
            slot.changed = false;
            !slot.data.is_null()
        });
        frames
    }

    /// Returns what a joiner is to see: everything that shows now.
    pub(crate) fn all(&self, session: SessionId) -> Vec<(Stream, Frame)> {
        self.frames(session, |slot| !slot.data.is_null())
    }

    fn frames(&self, session: SessionId, which: impl Fn(&Slot) -> bool) -> Vec<(Stream, Frame)> {
        let mut by_lane: HashMap<(Stream, Lane), Vec<EphemeralItem>> = HashMap::new();
        for ((stream, lane, who), slot) in self.slots.iter().filter(|(_, slot)| which(slot)) {
            let item = EphemeralItem { participant_id: *who, data: slot.data.clone() };
            by_lane.entry((*stream, *lane)).or_default().push(item);
        }
        by_lane.into_iter().map(|((stream, lane), items)| (stream, frame(session, stream, lane, items))).collect()
    }
}

/// Makes the frame that tells how people's presence has changed.
pub(crate) fn presence_frame(session: SessionId, people: &[Person]) -> Frame {
    let items = people
        .iter()
        .map(|p| EphemeralItem {
            participant_id: p.participant_id,
            data: serde_json::to_value(p).expect("a person serialises: no failing parts"),
        })
        .collect();
    frame(session, Stream::Main, Lane::Presence, items)
}

fn frame(session_id: SessionId, stream: Stream, lane: Lane, items: Vec<EphemeralItem>) -> Frame {
    Frame::encode(&ServerFrame::Ephemeral(EphemeralOut { session_id, stream, lane, items }))
}
