//! Who people are, what their sessions are called, who is there now.

use serde_json::{Value, json};

use crate::support::{Socket, TestServer};

#[tokio::test]
async fn everybody_changes_their_own_name_and_colour_for_what_comes() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let before = ana.get("/me").await.ok();
    assert!(before["user"]["colour"].as_u64().is_some_and(|hue| hue < 12), "{before}");
    let colour = (before["user"]["colour"].as_u64().expect("a hue") + 1) % 12;
    let changed = ana.patch("/me", json!({"display_name": " Ana  B. ", "colour": colour})).await.ok();
    assert_eq!((&changed["user"]["display_name"], &changed["user"]["colour"]), (&json!("Ana B."), &json!(colour)));
    assert_eq!(ana.get("/me").await.ok(), changed);
    assert_eq!(ana.patch("/me", json!({})).await.ok(), changed);
    for (body, pointer) in [
        (json!({"colour": 12}), "/colour"),
        (json!({"display_name": ""}), "/display_name"),
        (json!({"display_name": "a\u{202e}b"}), "/display_name"),
    ] {
        assert_eq!(ana.patch("/me", body).await.problem("invalid_field")["errors"][0]["pointer"], pointer);
    }
    let owner = async |session: &str| {
        let people = ana.get(&format!("/sessions/{session}/participants")).await.ok();
        (people["items"][0]["display_name"].clone(), people["items"][0]["colour"].clone())
    };
    assert_eq!(owner(&session).await, (json!("Ana"), before["user"]["colour"].clone()), "as it was when it began");
    let new = ana.session().await;
    assert_eq!(owner(&new).await, (json!("Ana B."), json!(colour)));
    let ben = server.person("Ben").await;
    ben.patch("/me", json!({"colour": 7})).await.ok();
    let code = ana.get(&format!("/sessions/{new}")).await.ok()["share_code"].clone();
    assert_eq!(ben.post("/join", json!({"code": code})).await.ok()["participant"]["colour"], 7);
}

#[tokio::test]
async fn a_new_profile_is_seen_at_once_and_names_stay_unique() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    let id = ana.let_in(&session, &ben, "viewer").await;
    let mut reader = Socket::join(&server, &ana, &session, &["main"]).await;
    let mut writer = Socket::join(&server, &ben, &session, &["main"]).await;
    let data = json!({"display_name": "ana", "colour": 4});
    assert_eq!(writer.command(&session, "participant.change_profile", data).await["type"], "ok");
    let event = reader.event("participant.profile_changed").await;
    assert_eq!(event["data"], json!({"participant": id, "display_name": "ana (2)", "colour": 4}));
    assert_eq!(event["actor"], json!(id));
    let refused = writer.command(&session, "participant.change_profile", json!({"colour": 99})).await;
    assert_eq!(refused["problem"]["code"], "invalid_field");
    let listed = ana.get("/sessions").await.ok();
    let mut names: Vec<&Value> =
        listed["items"][0]["online"].as_array().expect("people").iter().map(|p| &p["display_name"]).collect();
    names.sort_by_key(|name| name.to_string());
    assert_eq!(names, ["Ana", "ana (2)"]);
}

#[tokio::test]
async fn a_list_says_who_is_there_now() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let quiet = ana.session().await;
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    let _ana = Socket::join(&server, &ana, &session, &["main"]).await;
    let _ben = Socket::join(&server, &ben, &session, &["main"]).await;
    let listed = ana.get("/sessions").await.ok();
    let item = |id: &str| listed["items"].as_array().expect("items").iter().find(|i| i["id"] == id).expect("listed");
    let there = item(&session);
    assert_eq!((&there["online_count"], &there["role"]), (&json!(2), &json!("owner")));
    for person in there["online"].as_array().expect("people") {
        assert!(person["display_name"].is_string() && person["colour"].is_u64(), "{person}");
    }
    assert_eq!((&item(&quiet)["online_count"], &item(&quiet)["online"]), (&json!(0), &json!([])));
    assert!(there.get("share_code").is_none(), "a list hands no codes out");
}

#[tokio::test]
async fn a_session_is_called_after_its_first_message_until_somebody_names_it() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let made = ana.post("/sessions", json!({"settings": {"respond": "manual"}})).await.created();
    let session = made["id"].as_str().expect("an id").to_owned();
    assert_eq!(made["title"], "New session");
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    let mut reader = Socket::join(&server, &ben, &session, &["main"]).await;
    let first = ana.say(&session, "# Budget for spring\n\nLet us begin").await;
    let renamed = reader.event("session.renamed").await;
    assert_eq!((&renamed["data"]["title"], &renamed["data"]["made_from"]), (&json!("Budget for spring"), &first["id"]));
    ana.say(&session, "and a second one").await;
    let titles = async |search: &str| {
        let listed = ben.get(&format!("/sessions?search={search}")).await.ok();
        listed["items"].as_array().expect("items").iter().map(|item| item["title"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(titles("BUDGET").await, ["Budget for spring"]);
    assert!(titles("second").await.is_empty());
    ana.delete(&format!("/sessions/{session}/messages/{}", first["id"].as_str().expect("an id"))).await.no_content();
    assert_eq!(titles("").await, ["New session"], "what was erased is in no title");
    ana.patch(&format!("/sessions/{session}"), json!({"title": "Ours"})).await.ok();
    ana.say(&session, "a third one").await;
    assert_eq!(titles("ours").await, ["Ours"]);
    ben.get(&format!("/sessions?search={}", "x".repeat(201))).await.problem("invalid_field");
}

/// The text of the message is also in the title's event, in the directory and in snapshots.
#[tokio::test]
async fn an_erased_message_is_in_no_file_although_it_gave_the_title() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    let session = ana.post("/sessions", json!({})).await.created()["id"].as_str().expect("an id").to_owned();
    let message = ana.say(&session, "~tirra-lirra by the river").await["id"].clone();
    let data = server.stop().await;
    let server = TestServer::start_in(data, &[]).await;
    let ana = crate::support::Person { base: server.base.clone(), ..ana };
    assert_eq!(ana.get(&format!("/sessions/{session}")).await.ok()["title"], "tirra-lirra by the river");
    ana.delete(&format!("/sessions/{session}/messages/{}", message.as_str().expect("an id"))).await.no_content();
    crate::support::assert_nowhere(server.data.path(), "tirra-lirra");
    let data = server.stop().await;
    crate::support::assert_nowhere(data.path(), "tirra-lirra");
}
