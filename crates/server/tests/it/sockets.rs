//! The WebSocket with several people.

use std::time::{Duration, Instant};

use reqwest::Method;
use roundtable_hub::HubConfig;
use roundtable_protocol::UserId;
use roundtable_server::auth::Token;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Person, Socket, TestServer, soon};

#[tokio::test]
async fn two_people_see_each_other_write() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    let mut first = Socket::join(&server, &ana, &session, &["main", "side"]).await;
    let mut second = Socket::join(&server, &ben, &session, &["main", "side"]).await;
    let ok = first.command(&session, "message.post", json!({"text": "hello Ben"})).await;
    assert_eq!((&ok["type"], &ok["stream"], &ok["session_id"]), (&json!("ok"), &json!("main"), &json!(session)));
    for socket in [&mut first, &mut second] {
        let event = socket.event("message.posted").await;
        assert_eq!((&event["seq"], &event["id"], &event["data"]["text"]), (&ok["seq"], &ok["id"], &json!("hello Ben")));
    }
    let ok = second.command_in(&session, "side", "message.post", json!({"text": "psst"})).await;
    assert_eq!((&ok["type"], &ok["stream"], &ok["seq"]), (&json!("ok"), &json!("side"), &json!(1)));
    assert_eq!(first.message("psst").await["stream"], "side");
}

#[tokio::test]
async fn the_greeting_says_what_holds() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let mut socket = Socket::dial(&server, &[]).await.expect("a socket");
    socket.send(json!({"type": "hello", "token": ana.token()})).await;
    let welcome = socket.until("welcome").await;
    assert_eq!(welcome["heartbeat_ms"], 15_000);
    let limits = json!({"message_bytes": 65_536, "frame_bytes": 1_048_576, "commands_per_second": 50, "window": 32});
    assert_eq!(welcome["limits"], limits);
    assert!(welcome["connection_id"].is_string() && welcome["now"].is_string() && welcome["version"].is_string());
    let subscribed = socket.subscribe(&session, &["main", "side", "stage"]).await;
    assert_eq!(subscribed["you"]["role"], "owner");
    let streams: Vec<&Value> =
        subscribed["streams"].as_array().expect("streams").iter().map(|s| &s["stream"]).collect();
    assert_eq!(streams, ["main", "side"], "what may be read of what was asked for");
    let people = subscribed["people"].as_array().expect("people");
    assert!(people.iter().any(|person| person["status"] == "active"), "{people:?}");
}

#[tokio::test]
async fn bad_input_is_answered_and_the_connection_stays() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    let deep = format!("{}{}", "[".repeat(99), "]".repeat(99));
    for (text, code) in [
        ("{", "malformed_json"),
        ("", "malformed_json"),
        (deep.as_str(), "malformed_json"),
        ("[]", "invalid_field"),
        ("{\"type\":\"dance\"}", "unknown_frame"),
        ("{\"type\":\"command\",\"id\":1}", "invalid_field"),
        ("{\"type\":\"hello\"}", "unknown_frame"),
    ] {
        socket.send_text(text).await;
        let error = socket.until("error").await;
        assert_eq!(error["problem"]["code"], code, "{text}");
    }
    socket.send_binary(vec![1, 2, 3]).await;
    assert_eq!(socket.until("error").await["problem"]["code"], "unknown_frame");
    let error = socket.command(&session, "session.destroy", json!({})).await;
    assert_eq!(error["problem"]["code"], "unknown_command");
    let error = socket.command(&session, "turn.complete", json!({})).await;
    assert_eq!(error["problem"]["code"], "unknown_command");
    let error = socket.command(&session, "message.post", json!({"text": 7})).await;
    assert_eq!(
        (&error["problem"]["code"], &error["problem"]["errors"][0]["pointer"]),
        (&json!("invalid_field"), &json!("/data/text"))
    );
    let error = socket.command(&session, "message.post", json!({"text": "x".repeat(64 * 1024 + 1)})).await;
    assert_eq!(error["problem"]["code"], "message_too_long");
    let key = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
    socket
        .send(json!({"type": "command", "id": 900, "key": key, "session_id": session, "name": "session.start"}))
        .await;
    let error = socket.until("error").await;
    assert_eq!((&error["re"], &error["problem"]["code"]), (&json!(900), &json!("invalid_key")));
    let ok = socket.command(&session, "message.post", json!({"text": "still here"})).await;
    assert_eq!(ok["type"], "ok");
}

