//! Bad days: what comes in is broken, endless, too much; the disk is full; the clock jumps.
//!
//! The server is the real one, a process of its own, unless the test turns its clock. `cargo xtask kill --bad-days`
//! does the larger of these with more callers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use roundtable_client::trial::checker;
use roundtable_client::trial::crowd::Crowd;
use roundtable_client::trial::dice::Dice;
use roundtable_client::trial::history::{History, Log, Place, Record};
use roundtable_client::trial::nuisance::{self, Heard, Raw};
use roundtable_client::trial::people::{Room, log_in};
use roundtable_client::trial::rest::{self, Response, Rest};
use roundtable_client::trial::rounds::{unlimited, until};
use roundtable_client::trial::server::{Launch, Server};
use roundtable_protocol::frame::{MAX_FRAME_BYTES, MAX_MESSAGE_BYTES};
use roundtable_protocol::{Code, SessionId, Stream, Timestamp};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

/// How long anything may take that must happen.
const LONG: Duration = Duration::from_secs(20);

/// A server that runs, and the folder it runs on.
struct Running {
    server: Server,
    _folder: tempfile::TempDir,
}

async fn start(with: impl FnOnce(Launch) -> Launch) -> Running {
    let folder = tempfile::tempdir().expect("a folder");
    let launch = with(Launch::new(env!("CARGO_BIN_EXE_roundtable"), folder.path().join("data")));
    let server = launch.start(0).await.expect("it starts");
    Running { server, _folder: folder }
}

fn command(session: impl ToString, key: Uuid, name: &str, data: &Value) -> Value {
    json!({"type": "command", "id": 7, "key": key, "session_id": session.to_string(), "name": name, "data": data})
}

fn post(session: SessionId, text: &str) -> Value {
    command(session, Uuid::now_v7(), "message.post", &json!({"text": text}))
}

