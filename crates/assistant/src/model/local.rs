//! Looking for model servers on this machine.
//!
//! Owns: what is asked of an address and how the answers are told apart. Must not know: which addresses are looked at,
//! or what is done with what was found. Invariant: nothing but loopback is asked, nothing secret is sent, and an address
//! that does not answer in time costs that time once.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::Provider;
use super::list::{names, read};

/// The port that LM Studio takes unless told otherwise; its answers do not name it.
const LM_STUDIO: u16 = 1234;

/// A model server on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it speaks.
    pub provider: Provider,
    /// What people call it.
    pub label: &'static str,
    /// The address for a [`super::ModelConfig`].
    pub base_url: String,
    /// Its models.
    pub models: Vec<String>,
}

/// Asks all addresses at once whether a model server is there. Each has `patience` to answer; those that are not
/// loopback are passed over. The order is that of `addresses`.
pub async fn look_around(addresses: &[SocketAddr], patience: Duration) -> Vec<LocalServer> {
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let http = match builder.timeout(patience).build() {
        Ok(http) => http,
        Err(error) => {
            tracing::warn!(error = %error.without_url(), "cannot look for model servers on this machine");
            return Vec::new();
        }
    };
    let loopback = addresses.iter().filter(|address| address.ip().is_loopback());
    let asked = loopback.map(|address| tokio::time::timeout(patience, ask(&http, *address)));
    futures_util::future::join_all(asked).await.into_iter().filter_map(|answer| answer.ok().flatten()).collect()
}

async fn ask(http: &reqwest::Client, address: SocketAddr) -> Option<LocalServer> {
    let root = format!("http://{address}");
    let get = async |path: &str| -> Option<Value> {
        let response = http.get(format!("{root}{path}")).send().await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        serde_json::from_slice(&read(response).await?).ok()
    };
    // llama.cpp answers /api/tags as well, but not with a version; Ollama answers /v1/models as well.
    let (version, tags, models) = tokio::join!(get("/api/version"), get("/api/tags"), get("/v1/models"));
    let is_ollama = version.is_some_and(|version| version["version"].is_string());
    if let Some(found) = tags.as_ref().filter(|_| is_ollama).and_then(names) {
        let (provider, label) = (Provider::Ollama, Provider::Ollama.label());
        return Some(LocalServer { address, provider, label, base_url: root, models: found });
    }
    let models = models?;
    let found = models["data"].is_array().then(|| names(&models)).flatten()?;
    let label = match models["data"][0]["owned_by"].as_str() {
        Some("llamacpp") => "llama.cpp",
        Some("vllm") => "vLLM",
        _ if address.port() == LM_STUDIO => "LM Studio",
        _ => "Model server",
    };
    let (provider, base_url) = (Provider::OpenAiCompatible, format!("{root}/v1"));
    Some(LocalServer { address, provider, label, base_url, models: found })
}
