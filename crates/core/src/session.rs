//! One session: its parts, and the two matches that lead to them.
//!
//! Owns: the order in which a command is checked, the numbering of events, and which part folds which event. Must not
//! know: the rules of the parts. Invariant: [`Session::decide`] changes nothing, [`Session::apply`] is the only change
//! and cannot fail; every part writes only itself.
//!
//! | module | holds |
//! |---|---|
//! | `actions` | types of actions and where actions are |
//! | `memories` | what is kept in mind, without texts |
//! | `branches` | lines of the conversation: heads, forks, merges |
//! | `checkpoints` | named and automatic points that can be gone back to |
//! | `lifecycle` | title, settings, states and legal moves, limits, who leads it |
//! | `roster` | members, roles, names, the cap |
//! | `lobby` | who asks to be let in, and what became of it |
//! | `messages` | the index without bodies: who, where, which events bear text |
//! | `turns` | the queue, the running turn and its lease |
//! | `document` | the shared context: a document for each branch, who wrote what, conflicts |
//! | `owed` | what the state says must be done, and when to look again |
//! | `snapshot` | the private state snapshot |
//! | `forks` | which session it began as a copy of, and which began as copies of it |
//! | `draft` | numbering and naming events while a decision is made |
//! | `text` | what people may write into fields, and `@name` |

use roundtable_protocol::branching::CopiedFrom;
use roundtable_protocol::command::{Command, Envelope};
use roundtable_protocol::event::{Event, EventBody};
use roundtable_protocol::ids::{Epoch, ParticipantId, ProjectId, Seq, SessionId, Stream, Timestamp, UserId};
use roundtable_protocol::model::{Participant, SessionInfo, SessionState, Settings};
use roundtable_protocol::problem::Code;
use roundtable_protocol::report::Report;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::context::{Caller, Context, Copied, Decision, Founding, Rejection};
use crate::permission::permission;

mod actions;
mod branches;
mod checkpoints;
mod document;
mod draft;
mod forks;
mod lifecycle;
mod lobby;
mod memories;
mod messages;
mod owed;
mod roster;
mod snapshot;
mod text;
mod turns;

pub use actions::MAX_ACTION_TYPES;
pub use branches::{Compared, MAX_BRANCHES, MAX_PICKED};
pub use checkpoints::{KEPT_AUTOMATIC, MAX_NAMED};
pub use forks::{MAX_COPIED, MAX_FORKS, fork_of};
pub use lifecycle::host::HOST_GRACE;
pub use lifecycle::limits::WARN_BEFORE;
pub use lobby::{MAX_WAITING, REQUEST_LIFE};
pub use memories::MAX_MEMORIES;
pub use messages::{MessageRef, PageSpan};
pub use owed::watched;
pub use turns::{LEASE, MAX_QUEUED, MAX_QUEUED_EACH, On, QueuedTurn, RunningTurn};

use actions::Actions;
use branches::Branches;
use checkpoints::Checkpoints;
use document::Documents;
use draft::By;
use forks::Forks;
use lifecycle::{Lifecycle, host, limits, moves, report};
use lobby::Lobby;
use memories::Memories;
use messages::Messages;
use roster::Roster;
use turns::Turns;

/// Returns a display name as it is recorded: normalised, trimmed, 1 to 40 characters, nothing hidden in it.
///
/// # Errors
/// `invalid_field` at `/display_name`.
pub fn display_name(text: &str) -> Result<String, Rejection> {
    text::filled_line("/display_name", text, text::MAX_NAME)
}

/// Returns the hue of a user who has chosen none, 0 to 11; the same in every session.
pub fn colour(user: UserId) -> u8 {
    text::colour(user)
}

/// Checks a hue that somebody has chosen.
///
/// # Errors
/// `invalid_field` at `/colour`.
pub fn chosen_colour(colour: u8) -> Result<u8, Rejection> {
    text::chosen_colour(colour)
}

/// The state of one session, folded from its events. Holds no message text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    id: SessionId,
    heads: [Seq; 4],
    last_at: Timestamp,
    roles_rev: u64,
    lifecycle: Lifecycle,
    roster: Roster,
    messages: Messages,
    turns: Turns,
    branches: Branches,
    checkpoints: Checkpoints,
    documents: Documents,
    memories: Memories,
    actions: Actions,
    forks: Forks,
    lobby: Lobby,
}

