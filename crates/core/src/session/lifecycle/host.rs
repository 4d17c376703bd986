//! Whether somebody leads the session: its owner is here, is missed, or it works on by itself.
//!
//! Owns: the grace of a missed owner, who follows, detaching and attaching. Must not know: connections; the room says
//! when the owner's last one has dropped and when somebody comes. Invariant: there is exactly one owner at any time;
//! never a viewer and never an agent becomes it.

use std::time::Duration;

use roundtable_protocol::command::{SessionAttach, SessionMissHost};
use roundtable_protocol::event::{
    SessionAttached, SessionDetached, SessionHostArrived, SessionHostLeft, SessionOwnerChanged, SessionWorkDone,
};
use roundtable_protocol::ids::{ParticipantId, Stream, Timestamp};
use roundtable_protocol::model::{DetachReason, Participant, ParticipantKind, SessionState, SuccessionReason};
use roundtable_protocol::problem::Code;
use roundtable_protocol::{ParticipantId as Id, Role};
use serde::{Deserialize, Serialize};

use super::Session;
use crate::context::{Decision, Rejection};
use crate::session::draft::{By, Draft};

/// How long a missed owner may come back (DESIGN, defaults that people notice).
pub const HOST_GRACE: Duration = Duration::from_secs(60);

/// Who leads the session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// The owner is connected, as far as is recorded.
    here: bool,
    /// The owner is missed, and may come back until then.
    missed_until: Option<Timestamp>,
    detached: Option<Detached>,
}

/// The session works on by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Detached {
    why: DetachReason,
    since: Timestamp,
    /// Turns that have ended since, and how many of them not as intended.
    turns: u32,
    unfinished: u32,
    /// What has been done was told.
    told: bool,
}

impl Host {
    pub fn apply_arrived(&mut self) {
        self.here = true;
        self.missed_until = None;
    }

    pub fn apply_left(&mut self, data: &SessionHostLeft) {
        self.here = false;
        self.missed_until = Some(data.until);
    }

    pub fn apply_detached(&mut self, data: &SessionDetached, at: Timestamp) {
        let detached = Detached { why: data.why, since: at, turns: 0, unfinished: 0, told: false };
        *self = Self { here: false, missed_until: None, detached: Some(detached) };
    }

    pub fn apply_attached(&mut self) {
        self.detached = None;
    }

    /// The new owner was connected when it was decided.
    pub fn apply_owner_changed(&mut self) {
        *self = Self { here: true, missed_until: None, detached: None };
    }

    pub fn apply_turn_ended(&mut self, as_intended: bool) {
        if let Some(detached) = &mut self.detached {
            detached.turns += 1;
            detached.unfinished += u32::from(!as_intended);
            detached.told = false;
        }
    }

    pub fn apply_work_done(&mut self) {
        if let Some(detached) = &mut self.detached {
            detached.told = true;
        }
    }
}

/// What the room asks before it gives a command that would be refused.
impl Session {
    /// Returns since when the session works on with nobody leading it.
    pub fn detached_since(&self) -> Option<Timestamp> {
        self.lifecycle.host.detached.as_ref().map(|d| d.since)
    }

    /// Returns whether it was told that what was asked while it is detached is done.
    pub fn has_done_its_work(&self) -> bool {
        self.lifecycle.host.detached.as_ref().is_some_and(|d| d.told)
    }

    /// Returns whether it is recorded that the owner is connected.
    pub fn host_is_here(&self) -> bool {
        self.lifecycle.host.here
    }

    /// Returns whether the owner is missed, and may still come back.
    pub fn host_is_missed(&self) -> bool {
        self.state().is_open() && self.lifecycle.host.missed_until.is_some()
    }

    /// Returns the owner.
    pub fn owner(&self) -> Option<&Participant> {
        self.roster.of(self.lifecycle.owner)
    }

    /// Returns whether it makes a difference that this participant is connected now.
    pub fn is_led_by(&self, participant: ParticipantId) -> bool {
        let Some(who) = self.roster.get_joined(participant).filter(|p| can_host(p)) else { return false };
        if !self.state().is_open() {
            return false;
        }
        let host = &self.lifecycle.host;
        let waits_for_anybody = host.detached.as_ref().is_some_and(|d| d.why == DetachReason::NobodyLeft);
        match who.role {
            Role::Owner => !host.here,
            _ => waits_for_anybody,
        }
    }
}

