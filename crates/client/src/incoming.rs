//! Server frames, read leniently.
//!
//! Owns: bytes to frames. Must not know: what a frame changes. Invariant: an event of an unknown kind keeps its place
//! (stream, seq, id), because a newer server may record kinds that this version cannot show.

use std::borrow::Cow;
use std::io::Read;

use roundtable_protocol::event::{Event, EventBody};
use roundtable_protocol::frame::{DEFLATE_MARK, ServerFrame};
use roundtable_protocol::ids::{EventId, Seq, SessionId, Stream};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Largest JSON that a binary frame may inflate to. Unit: bytes.
pub const MAX_INFLATED_BYTES: u64 = 64 * 1024 * 1024;

/// One frame from the server.
#[expect(clippy::large_enum_variant, reason = "a frame is read, applied and dropped; never kept in numbers")]
#[derive(Clone, Debug)]
pub enum Incoming {
    /// Any frame but `events`.
    Frame(ServerFrame),
    /// `events`, item by item.
    Events {
        /// Which session.
        session: SessionId,
        /// Which stream.
        stream: Stream,
        /// Consecutive events.
        items: Vec<Item>,
    },
    /// A frame of a type that this version does not know.
    Unknown,
}

/// One event of an `events` frame.
#[derive(Clone, Debug)]
pub enum Item {
    /// An event of a known kind.
    Event(Box<Event>),
    /// An event that this version cannot show; only its place counts.
    Unknown {
        /// Its number.
        seq: Seq,
        /// Its id.
        id: EventId,
    },
}

/// Why a frame could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is no JSON, or not of a frame's shape.
    #[error("malformed frame: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The first byte of a binary frame names no encoding.
    #[error("unknown encoding of a binary frame")]
    Encoding,
    /// It does not inflate, or to too much.
    #[error("frame does not inflate: {0}")]
    Inflate(#[from] std::io::Error),
}

impl Item {
    /// Returns the event's number.
    pub fn seq(&self) -> Seq {
        match self {
            Self::Event(event) => event.seq,
            Self::Unknown { seq, .. } => *seq,
        }
    }

    /// Returns the event's id.
    pub fn id(&self) -> EventId {
        match self {
            Self::Event(event) => event.header.id,
            Self::Unknown { id, .. } => *id,
        }
    }
}

impl From<ServerFrame> for Incoming {
    fn from(frame: ServerFrame) -> Self {
        match frame {
            ServerFrame::Events(events) => Self::Events {
                session: events.session_id,
                stream: events.stream,
                items: events.items.into_iter().map(|event| Item::Event(Box::new(event))).collect(),
            },
            other => Self::Frame(other),
        }
    }
}

/// Reads a text frame.
///
/// # Errors
/// See [`FrameError`].
pub fn from_text(text: &str) -> Result<Incoming, FrameError> {
    #[derive(Deserialize)]
    struct Probe<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    struct Events<'a> {
        session_id: SessionId,
        stream: Stream,
        #[serde(borrow)]
        items: Vec<&'a RawValue>,
    }
    let kind = serde_json::from_str::<Probe<'_>>(text)?.kind;
    if kind == "events" {
        let events: Events<'_> = serde_json::from_str(text)?;
        let items = events.items.into_iter().map(item).collect::<Result<_, _>>()?;
        return Ok(Incoming::Events { session: events.session_id, stream: events.stream, items });
    }
    if !TYPES.contains(&kind.as_ref()) {
        return Ok(Incoming::Unknown);
    }
    Ok(Incoming::Frame(serde_json::from_str(text)?))
}

/// Reads a binary frame: the mark 0x01, then the raw deflate of a text frame.
///
/// # Errors
/// See [`FrameError`].
pub fn from_binary(bytes: &[u8]) -> Result<Incoming, FrameError> {
    let Some((&DEFLATE_MARK, deflated)) = bytes.split_first() else { return Err(FrameError::Encoding) };
    let mut text = String::new();
    let read = flate2::read::DeflateDecoder::new(deflated).take(MAX_INFLATED_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_INFLATED_BYTES {
        return Err(FrameError::Inflate(std::io::Error::other("larger than allowed")));
    }
    from_text(&text)
}

/// The frame types besides `events`.
const TYPES: [&str; 14] = [
    "welcome",
    "subscribed",
    "unsubscribed",
    "snapshot",
    "ok",
    "error",
    "ephemeral",
    "delta",
    "access",
    "lagging",
    "reset",
    "head",
    "bye",
    "pong",
];

/// An unknown kind keeps its place; a known kind with data of another shape makes the frame malformed.
fn item(raw: &RawValue) -> Result<Item, FrameError> {
    #[derive(Deserialize)]
    struct Place<'a> {
        seq: Seq,
        id: EventId,
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }
    match serde_json::from_str::<Event>(raw.get()) {
        Ok(event) => Ok(Item::Event(Box::new(event))),
        Err(error) => {
            let place: Place<'_> = serde_json::from_str(raw.get())?;
            match EventBody::KINDS.contains(&place.kind.as_ref()) {
                true => Err(error.into()),
                false => Ok(Item::Unknown { seq: place.seq, id: place.id }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const EVENTS: &str = r#"{"type":"events","session_id":"01900000-0000-7000-8000-000000000001","stream":"main","items":[
        {"stream":"main","seq":7,"id":"01900000-0000-7000-8000-000000000007","kind":"future.thing_done","actor":"system","at":"2026-11-20T00:00:00Z","data":{"x":1}}]}"#;

    fn seqs(incoming: &Incoming) -> Vec<(u64, bool)> {
        let Incoming::Events { items, .. } = incoming else { panic!("not events: {incoming:?}") };
        items.iter().map(|i| (i.seq().0, matches!(i, Item::Event(_)))).collect()
    }

    #[test]
    fn an_unknown_event_kind_keeps_its_place() {
        assert_eq!(seqs(&from_text(EVENTS).unwrap()), [(7, false)]);
    }

    #[test]
    fn a_known_event_kind_of_another_shape_is_malformed() {
        assert!(from_text(&EVENTS.replace("future.thing_done", "message.posted")).is_err());
    }

    #[test]
    fn an_unknown_frame_type_is_told_apart_from_a_malformed_one() {
        assert!(matches!(from_text(r#"{"type":"tomorrow","x":1}"#), Ok(Incoming::Unknown)));
        assert!(from_text(r#"{"type":"ok"}"#).is_err());
        assert!(from_text("nonsense").is_err());
    }

    #[test]
    fn a_binary_frame_is_raw_deflate_behind_its_mark() {
        let mut encoder = flate2::write::DeflateEncoder::new(vec![DEFLATE_MARK], flate2::Compression::fast());
        encoder.write_all(EVENTS.as_bytes()).unwrap();
        let bytes = encoder.finish().unwrap();
        assert_eq!(seqs(&from_binary(&bytes).unwrap()), [(7, false)]);
        assert!(matches!(from_binary(&[2, 3]), Err(FrameError::Encoding)));
        assert!(matches!(from_binary(&[]), Err(FrameError::Encoding)));
        assert!(from_binary(&[DEFLATE_MARK, 0xff, 0xff]).is_err());
    }
}
