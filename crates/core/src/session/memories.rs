//! What a session keeps in mind: an index without texts.
//!
//! Owns: which memories there are, whose, which events bear their texts. Must not know: the texts; they are in the log
//! alone. Invariant: removing a memory erases every text that it has had, and so does erasing the message that it was
//! made from.

use std::sync::Arc;

use roundtable_protocol::branching::CopiedMemory;
use roundtable_protocol::command::{CopiesErase, MemoryAdd, MemoryEdit, MemoryRemove};
use roundtable_protocol::event::{Actor, Event, EventBody, MemoryAdded, MemoryEdited, MemoryPinned, MemoryRemoved};
use roundtable_protocol::grant::Permission;
use roundtable_protocol::ids::{EventId, MemoryId, MessageId, Seq, Stream};
use roundtable_protocol::problem::Code;
use serde::{Deserialize, Serialize};

use super::draft::{By, Draft};
use super::{Session, text};
use crate::context::{Decision, Rejection};

/// How many memories a session may have.
pub const MAX_MEMORIES: usize = 200;
/// Longest memory. Unit: characters.
const MAX_TEXT: usize = 1_000;

/// All memories, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Memories {
    all: Arc<Vec<Entry>>,
}

/// One memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    id: MemoryId,
    author: Actor,
    source: Option<MessageId>,
    pinned: bool,
    /// Events that bear its text.
    texts: Vec<Seq>,
    copied_from: Option<CopiedMemory>,
}

impl Memories {
    pub fn ids(&self) -> impl Iterator<Item = (MemoryId, bool)> {
        self.all.iter().map(|entry| (entry.id, entry.pinned))
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn get(&self, id: MemoryId) -> Option<&Entry> {
        self.all.iter().find(|entry| entry.id == id)
    }

    pub fn apply_added(&mut self, event: &Event, data: &MemoryAdded) {
        let id = MemoryId(event.header.id.0);
        if self.get(id).is_none() {
            let (author, texts) = (event.header.actor, vec![event.seq]);
            let (source, pinned, copied_from) = (data.source, data.pinned, data.copied_from);
            let entry = Entry { id, author, source, pinned, texts, copied_from };
            Arc::make_mut(&mut self.all).push(entry);
        }
    }

    pub fn apply_edited(&mut self, event: &Event, data: &MemoryEdited) {
        self.change(data.memory, |entry| entry.texts.push(event.seq));
    }

    pub fn apply_pinned(&mut self, data: &MemoryPinned) {
        self.change(data.memory, |entry| entry.pinned = data.pinned);
    }

    pub fn apply_removed(&mut self, data: &MemoryRemoved) {
        Arc::make_mut(&mut self.all).retain(|entry| entry.id != data.memory);
    }

    fn change(&mut self, id: MemoryId, change: impl FnOnce(&mut Entry)) {
        if let Some(place) = self.all.iter().position(|entry| entry.id == id) {
            change(&mut Arc::make_mut(&mut self.all)[place]);
        }
    }
}

pub(super) fn decide_add(by: &By<'_>, data: &MemoryAdd) -> Result<Decision, Rejection> {
    let text = remembered(&data.text)?;
    let tags = text::tags(&data.tags)?;
    let causes = match data.source {
        Some(source) => vec![said(by, source)?],
        None => Vec::new(),
    };
    if by.session.memories.all.len() >= MAX_MEMORIES {
        return Err(Code::TooManyMemories.into());
    }
    let mut draft = by.draft();
    let (source, pinned) = (data.source, data.pinned);
    draft.push(Stream::Main, causes, MemoryAdded { text, tags, source, pinned, redacted: false, copied_from: None });
    Ok(draft.finish())
}

pub(super) fn decide_edit(by: &By<'_>, data: &MemoryEdit) -> Result<Decision, Rejection> {
    let entry = existing(by, data.memory)?;
    let mut draft = by.draft();
    if data.text.is_some() || data.tags.is_some() {
        check_own(by, entry)?;
        let text = data.text.as_deref().map(remembered).transpose()?;
        let tags = data.tags.as_deref().map(text::tags).transpose()?;
        let edited = MemoryEdited { memory: entry.id, text, tags, redacted: false };
        draft.push(Stream::Main, Vec::new(), edited);
    }
    if let Some(pinned) = data.pinned.filter(|pinned| *pinned != entry.pinned) {
        draft.push(Stream::Main, Vec::new(), MemoryPinned { memory: entry.id, pinned });
    }
    let decision = draft.finish();
    if decision.events.is_empty() { Err(Code::AlreadyRecorded.into()) } else { Ok(decision) }
}

pub(super) fn decide_remove(by: &By<'_>, data: &MemoryRemove) -> Result<Decision, Rejection> {
    let entry = existing(by, data.memory)?;
    check_own(by, entry)?;
    let reason = text::reason(data.reason.as_ref())?;
    let mut draft = by.draft();
    remove(&mut draft, entry, reason);
    Ok(draft.finish())
}

/// Removes the memories that were made from a message which is erased.
pub(super) fn forget_of(session: &Session, draft: &mut Draft, message: MessageId) {
    for entry in session.memories.all.iter().filter(|entry| entry.source == Some(message)) {
        remove(draft, entry, Some("the message that it was made from was erased".to_owned()));
    }
}

/// Removes the copies of memories that were removed where they came from.
pub(super) fn erase_copies(session: &Session, draft: &mut Draft, data: &CopiesErase, reason: Option<&String>) {
    let gone = |from: &CopiedMemory| from.session == data.from && data.memories.contains(&from.memory);
    let removed: Vec<MemoryId> = draft
        .events()
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::MemoryRemoved(data) => Some(data.memory),
            _ => None,
        })
        .collect();
    for entry in session.memories.all.iter().filter(|entry| entry.copied_from.as_ref().is_some_and(gone)) {
        if !removed.contains(&entry.id) {
            remove(draft, entry, reason.cloned());
        }
    }
}

