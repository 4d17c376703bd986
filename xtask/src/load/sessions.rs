//! Many people who write: 500 sessions of four, and one session of 500. Every message is durable before its `ok`.

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use futures_util::stream::{self, TryStreamExt};
use memchr::memmem::Finder;
use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Bench;
use super::fanout::{POSITION, follow};
use super::machine::own_cpu;
use super::server::{self, AT_ONCE, Server, is, refused};
use super::socket::Socket;
use super::tally::{Histogram, Marks, message, now};

/// How many unanswered commands of one writer are remembered; the window of one connection (DESIGN 4).
const WINDOW: usize = 32;
/// How long the last delivery may take before the run has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one phase gave.
#[derive(Clone, Debug)]
pub struct Figures {
    pub messages_per_second: f64,
    pub deliveries_per_second: f64,
    pub deliveries_per_cpu_second: f64,
    /// From writing a command to reading its `ok`. Median and 99th percentile, milliseconds.
    pub ack_ms: (f64, f64),
    /// From writing a command to reading the event at each reader. Median and 99th percentile, milliseconds.
    pub delivery_ms: (f64, f64),
    /// How much of a processor the server used.
    pub cores: f64,
    /// How much of one the generator used; it has one thread, so near 1 it is the generator that is measured.
    pub generator_cores: f64,
}

/// Quiet sessions without and with a busy one beside them.
#[derive(Clone, Debug)]
pub struct Isolation {
    pub alone: Figures,
    pub beside: Figures,
    pub busy: Figures,
}

impl Isolation {
    /// Returns how much longer the quiet ones wait, by the 99th percentile.
    pub fn ratio(&self) -> f64 {
        self.beside.ack_ms.1 / self.alone.ack_ms.1
    }
}

/// Sessions with writers in them, some of whom read too.
pub struct Crowd {
    writers: Vec<Rc<Writer>>,
    /// How many read each session.
    readers: usize,
    state: Rc<State>,
    tasks: Vec<JoinHandle<()>>,
}

/// What all writers share.
#[derive(Default)]
struct State {
    marks: Marks,
    running: Cell<bool>,
    posted: Cell<u64>,
    acked: Cell<u64>,
    delivered: Cell<u64>,
    acks: RefCell<Histogram>,
    deliveries: RefCell<Histogram>,
    failure: RefCell<Option<String>>,
    progress: Notify,
}

/// One person with one socket.
struct Writer {
    socket: Rc<Socket>,
    session: String,
    posted: Cell<u64>,
    sent_at: [Cell<u64>; WINDOW],
}

impl Writer {
    fn post(&self, state: &State) {
        let id = self.posted.get() + 1;
        self.posted.set(id);
        state.posted.set(state.posted.get() + 1);
        let at = now();
        self.sent_at[id as usize % WINDOW].set(at);
        self.socket.send(&server::post(&self.session, id, &message(state.posted.get(), at)));
    }
}

impl Crowd {
    /// Makes the sessions, lets everybody in and opens one socket each; the first `readers` of each session subscribe.
    pub async fn new(server: &Server, sessions: usize, members: usize, readers: usize) -> Result<Self> {
        let state = &Rc::new(State::default());
        let rooms = (0..sessions).map(|n| async move {
            let owner = server.guest(&format!("Owner {n}")).await?;
            let (session, link) = server.session(&owner, "guide").await?;
            anyhow::Ok((owner, session, link))
        });
        let rooms: Vec<_> = stream::iter(rooms).buffered(AT_ONCE).try_collect().await?;
        // Member by member, not session by session: neighbours in the list write to different sessions.
        let seats = (0..members).flat_map(|member| rooms.iter().map(move |room| (member, room)));
        let seats = seats.map(|(member, (owner, session, link))| async move {
            let token = match member {
                0 => owner.clone(),
                _ => server.join(link, &format!("Person {member}")).await?,
            };
            let socket = if member < readers {
                server.subscriber(&token, session).await?
            } else {
                server.socket(&token).await?
            };
            let session = session.clone();
            let writer = Rc::new(Writer { socket, session, posted: Cell::new(0), sent_at: Default::default() });
            let task = tokio::task::spawn_local(read(Rc::clone(&writer), Rc::clone(state)));
            anyhow::Ok((writer, task))
        });
        let connected: Vec<_> = stream::iter(seats).buffered(AT_ONCE).try_collect().await?;
        let (writers, tasks) = connected.into_iter().unzip();
        Ok(Self { writers, readers, state: Rc::clone(state), tasks })
    }

