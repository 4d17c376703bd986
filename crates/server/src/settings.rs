//! Defaults < TOML file < environment < flags.
//!
//! Owns: every setting, its default, its checks. Must not know: what the settings do. Invariants: each setting stands
//! once in [`keys::KEYS`], from which defaults, names of variables and `docs/configuration.md` are made; an error names
//! the key and where its value came from.

pub mod keys;
mod network;
mod sources;
mod surroundings;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::Uri;
use roundtable_assistant::{Provider, Secret};
use serde::{Deserialize, Deserializer};

pub use network::Network;
pub use surroundings::{EnvironmentKey, Surroundings};

/// Where settings come from, beside their defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file; `None`: `roundtable.toml` in the working directory, if it is there.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Key, value and name of each flag that was given. Several of one key make a list.
    pub flags: Vec<(&'static str, String, &'static str)>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] config::ConfigError),
    /// A value has not the shape of its key.
    #[error("{0}")]
    Value(String),
    /// The file or the environment names a key that there is not.
    #[error("there is no setting `{key}` (in {origin})")]
    Unknown {
        /// The key.
        key: String,
        /// Where it stands.
        origin: String,
    },
    /// A value has the right shape and still makes no sense.
    #[error("{key}: {why}")]
    Wrong {
        /// The key.
        key: &'static str,
        /// What is wrong and what to write instead.
        why: String,
    },
}

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    /// The address at which people reach the server, without a trailing slash.
    pub public_url: Option<String>,
    /// Host names that the server answers to besides its own addresses.
    pub allowed_hosts: Vec<String>,
    /// Proxies that may say for whom they ask.
    pub trusted_proxies: Vec<Network>,
    /// The certificate chain of a server that speaks HTTPS itself.
    pub tls_cert: Option<PathBuf>,
    /// Its private key.
    pub tls_key: Option<PathBuf>,
    /// Who may start sessions.
    pub hosting: Hosting,
    /// How long requests may take to end once the server was told to.
    #[serde(rename = "shutdown_timeout_ms", deserialize_with = "milliseconds")]
    pub shutdown_timeout: Duration,
    /// The log.
    pub log: Log,
    /// The figures.
    pub metrics: Metrics,
    /// The model.
    pub model: Model,
    /// The assistants that people connect.
    pub assistants: Assistants,
    /// What the environment says beside settings.
    #[serde(skip)]
    pub surroundings: Surroundings,
    /// The limits.
    pub limits: Limits,
}

/// Who may start sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hosting {
    /// Everybody while only this device can reach the server, else nobody.
    Auto,
    /// Everybody who opened the page; not guests who came by a link.
    Everyone,
    /// Nobody.
    Nobody,
}

/// The log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// What is written.
    pub filter: String,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The figures.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The bearer of callers on other machines; empty: nobody there may read them.
    #[serde(deserialize_with = "secret")]
    pub token: Secret,
}

/// The model behind the driver `model`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What its endpoint speaks; `None`: chat completions.
    #[serde(deserialize_with = "provider")]
    pub provider: Option<Provider>,
    /// Where it is; empty: there is no model.
    #[serde(deserialize_with = "secret")]
    pub url: Secret,
    /// The key that the endpoint wants.
    #[serde(deserialize_with = "secret")]
    pub key: Secret,
    /// What the endpoint calls it.
    pub name: Option<String>,
    /// The longest prompt. Unit: tokens.
    pub context_tokens: u32,
    /// The longest answer; 0: the endpoint's own limit. Unit: tokens.
    pub max_output_tokens: u32,
    /// How long to wait for the first token.
    #[serde(rename = "first_token_timeout_ms", deserialize_with = "milliseconds")]
    pub first_token_timeout: Duration,
    /// How long the model may pause between two tokens.
    #[serde(rename = "idle_timeout_ms", deserialize_with = "milliseconds")]
    pub idle_timeout: Duration,
}

/// The assistants that people connect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assistants {
    /// Where model servers are looked for on this machine.
    pub probe: Vec<SocketAddr>,
    /// Addresses that are not public at which people may connect models although others can reach this server.
    pub allowed_networks: Vec<Network>,
}

/// What one caller may use. 0 means without limit where it says so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Open connections of all callers; 0: without limit.
    pub connections: usize,
    /// WebSockets and event streams of one address; 0: without limit.
    pub sockets_per_address: usize,
    /// The largest body. Unit: bytes.
    pub body_bytes: usize,
    /// How long a body may take to arrive.
    #[serde(rename = "body_timeout_ms", deserialize_with = "milliseconds")]
    pub body_timeout: Duration,
    /// How long the head of a request may take to arrive, and an open connection to send the next one.
    #[serde(rename = "header_timeout_ms", deserialize_with = "milliseconds")]
    pub header_timeout: Duration,
    /// How long a WebSocket may take to say hello.
    #[serde(rename = "hello_timeout_ms", deserialize_with = "milliseconds")]
    pub hello_timeout: Duration,
    /// How long one write to a WebSocket may take.
    #[serde(rename = "write_timeout_ms", deserialize_with = "milliseconds")]
    pub write_timeout: Duration,
    /// Commands a second of one WebSocket; 0: without limit.
    pub commands_per_second: u32,
    /// How many of them may come at once.
    pub commands_burst: u32,
    /// REST calls a second of one login, or of one address without a login; 0: without limit.
    pub requests_per_second: u32,
    /// How many of them may come at once.
    pub requests_burst: u32,
    /// New logins a second of one address; 0: without limit.
    pub guests_per_second: u32,
    /// How many of them may come at once.
    pub guests_burst: u32,
    /// Most events of one session.
    pub session_events: u64,
    /// Most commands that wait before one session.
    pub session_queue: usize,
    /// How long one answer may take.
    #[serde(rename = "turn_timeout_ms", deserialize_with = "milliseconds")]
    pub turn_timeout: Duration,
}

