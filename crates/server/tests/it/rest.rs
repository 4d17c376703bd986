//! What REST does when all is well.

use axum::extract::State;
use axum::response::IntoResponse;
use reqwest::Method;
use roundtable_server::routes::meta;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer, eventually_async};

#[tokio::test]
async fn a_guest_has_a_name_a_token_and_a_cookie() {
    let server = TestServer::start().await;
    let answer = server.stranger().post("/guests", json!({"display_name": "  Ana   Maria "})).await;
    let made = answer.created();
    assert_eq!(made["user"]["display_name"], "Ana Maria");
    assert_eq!(made["user"]["guest"], false);
    let cookie = answer.header("set-cookie");
    let token = made["token"].as_str().expect("a token");
    assert_eq!(token.len(), 43, "256 bits as base64url");
    assert!(cookie.starts_with(&format!("roundtable={token}; Path=/; ")), "{cookie}");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && !cookie.contains("Secure"), "{cookie}");
    let stranger = server.stranger();
    let me =
        Answer::of(stranger.call(Method::GET, "/me").header("cookie", format!("a=b; roundtable={token}"))).await.ok();
    assert_eq!(me["user"]["id"], made["user"]["id"]);
    assert_eq!(me["can_host"], true);
    assert_eq!(me["only_this_device"], true);
    assert_eq!(me["assistant"], "guide");
}

#[tokio::test]
async fn logging_out_ends_the_login() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    ana.get("/me").await.ok();
    let answer = ana.delete("/me").await;
    answer.no_content();
    assert!(answer.header("set-cookie").starts_with("roundtable=; Path=/; Max-Age=0"));
    ana.get("/me").await.problem("not_logged_in");
}

#[tokio::test]
async fn a_session_is_made_active_and_owned() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let body = json!({
        "title": "Plan", "kind": "single", "visibility": "link", "description": "d", "tags": ["a", "b"],
        "category": "work", "settings": {"max_participants": 5, "respond": "mention"},
    });
    let session = ana.post("/sessions", body).await.created();
    assert_eq!(session["owner_id"].as_str(), Some(ana.user.as_str()));
    assert_eq!(
        (&session["state"], &session["is_active"], &session["role"]),
        (&json!("active"), &json!(true), &json!("owner"))
    );
    assert_eq!(
        (&session["kind"], &session["visibility"], &session["tags"]),
        (&json!("single"), &json!("link"), &json!(["a", "b"]))
    );
    assert_eq!(session["settings"]["max_participants"], 5);
    assert_eq!(session["settings"]["assistant"], "guide");
    assert_eq!(session["participant_count"], 1);
    for field in [
        "id",
        "project_id",
        "conversation_id",
        "created_at",
        "updated_at",
        "started_at",
        "expires_at",
        "ended_at",
        "event_count",
    ] {
        assert!(session.get(field).is_some(), "{field}");
    }
    let path = format!("/sessions/{}", session["id"].as_str().expect("an id"));
    let again = ana.get(&path).await.ok();
    assert_eq!(again["id"], session["id"]);
}

#[tokio::test]
async fn a_session_goes_through_its_states() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let session = ana.post("/sessions", json!({"start": false})).await.created();
    assert_eq!((&session["state"], session["started_at"].is_null()), (&json!("created"), true));
    let path = format!("/sessions/{}", session["id"].as_str().expect("an id"));
    ana.post(&format!("{path}/messages"), json!({"text": "too early"})).await.problem("session_not_active");
    assert_eq!(ana.post(&format!("{path}/start"), json!({})).await.ok()["state"], "active");
    ana.post(&format!("{path}/start"), json!({})).await.problem("illegal_transition");
    let ended = ana.post(&format!("{path}/end"), json!({"reason": "done"})).await.ok();
    assert_eq!((&ended["state"], &ended["is_active"]), (&json!("completed"), &json!(false)));
    ana.post(&format!("{path}/end"), json!({})).await.problem("illegal_transition");
    ana.post(&format!("{path}/messages"), json!({"text": "too late"})).await.problem("session_not_active");
    let other = format!("/sessions/{}", ana.session().await);
    let call = ana.call(Method::POST, &format!("{other}/terminate"));
    assert_eq!(Answer::of(call).await.ok()["state"], "terminated", "also without a body");
}

#[tokio::test]
async fn a_change_changes_what_it_names() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}");
    let body = json!({"title": "Other", "tags": ["x"], "settings": {"allow_join": false, "max_participants": 3}});
    let changed = ana.patch(&path, body.clone()).await.ok();
    assert_eq!((&changed["title"], &changed["tags"]), (&json!("Other"), &json!(["x"])));
    assert_eq!(
        (&changed["settings"]["allow_join"], &changed["settings"]["max_participants"]),
        (&json!(false), &json!(3))
    );
    assert_eq!(changed["settings"]["respond"], "manual", "what is absent stays");
    ana.patch(&path, body).await.ok();
    let lifted = ana.patch(&path, json!({"settings": {"max_participants": null}})).await.ok();
    assert_eq!(lifted["settings"]["max_participants"], Value::Null);
}

