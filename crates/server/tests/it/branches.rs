//! Branches by REST: made, read, compared, merged, restored, and what is refused.

use serde_json::{Value, json};

use crate::support::{Person, Socket, TestServer};

fn id(of: &Value) -> String {
    of["id"].as_str().expect("an id").to_owned()
}

async fn say(who: &Person, session: &str, body: Value) -> Value {
    who.post(&format!("/sessions/{session}/messages"), body).await.created()
}

/// Returns the texts on a branch, the oldest first.
async fn texts(who: &Person, session: &str, branch: &str) -> Vec<String> {
    let path = format!("/sessions/{session}/branches/{branch}/messages?limit=200");
    let items = who.get(&path).await.ok()["items"].as_array().expect("items").clone();
    items.iter().rev().map(|i| i["message"]["text"].as_str().expect("a text").to_owned()).collect()
}

async fn branches(who: &Person, session: &str) -> Vec<Value> {
    who.get(&format!("/sessions/{session}/branches")).await.ok()["items"].as_array().expect("items").clone()
}

#[tokio::test]
async fn another_wording_stands_beside_the_first_and_is_read_by_pages() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    say(&ana, &session, json!({"text": "one"})).await;
    let two = say(&ana, &session, json!({"text": "two"})).await;
    let mut reader = Socket::join(&server, &ana, &session, &["main"]).await;
    let other = say(&ana, &session, json!({"text": "other", "sibling_of": two["id"]})).await;
    let event = reader.event("branch.created").await;
    let branch = event["data"]["branch"].as_str().expect("an id").to_owned();
    assert_eq!((&other["branch"], &event["data"]["head"]), (&event["data"]["branch"], &other["id"]));
    assert_eq!(texts(&ana, &session, &branch).await, ["one", "other"]);
    let all = branches(&ana, &session).await;
    assert_eq!((all.len(), &all[1]["name"]), (2, &json!("branch 2")));
    assert_eq!(texts(&ana, &session, &id(&all[0])).await, ["one", "two"]);
    let path = format!("/sessions/{session}/branches/{branch}/messages?limit=1");
    let page = ana.get(&path).await.ok();
    assert_eq!(page["items"][0]["siblings"], json!([two["id"], other["id"]]));
    let next = ana.get(&format!("{path}&page={}", page["next"].as_str().expect("more"))).await.ok();
    assert_eq!((&next["items"][0]["message"]["text"], &next["next"]), (&json!("one"), &Value::Null));
}

#[tokio::test]
async fn a_branch_is_made_changed_compared_and_merged_in_three_ways() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let one = say(&ana, &session, json!({"text": "one"})).await;
    let all = format!("/sessions/{session}/branches");
    let made = ana.post(&all, json!({"name": "Idea", "message": one["id"]})).await.created();
    let (branch, main) = (id(&made), id(&branches(&ana, &session).await[0]));
    assert_eq!((&made["head"], &made["fork_message"]), (&one["id"], &one["id"]));
    let there = say(&ana, &session, json!({"text": "there", "branch": branch})).await;
    say(&ana, &session, json!({"text": "here"})).await;
    let both = ana.get(&format!("{all}/compare?a={main}&b={branch}")).await.ok();
    assert_eq!((&both["ancestor"], &both["count_a"], &both["count_b"]), (&one["id"], &json!(1), &json!(1)));
    assert_eq!(both["only_b"][0]["text"], "there");
    let merge = format!("{all}/{main}/merge");
    ana.post(&merge, json!({"from": branch, "how": "pick", "messages": [there["id"]]})).await.created();
    ana.post(&merge, json!({"from": branch, "how": "summary", "text": "in short"})).await.created();
    assert_eq!(texts(&ana, &session, &main).await, ["one", "here", "there", "in short"]);
    let copied = &ana.events(&session, "main").await;
    let copy = copied.iter().find(|e| e["data"]["copied_from"].is_object()).expect("a copy");
    assert_eq!((&copy["data"]["copied_from"]["message"], &copy["data"]["text"]), (&there["id"], &json!("there")));
    ana.delete(&format!("/sessions/{session}/messages/{}", id(&there))).await.no_content();
    assert_eq!(texts(&ana, &session, &main).await, ["one", "here", "", "in short"], "the copy is erased with it");
    ana.post(&merge, json!({"from": branch, "how": "adopt"})).await.created();
    ana.post(&merge, json!({"from": branch, "how": "adopt"})).await.problem("nothing_to_merge");
    assert_eq!(texts(&ana, &session, &main).await, ["one", ""]);
    let changed = ana.patch(&format!("{all}/{branch}"), json!({"name": "Better", "focus": true})).await.ok();
    assert_eq!(changed["name"], "Better");
    assert_eq!(ana.get(&all).await.ok()["focus"], json!(branch));
    let away = ana.patch(&format!("{all}/{branch}"), json!({"archived": true})).await.ok();
    assert_eq!(away["archived"], true);
    let late = json!({"text": "late", "branch": branch});
    ana.post(&format!("/sessions/{session}/messages"), late).await.problem("branch_is_archived");
}

