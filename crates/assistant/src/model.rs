//! A model behind chat completions, Anthropic's messages or Ollama's chat, through `genai`.
//!
//! Owns: retry, time-outs, usage, the words for what went wrong. Must not know: sessions, money.
//! Invariants: after the first token nothing is asked for twice; a stopped turn has let go of its HTTP call before its
//! end is told; neither the key nor any part of the URL beyond scheme, host and port is ever shown or logged.

mod call;
mod endpoint;
mod fault;
mod list;
mod local;
mod provider;
mod reach;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use roundtable_protocol::model::{Usage, UsageSource};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::driver::{AgentSession, Caps, Driver, Failure, OpenSpec, Opened, PromptRejection, TurnEnd};
use crate::prompt::{self, Prompt, estimate_tokens};
use crate::secret::Secret;
use crate::turn::TurnInput;
use crate::turns::{Outlet, Turns};
use call::Progress;
use endpoint::Endpoint;
pub use endpoint::ModelConfigError;
pub use list::Listed;
pub use local::{LocalServer, look_around};
pub use provider::Provider;
pub use reach::Reach;

/// How long [`Driver::probe`] and [`ModelDriver::list`] wait for the endpoint.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the model is and how to treat it.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// Which interface it speaks.
    pub provider: Provider,
    /// The address; for chat completions up to and with `/v1`, as `http://127.0.0.1:11434/v1`. A secret, because people
    /// put credentials and tokens into URLs.
    pub base_url: Secret,
    /// The key; empty for endpoints that want none.
    pub key: Secret,
    /// Where whoever reads a failure can mend address and key, as "the configuration".
    pub set_in: String,
    /// Which addresses it may have.
    pub reach: Reach,
    /// The model's name at that endpoint, sent exactly as it stands here.
    pub model: String,
    /// The longest prompt. Unit: tokens, estimated.
    pub context_tokens: u32,
    /// The longest answer to ask for. Unit: tokens. `None`: the endpoint's own limit.
    pub max_output_tokens: Option<u32>,
    /// Where an answer is cut when the model does not end. Unit: bytes.
    pub max_answer_bytes: usize,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for the first token; local models load themselves in this time.
    pub first_token_timeout: Duration,
    /// How long the model may pause between two tokens.
    pub idle_timeout: Duration,
    /// How often to try before giving up, the first time included; only while no token has come.
    pub max_attempts: u32,
    /// How long to wait before the second attempt; doubles with each one.
    pub backoff: Duration,
    /// The longest that an endpoint may make a turn wait by `Retry-After`; above it the turn fails at once.
    pub longest_wait: Duration,
}

impl ModelConfig {
    /// Makes a configuration for chat completions with the usual limits.
    pub fn new(base_url: Secret, key: Secret, model: impl Into<String>) -> Self {
        Self {
            provider: Provider::OpenAiCompatible,
            base_url,
            key,
            set_in: "the configuration".to_owned(),
            reach: Reach::ANYWHERE,
            model: model.into(),
            context_tokens: 16_000,
            max_output_tokens: None,
            max_answer_bytes: 512 * 1024,
            connect_timeout: Duration::from_secs(10),
            first_token_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(60),
            max_attempts: 3,
            backoff: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
        }
    }
}

/// The driver for one model at one endpoint.
#[derive(Clone)]
pub struct ModelDriver(Arc<Shared>);

struct Shared {
    config: ModelConfig,
    endpoint: Endpoint,
    http: reqwest::Client,
    genai: genai::Client,
}

impl fmt::Debug for ModelDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelDriver")
            .field("endpoint", &self.0.endpoint.shown)
            .field("model", &self.0.config.model)
            .finish_non_exhaustive()
    }
}

impl ModelDriver {
    /// Checks the configuration and makes the driver; nothing is sent yet.
    pub fn new(config: ModelConfig) -> Result<Self, ModelConfigError> {
        let endpoint = Endpoint::parse(&config)?;
        let http = endpoint.client(&config)?;
        let genai = genai::Client::builder()
            .with_reqwest(http.clone())
            .build()
            .map_err(|error| ModelConfigError::Client(endpoint.redactor.clean(&error.to_string())))?;
        Ok(Self(Arc::new(Shared { config, endpoint, http, genai })))
    }

