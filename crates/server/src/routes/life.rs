//! A session's life: pausing, resuming, detaching, health.

use axum::extract::State;
use roundtable_hub::{Health, TurnHealth};
use roundtable_protocol::command::{SessionDetach, SessionPause, SessionResume};
use roundtable_protocol::model::SessionState;
use roundtable_protocol::report::Report;
use roundtable_protocol::{Code, Command, SessionId, Timestamp, TurnId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::idempotency::Key;
use crate::json::{JsonOrNothing, Path};
use crate::problem::ApiError;
use crate::routes::give;
use crate::routes::sessions::{SessionBody, read};
use crate::state::App;
use crate::summaries::{self, NoSummary, Summary};

/// Why a session is paused.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PauseBody {
    /// In a few words; at most 500 characters.
    reason: Option<String>,
}

/// Lets assistants rest: the running answer stops where it is, no other is begun. People may go on talking.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/pause", tag = "sessions", params(("session_id" = SessionId, Path)),
    request_body = Option<PauseBody>, responses((status = 200, description = "The session", body = SessionBody)))]
pub async fn pause(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    JsonOrNothing(body): JsonOrNothing<PauseBody>,
) -> Result<axum::Json<SessionBody>, ApiError> {
    let command = Command::SessionPause(SessionPause { reason: body.reason });
    give(&app.manager, session, known.user.id, key, command).await?;
    read(&app, session, known.user.id).await
}

/// Goes on after a pause, or after a failure whose cause is gone. What the session needs is checked first: its assistant
/// must be there and answer, and its time must not be over (`cannot_resume`).
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/resume", tag = "sessions", params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "The session", body = SessionBody)))]
pub async fn resume(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
) -> Result<axum::Json<SessionBody>, ApiError> {
    give(&app.manager, session, known.user.id, key, Command::SessionResume(SessionResume {})).await?;
    read(&app, session, known.user.id).await
}

/// Goes away and lets the session work on. It stands in `GET /sessions?detached=true` until its owner is connected again.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/detach", tag = "sessions", params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "The session", body = SessionBody)))]
pub async fn detach(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
) -> Result<axum::Json<SessionBody>, ApiError> {
    give(&app.manager, session, known.user.id, key, Command::SessionDetach(SessionDetach {})).await?;
    read(&app, session, known.user.id).await
}

/// How a session is doing on this server.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HealthBody {
    /// Where it is in its life.
    state: SessionState,
    /// Why it is served read-only, when it is.
    broken: Option<Code>,
    /// How many connections read it here.
    connections: usize,
    /// How many participants are connected here.
    online: usize,
    /// How many events were recorded a second, over the last ten seconds.
    events_per_s: f64,
    /// What waits.
    queue: QueueBody,
    /// The turn that is being answered.
    turn: Option<TurnBody>,
    /// What it holds besides memory; all 0 after a pause.
    resources: ResourcesBody,
    /// How much memory it takes here, estimated. Unit: bytes.
    memory_bytes: u64,
    /// When something last happened.
    last_at: Timestamp,
    /// The next moment at which something happens by itself: a limit, its warning, the end of a grace.
    next_deadline: Option<Timestamp>,
}

/// What waits in a session.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = HealthQueue)]
pub struct QueueBody {
    /// Commands that wait before its room.
    commands: usize,
    /// Turns that wait for their answer.
    turns: usize,
}

/// A turn that is being answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = HealthTurn)]
pub struct TurnBody {
    /// The turn.
    id: TurnId,
    /// For how long. Unit: milliseconds.
    age_ms: u64,
    /// How long the claim on it still holds unless it is renewed. Unit: milliseconds.
    lease_ms: u64,
}

/// What a session holds besides memory.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = HealthResources)]
pub struct ResourcesBody {
    /// Drivers that work for it in this process.
    drivers: usize,
}

impl From<Health> for HealthBody {
    fn from(health: Health) -> Self {
        let turn = |t: TurnHealth| TurnBody { id: t.id, age_ms: t.age_ms, lease_ms: t.lease_ms };
        Self {
            state: health.state,
            broken: health.broken,
            connections: health.connections,
            online: health.online,
            events_per_s: health.events_per_s,
            queue: QueueBody { commands: health.commands_waiting, turns: health.turns_waiting },
            turn: health.turn.map(turn),
            resources: ResourcesBody { drivers: health.drivers },
            memory_bytes: health.memory_bytes,
            last_at: health.last_at,
            next_deadline: health.next_deadline,
        }
    }
}

/// What a session came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReportBody {
    /// Whether the session has ended and these are its last figures; otherwise they are those so far.
    is_final: bool,
    /// The figures.
    report: Report,
    /// The same in words, once they are made and while nothing in the session has changed since.
    summary: Option<Summary>,
}

/// What came of asking for a summary.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SummaryBody {
    /// The summary; null when it could not be made.
    summary: Option<Summary>,
    /// Why it could not be made; the report is whole without it.
    failed: Option<NoSummary>,
}

/// Tells what a session came to: who took part, how long, what was asked, decided and used. While it goes on, the figures so
/// far. Whoever may read `main` can count every figure again from its events.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/report", tag = "sessions", params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "The report", body = ReportBody)))]
pub async fn report(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<axum::Json<ReportBody>, ApiError> {
    let report = app.manager.report(session, known.user.id).await?;
    let is_final = matches!(report.state, SessionState::Completed | SessionState::Terminated);
    let summary = if is_final {
        summaries::made(&app, session, summaries::head(&app, session, known.user.id).await?).await?
    } else {
        None
    };
    Ok(axum::Json(ReportBody { is_final, report, summary }))
}

/// Puts what an ended session came to in words, unless that has been done by itself at the end: its assistant is asked once,
/// the guide puts the figures into sentences by fixed rules. The words are kept until something in the session changes, an
/// erased message too, and are no part of its log. Whoever may prompt may ask; `illegal_transition` while the session goes on.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/report/summary", tag = "sessions", params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "The summary, or why there is none", body = SummaryBody)))]
pub async fn summarise(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<axum::Json<SummaryBody>, ApiError> {
    let (summary, failed) = match summaries::make(&app, session, known.user.id).await? {
        Ok(summary) => (Some(summary), None),
        Err(failed) => (None, Some(failed)),
    };
    Ok(axum::Json(SummaryBody { summary, failed }))
}

/// Tells how a session is doing on this server.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/health", tag = "sessions", params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "How it is doing", body = HealthBody)))]
pub async fn health(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<axum::Json<HealthBody>, ApiError> {
    Ok(axum::Json(app.manager.health(session, known.user.id).await?.into()))
}
