//! Sessions: making, listing, reading, changing, ending, deleting.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use roundtable_hub::{Founding, OnlinePerson, clock};
use roundtable_protocol::command::{
    SessionChangeDetails, SessionChangeExpiry, SessionEnd, SessionRename, SessionStart,
};
use roundtable_protocol::model::{Pending, SessionInfo, SessionKind, Settings, SettingsPatch, Visibility};
use roundtable_protocol::{Code, Command, DEFAULT_PROJECT, Epoch, Problem, Role, SessionId, Timestamp, UserId};
use roundtable_store::{DirectoryEntry, PageToken};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::auth::{Caller, Here};
use crate::idempotency::Key;
use crate::json::{Json, JsonOrNothing, Path, Query};
use crate::problem::ApiError;
use crate::routes::{List, ListQuery, codes, created, give};
use crate::state::App;

/// The assistant of every session. A name of its own, because the driver behind it can be changed.
const ASSISTANT: UserId = UserId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_00a1));
/// The name that people see beside its answers.
const ASSISTANT_NAME: &str = "Assistant";

/// For how many sessions of one list unread messages are counted: each of them is loaded for it.
const COUNTED: usize = 20;
/// Longest text that titles are searched for. Unit: characters.
const LONGEST_SEARCH: usize = 200;

/// What a new session is made of; everything may be left out.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewSession {
    /// What it is called; at most 200 characters. When empty, its first message gives the title.
    title: String,
    /// What it is for.
    kind: SessionKind,
    /// Who can find it.
    visibility: Visibility,
    /// What differs from the usual settings.
    settings: SettingsPatch,
    /// What it is about; at most 2,000 characters.
    description: String,
    /// At most 10 words of at most 40 characters.
    tags: Vec<String>,
    /// At most 40 characters.
    category: Option<String>,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Whether it is active from the beginning.
    start: bool,
}

impl Default for NewSession {
    fn default() -> Self {
        Self {
            title: String::new(),
            kind: SessionKind::default(),
            visibility: Visibility::default(),
            settings: SettingsPatch::default(),
            description: String::new(),
            tags: Vec::new(),
            category: None,
            expires_at: None,
            start: true,
        }
    }
}

/// A session as its reader sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionBody {
    /// The session.
    #[serde(flatten)]
    pub info: SessionInfo,
    /// The reader's role in it.
    pub role: Option<Role>,
    /// The code that lets somebody watch: six characters, for those who may manage links, while the session is live.
    pub share_code: Option<String>,
}

/// What is to be changed; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionPatch {
    /// The new title.
    title: Option<String>,
    /// What it is about.
    description: Option<String>,
    /// Words to find it by.
    tags: Option<Vec<String>>,
    /// One word to group it by; empty takes it away.
    category: Option<String>,
    /// Who can find it.
    visibility: Option<Visibility>,
    /// The settings that change.
    settings: Option<SettingsPatch>,
    /// When it ends by itself; null: never.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<Timestamp>>,
}

/// Tells a field that is there and null from one that is absent.
fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<Timestamp>>, D::Error> {
    Option::<Timestamp>::deserialize(d).map(Some)
}

/// Why a session ends.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EndBody {
    /// Why, in a word.
    reason: Option<String>,
    /// What becomes of questions that are not answered yet; a termination cancels them.
    pending: Pending,
}

/// Makes a session; the caller owns it, and it is active unless `start` is false.
#[utoipa::path(post, path = "/api/v1/sessions", tag = "sessions", request_body = NewSession,
    responses((status = 201, description = "The session", body = SessionBody)))]
pub async fn create(
    State(app): State<App>,
    Caller(known): Caller,
    key: Key,
    JsonOrNothing(body): JsonOrNothing<NewSession>,
) -> Result<Response, ApiError> {
    let usual = Settings { assistant: app.assistants.usual(), ..Settings::default() };
    let founding = Founding {
        session: SessionId::derive(key.id, 0),
        epoch: Epoch::from_random(clock::random()),
        project: DEFAULT_PROJECT,
        owner: known.user.id,
        owner_name: known.user.display_name.clone(),
        owner_colour: known.user.colour,
        title: body.title,
        kind: body.kind,
        visibility: body.visibility,
        settings: body.settings.resolve(&usual),
        description: body.description,
        tags: body.tags,
        category: body.category,
        expires_at: body.expires_at,
        start: body.start,
        assistant: Some((ASSISTANT, ASSISTANT_NAME.to_owned())),
    };
    let made = app.manager.create(key.id, founding).await?;
    let share_code = if made.info.state.is_open() { codes::first(&app, made.info.id).await? } else { None };
    Ok(created(SessionBody { info: made.info, role: Some(Role::Owner), share_code }))
}

