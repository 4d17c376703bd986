//! A store that says no, loses its answers, or keeps its callers waiting.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use roundtable_protocol::{
    AttachmentId, EventId, LinkId, ParticipantId, ProjectId, Rev, Seq, SessionId, Stream, Timestamp, UserId,
};
use roundtable_store::{
    Answer, AppendError, Appended, BlobHash, Commit, Content, Deletion, DirectoryEntry, DocumentUpdate, Found, Link,
    Login, MemoryStore, NewBlob, OutboxRow, PageToken, SessionHead, ShareCode, StateSnapshot, Store, StoreError,
    StoredAttachment, StoredEvent, TokenHash, Totals, User, UserPatch, Verification, ViewKey, ViewSnapshot,
};
use tokio::sync::watch;

/// What happens to an append.
#[derive(Clone, Copy)]
pub enum Fate {
    /// Not written, and said so.
    Refused(Refusal),
    /// Written, but the answer is lost.
    WrittenUnknown,
    /// Not written, and nobody knows.
    LostUnknown,
}

/// How a store says no.
#[derive(Clone, Copy)]
pub enum Refusal {
    Full,
    Unavailable,
}

/// The memory store with faults to order.
#[derive(Default)]
pub struct Faulty {
    pub inner: Arc<MemoryStore>,
    fates: Mutex<VecDeque<Fate>>,
    refused: Mutex<Option<SessionId>>,
    failing_reads: AtomicUsize,
    full_views: AtomicBool,
    /// How long the state snapshots were that it was given, together.
    pub states_bytes: AtomicUsize,
    pub appends: Valve,
    pub reads: Valve,
    pub deletes: Valve,
}

/// Where calls can be held up.
#[derive(Default)]
pub struct Valve {
    shut: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Valve {
    pub fn shut(&self) {
        self.shut.send_replace(true);
    }

    pub fn open(&self) {
        self.shut.send_replace(false);
    }

    /// Waits until a call is held up.
    pub async fn holds(&self) {
        self.waiting.subscribe().wait_for(|n| *n > 0).await.expect("the valve is there");
    }

    async fn pass(&self) {
        self.waiting.send_modify(|n| *n += 1);
        self.shut.subscribe().wait_for(|shut| !shut).await.expect("the valve is there");
        self.waiting.send_modify(|n| *n -= 1);
    }
}

impl Faulty {
    /// Orders what happens to the next appends.
    pub fn next(&self, fates: &[Fate]) {
        self.fates.lock().expect("one thread").extend(fates);
    }

    /// From now on appends to that session are refused; none: no more.
    pub fn refuse(&self, session: Option<SessionId>) {
        *self.refused.lock().expect("one thread") = session;
    }

    /// So many of the next reads of a log fail; `usize::MAX`: all of them.
    pub fn fail_reads(&self, n: usize) {
        self.failing_reads.store(n, Ordering::SeqCst);
    }

    /// From now on views cannot be kept.
    pub fn refuse_views(&self) {
        self.full_views.store(true, Ordering::SeqCst);
    }

    async fn read_passes(&self) -> Result<(), StoreError> {
        self.reads.pass().await;
        let fewer = |n: usize| if n == usize::MAX { Some(n) } else { n.checked_sub(1) };
        match self.failing_reads.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer) {
            Ok(_) => Err(StoreError::Unavailable("planted".into())),
            Err(_) => Ok(()),
        }
    }
}

macro_rules! delegate {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> Answer<'_, $out> { self.inner.$name($($arg),*) })*
    };
}

