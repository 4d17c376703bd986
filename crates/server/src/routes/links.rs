//! Access links: making, listing, revoking.

use std::collections::HashMap;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use roundtable_hub::{Standing, clock};
use roundtable_protocol::model::{SessionKind, Visibility};
use roundtable_protocol::{Code, LinkId, Problem, Role, SessionId, Timestamp, UserId};
use roundtable_store::Link;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{Caller, Here, Token};
use crate::idempotency::Key;
use crate::json::{JsonOrNothing, Path, Query};
use crate::origin::Arrival;
use crate::problem::ApiError;
use crate::routes::{List, ListQuery, created, join};
use crate::state::App;

/// Longest password of a link. Unit: characters.
const LONGEST_PASSWORD: usize = 200;

/// A new link; everything may be left out.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewLink {
    /// The role that it gives; absent: viewer when the session is public, else collaborator.
    role: Option<Role>,
    /// A password that it asks for; 1 to 200 characters.
    password: Option<String>,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// How often it may be used.
    max_uses: Option<u32>,
}

/// A link as those see it who may manage links.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LinkBody {
    /// The link.
    id: LinkId,
    /// Where it leads.
    session_id: SessionId,
    /// The role that it gives.
    role: Role,
    /// Whether it asks for a password.
    has_password: bool,
    /// Who made it.
    created_by: UserId,
    /// The name of who made it, as it is now.
    created_by_name: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// How often it may be used.
    max_uses: Option<u32>,
    /// How often it was used.
    uses: u32,
    /// When it was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// Whether it still lets somebody in.
    is_live: bool,
}

/// A link that was just made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NewLinkBody {
    /// The link.
    #[serde(flatten)]
    link: LinkBody,
    /// The address to hand on, shown once; absent when the key had been used before.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The token in it, shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl LinkBody {
    fn new(link: &Link, created_by_name: String) -> Self {
        Self {
            created_by_name,
            id: link.id,
            session_id: link.session,
            role: link.role,
            has_password: link.password_hash.is_some(),
            created_by: link.created_by,
            created_at: link.created_at,
            expires_at: link.expires_at,
            max_uses: link.max_uses,
            uses: link.uses,
            last_used_at: link.last_used_at,
            revoked_at: link.revoked_at,
            is_live: link.is_live(clock::now()),
        }
    }
}

/// Makes a link that lets its holder in, until it ends or is revoked.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/links", tag = "doors", params(("session_id" = SessionId, Path)),
    request_body = Option<NewLink>, responses((status = 201, description = "The link", body = NewLinkBody)))]
pub async fn create(
    State(app): State<App>,
    Caller(known): Caller,
    Here(standing): Here,
    Extension(arrival): Extension<Arrival>,
    key: Key,
    JsonOrNothing(body): JsonOrNothing<NewLink>,
) -> Result<Response, ApiError> {
    let role = body.role.unwrap_or_else(|| usual_role(&standing));
    check(&standing, role, &body)?;
    if standing.info.state.is_ended() && !is_repeated(&app, &standing, key).await? {
        return Err(Code::SessionNotActive.into());
    }
    let token = Token::random::<16>();
    let password_hash = match &body.password {
        Some(password) => Some(join::hash_password(&app, password.clone()).await?),
        None => None,
    };
    let link = Link {
        id: LinkId::derive(key.id, 0),
        token_hash: token.hash(),
        session: standing.info.id,
        role,
        password_hash,
        created_by: known.user.id,
        created_at: clock::now(),
        expires_at: body.expires_at,
        max_uses: body.max_uses,
        uses: 0,
        last_used_at: None,
        revoked_at: None,
    };
    if !app.store.put_link(link.clone()).await? {
        let made = made_before(&app, &link).await?;
        let link = LinkBody::new(&made, known.user.display_name.clone());
        return Ok(created(NewLinkBody { link, url: None, token: None }));
    }
    let base = app.settings.public_url.clone().unwrap_or_else(|| arrival.origin());
    let url = format!("{base}/join#{}", token.expose());
    let link = LinkBody::new(&link, known.user.display_name.clone());
    Ok(created(NewLinkBody { link, url: Some(url), token: Some(token.expose().to_owned()) }))
}

