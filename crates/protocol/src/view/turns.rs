//! Turns that wait and run, and the answers that they leave.

use super::messages::utf16_prefix;
use super::{AnswerView, MessageView, View};
use crate::event::{Actor, Event, TurnQueued, TurnStarted};
use crate::ids::{MessageId, Stream, Timestamp, TurnId};
use crate::model::{Turn, TurnState};

impl View {
    pub(super) fn queued(&mut self, data: &TurnQueued, at: Timestamp) {
        let turn = Turn {
            id: data.turn,
            message: data.message,
            requester: data.requester,
            assistant: data.assistant,
            state: TurnState::Queued,
            since: at,
            answer: None,
        };
        let place = data.before.and_then(|before| self.turns.iter().position(|t| t.id == before));
        self.turns.insert(place.unwrap_or(self.turns.len()), turn);
        if let Some(stream) = self.streams.get_mut(&Stream::Main) {
            stream.with(data.message, |m| m.ask = true);
        }
    }

    pub(super) fn started(&mut self, data: &TurnStarted, event: &Event) {
        if let Some(place) = self.turns.iter().position(|t| t.id == data.turn) {
            let mut turn = self.turns.remove(place);
            turn.state = TurnState::Running;
            turn.since = event.header.at;
            turn.answer = Some(data.answer);
            self.turns.insert(0, turn);
        }
        self.streams.entry(event.stream).or_default().push(MessageView {
            author: Actor::Participant(data.assistant),
            reply_to: Some(data.message),
            answer: Some(AnswerView::new(data)),
            parent: data.parent,
            ..MessageView::new(data.answer, event, String::new())
        });
        self.branching.said(event, data.answer);
    }

    pub(super) fn ended(
        &mut self,
        stream: Stream,
        turn: TurnId,
        message: Option<MessageId>,
        length: u64,
        change: impl FnOnce(&mut AnswerView),
    ) {
        self.turns.retain(|t| t.id != turn);
        let (Some(message), Some(view)) = (message, self.streams.get_mut(&stream)) else { return };
        view.with(message, |m| {
            if !m.redacted {
                m.text.truncate(utf16_prefix(&m.text, length));
            }
            if let Some(answer) = &mut m.answer {
                answer.length = length;
                change(answer);
            }
        });
    }
}