impl Session {
    /// Returns the session before its first event.
    pub fn empty(id: SessionId) -> Self {
        Self {
            id,
            heads: [Seq::ZERO; 4],
            last_at: Timestamp::UNIX_EPOCH,
            roles_rev: 0,
            lifecycle: Lifecycle::default(),
            roster: Roster::default(),
            messages: Messages::default(),
            turns: Turns::default(),
            branches: Branches::default(),
            checkpoints: Checkpoints::default(),
            documents: Documents::default(),
            memories: Memories::default(),
            actions: Actions::default(),
            forks: Forks::default(),
            lobby: Lobby::default(),
        }
    }

    /// Decides how a session begins: `session.created`, who is in it, and its start if it starts at once.
    ///
    /// # Errors
    /// A field is not usable, or asks for what this server does not have.
    pub fn create(cx: &Context<'_>, key: Uuid, founding: &Founding) -> Result<Decision, Rejection> {
        lifecycle::decide_create(cx, key, founding, None)
    }

    /// Decides how a session begins as a copy of another one: as any session does, then with what was copied.
    ///
    /// # Errors
    /// A field is not usable.
    pub fn create_copy(
        cx: &Context<'_>,
        key: Uuid,
        founding: &Founding,
        copied: &Copied,
    ) -> Result<Decision, Rejection> {
        forks::decide_copy(cx, key, founding, copied)
    }

    /// Decides what the command in `envelope` would do now. Pure: changes nothing.
    ///
    /// The order of the checks is fixed: who may give this command at all, whether the grant is of now, whether the
    /// caller is in the session, the permission, then state and fields.
    ///
    /// # Errors
    /// The rules say no.
    pub fn decide(&self, cx: &Context<'_>, envelope: &Envelope) -> Result<Decision, Rejection> {
        let by = self.admit(cx, envelope)?;
        let decision = self.decide_as(&by, envelope)?;
        document::check_together(self, &decision)?;
        Ok(decision)
    }

    fn decide_as(&self, by: &By<'_>, envelope: &Envelope) -> Result<Decision, Rejection> {
        match &envelope.command {
            Command::SessionStart(_) => moves::decide_start(by),
            Command::SessionRename(data) => lifecycle::decide_rename(by, data),
            Command::SessionChangeDetails(data) => lifecycle::decide_change_details(by, data),
            Command::SessionChangeSettings(data) => lifecycle::decide_change_settings(by, data),
            Command::SessionEnd(data) => moves::decide_end(by, data),
            Command::SessionPause(data) => moves::decide_pause(by, data),
            Command::SessionResume(_) => moves::decide_resume(by),
            Command::SessionFail(data) => moves::decide_fail(by, data),
            Command::SessionChangeExpiry(data) => limits::decide_change_expiry(by, data),
            Command::SessionDetach(_) => host::decide_detach(by),
            Command::SessionAttach(data) => host::decide_attach(by, data),
            Command::SessionMissHost(data) => host::decide_miss(by, data),
            Command::SessionArchive(data) => moves::decide_archive(by, data),
            Command::ParticipantJoin(data) => roster::decide_join(by, data),
            Command::ParticipantApprove(data) => lobby::decide_approve(by, data),
            Command::ParticipantDeny(data) => lobby::decide_deny(by, data),
            Command::ParticipantWithdrawRequest(data) => lobby::decide_withdraw(by, data),
            Command::ParticipantLeave(_) => roster::decide_leave(by),
            Command::ParticipantRemove(data) => roster::decide_remove(by, data),
            Command::ParticipantChangeRole(data) => roster::decide_change_role(by, data),
            Command::ParticipantChangeProfile(data) => roster::decide_change_profile(by, data),
            Command::MessagePost(data) => messages::decide_post(by, data),
            Command::MessageEdit(data) => messages::decide_edit(by, data),
            Command::MessageRedact(data) => messages::decide_redact(by, data),
            Command::DecisionRecord(data) => messages::decide_record(by, data),
            Command::DecisionWithdraw(data) => messages::decide_withdraw(by, data),
            Command::CheckpointCreate(data) => checkpoints::decide_create(by, data),
            Command::CheckpointRename(data) => checkpoints::decide_rename(by, data),
            Command::CheckpointDelete(data) => checkpoints::decide_delete(by, data),
            Command::MemoryAdd(data) => memories::decide_add(by, data),
            Command::MemoryEdit(data) => memories::decide_edit(by, data),
            Command::MemoryRemove(data) => memories::decide_remove(by, data),
            Command::ActionDefineType(data) => actions::decide_define_type(by, data),
            Command::ActionPerform(data) => actions::decide_perform(by, data),
            Command::CheckpointRestore(data) => checkpoints::decide_restore(by, data),
            Command::BranchCreate(data) => branches::decide_create(by, data),
            Command::BranchMove(data) => branches::decide_move(by, data),
            Command::BranchRename(data) => branches::decide_rename(by, data),
            Command::BranchArchive(data) => branches::decide_archive(by, data),
            Command::BranchFocus(data) => branches::decide_focus(by, data),
            Command::BranchMerge(data) => branches::decide_merge(by, data),
            Command::SessionFork(data) => forks::decide_fork(by, data),
            Command::CopiesErase(data) => forks::decide_erase(by, data),
            Command::ErrorReport(data) => actions::decide_report(by, data),
            Command::TurnAsk(data) => turns::decide_ask(by, data),
            Command::TurnEdit(data) => turns::decide_edit(by, data),
            Command::TurnWithdraw(data) => turns::decide_withdraw(by, data),
            Command::TurnStop(data) => turns::decide_stop(by, data),
            Command::TurnStart(data) => turns::decide_start(by, data),
            Command::TurnProgress(data) => turns::decide_progress(by, data),
            Command::TurnComplete(data) => turns::decide_complete(by, data),
            Command::TurnFail(data) => turns::decide_fail(by, data),
            Command::TurnLose(data) => turns::decide_lose(by, data),
            Command::ContextPatch(data) => document::decide_patch(by, data),
            Command::ContextRevert(data) => document::decide_revert(by, data),
            Command::ContextResolve(data) => document::decide_resolve(by, data),
        }
    }

