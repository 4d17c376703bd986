//! The handlers.
//!
//! Owns: one module per noun, the list of all routes. Must not know: rules; a handler turns a request into a command or
//! a question and an outcome into an answer. Invariant: the guard has checked login and action before a handler runs.

pub mod actions;
pub mod admin;
pub mod assistants;
pub mod attachments;
pub mod branches;
pub mod checkpoints;
pub mod codes;
pub mod context;
pub mod events;
pub mod forks;
pub mod guests;
pub mod join;
pub mod life;
pub mod links;
pub mod live;
pub mod log;
pub mod memories;
pub mod messages;
pub mod meta;
pub mod participants;
pub mod replay;
pub mod reports;
pub mod requests;
pub mod sessions;
pub mod stats;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use roundtable_hub::{Receipt, SessionManager};
use roundtable_protocol::command::Envelope;
use roundtable_protocol::{Code, Command, EventId, Problem, Seq, SessionId, Stream, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::idempotency::Key;
use crate::problem::ApiError;
use crate::state::App;
use crate::{openapi, ws};

/// Returns every route under `/api/v1`.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(guests::create))
        .routes(routes!(guests::me, guests::change, guests::log_out))
        .routes(routes!(stats::stats))
        .routes(routes!(admin::log))
        .routes(routes!(join::join))
        .routes(routes!(assistants::list, assistants::connect))
        .routes(routes!(assistants::scan))
        .routes(routes!(assistants::disconnect))
        .routes(routes!(sessions::create, sessions::list))
        .routes(routes!(sessions::get, sessions::change, sessions::delete))
        .routes(routes!(sessions::start))
        .routes(routes!(sessions::end))
        .routes(routes!(sessions::terminate))
        .routes(routes!(life::pause))
        .routes(routes!(life::resume))
        .routes(routes!(life::detach))
        .routes(routes!(life::health))
        .routes(routes!(life::report))
        .routes(routes!(life::summarise))
        .routes(routes!(log::acknowledged_by))
        .routes(routes!(log::known))
        .routes(routes!(log::unread))
        .routes(routes!(events::events))
        .routes(routes!(events::page))
        .routes(routes!(live::live))
        .routes(routes!(replay::replay))
        .routes(routes!(replay::state))
        .routes(routes!(replay::timeline))
        .routes(routes!(messages::post))
        .routes(routes!(messages::get, messages::edit, messages::redact))
        .routes(routes!(messages::command))
        .routes(routes!(attachments::upload))
        .routes(routes!(attachments::get))
        .routes(routes!(memories::add, memories::list))
        .routes(routes!(memories::get, memories::change, memories::remove))
        .routes(routes!(actions::perform))
        .routes(routes!(actions::types))
        .routes(routes!(actions::define, actions::undefine))
        .routes(routes!(branches::create, branches::list))
        .routes(routes!(branches::compare))
        .routes(routes!(branches::get, branches::change))
        .routes(routes!(branches::messages))
        .routes(routes!(branches::merge))
        .routes(routes!(forks::fork))
        .routes(routes!(forks::lineage))
        .routes(routes!(checkpoints::restore))
        .routes(routes!(checkpoints::create, checkpoints::list))
        .routes(routes!(checkpoints::get, checkpoints::rename, checkpoints::delete))
        .routes(routes!(context::get, context::patch))
        .routes(routes!(context::revert))
        .routes(routes!(context::history))
        .routes(routes!(context::conflicts))
        .routes(routes!(context::resolve))
        .routes(routes!(codes::create, codes::remove))
        .routes(routes!(links::create, links::list))
        .routes(routes!(links::revoke))
        .routes(routes!(requests::list))
        .routes(routes!(requests::mine, requests::withdraw))
        .routes(routes!(requests::approve))
        .routes(routes!(requests::deny))
        .routes(routes!(participants::list))
        .routes(routes!(participants::change, participants::remove))
        .routes(routes!(ws::upgrade))
}

/// Where a list begins and how long it may be.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// How many items; 1 to 200, 50 when absent.
    limit: Option<usize>,
    /// The `next` of the answer before.
    page: Option<String>,
}

impl ListQuery {
    /// Returns how many items are wanted.
    fn limit(&self) -> usize {
        self.limit.unwrap_or(50).clamp(1, 200)
    }

    /// Returns what the page token holds.
    fn page<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ApiError> {
        let Some(token) = &self.page else { return Ok(None) };
        let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let place = text.as_deref().and_then(read).ok_or_else(|| {
            let detail = "is no page token of this list";
            Problem::new(Code::InvalidField).with_detail(format!("page {detail}")).with_field(
                "/page",
                Code::InvalidField,
                detail,
            )
        })?;
        Ok(Some(place))
    }
}

/// Part of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// The page token of what follows; null at the end.
    pub next: Option<String>,
}

impl<T> List<T> {
    /// Cuts `items`, which holds up to one more than `limit`, and makes the token from the last one that stays.
    fn cut(mut items: Vec<T>, limit: usize, token: impl FnOnce(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(token(last)));
        Self { items, next }
    }
}

/// What became of a command.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CommandAccepted)]
pub struct Accepted {
    /// The stream of the first event.
    pub stream: Stream,
    /// The seq of the first event.
    pub seq: Seq,
    /// The id of the first event: the command's key.
    pub id: EventId,
    /// Whether the key had been accepted before.
    pub duplicate: bool,
}

impl From<Receipt> for Accepted {
    fn from(receipt: Receipt) -> Self {
        let Receipt { stream, seq, id, duplicate } = receipt;
        Self { stream, seq, id, duplicate }
    }
}

/// Gives a command that has no stream of its own.
async fn give(
    manager: &SessionManager,
    session: SessionId,
    user: UserId,
    key: Key,
    command: Command,
) -> Result<Receipt, Problem> {
    // The room remembers the last keys only; what the caller may have sent before is looked up in the log.
    let envelope = Envelope { key: key.id, stream: Stream::Main, seen: None, retry: key.sent, command };
    manager.command(session, user, envelope).await
}

fn created<T: Serialize>(body: T) -> Response {
    (StatusCode::CREATED, Json(body)).into_response()
}

/// Answers with JSON that is bytes already.
fn raw_json(status: StatusCode, bytes: Bytes) -> Response {
    (status, [(axum::http::header::CONTENT_TYPE, "application/json")], bytes).into_response()
}
