//! The machine on a tokio WebSocket.
//!
//! Owns: one task a client that opens sockets, reads, writes and waits. Must not know: the protocol's rules. Invariant:
//! the machine is locked only for one input and its outputs, never across an await.
//!
//! Plain `ws://` only: for tests, load and workers on the same machine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use roundtable_protocol::command::MessagePost;
use roundtable_protocol::frame::{Accepted, ClientFrame, Lane, SUBPROTOCOL};
use roundtable_protocol::ids::{SessionId, Stream};
use roundtable_protocol::view::View;
use roundtable_protocol::{Command, Problem};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use crate::incoming::{self, Incoming};
use crate::machine::{Entropy, Machine, Output, SessionSync, Status};

/// Size of the socket's read and write buffers; the defaults cost 128 KiB a connection. Unit: bytes.
const BUFFER_BYTES: usize = 4096;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What passes between the machine and the wire, for whoever writes down everything that happens.
#[derive(Clone, Debug)]
pub enum Traffic {
    /// A socket is open.
    Opened,
    /// A frame is about to be written.
    Sent(Box<ClientFrame>),
    /// A frame was read; the machine has not seen it yet.
    Received(Box<Incoming>),
    /// A frame was read that makes no sense; the socket is given up for it.
    Unreadable(String),
    /// The socket is gone.
    Closed,
}

/// Is told of [`Traffic`] as it passes; must not call the client.
pub type Tap = Box<dyn FnMut(Traffic) + Send>;

/// What became of a command.
pub type Answer = Result<Accepted, Box<Problem>>;

/// The client is gone, or the wait ended before what was waited for came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The time given was over.
    #[error("it did not happen in time")]
    TimedOut,
    /// The server refused the login or the protocol for good.
    #[error("the connection failed for good with close code {0}")]
    Failed(u16),
}

/// One connection to a server, kept up by a task of its own until the last clone is dropped.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    _stop: Arc<StopOnDrop>,
}

struct Inner {
    state: Mutex<State>,
    /// The task has something to do.
    work: Notify,
    /// Counts what changed, for those who wait.
    changes: watch::Sender<u64>,
    start: Instant,
}

struct State {
    machine: Machine,
    /// Frames, connect and close wishes that the task has not carried out.
    wishes: Vec<Wish>,
    waiting: HashMap<Uuid, oneshot::Sender<Answer>>,
    listeners: Vec<mpsc::UnboundedSender<Output>>,
    stopped: bool,
}

enum Wish {
    Connect,
    Close,
    Send(Box<ClientFrame>),
}

struct StopOnDrop(Arc<Inner>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.work.notify_one();
    }
}

impl Client {
    /// Starts connecting to `url` (`ws://host:port/api/v1/ws`) with a bearer token, if there is one. Must be called inside a
    /// tokio runtime.
    pub fn connect(url: impl Into<String>, token: Option<String>) -> Self {
        Self::connect_with(url, token, vec!["deflate".to_owned()])
    }

    /// The same with other features in `hello`.
    pub fn connect_with(url: impl Into<String>, token: Option<String>, features: Vec<String>) -> Self {
        Self::start(url.into(), token, features, Listening(None))
    }

    /// The same, and tells `tap` of everything that passes.
    pub fn connect_tapped(url: impl Into<String>, token: Option<String>, features: Vec<String>, tap: Tap) -> Self {
        Self::start(url.into(), token, features, Listening(Some(tap)))
    }

    fn start(url: String, token: Option<String>, features: Vec<String>, tap: Listening) -> Self {
        let inner = Arc::new(Inner {
            state: Mutex::new(State {
                machine: Machine::new(token, features, Box::new(SystemEntropy)),
                wishes: Vec::new(),
                waiting: HashMap::new(),
                listeners: Vec::new(),
                stopped: false,
            }),
            work: Notify::new(),
            changes: watch::Sender::new(0),
            start: Instant::now(),
        });
        inner.with(Machine::connect);
        tokio::spawn(run(inner.clone(), url, tap));
        Self { _stop: Arc::new(StopOnDrop(inner.clone())), inner }
    }

    /// Wants these streams of a session; those not named are given up.
    pub fn subscribe(&self, session: SessionId, streams: impl IntoIterator<Item = Stream>) {
        self.inner.with(|m| m.subscribe(session, streams));
    }

    /// Wants nothing more of a session.
    pub fn unsubscribe(&self, session: SessionId) {
        self.inner.with(|m| m.unsubscribe(session));
    }

    /// Gives a command. It is sent, and sent again, until it is answered for good, also when nobody awaits the answer.
    pub fn command(&self, session: SessionId, stream: Stream, command: &Command) -> Given {
        let (sender, answer) = oneshot::channel();
        let key = self.inner.with_state(|state| {
            let key = state.machine.command(session, stream, command);
            state.waiting.insert(key, sender);
            key
        });
        Given { key, answer }
    }

