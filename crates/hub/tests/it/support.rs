//! A manager, people in a session, and what their connections receive.

use std::sync::Arc;
use std::time::Duration;

use roundtable_hub::config::Now;
use roundtable_hub::{Founding, Frame, HubConfig, Outbox, Receipt, SessionManager, Subscription, TurnWork, clock};
use roundtable_protocol::command::{Envelope, MessagePost, ParticipantChangeRole, ParticipantJoin, ParticipantRemove};
use roundtable_protocol::frame::{Access, CommandFrame, StreamPosition};
use roundtable_protocol::model::{Participant, ParticipantKind, SessionKind, Settings, Visibility};
use roundtable_protocol::{
    Command, ConnectionId, DEFAULT_PROJECT, Epoch, Event, Problem, Rev, Role, Seq, ServerFrame, SessionId, Stream,
    Timestamp, UserId,
};
use roundtable_store::{Birth, Commit, MemoryStore, NewEvent, Store};
use tokio::sync::mpsc;

pub struct House {
    pub manager: SessionManager,
    pub work: mpsc::Receiver<TurnWork>,
    pub now: Now,
}

impl House {
    pub fn new() -> Self {
        Self::over(Arc::new(MemoryStore::default()))
    }

    pub fn over(store: Arc<dyn Store>) -> Self {
        Self::with(store, HubConfig::default())
    }

    /// The clock of `config` is replaced by one that follows the test's.
    pub fn with(store: Arc<dyn Store>, config: HubConfig) -> Self {
        let (began, at) = (tokio::time::Instant::now(), clock::now());
        let now: Now = Arc::new(move || at.saturating_add(began.elapsed()).expect("a time"));
        let config = HubConfig { now: Arc::clone(&now), ..config };
        let (manager, work) = SessionManager::new(store, config);
        Self { manager, work, now }
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
        let join =
            ParticipantJoin { user, kind, role, display_name, guest: true, via: None, colour: None, vouched: false };
        let entry = self.manager.join(session, clock::new_key(), join).await.expect("joined");
        (user, entry.joined().expect("nobody has to wait").clone())
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
        let reader = Reader::new();
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
        owner_colour: None,
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
    /// How many frames [`Reader::next`] has gone past.
    passed: usize,
}

impl Reader {
    pub fn new() -> Self {
        Self { outbox: Outbox::new(ConnectionId(clock::new_key())), frames: Vec::new(), passed: 0 }
    }

    /// Takes frames until one fulfils `wanted`, be it one that came before; returns it.
    pub async fn until(&mut self, wanted: impl Fn(&ServerFrame) -> bool) -> ServerFrame {
        let place = self.find(0, wanted).await;
        self.frames[place].clone()
    }

    /// Takes frames until one behind those that earlier calls have returned fulfils `wanted`; returns it.
    pub async fn next(&mut self, wanted: impl Fn(&ServerFrame) -> bool) -> ServerFrame {
        let place = self.find(self.passed, wanted).await;
        self.passed = place + 1;
        self.frames[place].clone()
    }

    async fn find(&mut self, mut from: usize, wanted: impl Fn(&ServerFrame) -> bool) -> usize {
        loop {
            if let Some(n) = self.frames[from..].iter().position(&wanted) {
                return from + n;
            }
            from = self.frames.len();
            let mut taken: Vec<Frame> = Vec::new();
            let more = tokio::time::timeout(Duration::from_secs(30), self.outbox.take(&mut taken)).await;
            assert!(more.expect("the frame arrives in time"), "the connection stays open");
            self.keep(&taken);
        }
    }

    /// Takes frames until one says that rights are others now.
    pub async fn next_access(&mut self) -> Access {
        match self.until(|f| matches!(f, ServerFrame::Access(_))).await {
            ServerFrame::Access(access) => access,
            _ => unreachable!("the frame that was waited for"),
        }
    }

