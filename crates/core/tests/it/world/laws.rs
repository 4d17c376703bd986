//! What must hold after each command.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_core::session::{MAX_QUEUED, MAX_QUEUED_EACH, watched};
use roundtable_core::{Decision, Owed, Rejection, Session};
use roundtable_protocol::command::{Command, Envelope};
use roundtable_protocol::event::{Event, EventBody};
use roundtable_protocol::grant::{Grant, Role};
use roundtable_protocol::ids::{EventId, MessageId, ParticipantId, Stream, Timestamp, TurnId};
use roundtable_protocol::model::{Membership, ParticipantKind, SessionState, Turn, TurnState, Usage};
use roundtable_protocol::problem::Code;
use roundtable_protocol::report::{DriverUsage, Report, ReportPerson, TurnCounts};
use roundtable_protocol::view::MessageView;

use super::{SERVER, Try, World, user};

impl World {
    pub(super) fn check_refusals(
        &self,
        t: &Try,
        grant: &Grant,
        envelope: &Envelope,
        decided: &Result<Decision, Rejection>,
    ) {
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

    pub(super) fn check_event(&self, event: &Event) {
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
    pub(super) fn check_fairness(&self, requester: ParticipantId, before: Option<TurnId>) {
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
    pub(super) fn check_pages(&self, event: &Event, old: &[MessageView]) {
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
    pub(super) fn counted_again(&self) -> Report {
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
            context: Some(crate::recount::context(main)),
            events: main.len() as u64,
        }
    }

    pub(super) fn check_redaction(&self, message: MessageId) {
        let texts = self.log.iter().filter(|e| e.text_of() == Some(message));
        assert!(texts.clone().all(|e| self.redacted.contains(&(e.stream, e.seq))), "all of a message's text goes");
        assert!(self.session.message(message).is_some_and(|m| m.redacted));
    }

    pub(super) fn check_state(&self) {
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

    pub(super) fn check_owed(&self) {
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
    pub(super) fn check_view(&self) {
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
    pub(super) fn check_branches(&self) {
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
