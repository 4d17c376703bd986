//! Commits, rows and answers.

use bytes::Bytes;
use roundtable_protocol::grant::Role;
use roundtable_protocol::ids::BranchId;
use roundtable_protocol::model::{Attachment, SessionInfo};
use roundtable_protocol::{
    Actor, AttachmentId, Epoch, EventId, LinkId, ProjectId, Rev, Seq, SessionId, Stream, StreamSet, Timestamp, UserId,
};
use uuid::Uuid;

/// How much [`Store::read_commits`](crate::Store::read_commits) reads at once, and what is left of the commit that reaches it.
/// Unit: bytes.
pub const READ_BYTES: usize = 2 << 20;

/// The SHA-256 of a secret; the secret itself is never stored.
pub type TokenHash = [u8; 32];

/// Everything that one append writes, whole or not at all.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Which session.
    pub session: SessionId,
    /// The rev that the caller decided on; 0 makes the session.
    pub expected_rev: Rev,
    /// The rights epoch of the session's project that the caller's grants rest on.
    pub expected_rights: u64,
    /// Set with `expected_rev` 0: what the session is born with.
    pub birth: Option<Birth>,
    /// What happened, in order. Each stream's seqs continue its head without a gap.
    pub events: Vec<NewEvent>,
    /// Earlier events, or events of this commit, whose text is to be erased.
    pub redactions: Vec<(Stream, Seq)>,
    /// Uploaded files that this commit posts, each with the message. When a message's text is erased, its files go too.
    pub attached: Vec<(AttachmentId, EventId)>,
    /// The directory entry, when it has changed.
    pub directory: Option<Box<SessionInfo>>,
    /// Who is a participant now and with which role, for those whose membership has changed; `None`: not any more.
    pub members: Vec<(UserId, Option<Role>)>,
    /// When the session must be looked at; `None`: never by itself.
    pub wake_at: Option<Timestamp>,
    /// The time of the commit.
    pub at: Timestamp,
    /// What is to be sent elsewhere, at least once.
    pub outbox: Vec<NewOutboxRow>,
    /// Updates of documents.
    pub documents: Vec<DocumentUpdate>,
}

/// What a session is born with.
#[derive(Clone, Debug)]
pub struct Birth {
    /// The identity of its numbering.
    pub epoch: Epoch,
    /// The project it belongs to.
    pub project: ProjectId,
}

/// One event of a commit.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its stream.
    pub stream: Stream,
    /// Its number there.
    pub seq: Seq,
    /// Its id; unique in the session.
    pub id: EventId,
    /// The key of the command that made it.
    pub key: Uuid,
    /// Who gave the command and what it said, hashed; on the first event of a command.
    pub fingerprint: Option<u64>,
    /// Its branch, when it is not the main one.
    pub branch: Option<BranchId>,
    /// What its author had seen of the stream.
    pub seen: Option<Seq>,
    /// Its explicit parents.
    pub causes: Vec<EventId>,
    /// The header as a JSON object.
    pub header: Bytes,
    /// The body as a JSON object.
    pub body: Bytes,
}

/// A commit is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The session's rev from now on: `expected_rev + 1`.
    pub rev: Rev,
}

/// Why a commit was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The session has another rev (or is there already, or not at all).
    #[error("the session is at rev {actual}")]
    Conflict {
        /// The rev it has; 0 when there is no such session.
        actual: Rev,
    },
    /// The project's rights epoch has moved.
    #[error("the rights epoch is {actual}")]
    RightsMoved {
        /// The epoch it has.
        actual: u64,
    },
    /// An event with that id is there already.
    #[error("event {id} is at {stream} {seq} already")]
    Duplicate {
        /// Which id.
        id: EventId,
        /// The stream it is in.
        stream: Stream,
        /// Its seq there.
        seq: Seq,
    },
    /// There is no room on the disk. Nothing was written; later appends may succeed.
    #[error("the disk is full")]
    Full,
    /// The store cannot write now. Nothing was written.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The answer was lost: the commit may have been written or not.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no room on the disk.
    #[error("the disk is full")]
    Full,
    /// The store cannot answer now.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What was asked for lies before what is kept.
    #[error("events before {oldest} are not kept any more")]
    Trimmed {
        /// The oldest seq that is kept of the stream; of all streams, of `main`.
        oldest: Seq,
    },
}

/// Where a session's log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionHead {
    /// The number of its last commit.
    pub rev: Rev,
    /// The identity of its numbering.
    pub epoch: Epoch,
    /// The project it belongs to.
    pub project: ProjectId,
    /// That project's rights epoch.
    pub rights_epoch: u64,
    /// The last seq of each stream, indexed by [`Stream`] number.
    pub heads: [Seq; 4],
}

/// One stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its stream.
    pub stream: Stream,
    /// Its number there.
    pub seq: Seq,
    /// The commit that wrote it.
    pub rev: Rev,
    /// Its id.
    pub id: EventId,
    /// The header as a JSON object.
    pub header: Bytes,
    /// The body as a JSON object; without its text once redacted.
    pub body: Bytes,
}