#[tokio::test]
async fn too_much_bad_input_ends_the_connection() {
    let server = TestServer::start().await;
    let (ana, _) = server.session().await;
    let mut socket = Socket::open(&server, &ana).await;
    for _ in 0..21 {
        socket.send_text("{").await;
    }
    assert_eq!(socket.closed().await, Some(4429));
    assert_eq!(socket.unread().len(), 20, "each of the first twenty was answered");
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_connection() {
    let server = TestServer::start().await;
    let (ana, _) = server.session().await;
    let mut socket = Socket::open(&server, &ana).await;
    socket.send_text(&"x".repeat(1024 * 1024 + 1)).await;
    assert_eq!(socket.closed().await, Some(4413));
    assert_eq!(socket.unread()[0]["problem"]["code"], "frame_too_large");
}

#[tokio::test]
async fn without_a_login_there_is_no_welcome() {
    let server = TestServer::start().await;
    for hello in [json!({"type": "hello"}), json!({"type": "hello", "token": "nonsense"})] {
        let mut socket = Socket::dial(&server, &[]).await.expect("a socket");
        socket.send(hello).await;
        assert_eq!(socket.closed().await, Some(4401));
        assert_eq!(socket.unread()[0]["problem"]["code"], "not_logged_in");
    }
    let mut socket = Socket::dial(&server, &[]).await.expect("a socket");
    socket.send(json!({"type": "ping", "id": 1})).await;
    assert_eq!(socket.until("error").await["problem"]["code"], "not_logged_in", "hello comes first");
}

#[tokio::test]
async fn a_login_ends_with_its_time_also_on_open_connections() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let token = Token::random::<32>();
    let now = roundtable_hub::clock::now();
    let login = roundtable_store::Login {
        token_hash: token.hash(),
        user: UserId(ana.user.parse().expect("an id")),
        created_at: now,
        expires_at: now + Duration::from_millis(1500),
    };
    server.server.app().store.put_login(login).await.expect("stored");
    let short = Person { token: Some(token.expose().to_owned()), ..ana.clone() };
    let mut socket = Socket::join(&server, &short, &session, &["main"]).await;
    let live = short.call(Method::GET, &format!("/sessions/{session}/live")).send().await.expect("an answer");
    assert_eq!(live.status(), 200);
    let bye = socket.until("bye").await;
    assert_eq!(bye["code"], "login_expired");
    assert_eq!(socket.closed().await, Some(4401));
    soon("the end of the events", live.bytes()).await.expect("it ends as it should");
    short.get("/me").await.problem("login_expired");
    ana.get("/me").await.ok();
}

#[tokio::test]
async fn a_session_of_others_cannot_be_subscribed_or_written() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let eve = server.person("Eve").await;
    let mut socket = Socket::open(&server, &eve).await;
    socket.send(json!({"type": "subscribe", "id": 7, "session_id": session, "streams": [{"stream": "main"}]})).await;
    let error = socket.until("error").await;
    assert_eq!((&error["re"], &error["problem"]["code"]), (&json!(7), &json!("not_found")));
    let error = socket.command(&session, "message.post", json!({"text": "x"})).await;
    assert_eq!(error["type"], "error", "{error}");
    assert_eq!(ana.events(&session, "main").await.len(), 4);
}

#[tokio::test]
async fn a_role_changes_on_the_open_connection() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    let id = ana.let_in(&session, &ben, "collaborator").await;
    let mut socket = Socket::join(&server, &ben, &session, &["main", "side"]).await;
    assert_eq!(socket.command(&session, "message.post", json!({"text": "while I may"})).await["type"], "ok");
    ana.patch(&format!("/sessions/{session}/participants/{id}"), json!({"role": "viewer"})).await.ok();
    let access = socket.until("access").await;
    assert_eq!((&access["you"]["role"], &access["reason"]), (&json!("viewer"), &json!("role_changed")));
    let refused = socket.command(&session, "message.post", json!({"text": "now I may not"})).await;
    assert_eq!(refused["problem"]["code"], "forbidden");
    ana.patch(&format!("/sessions/{session}/participants/{id}"), json!({"role": "collaborator"})).await.ok();
    assert_eq!(socket.until("access").await["you"]["role"], "collaborator");
    assert_eq!(socket.command(&session, "message.post", json!({"text": "again"})).await["type"], "ok");
}

