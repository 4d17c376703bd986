//! What happened: events and pages of folded messages.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use roundtable_hub::EventPage;
use roundtable_protocol::view::Page;
use roundtable_protocol::{Epoch, Event, Seq, SessionId, Stream};
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
}

/// Reads events of one stream after a seq.
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
    let page = app.manager.events(session, known.user.id, query.stream, query.after, limit).await?;
    Ok(raw_json(StatusCode::OK, joined(&page)))
}

/// Writes [`EventsBody`] around events that are JSON already.
fn joined(page: &EventPage) -> Bytes {
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
    out.extend_from_slice(b"]}");
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
