//! The shared context over REST and the socket.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Socket, TestServer};

async fn patch(person: &Person, path: &str, kind: &str, body: &Value) -> Answer {
    Answer::of(person.call(Method::PATCH, path).header("content-type", kind).body(body.to_string())).await
}

const OPS: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";

#[tokio::test]
async fn the_context_is_read_and_written_by_two_standards() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let vic = server.person("Vic").await;
    ana.let_in(&session, &vic, "viewer").await;
    let at = format!("/sessions/{session}/context");
    assert_eq!(ana.get(&at).await.ok(), json!({"version": 0, "value": {}}));
    let written = patch(&ana, &at, MERGE, &json!({"plan": {"steps": [{"id": "dig"}]}, "n": 1})).await.ok();
    let base = written["version"].as_u64().expect("a version");
    let more =
        json!([{"op": "add", "path": "/plan/steps/@dig/done", "value": true}, {"op": "inc", "path": "/n", "value": 2}]);
    let written = patch(&ana, &format!("{at}?base={base}&reason=because"), OPS, &more).await.ok();
    assert_eq!(written["applied"][0], json!({"op": "add", "path": "/plan/steps/0/done", "value": true}));
    assert_eq!(vic.get(&format!("{at}?path=/plan/steps/@dig/done")).await.ok()["value"], true);
    assert_eq!(vic.get(&format!("{at}?path=/n&version={base}")).await.ok(), json!({"version": base, "value": 1}));
    vic.get(&format!("{at}?path=/none")).await.problem("path_not_found");
    patch(&vic, &at, MERGE, &json!({"x": 1})).await.problem("forbidden");
    server.person("Eve").await.get(&at).await.problem("not_found");
    patch(&ana, &at, "application/json", &json!({})).await.problem("unsupported_media_type");
    patch(&ana, &at, OPS, &json!({"op": "add"})).await.problem("invalid_field");
    patch(&ana, &at, OPS, &json!([{"op": "jump", "path": ""}])).await.problem("invalid_field");
    let history = vic.get(&format!("{at}/history")).await.ok();
    let paths: Vec<&Value> = history["items"].as_array().expect("writes").iter().map(|w| &w["paths"]).collect();
    assert_eq!(paths, [&json!(["/plan/steps/@dig/done", "/n"]), &json!(["/plan", "/n"])], "in the order of the author");
}

#[tokio::test]
async fn a_conflict_is_a_problem_with_both_values_and_a_suggestion() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let at = format!("/sessions/{session}/context");
    let base = patch(&ana, &at, MERGE, &json!({"a": 1})).await.ok()["version"].clone();
    let set = |n: i64| json!([{"op": "replace", "path": "/a", "value": n}]);
    let second = patch(&ana, &format!("{at}?base={base}"), OPS, &set(2)).await.ok();
    let refused = patch(&ana, &format!("{at}?base={base}"), OPS, &set(3)).await.problem("context_conflict");
    assert_eq!((&refused["status"], &refused["version"]), (&json!(409), &second["version"]));
    let conflict = &refused["conflicts"][0];
    assert_eq!((&conflict["path"], &conflict["yours"], &conflict["current"]), (&json!("/a"), &json!(3), &json!(2)));
    assert_eq!((&conflict["event"], &conflict["reason"]), (&second["event"], &json!("written")));
    assert_eq!((&refused["applied"], &refused["suggestion"]), (&json!([]), &json!([])));

    let loose = patch(&ana, &format!("{at}?base={base}&strategy=last_writer_wins"), OPS, &set(4)).await.ok();
    assert_eq!(loose["overwrote"][0]["was"], 2);
    let manual = patch(&ana, &format!("{at}?base={base}&strategy=manual"), OPS, &set(5)).await.ok();
    assert_eq!((&manual["applied"], &manual["skipped"][0]["reason"]), (&json!([]), &json!("open")));
    let open = ana.get(&format!("{at}/conflicts")).await.ok()["items"][0]["id"].clone();
    let open = open.as_str().expect("a conflict");
    ana.post(&format!("{at}/conflicts/{open}"), json!({"take": "yours"})).await.ok();
    assert_eq!(ana.get(&at).await.ok()["value"], json!({"a": 5}));
    ana.post(&format!("{at}/conflicts/{open}"), json!({"take": "yours"})).await.problem("no_such_conflict");

    ana.post(&format!("{at}/revert"), json!({"to_version": base, "reason": "as it was"})).await.ok();
    assert_eq!(ana.get(&at).await.ok()["value"], json!({"a": 1}));
    ana.post(&format!("{at}/revert"), json!({"to_version": base})).await.problem("already_recorded");
    let strict = ana.call(Method::PATCH, &at).header("content-type", OPS).header("if-match", "\"1\"");
    Answer::of(strict.body(set(9).to_string())).await.problem("context_moved");
}

#[tokio::test]
async fn a_socket_writes_the_context_and_readers_see_the_changes() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let mut socket = Socket::open(&server, &ana).await;
    socket.subscribe(&session, &["main"]).await;
    patch(&ana, &format!("/sessions/{session}/context"), MERGE, &json!({"a": 1})).await.ok();
    let patched = socket.event("context.patched").await;
    assert_eq!(patched["data"]["ops"], json!([{"op": "add", "path": "/a", "value": 1}]));
}

#[tokio::test]
async fn each_branch_has_a_context_of_its_own_and_comparing_tells_where_they_differ() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let path = format!("/sessions/{session}");
    let write = async |query: &str, value: Value| patch(&ana, &format!("{path}/context{query}"), MERGE, &value).await;
    write("", json!({"plan": {"a": 1}})).await.ok();
    let branch = ana.post(&format!("{path}/branches"), json!({"name": "idea"})).await.created()["id"].clone();
    let (branch, main) = (branch.as_str().expect("an id"), ana.get(&path).await.ok()["conversation_id"].clone());
    let on = format!("?branch={branch}");
    write(&on, json!({"plan": {"a": 2}})).await.ok();
    let events = ana.events(&session, "main").await;
    assert_eq!(events.last().expect("events")["branch"], branch, "an event says whose context it changes");
    let read = async |query: &str| ana.get(&format!("{path}/context{query}")).await.ok();
    assert_eq!(
        (read("").await["value"].clone(), read(&on).await["value"].clone()),
        (json!({"plan": {"a": 1}}), json!({"plan": {"a": 2}}))
    );
    let history = ana.get(&format!("{path}/context/history{on}")).await.ok();
    assert_eq!(history["items"].as_array().map(Vec::len), Some(2), "with what was written before the fork");
    let query = format!("a={}&b={branch}", main.as_str().expect("an id"));
    let compared = ana.get(&format!("{path}/branches/compare?{query}")).await.ok();
    assert_eq!(compared["context"]["differences"], json!([{"path": "/plan/a", "op": "replace", "a": 1, "b": 2}]));
    ana.get(&format!("{path}/context?branch={session}")).await.problem("no_such_branch");
    write(&format!("?branch={session}"), json!({"a": 1})).await.problem("no_such_branch");
}
