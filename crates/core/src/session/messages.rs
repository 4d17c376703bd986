//! The index of messages: who said which, where, and which events bear its text.
//!
//! Owns: replies, edits, erasure, decision marks. Must not know: text; it is in the log alone. Invariant: every event
//! that bears a message's text is listed here, so that erasing a message erases all of it.
//!
//! Built to stay small: a message without edits takes 40 bytes and an index entry. Messages lie in shared pages of 256,
//! so that cloning a session copies no page until one of the two writes to it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use roundtable_protocol::branching::{CopiedFrom, HeadMoved};
use roundtable_protocol::command::{Command, DecisionRecord, DecisionWithdraw, MessageEdit, MessagePost};
use roundtable_protocol::event::{
    Actor, DecisionRecorded, DecisionWithdrawn, Event, MessageEdited, MessagePosted, TurnEdited, TurnProgressed,
    TurnStarted,
};
use roundtable_protocol::frame::PAGE_MESSAGES;
use roundtable_protocol::ids::{AttachmentId, EventId, MessageId, ParticipantId, Seq, Stream};
use roundtable_protocol::model::Attachment;
use roundtable_protocol::problem::Code;
use serde::{Deserialize, Serialize};

use super::draft::By;
use super::{actions, branches, lifecycle, text, turns};
use crate::context::{Caller, Decision, Rejection, Upload};

mod copies;
mod erasing;
mod tree;

pub(super) use erasing::{decide_redact, erase, erase_some};

/// What is known about a message without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRef {
    /// The stream it is in.
    pub stream: Stream,
    /// Who said it.
    pub author: Actor,
    /// Whether its text has been erased.
    pub redacted: bool,
    /// Its number in its stream, from 0.
    pub n: u64,
    /// Whether it is marked as a decision.
    pub decision: bool,
    /// The event that began it.
    pub event: EventId,
    /// Who asked, when it is an answer.
    pub answer_to: Option<ParticipantId>,
    /// Whether files came with it.
    pub has_attachments: bool,
}

/// What a report needs of a message.
pub(super) struct InMain {
    pub id: MessageId,
    pub author: Actor,
    pub is_answer: bool,
    pub is_decision: bool,
}

/// Where a page of 256 messages begins, and when any of them last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageSpan {
    /// The seq of the event that began the page's first message.
    pub first: Seq,
    /// The last seq that touched any message of the page.
    pub changed: Seq,
}

/// The index of all messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Messages {
    lines: [Line; 4],
    authors: Vec<Actor>,
    #[serde(skip)]
    author_index: HashMap<Actor, u32>,
    #[serde(skip)]
    places: HashMap<MessageId, Place>,
    /// The messages of `main` that follow another one than the one before them, by what they follow: its number plus 1,
    /// 0 where nothing is before.
    #[serde(skip)]
    forks: HashMap<u32, Vec<u32>>,
    /// Files that have been posted: none is posted twice.
    #[serde(skip)]
    attached: HashSet<AttachmentId>,
    /// Copies of messages of other sessions, by what they were copied from.
    #[serde(skip)]
    from_elsewhere: HashMap<MessageId, Vec<MessageId>>,
}

/// The messages of one stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Line {
    pages: Vec<Arc<Vec<Entry>>>,
    spans: Vec<PageSpan>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    stream: Stream,
    n: u32,
}

const REDACTED: u8 = 1;
const DECISION: u8 = 2;

/// One message. A tuple in the state snapshot, which 10,000 of them dominate: id, author, first seq, flags, more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry(MessageId, u32, Seq, u8, Option<Box<More>>);

/// What few messages have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct More {
    /// Events after the first that bear its text, as runs: first seq and how many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    runs: Vec<(Seq, u32)>,
    /// When it is an answer: the event that began it and who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<(EventId, ParticipantId)>,
    /// Files that came with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<AttachmentId>,
    /// What it follows, when that is not the message before it: its number plus 1, 0 where nothing is before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<u32>,
    /// Whose text it is, when it was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    copied_from: Option<CopiedFrom>,
    /// Where its text was copied to: erased with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    copies: Vec<MessageId>,
}

impl Entry {
    fn is(&self, flag: u8) -> bool {
        self.3 & flag != 0
    }

    fn set(&mut self, flag: u8, on: bool) {
        self.3 = if on { self.3 | flag } else { self.3 & !flag };
    }

