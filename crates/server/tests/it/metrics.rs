//! The server's figures: who may read them, that they move, that all of them are there.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_server::metrics::FIGURES;
use serde_json::json;

use crate::support::{Answer, Socket, TestServer};

async fn read(server: &TestServer, headers: &[(&'static str, &str)]) -> Answer {
    let mut call = server.stranger().http.get(format!("{}/metrics", server.base));
    for (name, value) in headers {
        call = call.header(*name, *value);
    }
    Answer::of(call).await
}

/// Returns each line's value by its name and labels.
async fn figures(server: &TestServer) -> BTreeMap<String, f64> {
    let answer = read(server, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let lines = answer.text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').expect(line)).map(|(n, v)| (n.to_owned(), v.parse().expect(v))).collect()
}

#[tokio::test]
async fn figures_move_when_messages_flow_and_an_assistant_answers() {
    let server = TestServer::start().await;
    let before = figures(&server).await;
    let (ana, session) = server.session().await;
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    for n in 0..3 {
        socket.command(&session, "message.post", json!({"text": format!("canary {n}"), "ask": false})).await;
    }
    socket.command(&session, "message.post", json!({"text": "what is side chat?", "ask": true})).await;
    socket.event("turn.completed").await;
    let after = figures(&server).await;
    let moved = |name: &str| after[name] - before[name];
    assert!(moved("roundtable_events_appended_total") >= 6.0);
    assert!(moved("roundtable_commits_total") >= 3.0);
    assert!(moved("roundtable_append_seconds_count") >= 3.0 && moved("roundtable_append_seconds_sum") > 0.0);
    assert!(moved("roundtable_fanout_seconds_count") >= 3.0);
    assert_eq!(after["roundtable_append_seconds_bucket{le=\"+Inf\"}"], after["roundtable_append_seconds_count"]);
    assert!(moved("roundtable_events_stored") >= 6.0);
    assert_eq!((moved("roundtable_sessions{state=\"all\"}"), moved("roundtable_sessions{state=\"live\"}")), (1.0, 1.0));
    assert_eq!((after["roundtable_sessions_loaded"], after["roundtable_people_online"]), (1.0, 1.0));
    assert_eq!(after["roundtable_sockets"], 1.0);
    assert!(after["roundtable_connections"] >= 1.0);
    assert_eq!(after["roundtable_model_calls_total{provider=\"guide\",outcome=\"completed\"}"], 1.0);
    for queue in ["inbox", "store", "turns"] {
        assert!(after.contains_key(&format!("roundtable_queue_length{{queue=\"{queue}\"}}")), "{queue}");
    }
}

#[tokio::test]
async fn calls_and_tokens_are_counted_by_provider_and_outcome() {
    let model = crate::support::Model::start(&["Hi"], false).await;
    let server = TestServer::start_with(&[("model.url", &model.url), ("model.name", "m")]).await;
    let (ana, session) = server.session().await;
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    socket.command(&session, "message.post", json!({"text": "hello", "ask": true})).await;
    socket.event("turn.completed").await;
    ana.patch(&format!("/sessions/{session}"), json!({"settings": {"assistant": "guide"}})).await.ok();
    socket.command(&session, "message.post", json!({"text": "/demo error", "ask": true})).await;
    socket.event("turn.failed").await;
    let figures = figures(&server).await;
    let calls = |labels: &str| figures[&format!("roundtable_model_calls_total{{{labels}}}")];
    assert_eq!(calls("provider=\"openai_compatible\",outcome=\"completed\""), 1.0);
    assert_eq!(calls("provider=\"guide\",outcome=\"guide_demo_error\""), 1.0);
    let tokens = |kind: &str| {
        figures[&format!("roundtable_model_tokens_total{{provider=\"openai_compatible\",kind=\"{kind}\"}}")]
    };
    assert_eq!((tokens("input"), tokens("output")), (9.0, 2.0));
    assert_eq!(figures["roundtable_turns_running"], 0.0);
}

#[tokio::test]
async fn every_figure_of_the_list_is_shown_and_no_other() {
    let server = TestServer::start().await;
    let text = read(&server, &[]).await.text;
    let shown: BTreeSet<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(shown, FIGURES.iter().map(|(name, ..)| *name).collect());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().expect("a name");
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(shown.contains(base), "{line}");
    }
}

#[tokio::test]
async fn figures_are_for_this_machine_or_for_who_knows_the_token() {
    let settings =
        [("metrics.token", "canary-token"), ("allowed_hosts", "table.lan"), ("trusted_proxies", "127.0.0.1")];
    let server = TestServer::start_with(&settings).await;
    assert_eq!(read(&server, &[]).await.status, 200);
    for headers in [
        &[("host", "table.lan")][..],
        &[("x-forwarded-for", "192.0.2.7")],
        &[("forwarded", "for=192.0.2.7")],
        &[("host", "table.lan"), ("authorization", "Bearer canary")],
        &[("host", "table.lan"), ("authorization", "canary-token")],
    ] {
        read(&server, headers).await.problem("not_logged_in");
    }
    let bearer = ("authorization", "Bearer canary-token");
    assert_eq!(read(&server, &[("host", "table.lan"), bearer]).await.status, 200);
    let without = TestServer::start_with(&[("allowed_hosts", "table.lan")]).await;
    read(&without, &[("host", "table.lan"), ("authorization", "Bearer ")]).await.problem("not_logged_in");
}
