//! Who asks to be let in, and what becomes of it.
//!
//! Owns: requests and their answers. Must not know: links, codes and passwords (doors check them before), nor who is
//! connected. Invariant: who waits is no participant and has no right at all; being let in is an ordinary
//! `participant.joined`, so the cap and names are checked at that moment.

use std::time::Duration;

use roundtable_protocol::command::{ParticipantApprove, ParticipantDeny, ParticipantJoin, ParticipantWithdrawRequest};
use roundtable_protocol::event::{
    Actor, ParticipantApproved, ParticipantDenied, ParticipantJoined, ParticipantRequestEnded, ParticipantRequested,
};
use roundtable_protocol::ids::{ParticipantId, Stream, Timestamp, UserId};
use roundtable_protocol::lobby::{Asked, JoinRequest, RequestStatus};
use roundtable_protocol::model::{Membership, Participant, ParticipantKind};
use roundtable_protocol::problem::Code;
use serde::{Deserialize, Serialize};

use super::draft::{By, Draft, PARTICIPANT_ID};
use super::{Session, roster, text};
use crate::context::{Decision, Rejection};

/// How many people may wait to be let in.
pub const MAX_WAITING: usize = 50;
/// How long somebody waits for an answer, and how long an answer is remembered.
pub const REQUEST_LIFE: Duration = Duration::from_secs(10 * 60);
/// How many answers are remembered.
const KEPT_ANSWERS: usize = 100;

/// Everybody who waits, and what became of those who have waited lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Lobby {
    waiting: Vec<JoinRequest>,
    answered: Vec<Answered>,
}

/// What somebody who has waited may still ask about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Answered {
    asked: Asked,
    /// Until when it is remembered.
    until: Timestamp,
}

impl Lobby {
    pub fn waiting(&self) -> &[JoinRequest] {
        &self.waiting
    }

    /// Returns where somebody's request stands; none when they have not asked, or it is forgotten.
    pub fn asked(&self, user: UserId) -> Option<Asked> {
        let waits =
            |request: &JoinRequest| Asked { request: request.clone(), status: RequestStatus::Waiting, reason: None };
        let answer = || self.answered.iter().find(|a| a.asked.request.user_id == user).map(|a| a.asked.clone());
        self.waiting.iter().find(|r| r.user_id == user).map(waits).or_else(answer)
    }

    fn find(&self, id: ParticipantId) -> Option<&JoinRequest> {
        self.waiting.iter().find(|r| r.id == id)
    }

    /// Returns the request of somebody who can be let in: who waits, or to whom was said no a short while ago.
    fn approvable(&self, id: ParticipantId) -> Option<&JoinRequest> {
        let of = |a: &&Answered| a.asked.request.id == id && a.asked.status == RequestStatus::Denied;
        self.find(id).or_else(|| self.answered.iter().find(of).map(|a| &a.asked.request))
    }

    /// Returns a refusal that still stands.
    fn denied(&self, user: UserId, now: Timestamp) -> Option<&Asked> {
        let stands = |a: &&Answered| a.asked.status == RequestStatus::Denied && a.until > now;
        self.answered.iter().filter(stands).map(|a| &a.asked).find(|asked| asked.request.user_id == user)
    }

    pub fn apply_requested(&mut self, data: &ParticipantRequested) {
        self.forget(data.request.id);
        self.waiting.push(data.request.clone());
    }

    pub fn apply_approved(&mut self, data: &ParticipantApproved) {
        self.forget(data.participant);
    }

    pub fn apply_denied(&mut self, data: &ParticipantDenied, at: Timestamp) {
        self.answer(data.participant, RequestStatus::Denied, data.reason.clone(), at);
    }

    pub fn apply_request_ended(&mut self, data: &ParticipantRequestEnded, at: Timestamp) {
        match data.status {
            RequestStatus::Joined => self.forget(data.participant),
            status => self.answer(data.participant, status, None, at),
        }
    }

    fn answer(&mut self, id: ParticipantId, status: RequestStatus, reason: Option<String>, at: Timestamp) {
        let Some(request) = self.find(id).cloned() else { return };
        self.forget(id);
        self.answered.retain(|a| a.until > at);
        if self.answered.len() >= KEPT_ANSWERS {
            self.answered.remove(0);
        }
        let until = at.checked_add(REQUEST_LIFE).unwrap_or(Timestamp::MAX);
        self.answered.push(Answered { asked: Asked { request, status, reason }, until });
    }

    fn forget(&mut self, id: ParticipantId) {
        self.waiting.retain(|r| r.id != id);
        self.answered.retain(|a| a.asked.request.id != id);
    }

    /// Returns when the first one who waits has waited long enough.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|r| r.expires_at).min()
    }
}

/// Reading.
impl Session {
    /// Returns who waits to be let in, in the order of asking.
    pub fn join_requests(&self) -> &[JoinRequest] {
        self.lobby.waiting()
    }

    /// Returns the request that approving somebody would answer: of who waits, or to whom was said no a short while ago.
    pub fn approvable(&self, participant: ParticipantId) -> Option<&JoinRequest> {
        self.lobby.approvable(participant)
    }

