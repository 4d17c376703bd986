//! A session told as a script, and what it answers, line by line.
//!
//! A line is `who: verb rest`. `m1`, `m2` ... are the messages in the order in which they began, `t1`, `t2` ... the
//! turns in the order in which they were queued, `k1`, `k2` ... the checkpoints. `server` speaks for doors, drivers and rules.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use expect_test::{Expect, expect};
use roundtable_protocol::command::{self as c, Command, Envelope};
use roundtable_protocol::event::{Actor, Event, EventBody as E};
use roundtable_protocol::grant::{Grant, Permission as P, Permissions, Role};
use roundtable_protocol::ids::{
    CheckpointId, Epoch, EventId, LeaseId, MessageId, ParticipantId, Seq, SessionId, Stream, StreamSet, Timestamp,
    TurnId, UserId, uuid_v7,
};
use roundtable_protocol::model::{EndReason, ParticipantKind, Pending, SessionKind, Settings, Usage, Visibility};
use roundtable_protocol::problem::Code;
use uuid::Uuid;

use super::Session;
use crate::context::{Caller, Context, Decision, Founding, Owed, Rejection};

/// Runs `script` in a new session of ana (owner) with an assistant called Guide, and compares the answers.
pub(super) fn check(script: &str, expected: Expect) {
    expected.assert_eq(&Room::new().run(script));
}

/// One session and everything that a script can name.
pub(super) struct Room {
    pub session: Session,
    pub now: Timestamp,
    pub log: Vec<Event>,
    pub last: Decision,
    keys: u64,
    present: Vec<ParticipantId>,
    messages: Vec<MessageId>,
    turns: Vec<TurnId>,
}

impl Room {
    pub fn new() -> Self {
        Self::founded(|_| {})
    }

    pub fn founded(change: impl FnOnce(&mut Founding)) -> Self {
        let mut founding = founding();
        change(&mut founding);
        let now = "2026-11-20T10:00:00Z".parse().expect("a time");
        let mut room = Self {
            session: Session::empty(founding.session),
            now,
            log: Vec::new(),
            last: Decision::default(),
            keys: 0,
            present: Vec::new(),
            messages: Vec::new(),
            turns: Vec::new(),
        };
        let grant = Grant::nothing(0, 0);
        let cx = Context { now, caller: Caller::System, grant: &grant, present: &[], uploads: &[] };
        let decision = Session::create(&cx, room.key(), &founding).expect("a session that can be founded");
        room.take(decision);
        room
    }

