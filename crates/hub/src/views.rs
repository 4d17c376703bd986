//! View snapshots and pages, made off the room's task.
//!
//! Owns: the head of the view for each set of streams and the pages of folded messages, in memory and in the store.
//! Must not know: who may read what. Invariant: nothing here is made anew for each joiner; a head is as old as its
//! `at` says, and the events after it are read from the log. What is kept is a cache: when it cannot be kept, reading
//! goes on without it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use roundtable_core::session::PageSpan;
use roundtable_protocol::event::BodyError;
use roundtable_protocol::frame::{HEAD_MESSAGES, PAGE_MESSAGES, ServerFrame, Snapshot};
use roundtable_protocol::view::{MessageView, Page, StreamView};
use roundtable_protocol::{Event, Rev, Seq, SessionId, Stream, StreamSet, View};
use roundtable_store::{READ_BYTES, Store, StoreError, StoredEvent, ViewKey, ViewSnapshot};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::frame::{Frame, deflate_json, inflate};

/// How many events after a head are replayed rather than folded in.
const FOLD_AFTER: u64 = 256;
/// The format of what is kept, raised whenever the fold makes something else of the same events: what another version
/// has kept is made again from the log.
const FORMAT: u32 = 2;
/// How many events are read at once while folding.
const CHUNK: usize = 2_000;

/// The views of one session.
pub(crate) struct Views {
    session: SessionId,
    store: Arc<dyn Store>,
    /// Held while a head is made, so that a crowd of joiners waits for one fold. The room's task never waits for it.
    making: tokio::sync::Mutex<()>,
    heads: std::sync::Mutex<Heads>,
}

#[derive(Default)]
struct Heads {
    known: HashMap<StreamSet, Held>,
    /// How often everything was forgotten; a head that was begun before is not kept.
    forgotten: u64,
}

/// A head at hand.
struct Held {
    head: Head,
    /// Since [`Views::let_go_unused`] was called last.
    used: bool,
}

/// The head of the view for one set of streams.
#[derive(Clone)]
pub(crate) struct Head {
    rev: Rev,
    /// The seq of each stream that is folded in.
    pub(crate) at: BTreeMap<Stream, Seq>,
    /// The frame that carries it.
    pub(crate) frame: Frame,
}

impl Views {
    pub(crate) fn new(session: SessionId, store: Arc<dyn Store>) -> Self {
        Self { session, store, making: tokio::sync::Mutex::default(), heads: std::sync::Mutex::default() }
    }

    /// Returns a head for readers of `streams` that is at most [`FOLD_AFTER`] events older than `now`.
    pub(crate) async fn head(&self, streams: StreamSet, now: [Seq; 4]) -> Result<Head, StoreError> {
        let _turn = self.making.lock().await;
        let (known, forgotten) = self.at_hand(streams);
        if let Some(head) = known.filter(|head| is_young(&head.at, streams, now)) {
            return Ok(head);
        }
        let Folded { rev, view } = self.young(streams, now).await?;
        let head = Head::new(self.session, rev, view);
        self.know(streams, &head, forgotten);
        Ok(head)
    }

    /// Returns the view of `streams` with everything folded in that is in the log now.
    pub(crate) async fn view(&self, streams: StreamSet) -> Result<View, StoreError> {
        Ok(self.view_at(streams).await?.1)
    }

    /// Returns the same with the last commit that is folded in.
    pub(crate) async fn view_at(&self, streams: StreamSet) -> Result<(Rev, View), StoreError> {
        let _turn = self.making.lock().await;
        let old = self.base(streams).await?;
        let Folded { rev, view } = self.fold_on(streams, old).await?;
        Ok((rev, view))
    }

    /// Sees to it that the store has a view of `streams` that is at most [`FOLD_AFTER`] events older than `now`.
    pub(crate) async fn write(&self, streams: StreamSet, now: [Seq; 4]) -> Result<(), StoreError> {
        let _turn = self.making.lock().await;
        match self.at_hand(streams).0 {
            Some(head) if is_young(&head.at, streams, now) => Ok(()),
            _ => self.young(streams, now).await.map(drop),
        }
    }

    /// Forgets everything at hand: text has been erased, and the store has dropped its copies.
    pub(crate) fn forget(&self) {
        let mut heads = self.heads();
        heads.known.clear();
        heads.forgotten += 1;
    }

    /// Lets go of everything at hand; the store has it.
    pub(crate) fn let_go(&self) {
        self.heads().known.clear();
    }

    /// Lets go of what was not used since the last call.
    pub(crate) fn let_go_unused(&self) {
        self.heads().known.retain(|_, held| std::mem::take(&mut held.used));
    }

    /// Returns the head that is at hand, and how often everything was forgotten before.
    fn at_hand(&self, streams: StreamSet) -> (Option<Head>, u64) {
        let mut heads = self.heads();
        let known = heads.known.get_mut(&streams).map(|held| {
            held.used = true;
            held.head.clone()
        });
        (known, heads.forgotten)
    }

