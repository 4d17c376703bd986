//! What browsers report about the page: that its own policy refused something.
//!
//! A report means that somebody tries to slip something into the page, or that the page itself does what it must not. It
//! holds addresses and pieces of content, so nothing of it is kept: reports are counted, and the log is told how many.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;

use crate::limits::lock;
use crate::state::App;

/// How much of a report is read before it is thrown away. Unit: bytes.
const LONGEST: usize = 64 * 1024;
/// How long a report may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the log is told, at most.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How many reports have come.
#[derive(Debug, Default)]
pub struct Reports(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    total: u64,
    untold: u64,
    told_at: Option<Instant>,
}

impl Reports {
    /// Counts one; returns how many the log is to be told of now.
    fn count(&self, now: Instant) -> Option<u64> {
        let mut counted = lock(&self.0);
        counted.total += 1;
        counted.untold += 1;
        let is_due = counted.told_at.is_none_or(|told| now.duration_since(told) >= TELL_EVERY);
        is_due.then(|| {
            counted.told_at = Some(now);
            std::mem::take(&mut counted.untold)
        })
    }

    /// Returns how many have come since the start.
    pub fn total(&self) -> u64 {
        lock(&self.0).total
    }
}

/// Takes a report of a browser.
pub async fn csp_report(State(app): State<App>, body: Body) -> StatusCode {
    // Read to its end, so that the connection can be used again; what it says is nobody's business.
    let read = tokio::time::timeout(PATIENCE, to_bytes(body, LONGEST)).await;
    if !matches!(read, Ok(Ok(_))) {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    if let Some(count) = app.reports.count(Instant::now()) {
        tracing::warn!(
            count,
            "browsers refused something in the page; somebody tries something, or the page is broken"
        );
    }
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_at_once_and_then_at_most_once_a_minute() {
        let reports = Reports::default();
        let start = Instant::now();
        assert_eq!(reports.count(start), Some(1));
        assert_eq!(reports.count(start + Duration::from_secs(1)), None);
        assert_eq!(reports.count(start + Duration::from_secs(59)), None);
        assert_eq!(reports.count(start + TELL_EVERY), Some(3));
        assert_eq!(reports.total(), 4);
    }
}
