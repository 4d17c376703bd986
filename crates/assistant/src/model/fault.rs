//! What can go wrong with an endpoint, in our words.
//!
//! Owns: the mapping to stable codes and whether to try again. Must not know: how often was tried.
//! Invariant: a message is one of ours, with at most a status in it; only `cause`, for the log, holds foreign words,
//! and those were redacted.

use std::error::Error as _;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::endpoint::Endpoint;
use super::reach::OutOfReach;
use super::{ModelConfig, Provider};
use crate::driver::{Failure, FailureCode};

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Fault {
    /// What people are told.
    pub(super) failure: Failure,
    /// What the log is told.
    pub(super) cause: String,
    /// Whether another attempt makes sense.
    again: bool,
    /// How long the endpoint asks to wait.
    retry_after: Option<Duration>,
}

impl Fault {
    fn new(code: FailureCode, message: impl Into<String>, cause: impl Into<String>) -> Self {
        let failure = Failure { code, message: message.into(), retryable: false };
        Self { failure, cause: cause.into(), again: false, retry_after: None }
    }

    /// The person who asked may try again; this turn does not.
    fn retryable(mut self) -> Self {
        self.failure.retryable = true;
        self
    }

    /// This turn may try again by itself.
    fn again(mut self) -> Self {
        self.again = true;
        self.retryable()
    }

    /// Nothing came for too long.
    pub(super) fn silence(limit: Duration, before_first: bool) -> Self {
        let what = if before_first { "begin to answer" } else { "go on" };
        let message = format!("The model did not {what} within {} seconds.", limit.as_secs_f32().ceil());
        Self::new(FailureCode::ModelTimedOut, message, "no token in time").retryable()
    }

    /// The stream ended without saying that the answer is complete.
    pub(super) fn cut(cause: impl Into<String>) -> Self {
        let message = "The connection to the model was cut before the answer was complete.";
        Self::new(FailureCode::ModelFailed, message, cause).retryable()
    }

    /// The answer was complete and empty.
    pub(super) fn empty() -> Self {
        Self::new(FailureCode::ModelFailed, "The model gave an empty answer.", "no text in the answer").retryable()
    }

    /// The endpoint answered, but not with a stream of an answer.
    pub(super) fn no_stream(endpoint: &Endpoint) -> Self {
        let speaks = match endpoint.provider {
            Provider::OpenAi | Provider::OpenAiCompatible => "a chat completions endpoint",
            Provider::Anthropic => "Anthropic's messages endpoint",
            Provider::Ollama => "Ollama",
        };
        let message = format!("The address answered, but not like {speaks}. Is the model's URL right?");
        Self::new(FailureCode::ModelFailed, message, "a successful response without any event")
    }

    pub(super) fn of_genai(error: &genai::Error, endpoint: &Endpoint) -> Self {
        match error {
            genai::Error::HttpError { status, body, headers, .. } => Self::of_status(*status, headers, body, endpoint),
            genai::Error::WebStream { error, .. } => {
                if let Some(inner) = error.downcast_ref::<genai::Error>() {
                    Self::of_genai(inner, endpoint)
                } else if let Some(inner) = error.downcast_ref::<reqwest::Error>() {
                    Self::of_reqwest(inner, endpoint)
                } else {
                    Self::cut(endpoint.redactor.clean(&error.to_string()))
                }
            }
            genai::Error::ChatResponse { body, .. } => Self::of_error_frame(body, endpoint),
            genai::Error::StreamParse { serde_error, .. } => {
                let message = "The model's endpoint sent something that cannot be read.";
                let cause = format!("malformed chunk: {}", endpoint.redactor.clean(&serde_error.to_string()));
                Self::new(FailureCode::ModelFailed, message, cause).retryable()
            }
            other => {
                let cause = endpoint.redactor.clean(&other.to_string());
                Self::new(FailureCode::ModelFailed, "The model could not be asked.", cause)
            }
        }
    }

