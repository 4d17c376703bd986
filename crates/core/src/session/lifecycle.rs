//! A session's life: what it is called, its settings, its states and its end.
//!
//! Owns: the fields of the session itself, its moves, its limits, who leads it. Must not know: who may do it (that is the
//! grant's). Invariant: a completed or terminated session stays that, and ending one ends every turn in the same
//! decision.
//!
//! | module | holds |
//! |---|---|
//! | `moves` | start, pause, resume, fail, end |
//! | `limits` | expiry, time limit, idle limit, and the warning before each |
//! | `points` | when a checkpoint is made by itself |
//! | `report` | what is counted, and the sum at the end |
//! | `host` | the owner's absence, succession, detaching and attaching |

use std::collections::BTreeMap;
use std::time::Duration;

use roundtable_protocol::branching::ForkedFrom;
use roundtable_protocol::command::{Command, SessionChangeDetails, SessionRename};
use roundtable_protocol::event::{
    Actor, Event, EventBody, ParticipantJoined, SessionCreated, SessionDetailsChanged, SessionEnded, SessionEnding,
    SessionExpiryChanged, SessionOwnerChanged, SessionRenamed, SessionSettingsChanged, SessionStarted, SessionWarned,
};
use roundtable_protocol::grant::Role;
use roundtable_protocol::ids::{
    BranchId, DEFAULT_PROJECT, Epoch, EventId, MessageId, ParticipantId, ProjectId, Stream, Timestamp, UserId,
};
use roundtable_protocol::model::{
    Limit, Membership, Participant, ParticipantKind, SessionKind, SessionState, Settings, SettingsPatch, Visibility,
};
use roundtable_protocol::problem::Code;
use roundtable_protocol::report::Report;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::draft::{ASSISTANT_ID, BRANCH_ID, By, Draft, PARTICIPANT_ID};
use super::{Session, document, text};
use crate::context::{Context, Decision, Founding, Rejection};

pub(super) mod host;
pub(super) mod limits;
pub(super) mod moves;
pub(super) mod points;
pub(super) mod report;

/// What a session is called until somebody or a message gives it a title.
pub(super) const UNTITLED: &str = "New session";

/// How long what was said in a session that is not recorded stays readable after its end.
pub(super) const KEPT_UNRECORDED: Duration = Duration::from_secs(24 * 3600);

/// Everything about the session itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lifecycle {
    pub title: String,
    pub kind: SessionKind,
    pub visibility: Visibility,
    pub state: SessionState,
    pub settings: Settings,
    pub owner: UserId,
    pub project: ProjectId,
    pub main_branch: BranchId,
    pub epoch: Epoch,
    pub description: String,
    pub tags: Vec<String>,
    pub category: Option<String>,
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Nobody has given it a title, and no message has yet.
    pub untitled: bool,
    /// The message that the title was made from.
    pub titled_by: Option<MessageId>,
    /// When `expires_at` was set.
    pub expiry_set_at: Timestamp,
    /// When somebody, person or assistant, last did something.
    pub active_at: Timestamp,
    /// For which strike of each limit a warning was given last.
    pub warned: BTreeMap<Limit, Timestamp>,
    /// It ends for this reason as soon as what was asked is answered.
    pub ending: Option<String>,
    /// Who leads it.
    pub host: host::Host,
    /// What its report will say.
    pub tally: report::Tally,
    /// What it came to, once it has ended.
    pub report: Option<Box<Report>>,
    /// That its log was whole after its end is recorded.
    pub archived: bool,
    created: bool,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            title: String::new(),
            kind: SessionKind::default(),
            visibility: Visibility::default(),
            state: SessionState::Created,
            settings: Settings::default(),
            owner: UserId::NIL,
            project: DEFAULT_PROJECT,
            main_branch: BranchId::NIL,
            epoch: Epoch(String::new()),
            description: String::new(),
            tags: Vec::new(),
            category: None,
            expires_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            started_at: None,
            ended_at: None,
            untitled: false,
            titled_by: None,
            expiry_set_at: Timestamp::UNIX_EPOCH,
            active_at: Timestamp::UNIX_EPOCH,
            warned: BTreeMap::new(),
            ending: None,
            host: host::Host::default(),
            tally: report::Tally::default(),
            report: None,
            archived: false,
            created: false,
        }
    }
}

