//! Assistants: what can answer turns, what could be connected.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use roundtable_assistant::{Failure, Provider, Secret};
use roundtable_protocol::{Code, Problem};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::assistants::Assistant;
use crate::assistants::connect::{What, Wish};
use crate::assistants::found::Found;
use crate::auth::Caller;
use crate::idempotency::Key;
use crate::json::{Json, JsonOrNothing, Path};
use crate::problem::ApiError;
use crate::routes::created;
use crate::state::App;

/// What an assistant is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssistantProvider {
    /// Fixed rules inside this server; no model.
    Guide,
    /// OpenAI's chat completions.
    Openai,
    /// Anthropic's messages.
    Anthropic,
    /// Ollama's own chat.
    Ollama,
    /// Anybody else's chat completions in OpenAI's shape.
    OpenaiCompatible,
}

impl AssistantProvider {
    fn of(provider: Option<Provider>) -> Self {
        match provider {
            None => Self::Guide,
            Some(Provider::OpenAi) => Self::Openai,
            Some(Provider::Anthropic) => Self::Anthropic,
            Some(Provider::Ollama) => Self::Ollama,
            Some(Provider::OpenAiCompatible) => Self::OpenaiCompatible,
        }
    }

    fn to_provider(self) -> Option<Provider> {
        match self {
            Self::Guide => None,
            Self::Openai => Some(Provider::OpenAi),
            Self::Anthropic => Some(Provider::Anthropic),
            Self::Ollama => Some(Provider::Ollama),
            Self::OpenaiCompatible => Some(Provider::OpenAiCompatible),
        }
    }
}

/// Something that can answer turns.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssistantBody {
    /// What `settings.assistant` of a session holds.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// What it is behind.
    pub provider: AssistantProvider,
    /// The model, as its endpoint calls it; null for the guide.
    pub model: Option<String>,
    /// Whether its answers cost money.
    pub paid: bool,
    /// Whether it runs on the server's machine.
    pub local: bool,
    /// Whether new sessions get it.
    pub usual: bool,
}

/// Something that could be connected.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FoundBody {
    /// Names it in `POST /assistants`.
    pub id: String,
    /// What it speaks.
    pub provider: AssistantProvider,
    /// What people call it.
    pub label: String,
    /// Where it was found, such as `127.0.0.1:11434` or `OPENAI_API_KEY in the environment`; never a key.
    pub source: String,
    /// Its models, at most 50. Empty for what costs money until somebody lets the server ask: see `POST /assistants/scan`.
    pub models: Vec<String>,
    /// Whether answers cost money.
    pub paid: bool,
    /// The name of the assistant that was made of it.
    pub connected: Option<String>,
}

/// All assistants, and what else there is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssistantsBody {
    /// What a session can choose.
    pub assistants: Vec<AssistantBody>,
    /// What could be connected; empty for callers who may not connect.
    pub found: Vec<FoundBody>,
    /// Whether the caller may connect and disconnect.
    pub can_connect: bool,
}

/// What to look for.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScanBody {
    /// Something that was found before: ask it for its models, too, with its key.
    found_id: Option<String>,
    /// True: the person has confirmed that a key with a price may be used for that. (The question itself costs nothing.)
    confirm_paid: bool,
}

/// A model to connect: either `found_id`, or `provider` with `url` and `key`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAssistant {
    /// Something that was found.
    #[serde(default)]
    found_id: Option<String>,
    /// What an endpoint of one's own speaks.
    #[serde(default)]
    provider: Option<AssistantProvider>,
    /// Where it is; may be left out for `openai`, `anthropic` and `ollama`, which have usual addresses.
    #[serde(default, deserialize_with = "secret")]
    #[schema(value_type = Option<String>)]
    url: Secret,
    /// Its key, if it wants one. It is kept in the data folder and never shown again.
    #[serde(default, deserialize_with = "secret")]
    #[schema(value_type = Option<String>, write_only)]
    key: Secret,
    /// What the endpoint calls the model.
    model: String,
    /// True: the person has confirmed that answers may cost money.
    #[serde(default)]
    confirm_paid: bool,
    /// Whether new sessions get it; absent: when it costs nothing and they would get the guide.
    #[serde(default)]
    usual: Option<bool>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    Ok(Secret::new(Option::<String>::deserialize(deserializer)?.unwrap_or_default()))
}

impl From<Assistant> for AssistantBody {
    fn from(a: Assistant) -> Self {
        let provider = AssistantProvider::of(a.provider);
        Self { name: a.name, label: a.label, provider, model: a.model, paid: a.paid, local: a.local, usual: a.usual }
    }
}

