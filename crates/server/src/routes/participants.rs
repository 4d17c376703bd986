//! Who is in a session.

use axum::extract::State;
use axum::http::StatusCode;
use roundtable_protocol::command::{ParticipantChangeRole, ParticipantLeave, ParticipantRemove};
use roundtable_protocol::frame::{Person, PresenceStatus};
use roundtable_protocol::model::{Membership, Participant};
use roundtable_protocol::{Code, Command, ParticipantId, Role, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::idempotency::Key;
use crate::json::{Json, Path, Query};
use crate::problem::ApiError;
use crate::routes::{List, ListQuery, give};
use crate::state::App;

/// A participant with presence.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ParticipantBody {
    /// Who.
    #[serde(flatten)]
    participant: Participant,
    /// Which session.
    session_id: SessionId,
    /// Whether connected.
    is_online: bool,
    /// When they last did something; null when nothing is known since the session was loaded.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_active_at: Option<Timestamp>,
    /// What they look at. Always null here: it lives for seconds and travels as `ephemeral` frames only.
    #[schema(value_type = Option<Object>)]
    current_focus: Option<Value>,
    /// Where they point. Always null here, as `current_focus`.
    #[schema(value_type = Option<Object>)]
    cursor_position: Option<Value>,
    /// Settings of this participant in this session; there are none yet.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

impl ParticipantBody {
    /// Joins what is durable with what is present.
    pub(super) fn new(session_id: SessionId, participant: Participant, person: Option<&Person>) -> Self {
        Self {
            participant,
            session_id,
            is_online: person.is_some_and(|person| person.status != PresenceStatus::Offline),
            last_active_at: person.map(|person| person.last_active_at),
            current_focus: None,
            cursor_position: None,
            settings: Map::new(),
        }
    }
}

/// A new role.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    /// The role from now on; never owner.
    role: Role,
}

/// Lists people and assistants in the order of joining.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/participants", tag = "doors",
    params(("session_id" = SessionId, Path), ListQuery),
    responses((status = 200, description = "Participants", body = List<ParticipantBody>)))]
pub async fn list(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<List<ParticipantBody>>, ApiError> {
    let limit = query.limit();
    let after: Option<ParticipantId> = query.page(|text| text.parse().ok())?;
    let all = app.manager.participants(session, known.user.id).await?;
    // Those who have left keep their place, so that the token of somebody who leaves stays good.
    let from = after.map_or(0, |id| all.iter().position(|(p, _)| p.id == id).map_or(all.len(), |place| place + 1));
    let joined = all[from..].iter().filter(|(p, _)| p.membership == Membership::Joined).take(limit + 1);
    let items = joined.map(|(p, person)| ParticipantBody::new(session, p.clone(), person.as_ref())).collect();
    Ok(axum::Json(List::cut(items, limit, |last| last.participant.id.to_string())))
}

/// Changes somebody's role.
#[utoipa::path(patch, path = "/api/v1/sessions/{session_id}/participants/{participant_id}", tag = "doors",
    params(("session_id" = SessionId, Path), ("participant_id" = ParticipantId, Path)), request_body = RoleBody,
    responses((status = 200, description = "The participant", body = ParticipantBody)))]
pub async fn change(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, participant)): Path<(SessionId, ParticipantId)>,
    Json(body): Json<RoleBody>,
) -> Result<axum::Json<ParticipantBody>, ApiError> {
    let command = Command::ParticipantChangeRole(ParticipantChangeRole { participant, role: body.role });
    give(&app.manager, session, known.user.id, Key::fresh(), command).await?;
    let (found, person) = find(&app, session, known.user.id, participant).await?;
    Ok(axum::Json(ParticipantBody::new(session, found, person.as_ref())))
}

/// Sends somebody away; oneself: leaves.
#[utoipa::path(delete, path = "/api/v1/sessions/{session_id}/participants/{participant_id}", tag = "doors",
    params(("session_id" = SessionId, Path), ("participant_id" = ParticipantId, Path)),
    responses((status = 204, description = "Gone")))]
pub async fn remove(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, participant)): Path<(SessionId, ParticipantId)>,
) -> Result<StatusCode, ApiError> {
    let standing = app.manager.standing(session, known.user.id).await?;
    let oneself = standing.participant.is_some_and(|own| own.id == participant);
    let command = if oneself {
        Command::ParticipantLeave(ParticipantLeave {})
    } else {
        Command::ParticipantRemove(ParticipantRemove { participant, reason: None })
    };
    give(&app.manager, session, known.user.id, Key::fresh(), command).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(
    app: &App,
    session: SessionId,
    user: UserId,
    participant: ParticipantId,
) -> Result<(Participant, Option<Person>), ApiError> {
    let all = app.manager.participants(session, user).await?;
    all.into_iter().find(|(p, _)| p.id == participant).ok_or_else(|| Code::NoSuchParticipant.into())
}
