//! Who asked the assistant, who is next, what is being answered and under which claim.
//!
//! Owns: the queue, the running turn, leases. Must not know: drivers, models, text. Invariant: at most one turn runs;
//! only the head of the queue is started; what does not hold the lease cannot write.

use std::collections::HashMap;
use std::time::Duration;

use roundtable_protocol::command::{
    MessagePost, TurnAsk, TurnComplete, TurnEdit, TurnFail, TurnLose, TurnProgress, TurnStart, TurnStop, TurnWithdraw,
};
use roundtable_protocol::event::{
    Actor, Event, TurnCompleted, TurnFailed, TurnLost, TurnProgressed, TurnQueued, TurnStarted, TurnStopped,
    TurnWithdrawn,
};
use roundtable_protocol::grant::Permission;
use roundtable_protocol::ids::{BranchId, EventId, LeaseId, MessageId, ParticipantId, Stream, Timestamp, TurnId};
use roundtable_protocol::model::{Lease, ParticipantKind, Respond, Usage};
use roundtable_protocol::problem::Code;
use roundtable_protocol::view::utf16_len;
use serde::{Deserialize, Serialize};

use super::draft::{ANSWER_ID, By, Draft, TURN_ID};
use super::messages::{self, MessageRef};
use super::{Session, branches, roster};
use crate::context::{Decision, Rejection};

/// How long a claim on a turn lasts unless it is renewed. Each `turn.progress`, about one a second, renews it; so a
/// server may stall for many of them, and a killed one is missed before people give up waiting.
pub const LEASE: Duration = Duration::from_secs(15);
/// How many turns may wait in a session. Source: the project's notes on many people before one assistant (agents,
/// section 7, "Busy"); beyond it, nobody can tell any more when their turn comes.
pub const MAX_QUEUED: usize = 20;
/// How many turns of one person may wait, so that nobody fills the queue alone. Same source.
pub const MAX_QUEUED_EACH: usize = 3;

/// A turn that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedTurn {
    /// The turn.
    pub turn: TurnId,
    /// The message that asks.
    pub message: MessageId,
    /// Who asked.
    pub requester: ParticipantId,
    /// Who answers.
    pub assistant: ParticipantId,
    /// When it was queued.
    pub since: Timestamp,
    /// On which branch it is answered.
    pub on: On,
}

/// On which branch a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct On {
    /// The branch on which it is answered; zeros in logs of before: the main one.
    pub branch: BranchId,
    /// The branch that the assistant reads, when it is another one.
    pub reads: Option<BranchId>,
}

/// The turn that is being answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningTurn {
    /// The turn.
    pub turn: TurnId,
    /// The message that asks.
    pub message: MessageId,
    /// The message that the answer grows in.
    pub answer: MessageId,
    /// Who asked.
    pub requester: ParticipantId,
    /// Who answers.
    pub assistant: ParticipantId,
    /// The claim under which it is written.
    pub lease: Lease,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How much of the answer is recorded. Unit: UTF-16 code units.
    pub length: u64,
    /// Which driver answers.
    pub driver: String,
    /// What the answer is labelled with.
    pub label: String,
    /// When it started.
    pub since: Timestamp,
    /// On which branch it is answered.
    pub on: On,
}

/// All turns that have not ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Turns {
    queue: Vec<QueuedTurn>,
    running: Option<RunningTurn>,
}

impl Turns {
    pub fn queue(&self) -> &[QueuedTurn] {
        &self.queue
    }

    pub fn running(&self) -> Option<&RunningTurn> {
        self.running.as_ref()
    }

    pub fn apply_queued(&mut self, data: &TurnQueued, at: Timestamp, branch: Option<BranchId>) {
        let place = data.before.and_then(|before| self.queue.iter().position(|t| t.turn == before));
        let turn = QueuedTurn {
            turn: data.turn,
            message: data.message,
            requester: data.requester,
            assistant: data.assistant,
            since: at,
            on: On { branch: branch.unwrap_or(BranchId::NIL), reads: data.reads },
        };
        self.queue.insert(place.unwrap_or(self.queue.len()), turn);
    }

    pub fn apply_withdrawn(&mut self, data: &TurnWithdrawn) {
        self.queue.retain(|t| t.turn != data.turn);
    }

