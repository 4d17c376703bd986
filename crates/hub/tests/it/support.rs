//! A manager, people in a session, and what their connections receive.

use std::sync::Arc;
use std::time::Duration;

use roundtable_hub::{Founding, Frame, HubConfig, Outbox, Receipt, SessionManager, Subscription, TurnWork, clock};
use roundtable_protocol::command::{Envelope, MessagePost, ParticipantChangeRole, ParticipantJoin, ParticipantRemove};
use roundtable_protocol::frame::{CommandFrame, StreamPosition};
use roundtable_protocol::model::{Participant, ParticipantKind, SessionKind, Settings, Visibility};
use roundtable_protocol::{
    Command, ConnectionId, DEFAULT_PROJECT, Epoch, Event, Problem, Role, Seq, ServerFrame, SessionId, Stream, UserId,
};
use roundtable_store::{MemoryStore, Store};
use tokio::sync::mpsc;

pub struct House {
    pub manager: SessionManager,
    pub work: mpsc::Receiver<TurnWork>,
}

impl House {
    pub fn new() -> Self {
        Self::over(Arc::new(MemoryStore::default()))
    }

    pub fn over(store: Arc<dyn Store>) -> Self {
        let (began, at) = (tokio::time::Instant::now(), clock::now());
        let now = Arc::new(move || at.saturating_add(began.elapsed()).expect("a time"));
        let (manager, work) = SessionManager::new(store, HubConfig { now, ..HubConfig::default() });
        Self { manager, work }
    }

    pub async fn session(&self) -> (SessionId, UserId) {
        let owner = UserId(clock::new_key());
        let session = SessionId(clock::new_key());
        let created = self.manager.create(clock::new_key(), founding(session, owner)).await.expect("created");
        assert!(!created.duplicate);
        (session, owner)
    }

    pub async fn person(&self, session: SessionId, name: &str, role: Role) -> (UserId, Participant) {
        let user = UserId(clock::new_key());
        let (display_name, kind) = (name.to_owned(), ParticipantKind::User);
        let join = ParticipantJoin { user, kind, role, display_name, guest: true, via: None };
        (user, self.manager.join(session, clock::new_key(), join).await.expect("joined"))
    }

    pub async fn give(&self, session: SessionId, user: UserId, command: Command) -> Result<Receipt, Problem> {
        self.manager.command(session, user, envelope(Stream::Main, command)).await
    }

    pub async fn post(&self, session: SessionId, user: UserId, stream: Stream, text: &str) -> Result<Receipt, Problem> {
        self.manager.command(session, user, envelope(stream, post(text, false))).await
    }

    pub async fn reader(&self, session: SessionId, user: UserId, streams: &[Stream]) -> Reader {
        self.reader_from(session, user, streams.iter().map(|s| nothing(*s)).collect()).await
    }

    pub async fn reader_from(&self, session: SessionId, user: UserId, streams: Vec<StreamPosition>) -> Reader {
        let reader = Reader { outbox: Outbox::new(ConnectionId(clock::new_key())), frames: Vec::new() };
        self.subscribe(&reader, session, user, streams).await.expect("subscribed");
        reader
    }

    pub async fn subscribe(
        &self,
        reader: &Reader,
        session_id: SessionId,
        user: UserId,
        streams: Vec<StreamPosition>,
    ) -> Result<(), Problem> {
        let connection = Arc::clone(&reader.outbox);
        self.manager.subscribe(user, Subscription { connection, re: 1, session_id, streams, present: true }).await
    }

    pub fn submit(&self, reader: &Reader, session_id: SessionId, user: UserId, re: u64, envelope: Envelope) {
        let frame = CommandFrame {
            id: re,
            key: envelope.key,
            session_id,
            stream: Some(envelope.stream),
            seen: None,
            name: envelope.command.name().to_owned(),
            data: serde_json::Value::Null,
            retry: envelope.retry,
        };
        self.manager.submit(user, &reader.outbox, &frame, envelope);
    }
}

