//! One connection: its outbox goes out, its frames come in.
//!
//! Owns: the order of a connection's life, its rate, its end. Must not know: framing (see [`super::transport`]), rules.
//! Invariants: the actor of everything comes from the login, never from a frame; while a reader does not take what is
//! written, nothing more is read from it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roundtable_hub::{Frame, Outbox, Subscription, clock};
use roundtable_protocol::command::Envelope;
use roundtable_protocol::frame::{
    Bye, COMMAND_WINDOW, CommandFrame, ErrorFrame, Hello, Limits, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, Ping, Subscribe,
    Unsubscribe, Unsubscribed, Welcome, close,
};
use roundtable_protocol::{ClientFrame, Code, ConnectionId, Problem, ServerFrame, SessionId, Stream, UserId};

use tokio::net::TcpStream;

use crate::auth::{Ended, Known, Token, Watch};
use crate::limits::{Bucket, Rate};
use crate::problem::store_problem;
use crate::shutdown;
use crate::state::App;
use crate::ws::parse;
use crate::ws::transport::{Broken, Incoming, Transport};

/// How long the other side may take to answer a close.
const CLOSE_ANSWER: Duration = Duration::from_secs(2);
/// How many frames that cannot be read are answered.
const UNREADABLE: (u32, u32) = (20, 60);
/// How many commands above the rate are answered.
const ABOVE_RATE: (u32, u32) = (1000, 60);
/// How many frames that are no commands one connection may send a second, and at once.
const OTHER_FRAMES: (u32, u32) = (200, 400);

/// Why a connection ends, said by its close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    code: u16,
    reason: &'static str,
}

/// What a connection goes on with.
enum Step {
    On,
    End(End),
    Gone,
}

/// One connection.
pub struct Connection {
    app: App,
    transport: Transport,
    outbox: Arc<Outbox>,
    budget: Budget,
}

/// Who it is, once `hello` is said.
struct Login {
    user: UserId,
    watch: Watch,
}

/// What a connection may still send.
struct Budget {
    commands: Option<(Rate, Bucket)>,
    others: Bucket,
    unreadable: Bucket,
    above_rate: Bucket,
}

impl Budget {
    fn new(app: &App) -> Self {
        let now = Instant::now();
        let limits = &app.settings.limits;
        let rate = Rate::new(limits.commands_per_second, limits.commands_burst);
        Self {
            commands: rate.map(|rate| (rate, Bucket::full(rate, now))),
            others: Bucket::full(Self::others(), now),
            unreadable: Bucket::full(Rate::within(UNREADABLE.0, UNREADABLE.1), now),
            above_rate: Bucket::full(Rate::within(ABOVE_RATE.0, ABOVE_RATE.1), now),
        }
    }

    fn others() -> Rate {
        Rate::new(OTHER_FRAMES.0, OTHER_FRAMES.1).expect("not 0")
    }

    fn command(&mut self) -> Result<(), u64> {
        self.commands.as_mut().map_or(Ok(()), |(rate, bucket)| bucket.take(*rate, Instant::now()))
    }

    fn other(&mut self) -> Result<(), u64> {
        self.others.take(Self::others(), Instant::now())
    }

    /// Counts a frame that could not be read; false when there were too many.
    fn unreadable(&mut self) -> bool {
        self.unreadable.take(Rate::within(UNREADABLE.0, UNREADABLE.1), Instant::now()).is_ok()
    }

    /// Counts a refusal for rate; false when there were too many.
    fn above_rate(&mut self) -> bool {
        self.above_rate.take(Rate::within(ABOVE_RATE.0, ABOVE_RATE.1), Instant::now()).is_ok()
    }
}

/// Tells the hub that the connection is gone, whatever ends it.
struct Presence {
    app: App,
    outbox: Arc<Outbox>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.app.manager.disconnected(&self.outbox);
    }
}

const TOO_MANY_UNREADABLE: End = End { code: close::TOO_MANY, reason: "too many frames that cannot be read" };
const FAR_ABOVE_RATE: End = End { code: close::TOO_MANY, reason: "far above the rate" };
const TOO_LARGE: End = End { code: close::FRAME_TOO_LARGE, reason: "frame larger than 1 MiB" };
const BAD_PROTOCOL: End = End { code: close::BAD_PROTOCOL, reason: "not this protocol" };
const NO_HELLO: End = End { code: close::NO_HELLO, reason: "no hello in time" };
const NOT_LOGGED_IN: End = End { code: close::NOT_LOGGED_IN, reason: "not logged in" };
const LOGGED_OUT: End = End { code: close::NOT_LOGGED_IN, reason: "logged out" };
const LOGIN_EXPIRED: End = End { code: close::NOT_LOGGED_IN, reason: "the login's time is over" };
const STORE_AWAY: End = End { code: close::TRY_LATER, reason: "the store cannot be reached" };
const TOO_SLOW: End = End { code: close::TOO_SLOW, reason: "what was written was not taken in time" };
const GOING_AWAY: End = End { code: close::GOING_AWAY, reason: "shutting down" };

