//! The embedded store: one SQLite database in a data folder that belongs to one server.
//!
//! Owns: the folder, the one thread that writes and the connections that read. Must not know: rules, nor what is in a
//! header or body beyond taking the text out of a redacted one. Invariant: what was answered `Ok` is on the disk
//! (WAL with `synchronous=FULL`), and what was erased is in no file of the folder.
//!
//! | module | holds |
//! |---|---|
//! | `writer` | the queue, group commit, answers, erasing the log on the disk |
//! | `writer::append` | one commit |
//! | `tables` | all other writes |
//! | `read`, `readers` | questions, and the connections that answer them |
//! | `schema` | tables, versions, settings; how erasing works |
//! | `blob` | content in pages of its own |
//! | `attachments` | rows of uploaded files |
//! | `compact` | giving back the space of deleted sessions |
//! | `lock` | one server per folder |

mod attachments;
mod blob;
mod compact;
mod lock;
mod read;
mod readers;
mod schema;
mod tables;
mod value;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use roundtable_protocol::{
    AttachmentId, EventId, LinkId, ParticipantId, ProjectId, Rev, Seq, SessionId, Stream, Timestamp, UserId,
};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use self::lock::FolderLock;
use self::readers::Readers;
use self::writer::{Job, Prepared, Tx};
use crate::blobs::{Blobs, Content, NewBlob};
use crate::types::{
    AppendError, Appended, BlobHash, Commit, Deletion, DirectoryEntry, DocumentUpdate, Found, Link, Login, OutboxRow,
    PageToken, SessionHead, ShareCode, StateSnapshot, StoreError, StoredAttachment, StoredEvent, TokenHash, Totals,
    User, UserPatch, Verification, ViewKey, ViewSnapshot,
};
use crate::{Answer, Store};

/// The database's name in its folder.
const FILE: &str = "roundtable.db";
/// The folder of files' content beside it.
const BLOBS: &str = "blobs";
/// How long a connection waits for another program that holds the database, such as a backup.
const BUSY: Duration = Duration::from_secs(2);
const CLOSED: &str = "the store is closed";

/// How a store is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqliteOptions {
    /// The most pages of 4096 bytes that the database may have; beyond it writes are answered `Full`, as when the disk
    /// is full. `None`: as many as the disk takes. The log on the disk comes on top, usually below 16 MiB.
    pub max_page_count: Option<u32>,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be made, read or written.
    #[error("the data folder {} cannot be used: {source}", folder.display())]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A second server was started on the same folder.
    #[error("another server{} uses the data folder {}", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), folder.display())]
    InUse {
        /// Which folder.
        folder: PathBuf,
        /// The process that has it, if it left its id.
        pid: Option<u32>,
    },
    /// A newer version of the program has written here.
    #[error("the database has schema version {found}, this program knows {known}: use a newer version of it")]
    NewerSchema {
        /// The version in the file.
        found: i32,
        /// The newest version that this program knows.
        known: i32,
    },
    /// The file is some other program's database.
    #[error("the file {FILE} in the data folder is not a Roundtable database")]
    Foreign,
    /// SQLite could not open or prepare the database.
    #[error("the database cannot be opened: {0}")]
    Database(#[from] rusqlite::Error),
}

/// What can be said of a data folder without using it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderState {
    /// Whether a server uses it, and the process's id if it left one.
    pub in_use: Option<Option<u32>>,
    /// The schema version of the database; `None` when there is none yet.
    pub schema: Option<i32>,
    /// The newest schema version that this program knows.
    pub known: i32,
}

/// Looks at a data folder without changing anything in it.
///
/// # Errors
/// It cannot be read, or the database in it is not Roundtable's.
pub fn look(folder: &Path) -> Result<FolderState, OpenError> {
    let in_use = lock::holder(folder).map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })?;
    let path = folder.join(FILE);
    let schema = if path.exists() { Some(schema::version(&path)?) } else { None };
    Ok(FolderState { in_use, schema, known: schema::known() })
}

