//! Bad days without a kill: ten thousand half-open connections, bodies that never end, readers who never read.
//!
//! Owns: how many of each, and the limits that must hold: 50 normal clients wait less than twice as long meanwhile, and
//! a minute later the server's memory is back within a tenth. Must not know: how the callers misbehave.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use roundtable_client::trial::crowd::{Crowd, Waits};
use roundtable_client::trial::dice::Dice;
use roundtable_client::trial::nuisance;
use roundtable_client::trial::people::Room;
use roundtable_client::trial::rounds::unlimited;
use roundtable_client::trial::server::{Launch, Server};
use serde_json::json;
use tokio::time::Instant;

/// How many normal clients there are.
const NORMAL: usize = 50;
/// How often each of them says something while it is measured, and how far apart.
const TALK: (u32, Duration) = (60, Duration::from_millis(250));
/// How many connections never become a request.
const HALF_OPEN: usize = 10_000;
/// How many bodies never end.
const ENDLESS: usize = 500;
/// How many readers never read, and how much there is to read for each. Unit: messages of 60 KB.
const DEAF: (u32, u32) = (100, 300);
/// How long the server's memory may take to come back.
const BACK: Duration = Duration::from_secs(60);

/// Returns whether everything stayed within its limits.
pub async fn run(launch: Launch) -> Result<bool> {
    let allowed = nuisance::sockets_allowed();
    let half_open = HALF_OPEN.min(allowed);
    println!(
        "{half_open} half-open connections ({allowed} sockets allowed), {ENDLESS} endless bodies, {} deaf readers",
        DEAF.0
    );
    let server = unlimited(launch).start(0).await?;
    let crowd = Crowd::gather(&server, NORMAL).await?;
    // The first words warm up what has never run.
    crowd.talk(10, TALK.1).await?;
    let usual = crowd.talk(TALK.0, TALK.1).await?;
    let memory = server.memory_bytes()?;
    println!("usually: {usual}; {:.1} MB", megabytes(memory));
    let mut good = true;
    good &= day("half-open connections", &server, &crowd, &usual, memory, hold_open(&server, half_open)).await?;
    good &= day("bodies that never end", &server, &crowd, &usual, memory, endless(&server)).await?;
    good &= day("readers who never read", &server, &crowd, &usual, memory, deaf(&server)).await?;
    Ok(good)
}

/// Has the crowd talk while `misbehaving` goes on, then waits for the memory to come back.
async fn day(
    name: &str,
    server: &Server,
    crowd: &Crowd,
    usual: &Waits,
    memory: u64,
    misbehaving: impl Future<Output = Result<String>>,
) -> Result<bool> {
    let (during, outcome) = tokio::join!(crowd.talk(TALK.0, TALK.1), misbehaving);
    let (during, outcome) = (during?, outcome.with_context(|| name.to_owned())?);
    let ended = Instant::now();
    let most = memory + memory / 10;
    let peak = server.memory_bytes()?;
    while server.memory_bytes()? > most && ended.elapsed() < BACK {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (after, took) = (server.memory_bytes()?, ended.elapsed());
    let fast = during.p99() < usual.p99() * 2;
    let small = after <= most;
    println!("{name}: {outcome}");
    println!("  {during}: {} than twice as long as usual", if fast { "less" } else { "MORE" });
    println!(
        "  {:.1} MB at the end, {:.1} MB after {:.1} s: {} a tenth of before",
        megabytes(peak),
        megabytes(after),
        took.as_secs_f64(),
        if small { "within" } else { "NOT WITHIN" }
    );
    Ok(fast && small)
}

async fn hold_open(server: &Server, count: usize) -> Result<String> {
    let started = Instant::now();
    let open = nuisance::half_open(server, count).await?;
    let opened = started.elapsed();
    let left = nuisance::left_open(open, BACK).await;
    ensure!(left == 0, "{left} of {count} are still open");
    Ok(format!(
        "{count} open after {:.1} s, all cut after {:.1} s",
        opened.as_secs_f64(),
        started.elapsed().as_secs_f64()
    ))
}

async fn endless(server: &Server) -> Result<String> {
    let room = Room::open(server).await.context("opening a room")?;
    let rest = room.rest(server);
    let answers = nuisance::endless_bodies(server, &rest, "/api/v1/sessions", ENDLESS).await;
    let (timed_out, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 408));
    ensure!(others.is_empty(), "{} of {ENDLESS} were not answered 408: {:?}", others.len(), others[0]);
    let timed_out = timed_out.len();
    Ok(format!("{timed_out} answered 408"))
}

async fn deaf(server: &Server) -> Result<String> {
    let room = Room::open(server).await?;
    let mut readers = Vec::new();
    for n in 0..DEAF.0 {
        let guest = room.admit(server, &format!("Deaf {n}")).await?;
        readers.push(nuisance::deaf(server, &room, &guest.token).await?);
    }
    let (rest, mut dice) = (room.rest(server), Dice::new(1));
    let path = format!("/api/v1/sessions/{}/messages", room.session);
    for _ in 0..DEAF.1 {
        let text: String = (0..3750).map(|_| format!("{:016x}", dice.roll())).collect();
        rest.post(&path, &json!({"text": text, "stream": "main"})).await?.ok()?;
    }
    let mut told = 0;
    for reader in &mut readers {
        // Nobody reads before: what was sent so far, then the end or a word about it.
        let end = reader.hear_type(&["lagging"]).await?;
        told += u32::from(end.kind() == Some("lagging"));
    }
    Ok(format!("{told} were told that they lag, {} were cut", DEAF.0 - told))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