    pub(super) fn of_reqwest(error: &reqwest::Error, endpoint: &Endpoint) -> Self {
        // The outermost text holds the URL; the causes below say more anyway.
        let mut cause = String::new();
        let mut source = error.source();
        while let Some(inner) = source {
            cause = if cause.is_empty() { inner.to_string() } else { format!("{cause}: {inner}") };
            source = inner.source();
        }
        let cause = endpoint.redactor.clean(&cause);
        if out_of_reach(error) {
            let message = "The model's address is one that this server does not call.";
            return Self::new(FailureCode::ModelUnreachable, message, cause);
        }
        if error.is_body() || error.is_decode() {
            return Self::cut(cause);
        }
        let what = match (endpoint.provider, endpoint.loopback) {
            (Provider::Ollama, true) => "Ollama does not answer. Is it running (ollama serve)?",
            (_, true) => "The model's server on this machine does not answer. Is it running, and is its URL right?",
            (_, false) => "The model cannot be reached. Is it running, and is its URL right?",
        };
        let message = format!("{what} Its address stands in {}.", endpoint.set_in);
        Self::new(FailureCode::ModelUnreachable, message, cause).again()
    }

    /// A refused key is a fault; any other answer, also "not found", means that somebody is there.
    pub(super) fn of_probe(status: StatusCode, endpoint: &Endpoint) -> Option<Self> {
        matches!(status.as_u16(), 401 | 403).then(|| Self::of_status(status, &HeaderMap::new(), "", endpoint))
    }

    fn of_status(status: StatusCode, headers: &HeaderMap, body: &str, endpoint: &Endpoint) -> Self {
        let said = said_in(body);
        let cause = endpoint.redactor.clean(&format!("status {}: {said}", status.as_u16()));
        let number = status.as_u16();
        let failed = |message: String| Self::new(FailureCode::ModelFailed, message, cause.clone());
        match number {
            401 | 403 => {
                let what = if endpoint.keyed { "refused the key" } else { "wants a key" };
                let message =
                    format!("The model's endpoint {what} (status {number}). Check the key in {}.", endpoint.set_in);
                Self::new(FailureCode::ModelRefusedKey, message, cause)
            }
            402 => Self::used_up(cause),
            429 if said.contains("insufficient_quota") => Self::used_up(cause),
            400 if said.contains("credit balance is too low") => Self::used_up(cause),
            429 => Self::rate_limited(retry_after(headers, Timestamp::now()), cause),
            404 if endpoint.provider == Provider::Ollama => failed(
                "Ollama has not got this model (status 404). Fetch it with \"ollama pull\", or choose another one."
                    .to_owned(),
            ),
            404 => failed(format!(
                "The endpoint does not know this model, or the model's URL is wrong (status 404). Both stand in {}.",
                endpoint.set_in
            )),
            400 | 413 | 422 if is_too_long(&said) => failed(format!(
                "The conversation is too long for this model (status {number}). Lower model.context_tokens in the \
                 server's settings, choose a model with a longer context, or go on in a new session."
            )),
            300..=399 => {
                failed(format!("The model's URL leads elsewhere (status {number}). Put in the final address."))
            }
            408 | 500 | 502..=599 => {
                let mut fault = failed(format!("The model's endpoint had an error (status {number}).")).again();
                fault.retry_after = retry_after(headers, Timestamp::now());
                fault
            }
            _ => failed(format!("The model's endpoint refused the request (status {number}).")),
        }
    }

    fn used_up(cause: String) -> Self {
        let message = "The account at the model's endpoint is used up.";
        Self::new(FailureCode::ModelRateLimited, message, cause)
    }

    fn rate_limited(wait: Option<Duration>, cause: String) -> Self {
        let when = wait.map_or("in a while".to_owned(), |wait| format!("in {} seconds", wait.as_secs_f32().ceil()));
        let message = format!("The model's endpoint asks to slow down. Try again {when}.");
        let mut fault = Self::new(FailureCode::ModelRateLimited, message, cause).again();
        fault.retry_after = wait;
        fault
    }

