//! A session's life over REST.

use serde_json::json;

use crate::support::{Socket, TestServer, eventually_async};

#[tokio::test]
async fn a_session_is_paused_resumed_detached_and_ended_and_illegal_moves_are_409() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let at = |what: &str| format!("/sessions/{session}/{what}");
    let paused = ana.post(&at("pause"), json!({"reason": "lunch"})).await.ok();
    assert_eq!((&paused["state"], &paused["is_active"]), (&json!("paused"), &json!(true)));
    for illegal in ["pause", "start"] {
        let problem = ana.post(&at(illegal), json!({})).await.problem("illegal_transition");
        assert_eq!(problem["status"], 409);
    }
    ana.say(&session, "people may talk").await;
    assert_eq!(ana.post(&at("resume"), json!({})).await.ok()["state"], "active");
    ana.post(&at("resume"), json!({})).await.problem("illegal_transition");
    let detached = ana.post(&at("detach"), json!({})).await.ok();
    assert!(detached["detached_at"].is_string());
    assert_eq!(ana.get("/sessions?detached=true").await.ok()["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(ana.post(&at("end"), json!({"pending": "finish"})).await.ok()["state"], "completed");
    assert_eq!(ana.get("/sessions?detached=true").await.ok()["items"].as_array().map(Vec::len), Some(0));
    for illegal in ["pause", "resume", "end", "terminate", "start"] {
        ana.post(&at(illegal), json!({})).await.problem("illegal_transition");
    }
    ana.post(&at("detach"), json!({})).await.problem("session_not_active");
    let kinds: Vec<_> = ana.events(&session, "main").await.iter().map(|e| e["kind"].clone()).collect();
    for kind in ["session.paused", "session.resumed", "session.detached", "session.ended"] {
        assert!(kinds.contains(&json!(kind)), "{kind}");
    }
}

#[tokio::test]
async fn a_session_is_not_resumed_while_its_assistant_cannot_be_reached() {
    // Bound and given back: nobody listens there now.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    drop(listener);
    let server = TestServer::start_with(&[("model.url", &url), ("model.name", "m")]).await;
    let (ana, session) = server.session().await;
    let at = |what: &str| format!("/sessions/{session}/{what}");
    ana.post(&at("pause"), json!({})).await.ok();
    ana.post(&at("resume"), json!({})).await.problem("cannot_resume");
    let command = json!({"name": "session.resume", "data": {}});
    ana.post(&at("commands"), command).await.problem("cannot_resume");
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    let refused = socket.command(&session, "session.resume", json!({})).await;
    assert_eq!(refused["problem"]["code"], "cannot_resume", "{refused}");
    ana.patch(&format!("/sessions/{session}"), json!({"settings": {"assistant": "guide"}})).await.ok();
    assert_eq!(ana.post(&at("resume"), json!({})).await.ok()["state"], "active");
}

#[tokio::test]
async fn only_those_who_may_move_a_session() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let (ben, eve) = (server.person("Ben").await, server.person("Eve").await);
    ana.let_in(&session, &ben, "moderator").await;
    ana.let_in(&session, &eve, "collaborator").await;
    let at = |what: &str| format!("/sessions/{session}/{what}");
    eve.post(&at("pause"), json!({})).await.problem("forbidden");
    ben.post(&at("pause"), json!({})).await.ok();
    eve.post(&at("resume"), json!({})).await.problem("forbidden");
    ben.post(&at("resume"), json!({})).await.ok();
    ben.post(&at("detach"), json!({})).await.problem("forbidden");
    server.person("Cyd").await.post(&at("pause"), json!({})).await.problem("not_found");
    server.person("Cyd").await.get(&at("health")).await.problem("not_found");
}

