//! The live text of a running turn, and what is handed to drivers.
//!
//! Owns: text that has been shown but not yet recorded, its pace, its hash; the work channel and the handle through
//! which a driver answers. Must not know: how an assistant makes text. Invariant: text is shown at most a second and
//! 4 KB before it is recorded, and every ending records it first.

use std::time::Duration;

use roundtable_protocol::command::{TurnComplete, TurnFail, TurnLose, TurnProgress};
use roundtable_protocol::frame::{Delta, ServerFrame};
use roundtable_protocol::model::{EndReason, Lease, Participant, Usage};
use roundtable_protocol::view::utf16_len;
use roundtable_protocol::{Command, LeaseId, MessageId, SessionId, Timestamp, TurnId};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::HubConfig;
use crate::frame::Frame;
use crate::room::Input;
use crate::uploads::TranscriptAttachment;

/// A turn that has been claimed and waits for a driver to answer it.
#[derive(Debug)]
pub struct TurnWork {
    /// The session.
    pub session: SessionId,
    /// The turn.
    pub turn: TurnId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The session's title.
    pub title: String,
    /// Which driver answers: `guide`, `model`.
    pub driver: String,
    /// Who answers.
    pub assistant: Participant,
    /// Who asked.
    pub requester: Participant,
    /// Everybody who is in the session.
    pub people: Vec<Participant>,
    /// What the session keeps in mind, pinned ones first, then the newest; nothing unless its settings give assistants
    /// its memories.
    pub memories: Vec<TranscriptMemory>,
    /// What was said in `main`, oldest first; erased messages are left out.
    pub transcript: Vec<TranscriptMessage>,
    /// Through which the driver answers.
    pub handle: TurnHandle,
}

/// A memory as a driver gets it.
#[derive(Clone, Debug)]
pub struct TranscriptMemory {
    /// Who added it.
    pub author: Participant,
    /// Whether people have pinned it.
    pub pinned: bool,
    /// What is kept in mind.
    pub text: String,
}

/// One message of `main` as a driver gets it.
#[derive(Clone, Debug)]
pub struct TranscriptMessage {
    /// The message.
    pub id: MessageId,
    /// Who said it; absent for the server's own.
    pub author: Option<Participant>,
    /// When.
    pub at: Timestamp,
    /// What was said.
    pub text: String,
    /// Files that came with it.
    pub attachments: Vec<TranscriptAttachment>,
    /// Whether it is an assistant's answer.
    pub answer: bool,
    /// Whether it is the message that this turn answers.
    pub asks: bool,
}

/// Through which a driver answers. Dropped without an end: the turn is recorded as lost.
#[derive(Debug)]
pub struct TurnHandle {
    lease: LeaseId,
    room: mpsc::Sender<Input>,
    cancelled: CancellationToken,
    ended: bool,
}

/// What a driver says.
#[derive(Debug)]
pub(crate) enum Said {
    Text(String),
    Completed(EndReason, Usage),
    Failed { code: String, detail: String, usage: Usage },
    Dropped,
}

impl TurnHandle {
    pub(crate) fn new(lease: LeaseId, room: mpsc::Sender<Input>, cancelled: CancellationToken) -> Self {
        Self { lease, room, cancelled, ended: false }
    }

    /// Shows new text to everybody. Waits while the room has too much to do.
    pub async fn text(&self, text: String) {
        if !text.is_empty() {
            self.say(Said::Text(text)).await;
        }
    }

    /// Ends the turn as intended.
    pub async fn complete(mut self, reason: EndReason, usage: Usage) {
        self.ended = true;
        self.say(Said::Completed(reason, usage)).await;
    }

    /// Ends the turn, because the assistant cannot go on. `code` is a stable word, `detail` is for people.
    pub async fn fail(mut self, code: &str, detail: &str, usage: Usage) {
        self.ended = true;
        self.say(Said::Failed { code: code.to_owned(), detail: detail.to_owned(), usage }).await;
    }

    /// Returns what fires when the turn is over for the driver: stopped, ended with its session, claimed by another.
    pub fn cancelled(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    async fn say(&self, said: Said) {
        // A room that is gone has lost the turn already; there is nobody left to tell.
        let _ = self.room.send(Input::Said(self.lease, said)).await;
    }
}

impl Drop for TurnHandle {
    fn drop(&mut self) {
        if !self.ended && !self.cancelled.is_cancelled() {
            let (room, lease) = (self.room.clone(), self.lease);
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { room.send(Input::Said(lease, Said::Dropped)).await });
            }
        }
    }
}

/// A running turn whose driver is in this process.
pub(crate) struct LiveTurn {
    session: SessionId,
    pub(crate) turn: TurnId,
    pub(crate) lease: LeaseId,
    message: MessageId,
    cancelled: CancellationToken,
    hash: Sha256,
    /// Text since the last `turn.progress` that was given to the room, and where it begins.
    unrecorded: String,
    unrecorded_at: u64,
    pace: Vec<(u32, u32)>,
    /// Text that was given to the room but is not yet on the disk.
    recording: String,
    recording_at: u64,
    /// Text since the last delta frame, and where it begins.
    unsent: String,
    unsent_at: u64,
    last_text: Instant,
    last_progress: Instant,
    last_delta: Option<Instant>,
    ended: bool,
}

