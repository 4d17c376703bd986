//! A server on a free port, people with logins, their sockets. Whatever waits gives up after ten seconds.

pub mod event_stream;
pub mod frames;
mod model;
pub mod models;
pub mod process;
mod socket;

use std::future::Future;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use roundtable_assistant::Guide;
use roundtable_assistant::guide::Pace;
use roundtable_hub::HubConfig;
use roundtable_server::serve::Parts;
use roundtable_server::settings::Sources;
use roundtable_server::{Server, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use model::Model;
pub use socket::Socket;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for `work`, but not for ever.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// Waits until something is so.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut often = tokio::time::interval(Duration::from_millis(5));
    soon(what, async {
        while !is_so() {
            often.tick().await;
        }
    })
    .await;
}

/// Waits until something is so that has to be asked for.
pub async fn eventually_async(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut often = tokio::time::interval(Duration::from_millis(5));
    soon(what, async {
        while !is_so().await {
            often.tick().await;
        }
    })
    .await;
}

/// A server that ends when dropped.
pub struct TestServer {
    pub server: Server,
    pub base: String,
    pub data: TempDir,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with settings that differ from the defaults.
    pub async fn start_with(settings: &[(&'static str, &str)]) -> Self {
        let data = TempDir::new().expect("a folder");
        Self::start_in(data, settings).await
    }

    pub async fn start_in(data: TempDir, settings: &[(&'static str, &str)]) -> Self {
        Self::start_of(data, settings, HubConfig::default()).await
    }

    /// Starts with rooms that behave otherwise than usual.
    pub async fn start_of(data: TempDir, settings: &[(&'static str, &str)], hub: HubConfig) -> Self {
        let settings = test_settings(&data, settings);
        Self::start_as(data, settings, hub).await
    }

    /// Starts in an environment.
    pub async fn start_near(settings: &[(&'static str, &str)], environment: &[(&str, &str)]) -> Self {
        let data = TempDir::new().expect("a folder");
        let settings = settings_near(&data, settings, environment);
        Self::start_as(data, settings, HubConfig::default()).await
    }

    async fn start_as(data: TempDir, settings: Settings, hub: HubConfig) -> Self {
        // A busy machine answers late, and it is not this time that the tests are about.
        let (guide, probe_timeout) = (Guide::with_pace(Pace::INSTANT), PATIENCE / 2);
        let parts = Parts { guide, probe_timeout, hub, log: None };
        let server = Server::start_with(settings, parts).await.expect("the server starts");
        let base = format!("http://{}", server.address());
        Self { server, base, data }
    }

    /// Calls without a login.
    pub fn stranger(&self) -> Person {
        Person::stranger(&self.base)
    }

    /// Makes a login by name.
    pub async fn person(&self, name: &str) -> Person {
        self.stranger().named(name).await
    }

    /// Makes an owner and a session in which the assistant answers only when asked.
    pub async fn session(&self) -> (Person, String) {
        let ana = self.person("Ana").await;
        let session = ana.session().await;
        (ana, session)
    }

    /// Stops and gives the folder back.
    pub async fn stop(self) -> TempDir {
        soon("the end of the server", self.server.stop()).await;
        self.data
    }
}

/// Returns settings for a test: a free port, a folder of its own, and what differs.
pub fn test_settings(data: &TempDir, settings: &[(&'static str, &str)]) -> Settings {
    settings_near(data, settings, &[])
}

fn settings_near(data: &TempDir, settings: &[(&'static str, &str)], environment: &[(&str, &str)]) -> Settings {
    let mut flags: Vec<_> = vec![
        ("listen", "127.0.0.1:0".to_owned(), "a test"),
        ("data", data.path().display().to_string(), "a test"),
        // Whatever else runs on this machine is none of a test's business.
        ("assistants.probe", String::new(), "a test"),
    ];
    flags.extend(settings.iter().map(|(key, value)| (*key, (*value).to_owned(), "a test")));
    // A file that is empty, so that no roundtable.toml of the working directory is read.
    let file = data.path().join("empty.toml");
    std::fs::write(&file, "").expect("written");
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings::load(&Sources { file: Some(file), environment, flags }).expect("good settings")
}

/// Checks that no file below `folder` contains `needle`.
pub fn assert_nowhere(folder: &std::path::Path, needle: &str) {
    for entry in std::fs::read_dir(folder).expect("lists") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_nowhere(&path, needle);
            continue;
        }
        // A journal that is just being removed is gone, and holds nothing.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let found = bytes.windows(needle.len()).any(|part| part == needle.as_bytes());
        assert!(!found, "{needle} is in {}", path.display());
    }
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Person {
    pub http: reqwest::Client,
    pub base: String,
    pub token: Option<String>,
    pub user: String,
}

impl AsRef<str> for TestServer {
    fn as_ref(&self) -> &str {
        &self.base
    }
}

impl Person {
    /// Somebody without a login.
    pub fn stranger(base: &str) -> Self {
        Self { http: reqwest::Client::new(), base: base.to_owned(), token: None, user: String::new() }
    }

    /// Makes a login by name.
    pub async fn named(self, name: &str) -> Self {
        let made = self.post("/guests", json!({"display_name": name})).await.created();
        Self {
            token: Some(made["token"].as_str().expect("a token").to_owned()),
            user: made["user"]["id"].as_str().expect("an id").to_owned(),
            ..self
        }
    }

    pub fn token(&self) -> &str {
        self.token.as_deref().expect("logged in")
    }

    pub fn call(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let path = if path.starts_with("/sessions") || !path.starts_with("/api") {
            format!("/api/v1{path}")
        } else {
            path.to_owned()
        };
        let call = self.http.request(method, format!("{}{path}", self.base)).timeout(PATIENCE);
        match &self.token {
            Some(token) => call.bearer_auth(token),
            None => call,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.call(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.call(Method::POST, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.call(Method::PATCH, path).json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.call(Method::PUT, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.call(Method::DELETE, path)).await
    }

    pub async fn session(&self) -> String {
        let body = json!({"title": "Plan", "settings": {"respond": "manual"}});
        self.post("/sessions", body).await.created()["id"].as_str().expect("an id").to_owned()
    }

    pub async fn say(&self, session: &str, text: &str) -> Value {
        self.post(&format!("/sessions/{session}/messages"), json!({"text": text})).await.created()
    }

    /// Makes a link.
    pub async fn link(&self, session: &str, body: Value) -> String {
        let link = self.post(&format!("/sessions/{session}/links"), body).await.created();
        link["token"].as_str().expect("a token").to_owned()
    }

    /// Lets `guest` in with a role and returns their participant id.
    pub async fn let_in(&self, session: &str, guest: &Person, role: &str) -> String {
        let link = self.link(session, json!({"role": role})).await;
        let joined = guest.post("/join", json!({"link": link})).await.ok();
        joined["participant"]["id"].as_str().expect("an id").to_owned()
    }

    pub async fn events(&self, session: &str, stream: &str) -> Vec<Value> {
        let page = self.get(&format!("/sessions/{session}/events?stream={stream}&limit=1000")).await.ok();
        page["events"].as_array().expect("events").clone()
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn of(call: reqwest::RequestBuilder) -> Self {
        let response = call.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("a body") }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {} {:?}", self.status, self.text))
    }

    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    pub fn created(&self) -> Value {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.text);
        self.json()
    }

    pub fn no_content(&self) {
        assert_eq!(self.status, StatusCode::NO_CONTENT, "{}", self.text);
    }

    /// Checks that the answer is a problem of that code in the one shape, and returns it.
    pub fn problem(&self, code: &str) -> Value {
        let problem = self.json();
        assert_eq!(problem["code"], code, "{} {}", self.status, self.text);
        assert_eq!(problem["status"], self.status.as_u16(), "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["type"], format!("/api/problems#{code}"));
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        for field in ["title", "detail", "instance"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {}", self.text);
        }
        assert!(problem["retryable"].is_boolean());
        problem
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value: &HeaderValue| value.to_str().expect("text"))
    }
}
