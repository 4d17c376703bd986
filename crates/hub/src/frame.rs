//! Frames encoded once and shared by every connection that gets them.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use roundtable_protocol::frame::DEFLATE_MARK;
use roundtable_protocol::{Seq, ServerFrame, SessionId, Stream, StreamSet};

/// Frames above this size are worth compressing. Unit: bytes.
const DEFLATE_ABOVE: usize = 4096;

/// A server frame as bytes; cheap to clone.
#[derive(Clone, Debug)]
pub struct Frame(Arc<Encoded>);

#[derive(Debug)]
struct Encoded {
    text: Bytes,
    deflated: OnceLock<Bytes>,
    kind: &'static str,
    session: Option<SessionId>,
    streams: StreamSet,
    events: Option<(Stream, Seq, Seq)>,
}

impl Frame {
    /// Encodes a frame.
    ///
    /// # Panics
    /// Never: frames have string keys and no failing parts.
    pub fn encode(frame: &ServerFrame) -> Self {
        let text = serde_json::to_vec(frame).expect("frames serialise: string keys, no failing parts");
        let (kind, session, streams) = describe(frame);
        let events = match frame {
            ServerFrame::Events(f) => {
                f.items.first().zip(f.items.last()).map(|(first, last)| (f.stream, first.seq, last.seq))
            }
            _ => None,
        };
        Self(Arc::new(Encoded { text: text.into(), deflated: OnceLock::new(), kind, session, streams, events }))
    }

    /// Joins events in their wire form to one `events` frame.
    pub fn events_of<'a>(
        session: SessionId,
        stream: Stream,
        first: Seq,
        last: Seq,
        items: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let mut text =
            format!(r#"{{"type":"events","session_id":"{session}","stream":"{stream}","items":["#).into_bytes();
        for (i, item) in items.enumerate() {
            if i > 0 {
                text.push(b',');
            }
            text.extend_from_slice(item);
        }
        text.extend_from_slice(b"]}");
        Self(Arc::new(Encoded {
            text: text.into(),
            deflated: OnceLock::new(),
            kind: "events",
            session: Some(session),
            streams: StreamSet::EMPTY.with(stream),
            events: Some((stream, first, last)),
        }))
    }

    /// Returns the JSON text.
    pub fn text(&self) -> &Bytes {
        &self.0.text
    }

    /// Returns the binary form, made at the first call and shared: a mark and the raw deflate of the text. `None` when
    /// the text is too short to be worth it.
    pub fn deflated(&self) -> Option<&Bytes> {
        (self.0.text.len() > DEFLATE_ABOVE)
            .then(|| self.0.deflated.get_or_init(|| deflate(&[DEFLATE_MARK], &self.0.text)))
    }

    /// Returns the frame's type.
    pub fn kind(&self) -> &'static str {
        self.0.kind
    }

    /// Returns the session that the frame is about.
    pub fn session(&self) -> Option<SessionId> {
        self.0.session
    }

    /// Returns stream, first and last seq of an `events` frame.
    pub fn events(&self) -> Option<(Stream, Seq, Seq)> {
        self.0.events
    }

    /// Returns whether everything that the frame holds is of `streams`.
    pub(crate) fn is_within(&self, streams: StreamSet) -> bool {
        self.0.streams.intersect(streams) == self.0.streams
    }

    /// Returns how much the frame weighs in a backlog. Unit: bytes.
    pub(crate) fn weight(&self) -> usize {
        self.0.text.len()
    }

    /// Returns whether the frame is an answer to the connection's own request, which is never dropped.
    pub(crate) fn is_answer(&self) -> bool {
        !matches!(self.0.kind, "events" | "snapshot" | "delta" | "ephemeral" | "head")
    }
}

/// Compresses `text` behind `prefix`, at the level that costs least.
pub(crate) fn deflate(prefix: &[u8], text: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(text.len() / 3 + prefix.len());
    out.extend_from_slice(prefix);
    let mut encoder = DeflateEncoder::new(out, Compression::fast());
    encoder.write_all(text).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail").into()
}

fn describe(frame: &ServerFrame) -> (&'static str, Option<SessionId>, StreamSet) {
    let none = StreamSet::EMPTY;
    match frame {
        ServerFrame::Welcome(_) => ("welcome", None, none),
        ServerFrame::Subscribed(f) => ("subscribed", Some(f.session_id), none),
        ServerFrame::Unsubscribed(f) => ("unsubscribed", Some(f.session_id), none),
        ServerFrame::Snapshot(f) => ("snapshot", Some(f.session_id), f.at.keys().copied().collect()),
        ServerFrame::Events(f) => ("events", Some(f.session_id), none.with(f.stream)),
        ServerFrame::Ok(f) => ("ok", Some(f.session_id), none),
        ServerFrame::Error(f) => ("error", f.session_id, none),
        ServerFrame::Ephemeral(f) => ("ephemeral", Some(f.session_id), none.with(f.stream)),
        ServerFrame::Delta(f) => ("delta", Some(f.session_id), none.with(Stream::Main)),
        ServerFrame::Access(f) => ("access", Some(f.session_id), none),
        ServerFrame::Lagging(f) => ("lagging", Some(f.session_id), none),
        ServerFrame::Reset(f) => ("reset", Some(f.session_id), none),
        ServerFrame::Head(f) => ("head", Some(f.session_id), f.streams.keys().copied().collect()),
        ServerFrame::Bye(_) => ("bye", None, none),
        ServerFrame::Pong(_) => ("pong", None, none),
    }
}
