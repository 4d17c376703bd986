//! Sessions that begin as copies of others.

use serde_json::json;

use crate::support::{TestServer, assert_nowhere, eventually_async};

#[tokio::test]
async fn a_copy_knows_its_origin_the_origin_its_copies_and_readers_see_no_more_than_they_may() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    let one = ana.say(&session, "one").await;
    ana.say(&session, "two").await;
    let body = json!({"message": one["id"], "title": "Mine"});
    let made = ben.post(&format!("/sessions/{session}/fork"), body).await.created();
    let copy = made["id"].as_str().expect("an id").to_owned();
    assert_eq!((&made["role"], &made["title"]), (&json!("owner"), &json!("Mine")));
    assert_eq!((&made["forked_from"]["session"], &made["forked_from"]["message"]), (&json!(session), &one["id"]));
    let events = ben.events(&copy, "main").await;
    let texts: Vec<_> = events.iter().filter(|e| e["kind"] == "message.posted").map(|e| &e["data"]["text"]).collect();
    assert_eq!(texts, ["one"]);

    let lineage = ana.get(&format!("/sessions/{session}/lineage")).await.ok();
    assert_eq!(lineage["forked_from"], json!(null));
    assert_eq!((&lineage["forks"][0]["session"], &lineage["forks"][0]["title"]), (&json!(copy), &json!(null)));
    let lineage = ben.get(&format!("/sessions/{copy}/lineage")).await.ok();
    assert!(lineage["forked_from"]["title"].is_string());
    ana.get(&format!("/sessions/{copy}/lineage")).await.problem("not_found");
    ana.get(&format!("/sessions/{copy}")).await.problem("not_found");

    let gone = format!("/sessions/{session}/messages/{}", one["id"].as_str().expect("an id"));
    ana.delete(&gone).await.no_content();
    ben.post(&format!("/sessions/{session}/fork"), json!({"message": one["id"]})).await.problem("message_is_redacted");
    let vic = server.person("Vic").await;
    ana.let_in(&session, &vic, "viewer").await;
    vic.post(&format!("/sessions/{session}/fork"), json!({})).await.problem("forbidden");
    server.stranger().post(&format!("/sessions/{session}/fork"), json!({})).await.problem("not_logged_in");
}

#[tokio::test]
async fn an_erased_text_is_nowhere_in_the_data_folder_whatever_was_copied() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let made = ana.post("/sessions", json!({"settings": {"respond": "manual"}})).await.created();
    let session = made["id"].as_str().expect("an id").to_owned();
    let secret = ana.say(&session, "canary-of-the-lineage").await;
    let fork = async |of: &str| {
        let made = ana.post(&format!("/sessions/{of}/fork"), json!({})).await.created();
        made["id"].as_str().expect("an id").to_owned()
    };
    let copy = fork(&session).await;
    let far = fork(&copy).await;
    let title = ana.get(&format!("/sessions/{far}")).await.ok()["title"].clone();
    assert_eq!(title, "canary-of-the-lineage");
    let path = format!("/sessions/{session}/messages/{}", secret["id"].as_str().expect("an id"));
    ana.delete(&path).await.no_content();
    for session in [&session, &copy, &far] {
        eventually_async("it is erased", async || {
            !json!(ana.events(session, "main").await).to_string().contains("canary")
        })
        .await;
    }
    eventually_async("a title that was made of it goes too", async || {
        ana.get(&format!("/sessions/{far}")).await.ok()["title"] != title
    })
    .await;
    assert_nowhere(server.data.path(), "canary-of-the-lineage");
    let data = server.stop().await;
    assert_nowhere(data.path(), "canary-of-the-lineage");
}
