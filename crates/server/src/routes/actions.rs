//! Typed actions: performing them, and what their data must be.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use roundtable_protocol::SessionId;
use roundtable_protocol::command::ActionPerform;
use roundtable_protocol::memory::ActionType;
use serde_json::Value;

use crate::auth::Caller;
use crate::idempotency::Key;
use crate::json::{Json, Path};
use crate::problem::ApiError;
use crate::routes::{Accepted, List, created};
use crate::state::App;

/// Performs an action. Actions are read as events of the kind `action.performed`.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/actions", tag = "memories",
    params(("session_id" = SessionId, Path)), request_body = ActionPerform,
    responses((status = 201, description = "Recorded", body = Accepted)))]
pub async fn perform(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    Json(body): Json<ActionPerform>,
) -> Result<Response, ApiError> {
    let receipt = app.manager.perform_action(session, known.user.id, key.id, &body.name, body.data).await?;
    Ok(created(Accepted::from(receipt)))
}

/// Lists the types of actions that have a schema.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/action-types", tag = "memories",
    params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "Types", body = List<ActionType>)))]
pub async fn types(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<axum::Json<List<ActionType>>, ApiError> {
    let items = app.manager.action_types(session, known.user.id).await?;
    Ok(axum::Json(List { items, next: None }))
}

/// Says what data of a type must be from now on: the body is a JSON Schema.
#[utoipa::path(put, path = "/api/v1/sessions/{session_id}/action-types/{type}", tag = "memories",
    params(("session_id" = SessionId, Path), ("type" = String, Path)), request_body = Object,
    responses((status = 204, description = "It is so")))]
pub async fn define(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, name)): Path<(SessionId, String)>,
    Json(schema): Json<Value>,
) -> Result<StatusCode, ApiError> {
    app.manager.define_action(session, known.user.id, Key::fresh().id, &name, Some(schema)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the schema of a type away: its data may be anything.
#[utoipa::path(delete, path = "/api/v1/sessions/{session_id}/action-types/{type}", tag = "memories",
    params(("session_id" = SessionId, Path), ("type" = String, Path)),
    responses((status = 204, description = "It is so")))]
pub async fn undefine(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, name)): Path<(SessionId, String)>,
) -> Result<StatusCode, ApiError> {
    app.manager.define_action(session, known.user.id, Key::fresh().id, &name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