    /// Posts at a fixed rate, each writer in turn.
    pub async fn paced(&self, bench: &Bench, server: &Server, rate: f64) -> Result<Figures> {
        let drive = async {
            let started = Instant::now();
            let mut sent = 0_usize;
            loop {
                while started.elapsed().as_secs_f64() * rate >= sent as f64 {
                    self.writers[sent % self.writers.len()].post(&self.state);
                    sent += 1;
                }
                sleep_until(started + Duration::from_secs_f64(sent as f64 / rate)).await;
            }
        };
        self.window(bench, server, drive).await
    }

    /// Lets every writer post again as soon as its last message is acknowledged.
    pub async fn saturated(&self, bench: &Bench, server: &Server) -> Result<Figures> {
        self.state.running.set(true);
        self.writers.iter().for_each(|writer| writer.post(&self.state));
        self.window(bench, server, std::future::pending()).await
    }

    async fn window(&self, bench: &Bench, server: &Server, drive: impl Future<Output = ()>) -> Result<Figures> {
        let state = &self.state;
        let measured = async {
            sleep(bench.options.warm_up()).await;
            let (cpu, own, started) = (server.process.cpu()?, own_cpu(), Instant::now());
            let (acked, delivered) = (state.acked.get(), state.delivered.get());
            drop((state.acks.take(), state.deliveries.take()));
            sleep(bench.options.measured(false)).await;
            let seconds = started.elapsed().as_secs_f64();
            let spent = (server.process.cpu()? - cpu) as f64 / 1e9;
            let delivered = (state.delivered.get() - delivered) as f64;
            anyhow::Ok(Figures {
                messages_per_second: (state.acked.get() - acked) as f64 / seconds,
                deliveries_per_second: delivered / seconds,
                deliveries_per_cpu_second: delivered / spent,
                ack_ms: state.acks.take().p50_p99_ms(),
                delivery_ms: state.deliveries.take().p50_p99_ms(),
                cores: spent / seconds,
                generator_cores: (own_cpu() - own) as f64 / 1e9 / seconds,
            })
        };
        let figures = tokio::select! {
            figures = measured => figures,
            () = drive => unreachable!("writers go on until they are told to stop"),
        };
        state.running.set(false);
        self.drained().await?;
        figures
    }

    /// Waits until everything posted is acknowledged and has reached each reader of its session, once.
    async fn drained(&self) -> Result<()> {
        let state = &self.state;
        let missing = || {
            let expected = state.posted.get() * self.readers as u64;
            (state.posted.get() - state.acked.get(), expected.saturating_sub(state.delivered.get()))
        };
        while missing() != (0, 0) && state.failure.borrow().is_none() {
            if timeout(PATIENCE, state.progress.notified()).await.is_err() {
                let (acks, deliveries) = missing();
                anyhow::bail!("{acks} acknowledgements and {deliveries} deliveries are missing");
            }
        }
        if let Some(failure) = state.failure.borrow().as_ref() {
            anyhow::bail!("{failure}");
        }
        let expected = state.posted.get() * self.readers as u64;
        ensure!(state.delivered.get() == expected, "{} deliveries, {expected} expected", state.delivered.get());
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn read(writer: Rc<Writer>, state: Rc<State>) {
    let positions = Finder::new(POSITION);
    let mut seq = 0;
    let read = writer.socket.pump(|frame, at| {
        if is(frame, "ok") {
            let id = answered(frame).context("an ok that answers nothing")?;
            let sent_at = writer.sent_at[id as usize % WINDOW].get();
            state.acks.borrow_mut().add(at.saturating_sub(sent_at));
            state.acked.set(state.acked.get() + 1);
            if state.running.get() {
                writer.post(&state);
            }
        } else if is(frame, "events") {
            for place in positions.find_iter(frame) {
                follow(&mut seq, &frame[place + POSITION.len()..])?;
            }
            let mut deliveries = state.deliveries.borrow_mut();
            for (sent_at, _) in state.marks.of(frame) {
                deliveries.add(at.saturating_sub(sent_at));
                state.delivered.set(state.delivered.get() + 1);
            }
        }
        if !state.running.get() {
            state.progress.notify_one();
        }
        refused(frame)?;
        Ok(ControlFlow::<()>::Continue(()))
    });
    if let Err(error) = read.await {
        state.failure.borrow_mut().get_or_insert_with(|| format!("{error:#}"));
        state.progress.notify_one();
    }
}

/// Returns the command that an `ok` answers.
fn answered(frame: &[u8]) -> Option<u64> {
    let field = br#""re":"#;
    let start = memchr::memmem::find(frame, field)? + field.len();
    let digits = frame[start..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}