/// The link that Share copies: collaborator in a private collaborative session, viewer once it is public.
fn usual_role(standing: &Standing) -> Role {
    let own = standing.participant.as_ref().map_or(Role::Viewer, |participant| participant.role);
    let public = standing.info.visibility == Visibility::Public || standing.info.kind != SessionKind::Collaborative;
    own.min(if public { Role::Viewer } else { Role::Collaborator })
}

fn check(standing: &Standing, role: Role, body: &NewLink) -> Result<(), Problem> {
    let own = standing.participant.as_ref().map(|participant| participant.role);
    if role == Role::Owner || own.is_none_or(|own| role > own) {
        let detail = "a link gives at most your own role, and never owner";
        return Err(Problem::new(Code::AboveYourRole).with_detail(detail).with_field(
            "/role",
            Code::AboveYourRole,
            detail,
        ));
    }
    let wrong = |pointer: &str, detail: &str| {
        Err(Problem::new(Code::InvalidField).with_detail(detail).with_field(pointer, Code::InvalidField, detail))
    };
    if body.max_uses == Some(0) {
        return wrong("/max_uses", "a link can be used at least once");
    }
    if body.expires_at.is_some_and(|end| end <= clock::now()) {
        return wrong("/expires_at", "must be in the future");
    }
    match body.password.as_ref().map(|password| password.chars().count()) {
        Some(0) => wrong("/password", "must not be empty; leave it out for none"),
        Some(n) if n > LONGEST_PASSWORD => wrong("/password", "has at most 200 characters"),
        _ => Ok(()),
    }
}

/// Returns whether an earlier call with the same key has made a link: such a call is answered even after the end.
async fn is_repeated(app: &App, standing: &Standing, key: Key) -> Result<bool, ApiError> {
    let links = if key.sent { app.store.links(standing.info.id).await? } else { Vec::new() };
    Ok(links.iter().any(|link| link.id == LinkId::derive(key.id, 0)))
}

async fn made_before(app: &App, again: &Link) -> Result<Link, ApiError> {
    let links = app.store.links(again.session).await?;
    let made = links.into_iter().find(|link| link.id == again.id);
    let same = |link: &Link| {
        link.created_by == again.created_by
            && link.role == again.role
            && link.expires_at == again.expires_at
            && link.max_uses == again.max_uses
            && link.password_hash.is_some() == again.password_hash.is_some()
    };
    made.filter(same).ok_or_else(|| Code::KeyReused.into())
}

/// Lists a session's links, newest first, ended ones too. Tokens are not among what is known of them.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/links", tag = "doors",
    params(("session_id" = SessionId, Path), ListQuery),
    responses((status = 200, description = "Links", body = List<LinkBody>)))]
pub async fn list(
    State(app): State<App>,
    Path(session): Path<SessionId>,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<List<LinkBody>>, ApiError> {
    let limit = query.limit();
    let after: Option<LinkId> = query.page(|text| text.parse().ok())?;
    let all = app.store.links(session).await?;
    let from = after.map_or(0, |id| all.iter().position(|link| link.id == id).map_or(all.len(), |place| place + 1));
    let mut names: HashMap<UserId, String> = HashMap::new();
    let mut items = Vec::with_capacity(limit + 1);
    for link in all[from..].iter().take(limit + 1) {
        if let std::collections::hash_map::Entry::Vacant(e) = names.entry(link.created_by) {
            let name = app.store.user(link.created_by).await?.map_or_else(String::new, |user| user.display_name);
            e.insert(name);
        }
        items.push(LinkBody::new(link, names[&link.created_by].clone()));
    }
    Ok(axum::Json(List::cut(items, limit, |last: &LinkBody| last.id.to_string())))
}

/// Revokes a link: nobody comes in by it any more. Those who are in stay.
#[utoipa::path(delete, path = "/api/v1/sessions/{session_id}/links/{link_id}", tag = "doors",
    params(("session_id" = SessionId, Path), ("link_id" = LinkId, Path)),
    responses((status = 204, description = "Revoked")))]
pub async fn revoke(
    State(app): State<App>,
    Here(standing): Here,
    Path((session, link)): Path<(SessionId, LinkId)>,
) -> Result<StatusCode, ApiError> {
    app.store.revoke_link(session, link, clock::now()).await?.ok_or(Code::LinkNotFound)?;
    app.manager.rights_moved(standing.info.project_id);
    Ok(StatusCode::NO_CONTENT)
}
