//! What people see: a fold that only assigns.
//!
//! Owns: [`View`], its reducer, its head and pages. Must not know: permissions, clocks, merge rules.
//! Invariant: the reducer exists twice, here and in `web/src/session/view.ts`; `fixtures/views/*.jsonl` hold an event and
//! the view after it, line by line, and both are tested against them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use life::{DetachedView, DoneView, LifeView, PausedView, WarningView};

use crate::event::{Event, EventBody, SessionCreated};
use crate::frame::{HEAD_MESSAGES, PAGE_MESSAGES};
use crate::grant::Role;
use crate::ids::{BranchId, Epoch, MessageId, ParticipantId, ProjectId, Seq, Stream, StreamSet, Timestamp, UserId};
use crate::lobby::JoinRequest;
use crate::memory::{ActionType, Memory};
use crate::model::{Membership, Participant, SessionKind, SessionState, Settings, Turn, Visibility};

mod branches;
mod context;
mod life;
mod lobby;
mod memories;
mod messages;
mod people;
mod turns;

pub use branches::BranchingView;
pub use context::ContextView;
pub use messages::{AnswerState, AnswerView, MessageView, Page, StreamView, utf16_len, utf16_prefix};

/// A session as one reader sees it, folded from the streams that the reader may read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct View {
    /// The session itself; null before its first event.
    pub session: Option<SessionView>,
    /// Everybody who is or was in it, in the order of first joining.
    pub participants: Vec<Participant>,
    /// Turns that have not ended: the running one, then the queue in its order.
    pub turns: Vec<Turn>,
    /// Checkpoints and branches.
    #[serde(default)]
    #[schema(required)]
    pub branching: BranchingView,
    /// What is kept in mind, in the order of adding; absent when there is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memories: Vec<Memory>,
    /// Types of actions that have a schema; absent when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub action_types: Vec<ActionType>,
    /// Who waits to be let in, in the order of asking; known to who reads `staff`, absent when nobody waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<JoinRequest>,
    /// What was said, stream by stream.
    pub streams: BTreeMap<Stream, StreamView>,
    /// Where it is in its life, when there is more to say than its state.
    #[serde(default, skip_serializing_if = "LifeView::is_quiet")]
    pub life: LifeView,
    /// Where the shared context stands; absent before its first write.
    #[serde(default, skip_serializing_if = "ContextView::is_untouched")]
    pub context: ContextView,
}

