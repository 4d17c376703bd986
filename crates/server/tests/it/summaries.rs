//! What an ended session came to, in words.

use serde_json::{Value, json};

use crate::support::{Model, Person, TestServer, assert_nowhere, eventually_async};

/// Waits until the words are there; returns them.
async fn words(person: &Person, session: &str) -> Value {
    let report = format!("/sessions/{session}/report");
    eventually_async("the session is put in words", async || !person.get(&report).await.ok()["summary"].is_null())
        .await;
    person.get(&report).await.ok()["summary"].clone()
}

/// Waits until everything that follows an end is done.
async fn archived(owner: &Person, session: &str) {
    let is = async || owner.events(session, "staff").await.iter().any(|event| event["kind"] == "session.archived");
    eventually_async("the session is archived", is).await;
}

#[tokio::test]
async fn the_guide_puts_the_figures_of_an_ended_session_into_sentences() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let (ben, eve) = (server.person("Ben").await, server.person("Eve").await);
    ana.let_in(&session, &ben, "collaborator").await;
    ana.let_in(&session, &eve, "viewer").await;
    let at = |what: &str| format!("/sessions/{session}/{what}");
    ana.post(&at("messages"), json!({"text": "oak", "ask": false})).await.created();
    let said = ben.post(&at("messages"), json!({"text": "agreed", "ask": false})).await.created();
    ana.post(&at("report/summary"), json!({})).await.problem("illegal_transition");
    assert_eq!(ana.get(&at("report")).await.ok()["summary"], Value::Null);
    ana.post(&at("end"), json!({})).await.ok();

    eve.post(&at("report/summary"), json!({})).await.problem("forbidden");
    let by_itself = words(&eve, &session).await;
    let made = ben.post(&at("report/summary"), json!({})).await.ok();
    let (summary, failed) = (&made["summary"], &made["failed"]);
    assert_eq!((&summary["by_rules"], failed), (&json!(true), &Value::Null));
    assert_eq!(summary["label"], "Guide - not an AI model");
    let text = summary["text"].as_str().expect("words");
    assert!(text.starts_with("Ana and Ben wrote 2 messages in less than a minute."), "{text}");
    assert_eq!(&by_itself, summary, "whoever reads the report reads it, and nobody had to ask");

    // What is erased is erased from here too.
    ana.delete(&at(&format!("messages/{}", said["id"].as_str().expect("an id")))).await;
    assert_eq!(ana.get(&at("report")).await.ok()["summary"], Value::Null);
}

#[tokio::test]
async fn a_model_is_asked_once_and_told_what_stands_in_main_only() {
    let mut model = Model::start(&["Oak was ", "chosen."], false).await;
    let server = TestServer::start_with(&[("model.url", &model.url), ("model.name", "test-model")]).await;
    let (ana, session) = server.session().await;
    let at = |what: &str| format!("/sessions/{session}/{what}");
    ana.post(&at("messages"), json!({"text": "canary-main", "ask": false})).await.created();
    ana.post(&at("messages"), json!({"text": "canary-side", "stream": "side"})).await.created();
    let gone = ana.post(&at("messages"), json!({"text": "canary-erased", "ask": false})).await.created();
    ana.delete(&at(&format!("messages/{}", gone["id"].as_str().expect("an id")))).await;
    ana.post(&at("end"), json!({})).await.ok();

    let summary = words(&ana, &session).await;
    assert_eq!((&summary["text"], &summary["by_rules"]), (&json!("Oak was chosen."), &json!(false)));
    assert_eq!(summary["label"], "test-model");
    let asked = model.asked().await;
    assert!(asked.contains("canary-main") && asked.contains("Summarise"), "{asked}");
    assert!(!asked.contains("canary-side") && !asked.contains("canary-erased"), "{asked}");
    assert_eq!(ana.post(&at("report/summary"), json!({})).await.ok()["summary"], summary);
    assert!(model.was_not_asked(), "the words are kept");
}

#[tokio::test]
async fn the_words_outlive_the_server_and_go_from_the_disk_with_an_erased_message() {
    let mut model = Model::start(&["canary-summary ", "chosen."], false).await;
    let settings = [("model.url", model.url.clone()), ("model.name", "test-model".to_owned())];
    let settings: Vec<(&'static str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = TestServer::start_with(&settings).await;
    let (ana, session) = server.session().await;
    let said = ana.say(&session, "oak").await;
    ana.post(&format!("/sessions/{session}/end"), json!({})).await.ok();
    let summary = words(&ana, &session).await;
    model.asked().await;
    archived(&ana, &session).await;
    let data = server.stop().await;
    let server = TestServer::start_in(data, &settings).await;
    let ana = Person { base: server.base.clone(), ..ana };
    let report = format!("/sessions/{session}/report");
    assert_eq!(ana.get(&report).await.ok()["summary"], summary, "kept over the restart");
    assert!(model.was_not_asked());
    ana.delete(&format!("/sessions/{session}/messages/{}", said["id"].as_str().expect("an id"))).await.no_content();
    assert_eq!(ana.get(&report).await.ok()["summary"], Value::Null);
    let data = server.stop().await;
    assert_nowhere(data.path(), "canary-summary");
}

#[tokio::test]
async fn the_end_waits_for_no_words() {
    let mut model = Model::start(&["at last"], true).await;
    let server = TestServer::start_with(&[("model.url", &model.url), ("model.name", "slow")]).await;
    let (ana, session) = server.session().await;
    ana.post(&format!("/sessions/{session}/messages"), json!({"text": "oak", "ask": false})).await.created();
    ana.post(&format!("/sessions/{session}/end"), json!({})).await.ok();
    model.asked().await;
    let report = ana.get(&format!("/sessions/{session}/report")).await.ok();
    assert_eq!((&report["is_final"], &report["summary"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn a_session_that_is_not_recorded_is_not_put_in_words_by_itself() {
    let mut model = Model::start(&["no"], false).await;
    let server = TestServer::start_with(&[("model.url", &model.url), ("model.name", "m")]).await;
    let (ana, session) = server.session().await;
    ana.patch(&format!("/sessions/{session}"), json!({"settings": {"recording": false}})).await.ok();
    ana.post(&format!("/sessions/{session}/messages"), json!({"text": "oak", "ask": false})).await.created();
    ana.post(&format!("/sessions/{session}/end"), json!({})).await.ok();
    archived(&ana, &session).await;
    assert_eq!(ana.get(&format!("/sessions/{session}/report")).await.ok()["summary"], Value::Null);
    assert!(model.was_not_asked());
}

#[tokio::test]
async fn a_report_is_whole_without_words_when_the_assistant_fails() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    drop(listener);
    let server = TestServer::start_with(&[("model.url", &url), ("model.name", "m")]).await;
    let (ana, session) = server.session().await;
    let at = |what: &str| format!("/sessions/{session}/{what}");
    ana.post(&at("messages"), json!({"text": "anybody?", "ask": false})).await.created();
    ana.post(&at("end"), json!({})).await.ok();
    let made = ana.post(&at("report/summary"), json!({})).await.ok();
    assert_eq!((&made["summary"], &made["failed"]["code"]), (&Value::Null, &json!("model_unreachable")));
    let report = ana.get(&at("report")).await.ok();
    assert_eq!((&report["summary"], &report["report"]["messages"]), (&Value::Null, &json!(1)));
}