    /// Takes what has arrived, without waiting for more.
    pub fn take_what_is_there(&mut self) {
        let mut taken: Vec<Frame> = Vec::new();
        while self.outbox.try_take(&mut taken) {}
        self.keep(&taken);
    }

    fn keep(&mut self, taken: &[Frame]) {
        self.frames.extend(taken.iter().map(|f| serde_json::from_slice(f.text()).expect("a server frame")));
    }

    /// Takes events until `text` has been posted.
    pub async fn until_text(&mut self, text: &str) {
        self.until(|f| matches!(f, ServerFrame::Events(e) if e.items.iter().any(|e| says(e, text)))).await;
    }

    /// Takes frames until everything that is under way has arrived.
    pub async fn settle(&mut self) {
        let mut taken: Vec<Frame> = Vec::new();
        while tokio::time::timeout(Duration::from_millis(200), self.outbox.take(&mut taken)).await == Ok(true) {
            self.keep(&std::mem::take(&mut taken));
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

pub async fn fill(house: &House, session: SessionId, who: UserId, from: u64, to: u64) {
    for i in from..to {
        house.post(session, who, Stream::Main, &format!("line {i}")).await.expect("posted");
    }
}

/// Asserts that seqs go on from `after` without a gap.
pub fn assert_consecutive(seqs: &[u64], after: Seq) {
    let expected: Vec<u64> = (after.0 + 1..).take(seqs.len()).collect();
    assert_eq!(seqs, expected);
}

/// Puts a recorded history into a store, one commit an event, as the wire has them. Returns the session and its owner.
pub async fn record(store: &dyn Store, events: impl Iterator<Item = &serde_json::Value>) -> (SessionId, UserId) {
    let session = SessionId(clock::new_key());
    let (mut owner, mut rev) = (None, Rev::ZERO);
    for event in events {
        let field = |name: &str| event.get(name).cloned().unwrap_or_default();
        let read = "a recorded event has the fields of the wire";
        let mut header = event.as_object().expect("an object").clone();
        ["stream", "seq", "data"].iter().for_each(|name| drop(header.remove(*name)));
        let (id, at) = (serde_json::from_value(field("id")).expect(read), field("at"));
        let at: Timestamp = serde_json::from_value(at).expect(read);
        let data = field("data");
        if owner.is_none() {
            owner = serde_json::from_value(data["owner"].clone()).ok();
        }
        let epoch = || serde_json::from_value(data["epoch"].clone()).expect(read);
        let birth = (rev == Rev::ZERO).then(|| Birth { epoch: epoch(), project: DEFAULT_PROJECT });
        let event = NewEvent {
            stream: serde_json::from_value(field("stream")).expect(read),
            seq: serde_json::from_value(field("seq")).expect(read),
            id,
            key: id.0,
            fingerprint: None,
            branch: serde_json::from_value(field("branch")).unwrap_or_default(),
            seen: None,
            causes: Vec::new(),
            header: serde_json::to_vec(&header).expect("JSON").into(),
            body: serde_json::to_vec(&data).expect("JSON").into(),
        };
        let commit = Commit {
            session,
            expected_rev: rev,
            expected_rights: 0,
            birth,
            events: vec![event],
            redactions: Vec::new(),
            attached: Vec::new(),
            directory: None,
            members: Vec::new(),
            wake_at: None,
            at,
            outbox: Vec::new(),
            documents: Vec::new(),
        };
        rev = store.append(commit).await.expect("appended").rev;
    }
    (session, owner.expect("a session has an owner"))
}

/// How often two servers race: `RACES` times (`make soak`), or as often as takes a moment.
pub fn races(usual: usize) -> usize {
    std::env::var("RACES").ok().map_or(usual, |n| n.parse().expect("RACES is a number"))
}

/// Waits until everything that sessions owe each other is done.
pub async fn settled(store: &dyn Store) {
    let far = clock::now().saturating_add(Duration::from_secs(86_400)).expect("a time");
    while !store.outbox_due(far, 1_000).await.expect("read").is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