impl Connection {
    /// Makes the connection of an upgraded socket. `early`: what has been read from it already.
    pub async fn new(app: App, stream: TcpStream, early: Bytes) -> Self {
        let outbox = Outbox::new(ConnectionId(clock::new_key()));
        let transport = Transport::new(stream, early, &outbox).await;
        let budget = Budget::new(&app);
        Self { app, transport, outbox, budget }
    }

    /// Runs the connection to its end. `visitor`: whom the upgrade itself logged in.
    pub async fn run(mut self, visitor: Option<Arc<Known>>) {
        let _presence = Presence { app: self.app.clone(), outbox: Arc::clone(&self.outbox) };
        let end = match Box::pin(self.greet(visitor)).await {
            Ok(login) => self.live(login).await,
            Err(end) => end,
        };
        if let Some(end) = end {
            tracing::debug!(connection.id = %self.outbox.id(), code = end.code, reason = end.reason, "closing a connection");
            // A connection that cannot be told is dropped all the same.
            let _ = Box::pin(self.part(end)).await;
        }
    }

    /// Waits for `hello` and answers it.
    async fn greet(&mut self, visitor: Option<Arc<Known>>) -> Result<Login, Option<End>> {
        let closing = self.app.closing.clone();
        let hello = tokio::select! {
            biased;
            () = closing.cancelled() => {
                self.outbox.push(Frame::encode(&shutdown::bye()));
                return Err(Some(GOING_AWAY));
            }
            hello = tokio::time::timeout(self.app.settings.limits.hello_timeout, self.hello()) => hello,
        };
        let hello = hello.unwrap_or(Err(Some(NO_HELLO)))?;
        let known = match known(&self.app, &hello, visitor).await {
            Ok(Some(known)) => known,
            Ok(None) => return Err(Some(self.refused(Code::NotLoggedIn.into(), NOT_LOGGED_IN))),
            Err(problem) => return Err(Some(self.refused(problem, STORE_AWAY))),
        };
        let watch = match self.app.logins.watch(known.token_hash).await {
            Ok(Some(watch)) => watch,
            Ok(None) => return Err(Some(self.refused(Code::LoginExpired.into(), NOT_LOGGED_IN))),
            Err(error) => return Err(Some(self.refused(store_problem(&error), STORE_AWAY))),
        };
        if hello.features.iter().any(|feature| feature == "deflate") {
            self.outbox.compress();
        }
        self.push(ServerFrame::Welcome(Welcome {
            connection_id: self.outbox.id(),
            now: clock::now(),
            heartbeat_ms: self.app.heartbeat.as_millis() as u64,
            limits: Limits {
                message_bytes: MAX_MESSAGE_BYTES,
                frame_bytes: MAX_FRAME_BYTES,
                commands_per_second: self.app.settings.limits.commands_per_second,
                window: COMMAND_WINDOW,
            },
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }));
        Ok(Login { user: known.user.id, watch })
    }

    /// Reads frames until one is `hello`; everything else is refused, but answered.
    async fn hello(&mut self) -> Result<Hello, Option<End>> {
        loop {
            let text = match self.transport.receive().await {
                Ok(Incoming::Text(text)) => text,
                Ok(Incoming::Nothing) => continue,
                Ok(Incoming::Closed) | Err(Broken::Gone) => return Err(None),
                Ok(Incoming::Binary) => return Err(Some(BAD_PROTOCOL)),
                Err(Broken::TooLarge) => return Err(Some(TOO_LARGE)),
                Err(Broken::Protocol) => return Err(Some(BAD_PROTOCOL)),
            };
            let (re, problem) = match parse::frame(&text) {
                Ok(ClientFrame::Hello(hello)) => return Ok(hello),
                Ok(_) => (None, Problem::new(Code::NotLoggedIn).with_detail("say hello first")),
                Err(unreadable) => (unreadable.re, unreadable.problem),
            };
            if !self.budget.unreadable() {
                return Err(Some(TOO_MANY_UNREADABLE));
            }
            self.error(re, None, problem);
            self.transport.write_all(&self.outbox).await.map_err(|_| None)?;
        }
    }

