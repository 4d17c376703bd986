//! Reading events: pages and event streams.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::event_stream::Reader;

#[tokio::test]
async fn events_are_read_in_pages() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    for n in 0..10 {
        ana.say(&session, &format!("message {n}")).await;
    }
    let path = format!("/sessions/{session}/events");
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.len();
        let page = ana.get(&format!("{path}?after={after}&limit=4")).await.ok();
        assert_eq!(page["head"], 14);
        assert!(page["epoch"].as_str().is_some_and(|epoch| epoch.len() == 12));
        let events = page["events"].as_array().expect("events");
        if events.is_empty() {
            break;
        }
        all.extend(events.iter().cloned());
    }
    let seqs: Vec<u64> = all.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=14).collect::<Vec<_>>());
    let page = ana.get(&format!("/sessions/{session}/pages/0")).await.ok();
    let texts: Vec<&str> =
        page["messages"].as_array().expect("messages").iter().filter_map(|m| m["text"].as_str()).collect();
    assert_eq!((texts.len(), texts[9]), (10, "message 9"));
}

#[tokio::test]
async fn an_event_stream_shows_what_was_and_what_comes() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    ana.say(&session, "before").await;
    let mut reader = Reader::open(&ana, &session, "main,side", None).await;
    let subscribed = reader.until("subscribed").await;
    assert_eq!(subscribed.data["you"]["role"], "owner");
    let history = reader.until("events").await;
    let epoch = subscribed.data["streams"][0]["epoch"].as_str().expect("an epoch").to_owned();
    assert_eq!(history.id.as_deref(), Some(format!("{epoch};main:5").as_str()));
    ana.say(&session, "after").await;
    ana.post(&format!("/sessions/{session}/messages"), json!({"text": "psst", "stream": "side"})).await.created();
    let live = reader.until("events").await;
    assert_eq!(live.data["items"][0]["data"]["text"], "after");
    let side = reader.until("events").await;
    assert_eq!((side.data["stream"].as_str(), side.id), (Some("side"), Some(format!("{epoch};main:6;side:1"))));
}

#[tokio::test]
async fn an_event_stream_goes_on_after_the_last_id() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    for n in 0..3 {
        ana.say(&session, &format!("message {n}")).await;
    }
    let mut reader = Reader::open(&ana, &session, "main", None).await;
    let id = reader.until("events").await.id.expect("an id");
    drop(reader);
    ana.say(&session, "missed").await;
    let mut reader = Reader::open(&ana, &session, "main", Some(&id)).await;
    let events = reader.until("events").await;
    let texts: Vec<&Value> =
        events.data["items"].as_array().expect("items").iter().map(|e| &e["data"]["text"]).collect();
    assert_eq!(texts, ["missed"]);
    let other = id.replace(&id[..12], "zzzzzzzzzzzz");
    let mut reader = Reader::open(&ana, &session, "main", Some(&other)).await;
    let reset = reader.until("reset").await;
    assert_eq!(reset.data["reason"], "epoch_changed");
    let fresh = reset.id.expect("an id to come back with");
    assert!(reader.next().await.is_none(), "the stream ends, and the reader comes back with that id");
    let mut reader = Reader::open(&ana, &session, "main", Some(&fresh)).await;
    assert_eq!(reader.until("events").await.data["items"][0]["seq"], 1);
}

#[tokio::test]
async fn an_event_stream_ends_with_the_right_to_read_it() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    let id = ana.let_in(&session, &ben, "viewer").await;
    let mut reader = Reader::open(&ben, &session, "main", None).await;
    reader.until("subscribed").await;
    ana.delete(&format!("/sessions/{session}/participants/{id}")).await.no_content();
    ana.say(&session, "a secret").await;
    let access = reader.until("access").await;
    assert_eq!(access.data["streams"], json!([]));
    assert!(reader.next().await.is_none(), "nothing after it");
}

#[tokio::test]
async fn an_event_stream_ends_with_the_login() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let mut reader = Reader::open(&ana, &session, "main", None).await;
    reader.until("events").await;
    ana.delete("/me").await.no_content();
    while reader.next().await.is_some() {}
}

#[tokio::test]
async fn an_event_stream_wants_streams_and_ids_that_there_are() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    ana.get(&format!("/sessions/{session}/live?streams=tv")).await.problem("invalid_field");
    let call = ana.call(Method::GET, &format!("/sessions/{session}/live")).header("last-event-id", "nonsense;");
    crate::support::Answer::of(call).await.problem("invalid_field");
}

#[tokio::test]
async fn an_event_stream_says_goodbye() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let mut reader = Reader::open(&ana, &session, "main", None).await;
    reader.until("events").await;
    let (_, bye) = tokio::join!(server.stop(), reader.until("bye"));
    assert_eq!(bye.data["code"], "shutting_down");
    assert!(reader.next().await.is_none());
}
