//! Durable appends: how close the SQLite store comes to a bare group-commit loop with the same row layout.
//!
//! Both write events of 200-byte bodies into 100 sessions for a number of callers, each of which waits for its durable
//! answer before it asks again. Both run in turns in one process on one disk, several rounds, and the medians are
//! compared: the disk's mood changes by the minute.
//!
//! - **bare**: one thread takes what has queued, numbers it, hashes it, inserts it with a prepared statement, updates
//!   each touched session once, commits, answers. No rights, no revs to compare, no commits: the floor.
//! - **store**: a task for each session gathers what waits (at most 256 events) and appends it as one commit, one at a
//!   time, through [`Store::append`], as a room does.
//!
//! `cargo run --release -p roundtable-store --example append_bench -- [--seconds 3] [--rounds 3] [--callers 64,1024]
//! [--dir FOLDER]`; the last line is JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use roundtable_protocol::ids::uuid_v7;
use roundtable_protocol::{DEFAULT_PROJECT, Epoch, EventId, Rev, Seq, SessionId, Stream, Timestamp};
use roundtable_store::chain::{self, GENESIS, Hash};
use roundtable_store::{Birth, Commit, NewEvent, SqliteStore, Store};
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

const SESSIONS: usize = 100;
const BATCH: usize = 256;
const GROUP: usize = 2_048;
const BODY: usize = 200;

/// One caller's event and where its answer goes.
struct Ask {
    id: Uuid,
    header: Bytes,
    body: Bytes,
    answer: oneshot::Sender<()>,
}

/// Where callers' events go.
#[derive(Clone)]
enum Target {
    /// Each session's gathering task.
    Rooms(Vec<mpsc::Sender<Ask>>),
    /// The bare loop, which wants the session's number.
    Bare(mpsc::Sender<(usize, Ask)>),
}

impl Target {
    async fn send(&self, session: usize, ask: Ask) -> bool {
        match self {
            Self::Rooms(rooms) => rooms[session].send(ask).await.is_ok(),
            Self::Bare(queue) => queue.send((session, ask)).await.is_ok(),
        }
    }
}

/// What one run measured.
#[derive(Clone, Copy)]
struct Run {
    per_second: f64,
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
}

struct Options {
    seconds: u64,
    rounds: usize,
    callers: Vec<usize>,
    dir: PathBuf,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = options()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{SESSIONS} sessions, {BODY}-byte bodies, median of {} rounds of {} s", options.rounds, options.seconds);
    println!("callers  system    events/s  CPU us/event  p50 ms  p99 ms");
    let mut results = Vec::new();
    for &callers in &options.callers {
        let mut rounds: [Vec<Run>; 2] = Default::default();
        for _ in 0..options.rounds {
            for (system, runs) in rounds.iter_mut().enumerate() {
                let folder = tempfile::tempdir_in(&options.dir)?;
                let run = async {
                    let target = if system == 0 { bare(folder.path()) } else { rooms(folder.path()) }?;
                    Ok::<_, Box<dyn std::error::Error>>(
                        measure(target, callers, Duration::from_secs(options.seconds)).await,
                    )
                };
                runs.push(runtime.block_on(run)?);
            }
        }
        let [bare, store] = rounds.map(|mut runs| {
            runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
            runs[runs.len() / 2]
        });
        for (name, run) in [("bare", bare), ("store", store)] {
            let Run { per_second, cpu_us, p50_ms, p99_ms } = run;
            println!("{callers:>7}  {name:<6} {per_second:>11.0}  {cpu_us:>12.1}  {p50_ms:>6.2}  {p99_ms:>6.2}");
        }
        let ratio = store.per_second / bare.per_second;
        println!("{callers:>7}  store / bare: {ratio:.2}");
        results.push(serde_json::json!({
            "callers": callers, "bare": bare.per_second, "store": store.per_second, "ratio": ratio,
            "store_p50_ms": store.p50_ms, "store_p99_ms": store.p99_ms, "store_cpu_us": store.cpu_us,
        }));
    }
    println!("{}", serde_json::json!({ "durable_append": results }));
    Ok(())
}