impl FoundBody {
    fn of((found, connected): (Found, Option<String>)) -> Self {
        let Found { id, provider, label, source, models, paid, .. } = found;
        Self { id, provider: AssistantProvider::of(Some(provider)), label, source, models, paid, connected }
    }
}

/// Lists the assistants, and for those who may connect what else was found on the server's machine.
#[utoipa::path(get, path = "/api/v1/assistants", tag = "assistants",
    responses((status = 200, description = "Assistants", body = AssistantsBody)))]
pub async fn list(State(app): State<App>, Caller(known): Caller) -> axum::Json<AssistantsBody> {
    let can_connect = app.may_host(&known.user).is_ok();
    axum::Json(all(&app, can_connect, false).await)
}

/// Looks again for models that could be connected, and lists all.
#[utoipa::path(post, path = "/api/v1/assistants/scan", tag = "assistants", request_body = Option<ScanBody>,
    responses((status = 200, description = "Assistants", body = AssistantsBody)))]
pub async fn scan(
    State(app): State<App>,
    JsonOrNothing(body): JsonOrNothing<ScanBody>,
) -> Result<axum::Json<AssistantsBody>, ApiError> {
    app.assistants.found(app.bound, true).await;
    if let Some(id) = &body.found_id {
        let gone =
            || Problem::new(Code::InvalidField).with_field("/found_id", Code::InvalidField, "nothing of that id");
        let found = app.assistants.found_by_id(id).ok_or_else(gone)?;
        if found.paid && !body.confirm_paid {
            return Err(Code::ConfirmationNeeded.into());
        }
        app.assistants.list_models(id).await.map_err(|failure: Failure| {
            let detail = failure.message;
            Problem::new(Code::InvalidField).with_detail(&detail).with_field("/found_id", Code::InvalidField, detail)
        })?;
    }
    Ok(axum::Json(all(&app, true, false).await))
}

/// Connects a model: from now on sessions can choose it.
///
/// The endpoint is asked for its models first: an address that does not answer or a key that it refuses is said at once.
/// What costs money is not called before `confirm_paid`. While others can reach this server, an endpoint of one's own
/// must be at a public address and speak HTTPS, or lie in `assistants.allowed_networks`.
#[utoipa::path(post, path = "/api/v1/assistants", tag = "assistants", request_body = NewAssistant,
    responses((status = 201, description = "The assistant", body = AssistantBody)))]
pub async fn connect(
    State(app): State<App>,
    Caller(known): Caller,
    Key { id: key, .. }: Key,
    Json(body): Json<NewAssistant>,
) -> Result<Response, ApiError> {
    let wish = wish(body)?;
    if matches!(wish.what, What::Found(_)) {
        app.assistants.found(app.bound, false).await;
    }
    let made = app.assistants.connect(wish, key, known.user.id).await?;
    Ok(created(AssistantBody::from(made)))
}

fn wish(body: NewAssistant) -> Result<Wish, Problem> {
    let field = |pointer: &str, detail: &str| {
        Problem::new(Code::InvalidField).with_detail(detail).with_field(pointer, Code::InvalidField, detail)
    };
    let what = match (body.found_id, body.provider) {
        (Some(_), Some(_)) => return Err(field("/provider", "either found_id or provider, not both")),
        (Some(id), None) => What::Found(id),
        (None, Some(provider)) => {
            let provider = provider.to_provider();
            let provider = provider.ok_or_else(|| field("/provider", "the guide is always there"))?;
            What::Own { provider, url: body.url, key: body.key }
        }
        (None, None) => return Err(field("/found_id", "either found_id or provider is needed")),
    };
    Ok(Wish { what, model: body.model, confirmed: body.confirm_paid, usual: body.usual })
}

/// Disconnects a model. Sessions that still name it fail with `model_not_configured` when they ask.
#[utoipa::path(delete, path = "/api/v1/assistants/{name}", tag = "assistants", params(("name" = String, Path)),
    responses((status = 204, description = "Disconnected")))]
pub async fn disconnect(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    app.assistants.disconnect(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn all(app: &App, can_connect: bool, again: bool) -> AssistantsBody {
    let found = if can_connect { app.assistants.found(app.bound, again).await } else { Vec::new() };
    AssistantsBody {
        assistants: app.assistants.all().into_iter().map(AssistantBody::from).collect(),
        found: found.into_iter().map(FoundBody::of).collect(),
        can_connect,
    }
}