/// An event found by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The event.
    pub event: StoredEvent,
    /// The key of the command that made it.
    pub key: Uuid,
    /// Who gave that command and what it said, hashed; on its first event.
    pub fingerprint: Option<u64>,
}

/// What a walk along the hash chain found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// How many events were checked.
    pub events: u64,
    /// How many of them are redacted: their body's hash is checked, their body cannot be.
    pub redacted: u64,
    /// The first event of each stream whose hash, seq or predecessor is not right.
    pub broken: Vec<(Stream, Seq)>,
    /// The last event of each stream that has any, and its hash, which covers all before it.
    pub heads: Vec<(Stream, Seq, [u8; 32])>,
}

/// The engine's private cache of a session's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSnapshot {
    /// Which session.
    pub session: SessionId,
    /// The format; a reader that knows another throws the snapshot away.
    pub format: u32,
    /// The rev that it holds.
    pub rev: Rev,
    /// The state.
    pub bytes: Bytes,
}

/// Which view snapshot or page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ViewKey {
    /// The head for readers of these streams.
    Head(StreamSet),
    /// A page of one stream.
    Page(Stream, u64),
    /// What an ended session came to, in words. It goes like all of them when text is erased.
    Summary,
}

/// A view snapshot or page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewSnapshot {
    /// The rev that it holds.
    pub rev: Rev,
    /// The raw deflate of its JSON; of a summary the JSON.
    pub bytes: Bytes,
}

/// A session as the directory keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectoryEntry {
    /// What lists show. `updated_at` and `event_count` are kept by the store itself with every commit.
    pub info: SessionInfo,
    /// The role of the user that was asked for, where one was.
    pub role: Option<Role>,
}

/// Where a list of sessions goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// The last entry's `updated_at`.
    pub updated_at: Timestamp,
    /// The last entry's id.
    pub id: SessionId,
}

/// Counts over everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions.
    pub sessions: u64,
    /// Sessions in state active or paused.
    pub active_sessions: u64,
    /// Events.
    pub events: u64,
}

/// Somebody known to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// The name they gave.
    pub display_name: String,
    /// Whether they came by a link or code rather than by opening the page.
    pub guest: bool,
    /// Since when.
    pub created_at: Timestamp,
    /// The hue they chose, 0 to 11; absent while they have chosen none.
    pub colour: Option<u8>,
}

/// What a user wants to change of themselves; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPatch {
    /// The name from now on.
    pub display_name: Option<String>,
    /// The hue from now on, 0 to 11.
    pub colour: Option<u8>,
}

/// The SHA-256 of a file's content, which is its name in the store.
pub type BlobHash = [u8; 32];

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAttachment {
    /// The session.
    pub session: SessionId,
    /// Who uploaded it.
    pub uploader: UserId,
    /// For which stream.
    pub stream: Stream,
    /// Its content.
    pub hash: BlobHash,
    /// What people see of it.
    pub attachment: Attachment,
    /// When it came.
    pub created_at: Timestamp,
    /// The message that it was posted with.
    pub message: Option<EventId>,
}

/// What there is of a session's share code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareCode {
    /// It has had none yet.
    Never,
    /// It was switched off.
    Off,
    /// The code.
    On(String),
}

/// A login: the stored half of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The hash of the token.
    pub token_hash: TokenHash,
    /// Whose.
    pub user: UserId,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

/// An access link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The link.
    pub id: LinkId,
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// Where it leads.
    pub session: SessionId,
    /// The role it gives.
    pub role: Role,
    /// The hash of the password that it wants, in PHC string form.
    pub password_hash: Option<String>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// How often it may be used.
    pub max_uses: Option<u32>,
    /// How often it was used.
    pub uses: u32,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Link {
    /// Returns whether the link still lets somebody in at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none()
            && self.expires_at.is_none_or(|end| now < end)
            && self.max_uses.is_none_or(|max| self.uses < max)
    }
}

/// Something to be sent elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOutboxRow {
    /// What kind of thing: `mail`, `webhook` ...
    pub kind: String,
    /// Makes a second sending harmless.
    pub idempotency_key: Uuid,
    /// Not before.
    pub due_at: Timestamp,
    /// What is sent.
    pub body: Bytes,
}

/// What became of deleting a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Done,
    /// There was none.
    NoSuch,
    /// Rows of its outbox wait; nothing has changed.
    Owes,
}

/// An outbox row that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its number.
    pub id: u64,
    /// The session whose commit wrote it.
    pub session: SessionId,
    /// What is to be sent.
    pub row: NewOutboxRow,
}

/// One update of a shared document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentUpdate {
    /// Which document.
    pub document: Uuid,
    /// Its number, from 1, dense.
    pub n: u64,
    /// Who made it.
    pub actor: Actor,
    /// The update.
    pub bytes: Bytes,
}