    /// Returns who asked.
    pub fn apply_started(&mut self, event: &Event, data: &TurnStarted) -> ParticipantId {
        let waiting = self.queue.iter().find(|t| t.turn == data.turn);
        let on = On { branch: event.header.branch.unwrap_or(BranchId::NIL), reads: waiting.and_then(|t| t.on.reads) };
        let requester = waiting.map(|t| t.requester).or(event.header.on_behalf_of).unwrap_or(ParticipantId::NIL);
        self.queue.retain(|t| t.turn != data.turn);
        self.running = Some(RunningTurn {
            turn: data.turn,
            message: data.message,
            answer: data.answer,
            requester,
            assistant: data.assistant,
            lease: data.lease,
            attempt: data.attempt,
            length: 0,
            driver: data.driver.clone(),
            label: data.label.clone(),
            since: event.header.at,
            on,
        });
        requester
    }

    pub fn apply_progressed(&mut self, data: &TurnProgressed) {
        if let Some(running) = self.running.as_mut().filter(|t| t.turn == data.turn) {
            running.length = running.length.max(data.offset.saturating_add(utf16_len(&data.text)));
            running.lease.until = data.lease_until;
        }
    }

    pub fn apply_ended(&mut self, turn: TurnId) {
        self.queue.retain(|t| t.turn != turn);
        self.running.take_if(|t| t.turn == turn);
    }

    /// Returns before which waiting turn a new one of `requester` goes; none: at the end.
    ///
    /// Round robin by person: the k-th waiting turn of a person goes after the k-th turns of all others and before
    /// their next ones, so that nobody who asks a lot keeps the others waiting.
    fn place(&self, requester: ParticipantId) -> Option<TurnId> {
        let rank = self.queue.iter().filter(|t| t.requester == requester).count() + 1;
        let mut ranks: HashMap<ParticipantId, usize> = HashMap::new();
        let mut later = self.queue.iter().filter(|t| {
            let theirs = ranks.entry(t.requester).or_default();
            *theirs += 1;
            *theirs > rank
        });
        later.next().map(|t| t.turn)
    }

    /// Checks that one more turn of `requester` fits.
    fn room(&self, requester: ParticipantId) -> Result<(), Rejection> {
        let theirs = self.queue.iter().filter(|t| t.requester == requester).count();
        let detail = if theirs >= MAX_QUEUED_EACH {
            format!("{theirs} of your questions wait already; wait for an answer or take one back")
        } else if self.queue.len() >= MAX_QUEUED {
            format!("{} questions wait already; wait for an answer", self.queue.len())
        } else {
            return Ok(());
        };
        Err(Rejection { code: Code::QueueFull, detail, pointer: None })
    }

    /// Returns the running turn if `lease` is the claim on it.
    fn claimed(&self, turn: TurnId, lease: LeaseId) -> Result<&RunningTurn, Rejection> {
        self.running.as_ref().filter(|t| t.turn == turn && t.lease.id == lease).ok_or_else(|| Code::StaleLease.into())
    }

    /// Returns the waiting turn with that id.
    fn waiting(&self, turn: TurnId) -> Result<&QueuedTurn, Rejection> {
        match self.queue.iter().find(|t| t.turn == turn) {
            Some(turn) => Ok(turn),
            None if self.running.as_ref().is_some_and(|t| t.turn == turn) => Err(Code::TurnAlreadyStarted.into()),
            None => Err(no_such_turn()),
        }
    }
}

