//! What travels on the WebSocket: JSON objects tagged by `type`.
//!
//! Owns: the frames of both directions. Must not know: connections, time-outs, order.
//! Invariant: every server frame about a session carries `session_id`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::event::Event;
use crate::grant::{Permissions, Role};
use crate::ids::{ConnectionId, Epoch, EventId, MessageId, ParticipantId, Seq, SessionId, Stream, Timestamp, TurnId};
use crate::problem::Problem;
use crate::view::View;

/// The WebSocket subprotocol's name.
pub const SUBPROTOCOL: &str = "roundtable.v1";
/// The first byte of a binary frame that is the raw deflate of a JSON text frame.
pub const DEFLATE_MARK: u8 = 0x01;
/// Longest message text. Unit: bytes of UTF-8.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Largest frame. Unit: bytes.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;
/// Largest attachment. Unit: bytes.
pub const MAX_ATTACHMENT_BYTES: u64 = 25 * 1024 * 1024;
/// How many commands of one connection to one session may be unanswered.
pub const COMMAND_WINDOW: usize = 32;
/// How many events a replay may hold; more: a snapshot instead.
pub const MAX_REPLAY_EVENTS: usize = 2_000;
/// How large a replay may be; more: a snapshot instead. Unit: bytes.
pub const MAX_REPLAY_BYTES: usize = 2 * 1024 * 1024;
/// How many folded messages a page holds.
pub const PAGE_MESSAGES: u64 = 256;
/// How many messages of each stream the head of a view snapshot holds.
pub const HEAD_MESSAGES: usize = 100;

/// What a client sends.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame: who is there and what it can do.
    Hello(Hello),
    /// Send me this session.
    Subscribe(Subscribe),
    /// Send it no more.
    Unsubscribe(Unsubscribe),
    /// Do something in a session.
    Command(CommandFrame),
    /// Show something to those who are there; may be lost.
    Ephemeral(EphemeralIn),
    /// I have applied a stream this far.
    Ack(Ack),
    /// Are you there?
    Ping(Ping),
}

impl ClientFrame {
    /// Every frame type that a client may send.
    pub const TYPES: &'static [&'static str] =
        &["hello", "subscribe", "unsubscribe", "command", "ephemeral", "ack", "ping"];
}

/// `hello`
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    /// The bearer token; optional when the upgrade carried the cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What the client can do: `deflate`.
    #[serde(default)]
    pub features: Vec<String>,
}

/// `subscribe`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Subscribe {
    /// The request's id, echoed as `re`.
    pub id: u64,
    /// Which session.
    pub session_id: SessionId,
    /// Which streams, each from where.
    pub streams: Vec<StreamPosition>,
}

/// How far a client has a stream.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StreamPosition {
    /// Which stream.
    pub stream: Stream,
    /// The numbering it knows; absent: it has nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The last event it has; absent: it has nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
}

/// The last event that a client has.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct After {
    /// Its seq.
    pub seq: Seq,
    /// Its id, so that a replaced history shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<EventId>,
}

/// `unsubscribe`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Unsubscribe {
    /// The request's id, echoed as `re`.
    pub id: u64,
    /// Which session.
    pub session_id: SessionId,
}

/// `command`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CommandFrame {
    /// The request's id, echoed as `re`.
    pub id: u64,
    /// The command's key: a UUIDv7 chosen by the client.
    pub key: Uuid,
    /// Which session.
    pub session_id: SessionId,
    /// The stream that a message goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    /// The last seq of that stream that the author had applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seq>,
    /// The command's name.
    pub name: String,
    /// The command's data; its shape follows from the name.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub data: Value,
    /// Whether this key was sent before.
    #[serde(default)]
    pub retry: bool,
}

/// `ephemeral`, from a client
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EphemeralIn {
    /// Which session.
    pub session_id: SessionId,
    /// The stream whose audience sees it.
    pub stream: Stream,
    /// What it is.
    pub lane: Lane,
    /// Its content, at most 1 KiB; null ends it.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// A kind of ephemeral traffic; the newest value of a connection and lane wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Online, active, idle, away. Made by the server.
    Presence,
    /// Is typing.
    Typing,
    /// Mouse position.
    Pointer,
    /// Text position.
    Caret,
    /// What is selected or looked at.
    Focus,
}