    pub fn key(&mut self) -> Uuid {
        self.keys += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.keys.to_be_bytes());
        uuid_v7(self.now, random)
    }

    pub fn message(&self, name: &str) -> MessageId {
        let n: usize = name.strip_prefix('m').and_then(|n| n.parse().ok()).expect("a message such as m1");
        self.messages.get(n - 1).copied().unwrap_or(MessageId::NIL)
    }

    fn checkpoint(&self, name: &str) -> CheckpointId {
        let n: usize = name.strip_prefix('k').and_then(|n| n.parse().ok()).expect("a checkpoint such as k1");
        let made = self.log.iter().filter_map(|e| match &e.body {
            E::CheckpointCreated(data) => Some(data.checkpoint.id),
            _ => None,
        });
        made.clone().nth(n - 1).unwrap_or(CheckpointId::NIL)
    }

    fn turn(&self, name: &str) -> TurnId {
        let n: usize = name.strip_prefix('t').and_then(|n| n.parse().ok()).expect("a turn such as t1");
        self.turns.get(n - 1).copied().unwrap_or(TurnId::NIL)
    }

    pub fn participant(&self, who: &str) -> ParticipantId {
        let waits = || self.session.asked(user(who)).map(|asked| asked.request.id);
        self.session.participant_of(user(who)).map(|p| p.id).or_else(waits).unwrap_or(ParticipantId::NIL)
    }

    pub fn grant(&self, who: &str) -> Grant {
        let role = self.session.participant_of(user(who)).map(|p| p.role);
        let (mask, streams) = match (who, role) {
            ("server", _) => {
                (mask(&[P::ParticipantJoin, P::TurnDrive, P::SessionEnd, P::ActionPerform]), StreamSet::EMPTY)
            }
            (_, Some(role)) => rights(role),
            _ => (Permissions::NONE, StreamSet::EMPTY),
        };
        Grant { mask, streams, ..Grant::nothing(self.session.roles_rev(), 0) }
    }

    /// Decides and, when it is allowed, applies.
    pub fn give(&mut self, who: &str, stream: Stream, command: Command) -> Result<Vec<Event>, Rejection> {
        let grant = self.grant(who);
        self.give_with(who, &grant, stream, command)
    }

    pub fn give_with(
        &mut self,
        who: &str,
        grant: &Grant,
        stream: Stream,
        command: Command,
    ) -> Result<Vec<Event>, Rejection> {
        let caller = if who == "server" { Caller::System } else { Caller::User(user(who)) };
        let key = self.key();
        let present = self.present.clone();
        let cx = Context { now: self.now, caller, grant, present: &present, uploads: &[] };
        let envelope = Envelope { key, stream, seen: Some(Seq(999)), retry: false, command };
        let decision = self.session.decide(&cx, &envelope)?;
        let first = decision.events.first().expect("a decision has an event");
        assert_eq!(first.header.id == EventId(key), decision.refused.is_none(), "the first event bears the key");
        Ok(self.take(decision))
    }

    pub fn take(&mut self, decision: Decision) -> Vec<Event> {
        for event in &decision.events {
            self.session.apply(event);
            self.log.push(event.clone());
            match &event.body {
                E::MessagePosted(_) => self.messages.push(MessageId(event.header.id.0)),
                E::TurnStarted(data) => self.messages.push(data.answer),
                E::TurnQueued(data) => self.turns.push(data.turn),
                _ => {}
            }
        }
        self.last = decision;
        self.last.events.clone()
    }

    pub fn run(&mut self, script: &str) -> String {
        let mut out = String::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let answer = self.line(line);
            writeln!(out, "{line}\n{}", answer.trim_end()).expect("writing to a string");
        }
        out
    }

    fn line(&mut self, line: &str) -> String {
        let (who, rest) = line.split_once(':').expect("who: verb");
        let (verb, rest) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        match verb {
            "online" => {
                self.present = rest.split_whitespace().map(|who| self.participant(who)).collect();
                return "  .".to_owned();
            }
            "wait" => return self.wait(rest.parse().expect("seconds")),
            "look" => return self.look(),
            _ => {}
        }
        let (stream, command) = self.command(who, verb, rest);
        match self.give(who, stream, command) {
            Ok(events) => self.tell(&events),
            Err(no) => format!("  ! {}{} - {}", no.code.name(), no.pointer.unwrap_or_default(), no.detail),
        }
    }

    fn wait(&mut self, seconds: u64) -> String {
        self.now = self.now.checked_add(Duration::from_secs(seconds)).expect("a time");
        let key = self.key();
        let grant = self.grant("server");
        let present = &self.present;
        let cx = Context { now: self.now, caller: Caller::System, grant: &grant, present, uploads: &[] };
        let decision = self.session.on_time(&cx, key);
        let events = self.take(decision);
        if events.is_empty() { "  .".to_owned() } else { self.tell(&events) }
    }

    fn look(&self) -> String {
        let names: Vec<String> = self.session.queue().iter().map(|t| self.name_of_turn(t.turn)).collect();
        let running = self.session.running_turn().map_or("none".to_owned(), |t| self.name_of_turn(t.turn));
        let owed: Vec<String> = self
            .session
            .owed()
            .iter()
            .map(|owed| match owed {
                Owed::StartTurn { turn, .. } => self.name_of_turn(*turn),
                Owed::Archive => "archive".to_owned(),
            })
            .collect();
        let state = self.session.state().name();
        format!("  {state}, running {running}, queue [{}], owed [{}]", names.join(" "), owed.join(" "))
    }

    fn command(&self, who: &str, verb: &str, rest: &str) -> (Stream, Command) {
        let (first, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let lease = self.session.running_turn().map_or(LeaseId::NIL, |t| t.lease.id);
        let turn = self.session.running_turn().map_or(TurnId::NIL, |t| t.turn);
        let post = |text: &str, ask| c::MessagePost { text: text.to_owned(), ask, ..Default::default() };
        let command = match verb {
            "start" => Command::SessionStart(c::SessionStart {}),
            "rename" => Command::SessionRename(c::SessionRename { title: rest.to_owned() }),
            "details" => Command::SessionChangeDetails(serde_json::from_str(rest).expect("details")),
            "settings" => Command::SessionChangeSettings(serde_json::from_str(rest).expect("a patch")),
            "end" => Command::SessionEnd(c::SessionEnd::default()),
            "terminate" => Command::SessionEnd(c::SessionEnd {
                terminate: true,
                reason: Some(rest.to_owned()),
                ..Default::default()
            }),
            "finish" => Command::SessionEnd(c::SessionEnd { pending: Pending::Finish, ..Default::default() }),
            "pause" => Command::SessionPause(c::SessionPause { reason: (!rest.is_empty()).then(|| rest.to_owned()) }),
            "resume" => Command::SessionResume(c::SessionResume {}),
            "detach" => Command::SessionDetach(c::SessionDetach {}),
            "expire" => Command::SessionChangeExpiry(c::SessionChangeExpiry {
                expires_at: rest.parse().ok().map(|s| self.now.checked_add(Duration::from_secs(s)).expect("a time")),
            }),
            "fault" => Command::SessionFail(c::SessionFail { code: first.to_owned(), detail: text.to_owned() }),
            "attach" => Command::SessionAttach(c::SessionAttach { participant: self.participant(first) }),
            "archive" => Command::SessionArchive(roundtable_protocol::event::SessionArchived { heads: vec![] }),
            "miss" => Command::SessionMissHost(c::SessionMissHost { since: self.now }),
            "admit" => Command::ParticipantJoin(join(first, text)),
            "vouch" => Command::ParticipantJoin(c::ParticipantJoin { vouched: true, ..join(first, text) }),
            "approve" => Command::ParticipantApprove(c::ParticipantApprove { participant: self.participant(first) }),
            "deny" => Command::ParticipantDeny(c::ParticipantDeny {
                participant: self.participant(first),
                reason: (!text.is_empty()).then(|| text.to_owned()),
            }),
            "go-away" => Command::ParticipantWithdrawRequest(c::ParticipantWithdrawRequest { user: user(first) }),
            "leave" => Command::ParticipantLeave(c::ParticipantLeave {}),
            "remove" => {
                Command::ParticipantRemove(c::ParticipantRemove { participant: self.participant(first), reason: None })
            }
            "role" => Command::ParticipantChangeRole(c::ParticipantChangeRole {
                participant: self.participant(first),
                role: role(text),
            }),
            "profile" => Command::ParticipantChangeProfile(serde_json::from_str(rest).expect("a profile")),
            "say" => Command::MessagePost(post(rest, None)),
            "ask" => Command::MessagePost(post(rest, Some(true))),
            "note" => Command::MessagePost(post(rest, Some(false))),
            "side" => return (Stream::Side, Command::MessagePost(post(rest, None))),
            "sideask" => return (Stream::Side, Command::MessagePost(post(rest, Some(true)))),
            "staff" => return (Stream::Staff, Command::MessagePost(post(rest, None))),
            "reply" => {
                let reply_to = Some(self.message(first));
                Command::MessagePost(c::MessagePost { reply_to, ..post(text, None) })
            }
            "name" => {
                let mentions = vec![self.participant(first)];
                Command::MessagePost(c::MessagePost { mentions, ..post(text, None) })
            }
            "edit" => Command::MessageEdit(c::MessageEdit { message: self.message(first), text: text.to_owned() }),
            "redact" => Command::MessageRedact(c::MessageRedact { message: self.message(first), reason: None }),
            "mark" => Command::DecisionRecord(c::DecisionRecord { message: self.message(first) }),
            "unmark" => Command::DecisionWithdraw(c::DecisionWithdraw { message: self.message(first) }),
            "checkpoint" => Command::CheckpointCreate(c::CheckpointCreate { name: rest.to_owned() }),
            "recall" => {
                let checkpoint = self.checkpoint(first);
                Command::CheckpointRename(c::CheckpointRename { checkpoint, name: text.to_owned() })
            }
            "forget" => Command::CheckpointDelete(c::CheckpointDelete { checkpoint: self.checkpoint(first) }),
            "again" => Command::TurnAsk(c::TurnAsk { message: self.message(first), sibling: text == "beside" }),
            "change" => Command::TurnEdit(c::TurnEdit { turn: self.turn(first), text: text.to_owned() }),
            "withdraw" => Command::TurnWithdraw(c::TurnWithdraw { turn: self.turn(first) }),
            "stop" => Command::TurnStop(c::TurnStop { turn: self.turn(first) }),
            "claim" => Command::TurnStart(c::TurnStart {
                turn: self.turn(first),
                lease: LeaseId(Uuid::from_u128(u128::from(self.keys))),
                driver: "guide".to_owned(),
                label: "Guide".to_owned(),
            }),
            "write" => {
                let offset = self.session.running_turn().map_or(0, |t| t.length);
                Command::TurnProgress(c::TurnProgress { turn, lease, offset, text: rest.to_owned(), pace: vec![] })
            }
            "skip" => {
                Command::TurnProgress(c::TurnProgress { turn, lease, offset: 999, text: rest.to_owned(), pace: vec![] })
            }
            "stale" => {
                let lease = LeaseId::NIL;
                Command::TurnProgress(c::TurnProgress { turn, lease, offset: 0, text: rest.to_owned(), pace: vec![] })
            }
            "complete" => Command::TurnComplete(c::TurnComplete {
                turn,
                lease,
                hash: "00".to_owned(),
                reason: EndReason::EndTurn,
                usage: Usage::default(),
            }),
            "fail" => Command::TurnFail(c::TurnFail {
                turn,
                lease,
                code: first.to_owned(),
                detail: text.to_owned(),
                usage: Usage::default(),
            }),
            "lose" => Command::TurnLose(c::TurnLose { turn, lease }),
            other => panic!("{who} cannot {other}"),
        };
        (Stream::Main, command)
    }

    fn tell(&self, events: &[Event]) -> String {
        events.iter().fold(String::new(), |mut out, event| {
            let by = self.name_of(event.header.actor);
            writeln!(out, "  {} {} by {by}{}", event.stream, event.body.kind(), self.details(event)).expect("a string");
            out
        })
    }

    fn details(&self, event: &Event) -> String {
        match &event.body {
            E::SessionEnded(d) => format!(": {} ({})", d.state.name(), d.reason),
            E::SessionPaused(d) => d.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default(),
            E::SessionResumed(d) => format!(" from {}", d.from.name()),
            E::SessionWarned(d) => format!(": {:?} at {}", d.limit, d.strikes_at),
            E::SessionDetached(d) => format!(": {:?}", d.why),
            E::SessionAttached(d) => format!(": {}", self.name_of(Actor::Participant(d.participant))),
            E::SessionWorkDone(d) => format!(": {} turns, {} unfinished", d.turns, d.unfinished),
            E::SessionHostLeft(d) => format!(" until {}", d.until),
            E::SessionOwnerChanged(d) => {
                let name = |id| self.name_of(Actor::Participant(id));
                format!(": from {} to {}, {:?}", name(d.from), name(d.to), d.why)
            }
            E::SessionRenamed(d) => format!(": {}", d.title),
            E::ParticipantJoined(d) => format!(": {:?} as {}", d.participant.display_name, d.participant.role),
            E::ParticipantRequested(d) => format!(": {:?} as {}", d.request.display_name, d.request.role),
            E::ParticipantDenied(d) => d.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default(),
            E::ParticipantRequestEnded(d) => format!(": {}", d.status.name()),
            E::ParticipantProfileChanged(d) => format!(": {:?} in {}", d.display_name, d.colour),
            E::ParticipantRoleChanged(d) => format!(": {}", d.role),
            E::MessagePosted(d) => {
                let mentions: Vec<_> = d.mentions.iter().map(|id| self.name_of(Actor::Participant(*id))).collect();
                let ask = if d.ask { " ask" } else { "" };
                if mentions.is_empty() { ask.to_owned() } else { format!("{ask} to {}", mentions.join(", ")) }
            }
            E::CheckpointCreated(d) => format!(": {}", d.checkpoint.name.as_deref().unwrap_or_default()),
            E::CheckpointRenamed(d) => format!(": {}", d.checkpoint.checkpoint.name.as_deref().unwrap_or_default()),
            E::TurnQueued(d) => {
                let before = d.before.map(|t| format!(" before {}", self.name_of_turn(t))).unwrap_or_default();
                format!(": {}{before}", self.name_of_turn(d.turn))
            }
            E::TurnWithdrawn(d) => format!(": {}", self.name_of_turn(d.turn)),
            E::TurnEdited(d) => format!(": {}", self.name_of_turn(d.turn)),
            E::TurnStarted(d) => format!(": {}", self.name_of_turn(d.turn)),
            E::TurnProgressed(d) => format!(": {} {:?}", d.offset, d.text),
            E::TurnCompleted(d) => format!(": {} length {}", self.name_of_turn(d.turn), d.length),
            E::TurnStopped(d) => format!(": {} length {}", self.name_of_turn(d.turn), d.length),
            E::TurnFailed(d) => format!(": {} length {} {}", self.name_of_turn(d.turn), d.length, d.code),
            E::TurnLost(d) => format!(": {} length {}", self.name_of_turn(d.turn), d.length),
            _ => String::new(),
        }
    }

    fn name_of(&self, actor: Actor) -> String {
        let id = actor.participant();
        id.and_then(|id| self.session.participant(id)).map_or("system".to_owned(), |p| p.display_name.clone())
    }

    fn name_of_turn(&self, id: TurnId) -> String {
        let n = self.turns.iter().position(|t| *t == id);
        n.map_or("t?".to_owned(), |n| format!("t{}", n + 1))
    }
}