    fn answer(&self) -> Option<(EventId, ParticipantId)> {
        self.4.as_ref().and_then(|more| more.answer)
    }

    fn attachments(&self) -> &[AttachmentId] {
        self.4.as_ref().map_or(&[], |more| &more.attachments)
    }

    /// Forgets the files; what is left is as if there had been none.
    fn drop_attachments(&mut self) -> Vec<AttachmentId> {
        let Some(more) = &mut self.4 else { return Vec::new() };
        let dropped = std::mem::take(&mut more.attachments);
        if **more == More::default() {
            self.4 = None;
        }
        dropped
    }

    fn add_text(&mut self, seq: Seq) {
        let runs = &mut self.4.get_or_insert_default().runs;
        match runs.last_mut() {
            Some((first, count)) if first.0 + u64::from(*count) == seq.0 && *count < u32::MAX => *count += 1,
            _ => runs.push((seq, 1)),
        }
    }

    /// Returns every event that bears text of this message.
    fn texts(&self) -> impl Iterator<Item = Seq> {
        let posted = self.answer().is_none().then_some(self.2);
        let runs = self.4.iter().flat_map(|more| &more.runs);
        posted.into_iter().chain(runs.flat_map(|(first, count)| (first.0..first.0 + u64::from(*count)).map(Seq)))
    }
}

impl Messages {
    pub fn pages(&self, stream: Stream) -> &[PageSpan] {
        &self.lines[stream as usize].spans
    }

    pub fn get(&self, id: MessageId) -> Option<MessageRef> {
        let place = self.places.get(&id)?;
        let entry = self.entry(*place)?;
        Some(MessageRef {
            stream: place.stream,
            author: self.authors[entry.1 as usize],
            redacted: entry.is(REDACTED),
            n: u64::from(place.n),
            decision: entry.is(DECISION),
            event: entry.answer().map_or(EventId(id.0), |(event, _)| event),
            answer_to: entry.answer().map(|(_, requester)| requester),
            has_attachments: !entry.attachments().is_empty(),
        })
    }

    /// Returns the messages of `main`, in order: which, by whom, whether an answer, whether a decision.
    pub fn of_main(&self) -> impl Iterator<Item = InMain> {
        let entries = self.lines[Stream::Main as usize].pages.iter().flat_map(|page| page.iter());
        entries.map(|entry| InMain {
            id: entry.0,
            author: self.authors[entry.1 as usize],
            is_answer: entry.answer().is_some(),
            is_decision: entry.is(DECISION),
        })
    }

    /// Returns how many messages of others began after `after`.
    pub fn unread(&self, stream: Stream, after: Seq, me: ParticipantId) -> u64 {
        let newest_first = self.lines[stream as usize].pages.iter().rev().flat_map(|page| page.iter().rev());
        let new = newest_first.take_while(|entry| entry.2 > after);
        new.filter(|entry| self.authors[entry.1 as usize] != Actor::Participant(me)).count() as u64
    }

    /// Returns the stream of the message that a command is about.
    pub fn stream_of(&self, command: &Command) -> Option<Stream> {
        let id = match command {
            Command::MessageEdit(data) => data.message,
            Command::MessageRedact(data) => data.message,
            Command::DecisionRecord(data) => data.message,
            Command::DecisionWithdraw(data) => data.message,
            _ => return None,
        };
        self.places.get(&id).map(|place| place.stream)
    }

    /// Returns whether it is a new message.
    pub fn apply_posted(&mut self, event: &Event, data: &MessagePosted) -> bool {
        let (author, id) = (event.header.actor, MessageId(event.header.id.0));
        let parent = self.kept_parent(event, data.parent);
        let new = !self.places.contains_key(&id);
        self.note_copy(event.stream, data, id, new);
        if let Some(entry) = self.push(id, event, author, parent) {
            entry.set(REDACTED, data.redacted);
            if data.copied_from.is_some() {
                entry.4.get_or_insert_default().copied_from.clone_from(&data.copied_from);
            } else if !data.attachments.is_empty() {
                let ids: Vec<AttachmentId> = data.attachments.iter().map(|a| a.id).collect();
                entry.4.get_or_insert_default().attachments.clone_from(&ids);
                self.attached.extend(ids);
            }
        }
        new
    }

