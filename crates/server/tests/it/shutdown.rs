//! The end, and the beginning after it.

use serde_json::json;

use crate::support::{Model, Socket, TestServer, soon};

#[tokio::test]
async fn everybody_is_told_when_to_come_back() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let mut idle = Socket::dial(&server, &[]).await.expect("a socket");
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(Socket::join(&server, &ana, &session, &["main"]).await);
    }
    let data = server.stop();
    let told = async {
        for socket in &mut sockets {
            let bye = socket.until("bye").await;
            assert_eq!(bye["code"], "shutting_down");
            assert!(bye["retry_after_ms"].as_u64().is_some_and(|ms| (500..=2000).contains(&ms)), "{bye}");
            assert_eq!(socket.closed().await, Some(1001));
        }
        assert_eq!(idle.closed().await, Some(1001));
    };
    soon("the end", async { tokio::join!(data, told) }).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_the_next_start() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let event = ana.say(&session, "kept").await;
    let data = server.stop().await;
    let server = TestServer::start_in(data, &[]).await;
    let ana = crate::support::Person { base: server.base.clone(), ..ana };
    assert_eq!(ana.events(&session, "main").await.last(), Some(&event));
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    let ok = socket.command(&session, "message.post", json!({"text": "and on"})).await;
    assert_eq!((&ok["type"], &ok["seq"]), (&json!("ok"), &json!(6)));
}

#[tokio::test]
async fn a_running_turn_is_cut_and_recorded() {
    let mut model = Model::start(&["It begins "], true).await;
    let server = TestServer::start_with(&[("model.url", &model.url), ("model.name", "m")]).await;
    let (ana, session) = server.session().await;
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    socket.command(&session, "message.post", json!({"text": "go", "ask": true})).await;
    socket.until("delta").await;
    let data = server.stop().await;
    model.let_go().await;
    let server = TestServer::start_in(data, &[]).await;
    let ana = crate::support::Person { base: server.base.clone(), ..ana };
    let events = ana.events(&session, "main").await;
    let progressed = events.iter().find(|event| event["kind"] == "turn.progressed").expect("the text so far");
    assert_eq!(progressed["data"]["text"], "It begins ");
    assert!(events.iter().any(|event| event["kind"] == "turn.lost"), "{events:?}");
}