pub(super) fn founding() -> Founding {
    Founding {
        session: SessionId(Uuid::from_u128(1)),
        epoch: Epoch("epoch".to_owned()),
        project: roundtable_protocol::DEFAULT_PROJECT,
        owner: user("ana"),
        owner_name: "ana".to_owned(),
        owner_colour: None,
        title: "Plans".to_owned(),
        kind: SessionKind::Collaborative,
        visibility: Visibility::Private,
        settings: Settings::default(),
        description: String::new(),
        tags: Vec::new(),
        category: None,
        expires_at: None,
        start: true,
        assistant: Some((user("guide"), "Guide".to_owned())),
    }
}

/// The user behind a name of the script; the first word decides, in small letters.
pub(super) fn user(who: &str) -> UserId {
    let name = who.split_whitespace().next().unwrap_or_default().to_lowercase();
    UserId::derive(Uuid::from_u128(0), name.bytes().fold(7, |n, b| n * 31 + u64::from(b)))
}

/// Reads `who as ROLE` or `who as ROLE called NAME`.
fn join(who: &str, rest: &str) -> c::ParticipantJoin {
    let rest = rest.strip_prefix("as ").expect("as ROLE");
    let (as_role, name) = rest.split_once(" called ").unwrap_or((rest, who));
    c::ParticipantJoin {
        user: user(who),
        kind: if who == "bot" { ParticipantKind::Agent } else { ParticipantKind::User },
        role: role(as_role),
        display_name: name.to_owned(),
        guest: true,
        via: None,
        colour: None,
        vouched: false,
    }
}

fn role(text: &str) -> Role {
    Role::ALL.into_iter().find(|r| r.name() == text).expect("a role")
}

fn mask(all: &[P]) -> Permissions {
    all.iter().copied().collect()
}

/// What each role may do here: the rows that matter to these tests.
/// The server's own role table; here everybody reads the side chat.
fn rights(role: Role) -> (Permissions, StreamSet) {
    (roundtable_access::roles::permissions(role), StreamSet::EMPTY.with(Stream::Main).with(Stream::Side))
}

mod admission;
mod host;
mod life;
mod limits;
mod moves;