    pub fn apply_edited(&mut self, event: &Event, data: &MessageEdited) {
        self.change(event, data.message, |entry| entry.add_text(event.seq));
    }

    /// A title was made from the message: it goes when the text goes.
    pub fn apply_titled(&mut self, event: &Event, message: MessageId) {
        self.change(event, message, |entry| entry.add_text(event.seq));
    }

    pub fn apply_decision(&mut self, event: &Event, message: MessageId, on: bool) {
        self.change(event, message, |entry| entry.set(DECISION, on));
    }

    /// Returns whether it is a new message.
    pub fn apply_answer(&mut self, event: &Event, data: &TurnStarted, requester: ParticipantId) -> bool {
        let parent = self.kept_parent(event, data.parent);
        let Some(entry) = self.push(data.answer, event, Actor::Participant(data.assistant), parent) else {
            return false;
        };
        entry.4.get_or_insert_default().answer = Some((event.header.id, requester));
        true
    }

    pub fn apply_progressed(&mut self, event: &Event, data: &TurnProgressed) {
        self.change(event, data.message, |entry| entry.add_text(event.seq));
    }

    /// Notes that an event changes how a message looks, and nothing that is kept here.
    pub fn apply_touched(&mut self, event: &Event, message: MessageId) {
        self.change(event, message, |_| {});
    }

    fn push(&mut self, id: MessageId, event: &Event, author: Actor, parent: Option<u32>) -> Option<&mut Entry> {
        if self.places.contains_key(&id) {
            return None;
        }
        let author = self.author(author);
        let line = &mut self.lines[event.stream as usize];
        let full = line.pages.last().is_none_or(|page| page.len() as u64 >= PAGE_MESSAGES);
        if full {
            line.pages.push(Arc::default());
            line.spans.push(PageSpan { first: event.seq, changed: event.seq });
        }
        let page = line.pages.len() - 1;
        line.spans[page].changed = line.spans[page].changed.max(event.seq);
        let entries = Arc::make_mut(&mut line.pages[page]);
        let n = u32::try_from(page as u64 * PAGE_MESSAGES + entries.len() as u64).ok()?;
        self.places.insert(id, Place { stream: event.stream, n });
        let more = parent.map(|parent| Box::new(More { parent: Some(parent), ..More::default() }));
        entries.push(Entry(id, author, event.seq, 0, more));
        if let Some(parent) = parent {
            self.forks.entry(parent).or_default().push(n);
        }
        entries.last_mut()
    }

    /// Changes a message of the event's own stream; a message of another stream is none.
    fn change(&mut self, event: &Event, id: MessageId, change: impl FnOnce(&mut Entry)) {
        let Some(place) = self.places.get(&id).copied().filter(|p| p.stream == event.stream) else { return };
        let line = &mut self.lines[place.stream as usize];
        let (page, i) = place.split();
        line.spans[page].changed = line.spans[page].changed.max(event.seq);
        change(&mut Arc::make_mut(&mut line.pages[page])[i]);
    }

    /// Changes what is kept of a message and not how it looks.
    fn change_quietly(&mut self, stream: Stream, id: MessageId, change: impl FnOnce(&mut Entry)) {
        let Some(place) = self.places.get(&id).copied().filter(|p| p.stream == stream) else { return };
        let (page, i) = place.split();
        change(&mut Arc::make_mut(&mut self.lines[stream as usize].pages[page])[i]);
    }

    fn author(&mut self, author: Actor) -> u32 {
        *self.author_index.entry(author).or_insert_with(|| {
            self.authors.push(author);
            u32::try_from(self.authors.len() - 1).expect("fewer authors than messages, which u32 counts")
        })
    }

    fn entry(&self, place: Place) -> Option<&Entry> {
        let (page, i) = place.split();
        self.lines[place.stream as usize].pages.get(page)?.get(i)
    }

