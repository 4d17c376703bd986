//! What happened, once more, from outside.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::event_stream::Reader;

fn text(data: &Value) -> &str {
    data["items"][0]["data"]["text"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_replay_begins_with_the_state_and_brings_what_followed_until_the_end() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    for n in 0..6 {
        ana.say(&session, &format!("message {n}")).await;
    }
    // Founding took four events.
    let mut reader = Reader::of(&ana, &format!("/sessions/{session}/replay?after=7&speed=16"), None).await;
    let start = reader.next().await.expect("the start");
    assert_eq!((start.kind.as_str(), &start.data["at"]["main"]), ("snapshot", &json!(7)));
    assert_eq!(start.data["head"]["streams"]["main"]["count"], 3);
    let mut texts = Vec::new();
    let last = loop {
        let sent = reader.next().await.expect("more");
        match sent.kind.as_str() {
            "events" => texts.push(text(&sent.data).to_owned()),
            "end" => break sent,
            other => panic!("{other}"),
        }
    };
    assert_eq!(texts, ["message 3", "message 4", "message 5"]);
    assert!(last.id.is_some_and(|id| id.ends_with(";main:10")));
    assert!(reader.next().await.is_none(), "the end is the end");
}

#[tokio::test]
async fn a_replay_goes_on_behind_the_last_id_and_steps_one_at_a_time() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    for n in 0..4 {
        ana.say(&session, &format!("message {n}")).await;
    }
    let path = format!("/sessions/{session}/replay?limit=1&speed=16&after=4");
    let (mut last, mut texts) = (None::<String>, Vec::new());
    loop {
        let mut reader = Reader::of(&ana, &path, last.as_deref()).await;
        let mut shown = 0;
        while let Some(sent) = reader.next().await {
            assert!(sent.kind != "snapshot" || last.is_none(), "who goes on has the state");
            if sent.kind == "events" {
                shown += 1;
                texts.push(text(&sent.data).to_owned());
                last = sent.id;
            }
        }
        if shown == 0 {
            break;
        }
        assert_eq!(shown, 1);
    }
    assert_eq!(texts, ["message 0", "message 1", "message 2", "message 3"]);
}

#[tokio::test]
async fn the_state_at_a_seq_and_at_a_time_is_told_with_its_hash() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    ana.say(&session, "one").await;
    let then = ana.get(&format!("/sessions/{session}/state")).await.ok();
    ana.say(&session, "two").await;
    let now = ana.get(&format!("/sessions/{session}/state")).await.ok();
    let at = ana.get(&format!("/sessions/{session}/state?at=5")).await.ok();
    assert_eq!((&at["hash"], &at["view"], &at["at"]), (&then["hash"], &then["view"], &json!({"main": 5})));
    assert_ne!(at["hash"], now["hash"]);
    let time = at["time"].as_str().expect("a time");
    let by_time = ana.get(&format!("/sessions/{session}/state?time={time}")).await.ok();
    assert!(by_time["at"]["main"].as_u64() >= Some(5));
    let before = ana.get(&format!("/sessions/{session}/state?time=2020-01-01T00:00:00Z")).await.ok();
    assert_eq!((&before["time"], &before["view"]["session"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn what_a_replay_cannot_be_is_refused_by_name() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}/replay");
    for query in [
        "speed=0.1",
        "speed=17",
        "speed=fast",
        "max_gap_ms=3600001",
        "limit=0",
        "streams=tv",
        "after=-1",
        "after=1&time=2026-01-01T00:00:00Z",
    ] {
        ana.get(&format!("{path}?{query}")).await.problem("invalid_field");
    }
    ana.get(&format!("{path}?loud=1")).await.problem("unknown_field");
    let call = ana.call(Method::GET, &path).header("last-event-id", "another000000;main:3");
    crate::support::Answer::of(call).await.problem("invalid_field");
    let ben = server.person("Ben").await;
    for tail in ["replay", "state", "timeline"] {
        ben.get(&format!("/sessions/{session}/{tail}")).await.problem("not_found");
        server.stranger().get(&format!("/sessions/{session}/{tail}")).await.problem("not_logged_in");
    }
}

#[tokio::test]
async fn a_session_that_is_not_recorded_says_so() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    ana.patch(&format!("/sessions/{session}"), json!({"settings": {"recording": false}})).await.ok();
    for tail in ["replay", "state", "timeline"] {
        ana.get(&format!("/sessions/{session}/{tail}")).await.problem("not_recorded");
    }
    ana.patch(&format!("/sessions/{session}"), json!({"settings": {"recording": true}})).await.ok();
    let timeline = ana.get(&format!("/sessions/{session}/timeline")).await.ok();
    assert_eq!(timeline["markers"][0]["kind"], "participant.joined");
}
