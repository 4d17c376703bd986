//! Reading events: pages and event streams.

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, TestServer, soon};

/// One event of an event stream.
#[derive(Debug)]
struct Sent {
    id: Option<String>,
    kind: String,
    data: Value,
}

/// A reader of an event stream.
struct Reader {
    body: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Reader {
    async fn open(person: &Person, session: &str, streams: &str, last: Option<&str>) -> Self {
        let http = reqwest::Client::new();
        let url = format!("{}/api/v1/sessions/{session}/live?streams={streams}", person.base);
        let mut call = http.request(Method::GET, url).bearer_auth(person.token());
        if let Some(last) = last {
            call = call.header("last-event-id", last);
        }
        let response = soon("an event stream", call.send()).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.bytes_stream().boxed(), text: String::new() }
    }

    /// Returns the next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
                let (Some(kind), Some(data)) = (field("event: "), field("data: ")) else { continue };
                return Some(Sent { id: field("id: "), kind, data: serde_json::from_str(&data).expect("JSON") });
            }
            let part = soon("an event", self.body.next()).await?.ok()?;
            self.text.push_str(std::str::from_utf8(&part).expect("UTF-8"));
        }
    }

    async fn until(&mut self, kind: &str) -> Sent {
        loop {
            let sent = self.next().await.unwrap_or_else(|| panic!("the stream ended before {kind}"));
            if sent.kind == kind {
                return sent;
            }
        }
    }
}

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
