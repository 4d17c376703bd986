//! One sample of each frame, made from the types themselves.

use std::collections::BTreeMap;

use roundtable_protocol::event::{EventBody, EventHeader, MessagePosted};
use roundtable_protocol::frame::{
    Accepted, Access, Ack, After, Bye, CommandFrame, Delta, EphemeralIn, EphemeralItem, EphemeralOut, ErrorFrame,
    Events, Head, Hello, Lagging, Lane, Limits, Person, Ping, PresenceStatus, Reset, Snapshot, StartMode,
    StreamPosition, StreamStart, Subscribe, Subscribed, Unsubscribe, Unsubscribed, Welcome, You,
};
use roundtable_protocol::view::View;
use roundtable_protocol::{
    Actor, ClientFrame, Code, ConnectionId, Epoch, Event, EventId, MessageId, ParticipantId, Permission, Problem, Role,
    Seq, ServerFrame, SessionId, Stream, Timestamp, TurnId,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Returns `{client: [...], server: [...]}`.
pub fn samples() -> Value {
    json!({"client": client(), "server": server()})
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0193_4b2e_5a00_7000_8000_0000_0000_0000 + n)
}

fn session() -> SessionId {
    SessionId(id(1))
}

fn at() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().expect("a time")
}

fn epoch() -> Epoch {
    Epoch("abcdefghijkm".to_owned())
}

fn client() -> Vec<ClientFrame> {
    let after = After { seq: Seq(7), id: Some(EventId(id(2))) };
    let position = StreamPosition { stream: Stream::Main, epoch: Some(epoch()), after: Some(after) };
    vec![
        ClientFrame::Hello(Hello { token: Some("token".to_owned()), features: vec!["deflate".to_owned()] }),
        ClientFrame::Subscribe(Subscribe { id: 1, session_id: session(), streams: vec![position] }),
        ClientFrame::Unsubscribe(Unsubscribe { id: 2, session_id: session() }),
        ClientFrame::Command(CommandFrame {
            id: 3,
            key: id(3),
            session_id: session(),
            stream: Some(Stream::Main),
            seen: Some(Seq(7)),
            name: "message.post".to_owned(),
            data: json!({"text": "hello"}),
            retry: false,
        }),
        ClientFrame::Ephemeral(EphemeralIn {
            session_id: session(),
            stream: Stream::Main,
            lane: Lane::Typing,
            data: json!({"on": true}),
        }),
        ClientFrame::Ack(Ack { session_id: session(), stream: Stream::Main, seq: Seq(8) }),
        ClientFrame::Ping(Ping { id: 4 }),
    ]
}

fn server() -> Vec<ServerFrame> {
    let mut frames = vec![welcome(), subscribed()];
    frames.extend([
        ServerFrame::Unsubscribed(Unsubscribed { re: 2, session_id: session() }),
        ServerFrame::Snapshot(Snapshot {
            session_id: session(),
            at: BTreeMap::from([(Stream::Main, Seq(7))]),
            head: View::default(),
        }),
        ServerFrame::Events(Events { session_id: session(), stream: Stream::Main, items: vec![event()] }),
        ServerFrame::Ok(Accepted {
            re: 3,
            session_id: session(),
            stream: Stream::Main,
            seq: Seq(8),
            id: EventId(id(3)),
            duplicate: false,
        }),
        ServerFrame::Error(ErrorFrame {
            re: Some(3),
            session_id: Some(session()),
            problem: Problem::new(Code::InvalidField).with_field("/data/text", Code::InvalidField, "must be text"),
        }),
        ServerFrame::Ephemeral(EphemeralOut {
            session_id: session(),
            stream: Stream::Main,
            lane: Lane::Typing,
            items: vec![EphemeralItem { participant_id: ParticipantId(id(4)), data: json!({"on": true}) }],
        }),
        ServerFrame::Delta(Delta {
            session_id: session(),
            turn: TurnId(id(5)),
            message: MessageId(id(6)),
            offset: 12,
            text: "more".to_owned(),
        }),
        ServerFrame::Access(Access {
            session_id: session(),
            you: you(),
            streams: vec![Stream::Main],
            reason: "role_changed".to_owned(),
        }),
        ServerFrame::Lagging(Lagging { session_id: session(), stream: Stream::Main, after: Seq(7) }),
        ServerFrame::Reset(Reset {
            session_id: session(),
            stream: Stream::Main,
            epoch: epoch(),
            reason: "epoch_changed".to_owned(),
        }),
        ServerFrame::Head(Head { session_id: session(), streams: BTreeMap::from([(Stream::Main, Seq(8))]) }),
        ServerFrame::Bye(Bye { code: "shutting_down".to_owned(), retry_after_ms: 1200 }),
        ServerFrame::Pong(Ping { id: 4 }),
    ]);
    frames
}

fn welcome() -> ServerFrame {
    ServerFrame::Welcome(Welcome {
        connection_id: ConnectionId(id(7)),
        now: at(),
        heartbeat_ms: 15_000,
        limits: Limits { message_bytes: 65_536, frame_bytes: 1_048_576, commands_per_second: 50, window: 32 },
        version: "0.1.0".to_owned(),
    })
}

fn subscribed() -> ServerFrame {
    let person = Person { participant_id: ParticipantId(id(4)), status: PresenceStatus::Active, last_active_at: at() };
    let start = StreamStart { stream: Stream::Main, epoch: epoch(), head: Seq(7), mode: StartMode::Replay };
    ServerFrame::Subscribed(Subscribed {
        re: 1,
        session_id: session(),
        you: you(),
        people: vec![person],
        streams: vec![start],
    })
}

fn you() -> You {
    You {
        participant_id: Some(ParticipantId(id(4))),
        role: Some(Role::Viewer),
        can: [Permission::SessionView, Permission::ParticipantBe].into_iter().collect(),
        read: [(Stream::Main, Seq(3))].into_iter().collect(),
    }
}

fn event() -> Event {
    let posted = MessagePosted {
        text: "hello".to_owned(),
        reply_to: Some(MessageId(id(6))),
        mentions: vec![ParticipantId(id(4))],
        ask: true,
        ..MessagePosted::empty()
    };
    let header = EventHeader {
        id: EventId(id(3)),
        actor: Actor::Participant(ParticipantId(id(4))),
        on_behalf_of: None,
        at: at(),
        branch: None,
        seen: Some(Seq(7)),
        causes: vec![EventId(id(2))],
    };
    Event { stream: Stream::Main, seq: Seq(8), header, body: EventBody::MessagePosted(posted) }
}
