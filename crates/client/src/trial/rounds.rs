//! Kill -9 in rounds while writers write.
//!
//! Owns: when the server is killed, who writes and reads meanwhile, how the end is waited for. Must not know: the laws.
//! Invariant: the writers never learn of a kill but through their sockets, and go on writing through it.
//!
//! Times drawn from the seed are the load and the faults; conditions are waited for by looking, with a deadline.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use roundtable_protocol::command::{MessageEdit, MessagePost};
use roundtable_protocol::ids::{MessageId, ParticipantId, Seq, Stream};
use roundtable_protocol::{Code, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::checker::{self, Finding};
use super::dice::Dice;
use super::history::{History, Log, Place, Record};
use super::people::{Guest, Room};
use super::rest::Rest;
use super::server::{Launch, Server};
use crate::machine::Status;
use crate::socket::Client;

/// The streams that are written to.
const STREAMS: [Stream; 2] = [Stream::Main, Stream::Side];
/// Most commands that one writer leaves unanswered.
const IN_FLIGHT: u64 = 6;
/// I8: how long a connection may take to have everything, once it is open and the faults are over.
const COMPLETE: Duration = Duration::from_secs(5);
/// I9: how long presence may take to agree.
const PRESENCE: Duration = Duration::from_secs(10);
/// I9: how long somebody who is gone may still be shown: the grace of 15 s, and a tick.
const VANISH: Duration = Duration::from_secs(17);
/// How long clients may take to come back and to be answered, and turns to end: a lost one waits for its lease.
const SETTLE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// What to put a server through.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of everything random.
    pub seed: u64,
    /// How often the server is killed.
    pub rounds: u32,
    /// How many people write.
    pub writers: u32,
    /// How many people only read.
    pub readers: u32,
    /// The longest time between a server's start and its end. Unit: milliseconds.
    pub round_ms: u64,
    /// Whether to try what takes half a minute: turns that lose their server, people who vanish.
    pub slow: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How often the server was killed.
    pub kills: u32,
    /// How many commands were sent.
    pub sent: usize,
    /// How many were acknowledged.
    pub acked: usize,
    /// How many of these the server had taken before a kill and found again.
    pub found_again: usize,
    /// How many refusals there were.
    pub refused: usize,
    /// How many events were delivered.
    pub delivered: usize,
    /// How many connections there were.
    pub connections: usize,
    /// How many reads of history came to an end.
    pub reads: usize,
    /// How many events are in the log.
    pub stored: usize,
    /// The longest time from a start of the process to its first answer.
    pub slowest_start: Duration,
    /// The longest time from the server's last start until a client was back.
    pub back: Duration,
    /// The longest time from then until it had everything that there was.
    pub complete: Duration,
    /// What the verification of the hash chain said.
    pub verified: String,
    /// Breaches of laws.
    pub findings: Vec<Finding>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {} kills, {} connections", self.seed, self.kills, self.connections)?;
        writeln!(
            f,
            "{} commands, {} acknowledged ({} found again after a kill), {} refusals",
            self.sent, self.acked, self.found_again, self.refused
        )?;
        writeln!(f, "{} events stored, {} delivered, {} reads", self.stored, self.delivered, self.reads)?;
        writeln!(
            f,
            "slowest start {} ms; all were back after {} ms and had everything {} ms later; chain: {}",
            self.slowest_start.as_millis(),
            self.back.as_millis(),
            self.complete.as_millis(),
            self.verified
        )?;
        write!(f, "{} findings", self.findings.len())?;
        let mut laws: Vec<_> = self.findings.iter().map(|finding| finding.law).collect();
        laws.dedup();
        if !laws.is_empty() {
            write!(f, ": {}", laws.join(", "))?;
        }
        self.findings.iter().take(20).try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}

/// Returns the launch without limits for one address: here everybody comes from the same one, and writes at full speed.
pub fn unlimited(launch: Launch) -> Launch {
    launch
        .with("limits.commands_per_second", 0)
        .with("limits.requests_per_second", 0)
        .with("limits.guests_per_second", 0)
        .with("limits.sockets_per_address", 0)
}

