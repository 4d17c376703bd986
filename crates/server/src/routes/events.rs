//! What happened: events and pages of folded messages.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use roundtable_hub::{History, HistoryQuery};
use roundtable_protocol::view::Page;
use roundtable_protocol::{BranchId, Code, Epoch, Event, EventBody, ParticipantId, Problem, Seq, SessionId, Stream};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::json::{Path, Query};
use crate::problem::ApiError;
use crate::routes::raw_json;
use crate::state::App;

/// Which events.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// The stream; `main` when absent.
    #[serde(default = "main_stream")]
    stream: Stream,
    /// The seq after which to begin.
    #[serde(default)]
    #[param(value_type = u64)]
    after: Seq,
    /// How many; 1 to 1,000, 100 when absent. Large ones come fewer at once.
    limit: Option<usize>,
    /// Only these kinds, with commas between.
    kind: Option<String>,
    /// Only what this participant did.
    by: Option<ParticipantId>,
    /// Only what happened on this branch.
    branch: Option<BranchId>,
}

/// Which page.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The stream; `main` when absent.
    #[serde(default = "main_stream")]
    stream: Stream,
}

fn main_stream() -> Stream {
    Stream::Main
}

/// Events of one stream, in order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventsBody {
    /// The identity of the numbering.
    epoch: Epoch,
    /// The stream's last seq.
    head: Seq,
    /// The events.
    events: Vec<Event>,
    /// The `after` of the next call; null at the stream's end. A filtered call looks at 10,000 events at most, so it may find
    /// none and still have a `next`.
    next: Option<Seq>,
}

/// Reads events of one stream after a seq, all or only some kinds, somebody's, or a branch's.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/events", tag = "events",
    params(("session_id" = SessionId, Path), EventsQuery),
    responses((status = 200, description = "Events", body = EventsBody)))]
pub async fn events(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    Query(query): Query<EventsQuery>,
) -> Result<Response, ApiError> {
    let limit = query.limit.unwrap_or(100).clamp(1, 1000);
    let kinds = query.kind.iter().flat_map(|all| all.split(',')).map(str::trim).filter(|kind| !kind.is_empty());
    let kinds: Vec<String> = kinds.map(str::to_owned).collect();
    if let Some(unknown) = kinds.iter().find(|kind| !EventBody::KINDS.contains(&kind.as_str())) {
        let detail = format!("there is no event kind {unknown}");
        let problem = Problem::new(Code::InvalidField).with_detail(&detail);
        return Err(problem.with_field("/kind", Code::InvalidField, detail).into());
    }
    let EventsQuery { stream, after, by, branch, .. } = query;
    let asked = HistoryQuery { stream, after, limit, kinds, by, branch };
    let found = app.manager.find_events(session, known.user.id, asked).await?;
    Ok(raw_json(StatusCode::OK, joined(&found)))
}

/// Writes [`EventsBody`] around events that are JSON already.
fn joined(History { page, next }: &History) -> Bytes {
    let size: usize = page.events.iter().map(|event| event.len() + 1).sum();
    let mut out = Vec::with_capacity(size + 100);
    // An epoch is letters and digits.
    out.extend_from_slice(format!(r#"{{"epoch":"{}","head":{},"events":["#, page.epoch, page.head).as_bytes());
    for (n, event) in page.events.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(event);
    }
    let next = next.map_or_else(|| "null".to_owned(), |seq| seq.to_string());
    out.extend_from_slice(format!(r#"],"next":{next}}}"#).as_bytes());
    out.into()
}

/// Reads 256 folded messages of one stream: those with numbers `256 * page` and up.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/pages/{page}", tag = "events",
    params(("session_id" = SessionId, Path), ("page" = u64, Path), PageQuery),
    responses((status = 200, description = "Messages", body = Page)))]
pub async fn page(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, page)): Path<(SessionId, u64)>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page>, ApiError> {
    Ok(Json(app.manager.page(session, known.user.id, query.stream, page).await?))
}
