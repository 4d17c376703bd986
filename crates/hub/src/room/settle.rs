//! After an append: the committed state takes it over, or the batch is decided again.

use std::sync::Arc;

use roundtable_core::Caller;
use roundtable_protocol::frame::{Accepted, ErrorFrame, ServerFrame};
use roundtable_protocol::{Code, Command, EventBody, Problem, Rev, SessionId};
use roundtable_store::{AppendError, Appended, Store, StoreError, StoredEvent};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use super::batch::{Batch, Outcome};
use super::tail::When;
use super::{Landed, Queued, Receipt, Reply, Room, load};
use crate::fanout::OutEvent;
use crate::frame::Frame;
use crate::lineage;
use crate::manager::SessionManager;
use crate::outbox::Outbox;

/// How long the server's own commands wait after the store has refused.
const PAUSE: Duration = Duration::from_millis(500);
/// How long to wait between two attempts to learn what became of a commit.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How many events are read at once while catching up.
const CHUNK: usize = 2_000;

impl Room {
    /// Takes over what the store has answered.
    pub(super) async fn settle(&mut self, landed: Landed) {
        match landed {
            Landed::Appended(batch, outcome) => self.appended(batch, outcome).await,
            Landed::Missed(batch, missed) => self.caught_up(batch, missed),
        }
    }

    async fn appended(&mut self, batch: Batch, outcome: Result<Appended, AppendError>) {
        let metrics = &self.shared.config.metrics;
        match &outcome {
            Ok(_) => {
                metrics.commits.add(1);
                metrics.events.add(batch.events.len() as u64);
            }
            Err(_) => metrics.append_failures.add(1),
        }
        match outcome {
            Ok(Appended { rev }) => self.committed(batch, rev).await,
            Err(AppendError::RightsMoved { actual }) => {
                self.grants.moved(actual);
                self.decide_again(batch, |_| false);
            }
            Err(AppendError::Duplicate { id, .. }) => self.decide_again(batch, |key| key == id.0),
            Err(AppendError::Conflict { .. }) => self.catch_up(batch, Duration::ZERO),
            Err(AppendError::Unknown(why)) => {
                tracing::warn!(session.id = %self.id, why, "the outcome of a commit is unknown; reading back");
                self.catch_up(batch, Duration::ZERO);
            }
            Err(AppendError::Full) => self.refused_by_store(batch, Code::StorageFull),
            Err(AppendError::Unavailable(why)) => {
                tracing::warn!(session.id = %self.id, why, "the store refuses to write");
                self.refused_by_store(batch, Code::Unavailable);
            }
        }
    }

    async fn committed(&mut self, mut batch: Batch, rev: Rev) {
        self.rev = rev;
        let roles_before = self.committed.roles_rev();
        for prepared in &batch.events {
            self.committed.apply(&prepared.event);
        }
        debug_assert_eq!(self.committed.heads(), self.pending.heads(), "pending and committed fold the same events");
        self.tail.add(batch.events.len() as u64);
        self.rate.add(batch.events.len() as u64, Instant::now().into_std());
        for (queued, outcome) in &batch.items {
            if let Outcome::Done(receipt) = outcome {
                self.recent.put(queued.envelope.key, queued.fingerprint, *receipt);
            }
        }
        let out: Vec<OutEvent> = batch.events.iter().map(super::batch::Prepared::to_out).collect();
        let bodies: Vec<EventBody> = batch.events.drain(..).map(|p| p.event.body).collect();
        if !batch.redactions.is_empty() {
            self.views.forget();
            if self.shared.store.retention().is_some() {
                // What the store has kept instead of events that are gone may hold the text: it is made anew at once.
                self.tail.outdate();
            }
        }
        let started = std::time::Instant::now();
        let answered = self.reply(batch.items);
        self.publish(&out, &bodies, roles_before != self.committed.roles_rev());
        answered.iter().for_each(|outbox| outbox.write_now());
        self.shared.config.metrics.fanout.observe(started.elapsed());
        self.owe();
        if !self.committed.forks().is_empty() && bodies.iter().any(lineage::owes) {
            let manager = SessionManager::of(&self.shared);
            tokio::spawn(async move {
                if let Err(error) = manager.settle_lineage().await {
                    tracing::warn!(%error, "what sessions owe each other is done later");
                }
            });
        }
        let when = if self.fanout.is_empty() { When::Unread } else { When::Read };
        self.write_snapshots(when).map(tokio::spawn);
    }

