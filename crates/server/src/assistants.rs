//! The assistants of this server: what answers turns, under which name.
//!
//! Owns: the guide, the model of the configuration, the connections that people made; which one is usual; what was found
//! on this machine. Must not know: sessions, HTTP. Invariants: a name is never given to something else, so that a session
//! that holds it is never answered by another model; nothing with a price is called before a person has confirmed it; a
//! key leaves this module only into a driver.
//!
//! | module | holds |
//! |---|---|
//! | [`connect`] | from a wish to a checked connection |
//! | [`file`] | the connections on the disk |
//! | [`found`] | what could be connected: model servers on this machine, keys in the environment |
//! | [`places`] | at which addresses people may connect models |

pub mod connect;
pub mod file;
pub mod found;
pub mod places;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use roundtable_assistant::driver::Caps;
use roundtable_assistant::model::ModelConfigError;
use roundtable_assistant::{
    Driver, Failure, FailureCode, Guide, ModelConfig, ModelDriver, OpenSpec, Opened, Provider, Secret, guide,
};

use crate::settings::{Model, Settings};
use file::{Connection, File, FileError, KeyFrom};
use found::Found;

/// The assistant that is always there.
pub const GUIDE: &str = "guide";
/// The assistant of the configuration.
pub const MODEL: &str = "model";

/// The assistants of this server. Cheap to clone, the same for all.
#[derive(Clone, Debug)]
pub struct Assistants(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    file: File,
    patience: Duration,
    state: RwLock<State>,
    /// Held while the file is written and while this machine is looked at: one after the other.
    writing: tokio::sync::Mutex<()>,
    looking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    drivers: HashMap<String, Arc<dyn Driver>>,
    configured: Option<Assistant>,
    configured_url: Option<Secret>,
    connections: Vec<Connection>,
    usual: Option<String>,
    found: Option<Vec<Found>>,
    /// How often this machine was looked at.
    looks: u64,
}

/// Something that can answer turns, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assistant {
    /// What settings of sessions hold.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// What its endpoint speaks; `None`: it is the guide.
    pub provider: Option<Provider>,
    /// The model, as its endpoint calls it.
    pub model: Option<String>,
    /// Whether its answers cost money.
    pub paid: bool,
    /// Whether it runs on this machine.
    pub local: bool,
    /// Whether sessions that name none get it.
    pub usual: bool,
}

/// Why there are no assistants.
#[derive(Debug, thiserror::Error)]
pub enum AssistantsError {
    /// The model of the configuration cannot be used.
    #[error("{0}")]
    Model(#[from] ModelConfigError),
    /// The file with the connections cannot be used.
    #[error("{0}")]
    File(#[from] FileError),
}

impl Assistants {
    /// Makes the drivers that settings and data folder ask for. `patience`: how long a model server on this machine may
    /// take to answer.
    ///
    /// # Errors
    /// See [`AssistantsError`].
    pub fn open(settings: &Settings, guide: Guide, patience: Duration) -> Result<Self, AssistantsError> {
        let file = File::in_folder(&settings.data);
        let stored = file.read()?;
        let mut drivers: HashMap<String, Arc<dyn Driver>> = HashMap::new();
        drivers.insert(GUIDE.to_owned(), Arc::new(guide));
        let mut configured = None;
        if settings.has_model() {
            let driver = ModelDriver::new(config_of_settings(&settings.model))?;
            configured = Some(configured_assistant(&settings.model, driver.is_local()));
            drivers.insert(MODEL.to_owned(), Arc::new(driver));
        }
        for connection in &stored.connections {
            drivers.insert(connection.name.clone(), driver_of(connection, settings));
        }
        let state = State {
            drivers,
            configured_url: configured.as_ref().map(|_| settings.model.url.clone()),
            configured,
            connections: stored.connections,
            usual: stored.usual,
            found: None,
            looks: 0,
        };
        Ok(Self(Arc::new(Inner {
            settings: settings.clone(),
            file,
            patience,
            state: RwLock::new(state),
            writing: tokio::sync::Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        })))
    }

    /// Returns whether a session may choose that assistant.
    pub fn knows(&self, name: &str) -> bool {
        self.read().drivers.contains_key(name)
    }

    /// Returns what answers under a name.
    pub fn driver(&self, name: &str) -> Option<Arc<dyn Driver>> {
        self.read().drivers.get(name).cloned()
    }

    /// Returns what an answer under a name is labelled with.
    pub fn label(&self, name: &str) -> String {
        let state = self.read();
        state.all().into_iter().find(|a| a.name == name).map_or_else(|| name.to_owned(), |a| a.label)
    }

    /// Asks whether an assistant is there; returns why not. Only what says that nobody is there counts: an endpoint may well
    /// answer questions without having a list of models.
    pub fn away(&self, name: &str) -> BoxFuture<'static, Option<String>> {
        let driver = self.driver(name);
        async move {
            let gone = [FailureCode::ModelUnreachable, FailureCode::ModelTimedOut];
            let failure = driver?.probe().await.err()?;
            gone.contains(&failure.code).then_some(failure.message)
        }
        .boxed()
    }

    /// Returns what speaks under a name, for figures: a provider's name, `guide`, or `none`.
    pub fn provider(&self, name: &str) -> &'static str {
        let state = self.read();
        let found = state.all().into_iter().find(|a| a.name == name);
        found.map_or("none", |a| a.provider.map_or(GUIDE, Provider::name))
    }