/// `ack`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ack {
    /// Which session.
    pub session_id: SessionId,
    /// Which stream.
    pub stream: Stream,
    /// Applied this far.
    pub seq: Seq,
}

/// `ping`
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Ping {
    /// Echoed in the pong.
    #[serde(default)]
    pub id: u64,
}

/// What the server sends.
#[expect(clippy::large_enum_variant, reason = "a frame is made, written and dropped; never kept in numbers")]
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// You are connected.
    Welcome(Welcome),
    /// You get this session from now on.
    Subscribed(Subscribed),
    /// You get this session no more, as you asked.
    Unsubscribed(Unsubscribed),
    /// Everything up to a point, folded.
    Snapshot(Snapshot),
    /// What happened next.
    Events(Events),
    /// Your command is durable.
    Ok(Accepted),
    /// Your request was refused.
    Error(ErrorFrame),
    /// What others show; may have been lost on the way.
    Ephemeral(EphemeralOut),
    /// An answer has grown; may be lost, the events heal it.
    Delta(Delta),
    /// You may now see or do something else.
    Access(Access),
    /// You were too slow; subscribe again from here.
    Lagging(Lagging),
    /// What you have is of another history; drop it and subscribe from nothing.
    Reset(Reset),
    /// How far the streams are.
    Head(Head),
    /// The server closes the connection.
    Bye(Bye),
    /// I am here.
    Pong(Ping),
}

/// `welcome`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Welcome {
    /// This connection.
    pub connection_id: ConnectionId,
    /// The server's time.
    pub now: Timestamp,
    /// How often the server says something at least. Unit: milliseconds.
    pub heartbeat_ms: u64,
    /// What is allowed.
    pub limits: Limits,
    /// The server's version.
    pub version: String,
}

/// What one connection may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Longest message text. Unit: bytes.
    pub message_bytes: usize,
    /// Largest frame. Unit: bytes.
    pub frame_bytes: usize,
    /// Commands a second.
    pub commands_per_second: u32,
    /// Unanswered commands to one session.
    pub window: usize,
}

/// `subscribed`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Subscribed {
    /// The subscribe request.
    pub re: u64,
    /// Which session.
    pub session_id: SessionId,
    /// Who you are in it.
    pub you: You,
    /// Who is there.
    pub people: Vec<Person>,
    /// What comes next on each stream.
    pub streams: Vec<StreamStart>,
}

/// Who the reader is in a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct You {
    /// Absent for somebody who only watches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant_id: Option<ParticipantId>,
    /// Absent for somebody who only watches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// What may be done.
    #[schema(value_type = Vec<crate::grant::Permission>)]
    pub can: Permissions,
    /// How far this participant had read each stream, as told by `ack` frames of any connection before; absent: nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub read: BTreeMap<Stream, Seq>,
}

/// Whether somebody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceStatus {
    /// Did something in the last minute.
    Active,
    /// Did something in the last five minutes.
    Idle,
    /// Is connected and does nothing.
    Away,
    /// Is not connected.
    Offline,
}

/// A participant's presence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Person {
    /// Who.
    pub participant_id: ParticipantId,
    /// Whether there.
    pub status: PresenceStatus,
    /// When somebody last did something.
    pub last_active_at: Timestamp,
}

/// How a stream starts after a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamStart {
    /// Which stream.
    pub stream: Stream,
    /// The identity of its numbering.
    pub epoch: Epoch,
    /// Its last seq when the subscription began.
    pub head: Seq,
    /// What comes before live events.
    pub mode: StartMode,
}

/// What comes before live events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartMode {
    /// Nothing: the reader is up to date.
    Live,
    /// The events it has not.
    Replay,
    /// A snapshot, then the events after it.
    Snapshot,
    /// Nothing until the reader is admitted.
    Waiting,
}

/// `unsubscribed`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Unsubscribed {
    /// The unsubscribe request.
    pub re: u64,
    /// Which session.
    pub session_id: SessionId,
}

