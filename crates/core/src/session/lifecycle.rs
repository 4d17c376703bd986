//! A session's life: what it is called, its settings, its states and its end.
//!
//! Owns: legal moves, the fields of the session itself, expiry. Must not know: who may do it (that is the grant's).
//! Invariant: an ended session stays ended, and ending it ends every turn in the same decision.

use std::time::Duration;

use roundtable_protocol::command::{Command, SessionChangeDetails, SessionEnd, SessionRename};
use roundtable_protocol::event::{
    Actor, ParticipantJoined, SessionCreated, SessionDetailsChanged, SessionEnded, SessionRenamed,
    SessionSettingsChanged, SessionStarted,
};
use roundtable_protocol::grant::Role;
use roundtable_protocol::ids::{
    BranchId, DEFAULT_PROJECT, Epoch, EventId, MessageId, ParticipantId, ProjectId, Stream, Timestamp, UserId,
};
use roundtable_protocol::model::{
    Membership, Participant, ParticipantKind, SessionKind, SessionState, Settings, SettingsPatch, Visibility,
};
use roundtable_protocol::problem::Code;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::draft::{ASSISTANT_ID, BRANCH_ID, By, Draft, PARTICIPANT_ID};
use super::{Session, text, turns};
use crate::context::{Context, Decision, Founding, Rejection};

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
            created: false,
        }
    }
}

impl Lifecycle {
    pub fn is_created(&self) -> bool {
        self.created
    }

    /// Returns when the session ends by itself, unless it has ended.
    pub fn expiry(&self) -> Option<Timestamp> {
        self.expires_at.filter(|_| self.created && !self.state.is_ended())
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
        | Command::ParticipantJoin(_)
        | Command::ParticipantLeave(_)
        | Command::ParticipantRemove(_)
        | Command::MessageRedact(_)
        | Command::TurnProgress(_)
        | Command::TurnComplete(_)
        | Command::TurnFail(_)
        | Command::TurnLose(_) => true,
        Command::SessionRename(_)
        | Command::SessionChangeDetails(_)
        | Command::SessionChangeSettings(_)
        | Command::ParticipantChangeRole(_)
        | Command::ParticipantChangeProfile(_)
        | Command::CheckpointRename(_)
        | Command::CheckpointDelete(_) => !state.is_ended(),
        Command::MessagePost(_)
        | Command::MessageEdit(_)
        | Command::DecisionRecord(_)
        | Command::DecisionWithdraw(_)
        | Command::CheckpointCreate(_)
        | Command::TurnAsk(_)
        | Command::TurnEdit(_)
        | Command::TurnWithdraw(_)
        | Command::TurnStop(_) => state.is_open(),
        Command::TurnStart(_) => state == SessionState::Active,
    };
    if allowed { Ok(()) } else { Err(not_active(state)) }
}

/// Returns the rejection of a write into a session that is not open.
pub(super) fn not_active(state: SessionState) -> Rejection {
    Rejection { code: Code::SessionNotActive, detail: format!("the session is {}", state.name()), pointer: None }
}

pub(super) fn decide_create(cx: &Context<'_>, key: Uuid, founding: &Founding) -> Result<Decision, Rejection> {
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

pub(super) fn decide_start(by: &By<'_>) -> Result<Decision, Rejection> {
    match by.session.state() {
        SessionState::Created => {
            let mut draft = by.draft();
            draft.push(Stream::Main, vec![], SessionStarted {});
            Ok(draft.finish())
        }
        state => Err(illegal(state, "started")),
    }
}

pub(super) fn decide_rename(by: &By<'_>, data: &SessionRename) -> Result<Decision, Rejection> {
    let title = text::filled_line("/title", &data.title, text::MAX_TITLE)?;
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], SessionRenamed { title, made_from: None, untitled: false, redacted: false });
    Ok(draft.finish())
}

/// Calls a session that nobody has named after a message in `main`, in the same decision that posts it.
pub(super) fn title_by(session: &Session, draft: &mut Draft, posted: EventId, text: &str) {
    if !session.lifecycle.untitled {
        return;
    }
    if let Some(title) = text::title_of(text) {
        let made_from = Some(MessageId(posted.0));
        draft.push(Stream::Main, vec![posted], SessionRenamed { title, made_from, untitled: false, redacted: false });
    }
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

pub(super) fn decide_end(by: &By<'_>, data: &SessionEnd) -> Result<Decision, Rejection> {
    let state = if data.terminate { SessionState::Terminated } else { SessionState::Completed };
    if by.session.state().is_ended() {
        return Err(illegal(by.session.state(), state.name()));
    }
    let reason = text::reason(data.reason.as_ref())?.unwrap_or_else(|| "ended".to_owned());
    Ok(end(by.session, by.draft(), state, reason))
}

/// Ends the session and, before it, every turn.
pub(super) fn end(session: &Session, mut draft: Draft, state: SessionState, reason: String) -> Decision {
    turns::cut(session, &mut draft, |_, _| true);
    draft.push(Stream::Main, vec![], SessionEnded { state, reason });
    draft.finish()
}

fn illegal(from: SessionState, to: &str) -> Rejection {
    Rejection {
        code: Code::IllegalTransition,
        detail: format!("a session that is {} cannot be {to}", from.name()),
        pointer: None,
    }
}

fn check_settings(settings: &Settings) -> Result<(), Rejection> {
    let refuse = |pointer, code, detail| Err(Rejection::field(pointer, code, detail));
    if settings.require_approval {
        return refuse(
            "/settings/require_approval",
            Code::NotAvailable,
            "this server has no lobby yet: whoever has a link joins at once; leave it false",
        );
    }
    if settings.max_participants == Some(0) {
        return refuse("/settings/max_participants", Code::InvalidField, "at least 1, or null for no cap");
    }
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if settings.assistant.is_empty() || settings.assistant.len() > 40 || !settings.assistant.chars().all(word) {
        return refuse("/settings/assistant", Code::InvalidField, "the name of an assistant, such as guide or model");
    }
    Ok(())
}
