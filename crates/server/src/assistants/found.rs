//! What could be connected: model servers on this machine, keys in the environment.
//!
//! Owns: looking, and the ids of what was found. Must not know: who asks. Invariants: this server never takes itself for
//! a model server; nothing is looked for unless somebody asks; a key with a price is not used for looking.

use std::net::SocketAddr;

use roundtable_assistant::model::{Listed, look_around};
use roundtable_assistant::{Failure, ModelConfig, ModelDriver, Provider, Secret};

use super::file::{Connection, KeyFrom};
use super::{Assistants, MODEL, State};
use crate::settings::{EnvironmentKey, Settings};

/// Something that could be connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Names it while the server runs, and after the next look.
    pub id: String,
    /// What it speaks.
    pub provider: Provider,
    /// What people call it.
    pub label: String,
    /// Where it was found, in words; never a key.
    pub source: String,
    /// Its models, as far as asking for them costs nothing.
    pub models: Vec<String>,
    /// Whether answers cost money.
    pub paid: bool,
    /// Whether it runs on this machine.
    pub local: bool,
    /// Where it is.
    pub url: Secret,
    /// Where its key is.
    pub key: KeyFrom,
}

impl Assistants {
    /// Returns what was found; looks when nobody has looked yet, or when `again` is set. `own`: where this server listens.
    pub async fn found(&self, own: SocketAddr, again: bool) -> Vec<(Found, Option<String>)> {
        let at_hand = |this: &Self| this.read().found_with_names();
        if !again && let Some(found) = at_hand(self) {
            return found;
        }
        let before = self.read().looks;
        let _looking = self.0.looking.lock().await;
        // Whoever looked while this caller waited has looked for it as well.
        if self.read().looks == before {
            let found = self.look(own).await;
            let mut state = self.write();
            state.found = Some(found);
            state.looks += 1;
        }
        at_hand(self).unwrap_or_default()
    }

    /// Asks what was found for its models, with its key, after a person has confirmed that.
    ///
    /// # Errors
    /// The endpoint cannot be reached or refuses the key.
    pub async fn list_models(&self, id: &str) -> Result<(), Failure> {
        let Some(found) = self.found_by_id(id) else { return Ok(()) };
        let models = list(&found, &self.0.settings).await?;
        let mut state = self.write();
        if let Some(known) = state.found.iter_mut().flatten().find(|known| known.id == id) {
            known.models = models;
        }
        Ok(())
    }

    /// Returns what was found under an id.
    pub fn found_by_id(&self, id: &str) -> Option<Found> {
        self.read().found.iter().flatten().find(|found| found.id == id).cloned()
    }

    async fn look(&self, own: SocketAddr) -> Vec<Found> {
        let settings = &self.0.settings;
        let addresses = addresses(settings, own);
        let servers = look_around(&addresses, self.0.patience).await;
        let local = servers.into_iter().map(|server| Found {
            id: format!("local-{}", server.address.port()),
            provider: server.provider,
            label: format!("{} on this machine", server.label),
            source: server.address.to_string(),
            models: server.models,
            paid: false,
            local: true,
            url: Secret::new(server.base_url),
            key: KeyFrom::Nowhere,
        });
        let mut all: Vec<Found> = local.collect();
        for key in &settings.surroundings.keys {
            let mut found = of_key(key);
            if found.local {
                found.models = list(&found, settings).await.unwrap_or_default();
            }
            all.push(found);
        }
        tracing::debug!(count = all.len(), "looked for models that could be connected");
        all
    }
}

impl State {
    fn found_with_names(&self) -> Option<Vec<(Found, Option<String>)>> {
        let found = self.found.as_ref()?;
        Some(found.iter().map(|found| (found.clone(), self.connected(found))).collect())
    }

    /// Returns the assistant that was made of what was found, the newest if there are several.
    fn connected(&self, found: &Found) -> Option<String> {
        let of = |connection: &&Connection| connection.url == found.url && connection.key == found.key;
        let connected = self.connections.iter().rev().find(of).map(|connection| connection.name.clone());
        let same_place = |url: &Secret| place(url.expose()) == place(found.url.expose());
        let is_configured = found.local && self.configured_url.as_ref().is_some_and(same_place);
        connected.or_else(|| is_configured.then(|| MODEL.to_owned()))
    }
}

/// Returns host and port of a URL, so that two ways to write one place are the same.
fn place(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.to_ascii_lowercase().replace("localhost", "127.0.0.1")
}

/// Returns where to look: never at this server's own port.
fn addresses(settings: &Settings, own: SocketAddr) -> Vec<SocketAddr> {
    let usual_ollama = SocketAddr::from(([127, 0, 0, 1], 11434));
    let mut all: Vec<SocketAddr> = settings.assistants.probe.clone();
    if let Some(ollama) = settings.surroundings.ollama.filter(|_| !all.is_empty()) {
        all.retain(|address| *address != usual_ollama && *address != ollama);
        all.insert(0, ollama);
    }
    all.retain(|address| address.port() != own.port());
    all
}

fn of_key(key: &EnvironmentKey) -> Found {
    let from = KeyFrom::Environment(key.variable.to_owned());
    let local = ModelDriver::new(config(key.provider, &key.url, Secret::default())).is_ok_and(|d| d.is_local());
    Found {
        id: format!("key-{}", key.variable.trim_end_matches("_API_KEY").to_ascii_lowercase()),
        provider: key.provider,
        label: key.label.to_owned(),
        source: format!("{} in the environment", key.variable),
        models: Vec::new(),
        paid: !local,
        local,
        url: key.url.clone(),
        key: from,
    }
}

async fn list(found: &Found, settings: &Settings) -> Result<Vec<String>, Failure> {
    let key = match &found.key {
        KeyFrom::Environment(variable) => settings.surroundings.key(variable).map(|key| key.key.clone()),
        KeyFrom::Typed(key) => Some(key.clone()),
        KeyFrom::Nowhere => None,
    };
    let mut config = config(found.provider, &found.url, key.unwrap_or_default());
    config.set_in = found.source.clone();
    let Ok(driver) = ModelDriver::new(config) else { return Ok(Vec::new()) };
    Ok(match driver.list().await? {
        Listed::Models(models) => models,
        Listed::NoList => Vec::new(),
    })
}

/// A driver that only lists names no model.
fn config(provider: Provider, url: &Secret, key: Secret) -> ModelConfig {
    ModelConfig { provider, ..ModelConfig::new(url.clone(), key, "any") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_may_be_written_in_several_ways() {
        for url in ["http://127.0.0.1:11434", "http://localhost:11434/v1", "http://u:p@LOCALHOST:11434/v1/?x=1"] {
            assert_eq!(place(url), "127.0.0.1:11434", "{url}");
        }
    }

    #[test]
    fn this_server_is_never_looked_at_and_ollamas_variable_takes_the_first_place() {
        let mut settings = Settings::defaults();
        let own = SocketAddr::from(([127, 0, 0, 1], 8080));
        let ports = |settings: &Settings| addresses(settings, own).iter().map(SocketAddr::port).collect::<Vec<_>>();
        assert_eq!(ports(&settings), [11434, 1234, 8000]);
        settings.surroundings.ollama = Some(SocketAddr::from(([127, 0, 0, 1], 9999)));
        assert_eq!(ports(&settings), [9999, 1234, 8000]);
        settings.surroundings.ollama = Some(own);
        assert_eq!(ports(&settings), [1234, 8000]);
        settings.assistants.probe = Vec::new();
        assert_eq!(ports(&settings), [] as [u16; 0]);
    }
}
