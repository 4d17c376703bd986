//! The durable log, the directory and what must survive beside them.
//!
//! Owns: commits, positions, the hash chain, rows about people, links and rights. Must not know: rules; it keeps
//! commits of bytes and refuses a stale rev. Invariant: a commit happens whole or not at all, and what [`Store::append`]
//! has answered `Ok` is on the disk.
//!
//! | module | holds |
//! |---|---|
//! | [`types`] | commits, rows and answers |
//! | [`blobs`] | the content of files |
//! | [`chain`] | the hash chain over stored events |
//! | [`memory`] | the store that forgets, for tests and the simulator's sake |
//! | [`sqlite`] | the embedded store: one writer thread, group commit |
//! | `contract` | what every store must do, run against each of them (feature `contract`) |

mod admit;
pub mod blobs;
pub mod chain;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod memory;
pub mod sqlite;
pub mod types;

use futures_util::future::BoxFuture;
use roundtable_protocol::{
    AttachmentId, EventId, LinkId, ParticipantId, ProjectId, Rev, Seq, SessionId, Stream, StreamSet, Timestamp, UserId,
};

pub use blobs::{Content, NewBlob};
pub use memory::MemoryStore;
pub use sqlite::{FolderState, OpenError, SqliteOptions, SqliteStore};
pub use types::*;

/// A future that a store answers with.
pub type Answer<'a, T, E = StoreError> = BoxFuture<'a, Result<T, E>>;