    /// Decides what is due at `cx.now`: a limit's strike or warning, the end of the owner's grace, the loss of a turn
    /// whose lease has ended, or the erasing of what was not recorded, some at a time.
    ///
    /// `key` becomes the id of the first event. No event: nothing is due.
    pub fn on_time(&self, cx: &Context<'_>, key: Uuid) -> Decision {
        owed::on_time(self, cx, key)
    }

    /// Folds one recorded event into the state. The only change; cannot fail, whatever the order of events.
    pub fn apply(&mut self, event: &Event) {
        let at = event.header.at;
        self.last_at = self.last_at.max(at);
        let head = &mut self.heads[event.stream as usize];
        *head = (*head).max(event.seq);
        if self.changes_rights(&event.body) {
            self.roles_rev += 1;
        }
        self.lifecycle.apply_activity(event);
        let driver = self.turns.running().filter(|t| event.ends_turn() == Some(t.turn)).map(|t| t.driver.as_str());
        self.lifecycle.tally.apply(event, driver);
        match &event.body {
            EventBody::SessionCreated(data) => {
                self.lifecycle.apply_created(data, at);
                self.branches.apply_began(event, data);
                self.forks.apply_began(data);
            }
            EventBody::SessionStarted(_) => self.lifecycle.apply_started(at),
            EventBody::SessionRenamed(data) => {
                self.lifecycle.apply_renamed(data);
                if let Some(message) = data.made_from {
                    self.messages.apply_titled(event, message);
                }
            }
            EventBody::SessionDetailsChanged(data) => self.lifecycle.apply_details_changed(data),
            EventBody::SessionSettingsChanged(data) => self.lifecycle.apply_settings_changed(data),
            EventBody::SessionEnded(data) => self.lifecycle.apply_ended(data, at),
            EventBody::SessionPaused(_) => self.lifecycle.apply_paused(),
            EventBody::SessionResumed(_) => self.lifecycle.apply_resumed(),
            EventBody::SessionEnding(data) => self.lifecycle.apply_ending(data),
            EventBody::SessionExpiryChanged(data) => self.lifecycle.apply_expiry_changed(data, at),
            EventBody::SessionWarned(data) => self.lifecycle.apply_warned(data),
            EventBody::SessionDetached(data) => self.lifecycle.host.apply_detached(data, at),
            EventBody::SessionAttached(_) => self.lifecycle.host.apply_attached(),
            EventBody::SessionWorkDone(_) => self.lifecycle.host.apply_work_done(),
            EventBody::SessionHostArrived(_) => self.lifecycle.host.apply_arrived(),
            EventBody::SessionHostLeft(data) => self.lifecycle.host.apply_left(data),
            EventBody::SessionReported(data) => self.lifecycle.report = Some(Box::new(data.report.clone())),
            EventBody::SessionArchived(_) => self.lifecycle.archived = true,
            EventBody::SessionOwnerChanged(data) => {
                self.lifecycle.apply_owner_changed(data);
                self.roster.apply_owner_changed(data);
            }
            EventBody::ParticipantJoined(data) => self.roster.apply_joined(data),
            EventBody::ParticipantLeft(data) => self.roster.apply_left(data),
            EventBody::ParticipantRemoved(data) => self.roster.apply_removed(data),
            EventBody::ParticipantRoleChanged(data) => self.roster.apply_role_changed(data),
            EventBody::ParticipantProfileChanged(data) => self.roster.apply_profile_changed(data),
            EventBody::ParticipantRequested(data) => self.lobby.apply_requested(data),
            EventBody::ParticipantApproved(data) => self.lobby.apply_approved(data),
            EventBody::ParticipantDenied(data) => self.lobby.apply_denied(data, at),
            EventBody::ParticipantRequestEnded(data) => self.lobby.apply_request_ended(data, at),
            EventBody::MessagePosted(data) => {
                if self.messages.apply_posted(event, data) {
                    self.branches.apply_said(event, roundtable_protocol::MessageId(event.header.id.0));
                }
            }
            EventBody::MessageEdited(data) => self.messages.apply_edited(event, data),
            EventBody::MessageRedacted(data) => self.messages.apply_redacted(event, data),
            EventBody::DecisionRecorded(data) => self.messages.apply_decision(event, data.message, true),
            EventBody::DecisionWithdrawn(data) => self.messages.apply_decision(event, data.message, false),
            EventBody::CheckpointCreated(data) => self.checkpoints.apply_created(event, data),
            EventBody::CheckpointRenamed(data) => self.checkpoints.apply_renamed(data),
            EventBody::CheckpointDeleted(data) => self.checkpoints.apply_deleted(data),
            EventBody::MemoryAdded(data) => self.memories.apply_added(event, data),
            EventBody::MemoryEdited(data) => self.memories.apply_edited(event, data),
            EventBody::MemoryRemoved(data) => self.memories.apply_removed(data),
            EventBody::MemoryPinned(data) => self.memories.apply_pinned(data),
            EventBody::ActionTypeDefined(data) => self.actions.apply_type_defined(data),
            // Both bear words that are erased after the end of a session that is not recorded.
            EventBody::ActionPerformed(_) | EventBody::ErrorRecorded(_) => self.actions.apply_performed(event),
            EventBody::ActionRedacted(data) => self.actions.apply_redacted(data),
            EventBody::CheckpointRestored(_) => {}
            EventBody::BranchCreated(data) => {
                if self.branches.apply_created(event, data) {
                    self.documents.apply_forked(self.branches.header(data.from_branch), data);
                }
            }
            EventBody::BranchMoved(data) => self.branches.apply_moved(data),
            EventBody::BranchRenamed(data) => self.branches.apply_renamed(data),
            EventBody::BranchArchived(data) => self.branches.apply_archived(data),
            EventBody::BranchFocused(data) => self.branches.apply_focused(data),
            EventBody::BranchMerged(data) => self.branches.apply_merged(data),
            EventBody::SessionForked(data) => self.forks.apply_forked(event, data),
            EventBody::TurnQueued(data) => {
                self.turns.apply_queued(data, at, event.header.branch);
                self.messages.apply_touched(event, data.message);
            }
            EventBody::TurnEdited(_) => {}
            EventBody::TurnWithdrawn(data) => self.turns.apply_withdrawn(data),
            EventBody::TurnStarted(data) => {
                let requester = self.turns.apply_started(event, data);
                if self.messages.apply_answer(event, data, requester) {
                    self.branches.apply_said(event, data.answer);
                }
            }
            EventBody::TurnProgressed(data) => {
                self.turns.apply_progressed(data);
                self.messages.apply_progressed(event, data);
            }
            EventBody::TurnCompleted(data) => self.apply_turn_ended(event, data.turn, Some(data.message)),
            EventBody::TurnStopped(data) => self.apply_turn_ended(event, data.turn, Some(data.message)),
            EventBody::TurnFailed(data) => self.apply_turn_ended(event, data.turn, data.message),
            EventBody::TurnLost(data) => self.apply_turn_ended(event, data.turn, Some(data.message)),
            EventBody::ContextPatched(data) => self.documents.apply_patched(event, data),
            EventBody::ContextRefused(_) => {}
            EventBody::ContextConflicted(data) => self.documents.apply_conflicted(event, data),
            EventBody::ContextResolved(data) => self.documents.apply_resolved(data),
        }
    }