pub fn decide_attach(by: &By<'_>, data: &SessionAttach) -> Result<Decision, Rejection> {
    if !by.session.is_led_by(data.participant) {
        return Err(Code::AlreadyRecorded.into());
    }
    let mut draft = by.draft();
    if by.session.owner().is_some_and(|owner| owner.id == data.participant) {
        draft.push(Stream::Staff, vec![], SessionHostArrived {});
    }
    if by.session.lifecycle.host.detached.is_some() {
        draft.push(Stream::Main, vec![], SessionAttached { participant: data.participant });
    }
    Ok(draft.finish())
}

pub fn decide_miss(by: &By<'_>, data: &SessionMissHost) -> Result<Decision, Rejection> {
    if !by.session.lifecycle.host.here {
        return Err(Code::AlreadyRecorded.into());
    }
    let mut draft = by.draft();
    let until = data.since.checked_add(HOST_GRACE).unwrap_or(Timestamp::MAX);
    draft.push(Stream::Staff, vec![], SessionHostLeft { until });
    Ok(draft.finish())
}

pub fn decide_detach(by: &By<'_>) -> Result<Decision, Rejection> {
    if by.session.lifecycle.host.detached.is_some() {
        return Err(Code::AlreadyRecorded.into());
    }
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], SessionDetached { why: DetachReason::Asked });
    Ok(draft.finish())
}

/// The owner goes for good: somebody else becomes it at once; with nobody there the session detaches and keeps its
/// owner. Returns whether somebody has followed.
pub fn follow_at_once(session: &Session, present: &[Id], draft: &mut Draft) -> bool {
    follow(session, present, SuccessionReason::Left, draft)
}

/// Returns when the grace of a missed owner is over, or a moment long past while something done must be told.
pub fn next_deadline(session: &Session) -> Option<Timestamp> {
    let host = &session.lifecycle.host;
    let done = is_done(session).then_some(Timestamp::UNIX_EPOCH);
    host.missed_until.filter(|_| session.state().is_open()).into_iter().chain(done).min()
}

/// Decides what is due.
pub fn on_time(session: &Session, present: &[Id], now: Timestamp, draft: &mut Draft) {
    let host = &session.lifecycle.host;
    if is_done(session)
        && let Some(detached) = &host.detached
    {
        let (turns, unfinished) = (detached.turns, detached.unfinished);
        draft.push(Stream::Main, vec![], SessionWorkDone { turns, unfinished });
    }
    if !session.state().is_open() || host.missed_until.is_none_or(|until| until > now) {
        return;
    }
    if session.owner().is_some_and(|owner| present.contains(&owner.id)) {
        draft.push(Stream::Staff, vec![], SessionHostArrived {});
    } else {
        follow(session, present, SuccessionReason::Away, draft);
    }
}

fn is_done(session: &Session) -> bool {
    let idle = session.running_turn().is_none() && session.queue().is_empty();
    idle && session.lifecycle.host.detached.as_ref().is_some_and(|d| d.turns > 0 && !d.told)
        && session.state() == SessionState::Active
}

fn follow(session: &Session, present: &[Id], why: SuccessionReason, draft: &mut Draft) -> bool {
    let Some(owner) = session.owner() else { return false };
    let there = session.roster.joined().filter(|p| p.id != owner.id && can_host(p) && present.contains(&p.id));
    // The first of the longest-serving ones of the highest role.
    let next = there.min_by_key(|p| (std::cmp::Reverse(p.role), p.joined_at));
    match next {
        Some(next) => {
            let changed = SessionOwnerChanged { from: owner.id, to: next.id, owner: next.user_id, why };
            draft.push(Stream::Main, vec![], changed);
        }
        None => {
            draft.push(Stream::Main, vec![], SessionDetached { why: DetachReason::NobodyLeft });
        }
    }
    next.is_some()
}

fn can_host(p: &Participant) -> bool {
    p.kind == ParticipantKind::User && p.role >= Role::Collaborator
}