fn options() -> Result<Options, Box<dyn std::error::Error>> {
    let mut options = Options { seconds: 3, rounds: 3, callers: vec![64, 1024], dir: std::env::temp_dir() };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--seconds" => options.seconds = value.parse()?,
            "--rounds" => options.rounds = value.parse()?,
            "--callers" => options.callers = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--dir" => options.dir = value.into(),
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(options)
}

/// Lets the callers ask for a warm-up second and the time that counts.
async fn measure(target: Target, callers: usize, time: Duration) -> Run {
    let is_counting = Arc::new(AtomicBool::new(false));
    let is_over = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|n| {
            let (target, count) = (target.clone(), count.clone());
            let (is_counting, is_over) = (is_counting.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut waits = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    let (answer, answered) = oneshot::channel();
                    assert!(target.send(n % SESSIONS, event(answer)).await, "the writer has stopped");
                    answered.await.expect("each event is answered");
                    if is_counting.load(Ordering::Relaxed) {
                        count.fetch_add(1, Ordering::Relaxed);
                        waits.push(start.elapsed());
                    }
                }
                waits
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    is_counting.store(true, Ordering::Relaxed);
    let (start, cpu) = (Instant::now(), cpu_seconds());
    tokio::time::sleep(time).await;
    let (events, seconds, cpu) = (count.load(Ordering::Relaxed), start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    is_over.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.expect("callers do not panic"));
    }
    waits.sort_unstable();
    let percentile = |of: usize| waits[(waits.len() - 1) * of / 100].as_secs_f64() * 1e3;
    let events = events as f64;
    Run { per_second: events / seconds, cpu_us: cpu * 1e6 / events, p50_ms: percentile(50), p99_ms: percentile(99) }
}

fn int(n: usize) -> i64 {
    i64::try_from(n).expect("a few sessions")
}

/// Makes an event as long as a real one: a header of about 170 bytes and the body.
fn event(answer: oneshot::Sender<()>) -> Ask {
    let id = id();
    let header = format!(
        r#"{{"id":"{id}","kind":"message.posted","actor":"0190a0a0-0000-7000-8000-000000000001","at":"2026-01-01T00:00:00.000Z","seen":1}}"#
    );
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(BODY - 11));
    Ask { id, header: header.into(), body: body.into(), answer }
}

fn id() -> Uuid {
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("the system has randomness");
    uuid_v7(Timestamp::now(), random)
}

/// Returns the CPU time of this process so far; 0 where there is no `/proc`.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // utime and stime, in ticks of 10 ms.
    after_name.split(' ').skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Opens a store with a gathering task for each session.
fn rooms(folder: &Path) -> Result<Target, Box<dyn std::error::Error>> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder)?);
    let room = |_| {
        let (asks, waiting) = mpsc::channel(BATCH * 4);
        tokio::spawn(room(store.clone(), waiting));
        asks
    };
    Ok(Target::Rooms((0..SESSIONS).map(room).collect()))
}

async fn room(store: Arc<dyn Store>, mut waiting: mpsc::Receiver<Ask>) {
    let session = SessionId(id());
    let (mut rev, mut seq) = (Rev::ZERO, Seq::ZERO);
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let mut answers = Vec::with_capacity(batch.len());
        let new_event = |Ask { id, header, body, answer }: Ask| {
            answers.push(answer);
            seq = seq.next();
            NewEvent {
                stream: Stream::Main,
                seq,
                id: EventId(id),
                key: id,
                fingerprint: Some(id.as_u64_pair().1),
                branch: None,
                seen: Some(Seq(1)),
                causes: Vec::new(),
                header,
                body,
            }
        };
        let events = batch.drain(..).map(new_event).collect();
        let birth = (rev == Rev::ZERO).then(|| Birth { epoch: Epoch("bench".to_owned()), project: DEFAULT_PROJECT });
        let appended = store.append(Commit {
            session,
            expected_rev: rev,
            expected_rights: 0,
            birth,
            events,
            redactions: Vec::new(),
            attached: Vec::new(),
            directory: None,
            members: Vec::new(),
            wake_at: None,
            at: Timestamp::now(),
            outbox: Vec::new(),
            documents: Vec::new(),
        });
        rev = appended.await.expect("written").rev;
        for answer in answers {
            let _ = answer.send(());
        }
    }
}

