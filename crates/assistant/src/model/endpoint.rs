//! The address of a model, taken apart so that its secrets cannot be shown.
//!
//! Owns: parsing and checking, the HTTP client. Must not know: what is asked. Invariant: credentials leave the URL here
//! and live on only in a header that is marked sensitive.

use std::net::IpAddr;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::ModelConfig;
use crate::secret::Redactor;

/// Why a model cannot be configured like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelConfigError {
    /// Not an address.
    #[error("the model's URL must look like http://127.0.0.1:11434/v1 (or https://...)")]
    Url,
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
    /// Where completions are asked for.
    pub(super) chat: Url,
    /// Where models are listed.
    pub(super) models: Url,
    /// Scheme, host and port, for people and logs.
    pub(super) shown: String,
    /// Takes the key, the credentials and the query out of foreign text.
    pub(super) redactor: Redactor,
    authorization: Option<HeaderValue>,
    loopback: bool,
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
        let authorization = authorization(config, &base)?;
        let mut secrets = vec![config.key.expose().to_owned(), config.base_url.expose().to_owned()];
        secrets.extend(base.password().map(str::to_owned));
        secrets.extend((!base.username().is_empty()).then(|| base.username().to_owned()));
        secrets.extend(base.query().map(str::to_owned));
        secrets.extend(base.query_pairs().map(|(_, value)| value.into_owned()));
        // Both only fail for URLs without a host, which were refused above.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/').to_owned();
        // People paste the whole address of the call, too.
        let path = path.strip_suffix("/chat/completions").unwrap_or(&path).to_owned();
        let at = |last: &str| {
            let mut url = base.clone();
            url.set_path(&format!("{path}/{last}"));
            url
        };
        Ok(Self {
            chat: at("chat/completions"),
            models: at("models"),
            shown: base.origin().ascii_serialization(),
            redactor: Redactor::new(secrets),
            authorization,
            loopback: is_loopback(&base),
        })
    }

    /// Makes the HTTP client, which alone knows the key.
    pub(super) fn client(&self, config: &ModelConfig) -> Result<reqwest::Client, ModelConfigError> {
        let mut headers = HeaderMap::new();
        headers.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
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
        builder.build().map_err(|error| ModelConfigError::Client(self.redactor.clean(&error.without_url().to_string())))
    }
}

/// The key as bearer, else the URL's user and password as basic credentials, else nothing: local models often refuse an
/// empty bearer.
fn authorization(config: &ModelConfig, base: &Url) -> Result<Option<HeaderValue>, ModelConfigError> {
    let text = if !config.key.is_empty() {
        format!("Bearer {}", config.key.expose())
    } else if !base.username().is_empty() || base.password().is_some() {
        let decode = |part: &str| percent_decoded(part).ok_or(ModelConfigError::Url);
        let pair = format!("{}:{}", decode(base.username())?, decode(base.password().unwrap_or_default())?);
        format!("Basic {}", base64(pair.as_bytes()))
    } else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| ModelConfigError::Key)?;
    value.set_sensitive(true);
    Ok(Some(value))
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
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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
        let header = endpoint.authorization.as_ref().expect("basic");
        assert_eq!(header.as_bytes(), b"Basic dXNlcjpwQHNz");
        assert!(header.is_sensitive());
        assert_eq!(endpoint.redactor.clean("at p%40ss, canary-q"), "at [redacted], [redacted]");
        assert!(parse("http://h/v1", "").expect("valid").authorization.is_none());
        let keyed = parse("https://user:pass@h/v1", "sk-1").expect("valid");
        assert_eq!(keyed.authorization.expect("bearer").as_bytes(), b"Bearer sk-1");
    }

    #[test]
    fn loopback_is_recognised() {
        for (url, loopback) in [("http://localhost/", true), ("http://[::1]:1/", true), ("http://10.0.0.1/", false)] {
            assert_eq!(parse(url, "").expect(url).loopback, loopback, "{url}");
        }
    }
}
