//! Links, joining, participants.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, TestServer};

#[tokio::test]
async fn a_link_lets_a_guest_in_with_its_role() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let link = ana.post(&format!("/sessions/{session}/links"), json!({"role": "viewer"})).await.created();
    let token = link["token"].as_str().expect("a token");
    assert_eq!(token.len(), 22, "128 bits as base64url");
    assert_eq!(link["url"], format!("{}/join#{token}", server.base));
    let answer = server.stranger().post("/join", json!({"link": link["url"], "display_name": "Gus"})).await;
    let joined = answer.ok();
    assert_eq!((&joined["status"], &joined["session_id"]), (&json!("joined"), &json!(session)));
    assert_eq!((&joined["participant"]["role"], &joined["participant"]["guest"]), (&json!("viewer"), &json!(true)));
    assert_eq!(joined["user"]["guest"], true);
    assert!(answer.header("set-cookie").starts_with("roundtable="));
    let gus = Person { token: joined["token"].as_str().map(str::to_owned), ..server.stranger() };
    assert_eq!(gus.get(&format!("/sessions/{session}")).await.ok()["role"], "viewer");
    let listed = ana.get(&format!("/sessions/{session}/links")).await.ok();
    assert_eq!((&listed["items"][0]["uses"], &listed["items"][0]["is_live"]), (&json!(1), &json!(true)));
    assert!(listed["items"][0]["last_used_at"].is_string());
    assert!(!listed.to_string().contains(token), "a token is shown once");
}

#[tokio::test]
async fn the_usual_link_gives_collaborators_and_in_public_viewers() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    for (body, role) in [
        (json!({"kind": "collaborative"}), "collaborator"),
        (json!({"kind": "collaborative", "visibility": "public"}), "viewer"),
    ] {
        let session = ana.post("/sessions", body).await.created()["id"].as_str().expect("an id").to_owned();
        let link = Answer::of(ana.call(Method::POST, &format!("/sessions/{session}/links"))).await.created();
        assert_eq!(link["role"], role);
    }
}

#[tokio::test]
async fn a_link_gives_no_more_than_its_maker_has() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}/links");
    ana.post(&path, json!({"role": "owner"})).await.problem("above_your_role");
    let mod_ = server.person("Mo").await;
    ana.let_in(&session, &mod_, "moderator").await;
    mod_.post(&path, json!({"role": "moderator"})).await.created();
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    ben.post(&path, json!({"role": "viewer"})).await.problem("forbidden");
}

#[tokio::test]
async fn a_link_that_has_ended_says_nothing_of_its_session() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}/links");
    let join = async |link: &str| {
        let answer = server.stranger().post("/join", json!({"link": link, "display_name": "Gus"})).await;
        assert!(!answer.text.contains(&session) && !answer.text.contains("Plan"), "{}", answer.text);
        answer
    };
    join("nonsense").await.problem("link_not_found");
    join("").await.problem("link_not_found");
    let revoked = ana.post(&path, json!({})).await.created();
    ana.delete(&format!("{path}/{}", revoked["id"].as_str().expect("an id"))).await.no_content();
    assert_eq!(join(revoked["token"].as_str().expect("a token")).await.problem("link_ended")["status"], 410);
    let once = ana.link(&session, json!({"max_uses": 1})).await;
    join_ok(&server, &once).await;
    join(&once).await.problem("link_ended");
    let last = ana.link(&session, json!({})).await;
    ana.post(&format!("/sessions/{session}/end"), json!({})).await.ok();
    join(&last).await.problem("link_ended");
    ana.post(&path, json!({})).await.problem("session_not_active");
}

async fn join_ok(server: &TestServer, link: &str) -> Value {
    server.stranger().post("/join", json!({"link": link, "display_name": "Gus"})).await.ok()
}

#[tokio::test]
async fn a_link_is_checked_before_it_is_made() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}/links");
    for (body, pointer) in [
        (json!({"max_uses": 0}), "/max_uses"),
        (json!({"expires_at": "2020-01-01T00:00:00Z"}), "/expires_at"),
        (json!({"password": ""}), "/password"),
        (json!({"role": "king"}), "/role"),
    ] {
        let problem = ana.post(&path, body).await.problem("invalid_field");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
}

