//! Memories: adding, finding, changing, removing.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use roundtable_hub::MemoryQuery;
use roundtable_protocol::command::{MemoryAdd, MemoryEdit};
use roundtable_protocol::memory::Memory;
use roundtable_protocol::{MemoryId, SessionId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::idempotency::Key;
use crate::json::{Json, Path, Query};
use crate::problem::ApiError;
use crate::routes::{List, created};
use crate::state::App;

/// Which memories.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only those whose text or tags contain every one of these words.
    q: Option<String>,
    /// Only those with this tag.
    tag: Option<String>,
    /// Only pinned ones, or only others.
    pinned: Option<bool>,
}

/// What of a memory changes; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryChange {
    /// Its text; 1 to 1,000 characters. Own memories, moderators everybody's.
    text: Option<String>,
    /// Its tags, all of them. Own memories, moderators everybody's.
    tags: Option<Vec<String>>,
    /// Whether it stands first. Anybody's.
    pinned: Option<bool>,
}

/// Adds a memory.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/memories", tag = "memories",
    params(("session_id" = SessionId, Path)), request_body = MemoryAdd,
    responses((status = 201, description = "The memory", body = Memory)))]
pub async fn add(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    Json(body): Json<MemoryAdd>,
) -> Result<Response, ApiError> {
    Ok(created(app.manager.add_memory(session, known.user.id, key.id, body).await?))
}

/// Lists memories, pinned ones first, then the newest first. There are at most 200, so all are told at once.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/memories", tag = "memories",
    params(("session_id" = SessionId, Path), Wanted),
    responses((status = 200, description = "Memories", body = List<Memory>)))]
pub async fn list(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    Query(wanted): Query<Wanted>,
) -> Result<axum::Json<List<Memory>>, ApiError> {
    let query = MemoryQuery { words: wanted.q, tag: wanted.tag, pinned: wanted.pinned };
    let items = app.manager.memories(session, known.user.id, query).await?;
    Ok(axum::Json(List { items, next: None }))
}

/// Reads a memory.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/memories/{memory_id}", tag = "memories",
    params(("session_id" = SessionId, Path), ("memory_id" = MemoryId, Path)),
    responses((status = 200, description = "The memory", body = Memory)))]
pub async fn get(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, memory)): Path<(SessionId, MemoryId)>,
) -> Result<axum::Json<Memory>, ApiError> {
    Ok(axum::Json(app.manager.memory(session, known.user.id, memory).await?))
}

/// Changes a memory's text, tags or place.
#[utoipa::path(patch, path = "/api/v1/sessions/{session_id}/memories/{memory_id}", tag = "memories",
    params(("session_id" = SessionId, Path), ("memory_id" = MemoryId, Path)), request_body = MemoryChange,
    responses((status = 200, description = "The memory", body = Memory)))]
pub async fn change(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, memory)): Path<(SessionId, MemoryId)>,
    key: Key,
    Json(body): Json<MemoryChange>,
) -> Result<axum::Json<Memory>, ApiError> {
    let MemoryChange { text, tags, pinned } = body;
    let edit = MemoryEdit { memory, text, tags, pinned };
    Ok(axum::Json(app.manager.edit_memory(session, known.user.id, key.id, edit).await?))
}

/// Removes a memory; every text that it has had is erased.
#[utoipa::path(delete, path = "/api/v1/sessions/{session_id}/memories/{memory_id}", tag = "memories",
    params(("session_id" = SessionId, Path), ("memory_id" = MemoryId, Path)),
    responses((status = 204, description = "Removed")))]
pub async fn remove(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, memory)): Path<(SessionId, MemoryId)>,
) -> Result<StatusCode, ApiError> {
    app.manager.remove_memory(session, known.user.id, Key::fresh().id, memory).await?;
    Ok(StatusCode::NO_CONTENT)
}