    fn apply_turn_ended(
        &mut self,
        event: &Event,
        turn: roundtable_protocol::TurnId,
        answer: Option<roundtable_protocol::MessageId>,
    ) {
        self.turns.apply_ended(turn);
        self.lifecycle.host.apply_turn_ended(matches!(event.body, EventBody::TurnCompleted(_)));
        if let Some(answer) = answer {
            self.messages.apply_touched(event, answer);
        }
    }

    /// Returns whether what somebody may do can be different after this event.
    fn changes_rights(&self, body: &EventBody) -> bool {
        match body {
            EventBody::SessionCreated(_)
            | EventBody::ParticipantJoined(_)
            | EventBody::ParticipantLeft(_)
            | EventBody::ParticipantRemoved(_)
            | EventBody::ParticipantRoleChanged(_)
            | EventBody::SessionOwnerChanged(_) => true,
            EventBody::SessionSettingsChanged(data) => {
                data.settings.side_for_viewers != self.lifecycle.settings.side_for_viewers
            }
            _ => false,
        }
    }

    /// Checks everything about a command that does not depend on its fields.
    fn admit<'a>(&'a self, cx: &'a Context<'a>, envelope: &'a Envelope) -> Result<By<'a>, Rejection> {
        if !self.is_created() {
            return Err(Code::NotFound.into());
        }
        if envelope.command.is_internal() && cx.caller != Caller::System {
            return Err(Code::Forbidden.into());
        }
        if cx.grant.roles_rev != self.roles_rev || cx.grant.valid_until.is_some_and(|until| until <= cx.now) {
            return Err(Code::StaleGrant.into());
        }
        let person = match cx.caller {
            Caller::System => None,
            Caller::User(user) => Some(self.roster.member(user)?),
        };
        let stream = self.messages.stream_of(&envelope.command).unwrap_or(envelope.stream);
        if !cx.grant.allows(permission(&envelope.command, stream)) {
            return Err(Code::Forbidden.into());
        }
        lifecycle::check_state(self, &envelope.command)?;
        Ok(By { session: self, cx, envelope, person })
    }
}