#[tokio::test]
async fn an_expiry_is_moved_and_lifted() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}");
    let moved = ana.patch(&path, json!({"expires_at": "2999-01-01T00:00:00Z"})).await.ok();
    assert_eq!(moved["expires_at"], "2999-01-01T00:00:00Z");
    assert_eq!(ana.patch(&path, json!({"title": "Other"})).await.ok()["expires_at"], "2999-01-01T00:00:00Z");
    assert_eq!(ana.patch(&path, json!({"expires_at": null})).await.ok()["expires_at"], json!(null));
    ana.patch(&path, json!({"expires_at": "2001-01-01T00:00:00Z"})).await.problem("invalid_field");
}

#[tokio::test]
async fn a_time_limit_ends_a_session_by_itself_and_is_warned_of() {
    let server = TestServer::start_with(&[("limits.requests_per_second", "0")]).await;
    let (ana, session) = server.session().await;
    ana.patch(&format!("/sessions/{session}"), json!({"settings": {"time_limit_s": 2}})).await.ok();
    eventually_async("the end", async || ana.get(&format!("/sessions/{session}")).await.ok()["state"] == "completed")
        .await;
    let events = ana.events(&session, "main").await;
    let of = |kind: &str| events.iter().find(|e| e["kind"] == kind).unwrap_or_else(|| panic!("{kind}"))["data"].clone();
    assert_eq!(of("session.warned")["limit"], "time");
    assert_eq!(of("session.ended")["reason"], "time_limit");
}

#[tokio::test]
async fn a_report_is_there_so_far_and_final_after_the_end() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    ana.say(&session, "hello").await;
    let path = format!("/sessions/{session}/report");
    let so_far = ana.get(&path).await.ok();
    assert_eq!((&so_far["is_final"], &so_far["report"]["messages"]), (&json!(false), &json!(1)));
    ana.post(&format!("/sessions/{session}/end"), json!({})).await.ok();
    let last = ana.get(&path).await.ok();
    assert_eq!((&last["is_final"], &last["report"]["state"]), (&json!(true), &json!("completed")));
    let events = ana.events(&session, "main").await;
    let recorded = events.iter().find(|e| e["kind"] == "session.reported").expect("recorded");
    assert_eq!(recorded["data"]["report"], last["report"]);
    assert_eq!(server.person("Cyd").await.get(&path).await.problem("not_found")["status"], 404);
}

#[tokio::test]
async fn the_log_answers_who_has_read_what_and_what_an_author_knew() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let seq = ana.say(&session, "hello").await["seq"].clone();
    let at = |what: &str| format!("/sessions/{session}/{what}");
    let filtered = ana.get(&at("events?kind=message.posted,session.started&limit=1")).await.ok();
    assert_eq!((&filtered["events"][0]["kind"], filtered["next"].is_u64()), (&json!("session.started"), true));
    ana.get(&at("events?kind=message.shouted")).await.problem("invalid_field");
    let known = ana.get(&at(&format!("events/{seq}/known"))).await.ok();
    assert_eq!((&known["seen"], &known["unseen"]), (&json!(null), &json!([])));
    let read = ana.get(&at(&format!("events/{seq}/acknowledged_by"))).await.ok();
    assert_eq!(read["acknowledged_by"], json!([]));
    assert_eq!(ana.get(&at("unread")).await.ok()["streams"][0], json!({"stream": "main", "count": 0}));
    ana.get(&at("events/999/known")).await.problem("not_found");
    server.person("Cyd").await.get(&at("unread")).await.problem("not_found");
}

#[tokio::test]
async fn health_says_how_a_session_is_doing() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    ana.say(&session, "hello").await;
    let health = ana.get(&format!("/sessions/{session}/health")).await.ok();
    assert_eq!(
        (&health["state"], &health["connections"], &health["turn"]),
        (&json!("active"), &json!(0), &json!(null))
    );
    assert_eq!((&health["queue"], &health["resources"]["drivers"]), (&json!({"commands": 0, "turns": 0}), &json!(0)));
    assert!(health["events_per_s"].as_f64().is_some_and(|n| n > 0.0), "{health}");
    assert!(health["memory_bytes"].as_u64().is_some_and(|n| n > 1_000), "{health}");
}
