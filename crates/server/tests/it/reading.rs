//! One message by its link, and where somebody had stopped reading.

use serde_json::{Value, json};

use crate::support::{Person, Socket, TestServer, eventually_async};

#[tokio::test]
async fn a_message_is_found_by_its_id_with_its_place() {
    let server = TestServer::start_with(&[("limits.requests_per_second", "0")]).await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "viewer").await;
    let mut last = Value::Null;
    for n in 0..300 {
        last = ana.say(&session, &format!("message {n}")).await["id"].clone();
    }
    let aside = ana.post(&format!("/sessions/{session}/messages"), json!({"text": "aside", "stream": "side"})).await;
    let aside = aside.created()["id"].clone();
    let find =
        async |id: &Value| ben.get(&format!("/sessions/{session}/messages/{}", id.as_str().expect("an id"))).await;
    let found = find(&last).await.ok();
    assert_eq!(
        (&found["stream"], &found["message"]["n"], &found["message"]["text"]),
        (&json!("main"), &json!(299), &json!("message 299"))
    );
    assert_eq!(find(&aside).await.ok()["stream"], "side");
    ana.patch(&format!("/sessions/{session}"), json!({"settings": {"side_for_viewers": false}})).await.ok();
    find(&aside).await.problem("no_such_message");
    find(&json!(session)).await.problem("no_such_message");
    ana.delete(&format!("/sessions/{session}/messages/{}", last.as_str().expect("an id"))).await.no_content();
    let erased = find(&last).await.ok();
    assert_eq!((&erased["message"]["redacted"], &erased["message"]["text"]), (&json!(true), &json!("")));
    let stranger = server.person("Cyd").await;
    stranger.get(&format!("/sessions/{session}/messages/{}", last.as_str().expect("an id"))).await.problem("not_found");
}

#[tokio::test]
async fn somebody_who_comes_back_is_told_how_far_they_had_read() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    let mut first = Socket::open(&server, &ben).await;
    let never = first.subscribe(&session, &["main", "side"]).await;
    assert!(never["you"].get("read").is_none(), "{never}");
    let seq = ana.say(&session, "read this").await["seq"].clone();
    first.message("read this").await;
    first.send(json!({"type": "ack", "session_id": session, "stream": "main", "seq": seq})).await;
    first.send(json!({"type": "ack", "session_id": session, "stream": "main", "seq": 1})).await;
    first.settle().await;
    let mut second = Socket::open(&server, &ben).await;
    eventually_async("the mark is known", async || {
        second.subscribe(&session, &["main", "side"]).await["you"]["read"] == json!({"main": seq})
    })
    .await;
    let mut other = Socket::open(&server, &ana).await;
    let others = other.subscribe(&session, &["main"]).await;
    assert!(others["you"].get("read").is_none(), "{others}");
    ana.say(&session, "not read").await;
    let data = server.stop().await;
    let server = TestServer::start_in(data, &[]).await;
    let ben = crate::support::Person { base: server.base.clone(), ..ben };
    let mut third = Socket::open(&server, &ben).await;
    let back = third.subscribe(&session, &["main"]).await;
    assert_eq!(back["you"]["read"], json!({"main": seq}), "also after a restart");
}

#[tokio::test]
async fn a_link_says_who_made_it_and_the_server_where_it_can_be_reached() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let made = ana.post(&format!("/sessions/{session}/links"), json!({})).await.created();
    assert_eq!(made["created_by_name"], "Ana");
    ana.patch("/me", json!({"display_name": "Anna"})).await.ok();
    let listed = ana.get(&format!("/sessions/{session}/links")).await.ok();
    assert_eq!(listed["items"][0]["created_by_name"], "Anna");
    assert_eq!(ana.get("/me").await.ok()["reachable_urls"], json!([server.base]));
}

#[tokio::test]
async fn the_list_of_sessions_says_how_much_is_unread() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    for text in ["one", "two"] {
        ana.post(&format!("/sessions/{session}/messages"), json!({"text": text, "ask": false})).await.created();
    }
    let unread = async |who: &Person| who.get("/sessions").await.ok()["items"][0]["unread"].clone();
    assert_eq!((unread(&ben).await, unread(&ana).await), (json!(2), json!(0)), "one's own are not unread");
    let mut socket = Socket::join(&server, &ben, &session, &["main"]).await;
    let seq = socket.message("two").await["seq"].clone();
    socket.send(json!({"type": "ack", "session_id": session, "stream": "main", "seq": seq})).await;
    eventually_async("read", async || unread(&ben).await == json!(0)).await;
    ana.post(&format!("/sessions/{session}/end"), json!({})).await.ok();
    assert_eq!(unread(&ben).await, Value::Null, "of what is over nothing is counted");
}
