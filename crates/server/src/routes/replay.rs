//! What happened, once more: a session's state at any place, its timeline, and its history as Server-Sent Events at the
//! pace at which it came.
//!
//! Owns: the parameters, waiting between steps. Must not know: how a state is come by. Invariant: the frames are those of
//! the live stream, so that whoever reads that one reads this one too; the id of each says where to go on.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use roundtable_hub::replay::{MAX_GAP, Place, Replay, ReplayOptions, ReplayStep};
use roundtable_protocol::timeline::Timeline;
use roundtable_protocol::{Code, Epoch, Problem, Seq, SessionId, Stream, Timestamp, View};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;
use utoipa::{IntoParams, ToSchema};

use super::live::{KEEP_ALIVE, Position, event, last_event_id, streams};
use crate::auth::{Caller, Ending, Watch};
use crate::json::{Path, Query};
use crate::limits::OpenSocket;
use crate::origin::Arrival;
use crate::problem::ApiError;
use crate::shutdown;
use crate::state::App;

/// The longest pause that a caller may ask for. Unit: milliseconds.
const LONGEST_GAP: u64 = 3_600_000;

/// Where and how to replay.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReplayQuery {
    /// Stream names with commas between; `main` when absent.
    streams: Option<String>,
    /// Begin after this seq of the first of the streams; from the start when absent.
    #[param(value_type = Option<u64>)]
    after: Option<Seq>,
    /// Begin after what had happened at this time; instead of `after`.
    time: Option<Timestamp>,
    /// How fast: 0.25 to 16; 1 when absent.
    speed: Option<f64>,
    /// What a pause is cut to before the speed counts. Unit: milliseconds, at most an hour; 2,000 when absent, 0 keeps
    /// pauses as long as they were.
    max_gap_ms: Option<u64>,
    /// After how many events to stop: 1 is a single step. At the end of the history when absent.
    limit: Option<usize>,
}

/// Where to look.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StateQuery {
    /// Stream names with commas between; `main` when absent.
    streams: Option<String>,
    /// The seq of the first of the streams up to which everything counts; now when absent.
    #[param(value_type = Option<u64>)]
    at: Option<Seq>,
    /// The time up to which everything counts; instead of `at`.
    time: Option<Timestamp>,
}

/// Which timeline.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// The stream; `main` when absent.
    #[serde(default = "main_stream")]
    stream: Stream,
}

fn main_stream() -> Stream {
    Stream::Main
}

/// The state of a session at a place of its history.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StateBody {
    /// The identity of the numbering.
    epoch: Epoch,
    /// The last seq of each stream that is folded in.
    #[schema(value_type = BTreeMap<Stream, u64>)]
    at: BTreeMap<Stream, Seq>,
    /// When the last of these happened; null before the first.
    time: Option<Timestamp>,
    /// SHA-256 of `view` as JSON, in hexadecimal: the same at the same place, live and replayed.
    hash: String,
    /// The state: everything but the older messages.
    view: View,
}

/// Reads the state of a session as it was at a place of its history.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/state", tag = "events",
    params(("session_id" = SessionId, Path), StateQuery),
    responses((status = 200, description = "The state", body = StateBody)))]
pub async fn state(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    Query(query): Query<StateQuery>,
) -> Result<Json<StateBody>, ApiError> {
    let streams = streams(query.streams.as_deref().unwrap_or("main"))?;
    let first = streams.iter().next().unwrap_or(Stream::Main);
    let place = place(first, "/at", query.at, query.time)?.unwrap_or(Place::Now);
    let state = app.manager.state_at(session, known.user.id, streams, &place).await?;
    let hash = state.hash();
    Ok(Json(StateBody { epoch: state.epoch, at: state.at, time: state.time, hash, view: state.view }))
}

/// Reads when how much happened and what stands out.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/timeline", tag = "events",
    params(("session_id" = SessionId, Path), TimelineQuery),
    responses((status = 200, description = "The timeline", body = Timeline)))]
pub async fn timeline(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    Query(query): Query<TimelineQuery>,
) -> Result<Json<Timeline>, ApiError> {
    Ok(Json(app.manager.timeline(session, known.user.id, query.stream).await?))
}

/// Replays a session: `snapshot` with the state at the beginning, then `events` and `delta` at their pace, `end` at the
/// end. Goes on after `Last-Event-ID`, then without a snapshot. To pause, stop reading or hang up; to seek, begin anew.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/replay", tag = "events",
    params(("session_id" = SessionId, Path), ReplayQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the reader has")),
    responses((status = 200, description = "Frames", content_type = "text/event-stream", body = roundtable_protocol::ServerFrame)))]