    /// Runs until either side ends it. `None`: the other side has gone.
    async fn live(&mut self, login: Login) -> Option<End> {
        let outbox = Arc::clone(&self.outbox);
        let closing = self.app.closing.clone();
        let mut closing = pin!(closing.cancelled());
        let mut ending = login.watch.ended();
        let mut heartbeat = heartbeat(self.app.heartbeat);
        loop {
            let step = tokio::select! {
                biased;
                () = closing.as_mut() => {
                    self.push(shutdown::bye());
                    Step::End(GOING_AWAY)
                }
                ended = ending.as_mut() => {
                    let (code, end) = match ended {
                        Ended::LoggedOut => ("logged_out", LOGGED_OUT),
                        Ended::Expired => ("login_expired", LOGIN_EXPIRED),
                    };
                    self.bye(code);
                    Step::End(end)
                }
                () = outbox.filled() => self.written().await,
                incoming = self.transport.receive() => self.incoming(login.user, incoming).await,
                _ = heartbeat.tick() => {
                    // Who reads a session is told its heads as often.
                    if !outbox.is_reading() {
                        self.push(ServerFrame::Pong(Ping { id: 0 }));
                    }
                    Step::On
                }
            };
            match step {
                Step::On => {}
                Step::End(end) => return Some(end),
                Step::Gone => return None,
            }
        }
    }

    /// Writes what could not be written at once. While the reader does not take it, nothing more is read from it.
    async fn written(&mut self) -> Step {
        let writing = self.transport.write_all(&self.outbox);
        match tokio::time::timeout(self.app.settings.limits.write_timeout, writing).await {
            Ok(Ok(())) if self.outbox.is_closed() => Step::Gone,
            Ok(Ok(())) => Step::On,
            Ok(Err(_)) => Step::Gone,
            Err(_) => {
                // What waits cannot be taken in any more; only the rest of the frame under way must stay whole.
                while self.outbox.try_take(&mut Vec::new()) {}
                self.bye("too_slow");
                Step::End(TOO_SLOW)
            }
        }
    }

    async fn incoming(&mut self, user: UserId, incoming: Result<Incoming, Broken>) -> Step {
        let text = match incoming {
            Ok(Incoming::Text(text)) => text,
            Ok(Incoming::Nothing) => return Step::On,
            Ok(Incoming::Binary) => {
                let detail = "frames are text; binary ones come from the server only";
                return self.unreadable(None, Problem::new(Code::UnknownFrame).with_detail(detail));
            }
            Ok(Incoming::Closed) | Err(Broken::Gone) => return Step::Gone,
            Err(Broken::TooLarge) => {
                self.error(None, None, Code::FrameTooLarge.into());
                return Step::End(TOO_LARGE);
            }
            Err(Broken::Protocol) => return Step::End(BAD_PROTOCOL),
        };
        match parse::frame(&text) {
            Ok(frame) => self.frame(user, frame).await,
            Err(unreadable) => self.unreadable(unreadable.re, unreadable.problem),
        }
    }

    async fn frame(&mut self, user: UserId, frame: ClientFrame) -> Step {
        if let ClientFrame::Command(command) = frame {
            return self.command(user, command);
        }
        if let Err(ms) = self.budget.other() {
            return self.above_rate(frame, ms);
        }
        match frame {
            ClientFrame::Subscribe(subscribe) => return Box::pin(self.subscribe(user, subscribe)).await,
            ClientFrame::Unsubscribe(Unsubscribe { id, session_id }) => {
                self.app.manager.unsubscribe(session_id, &self.outbox).await;
                self.push(ServerFrame::Unsubscribed(Unsubscribed { re: id, session_id }));
            }
            ClientFrame::Ephemeral(ephemeral) => self.app.manager.ephemeral(&self.outbox, ephemeral),
            ClientFrame::Ack(ack) => self.app.manager.acked(&self.outbox, ack),
            ClientFrame::Ping(ping) => self.push(ServerFrame::Pong(ping)),
            ClientFrame::Hello(_) => {
                let problem = Problem::new(Code::UnknownFrame).with_detail("hello is said once, at the beginning");
                return self.unreadable(None, problem);
            }
            ClientFrame::Command(_) => {}
        }
        Step::On
    }