#[tokio::test]
async fn a_checkpoint_comes_back_as_a_branch_or_in_place() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    say(&ana, &session, json!({"text": "one"})).await;
    let point = ana.post(&format!("/sessions/{session}/checkpoints"), json!({"name": "Here"})).await.created();
    say(&ana, &session, json!({"text": "two"})).await;
    let restore = format!("/sessions/{session}/checkpoints/{}/restore", id(&point));
    let made = ben.post(&restore, json!({})).await.ok();
    assert_eq!(made["branch"]["name"], "Here");
    assert_eq!(texts(&ana, &session, made["branch"]["id"].as_str().expect("an id")).await, ["one"]);
    ben.post(&restore, json!({"how": "in_place"})).await.problem("forbidden");
    let main = id(&branches(&ana, &session).await[0]);
    assert_eq!(texts(&ana, &session, &main).await, ["one", "two"]);
    assert_eq!(ana.post(&restore, json!({"how": "in_place"})).await.ok()["branch"], Value::Null);
    assert_eq!(texts(&ana, &session, &main).await, ["one"]);
    ana.post(&restore, json!({"how": "in_place"})).await.problem("already_recorded");
    ana.post(&restore, json!({"how": "sideways"})).await.problem("invalid_field");
    let nowhere = format!("/sessions/{session}/checkpoints/{}/restore", id(&point).replace('0', "1"));
    ana.post(&nowhere, json!({})).await.problem("no_such_checkpoint");
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_a_stable_code_and_changes_nothing() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let (ben, cyd) = (server.person("Ben").await, server.person("Cyd").await);
    ana.let_in(&session, &ben, "collaborator").await;
    ana.let_in(&session, &cyd, "viewer").await;
    let one = say(&ana, &session, json!({"text": "one"})).await;
    say(&ana, &session, json!({"text": "two"})).await;
    let main = id(&branches(&ana, &session).await[0]);
    let before = ana.events(&session, "main").await.len();
    let all = format!("/sessions/{session}/branches");
    let messages = format!("/sessions/{session}/messages");
    let unknown = main.replace('0', "1");
    ben.post(&messages, json!({"text": "x", "parent": one["id"], "if_head_moved": "reject"}))
        .await
        .problem("head_moved");
    ben.post(&messages, json!({"text": "x", "branch": unknown})).await.problem("no_such_branch");
    ben.post(&messages, json!({"text": "x", "parent": unknown})).await.problem("no_such_message");
    ben.post(&messages, json!({"text": "x", "stream": "side", "branch": main})).await.problem("invalid_field");
    ben.post(&messages, json!({"text": "x", "if_head_moved": "explode"})).await.problem("invalid_field");
    cyd.post(&all, json!({})).await.problem("forbidden");
    ben.post(&all, json!({"message": one["id"], "seq": 3})).await.problem("invalid_field");
    ben.post(&all, json!({"name": "x".repeat(81)})).await.problem("invalid_field");
    ben.post(&all, json!({"seq": 9_999})).await.problem("invalid_field");
    ben.patch(&format!("{all}/{main}"), json!({"head": one["id"]})).await.problem("not_your_branch");
    ana.patch(&format!("{all}/{main}"), json!({"archived": true})).await.problem("main_branch_stays");
    ana.patch(&format!("{all}/{main}"), json!({"head": one["id"], "if_head": one["id"]})).await.problem("head_moved");
    ana.get(&format!("{all}/{unknown}")).await.problem("no_such_branch");
    ana.get(&format!("{all}/{unknown}/messages")).await.problem("no_such_branch");
    ana.get(&format!("{all}/compare?a={main}&b={unknown}")).await.problem("no_such_branch");
    ana.post(&format!("{all}/{main}/merge"), json!({"from": main, "how": "adopt"})).await.problem("nothing_to_merge");
    ana.post(&format!("{all}/{main}/merge"), json!({"from": unknown, "how": "pick"})).await.problem("no_such_branch");
    ana.post(&format!("{all}/{main}/merge"), json!({"from": main, "how": "weld"})).await.problem("invalid_field");
    assert_eq!(ana.events(&session, "main").await.len(), before);
    ana.delete(&format!("/sessions/{session}/messages/{}", id(&one))).await.no_content();
    ben.post(&all, json!({"message": one["id"]})).await.problem("message_is_redacted");
}