/// Which sessions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SessionsQuery {
    /// Only those whose title contains this, whatever the case; at most 200 characters.
    search: Option<String>,
    /// True: only those that work on with nobody leading them; all of them, whatever `limit` says.
    detached: Option<bool>,
    /// How many items; 1 to 200, 50 when absent.
    limit: Option<usize>,
    /// The `next` of the answer before, with the same `search`.
    page: Option<String>,
}

/// A session in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionItem {
    /// The session.
    #[serde(flatten)]
    pub info: SessionInfo,
    /// The reader's role in it.
    pub role: Option<Role>,
    /// Who is connected now; at most eight of them.
    pub online: Vec<OnlineBody>,
    /// How many people are connected now.
    pub online_count: usize,
    /// How many messages of others the reader has not read, told for the first twenty live sessions of an answer; null:
    /// not told.
    pub unread: Option<u64>,
}

/// Somebody who is connected.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OnlineBody {
    /// The name that others see.
    display_name: String,
    /// One of twelve hues, 0 to 11.
    colour: u8,
}

impl SessionItem {
    fn new(app: &App, entry: DirectoryEntry) -> Self {
        let (online_count, online) = app.manager.online_people(entry.info.id);
        let body = |person: OnlinePerson| OnlineBody { display_name: person.display_name, colour: person.colour };
        let online = online.into_iter().map(body).collect();
        Self { info: entry.info, role: entry.role, online, online_count, unread: None }
    }
}

/// Lists the sessions that one is a participant of, newest activity first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", params(SessionsQuery),
    responses((status = 200, description = "Sessions", body = List<SessionItem>)))]
pub async fn list(
    State(app): State<App>,
    Caller(known): Caller,
    Query(SessionsQuery { search, detached, limit, page }): Query<SessionsQuery>,
) -> Result<axum::Json<List<SessionItem>>, ApiError> {
    let search = search.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if search.as_ref().is_some_and(|text| text.chars().count() > LONGEST_SEARCH) {
        let detail = "has at most 200 characters";
        let problem = Problem::new(Code::InvalidField).with_detail(format!("search {detail}"));
        return Err(problem.with_field("/search", Code::InvalidField, detail).into());
    }
    if detached == Some(true) {
        return list_detached(&app, known.user.id, search).await;
    }
    let query = ListQuery { limit, page };
    let limit = query.limit();
    let after = query.page(read_token)?;
    let entries = app.store.sessions_of(known.user.id, search, after, limit + 1).await?;
    let items = entries.into_iter().map(|entry| SessionItem::new(&app, entry)).collect();
    let mut list = List::cut(items, limit, |last: &SessionItem| {
        // Microseconds would be lost in milliseconds, and with them the place in the list.
        format!("{} {}", last.info.updated_at.as_nanosecond(), last.info.id)
    });
    count_unread(&app, known.user.id, &mut list.items).await;
    Ok(axum::Json(list))
}

/// Counts what is unread, for as many live sessions as may be loaded for one list.
async fn count_unread(app: &App, user: UserId, items: &mut [SessionItem]) {
    let live = items.iter_mut().filter(|item| item.info.is_active).take(COUNTED);
    let count = live.map(|item| async {
        // A session that cannot be read just now is listed all the same.
        let unread = app.manager.unread(item.info.id, user).await.ok();
        item.unread = unread.map(|streams| streams.into_iter().map(|(_, count)| count).sum());
    });
    futures_util::future::join_all(count).await;
}

/// Those that work on by themselves are few; they are looked for among all of one's own.
async fn list_detached(
    app: &App,
    user: UserId,
    search: Option<String>,
) -> Result<axum::Json<List<SessionItem>>, ApiError> {
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let entries = app.store.sessions_of(user, search.clone(), after, 200).await?;
        let whole = entries.len() < 200;
        after = entries.last().map(|last| PageToken { updated_at: last.info.updated_at, id: last.info.id });
        let detached = |entry: &DirectoryEntry| entry.info.is_active && entry.info.detached_at.is_some();
        items.extend(entries.into_iter().filter(detached).map(|entry| SessionItem::new(app, entry)));
        if whole {
            return Ok(axum::Json(List { items, next: None }));
        }
    }
}