/// Decides whether a new message asks the assistant, and which one.
///
/// What is addressed to the assistant (`ask: true`, or its name) must find room in the queue; what would be answered
/// only because of the settings is posted unasked when there is none, so that people can always talk.
pub(super) fn who_answers(
    by: &By<'_>,
    data: &MessagePost,
    mentions: &[ParticipantId],
    parent: Option<&MessageRef>,
) -> Result<Option<ParticipantId>, Rejection> {
    if by.envelope.stream != Stream::Main {
        return match data.ask {
            Some(true) => Err(Rejection::field("/ask", Code::InvalidField, "side chat never reaches the assistant")),
            _ => Ok(None),
        };
    }
    let is_agent = |id: &ParticipantId| by.session.participant(*id).is_some_and(|p| p.kind == ParticipantKind::Agent);
    let named = mentions.iter().copied().find(is_agent);
    let respond = by.session.settings().respond;
    let explicit = data.ask == Some(true);
    let addressed = explicit || (data.ask.is_none() && named.is_some() && respond != Some(Respond::Manual));
    let implied = data.ask.is_none()
        && match respond {
            Some(Respond::Always) => true,
            Some(Respond::Reply) => parent.is_some_and(|m| m.answer_to.is_some()),
            Some(Respond::Mention | Respond::Manual) => false,
            None => is_alone(by),
        };
    if !addressed && !implied {
        return Ok(None);
    }
    if by.session.lifecycle.ending.is_some() {
        return if addressed { Err(ending()) } else { Ok(None) };
    }
    if !by.cx.grant.allows(Permission::TurnPrompt) {
        return if explicit { Err(Code::Forbidden.into()) } else { Ok(None) };
    }
    let Some(assistant) = named.or(by.session.roster.assistant()) else {
        return if explicit { Err(Code::NoAssistant.into()) } else { Ok(None) };
    };
    match by.session.turns.room(by.person()?.id) {
        Ok(()) => Ok(Some(assistant)),
        Err(full) if addressed => Err(full),
        Err(_) => Ok(None),
    }
}

/// Returns whether the caller is the only person online who may prompt.
fn is_alone(by: &By<'_>) -> bool {
    let me = by.person.map(|p| p.id);
    let others = by.cx.present.iter().filter(|id| Some(**id) != me);
    let prompts = |id: &ParticipantId| {
        let person = by.session.roster.get_joined(*id);
        person.is_some_and(|p| p.kind == ParticipantKind::User && roster::may_prompt(p.role))
    };
    !others.into_iter().any(prompts)
}

/// Queues a turn for the answer to `message`, whose event is `event`.
pub(super) fn queue(
    session: &Session,
    draft: &mut Draft,
    event: EventId,
    message: MessageId,
    requester: ParticipantId,
    assistant: ParticipantId,
    on: On,
) {
    let turn = TurnId::derive(draft.key(), TURN_ID);
    let before = session.turns.place(requester);
    draft.on(session.branches.header(on.branch));
    let reads = on.reads;
    draft.push(Stream::Main, vec![event], TurnQueued { turn, message, requester, assistant, before, reads });
}

/// Returns the assistant that is asked for a summary, when there is room for one more question of the caller.
pub(super) fn summarizer(by: &By<'_>) -> Result<ParticipantId, Rejection> {
    let assistant = by.session.roster.assistant().ok_or(Code::NoAssistant)?;
    by.session.turns.room(by.person()?.id)?;
    Ok(assistant)
}

/// Withdraws and stops the turns of a branch whose question `stays` does not keep.
pub(super) fn cut_branch(session: &Session, draft: &mut Draft, branch: BranchId, stays: impl Fn(MessageId) -> bool) {
    let branch = session.branches.header(branch);
    let goes = |on: On, question| on.header() == branch && !stays(question);
    for turn in session.queue().iter().filter(|t| goes(t.on, t.message)) {
        draft.push(Stream::Main, causes(session, turn.message), TurnWithdrawn { turn: turn.turn });
    }
    if session.running_turn().is_some_and(|t| goes(t.on, t.message)) {
        stop_running(session, draft);
    }
}

impl On {
    /// Returns how events name the branch: the main one is not named.
    pub(super) fn header(self) -> Option<BranchId> {
        (self.branch != BranchId::NIL).then_some(self.branch)
    }
}

/// Withdraws every waiting turn and stops the running one where `which` (the asking message, who asked) says so.
pub(super) fn cut(session: &Session, draft: &mut Draft, which: impl Fn(MessageId, ParticipantId) -> bool) {
    withdraw_all(session, draft, &which);
    if session.running_turn().is_some_and(|t| which(t.message, t.requester)) {
        stop_running(session, draft);
    }
}

