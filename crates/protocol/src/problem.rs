//! The error catalogue and the one shape in which errors travel (RFC 9457).
//!
//! Owns: every stable code with its status, whether a retry can help, who can mend it and how. Must not know:
//! causes; those go to the log under the same request id. Invariant: each code stands here once, and the OpenAPI
//! document and the catalogue page are made from this list.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::context::ContextReport;

// `tt` and not `literal`: utoipa does not see through the group that a `literal` arrives in.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:tt, $status:literal, $retry:literal, $title:literal, $fix:literal;)*) => {
        /// A stable word for what went wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        pub enum Code {
            $(#[doc = $title] #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the code's name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns the HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Returns whether a client sends the same call again by itself, without a change.
            ///
            /// Only what passes without anybody's doing: the commands behind it wait, among them those that would make
            /// room in a full queue or session.
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }

            /// Returns what happened, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// Returns who can mend it and how.
            pub fn fix(self) -> &'static str {
                match self { $(Self::$variant => $fix,)* }
            }
        }
    };
}

codes! {
    MalformedJson = "malformed_json", 400, false, "The body is not JSON", "Caller: send well-formed JSON, at most 32 levels deep.";
    InvalidField = "invalid_field", 422, false, "A field has a wrong value", "Caller: see errors[].pointer and errors[].detail.";
    UnknownField = "unknown_field", 422, false, "A field is not known", "Caller: leave it out, or correct its name.";
    UnknownFrame = "unknown_frame", 400, false, "The frame's type is not known", "Caller: send one of the documented frame types.";
    UnknownCommand = "unknown_command", 400, false, "The command's name is not known", "Caller: send one of the documented commands.";
    InvalidKey = "invalid_key", 422, false, "The key is not usable", "Caller: send a UUIDv7 as key, or at most 200 printable characters as Idempotency-Key.";
    UnsupportedMediaType = "unsupported_media_type", 415, false, "The content type is not supported", "Caller: send application/json.";
    NotFound = "not_found", 404, false, "There is nothing here, or not for you", "Caller: check the address; ask somebody who may let you in.";
    MethodNotAllowed = "method_not_allowed", 405, false, "This address does not take that method", "Caller: see the Allow header.";
    NotLoggedIn = "not_logged_in", 401, false, "You are not logged in", "Caller: POST /api/v1/guests, then send its cookie or bearer token.";
    LoginExpired = "login_expired", 401, false, "Your login has ended", "Caller: log in again.";
    Forbidden = "forbidden", 403, false, "Your role does not allow this", "Caller: ask an owner or moderator for another role.";
    StaleGrant = "stale_grant", 409, true, "Your rights have just changed", "Server: authorizes again by itself; seen only when rights change without pause.";
    CrossSite = "cross_site", 403, false, "The request came from another site", "Caller: use this server's own page, or a bearer token.";
    WrongHost = "wrong_host", 421, false, "This server does not answer to that host name", "Administrator: set public_url or allowed_hosts.";
    HostingNotAllowed = "hosting_not_allowed", 403, false, "You may not start sessions here", "Administrator: allow it; otherwise join by a link.";
    NotRecorded = "not_recorded", 409, false, "The session is not recorded", "Owner: switch recording on; what happens from then on can be replayed.";
    SessionNotActive = "session_not_active", 409, false, "The session is not active", "Owner: start or resume it; an ended one stays ended.";
    IllegalTransition = "illegal_transition", 409, false, "The session cannot go from its state to that one", "Caller: read its state first.";
    CannotResume = "cannot_resume", 409, false, "Something that the session needs is not there", "Owner: detail says what is missing; mend it, then resume.";
    SessionStorageFull = "session_storage_full", 507, false, "The session holds as much as it may", "Owner: end it and go on in a new one; administrator: raise limits.session_events.";
    NotAvailable = "not_available", 422, false, "This server has no such function", "Caller: choose another value.";
    JoinClosed = "join_closed", 403, false, "The session takes nobody in", "Owner: switch allow_join on.";
    JoinDenied = "join_denied", 403, false, "You were not let in", "Owner or moderator: can still let you in; otherwise ask again after ten minutes.";
    LobbyFull = "lobby_full", 409, false, "Fifty people wait to be let in already", "Caller: come later; owner or moderator: answer those who wait.";
    NoSuchRequest = "no_such_request", 404, false, "Nobody waits under that id", "Caller: read the list of those who wait; somebody may have answered already.";
    SessionFull = "session_full", 409, false, "The session is full", "Owner: raise max_participants, or wait until somebody leaves.";
    NotAParticipant = "not_a_participant", 403, false, "You are not in this session", "Caller: join by a link or code.";
    Removed = "removed", 403, false, "You were removed from this session", "Owner or moderator: let you in again.";
    OwnerMustStay = "owner_must_stay", 409, false, "The owner cannot leave", "Owner: end the session instead.";
    AboveYourRole = "above_your_role", 403, false, "That participant or role is not below yours", "Owner: can do it.";
    NoSuchParticipant = "no_such_participant", 404, false, "There is no such participant", "Caller: read the list of participants.";
    NoSuchMessage = "no_such_message", 404, false, "There is no such message", "Caller: reload; it may be in another stream.";
    NotYourMessage = "not_your_message", 403, false, "Only its author may do this", "Caller: ask the author or a moderator.";
    MessageIsRedacted = "message_is_redacted", 409, false, "The message's text has been erased", "Nobody: erased text does not come back.";
    MessageTooLong = "message_too_long", 413, false, "The message is longer than 64 KiB", "Caller: shorten it, or split it.";
    TextEmpty = "text_empty", 422, false, "The text is empty", "Caller: write something.";
    AlreadyRecorded = "already_recorded", 409, false, "That is so already", "Nobody: nothing was changed.";
    NoAssistant = "no_assistant", 409, false, "The session has no assistant", "Owner: choose one in the settings.";
    AssistantNotFound = "assistant_not_found", 404, false, "There is no such assistant", "Caller: read the list of assistants.";
    AssistantFixed = "assistant_fixed", 409, false, "This assistant is not one that people connected", "Administrator: change the server's settings; the guide is always there.";
    ConfirmationNeeded = "confirmation_needed", 409, false, "This model may cost money", "Caller: ask the person, then send confirm_paid: true.";
    NoSuchTurn = "no_such_turn", 404, false, "There is no such turn", "Caller: it has probably ended.";
    NotYourTurn = "not_your_turn", 403, false, "Only who asked, or a moderator, may do this", "Caller: ask them.";
    TurnAlreadyStarted = "turn_already_started", 409, false, "The answer has begun", "Caller: stop it instead.";
    TurnNotRunning = "turn_not_running", 409, false, "The answer is not running", "Nobody: it has ended or not begun.";
    QueueFull = "queue_full", 409, false, "The queue is full", "Caller: wait for answers; 20 turns a session, 3 a person.";
    StaleLease = "stale_lease", 409, false, "The claim on this turn has passed to somebody else", "Server: gives the turn up by itself.";
    KeyReused = "key_reused", 409, false, "The key was used for something else", "Caller: choose a new key.";
    RetryInOrder = "retry_in_order", 409, true, "An earlier command of this connection waits to be sent again", "Caller: send the refused commands again, in order.";
    EventsTrimmed = "events_trimmed", 410, false, "Those events are not kept any more", "Caller: begin at the seq in detail.";
    EpochChanged = "epoch_changed", 409, false, "The history was replaced", "Caller: load the session anew.";
    LinkNotFound = "link_not_found", 404, false, "There is no such link", "Caller: check the address, or ask for a new link.";
    LinkEnded = "link_ended", 410, false, "That link has been revoked or has expired", "Caller: ask for a new link.";
    LinkPassword = "link_password", 403, false, "That link wants a password", "Caller: ask whoever sent the link.";
    CodeNotFound = "code_not_found", 404, false, "That code does not work", "Caller: check the six characters, or ask for a new code: a code works while its session is live.";
    AttachmentNotFound = "attachment_not_found", 404, false, "There is no such attachment", "Caller: upload it for this stream first; it can be posted once, within 24 hours, by who uploaded it.";
    AttachmentTooLarge = "attachment_too_large", 413, false, "The attachment is larger than 25 MiB", "Caller: send a smaller file, or put it elsewhere and post a link.";
    NoSuchCheckpoint = "no_such_checkpoint", 404, false, "There is no such checkpoint", "Caller: read the list of checkpoints; unnamed automatic ones are kept while they are among the last 100.";
    NotYourCheckpoint = "not_your_checkpoint", 403, false, "Only who made it, or a moderator, may do this", "Caller: ask them.";
    TooManyCheckpoints = "too_many_checkpoints", 409, false, "The session has 200 named checkpoints", "Caller: delete some; what they name stays.";
    ContextConflict = "context_conflict", 409, false, "Somebody else has written there since", "Caller: look at conflicts, then send suggestion, or your own choice, with base: version.";
    ContextMoved = "context_moved", 412, false, "The context is at another version", "Caller: read it again.";
    BaseTooOld = "base_too_old", 409, false, "That version of the context is too old to compare with", "Caller: read the context again; the last 10,000 writes are kept for comparing.";
    BaseRequired = "base_required", 422, false, "This write must say which version it rests on", "Caller: send base, the version that you have read.";
    PathNotFound = "path_not_found", 404, false, "There is nothing at that path of the context", "Caller: read the context again, or add the parents first.";
    TypeClash = "type_clash", 422, false, "The value at that path is of another type", "Caller: choose another operation, or replace the value.";
    ContextTestFailed = "context_test_failed", 409, false, "The value that the patch tests for is not there", "Caller: read the context again.";
    ContextTooLarge = "context_too_large", 413, false, "The context would be larger than 1 MiB", "Caller: take something out, or keep it as an attachment.";
    ContextsTooLarge = "contexts_too_large", 413, false, "The contexts of all branches would be larger than 32 MiB", "Caller: take something out of a branch's context, or begin a new session from here.";
    ContextTooDeep = "context_too_deep", 422, false, "The context would be deeper than 32 levels", "Caller: write it flatter.";
    ContextTooManyPaths = "context_too_many_paths", 413, false, "The context would have more than 10,000 values", "Caller: take something out.";
    ContextValueTooLarge = "context_value_too_large", 413, false, "One value is larger than 64 KiB", "Caller: split it, or keep it as an attachment.";
    PatchTooLong = "patch_too_long", 413, false, "The patch has more than 100 operations", "Caller: split it.";
    NoSuchConflict = "no_such_conflict", 404, false, "There is no such open conflict", "Caller: somebody may have chosen already; read the list.";
    TooManyConflicts = "too_many_conflicts", 409, false, "100 conflicts wait for people", "Collaborator: choose in some of them.";
    NoSuchMemory = "no_such_memory", 404, false, "There is no such memory", "Caller: read the list of memories; somebody may have removed it.";
    NotYourMemory = "not_your_memory", 403, false, "Only who added it, or a moderator, may do this", "Caller: ask them.";
    TooManyMemories = "too_many_memories", 409, false, "The session has 200 memories", "Caller: remove some.";
    InvalidSchema = "invalid_schema", 422, false, "The schema is not usable", "Caller: use the keywords that docs/actions.md lists.";
    TooManyActionTypes = "too_many_action_types", 409, false, "The session has 100 types of actions", "Owner: take the schema of some away.";
    ActionDataInvalid = "action_data_invalid", 422, false, "The data does not fit the schema of its type", "Caller: read the schema in the list of types.";
    DataTooLarge = "data_too_large", 413, false, "The data is too large", "Caller: send less, or keep it as an attachment.";
    DataTooDeep = "data_too_deep", 422, false, "The data is too deep", "Caller: write it flatter.";
    NoSuchBranch = "no_such_branch", 404, false, "There is no such branch", "Caller: read the list of branches.";
    NotYourBranch = "not_your_branch", 403, false, "Only who made it, or a moderator, may do this", "Caller: ask them.";
    BranchIsArchived = "branch_is_archived", 409, false, "The branch is put away", "Caller: take it out again, or choose another one.";
    MainBranchStays = "main_branch_stays", 409, false, "The main branch is not put away", "Caller: choose another branch.";
    TooManyBranches = "too_many_branches", 409, false, "The session has 200 branches", "Caller: put some away.";
    HeadMoved = "head_moved", 409, false, "Somebody has written on the branch meanwhile", "Caller: read what is new, then send again with the new head.";
    TooManyForks = "too_many_forks", 409, false, "200 sessions began as copies of this one", "Caller: fork one of them.";
    NothingToMerge = "nothing_to_merge", 409, false, "Everything on that branch is there already", "Nobody: nothing was changed.";
    Overloaded = "overloaded", 503, true, "The session has too much to do", "Caller: send again after retry_after_ms.";
    RateLimited = "rate_limited", 429, true, "Too many requests", "Caller: wait retry_after_ms.";
    TooManyConnections = "too_many_connections", 429, true, "Too many connections", "Caller: close some; administrator: raise the limit.";
    TooManySessions = "too_many_sessions", 429, false, "This connection has to do with too many sessions", "Caller: unsubscribe some, or open another connection; 256 sessions each.";
    EphemeralTooLarge = "ephemeral_too_large", 413, false, "What is to be shown is larger than 1 KiB", "Caller: show less.";
    WindowFull = "window_full", 429, true, "Too many commands wait for their answers", "Caller: keep at most 32 unanswered commands a session.";
    BodyTooLarge = "body_too_large", 413, false, "The body is too large", "Caller: send less at once.";
    FrameTooLarge = "frame_too_large", 413, false, "The frame is larger than 1 MiB", "Caller: send less at once.";
    RequestTimeout = "request_timeout", 408, true, "The request took too long to arrive", "Caller: send it faster.";
    Unavailable = "unavailable", 503, true, "The store cannot write now", "Caller: send again later; administrator: see the log.";
    StorageFull = "storage_full", 507, true, "The disk is full", "Administrator: make room; writing goes on by itself.";
    ShuttingDown = "shutting_down", 503, true, "The server is shutting down", "Caller: connect again after retry_after_ms.";
    UpgradeInProgress = "upgrade_in_progress", 503, true, "A newer server has written to this session", "Administrator: finish the upgrade; reading works.";
    HistoryBroken = "history_broken", 500, false, "This session's history cannot be folded", "Administrator: see the log; reading works, other sessions are unharmed.";
    Internal = "internal", 500, true, "Something went wrong here", "Administrator: see the log under the request id.";
}

/// One error, as REST answers and frames carry it (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Where the code is explained.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, and what to do.
    pub detail: String,
    /// What it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The stable word.
    pub code: Code,
    /// Under which name the log knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Whether a client sends the same call again by itself.
    pub retryable: bool,
    /// When to try again. Unit: milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Which fields are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What a write of the shared context conflicts with; only with `context_conflict`.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub context: Option<Box<ContextReport>>,
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where it stands: a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// The stable word.
    pub code: Code,
    /// What is wrong with it.
    pub detail: String,
}

impl Problem {
    /// Makes a problem that says no more than its code does.
    pub fn new(code: Code) -> Self {
        Self {
            kind: format!("/api/problems#{}", code.name()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: code.title().to_owned(),
            instance: None,
            code,
            request_id: None,
            retryable: code.retryable(),
            retry_after_ms: None,
            errors: Vec::new(),
            context: None,
        }
    }

    /// Says what happened here.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// Names a wrong field.
    #[must_use]
    pub fn with_field(mut self, pointer: impl Into<String>, code: Code, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), code, detail: detail.into() });
        self
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.detail)
    }
}

impl std::error::Error for Problem {}