pub async fn replay(
    State(app): State<App>,
    Caller(known): Caller,
    Extension(arrival): Extension<Arrival>,
    Path(session): Path<SessionId>,
    Query(query): Query<ReplayQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let streams = streams(query.streams.as_deref().unwrap_or("main"))?;
    let first = streams.iter().next().unwrap_or(Stream::Main);
    let begin = place(first, "/after", query.after, query.time)?;
    let last = last_event_id(&headers)?;
    let goes_on = last.epoch.is_some();
    let from = if goes_on { Place::At(last.at) } else { begin.unwrap_or_else(|| Place::At(BTreeMap::new())) };
    let max_gap = match query.max_gap_ms {
        None => Some(MAX_GAP),
        Some(0) => None,
        Some(ms) if ms <= LONGEST_GAP => Some(Duration::from_millis(ms)),
        Some(_) => return Err(field("/max_gap_ms", "0 to 3600000").into()),
    };
    if query.limit == Some(0) {
        return Err(field("/limit", "at least 1").into());
    }
    let options = ReplayOptions { streams, from, speed: query.speed.unwrap_or(1.0), max_gap, limit: query.limit };
    let socket = app.open_socket(arrival.address)?;
    let watch = app.logins.watch(known.token_hash).await?.ok_or(Code::LoginExpired)?;
    let replay = app.manager.replay(session, known.user.id, options).await?;
    if last.epoch.is_some_and(|epoch| epoch != replay.start().epoch) {
        return Err(field("/headers/last-event-id", "is of another history; begin without it").into());
    }
    let mut text = BytesMut::from("retry: 2000\n\n");
    if !goes_on {
        let frame = replay.start().frame(session);
        event(&mut text, "snapshot", id(&replay).as_deref(), frame.text());
    }
    let player = Player {
        replay,
        next: None,
        text: Some(text.freeze()),
        over: false,
        ended: watch.ended(),
        closing: Box::pin(app.closing.clone().cancelled_owned()),
        _socket: socket,
        _watch: watch,
    };
    let body = Body::from_stream(futures_util::stream::unfold(player, Player::next));
    Ok(([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")], body).into_response())
}

/// Returns the place that a query names.
fn place(
    stream: Stream,
    pointer: &'static str,
    seq: Option<Seq>,
    time: Option<Timestamp>,
) -> Result<Option<Place>, Problem> {
    match (seq, time) {
        (Some(_), Some(_)) => Err(field("/time", "a seq or a time, not both")),
        (Some(seq), None) if seq.0 > i64::MAX as u64 => Err(field(pointer, "no such seq")),
        (Some(seq), None) => Ok(Some(Place::seq(stream, seq))),
        (None, Some(time)) => Ok(Some(Place::Time(time))),
        (None, None) => Ok(None),
    }
}

fn field(pointer: &'static str, detail: &'static str) -> Problem {
    Problem::new(Code::InvalidField).with_detail(detail).with_field(pointer, Code::InvalidField, detail)
}

fn id(replay: &Replay) -> Option<String> {
    Position { epoch: Some(replay.start().epoch.clone()), at: replay.position().clone() }.id()
}

/// One reader of a replay.
struct Player {
    replay: Replay,
    /// The step that is waited for, and when it is due.
    next: Option<(Instant, ReplayStep)>,
    /// What is written at once.
    text: Option<Bytes>,
    over: bool,
    ended: Ending,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    _socket: OpenSocket,
    _watch: Watch,
}

impl Player {
    /// Returns the next bytes of the body.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if let Some(text) = self.text.take() {
            return Some((Ok(text), self));
        }
        if self.over {
            return None;
        }
        let mut out = BytesMut::new();
        let (due, step) = match self.next.take() {
            Some(waiting) => waiting,
            None => match self.replay.next().await {
                Ok(Some(step)) => (Instant::now() + step.pause, step),
                Ok(None) => {
                    self.over = true;
                    event(&mut out, "end", id(&self.replay).as_deref(), &Bytes::from_static(b"{\"type\":\"end\"}"));
                    return Some((Ok(out.freeze()), self));
                }
                Err(problem) => {
                    self.over = true;
                    let text = serde_json::json!({ "type": "error", "problem": problem }).to_string();
                    event(&mut out, "error", None, &text.into());
                    return Some((Ok(out.freeze()), self));
                }
            },
        };
        tokio::select! {
            biased;
            () = self.closing.as_mut() => {
                self.over = true;
                event(&mut out, "bye", None, roundtable_hub::Frame::encode(&shutdown::bye()).text());
            }
            _ = self.ended.as_mut() => return None,
            () = tokio::time::sleep_until(due) => {
                let id = step.event.and_then(|_| id(&self.replay));
                event(&mut out, step.frame.kind(), id.as_deref(), step.frame.text());
            }
            () = tokio::time::sleep(KEEP_ALIVE) => {
                out.extend_from_slice(b": still here\n\n");
                self.next = Some((due, step));
            }
        }
        Some((Ok(out.freeze()), self))
    }
}
