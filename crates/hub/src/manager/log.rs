//! The log for people and programs: filtered history, who has read what, what an author knew.
//!
//! Owns: questions about events that need more than one row. Must not know: how rows are kept. Invariant: an event of a
//! stream that the user may not read is never told of, not even by its number.

use roundtable_protocol::{Actor, BranchId, EventHeader, ParticipantId};
use roundtable_store::StoredEvent;
use serde::Deserialize;

use super::reading::PAGE_BYTES;
use super::*;

/// How many events one filtered question looks at.
const LOOK_AT_MOST: usize = 10_000;
/// How many events are read at once.
const CHUNK: usize = 1_000;
/// How many events that an author had not seen are named.
const NAME_AT_MOST: u64 = 1_000;

/// Which events of a stream.
#[derive(Clone, Debug)]
pub struct HistoryQuery {
    /// The stream.
    pub stream: Stream,
    /// The seq after which to begin.
    pub after: Seq,
    /// Most events that are answered.
    pub limit: usize,
    /// Only these kinds; all when empty.
    pub kinds: Vec<String>,
    /// Only what this participant did.
    pub by: Option<ParticipantId>,
    /// Only what happened on this branch.
    pub branch: Option<BranchId>,
}

/// Events that were asked for, and how far was looked.
#[derive(Clone, Debug)]
pub struct History {
    /// The events.
    pub page: EventPage,
    /// Where to go on; none at the stream's end.
    pub next: Option<Seq>,
}

/// What an event's author knew.
#[derive(Clone, Debug)]
pub struct Known {
    /// The event.
    pub id: EventId,
    /// Who did it.
    pub actor: Actor,
    /// The last seq of the event's own stream that its author had applied; none when the client did not say.
    pub seen: Option<Seq>,
    /// The seqs between that and the event, others' first: what happened at the same time. At most 1,000.
    pub unseen: Vec<Seq>,
    /// What it names as its parents: where they are, for those that the user may read.
    pub causes: Vec<(EventId, Option<(Stream, Seq)>)>,
}

/// How far participants have read.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    /// Who has applied the event.
    pub by: Vec<Participant>,
    /// Who is in the session and has not, as far as is known.
    pub not_by: Vec<Participant>,
}

/// How many messages of others somebody has not read, by stream.
pub type Unread = Vec<(Stream, u64)>;

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
    actor: Actor,
    #[serde(default)]
    branch: Option<BranchId>,
}

impl HistoryQuery {
    fn filters(&self) -> bool {
        !self.kinds.is_empty() || self.by.is_some() || self.branch.is_some()
    }

    fn wants(&self, stored: &StoredEvent) -> bool {
        let Ok(head) = serde_json::from_slice::<Head<'_>>(&stored.header) else { return false };
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| *kind == head.kind))
            && self.by.is_none_or(|by| head.actor == Actor::Participant(by))
            && self.branch.is_none_or(|branch| head.branch == Some(branch))
    }
}

impl SessionManager {
    /// Returns events of a stream after a seq, filtered by kind, person and branch. One call looks at 10,000 events at
    /// most; [`History::next`] says where to go on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_store::MemoryStore;
    /// use roundtable_hub::{HistoryQuery, HubConfig, SessionManager, clock};
    /// use roundtable_protocol::{Seq, Stream};
    /// # let (manager, _turns) = SessionManager::new(Arc::new(MemoryStore::default()), HubConfig::default());
    /// # let ana = roundtable_protocol::UserId(clock::new_key());
    /// # let session = manager.create(clock::new_key(), roundtable_hub::Founding::simple(ana, "Ana")).await?.info.id;
    /// manager.pause(session, ana, None).await?;
    /// let kinds = vec!["session.paused".to_owned()];
    /// let query = HistoryQuery { stream: Stream::Main, after: Seq::ZERO, limit: 10, kinds, by: None, branch: None };
    /// assert_eq!(manager.find_events(session, ana, query).await?.page.events.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session or stream for this user.
    pub async fn find_events(&self, session: SessionId, user: UserId, query: HistoryQuery) -> Result<History, Problem> {
        if !query.filters() {
            let page = self.events(session, user, query.stream, query.after, query.limit).await?;
            let last = query.after.0 + page.events.len() as u64;
            let next = (last < page.head.0 && !page.events.is_empty()).then_some(Seq(last));
            return Ok(History { page, next });
        }
        let (epoch, head) = self.readable(session, user, query.stream).await?;
        let (mut events, mut last, mut looked) = (Vec::new(), query.after, 0);
        while last < head && events.len() < query.limit && looked < LOOK_AT_MOST {
            let stored = self.shared.store.read(session, query.stream, last, CHUNK, PAGE_BYTES).await;
            let stored = stored.map_err(unavailable)?;
            let Some(newest) = stored.last().map(|e| e.seq) else { break };
            for one in stored.iter().filter(|e| e.seq <= head) {
                last = one.seq;
                looked += 1;
                if query.wants(one) {
                    events.push(wire(one).into());
                    if events.len() == query.limit {
                        break;
                    }
                }
            }
            last = if events.len() < query.limit { newest.min(head) } else { last };
        }
        let page = EventPage { epoch, head, events };
        Ok(History { page, next: (last < head).then_some(last) })
    }