/// Runs the plan on a server that `launch` starts.
///
/// # Errors
/// The server does not start, refuses what it should not, or does not come to rest; findings are no error.
pub async fn run(launch: &Launch, plan: &Plan) -> io::Result<Report> {
    let mut trial = Trial::begin(launch, plan).await?;
    for _ in 0..plan.rounds {
        trial.round().await?;
    }
    let caught_up = trial.settle().await?;
    trial.end(caught_up).await
}

struct Trial<'a> {
    launch: &'a Launch,
    plan: &'a Plan,
    dice: Dice,
    history: History,
    server: Server,
    room: Room,
    guests: Vec<Guest>,
    stop: Arc<AtomicBool>,
    load: JoinSet<Vec<Finding>>,
    findings: Vec<Finding>,
    kills: u32,
    slowest_start: Duration,
}

impl<'a> Trial<'a> {
    async fn begin(launch: &'a Launch, plan: &'a Plan) -> io::Result<Self> {
        let mut dice = Dice::new(plan.seed);
        let started = Instant::now();
        let server = launch.start(free_port(&mut dice)?).await?;
        let slowest_start = started.elapsed();
        let history = History::new();
        let room = Room::open(&server).await?;
        let mut guests = Vec::new();
        for number in 0..plan.writers + plan.readers {
            guests.push(room.guest(&server, number, &history).await?);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = JoinSet::new();
        for guest in &guests {
            let rest = server.rest().with_token(&guest.person.token);
            load.spawn(read(rest, room.clone(), guest.number, history.clone(), dice.fork(), stop.clone()));
        }
        for guest in &guests[..plan.writers as usize] {
            let asks = plan.slow && guest.number == 0;
            let writer =
                Writer { client: guest.client.clone(), room: room.clone(), asks, dice: dice.fork(), last: None };
            load.spawn(writer.run(stop.clone()));
        }
        let (findings, kills) = (Vec::new(), 0);
        Ok(Self { launch, plan, dice, history, server, room, guests, stop, load, findings, kills, slowest_start })
    }

    /// Lets the writers write, kills the server at a random moment and starts it again.
    async fn round(&mut self) -> io::Result<()> {
        // Not every time: a server may also die before anybody has come back.
        if !self.dice.one_in(5) {
            let enough = self.history.acks() + u64::from(self.plan.writers);
            must("the writers to be answered", SETTLE, || self.history.acks() >= enough).await?;
        }
        tokio::time::sleep(Duration::from_millis(self.dice.within(0..self.plan.round_ms))).await;
        let port = self.server.address().port();
        self.server.kill().await?;
        self.kills += 1;
        while self.dice.one_in(4) {
            // It dies while it starts, at whatever it does then.
            let mut starting = self.launch.spawn(port)?;
            tokio::time::sleep(Duration::from_millis(self.dice.within(0..150))).await;
            starting.kill().await?;
            self.kills += 1;
        }
        let started = Instant::now();
        self.server = self.launch.start(port).await?;
        self.slowest_start = self.slowest_start.max(started.elapsed());
        // Most come back at once, as after a first failure; some wait as long as their backoff says.
        for guest in &self.guests {
            if !self.dice.one_in(5) {
                guest.client.reconnect(Some(guest.person.token.clone()));
            }
        }
        Ok(())
    }

    /// Stops the load and waits until nothing is owed to anybody. Returns how long the slowest took to have everything.
    async fn settle(&mut self) -> io::Result<CaughtUp> {
        self.stop.store(true, Ordering::Relaxed);
        let Self { load, findings, guests, room, server, .. } = self;
        let rest = room.rest(server);
        // The clock of each starts now, while the writers still want their answers, and not when all is quiet.
        let catching_up = futures_util::future::try_join_all(guests.iter().map(|guest| catch_up(guest, room, &rest)));
        let answered = async {
            while let Some(found) = load.join_next().await {
                findings.extend(found.map_err(io::Error::other)?);
            }
            io::Result::Ok(())
        };
        let (caught_up, answered) = tokio::join!(catching_up, tokio::time::timeout(SETTLE, answered));
        match answered {
            Ok(answered) => answered?,
            Err(_) => return Err(io::Error::other("a command is not answered, long after the last kill")),
        }
        let mut slowest = CaughtUp::default();
        for (guest, CaughtUp { back, complete }) in guests.iter().zip(caught_up?) {
            slowest = CaughtUp { back: slowest.back.max(back), complete: slowest.complete.max(complete) };
            if complete > COMPLETE {
                let what =
                    format!("client {} was open for {} ms and had not everything", guest.number, complete.as_millis());
                findings.push(Finding { law: "I8", what });
            }
        }
        let at_rest = |guest: &Guest| guest.client.read(room.session, |s| s.view().turns.is_empty()).unwrap_or(false);
        must("every turn to end", SETTLE, || guests.iter().all(at_rest)).await?;
        let heads = heads(room, &rest).await?;
        // When time runs out, the checker says who is behind.
        until(COMPLETE, || guests.iter().all(|g| has(&g.client, room, &heads))).await;
        Ok(slowest)
    }

    /// Writes down who is shown as connected, at first with everybody and then without some.
    async fn presence(&mut self) {
        let all: BTreeSet<_> = self.guests.iter().map(|guest| guest.person.participant).collect();
        self.shown(&all, PRESENCE).await;
        if self.plan.slow {
            self.guests.truncate(self.guests.len() - 2);
            let rest: BTreeSet<_> = self.guests.iter().map(|guest| guest.person.participant).collect();
            self.shown(&rest, VANISH).await;
        }
    }

    async fn shown(&self, present: &BTreeSet<ParticipantId>, timeout: Duration) {
        until(timeout, || self.guests.iter().all(|guest| guest.shown.people() == *present)).await;
        self.history.push(Record::Quiet { present: present.clone() });
        for guest in &self.guests {
            self.history.push(Record::Shows { client: guest.number, people: guest.shown.people() });
        }
    }

    async fn end(mut self, CaughtUp { back, complete }: CaughtUp) -> io::Result<Report> {
        self.presence().await;
        let records = self.history.take();
        self.guests.clear();
        let port = self.server.address().port();
        let status = self.server.stop().await?;
        if !status.success() {
            self.findings.push(Finding { law: "shutdown", what: format!("the server ended with {status}") });
        }
        let verified = match self.launch.verify(self.room.session).await {
            Ok(said) => said,
            Err(error) => {
                self.findings.push(Finding { law: "chain", what: error.to_string() });
                "broken".to_owned()
            }
        };
        self.server = self.launch.start(port).await?;
        let mut log = Log::new();
        for stream in STREAMS {
            let entries = self.room.log(&self.room.rest(&self.server), stream).await?;
            log.insert(Place { session: self.room.session, stream }, entries);
        }
        let mut findings = self.findings;
        findings.extend(checker::check(&records, &log));
        let count = |which: fn(&Record) -> bool| records.iter().filter(|record| which(record)).count();
        Ok(Report {
            seed: self.plan.seed,
            kills: self.kills,
            sent: count(|r| matches!(r, Record::Sent { .. })),
            acked: count(|r| matches!(r, Record::Acked { .. })),
            found_again: count(|r| matches!(r, Record::Acked { duplicate: true, .. })),
            refused: count(|r| matches!(r, Record::Refused { .. })),
            delivered: count(|r| matches!(r, Record::Delivered { .. })),
            connections: count(|r| matches!(r, Record::Opened { .. })),
            reads: count(|r| matches!(r, Record::Read { .. })),
            stored: log.values().map(Vec::len).sum(),
            slowest_start: self.slowest_start,
            back,
            complete,
            verified,
            findings,
        })
    }
}

/// Somebody who writes.
struct Writer {
    client: Client,
    room: Room,
    asks: bool,
    dice: Dice,
    /// Their last message.
    last: Option<MessageId>,
}

impl Writer {
    /// Writes until told to stop; then every command has its answer. Returns those that were refused for good.
    async fn run(mut self, stop: Arc<AtomicBool>) -> Vec<Finding> {
        let mut refused = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let mut given = Vec::new();
            for _ in 0..self.dice.within(1..IN_FLIGHT + 1) {
                let (stream, command) = self.next();
                given.push((command.name(), self.client.command(self.room.session, stream, &command)));
            }
            for (name, given) in given {
                let key = given.key();
                match given.answer().await {
                    Ok(_) if name == "message.post" => self.last = Some(MessageId(key)),
                    Ok(_) => {}
                    // Somebody asks faster than the assistant answers.
                    Err(problem) if problem.code == Code::QueueFull => {}
                    Err(problem) => refused.push(Finding { law: "answer", what: format!("{name} {key}: {problem}") }),
                }
            }
        }
        refused
    }