/// Reading.
impl Session {
    /// Returns which session this is.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Returns whether its first event is folded in.
    pub fn is_created(&self) -> bool {
        self.lifecycle.is_created()
    }

    /// Returns the identity of its numbering; empty before its first event.
    pub fn epoch(&self) -> &Epoch {
        &self.lifecycle.epoch
    }

    /// Returns the project it belongs to.
    pub fn project(&self) -> ProjectId {
        self.lifecycle.project
    }

    /// Returns where it is in its life.
    pub fn state(&self) -> SessionState {
        self.lifecycle.state
    }

    /// Returns its settings.
    pub fn settings(&self) -> &Settings {
        &self.lifecycle.settings
    }

    /// Returns the revision of everything in it that rights rest on. A grant of another revision is stale.
    pub fn roles_rev(&self) -> u64 {
        self.roles_rev
    }

    /// Returns when something last happened.
    pub fn last_at(&self) -> Timestamp {
        self.last_at
    }

    /// Returns the last seq of each stream, in the order of [`Stream::ALL`].
    pub fn heads(&self) -> [Seq; 4] {
        self.heads
    }

    /// Returns the participant that `user` is or was here, whatever the membership.
    pub fn participant_of(&self, user: UserId) -> Option<&Participant> {
        self.roster.of(user)
    }

