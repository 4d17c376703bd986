//! A session at the mercy of random callers, and what must hold after each of their commands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use roundtable_access::roles;
use roundtable_core::session::{MAX_QUEUED, MAX_QUEUED_EACH, watched};
use roundtable_core::{Caller, Context, Decision, Founding, Owed, Rejection, Session, Upload};
use roundtable_protocol::branching::{HeadMoved, MergeHow, RestoreHow};
use roundtable_protocol::command::{self as c, Command, Envelope};
use roundtable_protocol::context::{OpName, PatchOp, Strategy as Conflicts, Take};
use roundtable_protocol::event::{Event, EventBody, SessionArchived};
use roundtable_protocol::grant::{Grant, Permission as P, Permissions, Role};
use roundtable_protocol::ids::{
    AttachmentId, BranchId, CheckpointId, DEFAULT_PROJECT, Epoch, EventId, LeaseId, MemoryId, MessageId, ParticipantId,
    Seq, SessionId, Stream, StreamSet, Timestamp, TurnId, UserId, uuid_v7,
};
use roundtable_protocol::model::{
    Attachment, EndReason, Membership, ParticipantKind, Pending, Respond, SessionKind, SessionState, Settings,
    SettingsPatch, Turn, TurnState, Usage, Visibility,
};
use roundtable_protocol::problem::Code;
use roundtable_protocol::report::{DriverUsage, Report, ReportPerson, TurnCounts};
use roundtable_protocol::view::{MessageView, View};
use uuid::Uuid;

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

    fn check_refusals(&self, t: &Try, grant: &Grant, envelope: &Envelope, decided: &Result<Decision, Rejection>) {
        let code = decided.as_ref().err().map(|no| no.code);
        if envelope.command.is_internal() && t.who != SERVER {
            assert_eq!(code, Some(Code::Forbidden));
        } else if grant.roles_rev != self.session.roles_rev() {
            assert_eq!(code, Some(Code::StaleGrant));
        } else if t.who != SERVER {
            let me = self.session.participant_of(user(t.who)).filter(|p| p.membership == Membership::Joined);
            match me.map(|p| p.role) {
                None => assert!(matches!(code, Some(Code::NotAParticipant | Code::Removed)), "{code:?}"),
                Some(Role::Viewer)
                    if !matches!(
                        envelope.command,
                        Command::ParticipantLeave(_) | Command::ParticipantChangeProfile(_)
                    ) =>
                {
                    assert_eq!(code, Some(Code::Forbidden), "a viewer changes nothing but themselves");
                }
                Some(_) => {}
            }
        }
        if self.session.state().is_ended() && decided.is_ok() {
            // Or begins another session, which is none of this one's.
            let only_takes_away = matches!(
                envelope.command.name(),
                "message.redact" | "participant.leave" | "participant.remove" | "session.archive" | "session.fork"
            );
            let mends = self.session.state() == SessionState::Failed
                && match &envelope.command {
                    Command::SessionEnd(data) => data.terminate,
                    Command::SessionResume(_) | Command::SessionChangeSettings(_) | Command::SessionChangeExpiry(_) => {
                        true
                    }
                    _ => false,
                };
            assert!(only_takes_away || mends, "{} after the end", envelope.command.name());
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

    fn check_event(&self, event: &Event) {
        assert_eq!(event.seq, self.session.heads()[event.stream as usize].next(), "seq is dense");
        assert!(event.header.at >= self.session.last_at(), "time never goes back");
        assert!(event.header.seen.is_none_or(|seen| seen < event.seq), "nobody has seen the future");
        assert!(self.log.iter().all(|e| e.header.id != event.header.id), "an id once");
        let known = |id: &EventId| self.log.iter().any(|e| e.header.id == *id);
        assert!(event.header.causes.iter().all(known), "parents come first: {event:?}");
        if let EventBody::TurnQueued(data) = &event.body {
            self.check_fairness(data.requester, data.before);
        }
    }

    /// A new turn of rank k waits for at most k turns of anybody else.
    fn check_fairness(&self, requester: ParticipantId, before: Option<TurnId>) {
        let queue = self.session.queue();
        let rank = queue.iter().filter(|t| t.requester == requester).count() + 1;
        let place = before.map_or(queue.len(), |b| queue.iter().position(|t| t.turn == b).expect("waits"));
        let mut ahead: BTreeMap<ParticipantId, usize> = BTreeMap::new();
        for turn in &queue[..place] {
            *ahead.entry(turn.requester).or_default() += 1;
        }
        assert!(ahead.values().all(|n| *n <= rank), "rank {rank} behind {ahead:?}");
        assert_eq!(ahead.get(&requester).copied().unwrap_or(0), rank - 1, "behind one's own");
    }

    /// A page's `changed` moves whenever anything that people see of its messages does.
    fn check_pages(&self, event: &Event, old: &[MessageView]) {
        let new = &self.view.streams[&event.stream].messages;
        let spans = self.session.pages(event.stream);
        assert_eq!(spans.len(), new.len().div_ceil(256));
        for (i, message) in new.iter().enumerate() {
            if old.get(i) != Some(message) {
                assert_eq!(spans[i / 256].changed, event.seq, "{}", event.body.kind());
            }
            if i % 256 == 0 {
                assert_eq!(spans[i / 256].first, message.seq);
            }
        }
    }

    /// The report as somebody counts it who has nothing but the events of `main` before it.
    fn counted_again(&self) -> Report {
        let main: Vec<&Event> = self.log.iter().filter(|e| e.stream == Stream::Main).collect();
        let last = main.iter().rposition(|e| matches!(e.body, EventBody::SessionEnded(_))).expect("ended");
        let main = &main[..=last];
        let EventBody::SessionEnded(ended) = &main[last].body else { panic!("ended") };
        let count = |wanted: &dyn Fn(&EventBody) -> bool| main.iter().filter(|e| wanted(&e.body)).count() as u64;
        let at = |wanted: &dyn Fn(&EventBody) -> bool| main.iter().find(|e| wanted(&e.body)).map(|e| e.header.at);
        let ended_at = main[last].header.at;
        let ms = |from: Timestamp, to: Timestamp| u64::try_from(to.duration_since(from).as_millis()).expect("later");
        let started_at = at(&|b| matches!(b, EventBody::SessionStarted(_)));
        let (mut paused_ms, mut since, mut decisions) = (0, None, Vec::new());
        let mut usage: Vec<DriverUsage> = Vec::new();
        let mut drivers: BTreeMap<TurnId, String> = BTreeMap::new();
        let mut order: Vec<(MessageId, ParticipantId)> = Vec::new();
        for event in main {
            match &event.body {
                EventBody::SessionPaused(_) => since = Some(event.header.at),
                EventBody::SessionResumed(_) | EventBody::SessionEnded(_) => {
                    paused_ms += since.take().map_or(0, |from| ms(from, event.header.at));
                }
                EventBody::MessagePosted(_) => {
                    let author = event.header.actor.participant().expect("a person");
                    order.push((MessageId(event.header.id.0), author));
                }
                EventBody::TurnStarted(data) => {
                    drivers.insert(data.turn, data.driver.clone());
                    order.push((data.answer, data.assistant));
                }
                EventBody::DecisionRecorded(data) => decisions.push(data.message),
                EventBody::DecisionWithdrawn(data) => decisions.retain(|m| *m != data.message),
                _ => {}
            }
            if let Some(driver) = event.ends_turn().and_then(|turn| drivers.get(&turn)) {
                match usage.iter_mut().find(|u| u.driver == *driver) {
                    Some(sum) => sum.answers += 1,
                    None => usage.push(DriverUsage { driver: driver.clone(), answers: 1, usage: Usage::default() }),
                }
            }
        }
        decisions.sort_by_key(|m| order.iter().position(|(id, _)| id == m));
        let answers = count(&|b| matches!(b, EventBody::TurnStarted(_)));
        let person = |p: &roundtable_protocol::model::Participant| ReportPerson {
            participant: p.id,
            kind: p.kind,
            role: p.role,
            messages: order.iter().filter(|(_, author)| *author == p.id).count() as u64,
        };
        Report {
            state: ended.state,
            reason: ended.reason.clone(),
            started_at,
            ended_at,
            duration_ms: started_at.map_or(0, |from| ms(from, ended_at)),
            paused_ms,
            participants: self.view.participants.iter().map(person).collect(),
            messages: order.len() as u64 - answers,
            turns: TurnCounts {
                asked: count(&|b| matches!(b, EventBody::TurnQueued(_))),
                completed: count(&|b| matches!(b, EventBody::TurnCompleted(_))),
                stopped: count(&|b| matches!(b, EventBody::TurnStopped(_))),
                failed: count(&|b| matches!(b, EventBody::TurnFailed(_))),
                lost: count(&|b| matches!(b, EventBody::TurnLost(_))),
                withdrawn: count(&|b| matches!(b, EventBody::TurnWithdrawn(_))),
            },
            decisions,
            usage,
            events: main.len() as u64,
        }
    }

    fn check_redaction(&self, message: MessageId) {
        let texts = self.log.iter().filter(|e| e.text_of() == Some(message));
        assert!(texts.clone().all(|e| self.redacted.contains(&(e.stream, e.seq))), "all of a message's text goes");
        assert!(self.session.message(message).is_some_and(|m| m.redacted));
    }

    fn check_state(&self) {
        let s = &self.session;
        let owners = s.participants().filter(|p| p.role == Role::Owner && p.membership == Membership::Joined);
        assert_eq!(owners.map(|p| p.user_id).collect::<Vec<_>>(), [s.info().owner_id], "exactly one owner");
        assert!(s.owner().is_some_and(|p| p.kind == ParticipantKind::User), "never an agent");
        let mut waiting: BTreeMap<ParticipantId, usize> = BTreeMap::new();
        for turn in s.queue() {
            *waiting.entry(turn.requester).or_default() += 1;
        }
        assert!(s.queue().len() <= MAX_QUEUED && waiting.values().all(|n| *n <= MAX_QUEUED_EACH));
        let requesters = s.queue().iter().map(|t| t.requester).chain(s.running_turn().map(|t| t.requester));
        for requester in requesters {
            let person = s.participant(requester).expect("known");
            assert!(person.membership == Membership::Joined && person.role >= Role::Collaborator, "a lost right");
        }
        let waits = s.state() == SessionState::Failed || s.queue().is_empty();
        assert!(!s.state().is_ended() || (waits && s.running_turn().is_none()));
        assert!(s.state() != SessionState::Paused || s.running_turn().is_none(), "nothing runs in a pause");
        assert!(s.info().participant_count <= 5 || s.settings().max_participants != Some(5));
        let names: BTreeSet<String> = s
            .participants()
            .filter(|p| p.membership == Membership::Joined)
            .map(|p| p.display_name.to_lowercase())
            .collect();
        assert_eq!(names.len(), s.participants().filter(|p| p.membership == Membership::Joined).count(), "own names");
        self.check_owed();
        self.check_view();
    }

    fn check_owed(&self) {
        let s = &self.session;
        let free = s.state() == SessionState::Active && s.running_turn().is_none();
        let head = s.queue().first().filter(|_| free).map(|t| t.turn);
        let owed = s.owed();
        let ended = matches!(s.state(), SessionState::Completed | SessionState::Terminated);
        let archived = self.log.iter().any(|e| matches!(e.body, EventBody::SessionArchived(_)));
        assert_eq!(owed.contains(&Owed::Archive), ended && !archived);
        let turn = |owed: &Owed| if let Owed::StartTurn { turn, .. } = owed { Some(*turn) } else { None };
        let owed: Vec<TurnId> = owed.iter().filter_map(turn).collect();
        assert_eq!(owed, Vec::from_iter(head));
        match head {
            _ if !s.owed().is_empty() => assert_eq!(s.wake_at(self.now), Some(self.now)),
            _ => {
                let watched = (s.state().is_open() && s.host_is_here()).then(watched);
                assert_eq!(s.wake_at(self.now), s.next_deadline().or(watched));
            }
        }
    }

    /// Both folds say the same.
    fn check_view(&self) {
        let (s, v) = (&self.session, &self.view);
        let session = v.session.as_ref().expect("created");
        let info = s.info();
        assert_eq!(s.participants().cloned().collect::<Vec<_>>(), v.participants);
        assert_eq!((session.state, &session.title, &session.settings), (s.state(), &info.title, s.settings()));
        assert_eq!((&session.tags, &session.category), (&info.tags, &info.category));
        assert_eq!((&session.description, session.visibility), (&info.description, info.visibility));
        assert_eq!((session.started_at, session.ended_at), (info.started_at, info.ended_at));
        assert_eq!((session.owner, session.expires_at), (info.owner_id, info.expires_at));
        assert_eq!(v.life.paused.is_some(), s.state() == SessionState::Paused);
        assert_eq!(v.life.cause.is_some(), s.state() == SessionState::Failed);
        let detached = v.life.detached.as_ref().filter(|d| d.until.is_none()).map(|d| d.since);
        assert_eq!(detached, s.detached_since());
        assert_eq!(turns(s), v.turns);
        assert_eq!((s.branches(), s.focus()), (&v.branching.branches[..], v.branching.focus));
        self.check_branches();
        let named = s.checkpoints().filter(|k| k.checkpoint.name.is_some()).count();
        assert!(named == v.branching.checkpoints.len());
        assert!(v.branching.checkpoints.iter().all(|k| s.checkpoint(k.checkpoint.id) == Some(k)));
        let open: Vec<EventId> = s.context_conflicts().iter().map(|open| open.id).collect();
        assert_eq!((v.context.version, &v.context.conflicts), (s.context_version(None), &open));
        for branch in s.branches() {
            // What a fork begins with was written on another one.
            let written = v.context.branches.get(&branch.id).copied();
            assert!(written.is_none_or(|seq| seq == s.context_version(Some(branch.id))));
        }
        let memories: Vec<_> = v.memories.iter().map(|m| (m.id, m.pinned)).collect();
        assert_eq!(s.memories().collect::<Vec<_>>(), memories);
        assert_eq!(v.requests, s.join_requests());
        let waits = |p: &&roundtable_protocol::model::Participant| {
            p.membership == Membership::Joined && v.requests.iter().any(|r| r.id == p.id)
        };
        assert!(!v.participants.iter().any(|p| waits(&p)), "who is in waits no more");
        let types = v.action_types.iter().map(|t| (t.name.clone(), t.schema.clone())).collect();
        assert_eq!(s.action_types(), &types);
        for stream in Stream::ALL {
            assert_eq!(v.head(stream), s.heads()[stream as usize]);
        }
        for (stream, view) in &v.streams {
            for m in &view.messages {
                let known = s.message(m.id).expect("both know it");
                assert_eq!((known.stream, known.author, known.n), (*stream, m.author, m.n));
                assert_eq!((known.redacted, known.decision), (m.redacted, m.decision));
                assert_eq!(known.answer_to.is_some(), m.answer.is_some());
            }
        }
        if let Some(turn) = s.running_turn() {
            let answer = v.streams[&Stream::Main].messages.iter().find(|m| m.id == turn.answer).expect("the answer");
            assert_eq!(answer.answer.as_ref().map(|a| a.length), Some(turn.length));
        }
    }

    /// Every head is a message of `main`, its path goes up to the beginning, and both folds see the same tree.
    fn check_branches(&self) {
        let (s, v) = (&self.session, &self.view);
        let Some(main) = v.streams.get(&Stream::Main) else { return };
        for m in &main.messages {
            let before = (m.n > 0).then(|| main.messages[usize::try_from(m.n - 1).expect("fits")].id);
            let shown = m.parent.map_or(before, |p| Some(p).filter(|p| *p != MessageId::NIL));
            assert_eq!(s.parent(m.id), shown, "{m:?}");
            assert!(s.siblings(m.id).contains(&m.id) && s.siblings(m.id).iter().all(|x| s.parent(*x) == shown));
        }
        for branch in s.branches() {
            let path: Vec<u64> = s.path(branch.id).collect();
            assert_eq!(path.first().and_then(|n| s.message_at(*n)), branch.head, "a head is on its path");
            assert!(path.windows(2).all(|pair| pair[0] > pair[1]), "parents come before their children");
            assert!(branch.head.is_none_or(|head| s.message(head).is_some_and(|m| m.stream == Stream::Main)));
        }
        for turn in s.queue() {
            let branch = s.branch(turn.on.branch).unwrap_or(&s.branches()[0]);
            let asked = s.message(turn.message).expect("known").n;
            assert!(!branch.archived && s.path(branch.id).any(|n| n == asked), "a question stands on its branch");
        }
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

    fn pick<T: Copy>(all: &[T], n: u8, none: T) -> T {
        // One in sixteen is something that is not there; the others prefer what is new.
        if n.is_multiple_of(16) || all.is_empty() {
            return none;
        }
        all[all.len() - 1 - usize::from(n) % all.len().min(12)]
    }

    fn command(&self, t: &Try) -> Option<Command> {
        let message = Self::pick(&self.messages, t.a, MessageId::NIL);
        let turn = Self::pick(&self.turns, t.a, TurnId::NIL);
        let ids: Vec<ParticipantId> = self.session.participants().map(|p| p.id).collect();
        let participant = Self::pick(&ids, t.a, ParticipantId::NIL);
        let role = Role::ALL[usize::from(t.b) % 4];
        let text = t.text.clone();
        Some(match t.what {
            0 => Command::SessionStart(c::SessionStart {}),
            1 => Command::SessionRename(c::SessionRename { title: text }),
            2 => {
                Command::SessionChangeDetails(c::SessionChangeDetails { tags: Some(vec![text]), ..Default::default() })
            }
            3 => Command::SessionChangeSettings(settings(t)),
            4 if t.a < 16 => Command::SessionEnd(c::SessionEnd {
                terminate: t.b.is_multiple_of(2),
                reason: None,
                pending: Pending::Cancel,
            }),
            5 => Command::ParticipantJoin(c::ParticipantJoin {
                user: user(t.a % PEOPLE),
                kind: ParticipantKind::User,
                role,
                display_name: text,
                guest: true,
                via: None,
                colour: None,
                vouched: t.b < 64,
            }),
            6 => Command::ParticipantLeave(c::ParticipantLeave {}),
            7 if t.b < 100 => Command::ParticipantRemove(c::ParticipantRemove { participant, reason: Some(text) }),
            8 => Command::ParticipantChangeRole(c::ParticipantChangeRole { participant, role }),
            9 => Command::MessagePost(c::MessagePost {
                text,
                reply_to: t.a.is_multiple_of(3).then_some(message),
                mentions: if t.a.is_multiple_of(7) { vec![participant] } else { vec![] },
                ask: [None, Some(true), Some(false)][usize::from(t.a) % 3],
                attachments: if t.b.is_multiple_of(5) { vec![upload_id(t.a % 8)] } else { vec![] },
                branch: t.b.is_multiple_of(3).then(|| self.branch(t)),
                parent: t.b.is_multiple_of(4).then_some(message),
                if_head_moved: [HeadMoved::Append, HeadMoved::Fork, HeadMoved::Reject][usize::from(t.b) % 3],
                sibling_of: (t.b % 11 == 7).then_some(message),
                data: t.b.is_multiple_of(9).then(|| serde_json::json!({ "n": t.a })),
            }),
            10 => Command::MessageEdit(c::MessageEdit { message, text }),
            11 => Command::MessageRedact(c::MessageRedact { message, reason: None }),
            12 => Command::DecisionRecord(c::DecisionRecord { message }),
            13 => Command::DecisionWithdraw(c::DecisionWithdraw { message }),
            14 => Command::TurnAsk(c::TurnAsk { message, sibling: t.b.is_multiple_of(6) }),
            15 => Command::TurnEdit(c::TurnEdit { turn, text }),
            16 => Command::TurnWithdraw(c::TurnWithdraw { turn }),
            17 => Command::TurnStop(c::TurnStop { turn }),
            18..=22 => return Some(self.drive(t, turn)),
            23 => Command::ParticipantChangeProfile(c::ParticipantChangeProfile {
                display_name: t.a.is_multiple_of(2).then_some(text),
                colour: t.a.is_multiple_of(3).then_some(t.b % 16),
            }),
            26 => Command::CheckpointCreate(c::CheckpointCreate { name: text }),
            27 => Command::CheckpointRename(c::CheckpointRename { checkpoint: self.checkpoint(t), name: text }),
            28 => Command::CheckpointDelete(c::CheckpointDelete { checkpoint: self.checkpoint(t) }),
            29 if t.a < 100 => Command::SessionPause(c::SessionPause { reason: Some(text) }),
            30 => Command::SessionResume(c::SessionResume {}),
            31 => Command::SessionDetach(c::SessionDetach {}),
            32 => {
                let later = std::time::Duration::from_secs(5 + u64::from(t.b) / 4);
                let expires_at = (!t.a.is_multiple_of(5)).then(|| self.now.checked_add(later).expect("a time"));
                Command::SessionChangeExpiry(c::SessionChangeExpiry { expires_at })
            }
            33 if t.b < 40 => Command::SessionFail(c::SessionFail { code: "x".into(), detail: text }),
            34 => {
                let owner = self.session.owner().filter(|_| t.b.is_multiple_of(2)).map(|p| p.id);
                Command::SessionAttach(c::SessionAttach { participant: owner.unwrap_or(participant) })
            }
            35 => Command::SessionMissHost(c::SessionMissHost { since: self.now }),
            36 if t.a < 40 => Command::SessionEnd(c::SessionEnd { pending: Pending::Finish, ..Default::default() }),
            37 => Command::SessionArchive(SessionArchived { heads: vec![] }),
            38 => Command::ContextPatch(self.patch(t)),
            39 => {
                let branch = self.context_branch(t);
                let write = self.session.context_writes(branch, None, usize::from(t.a) + 1).pop();
                let event = write.as_ref().map(|w| w.event).filter(|_| t.b.is_multiple_of(2));
                let to_version = if event.is_none() { write.map(|w| w.version) } else { None };
                Command::ContextRevert(c::ContextRevert { branch, event, to_version, ..Default::default() })
            }
            40 => Command::ContextResolve(c::ContextResolve {
                conflict: self.session.context_conflicts().first().map_or(EventId::NIL, |open| open.id),
                take: [Take::Current, Take::Yours, Take::Value][usize::from(t.b) % 3],
                value: (t.b % 3 == 2).then(|| text.into()),
            }),
            41 => Command::MemoryAdd(c::MemoryAdd {
                text,
                tags: vec![],
                source: t.a.is_multiple_of(3).then_some(message),
                pinned: t.b.is_multiple_of(4),
            }),
            42 => Command::MemoryEdit(c::MemoryEdit {
                memory: self.memory(t),
                text: t.b.is_multiple_of(2).then_some(text),
                tags: t.b.is_multiple_of(3).then(Vec::new),
                pinned: t.b.is_multiple_of(5).then_some(t.a.is_multiple_of(2)),
            }),
            43 => Command::MemoryRemove(c::MemoryRemove { memory: self.memory(t), reason: None }),
            44 => Command::ActionPerform(c::ActionPerform { name: "vote".into(), data: text.into() }),
            45 => Command::ActionDefineType(c::ActionDefineType {
                name: "vote".into(),
                schema: t.a.is_multiple_of(2).then(|| serde_json::json!({"maxLength": t.b})),
            }),
            46 => Command::CheckpointRestore(c::CheckpointRestore {
                checkpoint: self.checkpoint(t),
                how: if t.b.is_multiple_of(2) { RestoreHow::InPlace } else { RestoreHow::Branch },
                branch: None,
                name: None,
            }),
            47 => Command::BranchCreate(c::BranchCreate {
                name: t.a.is_multiple_of(2).then_some(text),
                message: t.b.is_multiple_of(2).then_some(message),
                ..Default::default()
            }),
            48 => Command::BranchMove(c::BranchMove { branch: self.branch(t), head: message, if_head: None }),
            49 => Command::BranchRename(c::BranchRename { branch: self.branch(t), name: text }),
            50 => Command::BranchArchive(c::BranchArchive { branch: self.branch(t), archived: !t.b.is_multiple_of(3) }),
            51 => Command::BranchFocus(c::BranchFocus { branch: self.branch(t) }),
            52 => Command::BranchMerge(self.merge(t)),
            53 => Command::SessionFork(c::SessionFork {
                message: t.a.is_multiple_of(2).then_some(message),
                seq: (t.b % 4 == 1).then_some(Seq(u64::from(t.a))),
                checkpoint: (t.b % 4 == 2).then(|| self.checkpoint(t)),
                ..Default::default()
            }),
            54 => Command::CopiesErase(c::CopiesErase {
                from: self.session.id(),
                messages: vec![message],
                memories: vec![self.memory(t)],
            }),
            55 => Command::ParticipantApprove(c::ParticipantApprove { participant: self.waiting(t) }),
            56 => Command::ParticipantDeny(c::ParticipantDeny { participant: self.waiting(t), reason: Some(text) }),
            57 => Command::ParticipantWithdrawRequest(c::ParticipantWithdrawRequest { user: user(t.a % PEOPLE) }),
            58 => Command::ErrorReport(c::ErrorReport { code: "x".into(), detail: text, turn: None }),
            _ => return None,
        })
    }

    fn waiting(&self, t: &Try) -> ParticipantId {
        let all: Vec<ParticipantId> = self.session.join_requests().iter().map(|r| r.id).collect();
        Self::pick(&all, t.a, ParticipantId::NIL)
    }

    fn memory(&self, t: &Try) -> MemoryId {
        let all: Vec<MemoryId> = self.session.memories().map(|(id, _)| id).collect();
        Self::pick(&all, t.a, MemoryId::NIL)
    }

    fn branch(&self, t: &Try) -> BranchId {
        let all: Vec<BranchId> = self.session.branches().iter().map(|b| b.id).collect();
        Self::pick(&all, t.a, BranchId::NIL)
    }

    fn merge(&self, t: &Try) -> c::BranchMerge {
        let main = self.session.branches()[0].id;
        let (into, from) = if t.b.is_multiple_of(2) { (main, self.branch(t)) } else { (self.branch(t), main) };
        let only = self.session.compare(into, from).map(|both| both.only_b).unwrap_or_default();
        let messages: Vec<MessageId> = only.into_iter().take(3).collect();
        let said = messages.iter().map(|id| c::Said {
            message: *id,
            text: "again".to_owned(),
            attachments: vec![],
            data: None,
        });
        let how = [MergeHow::Adopt, MergeHow::Pick, MergeHow::Summary][usize::from(t.b) % 3];
        let text = t.a.is_multiple_of(2).then(|| t.text.clone());
        let said = said.collect();
        c::BranchMerge { into, from, how, if_head: None, messages, text, question: None, said }
    }

    fn checkpoint(&self, t: &Try) -> CheckpointId {
        let all: Vec<CheckpointId> = self.session.checkpoints().map(|k| k.checkpoint.id).collect();
        Self::pick(&all, t.a, CheckpointId::NIL)
    }

    /// A small write, often on an old version.
    fn context_branch(&self, t: &Try) -> Option<BranchId> {
        t.b.is_multiple_of(3).then(|| self.branch(t))
    }

    fn patch(&self, t: &Try) -> c::ContextPatch {
        let strategies = [None, None, Some(Conflicts::Manual), Some(Conflicts::Merge), Some(Conflicts::RolePriority)];
        let paths = ["/a", "/a/b", "/list", "/list/0", "/list/-", ""];
        let op = [OpName::Add, OpName::Add, OpName::Replace, OpName::Remove, OpName::Append][usize::from(t.b) % 5];
        let value: serde_json::Value = match t.a % 4 {
            0 => serde_json::json!({ "b": t.text }),
            1 => serde_json::json!([t.text]),
            _ => t.text.clone().into(),
        };
        let path = paths[usize::from(t.a / 4) % paths.len()];
        let branch = self.context_branch(t);
        let writes = self.session.context_writes(branch, None, usize::from(t.b % 8) + 1);
        c::ContextPatch {
            branch,
            base: Some(writes.last().map_or(Seq::ZERO, |w| w.version)),
            ops: vec![PatchOp::new(op, path, Some(value))],
            strategy: strategies[usize::from(t.a) % 5],
            ..Default::default()
        }
    }

    /// Most of the time what a driver would say, sometimes under a wrong claim.
    fn drive(&self, t: &Try, turn: TurnId) -> Command {
        let running = self.session.running_turn().filter(|_| t.b > 20);
        let (turn, lease) = running.map_or((turn, LeaseId::NIL), |r| (r.turn, r.lease.id));
        let text = t.text.clone();
        match t.what {
            18 => {
                let turn = self.session.queue().first().filter(|_| t.b > 20).map_or(turn, |q| q.turn);
                let lease = LeaseId(Uuid::from_u128(u128::from(self.keys)));
                Command::TurnStart(c::TurnStart { turn, lease, driver: "guide".into(), label: "Guide".into() })
            }
            19 => {
                let offset = running.map_or(u64::from(t.a), |r| r.length);
                Command::TurnProgress(c::TurnProgress { turn, lease, offset, text, pace: vec![] })
            }
            20 => Command::TurnComplete(c::TurnComplete {
                turn,
                lease,
                hash: String::new(),
                reason: EndReason::EndTurn,
                usage: Usage::default(),
            }),
            21 => {
                Command::TurnFail(c::TurnFail { turn, lease, code: "x".into(), detail: text, usage: Usage::default() })
            }
            _ => Command::TurnLose(c::TurnLose { turn, lease }),
        }
    }
}

/// Returns the turns as the view lists them.
fn turns(s: &Session) -> Vec<Turn> {
    let running = s.running_turn().map(|t| Turn {
        id: t.turn,
        message: t.message,
        requester: t.requester,
        assistant: t.assistant,
        state: TurnState::Running,
        since: t.since,
        answer: Some(t.answer),
    });
    let queued = s.queue().iter().map(|t| Turn {
        id: t.turn,
        message: t.message,
        requester: t.requester,
        assistant: t.assistant,
        state: TurnState::Queued,
        since: t.since,
        answer: None,
    });
    running.into_iter().chain(queued).collect()
}

fn settings(t: &Try) -> SettingsPatch {
    let respond = [None, Some(Respond::Mention), Some(Respond::Always), Some(Respond::Reply), Some(Respond::Manual)];
    SettingsPatch {
        respond: Some(respond[usize::from(t.b) % 5]),
        side_for_viewers: Some(t.a.is_multiple_of(2)),
        require_approval: Some(t.b.is_multiple_of(2)),
        allow_join: Some(!t.a.is_multiple_of(8)),
        idle_limit_s: t.a.is_multiple_of(8).then(|| t.b.is_multiple_of(2).then_some(200)),
        max_participants: (t.a < 32).then_some(Some(u32::from(t.b % 8))),
        ..SettingsPatch::default()
    }
}

fn upload_id(n: u8) -> AttachmentId {
    AttachmentId(Uuid::from_u128(9_000 + u128::from(n)))
}

/// Files that wait: two of each of the first two people, one for each of the first two streams.
fn uploads() -> Vec<Upload> {
    let upload = |n: u8| Upload {
        uploader: user(n / 4),
        stream: Stream::ALL[usize::from(n % 2)],
        attachment: Attachment {
            id: upload_id(n),
            name: format!("file {n}"),
            media_type: "text/plain".to_owned(),
            size_bytes: 1,
            width: None,
            height: None,
        },
    };
    (0..8).map(upload).collect()
}

pub fn user(n: u8) -> UserId {
    UserId(Uuid::from_u128(1_000 + u128::from(n)))
}

fn set(all: &[P]) -> Permissions {
    all.iter().copied().collect()
}