/// Removes memories for good, at most those whose texts are `rows` events. Returns how many events lose their text.
pub(super) fn erase_some(session: &Session, draft: &mut Draft, rows: usize, reason: &str) -> usize {
    let mut done = 0;
    // Those that were made from a message go with it.
    for entry in session.memories.all.iter().filter(|entry| entry.source.is_none()) {
        if done >= rows {
            break;
        }
        done += entry.texts.len();
        remove(draft, entry, Some(reason.to_owned()));
    }
    done
}

fn remove(draft: &mut Draft, entry: &Entry, reason: Option<String>) {
    draft.push(Stream::Main, Vec::new(), MemoryRemoved { memory: entry.id, reason });
    draft.redact(entry.texts.iter().map(|seq| (Stream::Main, *seq)));
}

fn remembered(text: &str) -> Result<String, Rejection> {
    let clean = text::lines("/text", text, MAX_TEXT)?;
    if clean.is_empty() {
        return Err(Rejection::field("/text", Code::TextEmpty, "write something"));
    }
    Ok(clean)
}

/// Returns the event that began a message; only what was said in `main` is remembered, because assistants read it.
fn said(by: &By<'_>, id: MessageId) -> Result<EventId, Rejection> {
    let message = by.message("/source", id)?;
    if message.stream != Stream::Main {
        return Err(Rejection::field("/source", Code::NoSuchMessage, "there is no such message in main"));
    }
    if message.redacted {
        return Err(Rejection::field("/source", Code::MessageIsRedacted, "its text has been erased"));
    }
    Ok(message.event)
}

fn existing<'a>(by: &By<'a>, id: MemoryId) -> Result<&'a Entry, Rejection> {
    let none = || Rejection::field("/memory", Code::NoSuchMemory, "there is no such memory here");
    by.session.memories.get(id).ok_or_else(none)
}

fn check_own(by: &By<'_>, entry: &Entry) -> Result<(), Rejection> {
    let own = by.person.is_none_or(|p| text::is(entry.author, p.id));
    if own || by.cx.grant.allows(Permission::MemoryManage) { Ok(()) } else { Err(Code::NotYourMemory.into()) }
}

#[cfg(test)]
mod tests;
