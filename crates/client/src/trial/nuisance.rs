//! Callers who hold, flood and never finish.
//!
//! Owns: sockets that misbehave, and how each of them ended. Must not know: what a server should do about it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use roundtable_protocol::frame::SUBPROTOCOL;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::people::Room;
use super::rest::{self, Response, Rest};
use super::server::Server;

/// How long one step of a caller may take.
const STEP: Duration = Duration::from_secs(20);
/// How many connections a second the callers open: their own work, on the same machine, must not be what slows others
/// down.
const PER_SECOND: u32 = 2_500;
/// What a caller leaves of its receive buffer. Unit: bytes.
const SMALL_BUFFER: u32 = 4096;

/// A WebSocket that says what it likes.
pub struct Raw(WebSocketStream<TcpStream>);

impl Raw {
    /// Opens a WebSocket and says nothing.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn open(server: &Server) -> io::Result<Self> {
        let stream = TcpStream::connect(server.address()).await?;
        Self::upgrade(stream, server).await
    }

    /// Opens one with a login.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn log_in(server: &Server, token: &str) -> io::Result<Self> {
        Self::open(server).await?.hello(token).await
    }

    async fn upgrade(stream: TcpStream, server: &Server) -> io::Result<Self> {
        let mut request = server.ws_url().into_client_request().map_err(io::Error::other)?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(io::Error::other)?;
        Ok(Self(socket))
    }

    async fn hello(mut self, token: &str) -> io::Result<Self> {
        self.say(&json!({"type": "hello", "token": token})).await?;
        match self.hear().await? {
            Heard::Frame(frame) if frame["type"] == "welcome" => Ok(self),
            other => Err(io::Error::other(format!("{other:?} instead of welcome"))),
        }
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The connection is gone, or does not take it.
    pub async fn say(&mut self, frame: &Value) -> io::Result<()> {
        self.text(&frame.to_string()).await
    }

    /// Sends any text.
    ///
    /// # Errors
    /// The connection is gone, or does not take it.
    pub async fn text(&mut self, text: &str) -> io::Result<()> {
        self.message(Message::text(text)).await
    }

    /// Sends any bytes.
    ///
    /// # Errors
    /// The connection is gone, or does not take it.
    pub async fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.message(Message::binary(bytes.to_vec())).await
    }

    async fn message(&mut self, message: Message) -> io::Result<()> {
        tokio::time::timeout(STEP, self.0.send(message)).await?.map_err(io::Error::other)
    }

    /// Waits for the next frame or the end.
    ///
    /// # Errors
    /// Nothing comes for too long.
    pub async fn hear(&mut self) -> io::Result<Heard> {
        loop {
            match tokio::time::timeout(STEP, self.0.next()).await? {
                Some(Ok(Message::Text(text))) => return Ok(Heard::Frame(serde_json::from_str(&text)?)),
                Some(Ok(Message::Close(reason))) => return Ok(Heard::Closed(reason.map(|reason| reason.code.into()))),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(Heard::Closed(None)),
            }
        }
    }

    /// Waits for the next frame of a type, or the end.
    ///
    /// # Errors
    /// Nothing comes for too long.
    pub async fn hear_type(&mut self, kinds: &[&str]) -> io::Result<Heard> {
        loop {
            match self.hear().await? {
                Heard::Frame(frame) if !kinds.iter().any(|kind| frame["type"] == *kind) => {}
                other => return Ok(other),
            }
        }
    }
}

/// What a server said.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A frame.
    Frame(Value),
    /// The end, with its close code if it had one.
    Closed(Option<u16>),
}

impl Heard {
    /// Returns the type of the frame that this is.
    pub fn kind(&self) -> Option<&str> {
        match self {
            Self::Frame(frame) => frame["type"].as_str(),
            Self::Closed(_) => None,
        }
    }

    /// Returns the code of the error frame that this is.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Frame(frame) => frame["problem"]["code"].as_str(),
            Self::Closed(_) => None,
        }
    }
}