    /// Returns where somebody's request to be let in stands; none when they have not asked, or it is forgotten.
    pub fn asked(&self, user: UserId) -> Option<Asked> {
        self.lobby.asked(user)
    }
}

/// Returns whether somebody who comes has to wait for an answer.
pub(super) fn must_wait(session: &Session, data: &ParticipantJoin) -> bool {
    session.settings().require_approval && data.kind == ParticipantKind::User && !data.vouched
}

/// Decides that somebody waits.
pub(super) fn decide_request(by: &By<'_>, data: &ParticipantJoin) -> Result<Decision, Rejection> {
    let lobby = &by.session.lobby;
    if lobby.waiting.iter().any(|r| r.user_id == data.user) {
        return Err(Code::AlreadyRecorded.into());
    }
    if let Some(denied) = lobby.denied(data.user, by.cx.now) {
        let detail = denied.reason.clone().unwrap_or_else(|| "somebody said no a short while ago".to_owned());
        return Err(Rejection { code: Code::JoinDenied, detail, pointer: None });
    }
    if lobby.waiting.len() >= MAX_WAITING {
        return Err(Code::LobbyFull.into());
    }
    let display_name = text::filled_line("/display_name", &data.display_name, text::MAX_NAME)?;
    let colour = data.colour.map(text::chosen_colour).transpose()?.unwrap_or_else(|| text::colour(data.user));
    let known = by.session.participant_of(data.user).map(|p| p.id);
    let id = known.unwrap_or_else(|| ParticipantId::derive(by.envelope.key, PARTICIPANT_ID));
    let mut draft = by.draft_as(Actor::Participant(id), None);
    let requested_at = draft.at();
    let request = JoinRequest {
        id,
        user_id: data.user,
        display_name,
        role: data.role,
        guest: data.guest,
        colour,
        via: data.via,
        requested_at,
        expires_at: requested_at.checked_add(REQUEST_LIFE).unwrap_or(Timestamp::MAX),
    };
    draft.push(Stream::Staff, vec![], ParticipantRequested { request });
    Ok(draft.finish())
}

/// Decides that somebody who waits is let in; also somebody to whom was said no a short while ago.
pub(super) fn decide_approve(by: &By<'_>, data: &ParticipantApprove) -> Result<Decision, Rejection> {
    let request = by.session.lobby.approvable(data.participant).ok_or_else(no_such_request)?;
    if request.role >= by.person()?.role {
        return Err(Rejection::new(Code::AboveYourRole));
    }
    if by.session.roster.get(request.id).is_some_and(|p| p.membership == Membership::Removed) {
        return Err(Code::Removed.into());
    }
    roster::check_cap(by.session)?;
    let mut draft = by.draft();
    let approved = draft.push(Stream::Staff, vec![], ParticipantApproved { participant: request.id });
    let participant = Participant {
        id: request.id,
        user_id: request.user_id,
        kind: ParticipantKind::User,
        role: request.role,
        display_name: roster::free_name(by.session, &request.display_name),
        colour: request.colour,
        guest: request.guest,
        membership: Membership::Joined,
        joined_at: draft.at(),
    };
    draft.speak_as(Actor::Participant(request.id));
    draft.push(Stream::Main, vec![approved], ParticipantJoined { participant, via: request.via });
    Ok(draft.finish())
}

pub(super) fn decide_deny(by: &By<'_>, data: &ParticipantDeny) -> Result<Decision, Rejection> {
    let request = by.session.lobby.find(data.participant).ok_or_else(no_such_request)?;
    let reason = text::reason(data.reason.as_ref())?;
    let mut draft = by.draft();
    draft.push(Stream::Staff, vec![], ParticipantDenied { participant: request.id, reason });
    Ok(draft.finish())
}

pub(super) fn decide_withdraw(by: &By<'_>, data: &ParticipantWithdrawRequest) -> Result<Decision, Rejection> {
    let request = by.session.lobby.waiting.iter().find(|r| r.user_id == data.user).ok_or_else(no_such_request)?;
    let mut draft = by.draft_as(Actor::Participant(request.id), None);
    end(&mut draft, request.id, RequestStatus::Withdrawn);
    Ok(draft.finish())
}

/// Somebody has come in another way: their request is over.
pub(super) fn joined(session: &Session, draft: &mut Draft, user: UserId) {
    if let Some(request) = session.lobby.waiting.iter().find(|r| r.user_id == user) {
        end(draft, request.id, RequestStatus::Joined);
    }
}

/// The session ends: nobody waits any more.
pub(super) fn close(session: &Session, draft: &mut Draft) {
    for request in &session.lobby.waiting {
        end(draft, request.id, RequestStatus::SessionEnded);
    }
}

/// Ends what has waited long enough.
pub(super) fn on_time(session: &Session, now: Timestamp, draft: &mut Draft) {
    for request in session.lobby.waiting.iter().filter(|r| r.expires_at <= now) {
        end(draft, request.id, RequestStatus::Expired);
    }
}

fn end(draft: &mut Draft, participant: ParticipantId, status: RequestStatus) {
    draft.push(Stream::Staff, vec![], ParticipantRequestEnded { participant, status });
}

fn no_such_request() -> Rejection {
    Rejection::field("/participant", Code::NoSuchRequest, "nobody waits under that id")
}

#[cfg(test)]
mod tests;