    fn command(&mut self, user: UserId, mut frame: CommandFrame) -> Step {
        let (re, session) = (Some(frame.id), Some(frame.session_id));
        if let Err(problem) = parse::key(&frame) {
            return self.refuse(re, session, problem);
        }
        if let Err(ms) = self.budget.command() {
            if !self.budget.above_rate() {
                return Step::End(FAR_ABOVE_RATE);
            }
            // Later commands wait for this one, or a lighter moment would put them in front of it.
            let held = self.outbox.hold(frame.session_id, frame.key);
            let problem = held.map_or_else(Problem::from, |()| Code::RateLimited.into());
            let problem = if problem.retryable { problem.retry_after_ms(ms.max(1)) } else { problem };
            return self.refuse(re, session, problem);
        }
        match parse::command(&frame.name, std::mem::take(&mut frame.data)) {
            Ok(command) => {
                let stream = frame.stream.unwrap_or(Stream::Main);
                let envelope = Envelope { key: frame.key, stream, seen: frame.seen, retry: frame.retry, command };
                self.app.manager.submit(user, &self.outbox, &frame, envelope);
                Step::On
            }
            Err(problem) => self.refuse(re, session, problem),
        }
    }

    async fn subscribe(&mut self, user: UserId, subscribe: Subscribe) -> Step {
        let Subscribe { id, session_id, streams } = subscribe;
        let request = Subscription { connection: Arc::clone(&self.outbox), re: id, session_id, streams, present: true };
        match self.app.manager.subscribe(user, request).await {
            Ok(()) => Step::On,
            Err(problem) => self.refuse(Some(id), Some(session_id), problem),
        }
    }

    fn above_rate(&mut self, frame: ClientFrame, ms: u64) -> Step {
        if !self.budget.above_rate() {
            return Step::End(FAR_ABOVE_RATE);
        }
        let (re, session) = match frame {
            ClientFrame::Subscribe(f) => (f.id, Some(f.session_id)),
            ClientFrame::Unsubscribe(f) => (f.id, Some(f.session_id)),
            ClientFrame::Ping(f) => (f.id, None),
            // What may be lost is lost.
            _ => return Step::On,
        };
        self.refuse(Some(re), session, Problem::new(Code::RateLimited).retry_after_ms(ms.max(1)))
    }

    fn unreadable(&mut self, re: Option<u64>, problem: Problem) -> Step {
        if !self.budget.unreadable() {
            return Step::End(TOO_MANY_UNREADABLE);
        }
        self.refuse(re, None, problem)
    }

    fn refuse(&self, re: Option<u64>, session_id: Option<SessionId>, problem: Problem) -> Step {
        self.error(re, session_id, problem);
        Step::On
    }

    /// Says why before the end.
    fn refused(&self, problem: Problem, end: End) -> End {
        self.error(None, None, problem);
        end
    }

    fn bye(&self, code: &str) {
        self.push(ServerFrame::Bye(Bye { code: code.to_owned(), retry_after_ms: 0 }));
    }

    fn error(&self, re: Option<u64>, session_id: Option<SessionId>, problem: Problem) {
        self.push(ServerFrame::Error(ErrorFrame { re, session_id, problem }));
    }

    fn push(&self, frame: ServerFrame) {
        self.outbox.push(Frame::encode(&frame));
    }

    /// Writes what is left, says why, and waits a moment for the other side: a socket that is dropped with unread input
    /// would take the last words back.
    async fn part(mut self, end: End) -> Result<(), ()> {
        let limit = self.app.settings.limits.write_timeout;
        let last_words = async {
            self.transport.close(end.code, end.reason).await?;
            // Nothing follows a close; and whoever reads slowly would never come to it.
            self.outbox.close();
            self.transport.write_all(&self.outbox).await
        };
        tokio::time::timeout(limit, last_words).await.map_err(|_| ())?.map_err(|_| ())?;
        let answer = async {
            loop {
                match self.transport.receive().await {
                    Ok(Incoming::Closed) => return,
                    Ok(_) => {}
                    // What cannot be read as frames any more is still taken in, so that the last words arrive.
                    Err(_) => return self.transport.drain().await,
                }
            }
        };
        // Whoever does not answer is not waited for.
        let _ = within(CLOSE_ANSWER, Box::pin(answer)).await;
        Ok(())
    }
}

/// Returns what ticks as often as the server promises to say something.
fn heartbeat(every: Duration) -> tokio::time::Interval {
    let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    heartbeat
}

/// Returns who `hello` says it is, else whom the upgrade logged in.
async fn known(app: &App, hello: &Hello, visitor: Option<Arc<Known>>) -> Result<Option<Arc<Known>>, Problem> {
    let Some(token) = &hello.token else { return Ok(visitor) };
    app.logins.find(Token::sent(token).hash()).await.map_err(|error| store_problem(&error))
}

async fn within(limit: Duration, work: Pin<Box<dyn Future<Output = ()> + Send + '_>>) -> bool {
    tokio::time::timeout(limit, work).await.is_ok()
}
