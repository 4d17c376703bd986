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
