//! Frames encoded once and shared by every connection that gets them.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use roundtable_protocol::frame::DEFLATE_MARK;
use roundtable_protocol::{Seq, ServerFrame, SessionId, Stream, StreamSet};

/// Frames above this size are worth compressing. Unit: bytes.
const DEFLATE_ABOVE: usize = 4096;
/// How much JSON is compressed at once. Unit: bytes.
const JSON_AT_ONCE: usize = 32 * 1024;
/// Longest header of an unmasked WebSocket frame (RFC 6455, section 5.2). Unit: bytes.
const HEADER: usize = 10;

/// A server frame as bytes; cheap to clone.
#[derive(Clone, Debug)]
pub struct Frame(Arc<Encoded>);

#[derive(Debug)]
struct Encoded {
    text: Framed,
    deflated: OnceLock<Framed>,
    kind: &'static str,
    session: Option<SessionId>,
    streams: StreamSet,
    events: Option<(Stream, Seq, Seq)>,
}

/// A payload behind its WebSocket header, in one piece: what a server sends is not masked, so it is the same for
/// every receiver.
#[derive(Debug)]
struct Framed {
    whole: Bytes,
    payload: Bytes,
}

impl Framed {
    /// Takes a buffer whose first [`HEADER`] bytes are free.
    fn new(opcode: u8, mut buffer: Vec<u8>) -> Self {
        let len = buffer.len() - HEADER;
        let mut header = [0x80 | opcode, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let used = match len {
            0..=125 => {
                header[1] = len as u8;
                2
            }
            126..=0xffff => {
                header[1] = 126;
                header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                4
            }
            _ => {
                header[1] = 127;
                header[2..].copy_from_slice(&(len as u64).to_be_bytes());
                HEADER
            }
        };
        buffer[HEADER - used..HEADER].copy_from_slice(&header[..used]);
        let whole = Bytes::from(buffer).slice(HEADER - used..);
        Self { payload: whole.slice(used..), whole }
    }
}

/// Returns a buffer with room for a header in front.
fn buffer(capacity: usize) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(HEADER + capacity);
    buffer.resize(HEADER, 0);
    buffer
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;

impl Frame {
    /// Encodes a frame.
    ///
    /// # Panics
    /// Never: frames have string keys and no failing parts.
    pub fn encode(frame: &ServerFrame) -> Self {
        let mut text = buffer(256);
        serde_json::to_writer(&mut text, frame).expect("frames serialise: string keys, no failing parts");
        let (kind, session, streams) = describe(frame);
        let events = match frame {
            ServerFrame::Events(f) => {
                f.items.first().zip(f.items.last()).map(|(first, last)| (f.stream, first.seq, last.seq))
            }
            _ => None,
        };
        Self::new(Framed::new(TEXT, text), kind, session, streams, events)
    }

    /// Joins events in their wire form to one `events` frame.
    pub fn events_of<'a>(
        session: SessionId,
        stream: Stream,
        first: Seq,
        last: Seq,
        items: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let mut text = buffer(512);
        text.extend_from_slice(
            format!(r#"{{"type":"events","session_id":"{session}","stream":"{stream}","items":["#).as_bytes(),
        );
        for (i, item) in items.enumerate() {
            if i > 0 {
                text.push(b',');
            }
            text.extend_from_slice(item);
        }
        text.extend_from_slice(b"]}");
        let streams = StreamSet::EMPTY.with(stream);
        Self::new(Framed::new(TEXT, text), "events", Some(session), streams, Some((stream, first, last)))
    }

    /// Takes whole WebSocket frames that somebody else has made: pongs and closes. They have no text.
    pub fn control(whole: Bytes) -> Self {
        Self::new(Framed { whole, payload: Bytes::new() }, "control", None, StreamSet::EMPTY, None)
    }

    fn new(
        text: Framed,
        kind: &'static str,
        session: Option<SessionId>,
        streams: StreamSet,
        events: Option<(Stream, Seq, Seq)>,
    ) -> Self {
        Self(Arc::new(Encoded { text, deflated: OnceLock::new(), kind, session, streams, events }))
    }

    /// Returns the JSON text.
    pub fn text(&self) -> &Bytes {
        &self.0.text.payload
    }

    /// Returns the binary form, made at the first call and shared: a mark and the raw deflate of the text. `None` when
    /// the text is too short to be worth it.
    pub fn deflated(&self) -> Option<&Bytes> {
        self.framed_deflated().map(|framed| &framed.payload)
    }

    /// Returns the frame as it goes onto a WebSocket, header included; compressed when that is wanted and worth it.
    pub fn framed(&self, deflate: bool) -> &Bytes {
        let compressed = if deflate { self.framed_deflated() } else { None };
        &compressed.unwrap_or(&self.0.text).whole
    }

    fn framed_deflated(&self) -> Option<&Framed> {
        let make = || Framed::new(BINARY, deflate_into(buffer(1024), &[DEFLATE_MARK], self.text()));
        (self.text().len() > DEFLATE_ABOVE).then(|| self.0.deflated.get_or_init(make))
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
        self.0.text.whole.len()
    }

    /// Returns whether the frame is an answer to the connection's own request, which is never dropped.
    pub(crate) fn is_answer(&self) -> bool {
        !matches!(self.0.kind, "events" | "snapshot" | "delta" | "ephemeral" | "head")
    }
}

/// Returns the raw deflate of `text`, at the level that costs least.
pub(crate) fn deflate(text: &[u8]) -> Bytes {
    deflate_into(Vec::new(), &[], text).into()
}

/// Returns the raw deflate of a value's JSON, which is never whole in memory.
pub(crate) fn deflate_json<T: serde::Serialize>(value: &T) -> Bytes {
    let encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    let mut buffered = std::io::BufWriter::with_capacity(JSON_AT_ONCE, encoder);
    serde_json::to_writer(&mut buffered, value).expect("views serialise: string keys, no failing parts");
    let encoder = buffered.into_inner().map_err(std::io::IntoInnerError::into_error);
    encoder.and_then(DeflateEncoder::finish).expect("writing to memory does not fail").into()
}

/// Undoes [`deflate`]; none when `bytes` are something else.
pub(crate) fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    DeflateDecoder::new(bytes).read_to_end(&mut text).ok()?;
    Some(text)
}

fn deflate_into(mut out: Vec<u8>, prefix: &[u8], text: &[u8]) -> Vec<u8> {
    out.reserve(text.len() / 3 + prefix.len());
    out.extend_from_slice(prefix);
    let mut encoder = DeflateEncoder::new(out, Compression::fast());
    encoder.write_all(text).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
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

#[cfg(test)]
mod tests;
