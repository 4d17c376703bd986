//! Limits and times, with their reasons.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use roundtable_protocol::{Code, Problem, SessionId, Timestamp};

use crate::clock;
use crate::metrics::Metrics;

/// Returns what an answer of a driver is labelled with, by the driver's name.
pub type Label = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Returns whether a session may choose the assistant of that name.
pub type Chooses = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Returns why the assistant of that name cannot answer now, for people; nothing when it can, as far as is known.
pub type Missing = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Puts a session in words that has ended for good, before it is archived: owed work, which a server that dies in between
/// does when it loads the session again. Returns whether it is over, made or not to be made; false: not here, not now.
pub type Summarise = Arc<dyn Fn(SessionId) -> BoxFuture<'static, bool> + Send + Sync>;
/// Asks the assistant of that name whether it is there, which may take a while. Returns why it cannot be reached, for
/// people; nothing when it can, as far as can be told.
pub type Reaches = Arc<dyn Fn(&str) -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// Tells the time. Deadlines of sessions are moments, timers of rooms are not, so both must run at the same pace.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How rooms behave. The defaults are the product's.
#[derive(Clone)]
pub struct HubConfig {
    /// How long a room stays loaded without connection or owed work.
    pub unload_after: Duration,
    /// How long until a room that nobody is connected to writes what it will not have to write at its end, and holds no more views.
    pub rest_after: Duration,
    /// How long rooms may take to end when the process does.
    pub leave_within: Duration,
    /// Most commands that one commit takes.
    pub batch: usize,
    /// Most inputs that wait before a room; more: `overloaded`.
    pub inbox: usize,
    /// Least time between two flushes to participants, once a burst has begun. Chosen as one frame of a 60 Hz screen.
    pub flush: Duration,
    /// The same for readers who cannot write.
    pub watcher_flush: Duration,
    /// Least time between two flushes of a lane: 20 updates a second.
    pub lane_flush: Duration,
    /// How often every reader is told the heads.
    pub head_every: Duration,
    /// How long live text of a turn may wait before it is recorded.
    pub progress_every: Duration,
    /// How much live text of a turn may wait before it is recorded. Unit: bytes.
    pub progress_bytes: usize,
    /// How often a silent turn's lease is renewed; well below the lease of 15 s.
    pub renew_every: Duration,
    /// How often read marks are written.
    pub marks_every: Duration,
    /// How often due sessions are looked for.
    pub wake_every: Duration,
    /// How many events make a new view snapshot worth writing, and a new state snapshot of a small session; see there.
    pub snapshot_after: u64,
    /// What answers are labelled with.
    pub label: Label,
    /// Which assistants a session may choose.
    pub assistants: Chooses,
    /// How long an owner must have been connected before that is recorded.
    pub host_after: Duration,
    /// Most events that one session may hold before it takes no more messages and questions; leaving, erasing and ending
    /// stay possible. Chosen as a hundred of the longest sessions that are measured.
    pub max_events: u64,
    /// How long one answer may take; then it fails as `turn_timeout`.
    pub turn_limit: Duration,
    /// What an assistant lacks: looked at before a session is resumed.
    pub missing: Missing,
    /// Whether an assistant can be reached: asked before a session is resumed, from wherever that is wanted.
    pub reaches: Reaches,
    /// How long that may take; then the assistant counts as away.
    pub reach_within: Duration,
    /// Puts an ended session in words; see [`Summarise`].
    pub summarise: Summarise,
    /// How long that may take; then the session is archived without.
    pub summarise_within: Duration,
    /// How many panics of one session's room within ten minutes fail the session.
    pub panics: usize,
    /// What rooms count and time.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub now: Now,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            unload_after: Duration::from_secs(60),
            rest_after: Duration::from_secs(10),
            leave_within: Duration::from_secs(10),
            batch: 256,
            inbox: 4096,
            flush: Duration::from_millis(16),
            watcher_flush: Duration::from_millis(33),
            lane_flush: Duration::from_millis(50),
            head_every: Duration::from_secs(15),
            progress_every: Duration::from_secs(1),
            progress_bytes: 4096,
            renew_every: Duration::from_secs(5),
            marks_every: Duration::from_secs(5),
            wake_every: Duration::from_secs(1),
            snapshot_after: 512,
            label: Arc::new(str::to_owned),
            assistants: Arc::new(|_| true),
            max_events: 1_000_000,
            turn_limit: Duration::from_secs(30 * 60),
            host_after: Duration::from_secs(2),
            missing: Arc::new(|_| None),
            reaches: Arc::new(|_| Box::pin(std::future::ready(None))),
            reach_within: Duration::from_secs(5),
            summarise: Arc::new(|_| Box::pin(std::future::ready(true))),
            summarise_within: Duration::from_secs(150),
            panics: 3,
            metrics: Arc::default(),
            now: Arc::new(clock::now),
        }
    }
}

impl HubConfig {
    /// Refuses to resume with an assistant that is not there or cannot answer.
    pub(crate) fn check_ready(&self, name: &str) -> Result<(), Problem> {
        let missing = if (self.assistants)(name) {
            (self.missing)(name)
        } else {
            Some(format!("there is no assistant called {name} any more; choose another in the settings"))
        };
        missing.map_or(Ok(()), |detail| Err(Problem::new(Code::CannotResume).with_detail(detail)))
    }

    /// Refuses to resume with an assistant that cannot be reached now.
    pub(crate) async fn check_reached(&self, name: &str) -> Result<(), Problem> {
        let away = match tokio::time::timeout(self.reach_within, (self.reaches)(name)).await {
            Ok(away) => away,
            Err(_) => Some("the assistant does not answer".to_owned()),
        };
        away.map_or(Ok(()), |detail| Err(Problem::new(Code::CannotResume).with_detail(detail)))
    }

    /// Refuses an assistant that there is not.
    pub(crate) fn check_assistant(&self, name: &str) -> Result<(), Problem> {
        if (self.assistants)(name) {
            return Ok(());
        }
        let detail = "there is no such assistant here; the list of assistants has all that can be chosen";
        Err(Problem::new(Code::InvalidField).with_detail(detail).with_field(
            "/settings/assistant",
            Code::InvalidField,
            detail,
        ))
    }
}

impl fmt::Debug for HubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubConfig").field("unload_after", &self.unload_after).finish_non_exhaustive()
    }
}