/// Withdraws every waiting turn where `which` (the asking message, who asked) says so.
pub(super) fn withdraw_all(session: &Session, draft: &mut Draft, which: impl Fn(MessageId, ParticipantId) -> bool) {
    for turn in session.queue().iter().filter(|t| which(t.message, t.requester)) {
        draft.on(turn.on.header());
        draft.push(Stream::Main, causes(session, turn.message), TurnWithdrawn { turn: turn.turn });
    }
    draft.on(None);
}

/// Stops the running turn; the answer stands as far as it is recorded.
pub(super) fn stop_running(session: &Session, draft: &mut Draft) {
    let Some(t) = session.running_turn() else { return };
    let stopped = TurnStopped { turn: t.turn, message: t.answer, length: t.length, usage: Usage::default() };
    draft.on(t.on.header());
    draft.push(Stream::Main, causes(session, t.message), stopped);
    draft.on(None);
}

/// Gives the running turn up; the answer stands as far as it is recorded.
pub(super) fn lose_running(session: &Session, draft: &mut Draft) {
    let Some(t) = session.running_turn() else { return };
    let lost = TurnLost { turn: t.turn, message: t.answer, length: t.length };
    draft.on(t.on.header());
    draft.push(Stream::Main, causes(session, t.message), lost);
    draft.on(None);
}

pub(super) fn decide_ask(by: &By<'_>, data: &TurnAsk) -> Result<Decision, Rejection> {
    let me = by.person()?;
    let message = by.message("/message", data.message)?;
    if message.stream != Stream::Main {
        return Err(Rejection::field("/message", Code::InvalidField, "side chat never reaches the assistant"));
    }
    if message.answer_to.is_some() {
        return Err(Rejection::field("/message", Code::InvalidField, "that is an answer; ask about its question"));
    }
    if message.redacted {
        return Err(Code::MessageIsRedacted.into());
    }
    if by.session.lifecycle.ending.is_some() {
        return Err(ending());
    }
    let assistant = by.session.roster.assistant().ok_or(Code::NoAssistant)?;
    if by.session.queue().iter().any(|t| t.message == data.message) {
        return Err(Code::AlreadyRecorded.into());
    }
    by.session.turns.room(me.id)?;
    let mut draft = by.draft();
    let created = data.sibling.then(|| branches::beside(by, data.message)).transpose()?;
    let branch = match &created {
        Some(created) => created.branch,
        None => branches::of_question(by, data.message)?,
    };
    let on = On { branch, reads: None };
    queue(by.session, &mut draft, message.event, data.message, me.id, assistant, on);
    if let Some(created) = created {
        let event = EventId(draft.key());
        draft.push(Stream::Main, vec![event], created);
    }
    Ok(draft.finish())
}

pub(super) fn decide_edit(by: &By<'_>, data: &TurnEdit) -> Result<Decision, Rejection> {
    let turn = by.session.turns.waiting(data.turn)?;
    if turn.requester != by.person()?.id {
        return Err(Code::NotYourTurn.into());
    }
    messages::edit(by, turn.message, &data.text)
}

pub(super) fn decide_withdraw(by: &By<'_>, data: &TurnWithdraw) -> Result<Decision, Rejection> {
    let turn = by.session.turns.waiting(data.turn)?;
    if !by.is_or_may(turn.requester, Permission::TurnManage) {
        return Err(Code::NotYourTurn.into());
    }
    let mut draft = by.draft();
    draft.on(turn.on.header());
    draft.push(Stream::Main, causes(by.session, turn.message), TurnWithdrawn { turn: turn.turn });
    Ok(draft.finish())
}

pub(super) fn decide_stop(by: &By<'_>, data: &TurnStop) -> Result<Decision, Rejection> {
    match by.session.running_turn() {
        Some(running) if running.turn == data.turn => {}
        _ if by.session.queue().iter().any(|t| t.turn == data.turn) => return Err(Code::TurnNotRunning.into()),
        _ => return Err(no_such_turn()),
    }
    let mut draft = by.draft();
    stop_running(by.session, &mut draft);
    Ok(draft.finish())
}