    /// Answers the commands of a batch, in order.
    pub(crate) fn answer(&mut self, items: Vec<(Queued, Outcome)>) {
        self.reply(items).iter().for_each(|outbox| outbox.write_now());
    }

    /// Queues the answers of a batch, in order; returns the outboxes that must be written, once what everybody gets has
    /// gone the same way.
    fn reply(&mut self, items: Vec<(Queued, Outcome)>) -> Vec<Arc<Outbox>> {
        let mut answered = Vec::new();
        for (queued, outcome) in items {
            self.gate(&queued, &outcome);
            if matches!((&queued.envelope.command, &outcome), (Command::TurnStart(_), Outcome::Refused(_))) {
                self.claiming = None;
            }
            answered.extend(reply(self.id, queued, outcome));
        }
        answered
    }

    /// Puts a batch back in front of what waits, to be decided on a fresh pending state. Commands whose key `look_up`
    /// names are looked up in the log first.
    fn decide_again(&mut self, batch: Batch, look_up: impl Fn(Uuid) -> bool) {
        self.pending = self.committed.clone();
        let first = batch.first_event;
        for (mut queued, _) in batch.items.into_iter().rev() {
            queued.attempts += 1;
            queued.envelope.retry |= look_up(queued.envelope.key) || first == Some(queued.envelope.key);
            self.queue.push_front(queued);
        }
    }

    fn refused_by_store(&mut self, batch: Batch, code: Code) {
        self.pending = self.committed.clone();
        self.pause_until = Some(Instant::now() + PAUSE);
        let (own, callers): (Vec<_>, Vec<_>) = batch.items.into_iter().partition(|(q, _)| q.caller == Caller::System);
        for (queued, _) in own.into_iter().rev() {
            if matches!(queued.reply, Reply::Nobody) {
                self.queue.push_front(queued);
            } else {
                answer(self.id, queued, Outcome::Refused(Problem::new(code).retry_after_ms(1_000)));
            }
        }
        let refuse = |(queued, outcome)| match outcome {
            // What was known before this batch stays true.
            Outcome::Done(receipt @ Receipt { duplicate: true, .. }) if !is_in(&receipt, self) => {
                (queued, Outcome::Done(receipt))
            }
            _ => (queued, Outcome::Refused(Problem::new(code).retry_after_ms(1_000))),
        };
        let items = callers.into_iter().map(refuse).collect();
        self.answer(items);
    }

    /// Reads the next commits that this room has not made, or does not know that it has made. The batch waits for them:
    /// nobody is answered before.
    fn catch_up(&mut self, batch: Batch, after: Duration) {
        let (store, session, rev) = (Arc::clone(&self.shared.store), self.id, self.rev);
        self.in_flight = Some(Box::pin(async move {
            tokio::time::sleep(after).await;
            Landed::Missed(batch, Missed::read(store.as_ref(), session, rev).await)
        }));
    }

    /// Takes over what was read back; until nothing is missing, reading goes on.
    fn caught_up(&mut self, batch: Batch, missed: Result<Missed, StoreError>) {
        let missed = match missed {
            Ok(missed) => missed,
            Err(error) => {
                tracing::warn!(session.id = %self.id, %error, "cannot read back yet");
                self.refuse_blindly();
                return self.catch_up(batch, ASK_AGAIN);
            }
        };
        self.blind = false;
        if let Some(rights_epoch) = missed.rights_epoch {
            self.grants.moved(rights_epoch);
        }
        if missed.events.is_empty() || self.fold_missed(&missed.events).is_err() {
            return self.decide_again(batch, |_| true);
        }
        self.catch_up(batch, Duration::ZERO);
    }