pub fn founding(session: SessionId, owner: UserId) -> Founding {
    Founding {
        session,
        epoch: Epoch::from_random(clock::random()),
        project: DEFAULT_PROJECT,
        owner,
        owner_name: "Ana".to_owned(),
        title: "A test".to_owned(),
        kind: SessionKind::Collaborative,
        visibility: Visibility::Private,
        settings: Settings::default(),
        description: String::new(),
        tags: Vec::new(),
        category: None,
        expires_at: None,
        start: true,
        assistant: Some((UserId::derive(session.0, 9), "Guide".to_owned())),
    }
}

pub fn envelope(stream: Stream, command: Command) -> Envelope {
    Envelope { key: clock::new_key(), stream, seen: None, retry: false, command }
}

pub fn post(text: &str, ask: bool) -> Command {
    Command::MessagePost(MessagePost { text: text.to_owned(), ask: Some(ask), ..MessagePost::default() })
}

pub fn change_role(participant: &Participant, role: Role) -> Command {
    Command::ParticipantChangeRole(ParticipantChangeRole { participant: participant.id, role })
}

pub fn remove(participant: &Participant) -> Command {
    Command::ParticipantRemove(ParticipantRemove { participant: participant.id, reason: None })
}

pub fn nothing(stream: Stream) -> StreamPosition {
    StreamPosition { stream, epoch: None, after: None }
}

/// One connection and everything it has received.
pub struct Reader {
    pub outbox: Arc<Outbox>,
    pub frames: Vec<ServerFrame>,
}

impl Reader {
    /// Takes frames until one fulfils `wanted`; returns it.
    pub async fn until(&mut self, wanted: impl Fn(&ServerFrame) -> bool) -> ServerFrame {
        let mut looked = 0;
        loop {
            if let Some(found) = self.frames[looked..].iter().find(|f| wanted(f)) {
                return found.clone();
            }
            looked = self.frames.len();
            let mut taken: Vec<Frame> = Vec::new();
            let more = tokio::time::timeout(Duration::from_secs(30), self.outbox.take(&mut taken)).await;
            assert!(more.expect("the frame arrives in time"), "the connection stays open");
            self.frames.extend(taken.iter().map(|f| serde_json::from_slice(f.text()).expect("a server frame")));
        }
    }

    /// Takes events until `text` has been posted.
    pub async fn until_text(&mut self, text: &str) {
        self.until(|f| matches!(f, ServerFrame::Events(e) if e.items.iter().any(|e| says(e, text)))).await;
    }

    /// Takes frames until everything that is under way has arrived.
    pub async fn settle(&mut self) {
        let mut taken: Vec<Frame> = Vec::new();
        while tokio::time::timeout(Duration::from_millis(200), self.outbox.take(&mut taken)).await == Ok(true) {
            self.frames.extend(taken.drain(..).map(|f| serde_json::from_slice(f.text()).expect("a server frame")));
        }
    }

    /// Returns the events of a stream as they arrived.
    pub fn events(&self, stream: Stream) -> Vec<Event> {
        self.frames
            .iter()
            .filter_map(|f| if let ServerFrame::Events(e) = f { Some(e) } else { None })
            .filter(|e| e.stream == stream)
            .flat_map(|e| e.items.clone())
            .collect()
    }

    pub fn seqs(&self, stream: Stream) -> Vec<u64> {
        self.events(stream).iter().map(|e| e.seq.0).collect()
    }
}

pub fn says(event: &Event, text: &str) -> bool {
    matches!(&event.body, roundtable_protocol::EventBody::MessagePosted(data) if data.text == text)
}

/// Asserts that seqs go on from `after` without a gap.
pub fn assert_consecutive(seqs: &[u64], after: Seq) {
    let expected: Vec<u64> = (after.0 + 1..).take(seqs.len()).collect();
    assert_eq!(seqs, expected);
}
