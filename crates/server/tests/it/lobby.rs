//! The lobby over REST and sockets.

use serde_json::{Value, json};

use crate::support::{Answer, Socket, TestServer};

#[tokio::test]
async fn a_guest_knocks_waits_and_is_let_in() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}");
    ana.patch(&path, json!({"settings": {"require_approval": true}})).await.ok();
    let link = ana.link(&session, json!({"max_uses": 1})).await;
    let ben = server.person("Ben").await;
    let mut staff = Socket::join(&server, &ana, &session, &["main", "staff"]).await;
    let knocked = ben.post("/join", json!({"link": link})).await.ok();
    assert_eq!((&knocked["status"], knocked.get("participant")), (&json!("waiting"), None));
    let id = knocked["request"]["id"].as_str().expect("a request").to_owned();
    assert_eq!(ben.post("/join", json!({"link": link})).await.ok()["request"]["id"], json!(id), "once, though used up");
    assert_eq!(staff.event("participant.requested").await["data"]["request"]["display_name"], "Ben");

    ben.get(&path).await.problem("not_found");
    ben.get(&format!("{path}/requests")).await.problem("not_found");
    assert_eq!(ben.get(&format!("{path}/requests/mine")).await.ok()["status"], "waiting");
    let mut waiting = Socket::open(&server, &ben).await;
    let subscribed = waiting.subscribe(&session, &["main", "side"]).await;
    assert!(subscribed["streams"].as_array().expect("streams").iter().all(|s| s["mode"] == "waiting"), "{subscribed}");

    let listed = ana.get(&format!("{path}/requests")).await.ok();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    ana.say(&session, "before you came").await;
    let admitted = ana.post(&format!("{path}/requests/{id}/approve"), json!({})).await.ok();
    assert_eq!((&admitted["id"], &admitted["display_name"]), (&json!(id), &json!("Ben")));
    let access = waiting.until("access").await;
    assert_eq!((&access["reason"], &access["streams"]), (&json!("admitted"), &json!(["main", "side"])));
    waiting.subscribe(&session, &["main", "side"]).await;
    waiting.message("before you came").await;
    assert_eq!(ben.get(&format!("{path}/requests/mine")).await.ok()["status"], "joined");
    ana.post(&format!("{path}/requests/{id}/approve"), json!({})).await.problem("no_such_request");
}

#[tokio::test]
async fn a_guest_who_is_denied_learns_why_and_a_waiting_one_can_go() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}");
    ana.patch(&path, json!({"settings": {"require_approval": true}})).await.ok();
    let link = ana.link(&session, json!({})).await;
    let knock = async |name: &str| {
        let person = server.person(name).await;
        let knocked = person.post("/join", json!({"link": link})).await.ok();
        (person, knocked["request"]["id"].as_str().expect("a request").to_owned())
    };
    let (eve, id) = knock("Eve").await;
    ana.post(&format!("{path}/requests/{id}/deny"), json!({"reason": "not today"})).await.no_content();
    let answer = eve.get(&format!("{path}/requests/mine")).await.ok();
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("denied"), &json!("not today")));
    let problem = eve.post("/join", json!({"link": link})).await.problem("join_denied");
    assert_eq!(problem["detail"], "not today");
    let (gus, _) = knock("Gus").await;
    gus.delete(&format!("{path}/requests/mine")).await.no_content();
    gus.delete(&format!("{path}/requests/mine")).await.problem("not_found");
    assert_eq!(ana.get(&format!("{path}/requests")).await.ok()["items"], json!([]));
    let viewer = server.person("Vic").await;
    ana.patch(&path, json!({"settings": {"require_approval": false}})).await.ok();
    ana.let_in(&session, &viewer, "viewer").await;
    viewer.get(&format!("{path}/requests")).await.problem("forbidden");
    viewer.post(&format!("{path}/requests/{id}/approve"), json!({})).await.problem("forbidden");
}

#[tokio::test]
async fn whoever_lost_the_answer_knocks_with_the_same_key() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    ana.patch(&format!("/sessions/{session}"), json!({"settings": {"require_approval": true}})).await.ok();
    let link = ana.link(&session, json!({"max_uses": 1})).await;
    let knock = async || {
        let stranger = server.stranger();
        let call = stranger.call(reqwest::Method::POST, "/join").header("idempotency-key", "knock-1");
        Answer::of(call.json(&json!({"link": link, "display_name": "Gus"}))).await.ok()
    };
    let (first, second): (Value, Value) = (knock().await, knock().await);
    assert_eq!(first["request"], second["request"]);
    assert!(first["token"].is_string() && second.get("token").is_none(), "a secret is shown once");
}
