//! The same as the WebSocket's subscription, as Server-Sent Events.
//!
//! Owns: ids of the form `EPOCH;main:812;side:44`, resuming by them. Must not know: what frames say beyond positions.
//! Invariant: the id of an event says how far the reader has every stream once it has that event; whatever cannot be
//! continued closes the stream, and the reader comes back with its last id.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use roundtable_hub::{Frame, Outbox, Subscription, clock};
use roundtable_protocol::frame::{After, StreamPosition};
use roundtable_protocol::{Code, ConnectionId, Epoch, Problem, Seq, SessionId, Stream, StreamSet};
use serde::Deserialize;
use tokio_util::sync::WaitForCancellationFutureOwned;
use utoipa::IntoParams;

use crate::auth::{Caller, Ending, Watch};
use crate::json::{Path, Query};
use crate::limits::OpenSocket;
use crate::origin::Arrival;
use crate::problem::ApiError;
use crate::shutdown;
use crate::state::App;

/// How often something is said at least, so that proxies keep the stream open.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Which streams.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LiveQuery {
    /// Stream names with commas between; `main` when absent.
    streams: Option<String>,
}

/// Sends what happens, as it happens: each event is a frame, its name the frame's type. Goes on after `Last-Event-ID`.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/live", tag = "events",
    params(("session_id" = SessionId, Path), LiveQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the reader has")),
    responses((status = 200, description = "Frames", content_type = "text/event-stream", body = roundtable_protocol::ServerFrame)))]
pub async fn live(
    State(app): State<App>,
    Caller(known): Caller,
    Extension(arrival): Extension<Arrival>,
    Path(session): Path<SessionId>,
    Query(query): Query<LiveQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let streams = streams(query.streams.as_deref().unwrap_or("main"))?;
    let position = last_event_id(&headers)?;
    let socket = app.open_socket(arrival.address)?;
    let watch = app.logins.watch(known.token_hash).await?.ok_or(Code::LoginExpired)?;
    let outbox = Outbox::new(ConnectionId(clock::new_key()));
    let request = Subscription {
        connection: Arc::clone(&outbox),
        re: 0,
        session_id: session,
        streams: streams.iter().map(|stream| position.of(stream)).collect(),
        present: true,
    };
    let reader = Reader {
        ended: watch.ended(),
        closing: Box::pin(app.closing.clone().cancelled_owned()),
        outbox,
        app: app.clone(),
        position,
        frames: Vec::new(),
        over: false,
        _socket: socket,
        _watch: watch,
    };
    // The reader takes what the subscription writes while it still writes, else a long replay would wait for itself.
    let subscribing = Box::pin(subscribe(app, known.user.id, request));
    let first = reader.first(subscribing).await?;
    let body = Body::from_stream(futures_util::stream::unfold(first, next));
    Ok(([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")], body).into_response())
}

async fn subscribe(app: App, user: roundtable_protocol::UserId, request: Subscription) -> Result<(), Problem> {
    app.manager.subscribe(user, request).await
}

/// One reader of an event stream.
struct Reader {
    app: App,
    outbox: Arc<Outbox>,
    position: Position,
    frames: Vec<Frame>,
    ended: Ending,
    closing: std::pin::Pin<Box<WaitForCancellationFutureOwned>>,
    over: bool,
    _socket: OpenSocket,
    _watch: Watch,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.app.manager.disconnected(&self.outbox);
    }
}

/// What is written first, then the reader.
struct Begun {
    text: Option<Bytes>,
    reader: Reader,
}

impl Reader {
    /// Waits until the subscription stands; keeps what it wrote so far.
    async fn first(
        mut self,
        mut subscribing: futures_util::future::BoxFuture<'static, Result<(), Problem>>,
    ) -> Result<Begun, ApiError> {
        let mut text = BytesMut::from("retry: 2000\n\n");
        loop {
            let subscribed = tokio::select! {
                biased;
                result = &mut subscribing => Some(result),
                _ = self.outbox.take(&mut self.frames) => None,
            };
            self.write(&mut text);
            match subscribed {
                Some(Ok(())) => return Ok(Begun { text: Some(text.freeze()), reader: self }),
                Some(Err(problem)) => return Err(problem.into()),
                None => {}
            }
        }
    }

    /// Appends the taken frames as events.
    fn write(&mut self, out: &mut BytesMut) {
        for frame in std::mem::take(&mut self.frames) {
            if self.over {
                return;
            }
            self.position.note(&frame);
            self.over = ends(&frame);
            let id = self.position.id();
            let id = id.filter(|_| matches!(frame.kind(), "events" | "snapshot" | "subscribed" | "reset"));
            event(out, frame.kind(), id.as_deref(), frame.text());
        }
    }
}

/// Returns the next bytes of the body.
async fn next(begun: Begun) -> Option<(Result<Bytes, Infallible>, Begun)> {
    let Begun { text, mut reader } = begun;
    if let Some(text) = text {
        return Some((Ok(text), Begun { text: None, reader }));
    }
    if reader.over {
        return None;
    }
    let mut out = BytesMut::new();
    tokio::select! {
        biased;
        () = reader.closing.as_mut() => reader.frames.push(Frame::encode(&shutdown::bye())),
        _ = reader.ended.as_mut() => return None,
        open = reader.outbox.take(&mut reader.frames) => if !open { return None },
        () = tokio::time::sleep(KEEP_ALIVE) => out.extend_from_slice(b": still here\n\n"),
    }
    reader.write(&mut out);
    Some((Ok(out.freeze()), Begun { text: None, reader }))
}

pub(super) fn event(out: &mut BytesMut, kind: &str, id: Option<&str>, data: &Bytes) {
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"\n");
    }
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // Compact JSON has no line breaks.
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

/// Returns whether the stream cannot go on after this frame: the reader was too slow, the history was replaced or could
/// not be read, nothing may be read any more, or the server goes away.
fn ends(frame: &Frame) -> bool {
    #[derive(Deserialize)]
    struct Access {
        streams: Vec<Stream>,
    }
    match frame.kind() {
        "lagging" | "reset" | "error" | "bye" => true,
        "access" => serde_json::from_slice::<Access>(frame.text()).is_ok_and(|access| access.streams.is_empty()),
        _ => false,
    }
}

/// How far a reader has each stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) epoch: Option<Epoch>,
    pub(super) at: BTreeMap<Stream, Seq>,
}

