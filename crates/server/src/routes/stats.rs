//! Counts over the whole server.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::ApiError;
use crate::state::App;

/// Counts over the whole server.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct StatsBody {
    /// All sessions.
    total_sessions: u64,
    /// Sessions in state active or paused.
    active_sessions: u64,
    /// All events.
    total_events: u64,
    /// Participants who are connected.
    users_in_sessions: usize,
}

/// Counts sessions, events and people.
#[utoipa::path(get, path = "/api/v1/stats", tag = "sessions", responses((status = 200, description = "Counts", body = StatsBody)))]
pub async fn stats(State(app): State<App>) -> Result<Json<StatsBody>, ApiError> {
    let totals = app.store.totals().await?;
    Ok(Json(StatsBody {
        total_sessions: totals.sessions,
        active_sessions: totals.active_sessions,
        total_events: totals.events,
        users_in_sessions: app.manager.stats().users_in_sessions,
    }))
}