/// Starts the bare loop.
fn bare(folder: &Path) -> Result<Target, Box<dyn std::error::Error>> {
    let conn = Connection::open(folder.join("bare.db"))?;
    for (name, value) in
        [("journal_mode", "WAL"), ("synchronous", "FULL"), ("secure_delete", "ON"), ("wal_autocheckpoint", "4096")]
    {
        conn.pragma_update_and_check(None, name, value, |_| Ok(()))
            .or_else(|_| conn.pragma_update(None, name, value))?;
    }
    conn.pragma_update(None, "cache_size", -32_000)?;
    conn.execute_batch(include_str!("../src/sqlite/schema/0001_spine.sql"))?;
    for n in 1..=SESSIONS {
        conn.execute(
            "INSERT INTO sessions (id, uuid, epoch, project_id, rev, head_main, head_side, head_staff, head_stage, tips,
                 updated_at, event_count)
             VALUES (?1, ?2, 'bench', x'', 0, 0, 0, 0, 0, zeroblob(128), 0, 0)",
            params![int(n), id().as_bytes()],
        )?;
    }
    let (all, queue) = mpsc::channel(GROUP * 2);
    std::thread::spawn(move || bare_loop(&conn, queue).expect("writes"));
    Ok(Target::Bare(all))
}

fn bare_loop(conn: &Connection, mut queue: mpsc::Receiver<(usize, Ask)>) -> rusqlite::Result<()> {
    let mut sessions = vec![(0_i64, 0_i64, GENESIS); SESSIONS];
    let mut group = Vec::new();
    while queue.blocking_recv_many(&mut group, GROUP) > 0 {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        bare_group(conn, &mut sessions, &group)?;
        conn.execute_batch("COMMIT")?;
        for (_, ask) in group.drain(..) {
            let _ = ask.answer.send(());
        }
    }
    Ok(())
}

fn bare_group(conn: &Connection, sessions: &mut [(i64, i64, Hash)], group: &[(usize, Ask)]) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO events (session, stream, seq, rev, pos, uuid, key, fingerprint, branch, seen, causes, header, salt,
             body, hash)
         VALUES (?1, 0, ?2, ?3, ?4, ?5, ?5, ?6, NULL, 1, NULL, ?7, ?8, ?9, ?10)",
    )?;
    let salts = chain::salts(group.len()).expect("the system has randomness");
    let mut touched: BTreeMap<usize, i64> = BTreeMap::new();
    for ((n, ask), salt) in group.iter().zip(&salts) {
        let (rev, seq, tip) = &mut sessions[*n];
        let pos = touched.entry(*n).or_insert(0);
        *pos += 1;
        *rev += i64::from(*pos == 1);
        *seq += 1;
        *tip = chain::link(tip, &ask.header, &chain::seal(salt, &ask.body));
        let fingerprint = ask.id.as_u64_pair().1.cast_signed();
        let (id, row) = (ask.id.as_bytes(), int(n + 1));
        insert.execute(params![row, *seq, *rev, *pos, id, fingerprint, &ask.header[..], salt, &ask.body[..], &*tip])?;
    }
    let mut update = conn.prepare_cached(
        "UPDATE sessions SET rev = ?2, head_main = ?3, tips = ?4, wake_at = NULL, updated_at = ?5, event_count = ?3
         WHERE id = ?1",
    )?;
    for n in touched.keys() {
        let (rev, seq, tip) = &sessions[*n];
        let mut tips = [0; 128];
        tips[..32].copy_from_slice(tip);
        update.execute(params![int(n + 1), rev, seq, tips, Timestamp::now().as_microsecond()])?;
    }
    Ok(())
}
