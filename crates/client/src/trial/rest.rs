//! Calls over HTTP, as plain as they go: one connection a call, no redirects, no compression.
//!
//! Owns: bytes out, status and JSON in. Must not know: what the calls mean. A library would hide what some trials are
//! about: bodies that never end, heads that never end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use roundtable_protocol::problem::{Code, Problem};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

/// How long one call may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body, when it is JSON; null otherwise.
    pub json: Value,
}

impl Response {
    /// Returns the code of the problem that the answer is, if it is one.
    pub fn code(&self) -> Option<Code> {
        serde_json::from_value::<Problem>(self.json.clone()).ok().map(|problem| problem.code)
    }

    /// Returns the answer if the call went well.
    ///
    /// # Errors
    /// The status and the body.
    pub fn ok(self) -> io::Result<Value> {
        match self.status {
            200..=299 => Ok(self.json),
            status => Err(io::Error::other(format!("{status}: {}", self.json))),
        }
    }
}

/// Calls one server as one user.
#[derive(Clone, Debug)]
pub struct Rest {
    address: SocketAddr,
    token: Option<String>,
}

impl Rest {
    /// Returns calls of nobody in particular.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, token: None }
    }

    /// Returns calls of the bearer of a token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { address: self.address, token: Some(token.to_owned()) }
    }

    /// Reads.
    ///
    /// # Errors
    /// The server cannot be reached, or what it says is no answer.
    pub async fn get(&self, path: &str) -> io::Result<Response> {
        self.call("GET", path, None).await
    }

    /// Makes something, under a fresh key.
    ///
    /// # Errors
    /// As [`Rest::get`].
    pub async fn post(&self, path: &str, body: &Value) -> io::Result<Response> {
        self.call("POST", path, Some(body)).await
    }

    /// Calls.
    ///
    /// # Errors
    /// As [`Rest::get`].
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Response> {
        let body = body.map(Value::to_string);
        let kind = if body.is_some() { "content-type: application/json\r\n" } else { "" };
        self.send(&format!("{}{kind}", self.head(method, path)), body.unwrap_or_default().as_bytes()).await
    }

    /// Sends a head as [`Rest::head`] makes it, with more lines or not, and a body of any kind.
    ///
    /// # Errors
    /// As [`Rest::get`].
    pub async fn send(&self, head: &str, body: &[u8]) -> io::Result<Response> {
        let head = format!("{head}content-length: {}\r\n\r\n", body.len());
        let call = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(head.as_bytes()).await?;
            // A server that refuses a body need not read it to its end; its answer is there all the same.
            let sent = stream.write_all(body).await;
            answer(&mut stream).await.map_err(|error| sent.err().unwrap_or(error))
        };
        tokio::time::timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Returns the head of a request without its last lines, for whoever sends the rest otherwise.
    pub fn head(&self, method: &str, path: &str) -> String {
        let token = self.token.as_ref().map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nidempotency-key: {}\r\n{token}",
            self.address,
            Uuid::now_v7()
        )
    }
}

/// Reads one answer to its end.
///
/// # Errors
/// The connection broke, or what came is no answer.
pub async fn answer(stream: &mut TcpStream) -> io::Result<Response> {
    let mut bytes = Vec::new();
    let broke = stream.read_to_end(&mut bytes).await.err();
    // A server that answers before it has read everything resets the connection behind its answer.
    parse(&bytes).ok_or_else(|| broke.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()))
}

fn parse(bytes: &[u8]) -> Option<Response> {
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..split]).ok()?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = bytes.get(split + 4..)?;
    if length.is_some_and(|length| body.len() < length) {
        return None;
    }
    Some(Response { status, json: serde_json::from_slice(body).unwrap_or(Value::Null) })
}