/// `snapshot`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// Which session.
    pub session_id: SessionId,
    /// The seq of each stream that is folded in.
    pub at: BTreeMap<Stream, Seq>,
    /// The head of the view: roster, open turns, the last messages.
    pub head: View,
}

/// `events`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Events {
    /// Which session.
    pub session_id: SessionId,
    /// Which stream.
    pub stream: Stream,
    /// Consecutive events, in order.
    pub items: Vec<Event>,
}

/// `ok`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// The command.
    pub re: u64,
    /// Which session.
    pub session_id: SessionId,
    /// The stream of the first event.
    pub stream: Stream,
    /// The seq of the first event.
    pub seq: Seq,
    /// The id of the first event: the command's key.
    pub id: EventId,
    /// Whether the key had been accepted before.
    #[serde(default)]
    pub duplicate: bool,
}

/// `error`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorFrame {
    /// The request; absent when the frame could not be read so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<u64>,
    /// Which session, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// What went wrong.
    pub problem: Problem,
}

/// `ephemeral`, from the server
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EphemeralOut {
    /// Which session.
    pub session_id: SessionId,
    /// Whose audience.
    pub stream: Stream,
    /// What it is.
    pub lane: Lane,
    /// The newest value of each participant; null: ended.
    pub items: Vec<EphemeralItem>,
}

/// One participant's newest value of a lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EphemeralItem {
    /// Whose.
    pub participant_id: ParticipantId,
    /// What; null: ended.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// `delta`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delta {
    /// Which session.
    pub session_id: SessionId,
    /// Which turn.
    pub turn: TurnId,
    /// The message that grows.
    pub message: MessageId,
    /// Where the text begins. Unit: UTF-16 code units.
    pub offset: u64,
    /// The new text.
    pub text: String,
}

/// `access`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Access {
    /// Which session.
    pub session_id: SessionId,
    /// Who you are from now on.
    pub you: You,
    /// What you may read from now on; the client deletes the rest.
    #[schema(value_type = Vec<Stream>)]
    pub streams: Vec<Stream>,
    /// Why: `role_changed`, `settings_changed`, `rights_changed`, `left`, `removed`, `session_deleted`.
    pub reason: String,
}

/// `lagging`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lagging {
    /// Which session.
    pub session_id: SessionId,
    /// Which stream.
    pub stream: Stream,
    /// The last seq that was sent.
    pub after: Seq,
}

/// `reset`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reset {
    /// Which session.
    pub session_id: SessionId,
    /// Which stream.
    pub stream: Stream,
    /// The numbering that holds from now on.
    pub epoch: Epoch,
    /// Why: `epoch_changed`, `ahead_of_head`, `trimmed`, `other_history`.
    pub reason: String,
}

/// `head`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Head {
    /// Which session.
    pub session_id: SessionId,
    /// The last seq of each stream that is subscribed and may be read.
    pub streams: BTreeMap<Stream, Seq>,
}

/// `bye`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bye {
    /// Why: `shutting_down`, `logged_out`, `too_slow` ...
    pub code: String,
    /// When to come back. Unit: milliseconds.
    pub retry_after_ms: u64,
}

/// An event in its wire form, not parsed: for programs that only pass it on.
pub type RawEvent = Box<RawValue>;

/// WebSocket close codes. 4400 to 4499 are final; every other code means "reconnect".
pub mod close {
    /// The server goes away; come back.
    pub const GOING_AWAY: u16 = 1001;
    /// The frames cannot be read as this protocol. Final.
    pub const BAD_PROTOCOL: u16 = 4400;
    /// Not logged in, or not any more. Final.
    pub const NOT_LOGGED_IN: u16 = 4401;
    /// No `hello` came in time. Final.
    pub const NO_HELLO: u16 = 4408;
    /// The frame was larger than allowed. Final.
    pub const FRAME_TOO_LARGE: u16 = 4413;
    /// Too many frames that could not be read, or far above the rate. Final.
    pub const TOO_MANY: u16 = 4429;
    /// The server cannot look the login up just now; come back later.
    pub const TRY_LATER: u16 = 4503;
    /// The reader did not take in time what was written; come back and resume.
    pub const TOO_SLOW: u16 = 4508;
}