    fn next(&mut self) -> (Stream, Command) {
        if let Some(message) = self.last.filter(|_| self.dice.one_in(10)) {
            let edit = MessageEdit { message, text: self.text() };
            return (Stream::Main, Command::MessageEdit(edit));
        }
        let ask = self.asks && self.dice.one_in(20);
        let stream = if !ask && self.dice.one_in(5) { Stream::Side } else { Stream::Main };
        let post = MessagePost { text: self.text(), ask: ask.then_some(true), ..MessagePost::default() };
        (stream, Command::MessagePost(post))
    }

    fn text(&mut self) -> String {
        let words = if self.dice.one_in(20) { self.dice.within(100..1000) } else { self.dice.within(1..8) };
        (0..words).map(|_| format!("{:x} ", self.dice.roll() >> 40)).collect()
    }
}

/// Reads history again and again until told to stop; while there is no server, that fails and is tried again.
async fn read(
    rest: Rest,
    room: Room,
    client: u32,
    history: History,
    mut dice: Dice,
    stop: Arc<AtomicBool>,
) -> Vec<Finding> {
    let mut reached = Seq::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let stream = STREAMS[usize::from(dice.one_in(4))];
        let after = Seq(reached.0.saturating_sub(dice.within(0..100)));
        if let Ok(head) = room.read(&rest, client, stream, after, &history).await {
            reached = head;
        }
        tokio::time::sleep(Duration::from_millis(dice.within(50..500))).await;
    }
    Vec::new()
}

