//! The lobby: who waits to be let in, and the answer.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use roundtable_protocol::command::{ParticipantApprove, ParticipantDeny};
use roundtable_protocol::lobby::{Asked, JoinRequest};
use roundtable_protocol::{Code, Command, ParticipantId, Problem, SessionId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::idempotency::Key;
use crate::json::{Json, Path};
use crate::problem::ApiError;
use crate::routes::participants::ParticipantBody;
use crate::routes::{List, give};
use crate::state::App;

/// Why somebody is not let in.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DenyBody {
    /// At most 500 characters; whoever waits is told.
    reason: Option<String>,
}

/// Lists who waits, in the order of asking. At most 50 wait, so all are told at once.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/requests", tag = "doors",
    params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "Who waits", body = List<JoinRequest>)))]
pub async fn list(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<axum::Json<List<JoinRequest>>, ApiError> {
    let items = app.manager.join_requests(session, known.user.id).await?;
    Ok(axum::Json(List { items, next: None }))
}

/// Tells what became of one's own request; an answer is remembered for ten minutes.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/requests/mine", tag = "doors",
    params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "One's own request", body = Asked)))]
pub async fn mine(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<axum::Json<Asked>, ApiError> {
    Ok(axum::Json(app.manager.asked(session, known.user.id).await?))
}

/// Stops waiting.
#[utoipa::path(delete, path = "/api/v1/sessions/{session_id}/requests/mine", tag = "doors",
    params(("session_id" = SessionId, Path)),
    responses((status = 204, description = "One waits no more")))]
pub async fn withdraw(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<StatusCode, ApiError> {
    app.manager.withdraw_request(session, known.user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets somebody in who waits, or to whom was said no within the last ten minutes.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/requests/{participant_id}/approve", tag = "doors",
    params(("session_id" = SessionId, Path), ("participant_id" = ParticipantId, Path)),
    responses((status = 200, description = "The participant", body = ParticipantBody)))]
pub async fn approve(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, participant)): Path<(SessionId, ParticipantId)>,
    key: Key,
) -> Result<Response, ApiError> {
    let command = Command::ParticipantApprove(ParticipantApprove { participant });
    give(&app.manager, session, known.user.id, key, command).await?;
    let all = app.manager.participants(session, known.user.id).await?;
    let found = all.into_iter().find(|(p, _)| p.id == participant);
    let (found, person) = found.ok_or_else(|| Problem::new(Code::NoSuchParticipant))?;
    Ok(axum::Json(ParticipantBody::new(session, found, person.as_ref())).into_response())
}

/// Does not let somebody in who waits.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/requests/{participant_id}/deny", tag = "doors",
    params(("session_id" = SessionId, Path), ("participant_id" = ParticipantId, Path)), request_body = DenyBody,
    responses((status = 204, description = "They are told")))]
pub async fn deny(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, participant)): Path<(SessionId, ParticipantId)>,
    key: Key,
    Json(body): Json<DenyBody>,
) -> Result<StatusCode, ApiError> {
    let command = Command::ParticipantDeny(ParticipantDeny { participant, reason: body.reason });
    give(&app.manager, session, known.user.id, key, command).await?;
    Ok(StatusCode::NO_CONTENT)
}