/// Says each text and expects the code; then something sensible, which must be done.
async fn answered_and_stays(server: &Server, room: &Room, token: &str, bad: &[(String, &str)]) {
    let mut raw = Raw::log_in(server, token).await.expect("in");
    for (text, code) in bad {
        let shown = &text[..text.len().min(100)];
        raw.text(text).await.expect(shown);
        let heard = raw.hear_type(&["error", "ok"]).await.expect(shown);
        assert_eq!(heard.code(), Some(*code), "{shown}: {heard:?}");
    }
    raw.say(&post(room.session, "still here")).await.expect("sent");
    let heard = raw.hear_type(&["error", "ok"]).await.expect("an answer");
    assert!(matches!(&heard, Heard::Frame(frame) if frame["type"] == "ok"), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_cannot_be_read_is_answered_and_the_connection_stays() {
    let running = start(unlimited).await;
    let room = Room::open(&running.server).await.expect("a room");
    let bad = [
        ("{", "malformed_json"),
        ("", "malformed_json"),
        ("hello?", "malformed_json"),
        ("{\"type\":\"ping\"} trailing", "malformed_json"),
        ("[]", "invalid_field"),
        ("{\"id\":7}", "invalid_field"),
        ("{\"type\":\"dance\"}", "unknown_frame"),
        ("{\"type\":\"welcome\"}", "unknown_frame"),
        ("{\"type\":\"ping\",\"id\":\"seven\"}", "invalid_field"),
        ("{\"type\":\"subscribe\",\"id\":7}", "invalid_field"),
        ("{\"type\":\"command\",\"id\":7,\"name\":\"message.post\"}", "invalid_field"),
        ("{\"type\":\"hello\"}", "unknown_frame"),
    ];
    let mut bad: Vec<_> = bad.map(|(text, code)| (text.to_owned(), code)).into();
    bad.push(("[".repeat(100_000), "malformed_json"));
    bad.push((format!("{{\"type\":\"ping\",\"x\":{}{}}}", "[".repeat(40), "]".repeat(40)), "malformed_json"));
    bad.push((
        format!("{{\"type\":\"ping\",\"x\":{}1{}}}", "{\"a\":".repeat(5000), "}".repeat(5000)),
        "malformed_json",
    ));
    answered_and_stays(&running.server, &room, &room.owner, &bad).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_makes_no_sense_is_answered_with_its_code() {
    let running = start(unlimited).await;
    let room = Room::open(&running.server).await.expect("a room");
    let other = Room::open(&running.server).await.expect("another room, with another owner");
    let guest = room.admit(&running.server, "Ben").await.expect("in");
    let (key, here) = (Uuid::now_v7, room.session);
    let say = |data: &Value| command(here, key(), "message.post", data);
    let mut elsewhere = say(&json!({"text": "hi"}));
    elsewhere["stream"] = json!("staff");
    let bad = [
        (command(here, key(), "message.shout", &json!({"text": "hi"})), "unknown_command"),
        (command(here, key(), "participant.join", &json!({})), "unknown_command"),
        (command(here, key(), "turn.complete", &json!({})), "unknown_command"),
        (command(here, Uuid::from_u128(7), "message.post", &json!({"text": "hi"})), "invalid_key"),
        (command(Uuid::now_v7(), key(), "message.post", &json!({"text": "hi"})), "not_found"),
        (command(other.session, key(), "message.post", &json!({"text": "hi"})), "not_found"),
        (say(&json!({})), "invalid_field"),
        (say(&json!({"text": 7})), "invalid_field"),
        (say(&json!({"text": "hi", "loud": true})), "unknown_field"),
        (say(&json!({"text": "hi", "actor": guest.participant})), "unknown_field"),
        (say(&json!({"text": ""})), "text_empty"),
        (say(&json!({"text": "x".repeat(MAX_MESSAGE_BYTES + 1)})), "message_too_long"),
        (say(&json!({"text": "hi", "reply_to": Uuid::now_v7()})), "no_such_message"),
        (command(here, key(), "message.edit", &json!({"message": Uuid::now_v7(), "text": "hi"})), "no_such_message"),
        (command(here, key(), "session.end", &json!({})), "forbidden"),
        (elsewhere, "not_available"),
    ];
    let bad: Vec<_> = bad.into_iter().map(|(frame, code)| (frame.to_string(), code)).collect();
    answered_and_stays(&running.server, &room, &guest.token, &bad).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_key_is_told_apart_from_a_retry() {
    let running = start(unlimited).await;
    let room = Room::open(&running.server).await.expect("a room");
    let guest = room.admit(&running.server, "Ben").await.expect("in");
    let mut owner = Raw::log_in(&running.server, &room.owner).await.expect("in");
    let mut ben = Raw::log_in(&running.server, &guest.token).await.expect("in");
    let frame = post(room.session, "first");
    let mut other = frame.clone();
    other["data"]["text"] = json!("second");
    let mut answers = Vec::new();
    for (is_owner, frame) in [(true, &frame), (true, &frame), (true, &other), (false, &frame)] {
        let raw = if is_owner { &mut owner } else { &mut ben };
        raw.say(frame).await.expect("sent");
        let Heard::Frame(answer) = raw.hear_type(&["ok", "error"]).await.expect("answered") else { panic!("closed") };
        answers.push((answer["seq"].as_u64(), answer["duplicate"].as_bool(), answer["problem"]["code"].clone()));
    }
    let seq = answers[0].0.expect("a number");
    let reused = (None, None, json!("key_reused"));
    let expected =
        [(Some(seq), Some(false), Value::Null), (Some(seq), Some(true), Value::Null), reused.clone(), reused];
    assert_eq!(answers, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_measure_the_connection_ends_with_a_final_code() {
    let running = start(|launch| unlimited(launch).with("limits.hello_timeout_ms", 300)).await;
    let server = &running.server;
    let token = log_in(&server.rest(), "Ana").await.expect("a login");
    let logged_in = || async { Raw::log_in(server, &token).await.expect("in") };
    let closed = |heard: Heard| match heard {
        Heard::Closed(Some(code)) => code,
        other => panic!("{other:?} instead of a close code"),
    };

    let mut raw = logged_in().await;
    raw.text(&"x".repeat(MAX_FRAME_BYTES + 1)).await.expect("sent");
    assert_eq!(closed(raw.hear_type(&[]).await.expect("the end")), 4413, "a frame that is too large");

    let mut raw = logged_in().await;
    // The connection may end before all are sent.
    for _ in 0..100 {
        if raw.text("{").await.is_err() {
            break;
        }
    }
    assert_eq!(closed(raw.hear_type(&[]).await.expect("the end")), 4429, "nothing but rubbish");

    let mut raw = Raw::open(server).await.expect("open");
    assert_eq!(closed(raw.hear_type(&[]).await.expect("the end")), 4408, "no hello");

    let mut raw = Raw::open(server).await.expect("open");
    raw.bytes(b"\x01hello").await.expect("sent");
    assert_eq!(closed(raw.hear_type(&[]).await.expect("the end")), 4400, "bytes before hello");

    let mut raw = Raw::open(server).await.expect("open");
    raw.say(&json!({"type": "hello", "token": "wrong"})).await.expect("sent");
    assert_eq!(closed(raw.hear_type(&[]).await.expect("the end")), 4401, "a login that there is not");
}

/// Sends a body of a kind to a path and returns status and code.
async fn refused(rest: &Rest, path: &str, kind: &str, body: &[u8]) -> (u16, Option<Code>) {
    let head = format!("{}content-type: {kind}\r\n", rest.head("POST", path));
    let answer = rest.send(&head, body).await.expect("an answer");
    (answer.status, answer.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_makes_no_sense_is_answered_with_its_code() {
    let running = start(unlimited).await;
    let room = Room::open(&running.server).await.expect("a room");
    let rest = room.rest(&running.server);
    let path = format!("/api/v1/sessions/{}/messages", room.session);
    let nowhere = format!("/api/v1/sessions/{}/messages", Uuid::now_v7());
    let other = Room::open(&running.server).await.expect("another room, with another owner");
    let elsewhere = format!("/api/v1/sessions/{}/messages", other.session);
    let (json, hi) = ("application/json", br#"{"text":"hi"}"#.to_vec());
    let long = json!({"text": "x".repeat(MAX_MESSAGE_BYTES + 1)}).to_string().into_bytes();
    let bad = [
        (&path, json, b"{".to_vec(), (400, Code::MalformedJson)),
        (&path, json, b"".to_vec(), (400, Code::MalformedJson)),
        (&path, json, b"\xff\xfe".to_vec(), (400, Code::MalformedJson)),
        (&path, json, b"[".repeat(100_000), (400, Code::MalformedJson)),
        (&path, json, b"[]".to_vec(), (422, Code::InvalidField)),
        (&path, json, br#"{"text":7}"#.to_vec(), (422, Code::InvalidField)),
        (&path, json, br#"{"text":"hi","loud":true}"#.to_vec(), (422, Code::UnknownField)),
        (&path, json, br#"{"text":""}"#.to_vec(), (422, Code::TextEmpty)),
        (&path, json, long, (413, Code::MessageTooLong)),
        (&path, json, vec![b' '; 2 << 20], (413, Code::BodyTooLarge)),
        (&path, "text/plain", hi.clone(), (415, Code::UnsupportedMediaType)),
        (&nowhere, json, hi.clone(), (404, Code::NotFound)),
        (&elsewhere, json, hi.clone(), (404, Code::NotFound)),
    ];
    for (path, kind, body, (status, code)) in bad {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(refused(&rest, path, kind, &body).await, (status, Some(code)), "{path} {kind} {shown}");
    }
    assert_eq!(refused(&running.server.rest(), &path, json, &hi).await, (401, Some(Code::NotLoggedIn)));
    assert_eq!(rest.post(&path, &json!({"text": "hi"})).await.expect("an answer").status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_link_lets_nobody_in() {
    let running = start(unlimited).await;
    let room = Room::open(&running.server).await.expect("a room");
    let path = format!("/api/v1/sessions/{}/links/{}", room.session, room.link);
    let revoked = room.rest(&running.server).call("DELETE", &path, None).await.expect("an answer");
    assert!(matches!(revoked.status, 200 | 204), "{revoked:?}");
    let come = async |link: &str| {
        let wish = json!({"link": link, "display_name": "Ben"});
        running.server.rest().post("/api/v1/join", &wish).await.expect("an answer").code()
    };
    assert_eq!(come(&room.door).await, Some(Code::LinkEnded));
    assert_eq!(come("no such link").await, Some(Code::LinkNotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_end_are_given_up_and_slow_nobody_down() {
    let _alone = ALONE.lock().await;
    let running = start(|launch| unlimited(launch).with("limits.body_timeout_ms", 1500)).await;
    let server = &running.server;
    let crowd = Crowd::gather(server, 50).await.expect("a crowd");
    let usual = crowd.talk(8, Duration::from_millis(250)).await.expect("answers");
    let token = log_in(&server.rest(), "Ana").await.expect("a login");
    let rest = server.rest().with_token(&token);
    let before = server.memory_bytes().expect("known");
    let endless = nuisance::endless_bodies(server, &rest, "/api/v1/sessions", 200);
    let (during, answers) = tokio::join!(crowd.talk(12, Duration::from_millis(250)), endless);
    let during = during.expect("answers");
    let codes: Vec<_> =
        answers.into_iter().map(|answer| answer.expect("an answer")).map(|a| (a.status, a.code())).collect();
    assert_eq!(codes, vec![(408, Some(Code::RequestTimeout)); 200]);
    assert!(during.p99() <= bearable(usual.p99()), "usually {usual}; with endless bodies {during}");
    given_back(server, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_is_read_on_so_that_the_answer_arrives() {
    let running = start(unlimited).await;
    let token = log_in(&running.server.rest(), "Ana").await.expect("a login");
    let rest = running.server.rest().with_token(&token);
    let mut stream = TcpStream::connect(running.server.address()).await.expect("connected");
    let body = vec![b' '; 4 << 20];
    let head = rest.head("POST", "/api/v1/sessions");
    let head = format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.expect("sent");
    // It is refused before this, and still nobody hangs up in the middle of it.
    stream.readable().await.expect("an answer");
    stream.write_all(&body).await.expect("the whole body is taken");
    let answer = rest::answer(&mut stream).await.expect("an answer");
    assert_eq!((answer.status, answer.code()), (413, Some(Code::BodyTooLarge)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_at_once_are_all_taken() {
    let running = start(unlimited).await;
    let mut sockets = Vec::new();
    // As fast as one thread can: faster than the server accepts.
    for _ in 0..1000 {
        sockets.push(std::net::TcpStream::connect(running.server.address()).expect("connected"));
    }
    for socket in sockets {
        socket.set_nonblocking(true).expect("set");
        let mut stream = TcpStream::from_std(socket).expect("a stream");
        let head = format!("{}\r\n", running.server.rest().head("GET", "/api/v1/stats"));
        stream.write_all(head.as_bytes()).await.expect("sent");
        assert_eq!(rest::answer(&mut stream).await.expect("an answer").status, 200);
    }
}

/// Those whose waiting time is measured do so one after the other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Returns how long 99 of 100 may wait while others misbehave. Twice as long as usual, as promised; the floor is for a
/// debug build on a machine that runs other tests meanwhile: there only being stuck would show. The promise itself is
/// measured by `kill --bad-days`.
fn bearable(usual: Duration) -> Duration {
    (usual * 2).max(Duration::from_secs(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_never_read_are_cut_and_slow_nobody_down() {
    let _alone = ALONE.lock().await;
    let running = start(|launch| unlimited(launch).with("limits.write_timeout_ms", 1000)).await;
    let server = &running.server;
    let crowd = Crowd::gather(server, 50).await.expect("a crowd");
    let usual = crowd.talk(8, Duration::from_millis(250)).await.expect("answers");
    let room = Room::open(server).await.expect("a room");
    let mut deaf = Vec::new();
    for n in 0..20 {
        let guest = room.admit(server, &format!("Deaf {n}")).await.expect("in");
        deaf.push(nuisance::deaf(server, &room, &guest.token).await.expect("subscribed"));
    }
    let before = server.memory_bytes().expect("known");
    // 12 MB for each of them: more than backlog and socket buffers hold.
    let (rest, mut dice) = (room.rest(server), Dice::new(1));
    let path = format!("/api/v1/sessions/{}/messages", room.session);
    let flood = async {
        for _ in 0..200 {
            let text: String = (0..3750).map(|_| format!("{:016x}", dice.roll())).collect();
            rest.post(&path, &json!({"text": text, "stream": "main"})).await.expect("an answer").ok().expect("posted");
        }
        server.memory_bytes().expect("known")
    };
    let (during, flooded) = tokio::join!(crowd.talk(12, Duration::from_millis(250)), flood);
    let during = during.expect("answers");
    assert!(during.p99() <= bearable(usual.p99()), "usually {usual}; with deaf readers {during}");
    let each = flooded.saturating_sub(before) / 20;
    assert!(each < 3 << 19, "each deaf reader costs {each} bytes; a backlog holds 1 MiB");
    for raw in &mut deaf {
        let end = tokio::time::timeout(LONG, raw.hear_type(&["lagging"])).await.expect("in time").expect("an end");
        assert!(matches!(&end, Heard::Closed(_)) || end.kind() == Some("lagging"), "{end:?}");
    }
    drop(deaf);
    // The room is open still, and holds what a newcomer would be sent: at most the texts. 20 backlogs are more.
    given_back(server, before + 200 * 60_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_read_in_time_is_told_so_with_a_code_of_its_own() {
    let patience = |launch: Launch| unlimited(launch).with("limits.write_timeout_ms", 3000).with("log.filter", "debug");
    let folder = tempfile::tempdir().expect("a folder");
    let launch = patience(Launch::new(env!("CARGO_BIN_EXE_roundtable"), folder.path().join("data")));
    let server = launch.start(0).await.expect("it starts");
    let room = Room::open(&server).await.expect("a room");
    let guest = room.admit(&server, "Deaf").await.expect("in");
    let mut deaf = nuisance::deaf(&server, &room, &guest.token).await.expect("subscribed");
    let (rest, path) = (room.rest(&server), format!("/api/v1/sessions/{}/messages", room.session));
    let given_up = || std::fs::read_to_string(launch.log()).is_ok_and(|log| log.contains("not taken in time"));
    let mut dice = Dice::new(1);
    // 6 MB: more than backlog and socket buffers hold.
    for _ in 0..100 {
        let text: String = (0..3750).map(|_| format!("{:016x}", dice.roll())).collect();
        rest.post(&path, &json!({"text": text, "stream": "main"})).await.expect("an answer").ok().expect("posted");
    }
    assert!(until(LONG, given_up).await, "nobody was given up");
    let Heard::Frame(bye) = deaf.hear_type(&["bye"]).await.expect("an end") else { panic!("no bye") };
    assert_eq!(bye["code"], "too_slow");
    assert_eq!(deaf.hear_type(&[]).await.expect("an end"), Heard::Closed(Some(4508)));
    rest.get("/api/v1/stats").await.expect("an answer").ok().expect("it serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_half_open_connections_are_cut_and_slow_nobody_down() {
    let _alone = ALONE.lock().await;
    let short = |launch: Launch| {
        let launch = unlimited(launch).with("limits.header_timeout_ms", 1000);
        launch.with("limits.hello_timeout_ms", 1000)
    };
    let running = start(short).await;
    let server = &running.server;
    let count = nuisance::sockets_allowed().min(5_000);
    let crowd = Crowd::gather(server, 50).await.expect("a crowd");
    let usual = crowd.talk(8, Duration::from_millis(250)).await.expect("answers");
    let before = server.memory_bytes().expect("known");
    let attack = async {
        let open = nuisance::half_open(server, count).await.expect("open");
        nuisance::left_open(open, LONG).await
    };
    let (during, left) = tokio::join!(crowd.talk(12, Duration::from_millis(250)), attack);
    let during = during.expect("answers");
    assert_eq!(left, 0, "of {count} half-open connections");
    assert!(during.p99() <= bearable(usual.p99()), "usually {usual}; with {count} half-open connections {during}");
    given_back(server, before).await;
}

/// Waits until the server's memory is back within a tenth of what it was before an attack.
async fn given_back(server: &Server, before: u64) {
    let small = || server.memory_bytes().expect("known") <= before + before / 10;
    assert!(until(LONG, small).await, "{before} bytes before, {:?} after", server.memory_bytes());
}

/// A small disk of its own; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one; `None` when this user may not, or the system has no such thing.
    fn mount(folder: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir(folder).expect("a folder");
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(folder.to_owned()))
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let mut file = std::fs::File::options().append(true).create(true).open(self.filler()).expect("a file");
        for size in [65_536, 4096, 1] {
            while std::io::Write::write_all(&mut file, &vec![b'x'; size]).is_ok() {}
        }
    }

    /// Gives it back.
    fn free(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a server that still ends may hold files open for a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_writing_is_refused_reading_goes_on_and_all_mends_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = Disk::mount(&folder.path().join("disk"), 16 << 20) else {
        // Not by a macro: what those print is hidden when a test passes.
        let notice = b"SKIPPED on_a_full_disk...: this user may not mount a small disk\n";
        std::io::Write::write_all(&mut std::io::stderr(), notice).expect("standard error takes a line");
        return;
    };
    let launch = unlimited(Launch::new(env!("CARGO_BIN_EXE_roundtable"), disk.0.join("data")).log_to(folder.path()));
    let server = launch.start(0).await.expect("it starts");
    let room = Room::open(&server).await.expect("a room");
    let (history, rest) = (History::new(), room.rest(&server));
    let guest = room.guest(&server, 0, &history).await.expect("in");
    let say = async |text: &str| guest.client.post(room.session, Stream::Main, text, None).await;
    say("while there is room").await.expect("acknowledged");

    disk.fill();
    let path = format!("/api/v1/sessions/{}/messages", room.session);
    let big = json!({"text": "x".repeat(60_000), "stream": "main"});
    let full = fills_up(&rest, &path, &big).await;
    assert_eq!((full.status, full.code()), (507, Some(Code::StorageFull)), "{full:?}");
    assert_eq!(full.json["retryable"], true);

    // Reading goes on: history, a new socket, presence.
    room.read(&rest, 1, Stream::Main, roundtable_protocol::Seq::ZERO, &history).await.expect("history");
    let mut late = Raw::log_in(&server, &guest.person.token).await.expect("in");
    let wish = json!({"type": "subscribe", "id": 1, "session_id": room.session, "streams": [{"stream": "main"}]});
    late.say(&wish).await.expect("sent");
    let heard = late.hear_type(&["subscribed", "error"]).await.expect("an answer");
    assert_eq!(heard.kind(), Some("subscribed"), "{heard:?}");

    // A client waits with what it has to say, and says it by itself once there is room.
    let text = "y".repeat(60_000);
    let waiting = say(&text);
    let mending = async {
        let refused =
            |history: &History| history.holds(|r| matches!(r, Record::Refused { code: Code::StorageFull, .. }));
        assert!(until(LONG, || refused(&history)).await, "the client was not refused");
        disk.free();
        Instant::now()
    };
    let (answer, freed) = tokio::join!(waiting, mending);
    answer.expect("acknowledged in the end");
    assert!(freed.elapsed() < Duration::from_secs(10), "{:?} from free space to the acknowledgement", freed.elapsed());

    let log = Log::from([(
        Place { session: room.session, stream: Stream::Main },
        room.log(&rest, Stream::Main).await.expect("log"),
    )]);
    assert_eq!(checker::check(&history.take(), &log), []);
    let mut server = server;
    assert!(server.stop().await.expect("it ends").success());
    launch.verify(room.session).await.expect("the chain holds");
}

/// Posts until a post is refused: what was set aside before the disk was full takes a few.
async fn fills_up(rest: &Rest, path: &str, body: &Value) -> Response {
    for _ in 0..1000 {
        let answer = rest.post(path, body).await.expect("an answer");
        if answer.status != 201 {
            return answer;
        }
    }
    panic!("the disk does not fill up");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_clock_jumps_order_and_times_go_on_forwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let offset = Arc::new(AtomicI64::new(0));
    let now: roundtable_hub::config::Now = Arc::new({
        let offset = Arc::clone(&offset);
        move || {
            let now = roundtable_hub::clock::now();
            let ms = now.as_millisecond() + offset.load(Ordering::Relaxed);
            Timestamp::from_millisecond(ms).expect("an hour more or less is a time")
        }
    });
    let start = async || {
        let mut settings = roundtable_server::Settings::defaults();
        settings.listen = ([127, 0, 0, 1], 0).into();
        settings.data = folder.path().join("data");
        let hub = roundtable_hub::HubConfig { now: Arc::clone(&now), ..Default::default() };
        let parts = roundtable_server::serve::Parts { hub, ..Default::default() };
        roundtable_server::Server::start_with(settings, parts).await.expect("it starts")
    };
    let server = start().await;
    let rest = Rest::new(server.address());
    let token = log_in(&rest, "Ana").await.expect("a login");
    let rest = rest.with_token(&token);
    let session =
        rest.post("/api/v1/sessions", &json!({"title": "Clocks"})).await.expect("an answer").ok().expect("made");
    let path = format!("/api/v1/sessions/{}", session["id"].as_str().expect("an id"));
    let hour = 3_600_000;
    let say = async |rest: &Rest, text: String| {
        let body = json!({"text": text, "stream": "side"});
        rest.post(&format!("{path}/messages"), &body).await.expect("an answer").ok().expect("posted");
    };
    for (n, jump) in [0, hour, -hour, 0, 24 * hour, -24 * hour].into_iter().enumerate() {
        offset.store(jump, Ordering::Relaxed);
        say(&rest, format!("{n}")).await;
    }
    // The server that comes after it has a clock that is a day behind what the log says.
    server.stop().await;
    let server = start().await;
    let rest = Rest::new(server.address()).with_token(&token);
    say(&rest, "6".to_owned()).await;
    let page = rest.get(&format!("{path}/events?stream=side")).await.expect("an answer").ok().expect("a page");
    let events = page["events"].as_array().expect("events");
    let texts: Vec<_> = events.iter().map(|event| event["data"]["text"].as_str().unwrap_or_default()).collect();
    assert_eq!(texts, ["0", "1", "2", "3", "4", "5", "6"]);
    let times: Vec<Timestamp> =
        events.iter().map(|event| event["at"].as_str().expect("a time").parse().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_clients_whose_clocks_are_wrong_are_keys_like_others() {
    let running = start(unlimited).await;
    let room = Room::open(&running.server).await.expect("a room");
    let mut raw = Raw::log_in(&running.server, &room.owner).await.expect("in");
    let (now, hour) = (Uuid::now_v7().as_u128(), 3_600_000_u128 << 80);
    let mut seqs = Vec::new();
    for key in [now, now + hour, now - hour, now + 1] {
        raw.say(&command(room.session, Uuid::from_u128(key), "message.post", &json!({"text": "hi"})))
            .await
            .expect("sent");
        let Heard::Frame(answer) = raw.hear_type(&["ok", "error"]).await.expect("answered") else { panic!("closed") };
        seqs.push(answer["seq"].as_u64().unwrap_or_else(|| panic!("{answer}")));
    }
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
}