/// How long a client took.
#[derive(Clone, Copy, Debug, Default)]
struct CaughtUp {
    /// To be back.
    back: Duration,
    /// From then on, to have what there was when it came back.
    complete: Duration,
}

/// Waits until a client is back, and until it has what the log held then, and a little longer when it does not get it.
async fn catch_up(guest: &Guest, room: &Room, rest: &Rest) -> io::Result<CaughtUp> {
    let started = Instant::now();
    must("a client to come back", SETTLE, || guest.client.status() == Status::Ready).await?;
    let (back, open) = (started.elapsed(), Instant::now());
    let heads = heads(room, rest).await?;
    until(COMPLETE * 2, || has(&guest.client, room, &heads)).await;
    Ok(CaughtUp { back, complete: open.elapsed() })
}

async fn heads(room: &Room, rest: &Rest) -> io::Result<[(Stream, Seq); 2]> {
    let mut heads = STREAMS.map(|stream| (stream, Seq::ZERO));
    for (stream, head) in &mut heads {
        *head = room.head(rest, *stream).await?;
    }
    Ok(heads)
}

/// Whether a client has this much or more.
fn has(client: &Client, room: &Room, heads: &[(Stream, Seq)]) -> bool {
    client
        .read(room.session, |session| heads.iter().all(|(stream, head)| session.position(*stream) >= Some(*head)))
        .unwrap_or(false)
}

/// Returns a port that nobody listens on, below those that the system gives to outgoing connections: a client that looks
/// for the killed server on one of them could get it for its own end.
fn free_port(dice: &mut Dice) -> io::Result<u16> {
    for _ in 0..100 {
        let port = dice.within(10_000..30_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no free port"))
}

/// Looks until something is so; whether it became so in time.
pub async fn until(timeout: Duration, mut so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !so() {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}

/// The same, and a trial cannot go on when it does not become so.
async fn must(what: &str, timeout: Duration, so: impl FnMut() -> bool) -> io::Result<()> {
    match until(timeout, so).await {
        true => Ok(()),
        false => Err(io::Error::other(format!("waited {} s for {what}", timeout.as_secs()))),
    }
}
