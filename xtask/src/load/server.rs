//! Our server under load: started with its limits raised, and the few REST calls that a crowd needs.

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use futures_util::stream::{self, TryStreamExt};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tempfile::TempDir;
use tokio::process::Command;

use super::http::Http;
use super::process::Process;
use super::socket::Socket;

/// Limits that one machine full of generated people would run into. Everything else is as delivered.
pub const RAISED: &[(&str, &str)] = &[
    ("ROUNDTABLE_LIMITS_SOCKETS_PER_ADDRESS", "0"),
    ("ROUNDTABLE_LIMITS_COMMANDS_PER_SECOND", "0"),
    ("ROUNDTABLE_LIMITS_REQUESTS_PER_SECOND", "0"),
    ("ROUNDTABLE_LIMITS_GUESTS_PER_SECOND", "0"),
];
/// How many calls or connection attempts are under way at once while a crowd comes in.
pub const AT_ONCE: usize = 32;
/// Where sockets are opened, and what they speak.
const SOCKET: (&str, &str) = ("/api/v1/ws", "roundtable.v1");

/// Our server with a data folder of its own.
pub struct Server {
    pub process: Process,
    data: Rc<TempDir>,
    binary: PathBuf,
    environment: Vec<(String, String)>,
    calls: RefCell<Vec<Http>>,
}

impl Server {
    /// Starts the server on an empty data folder below `work`.
    pub async fn start(binary: &Path, work: &Path, environment: &[(&str, String)]) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("data-").tempdir_in(work).context("failed to make a data folder")?;
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self::on(binary.to_owned(), Rc::new(data), environment).await
    }

    async fn on(binary: PathBuf, data: Rc<TempDir>, environment: Vec<(String, String)>) -> Result<Self> {
        let mut command = Command::new(&binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path().join("data"));
        command.current_dir(data.path());
        command.env("ROUNDTABLE_LOG_FILTER", "warn");
        command.envs(RAISED.iter().copied()).envs(environment.iter().map(|(name, value)| (name, value)));
        let process = Process::start(command, &data.path().join("log")).await?;
        Ok(Self { process, data, binary, environment, calls: RefCell::default() })
    }

    /// Stops the server and starts it again on the same data.
    pub async fn restart(self) -> Result<Self> {
        let Self { process, data, binary, environment, .. } = self;
        process.stop().await?;
        Self::on(binary, data, environment).await
    }

    /// Returns where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// Makes a POST and returns what was made.
    async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Result<Value> {
        let idle = self.calls.borrow_mut().pop();
        let mut http = match idle {
            Some(http) => http,
            None => Http::connect(self.address()).await?,
        };
        let (status, answer) = http.call("POST", path, token, Some(&key()), Some(&body)).await?;
        self.calls.borrow_mut().push(http);
        ensure!(status < 300, "POST {path}: {status} {}", String::from_utf8_lossy(&answer));
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Makes a login; returns its token.
    pub async fn guest(&self, name: &str) -> Result<String> {
        let made = self.post("/api/v1/guests", None, json!({ "display_name": name })).await?;
        text(&made, "token")
    }

    /// Makes a session that no assistant speaks up in; returns its id and a link for collaborators.
    pub async fn session(&self, owner: &str, assistant: &str) -> Result<(String, String)> {
        let body = json!({
            "title": "Load", "kind": "collaborative", "visibility": "private",
            "settings": { "respond": "manual", "assistant": assistant },
        });
        let id = text(&self.post("/api/v1/sessions", Some(owner), body).await?, "id")?;
        let path = format!("/api/v1/sessions/{id}/links");
        let link = self.post(&path, Some(owner), json!({ "role": "collaborator" })).await?;
        Ok((id, text(&link, "token")?))
    }

    /// Lets a new person in by link; returns the login's token.
    pub async fn join(&self, link: &str, name: &str) -> Result<String> {
        let token = self.guest(name).await?;
        let body = json!({ "link": link, "display_name": name });
        let joined = self.post("/api/v1/join", Some(&token), body).await?;
        ensure!(joined["status"] == "joined", "not let in: {joined}");
        Ok(token)
    }

    /// Lets that many new people in; returns their tokens.
    pub async fn people(&self, link: &str, count: usize) -> Result<Vec<String>> {
        let joins = (0..count).map(|n| async move { self.join(link, &format!("Person {n}")).await });
        stream::iter(joins).buffered(AT_ONCE).try_collect().await
    }

    /// Opens a socket and logs in.
    pub async fn socket(&self, token: &str) -> Result<Rc<Socket>> {
        let socket = Socket::open(self.address(), SOCKET.0, Some(SOCKET.1)).await?;
        socket.send(&json!({ "type": "hello", "token": token, "features": [] }).to_string());
        wait_for(&socket, "welcome").await?;
        Ok(socket)
    }

    /// Opens a socket that reads a session's conversation from where it stands.
    pub async fn subscriber(&self, token: &str, session: &str) -> Result<Rc<Socket>> {
        let socket = self.socket(token).await?;
        subscribe(&socket, session);
        wait_for(&socket, "subscribed").await?;
        Ok(socket)
    }
}

/// Asks for a session's conversation.
pub fn subscribe(socket: &Rc<Socket>, session: &str) {
    let frame = json!({ "type": "subscribe", "id": 1, "session_id": session, "streams": [{ "stream": "main" }] });
    socket.send(&frame.to_string());
}

/// Reads until a frame of that type comes.
pub async fn wait_for(socket: &Rc<Socket>, kind: &str) -> Result<()> {
    let found = socket.pump(|frame, _| {
        refused(frame)?;
        Ok(if is(frame, kind) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    found.await.with_context(|| format!("no {kind} came"))
}

/// Says whether a frame is of that type; the type stands first in every frame.
pub fn is(frame: &[u8], kind: &str) -> bool {
    frame
        .strip_prefix(br#"{"type":""#)
        .and_then(|rest| rest.strip_prefix(kind.as_bytes()))
        .is_some_and(|rest| rest.first() == Some(&b'"'))
}

/// Fails on every frame that says that something was refused, lost or ended.
pub fn refused(frame: &[u8]) -> Result<()> {
    if ["error", "lagging", "reset", "bye", "access"].into_iter().any(|kind| is(frame, kind)) {
        bail!("the server said {}", String::from_utf8_lossy(&frame[..frame.len().min(400)]));
    }
    Ok(())
}

/// Writes the command that posts a message which nobody answers.
pub fn post(session: &str, id: u64, text: &str) -> String {
    let key = key();
    format!(
        r#"{{"type":"command","id":{id},"key":"{key}","session_id":"{session}","stream":"main","name":"message.post","data":{{"text":"{text}","ask":false}}}}"#
    )
}

/// Makes a new UUIDv7 (RFC 9562 section 5.7); unique in this run and, by the time, among runs.
pub fn key() -> String {
    thread_local! {
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }
    let count = COUNT.get() + 1;
    COUNT.set(count);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let ms = since.as_millis() as u64;
    let process = std::process::id();
    format!(
        "{:08x}-{:04x}-7{:03x}-8{:03x}-{:04x}{:08x}",
        ms >> 16,
        ms & 0xffff,
        process & 0xfff,
        process >> 12 & 0xfff,
        count >> 32 & 0xffff,
        count & 0xffff_ffff
    )
}

fn text(value: &Value, field: &str) -> Result<String> {
    value[field].as_str().map(str::to_owned).with_context(|| format!("no {field} in {value}"))
}