    /// Returns the newest view of `streams` that was folded before, at hand or in the store.
    async fn base(&self, streams: StreamSet) -> Result<Option<Folded>, StoreError> {
        match self.at_hand(streams).0.and_then(|head| head.folded()) {
            Some(folded) => Ok(Some(folded)),
            None => self.stored(streams).await,
        }
    }

    /// Returns a view that is young enough for readers, folding only if there is none.
    async fn young(&self, streams: StreamSet, now: [Seq; 4]) -> Result<Folded, StoreError> {
        match self.base(streams).await? {
            Some(old) if is_young(&old.at(), streams, now) => Ok(old),
            old => self.fold_on(streams, old).await,
        }
    }

    fn know(&self, streams: StreamSet, head: &Head, forgotten: u64) {
        let mut heads = self.heads();
        if heads.forgotten == forgotten {
            heads.known.insert(streams, Held { head: head.clone(), used: true });
        }
    }

    fn heads(&self) -> MutexGuard<'_, Heads> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a page of folded messages.
    pub(crate) async fn page(&self, stream: Stream, page: u64, span: PageSpan, full: bool) -> Result<Page, StoreError> {
        let key = ViewKey::Page(stream, page);
        if let Some(kept) = self.store.view(self.session, key).await?
            && let Some(kept) = unpack::<Page>(&kept.bytes)
            && kept.at >= span.changed
        {
            return Ok(kept);
        }
        // Taken before reading: the store drops a page that may be older than the erasing of a text.
        let rev = self.store.head(self.session).await?.map_or(Rev::ZERO, |head| head.rev);
        let made = self.make_page(stream, page, span).await?;
        if full {
            self.keep(key, ViewSnapshot { rev, bytes: pack(&made) }).await;
        }
        Ok(made)
    }

    /// Returns messages by their numbers, which go up, as they are now.
    pub(crate) async fn messages(
        &self,
        stream: Stream,
        numbers: &[u64],
        spans: &[PageSpan],
    ) -> Result<Vec<MessageView>, StoreError> {
        let view = self.view(StreamSet::EMPTY.with(stream)).await?;
        let newest = view.streams.get(&stream).map_or(&[][..], |s| &s.messages);
        let held = newest.first().map_or(u64::MAX, |m| m.n);
        let mut all = Vec::with_capacity(numbers.len());
        let mut page: Option<Page> = None;
        for n in numbers {
            if *n >= held {
                all.extend(newest.iter().find(|m| m.n == *n).cloned());
                continue;
            }
            let number = n / PAGE_MESSAGES;
            if page.as_ref().is_none_or(|p| p.page != number) {
                let place = usize::try_from(number).unwrap_or(usize::MAX);
                let Some(span) = spans.get(place) else { continue };
                page = Some(match self.page(stream, number, *span, place + 1 < spans.len()).await {
                    // What is not kept any more cannot be said again.
                    Err(StoreError::Trimmed { .. }) => {
                        Page { stream, page: number, at: Seq::ZERO, messages: Vec::new() }
                    }
                    read => read?,
                });
            }
            all.extend(page.iter().flat_map(|p| &p.messages).find(|m| m.n == *n).cloned());
        }
        Ok(all)
    }

    async fn make_page(&self, stream: Stream, page: u64, span: PageSpan) -> Result<Page, StoreError> {
        let mut view = View::default();
        let mut at = Seq(span.first.0 - 1);
        let empty = StreamView { head: at, count: page * PAGE_MESSAGES, messages: Vec::new() };
        view.streams.insert(stream, empty);
        while at < span.changed {
            let events = self.store.read(self.session, stream, at, CHUNK, READ_BYTES).await?;
            if events.is_empty() {
                break;
            }
            for event in events.iter().take_while(|e| e.seq <= span.changed) {
                fold(&mut view, event);
            }
            at = events.last().map_or(span.changed, |e| e.seq).min(span.changed);
            if let Some(of) = view.streams.get_mut(&stream) {
                of.messages.truncate(usize::try_from(PAGE_MESSAGES).unwrap_or(usize::MAX));
            }
        }
        let messages = view.page(stream, page).map_or_else(Vec::new, |p| p.messages);
        Ok(Page { stream, page, at: span.changed, messages })
    }

    /// Folds everything after `old` in and keeps the result in the store.
    async fn fold_on(&self, streams: StreamSet, old: Option<Folded>) -> Result<Folded, StoreError> {
        let Folded { mut rev, mut view } = old.unwrap_or_default();
        let before = rev;
        loop {
            let events = self.store.read_commits(self.session, rev, CHUNK).await?;
            let Some(last) = events.last() else { break };
            rev = last.rev;
            for event in events.iter().filter(|e| streams.contains(e.stream)) {
                fold(&mut view, event);
            }
            view = view.into_head(streams);
        }
        for stream in streams.iter() {
            view.streams.entry(stream).or_default();
        }
        debug_assert!(view.streams.values().all(|s| s.messages.len() <= HEAD_MESSAGES), "heads are trimmed");
        if rev > before {
            self.keep(ViewKey::Head(streams), ViewSnapshot { rev, bytes: pack(&view) }).await;
        }
        Ok(Folded { rev, view })
    }

