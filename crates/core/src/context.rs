//! What comes in beside a command, and what comes out of a decision.

use roundtable_protocol::branching::{CopiedFrom, ForkedFrom};
use roundtable_protocol::grant::Grant;
use roundtable_protocol::ids::{
    DEFAULT_PROJECT, Epoch, MessageId, ParticipantId, ProjectId, Seq, SessionId, Stream, Timestamp, TurnId, UserId,
};
use roundtable_protocol::memory::Memory;
use roundtable_protocol::model::{Attachment, SessionKind, Settings, Visibility};
use roundtable_protocol::{Code, Event, Problem};

/// Who gives a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// The server's own rules, doors and drivers.
    System,
    /// A person, known by the login.
    User(UserId),
}

/// Everything from outside that a decision may rest on.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The time. Events never bear an earlier one than the session's last.
    pub now: Timestamp,
    /// Who gives the command.
    pub caller: Caller,
    /// What the caller may do.
    pub grant: &'a Grant,
    /// Which participants are connected.
    pub present: &'a [ParticipantId],
    /// What is known of the uploaded files that the command names; the caller's word for them counts for nothing.
    pub uploads: &'a [Upload],
}

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Who uploaded it.
    pub uploader: UserId,
    /// For which stream.
    pub stream: Stream,
    /// The file.
    pub attachment: Attachment,
}

/// What a command does: nothing has happened until the events are stored and applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What happens, in order, numbered.
    pub events: Vec<Event>,
    /// Earlier events whose text is to be erased with this commit.
    pub redactions: Vec<(Stream, Seq)>,
    /// What the caller is told when nothing of what was asked happens; the events then only record that.
    pub refused: Option<Box<Problem>>,
}

/// What a session is made of at its beginning.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The session.
    pub session: SessionId,
    /// The identity of its numbering.
    pub epoch: Epoch,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Who owns it.
    pub owner: UserId,
    /// The owner's name in it.
    pub owner_name: String,
    /// The hue that the owner has chosen, 0 to 11.
    pub owner_colour: Option<u8>,
    /// What it is called; when empty, its first message in `main` gives the title.
    pub title: String,
    /// What it is for.
    pub kind: SessionKind,
    /// Who can find it.
    pub visibility: Visibility,
    /// Its settings.
    pub settings: Settings,
    /// What it is about.
    pub description: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// One word to group it by.
    pub category: Option<String>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Whether it starts at once.
    pub start: bool,
    /// The assistant that is a participant from the start: who it is and its name.
    pub assistant: Option<(UserId, String)>,
}

/// What a session that begins as a copy of another one holds at its beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct Copied {
    /// Of what.
    pub from: ForkedFrom,
    /// The messages, oldest first.
    pub messages: Vec<CopiedMessage>,
    /// The shared context: an object.
    pub context: serde_json::Value,
    /// What was kept in mind of those messages.
    pub memories: Vec<Memory>,
}

/// A message that is copied into another session.
#[derive(Clone, Debug, PartialEq)]
pub struct CopiedMessage {
    /// Which one, and how it was there.
    pub from: CopiedFrom,
    /// What it says.
    pub text: String,
    /// What programs say beside the text.
    pub data: Option<serde_json::Value>,
    /// Whether it is marked as a decision.
    pub decision: bool,
}

impl Founding {
    /// Returns what a plain session of one owner begins with: private, collaborative, started, without an assistant and
    /// without a title. Its ids are derived from the owner's; give it others where an owner has several.
    pub fn simple(owner: UserId, owner_name: &str) -> Self {
        Self {
            session: SessionId::derive(owner.0, 0),
            epoch: Epoch(SessionId::derive(owner.0, 1).to_string()),
            project: DEFAULT_PROJECT,
            owner,
            owner_name: owner_name.to_owned(),
            owner_colour: None,
            title: String::new(),
            kind: SessionKind::default(),
            visibility: Visibility::default(),
            settings: Settings::default(),
            description: String::new(),
            tags: Vec::new(),
            category: None,
            expires_at: None,
            start: true,
            assistant: None,
        }
    }
}

/// The rules said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.name())]
pub struct Rejection {
    /// The stable word.
    pub code: Code,
    /// What happened here and what to do.
    pub detail: String,
    /// The field that is wrong, as a JSON Pointer into the command's data.
    pub pointer: Option<&'static str>,
}

impl Rejection {
    /// Makes a rejection that says no more than its code does.
    pub fn new(code: Code) -> Self {
        Self { code, detail: code.title().to_owned(), pointer: None }
    }

    /// Makes a rejection of one field.
    pub fn field(pointer: &'static str, code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), pointer: Some(pointer) }
    }
}

impl From<Code> for Rejection {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let problem = Self::new(rejection.code).with_detail(rejection.detail.clone());
        match rejection.pointer {
            Some(pointer) => problem.with_field(pointer, rejection.code, rejection.detail),
            None => problem,
        }
    }
}

/// What the state says must be done. Derived, never remembered: a crash forgets nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Claim this turn with `turn.start`, then let its assistant answer.
    StartTurn {
        /// The turn, next in the queue.
        turn: TurnId,
        /// The message that asks.
        message: MessageId,
        /// Who asked.
        requester: ParticipantId,
        /// Who answers.
        assistant: ParticipantId,
        /// Which driver the settings name.
        driver: String,
    },
    /// Walk the hash chain of the ended session's log, then record with `session.archive` where it stands.
    Archive,
}
