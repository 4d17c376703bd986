//! Durable appends through `SessionManager` over SQLite, without sockets: each caller posts a message of 200 bytes and
//! waits until it is on the disk, then posts the next. Prints one JSON object; `cargo xtask load --append` runs it
//! beside the store's `append_bench`, which does nothing but commit groups.
//!
//! `cargo run --release -p roundtable-hub --example manager_bench -- --callers 64 --sessions 100 --seconds 4 --data DIR`

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use roundtable_hub::{Founding, HubConfig, SessionManager, clock};
use roundtable_protocol::command::{Envelope, MessagePost};
use roundtable_protocol::ids::DEFAULT_PROJECT;
use roundtable_protocol::model::{SessionKind, Settings, Visibility};
use roundtable_protocol::{Command, Epoch, SessionId, Stream, UserId};
use roundtable_store::SqliteStore;

/// How long callers run before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long each message is. Unit: bytes.
const TEXT_BYTES: usize = 200;

struct Asked {
    callers: usize,
    sessions: usize,
    seconds: f64,
    data: String,
}

/// What all callers share.
#[derive(Default)]
struct Run {
    counting: AtomicBool,
    ended: AtomicBool,
    events: AtomicU64,
}

fn main() -> ExitCode {
    let asked = match read_arguments() {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}\nusage: manager_bench --callers N --sessions N --seconds N --data DIR");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(bench(&asked));
    ExitCode::SUCCESS
}

fn read_arguments() -> Result<Asked, String> {
    let mut asked = Asked { callers: 64, sessions: 100, seconds: 4.0, data: String::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        let wrong = |_| format!("{name} wants a number, not {value}");
        match name.as_str() {
            "--callers" => asked.callers = value.parse().map_err(wrong)?,
            "--sessions" => asked.sessions = value.parse().map_err(wrong)?,
            "--seconds" => asked.seconds = value.parse().map_err(|_| format!("{name} wants a number"))?,
            "--data" => asked.data = value,
            _ => return Err(format!("{name} means nothing here")),
        }
    }
    if asked.data.is_empty() || asked.callers == 0 || asked.sessions == 0 {
        return Err("a folder, callers and sessions are needed".into());
    }
    Ok(asked)
}

async fn bench(asked: &Asked) {
    let store = Arc::new(SqliteStore::open(&asked.data).expect("the folder can be used"));
    let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    let mut rooms = Vec::with_capacity(asked.sessions);
    for _ in 0..asked.sessions {
        let owner = UserId(clock::new_key());
        let created = manager.create(clock::new_key(), founding(owner)).await.expect("the session is made");
        rooms.push((created.info.id, owner));
    }
    let run = Arc::new(Run::default());
    let callers: Vec<_> = (0..asked.callers)
        .map(|n| {
            let (session, user) = rooms[n % rooms.len()];
            tokio::spawn(call(manager.clone(), session, user, Arc::clone(&run)))
        })
        .collect();
    tokio::time::sleep(WARM_UP).await;
    let (cpu, started) = (cpu_ns(), Instant::now());
    run.counting.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs_f64(asked.seconds)).await;
    run.counting.store(false, Ordering::Relaxed);
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_ns() - cpu);
    let events = run.events.load(Ordering::Relaxed);
    run.ended.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    for caller in callers {
        waits.extend(caller.await.expect("a caller does not panic"));
    }
    waits.sort_unstable();
    let at = |part: f64| waits.get((waits.len() as f64 * part) as usize).map_or(0.0, |ns| *ns as f64 / 1e6);
    println!(
        r#"{{"bench":"manager","callers":{},"sessions":{},"seconds":{seconds:.2},"events":{events},"events_per_second":{:.0},"p50_ms":{:.3},"p99_ms":{:.3},"cpu_us_per_event":{:.2}}}"#,
        asked.callers,
        asked.sessions,
        events as f64 / seconds,
        at(0.5),
        at(0.99),
        cpu as f64 / 1e3 / events.max(1) as f64,
    );
    manager.shutdown().await;
}

/// Posts one message after another; returns how long each took while it counted. Unit: nanoseconds.
async fn call(manager: SessionManager, session: SessionId, user: UserId, run: Arc<Run>) -> Vec<u64> {
    let mut waits = Vec::new();
    let text = "what was decided, and why ".repeat(TEXT_BYTES.div_ceil(26))[..TEXT_BYTES].to_owned();
    while !run.ended.load(Ordering::Relaxed) {
        let post = MessagePost { text: text.clone(), ask: Some(false), ..MessagePost::default() };
        let command = Command::MessagePost(post);
        let envelope = Envelope { key: clock::new_key(), stream: Stream::Main, seen: None, retry: false, command };
        let asked_at = Instant::now();
        manager.command(session, user, envelope).await.expect("the message is recorded");
        if run.counting.load(Ordering::Relaxed) {
            run.events.fetch_add(1, Ordering::Relaxed);
            waits.push(u64::try_from(asked_at.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
    }
    waits
}

fn founding(owner: UserId) -> Founding {
    Founding {
        session: SessionId(clock::new_key()),
        epoch: Epoch::from_random(clock::random()),
        project: DEFAULT_PROJECT,
        owner,
        owner_name: "Owner".into(),
        owner_colour: None,
        title: "Appends".into(),
        kind: SessionKind::Collaborative,
        visibility: Visibility::Private,
        settings: Settings::default(),
        description: String::new(),
        tags: Vec::new(),
        category: None,
        expires_at: None,
        start: true,
        assistant: None,
    }
}

/// Returns how long the threads of this process have been on a processor. Linux; 0 elsewhere. Unit: nanoseconds.
fn cpu_ns() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    times.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum()
}
