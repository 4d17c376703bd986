//! The scripted scenarios that bind this machine and its TypeScript twin: `fixtures/README.md` says how to read them.
//!
//! `UPDATE_FIXTURES=1` writes the `out` and `check` lines anew from what the machine does; the diff is to be reviewed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use roundtable_client::{Entropy, Machine, Output, Status, incoming};
use roundtable_protocol::ids::{SessionId, Stream};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Keys come from the script, jitter is always one half.
struct Scripted(Arc<Mutex<Option<Uuid>>>);

impl Entropy for Scripted {
    fn key(&mut self) -> Uuid {
        self.0.lock().unwrap().take().expect("a command line brings its key")
    }
    fn jitter(&mut self) -> f64 {
        0.5
    }
}

#[test]
fn the_machine_does_what_the_scripts_say() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/frames/client-machine");
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 9, "connect, resume, gap, backoff, retry, reset, lagging, access, final close");
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let wanted: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let got = run(&wanted);
        if update {
            let lines: String = got.iter().map(|line| format!("{line}\n")).collect();
            std::fs::write(&path, lines).unwrap();
            continue;
        }
        for (n, (wanted, got)) in wanted.iter().zip(&got).enumerate() {
            assert_eq!(wanted, got, "{} line {}", path.display(), n + 1);
        }
        assert_eq!(wanted.len(), got.len(), "{}", path.display());
    }
}

/// Runs the `in` lines and returns the whole script as the machine plays it.
fn run(script: &[Value]) -> Vec<Value> {
    let key = Arc::new(Mutex::new(None));
    let mut machine =
        Machine::new(Some("token".to_owned()), vec!["deflate".to_owned()], Box::new(Scripted(key.clone())));
    let mut played = Vec::new();
    for line in script {
        if let Some(note) = line.get("note") {
            played.push(json!({ "note": note }));
        } else if let Some(input) = line.get("in") {
            played.push(line.clone());
            feed(&mut machine, &key, input);
            while let Some(output) = machine.poll() {
                played.extend(show(&output).map(|out| json!({ "out": out })));
            }
        } else if let Some(check) = line.get("check") {
            played.push(json!({ "check": state(&machine, session(check)) }));
        } else {
            assert!(line.get("out").is_some(), "a line is note, in, out or check: {line}");
        }
    }
    played
}

fn session(value: &Value) -> SessionId {
    value["session_id"].as_str().expect("session_id").parse().unwrap()
}

fn stream(value: &Value) -> Stream {
    value.as_str().expect("a stream's name").parse().unwrap()
}

fn feed(machine: &mut Machine, key: &Mutex<Option<Uuid>>, input: &Value) {
    match input["type"].as_str().unwrap() {
        "connect" => machine.connect(),
        "connected" => machine.connected(),
        "disconnected" => machine.disconnected(input["code"].as_u64().map(|c| u16::try_from(c).unwrap())),
        "close" => machine.close(),
        "tick" => machine.tick(input["now"].as_u64().unwrap()),
        "frame" => machine.frame(incoming::from_text(&input["frame"].to_string()).unwrap()),
        "subscribe" => {
            let streams: Vec<_> = input["streams"].as_array().unwrap().iter().map(stream).collect();
            machine.subscribe(session(input), streams);
        }
        "unsubscribe" => machine.unsubscribe(session(input)),
        "command" => {
            *key.lock().unwrap() = Some(input["key"].as_str().unwrap().parse().unwrap());
            let name = input["name"].as_str().unwrap();
            machine.command_raw(session(input), stream(&input["stream"]), name, input["data"].clone());
        }
        other => panic!("unknown input {other}"),
    }
}

fn show(output: &Output) -> Option<Value> {
    Some(match output {
        Output::Connect => json!({"type": "connect"}),
        Output::Close => json!({"type": "close"}),
        Output::Send(frame) => json!({"type": "send", "frame": frame}),
        Output::Status(status) => {
            let mut out = Map::from_iter([("type".to_owned(), json!("status"))]);
            out.extend(show_status(*status));
            Value::Object(out)
        }
        Output::Settled { session, key, result: Ok(ok) } => {
            json!({"type": "settled", "session_id": session, "key": key, "ok": {
                "stream": ok.stream, "seq": ok.seq, "id": ok.id, "duplicate": ok.duplicate}})
        }
        Output::Settled { session, key, result: Err(problem) } => {
            json!({"type": "settled", "session_id": session, "key": key, "code": problem.code})
        }
        Output::Postponed { session, key, problem, until_ms } => {
            json!({"type": "postponed", "session_id": session, "key": key, "code": problem.code, "until": until_ms})
        }
        Output::Refused { session, problem } => {
            json!({"type": "refused", "session_id": session, "code": problem.code})
        }
        Output::Changed(session) => json!({"type": "changed", "session_id": session}),
        Output::Applied { .. } | Output::Ephemeral(_) => return None,
    })
}

fn show_status(status: Status) -> Map<String, Value> {
    let value = match status {
        Status::Idle => json!({"status": "idle"}),
        Status::Connecting => json!({"status": "connecting"}),
        Status::Greeting => json!({"status": "greeting"}),
        Status::Ready => json!({"status": "ready"}),
        Status::Waiting { until_ms } => json!({"status": "waiting", "until": until_ms}),
        Status::Failed { code } => json!({"status": "failed", "code": code}),
        Status::Closed => json!({"status": "closed"}),
    };
    let Value::Object(map) = value else { unreachable!("every arm is an object") };
    map
}

fn state(machine: &Machine, id: SessionId) -> Value {
    let sync = machine.session(id);
    let mut heads = Map::new();
    let mut texts = Map::new();
    for stream in Stream::ALL {
        if let Some(seq) = sync.and_then(|s| s.position(stream)) {
            heads.insert(stream.name().to_owned(), json!(seq));
        }
        if let Some(view) = sync.and_then(|s| s.view().streams.get(&stream)) {
            let all: Vec<_> = view.messages.iter().map(|m| m.text.as_str()).collect();
            texts.insert(stream.name().to_owned(), json!(all));
        }
    }
    json!({
        "session_id": id,
        "status": show_status(machine.status())["status"],
        "deadline": machine.deadline(),
        "heads": heads,
        "texts": texts,
        "title": sync.and_then(|s| s.view().session.as_ref()).map(|s| s.title.as_str()),
        "role": sync.and_then(|s| s.you()).and_then(|you| you.role),
        "unanswered": machine.unanswered(id),
    })
}