    /// Says something and waits until it is durable or refused for good.
    ///
    /// # Errors
    /// The refusal.
    pub async fn post(&self, session: SessionId, stream: Stream, text: &str, ask: Option<bool>) -> Answer {
        let post = MessagePost { text: text.to_owned(), ask, ..MessagePost::default() };
        self.command(session, stream, &Command::MessagePost(post)).answer().await
    }

    /// Shows something to those who are there.
    pub fn ephemeral(&self, session: SessionId, stream: Stream, lane: Lane, data: Value) {
        self.inner.with(|m| m.ephemeral(session, stream, lane, data));
    }

    /// Returns what a session looks like now.
    pub fn view(&self, session: SessionId) -> Option<View> {
        self.read(session, |sync| sync.view().clone())
    }

    /// Reads a session's state without a copy.
    pub fn read<R>(&self, session: SessionId, read: impl FnOnce(&SessionSync) -> R) -> Option<R> {
        self.inner.lock().machine.session(session).map(read)
    }

    /// Returns how the connection stands.
    pub fn status(&self) -> Status {
        self.inner.lock().machine.status()
    }

    /// Returns everything that happens from now on: applied events, settled commands, changes of status ...
    pub fn listen(&self) -> mpsc::UnboundedReceiver<Output> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.inner.lock().listeners.push(sender);
        receiver
    }

    /// Waits until `happened` says so of the session.
    ///
    /// # Errors
    /// The time is over, or the connection failed for good.
    pub async fn wait_until(
        &self,
        session: SessionId,
        timeout: Duration,
        mut happened: impl FnMut(&SessionSync) -> bool,
    ) -> Result<(), WaitError> {
        self.wait(timeout, |machine| machine.session(session).is_some_and(&mut happened)).await
    }

    /// Waits until the connection is ready.
    ///
    /// # Errors
    /// The time is over, or the connection failed for good.
    pub async fn ready(&self, timeout: Duration) -> Result<(), WaitError> {
        self.wait(timeout, |machine| machine.status() == Status::Ready).await
    }

    /// Closes the connection for good; what is held can still be read.
    pub fn close(&self) {
        self.inner.with(Machine::close);
    }

    /// Connects again after `close` or a final close code.
    pub fn reconnect(&self, token: Option<String>) {
        self.inner.with(|m| {
            m.set_token(token);
            m.connect();
        });
    }

    async fn wait(&self, timeout: Duration, mut done: impl FnMut(&Machine) -> bool) -> Result<(), WaitError> {
        let mut changes = self.inner.changes.subscribe();
        let deadline = Instant::now() + timeout;
        loop {
            {
                let state = self.inner.lock();
                if done(&state.machine) {
                    return Ok(());
                }
                if let Status::Failed { code } = state.machine.status() {
                    return Err(WaitError::Failed(code));
                }
            }
            // The sender lives in `inner`, which this client holds: only the time can run out.
            if !matches!(tokio::time::timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
                return Err(WaitError::TimedOut);
            }
        }
    }
}

/// A command that was given.
#[derive(Debug)]
pub struct Given {
    key: Uuid,
    answer: oneshot::Receiver<Answer>,
}

impl Given {
    /// Returns the command's key, which becomes the id of its first event.
    pub fn key(&self) -> Uuid {
        self.key
    }