impl Position {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let epoch = parts.next().filter(|epoch| !epoch.is_empty())?;
        let mut at = BTreeMap::new();
        for part in parts {
            let (stream, seq) = part.split_once(':')?;
            at.insert(stream.parse().ok()?, Seq(seq.parse().ok()?));
        }
        Some(Self { epoch: Some(Epoch(epoch.to_owned())), at })
    }

    /// Returns the id of an event after which the reader is here.
    pub(super) fn id(&self) -> Option<String> {
        let mut text = self.epoch.as_ref()?.to_string();
        for (stream, seq) in &self.at {
            // Writing to a string cannot fail.
            let _ = write!(text, ";{stream}:{seq}");
        }
        Some(text)
    }

    fn of(&self, stream: Stream) -> StreamPosition {
        let after = self.at.get(&stream).map(|seq| After { seq: *seq, id: None });
        StreamPosition { stream, epoch: self.epoch.clone().filter(|_| after.is_some()), after }
    }

    /// Moves on by what a frame brings.
    fn note(&mut self, frame: &Frame) {
        if let Some((stream, _, last)) = frame.events() {
            self.at.insert(stream, last);
            return;
        }
        match frame.kind() {
            "subscribed" => self.note_start(frame),
            "snapshot" => {
                #[derive(Deserialize)]
                struct Snapshot {
                    at: BTreeMap<Stream, Seq>,
                }
                if let Ok(snapshot) = serde_json::from_slice::<Snapshot>(frame.text()) {
                    self.at.extend(snapshot.at);
                }
            }
            "reset" => {
                #[derive(Deserialize)]
                struct Reset {
                    stream: Stream,
                    epoch: Epoch,
                }
                if let Ok(reset) = serde_json::from_slice::<Reset>(frame.text()) {
                    if self.epoch.as_ref() == Some(&reset.epoch) {
                        self.at.remove(&reset.stream);
                    } else {
                        // Positions of another numbering mean nothing in this one.
                        self.at.clear();
                        self.epoch = Some(reset.epoch);
                    }
                }
            }
            _ => {}
        }
    }

    fn note_start(&mut self, frame: &Frame) {
        #[derive(Deserialize)]
        struct Subscribed {
            streams: Vec<Start>,
        }
        #[derive(Deserialize)]
        struct Start {
            epoch: Epoch,
        }
        if let Ok(subscribed) = serde_json::from_slice::<Subscribed>(frame.text()) {
            let epoch = subscribed.streams.into_iter().next().map(|start| start.epoch);
            if epoch != self.epoch {
                self.at.clear();
                self.epoch = epoch;
            }
        }
    }
}

pub(super) fn streams(text: &str) -> Result<StreamSet, Problem> {
    text.split(',').map(|name| name.trim().parse::<Stream>()).collect::<Result<_, _>>().map_err(|error| {
        let detail = error.to_string();
        Problem::new(Code::InvalidField).with_detail(detail.clone()).with_field("/streams", Code::InvalidField, detail)
    })
}

pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Position, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(Position::default()) };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() {
        return Ok(Position::default());
    }
    Position::parse(text).ok_or_else(|| {
        let detail = "must look like EPOCH;main:812;side:44";
        Problem::new(Code::InvalidField).with_detail(format!("Last-Event-ID {detail}")).with_field(
            "/headers/last-event-id",
            Code::InvalidField,
            detail,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_how_far_every_stream_is() {
        let position = Position::parse("abc;main:812;side:44").expect("an id");
        assert_eq!(position.id().as_deref(), Some("abc;main:812;side:44"));
        let main = position.of(Stream::Main);
        assert_eq!((main.epoch, main.after.map(|after| after.seq)), (Some(Epoch("abc".to_owned())), Some(Seq(812))));
        let staff = position.of(Stream::Staff);
        assert!(staff.epoch.is_none() && staff.after.is_none());
        for text in ["", ";main:1", "abc;main", "abc;main:x", "abc;nowhere:1"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }
}