/// Where sessions live. One per server process; every method may be called from anywhere.
pub trait Store: Send + Sync + 'static {
    /// Writes one commit: its events, its redactions and its guards, or nothing.
    ///
    /// Answers after it is on the disk. Commits that wait are written together, and each is answered for itself.
    ///
    /// # Errors
    /// See [`AppendError`]. After `Unknown` the caller must read back by id before it answers anybody.
    fn append(&self, commit: Commit) -> Answer<'_, Appended, AppendError>;

    /// Returns where a session's log stands, or `None` when there is no such session.
    fn head(&self, session: SessionId) -> Answer<'_, Option<SessionHead>>;

    /// Returns how many of a session's events are kept at least; `None`: all. A store that keeps not all answers
    /// [`StoreError::Trimmed`] to whoever would read what is gone, and never less than was asked for in silence.
    fn retention(&self) -> Option<usize> {
        None
    }

    /// Returns events of one stream with `seq > after`, in order, at most `limit` of them and, after the first,
    /// at most `max_bytes` of header and body.
    fn read(
        &self,
        session: SessionId,
        stream: Stream,
        after: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Answer<'_, Vec<StoredEvent>>;

    /// Returns events of all streams with `rev > after`, ordered by rev and position in the commit; whole commits
    /// only, at least one when there is one, and no further commit once `limit` events or [`READ_BYTES`] of header and
    /// body are reached.
    fn read_commits(&self, session: SessionId, after: Rev, limit: usize) -> Answer<'_, Vec<StoredEvent>>;

    /// Returns the event with that id and what is known of the command that made it.
    fn find(&self, session: SessionId, id: EventId) -> Answer<'_, Option<Found>>;

    /// Walks the hash chain of every stream of a session.
    fn verify(&self, session: SessionId) -> Answer<'_, Verification>;

    /// Returns the sessions whose `wake_at` is at or before `now`, earliest first.
    fn due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<SessionId>>;

    /// Keeps the state snapshot of a session, replacing the last one unless that is newer.
    fn put_state(&self, snapshot: StateSnapshot) -> Answer<'_, ()>;

    /// Returns the state snapshot of a session.
    fn state(&self, session: SessionId) -> Answer<'_, Option<StateSnapshot>>;

    /// Keeps a view snapshot or page, replacing the last one with the same key unless that is newer.
    fn put_view(&self, session: SessionId, key: ViewKey, snapshot: ViewSnapshot) -> Answer<'_, ()>;

    /// Returns a view snapshot or page.
    fn view(&self, session: SessionId, key: ViewKey) -> Answer<'_, Option<ViewSnapshot>>;

    /// Returns a session's directory entry.
    fn session(&self, session: SessionId) -> Answer<'_, Option<DirectoryEntry>>;

    /// Returns the sessions that a user is a participant of, newest activity first, after `page`; of them those whose
    /// title contains `search`, whatever the case.
    fn sessions_of(
        &self,
        user: UserId,
        search: Option<String>,
        page: Option<PageToken>,
        limit: usize,
    ) -> Answer<'_, Vec<DirectoryEntry>>;

    /// Deletes a session with everything that is its own: events, snapshots, links, files. Not while rows of its outbox wait:
    /// what it owes others would be lost with it, also when another server has just begun to owe it.
    fn delete_session(&self, session: SessionId) -> Answer<'_, Deletion>;

    /// Returns the number of sessions, of active ones and of events.
    fn totals(&self) -> Answer<'_, Totals>;

    /// Keeps a user; false when the id was there already.
    fn put_user(&self, user: User) -> Answer<'_, bool>;

    /// Returns a user.
    fn user(&self, user: UserId) -> Answer<'_, Option<User>>;

    /// Changes what a user says of themselves; `None` when there is no such user.
    fn change_user(&self, user: UserId, patch: UserPatch) -> Answer<'_, Option<User>>;

    /// Keeps a login by the hash of its token.
    fn put_login(&self, login: Login) -> Answer<'_, ()>;

    /// Returns the login with that token hash.
    fn login(&self, token_hash: TokenHash) -> Answer<'_, Option<Login>>;

    /// Forgets a login and raises the rights epoch of every project; whether there was one.
    fn end_login(&self, token_hash: TokenHash) -> Answer<'_, bool>;

    /// Keeps a new link; false when the id was there already.
    fn put_link(&self, link: Link) -> Answer<'_, bool>;

    /// Returns the link with that token hash.
    fn link(&self, token_hash: TokenHash) -> Answer<'_, Option<Link>>;

    /// Returns a session's links, newest first, ended ones too.
    fn links(&self, session: SessionId) -> Answer<'_, Vec<Link>>;

    /// Revokes a link and raises its project's rights epoch in the same transaction; `None` when there is no such link.
    fn revoke_link(&self, session: SessionId, link: LinkId, at: Timestamp) -> Answer<'_, Option<Link>>;

    /// Counts one use of a link, unless that would pass `max_uses` or it has ended; whether it was counted.
    fn use_link(&self, link: LinkId, at: Timestamp) -> Answer<'_, bool>;

    /// Returns what there is of a session's share code.
    fn share_code(&self, session: SessionId) -> Answer<'_, ShareCode>;

    /// Gives an open session a code: with `replace` in the place of whatever there is, which raises its project's rights
    /// epoch, else only the first one. False when it has had one, is not open, or another session has that code.
    fn put_share_code(&self, session: SessionId, code: String, replace: bool) -> Answer<'_, bool>;

    /// Switches a session's code off and raises its project's rights epoch; whether there was one.
    fn end_share_code(&self, session: SessionId) -> Answer<'_, bool>;

    /// Begins the content of a new file.
    fn begin_blob(&self) -> Answer<'_, NewBlob>;

    /// Keeps a file; its `hash` is worked out from the content. Answers it as it is kept: an earlier one with the same id
    /// stays. `None` when there is no such session.
    fn put_attachment(&self, attachment: StoredAttachment, content: NewBlob) -> Answer<'_, Option<StoredAttachment>>;

    /// Returns those of the files that are in the session.
    fn attachments(&self, session: SessionId, ids: Vec<AttachmentId>) -> Answer<'_, Vec<StoredAttachment>>;

    /// Opens the content of a file.
    fn read_blob(&self, hash: BlobHash) -> Answer<'_, Option<Content>>;

    /// Throws away files that came at or before `until` and were never posted; how many.
    fn drop_unposted(&self, until: Timestamp) -> Answer<'_, u64>;

    /// Returns the open session with that code. A session's code ends with it.
    fn session_by_code(&self, code: String) -> Answer<'_, Option<SessionId>>;

    /// Returns a project's rights epoch; 0 for one that nothing has happened to.
    fn rights_epoch(&self, project: ProjectId) -> Answer<'_, u64>;

    /// Raises a project's rights epoch, because something outside the log changed what somebody may do.
    fn raise_rights_epoch(&self, project: ProjectId) -> Answer<'_, u64>;

    /// Keeps how far a participant has applied a stream; never goes back.
    fn put_read_mark(&self, session: SessionId, participant: ParticipantId, stream: Stream, seq: Seq)
    -> Answer<'_, ()>;

    /// Returns the read marks of a session.
    fn read_marks(&self, session: SessionId) -> Answer<'_, Vec<(ParticipantId, Stream, Seq)>>;

    /// Returns outbox rows that are due, oldest first.
    fn outbox_due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<OutboxRow>>;

    /// Marks an outbox row as sent; whether there was one.
    fn outbox_done(&self, id: u64) -> Answer<'_, bool>;

    /// Returns the updates of a document after update `after`, in order.
    fn document_updates(&self, session: SessionId, document: uuid::Uuid, after: u64)
    -> Answer<'_, Vec<DocumentUpdate>>;

    /// Returns how many writes wait for the disk.
    fn waiting(&self) -> usize {
        0
    }

    /// Returns whether nobody but this process can write to the store.
    fn exclusive(&self) -> bool;

    /// Waits until everything that was asked is on the disk, then closes. Later calls answer `Unavailable`.
    fn close(&self) -> Answer<'_, ()>;
}

/// Returns whether a title contains what is searched for, whatever the case.
pub(crate) fn title_matches(title: &str, search: &str) -> bool {
    title.to_lowercase().contains(&search.to_lowercase())
}

/// A set of streams as part of a key.
pub fn stream_key(streams: StreamSet) -> u8 {
    streams.bits()
}
