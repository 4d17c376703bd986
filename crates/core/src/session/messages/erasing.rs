//! Erasing: of one message with everything that was made of it, and of what was not recorded, some at a time.

use roundtable_protocol::command::MessageRedact;
use roundtable_protocol::event::{Event, MessageRedacted};
use roundtable_protocol::grant::Permission;
use roundtable_protocol::ids::{MessageId, Seq, Stream};
use roundtable_protocol::problem::Code;

use super::{Entry, Messages, REDACTED};
use crate::context::{Decision, Rejection};
use crate::session::draft::{By, Draft};
use crate::session::{Session, actions, lifecycle, memories, text, turns};

/// About how many events lose their text in one commit. Unit: events.
const ERASED_AT_ONCE: usize = 500;

impl Messages {
    /// Returns every message whose text has not been erased.
    pub fn unerased(&self) -> impl Iterator<Item = MessageId> {
        let entries = self.lines.iter().flat_map(|line| &line.pages).flat_map(|page| page.iter());
        entries.filter(|entry| !entry.is(REDACTED)).map(|entry| entry.0)
    }

    /// Returns every event that bears text of a message.
    pub(super) fn texts(&self, id: MessageId) -> Vec<(Stream, Seq)> {
        let Some(place) = self.places.get(&id) else { return Vec::new() };
        let entry = self.entry(*place);
        entry.into_iter().flat_map(Entry::texts).map(|seq| (place.stream, seq)).collect()
    }

    pub fn apply_redacted(&mut self, event: &Event, data: &MessageRedacted) {
        let mut dropped = Vec::new();
        self.change(event, data.message, |entry| {
            entry.set(REDACTED, true);
            dropped = entry.drop_attachments();
        });
        dropped.iter().for_each(|id| {
            self.attached.remove(id);
        });
    }
}

pub(in crate::session) fn decide_redact(by: &By<'_>, data: &MessageRedact) -> Result<Decision, Rejection> {
    let message = by.message("/message", data.message)?;
    let reason = text::reason(data.reason.as_ref())?;
    let owned = match message.answer_to {
        Some(requester) => by.is_or_may(requester, Permission::MessageRedactAny),
        None => {
            by.person.is_none_or(|p| text::is(message.author, p.id)) || by.cx.grant.allows(Permission::MessageRedactAny)
        }
    };
    if !owned {
        return Err(Code::NotYourMessage.into());
    }
    if message.redacted {
        return Err(Code::MessageIsRedacted.into());
    }
    let mut draft = by.draft();
    erase(by.session, &mut draft, data.message, reason.as_ref());
    Ok(draft.finish())
}

/// Erases a message, everything that was made of it, and its copies here.
pub(in crate::session) fn erase(session: &Session, draft: &mut Draft, id: MessageId, reason: Option<&String>) {
    for id in std::iter::once(id).chain(session.messages.copies(id)) {
        let Some(message) = session.messages.get(id).filter(|m| !m.redacted) else { continue };
        turns::withdraw_all(session, draft, |question, _| question == id);
        if session.running_turn().is_some_and(|t| t.answer == id) {
            turns::stop_running(session, draft);
        }
        draft.push(message.stream, vec![message.event], MessageRedacted { message: id, reason: reason.cloned() });
        lifecycle::untitle(session, draft, id);
        memories::forget_of(session, draft, id);
        draft.redact(session.messages.texts(id));
    }
}

/// Erases messages, then memories and actions, the oldest first, as many as fit one commit.
pub(in crate::session) fn erase_some(session: &Session, draft: &mut Draft, reason: &str) {
    let mut rows = 0;
    for id in session.messages.unerased() {
        let Some(message) = session.messages.get(id) else { continue };
        let texts = session.messages.texts(id);
        rows += texts.len().max(1);
        let redacted = MessageRedacted { message: id, reason: Some(reason.to_owned()) };
        draft.push(message.stream, vec![message.event], redacted);
        lifecycle::untitle(session, draft, id);
        memories::forget_of(session, draft, id);
        draft.redact(texts);
        if rows >= ERASED_AT_ONCE {
            return;
        }
    }
    rows += memories::erase_some(session, draft, ERASED_AT_ONCE - rows, reason);
    actions::erase_some(session, draft, ERASED_AT_ONCE.saturating_sub(rows), reason);
}