    /// Makes the two lookup tables anew. Returns whether the lists agree with each other.
    pub fn index(&mut self) -> bool {
        self.author_index = self.authors.iter().zip(0..).map(|(author, i)| (*author, i)).collect();
        self.places.clear();
        self.attached.clear();
        self.forks.clear();
        self.from_elsewhere.clear();
        let mut copies = Vec::new();
        for stream in Stream::ALL {
            let line = &self.lines[stream as usize];
            let full = |(i, page): (usize, &Arc<Vec<Entry>>)| {
                page.len() as u64 == PAGE_MESSAGES || (i + 1 == line.pages.len() && !page.is_empty())
            };
            if line.pages.len() != line.spans.len()
                || !line.pages.iter().enumerate().all(full)
                || line.pages.iter().any(|page| page.len() as u64 > PAGE_MESSAGES)
            {
                return false;
            }
            for (entry, n) in line.pages.iter().flat_map(|page| page.iter()).zip(0..) {
                if entry.1 as usize >= self.authors.len() {
                    return false;
                }
                self.places.insert(entry.0, Place { stream, n });
                if let Some(parent) = entry.4.as_ref().and_then(|more| more.parent) {
                    if parent > n {
                        return false;
                    }
                    self.forks.entry(parent).or_default().push(n);
                }
                if let Some(copied) = entry.4.as_ref().and_then(|more| more.copied_from.as_ref()) {
                    copies.push((copied.message, entry.0));
                }
                self.attached.extend(entry.attachments());
            }
        }
        copies.retain(|(from, _)| !self.places.contains_key(from));
        copies.into_iter().for_each(|(from, copy)| self.from_elsewhere.entry(from).or_default().push(copy));
        true
    }
}

impl Place {
    fn split(self) -> (usize, usize) {
        const PAGE: usize = PAGE_MESSAGES as usize;
        (self.n as usize / PAGE, self.n as usize % PAGE)
    }
}

pub(super) fn decide_post(by: &By<'_>, data: &MessagePost) -> Result<Decision, Rejection> {
    let stream = by.envelope.stream;
    let me = by.person()?;
    if !matches!(stream, Stream::Main | Stream::Side) {
        return Err(Rejection::field("/stream", Code::NotAvailable, "messages go to main or side"));
    }
    let attachments = attachments(by, data)?;
    text::message("/text", &data.text, !attachments.is_empty())?;
    let parent = data.reply_to.map(|id| parent(by, stream, id)).transpose()?;
    if let Some(beside) = &data.data {
        if !beside.is_object() {
            return Err(Rejection::field("/data", Code::InvalidField, "a JSON object"));
        }
        actions::measure("/data", beside, actions::MAX_ACTION_BYTES)?;
    }
    let mentions = mentions(by, data)?;
    let assistant = turns::who_answers(by, data, &mentions, parent.as_ref())?;
    let place = place(by, data)?;

    let mut draft = by.draft();
    draft.on(place.as_ref().and_then(|p| by.session.branches.header(p.branch)));
    let causes = parent.iter().map(|m| m.event).collect();
    let posted = MessagePosted {
        text: data.text.clone(),
        reply_to: data.reply_to,
        mentions,
        ask: assistant.is_some(),
        redacted: false,
        attachments,
        parent: place.as_ref().and_then(|p| by.session.messages.recorded_parent(p.parent, 0)),
        copied_from: None,
        data: data.data.clone(),
    };
    let id = draft.push(stream, causes, posted);
    let on = turns::On { branch: place.as_ref().map_or_else(|| by.session.branches.main(), |p| p.branch), reads: None };
    if let Some(created) = place.and_then(|p| p.created) {
        draft.push(stream, vec![id], created);
    }
    if let Some(assistant) = assistant {
        turns::queue(by.session, &mut draft, id, MessageId(id.0), me.id, assistant, on);
    }
    draft.on(None);
    if stream == Stream::Main {
        lifecycle::title_by(by.session, &mut draft, id, &data.text);
    }
    Ok(draft.finish())
}

/// Decides where a message in `main` goes; other streams are one line each.
fn place(by: &By<'_>, data: &MessagePost) -> Result<Option<branches::Place>, Rejection> {
    if by.envelope.stream == Stream::Main {
        return branches::place(by, data).map(Some);
    }
    let asked = data.branch.is_some() || data.parent.is_some() || data.sibling_of.is_some();
    if asked || data.if_head_moved != HeadMoved::default() {
        return Err(Rejection::field("/branch", Code::InvalidField, "only main has branches"));
    }
    Ok(None)
}

pub(super) fn decide_edit(by: &By<'_>, data: &MessageEdit) -> Result<Decision, Rejection> {
    edit(by, data.message, &data.text)
}