    /// Nothing can be decided before the log can be read: whoever waits is told so, and may send again.
    fn refuse_blindly(&mut self) {
        self.blind = true;
        let (own, callers): (Vec<_>, Vec<_>) =
            self.queue.drain(..).partition(|queued| matches!(queued.reply, Reply::Nobody));
        self.queue.extend(own);
        for deleted in self.deleting.drain(..) {
            // A caller that has gone does not want the answer.
            let _ = deleted.send(Err(Problem::new(Code::Unavailable).retry_after_ms(1_000)));
        }
        let refuse = |queued| (queued, Outcome::Refused(Problem::new(Code::Unavailable).retry_after_ms(1_000)));
        let items = callers.into_iter().map(refuse).collect();
        self.answer(items);
    }

    /// Folds events in that the log has and this room had not, and publishes them.
    fn fold_missed(&mut self, events: &[StoredEvent]) -> Result<(), Code> {
        let roles_before = self.committed.roles_rev();
        let (mut out, mut bodies) = (Vec::new(), Vec::new());
        for stored in events {
            match load::fold(&mut self.committed, stored) {
                Ok(event) => bodies.push(event.body),
                Err(code) => {
                    self.broken = Some(code);
                    return Err(code);
                }
            }
            self.rev = stored.rev;
            let wire = crate::joins::wire(stored).into();
            out.push(OutEvent { stream: stored.stream, seq: stored.seq, wire });
        }
        self.views.forget();
        self.publish(&out, &bodies, roles_before != self.committed.roles_rev());
        Ok(())
    }
}

/// What the log has beyond what a room knows.
pub(super) struct Missed {
    rights_epoch: Option<u64>,
    events: Vec<StoredEvent>,
}

impl Missed {
    async fn read(store: &dyn Store, session: SessionId, rev: Rev) -> Result<Self, StoreError> {
        let rights_epoch = store.head(session).await?.map(|head| head.rights_epoch);
        Ok(Self { rights_epoch, events: store.read_commits(session, rev, CHUNK).await? })
    }
}

/// Whether a receipt rests on an event that is not committed: it was accepted earlier in a batch that failed.
fn is_in(receipt: &Receipt, room: &Room) -> bool {
    receipt.seq > room.committed.heads()[receipt.stream as usize]
}

/// Gives a command its answer.
pub(crate) fn answer(session_id: SessionId, queued: Queued, outcome: Outcome) {
    if let Some(outbox) = reply(session_id, queued, outcome) {
        outbox.write_now();
    }
}

/// Gives a command its answer; returns the outbox in which it waits, if it goes to a connection.
fn reply(session_id: SessionId, queued: Queued, outcome: Outcome) -> Option<Arc<Outbox>> {
    match queued.reply {
        Reply::Waiter(waiter) => {
            // A caller that has gone does not want the answer.
            let _ = waiter.send(match outcome {
                Outcome::Done(receipt) => Ok(receipt),
                Outcome::Refused(problem) => Err(problem),
            });
            None
        }
        Reply::Connection { outbox, re, .. } => {
            let frame = Frame::encode(&match outcome {
                Outcome::Done(Receipt { stream, seq, id, duplicate }) => {
                    ServerFrame::Ok(Accepted { re, session_id, stream, seq, id, duplicate })
                }
                Outcome::Refused(problem) => {
                    ServerFrame::Error(ErrorFrame { re: Some(re), session_id: Some(session_id), problem })
                }
            });
            outbox.reply(session_id, frame);
            Some(outbox)
        }
        Reply::Nobody => {
            if let Outcome::Refused(problem) = outcome {
                tracing::debug!(session.id = %session_id, command = queued.envelope.command.name(), code = problem.code.name(),
                    "the server's own command was refused");
            }
            None
        }
    }
}
