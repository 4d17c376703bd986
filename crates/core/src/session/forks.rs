//! Sessions that began as copies of others.
//!
//! Owns: what a session began as a copy of, which sessions began as copies of it, what a copy holds at its beginning, and how
//! copies are erased. Must not know: how another session is reached. Invariant: no role, ban or right is ever copied; every
//! copied text names its origin, so that it goes when the original goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use roundtable_protocol::branching::{CopiedMemory, Fork, ForkedFrom};
use roundtable_protocol::command::{CopiesErase, SessionFork};
use roundtable_protocol::event::{
    Actor, DecisionRecorded, Event, MemoryAdded, MessagePosted, SessionCreated, SessionForked,
};
use roundtable_protocol::ids::{MessageId, ParticipantId, SessionId, Stream};
use roundtable_protocol::problem::Code;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::draft::{By, Draft, FORK_COPY_ID, FORK_SESSION_ID, PARTICIPANT_ID};
use super::{Session, branches, checkpoints, document, lifecycle, memories, messages, text};
use crate::context::{Context, Copied, Decision, Founding, Rejection};

/// How many sessions may begin as copies of one.
pub const MAX_FORKS: usize = 200;
/// How many messages a copy begins with; older ones are left out.
pub const MAX_COPIED: usize = 10_000;

/// Where the session came from and what has come from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Forks {
    from: Option<ForkedFrom>,
    all: Arc<Vec<Fork>>,
}

impl Forks {
    pub fn apply_began(&mut self, data: &SessionCreated) {
        *self = Self { from: data.forked_from, all: Arc::default() };
    }

    pub fn apply_forked(&mut self, event: &Event, data: &SessionForked) {
        let SessionForked { session, branch, message, seq } = *data;
        let (by, at) = (event.header.actor, event.header.at);
        Arc::make_mut(&mut self.all).push(Fork { session, branch, message, seq, by, at });
    }
}

/// Returns the session that the command under `key` begins as a copy.
pub fn fork_of(key: Uuid) -> SessionId {
    SessionId::derive(key, FORK_SESSION_ID)
}

impl Session {
    /// Returns what it began as a copy of.
    pub fn forked_from(&self) -> Option<ForkedFrom> {
        self.forks.from
    }

    /// Returns the sessions that began as copies of it, oldest first.
    pub fn forks(&self) -> &[Fork] {
        &self.forks.all
    }

    /// Returns the numbers in `main` of `message` and of everything that it follows, the newest first.
    pub fn path_to(&self, message: Option<MessageId>) -> impl Iterator<Item = u64> {
        self.messages.path(message)
    }

    /// Returns the title that a person gave it; none while it has none, or one that was made from a message.
    pub fn given_title(&self) -> Option<&str> {
        let l = &self.lifecycle;
        (!l.untitled && l.titled_by.is_none()).then_some(l.title.as_str())
    }
}

pub(super) fn decide_fork(by: &By<'_>, data: &SessionFork) -> Result<Decision, Rejection> {
    let session = by.session;
    if !session.settings().recording {
        return Err(Code::NotRecorded.into());
    }
    if session.forks().len() >= MAX_FORKS {
        return Err(Code::TooManyForks.into());
    }
    if let Some(title) = &data.title {
        text::filled_line("/title", title, text::MAX_TITLE)?;
    }
    let (branch, message, seq) = match data.checkpoint {
        Some(checkpoint) if data.message.is_none() && data.seq.is_none() => {
            checkpoints::place(by, checkpoint, data.branch)?
        }
        Some(_) => return Err(Rejection::field("/checkpoint", Code::InvalidField, "one of message, seq, checkpoint")),
        None => branches::point(by, "/branch", data.branch, data.message, data.seq)?,
    };
    if message.and_then(|id| session.message(id)).is_some_and(|m| m.redacted) {
        return Err(Code::MessageIsRedacted.into());
    }
    let mut draft = by.draft();
    draft.on(session.branches.header(branch));
    let forked = SessionForked { session: fork_of(draft.key()), branch, message, seq };
    draft.push(Stream::Main, branches::causes(session, message), forked);
    Ok(draft.finish())
}

/// Decides how a copy begins: as any session, then with what was copied, said again by its owner in the name of others.
pub(super) fn decide_copy(
    cx: &Context<'_>,
    key: Uuid,
    founding: &Founding,
    copied: &Copied,
) -> Result<Decision, Rejection> {
    let mut decision = lifecycle::decide_create(cx, key, founding, Some(copied.from))?;
    let mut session = Session::empty(founding.session);
    decision.events.iter().for_each(|event| session.apply(event));
    let owner = Actor::Participant(ParticipantId::derive(key, PARTICIPANT_ID));
    let mut draft = Draft::new(&session, SessionId::derive(key, FORK_COPY_ID).0, cx.now, owner);
    let mut ids: BTreeMap<MessageId, MessageId> = BTreeMap::new();
    let mut titled = false;
    for message in &copied.messages {
        let (text, data, copied_from) = (message.text.clone(), message.data.clone(), Some(message.from.clone()));
        let posted = MessagePosted { text, data, copied_from, ..MessagePosted::empty() };
        let event = draft.push(Stream::Main, vec![], posted);
        let id = MessageId(event.0);
        ids.insert(message.from.message, id);
        if message.decision {
            draft.push(Stream::Main, vec![event], DecisionRecorded { message: id });
        }
        titled = titled || lifecycle::title_by(&session, &mut draft, event, &message.text);
    }
    for memory in &copied.memories {
        let from = CopiedMemory { session: copied.from.session, memory: memory.id };
        let added = MemoryAdded {
            text: memory.text.clone(),
            tags: memory.tags.clone(),
            source: memory.source.and_then(|source| ids.get(&source).copied()),
            pinned: memory.pinned,
            redacted: false,
            copied_from: Some(from),
        };
        draft.push(Stream::Main, vec![], added);
    }
    document::begin_with(&mut draft, &copied.context)?;
    decision.events.extend(draft.finish().events);
    Ok(decision)
}

/// Erases the copies of what was erased in the session that it came from.
pub(super) fn decide_erase(by: &By<'_>, data: &CopiesErase) -> Result<Decision, Rejection> {
    let mut draft = by.draft();
    let reason = Some("it was erased where it was copied from".to_owned());
    for copy in data.messages.iter().flat_map(|id| by.session.messages.copies_from(data.from, *id)) {
        messages::erase(by.session, &mut draft, copy, reason.as_ref());
    }
    memories::erase_copies(by.session, &mut draft, data, reason.as_ref());
    let decision = draft.finish();
    if decision.events.is_empty() { Err(Code::AlreadyRecorded.into()) } else { Ok(decision) }
}

#[cfg(test)]
mod tests;