#[tokio::test]
async fn a_password_stands_before_the_door() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let link = ana.link(&session, json!({"password": "sesame"})).await;
    let join = async |password: Option<&str>| {
        let mut body = json!({"link": link, "display_name": "Gus"});
        if let Some(password) = password {
            body["password"] = json!(password);
        }
        server.stranger().post("/join", body).await
    };
    join(None).await.problem("link_password");
    join(Some("wrong")).await.problem("link_password");
    join(Some("sesame")).await.ok();
    assert_eq!(ana.get(&format!("/sessions/{session}/links")).await.ok()["items"][0]["uses"], 1);
    let mut last = join(Some("wrong")).await;
    for _ in 0..5 {
        last = join(Some("wrong")).await;
    }
    let problem = last.problem("rate_limited");
    assert!(problem["retry_after_ms"].as_u64().is_some_and(|ms| ms > 1000), "{problem}");
    assert!(!last.header("retry-after").is_empty());
}

#[tokio::test]
async fn whoever_is_in_comes_in_again_without_using_the_link() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let link = ana.link(&session, json!({"max_uses": 1})).await;
    let ben = server.person("Ben").await;
    let first = ben.post("/join", json!({"link": link})).await.ok();
    assert_eq!(first["participant"]["display_name"], "Ben", "the login's name");
    assert!(first.get("token").is_none(), "no second login");
    let second = ben.post("/join", json!({"link": link})).await.ok();
    assert_eq!(first["participant"]["id"], second["participant"]["id"]);
    assert_eq!(ana.events(&session, "main").await.len(), 5, "four of the birth, Ben once");
}

#[tokio::test]
async fn a_full_or_closed_session_uses_no_link_up() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}");
    let link = ana.link(&session, json!({"max_uses": 1})).await;
    let join = async || server.stranger().post("/join", json!({"link": link, "display_name": "Gus"})).await;
    ana.patch(&path, json!({"settings": {"max_participants": 1}})).await.ok();
    join().await.problem("session_full");
    ana.patch(&path, json!({"settings": {"max_participants": null, "allow_join": false}})).await.ok();
    join().await.problem("join_closed");
    ana.patch(&path, json!({"settings": {"allow_join": true}})).await.ok();
    join().await.ok();
}

#[tokio::test]
async fn joining_without_a_login_wants_a_name() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let link = ana.link(&session, json!({})).await;
    let problem = server.stranger().post("/join", json!({"link": link})).await.problem("invalid_field");
    assert_eq!(problem["errors"][0]["pointer"], "/display_name");
}

#[tokio::test]
async fn participants_are_listed_changed_and_sent_away() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    let id = ana.let_in(&session, &ben, "collaborator").await;
    let path = format!("/sessions/{session}/participants");
    let first = ana.get(&format!("{path}?limit=2")).await.ok();
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    let next = first["next"].as_str().expect("more");
    let rest = ana.get(&format!("{path}?limit=2&page={next}")).await.ok();
    assert_eq!((&rest["items"][0]["id"], &rest["next"]), (&json!(id), &Value::Null));
    let shown = &rest["items"][0];
    assert_eq!(
        (&shown["session_id"], &shown["user_id"], &shown["is_online"]),
        (&json!(session), &json!(ben.user), &json!(false))
    );
    for field in [
        "kind",
        "display_name",
        "colour",
        "joined_at",
        "last_active_at",
        "current_focus",
        "cursor_position",
        "settings",
    ] {
        assert!(shown.get(field).is_some(), "{field}");
    }
    let changed = ana.patch(&format!("{path}/{id}"), json!({"role": "viewer"})).await.ok();
    assert_eq!(changed["role"], "viewer");
    ana.delete(&format!("{path}/{id}")).await.no_content();
    ben.get(&format!("/sessions/{session}")).await.problem("not_found");
    assert_eq!(ana.get(&path).await.ok()["items"].as_array().map(Vec::len), Some(2));
    let kinds: Vec<Value> = ana.events(&session, "main").await.iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds[4..], ["participant.joined", "participant.role_changed", "participant.removed"]);
}

#[tokio::test]
async fn deleting_oneself_is_leaving() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    let id = ana.let_in(&session, &ben, "viewer").await;
    ben.delete(&format!("/sessions/{session}/participants/{id}")).await.no_content();
    let last = ana.events(&session, "main").await.pop().expect("an event");
    assert_eq!(last["kind"], "participant.left");
    let own = ana.get(&format!("/sessions/{session}/participants")).await.ok()["items"][0]["id"].clone();
    let path = format!("/sessions/{session}/participants/{}", own.as_str().expect("an id"));
    ana.delete(&path).await.no_content();
    let last = ana.events(&session, "main").await.pop().expect("an event");
    assert_eq!(last["kind"], "session.detached", "nobody is there to follow: the owner stays the owner");
    ana.post(&format!("/sessions/{session}/end"), json!({})).await.ok();
    ana.delete(&path).await.problem("owner_must_stay");
}