/// Gives a message another text, and with it every turn that waits for its answer.
pub(super) fn edit(by: &By<'_>, id: MessageId, new: &str) -> Result<Decision, Rejection> {
    let message = by.message("/message", id)?;
    // Copied words are another's; they are not put into other words in their name.
    let is_copy = by.session.messages.copied_from(id).is_some();
    if is_copy || message.answer_to.is_some() || !text::is(message.author, by.person()?.id) {
        return Err(Code::NotYourMessage.into());
    }
    if message.redacted {
        return Err(Code::MessageIsRedacted.into());
    }
    text::message("/text", new, message.has_attachments)?;
    let mut draft = by.draft();
    let edited = MessageEdited { message: id, text: new.to_owned(), redacted: false };
    draft.push(message.stream, vec![message.event], edited);
    for turn in by.session.queue().iter().filter(|t| t.message == id) {
        draft.push(Stream::Main, vec![message.event], TurnEdited { turn: turn.turn });
    }
    Ok(draft.finish())
}

pub(super) fn decide_record(by: &By<'_>, data: &DecisionRecord) -> Result<Decision, Rejection> {
    let message = by.message("/message", data.message)?;
    if message.redacted {
        return Err(Code::MessageIsRedacted.into());
    }
    if message.decision {
        return Err(Code::AlreadyRecorded.into());
    }
    let mut draft = by.draft();
    draft.push(message.stream, vec![message.event], DecisionRecorded { message: data.message });
    Ok(draft.finish())
}

pub(super) fn decide_withdraw(by: &By<'_>, data: &DecisionWithdraw) -> Result<Decision, Rejection> {
    let message = by.message("/message", data.message)?;
    if !message.decision {
        return Err(Code::AlreadyRecorded.into());
    }
    let mut draft = by.draft();
    draft.push(message.stream, vec![message.event], DecisionWithdrawn { message: data.message });
    Ok(draft.finish())
}

/// Returns the message that is answered; it must be in the same stream.
fn parent(by: &By<'_>, stream: Stream, id: MessageId) -> Result<MessageRef, Rejection> {
    let elsewhere = || Rejection::field("/reply_to", Code::NoSuchMessage, "there is no such message in this stream");
    by.message("/reply_to", id).ok().filter(|m| m.stream == stream).ok_or_else(elsewhere)
}

/// Returns the files that come with a message: uploaded by the author for this stream, and posted once.
fn attachments(by: &By<'_>, data: &MessagePost) -> Result<Vec<Attachment>, Rejection> {
    if data.attachments.len() > text::MAX_ATTACHMENTS {
        let detail = format!("at most {} attachments", text::MAX_ATTACHMENTS);
        return Err(Rejection::field("/attachments", Code::InvalidField, detail));
    }
    let mut all: Vec<Attachment> = Vec::with_capacity(data.attachments.len());
    for id in &data.attachments {
        let own = |u: &&Upload| {
            u.attachment.id == *id && Caller::User(u.uploader) == by.cx.caller && u.stream == by.envelope.stream
        };
        let found = by.cx.uploads.iter().find(own).filter(|_| !by.session.messages.attached.contains(id));
        let Some(upload) = found else {
            let detail = format!("no file of yours waits under {id} for this stream");
            return Err(Rejection::field("/attachments", Code::AttachmentNotFound, detail));
        };
        if all.iter().all(|other| other.id != *id) {
            all.push(upload.attachment.clone());
        }
    }
    Ok(all)
}

/// Returns whom a message names: those whose ids are given, then those whom `@name` in the text names.
fn mentions(by: &By<'_>, data: &MessagePost) -> Result<Vec<ParticipantId>, Rejection> {
    let mut all: Vec<ParticipantId> = Vec::new();
    if data.mentions.len() > text::MAX_MENTIONS {
        let detail = format!("at most {} mentions", text::MAX_MENTIONS);
        return Err(Rejection::field("/mentions", Code::InvalidField, detail));
    }
    for id in &data.mentions {
        if by.session.roster.get_joined(*id).is_none() {
            let detail = format!("{id} is not in this session");
            return Err(Rejection::field("/mentions", Code::NoSuchParticipant, detail));
        }
        if !all.contains(id) {
            all.push(*id);
        }
    }
    for id in text::named_in(&data.text, by.session.roster.joined()) {
        if all.len() < text::MAX_MENTIONS && !all.contains(&id) {
            all.push(id);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
