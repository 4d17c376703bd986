//! The address of a model, taken apart so that its secrets cannot be shown.
//!
//! Owns: parsing and checking, the HTTP client. Must not know: what is asked. Invariant: credentials leave the URL here
//! and live on only in a header that is marked sensitive.

use std::net::IpAddr;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::{ModelConfig, Provider, Reach};
use crate::secret::Redactor;

/// The version of Anthropic's interface that `genai` speaks.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Why a model cannot be configured like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelConfigError {
    /// Not an address.
    #[error("the model's URL must look like http://127.0.0.1:11434/v1 (or https://...)")]
    Url,
    /// An address that may not be called.
    #[error(
        "the model's URL leads to an address that this server does not call for people who reach it from elsewhere"
    )]
    OutOfReach,
    /// Nothing to ask for.
    #[error("the model's name is missing")]
    Name,
    /// A key that no header can carry.
    #[error("the model's key holds characters that cannot be sent; was it copied whole?")]
    Key,
    /// The HTTP client could not be made.
    #[error("the HTTP client for the model could not be made: {0}")]
    Client(String),
}

/// A checked address.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// What it speaks.
    pub(super) provider: Provider,
    /// Where answers are asked for.
    pub(super) chat: Url,
    /// Where models are listed.
    pub(super) models: Url,
    /// Scheme, host and port, for people and logs.
    pub(super) shown: String,
    /// Takes the key, the credentials and the query out of foreign text.
    pub(super) redactor: Redactor,
    /// Whether a key was given.
    pub(super) keyed: bool,
    /// Where address and key can be mended.
    pub(super) set_in: String,
    /// Whether it is on this machine.
    pub(super) loopback: bool,
    headers: HeaderMap,
    reach: Reach,
}

impl Endpoint {
    pub(super) fn parse(config: &ModelConfig) -> Result<Self, ModelConfigError> {
        if config.model.trim().is_empty() {
            return Err(ModelConfigError::Name);
        }
        let mut base = Url::parse(config.base_url.expose()).map_err(|_| ModelConfigError::Url)?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none_or(str::is_empty) {
            return Err(ModelConfigError::Url);
        }
        if !config.reach.allows_literal(&base) {
            return Err(ModelConfigError::OutOfReach);
        }
        let headers = headers(config, &base)?;
        let mut secrets = vec![config.key.expose().to_owned(), config.base_url.expose().to_owned()];
        secrets.extend(base.password().map(str::to_owned));
        secrets.extend((!base.username().is_empty()).then(|| base.username().to_owned()));
        secrets.extend(base.query().map(str::to_owned));
        secrets.extend(base.query_pairs().map(|(_, value)| value.into_owned()));
        // Both only fail for URLs without a host, which were refused above.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_fragment(None);
        let (chat, models) = config.provider.paths(base.path());
        let at = |path: &str| {
            let mut url = base.clone();
            url.set_path(path);
            url
        };
        Ok(Self {
            provider: config.provider,
            chat: at(&chat),
            models: at(&models),
            shown: base.origin().ascii_serialization(),
            redactor: Redactor::new(secrets),
            keyed: !headers.is_empty(),
            set_in: config.set_in.clone(),
            loopback: is_loopback(&base),
            headers,
            reach: config.reach.clone(),
        })
    }

