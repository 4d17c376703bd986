//! What comes into a room, one arm each, and what is due by time.

use std::sync::Arc;

use roundtable_access::Subject;
use roundtable_core::Caller;
use roundtable_protocol::frame::{Ack, EphemeralIn, You};
use roundtable_protocol::model::Membership;
use roundtable_protocol::{
    Code, ConnectionId, Grant, LeaseId, ParticipantId, Permission, Problem, Role, Seq, Stream, StreamSet, Timestamp,
    UserId,
};
use tokio::time::Instant;

use super::batch::Outcome;
use super::settle::answer;
use super::{Figures, Input, Look, Question, Queued, Reply, Room, Subscription, read_by};
use crate::fanout::Subscriber;
use crate::joins::Join;
use crate::lanes;
use crate::turns::Said;

impl Room {
    pub(crate) async fn take(&mut self, input: Input) {
        match input {
            Input::Command(queued) => self.enqueue(*queued),
            Input::Subscribe(user, request, reply) => {
                // A caller that has gone does not want the answer.
                let _ = reply.send(self.subscribe(user, request));
            }
            Input::Released { connection, number, ok } => self.released(connection, number, ok),
            Input::Unsubscribe(connection) => self.unsubscribe(connection),
            Input::Disconnected(connection) => self.unsubscribe(connection),
            Input::Ephemeral(connection, frame) => self.ephemeral(connection, frame),
            Input::Acked(connection, ack) => self.acked(connection, ack),
            Input::Ask(question) => self.ask(question),
            Input::Said(lease, said) => self.said(lease, said),
            Input::RightsMoved(epoch) => {
                self.grants.moved(epoch);
                self.refresh_rights(&[]);
            }
            Input::Wake => self.on_time(),
            Input::Delete(user, deleted) => self.want_deleted(user, deleted),
            Input::Shutdown(done) => {
                self.leaving = Some(done);
                self.shut_down_driver();
            }
        }
    }

    fn enqueue(&mut self, queued: Queued) {
        self.idle_since = None;
        if let Caller::User(user) = queued.caller
            && let Some(participant) = self.committed.participant_of(user)
        {
            let id = participant.id;
            self.presence.activity(id, self.shared.now());
        }
        let full = self.queue.len() >= self.shared.config.inbox && queued.caller != Caller::System;
        if full || self.blind && !matches!(queued.reply, Reply::Nobody) {
            let (code, ms) = if full { (Code::Overloaded, 250) } else { (Code::Unavailable, 1_000) };
            let outcome = Outcome::Refused(Problem::new(code).retry_after_ms(ms));
            self.gate(&queued, &outcome);
            return answer(self.id, queued, outcome);
        }
        self.queue.push_back(queued);
    }

    fn subscribe(&mut self, user: UserId, request: Subscription) -> Result<(), Problem> {
        let grant = self.grants.authorize(&self.committed, user);
        if !grant.allows(Permission::SessionView) {
            return self.subscribe_waiting(user, request);
        }
        self.waiting.retain(|w| !w.is(request.connection.id()));
        let participant = self.committed.participant_of(user).filter(|p| p.membership == Membership::Joined);
        let (id, role) = (participant.map(|p| p.id), participant.map(|p| p.role));
        let you = self.you(id, role, &grant);
        let wanted: StreamSet = request.streams.iter().map(|p| p.stream).collect();
        let connection = request.connection;
        self.subscriptions += 1;
        let number = self.subscriptions;
        let subscriber = Subscriber::new(Arc::clone(&connection), self.id, user, id, grant, wanted, number);
        let mut positions = request.streams;
        positions.retain(|p| subscriber.streams.contains(p.stream));
        positions.sort_by_key(|p| p.stream);
        positions.dedup_by_key(|p| p.stream);
        let mut has = [Seq::ZERO; 4];
        for position in &positions {
            has[position.stream as usize] = position.after.as_ref().map_or(Seq::ZERO, |after| after.seq);
        }
        connection.open(self.id, subscriber.streams, has)?;
        self.fanout.add(subscriber);
        if let Some(id) = id.filter(|_| request.present) {
            self.presence.connect(id, connection.id(), self.shared.now());
            self.tell_presence();
            self.host_connects(id);
        }
        self.count_online();
        let Some(room) = self.to_self.upgrade() else { return Err(Problem::new(Code::ShuttingDown)) };
        let join = Join {
            outbox: connection,
            session: self.id,
            re: request.re,
            number,
            you,
            people: self.presence.people(),
            positions,
            epoch: self.committed.epoch().clone(),
            heads: self.committed.heads(),
            store: Arc::clone(&self.shared.store),
            views: Arc::clone(&self.views),
            room,
            begun: false,
        };
        tokio::spawn(join.run());
        Ok(())
    }

