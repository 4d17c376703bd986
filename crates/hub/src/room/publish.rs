//! After a commit: rights first, then events, then what has become of the running turn.

use std::sync::Arc;

use roundtable_core::Session;
use roundtable_protocol::branching::CopiedFrom;
use roundtable_protocol::event::EventBody;
use roundtable_protocol::frame::{Access, HEAD_MESSAGES, Head, ServerFrame, You};
use roundtable_protocol::model::{Lease, Membership, Participant, ParticipantKind};
use roundtable_protocol::view::{MessageView, utf16_len};
use roundtable_protocol::{ParticipantId, Permission, Rev, SessionId, Stream, StreamSet};
use roundtable_store::{StateSnapshot, Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Room;
use super::tail::{Pace, When};
use crate::fanout::OutEvent;
use crate::frame::{Frame, deflate};
use crate::rooms::{Online, OnlinePerson};
use crate::turns::{LiveTurn, TranscriptMemory, TranscriptMessage, TurnHandle, TurnWork};
use crate::uploads::{self, TranscriptAttachment};

impl Room {
    /// Tells everybody what was committed: those who have lost a right learn that first and get nothing more.
    pub(crate) fn publish(&mut self, out: &[OutEvent], bodies: &[EventBody], roles_moved: bool) {
        let now = Instant::now();
        self.send_last_delta(now);
        if roles_moved {
            self.fanout.flush_all();
            self.refresh_rights(bodies);
        }
        self.fanout.publish(out, now);
        if bodies.iter().any(|body| matches!(body, EventBody::ParticipantProfileChanged(_))) {
            self.count_online();
        }
        self.tell_waiting(bodies);
        self.follow_turn(bodies, now);
        self.follow_host(bodies);
    }

    /// Text that the ending event covers goes out before it.
    fn send_last_delta(&mut self, now: Instant) {
        let running = self.committed.running_turn().map(|t| t.lease.id);
        if let Some(live) = self.live.as_mut().filter(|live| running != Some(live.lease))
            && let Some(frame) = live.delta(std::time::Duration::ZERO, now)
        {
            self.fanout.send_behind_events(&frame, Stream::Main);
        }
    }

    /// Sends new text of the running turn, when it is due.
    pub(crate) fn send_delta(&mut self, now: Instant) {
        let Some(live) = &mut self.live else { return };
        if let Some(frame) = live.delta(self.shared.config.flush, now) {
            // The event that began the answer comes before its text.
            self.fanout.send_behind_events(&frame, Stream::Main);
            live.sent(Instant::now());
        }
    }

    /// Computes every reader's grant anew; what is lost is purged from what waits for them.
    pub(crate) fn refresh_rights(&mut self, bodies: &[EventBody]) {
        let now = self.shared.now();
        let Self { id, committed, grants, fanout, presence, lanes, read, .. } = self;
        let mut gone = Vec::new();
        for s in fanout.subscribers_mut().iter_mut() {
            let grant = grants.authorize(committed, s.user);
            let streams = s.streams.intersect(grant.streams);
            let participant = committed.participant_of(s.user).filter(|p| p.membership == Membership::Joined);
            let changed = grant.mask != s.grant.mask || grant.streams != s.grant.streams;
            s.grant = grant;
            if !changed {
                continue;
            }
            let readable: StreamSet = if s.grant.allows(Permission::SessionView) {
                s.wanted.intersect(s.grant.streams)
            } else {
                StreamSet::EMPTY
            };
            if s.grant.allows(Permission::SessionView) {
                s.outbox.restrict(*id, streams);
                s.streams = streams;
            } else {
                s.outbox.shut(*id);
                gone.push((s.connection(), s.participant));
            }
            let you = You {
                participant_id: participant.map(|p| p.id),
                role: participant.map(|p| p.role),
                can: s.grant.mask,
                read: super::read_by(read, s.participant, s.grant.streams),
            };
            let reason = reason(bodies, s.participant).to_owned();
            let access = Access { session_id: *id, you, streams: readable.iter().collect(), reason };
            s.outbox.push(Frame::encode(&ServerFrame::Access(access)));
        }
        for (connection, participant) in gone {
            fanout.remove(connection);
            presence.disconnect(connection, now);
            if let Some(participant) = participant {
                presence.gone(participant);
                lanes.gone(participant);
            }
        }
        self.count_online();
    }

    /// Tells every reader how far the streams are.
    pub(crate) fn send_heads(&mut self, now: Instant) {
        self.head_due = now + self.shared.config.head_every;
        let (session_id, heads) = (self.id, self.committed.heads());
        self.fanout.flush_all();
        self.fanout.send_by_streams(|streams| {
            let streams = streams.iter().map(|s| (s, heads[s as usize])).collect();
            Frame::encode(&ServerFrame::Head(Head { session_id, streams }))
        });
    }

    /// Keeps the driver's side in step with the committed state.
    fn follow_turn(&mut self, bodies: &[EventBody], now: Instant) {
        for body in bodies {
            match body {
                EventBody::TurnStarted(data) if self.claiming == Some(data.lease.id) => {
                    self.start_driver(data.lease, now)
                }
                EventBody::TurnProgressed(data) => {
                    if let Some(live) = self.live.as_mut().filter(|live| live.turn == data.turn) {
                        live.recorded(data.offset + utf16_len(&data.text));
                    }
                }
                _ => {}
            }
        }
        let running = self.committed.running_turn().map(|t| t.lease.id);
        if self.live.as_ref().is_some_and(|live| running != Some(live.lease)) {
            self.live = None;
        }
        if !self.committed.owed().is_empty() || running.is_some() {
            self.claiming = None;
        }
    }

    /// Hands a claimed turn to the drivers.
    fn start_driver(&mut self, lease: Lease, now: Instant) {
        self.claiming = None;
        let Some(running) = self.committed.running_turn().filter(|t| t.lease.id == lease.id) else { return };
        let Some(room) = self.to_self.upgrade() else { return };
        let cancelled = CancellationToken::new();
        let handle = TurnHandle::new(lease.id, room, cancelled.clone());
        self.live = Some(LiveTurn::new(self.id, running.turn, running.answer, lease, cancelled, now));
        let people: Vec<_> = self.committed.participants().cloned().collect();
        let find = |id: ParticipantId| people.iter().find(|p| p.id == id).cloned();
        let (Some(assistant), Some(requester)) = (find(running.assistant), find(running.requester)) else { return };
        let work = TurnWork {
            session: self.id,
            turn: running.turn,
            attempt: running.attempt,
            title: self.committed.info().title,
            driver: running.driver.clone(),
            assistant,
            requester,
            people,
            memories: Vec::new(),
            transcript: Vec::new(),
            handle,
        };
        let (path, spans) = (self.read_by(running), self.committed.pages(Stream::Main).to_vec());
        let (views, drivers, question) = (Arc::clone(&self.views), self.shared.drivers.clone(), running.message);
        let (session, store) = (self.id, Arc::clone(&self.shared.store));
        let remembers = self.committed.settings().memories_to_assistants;
        tokio::spawn(async move {
            let mut work = work;
            let said = async {
                let read = views.messages(Stream::Main, &path, &spans).await?;
                let mut said = transcript(&read, &work.people, question);
                uploads::read_texts(&*store, session, &mut said).await?;
                let kept = if remembers {
                    memories(&views.view(StreamSet::EMPTY.with(Stream::Main)).await?, &work.people)
                } else {
                    Vec::new()
                };
                Ok::<_, roundtable_store::StoreError>((said, kept))
            };
            match said.await {
                Ok((said, kept)) => (work.transcript, work.memories) = (said, kept),
                Err(error) => {
                    tracing::error!(session.id = %session, %error, "the conversation could not be read for a turn");
                    let detail = "The conversation could not be read. Ask again.";
                    return work.handle.fail("unavailable", detail, Default::default()).await;
                }
            }
            work.people.retain(|p| p.membership == Membership::Joined);
            if let Err(unsent) = drivers.send(work).await {
                let detail = "No assistant runs in this process.";
                unsent.0.handle.fail("no_driver", detail, Default::default()).await;
            }
        });
    }

    /// Returns the numbers of the messages that an assistant reads before it answers, oldest first: the last ones of the
    /// branch on which it answers, or of the one that it is to read, and the question.
    fn read_by(&self, running: &roundtable_core::session::RunningTurn) -> Vec<u64> {
        let session = &self.committed;
        let on = running.on;
        let own =
            if on.branch == roundtable_protocol::BranchId::NIL { session.info().conversation_id } else { on.branch };
        let asked = session.message(running.message).map(|m| m.n);
        let mut path: Vec<u64> = session.path(on.reads.unwrap_or(own)).take(HEAD_MESSAGES).collect();
        path.extend(asked.filter(|n| !path.contains(n)));
        path.sort_unstable();
        path
    }

    /// Counts who is connected, for lists of sessions.
    pub(crate) fn count_online(&mut self) {
        let there = self.presence.online();
        let named = there.iter().filter_map(|id| self.committed.participant(*id)).take(Online::NAMED);
        let named = named.map(|p| OnlinePerson { display_name: p.display_name.clone(), colour: p.colour }).collect();
        self.online.set(there.len(), named);
    }

    /// Returns what writes the snapshots that are due, if any are; the log is whole without them.
    pub(crate) fn write_snapshots(&mut self, when: When) -> Option<impl Future<Output = ()> + Send + use<>> {
        let (store, views, session) = (Arc::clone(&self.shared.store), Arc::clone(&self.views), self.id);
        let retention = store.retention();
        let due = self.tail.take_due(Pace { after: self.shared.config.snapshot_after, retention }, when);
        let rests = when == When::AtRest;
        let state = due.state.then(|| self.committed.to_snapshot());
        if let Some(json) = &state {
            self.tail.state_is(json.len() as u64);
        }
        if state.is_none() && !due.view && !rests {
            return None;
        }
        let (rev, heads) = (self.rev, self.committed.heads());
        Some(async move {
            let all_streams = Stream::ALL.into_iter().collect();
            if state.is_some()
                && retention.is_some()
                && let Err(error) = views.view(all_streams).await
            {
                // The store lets nothing go that this view would have to stand for.
                tracing::warn!(session.id = %session, %error, "the view of all streams could not be written");
            }
            let state = match state {
                Some(json) => put_state(store.as_ref(), session, json, rev).await,
                None => Ok(()),
            };
            let streams = [Stream::Main, Stream::Side].into_iter().collect();
            let view = if due.view { views.write(streams, heads).await } else { Ok(()) };
            if let Err(error) = state.and(view) {
                tracing::warn!(session.id = %session, %error, "a snapshot could not be written; the log is whole");
            }
            if rests {
                views.let_go();
            }
        })
    }
}

/// Keeps a state, compressed off the room's task.
async fn put_state(store: &dyn Store, session: SessionId, json: Vec<u8>, rev: Rev) -> Result<(), StoreError> {
    let packed = tokio::task::spawn_blocking(move || deflate(&json)).await;
    let bytes = packed.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    store.put_state(StateSnapshot { session, format: Session::SNAPSHOT_FORMAT, rev, bytes }).await
}

/// Why somebody's rights are others now.
fn reason(bodies: &[EventBody], participant: Option<ParticipantId>) -> &'static str {
    bodies
        .iter()
        .rev()
        .find_map(|body| match body {
            EventBody::ParticipantRemoved(data) if Some(data.participant) == participant => Some("removed"),
            EventBody::ParticipantLeft(data) if Some(data.participant) == participant => Some("left"),
            EventBody::ParticipantRoleChanged(data) if Some(data.participant) == participant => Some("role_changed"),
            EventBody::SessionOwnerChanged(data) if [data.from, data.to].map(Some).contains(&participant) => {
                Some("role_changed")
            }
            EventBody::SessionSettingsChanged(_) => Some("settings_changed"),
            _ => None,
        })
        .unwrap_or("rights_changed")
}

