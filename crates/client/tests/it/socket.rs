//! The client against a small server on a real socket.

use std::io::Write;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use roundtable_client::machine::Status;
use roundtable_client::socket::{Client, WaitError};
use roundtable_protocol::frame::{DEFLATE_MARK, SUBPROTOCOL};
use roundtable_protocol::ids::{SessionId, Stream};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use uuid::Uuid;

const SESSION: SessionId = SessionId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
const ANA: &str = "01900000-0000-7000-8000-0000000000a1";
const LONG: Duration = Duration::from_secs(10);

/// The server's side of one connection.
struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    /// Accepts a connection and greets it.
    async fn greet(listener: &TcpListener) -> Self {
        let stream = listener.accept().await.unwrap().0;
        let choose = |_: &Request, mut response: Response| {
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
            Ok(response)
        };
        let mut peer = Self(tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap());
        assert_eq!(peer.read().await, json!({"type": "hello", "token": "secret", "features": ["deflate"]}));
        peer.write(
            &json!({"type": "welcome", "connection_id": ANA, "now": "2026-11-20T10:00:00Z", "heartbeat_ms": 15000,
            "limits": {"message_bytes": 65536, "frame_bytes": 1_048_576, "commands_per_second": 50, "window": 32},
            "version": "0.1.0"}),
        )
        .await;
        peer
    }

    async fn read(&mut self) -> Value {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                other => assert!(!other.is_binary(), "clients send text only"),
            }
        }
    }

    async fn write(&mut self, frame: &Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn write_deflated(&mut self, frame: &Value) {
        let mut encoder = flate2::write::DeflateEncoder::new(vec![DEFLATE_MARK], flate2::Compression::fast());
        encoder.write_all(frame.to_string().as_bytes()).unwrap();
        self.0.send(Message::binary(encoder.finish().unwrap())).await.unwrap();
    }

    async fn subscribed(&mut self, re: &Value, head: u64, mode: &str) {
        self.write(&json!({"type": "subscribed", "re": re, "session_id": SESSION, "people": [],
            "you": {"participant_id": ANA, "role": "collaborator", "can": ["session_view", "message_post"]},
            "streams": [{"stream": "main", "epoch": "abcdefghijkm", "head": head, "mode": mode}]}))
            .await;
    }
}

fn posted(seq: u64, id: &Value, text: &str) -> Value {
    json!({"stream": "main", "seq": seq, "id": id, "kind": "message.posted", "actor": ANA, "at": "2026-11-20T10:00:00Z",
        "data": {"text": text}})
}

fn events(items: &[Value]) -> Value {
    json!({"type": "events", "session_id": SESSION, "stream": "main", "items": items})
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/api/v1/ws", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn a_command_survives_a_lost_connection_and_the_view_goes_on() {
    let (listener, url) = listen().await;
    let client = Client::connect(url, Some("secret".to_owned()));
    client.subscribe(SESSION, [Stream::Main]);

    let mut peer = Peer::greet(&listener).await;
    let subscribe = peer.read().await;
    assert_eq!(subscribe["streams"], json!([{"stream": "main"}]));
    peer.subscribed(&subscribe["id"], 1, "replay").await;
    let first = json!("01900000-0000-7000-8000-000000001001");
    peer.write_deflated(&events(&[posted(1, &first, "one")])).await;
    client.wait_until(SESSION, LONG, |s| s.is_live(Stream::Main)).await.unwrap();

    let post = client.post(SESSION, Stream::Main, "two", None);
    let server = async {
        let command = peer.read().await;
        assert_eq!((&command["seen"], &command["retry"]), (&json!(1), &json!(false)));
        drop(peer);
        let mut peer = Peer::greet(&listener).await;
        let subscribe = peer.read().await;
        assert_eq!(subscribe["streams"][0]["after"], json!({"seq": 1, "id": first}));
        let again = peer.read().await;
        assert_eq!((&again["key"], &again["retry"]), (&command["key"], &json!(true)));
        peer.subscribed(&subscribe["id"], 2, "replay").await;
        peer.write(&events(&[posted(2, &again["key"], "two")])).await;
        peer.write(&json!({"type": "ok", "re": again["id"], "session_id": SESSION, "stream": "main", "seq": 2,
            "id": again["key"], "duplicate": true}))
            .await;
        peer
    };
    let (answer, _peer) = tokio::join!(post, server);
    let accepted = answer.unwrap();
    assert_eq!((accepted.seq.0, accepted.duplicate), (2, true));
    let texts: Vec<_> =
        client.view(SESSION).unwrap().streams[&Stream::Main].messages.iter().map(|m| m.text.clone()).collect();
    assert_eq!(texts, ["one", "two"]);
}

#[tokio::test]
async fn a_final_close_code_ends_every_wait() {
    let (listener, url) = listen().await;
    let client = Client::connect(url, Some("secret".to_owned()));
    let mut peer = Peer::greet(&listener).await;
    client.ready(LONG).await.unwrap();
    peer.0.close(Some(CloseFrame { code: 4401.into(), reason: "".into() })).await.unwrap();
    let waited = client.wait_until(SESSION, LONG, |_| true).await;
    assert_eq!(waited, Err(WaitError::Failed(4401)));
    assert_eq!(client.status(), Status::Failed { code: 4401 });
}

#[tokio::test]
async fn the_connection_ends_with_the_last_handle() {
    let (listener, url) = listen().await;
    let client = Client::connect(url, Some("secret".to_owned()));
    let mut peer = Peer::greet(&listener).await;
    drop(client.clone());
    client.ready(LONG).await.unwrap();
    drop(client);
    while let Some(Ok(message)) = peer.0.next().await {
        assert!(message.is_close(), "nothing but goodbye: {message:?}");
    }
}