    /// An error inside a stream that began with status 200; some gateways put the real status into it.
    pub(super) fn of_error_frame(body: &Value, endpoint: &Endpoint) -> Self {
        let error = body.get("error").filter(|error| error.is_object()).unwrap_or(body);
        let status = error["code"].as_u64().or_else(|| error["status"].as_u64()).or_else(|| status_of_type(error));
        let status = status.and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
        if let Some(status) = status.filter(|status| status.as_u16() >= 400) {
            return Self::of_status(status, &HeaderMap::new(), &body.to_string(), endpoint);
        }
        let cause = endpoint.redactor.clean(&format!("error in the stream: {}", said_in(&body.to_string())));
        Self::new(FailureCode::ModelFailed, "The model's endpoint broke off with an error.", cause).retryable()
    }

    /// Returns how long to wait before the next attempt, or nothing if there should be none.
    ///
    /// `salt` spreads turns that failed together over half of the wait.
    pub(super) fn wait(&self, attempt: u32, salt: u128, config: &ModelConfig) -> Option<Duration> {
        if !self.again {
            return None;
        }
        let backoff = config.backoff.saturating_mul(1 << attempt.saturating_sub(1).min(6));
        let spread = backoff.mul_f64((salt % 1_000) as f64 / 2_000.0);
        let wait = self.retry_after.unwrap_or_default().max(backoff + spread);
        (wait <= config.longest_wait).then_some(wait)
    }
}

