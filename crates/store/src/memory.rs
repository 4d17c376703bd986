//! The store that forgets: everything in one map behind one lock, for tests and the simulator's sake.
//!
//! Owns: the same answers as the embedded store, the hash chain included. Must not know: disks.
//! Invariant: no lock is held across an await.

mod state;

use std::sync::{Mutex, PoisonError};

use roundtable_protocol::{
    AttachmentId, EventId, LinkId, ParticipantId, ProjectId, Rev, Seq, SessionId, Stream, Timestamp, UserId,
};
use uuid::Uuid;

use self::state::State;
use crate::blobs::{self, Content, NewBlob};
use crate::types::{
    AppendError, Appended, BlobHash, Commit, Deletion, DirectoryEntry, DocumentUpdate, Found, Link, Login, OutboxRow,
    PageToken, SessionHead, ShareCode, StateSnapshot, StoreError, StoredAttachment, StoredEvent, TokenHash, Totals,
    User, UserPatch, Verification, ViewKey, ViewSnapshot,
};
use crate::{Answer, Store};

const CLOSED: &str = "the store is closed";

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    /// `None` once closed.
    state: Mutex<Option<State>>,
    max_events: Option<usize>,
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self { state: Mutex::new(Some(State::default())), max_events: None }
    }

    /// Makes an empty store that keeps about the last `max_events` events of each session, at least 1.
    ///
    /// When a session has more, the oldest go until half as many are left, as far as the last snapshots of its state and
    /// view stand for them. Reading what is gone answers [`StoreError::Trimmed`]. Commands whose events are gone are not
    /// known as repeated any more, and texts in the view's snapshot stay in memory until it is made anew.
    ///
    /// ```
    /// use roundtable_store::{MemoryStore, Store};
    ///
    /// assert_eq!(MemoryStore::with_max_events(1_000).retention(), Some(500));
    /// assert_eq!(MemoryStore::new().retention(), None);
    /// ```
    pub fn with_max_events(max_events: usize) -> Self {
        Self { max_events: Some(max_events.max(1)), ..Self::new() }
    }

    fn with<T: Send>(&self, f: impl FnOnce(&mut State) -> T + Send) -> Result<T, StoreError> {
        // A panic in a test leaves whole values behind: every mutation checks first and writes after.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.as_mut().map(f).ok_or_else(|| StoreError::Unavailable(CLOSED.to_owned()))
    }

    fn answer<'a, T: Send + 'a>(&'a self, f: impl FnOnce(&mut State) -> T + Send + 'a) -> Answer<'a, T> {
        Box::pin(async move { self.with(f) })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn append(&self, commit: Commit) -> Answer<'_, Appended, AppendError> {
        Box::pin(async move {
            self.with(|state| state.append(commit)).map_err(|_| AppendError::Unavailable(CLOSED.to_owned()))?
        })
    }

    fn retention(&self) -> Option<usize> {
        self.max_events.map(|most| most.div_ceil(2))
    }

    fn head(&self, session: SessionId) -> Answer<'_, Option<SessionHead>> {
        self.answer(move |state| state.head(session))
    }

    fn read(
        &self,
        session: SessionId,
        stream: Stream,
        after: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Answer<'_, Vec<StoredEvent>> {
        Box::pin(async move { self.with(|state| state.read(session, stream, after, limit, max_bytes))? })
    }

    fn read_commits(&self, session: SessionId, after: Rev, limit: usize) -> Answer<'_, Vec<StoredEvent>> {
        Box::pin(async move { self.with(|state| state.read_commits(session, after, limit))? })
    }

    fn find(&self, session: SessionId, id: EventId) -> Answer<'_, Option<Found>> {
        self.answer(move |state| state.find(session, id))
    }

    fn verify(&self, session: SessionId) -> Answer<'_, Verification> {
        self.answer(move |state| state.verify(session))
    }

    fn due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<SessionId>> {
        self.answer(move |state| state.due(now, limit))
    }

    fn put_state(&self, snapshot: StateSnapshot) -> Answer<'_, ()> {
        self.answer(move |state| {
            let session = state.sessions.get_mut(&snapshot.session).filter(|s| s.takes(snapshot.rev));
            if let Some(session) = session.filter(|s| s.state.as_ref().is_none_or(|kept| kept.rev <= snapshot.rev)) {
                session.state = Some(snapshot);
                if let Some(most) = self.max_events {
                    session.trim(most);
                }
            }
        })
    }

    fn state(&self, session: SessionId) -> Answer<'_, Option<StateSnapshot>> {
        self.answer(move |state| state.sessions.get(&session)?.state.clone())
    }

    fn put_view(&self, session: SessionId, key: ViewKey, snapshot: ViewSnapshot) -> Answer<'_, ()> {
        self.answer(move |state| {
            let session = state.sessions.get_mut(&session).filter(|s| s.takes(snapshot.rev));
            if let Some(session) = session.filter(|s| s.views.get(&key).is_none_or(|kept| kept.rev <= snapshot.rev)) {
                session.views.insert(key, snapshot);
            }
        })
    }

    fn view(&self, session: SessionId, key: ViewKey) -> Answer<'_, Option<ViewSnapshot>> {
        self.answer(move |state| state.sessions.get(&session)?.views.get(&key).cloned())
    }

    fn session(&self, session: SessionId) -> Answer<'_, Option<DirectoryEntry>> {
        self.answer(move |state| state.sessions.get(&session)?.entry(None))
    }

    fn sessions_of(
        &self,
        user: UserId,
        search: Option<String>,
        page: Option<PageToken>,
        limit: usize,
    ) -> Answer<'_, Vec<DirectoryEntry>> {
        self.answer(move |state| state.sessions_of(user, search.as_deref(), page, limit))
    }

    fn delete_session(&self, session: SessionId) -> Answer<'_, Deletion> {
        self.answer(move |state| state.delete_session(session))
    }

    fn totals(&self) -> Answer<'_, Totals> {
        self.answer(|state| state.totals())
    }

    fn put_user(&self, user: User) -> Answer<'_, bool> {
        self.answer(move |state| match state.users.entry(user.id) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(user);
                true
            }
        })
    }

    fn user(&self, user: UserId) -> Answer<'_, Option<User>> {
        self.answer(move |state| state.users.get(&user).cloned())
    }

    fn change_user(&self, user: UserId, patch: UserPatch) -> Answer<'_, Option<User>> {
        self.answer(move |state| {
            let user = state.users.get_mut(&user)?;
            user.display_name = patch.display_name.unwrap_or_else(|| user.display_name.clone());
            user.colour = patch.colour.or(user.colour);
            Some(user.clone())
        })
    }

    fn put_login(&self, login: Login) -> Answer<'_, ()> {
        self.answer(move |state| {
            state.logins.insert(login.token_hash, login);
        })
    }

    fn login(&self, token_hash: TokenHash) -> Answer<'_, Option<Login>> {
        self.answer(move |state| state.logins.get(&token_hash).cloned())
    }

    fn end_login(&self, token_hash: TokenHash) -> Answer<'_, bool> {
        self.answer(move |state| {
            let there = state.logins.remove(&token_hash).is_some();
            state.everywhere += u64::from(there);
            there
        })
    }

    fn put_link(&self, link: Link) -> Answer<'_, bool> {
        self.answer(move |state| state.put_link(link))
    }

    fn link(&self, token_hash: TokenHash) -> Answer<'_, Option<Link>> {
        self.answer(move |state| state.links.values().find(|link| link.token_hash == token_hash).cloned())
    }

    fn links(&self, session: SessionId) -> Answer<'_, Vec<Link>> {
        self.answer(move |state| {
            let mut links: Vec<_> = state.links.values().filter(|link| link.session == session).cloned().collect();
            links.sort_by_key(|link| std::cmp::Reverse((link.created_at, link.id)));
            links
        })
    }

    fn revoke_link(&self, session: SessionId, link: LinkId, at: Timestamp) -> Answer<'_, Option<Link>> {
        self.answer(move |state| state.revoke_link(session, link, at))
    }

    fn use_link(&self, link: LinkId, at: Timestamp) -> Answer<'_, bool> {
        self.answer(move |state| {
            let live = state.links.get_mut(&link).filter(|link| link.is_live(at));
            live.is_some_and(|link| {
                link.uses += 1;
                link.last_used_at = Some(at);
                true
            })
        })
    }

    fn share_code(&self, session: SessionId) -> Answer<'_, ShareCode> {
        self.answer(move |state| state.sessions.get(&session).map_or(ShareCode::Never, |session| session.code.clone()))
    }

    fn put_share_code(&self, session: SessionId, code: String, replace: bool) -> Answer<'_, bool> {
        self.answer(move |state| state.put_share_code(session, code, replace))
    }

    fn end_share_code(&self, session: SessionId) -> Answer<'_, bool> {
        self.answer(move |state| state.end_share_code(session))
    }

    fn begin_blob(&self) -> Answer<'_, NewBlob> {
        self.answer(|_| NewBlob::in_memory())
    }

    fn put_attachment(&self, attachment: StoredAttachment, content: NewBlob) -> Answer<'_, Option<StoredAttachment>> {
        Box::pin(async move {
            let foreign = || StoreError::Unavailable("this content belongs to another store".to_owned());
            let (hash, content) = content.into_memory().ok_or_else(foreign)?;
            self.with(move |state| state.put_attachment(StoredAttachment { hash, ..attachment }, content))
        })
    }

    fn attachments(&self, session: SessionId, ids: Vec<AttachmentId>) -> Answer<'_, Vec<StoredAttachment>> {
        self.answer(move |state| {
            let found = ids.iter().filter_map(|id| state.attachments.get(id));
            found.filter(|found| found.session == session).cloned().collect()
        })
    }

    fn read_blob(&self, hash: BlobHash) -> Answer<'_, Option<Content>> {
        self.answer(move |state| state.blobs.get(&hash).cloned().map(blobs::whole))
    }

    fn drop_unposted(&self, until: Timestamp) -> Answer<'_, u64> {
        self.answer(move |state| {
            state.drop_attachments(|attachment| attachment.message.is_none() && attachment.created_at <= until)
        })
    }

    fn session_by_code(&self, code: String) -> Answer<'_, Option<SessionId>> {
        self.answer(move |state| state.session_by_code(code))
    }

    fn rights_epoch(&self, project: ProjectId) -> Answer<'_, u64> {
        self.answer(move |state| state.rights_epoch(project))
    }

    fn raise_rights_epoch(&self, project: ProjectId) -> Answer<'_, u64> {
        self.answer(move |state| state.raise_rights_epoch(project))
    }

    fn put_read_mark(
        &self,
        session: SessionId,
        participant: ParticipantId,
        stream: Stream,
        seq: Seq,
    ) -> Answer<'_, ()> {
        self.answer(move |state| {
            if let Some(session) = state.sessions.get_mut(&session) {
                let mark = session.read_marks.entry((participant, stream)).or_insert(Seq::ZERO);
                *mark = seq.max(*mark);
            }
        })
    }

    fn read_marks(&self, session: SessionId) -> Answer<'_, Vec<(ParticipantId, Stream, Seq)>> {
        self.answer(move |state| {
            let marks = state.sessions.get(&session).map(|session| &session.read_marks);
            marks.into_iter().flatten().map(|(&(who, stream), &seq)| (who, stream, seq)).collect()
        })
    }

    fn outbox_due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<OutboxRow>> {
        self.answer(move |state| {
            let mut due: Vec<_> = state.outbox.values().filter(|row| row.row.due_at <= now).cloned().collect();
            due.sort_by_key(|row| (row.row.due_at, row.id));
            due.truncate(limit);
            due
        })
    }

    fn outbox_done(&self, id: u64) -> Answer<'_, bool> {
        self.answer(move |state| state.outbox.remove(&id).is_some())
    }

    fn document_updates(&self, session: SessionId, document: Uuid, after: u64) -> Answer<'_, Vec<DocumentUpdate>> {
        self.answer(move |state| {
            let updates = state.sessions.get(&session).and_then(|session| session.documents.get(&document));
            updates.into_iter().flatten().filter(|update| update.n > after).cloned().collect()
        })
    }

    fn exclusive(&self) -> bool {
        true
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = None;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    async fn make() -> (super::MemoryStore, ()) {
        (super::MemoryStore::new(), ())
    }

    crate::contract_tests!(make);
}
