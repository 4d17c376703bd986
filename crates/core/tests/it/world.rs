//! A session at the mercy of random callers, and what must hold after each of their commands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use roundtable_access::roles;
use roundtable_core::{Caller, Context, Decision, Founding, Session};
use roundtable_protocol::command::Envelope;
use roundtable_protocol::event::{Event, EventBody};
use roundtable_protocol::grant::{Grant, Permission as P, Permissions};
use roundtable_protocol::ids::{
    DEFAULT_PROJECT, Epoch, EventId, MemoryId, MessageId, ParticipantId, Seq, SessionId, Stream, StreamSet, Timestamp,
    TurnId, UserId, uuid_v7,
};
use roundtable_protocol::model::{SessionKind, Settings, Visibility};
use roundtable_protocol::view::View;
use uuid::Uuid;

use self::moves::uploads;

mod laws;
mod moves;

/// One thing that somebody tries. Numbers pick from what there is at that moment, sometimes from what there is not.
#[derive(Clone, Debug)]
pub struct Try {
    /// Who: 0 to 5 people, the first one the owner; 6 the server.
    pub who: u8,
    /// What, by the number of the command; above the last: time passes.
    pub what: u8,
    pub a: u8,
    pub b: u8,
    pub text: String,
}

pub const PEOPLE: u8 = 6;
const SERVER: u8 = 6;
const KINDS: u8 = 59;

pub fn tries(max: usize) -> impl Strategy<Value = Vec<Try>> {
    let text = prop_oneof![
        8 => "[a-c]{1,8}",
        2 => Just("@Guide please".to_owned()),
        1 => Just("@p1 and @p2 😀".to_owned()),
        1 => Just(String::new()),
        1 => any::<String>(),
    ];
    // Commands of the server, and asking, are worth more: without them nothing much happens to turns.
    let what = prop_oneof![8 => 0..KINDS, 5 => 18u8..20, 1 => 20u8..23, 5 => Just(9u8), 2 => 10u8..13, 2 => 5u8..9, 5 => 29u8..38, 2 => 26u8..29, 1 => Just(36u8), 2 => 24u8..26, 6 => Just(38u8), 1 => 39u8..41, 2 => 41u8..46, 2 => 46u8..53, 1 => Just(5u8), 1 => 53u8..KINDS];
    let who = prop_oneof![3 => 0..3u8, 1 => 0..=SERVER];
    let one = (who, what, any::<u8>(), any::<u8>(), text);
    let whoever = |(who, what, a, b, text): (u8, u8, u8, u8, String)| {
        // Mostly from whoever may say it at all.
        let who = match what {
            5 | 18..=22 | 33..=35 | 37 if who != 0 => SERVER,
            0..=4 | 8 | 29..=32 | 36 if who > 2 => 0,
            _ => who,
        };
        Try { who, what, a, b, text }
    };
    proptest::collection::vec(one.prop_map(whoever), 0..max)
}

/// A session with everything that was ever made in it.
pub struct World {
    pub session: Session,
    pub view: View,
    pub log: Vec<Event>,
    pub redacted: BTreeSet<(Stream, Seq)>,
    now: Timestamp,
    keys: u64,
    messages: Vec<MessageId>,
    turns: Vec<TurnId>,
    /// The last grant that each caller had; stale as soon as rights have changed.
    grants: BTreeMap<u8, Grant>,
}

pub fn session_id() -> SessionId {
    SessionId(Uuid::from_u128(77))
}

impl World {
    pub fn new() -> Self {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().expect("a time");
        let founding = Founding {
            session: session_id(),
            epoch: Epoch("epoch".to_owned()),
            project: DEFAULT_PROJECT,
            owner: user(0),
            owner_name: "p0".to_owned(),
            owner_colour: None,
            title: String::new(),
            kind: SessionKind::Collaborative,
            visibility: Visibility::Private,
            settings: Settings { max_participants: Some(5), require_approval: true, ..Settings::default() },
            description: String::new(),
            tags: vec![],
            category: None,
            expires_at: now.checked_add(Duration::from_secs(3_000)).ok(),
            start: true,
            assistant: Some((user(100), "Guide".to_owned())),
        };
        let mut world = Self {
            session: Session::empty(founding.session),
            view: View::default(),
            log: Vec::new(),
            redacted: BTreeSet::new(),
            now,
            keys: 0,
            messages: Vec::new(),
            turns: Vec::new(),
            grants: BTreeMap::new(),
        };
        let key = world.key();
        let cx = Context { now, caller: Caller::System, grant: &Grant::nothing(0, 0), present: &[], uploads: &[] };
        let decision = Session::create(&cx, key, &founding).expect("founding is fine");
        world.take(key, decision);
        // Half of the people are in from the start, one of each lower role.
        for (who, role) in [(1, 2), (2, 1), (3, 0)] {
            world.attempt(&Try { who: SERVER, what: 5, a: who, b: role, text: format!("p{who}") });
        }
        world
    }

