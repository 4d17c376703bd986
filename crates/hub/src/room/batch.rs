//! Deciding what waits on the pending state, and making one commit of it.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use roundtable_access::Subject;
use roundtable_core::{Caller, Context, Decision, Founding, Rejection, Session, Upload};
use roundtable_protocol::command::{Envelope, TurnStop};
use roundtable_protocol::event::{EventBody, wire_event};
use roundtable_protocol::model::{Membership, ParticipantKind};
use roundtable_protocol::{
    AttachmentId, Code, Command, Event, EventId, ParticipantId, Permission, Problem, Rev, Role, Seq, Stream, Timestamp,
    UserId,
};
use roundtable_store::{Commit, NewEvent};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::lookup::LookedUp;
use super::{Landed, Queued, Receipt, Reply, Room};
use crate::clock;
use crate::fanout::OutEvent;
use crate::lineage;

/// How many accepted keys a room remembers, so that a repeated one is answered without the store.
const RECENT_KEYS: usize = 4_096;
/// How often a batch is decided again before its commands are refused.
const MAX_ATTEMPTS: u32 = 8;

/// Commands that go to the store together.
pub(crate) struct Batch {
    pub(crate) items: Vec<(Queued, Outcome)>,
    pub(crate) events: Vec<Prepared>,
    pub(crate) redactions: Vec<(Stream, Seq)>,
    pub(crate) first_event: Option<Uuid>,
    now: Timestamp,
    present: Vec<ParticipantId>,
}

/// What came of a command, as soon as the commit is on the disk.
pub(crate) enum Outcome {
    /// Accepted.
    Done(Receipt),
    /// Refused.
    Refused(Problem),
}

/// An event with its bytes.
pub(crate) struct Prepared {
    pub(crate) event: Event,
    key: Uuid,
    fingerprint: Option<u64>,
    header: Bytes,
    body: Bytes,
}

impl Prepared {
    fn new(event: Event, key: Uuid, fingerprint: Option<u64>) -> Self {
        let (header, body) = (event.header_json().into(), event.body.to_json().into());
        Self { event, key, fingerprint, header, body }
    }

    fn to_new(&self) -> NewEvent {
        NewEvent {
            stream: self.event.stream,
            seq: self.event.seq,
            id: self.event.header.id,
            key: self.key,
            fingerprint: self.fingerprint,
            branch: self.event.header.branch,
            seen: self.event.header.seen,
            causes: self.event.header.causes.clone(),
            header: self.header.clone(),
            body: self.body.clone(),
        }
    }

    pub(crate) fn to_out(&self) -> OutEvent {
        let mut wire = Vec::with_capacity(self.header.len() + self.body.len() + 48);
        wire_event(&mut wire, self.event.stream, self.event.seq, &self.header, &self.body);
        OutEvent { stream: self.event.stream, seq: self.event.seq, wire: wire.into() }
    }
}

/// The keys that were accepted last, with what they said.
#[derive(Default)]
pub(crate) struct RecentKeys {
    known: HashMap<Uuid, (u64, Receipt)>,
    order: VecDeque<Uuid>,
}

