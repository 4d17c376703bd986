//! The moves between states: start, pause, resume, fail, end.
//!
//! Owns: which move is legal from where, and what each one does to turns. Must not know: limits, who is connected.
//! Invariant: what is not in the table of docs/lifecycle.md is `illegal_transition`, and nothing happens.

use roundtable_protocol::command::{SessionEnd, SessionFail, SessionPause};
use roundtable_protocol::event::{
    SessionArchived, SessionEnded, SessionEnding, SessionPaused, SessionReported, SessionResumed, SessionStarted,
};
use roundtable_protocol::ids::Stream;
use roundtable_protocol::model::{Pending, SessionState};
use roundtable_protocol::problem::Code;

use super::{Session, limits, report};
use crate::context::{Decision, Rejection};
use crate::session::draft::{By, Draft};
use crate::session::{checkpoints, lobby, text, turns};

/// Most characters of the words for a cause.
const MAX_DETAIL: usize = 2_000;

pub fn decide_start(by: &By<'_>) -> Result<Decision, Rejection> {
    match by.session.state() {
        SessionState::Created => {
            let mut draft = by.draft();
            draft.push(Stream::Main, vec![], SessionStarted {});
            Ok(draft.finish())
        }
        state => Err(illegal(state, "started")),
    }
}

/// Pauses. The running turn stops at what is recorded of it; the room records what was shown in front of this.
pub fn decide_pause(by: &By<'_>, data: &SessionPause) -> Result<Decision, Rejection> {
    if by.session.state() != SessionState::Active {
        return Err(illegal(by.session.state(), "paused"));
    }
    let reason = text::reason(data.reason.as_ref())?;
    let mut draft = by.draft();
    turns::stop_running(by.session, &mut draft);
    draft.push(Stream::Main, vec![], SessionPaused { reason });
    checkpoints::automatic(by.session, &mut draft, "pause");
    Ok(draft.finish())
}

pub fn decide_resume(by: &By<'_>) -> Result<Decision, Rejection> {
    let from = by.session.state();
    if !matches!(from, SessionState::Paused | SessionState::Failed) {
        return Err(illegal(from, "resumed"));
    }
    limits::check_resume(&by.session.lifecycle, by.cx.now)?;
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], SessionResumed { from });
    Ok(draft.finish())
}

/// Fails. The running turn is lost; what waits is answered once the session is resumed.
pub fn decide_fail(by: &By<'_>, data: &SessionFail) -> Result<Decision, Rejection> {
    let from = by.session.state();
    if !from.is_open() {
        return Err(illegal(from, SessionState::Failed.name()));
    }
    let mut draft = by.draft();
    turns::lose_running(by.session, &mut draft);
    let detail = Some(data.detail.chars().take(MAX_DETAIL).collect());
    let reason = data.code.chars().take(text::MAX_NAME).collect();
    draft.push(Stream::Main, vec![], SessionEnded { state: SessionState::Failed, reason, detail });
    Ok(draft.finish())
}

pub fn decide_end(by: &By<'_>, data: &SessionEnd) -> Result<Decision, Rejection> {
    let from = by.session.state();
    let state = if data.terminate { SessionState::Terminated } else { SessionState::Completed };
    if from.is_ended() && !(from == SessionState::Failed && data.terminate) {
        return Err(illegal(from, state.name()));
    }
    let reason = text::reason(data.reason.as_ref())?.unwrap_or_else(|| "ended".to_owned());
    let busy = by.session.running_turn().is_some() || !by.session.queue().is_empty();
    if data.pending == Pending::Finish && !data.terminate && busy && from == SessionState::Active {
        if by.session.lifecycle.ending.is_some() {
            return Err(Code::AlreadyRecorded.into());
        }
        let mut draft = by.draft();
        draft.push(Stream::Main, vec![], SessionEnding { reason });
        return Ok(draft.finish());
    }
    Ok(end(by.session, by.draft(), state, reason))
}

/// Ends the session and, before it, every turn.
pub fn end(session: &Session, mut draft: Draft, state: SessionState, reason: String) -> Decision {
    turns::cut(session, &mut draft, |_, _| true);
    checkpoints::automatic(session, &mut draft, "end");
    lobby::close(session, &mut draft);
    let ended = SessionEnded { state, reason, detail: None };
    // What this decision does to turns is counted too; once in a life, so that a copy costs nothing that matters.
    let mut before = session.clone();
    draft.events().iter().for_each(|event| before.apply(event));
    let report = report::of(&before, &ended, draft.at());
    draft.push(Stream::Main, vec![], ended);
    draft.push(Stream::Main, vec![], SessionReported { report });
    draft.finish()
}

/// Records that the log is whole: the server has walked its hash chain.
pub fn decide_archive(by: &By<'_>, data: &SessionArchived) -> Result<Decision, Rejection> {
    if !is_archive_owed(by.session) {
        return Err(illegal(by.session.state(), "archived"));
    }
    let mut draft = by.draft();
    draft.push(Stream::Staff, vec![], data.clone());
    Ok(draft.finish())
}

/// Returns whether the session has ended for good and its log was not walked since.
pub fn is_archive_owed(session: &Session) -> bool {
    let life = &session.lifecycle;
    life.report.is_some() && report::is_final(life.state) && !life.archived
}

/// Returns why a session ends that only waited for its last answers, once they are there.
pub fn ending_due(session: &Session) -> Option<&str> {
    let idle = session.running_turn().is_none() && session.queue().is_empty();
    session.lifecycle.ending.as_deref().filter(|_| idle && session.state().is_open())
}

fn illegal(from: SessionState, to: &str) -> Rejection {
    Rejection {
        code: Code::IllegalTransition,
        detail: format!("a session that is {} cannot be {to}", from.name()),
        pointer: None,
    }
}
