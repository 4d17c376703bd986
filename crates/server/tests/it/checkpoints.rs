//! Checkpoints by REST: made, listed, named, deleted, and what is refused.

use serde_json::json;

use crate::support::{Socket, TestServer};

#[tokio::test]
async fn a_checkpoint_is_made_read_named_and_deleted() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    ana.say(&session, "one").await;
    let mut reader = Socket::join(&server, &ana, &session, &["main"]).await;
    let all = format!("/sessions/{session}/checkpoints");
    let made = ana.post(&all, json!({"name": " Before  lunch "})).await.created();
    let event = reader.event("checkpoint.created").await;
    assert_eq!((&made["name"], &made["kind"]), (&json!("Before lunch"), &json!("named")));
    assert_eq!((&made["seq"], &made["by"], &made["at"]), (&event["seq"], &event["actor"], &event["at"]));
    assert_eq!(made["seqs"]["main"].as_u64(), event["seq"].as_u64().map(|seq| seq - 1));
    let one = format!("{all}/{}", made["id"].as_str().expect("an id"));
    assert_eq!(ana.get(&one).await.ok(), made);
    let renamed = ana.patch(&one, json!({"name": "Lunch"})).await.ok();
    assert_eq!((&renamed["name"], &renamed["seq"]), (&json!("Lunch"), &made["seq"]));
    assert_eq!(ana.patch(&one, json!({"name": "Lunch"})).await.ok(), renamed, "the same name once more is no error");
    assert_eq!(ana.get(&all).await.ok(), json!({"items": [renamed], "next": null}));
    ana.delete(&one).await.no_content();
    ana.get(&one).await.problem("no_such_checkpoint");
    ana.delete(&one).await.problem("no_such_checkpoint");
    assert_eq!(ana.get(&all).await.ok()["items"], json!([]));
    let kinds: Vec<_> = ana.events(&session, "main").await.iter().map(|e| e["kind"].clone()).collect();
    assert_eq!(kinds[kinds.len() - 3..], ["checkpoint.created", "checkpoint.renamed", "checkpoint.deleted"]);
}

#[tokio::test]
async fn a_list_of_checkpoints_is_read_in_pages() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let all = format!("/sessions/{session}/checkpoints");
    for n in 0..5 {
        ana.post(&all, json!({"name": format!("n {n}")})).await.created();
    }
    let mut names = Vec::new();
    let mut page = String::new();
    loop {
        let part = ana.get(&format!("{all}?limit=2{page}")).await.ok();
        names.extend(part["items"].as_array().expect("items").iter().map(|c| c["name"].clone()));
        let Some(next) = part["next"].as_str() else { break };
        page = format!("&page={next}");
    }
    assert_eq!(names, ["n 4", "n 3", "n 2", "n 1", "n 0"]);
    ana.get(&format!("{all}?page=rubbish")).await.problem("invalid_field");
}

#[tokio::test]
async fn who_may_not_and_what_is_wrong_is_refused_with_a_stable_code() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let (ben, cyd, dan) = (server.person("Ben").await, server.person("Cyd").await, server.person("Dan").await);
    ana.let_in(&session, &ben, "collaborator").await;
    ana.let_in(&session, &cyd, "viewer").await;
    let all = format!("/sessions/{session}/checkpoints");
    let made = ana.post(&all, json!({"name": "Ana's"})).await.created();
    let one = format!("{all}/{}", made["id"].as_str().expect("an id"));
    for body in [json!({"name": ""}), json!({"name": "x".repeat(81)})] {
        assert_eq!(ana.post(&all, body).await.problem("invalid_field")["errors"][0]["pointer"], "/name");
    }
    ana.post(&all, json!({"name": "x", "loud": 1})).await.problem("unknown_field");
    ana.post(&all, json!({})).await.problem("invalid_field");
    cyd.post(&all, json!({"name": "x"})).await.problem("forbidden");
    assert_eq!(cyd.get(&all).await.ok()["items"], json!([made]), "who reads the session reads its checkpoints");
    ben.patch(&one, json!({"name": "Ben's"})).await.problem("not_your_checkpoint");
    ben.delete(&one).await.problem("not_your_checkpoint");
    dan.get(&all).await.problem("not_found");
    dan.post(&all, json!({"name": "x"})).await.problem("not_found");
    ana.get(&format!("{all}/nonsense")).await.problem("not_found");
    ana.post(&format!("/sessions/{session}/end"), json!({})).await.ok();
    ana.post(&all, json!({"name": "x"})).await.problem("session_not_active");
    assert_eq!(ana.get(&one).await.ok(), made, "and what there is stays readable");
}