/// Lets this process open as many sockets as the system allows; how many are to spare for one side of a trial.
pub fn sockets_allowed() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // When it stays as it is, there are fewer.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(current).unwrap_or(usize::MAX).saturating_sub(1000)
}

/// Opens connections that never become a request: a third says nothing, a third breaks off in the head, a third
/// upgrades as far as the server lets it and never says hello.
///
/// # Errors
/// The server cannot be reached.
pub async fn half_open(server: &Server, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut sockets = Vec::with_capacity(count);
    let started = Instant::now();
    for n in 0..count {
        let due = Duration::from_secs(1) * u32::try_from(n).unwrap_or(u32::MAX) / PER_SECOND;
        if started.elapsed() < due {
            tokio::time::sleep_until(started + due).await;
        }
        let mut stream = TcpStream::connect(server.address()).await?;
        match n % 3 {
            0 => {}
            1 => stream.write_all(b"GET /api/v1/stats HTTP/1.1\r\nhost: ").await?,
            _ => stream.write_all(upgrade(server.address()).as_bytes()).await?,
        }
        sockets.push(stream);
    }
    Ok(sockets)
}

fn upgrade(host: SocketAddr) -> String {
    format!(
        "GET /api/v1/ws HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         sec-websocket-protocol: {SUBPROTOCOL}\r\n\r\n"
    )
}

/// Waits until the server has ended every one of the connections; how many it has not.
pub async fn left_open(sockets: Vec<TcpStream>, timeout: Duration) -> usize {
    let mut open = sockets.len();
    let mut reading = JoinSet::new();
    for mut socket in sockets {
        reading.spawn(async move {
            let mut buffer = [0; 512];
            while socket.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
        });
    }
    let ended = async {
        while reading.join_next().await.is_some() {
            open -= 1;
        }
    };
    // When the time is over, those that are still read are still open.
    let _ = tokio::time::timeout(timeout, ended).await;
    open
}

/// Sends bodies that never end, a few bytes at a time, and returns what the server answered to each.
pub async fn endless_bodies(server: &Server, rest: &Rest, path: &str, count: usize) -> Vec<io::Result<Response>> {
    let mut sending = JoinSet::new();
    for n in 0..count {
        let framing = if n % 2 == 0 { "content-length: 1000000" } else { "transfer-encoding: chunked" };
        let drop: &'static [u8] = if n % 2 == 0 { b" " } else { b"1\r\n \r\n" };
        let head = format!("{}content-type: application/json\r\n{framing}\r\n\r\n", rest.head("POST", path));
        let address = server.address();
        sending.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(head.as_bytes()).await?;
            let (mut reading, mut writing) = stream.split();
            let dripping = async {
                while writing.write_all(drop).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                std::future::pending::<()>().await;
            };
            let answered = async {
                let mut first = [0; 1];
                reading.peek(&mut first).await
            };
            tokio::select! {
                () = dripping => {}
                answered = tokio::time::timeout(STEP * 2, answered) => drop_answer(answered)?,
            }
            rest::answer(&mut stream).await
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = sending.join_next().await {
        answers.push(answer.map_err(io::Error::other).flatten());
    }
    answers
}

fn drop_answer(answered: Result<io::Result<usize>, tokio::time::error::Elapsed>) -> io::Result<()> {
    answered??;
    Ok(())
}

/// Somebody who subscribes and never reads.
///
/// # Errors
/// The server cannot be reached or refuses.
pub async fn deaf(server: &Server, room: &Room, token: &str) -> io::Result<Raw> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SMALL_BUFFER)?;
    let stream = socket.connect(server.address()).await?;
    let mut raw = Raw::upgrade(stream, server).await?.hello(token).await?;
    let wish = json!({"type": "subscribe", "id": 1, "session_id": room.session, "streams": [{"stream": "main"}]});
    raw.say(&wish).await?;
    match raw.hear_type(&["subscribed", "error"]).await? {
        heard if heard.code().is_some() => Err(io::Error::other(format!("{heard:?} instead of subscribed"))),
        _ => Ok(raw),
    }
}