/// Returns the status that stands for an error's type inside a stream. Source: the list of errors of Anthropic's API.
fn status_of_type(error: &Value) -> Option<u64> {
    Some(match error["type"].as_str()? {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "api_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}

/// Returns whether an endpoint says that the prompt does not fit. The words are those of OpenAI, vLLM, llama.cpp and
/// Anthropic.
fn is_too_long(said: &str) -> bool {
    let said = said.to_lowercase();
    ["context", "prompt is too long", "too many tokens", "request_too_large"].iter().any(|words| said.contains(words))
}

fn out_of_reach(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.is::<OutOfReach>() {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Returns how long the headers ask to wait. Source: RFC 9110 section 10.2.3; `retry-after-ms` as OpenAI sends it.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(ms) = text("retry-after-ms").and_then(|ms| ms.parse().ok()) {
        return Some(Duration::from_millis(ms));
    }
    let value = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// Returns what an error body says, without the rest of it, which may repeat the prompt.
fn said_in(body: &str) -> String {
    let Ok(body) = serde_json::from_str::<Value>(body) else { return "a body that is not JSON".to_owned() };
    let error = body.get("error").unwrap_or(&body);
    let mut parts: Vec<&str> = ["type", "code", "message"].iter().filter_map(|key| error[*key].as_str()).collect();
    parts.extend(error.as_str());
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn config() -> ModelConfig {
        ModelConfig::new(Secret::new("http://127.0.0.1:1/v1"), Secret::new("sk-canary"), "m")
    }

    fn of(status: u16, headers: &[(&'static str, &str)], body: &str) -> Fault {
        let headers = headers.iter().map(|(name, value)| {
            (reqwest::header::HeaderName::from_static(name), value.parse().expect("a header value"))
        });
        let endpoint = Endpoint::parse(&config()).expect("valid");
        Fault::of_status(StatusCode::from_u16(status).expect("a status"), &headers.collect(), body, &endpoint)
    }

    #[test]
    fn every_status_has_its_code_and_whether_to_try_again() {
        for (status, body, code, again) in [
            (400, "", FailureCode::ModelFailed, false),
            (401, "", FailureCode::ModelRefusedKey, false),
            (402, "", FailureCode::ModelRateLimited, false),
            (403, "", FailureCode::ModelRefusedKey, false),
            (404, "", FailureCode::ModelFailed, false),
            (307, "", FailureCode::ModelFailed, false),
            (429, "", FailureCode::ModelRateLimited, true),
            (429, r#"{"error":{"code":"insufficient_quota"}}"#, FailureCode::ModelRateLimited, false),
            (500, "", FailureCode::ModelFailed, true),
            (501, "", FailureCode::ModelFailed, false),
            (503, "", FailureCode::ModelFailed, true),
            (529, "", FailureCode::ModelFailed, true),
        ] {
            let fault = of(status, &[], body);
            assert_eq!((fault.failure.code, fault.wait(1, 0, &config()).is_some()), (code, again), "{status}");
        }
        for words in ["maximum context length is 4096", "prompt is too long: 210000 tokens > 200000 maximum"] {
            let long = of(400, &[], &serde_json::json!({"error": {"message": words}}).to_string());
            assert!(long.failure.message.contains("too long"), "{}", long.failure.message);
        }
    }

    #[test]
    fn a_failure_says_where_to_mend_it() {
        let typed = ModelConfig { set_in: "what was typed".to_owned(), ..config() };
        let fault = |config: &ModelConfig, status| {
            let endpoint = Endpoint::parse(config).expect("valid");
            let status = StatusCode::from_u16(status).expect("a status");
            Fault::of_status(status, &HeaderMap::new(), "", &endpoint).failure.message
        };
        for status in [401, 404] {
            let message = fault(&typed, status);
            assert!(message.contains("what was typed"), "{message}");
        }
        assert!(fault(&typed, 401).contains("refused the key"));
        assert!(fault(&ModelConfig { key: Secret::default(), ..typed.clone() }, 401).contains("wants a key"));
        let ollama = ModelConfig { provider: Provider::Ollama, ..typed };
        assert!(fault(&ollama, 404).contains("ollama pull"));
    }

    #[test]
    fn the_log_hears_the_error_without_the_key() {
        let fault = of(401, &[], r#"{"error":{"message":"no such key sk-canary","prompt":"private words"}}"#);
        assert_eq!(fault.cause, "status 401: no such key [redacted]");
    }

    #[test]
    fn retry_after_is_honoured_in_all_its_forms() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().expect("a time");
        for (name, value, wait) in [
            ("retry-after", "7", Some(7_000)),
            ("retry-after-ms", "250", Some(250)),
            ("retry-after", "Fri, 20 Nov 2026 10:00:05 GMT", Some(5_000)),
            ("retry-after", "Fri, 20 Nov 2026 09:00:00 GMT", Some(0)),
            ("retry-after", "soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a header value"));
            assert_eq!(retry_after(&headers, now), wait.map(Duration::from_millis), "{value}");
        }
        assert_eq!(of(429, &[("retry-after", "7")], "").wait(1, 0, &config()), Some(Duration::from_secs(7)));
        assert_eq!(of(503, &[("retry-after", "3600")], "").wait(1, 0, &config()), None, "longer than a turn may wait");
    }

    #[test]
    fn the_backoff_doubles_and_spreads() {
        let fault = of(500, &[], "");
        let wait = |attempt, salt| fault.wait(attempt, salt, &config()).expect("again").as_millis();
        assert_eq!((wait(1, 0), wait(2, 0), wait(3, 0)), (500, 1_000, 2_000));
        assert!(wait(1, 999) > 740 && wait(1, 999) < 750);
    }

    #[test]
    fn an_error_inside_the_stream_keeps_its_status() {
        let endpoint = Endpoint::parse(&config()).expect("valid");
        let limited = Fault::of_error_frame(&serde_json::json!({"code": 429, "message": "slow"}), &endpoint);
        assert_eq!(limited.failure.code, FailureCode::ModelRateLimited);
        let overloaded = serde_json::json!({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}});
        let overloaded = Fault::of_error_frame(&overloaded, &endpoint);
        assert!(overloaded.wait(1, 0, &config()).is_some(), "{overloaded:?}");
        let other = Fault::of_error_frame(&serde_json::json!({"message": "boom sk-canary"}), &endpoint);
        assert_eq!(other.failure.code, FailureCode::ModelFailed);
        assert_eq!(other.cause, "error in the stream: boom [redacted]");
    }
}
