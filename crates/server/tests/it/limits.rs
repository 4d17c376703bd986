//! Floods, slowness, and what everybody else notices of them: nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Socket, TestServer, soon};

async fn raw(server: &TestServer, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.server.address()).await.expect("connected");
    stream.write_all(text.as_bytes()).await.expect("written");
    stream
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end, too.
    let _ = soon("the end of a connection", stream.read_to_end(&mut text)).await;
    String::from_utf8(text).expect("UTF-8")
}

#[tokio::test]
async fn half_open_connections_are_shed_and_nobody_notices() {
    let server = TestServer::start_with(&[("limits.header_timeout_ms", "300")]).await;
    let mut open = Vec::new();
    for n in 0..200 {
        open.push(raw(&server, ["", "GET /healthz HTTP/1.1\r\nhost: local"][n % 2]).await);
    }
    let (ana, session) = server.session().await;
    ana.say(&session, "still here").await;
    for stream in open {
        assert!(!rest(stream).await.contains("200 OK"));
    }
    ana.say(&session, "and after").await;
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    let server = TestServer::start_with(&[("limits.connections", "3")]).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(raw(&server, "").await);
    }
    assert_eq!(rest(raw(&server, "").await).await, "");
    drop(open);
    let until_free = async {
        loop {
            let call = server.stranger().http.get(format!("{}/healthz", server.base)).send().await;
            if call.is_ok_and(|answer| answer.status() == 200) {
                break;
            }
        }
    };
    soon("room for another connection", until_free).await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let server = TestServer::start_with(&[("limits.body_timeout_ms", "200")]).await;
    let head = "POST /api/v1/guests HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let answer = rest(raw(&server, &format!("{head}content-length: 1000\r\n\r\n{{\"display_name\":")).await).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
    let answer = rest(raw(&server, &format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n{{\"dis\r\n")).await).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_arrives() {
    let server = TestServer::start_with(&[("limits.body_bytes", "2048"), ("limits.header_timeout_ms", "300")]).await;
    let head = "POST /api/v1/guests HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let answer = rest(raw(&server, &format!("{head}content-length: 5000000\r\n\r\n{{")).await).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let chunk = format!("800\r\n{}\r\n", "x".repeat(2048));
    let answer = rest(raw(&server, &format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}")).await).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn calls_above_the_rate_are_told_when_to_come_back() {
    let server = TestServer::start_with(&[("limits.requests_per_second", "1"), ("limits.requests_burst", "6")]).await;
    let (ana, ben) = (server.person("Ana").await, server.person("Ben").await);
    let mut last = ana.get("/me").await;
    for _ in 0..6 {
        last = ana.get("/me").await;
    }
    let problem = last.problem("rate_limited");
    assert!(problem["retry_after_ms"].as_u64().is_some_and(|ms| (1..=1000).contains(&ms)), "{problem}");
    assert_eq!((problem["retryable"].as_bool(), last.header("retry-after")), (Some(true), "1"));
    ben.get("/me").await.ok();
}

#[tokio::test]
async fn logins_of_one_address_are_limited() {
    let server = TestServer::start_with(&[("limits.guests_per_second", "1"), ("limits.guests_burst", "2")]).await;
    server.person("Ana").await;
    server.person("Ben").await;
    server.stranger().post("/guests", json!({"display_name": "Eve"})).await.problem("rate_limited");
}

#[tokio::test]
async fn sockets_of_one_address_are_limited() {
    let server = TestServer::start_with(&[("limits.sockets_per_address", "2")]).await;
    let ana = server.person("Ana").await;
    let first = Socket::open(&server, &ana).await;
    let _second = Socket::open(&server, &ana).await;
    let refused = Socket::dial(&server, &[]).await.map(|_| ()).expect_err("one too many");
    assert!(refused.to_string().contains("429"), "{refused}");
    drop(first);
    let until_free = async { while Socket::dial(&server, &[]).await.is_err() {} };
    soon("room for another socket", until_free).await;
}

#[tokio::test]
async fn a_socket_that_does_not_say_hello_is_closed() {
    let server = TestServer::start_with(&[("limits.hello_timeout_ms", "200")]).await;
    let mut socket = Socket::dial(&server, &[]).await.expect("a socket");
    assert_eq!(socket.closed().await, Some(4408));
}

#[tokio::test]
async fn a_query_that_is_too_long_is_refused_by_the_parser() {
    let server = TestServer::start().await;
    let answer =
        rest(raw(&server, &format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(100_000))).await).await;
    assert!(answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"), "{answer}");
    let call = server.stranger().call(Method::GET, "/stats").timeout(Duration::from_secs(5));
    Answer::of(call).await.ok();
}