    /// Returns where the model is: scheme, host and port, nothing that could be a secret.
    pub fn endpoint(&self) -> &str {
        &self.0.endpoint.shown
    }

    /// Returns whether the model runs on this machine.
    pub fn is_local(&self) -> bool {
        self.0.endpoint.loopback
    }
}

impl Driver for ModelDriver {
    /// Asks the endpoint for its list of models. An endpoint without that list counts as there.
    fn probe(&self) -> BoxFuture<'_, Result<Caps, Failure>> {
        let shared = Arc::clone(&self.0);
        async move {
            shared.list().await?;
            let model = shared.config.model.clone();
            Ok(Caps { driver: "model", label: model.clone(), model: Some(model), usage: true })
        }
        .boxed()
    }

    fn open(&self, spec: OpenSpec) -> BoxFuture<'_, Result<Opened, Failure>> {
        let (turns, events) = Turns::new();
        let session = Box::new(ModelSession { shared: Arc::clone(&self.0), spec, turns });
        std::future::ready(Ok(Opened { session, events })).boxed()
    }
}

struct ModelSession {
    shared: Arc<Shared>,
    spec: OpenSpec,
    turns: Turns,
}

impl AgentSession for ModelSession {
    fn prompt(&mut self, input: TurnInput, stop: CancellationToken) -> BoxFuture<'_, Result<(), PromptRejection>> {
        let shared = Arc::clone(&self.shared);
        let span = tracing::info_span!("model_turn", session.id = %self.spec.session, turn.id = %input.turn);
        async move {
            self.turns
                .start(stop, move |outlet| async move { shared.turn(&input, outlet).await }.instrument(span).boxed())
                .await
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.turns.close().boxed()
    }
}

impl Shared {
    async fn turn(&self, input: &TurnInput, outlet: &mut Outlet) -> TurnEnd {
        let prompt = prompt::build(input, self.config.context_tokens);
        let mut progress = Progress::default();
        let end = self.attempts(&prompt, input, &mut progress, outlet).await;
        if let Some(usage) = usage_of(&progress, &prompt) {
            outlet.usage(usage).await;
        }
        end
    }

    async fn attempts(
        &self,
        prompt: &Prompt,
        input: &TurnInput,
        progress: &mut Progress,
        outlet: &mut Outlet,
    ) -> TurnEnd {
        let stop = outlet.stop();
        let mut attempt = 1;
        loop {
            let fault = match self.attempt(prompt, progress, outlet).await {
                Ok(end) => return end,
                Err(fault) => fault,
            };
            let wait = (!progress.started && attempt < self.config.max_attempts)
                .then(|| fault.wait(attempt, input.turn.0.as_u128(), &self.config))
                .flatten();
            tracing::warn!(
                code = %fault.failure.code,
                endpoint = %self.endpoint.shown,
                model = %self.config.model,
                attempt,
                retry_in_ms = wait.map(|wait| wait.as_millis() as u64),
                cause = %fault.cause,
                "the model's endpoint failed"
            );
            let Some(wait) = wait else { return TurnEnd::Failed(fault.failure) };
            tokio::select! {
                biased;
                () = stop.cancelled() => return TurnEnd::Stopped,
                () = tokio::time::sleep(wait) => attempt += 1,
            }
        }
    }
}

/// Returns what the endpoint reported, else an estimate of what it was made to do, else nothing.
///
/// A call that was cut short reports nothing, although its tokens are billed.
fn usage_of(progress: &Progress, prompt: &Prompt) -> Option<Usage> {
    if progress.usage.is_some() {
        return progress.usage;
    }
    let reasoning = estimate_tokens(progress.reasoning_bytes);
    progress.started.then(|| Usage {
        input_uncached: prompt.tokens(),
        cache_read: 0,
        cache_write: 0,
        output: reasoning + estimate_tokens(progress.text_bytes),
        reasoning,
        source: UsageSource::Estimated,
    })
}