pub(super) fn decide_start(by: &By<'_>, data: &TurnStart) -> Result<Decision, Rejection> {
    let turn = by.session.turns.waiting(data.turn)?;
    let is_head = by.session.queue().first().is_some_and(|t| t.turn == data.turn);
    if !is_head || by.session.running_turn().is_some() {
        let detail = "only the next turn is started, and only when none is running".to_owned();
        return Err(Rejection { code: Code::IllegalTransition, detail, pointer: None });
    }
    let mut draft = by.draft_as(Actor::Participant(turn.assistant), Some(turn.requester));
    draft.on(turn.on.header());
    let branch = turn.on.header().unwrap_or_else(|| by.session.branches.main());
    let head = by.session.branches.get(branch).and_then(|b| b.head);
    let started = TurnStarted {
        turn: turn.turn,
        message: turn.message,
        assistant: turn.assistant,
        answer: MessageId::derive(draft.key(), ANSWER_ID),
        // A lost turn is not tried again by itself, so each turn is attempted once.
        attempt: 1,
        lease: Lease { id: data.lease, until: lease_end(&draft) },
        driver: data.driver.clone(),
        label: data.label.clone(),
        parent: by.session.messages.recorded_parent(head, 0),
    };
    draft.push(Stream::Main, causes(by.session, turn.message), started);
    Ok(draft.finish())
}

pub(super) fn decide_progress(by: &By<'_>, data: &TurnProgress) -> Result<Decision, Rejection> {
    let t = by.session.turns.claimed(data.turn, data.lease)?;
    if data.offset != t.length {
        let detail = format!("the recorded text has {} UTF-16 code units", t.length);
        return Err(Rejection::field("/offset", Code::InvalidField, detail));
    }
    let mut draft = by.draft_as(Actor::Participant(t.assistant), Some(t.requester));
    draft.on(t.on.header());
    let progressed = TurnProgressed {
        turn: t.turn,
        message: t.answer,
        offset: data.offset,
        text: data.text.clone(),
        pace: data.pace.clone(),
        lease_until: lease_end(&draft).max(t.lease.until),
        redacted: false,
    };
    draft.push(Stream::Main, causes(by.session, t.message), progressed);
    Ok(draft.finish())
}

pub(super) fn decide_complete(by: &By<'_>, data: &TurnComplete) -> Result<Decision, Rejection> {
    let t = by.session.turns.claimed(data.turn, data.lease)?;
    let mut draft = by.draft_as(Actor::Participant(t.assistant), Some(t.requester));
    draft.on(t.on.header());
    let completed = TurnCompleted {
        turn: t.turn,
        message: t.answer,
        length: t.length,
        hash: data.hash.clone(),
        reason: data.reason,
        usage: data.usage,
    };
    draft.push(Stream::Main, causes(by.session, t.message), completed);
    Ok(draft.finish())
}

pub(super) fn decide_fail(by: &By<'_>, data: &TurnFail) -> Result<Decision, Rejection> {
    let t = by.session.turns.claimed(data.turn, data.lease)?;
    let mut draft = by.draft_as(Actor::Participant(t.assistant), Some(t.requester));
    draft.on(t.on.header());
    let failed = TurnFailed {
        turn: t.turn,
        message: Some(t.answer),
        length: t.length,
        code: data.code.clone(),
        detail: data.detail.clone(),
        usage: data.usage,
    };
    draft.push(Stream::Main, causes(by.session, t.message), failed);
    Ok(draft.finish())
}

pub(super) fn decide_lose(by: &By<'_>, data: &TurnLose) -> Result<Decision, Rejection> {
    by.session.turns.claimed(data.turn, data.lease)?;
    let mut draft = by.draft();
    lose_running(by.session, &mut draft);
    Ok(draft.finish())
}

/// Returns the event of the message that asks, the parent of everything about its turn.
fn causes(session: &Session, question: MessageId) -> Vec<EventId> {
    session.message(question).map(|m| m.event).into_iter().collect()
}

fn lease_end(draft: &Draft) -> Timestamp {
    draft.at().checked_add(LEASE).unwrap_or(Timestamp::MAX)
}

fn ending() -> Rejection {
    let detail = "the session ends as soon as what was asked is answered; it takes no new questions".to_owned();
    Rejection { code: Code::SessionNotActive, detail, pointer: None }
}

fn no_such_turn() -> Rejection {
    let detail = "there is no such turn; it has probably ended";
    Rejection::field("/turn", Code::NoSuchTurn, detail)
}

#[cfg(test)]
mod tests;