/// A store in a folder.
#[derive(Debug)]
pub struct SqliteStore {
    /// `None` once closed.
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    readers: Arc<Readers>,
    blobs: Blobs,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the store in `folder`, making both if they are not there.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(folder, SqliteOptions::default())
    }

    /// Opens the store in `folder` with `options`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_with(folder: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, OpenError> {
        let folder = folder.as_ref();
        let lock = FolderLock::acquire(folder)?;
        let path = folder.join(FILE);
        let mut conn = Connection::open(&path)?;
        schema::prepare_writer(&mut conn, options.max_page_count)?;
        compact::compact_if_worth_it(&conn)?;
        let unusable = |source| OpenError::Folder { folder: folder.to_owned(), source };
        let blobs = Blobs::open(folder.join(BLOBS)).map_err(unusable)?;
        attachments::sweep_at_start(&conn, &blobs)?;
        let (queue, thread) =
            writer::start(conn, lock).map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })?;
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { queue, readers: Readers::new(path), blobs, thread })
    }

    /// Changes [`SqliteOptions::max_page_count`] while the store is open.
    ///
    /// # Errors
    /// The store is closed.
    pub async fn set_max_page_count(&self, pages: Option<u32>) -> Result<(), StoreError> {
        self.write(move |tx| schema::set_max_page_count(tx.conn, pages)).await
    }

    /// Gives the space of deleted sessions back to the disk. Writes wait meanwhile, reads go on; it needs room for a
    /// second copy of the database. Also done at the start when a quarter of the file (and 64 MiB) is unused.
    ///
    /// # Errors
    /// There is no room, or the store is closed.
    pub async fn compact(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Compact(reply)).await?;
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        let closed = || StoreError::Unavailable(CLOSED.to_owned());
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        queue.ok_or_else(closed)?.send(job).await.map_err(|_| closed())
    }

    /// Runs `f` in the writer's next transaction; more than once when that has to be done again.
    fn write<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.send(Job::write(f, reply)).await?;
            answer.await.unwrap_or_else(|_| Err(lost()))
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.readers.clone().run(f))
    }

    /// Takes content away that no file refers to any more. What was doomed and could not be taken away is tried again
    /// with the next erasure, at the next start at the latest.
    async fn sweep(&self) -> Result<(), StoreError> {
        for hash in self.ask(attachments::doomed).await? {
            let _gate = self.blobs.gate.lock().await;
            if !self.ask(move |conn| attachments::is_used(conn, &hash)).await? {
                self.blobs.remove(&hash).await?;
            }
            self.write(move |tx| attachments::spare(tx, &hash)).await?;
        }
        Ok(())
    }

    /// The same where the caller's answer stands already.
    async fn sweep_after(&self) {
        if let Err(error) = self.sweep().await {
            tracing::warn!(%error, "erased files could not be taken away; it is tried again");
        }
    }

    fn stop(&self) -> Option<JoinHandle<()>> {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the writer has stopped".to_owned())
}

impl Drop for SqliteStore {
    /// Waits for what was asked, so that the folder is free for whoever comes next.
    fn drop(&mut self) {
        if let Some(thread) = self.stop() {
            // A panic of the writer was printed by the hook; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Store for SqliteStore {
    fn append(&self, commit: Commit) -> Answer<'_, Appended, AppendError> {
        Box::pin(async move {
            let erases = !commit.redactions.is_empty();
            let prepared = Box::new(Prepared::new(commit)?);
            let (reply, answer) = oneshot::channel();
            let sent = self.send(Job::Append(prepared, reply)).await;
            sent.map_err(|_| AppendError::Unavailable(CLOSED.to_owned()))?;
            let answer =
                answer.await.unwrap_or_else(|_| Err(AppendError::Unknown("the writer has stopped".to_owned())));
            if erases && answer.is_ok() {
                self.sweep_after().await;
            }
            answer
        })
    }

    fn head(&self, session: SessionId) -> Answer<'_, Option<SessionHead>> {
        self.ask(move |conn| read::head(conn, session))
    }