    fn released(&mut self, connection: ConnectionId, number: u64, ok: bool) {
        let Some(subscriber) = self.fanout.find(connection).filter(|s| s.number == number && s.is_held()) else {
            return;
        };
        if !ok || !subscriber.release() {
            return self.unsubscribe(connection);
        }
        let streams = subscriber.streams;
        let outbox = Arc::clone(&subscriber.outbox);
        let tail = self.live.as_ref().and_then(crate::turns::LiveTurn::tail);
        let shown = self.lanes.all(self.id).into_iter().chain(tail.map(|frame| (Stream::Main, frame)));
        for (_, frame) in shown.filter(|(stream, _)| streams.contains(*stream)) {
            outbox.push(frame);
        }
    }

    fn unsubscribe(&mut self, connection: ConnectionId) {
        if let Some(subscriber) = self.fanout.remove(connection) {
            subscriber.outbox.shut(self.id);
        }
        self.stop_waiting(connection);
        // One that lagged is no subscriber any more, but was still there.
        self.presence.disconnect(connection, self.shared.now());
        self.count_online();
    }

    fn ephemeral(&mut self, connection: ConnectionId, frame: EphemeralIn) {
        let now = Instant::now();
        let Some(subscriber) = self.fanout.find(connection) else { return };
        let Some(participant) = subscriber.participant.filter(|_| subscriber.streams.contains(frame.stream)) else {
            return;
        };
        if !subscriber.grant.allows(Permission::ParticipantBe) {
            return;
        }
        self.presence.activity(participant, self.shared.now());
        self.lanes.put(frame.stream, frame.lane, participant, frame.data, now);
        self.show(now);
    }

    /// Says who a reader is.
    pub(super) fn you(&self, id: Option<ParticipantId>, role: Option<Role>, grant: &Grant) -> You {
        You { participant_id: id, role, can: grant.mask, read: read_by(&self.read, id, grant.streams) }
    }

    fn acked(&mut self, connection: ConnectionId, ack: Ack) {
        let Some(participant) = self.fanout.find(connection).and_then(|s| s.participant) else { return };
        let head = self.committed.heads()[ack.stream as usize];
        let read = self.read.entry((participant, ack.stream)).or_insert(Seq::ZERO);
        let further = ack.seq.min(head);
        if further <= *read {
            return;
        }
        *read = further;
        self.marks.insert((participant, ack.stream), further);
        self.marks_due.get_or_insert(Instant::now() + self.shared.config.marks_every);
    }

    fn ask(&mut self, question: Question) {
        let Self { committed, grants, presence, views, read, fanout, queue, inbox, live, rate, broken, .. } = self;
        // Made only for who asks how busy the room is: it looks at every subscriber.
        let figures = &mut || {
            let subscribers = fanout.subscribers_mut();
            Figures {
                connections: subscribers.len(),
                commands_waiting: queue.len() + inbox.len(),
                drivers: usize::from(live.is_some()),
                waiting_bytes: subscribers.iter().map(|s| s.outbox.waiting_bytes() as u64).sum(),
                events_per_s: rate.per_second(Instant::now().into_std()),
                broken: *broken,
            }
        };
        question(&mut Look { session: committed, grants, presence, views, read, figures });
    }