    /// Returns the assistant of sessions that name none.
    pub fn usual(&self) -> String {
        self.read().usual().to_owned()
    }

    /// Returns every assistant: the guide, the model of the configuration, then those that people connected, oldest
    /// first.
    pub fn all(&self) -> Vec<Assistant> {
        self.read().all()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn usual(&self) -> &str {
        let chosen = self.usual.as_deref().filter(|name| self.drivers.contains_key(*name));
        let configured = self.configured.as_ref().map(|_| MODEL);
        chosen.or(configured).unwrap_or(GUIDE)
    }

    fn all(&self) -> Vec<Assistant> {
        let guide = Assistant {
            name: GUIDE.to_owned(),
            label: guide::LABEL.to_owned(),
            provider: None,
            model: None,
            paid: false,
            local: true,
            usual: false,
        };
        let connected = self.connections.iter().map(|connection| Assistant {
            name: connection.name.clone(),
            label: connection.label.clone(),
            provider: Some(connection.provider),
            model: Some(connection.model.clone()),
            paid: connection.paid,
            local: connection.local,
            usual: false,
        });
        let usual = self.usual();
        let all = [guide].into_iter().chain(self.configured.clone()).chain(connected);
        all.map(|assistant| Assistant { usual: assistant.name == usual, ..assistant }).collect()
    }
}

fn configured_assistant(model: &Model, local: bool) -> Assistant {
    let name = model.name.clone().unwrap_or_default();
    Assistant {
        name: MODEL.to_owned(),
        label: name.clone(),
        provider: Some(model.provider.unwrap_or(Provider::OpenAiCompatible)),
        model: Some(name),
        paid: !local && !model.key.is_empty(),
        local,
        usual: false,
    }
}

fn config_of_settings(model: &Model) -> ModelConfig {
    let name = model.name.clone().unwrap_or_default();
    let config = ModelConfig::new(model.url.clone(), model.key.clone(), name);
    let provider = model.provider.unwrap_or(Provider::OpenAiCompatible);
    limited(ModelConfig { provider, set_in: "the server's settings under model".to_owned(), ..config }, model)
}

/// What the settings say of one model holds for all.
fn limited(config: ModelConfig, model: &Model) -> ModelConfig {
    ModelConfig {
        context_tokens: model.context_tokens,
        max_output_tokens: (model.max_output_tokens > 0).then_some(model.max_output_tokens),
        first_token_timeout: model.first_token_timeout,
        idle_timeout: model.idle_timeout,
        ..config
    }
}

/// Makes the configuration of a connection; the key must be at hand.
fn config_of(connection: &Connection, settings: &Settings) -> Result<ModelConfig, Failure> {
    let (key, set_in) = match &connection.key {
        KeyFrom::Nowhere => (Default::default(), "what was typed when it was connected; connect it again".to_owned()),
        KeyFrom::Typed(key) => (key.clone(), "what was typed when it was connected; connect it again".to_owned()),
        KeyFrom::Environment(variable) => {
            let Some(found) = settings.surroundings.key(variable) else {
                let message = format!(
                    "{variable} is not set any more where this server was started. Set it and start the server again, \
                     or choose another assistant in the session's settings."
                );
                return Err(Failure { code: FailureCode::ModelRefusedKey, message, retryable: false });
            };
            (found.key.clone(), format!("{variable} in the environment"))
        }
    };
    let config = ModelConfig::new(connection.url.clone(), key, connection.model.clone());
    let mut config = limited(ModelConfig { provider: connection.provider, set_in, ..config }, &settings.model);
    if let Some(most) = connection.context_tokens {
        config.context_tokens = config.context_tokens.min(most);
    }
    if connection.limited {
        config.reach = places::reach(settings, connection.url.expose());
    }
    Ok(config)
}

fn driver_of(connection: &Connection, settings: &Settings) -> Arc<dyn Driver> {
    let made = config_of(connection, settings).and_then(|config| {
        ModelDriver::new(config).map_err(|error| Failure {
            code: FailureCode::ModelFailed,
            message: format!("The connection cannot be used any more: {error}. Connect it again."),
            retryable: false,
        })
    });
    match made {
        Ok(driver) => Arc::new(driver),
        Err(failure) => {
            tracing::warn!(assistant = connection.name, code = %failure.code, "an assistant cannot be used");
            Arc::new(Unusable(failure))
        }
    }
}

/// A connection that cannot be used as things are; each of its turns says why.
#[derive(Debug)]
struct Unusable(Failure);

impl Driver for Unusable {
    fn probe(&self) -> BoxFuture<'_, Result<Caps, Failure>> {
        std::future::ready(Err(self.0.clone())).boxed()
    }

    fn open(&self, _: OpenSpec) -> BoxFuture<'_, Result<Opened, Failure>> {
        std::future::ready(Err(self.0.clone())).boxed()
    }
}

/// Returns the file with the connections in a data folder.
pub fn file_in(data: &Path) -> std::path::PathBuf {
    data.join(file::NAME)
}
