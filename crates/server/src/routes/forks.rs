//! Sessions that begin as copies of others, and where each came from.

use axum::extract::State;
use axum::response::Response;
use roundtable_protocol::branching::{Fork, ForkedFrom};
use roundtable_protocol::command::SessionFork;
use roundtable_protocol::{Role, SessionId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::idempotency::Key;
use crate::json::{JsonOrNothing, Path};
use crate::problem::ApiError;
use crate::routes::sessions::SessionBody;
use crate::routes::{codes, created};
use crate::state::App;

/// Where a session came from and what has come from it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LineageBody {
    /// What it began as a copy of; null: it did not.
    forked_from: Option<ForkedFromBody>,
    /// The sessions that began as copies of it, oldest first.
    forks: Vec<ForkBody>,
}

/// What a session began as a copy of.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ForkedFromBody {
    /// The point.
    #[serde(flatten)]
    from: ForkedFrom,
    /// What that session is called; null: it is gone, or the reader may not see it.
    title: Option<String>,
}

/// A session that began as a copy.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ForkBody {
    /// The session and the point.
    #[serde(flatten)]
    fork: Fork,
    /// What it is called; null: it is gone, or the reader may not see it.
    title: Option<String>,
}

/// Begins a new session as a copy of this one up to a message, a seq, a checkpoint or now: messages, context, memories. The
/// caller owns it, nobody else is in it.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/fork", tag = "branches",
    params(("session_id" = SessionId, Path)), request_body = Option<SessionFork>,
    responses((status = 201, description = "The new session", body = SessionBody)))]
pub async fn fork(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    JsonOrNothing(body): JsonOrNothing<SessionFork>,
) -> Result<Response, ApiError> {
    let made = app.manager.fork(session, known.user.id, key.id, body).await?;
    let share_code = if made.info.state.is_open() { codes::first(&app, made.info.id).await? } else { None };
    Ok(created(SessionBody { info: made.info, role: Some(Role::Owner), share_code }))
}

/// Reads where a session came from and what has come from it.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/lineage", tag = "branches",
    params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "Both ways", body = LineageBody)))]
pub async fn lineage(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<axum::Json<LineageBody>, ApiError> {
    let lineage = app.manager.lineage(session, known.user.id).await?;
    let forked_from = lineage.forked_from.map(|(from, title)| ForkedFromBody { from, title });
    let forks = lineage.forks.into_iter().map(|(fork, title)| ForkBody { fork, title }).collect();
    Ok(axum::Json(LineageBody { forked_from, forks }))
}
