//! The connection: phases, backoff and the watchdog.
//!
//! Owns: when to connect, ping and give up. Must not know: sessions. Invariant: at most one socket exists, and after
//! `Close` nothing more is expected from it.

use super::backoff_ceiling_ms;

/// How long connecting and the greeting may take. Unit: milliseconds.
pub const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// A connection that was ready this long starts the next backoff from the beginning. Unit: milliseconds.
pub const STABLE_MS: u64 = 5_000;
/// The heartbeat until the server has said its own. Unit: milliseconds.
const HEARTBEAT_MS: u64 = 15_000;

/// How the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nobody has asked to connect yet.
    Idle,
    /// A socket is being opened.
    Connecting,
    /// The socket is open, `hello` is sent, `welcome` has not come.
    Greeting,
    /// Frames flow.
    Ready,
    /// The connection is gone; the next attempt comes at this time.
    Waiting {
        /// Unit: milliseconds of the caller's clock.
        until_ms: u64,
    },
    /// The server refused for good; only a new call of `connect` tries again.
    Failed {
        /// The close code, 4400 to 4499.
        code: u16,
    },
    /// Closed as asked.
    Closed,
}

/// What the passing of time asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Nothing,
    Connect,
    Ping,
    GiveUp,
}

#[derive(Debug)]
pub struct Link {
    pub status: Status,
    attempt: u32,
    retry_after_ms: u64,
    heartbeat_ms: u64,
    /// When the phase began.
    since_ms: u64,
    last_in_ms: u64,
    pub last_out_ms: u64,
}

impl Link {
    pub fn new() -> Self {
        Self {
            status: Status::Idle,
            attempt: 0,
            retry_after_ms: 0,
            heartbeat_ms: HEARTBEAT_MS,
            since_ms: 0,
            last_in_ms: 0,
            last_out_ms: 0,
        }
    }

    pub fn is_ready(&self) -> bool {
        self.status == Status::Ready
    }

    pub fn is_open(&self) -> bool {
        matches!(self.status, Status::Greeting | Status::Ready)
    }

    pub fn connecting(&mut self, now: u64) {
        self.status = Status::Connecting;
        self.since_ms = now;
    }

    pub fn greeting(&mut self, now: u64) {
        self.status = Status::Greeting;
        self.since_ms = now;
        self.last_in_ms = now;
    }

    pub fn ready(&mut self, now: u64, heartbeat_ms: u64) {
        self.status = Status::Ready;
        self.since_ms = now;
        self.heartbeat_ms = heartbeat_ms.max(1);
    }

    pub fn heard(&mut self, now: u64) {
        self.last_in_ms = now;
    }

    pub fn asked_to_wait(&mut self, ms: u64) {
        self.retry_after_ms = ms;
    }

    /// The connection is gone: chooses when to come back. Full jitter over a ceiling that doubles, after whatever
    /// pause the server asked for.
    pub fn lost(&mut self, now: u64, jitter: f64) {
        if self.is_ready() && now - self.since_ms >= STABLE_MS {
            self.attempt = 0;
        }
        let pause = self.retry_after_ms + jittered(self.attempt, jitter);
        self.attempt += 1;
        self.retry_after_ms = 0;
        self.status = Status::Waiting { until_ms: now + pause };
    }

    pub fn ended(&mut self, status: Status) {
        self.status = status;
        self.attempt = 0;
        self.retry_after_ms = 0;
    }

    pub fn due(&self, now: u64) -> Due {
        match self.status {
            Status::Waiting { until_ms } if now >= until_ms => Due::Connect,
            Status::Connecting | Status::Greeting if now >= self.since_ms + CONNECT_TIMEOUT_MS => Due::GiveUp,
            Status::Ready if now >= self.last_in_ms + 2 * self.heartbeat_ms => Due::GiveUp,
            Status::Ready if now >= self.last_out_ms + self.heartbeat_ms => Due::Ping,
            _ => Due::Nothing,
        }
    }

    pub fn deadline(&self) -> Option<u64> {
        match self.status {
            Status::Waiting { until_ms } => Some(until_ms),
            Status::Connecting | Status::Greeting => Some(self.since_ms + CONNECT_TIMEOUT_MS),
            Status::Ready => Some((self.last_in_ms + 2 * self.heartbeat_ms).min(self.last_out_ms + self.heartbeat_ms)),
            Status::Idle | Status::Failed { .. } | Status::Closed => None,
        }
    }
}

/// Returns the pause before attempt `attempt` (from 0). Unit: milliseconds.
pub fn jittered(attempt: u32, jitter: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 15,000")]
    let pause = (jitter.clamp(0.0, 1.0) * backoff_ceiling_ms(attempt) as f64).round() as u64;
    pause
}