    async fn stored(&self, streams: StreamSet) -> Result<Option<Folded>, StoreError> {
        let Some(kept) = self.store.view(self.session, ViewKey::Head(streams)).await? else {
            return self.stored_of_all(streams).await;
        };
        Ok(unpack(&kept.bytes).map(|view| Folded { rev: kept.rev, view }))
    }

    /// Makes a view of the one of all streams, where the log may not be kept from its beginning.
    async fn stored_of_all(&self, streams: StreamSet) -> Result<Option<Folded>, StoreError> {
        if self.store.retention().is_none() {
            return Ok(None);
        }
        let all = self.store.view(self.session, ViewKey::Head(Stream::ALL.into_iter().collect())).await?;
        let read = |kept: ViewSnapshot| {
            let view: View = unpack(&kept.bytes)?;
            Some(Folded { rev: kept.rev, view: view.into_head(streams) })
        };
        Ok(all.and_then(read))
    }

    async fn keep(&self, key: ViewKey, snapshot: ViewSnapshot) {
        if let Err(error) = self.store.put_view(self.session, key, snapshot).await {
            tracing::warn!(session.id = %self.session, %error, "a view cannot be kept and will be made again");
        }
    }
}

/// A view and the rev up to which everything is in it.
#[derive(Default)]
struct Folded {
    rev: Rev,
    view: View,
}

impl Folded {
    fn at(&self) -> BTreeMap<Stream, Seq> {
        self.view.streams.iter().map(|(stream, v)| (*stream, v.head)).collect()
    }
}

impl Head {
    fn new(session_id: SessionId, rev: Rev, view: View) -> Self {
        let folded = Folded { rev, view };
        let at = folded.at();
        let snapshot = Snapshot { session_id, at: at.clone(), head: folded.view };
        Self { rev, at, frame: Frame::encode(&ServerFrame::Snapshot(snapshot)) }
    }

    fn folded(&self) -> Option<Folded> {
        match serde_json::from_slice(self.frame.text()) {
            Ok(ServerFrame::Snapshot(snapshot)) => Some(Folded { rev: self.rev, view: snapshot.head }),
            _ => None,
        }
    }
}

/// Whether so little came after `at` that it is replayed rather than folded in.
fn is_young(at: &BTreeMap<Stream, Seq>, streams: StreamSet, now: [Seq; 4]) -> bool {
    let after = |s: Stream| now[s as usize].0.saturating_sub(at.get(&s).map_or(0, |seq| seq.0));
    streams.iter().map(after).sum::<u64>() <= FOLD_AFTER
}

/// Folds a stored event in; one that this version does not know only counts.
pub(crate) fn fold(view: &mut View, event: &StoredEvent) {
    match Event::from_stored(event.stream, event.seq, &event.header, &event.body) {
        Ok(event) => view.apply(&event),
        Err(BodyError::UnknownKind(_)) => view.skip(event.stream, event.seq),
        Err(error) => {
            tracing::error!(stream = %event.stream, seq = event.seq.0, %error, "a stored event cannot be read");
            view.skip(event.stream, event.seq);
        }
    }
}

/// What the store keeps.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    format: u32,
    kept: T,
}

fn pack<T: Serialize>(kept: &T) -> Bytes {
    deflate_json(&Kept { format: FORMAT, kept })
}

fn unpack<T: DeserializeOwned>(bytes: &Bytes) -> Option<T> {
    serde_json::from_slice::<Kept<T>>(&inflate(bytes)?).ok().filter(|k| k.format == FORMAT).map(|k| k.kept)
}

#[cfg(test)]
mod tests {
    use roundtable_store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn a_view_is_held_while_it_is_asked_for_and_no_longer() {
        let views = Views::new(SessionId(crate::clock::new_key()), Arc::new(MemoryStore::default()));
        let streams = StreamSet::EMPTY.with(Stream::Main);
        let is_held = || views.heads().known.contains_key(&streams);
        views.head(streams, [Seq::ZERO; 4]).await.expect("folded");
        views.let_go_unused();
        assert!(is_held(), "somebody has just asked");
        views.head(streams, [Seq::ZERO; 4]).await.expect("at hand");
        views.let_go_unused();
        assert!(is_held(), "and again");
        views.let_go_unused();
        assert!(!is_held(), "nobody has asked since");
        views.head(streams, [Seq::ZERO; 4]).await.expect("folded");
        views.let_go();
        assert!(!is_held());
    }
}