    /// Makes the HTTP client, which alone knows the key.
    pub(super) fn client(&self, config: &ModelConfig) -> Result<reqwest::Client, ModelConfigError> {
        let mut headers = self.headers.clone();
        if self.provider == Provider::Anthropic {
            headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            // A redirected POST loses its body or hands the prompt to somebody else.
            .redirect(reqwest::redirect::Policy::none())
            // Compression holds tokens back until a block is full.
            .no_gzip();
        if self.loopback {
            builder = builder.no_proxy();
        }
        self.reach
            .limit(builder)
            .build()
            .map_err(|error| ModelConfigError::Client(self.redactor.clean(&error.without_url().to_string())))
    }
}

/// The key as the provider wants it, else the URL's user and password as basic credentials, else nothing: local models
/// often refuse an empty bearer.
fn headers(config: &ModelConfig, base: &Url) -> Result<HeaderMap, ModelConfigError> {
    let mut name = AUTHORIZATION;
    let text = if !config.key.is_empty() && config.provider == Provider::Anthropic {
        name = HeaderName::from_static("x-api-key");
        config.key.expose().to_owned()
    } else if !config.key.is_empty() {
        format!("Bearer {}", config.key.expose())
    } else if !base.username().is_empty() || base.password().is_some() {
        let decode = |part: &str| percent_decoded(part).ok_or(ModelConfigError::Url);
        let pair = format!("{}:{}", decode(base.username())?, decode(base.password().unwrap_or_default())?);
        format!("Basic {}", base64(pair.as_bytes()))
    } else {
        return Ok(HeaderMap::new());
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| ModelConfigError::Key)?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(name, value)]))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Source: RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn parse(url: &str, key: &str) -> Result<Endpoint, ModelConfigError> {
        Endpoint::parse(&ModelConfig::new(Secret::new(url), Secret::new(key), "m"))
    }

    #[test]
    fn addresses_are_completed() {
        for (url, chat) in [
            ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1/chat/completions"),
            ("http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434/v1/chat/completions"),
            ("https://h.example", "https://h.example/chat/completions"),
            ("https://h.example/v1/chat/completions", "https://h.example/v1/chat/completions"),
            ("https://h.example/a/b?api-version=2#x", "https://h.example/a/b/chat/completions?api-version=2"),
            ("https://u:p@h.example/v1", "https://h.example/v1/chat/completions"),
        ] {
            assert_eq!(parse(url, "").expect(url).chat.as_str(), chat);
        }
        for url in ["", "localhost:11434/v1", "ftp://h/v1", "127.0.0.1:80", "http://"] {
            assert_eq!(parse(url, "").expect_err(url), ModelConfigError::Url, "{url}");
        }
        assert_eq!(parse("http://h/v1", "a\u{1}b").expect_err("not a header"), ModelConfigError::Key);
    }

    #[test]
    fn credentials_leave_the_url() {
        let endpoint = parse("https://user:p%40ss@h.example:8443/v1?token=canary-q", "").expect("valid");
        assert_eq!(endpoint.shown, "https://h.example:8443");
        let header = endpoint.headers.get(AUTHORIZATION).expect("basic");
        assert_eq!(header.as_bytes(), b"Basic dXNlcjpwQHNz");
        assert!(header.is_sensitive());
        assert_eq!(endpoint.redactor.clean("at p%40ss, canary-q"), "at [redacted], [redacted]");
        assert!(parse("http://h/v1", "").expect("valid").headers.is_empty());
        let keyed = parse("https://user:pass@h/v1", "sk-1").expect("valid");
        assert_eq!(keyed.headers.get(AUTHORIZATION).expect("bearer").as_bytes(), b"Bearer sk-1");
        let config = ModelConfig::new(Secret::new("https://h"), Secret::new("sk-1"), "m");
        let keyed = Endpoint::parse(&ModelConfig { provider: Provider::Anthropic, ..config }).expect("valid");
        let key = keyed.headers.get("x-api-key").expect("Anthropic's header");
        assert!(key.is_sensitive() && key == "sk-1" && !keyed.headers.contains_key(AUTHORIZATION));
    }

    #[test]
    fn an_address_out_of_reach_is_refused() {
        let config = |url: &str| ModelConfig {
            reach: Reach::only(|address| !address.is_loopback()),
            ..ModelConfig::new(Secret::new(url), Secret::default(), "m")
        };
        for url in ["http://127.0.0.1/v1", "http://[::1]:80/v1", "http://[::ffff:127.0.0.1]/v1", "http://2130706433/v1"]
        {
            assert_eq!(Endpoint::parse(&config(url)).expect_err(url), ModelConfigError::OutOfReach, "{url}");
        }
        assert!(Endpoint::parse(&config("http://192.0.2.1/v1")).is_ok());
        assert!(Endpoint::parse(&config("http://localhost/v1")).is_ok(), "names are looked at when they are resolved");
    }

    #[test]
    fn loopback_is_recognised() {
        for (url, loopback) in [
            ("http://localhost/", true),
            ("http://[::1]:1/", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(parse(url, "").expect(url).loopback, loopback, "{url}");
        }
    }
}
