//! What the environment says beside settings: keys of model providers, where Ollama listens.
//!
//! Owns: which variables count. Must not know: what is done with a key. Invariant: a key is a secret from the moment it
//! is read, and whoever refers to it does so by the variable's name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use roundtable_assistant::{Provider, Secret};

/// The port that Ollama takes unless told otherwise.
const OLLAMA: u16 = 11434;

/// Variable with the key, variable with the address, provider, what people call it, usual address.
const KEYS: &[(&str, &str, Provider, &str, &str)] = &[
    ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", Provider::Anthropic, "Anthropic", "https://api.anthropic.com"),
    ("OPENAI_API_KEY", "OPENAI_BASE_URL", Provider::OpenAi, "OpenAI", "https://api.openai.com/v1"),
    (
        "GEMINI_API_KEY",
        "GEMINI_BASE_URL",
        Provider::OpenAiCompatible,
        "Gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
    ),
    (
        "OPENROUTER_API_KEY",
        "OPENROUTER_BASE_URL",
        Provider::OpenAiCompatible,
        "OpenRouter",
        "https://openrouter.ai/api/v1",
    ),
    ("MISTRAL_API_KEY", "MISTRAL_BASE_URL", Provider::OpenAiCompatible, "Mistral", "https://api.mistral.ai/v1"),
];

/// What the environment says beside settings.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The keys of model providers that are set.
    pub keys: Vec<EnvironmentKey>,
    /// Where Ollama listens on this machine, if a variable says so.
    pub ollama: Option<SocketAddr>,
}

/// A key of a model provider in the environment.
#[derive(Clone, Debug)]
pub struct EnvironmentKey {
    /// The variable.
    pub variable: &'static str,
    /// What its endpoint speaks.
    pub provider: Provider,
    /// What people call it.
    pub label: &'static str,
    /// The endpoint.
    pub url: Secret,
    /// The key.
    pub key: Secret,
}

impl Surroundings {
    /// Reads the variables that count.
    pub(super) fn of(environment: &[(String, String)]) -> Self {
        let value = |name: &str| {
            let found = environment.iter().find(|(n, _)| n == name).map(|(_, value)| value.trim());
            found.filter(|value| !value.is_empty())
        };
        let keys = KEYS.iter().filter_map(|(variable, base, provider, label, usual)| {
            Some(EnvironmentKey {
                variable,
                provider: *provider,
                label,
                url: Secret::new(value(base).unwrap_or(usual)),
                key: Secret::new(value(variable)?),
            })
        });
        Self { keys: keys.collect(), ollama: value("OLLAMA_HOST").and_then(ollama) }
    }

    /// Returns the key in a variable.
    pub fn key(&self, variable: &str) -> Option<&EnvironmentKey> {
        self.keys.iter().find(|key| key.variable == variable)
    }
}

/// Returns the loopback address that `OLLAMA_HOST` means: it may lack scheme, host or port, and what listens everywhere
/// listens on loopback too. Another machine's address is none: only this one is looked at.
fn ollama(text: &str) -> Option<SocketAddr> {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bare = bare.split('/').next().unwrap_or_default();
    let (host, port) = match bare.parse::<SocketAddr>() {
        Ok(address) => (address.ip().to_string(), address.port()),
        Err(_) => match bare.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host.to_owned(), port.parse().ok()?),
            _ => (bare.trim_matches(['[', ']']).to_owned(), OLLAMA),
        },
    };
    let ip = match host.as_str() {
        "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host.parse().ok()?,
    };
    match ip {
        ip if ip.is_unspecified() => Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        ip if ip.is_loopback() => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_with_their_address_and_never_shown() {
        let set = |pairs: &[(&str, &str)]| {
            let all: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Surroundings::of(&all)
        };
        let found = set(&[
            ("OPENAI_API_KEY", "sk-canary"),
            ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
            ("MISTRAL_API_KEY", " "),
            ("GEMINI_API_KEY", "canary-2"),
        ]);
        let shown: Vec<_> = found.keys.iter().map(|key| (key.variable, key.url.expose())).collect();
        assert_eq!(
            shown,
            [
                ("OPENAI_API_KEY", "http://127.0.0.1:9/v1"),
                ("GEMINI_API_KEY", "https://generativelanguage.googleapis.com/v1beta/openai")
            ]
        );
        assert!(!format!("{found:?}").contains("canary"));
        assert!(found.key("OPENAI_API_KEY").is_some() && found.key("ANTHROPIC_API_KEY").is_none());
    }

    #[test]
    fn every_form_of_ollamas_address_is_understood_and_only_loopback_counts() {
        for (text, address) in [
            ("127.0.0.1:9999", Some("127.0.0.1:9999")),
            ("http://localhost:9999/", Some("127.0.0.1:9999")),
            ("0.0.0.0", Some("127.0.0.1:11434")),
            ("0.0.0.0:8", Some("127.0.0.1:8")),
            (":5000", Some("127.0.0.1:5000")),
            ("localhost", Some("127.0.0.1:11434")),
            ("[::1]:7", Some("[::1]:7")),
            ("::1", Some("[::1]:11434")),
            ("192.168.1.5:11434", None),
            ("gpu.example", None),
            ("127.0.0.1:x", None),
        ] {
            assert_eq!(ollama(text), address.map(|a| a.parse().expect(a)), "{text}");
        }
    }
}