    /// Returns who has applied an event and who has not. What somebody has applied is known from their acknowledgements;
    /// a program that never sends any is never named.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::{Seq, Stream};
    ///
    /// let read = manager.acknowledged_by(session, ana, Stream::Main, Seq(1)).await?;
    /// assert_eq!((read.by.len(), read.not_by.len()), (0, 1));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such event for this user.
    pub async fn acknowledged_by(
        &self,
        session: SessionId,
        user: UserId,
        stream: Stream,
        seq: Seq,
    ) -> Result<Acknowledged, Problem> {
        self.viewed(session, user, move |look, grant| {
            let head = look.session.heads()[stream as usize];
            if !grant.streams.contains(stream) || seq > head || seq == Seq::ZERO {
                return None;
            }
            let has = |p: &&Participant| look.read.get(&(p.id, stream)).is_some_and(|read| *read >= seq);
            let here = look.session.participants().filter(|p| p.membership == Membership::Joined);
            let (by, not_by): (Vec<_>, Vec<_>) = here.partition(has);
            let people = |all: Vec<&Participant>| all.into_iter().cloned().collect();
            Some(Acknowledged { by: people(by), not_by: people(not_by) })
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))
    }

    /// Returns what an event's author knew: how far they had applied its stream, what happened at the same time, and the
    /// parents that the event names.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::{Seq, Stream};
    ///
    /// let known = manager.known(session, ana, Stream::Main, Seq(1)).await?;
    /// assert_eq!(known.seen, None, "the server says nothing of what it had seen");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such event for this user.
    pub async fn known(&self, session: SessionId, user: UserId, stream: Stream, seq: Seq) -> Result<Known, Problem> {
        let streams = self.viewed(session, user, |_, grant| grant.streams).await?;
        let (_, head) = self.readable(session, user, stream).await?;
        let not_found = || Problem::new(Code::NotFound).with_detail("There is no such event.");
        if seq == Seq::ZERO || seq > head {
            return Err(not_found());
        }
        let stored = self.shared.store.read(session, stream, Seq(seq.0 - 1), 1, PAGE_BYTES).await;
        let stored = stored.map_err(unavailable)?.into_iter().find(|e| e.seq == seq).ok_or_else(not_found)?;
        let header: EventHeader = serde_json::from_slice(&stored.header).map_err(|_| not_found())?;
        let mut causes = Vec::with_capacity(header.causes.len());
        for cause in &header.causes {
            let found = self.shared.store.find(session, *cause).await.map_err(unavailable)?;
            let place = found.map(|f| (f.event.stream, f.event.seq)).filter(|(s, _)| streams.contains(*s));
            causes.push((*cause, place));
        }
        let unseen = header.seen.map_or(seq.0..seq.0, |seen| seen.0 + 1..seq.0);
        let unseen = unseen.take(usize::try_from(NAME_AT_MOST).unwrap_or(usize::MAX)).map(Seq).collect();
        Ok(Known { id: header.id, actor: header.actor, seen: header.seen, unseen, causes })
    }

    /// Returns how many messages of others a user has not read, in the streams that they may read. Loads the session.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::Stream;
    ///
    /// assert_eq!(manager.unread(session, ana).await?[0], (Stream::Main, 0));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session or the user may not see it.
    pub async fn unread(&self, session: SessionId, user: UserId) -> Result<Unread, Problem> {
        self.viewed(session, user, move |look, grant| {
            let Some(me) = joined(look.session, user).map(|p| p.id) else { return Vec::new() };
            let after = |stream| look.read.get(&(me, stream)).copied().unwrap_or(Seq::ZERO);
            let count = |stream| (stream, look.session.unread(stream, after(stream), me));
            [Stream::Main, Stream::Side].into_iter().filter(|s| grant.streams.contains(*s)).map(count).collect()
        })
        .await
    }

    /// Returns epoch and head of a stream that the user may read.
    async fn readable(&self, session: SessionId, user: UserId, stream: Stream) -> Result<(Epoch, Seq), Problem> {
        let look = move |look: &mut Look<'_>, grant: Grant| {
            let head = look.session.heads()[stream as usize];
            grant.streams.contains(stream).then(|| (look.session.epoch().clone(), head))
        };
        self.viewed(session, user, look).await?.ok_or_else(|| Problem::new(Code::NotFound))
    }
}