    /// Waits until the command is durable or refused for good; for ever, while the server cannot be reached.
    ///
    /// # Errors
    /// The refusal; `shutting_down` when the client itself has gone.
    pub async fn answer(self) -> Answer {
        match self.answer.await {
            Ok(answer) => answer,
            Err(_) => Err(Box::new(Problem::new(roundtable_protocol::Code::ShuttingDown))),
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no input of the machine panics while the lock is held")
    }

    fn with<R>(&self, input: impl FnOnce(&mut Machine) -> R) -> R {
        self.with_state(|state| input(&mut state.machine))
    }

    /// Gives an input at the present time and hands out what it causes.
    fn with_state<R>(&self, input: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let now = u64::try_from(self.start.elapsed().as_millis()).expect("584 million years");
        state.machine.tick(now);
        let result = input(&mut state);
        let mut any = false;
        while let Some(output) = state.machine.poll() {
            any = true;
            state.hand_out(output);
        }
        let work = !state.wishes.is_empty();
        drop(state);
        if work {
            self.work.notify_one();
        }
        if any {
            self.changes.send_modify(|n| *n += 1);
        }
        result
    }
}

impl State {
    fn hand_out(&mut self, output: Output) {
        match output {
            Output::Connect => self.wishes.push(Wish::Connect),
            Output::Close => self.wishes.push(Wish::Close),
            Output::Send(frame) => self.wishes.push(Wish::Send(frame)),
            output => {
                self.listeners.retain(|listener| listener.send(output.clone()).is_ok());
                if let Output::Settled { key, result, .. } = output
                    && let Some(sender) = self.waiting.remove(&key)
                {
                    // Nobody may be waiting: giving a command and not asking for its answer is fine.
                    drop(sender.send(result));
                }
            }
        }
    }
}

/// What the task woke up for.
enum Wake {
    Opened(Result<Box<Socket>, tungstenite::Error>),
    Read(Option<Result<Message, tungstenite::Error>>),
    Work,
    Time,
}

/// Carries out wishes, reads frames and keeps time until the client is dropped.
async fn run(inner: Arc<Inner>, url: String, mut tap: Listening) {
    let mut socket: Option<Box<Socket>> = None;
    let mut opening = None;
    loop {
        let (wishes, stopped, deadline) = {
            let mut state = inner.lock();
            (std::mem::take(&mut state.wishes), state.stopped, state.machine.deadline())
        };
        if stopped {
            break;
        }
        let mut frames = Vec::new();
        for wish in wishes {
            match wish {
                Wish::Connect => opening = Some(Box::pin(open(url.clone()))),
                Wish::Close => {
                    opening = None;
                    frames.clear();
                    if socket.is_some() {
                        tap.tell(|| Traffic::Closed);
                    }
                    hang_up(socket.take()).await;
                }
                Wish::Send(frame) => frames.push(*frame),
            }
        }
        if let Some(open) = &mut socket
            && write(open, frames, &mut tap).await.is_err()
        {
            socket = None;
            tap.tell(|| Traffic::Closed);
            inner.with(|m| m.disconnected(None));
            continue;
        }
        let until = inner.start + Duration::from_millis(deadline.unwrap_or(u64::from(u32::MAX)));
        let wake = tokio::select! {
            opened = async { opening.as_mut().expect("guarded").await }, if opening.is_some() => Wake::Opened(opened),
            read = async { socket.as_mut().expect("guarded").next().await }, if socket.is_some() => Wake::Read(read),
            () = inner.work.notified() => Wake::Work,
            () = tokio::time::sleep_until(until) => Wake::Time,
        };
        match wake {
            Wake::Opened(opened) => {
                opening = None;
                socket = opened.ok();
                match socket {
                    Some(_) => {
                        tap.tell(|| Traffic::Opened);
                        inner.with(Machine::connected);
                    }
                    None => inner.with(|m| m.disconnected(None)),
                }
            }
            Wake::Read(read) => {
                if let Some(code) = take(&inner, read, &mut tap) {
                    socket = None;
                    tap.tell(|| Traffic::Closed);
                    inner.with(|m| m.disconnected(code));
                }
            }
            Wake::Work => {}
            Wake::Time => inner.with(|_| {}),
        }
    }
    if socket.is_some() {
        tap.tell(|| Traffic::Closed);
    }
    hang_up(socket).await;
}

/// Somebody who is told, or nobody.
struct Listening(Option<Tap>);

impl Listening {
    fn tell(&mut self, traffic: impl FnOnce() -> Traffic) {
        if let Some(tap) = &mut self.0 {
            tap(traffic());
        }
    }
}

/// Gives one message to the machine. Returns the close code, if any, when the connection is over.
#[expect(clippy::option_option, reason = "over or not, with a code or not")]
fn take(inner: &Inner, read: Option<Result<Message, tungstenite::Error>>, tap: &mut Listening) -> Option<Option<u16>> {
    let frame = match read {
        Some(Ok(Message::Text(text))) => incoming::from_text(&text),
        Some(Ok(Message::Binary(bytes))) => incoming::from_binary(&bytes),
        Some(Ok(Message::Close(reason))) => return Some(reason.map(|r| r.code.into())),
        Some(Ok(_)) => return None,
        Some(Err(_)) | None => return Some(None),
    };
    match frame {
        Ok(frame) => {
            tap.tell(|| Traffic::Received(Box::new(frame.clone())));
            inner.with(|m| m.frame(frame));
        }
        Err(error) => {
            tap.tell(|| Traffic::Unreadable(error.to_string()));
            return Some(None);
        }
    }
    None
}

async fn open(url: String) -> Result<Box<Socket>, tungstenite::Error> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES);
    let (socket, _) = tokio_tungstenite::connect_async_with_config(request, Some(config), true).await?;
    Ok(Box::new(socket))
}

async fn write(socket: &mut Socket, frames: Vec<ClientFrame>, tap: &mut Listening) -> Result<(), tungstenite::Error> {
    if frames.is_empty() {
        return Ok(());
    }
    for frame in frames {
        let text = serde_json::to_string(&frame).expect("frames serialise: string keys, no failing impls");
        tap.tell(|| Traffic::Sent(Box::new(frame)));
        socket.feed(Message::text(text)).await?;
    }
    socket.flush().await
}

/// Says goodbye if that goes at once; the server sees the end of the stream anyway.
async fn hang_up(socket: Option<Box<Socket>>) {
    if let Some(mut socket) = socket {
        // Named in full: with some features of a neighbour a box is a sink of its own, whose `close` is another.
        let closing = WebSocketStream::close(&mut socket, None);
        drop(tokio::time::timeout(Duration::from_millis(200), closing).await);
    }
}

/// Keys from the clock and the operating system's randomness.
struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn key(&mut self) -> Uuid {
        Uuid::now_v7()
    }

    fn jitter(&mut self) -> f64 {
        let bytes = Uuid::now_v7().into_bytes();
        let random = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        f64::from(random) / f64::from(u32::MAX)
    }
}