impl RecentKeys {
    pub(crate) fn put(&mut self, key: Uuid, fingerprint: u64, receipt: Receipt) {
        if self.known.insert(key, (fingerprint, receipt)).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > RECENT_KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn get(&self, key: Uuid) -> Option<(u64, Receipt)> {
        self.known.get(&key).copied()
    }
}

/// Returns what tells a retry from another command under the same key: who gave it and what it said.
pub(crate) fn fingerprint(user: UserId, envelope: &Envelope) -> u64 {
    let said = serde_json::to_vec(&envelope.command).expect("commands serialise: string keys, no failing parts");
    let digest = Sha256::new()
        .chain_update(user.0.as_bytes())
        .chain_update([envelope.stream as u8])
        .chain_update(said)
        .finalize();
    first_8(&digest)
}

/// The same of a founding. Not part of it: what differs each time, and the owner's name, which may change meanwhile.
pub(crate) fn founded_as(founding: &Founding) -> u64 {
    let Founding { session, epoch: _, project, owner, owner_name: _, assistant: _, .. } = founding;
    let Founding { title, kind, visibility, settings, description, tags, category, expires_at, start, .. } = founding;
    let said = (title, kind, visibility, settings, description, tags, category, expires_at, start);
    let said = serde_json::to_vec(&(session, project, owner, said)).expect("foundings serialise: no failing parts");
    first_8(&Sha256::digest(said))
}

fn first_8(digest: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

impl Room {
    /// Decides what waits and sends it to the store.
    pub(crate) async fn begin(&mut self) {
        self.pause_until = None;
        self.record_before_stop();
        let n = self.queue.len().min(self.shared.config.batch);
        let taken: Vec<Queued> = self.queue.drain(..n).collect();
        let mut batch = Batch {
            items: Vec::with_capacity(n),
            events: Vec::new(),
            redactions: Vec::new(),
            first_event: None,
            now: self.shared.now(),
            present: self.presence.online(),
        };
        let mut accepted: HashMap<Uuid, (u64, Receipt)> = HashMap::new();
        if std::mem::take(&mut self.due) && self.broken.is_none() {
            self.decide_due(&mut batch);
        }
        for mut queued in taken {
            let outcome = match self.known(&queued, &accepted).await {
                Some(outcome) => outcome,
                None => match self.look_up(&mut queued.envelope.command).await {
                    Ok(looked_up) => self.decide(&queued, &looked_up, &mut batch),
                    Err(problem) => Outcome::Refused(problem),
                },
            };
            if let Outcome::Done(receipt) = &outcome
                && !receipt.duplicate
            {
                accepted.insert(queued.envelope.key, (queued.fingerprint, *receipt));
            }
            self.gate(&queued, &outcome);
            batch.items.push((queued, outcome));
        }
        if batch.events.is_empty() {
            self.answer(batch.items);
            return;
        }
        let commit = self.commit(&batch);
        let store = std::sync::Arc::clone(&self.shared.store);
        let metrics = std::sync::Arc::clone(&self.shared.config.metrics);
        self.in_flight = Some(Box::pin(async move {
            let started = std::time::Instant::now();
            let outcome = store.append(commit).await;
            metrics.append.observe(started.elapsed());
            Landed::Appended(batch, outcome)
        }));
    }

    /// Stopping flushes what the driver had: the live text is recorded in front of a command that ends the turn.
    fn record_before_stop(&mut self) {
        let Some(live) = &mut self.live else { return };
        let ends = |q: &Queued| match &q.envelope.command {
            Command::TurnStop(TurnStop { turn }) => *turn == live.turn,
            Command::SessionEnd(_)
            | Command::SessionPause(_)
            | Command::SessionFail(_)
            | Command::MessageRedact(_)
            | Command::ParticipantLeave(_)
            | Command::ParticipantRemove(_)
            | Command::ParticipantChangeRole(_) => true,
            _ => false,
        };
        if self.queue.iter().take(self.shared.config.batch).any(ends)
            && let Some(progress) = live.flush(Instant::now())
        {
            self.own_command(Subject::Driver, progress);
            self.queue.rotate_right(1);
        }
    }

    /// Answers a command whose key has been accepted before: a retry is looked up before it is decided.
    async fn known(&mut self, queued: &Queued, accepted: &HashMap<Uuid, (u64, Receipt)>) -> Option<Outcome> {
        if queued.caller == Caller::System && !queued.envelope.retry {
            return None;
        }
        let key = queued.envelope.key;
        let at_hand = accepted.get(&key).copied().or_else(|| self.recent.get(key));
        let known = match at_hand {
            Some(known) => Some(known),
            None if !queued.envelope.retry => None,
            None => match self.shared.store.find(self.id, key.into()).await {
                Ok(found) => found.map(|f| {
                    let (stream, seq, id) = (f.event.stream, f.event.seq, f.event.id);
                    (f.fingerprint.unwrap_or_default(), Receipt { stream, seq, id, duplicate: true })
                }),
                Err(error) => {
                    tracing::warn!(session.id = %self.id, %error, "a retried key could not be looked up");
                    return Some(Outcome::Refused(Problem::new(Code::Unavailable).retry_after_ms(1_000)));
                }
            },
        };
        known.map(|(fingerprint, receipt)| {
            if fingerprint == queued.fingerprint {
                Outcome::Done(Receipt { duplicate: true, ..receipt })
            } else {
                Outcome::Refused(Problem::new(Code::KeyReused))
            }
        })
    }

    /// Decides a command on pending; its events are applied there.
    fn decide(&mut self, queued: &Queued, found: &LookedUp, batch: &mut Batch) -> Outcome {
        if let Some(code) = self.refuses(queued) {
            return Outcome::Refused(Problem::new(code).retry_after_ms(1_000));
        }
        match self.decide_on_pending(queued, &found.uploads, batch) {
            Ok(decision) => match self.check_choice(&queued.envelope.command, found) {
                Ok(()) => self.accept(queued, decision, batch),
                Err(problem) => Outcome::Refused(problem),
            },
            Err(rejection) => Outcome::Refused(self.hidden(queued.caller, rejection).into()),
        }
    }

    /// The rules know neither assistants nor links, so what they allow is held against those as well.
    fn check_choice(&self, command: &Command, found: &LookedUp) -> Result<(), Problem> {
        match command {
            Command::ParticipantApprove(_) if found.link_ended => {
                let detail = "the link that they came by has been revoked or has expired: let them ask by another";
                Err(Problem::new(Code::LinkEnded).with_detail(detail))
            }
            Command::SessionChangeSettings(patch) => match &patch.assistant {
                Some(name) if *name != self.pending.settings().assistant => self.shared.config.check_assistant(name),
                _ => Ok(()),
            },
            Command::SessionResume(_) => self.shared.config.check_ready(&self.pending.settings().assistant),
            _ => Ok(()),
        }
    }

    /// Whoever may not view a session is not told that there is one.
    fn hidden(&mut self, caller: Caller, rejection: Rejection) -> Rejection {
        match caller {
            Caller::User(user)
                if rejection.code == Code::NotAParticipant
                    && !self.grants.at_hand(&self.pending, user).mask.allows(Permission::SessionView) =>
            {
                Code::NotFound.into()
            }
            _ => rejection,
        }
    }

    fn refuses(&self, queued: &Queued) -> Option<Code> {
        let gated = |outbox: &crate::outbox::Outbox, order| outbox.is_gated(self.id, order);
        match &queued.reply {
            _ if self.broken.is_some() => self.broken,
            _ if self.leaving.is_some() && queued.caller != Caller::System => Some(Code::ShuttingDown),
            _ if queued.caller != Caller::System && self.is_full_for(&queued.envelope.command) => {
                Some(Code::SessionStorageFull)
            }
            _ if queued.attempts > MAX_ATTEMPTS => Some(Code::Unavailable),
            Reply::Connection { outbox, order, .. } if gated(outbox, *order) => Some(Code::RetryInOrder),
            _ => None,
        }
    }

    /// Whether the session holds too much to take what only adds to it.
    fn is_full_for(&self, command: &Command) -> bool {
        let adds = matches!(command, Command::MessagePost(_) | Command::MessageEdit(_) | Command::TurnAsk(_));
        adds && self.pending.heads().iter().map(|head| head.0).sum::<u64>() >= self.shared.config.max_events
    }

    /// Decides what the session's own deadlines ask for. Derived from the state, so a failed append forgets nothing.
    fn decide_due(&mut self, batch: &mut Batch) {
        let grant = self.grants.of(&self.pending, Caller::System, Subject::Rule);
        let cx =
            Context { now: batch.now, caller: Caller::System, grant: &grant, present: &batch.present, uploads: &[] };
        let key = clock::new_key();
        let decision = self.pending.on_time(&cx, key);
        for event in decision.events {
            self.pending.apply(&event);
            batch.events.push(Prepared::new(event, key, None));
        }
        batch.redactions.extend(decision.redactions);
    }

    fn decide_on_pending(&mut self, queued: &Queued, uploads: &[Upload], batch: &Batch) -> Result<Decision, Rejection> {
        let mut grant = match queued.caller {
            Caller::User(user) => self.grants.at_hand(&self.pending, user),
            Caller::System => self.grants.of(&self.pending, Caller::System, queued.subject),
        };
        loop {
            let cx = Context { now: batch.now, caller: queued.caller, grant: &grant, present: &batch.present, uploads };
            match (self.pending.decide(&cx, &queued.envelope), queued.caller) {
                (Err(r), Caller::User(user)) if r.code == Code::StaleGrant => {
                    let fresh = self.grants.authorize(&self.pending, user);
                    if fresh == grant {
                        return Err(r);
                    }
                    grant = fresh;
                }
                (decided, _) => return decided,
            }
        }
    }

    fn accept(&mut self, queued: &Queued, decision: Decision, batch: &mut Batch) -> Outcome {
        let Some(first) = decision.events.first() else {
            return Outcome::Refused(Problem::new(Code::AlreadyRecorded));
        };
        let receipt = Receipt { stream: first.stream, seq: first.seq, id: first.header.id, duplicate: false };
        // A refusal that is recorded leaves its key free.
        let refused = decision.refused;
        if refused.is_none() {
            batch.first_event.get_or_insert(first.header.id.0);
        }
        for (i, event) in decision.events.into_iter().enumerate() {
            self.pending.apply(&event);
            let accepted = i == 0 && refused.is_none() && queued.caller != Caller::System;
            let fingerprint = accepted.then_some(queued.fingerprint);
            batch.events.push(Prepared::new(event, queued.envelope.key, fingerprint));
        }
        batch.redactions.extend(decision.redactions);
        match refused {
            Some(problem) => Outcome::Refused(*problem),
            None => Outcome::Done(receipt),
        }
    }

    /// After a retryable refusal the rest of a connection's window waits for that key.
    pub(crate) fn gate(&self, queued: &Queued, outcome: &Outcome) {
        if let (Reply::Connection { outbox, order, .. }, Outcome::Refused(problem)) = (&queued.reply, outcome)
            && problem.retryable
            && problem.code != Code::RetryInOrder
        {
            outbox.close_gate(self.id, *order, queued.envelope.key);
        }
    }

    fn commit(&self, batch: &Batch) -> Commit {
        let at = self.pending.last_at();
        let changed = |e: &Prepared| changes_directory(&e.event.body);
        Commit {
            session: self.id,
            expected_rev: self.rev,
            expected_rights: self.grants.rights_epoch(),
            birth: None,
            events: batch.events.iter().map(Prepared::to_new).collect(),
            redactions: batch.redactions.clone(),
            attached: batch.events.iter().flat_map(|e| attached(&e.event)).collect(),
            directory: batch.events.iter().any(changed).then(|| Box::new(self.pending.info())),
            members: batch.events.iter().flat_map(|e| members(&e.event.body, &self.pending)).collect(),
            wake_at: self.pending.wake_at(at),
            at,
            outbox: lineage::rows(&self.pending, batch.events.iter().map(|e| &e.event), |id| batch.title_of_fork(id)),
            documents: Vec::new(),
        }
    }
}

impl Batch {
    /// Returns what the session is to be called that begins as a copy by the command with that key.
    fn title_of_fork(&self, id: EventId) -> Option<String> {
        self.items.iter().find(|(queued, _)| queued.envelope.key == id.0).and_then(|(queued, _)| {
            match &queued.envelope.command {
                Command::SessionFork(data) => data.title.clone(),
                _ => None,
            }
        })
    }
}

/// Makes the commit that a session is born with.
pub(crate) fn birth(
    session: &Session,
    decision: Decision,
    key: Uuid,
    fingerprint: u64,
    rights_epoch: u64,
    at: Timestamp,
) -> Commit {
    let events: Vec<Prepared> = decision
        .events
        .into_iter()
        .enumerate()
        .map(|(i, event)| Prepared::new(event, key, (i == 0).then_some(fingerprint)))
        .collect();
    Commit {
        session: session.id(),
        expected_rev: Rev::ZERO,
        expected_rights: rights_epoch,
        birth: Some(roundtable_store::Birth { epoch: session.epoch().clone(), project: session.project() }),
        members: events.iter().flat_map(|e| members(&e.event.body, session)).collect(),
        events: events.iter().map(Prepared::to_new).collect(),
        redactions: Vec::new(),
        attached: Vec::new(),
        directory: Some(Box::new(session.info())),
        wake_at: session.wake_at(at),
        at,
        outbox: Vec::new(),
        documents: Vec::new(),
    }
}

/// Whether lists of sessions show something else after this event.
fn changes_directory(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::SessionCreated(_)
            | EventBody::SessionStarted(_)
            | EventBody::SessionRenamed(_)
            | EventBody::SessionDetailsChanged(_)
            | EventBody::SessionSettingsChanged(_)
            | EventBody::SessionEnded(_)
            | EventBody::SessionPaused(_)
            | EventBody::SessionResumed(_)
            | EventBody::SessionExpiryChanged(_)
            | EventBody::SessionDetached(_)
            | EventBody::SessionWorkDone(_)
            | EventBody::SessionAttached(_)
            | EventBody::SessionOwnerChanged(_)
            | EventBody::ParticipantJoined(_)
            | EventBody::ParticipantLeft(_)
            | EventBody::ParticipantRemoved(_)
    )
}

/// Returns the files that this event posts.
fn attached(event: &Event) -> impl Iterator<Item = (AttachmentId, EventId)> {
    let id = event.header.id;
    // A copy shows the files of the original; they stay where they are.
    let posted = match &event.body {
        EventBody::MessagePosted(data) if data.copied_from.is_none() => &data.attachments[..],
        _ => &[],
    };
    posted.iter().map(move |attachment| (attachment.id, id))
}

/// Returns whose membership this event has changed, and the role that each of them has now.
fn members(body: &EventBody, after: &Session) -> impl Iterator<Item = (UserId, Option<Role>)> {
    let ids = match body {
        EventBody::ParticipantJoined(data) => [Some(data.participant.id), None],
        EventBody::ParticipantLeft(data) => [Some(data.participant), None],
        EventBody::ParticipantRemoved(data) => [Some(data.participant), None],
        EventBody::ParticipantRoleChanged(data) => [Some(data.participant), None],
        EventBody::SessionOwnerChanged(data) => [Some(data.from), Some(data.to)],
        _ => [None, None],
    };
    let people = ids.into_iter().flatten().filter_map(|id| after.participant(id));
    people
        .filter(|p| p.kind == ParticipantKind::User)
        .map(|p| (p.user_id, (p.membership == Membership::Joined).then_some(p.role)))
}
