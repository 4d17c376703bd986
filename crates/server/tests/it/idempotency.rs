//! The same call with the same key is done once.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, TestServer};

async fn keyed(person: &Person, path: &str, key: &str, body: Value) -> Answer {
    Answer::of(person.call(Method::POST, path).header("idempotency-key", key).json(&body)).await
}

#[tokio::test]
async fn a_message_is_posted_once() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}/messages");
    let key = roundtable_hub::clock::new_key().to_string();
    let first = keyed(&ana, &path, &key, json!({"text": "once"})).await.created();
    let second = keyed(&ana, &path, &key, json!({"text": "once"})).await.created();
    assert_eq!(first, second);
    assert_eq!(first["id"], key, "the key of the command is the id of the event");
    keyed(&ana, &path, &key, json!({"text": "twice"})).await.problem("key_reused");
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    keyed(&ben, &path, &key, json!({"text": "once"})).await.problem("key_reused");
    let posted = ana.events(&session, "main").await.iter().filter(|event| event["kind"] == "message.posted").count();
    assert_eq!(posted, 1);
}

#[tokio::test]
async fn another_string_only_deduplicates() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}/messages");
    let first = keyed(&ana, &path, "order 7", json!({"text": "once"})).await.created();
    let second = keyed(&ana, &path, "order 7", json!({"text": "once"})).await.created();
    assert_eq!(first["seq"], second["seq"]);
    for key in ["", "a\u{e9}", &"x".repeat(201)] {
        let call = ana.call(Method::POST, &path).header("idempotency-key", key.as_bytes()).json(&json!({"text": "x"}));
        Answer::of(call).await.problem("invalid_key");
    }
}

#[tokio::test]
async fn a_session_is_made_once() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let key = roundtable_hub::clock::new_key().to_string();
    let first = keyed(&ana, "/sessions", &key, json!({"title": "Plan"})).await.created();
    let second = keyed(&ana, "/sessions", &key, json!({"title": "Plan"})).await.created();
    assert_eq!(first["id"], second["id"]);
    assert_eq!(ana.get("/sessions").await.ok()["items"].as_array().map(Vec::len), Some(1));
    for other in [json!({"title": "Another"}), json!({}), json!({"title": "Plan", "start": false})] {
        keyed(&ana, "/sessions", &key, other).await.problem("key_reused");
    }
    let ben = server.person("Ben").await;
    keyed(&ben, "/sessions", &key, json!({"title": "Plan"})).await.problem("key_reused");
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}/links");
    let first = keyed(&ana, &path, "k", json!({"role": "viewer"})).await.created();
    let second = keyed(&ana, &path, "k", json!({"role": "viewer"})).await.created();
    assert_eq!(first["id"], second["id"]);
    assert!(first["token"].is_string() && first["url"].is_string());
    assert!(second.get("token").is_none() && second.get("url").is_none(), "{second}");
    keyed(&ana, &path, "k", json!({"role": "collaborator"})).await.problem("key_reused");

    let stranger = server.stranger();
    let first = keyed(&stranger, "/guests", "g", json!({"display_name": "Gus"})).await.created();
    let again = keyed(&stranger, "/guests", "g", json!({"display_name": "Gus"})).await;
    let second = again.created();
    assert_eq!(first["user"], second["user"]);
    assert!(first["token"].is_string() && second.get("token").is_none());
    assert_eq!(again.header("set-cookie"), "");
    keyed(&stranger, "/guests", "g", json!({"display_name": "Eve"})).await.problem("key_reused");
}

#[tokio::test]
async fn a_call_is_repeated_after_the_end_and_a_restart_and_gets_its_first_answer() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}");
    let key = roundtable_hub::clock::new_key().to_string();
    let post =
        async |ana: &Person, text: &str| keyed(ana, &format!("{path}/messages"), &key, json!({"text": text})).await;
    let link = async |ana: &Person| keyed(ana, &format!("{path}/links"), "link", json!({})).await.created();
    let rename = async |ana: &Person, title: &str| {
        let call = ana.call(Method::PATCH, &path).header("idempotency-key", "name").json(&json!({"title": title}));
        Answer::of(call).await
    };
    let end = async |ana: &Person| {
        let mut ended = keyed(ana, &format!("{path}/end"), "end", json!({"reason": "done"})).await.ok();
        // The archive is written after the end; it counts as an event, and as one that came later.
        for later in ["event_count", "updated_at"] {
            ended.as_object_mut().expect("a session").remove(later);
        }
        ended
    };
    let said = post(&ana, "once").await.created();
    let made = link(&ana).await;
    rename(&ana, "Renamed").await.ok();
    let ended = end(&ana).await;
    let events = ana.events(&session, "main").await;

    let server = TestServer::start_in(server.stop().await, &[]).await;
    let ana = Person { base: server.base.clone(), ..ana };
    assert_eq!(end(&ana).await, ended);
    assert_eq!(post(&ana, "once").await.created(), said);
    assert_eq!(link(&ana).await["id"], made["id"]);
    assert_eq!(rename(&ana, "Renamed").await.ok()["title"], "Renamed");
    post(&ana, "twice").await.problem("key_reused");
    rename(&ana, "Again").await.problem("key_reused");
    ana.post(&format!("{path}/messages"), json!({"text": "new"})).await.problem("session_not_active");
    ana.post(&format!("{path}/links"), json!({})).await.problem("session_not_active");
    assert_eq!(ana.events(&session, "main").await, events);
}

#[tokio::test]
async fn a_guest_who_joins_twice_with_one_key_is_one_guest() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let link = ana.link(&session, json!({})).await;
    let stranger = server.stranger();
    let key = roundtable_hub::clock::new_key().to_string();
    let body = json!({"link": link, "display_name": "Gus"});
    let first = keyed(&stranger, "/join", &key, body.clone()).await.ok();
    let second = keyed(&stranger, "/join", &key, body).await.ok();
    assert_eq!(first["participant"]["id"], second["participant"]["id"]);
    assert!(second.get("token").is_none());
    assert_eq!(ana.events(&session, "main").await.len(), 5);
}

#[tokio::test]
async fn a_repeated_join_does_not_use_its_link_up_twice() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let uses = async || ana.get(&format!("/sessions/{session}/links")).await.ok()["items"][0]["uses"].clone();
    let link = ana.link(&session, json!({"max_uses": 1, "password": "sesame"})).await;
    let stranger = server.stranger();
    let key = roundtable_hub::clock::new_key().to_string();
    let body = json!({"link": link, "display_name": "Gus", "password": "sesame"});
    let with = |field: &str, value: &str| {
        let mut body = body.clone();
        body[field] = json!(value);
        body
    };
    let first = keyed(&stranger, "/join", &key, body.clone()).await.ok();
    let second = keyed(&stranger, "/join", &key, body.clone()).await.ok();
    assert_eq!((&first["participant"]["id"], &first["user"]), (&second["participant"]["id"], &second["user"]));
    assert!(second.get("token").is_none(), "a secret is shown once");
    keyed(&stranger, "/join", &key, with("display_name", "Eve")).await.problem("key_reused");
    keyed(&stranger, "/join", &key, with("password", "guessed")).await.problem("link_password");
    stranger.post("/join", body.clone()).await.problem("link_ended");
    assert_eq!(uses().await, 1);
    let other = roundtable_hub::clock::new_key().to_string();
    keyed(&stranger, "/join", &other, body).await.problem("link_ended");
}
