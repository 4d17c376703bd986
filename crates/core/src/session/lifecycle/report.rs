//! The report that a session leaves: what is counted while it lives, and the sum at its end.
//!
//! Owns: the counts and the report. Must not know: texts. Invariant: what is counted follows from the events of `main`
//! alone, so that whoever may read `main` can count it again.

use std::collections::BTreeMap;

use roundtable_protocol::event::{Event, EventBody, SessionEnded};
use roundtable_protocol::ids::{ParticipantId, Stream, Timestamp};
use roundtable_protocol::model::{Participant, SessionState, Usage, UsageSource};
use roundtable_protocol::report::{ContextFigures, DriverUsage, Report, ReportPerson, TurnCounts};
use serde::{Deserialize, Serialize};

use super::Session;

/// What is counted while a session lives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    turns: TurnCounts,
    usage: Vec<DriverUsage>,
    paused_ms: u64,
    paused_since: Option<Timestamp>,
    /// Without what the documents tell themselves.
    context: ContextFigures,
}

impl Tally {
    /// Counts an event. `driver`: which one answered the turn that the event ends.
    pub fn apply(&mut self, event: &Event, driver: Option<&str>) {
        let at = event.header.at;
        match &event.body {
            EventBody::TurnQueued(_) => self.turns.asked += 1,
            EventBody::TurnWithdrawn(_) => self.turns.withdrawn += 1,
            EventBody::TurnCompleted(data) => self.ended(driver, data.usage, |t| &mut t.completed),
            EventBody::TurnStopped(data) => self.ended(driver, data.usage, |t| &mut t.stopped),
            EventBody::TurnFailed(data) => self.ended(driver, data.usage, |t| &mut t.failed),
            EventBody::TurnLost(_) => self.ended(driver, Usage::default(), |t| &mut t.lost),
            EventBody::ContextPatched(data) => self.context.writes += u64::from(!data.ops.is_empty()),
            EventBody::ContextConflicted(_) => self.context.conflicts += 1,
            EventBody::ContextResolved(_) => self.context.resolved += 1,
            EventBody::SessionPaused(_) => self.paused_since = Some(at),
            EventBody::SessionResumed(_) | EventBody::SessionEnded(_) => self.goes_on(at),
            _ => {}
        }
    }

    fn goes_on(&mut self, at: Timestamp) {
        if let Some(since) = self.paused_since.take() {
            self.paused_ms += ms(since, at);
        }
    }

    fn ended(&mut self, driver: Option<&str>, used: Usage, which: impl FnOnce(&mut TurnCounts) -> &mut u64) {
        *which(&mut self.turns) += 1;
        let Some(driver) = driver else { return };
        let place = self.usage.iter().position(|u| u.driver == driver).unwrap_or_else(|| {
            self.usage.push(DriverUsage { driver: driver.to_owned(), answers: 0, usage: Usage::default() });
            self.usage.len() - 1
        });
        let sum = &mut self.usage[place];
        sum.usage = if sum.answers == 0 { used } else { add(sum.usage, used) };
        sum.answers += 1;
    }
}

/// Returns the report of a session that ends with `ended` at `at`; everything before is in `session` already.
pub fn of(session: &Session, ended: &SessionEnded, at: Timestamp) -> Report {
    let life = &session.lifecycle;
    let mut tally = life.tally.clone();
    tally.goes_on(at);
    let (mut written, mut messages, mut decisions) = (BTreeMap::<ParticipantId, u64>::new(), 0, Vec::new());
    for message in session.messages.of_main() {
        messages += u64::from(!message.is_answer);
        if let Some(author) = message.author.participant() {
            *written.entry(author).or_default() += 1;
        }
        if message.is_decision {
            decisions.push(message.id);
        }
    }
    let person = |p: &Participant| ReportPerson {
        participant: p.id,
        kind: p.kind,
        role: p.role,
        messages: written.get(&p.id).copied().unwrap_or(0),
    };
    Report {
        state: ended.state,
        reason: ended.reason.clone(),
        started_at: life.started_at,
        ended_at: at,
        duration_ms: life.started_at.map_or(0, |from| ms(from, at)),
        paused_ms: tally.paused_ms,
        participants: session.participants().map(person).collect(),
        messages,
        turns: tally.turns,
        decisions,
        usage: tally.usage,
        context: Some(session.documents.figures(tally.context)),
        events: session.heads[Stream::Main as usize].0 + 1,
    }
}

/// Returns the figures of a session that goes on, as if it ended now.
pub fn so_far(session: &Session, now: Timestamp) -> Report {
    let (state, reason) = (session.state(), "so_far".to_owned());
    let report = of(session, &SessionEnded { state, reason, detail: None }, now.max(session.last_at));
    Report { events: report.events - 1, ..report }
}

/// Returns whether an end is for good, so that there is something to report.
pub fn is_final(state: SessionState) -> bool {
    matches!(state, SessionState::Completed | SessionState::Terminated)
}

fn add(a: Usage, b: Usage) -> Usage {
    let certain = |source| match source {
        UsageSource::Reported => 2,
        UsageSource::Estimated => 1,
        UsageSource::Unknown => 0,
    };
    Usage {
        input_uncached: a.input_uncached + b.input_uncached,
        cache_read: a.cache_read + b.cache_read,
        cache_write: a.cache_write + b.cache_write,
        output: a.output + b.output,
        reasoning: a.reasoning + b.reasoning,
        source: if certain(a.source) <= certain(b.source) { a.source } else { b.source },
    }
}

fn ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}
