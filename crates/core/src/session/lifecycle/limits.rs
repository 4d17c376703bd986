//! What ends a session by itself: its expiry, its time limit, its idle limit; and the warning before.
//!
//! Owns: when each limit strikes and when it is warned of. Must not know: timers. Invariant: derived from the state, so
//! a crash forgets nothing; each moment at which a limit would strike is warned of once at most.

use std::time::Duration;

use roundtable_protocol::command::SessionChangeExpiry;
use roundtable_protocol::event::{SessionExpiryChanged, SessionWarned};
use roundtable_protocol::ids::{Stream, Timestamp};
use roundtable_protocol::model::{Limit, SessionState};
use roundtable_protocol::problem::Code;

use super::Lifecycle;
use crate::context::{Decision, Rejection};
use crate::session::draft::{By, Draft};

/// How long before a limit strikes it is warned of. A limit of less than 25 minutes warns when a fifth of it is left.
pub const WARN_BEFORE: Duration = Duration::from_secs(5 * 60);
/// The longest limit that a setting may have. Unit: seconds; a year.
pub(super) const LONGEST_S: u32 = 31_536_000;

/// A limit and when it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    pub limit: Limit,
    pub at: Timestamp,
    warn_at: Timestamp,
}

impl Strike {
    fn new(limit: Limit, from: Timestamp, at: Timestamp) -> Self {
        let whole = at.duration_since(from).unsigned_abs();
        let warn_at = at.checked_sub(WARN_BEFORE.min(whole / 5)).unwrap_or(at);
        Self { limit, at, warn_at }
    }

    /// Returns the word that the session ends with.
    pub fn reason(self) -> &'static str {
        match self.limit {
            Limit::Expiry => "expired",
            Limit::Time => "time_limit",
            Limit::Idle => "idle_limit",
        }
    }
}

/// Returns every limit that will strike, in the order of [`Limit`].
pub fn strikes(life: &Lifecycle) -> impl Iterator<Item = Strike> {
    let running = life.is_created() && !life.state.is_ended();
    let idle = life.settings.idle_limit_s.filter(|_| life.state == SessionState::Active);
    let after = |limit, from: Timestamp, seconds: u32| {
        let at = from.checked_add(Duration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX);
        Strike::new(limit, from, at)
    };
    let expiry = life.expires_at.map(|at| Strike::new(Limit::Expiry, life.expiry_set_at, at));
    let time = life.settings.time_limit_s.zip(life.started_at).map(|(s, from)| after(Limit::Time, from, s));
    let idle = idle.map(|s| after(Limit::Idle, life.active_at, s));
    [expiry, time, idle].into_iter().flatten().filter(move |_| running)
}

/// Returns when a limit has something to say next: a warning that was not given yet, or its strike.
pub fn next_deadline(life: &Lifecycle) -> Option<Timestamp> {
    strikes(life).map(|s| if is_warned(life, s) { s.at } else { s.warn_at }).min()
}

/// Returns the limit that has struck, the earliest first.
pub fn struck(life: &Lifecycle, now: Timestamp) -> Option<Strike> {
    strikes(life).filter(|s| s.at <= now).min_by_key(|s| s.at)
}

/// Warns of what will strike soon.
pub fn warn(life: &Lifecycle, now: Timestamp, draft: &mut Draft) {
    for strike in strikes(life).filter(|s| s.warn_at <= now && !is_warned(life, *s)) {
        draft.push(Stream::Main, vec![], SessionWarned { limit: strike.limit, strikes_at: strike.at });
    }
}

fn is_warned(life: &Lifecycle, strike: Strike) -> bool {
    life.warned.get(&strike.limit) == Some(&strike.at)
}

/// Refuses to go on where the session would end in the same moment.
pub fn check_resume(life: &Lifecycle, now: Timestamp) -> Result<(), Rejection> {
    let over = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    let seconds = |s: u32| Duration::from_secs(s.into());
    let time = life.settings.time_limit_s.zip(life.started_at).and_then(|(s, at)| at.checked_add(seconds(s)).ok());
    let detail = match (over(life.expires_at), over(time)) {
        (true, _) => "its time is over: move expires_at first",
        (_, true) => "its time limit is used up: raise time_limit_s first",
        _ => return Ok(()),
    };
    Err(Rejection { code: Code::CannotResume, detail: detail.to_owned(), pointer: None })
}

pub fn decide_change_expiry(by: &By<'_>, data: &SessionChangeExpiry) -> Result<Decision, Rejection> {
    if data.expires_at.is_some_and(|at| at <= by.cx.now) {
        return Err(Rejection::field("/expires_at", Code::InvalidField, "that time has passed"));
    }
    if data.expires_at == by.session.lifecycle.expires_at {
        return Err(Code::AlreadyRecorded.into());
    }
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], SessionExpiryChanged { expires_at: data.expires_at });
    Ok(draft.finish())
}
