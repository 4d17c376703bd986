//! Messages as people see them, and how they change.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::branching::CopiedFrom;
use crate::event::{Actor, Event, TurnProgressed, TurnStarted};
use crate::ids::{BranchId, MessageId, ParticipantId, Seq, Stream, Timestamp, TurnId};
use crate::model::{Attachment, EndReason, Usage};

/// One stream's messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StreamView {
    /// The last event that is folded in.
    pub head: Seq,
    /// How many messages the stream has had, held here or not.
    pub count: u64,
    /// The newest messages, without a gap up to the last one.
    pub messages: Vec<MessageView>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// The message.
    pub id: MessageId,
    /// Its number in its stream, from 0.
    pub n: u64,
    /// The seq of the event that began it.
    pub seq: Seq,
    /// Who said it.
    pub author: Actor,
    /// When.
    pub at: Timestamp,
    /// What was said; empty once redacted.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// Whom it names.
    pub mentions: Vec<ParticipantId>,
    /// Whether it asks the assistant.
    pub ask: bool,
    /// Whether its text is not the first one.
    pub edited: bool,
    /// Whether its text has been erased.
    pub redacted: bool,
    /// Whether it is marked as a decision.
    pub decision: bool,
    /// How the answer stands, when it is one.
    pub answer: Option<AnswerView>,
    /// Files that came with it; absent when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The branch that it was said on; absent: the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The message that it follows. Absent: the message before it in the stream; the id of zeros: none, it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<MessageId>,
    /// The message whose text this is, when it was copied from another branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_from: Option<CopiedFrom>,
    /// What a program says beside the text; absent when nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

/// How an answer stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnswerView {
    /// The turn it belongs to.
    pub turn: TurnId,
    /// The message it answers.
    pub question: MessageId,
    /// Where it stands.
    pub state: AnswerState,
    /// Which driver answers.
    pub driver: String,
    /// What it is labelled with.
    pub label: String,
    /// How long the text is. Unit: UTF-16 code units.
    pub length: u64,
    /// Why it ended, when it is whole.
    pub reason: Option<EndReason>,
    /// What went wrong, when it failed.
    pub code: Option<String>,
    /// The same for people.
    pub detail: Option<String>,
    /// Who stopped it.
    pub stopped_by: Option<Actor>,
    /// What it used.
    pub usage: Option<Usage>,
}

/// Where an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerState {
    /// It grows.
    Streaming,
    /// It is whole.
    Completed,
    /// Somebody stopped it.
    Stopped,
    /// The assistant could not go on.
    Failed,
    /// Whoever answered is gone.
    Lost,
}

/// A run of 256 folded messages of one stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// Which stream.
    pub stream: Stream,
    /// Which page: messages `256 * page` to `256 * page + 255`.
    pub page: u64,
    /// The seq up to which everything is folded in.
    pub at: Seq,
    /// The messages.
    pub messages: Vec<MessageView>,
}

impl StreamView {
    pub(super) fn push(&mut self, mut message: MessageView) {
        message.n = self.count;
        self.count += 1;
        self.messages.push(message);
    }

    pub(super) fn with(&mut self, id: MessageId, change: impl FnOnce(&mut MessageView)) {
        if let Some(message) = self.messages.iter_mut().rev().find(|m| m.id == id) {
            change(message);
        }
    }
}

impl MessageView {
    pub(super) fn new(id: MessageId, event: &Event, text: String) -> Self {
        Self {
            id,
            n: 0,
            seq: event.seq,
            author: event.header.actor,
            at: event.header.at,
            text,
            reply_to: None,
            mentions: Vec::new(),
            ask: false,
            edited: false,
            redacted: false,
            decision: false,
            answer: None,
            attachments: Vec::new(),
            branch: event.header.branch,
            parent: None,
            copied_from: None,
            data: None,
        }
    }

    pub(super) fn progress(&mut self, data: &TurnProgressed) {
        if self.redacted {
            return;
        }
        let Some(answer) = &mut self.answer else { return };
        let end = data.offset + utf16_len(&data.text);
        if end > answer.length {
            self.text.truncate(utf16_prefix(&self.text, data.offset));
            self.text.push_str(&data.text);
            answer.length = end;
        }
    }

    pub(super) fn grow(&mut self, offset: u64, text: &str) -> bool {
        let Some(answer) = &mut self.answer else { return false };
        if self.redacted || answer.state != AnswerState::Streaming || offset > answer.length {
            return false;
        }
        let end = offset + utf16_len(text);
        if end > answer.length {
            self.text.push_str(&text[utf16_prefix(text, answer.length - offset)..]);
            answer.length = end;
        }
        true
    }
}

impl AnswerView {
    pub(super) fn new(data: &TurnStarted) -> Self {
        Self {
            turn: data.turn,
            question: data.message,
            state: AnswerState::Streaming,
            driver: data.driver.clone(),
            label: data.label.clone(),
            length: 0,
            reason: None,
            code: None,
            detail: None,
            stopped_by: None,
            usage: None,
        }
    }
}

/// Returns the length of `text` in UTF-16 code units.
pub fn utf16_len(text: &str) -> u64 {
    if text.is_ascii() { text.len() as u64 } else { text.chars().map(|c| c.len_utf16() as u64).sum() }
}

/// Returns how many bytes of `text` its first `units` UTF-16 code units take; a pair is never split.
pub fn utf16_prefix(text: &str, units: u64) -> usize {
    let mut seen = 0;
    for (byte, c) in text.char_indices() {
        if seen >= units {
            return byte;
        }
        seen += c.len_utf16() as u64;
    }
    text.len()
}