impl Settings {
    /// Reads the settings from all sources.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let settings = Self::read(sources::merged(sources)?)?;
        Ok(Self { surroundings: Surroundings::of(&sources.environment), ..settings })
    }

    /// Returns the settings that hold when nothing is set.
    ///
    /// # Panics
    /// Never: a test reads the defaults.
    pub fn defaults() -> Self {
        sources::defaults().and_then(Self::read).expect("the defaults have the shape of their keys")
    }

    fn read(values: config::Config) -> Result<Self, SettingsError> {
        let origin = |key: &str| sources::origin(&values, key);
        let settings: Self = values.clone().try_deserialize().map_err(|error| {
            let text = error.to_string();
            let key = text.split("for key `").nth(1).and_then(|rest| rest.split('`').next());
            // Errors of our own types come without the place.
            match key.and_then(origin).filter(|origin| !text.contains(origin.as_str())) {
                Some(origin) => SettingsError::Value(format!("{text} in {origin}")),
                None => SettingsError::Value(text),
            }
        })?;
        settings.checked()
    }

    /// Returns whether somebody who opened the page, or came by a link, may start sessions.
    pub fn may_host(&self, guest: bool) -> bool {
        match self.hosting {
            Hosting::Auto => self.only_this_device(),
            Hosting::Everyone => !guest || self.only_this_device(),
            Hosting::Nobody => false,
        }
    }

    /// Returns whether only people at this device can reach the server, as far as the settings tell.
    pub fn only_this_device(&self) -> bool {
        self.listen.ip().is_loopback() && self.public_url.is_none() && self.trusted_proxies.is_empty()
    }

    /// Returns whether a model is set.
    pub fn has_model(&self) -> bool {
        !self.model.url.is_empty()
    }

    fn checked(mut self) -> Result<Self, SettingsError> {
        self.public_url = self.public_url.filter(|url| !url.is_empty());
        self.tls_cert = self.tls_cert.filter(|path| !path.as_os_str().is_empty());
        self.tls_key = self.tls_key.filter(|path| !path.as_os_str().is_empty());
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            let why = "tls_cert and tls_key are needed together".to_owned();
            return Err(SettingsError::Wrong { key: "tls_cert", why });
        }
        self.model.name = self.model.name.filter(|name| !name.trim().is_empty());
        if let Some(url) = self.public_url.take() {
            self.public_url = Some(base_url(&url)?);
        }
        for host in &self.allowed_hosts {
            if host.is_empty() || host.contains(['/', ' ', '@']) {
                let why = format!("`{host}` is no host name; write it without scheme, port and path");
                return Err(SettingsError::Wrong { key: "allowed_hosts", why });
            }
        }
        let asked_for = self.has_model() || self.model.provider.is_some();
        if asked_for && self.model.name.is_none() {
            let why = "is missing beside model.url: write what the endpoint calls the model".to_owned();
            return Err(SettingsError::Wrong { key: "model.name", why });
        }
        if let Some(provider) = self.model.provider.filter(|_| self.model.url.is_empty()) {
            let why = || "is missing: write where the endpoint is".to_owned();
            let url = provider.usual_url().ok_or_else(|| SettingsError::Wrong { key: "model.url", why: why() })?;
            self.model.url = Secret::new(url);
        }
        if let Some(address) = self.assistants.probe.iter().find(|address| !address.ip().is_loopback()) {
            let why = format!("{address} is no address of this machine alone; write loopback addresses only");
            return Err(SettingsError::Wrong { key: "assistants.probe", why });
        }
        if self.limits.body_bytes < 1024 {
            let why = "must be at least 1024".to_owned();
            return Err(SettingsError::Wrong { key: "limits.body_bytes", why });
        }
        Ok(self)
    }
}

/// Returns the address without a trailing slash, if it is one of http or https without a path.
fn base_url(text: &str) -> Result<String, SettingsError> {
    let wrong = || SettingsError::Wrong {
        key: "public_url",
        why: "must look like https://roundtable.example, without a path".to_owned(),
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong());
    };
    if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
        return Err(wrong());
    }
    Ok(format!("{scheme}://{authority}").to_ascii_lowercase())
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

fn provider<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Provider>, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() {
        return Ok(None);
    }
    let names = || Provider::ALL.iter().map(|provider| provider.name()).collect::<Vec<_>>().join(", ");
    let unknown = || serde::de::Error::custom(format!("must be one of {}", names()));
    Provider::of_name(&name).map(Some).ok_or_else(unknown)
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

impl fmt::Display for Hosting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Everyone => "everyone",
            Self::Nobody => "nobody",
        })
    }
}

/// Returns the file that is read when none is named.
pub fn usual_file() -> &'static Path {
    Path::new("roundtable.toml")
}

#[cfg(test)]
mod tests;