    /// Returns the participant with that id, whatever the membership.
    pub fn participant(&self, id: ParticipantId) -> Option<&Participant> {
        self.roster.get(id)
    }

    /// Returns everybody who is or was in it, in the order of first joining.
    pub fn participants(&self) -> impl Iterator<Item = &Participant> {
        self.roster.all().iter()
    }

    /// Returns the session as lists show it.
    pub fn info(&self) -> SessionInfo {
        let l = &self.lifecycle;
        SessionInfo {
            id: self.id,
            owner_id: l.owner,
            project_id: l.project,
            title: l.title.clone(),
            description: l.description.clone(),
            tags: l.tags.clone(),
            category: l.category.clone(),
            visibility: l.visibility,
            kind: l.kind,
            state: l.state,
            is_active: l.state.is_open(),
            conversation_id: l.main_branch,
            settings: l.settings.clone(),
            expires_at: l.expires_at,
            created_at: l.created_at,
            updated_at: self.last_at,
            started_at: l.started_at,
            ended_at: l.ended_at,
            detached_at: self.detached_since(),
            work_done: self.has_done_its_work(),
            forked_from: self.forked_from(),
            participant_count: self.roster.people(),
            event_count: self.heads.iter().map(|h| h.0).sum(),
        }
    }

    /// Returns the memories and whether each is pinned, in the order of adding; their texts are in the log.
    pub fn memories(&self) -> impl Iterator<Item = (roundtable_protocol::MemoryId, bool)> {
        self.memories.ids()
    }

    /// Returns the types of actions that have a schema.
    pub fn action_types(&self) -> &std::collections::BTreeMap<String, serde_json::Value> {
        self.actions.types()
    }

    /// Returns the checkpoints, in the order in which they were made: all that have a name, and the last
    /// [`KEPT_AUTOMATIC`] others.
    pub fn checkpoints(&self) -> impl DoubleEndedIterator<Item = &roundtable_protocol::branching::CheckpointInfo> {
        self.checkpoints.all()
    }

    /// Returns the checkpoint with that id.
    pub fn checkpoint(
        &self,
        id: roundtable_protocol::CheckpointId,
    ) -> Option<&roundtable_protocol::branching::CheckpointInfo> {
        self.checkpoints.get(id)
    }

    /// Returns about how much memory the state takes: what grows with messages and people. Unit: bytes.
    pub fn estimated_bytes(&self) -> u64 {
        let messages: u64 = Stream::ALL.iter().map(|s| self.messages.pages(*s).len() as u64 * 256 * 96).sum();
        messages + self.roster.all().len() as u64 * 512 + self.turns.queue().len() as u64 * 128 + 4_096
    }

    /// Returns what it came to; what it has come to so far, while it goes on.
    pub fn report(&self, now: Timestamp) -> Report {
        match &self.lifecycle.report {
            Some(report) => (**report).clone(),
            None => report::so_far(self, now),
        }
    }

    /// Returns how many messages of others than `me` began after `after` in a stream.
    pub fn unread(&self, stream: Stream, after: Seq, me: ParticipantId) -> u64 {
        self.messages.unread(stream, after, me)
    }

    /// Returns the turn that is being answered.
    pub fn running_turn(&self) -> Option<&RunningTurn> {
        self.turns.running()
    }

    /// Returns the turns that wait, the next one first.
    pub fn queue(&self) -> &[QueuedTurn] {
        self.turns.queue()
    }

    /// Returns where the pages of `stream` begin and when each last changed: one span for each 256 messages.
    pub fn pages(&self, stream: Stream) -> &[PageSpan] {
        self.messages.pages(stream)
    }

    /// Returns what is known about a message; its text is not.
    pub fn message(&self, id: roundtable_protocol::MessageId) -> Option<MessageRef> {
        self.messages.get(id)
    }

    /// Returns whether there is or was a message with that id.
    pub fn message_exists(&self, id: roundtable_protocol::MessageId) -> bool {
        self.messages.get(id).is_some()
    }
}

#[cfg(test)]
mod tests;