#[tokio::test]
async fn a_right_is_gone_from_every_open_connection_within_a_second() {
    const READERS: usize = 20;
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let mut readers = Vec::new();
    for n in 0..READERS {
        let person = server.person(&format!("Reader {n}")).await;
        let id = ana.let_in(&session, &person, "collaborator").await;
        let sockets = [
            Socket::join(&server, &person, &session, &["main"]).await,
            Socket::join(&server, &person, &session, &["side"]).await,
        ];
        readers.push((id, sockets));
    }
    let talking = async {
        // While there is much to send.
        for n in 0.. {
            ana.say(&session, &format!("word {n}")).await;
        }
    };
    let taking = async {
        let mut slowest = Duration::ZERO;
        for (id, sockets) in &mut readers {
            let asked = Instant::now();
            let path = format!("/sessions/{session}/participants/{id}");
            let done = async { ana.delete(&path).await.no_content() };
            let seen = async {
                for socket in sockets {
                    assert_eq!(socket.until("access").await["streams"], json!([]));
                }
            };
            tokio::join!(done, seen);
            slowest = slowest.max(asked.elapsed());
        }
        slowest
    };
    let slowest = tokio::select! {
        () = talking => unreachable!("it never ends"),
        slowest = taking => slowest,
    };
    assert!(slowest < Duration::from_secs(1), "{slowest:?} from asking to the last connection");
    for (_, [mut main, mut side]) in readers {
        main.unread();
        side.unread();
        ana.say(&session, "a secret").await;
        main.settle().await;
        side.settle().await;
        let heard = [main.unread(), side.unread()].concat();
        assert!(!heard.iter().any(|frame| frame["type"] == "events"), "{heard:?}");
    }
}

#[tokio::test]
async fn somebody_who_was_sent_away_gets_nothing_more() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    let id = ana.let_in(&session, &ben, "collaborator").await;
    let mut owner = Socket::join(&server, &ana, &session, &["main"]).await;
    let mut socket = Socket::join(&server, &ben, &session, &["main", "side"]).await;
    ana.delete(&format!("/sessions/{session}/participants/{id}")).await.no_content();
    let access = socket.until("access").await;
    assert_eq!((&access["streams"], &access["reason"]), (&json!([]), &json!("removed")));
    socket.unread();
    for n in 0..5 {
        ana.say(&session, &format!("a secret {n}")).await;
    }
    // Once others have the last one, it is out to everybody who gets it.
    owner.message("a secret 4").await;
    socket.settle().await;
    let unread = socket.unread();
    assert!(unread.iter().all(|frame| frame["session_id"] != session.as_str()), "{unread:?}");
    let refused = socket.command(&session, "message.post", json!({"text": "let me in"})).await;
    assert_eq!(refused["type"], "error");
}

#[tokio::test]
async fn a_link_that_is_revoked_lets_nobody_in_and_leaves_the_others() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let link = ana.post(&format!("/sessions/{session}/links"), json!({"role": "collaborator"})).await.created();
    let ben = server.person("Ben").await;
    ben.post("/join", json!({"link": link["token"]})).await.ok();
    let mut socket = Socket::join(&server, &ben, &session, &["main"]).await;
    ana.delete(&format!("/sessions/{session}/links/{}", link["id"].as_str().expect("an id"))).await.no_content();
    let answer = server.person("Eve").await.post("/join", json!({"link": link["token"]})).await;
    assert_eq!(answer.problem("link_ended")["status"], 410);
    assert_eq!(socket.command(&session, "message.post", json!({"text": "still in"})).await["type"], "ok");
}

#[tokio::test]
async fn logging_out_ends_open_connections() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    ana.delete("/me").await.no_content();
    assert_eq!(socket.until("bye").await["code"], "logged_out");
    assert_eq!(socket.closed().await, Some(4401));
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let mut socket = Socket::open(&server, &ana).await;
    let subscribed = socket.subscribe(&session, &["main"]).await;
    let event = ana.say(&session, "seen").await;
    drop(socket);
    ana.say(&session, "missed").await;
    let mut socket = Socket::open(&server, &ana).await;
    let position = json!({"stream": "main", "epoch": subscribed["streams"][0]["epoch"], "after": {"seq": event["seq"], "id": event["id"]}});
    socket.send(json!({"type": "subscribe", "id": 1, "session_id": session, "streams": [position]})).await;
    assert_eq!(socket.until("subscribed").await["streams"][0]["mode"], "replay");
    let events = socket.until("events").await;
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(events["items"][0]["data"]["text"], "missed");
}