impl Lifecycle {
    pub fn is_created(&self) -> bool {
        self.created
    }

    /// Returns when a session that is not recorded forgets what was said: 24 hours after its end.
    pub fn forgets_at(&self) -> Option<Timestamp> {
        let ended = self.ended_at.filter(|_| self.state.is_ended() && !self.settings.recording)?;
        // Beyond the end of time nothing is due.
        ended.checked_add(KEPT_UNRECORDED).ok()
    }

    pub fn apply_created(&mut self, data: &SessionCreated, at: Timestamp) {
        *self = Self {
            title: data.title.clone(),
            kind: data.kind,
            visibility: data.visibility,
            state: SessionState::Created,
            settings: data.settings.clone(),
            owner: data.owner,
            project: data.project,
            main_branch: data.main_branch,
            epoch: data.epoch.clone(),
            description: data.description.clone(),
            tags: data.tags.clone(),
            category: data.category.clone(),
            expires_at: data.expires_at,
            created_at: at,
            started_at: None,
            ended_at: None,
            untitled: data.untitled,
            titled_by: None,
            expiry_set_at: at,
            active_at: at,
            warned: BTreeMap::new(),
            ending: None,
            host: host::Host::default(),
            tally: report::Tally::default(),
            report: None,
            archived: false,
            created: true,
        };
    }

    pub fn apply_started(&mut self, at: Timestamp) {
        self.state = SessionState::Active;
        self.started_at = Some(at);
    }

    pub fn apply_renamed(&mut self, data: &SessionRenamed) {
        if !data.redacted {
            self.title.clone_from(&data.title);
        }
        self.untitled = data.untitled;
        self.titled_by = data.made_from;
    }

    pub fn apply_details_changed(&mut self, data: &SessionDetailsChanged) {
        self.description.clone_from(&data.description);
        self.tags.clone_from(&data.tags);
        self.category.clone_from(&data.category);
        self.visibility = data.visibility;
    }

    pub fn apply_settings_changed(&mut self, data: &SessionSettingsChanged) {
        self.settings.clone_from(&data.settings);
    }

    pub fn apply_ended(&mut self, data: &SessionEnded, at: Timestamp) {
        self.state = data.state;
        self.ended_at = Some(at);
        self.ending = None;
    }

    pub fn apply_paused(&mut self) {
        self.state = SessionState::Paused;
    }

    pub fn apply_resumed(&mut self) {
        self.state = SessionState::Active;
        self.ended_at = None;
    }

    pub fn apply_ending(&mut self, data: &SessionEnding) {
        self.ending = Some(data.reason.clone());
    }

    pub fn apply_expiry_changed(&mut self, data: &SessionExpiryChanged, at: Timestamp) {
        self.expires_at = data.expires_at;
        self.expiry_set_at = at;
    }

    pub fn apply_warned(&mut self, data: &SessionWarned) {
        self.warned.insert(data.limit, data.strikes_at);
    }

    pub fn apply_owner_changed(&mut self, data: &SessionOwnerChanged) {
        self.owner = data.owner;
        self.host.apply_owner_changed();
    }

    /// Notes that somebody did something; what the server does by itself, or who only asks to be let in, keeps no session
    /// from being idle.
    pub fn apply_activity(&mut self, event: &Event) {
        let outside = matches!(event.body, EventBody::ParticipantRequested(_) | EventBody::ParticipantRequestEnded(_));
        if event.header.actor != Actor::System && !outside {
            self.active_at = self.active_at.max(event.header.at);
        }
    }
}

