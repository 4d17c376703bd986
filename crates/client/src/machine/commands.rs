//! The commands to one session that have no final answer yet.
//!
//! Owns: their order, window and retries. Must not know: what they do. Invariant: they are sent in the order in which
//! they were given, each under the key it was given, until each is answered for good.

use std::collections::VecDeque;

use roundtable_protocol::frame::{COMMAND_WINDOW, CommandFrame};
use roundtable_protocol::ids::{Seq, SessionId, Stream};
use serde_json::Value;
use uuid::Uuid;

/// A command without a final answer.
#[derive(Clone, Debug)]
pub struct Pending {
    pub key: Uuid,
    pub stream: Stream,
    pub seen: Option<Seq>,
    pub name: String,
    pub data: Value,
    /// The request under which it travels now.
    sent: Option<u64>,
    /// Whether it was ever sent.
    retry: bool,
}

impl Pending {
    pub fn new(key: Uuid, stream: Stream, seen: Option<Seq>, name: String, data: Value) -> Self {
        Self { key, stream, seen, name, data, sent: None, retry: false }
    }
}

#[derive(Debug, Default)]
pub struct Commands {
    queue: VecDeque<Pending>,
    /// After a retryable refusal: nothing is sent before this time.
    hold_until_ms: Option<u64>,
    refusals: u32,
}

impl Commands {
    pub fn push(&mut self, command: Pending) {
        self.queue.push_back(command);
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.queue.iter()
    }

    /// Returns what may be sent now.
    pub fn sendable(&mut self, now: u64, session: SessionId, next_id: &mut u64) -> Vec<CommandFrame> {
        if self.hold_until_ms.is_some_and(|until| now < until) {
            return Vec::new();
        }
        self.hold_until_ms = None;
        let mut room = COMMAND_WINDOW.saturating_sub(self.queue.iter().filter(|c| c.sent.is_some()).count());
        let mut frames = Vec::new();
        for command in &mut self.queue {
            if room == 0 {
                break;
            }
            if command.sent.is_some() {
                continue;
            }
            *next_id += 1;
            room -= 1;
            frames.push(CommandFrame {
                id: *next_id,
                key: command.key,
                session_id: session,
                stream: Some(command.stream),
                seen: command.seen,
                name: command.name.clone(),
                data: command.data.clone(),
                retry: command.retry,
            });
            command.sent = Some(*next_id);
            command.retry = true;
        }
        frames
    }

    /// Takes out the command that was accepted. Matched by key, so that an answer to an earlier sending counts too.
    pub fn accepted(&mut self, key: Uuid) -> Option<Pending> {
        let place = self.queue.iter().position(|c| c.key == key)?;
        self.refusals = 0;
        self.queue.remove(place)
    }

    /// Returns the key of the command that travels as request `re`.
    pub fn key_of(&self, re: u64) -> Option<Uuid> {
        self.queue.iter().find(|c| c.sent == Some(re)).map(|c| c.key)
    }

    /// Takes out the command that was refused for good.
    pub fn refused(&mut self, re: u64) -> Option<Pending> {
        let place = self.queue.iter().position(|c| c.sent == Some(re))?;
        self.queue.remove(place)
    }

    /// Returns how often in a row the session has refused retryably.
    pub fn refusals(&self) -> u32 {
        self.refusals
    }

    /// A retryable refusal: the command and all later ones wait and are sent again in order.
    pub fn postponed(&mut self, re: u64, until_ms: u64) {
        let Some(place) = self.queue.iter().position(|c| c.sent == Some(re)) else { return };
        for command in self.queue.iter_mut().skip(place) {
            command.sent = None;
        }
        self.refusals += 1;
        self.hold_until_ms = Some(until_ms);
    }

    /// The connection is gone: nothing travels any more.
    pub fn disconnected(&mut self) {
        for command in &mut self.queue {
            command.sent = None;
        }
        self.hold_until_ms = None;
    }

    pub fn deadline(&self) -> Option<u64> {
        self.hold_until_ms
    }
}
