//! A WebSocket that speaks raw frames.

use std::collections::VecDeque;
use std::io::Read;

use flate2::read::DeflateDecoder;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Person, soon};

/// Anything that a WebSocket can run over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub struct Socket {
    ws: WebSocketStream<Box<dyn Stream>>,
    read: VecDeque<Value>,
    next_id: u64,
    /// Whether any frame came in its binary form.
    pub saw_binary: bool,
}

impl Socket {
    /// Opens a socket with these headers besides the usual ones.
    pub async fn dial(server: &impl AsRef<str>, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let address = server.as_ref().replace("http://", "");
        let stream = TcpStream::connect(address).await.expect("connected");
        Self::dial_over(Box::new(stream), server, headers).await
    }

    /// The same over a connection that stands already.
    pub async fn dial_over(
        stream: Box<dyn Stream>,
        server: &impl AsRef<str>,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let url = format!("{}/api/v1/ws", server.as_ref().replace("http://", "ws://"));
        let mut request = url.into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "roundtable.v1".parse().expect("a value"));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a value"));
        }
        let (ws, response) = soon("an upgrade", tokio_tungstenite::client_async(request, stream)).await?;
        assert_eq!(response.headers()["sec-websocket-protocol"], "roundtable.v1");
        Ok(Self { ws, read: VecDeque::new(), next_id: 1, saw_binary: false })
    }

    /// Opens a socket and says hello.
    pub async fn open(server: &impl AsRef<str>, person: &Person) -> Self {
        let mut socket = Self::dial(server, &[]).await.expect("a socket");
        socket.send(json!({"type": "hello", "token": person.token(), "features": ["deflate"]})).await;
        socket.until("welcome").await;
        socket
    }

    /// Opens a socket, says hello and subscribes from nothing.
    pub async fn join(server: &impl AsRef<str>, person: &Person, session: &str, streams: &[&str]) -> Self {
        let mut socket = Self::open(server, person).await;
        socket.subscribe(session, streams).await;
        socket
    }

    pub async fn subscribe(&mut self, session: &str, streams: &[&str]) -> Value {
        let streams: Vec<Value> = streams.iter().map(|stream| json!({"stream": stream})).collect();
        let id = self.id();
        self.send(json!({"type": "subscribe", "id": id, "session_id": session, "streams": streams})).await;
        self.until("subscribed").await
    }

    pub fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub async fn send(&mut self, frame: Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        soon("a write", self.ws.send(Message::text(text))).await.expect("written");
    }

    pub async fn send_binary(&mut self, data: Vec<u8>) {
        soon("a write", self.ws.send(Message::binary(data))).await.expect("written");
    }

    /// Gives a command and returns the answer to it.
    pub async fn command(&mut self, session: &str, name: &str, data: Value) -> Value {
        self.command_in(session, "main", name, data).await
    }

    pub async fn command_in(&mut self, session: &str, stream: &str, name: &str, data: Value) -> Value {
        let id = self.id();
        let key = roundtable_hub::clock::new_key();
        let frame = json!({"type": "command", "id": id, "key": key, "session_id": session, "stream": stream, "name": name, "data": data});
        self.send(frame).await;
        self.matching(&format!("the answer to {name}"), |frame| frame["re"] == id).await
    }

    /// Returns the first frame of that type that is still unread; what came before it stays unread.
    pub async fn until(&mut self, kind: &str) -> Value {
        self.matching(&format!("a frame {kind}"), |frame| frame["type"] == kind).await
    }

    /// Waits for an event of that kind and returns it. Its frame stays readable.
    pub async fn event(&mut self, kind: &str) -> Value {
        self.event_like(kind, |event| event["kind"] == kind).await
    }

    /// Waits for the message with that text.
    pub async fn message(&mut self, text: &str) -> Value {
        self.event_like(text, |event| event["kind"] == "message.posted" && event["data"]["text"] == text).await
    }

    async fn event_like(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let find = |frame: &Value| {
            let items = frame["items"].as_array().filter(|_| frame["type"] == "events")?;
            items.iter().find(|event| wanted(event)).cloned()
        };
        loop {
            if let Some(event) = self.read.iter().find_map(find) {
                return event;
            }
            let frame = self.receive().await.unwrap_or_else(|code| panic!("closed with {code:?} before {what}"));
            self.read.push_back(frame);
        }
    }

    /// Waits for the answer to the request with that id.
    pub async fn answer(&mut self, id: u64) -> Value {
        self.matching(&format!("the answer to {id}"), |frame| frame["re"] == id).await
    }

    async fn matching(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(place) = self.read.iter().position(&wanted) {
                return self.read.remove(place).expect("there");
            }
            let frame = self.receive().await.unwrap_or_else(|code| panic!("closed with {code:?} before {what}"));
            self.read.push_back(frame);
        }
    }

    /// Returns everything that was read and not asked for.
    pub fn unread(&mut self) -> Vec<Value> {
        self.read.drain(..).collect()
    }

    /// Waits for the answer to a ping: everything that was put into the outbox before it has then been received.
    pub async fn settle(&mut self) {
        let id = self.id();
        self.send(json!({"type": "ping", "id": id})).await;
        self.matching("a pong", |frame| frame["type"] == "pong" && frame["id"] == id).await;
    }

    /// Reads on until the close, and returns its code; `None` for an end without one.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.receive().await {
                Ok(frame) => self.read.push_back(frame),
                Err(code) => return code,
            }
        }
    }

    async fn receive(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match soon("a frame", self.ws.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Binary(data))) => {
                    self.saw_binary = true;
                    assert_eq!(data[0], 1, "the mark of a deflated frame");
                    let mut text = String::new();
                    DeflateDecoder::new(&data[1..]).read_to_string(&mut text).expect("raw deflate");
                    return Ok(serde_json::from_str(&text).expect("JSON"));
                }
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }
}