/// Returns whether an assistant said first what is copied.
fn is_agent(people: &[Participant], from: &CopiedFrom) -> bool {
    let here = |p: &Participant| from.author.participant() == Some(p.id) && p.kind == ParticipantKind::Agent;
    from.there.as_ref().map_or_else(|| people.iter().any(here), |there| there.agent)
}

/// Returns who said a message; of one of another session, as far as it is told.
fn author(message: &MessageView, people: &[Participant]) -> Option<Participant> {
    let from = message.copied_from.as_ref();
    let id = from.map_or(message.author, |c| c.author).participant()?;
    let Some(there) = from.and_then(|from| from.there.as_ref()) else {
        return people.iter().find(|p| p.id == id).cloned();
    };
    Some(Participant {
        id,
        user_id: roundtable_protocol::UserId::NIL,
        kind: if there.agent { ParticipantKind::Agent } else { ParticipantKind::User },
        role: roundtable_protocol::Role::Viewer,
        display_name: there.name.clone(),
        colour: 0,
        guest: false,
        membership: Membership::Left,
        joined_at: there.at,
    })
}

/// Returns what is kept in mind, for a driver: pinned ones first, then the newest. Memories are told in `main` alone.
fn memories(
    view: &roundtable_protocol::View,
    people: &[roundtable_protocol::model::Participant],
) -> Vec<TranscriptMemory> {
    let known = |memory: &roundtable_protocol::memory::Memory| {
        let author = people.iter().find(|p| Some(p.id) == memory.author.participant())?.clone();
        Some(TranscriptMemory { author, pinned: memory.pinned, text: memory.text.clone() })
    };
    let mut all: Vec<_> = view.memories.iter().rev().filter_map(known).collect();
    all.sort_by_key(|memory| !memory.pinned);
    all
}

/// Returns what was said on a branch, for a driver.
fn transcript(
    messages: &[MessageView],
    people: &[Participant],
    question: roundtable_protocol::MessageId,
) -> Vec<TranscriptMessage> {
    messages
        .iter()
        .filter(|m| !m.redacted && (!m.text.is_empty() || !m.attachments.is_empty()))
        .map(|m| TranscriptMessage {
            id: m.id,
            // Copied words are those of who said them first.
            author: author(m, people),
            at: m.at,
            text: m.text.clone(),
            attachments: m
                .attachments
                .iter()
                .map(|a| TranscriptAttachment { attachment: a.clone(), text: None })
                .collect(),
            answer: m.answer.is_some() || m.copied_from.as_ref().is_some_and(|c| is_agent(people, c)),
            asks: m.id == question,
        })
        .collect()
}