/// Checks that the session's state lets a command through at all.
///
/// Leaving, sending away and erasing stay possible after the end: they only take something away from an audience that
/// can still read. The moves of the life itself and the driver's writes are checked where they are decided, because
/// their answers are more exact than "not active".
pub(super) fn check_state(session: &Session, command: &Command) -> Result<(), Rejection> {
    let state = session.state();
    let allowed = match command {
        Command::SessionStart(_)
        | Command::SessionEnd(_)
        | Command::SessionPause(_)
        | Command::SessionResume(_)
        | Command::SessionFail(_)
        | Command::SessionArchive(_)
        | Command::ParticipantJoin(_)
        | Command::ParticipantWithdrawRequest(_)
        | Command::ParticipantLeave(_)
        | Command::ParticipantRemove(_)
        | Command::MessageRedact(_)
        | Command::CopiesErase(_)
        | Command::SessionFork(_)
        | Command::TurnProgress(_)
        | Command::TurnComplete(_)
        | Command::TurnFail(_)
        | Command::TurnLose(_) => true,
        Command::SessionRename(_)
        | Command::SessionChangeDetails(_)
        | Command::ParticipantApprove(_)
        | Command::ParticipantDeny(_)
        | Command::ParticipantChangeRole(_)
        | Command::ParticipantChangeProfile(_)
        | Command::CheckpointRename(_)
        | Command::CheckpointDelete(_)
        | Command::ActionDefineType(_)
        | Command::MemoryRemove(_) => !state.is_ended(),
        // A failed session may first need another assistant, or more time, before it can be resumed.
        Command::SessionChangeSettings(_) | Command::SessionChangeExpiry(_) => {
            !state.is_ended() || state == SessionState::Failed
        }
        Command::MessagePost(_)
        | Command::MessageEdit(_)
        | Command::DecisionRecord(_)
        | Command::DecisionWithdraw(_)
        | Command::CheckpointCreate(_)
        | Command::MemoryAdd(_)
        | Command::MemoryEdit(_)
        | Command::ActionPerform(_)
        | Command::CheckpointRestore(_)
        | Command::BranchCreate(_)
        | Command::BranchMove(_)
        | Command::BranchRename(_)
        | Command::BranchArchive(_)
        | Command::BranchFocus(_)
        | Command::BranchMerge(_)
        | Command::ErrorReport(_)
        | Command::TurnAsk(_)
        | Command::TurnEdit(_)
        | Command::TurnWithdraw(_)
        | Command::TurnStop(_)
        | Command::SessionDetach(_)
        | Command::SessionAttach(_)
        | Command::SessionMissHost(_)
        | Command::ContextPatch(_)
        | Command::ContextRevert(_)
        | Command::ContextResolve(_) => state.is_open(),
        Command::TurnStart(_) => state == SessionState::Active,
    };
    if allowed { Ok(()) } else { Err(not_active(state)) }
}

/// Returns the rejection of a write into a session that is not open.
pub(super) fn not_active(state: SessionState) -> Rejection {
    Rejection { code: Code::SessionNotActive, detail: format!("the session is {}", state.name()), pointer: None }
}

pub(super) fn decide_create(
    cx: &Context<'_>,
    key: Uuid,
    founding: &Founding,
    forked_from: Option<ForkedFrom>,
) -> Result<Decision, Rejection> {
    let owner_name = text::filled_line("/display_name", &founding.owner_name, text::MAX_NAME)?;
    let owner_colour = founding.owner_colour.map(text::chosen_colour).transpose()?;
    let given = text::line("/title", &founding.title, text::MAX_TITLE)?;
    let untitled = given.is_empty();
    let title = if untitled { UNTITLED.to_owned() } else { given };
    check_settings(&founding.settings)?;
    if founding.expires_at.is_some_and(|at| at <= cx.now) {
        return Err(Rejection::field("/expires_at", Code::InvalidField, "that time has passed"));
    }
    let created = SessionCreated {
        title,
        kind: founding.kind,
        visibility: founding.visibility,
        settings: founding.settings.clone(),
        owner: founding.owner,
        project: founding.project,
        main_branch: BranchId::derive(key, BRANCH_ID),
        epoch: founding.epoch.clone(),
        description: text::lines("/description", &founding.description, text::MAX_DESCRIPTION)?,
        tags: text::tags(&founding.tags)?,
        category: founding.category.as_deref().map_or(Ok(None), text::category)?,
        expires_at: founding.expires_at,
        untitled,
        forked_from,
    };
    let assistant = match &founding.assistant {
        Some((user, name)) => Some((*user, text::filled_line("/assistant", name, text::MAX_NAME)?)),
        None => None,
    };

    let owner = ParticipantId::derive(key, PARTICIPANT_ID);
    let mut draft = Draft::new(&Session::empty(founding.session), key, cx.now, Actor::Participant(owner));
    let joined_at = draft.at();
    let someone = |id, user_id, kind, role, display_name, colour: Option<u8>| Participant {
        id,
        user_id,
        kind,
        role,
        display_name,
        colour: colour.unwrap_or_else(|| text::colour(user_id)),
        guest: false,
        membership: Membership::Joined,
        joined_at,
    };
    draft.push(Stream::Main, vec![], created);
    let participant =
        someone(owner, founding.owner, ParticipantKind::User, Role::Owner, owner_name.clone(), owner_colour);
    draft.push(Stream::Main, vec![], ParticipantJoined { participant, via: None });
    if let Some((user, name)) = assistant {
        let name = text::unique_name(&name, std::iter::once(owner_name.as_str()));
        let id = ParticipantId::derive(key, ASSISTANT_ID);
        let participant = someone(id, user, ParticipantKind::Agent, Role::Collaborator, name, None);
        draft.push(Stream::Main, vec![], ParticipantJoined { participant, via: None });
    }
    if founding.start {
        draft.push(Stream::Main, vec![], SessionStarted {});
    }
    Ok(draft.finish())
}

