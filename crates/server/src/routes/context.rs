//! The shared context: one JSON document of a session.

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use roundtable_hub::ContextWritten;
use roundtable_protocol::command::{ContextPatch, ContextResolve, ContextRevert};
use roundtable_protocol::context::{
    ContextChange, ContextWrite, OpenConflict, Overwrote, PatchOp, SkippedOp, Strategy, Take,
};
use roundtable_protocol::{BranchId, Code, Command, EventId, Problem, Seq, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::idempotency::Key;
use crate::json::{AnyJson, Json, Path, Query};
use crate::problem::ApiError;
use crate::routes::give;
use crate::state::App;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Which part of the context.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ContextQuery {
    /// A JSON Pointer; `@<id>` addresses the element of an array whose `id` is that. Everything when absent.
    #[serde(default)]
    path: String,
    /// As it was at this version; as it is now when absent.
    #[param(value_type = Option<u64>)]
    version: Option<Seq>,
    /// The branch; the main one when absent.
    branch: Option<BranchId>,
}

/// Part of the context.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ContextBody {
    /// The version: the seq of the last write in `main`, 0 before the first.
    version: Seq,
    /// What is there.
    #[schema(value_type = Object)]
    value: Value,
}

/// Reads the shared context, or a part of it.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/context", tag = "context",
    params(("session_id" = SessionId, Path), ContextQuery),
    responses((status = 200, description = "What is there; the version is in ETag as well", body = ContextBody)))]
pub async fn get(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    Query(query): Query<ContextQuery>,
) -> Result<Response, ApiError> {
    let ContextQuery { path, version, branch } = query;
    let read = app.manager.context_on(session, known.user.id, branch, &path, version).await?;
    let mut answer = axum::Json(ContextBody { version: read.version, value: read.value }).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", read.version)) {
        answer.headers_mut().insert(ETAG, tag);
    }
    Ok(answer)
}

/// How to write.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WriteQuery {
    /// The branch; the main one when absent.
    branch: Option<BranchId>,
    /// The version that the author has read: later writes to the same places conflict. Absent: written without looking.
    #[param(value_type = Option<u64>)]
    base: Option<Seq>,
    /// What becomes of what conflicts; absent: what the settings say for the path, else `reject`.
    strategy: Option<Strategy>,
    /// Whether all operations apply or none; true when absent.
    atomic: Option<bool>,
    /// Why; at most 500 characters.
    reason: Option<String>,
}

/// What came of a write.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ContextWrittenBody {
    /// The version that the write made: its event's seq.
    version: Seq,
    /// The event.
    event: EventId,
    /// What has changed.
    applied: Vec<ContextChange>,
    /// Operations that were left out.
    skipped: Vec<SkippedOp>,
    /// Writes of others that were overwritten.
    overwrote: Vec<Overwrote>,
    /// Whether the key had been accepted before.
    duplicate: bool,
}

impl From<ContextWritten> for ContextWrittenBody {
    fn from(written: ContextWritten) -> Self {
        let ContextWritten { version, event, applied, skipped, overwrote, duplicate } = written;
        Self { version, event, applied, skipped, overwrote, duplicate }
    }
}

/// Writes the shared context: `application/json-patch+json` is RFC 6902 with this product's own operations,
/// `application/merge-patch+json` is RFC 7396. `If-Match` with a version applies only to exactly that one.
#[utoipa::path(patch, path = "/api/v1/sessions/{session_id}/context", tag = "context",
    params(("session_id" = SessionId, Path), WriteQuery),
    request_body(content((Vec<PatchOp> = "application/json-patch+json"), (Object = "application/merge-patch+json"))),
    responses((status = 200, description = "What came of it", body = ContextWrittenBody)))]