#[tokio::test]
async fn bulk_is_deflated_for_who_can_read_that() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    ana.say(&session, &"long ".repeat(2000)).await;
    let mut able = Socket::join(&server, &ana, &session, &["main"]).await;
    able.event("message.posted").await;
    assert!(able.saw_binary);
    let mut plain = Socket::dial(&server, &[]).await.expect("a socket");
    plain.send(json!({"type": "hello", "token": ana.token()})).await;
    plain.until("welcome").await;
    plain.subscribe(&session, &["main"]).await;
    plain.event("message.posted").await;
    assert!(!plain.saw_binary);
}

#[tokio::test]
async fn what_people_show_reaches_the_others_and_no_log() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    let id = ana.let_in(&session, &ben, "collaborator").await;
    let mut first = Socket::join(&server, &ana, &session, &["main"]).await;
    let mut second = Socket::join(&server, &ben, &session, &["main"]).await;
    second.send(json!({"type": "ephemeral", "session_id": session, "stream": "main", "lane": "typing", "data": {"on": true}})).await;
    let shown = loop {
        let frame = first.until("ephemeral").await;
        if frame["lane"] == "typing" {
            break frame;
        }
    };
    assert_eq!(shown["items"], json!([{"participant_id": id, "data": {"on": true}}]));
    assert_eq!(ana.events(&session, "main").await.len(), 5);
    assert_eq!(server.stranger().get("/stats").await.ok()["users_in_sessions"], 2);
}

#[tokio::test]
async fn commands_above_the_rate_wait_for_their_turn() {
    let server = TestServer::start_with(&[("limits.commands_per_second", "1"), ("limits.commands_burst", "2")]).await;
    let (ana, session) = server.session().await;
    let mut socket = Socket::join(&server, &ana, &session, &["main"]).await;
    let keys: Vec<_> = (0..4).map(|_| roundtable_hub::clock::new_key()).collect();
    for (id, key) in keys.iter().enumerate() {
        let data = json!({"text": format!("message {id}")});
        socket.send(json!({"type": "command", "id": id, "key": key, "session_id": session, "name": "message.post", "data": data})).await;
    }
    let mut shown = Vec::new();
    for id in 0..4 {
        let answer = socket.answer(id).await;
        shown.push(answer["problem"]["code"].as_str().unwrap_or("ok").to_owned());
    }
    assert_eq!(shown, ["ok", "ok", "rate_limited", "retry_in_order"]);
}

#[tokio::test]
async fn a_socket_that_asks_for_another_protocol_is_refused() {
    let server = TestServer::start().await;
    let ana = server.person("Ana").await;
    ana.get("/ws").await.problem("invalid_field");
    let upgrade = ana
        .call(reqwest::Method::GET, "/ws")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", "chat");
    crate::support::Answer::of(upgrade).await.problem("invalid_field");
}

#[tokio::test]
async fn a_connection_hears_something_each_heartbeat_whatever_it_reads() {
    let hub = HubConfig { head_every: Duration::from_millis(100), ..HubConfig::default() };
    let server = TestServer::start_of(TempDir::new().expect("a folder"), &[], hub).await;
    let (ana, session) = server.session().await;
    let mut socket = Socket::dial(&server, &[]).await.expect("a socket");
    socket.send(json!({"type": "hello", "token": ana.token()})).await;
    assert_eq!(socket.until("welcome").await["heartbeat_ms"], 100);
    for _ in 0..3 {
        assert_eq!(socket.until("pong").await["id"], 0);
    }
    socket.subscribe(&session, &["main"]).await;
    for _ in 0..3 {
        assert!(socket.until("head").await["streams"]["main"].is_u64());
    }
}

#[tokio::test]
async fn who_has_a_session_open_that_is_deleted_is_told_so() {
    let server = TestServer::start().await;
    let (ana, session) = server.session().await;
    let ben = server.person("Ben").await;
    ana.let_in(&session, &ben, "collaborator").await;
    let mut sockets = [
        Socket::join(&server, &ana, &session, &["main", "side"]).await,
        Socket::join(&server, &ben, &session, &["main"]).await,
    ];
    ana.delete(&format!("/sessions/{session}")).await.no_content();
    for socket in &mut sockets {
        let access = socket.until("access").await;
        assert_eq!((&access["reason"], &access["streams"]), (&json!("session_deleted"), &json!([])));
        let refused = socket.command(&session, "message.post", json!({"text": "hello?"})).await;
        assert_eq!(refused["problem"]["code"], "not_found");
    }
}
