//! Memories and typed actions by REST.

use serde_json::json;

use crate::support::{Socket, TestServer};

#[tokio::test]
async fn a_memory_is_added_found_changed_and_removed_with_its_texts() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let mut reader = Socket::join(&server, &ana, &session, &["main"]).await;
    let all = format!("/sessions/{session}/memories");
    let tea = ana.post(&all, json!({"text": " Canary likes tea ", "tags": ["drinks"]})).await.created();
    let event = reader.event("memory.added").await;
    assert_eq!((&tea["text"], &tea["id"], &tea["author"]), (&json!("Canary likes tea"), &event["id"], &event["actor"]));
    let four = ana.post(&all, json!({"text": "We meet at four"})).await.created();
    let one = format!("{all}/{}", tea["id"].as_str().expect("an id"));
    let texts = |list: serde_json::Value| -> Vec<serde_json::Value> {
        list["items"].as_array().expect("items").iter().map(|m| m["id"].clone()).collect()
    };
    assert_eq!(texts(ana.get(&all).await.ok()), [four["id"].clone(), tea["id"].clone()]);
    let pinned = ana.patch(&one, json!({"pinned": true})).await.ok();
    assert_eq!(pinned["pinned"], true);
    assert_eq!(ana.patch(&one, json!({"pinned": true})).await.ok(), pinned, "what is so already is no error");
    assert_eq!(texts(ana.get(&all).await.ok()), [tea["id"].clone(), four["id"].clone()], "pinned ones come first");
    assert_eq!(texts(ana.get(&format!("{all}?q=LIKES%20drinks")).await.ok()), [tea["id"].clone()]);
    assert_eq!(texts(ana.get(&format!("{all}?pinned=false")).await.ok()), [four["id"].clone()]);
    assert_eq!(texts(ana.get(&format!("{all}?tag=nothing")).await.ok()), [] as [serde_json::Value; 0]);
    let edited = ana.patch(&one, json!({"text": "Canary likes coffee", "tags": []})).await.ok();
    assert_eq!((&edited["text"], edited.get("tags")), (&json!("Canary likes coffee"), None));
    assert_eq!(ana.get(&one).await.ok(), edited);
    ana.delete(&one).await.no_content();
    ana.get(&one).await.problem("no_such_memory");
    let log = ana.events(&session, "main").await;
    assert!(!serde_json::to_string(&log).expect("text").contains("Canary"), "no text of it is left in the log");
}

#[tokio::test]
async fn who_may_not_change_memories_is_refused() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let (ben, cyd, dan) = (server.person("Ben").await, server.person("Cyd").await, server.person("Dan").await);
    ana.let_in(&session, &ben, "collaborator").await;
    ana.let_in(&session, &cyd, "viewer").await;
    let all = format!("/sessions/{session}/memories");
    let made = ana.post(&all, json!({"text": "Ana's"})).await.created();
    let one = format!("{all}/{}", made["id"].as_str().expect("an id"));
    ana.post(&all, json!({"text": " "})).await.problem("text_empty");
    ana.post(&all, json!({"text": "x", "loud": 1})).await.problem("unknown_field");
    cyd.post(&all, json!({"text": "x"})).await.problem("forbidden");
    assert_eq!(cyd.get(&all).await.ok()["items"], json!([made]), "who reads the session reads its memories");
    ben.patch(&one, json!({"text": "Ben's"})).await.problem("not_your_memory");
    ben.delete(&one).await.problem("not_your_memory");
    ben.patch(&one, json!({"pinned": true})).await.ok();
    dan.get(&all).await.problem("not_found");
}

#[tokio::test]
async fn an_action_is_recorded_when_its_data_fits_the_schema_of_its_type() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    let types = format!("/sessions/{session}/action-types");
    let vote = json!({"type": "object", "required": ["choice"], "properties": {"choice": {"enum": ["yes", "no"]}}});
    ana.put(&format!("{types}/vote.cast"), vote.clone()).await.no_content();
    ana.put(&format!("{types}/vote.cast"), vote.clone()).await.no_content();
    ana.put(&format!("{types}/bad"), json!({"pattern": "x"})).await.problem("invalid_schema");
    ben.put(&format!("{types}/vote.cast"), json!(true)).await.problem("forbidden");
    assert_eq!(ben.get(&types).await.ok()["items"], json!([{"type": "vote.cast", "schema": vote}]));
    let actions = format!("/sessions/{session}/actions");
    let done = ben.post(&actions, json!({"type": "vote.cast", "data": {"choice": "yes"}})).await.created();
    let log = ben.events(&session, "main").await;
    let event = log.iter().find(|e| e["id"] == done["id"]).expect("it is in the log");
    assert_eq!((&event["kind"], &event["data"]["data"]), (&json!("action.performed"), &json!({"choice": "yes"})));
    let refused = ben.post(&actions, json!({"type": "vote.cast", "data": {"choice": "later"}})).await;
    assert_eq!(refused.problem("action_data_invalid")["errors"][0]["pointer"], "/data");
    ben.post(&actions, json!({"type": "No Type"})).await.problem("invalid_field");
    ben.post(&actions, json!({"type": "x", "data": "x".repeat(20_000)})).await.problem("data_too_large");
    ana.delete(&format!("{types}/vote.cast")).await.no_content();
    ben.post(&actions, json!({"type": "vote.cast", "data": 7})).await.created();
}
