//! Checkpoints: making, listing, naming, restoring, deleting.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use roundtable_protocol::branching::{Branch, CheckpointInfo, RestoreHow};
use roundtable_protocol::command::CheckpointRestore;
use roundtable_protocol::{BranchId, CheckpointId, SessionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::idempotency::Key;
use crate::json::{Json, JsonOrNothing, Path, Query};
use crate::problem::ApiError;
use crate::routes::{List, ListQuery, created};
use crate::state::App;

/// The name of a checkpoint.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointName {
    /// What it is called; 1 to 80 characters.
    name: String,
}

/// Makes a checkpoint of now.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/checkpoints", tag = "branches",
    params(("session_id" = SessionId, Path)), request_body = CheckpointName,
    responses((status = 201, description = "The checkpoint", body = CheckpointInfo)))]
pub async fn create(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    Json(body): Json<CheckpointName>,
) -> Result<Response, ApiError> {
    Ok(created(app.manager.checkpoint(session, known.user.id, key.id, &body.name).await?))
}

/// Lists checkpoints, the newest first: all that have a name, and the last hundred that rules have made.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/checkpoints", tag = "branches",
    params(("session_id" = SessionId, Path), ListQuery),
    responses((status = 200, description = "Checkpoints", body = List<CheckpointInfo>)))]
pub async fn list(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<List<CheckpointInfo>>, ApiError> {
    let limit = query.limit();
    let before = query.page(|text| text.parse::<u64>().ok())?;
    let all = app.manager.checkpoints(session, known.user.id).await?;
    let wanted = all.into_iter().rev().filter(|c| before.is_none_or(|seq| c.seq.0 < seq)).take(limit + 1).collect();
    Ok(axum::Json(List::cut(wanted, limit, |last: &CheckpointInfo| last.seq.to_string())))
}

/// Reads a checkpoint.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/checkpoints/{checkpoint_id}", tag = "branches",
    params(("session_id" = SessionId, Path), ("checkpoint_id" = CheckpointId, Path)),
    responses((status = 200, description = "The checkpoint", body = CheckpointInfo)))]
pub async fn get(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, checkpoint)): Path<(SessionId, CheckpointId)>,
) -> Result<axum::Json<CheckpointInfo>, ApiError> {
    Ok(axum::Json(app.manager.checkpoint_of(session, known.user.id, checkpoint).await?))
}

/// Gives a checkpoint another name. One that a rule has made is kept from then on.
#[utoipa::path(patch, path = "/api/v1/sessions/{session_id}/checkpoints/{checkpoint_id}", tag = "branches",
    params(("session_id" = SessionId, Path), ("checkpoint_id" = CheckpointId, Path)), request_body = CheckpointName,
    responses((status = 200, description = "The checkpoint", body = CheckpointInfo)))]
pub async fn rename(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, checkpoint)): Path<(SessionId, CheckpointId)>,
    key: Key,
    Json(body): Json<CheckpointName>,
) -> Result<axum::Json<CheckpointInfo>, ApiError> {
    let renamed = app.manager.rename_checkpoint(session, known.user.id, key.id, checkpoint, &body.name).await?;
    Ok(axum::Json(renamed))
}

/// Deletes a checkpoint; what it names stays.
#[utoipa::path(delete, path = "/api/v1/sessions/{session_id}/checkpoints/{checkpoint_id}", tag = "branches",
    params(("session_id" = SessionId, Path), ("checkpoint_id" = CheckpointId, Path)),
    responses((status = 204, description = "Deleted")))]
pub async fn delete(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, checkpoint)): Path<(SessionId, CheckpointId)>,
) -> Result<StatusCode, ApiError> {
    app.manager.delete_checkpoint(session, known.user.id, Key::fresh().id, checkpoint).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a checkpoint is gone back to; everything may be left out.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Restore {
    /// As a new branch (`branch`, when absent), or with every head moved back (`in_place`, for moderators).
    how: RestoreHow,
    /// Which of the checkpoint's branches becomes the new branch; the main one when absent.
    branch: Option<BranchId>,
    /// What the new branch is called; made from the checkpoint's name when absent.
    name: Option<String>,
}

/// What came of going back.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Restored {
    /// The checkpoint.
    checkpoint: CheckpointId,
    /// The new branch; null when it was done in place.
    branch: Option<Branch>,
}

/// Goes back to a checkpoint, as a new branch or in place. Nothing is deleted, and nobody's rights change.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/checkpoints/{checkpoint_id}/restore", tag = "branches",
    params(("session_id" = SessionId, Path), ("checkpoint_id" = CheckpointId, Path)), request_body = Option<Restore>,
    responses((status = 200, description = "What came of it", body = Restored)))]
pub async fn restore(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, checkpoint)): Path<(SessionId, CheckpointId)>,
    key: Key,
    JsonOrNothing(body): JsonOrNothing<Restore>,
) -> Result<axum::Json<Restored>, ApiError> {
    let Restore { how, branch, name } = body;
    let restore = CheckpointRestore { checkpoint, how, branch, name, then: Vec::new() };
    let branch = app.manager.restore(session, known.user.id, key.id, restore).await?;
    Ok(axum::Json(Restored { checkpoint, branch }))
}