/// The session itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// What it is called.
    pub title: String,
    /// What it is for.
    pub kind: SessionKind,
    /// Who can find it.
    pub visibility: Visibility,
    /// Where it is in its life.
    pub state: SessionState,
    /// Why it ended.
    pub end_reason: Option<String>,
    /// Its settings.
    pub settings: Settings,
    /// Who owns it.
    pub owner: UserId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Its main branch.
    pub main_branch: BranchId,
    /// The identity of its numbering.
    pub epoch: Epoch,
    /// What it is about.
    pub description: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// One word to group it by.
    pub category: Option<String>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl View {
    /// Folds one event in. Events of a stream come in order; a reader without a stream simply has none of its events.
    pub fn apply(&mut self, event: &Event) {
        let stream = self.streams.entry(event.stream).or_default();
        stream.head = event.seq;
        let at = event.header.at;
        self.life.apply(event);
        match &event.body {
            EventBody::SessionCreated(data) => {
                self.session = Some(SessionView::new(data, at));
                self.branching.began(event, data);
            }
            EventBody::SessionStarted(_) => self.with_session(|s| {
                s.state = SessionState::Active;
                s.started_at = Some(at);
            }),
            EventBody::SessionRenamed(data) => self.with_session(|s| {
                if !data.redacted {
                    s.title.clone_from(&data.title);
                }
            }),
            EventBody::SessionDetailsChanged(data) => self.with_session(|s| {
                s.description.clone_from(&data.description);
                s.tags.clone_from(&data.tags);
                s.category.clone_from(&data.category);
                s.visibility = data.visibility;
            }),
            EventBody::SessionSettingsChanged(data) => self.with_session(|s| s.settings.clone_from(&data.settings)),
            EventBody::SessionEnded(data) => self.with_session(|s| {
                s.state = data.state;
                s.end_reason = Some(data.reason.clone());
                s.ended_at = Some(at);
            }),
            EventBody::SessionPaused(_) => self.with_session(|s| s.state = SessionState::Paused),
            EventBody::SessionResumed(_) => self.with_session(|s| {
                s.state = SessionState::Active;
                s.end_reason = None;
                s.ended_at = None;
            }),
            EventBody::SessionExpiryChanged(data) => self.with_session(|s| s.expires_at = data.expires_at),
            EventBody::SessionOwnerChanged(data) => {
                self.with_session(|s| s.owner = data.owner);
                self.role(data.from, Role::Moderator);
                self.role(data.to, Role::Owner);
            }
            EventBody::SessionEnding(_)
            | EventBody::SessionWarned(_)
            | EventBody::SessionDetached(_)
            | EventBody::SessionAttached(_)
            | EventBody::SessionWorkDone(_)
            | EventBody::SessionHostArrived(_)
            | EventBody::SessionHostLeft(_)
            | EventBody::SessionReported(_)
            | EventBody::SessionArchived(_) => {}
            EventBody::ParticipantJoined(data) => self.joined(data),
            EventBody::ParticipantLeft(data) => self.membership(data.participant, Membership::Left),
            EventBody::ParticipantRemoved(data) => self.membership(data.participant, Membership::Removed),
            EventBody::ParticipantRoleChanged(data) => self.role(data.participant, data.role),
            EventBody::ParticipantProfileChanged(data) => self.profile(data),
            EventBody::ParticipantRequested(data) => self.requested(data),
            EventBody::ParticipantApproved(data) => self.answered(data.participant),
            EventBody::ParticipantDenied(data) => self.answered(data.participant),
            EventBody::ParticipantRequestEnded(data) => self.answered(data.participant),
            EventBody::MessagePosted(data) => {
                stream.push(MessageView {
                    parent: data.parent,
                    copied_from: data.copied_from.clone(),
                    reply_to: data.reply_to,
                    mentions: data.mentions.clone(),
                    ask: data.ask,
                    redacted: data.redacted,
                    attachments: data.attachments.clone(),
                    data: data.data.clone(),
                    ..MessageView::new(MessageId(event.header.id.0), event, data.text.clone())
                });
                self.branching.said(event, MessageId(event.header.id.0));
            }
            EventBody::MessageEdited(data) => stream.with(data.message, |m| {
                if !m.redacted {
                    m.text.clone_from(&data.text);
                }
                m.edited = true;
            }),
            EventBody::MessageRedacted(data) => stream.with(data.message, |m| {
                m.text.clear();
                m.attachments.clear();
                m.data = None;
                m.redacted = true;
            }),
            EventBody::DecisionRecorded(data) => stream.with(data.message, |m| m.decision = true),
            EventBody::DecisionWithdrawn(data) => stream.with(data.message, |m| m.decision = false),
            EventBody::CheckpointCreated(data) => self.branching.checkpoint_created(event, data),
            EventBody::CheckpointRenamed(data) => self.branching.checkpoint_renamed(data),
            EventBody::CheckpointDeleted(data) => self.branching.checkpoint_deleted(data),
            EventBody::MemoryAdded(data) => self.memory_added(event, data),
            EventBody::MemoryEdited(data) => self.memory_edited(event, data),
            EventBody::MemoryRemoved(data) => self.memory_removed(data),
            EventBody::MemoryPinned(data) => self.memory_pinned(data),
            EventBody::ActionTypeDefined(data) => self.action_type_defined(data),
            EventBody::ActionPerformed(_) | EventBody::ActionRedacted(_) | EventBody::ErrorRecorded(_) => {}
            EventBody::CheckpointRestored(_) => {}
            EventBody::BranchCreated(data) => self.branching.created(event, data),
            EventBody::BranchMoved(data) => self.branching.with(data.branch, |b| b.head = data.head),
            EventBody::BranchRenamed(data) => self.branching.with(data.branch, |b| b.name.clone_from(&data.name)),
            EventBody::BranchArchived(data) => self.branching.with(data.branch, |b| b.archived = data.archived),
            EventBody::BranchFocused(data) => self.branching.focus = Some(data.branch),
            EventBody::BranchMerged(data) => self.branching.merged(data),
            EventBody::SessionForked(data) => self.branching.forked(event, data),
            EventBody::TurnQueued(data) => self.queued(data, at),
            EventBody::TurnEdited(_) => {}
            EventBody::TurnWithdrawn(data) => self.turns.retain(|t| t.id != data.turn),
            EventBody::TurnStarted(data) => self.started(data, event),
            EventBody::TurnProgressed(data) => stream.with(data.message, |m| m.progress(data)),
            EventBody::TurnCompleted(data) => {
                self.ended(event.stream, data.turn, Some(data.message), data.length, |a| {
                    a.state = AnswerState::Completed;
                    a.reason = Some(data.reason);
                    a.usage = Some(data.usage);
                })
            }
            EventBody::TurnStopped(data) => self.ended(event.stream, data.turn, Some(data.message), data.length, |a| {
                a.state = AnswerState::Stopped;
                a.stopped_by = Some(event.header.actor);
                a.usage = Some(data.usage);
            }),
            EventBody::TurnFailed(data) => self.ended(event.stream, data.turn, data.message, data.length, |a| {
                a.state = AnswerState::Failed;
                a.code = Some(data.code.clone());
                a.detail = Some(data.detail.clone());
                a.usage = Some(data.usage);
            }),
            EventBody::TurnLost(data) => {
                self.ended(event.stream, data.turn, Some(data.message), data.length, |a| a.state = AnswerState::Lost);
            }
            EventBody::ContextPatched(data) => self.context.patched(event, data),
            EventBody::ContextRefused(_) => {}
            EventBody::ContextConflicted(_) => self.context.conflicted(event),
            EventBody::ContextResolved(data) => self.context.resolved(data),
        }
    }

    /// Adds ephemeral text to an answer that grows. Text below the known end is dropped; a hole is left for the
    /// next `turn.progressed` to heal. Returns whether the text was taken.
    pub fn apply_delta(&mut self, message: MessageId, offset: u64, text: &str) -> bool {
        let Some(stream) = self.streams.get_mut(&Stream::Main) else { return false };
        let mut taken = false;
        stream.with(message, |m| taken = m.grow(offset, text));
        taken
    }

    /// Counts an event of a kind that this version does not know: only the position moves.
    pub fn skip(&mut self, stream: Stream, seq: Seq) {
        self.streams.entry(stream).or_default().head = seq;
    }

    /// Returns the last seq folded in from `stream`.
    pub fn head(&self, stream: Stream) -> Seq {
        self.streams.get(&stream).map_or(Seq::ZERO, |s| s.head)
    }

    /// Returns the participant with that id.
    pub fn participant(&self, id: ParticipantId) -> Option<&Participant> {
        self.participants.iter().find(|p| p.id == id)
    }

    /// Returns what a joiner is sent first: everything but the older messages, and only `streams`.
    #[must_use]
    pub fn to_head(&self, streams: StreamSet) -> Self {
        self.clone().into_head(streams)
    }

    /// The same of a view that is of no use after it: nothing is copied.
    #[must_use]
    pub fn into_head(mut self, streams: StreamSet) -> Self {
        self.streams.retain(|stream, _| streams.contains(*stream));
        for of in self.streams.values_mut() {
            of.messages.drain(..of.messages.len().saturating_sub(HEAD_MESSAGES));
        }
        if !streams.contains(Stream::Staff) {
            self.requests.clear();
        }
        self
    }

    /// Returns page `page` of `stream` as far as its messages are held here.
    pub fn page(&self, stream: Stream, page: u64) -> Option<Page> {
        let view = self.streams.get(&stream)?;
        let (from, to) = (page * PAGE_MESSAGES, (page + 1) * PAGE_MESSAGES);
        let messages: Vec<_> = view.messages.iter().filter(|m| (from..to).contains(&m.n)).cloned().collect();
        (!messages.is_empty()).then_some(Page { stream, page, at: view.head, messages })
    }

    fn with_session(&mut self, change: impl FnOnce(&mut SessionView)) {
        if let Some(session) = &mut self.session {
            change(session);
        }
    }
}

impl SessionView {
    fn new(data: &SessionCreated, at: Timestamp) -> Self {
        Self {
            title: data.title.clone(),
            kind: data.kind,
            visibility: data.visibility,
            state: SessionState::Created,
            end_reason: None,
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
        }
    }
}

#[cfg(test)]
mod tests;