fn read_token(text: &str) -> Option<PageToken> {
    let (at, id) = text.split_once(' ')?;
    Some(PageToken { updated_at: Timestamp::from_nanosecond(at.parse().ok()?).ok()?, id: id.parse().ok()? })
}

/// Reads a session.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}", tag = "sessions", params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "The session", body = SessionBody)))]
pub async fn get(State(app): State<App>, Here(standing): Here) -> Result<axum::Json<SessionBody>, ApiError> {
    let role = standing.participant.as_ref().map(|participant| participant.role);
    let share_code = codes::shown(&app, &standing).await?;
    Ok(axum::Json(SessionBody { info: standing.info.clone(), role, share_code }))
}

/// Changes title, details or settings.
#[utoipa::path(patch, path = "/api/v1/sessions/{session_id}", tag = "sessions", params(("session_id" = SessionId, Path)),
    request_body = SessionPatch, responses((status = 200, description = "The session", body = SessionBody)))]
pub async fn change(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    Json(body): Json<SessionPatch>,
) -> Result<axum::Json<SessionBody>, ApiError> {
    let settings = body.settings.filter(|patch| *patch != SettingsPatch::default());
    let details = SessionChangeDetails {
        description: body.description,
        tags: body.tags,
        category: body.category,
        visibility: body.visibility,
    };
    let commands = [
        settings.map(Command::SessionChangeSettings),
        body.expires_at.map(|expires_at| Command::SessionChangeExpiry(SessionChangeExpiry { expires_at })),
        (details != SessionChangeDetails::default()).then_some(Command::SessionChangeDetails(details)),
        body.title.map(|title| Command::SessionRename(SessionRename { title })),
    ];
    for (n, command) in commands.into_iter().enumerate().filter_map(|(n, c)| Some((n as u64, c?))) {
        match give(&app.manager, session, known.user.id, key.part(n), command).await {
            Ok(_) => {}
            // What is so already is what was asked for.
            Err(problem) if problem.code == Code::AlreadyRecorded => {}
            Err(problem) => return Err(problem.into()),
        }
    }
    read(&app, session, known.user.id).await
}

/// Deletes a session with everything in it; its links die with it.
#[utoipa::path(delete, path = "/api/v1/sessions/{session_id}", tag = "sessions", params(("session_id" = SessionId, Path)),
    responses((status = 204, description = "Deleted")))]
pub async fn delete(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<StatusCode, ApiError> {
    app.manager.delete(session, known.user.id).await?;
    app.summaries.forget(session);
    Ok(StatusCode::NO_CONTENT)
}

/// Starts a session that was made with `start: false`.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/start", tag = "sessions", params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "The session", body = SessionBody)))]
pub async fn start(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
) -> Result<axum::Json<SessionBody>, ApiError> {
    give(&app.manager, session, known.user.id, key, Command::SessionStart(SessionStart {})).await?;
    read(&app, session, known.user.id).await
}

/// Ends a session as intended.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/end", tag = "sessions", params(("session_id" = SessionId, Path)),
    request_body = Option<EndBody>, responses((status = 200, description = "The session", body = SessionBody)))]
pub async fn end(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    JsonOrNothing(body): JsonOrNothing<EndBody>,
) -> Result<axum::Json<SessionBody>, ApiError> {
    finish(
        &app,
        session,
        known.user.id,
        key,
        SessionEnd { terminate: false, reason: body.reason, pending: body.pending },
    )
    .await
}

/// Ends a session by force.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/terminate", tag = "sessions", params(("session_id" = SessionId, Path)),
    request_body = Option<EndBody>, responses((status = 200, description = "The session", body = SessionBody)))]
pub async fn terminate(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    JsonOrNothing(body): JsonOrNothing<EndBody>,
) -> Result<axum::Json<SessionBody>, ApiError> {
    finish(
        &app,
        session,
        known.user.id,
        key,
        SessionEnd { terminate: true, reason: body.reason, pending: Pending::Cancel },
    )
    .await
}

async fn finish(
    app: &App,
    session: SessionId,
    user: UserId,
    key: Key,
    end: SessionEnd,
) -> Result<axum::Json<SessionBody>, ApiError> {
    give(&app.manager, session, user, key, Command::SessionEnd(end)).await?;
    read(app, session, user).await
}

pub(super) async fn read(app: &App, session: SessionId, user: UserId) -> Result<axum::Json<SessionBody>, ApiError> {
    let standing = app.manager.standing(session, user).await.map_err(|problem: Problem| ApiError::from(problem))?;
    get(State(app.clone()), Here(std::sync::Arc::new(standing))).await
}
