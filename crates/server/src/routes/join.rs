//! The door: joining a session by a link or a share code.
//!
//! Owns: the order of checks at the door. Must not know: rules of sessions. Invariant: before somebody is in, no answer
//! tells anything of the session, not even that it is there.

use std::net::IpAddr;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use axum::extract::{Extension, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use roundtable_hub::{Entry, clock, display_name};
use roundtable_protocol::command::ParticipantJoin;
use roundtable_protocol::lobby::JoinRequest;
use roundtable_protocol::model::ParticipantKind;
use roundtable_protocol::{Code, Problem, Role, SessionId, UserId};
use roundtable_store::{Link, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{Known, Token, Visitor, set_cookie};
use crate::idempotency::Key;
use crate::json::Json;
use crate::origin::Arrival;
use crate::problem::ApiError;
use crate::routes::codes;
use crate::routes::guests::{UserBody, replayed};
use crate::routes::participants::ParticipantBody;
use crate::state::App;

/// Which door, and who comes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinBody {
    /// The link, whole or only its token.
    link: Option<String>,
    /// The share code instead of a link, in any case, with or without blanks and hyphens.
    code: Option<String>,
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
    /// One waits until somebody says yes or no.
    Waiting,
}

/// What came of joining.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JoinedBody {
    /// Whether one is in.
    status: JoinStatus,
    /// Which session.
    session_id: SessionId,
    /// Who one is in it; absent while one waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<ParticipantBody>,
    /// What one has asked, while one waits: `GET .../requests/mine` tells what becomes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<JoinRequest>,
    /// The user that was made for somebody without a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserBody>,
    /// That user's bearer token, shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// A door that was found.
#[derive(Debug)]
struct Door {
    session: SessionId,
    role: Role,
    /// The link; none for a share code.
    link: Option<Link>,
}

/// Comes in by a link or a share code, or asks to be let in where the session wants that. Somebody without a login gets
/// one, as a guest. Asking uses a link up as coming in does.
#[utoipa::path(post, path = "/api/v1/join", tag = "doors", request_body = JoinBody,
    responses((status = 200, description = "In; with a cookie when there was no login", body = JoinedBody)))]
pub async fn join(
    State(app): State<App>,
    Visitor(visitor): Visitor,
    Extension(arrival): Extension<Arrival>,
    key: Key,
    Json(body): Json<JoinBody>,
) -> Result<Response, ApiError> {
    let door = match (&body.link, &body.code) {
        (Some(link), None) => by_link(&app, link).await?,
        (None, Some(code)) => by_code(&app, code, visitor.is_some(), arrival.address).await?,
        _ => return Err(either().into()),
    };
    if let Some(known) = &visitor
        && let Some(answer) = already_in(&app, door.session, known.user.id).await
    {
        return Ok(answer);
    }
    let before = match &visitor {
        None if key.sent => came_before(&app, door.session, key).await?,
        _ => None,
    };
    if let Some(link) = &door.link {
        if before.is_none() && !link.is_live(clock::now()) {
            return Err(Code::LinkEnded.into());
        }
        check_password(&app, link, body.password, arrival.address).await?;
    }
    let name = name(body.display_name, visitor.as_deref())?;
    if let Some(before) = before {
        return before.again(door.session, &name);
    }
    check_room(&app, &door).await?;
    let (user, guest) = match visitor {
        Some(known) => (known.user.clone(), None),
        None => {
            app.rates.guest(arrival.address)?;
            let user = User {
                id: guest_of(key),
                display_name: name.clone(),
                guest: true,
                created_at: clock::now(),
                colour: None,
            };
            let is_new = app.store.put_user(user.clone()).await?;
            let shown = if is_new { UserBody::from(&user) } else { replayed(&app, &user).await? };
            (user, Some((shown, is_new)))
        }
    };
    if let Some(link) = &door.link
        && !app.store.use_link(link.id, clock::now()).await?
    {
        return Err(Code::LinkEnded.into());
    }
    let wish = ParticipantJoin {
        user: user.id,
        kind: ParticipantKind::User,
        role: door.role,
        display_name: name,
        guest: user.guest,
        via: door.link.as_ref().map(|link| link.id),
        colour: user.colour,
        vouched: false,
    };
    let entry = app.manager.join(door.session, key.id, wish).await.map_err(|problem| door.hidden(problem))?;
    let mut answer = JoinedBody::of(door.session, entry);
    let Some((shown, is_new)) = guest else { return Ok(axum::Json(answer).into_response()) };
    answer.user = Some(shown);
    if !is_new {
        return Ok(axum::Json(answer).into_response());
    }
    let token = app.logins.begin(&user).await?;
    answer.token = Some(token.expose().to_owned());
    Ok((AppendHeaders([set_cookie(&token, &arrival)]), axum::Json(answer)).into_response())
}

