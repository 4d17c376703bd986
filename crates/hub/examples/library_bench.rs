//! Messages through the library's calls with watchers, in memory or over SQLite. Prints one JSON object; `cargo xtask load
//! --library` runs it beside `bench/peers/library.py`.
//!
//! `cargo run --release -p roundtable-hub --example library_bench -- --subscribers 10 --callers 64 --seconds 2 [--data DIR]`

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use roundtable_hub::library::{Somebody, Watcher};
use roundtable_hub::{HubConfig, SessionManager};
use roundtable_protocol::{Role, SessionId, Stream, UserId};
use roundtable_store::{MemoryStore, SqliteStore, Store};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given: HashMap<&str, &str> =
        arguments.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    let number = |name: &str, usual: u64| given.get(name).map_or(usual, |text| text.parse().expect("a whole number"));
    let (subscribers, callers) = (number("--subscribers", 1), number("--callers", 64));
    let seconds = Duration::from_secs(number("--seconds", 2));
    let store: Arc<dyn Store> = match given.get("--data") {
        Some(folder) => Arc::new(SqliteStore::open(folder).expect("the folder can be used")),
        None => Arc::new(MemoryStore::default()),
    };

    let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    let owner = Somebody::person("Owner");
    let session = manager.create_session(&owner, "bench").await.expect("a session").id;
    let received = Arc::new(AtomicU64::new(0));
    for n in 0..subscribers {
        let reader = Somebody::person(&format!("Reader {n}"));
        manager.let_in(session, &reader, Role::Viewer).await.expect("let in");
        let watcher = manager.watch(session, reader.user, &[Stream::Main]).await.expect("a watcher");
        tokio::spawn(read(watcher, Arc::clone(&received)));
    }
    // What was before the first message is no delivery of this bench: it has come once a first message has.
    let marked = manager.send_message(session, owner.user, Stream::Main, "begin").await.expect("sent").seq.0;
    let begun = subscribers * marked;
    until(&received, begun).await;

    let started = Instant::now();
    let calls: Vec<_> =
        (0..callers).map(|_| tokio::spawn(call(manager.clone(), session, owner.user, started + seconds))).collect();
    let mut sent = 0;
    for call in calls {
        sent += call.await.expect("a caller does not panic");
    }
    until(&received, begun + sent * subscribers).await;
    let took = started.elapsed().as_secs_f64();
    let (rate, deliveries) = (sent as f64 / took, (sent * subscribers) as f64 / took);
    println!(
        r#"{{"subscribers":{subscribers},"messages_per_second":{rate:.0},"deliveries_per_second":{deliveries:.0}}}"#
    );
    manager.shutdown().await;
}

/// Counts events as a program that passes frames on gets them; what is lost by lagging is fetched.
async fn read(mut watcher: Watcher, received: Arc<AtomicU64>) {
    let mut last = 0;
    while let Some(frame) = watcher.next_frame().await {
        if let Some((stream, _, to)) = frame.events() {
            received.fetch_add(to.0.saturating_sub(last), Ordering::Relaxed);
            last = last.max(to.0);
            assert_eq!(stream, Stream::Main);
        } else if frame.kind() == "lagging" {
            match watcher.catch_up(Stream::Main, roundtable_protocol::Seq(last)).await {
                Err(problem) if problem.code == roundtable_protocol::Code::ShuttingDown => return,
                caught_up => caught_up.expect("it may still read"),
            }
        } else if frame.kind() == "snapshot" {
            let at = frame_head(frame.text());
            received.fetch_add(at.saturating_sub(last), Ordering::Relaxed);
            last = last.max(at);
        }
    }
}

/// Returns how far a snapshot goes in `main`.
fn frame_head(text: &[u8]) -> u64 {
    let value: serde_json::Value = serde_json::from_slice(text).expect("a frame is JSON");
    value["at"]["main"].as_u64().expect("a snapshot says how far it goes")
}

async fn call(manager: SessionManager, session: SessionId, user: UserId, ends: Instant) -> u64 {
    let text = "what was decided, and why ".repeat(8);
    let mut sent = 0;
    while Instant::now() < ends {
        manager.send_message(session, user, Stream::Main, &text).await.expect("sent");
        sent += 1;
    }
    sent
}

async fn until(received: &AtomicU64, wanted: u64) {
    while received.load(Ordering::Relaxed) < wanted {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
