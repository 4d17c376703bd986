//! Bad days without a kill: ten thousand half-open connections, bodies that never end, readers who never read.
//!
//! Owns: how many of each, and the limits that must hold: 50 normal clients wait less than twice as long meanwhile, and
//! a minute later the server's memory is back within a tenth. Must not know: how the callers misbehave.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use roundtable_client::trial::crowd::{Crowd, Waits};
use roundtable_client::trial::dice::Dice;
use roundtable_client::trial::nuisance;
use roundtable_client::trial::people::Room;
use roundtable_client::trial::rounds::unlimited;
use roundtable_client::trial::server::{Launch, Server};
use serde_json::json;
use tokio::runtime::Runtime;

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
pub fn run(launch: Launch) -> Result<bool> {
    let allowed = nuisance::sockets_allowed();
    let half_open = HALF_OPEN.min(allowed);
    println!(
        "{half_open} half-open connections ({allowed} sockets allowed), {ENDLESS} endless bodies, {} deaf readers",
        DEAF.0
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let usually = runtime.block_on(Usually::measure(launch))?;
    println!("usually: {}; {:.1} MB", usually.waits, megabytes(usually.memory));
    let mut good = true;
    good &= day("half-open connections", &runtime, &usually, |server| hold_open(server, half_open))?;
    good &= day("bodies that never end", &runtime, &usually, endless)?;
    good &= day("readers who never read", &runtime, &usually, deaf)?;
    Ok(good)
}

/// The server and its normal clients, as they are when nobody misbehaves.
struct Usually {
    server: Server,
    crowd: Crowd,
    waits: Waits,
    memory: u64,
}

impl Usually {
    async fn measure(launch: Launch) -> Result<Self> {
        let server = unlimited(launch).start(0).await?;
        let crowd = Crowd::gather(&server, NORMAL).await?;
        // Warms up what has never run and fills what remembers the last messages: what the crowd itself says in a day must
        // not count as what was left behind by others.
        crowd.talk(TALK.0 * 2, TALK.1).await?;
        let waits = crowd.talk(TALK.0, TALK.1).await?;
        let memory = server.memory_bytes()?;
        Ok(Self { server, crowd, waits, memory })
    }
}

/// Has the crowd talk while others misbehave, on a thread of their own: the crowd's waiting is to be the server's doing.
/// Then waits for the memory to come back, while the crowd is silent: its words would take memory of their own.
fn day<'a, M: Future<Output = Result<String>>>(
    name: &str,
    runtime: &Runtime,
    usually: &'a Usually,
    misbehave: impl FnOnce(&'a Server) -> M + Send,
) -> Result<bool> {
    let Usually { server, crowd, waits, memory } = usually;
    let (during, outcome) = std::thread::scope(|threads| {
        let misbehaving = threads.spawn(|| {
            let own = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            own.block_on(misbehave(server))
        });
        let during = runtime.block_on(crowd.talk(TALK.0, TALK.1));
        (during, misbehaving.join())
    });
    let outcome = outcome.map_err(|_| anyhow!("{name}: a caller panicked"))?.with_context(|| name.to_owned())?;
    let (during, peak, ended) = (during?, server.memory_bytes()?, Instant::now());
    let most = memory + memory / 10;
    while server.memory_bytes()? > most && ended.elapsed() < BACK {
        std::thread::sleep(TALK.1);
    }
    let (after, took) = (server.memory_bytes()?, ended.elapsed());
    let fast = during.p99() < waits.p99() * 2;
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
