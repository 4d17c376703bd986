//! Fan-out: one session, one sender, many receivers; our server and the peers with the same generator.

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream::{self, TryStreamExt};
use memchr::memmem::Finder;
use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::Bench;
use super::model::{ANSWER, Model};
use super::peers::{self, System};
use super::process::Process;
use super::server::{self, AT_ONCE, Server, is, refused};
use super::socket::Socket;
use super::tally::Tally;

/// How many deliveries a second are asked for when messages are paced.
const DELIVERIES_PER_SECOND: u64 = 20_000;
/// How many messages are under way at most in a burst.
const IN_FLIGHT: u64 = 16;
/// Most different people among the receivers; each has several connections when there are more receivers.
pub const PEOPLE: usize = 100;
/// How often one person moves something in the ephemeral lane. Below the 20 updates a second that are shown.
const MOVES_PER_SECOND: u64 = 10;
/// How long a message may take to reach the last receiver before the run has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent to the receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Recorded messages; of a peer: what it has.
    Message,
    /// Pointer positions, which nobody keeps.
    Ephemeral,
    /// Pieces of an answer.
    Delta,
}

/// What one phase gave.
#[derive(Clone, Debug)]
pub struct Figures {
    pub system: System,
    pub kind: Kind,
    pub burst: bool,
    /// Deliveries per second that the server's threads were on a processor.
    pub per_cpu_second: f64,
    /// Deliveries per second of the clock.
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// What one system with one number of receivers gave.
pub struct Outcome {
    pub figures: Vec<Figures>,
    /// Growth of the server's memory by each connected receiver. Unit: bytes.
    pub memory_each: f64,
}

/// Measures one system with one number of receivers.
pub async fn measure(bench: &Bench, system: System, receivers: usize) -> Result<Outcome> {
    let outcome = match system {
        System::Ours => ours(bench, receivers).await,
        peer => theirs(bench, peer, receivers).await,
    };
    outcome.with_context(|| format!("fan-out of {system:?} to {receivers}"))
}

async fn theirs(bench: &Bench, system: System, receivers: usize) -> Result<Outcome> {
    let process = peers::start(system, &bench.root, bench.work.path()).await?;
    let run = async {
        let before = process.memory()?;
        let crowd = Crowd::new(system, receivers, |_| peers::connect(system, &process, true)).await?;
        let memory_each = settled(bench, &process, before, receivers).await?;
        let sender = peers::connect(system, &process, false).await?;
        crowd.listen(&sender);
        let source = Source::Peer(system, sender);
        let mut figures = Vec::new();
        if bench.options.does("fanout") {
            figures.push(crowd.paced(bench, &process, &source).await?);
        }
        if bench.options.does("burst") {
            figures.push(crowd.burst(bench, &process, &source, Kind::Message).await?);
        }
        Ok(Outcome { figures, memory_each })
    };
    let outcome = run.await.map_err(|error: anyhow::Error| error.context(process.log_tail()))?;
    process.stop().await?;
    Ok(outcome)
}

async fn ours(bench: &Bench, receivers: usize) -> Result<Outcome> {
    let model = Model::start().await?;
    let environment = [
        ("ROUNDTABLE_MODEL_URL", format!("http://{}/v1", model.address)),
        ("ROUNDTABLE_MODEL_NAME", "scripted".to_owned()),
        ("ROUNDTABLE_MODEL_KEY", "none".to_owned()),
    ];
    let server = Server::start(&bench.binary, bench.work.path(), &environment).await?;
    let outcome = ours_on(bench, &server, &model, receivers).await;
    let outcome = outcome.map_err(|error| error.context(server.process.log_tail()))?;
    server.process.stop().await?;
    Ok(outcome)
}

async fn ours_on(bench: &Bench, server: &Server, model: &Model, receivers: usize) -> Result<Outcome> {
    let owner = server.guest("Owner").await?;
    let (session, link) = server.session(&owner, "model").await?;
    let people = server.people(&link, receivers.min(PEOPLE)).await?;
    let sender = server.socket(&owner).await?;
    let before = server.process.memory()?;
    let connect = |n: usize| server.subscriber(&people[n % people.len()], &session);
    let crowd = Crowd::new(System::Ours, receivers, connect).await?;
    let memory_each = settled(bench, &server.process, before, receivers).await?;
    crowd.listen(&sender);
    let source = Source::Posts { socket: Rc::clone(&sender), session: session.clone(), id: Cell::new(0) };
    let mut figures = Vec::new();
    if bench.options.does("fanout") {
        figures.push(crowd.paced(bench, &server.process, &source).await?);
        figures.push(crowd.moves(bench, &server.process, &session, people.len()).await?);
    }
    if bench.options.does("burst") {
        figures.push(crowd.burst(bench, &server.process, &source, Kind::Message).await?);
        let pieces = Source::Pieces { pieces: model.pieces(), socket: sender, session, sent: Cell::new(0) };
        figures.push(crowd.burst(bench, &server.process, &pieces, Kind::Delta).await?);
    }
    Ok(Outcome { figures, memory_each })
}

/// Returns how much memory each receiver takes once the server has calmed down. Unit: bytes.
async fn settled(bench: &Bench, process: &Process, before: u64, receivers: usize) -> Result<f64> {
    sleep(bench.options.settle()).await;
    Ok(process.memory()?.saturating_sub(before) as f64 / receivers as f64)
}

/// From where messages come.
enum Source {
    Peer(System, Rc<Socket>),
    Posts { socket: Rc<Socket>, session: String, id: Cell<u64> },
    Pieces { pieces: UnboundedSender<String>, socket: Rc<Socket>, session: String, sent: Cell<u64> },
}

impl Source {
    /// Sends the next messages with one write.
    fn send(&self, tally: &Tally, count: u64) {
        let texts: Vec<String> = (0..count).map(|_| tally.next()).collect();
        match self {
            Self::Peer(system, socket) => {
                let frames: Vec<String> = texts.iter().map(|text| peers::message(*system, text)).collect();
                socket.send_all(frames.iter().map(String::as_str));
            }
            Self::Posts { socket, session, id } => {
                let frame = |text: &String| {
                    id.set(id.get() + 1);
                    server::post(session, id.get(), text)
                };
                let frames: Vec<String> = texts.iter().map(frame).collect();
                socket.send_all(frames.iter().map(String::as_str));
            }
            Self::Pieces { pieces, socket, session, sent } => {
                for text in texts {
                    if sent.get() % ANSWER == 0 {
                        let question = server::post(session, 0, "Say something long.");
                        socket.send(&question.replace(r#""ask":false"#, r#""ask":true"#));
                    }
                    sent.set(sent.get() + 1);
                    // The endpoint outlives the run: it takes everything.
                    let _ = pieces.send(text);
                }
            }
        }
    }
}

/// The receivers and what they have got.
struct Crowd {
    system: System,
    sockets: Vec<Rc<Socket>>,
    tally: Rc<Tally>,
    kind: Rc<Cell<Kind>>,
    readers: RefCell<Vec<JoinHandle<()>>>,
}

impl Crowd {
    /// Connects that many receivers; each reads from the moment it is in, as a page would.
    async fn new<F>(system: System, receivers: usize, connect: impl Fn(usize) -> F) -> Result<Self>
    where
        F: Future<Output = Result<Rc<Socket>>>,
    {
        let tally = Rc::new(Tally::new(receivers));
        let kind = Rc::new(Cell::new(Kind::Message));
        let mut crowd = Self { system, sockets: Vec::new(), tally, kind, readers: Vec::new().into() };
        let connections = (0..receivers).map(|n| {
            let (connection, crowd) = (connect(n), &crowd);
            async move {
                let socket = connection.await?;
                crowd.read(&socket);
                anyhow::Ok(socket)
            }
        });
        let sockets = stream::iter(connections).buffered(AT_ONCE).try_collect().await?;
        crowd.sockets = sockets;
        Ok(crowd)
    }

    /// Reads a receiver's socket from now on.
    fn read(&self, socket: &Rc<Socket>) {
        let (socket, tally, kind, system) =
            (Rc::clone(socket), Rc::clone(&self.tally), Rc::clone(&self.kind), self.system);
        let mut reader = Reader { last: 0, seq: 0, positions: Finder::new(POSITION) };
        let task = tokio::task::spawn_local(async move {
            let echo = Rc::clone(&socket);
            let read = socket.pump(|frame, at| {
                match system {
                    System::Ours => reader.ours(&tally, kind.get(), frame, at)?,
                    System::SocketIo if frame == b"2" => echo.send("3"),
                    _ => reader.theirs(&tally, frame, at)?,
                }
                Ok(ControlFlow::<()>::Continue(()))
            });
            if let Err(error) = read.await {
                tally.fail(&error.context("a receiver"));
            }
        });
        self.readers.borrow_mut().push(task);
    }

    /// Reads the sender's socket, where only answers come.
    fn listen(&self, socket: &Rc<Socket>) {
        let (socket, tally, system) = (Rc::clone(socket), Rc::clone(&self.tally), self.system);
        let task = tokio::task::spawn_local(async move {
            let echo = Rc::clone(&socket);
            let read = socket.pump(|frame, _| {
                if system == System::SocketIo && frame == b"2" {
                    echo.send("3");
                }
                refused(frame)?;
                Ok(ControlFlow::<()>::Continue(()))
            });
            if let Err(error) = read.await {
                tally.fail(&error.context("the sender"));
            }
        });
        self.readers.borrow_mut().push(task);
    }

    /// Sends at a fixed rate that no receiver's delay slows down.
    async fn paced(&self, bench: &Bench, process: &Process, source: &Source) -> Result<Figures> {
        self.kind.set(Kind::Message);
        let rate = DELIVERIES_PER_SECOND as f64 / self.sockets.len() as f64;
        let drive = self.at_rate(rate, |_| source.send(&self.tally, 1));
        self.window(bench, process, false, drive).await
    }

    /// Lets several people move their pointers, together at the same fixed rate.
    async fn moves(&self, bench: &Bench, process: &Process, session: &str, people: usize) -> Result<Figures> {
        self.kind.set(Kind::Ephemeral);
        let rate = DELIVERIES_PER_SECOND / self.sockets.len() as u64;
        let movers = usize::try_from(rate.div_ceil(MOVES_PER_SECOND))?.clamp(1, people);
        let drive = self.at_rate(rate as f64, |n| {
            let text = super::tally::message(0, super::tally::now());
            let frame = format!(
                r#"{{"type":"ephemeral","session_id":"{session}","stream":"main","lane":"pointer","data":{{"at":"{text}"}}}}"#
            );
            self.sockets[n % movers].send(&frame);
        });
        self.window(bench, process, false, drive).await
    }

    /// Keeps 16 messages under way: the next leaves when one has reached every receiver.
    async fn burst(&self, bench: &Bench, process: &Process, source: &Source, kind: Kind) -> Result<Figures> {
        self.kind.set(kind);
        let drive = async {
            loop {
                self.tally.below(IN_FLIGHT, PATIENCE).await?;
                source.send(&self.tally, IN_FLIGHT - self.tally.under_way());
            }
        };
        self.window(bench, process, true, drive).await
    }

    async fn at_rate(&self, rate: f64, mut send: impl FnMut(usize)) -> Result<()> {
        let started = Instant::now();
        let mut sent = 0_usize;
        loop {
            while started.elapsed().as_secs_f64() * rate >= sent as f64 {
                send(sent);
                sent += 1;
            }
            sleep_until(started + Duration::from_secs_f64(sent as f64 / rate)).await;
            self.tally.check()?;
        }
    }

    /// Warms up, measures, and waits until everything has arrived.
    async fn window(
        &self,
        bench: &Bench,
        process: &Process,
        burst: bool,
        drive: impl Future<Output = Result<()>>,
    ) -> Result<Figures> {
        let measured = async {
            sleep(bench.options.warm_up()).await;
            let (cpu, deliveries, started) = (process.cpu()?, self.tally.deliveries(), Instant::now());
            drop(self.tally.take_latencies());
            sleep(bench.options.measured(burst)).await;
            let spent = (process.cpu()? - cpu) as f64 / 1e9;
            let delivered = (self.tally.deliveries() - deliveries) as f64;
            let (p50_ms, p99_ms) = self.tally.take_latencies().p50_p99_ms();
            anyhow::Ok(Figures {
                system: self.system,
                kind: self.kind.get(),
                burst,
                per_cpu_second: delivered / spent,
                per_second: delivered / started.elapsed().as_secs_f64(),
                p50_ms,
                p99_ms,
            })
        };
        let figures = tokio::select! {
            figures = measured => figures?,
            error = drive => {
                error?;
                anyhow::bail!("the sender ended before its time");
            }
        };
        self.tally.below(1, PATIENCE).await?;
        Ok(figures)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.readers.borrow().iter().for_each(JoinHandle::abort);
    }
}

/// How the wire form of an event of `main` begins.
pub const POSITION: &[u8] = br#"{"stream":"main","seq":"#;

/// One receiver.
struct Reader {
    /// The number of the last message.
    last: u64,
    /// The seq of the last event.
    seq: u64,
    positions: Finder<'static>,
}

impl Reader {
    fn ours(&mut self, tally: &Tally, kind: Kind, frame: &[u8], at: u64) -> Result<()> {
        if is(frame, "events") {
            for place in self.positions.find_iter(frame) {
                follow(&mut self.seq, &frame[place + POSITION.len()..])?;
            }
            if kind == Kind::Message {
                return self.theirs(tally, frame, at);
            }
        } else if kind == Kind::Delta && is(frame, "delta") {
            return self.theirs(tally, frame, at);
        } else if kind == Kind::Ephemeral && is(frame, "ephemeral") {
            tally.marks.of(frame).for_each(|(sent_at, _)| tally.seen(sent_at, at));
        }
        refused(frame)
    }

    fn theirs(&mut self, tally: &Tally, frame: &[u8], at: u64) -> Result<()> {
        tally.marks.of(frame).try_for_each(|(sent_at, number)| tally.arrived(sent_at, number, &mut self.last, at))
    }
}

/// Reads the seq at the start of `text`; it is the one after `last` or the run fails. 0: any will do.
pub fn follow(last: &mut u64, text: &[u8]) -> Result<()> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let seq = digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    anyhow::ensure!(*last == 0 || seq == *last + 1, "event {seq} came after {last}");
    *last = seq;
    Ok(())
}