    fn read(
        &self,
        session: SessionId,
        stream: Stream,
        after: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Answer<'_, Vec<StoredEvent>> {
        self.ask(move |conn| read::events(conn, session, stream, after, limit, max_bytes))
    }

    fn read_commits(&self, session: SessionId, after: Rev, limit: usize) -> Answer<'_, Vec<StoredEvent>> {
        self.ask(move |conn| read::commits(conn, session, after, limit))
    }

    fn find(&self, session: SessionId, id: EventId) -> Answer<'_, Option<Found>> {
        self.ask(move |conn| read::find(conn, session, id))
    }

    fn verify(&self, session: SessionId) -> Answer<'_, Verification> {
        self.ask(move |conn| read::verify(conn, session))
    }

    fn due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<SessionId>> {
        self.ask(move |conn| read::due(conn, now, limit))
    }

    fn put_state(&self, snapshot: StateSnapshot) -> Answer<'_, ()> {
        self.write(move |tx| tables::put_state(tx, &snapshot))
    }

    fn state(&self, session: SessionId) -> Answer<'_, Option<StateSnapshot>> {
        self.ask(move |conn| read::state(conn, session))
    }

    fn put_view(&self, session: SessionId, key: ViewKey, snapshot: ViewSnapshot) -> Answer<'_, ()> {
        self.write(move |tx| tables::put_view(tx, session, key, &snapshot))
    }

    fn view(&self, session: SessionId, key: ViewKey) -> Answer<'_, Option<ViewSnapshot>> {
        self.ask(move |conn| read::view(conn, session, key))
    }

    fn session(&self, session: SessionId) -> Answer<'_, Option<DirectoryEntry>> {
        self.ask(move |conn| read::session(conn, session))
    }

    fn sessions_of(
        &self,
        user: UserId,
        search: Option<String>,
        page: Option<PageToken>,
        limit: usize,
    ) -> Answer<'_, Vec<DirectoryEntry>> {
        self.ask(move |conn| read::sessions_of(conn, user, search.as_deref(), page, limit))
    }

    fn delete_session(&self, session: SessionId) -> Answer<'_, Deletion> {
        Box::pin(async move {
            let deleted = self.write(move |tx| tables::delete_session(tx, session)).await?;
            self.sweep_after().await;
            Ok(deleted)
        })
    }

    fn totals(&self) -> Answer<'_, Totals> {
        self.ask(read::totals)
    }

    fn put_user(&self, user: User) -> Answer<'_, bool> {
        self.write(move |tx| tables::put_user(tx, &user))
    }

    fn user(&self, user: UserId) -> Answer<'_, Option<User>> {
        self.ask(move |conn| read::user(conn, user))
    }

    fn change_user(&self, user: UserId, patch: UserPatch) -> Answer<'_, Option<User>> {
        self.write(move |tx| tables::change_user(tx, user, &patch))
    }

    fn put_login(&self, login: Login) -> Answer<'_, ()> {
        self.write(move |tx| tables::put_login(tx, &login))
    }

    fn login(&self, token_hash: TokenHash) -> Answer<'_, Option<Login>> {
        self.ask(move |conn| read::login(conn, token_hash))
    }

    fn end_login(&self, token_hash: TokenHash) -> Answer<'_, bool> {
        self.write(move |tx| tables::end_login(tx, &token_hash))
    }

    fn put_link(&self, link: Link) -> Answer<'_, bool> {
        self.write(move |tx| tables::put_link(tx, &link))
    }

    fn link(&self, token_hash: TokenHash) -> Answer<'_, Option<Link>> {
        self.ask(move |conn| read::link(conn, token_hash))
    }

    fn links(&self, session: SessionId) -> Answer<'_, Vec<Link>> {
        self.ask(move |conn| read::links(conn, session))
    }

    fn revoke_link(&self, session: SessionId, link: LinkId, at: Timestamp) -> Answer<'_, Option<Link>> {
        self.write(move |tx| tables::revoke_link(tx, session, link, at))
    }

    fn use_link(&self, link: LinkId, at: Timestamp) -> Answer<'_, bool> {
        self.write(move |tx| tables::use_link(tx, link, at))
    }

    fn share_code(&self, session: SessionId) -> Answer<'_, ShareCode> {
        self.ask(move |conn| read::share_code(conn, session))
    }

    fn put_share_code(&self, session: SessionId, code: String, replace: bool) -> Answer<'_, bool> {
        self.write(move |tx| tables::put_share_code(tx, session, &code, replace))
    }

    fn end_share_code(&self, session: SessionId) -> Answer<'_, bool> {
        self.write(move |tx| tables::end_share_code(tx, session))
    }

    fn begin_blob(&self) -> Answer<'_, NewBlob> {
        Box::pin(self.blobs.begin())
    }

    fn put_attachment(&self, attachment: StoredAttachment, content: NewBlob) -> Answer<'_, Option<StoredAttachment>> {
        Box::pin(async move {
            let sealed = self.blobs.seal(content).await?;
            let hash = sealed.hash;
            let kept = {
                let _gate = self.blobs.gate.lock().await;
                // Doomed until the row is there: whoever goes away in between leaves nothing that is not found again.
                self.write(move |tx| attachments::doom(tx, &hash)).await?;
                self.blobs.name(sealed).await?;
                let attachment = StoredAttachment { hash, ..attachment };
                self.write(move |tx| attachments::put(tx, &attachment)).await?
            };
            if kept.as_ref().is_none_or(|kept| kept.hash != hash) {
                self.sweep().await?;
            }
            Ok(kept)
        })
    }

    fn attachments(&self, session: SessionId, ids: Vec<AttachmentId>) -> Answer<'_, Vec<StoredAttachment>> {
        self.ask(move |conn| attachments::of(conn, session, &ids))
    }

    fn read_blob(&self, hash: BlobHash) -> Answer<'_, Option<Content>> {
        Box::pin(async move { self.blobs.read(&hash).await })
    }

    fn drop_unposted(&self, until: Timestamp) -> Answer<'_, u64> {
        Box::pin(async move {
            let dropped = self.write(move |tx| attachments::drop_unposted(tx, until)).await?;
            self.sweep().await?;
            Ok(dropped)
        })
    }

    fn session_by_code(&self, code: String) -> Answer<'_, Option<SessionId>> {
        self.ask(move |conn| read::session_by_code(conn, &code))
    }

    fn rights_epoch(&self, project: ProjectId) -> Answer<'_, u64> {
        self.ask(move |conn| read::rights_epoch(conn, project))
    }

    fn raise_rights_epoch(&self, project: ProjectId) -> Answer<'_, u64> {
        self.write(move |tx| {
            tx.raise_rights(Some(project))?;
            tx.rights(project)
        })
    }

    fn put_read_mark(
        &self,
        session: SessionId,
        participant: ParticipantId,
        stream: Stream,
        seq: Seq,
    ) -> Answer<'_, ()> {
        self.write(move |tx| tables::put_read_mark(tx, session, participant, stream, seq))
    }

    fn read_marks(&self, session: SessionId) -> Answer<'_, Vec<(ParticipantId, Stream, Seq)>> {
        self.ask(move |conn| read::read_marks(conn, session))
    }

    fn outbox_due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<OutboxRow>> {
        self.ask(move |conn| read::outbox_due(conn, now, limit))
    }

    fn outbox_done(&self, id: u64) -> Answer<'_, bool> {
        self.write(move |tx| tables::outbox_done(tx, id))
    }

    fn document_updates(&self, session: SessionId, document: Uuid, after: u64) -> Answer<'_, Vec<DocumentUpdate>> {
        self.ask(move |conn| read::document_updates(conn, session, document, after))
    }

    fn waiting(&self) -> usize {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    fn exclusive(&self) -> bool {
        true
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let thread = self.stop();
            self.readers.close().await;
            if let Some(thread) = thread {
                let joined = tokio::task::spawn_blocking(move || thread.join()).await;
                if !matches!(joined, Ok(Ok(()))) {
                    return Err(lost());
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