impl Store for Faulty {
    fn append(&self, commit: Commit) -> Answer<'_, Appended, AppendError> {
        let is_refused = *self.refused.lock().expect("one thread") == Some(commit.session);
        let refused = is_refused.then_some(Fate::Refused(Refusal::Unavailable));
        let fate = refused.or_else(|| self.fates.lock().expect("one thread").pop_front());
        Box::pin(async move {
            self.appends.pass().await;
            match fate {
                None => self.inner.append(commit).await,
                Some(Fate::Refused(Refusal::Full)) => Err(AppendError::Full),
                Some(Fate::Refused(Refusal::Unavailable)) => Err(AppendError::Unavailable("planted".into())),
                Some(Fate::LostUnknown) => Err(AppendError::Unknown("planted".into())),
                Some(Fate::WrittenUnknown) => {
                    self.inner.append(commit).await?;
                    Err(AppendError::Unknown("planted".into()))
                }
            }
        })
    }

    fn read(
        &self,
        session: SessionId,
        stream: Stream,
        after: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Answer<'_, Vec<StoredEvent>> {
        Box::pin(async move {
            self.read_passes().await?;
            self.inner.read(session, stream, after, limit, max_bytes).await
        })
    }

    fn read_commits(&self, session: SessionId, after: Rev, limit: usize) -> Answer<'_, Vec<StoredEvent>> {
        Box::pin(async move {
            self.read_passes().await?;
            self.inner.read_commits(session, after, limit).await
        })
    }

    fn put_state(&self, snapshot: StateSnapshot) -> Answer<'_, ()> {
        self.states_bytes.fetch_add(snapshot.bytes.len(), Ordering::SeqCst);
        self.inner.put_state(snapshot)
    }

    fn put_view(&self, session: SessionId, key: ViewKey, snapshot: ViewSnapshot) -> Answer<'_, ()> {
        Box::pin(async move {
            match self.full_views.load(Ordering::SeqCst) {
                true => Err(StoreError::Full),
                false => self.inner.put_view(session, key, snapshot).await,
            }
        })
    }

    fn delete_session(&self, session: SessionId) -> Answer<'_, Deletion> {
        Box::pin(async move {
            self.deletes.pass().await;
            self.inner.delete_session(session).await
        })
    }

    delegate! {
        head(session: SessionId) -> Option<SessionHead>;
        find(session: SessionId, id: EventId) -> Option<Found>;
        verify(session: SessionId) -> Verification;
        due(now: Timestamp, limit: usize) -> Vec<SessionId>;
        state(session: SessionId) -> Option<StateSnapshot>;
        view(session: SessionId, key: ViewKey) -> Option<ViewSnapshot>;
        session(session: SessionId) -> Option<DirectoryEntry>;
        sessions_of(user: UserId, search: Option<String>, page: Option<PageToken>, limit: usize) -> Vec<DirectoryEntry>;
        totals() -> Totals;
        put_user(user: User) -> bool;
        user(user: UserId) -> Option<User>;
        change_user(user: UserId, patch: UserPatch) -> Option<User>;
        put_login(login: Login) -> ();
        login(token_hash: TokenHash) -> Option<Login>;
        end_login(token_hash: TokenHash) -> bool;
        put_link(link: Link) -> bool;
        link(token_hash: TokenHash) -> Option<Link>;
        links(session: SessionId) -> Vec<Link>;
        revoke_link(session: SessionId, link: LinkId, at: Timestamp) -> Option<Link>;
        use_link(link: LinkId, at: Timestamp) -> bool;
        share_code(session: SessionId) -> ShareCode;
        put_share_code(session: SessionId, code: String, replace: bool) -> bool;
        end_share_code(session: SessionId) -> bool;
        begin_blob() -> NewBlob;
        put_attachment(attachment: StoredAttachment, content: NewBlob) -> Option<StoredAttachment>;
        attachments(session: SessionId, ids: Vec<AttachmentId>) -> Vec<StoredAttachment>;
        read_blob(hash: BlobHash) -> Option<Content>;
        drop_unposted(until: Timestamp) -> u64;
        session_by_code(code: String) -> Option<SessionId>;
        rights_epoch(project: ProjectId) -> u64;
        raise_rights_epoch(project: ProjectId) -> u64;
        put_read_mark(session: SessionId, participant: ParticipantId, stream: Stream, seq: Seq) -> ();
        read_marks(session: SessionId) -> Vec<(ParticipantId, Stream, Seq)>;
        outbox_due(now: Timestamp, limit: usize) -> Vec<OutboxRow>;
        outbox_done(id: u64) -> bool;
        document_updates(session: SessionId, document: uuid::Uuid, after: u64) -> Vec<DocumentUpdate>;
        close() -> ();
    }

    fn exclusive(&self) -> bool {
        self.inner.exclusive()
    }
}
