//! The door: joining a session by a link.
//!
//! Owns: the order of checks at the door. Must not know: rules of sessions. Invariant: before somebody is in, no answer
//! tells anything of the session, not even that it is there.

use std::net::IpAddr;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use axum::extract::{Extension, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use roundtable_hub::{clock, display_name};
use roundtable_protocol::command::ParticipantJoin;
use roundtable_protocol::model::ParticipantKind;
use roundtable_protocol::{Code, Problem, SessionId, UserId};
use roundtable_store::{Link, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{Known, Token, Visitor, set_cookie};
use crate::idempotency::Key;
use crate::json::Json;
use crate::origin::Arrival;
use crate::problem::ApiError;
use crate::routes::guests::{UserBody, replayed};
use crate::routes::participants::ParticipantBody;
use crate::state::App;

/// Which door, and who comes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinBody {
    /// The link, whole or only its token.
    link: String,
    /// The name that others see; needed without a login, with one its name is used when absent.
    display_name: Option<String>,
    /// The link's password, if it wants one.
    password: Option<String>,
}

/// Whether one is in.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JoinStatus {
    /// One is in.
    Joined,
}

/// What came of joining.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JoinedBody {
    /// Whether one is in.
    status: JoinStatus,
    /// Which session.
    session_id: SessionId,
    /// Who one is in it.
    participant: ParticipantBody,
    /// The user that was made for somebody without a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserBody>,
    /// That user's bearer token, shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Comes in by a link. Somebody without a login gets one, as a guest.
#[utoipa::path(post, path = "/api/v1/join", tag = "doors", request_body = JoinBody,
    responses((status = 200, description = "In; with a cookie when there was no login", body = JoinedBody)))]
pub async fn join(
    State(app): State<App>,
    Visitor(visitor): Visitor,
    Extension(arrival): Extension<Arrival>,
    Key(key): Key,
    Json(body): Json<JoinBody>,
) -> Result<Response, ApiError> {
    let link = find(&app, &body.link).await?;
    if let Some(known) = &visitor
        && let Some(answer) = already_in(&app, &link, known.user.id).await
    {
        return Ok(answer);
    }
    if !link.is_live(clock::now()) {
        return Err(Code::LinkEnded.into());
    }
    check_password(&app, &link, body.password, arrival.address).await?;
    let name = name(body.display_name, visitor.as_deref())?;
    check_room(&app, &link).await?;
    let (user, guest) = match visitor {
        Some(known) => (known.user.clone(), None),
        None => {
            app.rates.guest(arrival.address)?;
            let user =
                User { id: UserId::derive(key, 0), display_name: name.clone(), guest: true, created_at: clock::now() };
            let is_new = app.store.put_user(user.clone()).await?;
            let shown = if is_new { UserBody::from(&user) } else { replayed(&app, &user).await? };
            (user, Some((shown, is_new)))
        }
    };
    if !app.store.use_link(link.id, clock::now()).await? {
        return Err(Code::LinkEnded.into());
    }
    let wish = ParticipantJoin {
        user: user.id,
        kind: ParticipantKind::User,
        role: link.role,
        display_name: name,
        guest: user.guest,
        via: Some(link.id),
    };
    let participant = app.manager.join(link.session, key, wish).await?;
    let participant = ParticipantBody::new(link.session, participant, None);
    let mut answer =
        JoinedBody { status: JoinStatus::Joined, session_id: link.session, participant, user: None, token: None };
    let Some((shown, is_new)) = guest else { return Ok(axum::Json(answer).into_response()) };
    answer.user = Some(shown);
    if !is_new {
        return Ok(axum::Json(answer).into_response());
    }
    let token = app.logins.begin(&user).await?;
    answer.token = Some(token.expose().to_owned());
    Ok((AppendHeaders([set_cookie(&token, &arrival)]), axum::Json(answer)).into_response())
}

async fn find(app: &App, link: &str) -> Result<Link, ApiError> {
    // The token stands behind the # of the address, so that browsers send it to nobody.
    let token = link.rsplit('#').next().unwrap_or_default().trim();
    let found = app.store.link(Token::sent(token).hash()).await?;
    found.ok_or_else(|| Code::LinkNotFound.into())
}

/// Whoever is in already comes in again by any link that ever led here, without using it up.
async fn already_in(app: &App, link: &Link, user: UserId) -> Option<Response> {
    let standing = app.manager.standing(link.session, user).await.ok()?;
    let participant = ParticipantBody::new(link.session, standing.participant?, None);
    let answer =
        JoinedBody { status: JoinStatus::Joined, session_id: link.session, participant, user: None, token: None };
    Some(axum::Json(answer).into_response())
}

/// Looks into the directory before a use is counted, so that a full session does not use links up. What changes in
/// between is caught by the session itself.
async fn check_room(app: &App, link: &Link) -> Result<(), ApiError> {
    let Some(entry) = app.store.session(link.session).await? else { return Err(Code::LinkEnded.into()) };
    let (info, settings) = (&entry.info, &entry.info.settings);
    if info.state.is_ended() {
        return Err(Code::LinkEnded.into());
    }
    if !settings.allow_join {
        return Err(Code::JoinClosed.into());
    }
    if settings.max_participants.is_some_and(|most| info.participant_count >= most) {
        return Err(Code::SessionFull.into());
    }
    Ok(())
}

fn name(given: Option<String>, known: Option<&Known>) -> Result<String, ApiError> {
    match (given, known) {
        (Some(name), _) => Ok(display_name(&name).map_err(Problem::from)?),
        (None, Some(known)) => Ok(known.user.display_name.clone()),
        (None, None) => {
            let detail = "say your name: you are not logged in";
            Err(Problem::new(Code::InvalidField)
                .with_detail(detail)
                .with_field("/display_name", Code::InvalidField, detail)
                .into())
        }
    }
}

async fn check_password(app: &App, link: &Link, given: Option<String>, address: IpAddr) -> Result<(), ApiError> {
    let Some(wanted) = link.password_hash.clone() else { return Ok(()) };
    let Some(given) = given else { return Err(Code::LinkPassword.into()) };
    app.rates.password(link.id, address)?;
    let right = hashing(app, move |argon| {
        PasswordHash::new(&wanted).is_ok_and(|hash| argon.verify_password(given.as_bytes(), &hash).is_ok())
    })
    .await?;
    if right {
        return Ok(());
    }
    Err(Problem::new(Code::LinkPassword).with_detail("that is not the link's password").into())
}

/// Returns what is stored of a link's password.
///
/// # Errors
/// `overloaded` while as many passwords are being hashed as there are cores.
pub(super) async fn hash_password(app: &App, password: String) -> Result<String, ApiError> {
    let hash = hashing(app, move |argon| argon.hash_password(password.as_bytes()).map(|hash| hash.to_string())).await?;
    hash.map_err(|error| {
        tracing::error!(%error, "a password could not be hashed");
        Code::Internal.into()
    })
}

/// Runs one hash on a thread of its own. Source of the parameters: OWASP's cheat sheet on password storage.
async fn hashing<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Argon2<'_>) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let Ok(permit) = Arc::clone(&app.hashing).try_acquire_owned() else {
        return Err(Problem::new(Code::Overloaded).retry_after_ms(250).into());
    };
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let params = Params::new(19 * 1024, 2, 1, None).expect("19 MiB, two passes, one lane are valid");
        work(&Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    });
    done.await.map_err(|_| Code::Internal.into())
}
