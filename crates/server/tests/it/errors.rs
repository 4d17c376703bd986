//! What REST answers when something is wrong: one shape, a stable code, the place.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer};

fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().into_iter().flatten().filter_map(|error| error["pointer"].as_str()).collect()
}

#[tokio::test]
async fn a_wrong_body_is_told_by_code_and_place() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}/messages");
    let raw = async |body: String| {
        let call = ana.call(Method::POST, &path).header("content-type", "application/json; charset=utf-8").body(body);
        Answer::of(call).await
    };
    raw("{\"text\":".to_owned()).await.problem("malformed_json");
    raw("\u{feff}{}".to_owned()).await.problem("malformed_json");
    raw(format!("{}{}", "[".repeat(33), "]".repeat(33))).await.problem("malformed_json");
    raw("[".repeat(500_000)).await.problem("malformed_json");
    assert_eq!(pointers(&raw("{\"text\":7}".to_owned()).await.problem("invalid_field")), ["/text"]);
    assert_eq!(pointers(&raw("{}".to_owned()).await.problem("text_empty")), ["/text"]);
    assert_eq!(pointers(&raw("{\"text\":\"x\",\"colour\":1}".to_owned()).await.problem("unknown_field")), ["/colour"]);
    assert_eq!(
        pointers(&raw("{\"text\":\"x\",\"stream\":\"tv\"}".to_owned()).await.problem("invalid_field")),
        ["/stream"]
    );
    assert_eq!(
        pointers(&raw("{\"text\":\"x\",\"mentions\":[\"y\"]}".to_owned()).await.problem("invalid_field")),
        ["/mentions/0"]
    );
    raw("{\"text\":\"  \"}".to_owned()).await.problem("text_empty");
    raw(json!({"text": "x".repeat(64 * 1024 + 1)}).to_string()).await.problem("message_too_long");
    raw(json!({"text": "x".repeat(1024 * 1024)}).to_string()).await.problem("body_too_large");
    raw(json!({"text": "x".repeat(64 * 1024)}).to_string()).await.created();
}

#[tokio::test]
async fn a_body_is_json_or_nothing() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    let body = "{\"display_name\":\"Ana\"}";
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let call = stranger.call(Method::POST, "/guests").header("content-type", content_type).body(body);
        Answer::of(call).await.problem("unsupported_media_type");
    }
    Answer::of(stranger.call(Method::POST, "/guests").body(body)).await.problem("unsupported_media_type");
}

#[tokio::test]
async fn a_field_of_a_command_is_pointed_at() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}/commands");
    let problem = ana.post(&path, json!({"name": "message.post", "data": {"text": []}})).await.problem("invalid_field");
    assert_eq!(pointers(&problem), ["/data/text"]);
    for name in ["session.destroy", "turn.complete", "participant.join"] {
        ana.post(&path, json!({"name": name})).await.problem("unknown_command");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    let nowhere = "01934b2e-5a00-7000-8000-000000000001";
    let forbidden = ben.get(&format!("/sessions/{session}")).await.problem("not_found");
    let absent = ben.get(&format!("/sessions/{nowhere}")).await.problem("not_found");
    for field in ["title", "detail", "status", "code", "retryable"] {
        assert_eq!(forbidden[field], absent[field], "an absent session and a closed one look alike");
    }
    ben.get("/sessions/no-uuid").await.problem("not_found");
    ana.get("/nowhere").await.problem("not_found");
    ana.get(&format!("/sessions/{session}/pages/99")).await.problem("not_found");
    ana.delete(&format!("/sessions/{session}/messages/{nowhere}")).await.problem("no_such_message");
    ana.delete(&format!("/sessions/{session}/links/{nowhere}")).await.problem("link_not_found");
    let change = ana.patch(&format!("/sessions/{session}/participants/{nowhere}"), json!({"role": "viewer"})).await;
    change.problem("no_such_participant");
}

#[tokio::test]
async fn a_wrong_method_says_which_are_right() {
    let server = TestServer::start().await;
    let answer = Answer::of(server.stranger().call(Method::PUT, "/me").json(&json!({}))).await;
    answer.problem("method_not_allowed");
    let allowed = answer.header("allow");
    assert!(allowed.contains("GET") && allowed.contains("DELETE"), "{allowed}");
    let answer = Answer::of(server.stranger().http.post(format!("{}/", server.base))).await;
    answer.problem("method_not_allowed");
}

#[tokio::test]
async fn a_wrong_query_is_told_by_its_name() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let problem = ana.get("/sessions?limit=many").await.problem("invalid_field");
    assert_eq!(pointers(&problem), ["/limit"]);
    assert_eq!(pointers(&ana.get("/sessions?page=zzz").await.problem("invalid_field")), ["/page"]);
    ana.get("/sessions?order=up").await.problem("unknown_field");
    let problem = ana.get(&format!("/sessions/{session}/events?stream=tv")).await.problem("invalid_field");
    assert!(problem["detail"].as_str().expect("text").contains("tv"), "{problem}");
}

#[tokio::test]
async fn names_are_checked_before_they_are_kept() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    for name in ["", "   ", "a\u{202e}b", "a\u{0}b", &"x".repeat(41)] {
        let problem = stranger.post("/guests", json!({"display_name": name})).await.problem("invalid_field");
        assert_eq!(pointers(&problem), ["/display_name"], "{name:?}");
    }
}

#[tokio::test]
async fn a_login_that_is_none_is_refused() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    let answer = stranger.get("/me").await;
    answer.problem("not_logged_in");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    for value in ["Bearer", "Bearer x", "Basic eDp5", "\u{7f}"] {
        let Ok(value) = reqwest::header::HeaderValue::from_str(value) else { continue };
        Answer::of(stranger.call(Method::GET, "/me").header("authorization", value)).await.problem("not_logged_in");
    }
    stranger.post("/sessions", json!({})).await.problem("not_logged_in");
}