    /// Lets one try happen and checks everything that must hold.
    pub fn attempt(&mut self, t: &Try) {
        let key = self.key();
        let Some(command) = self.command(t) else {
            // Mostly what a turn takes, sometimes what an idle session waits.
            let unit = if t.b.is_multiple_of(8) { 1_000 } else { 40 };
            let by = Duration::from_millis(u64::from(t.a) * unit);
            // Clocks jump back, too.
            let now = if t.b < 200 { self.now.checked_add(by) } else { self.now.checked_sub(by) };
            self.now = now.expect("a time");
            let (present, grant) = (self.present(t.b), Grant::nothing(0, 0));
            let cx = Context { now: self.now, caller: Caller::System, grant: &grant, present: &present, uploads: &[] };
            let due = self.session.next_deadline().is_some_and(|at| at <= self.now);
            let decision = self.session.on_time(&cx, key);
            assert_eq!(due, !decision.events.is_empty(), "something is due exactly when the deadline says so");
            if due {
                self.take(key, decision);
            }
            return;
        };
        let grant = self.grant(t);
        let present = self.present(t.b);
        let caller = if t.who == SERVER { Caller::System } else { Caller::User(user(t.who)) };
        let cx = Context { now: self.now, caller, grant: &grant, present: &present, uploads: &uploads() };
        let stream = match t.b % 8 {
            0..=4 => Stream::Main,
            5 | 6 => Stream::Side,
            _ => Stream::Staff,
        };
        let envelope = Envelope { key, stream, seen: Some(Seq(u64::from(t.a))), retry: false, command };

        let before = self.session.clone();
        let decided = self.session.decide(&cx, &envelope);
        assert_eq!(self.session, before, "deciding changes nothing");
        assert_eq!(self.session.decide(&cx, &envelope), decided, "deciding twice gives the same");
        self.check_refusals(t, &grant, &envelope, &decided);
        if let Ok(decision) = decided {
            assert!(!decision.events.is_empty());
            self.grants.insert(t.who, grant);
            self.take(key, decision);
        }
    }

    /// Applies a decision event by event and compares with what people see.
    fn take(&mut self, key: Uuid, decision: Decision) {
        assert_eq!(
            decision.events[0].header.id == EventId(key),
            decision.refused.is_none(),
            "a refusal leaves its key free"
        );
        let erased: Vec<MessageId> = decision
            .events
            .iter()
            .filter_map(|e| if let EventBody::MessageRedacted(data) = &e.body { Some(data.message) } else { None })
            .collect();
        let copied = |id: &MessageId| {
            let posted = self.log.iter().find(|e| e.header.id.0 == id.0);
            posted.is_some_and(|e| matches!(&e.body, EventBody::MessagePosted(data) if data.copied_from.is_some()))
        };
        assert!(erased.iter().skip(1).all(copied), "with a message go its copies and nothing else");
        let forgotten = |id: MemoryId| {
            decision.events.iter().any(|e| matches!(&e.body, EventBody::MemoryRemoved(data) if data.memory == id))
        };
        let goes = |known: &Event| match &known.body {
            EventBody::MemoryAdded(_) => forgotten(MemoryId(known.header.id.0)),
            EventBody::MemoryEdited(data) => forgotten(data.memory),
            _ => known.text_of().is_some_and(|id| erased.contains(&id)),
        };
        for (stream, seq) in &decision.redactions {
            let known = self.log.iter().find(|e| (e.stream, e.seq) == (*stream, *seq)).expect("an earlier event");
            assert!(goes(known), "only what the decision names is erased");
            self.redacted.insert((*stream, *seq));
        }
        for event in &decision.events {
            self.check_event(event);
            self.session.apply(event);
            let old = self.view.streams.get(&event.stream).map(|s| s.messages.clone()).unwrap_or_default();
            self.view.apply(event);
            self.check_pages(event, &old);
            self.log.push(event.clone());
            match &event.body {
                EventBody::MessagePosted(_) => self.messages.push(MessageId(event.header.id.0)),
                EventBody::TurnStarted(data) => self.messages.push(data.answer),
                EventBody::TurnQueued(data) => self.turns.push(data.turn),
                EventBody::MessageRedacted(data) => self.check_redaction(data.message),
                EventBody::SessionReported(data) => assert_eq!(data.report, self.counted_again()),
                _ => {}
            }
        }
        self.check_state();
    }

    fn key(&mut self) -> Uuid {
        self.keys += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.keys.to_be_bytes());
        uuid_v7(self.now, random)
    }

    fn present(&self, bits: u8) -> Vec<ParticipantId> {
        self.session.participants().zip(0u8..8).filter(|(_, i)| bits & 1 << i != 0).map(|(p, _)| p.id).collect()
    }

    fn grant(&self, t: &Try) -> Grant {
        if let Some(old) = self.grants.get(&t.who).filter(|_| t.b >= 240) {
            return old.clone();
        }
        let role = self.session.participant_of(user(t.who)).map(|p| p.role);
        let (mask, streams) = match role {
            _ if t.who == SERVER => (set(&[P::ParticipantJoin, P::TurnDrive, P::SessionEnd]), StreamSet::EMPTY),
            Some(role) => (roles::permissions(role), Stream::ALL.into_iter().collect()),
            None => (Permissions::NONE, StreamSet::EMPTY),
        };
        Grant { mask, streams, ..Grant::nothing(self.session.roles_rev(), 0) }
    }
}

pub fn user(n: u8) -> UserId {
    UserId(Uuid::from_u128(1_000 + u128::from(n)))
}

fn set(all: &[P]) -> Permissions {
    all.iter().copied().collect()
}