impl LiveTurn {
    pub(crate) fn new(
        session: SessionId,
        turn: TurnId,
        message: MessageId,
        lease: Lease,
        cancelled: CancellationToken,
        now: Instant,
    ) -> Self {
        Self {
            session,
            turn,
            lease: lease.id,
            message,
            cancelled,
            hash: Sha256::new(),
            unrecorded: String::new(),
            unrecorded_at: 0,
            pace: Vec::new(),
            recording: String::new(),
            recording_at: 0,
            unsent: String::new(),
            unsent_at: 0,
            last_text: now,
            last_progress: now,
            last_delta: None,
            ended: false,
        }
    }

    /// Takes new text in.
    pub(crate) fn text(&mut self, text: &str, now: Instant) {
        if self.ended {
            return;
        }
        self.hash.update(text);
        let gap = now.duration_since(self.last_text).as_millis();
        let units = utf16_len(text);
        self.pace.push((u32::try_from(gap).unwrap_or(u32::MAX), u32::try_from(units).unwrap_or(u32::MAX)));
        self.unrecorded.push_str(text);
        self.unsent.push_str(text);
        self.last_text = now;
    }

    /// Returns the delta frame that is due: the first text of a burst at once, then one frame a window.
    pub(crate) fn delta(&mut self, window: Duration, now: Instant) -> Option<Frame> {
        if self.unsent.is_empty() || self.last_delta.is_some_and(|last| now < last + window) {
            return None;
        }
        self.last_delta = Some(now);
        let text = std::mem::take(&mut self.unsent);
        let offset = self.unsent_at;
        self.unsent_at += utf16_len(&text);
        Some(self.frame(offset, text))
    }

    /// The delta frame has gone out to everybody: the next window begins now.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.last_delta = Some(now);
    }

    /// Returns the text that has been shown but is not in the log, for somebody who joins now.
    pub(crate) fn tail(&self) -> Option<Frame> {
        let (at, text) = if self.recording.is_empty() {
            (self.unrecorded_at, self.unrecorded.clone())
        } else {
            (self.recording_at, format!("{}{}", self.recording, self.unrecorded))
        };
        let shown = text.len() - self.unsent.len().min(text.len());
        (shown > 0).then(|| self.frame(at, text[..shown].to_owned()))
    }

    /// Returns the command that records what waits: when it is due, or now.
    pub(crate) fn progress(&mut self, config: &HubConfig, now: Instant) -> Option<Command> {
        let waited = now.duration_since(self.last_progress);
        let due = if self.unrecorded.is_empty() {
            waited >= config.renew_every
        } else {
            waited >= config.progress_every || self.unrecorded.len() >= config.progress_bytes
        };
        (due && !self.ended && self.recording.is_empty()).then(|| self.record(now))
    }

    /// Returns the command that records what waits, whatever it is; `None` when nothing waits.
    pub(crate) fn flush(&mut self, now: Instant) -> Option<Command> {
        (!self.unrecorded.is_empty()).then(|| self.record(now))
    }

    /// The last `turn.progress` is on the disk.
    pub(crate) fn recorded(&mut self, up_to: u64) {
        if self.recording_at + utf16_len(&self.recording) <= up_to {
            self.recording.clear();
        }
    }

    /// Returns whether the driver has said that it is done, or was told to be.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Returns when something is due next.
    pub(crate) fn next(&self, config: &HubConfig) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let progress = match (self.unrecorded.is_empty(), self.recording.is_empty()) {
            (_, false) => None,
            (true, true) => Some(self.last_progress + config.renew_every),
            (false, true) => Some(self.last_progress + config.progress_every),
        };
        let delta =
            (!self.unsent.is_empty()).then(|| self.last_delta.map_or(self.last_text, |last| last + config.flush));
        progress.into_iter().chain(delta).min()
    }

    /// Returns the commands that end the turn as the driver says.
    pub(crate) fn end(&mut self, said: Said, now: Instant) -> Vec<Command> {
        if self.ended {
            return Vec::new();
        }
        let (turn, lease) = (self.turn, self.lease);
        let flush = self.flush(now);
        let end = match said {
            Said::Text(_) => return Vec::new(),
            Said::Completed(reason, usage) => {
                let hash = self.hash.clone().finalize().iter().map(|b| format!("{b:02x}")).collect();
                Command::TurnComplete(TurnComplete { turn, lease, hash, reason, usage })
            }
            Said::Failed { code, detail, usage } => Command::TurnFail(TurnFail { turn, lease, code, detail, usage }),
            Said::Dropped => Command::TurnLose(TurnLose { turn, lease }),
        };
        self.ended = true;
        flush.into_iter().chain([end]).collect()
    }

    fn record(&mut self, now: Instant) -> Command {
        self.last_progress = now;
        let text = std::mem::take(&mut self.unrecorded);
        let offset = self.unrecorded_at;
        self.unrecorded_at += utf16_len(&text);
        if self.recording.is_empty() {
            self.recording_at = offset;
        }
        self.recording.push_str(&text);
        let pace = std::mem::take(&mut self.pace);
        Command::TurnProgress(TurnProgress { turn: self.turn, lease: self.lease, offset, text, pace })
    }

    fn frame(&self, offset: u64, text: String) -> Frame {
        let (session_id, turn, message) = (self.session, self.turn, self.message);
        Frame::encode(&ServerFrame::Delta(Delta { session_id, turn, message, offset, text }))
    }
}

impl Drop for LiveTurn {
    /// However a turn is over for this process, its driver learns of it.
    fn drop(&mut self) {
        self.cancelled.cancel();
    }
}
