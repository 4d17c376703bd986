//! Logins: making one by a name, reading and ending one's own.

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse, Response};
use roundtable_hub::{chosen_colour, clock, colour, display_name};
use roundtable_protocol::{Code, Problem, Timestamp, UserId};
use roundtable_store::{User, UserPatch};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{self, Caller, Known};
use crate::idempotency::Key;
use crate::json::Json;
use crate::origin::Arrival;
use crate::problem::ApiError;
use crate::routes::created;
use crate::state::App;

/// What a new login is made of.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGuest {
    /// The name that others see; 1 to 40 characters.
    display_name: String,
}

/// Somebody known to the server, as they see themselves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserBody {
    /// Who.
    pub id: UserId,
    /// The name they gave.
    pub display_name: String,
    /// One of twelve hues, 0 to 11: the one they chose, else the one that follows from their id.
    pub colour: u8,
    /// Whether they came by a link.
    pub guest: bool,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl From<&User> for UserBody {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            display_name: user.display_name.clone(),
            colour: user.colour.unwrap_or_else(|| colour(user.id)),
            guest: user.guest,
            created_at: user.created_at,
        }
    }
}

/// A new login.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LoginBody {
    /// Who.
    pub user: UserBody,
    /// The bearer token, shown once; absent when the key had been used before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What is to be changed of oneself; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MePatch {
    /// The name that others see; 1 to 40 characters.
    display_name: Option<String>,
    /// One of twelve hues, 0 to 11.
    colour: Option<u8>,
}

/// Oneself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Me {
    /// Who.
    pub user: UserBody,
    /// Whether one may start sessions here.
    pub can_host: bool,
    /// When this login ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub login_expires_at: Timestamp,
    /// Whether only people at this device can reach the server: links do not work elsewhere.
    pub only_this_device: bool,
    /// The URLs at which the server can be reached, the nearest first.
    pub reachable_urls: Vec<String>,
    /// The name of the assistant that answers in sessions that name none.
    pub assistant: String,
}

/// Makes a login for somebody who says their name.
///
/// The token also works as `Authorization: Bearer`.
#[utoipa::path(post, path = "/api/v1/guests", tag = "login", request_body = NewGuest,
    responses((status = 201, description = "Logged in, with a cookie", body = LoginBody)))]
pub async fn create(
    State(app): State<App>,
    Extension(arrival): Extension<Arrival>,
    key: Key,
    Json(body): Json<NewGuest>,
) -> Result<Response, ApiError> {
    let name = display_name(&body.display_name).map_err(Problem::from)?;
    app.rates.guest(arrival.address)?;
    let user = User {
        id: UserId::derive(key.id, 0),
        display_name: name,
        guest: false,
        created_at: clock::now(),
        colour: None,
    };
    if !app.store.put_user(user.clone()).await? {
        return Ok(created(LoginBody { user: replayed(&app, &user).await?, token: None }));
    }
    let token = app.logins.begin(&user).await?;
    let cookie = auth::set_cookie(&token, &arrival);
    let body = LoginBody { user: (&user).into(), token: Some(token.expose().to_owned()) };
    Ok((AppendHeaders([cookie]), created(body)).into_response())
}

/// Returns the user that an earlier call with the same key made.
pub(super) async fn replayed(app: &App, again: &User) -> Result<UserBody, ApiError> {
    let made = app.store.user(again.id).await?.ok_or(Code::Unavailable)?;
    if made.display_name != again.display_name || made.guest != again.guest {
        return Err(Code::KeyReused.into());
    }
    Ok((&made).into())
}

/// Says who one is.
#[utoipa::path(get, path = "/api/v1/me", tag = "login", responses((status = 200, description = "Oneself", body = Me)))]
pub async fn me(State(app): State<App>, Caller(known): Caller) -> axum::Json<Me> {
    axum::Json(oneself(&app, &known, &known.user))
}

/// Changes one's own name or colour, for the sessions that one makes or joins from now on. In sessions where one is
/// already, the command `participant.change_profile` does it.
#[utoipa::path(patch, path = "/api/v1/me", tag = "login", request_body = MePatch,
    responses((status = 200, description = "Oneself", body = Me)))]
pub async fn change(
    State(app): State<App>,
    Caller(known): Caller,
    Json(body): Json<MePatch>,
) -> Result<axum::Json<Me>, ApiError> {
    let display_name = body.display_name.map(|name| display_name(&name)).transpose().map_err(Problem::from)?;
    let colour = body.colour.map(chosen_colour).transpose().map_err(Problem::from)?;
    let patch = UserPatch { display_name, colour };
    let user = app.store.change_user(known.user.id, patch).await?.ok_or(Code::LoginExpired)?;
    app.logins.changed(user.id);
    Ok(axum::Json(oneself(&app, &known, &user)))
}

fn oneself(app: &App, known: &Known, user: &User) -> Me {
    Me {
        user: user.into(),
        can_host: app.may_host(user).is_ok(),
        login_expires_at: known.expires_at,
        only_this_device: app.bound.ip().is_loopback() && app.settings.only_this_device(),
        reachable_urls: app.urls.clone(),
        assistant: app.assistants.usual(),
    }
}

/// Logs out: this login ends, also on open connections.
#[utoipa::path(delete, path = "/api/v1/me", tag = "login", responses((status = 204, description = "Logged out")))]
pub async fn log_out(
    State(app): State<App>,
    Extension(arrival): Extension<Arrival>,
    Caller(known): Caller,
) -> Result<Response, ApiError> {
    app.logins.end(known.token_hash).await?;
    Ok((StatusCode::NO_CONTENT, AppendHeaders([auth::clear_cookie(&arrival)])).into_response())
}