pub async fn patch(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    Query(query): Query<WriteQuery>,
    key: Key,
    headers: HeaderMap,
    AnyJson(body): AnyJson,
) -> Result<axum::Json<ContextWrittenBody>, ApiError> {
    let WriteQuery { branch, base, strategy, atomic, reason } = query;
    let if_version = if_match(&headers)?;
    let (atomic, ops) = (atomic.unwrap_or(true), Vec::new());
    let mut data = ContextPatch { branch, base, if_version, ops, merge: None, strategy, atomic, reason };
    match essence(&headers) {
        JSON_PATCH => data.ops = crate::json::convert(body, "")?,
        MERGE_PATCH => data.merge = Some(body),
        _ => {
            let detail = format!("send {JSON_PATCH} or {MERGE_PATCH}");
            return Err(Problem::new(Code::UnsupportedMediaType).with_detail(detail).into());
        }
    }
    write(app, session, known.user.id, key, Command::ContextPatch(data)).await
}

/// Takes a write back, or brings everything or some paths back to a version, by a new write.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/context/revert", tag = "context",
    params(("session_id" = SessionId, Path)), request_body = ContextRevert,
    responses((status = 200, description = "What came of it", body = ContextWrittenBody)))]
pub async fn revert(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    Json(body): Json<ContextRevert>,
) -> Result<axum::Json<ContextWrittenBody>, ApiError> {
    write(app, session, known.user.id, key, Command::ContextRevert(body)).await
}

/// Which writes.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Only writes before this version.
    #[param(value_type = Option<u64>)]
    before: Option<Seq>,
    /// How many; 1 to 200, 50 when absent.
    limit: Option<usize>,
    /// The branch; the main one when absent.
    branch: Option<BranchId>,
}

/// Writes of the context, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ContextHistoryBody {
    /// The writes; what exactly each has changed is in its event.
    items: Vec<ContextWrite>,
}

/// Reads who wrote what; the last 10,000 writes are kept for this (1,000 of a branch), the log keeps all.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/context/history", tag = "context",
    params(("session_id" = SessionId, Path), HistoryQuery),
    responses((status = 200, description = "Writes", body = ContextHistoryBody)))]
pub async fn history(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    Query(query): Query<HistoryQuery>,
) -> Result<axum::Json<ContextHistoryBody>, ApiError> {
    let limit = query.limit.unwrap_or(50).clamp(1, 200);
    let items = app.manager.context_history(session, known.user.id, query.branch, query.before, limit).await?;
    Ok(axum::Json(ContextHistoryBody { items }))
}

/// Conflicts that wait for people, the oldest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ContextConflictsBody {
    /// The conflicts; at most 100.
    items: Vec<OpenConflict>,
}

/// Reads the conflicts that wait for people.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/context/conflicts", tag = "context",
    params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "Conflicts", body = ContextConflictsBody)))]
pub async fn conflicts(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<axum::Json<ContextConflictsBody>, ApiError> {
    let items = app.manager.context_conflicts(session, known.user.id).await?;
    Ok(axum::Json(ContextConflictsBody { items }))
}

/// A choice.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Which side is taken.
    take: Take,
    /// The value, when neither side's is taken.
    #[schema(value_type = Option<Object>)]
    value: Option<Value>,
}

/// Chooses in an open conflict.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/context/conflicts/{conflict_id}", tag = "context",
    params(("session_id" = SessionId, Path), ("conflict_id" = EventId, Path)), request_body = Choice,
    responses((status = 200, description = "What came of it", body = ContextWrittenBody)))]
pub async fn resolve(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, conflict)): Path<(SessionId, EventId)>,
    key: Key,
    Json(Choice { take, value }): Json<Choice>,
) -> Result<axum::Json<ContextWrittenBody>, ApiError> {
    let command = Command::ContextResolve(ContextResolve { conflict, take, value });
    write(app, session, known.user.id, key, command).await
}

async fn write(
    app: App,
    session: SessionId,
    user: roundtable_protocol::UserId,
    key: Key,
    command: Command,
) -> Result<axum::Json<ContextWrittenBody>, ApiError> {
    let receipt = give(&app.manager, session, user, key, command).await?;
    let written = app.manager.context_written(session, user, receipt).await?;
    Ok(axum::Json(written.into()))
}

fn essence(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Reads `If-Match`: a version in quotes.
fn if_match(headers: &HeaderMap) -> Result<Option<Seq>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim_matches('"');
    let version = text.parse().map(Seq).map(Some);
    version.map_err(|_| Problem::new(Code::InvalidField).with_detail("If-Match is a version in quotes, such as \"42\""))
}