    fn said(&mut self, lease: LeaseId, said: Said) {
        let now = Instant::now();
        let Some(live) = self.live.as_mut().filter(|live| live.lease == lease) else { return };
        if let Said::Text(text) = &said {
            live.text(text, now);
            let progress = live.progress(&self.shared.config, now);
            if let Some(progress) = progress {
                self.own_command(Subject::Driver, progress);
            }
            return self.send_delta(now);
        }
        for command in live.end(said, now) {
            self.own_command(Subject::Driver, command);
        }
    }

    /// A server that leaves records what its driver had; the turn is lost, not left hanging.
    fn shut_down_driver(&mut self) {
        if let Some(live) = &mut self.live {
            for command in live.end(Said::Dropped, Instant::now()) {
                self.own_command(Subject::Driver, command);
            }
        }
    }

    pub(crate) async fn on_timer(&mut self) {
        let now = Instant::now();
        // A pause that is over is none, or its end would be what the room waits for again and again.
        self.pause_until.take_if(|until| *until <= now);
        // Text first: it takes the events that wait along, in one write.
        self.send_delta(now);
        self.fanout.flush_due(now);
        let progress = self.live.as_mut().and_then(|live| live.progress(&self.shared.config, now));
        if let Some(progress) = progress.filter(|_| self.leaving.is_none()) {
            self.own_command(Subject::Driver, progress);
        }
        self.show(now);
        self.tell_presence();
        if self.head_due <= now {
            self.send_heads(now);
            self.views.let_go_unused();
        }
        if self.host_due.is_some_and(|due| due <= now) {
            self.host_stays();
        }
        if self.marks_due.is_some_and(|due| due <= now) {
            self.write_marks().await;
        }
        self.on_time();
    }

    /// Shows what has changed in the lanes.
    fn show(&mut self, now: Instant) {
        for (stream, frame) in self.lanes.flush(self.id, self.shared.config.lane_flush, now) {
            self.fanout.send(&frame, stream);
        }
    }

    /// Tells whose presence has changed.
    fn tell_presence(&mut self) {
        let changed = self.presence.on_time(self.shared.now());
        if changed.is_empty() {
            return;
        }
        for person in changed.iter().filter(|p| p.status == roundtable_protocol::frame::PresenceStatus::Offline) {
            self.lanes.gone(person.participant_id);
        }
        let frame = lanes::presence_frame(self.id, &changed);
        self.fanout.send(&frame, Stream::Main);
        self.count_online();
        self.miss_host();
    }

    /// Looks whether something is due or owed; what is due is decided with the next batch.
    fn on_time(&mut self) {
        if self.broken.is_none() {
            self.end_what_takes_too_long();
            self.due |= self.committed.next_deadline().is_some_and(|deadline| deadline <= self.shared.now());
            self.owe();
        }
    }

    /// Fails an answer that takes longer than one may.
    fn end_what_takes_too_long(&mut self) {
        let limit = self.shared.config.turn_limit;
        let over = self.turn_over_at().is_some_and(|at| at <= self.shared.now());
        let Some(live) = self.live.as_mut().filter(|_| over) else { return };
        let detail = format!("The answer took longer than {} s. Ask for less at once.", limit.as_secs());
        let failed = Said::Failed { code: "turn_timeout".to_owned(), detail, usage: Default::default() };
        for command in live.end(failed, Instant::now()) {
            self.own_command(Subject::Driver, command);
        }
    }

    /// Returns when the running answer has taken as long as one may.
    pub(crate) fn turn_over_at(&self) -> Option<Timestamp> {
        let running =
            self.committed.running_turn().filter(|_| self.live.as_ref().is_some_and(|live| !live.has_ended()))?;
        running.since.checked_add(self.shared.config.turn_limit).ok()
    }

    pub(crate) async fn write_marks(&mut self) {
        self.marks_due = None;
        for ((participant, stream), seq) in std::mem::take(&mut self.marks) {
            if let Err(error) = self.shared.store.put_read_mark(self.id, participant, stream, seq).await {
                tracing::warn!(session.id = %self.id, %error, "a read mark could not be written");
            }
        }
    }
}