pub(super) fn decide_rename(by: &By<'_>, data: &SessionRename) -> Result<Decision, Rejection> {
    let title = text::filled_line("/title", &data.title, text::MAX_TITLE)?;
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], SessionRenamed { title, made_from: None, untitled: false, redacted: false });
    Ok(draft.finish())
}

/// Calls a session that nobody has named after a message in `main`, in the same decision that posts it.
/// Returns whether it did.
pub(super) fn title_by(session: &Session, draft: &mut Draft, posted: EventId, text: &str) -> bool {
    // Asked first: making a title of every message would cost more than the rest of deciding it.
    if !session.lifecycle.untitled {
        return false;
    }
    let Some(title) = text::title_of(text) else { return false };
    let made_from = Some(MessageId(posted.0));
    draft.push(Stream::Main, vec![posted], SessionRenamed { title, made_from, untitled: false, redacted: false });
    true
}

/// Takes the title away that was made from a message which is erased.
pub(super) fn untitle(session: &Session, draft: &mut Draft, message: MessageId) {
    if session.lifecycle.titled_by == Some(message) {
        let title = UNTITLED.to_owned();
        draft.push(Stream::Main, vec![], SessionRenamed { title, made_from: None, untitled: true, redacted: false });
    }
}

pub(super) fn decide_change_details(by: &By<'_>, data: &SessionChangeDetails) -> Result<Decision, Rejection> {
    let now = &by.session.lifecycle;
    let details = SessionDetailsChanged {
        description: match &data.description {
            Some(new) => text::lines("/description", new, text::MAX_DESCRIPTION)?,
            None => now.description.clone(),
        },
        tags: data.tags.as_deref().map_or_else(|| Ok(now.tags.clone()), text::tags)?,
        category: data.category.as_deref().map_or_else(|| Ok(now.category.clone()), text::category)?,
        visibility: data.visibility.unwrap_or(now.visibility),
    };
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], details);
    Ok(draft.finish())
}

pub(super) fn decide_change_settings(by: &By<'_>, patch: &SettingsPatch) -> Result<Decision, Rejection> {
    let settings = patch.resolve(by.session.settings());
    check_settings(&settings)?;
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], SessionSettingsChanged { settings });
    Ok(draft.finish())
}

fn check_settings(settings: &Settings) -> Result<(), Rejection> {
    let refuse = |pointer, code, detail| Err(Rejection::field(pointer, code, detail));
    if settings.max_participants == Some(0) {
        return refuse("/settings/max_participants", Code::InvalidField, "at least 1, or null for no cap");
    }
    for (pointer, limit) in
        [("/settings/time_limit_s", settings.time_limit_s), ("/settings/idle_limit_s", settings.idle_limit_s)]
    {
        if limit.is_some_and(|s| s == 0 || s > limits::LONGEST_S) {
            return refuse(pointer, Code::InvalidField, "1 to 31536000 seconds, or null for no limit");
        }
    }
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if settings.assistant.is_empty() || settings.assistant.len() > 40 || !settings.assistant.chars().all(word) {
        return refuse("/settings/assistant", Code::InvalidField, "the name of an assistant, such as guide or model");
    }
    document::check_strategies(&settings.context_strategies)
}
