//! Share codes: what they open, for how long, and how fast they can be guessed.

use serde_json::{Value, json};

use crate::support::{Answer, Person, TestServer};

async fn code_of(person: &Person, session: &str) -> Value {
    person.get(&format!("/sessions/{session}")).await.ok()["share_code"].clone()
}

async fn join(server: &TestServer, code: &str) -> Answer {
    server.stranger().post("/join", json!({"code": code, "display_name": "Gus"})).await
}

#[tokio::test]
async fn a_code_lets_somebody_watch_however_it_is_typed() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let made = ana.post("/sessions", json!({"title": "Plan"})).await.created();
    let (session, code) = (made["id"].as_str().expect("an id"), made["share_code"].as_str().expect("a code"));
    assert!(code.len() == 6 && code.chars().all(|c| c.is_ascii_alphanumeric() && !"01IO".contains(c)), "{code}");
    assert_eq!(code_of(&ana, session).await, code);
    let typed = format!(" {}-{} ", code[..3].to_lowercase(), &code[3..]);
    let joined = join(&server, &typed).await.ok();
    assert_eq!((&joined["session_id"], &joined["participant"]["role"]), (&json!(session), &json!("viewer")));
    assert_eq!(joined["participant"]["guest"], true);
    let gus = Person { token: joined["token"].as_str().map(str::to_owned), ..server.stranger() };
    assert_eq!(code_of(&gus, session).await, Value::Null, "a viewer hands nothing on");
    gus.post(&format!("/sessions/{session}/code"), json!({})).await.problem("forbidden");
    let ben = server.person("Ben").await;
    let first = ben.post("/join", json!({"code": code})).await.ok();
    let again = ben.post("/join", json!({"code": code})).await.ok();
    assert_eq!(first["participant"]["id"], again["participant"]["id"]);
    assert_eq!(first["participant"]["display_name"], "Ben", "the login's name");
    ana.patch(
        &format!("/sessions/{session}/participants/{}", first["participant"]["id"].as_str().expect("an id")),
        json!({"role": "moderator"}),
    )
    .await
    .ok();
    assert_eq!(code_of(&ben, session).await, code, "a moderator manages links");
}

#[tokio::test]
async fn what_does_not_work_any_more_is_answered_like_what_never_did() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}");
    let refused = async |code: &str| {
        let answer = join(&server, code).await;
        let mut problem = answer.problem("code_not_found");
        problem["request_id"] = Value::Null;
        problem
    };
    let never = refused("222222").await;
    let first = code_of(&ana, &session).await;
    let second = ana.post(&format!("{path}/code"), json!({})).await.created()["share_code"].clone();
    assert_ne!(first, second);
    assert_eq!(refused(first.as_str().expect("a code")).await, never, "replaced");
    let second = second.as_str().expect("a code");
    ana.patch(&path, json!({"settings": {"allow_join": false}})).await.ok();
    assert_eq!(refused(second).await, never, "closed");
    ana.patch(&path, json!({"settings": {"allow_join": true}})).await.ok();
    join(&server, second).await.ok();
    ana.delete(&format!("{path}/code")).await.no_content();
    ana.delete(&format!("{path}/code")).await.no_content();
    assert_eq!(code_of(&ana, &session).await, Value::Null);
    assert_eq!(refused(second).await, never, "switched off");
    let third = ana.post(&format!("{path}/code"), json!({})).await.created()["share_code"].clone();
    ana.post(&format!("{path}/end"), json!({})).await.ok();
    assert_eq!(refused(third.as_str().expect("a code")).await, never, "ended");
    assert_eq!(code_of(&ana, &session).await, Value::Null);
    ana.post(&format!("{path}/code"), json!({})).await.problem("session_not_active");
}

#[tokio::test]
async fn a_code_begins_with_the_session_and_a_repeated_call_makes_no_second_one() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let made = ana.post("/sessions", json!({"start": false})).await.created();
    assert_eq!(made["share_code"], Value::Null);
    let path = format!("/sessions/{}", made["id"].as_str().expect("an id"));
    let started = ana.post(&format!("{path}/start"), json!({})).await.ok();
    assert!(started["share_code"].is_string());
    let again = async || {
        let call = ana.call(reqwest::Method::POST, &format!("{path}/code")).header("idempotency-key", "another one");
        Answer::of(call).await.created()["share_code"].clone()
    };
    assert_eq!(again().await, again().await);
}

#[tokio::test]
async fn a_full_session_says_so_to_who_has_its_code() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    ana.patch(&format!("/sessions/{session}"), json!({"settings": {"max_participants": 1}})).await.ok();
    join(&server, code_of(&ana, &session).await.as_str().expect("a code")).await.problem("session_full");
}

#[tokio::test]
async fn wrong_codes_are_counted_and_right_ones_are_not() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let code = code_of(&ana, &session).await;
    let code = code.as_str().expect("a code");
    for _ in 0..12 {
        join(&server, code).await.ok();
    }
    for _ in 0..10 {
        join(&server, "222222").await.problem("code_not_found");
    }
    let problem = join(&server, "nonsense").await.problem("rate_limited");
    assert!(problem["retry_after_ms"].as_u64().is_some_and(|ms| ms > 1000), "{problem}");
    join(&server, code).await.problem("rate_limited");
    let link = ana.link(&session, json!({})).await;
    server.stranger().post("/join", json!({"link": link, "display_name": "Gus"})).await.ok();
}

#[tokio::test]
async fn one_door_at_a_time() {
    let server = TestServer::start().await;
    for body in [json!({"display_name": "Gus"}), json!({"display_name": "Gus", "link": "x", "code": "222222"})] {
        let problem = server.stranger().post("/join", body).await.problem("invalid_field");
        assert_eq!(problem["errors"][0]["pointer"], "/link");
    }
}