impl Door {
    /// Codes can be guessed: whoever has one that opens nothing is not told why.
    fn hidden(&self, problem: Problem) -> Problem {
        let closed = matches!(problem.code, Code::JoinClosed | Code::SessionNotActive | Code::NotFound);
        if self.link.is_none() && closed { Code::CodeNotFound.into() } else { problem }
    }

    fn closed(&self, code: Code) -> ApiError {
        self.hidden(code.into()).into()
    }
}

fn either() -> Problem {
    let detail = "send a link or a code, one of the two";
    Problem::new(Code::InvalidField).with_detail(detail).with_field("/link", Code::InvalidField, detail)
}

/// Counts the guess before it looks: an answer that came in spite of the limit would tell right codes from wrong ones.
async fn by_code(app: &App, text: &str, known: bool, address: IpAddr) -> Result<Door, ApiError> {
    app.rates.code(known, address)?;
    let code = codes::read(text).ok_or(Code::CodeNotFound)?;
    let session = app.store.session_by_code(code).await?.ok_or(Code::CodeNotFound)?;
    app.rates.right_code(known, address);
    Ok(Door { session, role: Role::Viewer, link: None })
}

async fn by_link(app: &App, text: &str) -> Result<Door, ApiError> {
    let link = find(app, text).await?;
    Ok(Door { session: link.session, role: link.role, link: Some(link) })
}

async fn find(app: &App, link: &str) -> Result<Link, ApiError> {
    // The token stands behind the # of the address, so that browsers send it to nobody.
    let token = link.rsplit('#').next().unwrap_or_default().trim();
    let found = app.store.link(Token::sent(token).hash()).await?;
    found.ok_or_else(|| Code::LinkNotFound.into())
}

/// Whoever is in or waits already comes again by any link that ever led here, without using it up.
async fn already_in(app: &App, session: SessionId, user: UserId) -> Option<Response> {
    let entry = app.manager.entry(session, user).await.ok()?;
    Some(axum::Json(JoinedBody::of(session, entry)).into_response())
}

/// Returns whom an earlier call with the same key let in, before anything is counted again: whoever lost the answer
/// repeats the call, and the link may be used up by the call that is repeated.
async fn came_before(app: &App, session: SessionId, key: Key) -> Result<Option<Before>, ApiError> {
    let Some(user) = app.store.user(guest_of(key)).await? else { return Ok(None) };
    let entry = app.manager.entry(session, user.id).await.ok();
    Ok(entry.map(|entry| Before { user, entry }))
}

fn guest_of(key: Key) -> UserId {
    UserId::derive(key.id, 0)
}

/// Somebody whom an earlier call with the same key let in.
struct Before {
    user: User,
    entry: Entry,
}

impl Before {
    /// Answers as the earlier call did, without the token: a secret is shown once.
    fn again(self, session: SessionId, name: &str) -> Result<Response, ApiError> {
        if !self.user.guest || self.user.display_name != name {
            return Err(Code::KeyReused.into());
        }
        let user = Some(UserBody::from(&self.user));
        Ok(axum::Json(JoinedBody { user, ..JoinedBody::of(session, self.entry) }).into_response())
    }
}

impl JoinedBody {
    fn of(session_id: SessionId, entry: Entry) -> Self {
        let (status, participant, request) = match entry {
            Entry::Joined(p) => (JoinStatus::Joined, Some(ParticipantBody::new(session_id, p, None)), None),
            Entry::Waiting(request) => (JoinStatus::Waiting, None, Some(request)),
        };
        Self { status, session_id, participant, request, user: None, token: None }
    }
}

/// Looks into the directory before a use is counted, so that a full session does not use links up. What changes in
/// between is caught by the session itself.
async fn check_room(app: &App, door: &Door) -> Result<(), ApiError> {
    let ended = if door.link.is_some() { Code::LinkEnded } else { Code::CodeNotFound };
    let Some(entry) = app.store.session(door.session).await? else { return Err(ended.into()) };
    let (info, settings) = (&entry.info, &entry.info.settings);
    if info.state.is_ended() {
        return Err(ended.into());
    }
    if !settings.allow_join {
        return Err(door.closed(Code::JoinClosed));
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