#[tokio::test]
async fn own_sessions_are_listed_in_pages() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(ana.session().await);
    }
    server.person("Ben").await.session().await;
    let mut listed: Vec<String> = Vec::new();
    let mut page = String::new();
    loop {
        let answer = ana.get(&format!("/sessions?limit=2{page}")).await.ok();
        let items = answer["items"].as_array().expect("items");
        assert!(items.len() <= 2);
        listed.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
        let Some(next) = answer["next"].as_str() else { break };
        page = format!("&page={next}");
    }
    listed.sort();
    made.sort();
    assert_eq!(listed, made);
}

#[tokio::test]
async fn a_message_is_posted_edited_and_erased() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let event = ana.say(&session, "a canary sings").await;
    assert_eq!((&event["kind"], &event["stream"]), (&json!("message.posted"), &json!("main")));
    assert_eq!(event["data"]["text"], "a canary sings");
    let path = format!("/sessions/{session}/messages/{}", event["id"].as_str().expect("an id"));
    let edited = ana.patch(&path, json!({"text": "a canary rests"})).await.ok();
    assert_eq!((&edited["kind"], &edited["data"]["text"]), (&json!("message.edited"), &json!("a canary rests")));
    ana.delete(&path).await.no_content();
    let text = serde_json::to_string(&ana.events(&session, "main").await).expect("JSON");
    assert!(!text.contains("canary"), "{text}");
    ana.patch(&path, json!({"text": "back"})).await.problem("message_is_redacted");
}

#[tokio::test]
async fn side_chat_is_a_stream_of_its_own() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let body = json!({"text": "psst", "stream": "side"});
    let event = ana.post(&format!("/sessions/{session}/messages"), body).await.created();
    assert_eq!((&event["stream"], &event["seq"]), (&json!("side"), &json!(1)));
    assert_eq!(ana.events(&session, "side").await, [event]);
}

#[tokio::test]
async fn any_command_can_be_given_over_rest() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let message = ana.say(&session, "we do it").await["id"].clone();
    let path = format!("/sessions/{session}/commands");
    let accepted = ana.post(&path, json!({"name": "decision.record", "data": {"message": message}})).await.created();
    assert_eq!((&accepted["stream"], &accepted["duplicate"]), (&json!("main"), &json!(false)));
    let last = ana.events(&session, "main").await.pop().expect("an event");
    assert_eq!(
        (&last["kind"], &last["id"], &last["seq"]),
        (&json!("decision.recorded"), &accepted["id"], &accepted["seq"])
    );
}

#[tokio::test]
async fn figures_count_sessions_events_and_people() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    ana.session().await;
    ana.post(&format!("/sessions/{session}/end"), json!({})).await.ok();
    eventually_async("the archive", async || {
        // Two births of four events; one end with its checkpoint, its report and its archive.
        server.stranger().get("/stats").await.ok()["total_events"] == 12
    })
    .await;
    let figures = server.stranger().get("/stats").await.ok();
    assert_eq!((&figures["total_sessions"], &figures["active_sessions"]), (&json!(2), &json!(1)));
    assert_eq!(figures["users_in_sessions"], 0);
}

#[tokio::test]
async fn a_deleted_session_is_gone() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let link = ana.link(&session, json!({})).await;
    ana.delete(&format!("/sessions/{session}")).await.no_content();
    ana.get(&format!("/sessions/{session}")).await.problem("not_found");
    server.stranger().post("/join", json!({"link": link, "display_name": "Ben"})).await.problem("link_not_found");
    assert_eq!(ana.get("/sessions").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn the_server_says_that_it_is_up_and_ready() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    for path in ["/healthz", "/readyz"] {
        let answer = Answer::of(stranger.http.get(format!("{}{path}", server.base)).header("host", "balancer")).await;
        assert_eq!(answer.status, 200, "{path}, by any name");
    }
}

#[tokio::test]
async fn the_server_is_not_ready_while_its_store_fails_or_it_leaves() {
    let server = TestServer::start().await;
    let app = server.server.app().clone();
    app.store.close().await.expect("closed");
    let answer = Answer::of(server.stranger().http.get(format!("{}/readyz", server.base))).await;
    assert_eq!(answer.problem("unavailable")["status"], 503);
    // Connections end with the server, so whoever asks over one may get no answer at all.
    app.closing.cancel();
    let refused = meta::readyz(State(app)).await.expect_err("it leaves").into_response();
    assert_eq!(refused.status(), 503);
}

#[tokio::test]
async fn addresses_of_the_page_show_the_page_and_others_nothing() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    for path in ["/", "/join", "/s/01934b2e-5a00-7000-8000-000000000001"] {
        let answer = Answer::of(stranger.http.get(format!("{}{path}", server.base))).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, "text/html; charset=utf-8"),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert!(answer.header("content-security-policy").starts_with("default-src 'self'"));
        assert_eq!((answer.header("x-content-type-options"), answer.header("x-frame-options")), ("nosniff", "DENY"));
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
    for path in ["/wp-login.php", "/assets/none.js", "/api", "/api/v2/me"] {
        Answer::of(stranger.http.get(format!("{}{path}", server.base))).await.problem("not_found");
    }
}
