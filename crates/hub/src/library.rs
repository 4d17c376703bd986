//! The engine in a program of your own: short calls over [`SessionManager`], and a watcher instead of a socket.
//!
//! Owns: what a program without a server would write again and again. Must not know: HTTP, rules. Invariant: every call
//! here is one command or one question; nothing is decided here.
//!
//! `docs/library.md` tells the whole tale; `examples/two_friends.rs` is the shortest program.

use std::sync::Arc;

use roundtable_core::Founding;
use roundtable_protocol::command::{Envelope, MessagePost, ParticipantJoin, ParticipantLeave, SessionEnd};
use roundtable_protocol::frame::{EphemeralIn, EphemeralOut, Lane, StartMode, StreamPosition};
use roundtable_protocol::model::{
    Participant, ParticipantKind, SessionInfo, SessionKind, Settings, SettingsPatch, Visibility,
};
use roundtable_protocol::view::View;
use roundtable_protocol::{
    Code, Command, ConnectionId, DEFAULT_PROJECT, Epoch, Event, MessageId, Problem, Role, Seq, ServerFrame, SessionId,
    Stream, TurnId, UserId,
};

use crate::clock;
use crate::frame::Frame;
use crate::manager::{Entry, SessionManager};
use crate::outbox::Outbox;
use crate::room::{Receipt, Subscription};

/// Somebody who takes part: a person or a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Somebody {
    /// Who; the same in every session.
    pub user: UserId,
    /// The name that others see; 1 to 40 characters.
    pub name: String,
    /// Person or program.
    pub kind: ParticipantKind,
}

impl Somebody {
    /// Returns a new person of that name.
    ///
    /// ```
    /// use roundtable_hub::library::Somebody;
    ///
    /// assert_ne!(Somebody::person("Ana").user, Somebody::person("Ana").user);
    /// ```
    pub fn person(name: &str) -> Self {
        Self { user: UserId(clock::new_key()), name: name.to_owned(), kind: ParticipantKind::User }
    }

    /// Returns a new program of that name.
    ///
    /// ```
    /// use roundtable_hub::library::Somebody;
    /// use roundtable_protocol::model::ParticipantKind;
    ///
    /// assert_eq!(Somebody::agent("Scout").kind, ParticipantKind::Agent);
    /// ```
    pub fn agent(name: &str) -> Self {
        Self { kind: ParticipantKind::Agent, ..Self::person(name) }
    }
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a state comes once, at the beginning")]
pub enum Update {
    /// What there is, folded; everything up to it counts as told.
    State(View),
    /// What happened next, in order.
    Events(Vec<Event>),
    /// An answer has grown. May be missing: the events heal it.
    Text {
        /// Which turn.
        turn: TurnId,
        /// The message that grows.
        message: MessageId,
        /// Where the text begins. Unit: UTF-16 code units.
        offset: u64,
        /// The new text.
        text: String,
    },
    /// Somebody shows something that is not recorded: that they type, where they point.
    Shown(EphemeralOut),
    /// You were too slow: nothing more of this stream comes until [`Watcher::catch_up`].
    Lagging {
        /// Which stream.
        stream: Stream,
        /// The last seq that you were told.
        after: Seq,
    },
    /// You may read this from now on, for this reason; nothing: you are out.
    Access {
        /// The streams that are left.
        streams: Vec<Stream>,
        /// Why, in a word.
        reason: String,
    },
    /// You wait to be let in: `Access` follows, and the state behind it when somebody says yes.
    Waiting,
    /// The history is another one now, or cannot be read.
    Broken(Code),
}

/// Makes what the examples of this crate begin with: a manager over a store in memory, a session in it, and its owner Ana.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
/// let (manager, session, ana) = roundtable_hub::library::example().await?;
/// assert_eq!(manager.standing(session, ana).await?.info.id, session);
/// # Ok(()) }
/// ```
///
/// # Errors
/// None but those of [`SessionManager::create_session`].
pub async fn example() -> Result<(SessionManager, SessionId, UserId), Problem> {
    let (store, ana) = (Arc::new(roundtable_store::MemoryStore::default()), Somebody::person("Ana"));
    let (manager, _turns) = SessionManager::new(store, crate::HubConfig::default());
    let session = manager.create_session(&ana, "Plans").await?.id;
    Ok((manager, session, ana.user))
}

/// Somebody's eyes on a session. Dropping it ends it.
pub struct Watcher {
    manager: SessionManager,
    session: SessionId,
    user: UserId,
    outbox: Arc<Outbox>,
    frames: Vec<Frame>,
    /// The next of `frames`.
    next: usize,
    /// What is wanted, while it waits to be let in.
    waits_for: Vec<Stream>,
}

impl SessionManager {
    /// Makes a session that is active at once, without an assistant. An empty title: its first message gives it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{HubConfig, SessionManager, library::Somebody};
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// let session = manager.create_session(&Somebody::person("Ana"), "Plans").await?;
    /// assert_eq!((session.title.as_str(), session.is_active), ("Plans", true));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SessionManager::create`].
    pub async fn create_session(&self, owner: &Somebody, title: &str) -> Result<SessionInfo, Problem> {
        let founding = Founding {
            session: SessionId(clock::new_key()),
            epoch: Epoch::from_random(clock::random()),
            project: DEFAULT_PROJECT,
            owner: owner.user,
            owner_name: owner.name.clone(),
            owner_colour: None,
            title: title.to_owned(),
            kind: SessionKind::Collaborative,
            visibility: Visibility::Private,
            settings: Settings::default(),
            description: String::new(),
            tags: Vec::new(),
            category: None,
            expires_at: None,
            start: true,
            assistant: None,
        };
        Ok(self.create(clock::new_key(), founding).await?.info)
    }

    /// Lets somebody in with a role, past the lobby: the program stands for them. Letting in who is in already changes
    /// nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::Role;
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// # let session = manager.create_session(&Somebody::person("Ana"), "Plans").await?.id;
    /// let ben = manager.let_in(session, &Somebody::person("Ben"), Role::Collaborator).await?;
    /// assert_eq!(ben.display_name, "Ben");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found`, `session_full`, `joining_closed`, or what the rules say of the name.
    pub async fn let_in(&self, session: SessionId, who: &Somebody, role: Role) -> Result<Participant, Problem> {
        let (user, kind, display_name) = (who.user, who.kind, who.name.clone());
        let join =
            ParticipantJoin { user, kind, role, display_name, guest: false, via: None, colour: None, vouched: true };
        match self.join(session, clock::new_key(), join).await? {
            Entry::Joined(participant) => Ok(participant),
            Entry::Waiting(_) => Err(Problem::new(Code::NotAParticipant)),
        }
    }

    /// Comes in with a role, or waits where that is wanted: see [`SessionManager::approve`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Entry, HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::{Role, model::SettingsPatch};
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// let ana = Somebody::person("Ana");
    /// let session = manager.create_session(&ana, "Plans").await?.id;
    /// let lobby = SettingsPatch { require_approval: Some(true), ..SettingsPatch::default() };
    /// manager.change_settings(session, ana.user, lobby).await?;
    /// let entry = manager.knock(session, &Somebody::person("Ben"), Role::Collaborator).await?;
    /// assert!(matches!(entry, Entry::Waiting(_)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SessionManager::join`].
    pub async fn knock(&self, session: SessionId, who: &Somebody, role: Role) -> Result<Entry, Problem> {
        let (user, kind, display_name) = (who.user, who.kind, who.name.clone());
        let join =
            ParticipantJoin { user, kind, role, display_name, guest: false, via: None, colour: None, vouched: false };
        self.join(session, clock::new_key(), join).await
    }

    /// Changes settings; what is absent stays.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::model::SettingsPatch;
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// let ana = Somebody::person("Ana");
    /// let session = manager.create_session(&ana, "Plans").await?.id;
    /// let patch = SettingsPatch { max_participants: Some(Some(10)), ..SettingsPatch::default() };
    /// manager.change_settings(session, ana.user, patch).await?;
    /// assert_eq!(manager.standing(session, ana.user).await?.info.settings.max_participants, Some(10));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `forbidden`, or what the rules say of a field.
    pub async fn change_settings(
        &self,
        session: SessionId,
        user: UserId,
        patch: SettingsPatch,
    ) -> Result<Receipt, Problem> {
        self.give(session, user, Stream::Main, Command::SessionChangeSettings(patch)).await
    }

    /// Says something; answers when it is stored.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::Stream;
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// let ana = Somebody::person("Ana");
    /// let session = manager.create_session(&ana, "Plans").await?.id;
    /// let said = manager.send_message(session, ana.user, Stream::Main, "Hello").await?;
    /// assert_eq!(said.stream, Stream::Main);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `session_not_active`, or what the rules say of the text.
    pub async fn send_message(
        &self,
        session: SessionId,
        user: UserId,
        stream: Stream,
        text: &str,
    ) -> Result<Receipt, Problem> {
        let post = MessagePost { text: text.to_owned(), ..MessagePost::default() };
        self.give(session, user, stream, Command::MessagePost(post)).await
    }

    /// Stops taking part; a watcher of this user is told `Access` and ends.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::Role;
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// # let session = manager.create_session(&Somebody::person("Ana"), "Plans").await?.id;
    /// let ben = Somebody::person("Ben");
    /// manager.let_in(session, &ben, Role::Collaborator).await?;
    /// manager.leave(session, ben.user).await?;
    /// assert!(manager.standing(session, ben.user).await.is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found`; `owner_cannot_leave` for the owner.
    pub async fn leave(&self, session: SessionId, user: UserId) -> Result<Receipt, Problem> {
        self.give(session, user, Stream::Main, Command::ParticipantLeave(ParticipantLeave {})).await
    }

    /// Ends a session as intended: what runs is stopped, nothing more can be written.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{HubConfig, SessionManager, library::Somebody};
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// let ana = Somebody::person("Ana");
    /// let session = manager.create_session(&ana, "Plans").await?.id;
    /// manager.end_session(session, ana.user).await?;
    /// assert!(!manager.standing(session, ana.user).await?.info.is_active);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `illegal_transition`.
    pub async fn end_session(&self, session: SessionId, user: UserId) -> Result<Receipt, Problem> {
        self.give(session, user, Stream::Main, Command::SessionEnd(SessionEnd::default())).await
    }

    /// Returns events of a stream after a seq, at most 1,000.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::{Seq, Stream};
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// let ana = Somebody::person("Ana");
    /// let session = manager.create_session(&ana, "Plans").await?.id;
    /// let history = manager.history(session, ana.user, Stream::Main, Seq::ZERO, 100).await?;
    /// assert_eq!(history[0].body.kind(), "session.created");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found`; `upgrade_in_progress` when a newer version has written an event that this one does not know.
    pub async fn history(
        &self,
        session: SessionId,
        user: UserId,
        stream: Stream,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, Problem> {
        let page = self.events(session, user, stream, after, limit.min(1_000)).await?;
        let read =
            |bytes: &bytes::Bytes| serde_json::from_slice(bytes).map_err(|_| Problem::new(Code::UpgradeInProgress));
        page.events.iter().map(read).collect()
    }

    /// Looks at a session: first what there is, then everything as it happens.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{HubConfig, SessionManager, library::{Somebody, Update}};
    /// # use roundtable_protocol::Stream;
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// let ana = Somebody::person("Ana");
    /// let session = manager.create_session(&ana, "Plans").await?.id;
    /// let mut watcher = manager.watch(session, ana.user, &[Stream::Main]).await?;
    /// let Some(Update::Events(events)) = watcher.next().await else { panic!() };
    /// assert_eq!(events[0].body.kind(), "session.created");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session for this user.
    pub async fn watch(&self, session: SessionId, user: UserId, streams: &[Stream]) -> Result<Watcher, Problem> {
        let outbox = Outbox::new(ConnectionId(clock::new_key()));
        let manager = self.clone();
        let waits_for = Vec::new();
        let mut watcher = Watcher { manager, session, user, outbox, frames: Vec::new(), next: 0, waits_for };
        watcher.subscribe(streams.iter().map(|stream| (*stream, None))).await?;
        watcher.waits_for = streams.to_vec();
        Ok(watcher)
    }

    async fn give(
        &self,
        session: SessionId,
        user: UserId,
        stream: Stream,
        command: Command,
    ) -> Result<Receipt, Problem> {
        let envelope = Envelope { key: clock::new_key(), stream, seen: None, retry: false, command };
        self.command(session, user, envelope).await
    }
}

impl Watcher {
    /// Returns the next update; waits until there is one. `None`: it is over.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_hub::library::Update;
    /// use roundtable_protocol::Stream;
    ///
    /// let mut watcher = manager.watch(session, ana, &[Stream::Main]).await?;
    /// assert!(matches!(watcher.next().await, Some(Update::Events(_))));
    /// # Ok(()) }
    /// ```
    pub async fn next(&mut self) -> Option<Update> {
        loop {
            let frame = self.next_frame().await?;
            let Some(update) = update_of(&frame) else { continue };
            if let Update::Access { reason, .. } = &update
                && reason == "admitted"
            {
                let streams = std::mem::take(&mut self.waits_for);
                // Whoever has been sent away again meanwhile is told that by the next update, or by the end.
                let _ = self.subscribe(streams.into_iter().map(|stream| (stream, None))).await;
            }
            return Some(update);
        }
    }

    /// Returns the next frame as every watcher of these streams gets it, encoded once for all: for programs that pass it
    /// on. `None`: it is over.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::Stream;
    ///
    /// let mut watcher = manager.watch(session, ana, &[Stream::Main]).await?;
    /// assert_eq!(watcher.next_frame().await.map(|frame| frame.kind()), Some("subscribed"));
    /// # Ok(()) }
    /// ```
    pub async fn next_frame(&mut self) -> Option<Frame> {
        while self.next >= self.frames.len() {
            self.frames.clear();
            self.next = 0;
            if !self.outbox.take(&mut self.frames).await {
                return None;
            }
        }
        self.next += 1;
        self.frames.get(self.next - 1).cloned()
    }

    /// Goes on with a stream behind the last seq that it was told, after `Lagging`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::{Seq, Stream};
    ///
    /// let watcher = manager.watch(session, ana, &[Stream::Main]).await?;
    /// watcher.catch_up(Stream::Main, Seq(1)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when the stream may not be read any more.
    pub async fn catch_up(&self, stream: Stream, after: Seq) -> Result<(), Problem> {
        self.subscribe(std::iter::once((stream, Some(after)))).await
    }

    /// Shows something that is not recorded, such as that one types; null ends it. At most 1 KiB.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::{Stream, frame::Lane};
    ///
    /// let watcher = manager.watch(session, ana, &[Stream::Main]).await?;
    /// watcher.show(Stream::Main, Lane::Typing, serde_json::json!(true));
    /// # Ok(()) }
    /// ```
    pub fn show(&self, stream: Stream, lane: Lane, data: serde_json::Value) {
        self.manager.ephemeral(&self.outbox, EphemeralIn { session_id: self.session, stream, lane, data });
    }

    async fn subscribe(&self, streams: impl Iterator<Item = (Stream, Option<Seq>)>) -> Result<(), Problem> {
        let streams: Vec<(Stream, Option<Seq>)> = streams.collect();
        let epoch = match streams.iter().any(|(_, after)| after.is_some()) {
            true => Some(self.manager.standing_epoch(self.session, self.user).await?),
            false => None,
        };
        let position = |(stream, after): (Stream, Option<Seq>)| StreamPosition {
            stream,
            epoch: epoch.clone().filter(|_| after.is_some()),
            after: after.map(|seq| roundtable_protocol::frame::After { seq, id: None }),
        };
        let request = Subscription {
            connection: Arc::clone(&self.outbox),
            re: 0,
            session_id: self.session,
            streams: streams.into_iter().map(position).collect(),
            present: true,
        };
        self.manager.subscribe(self.user, request).await
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.manager.disconnected(&self.outbox);
    }
}

impl SessionManager {
    async fn standing_epoch(&self, session: SessionId, user: UserId) -> Result<Epoch, Problem> {
        self.viewed(session, user, |look, _| look.session.epoch().clone()).await
    }
}

/// Returns what a frame tells a program; nothing for those that only a socket needs.
fn update_of(frame: &Frame) -> Option<Update> {
    Some(match serde_json::from_slice(frame.text()).ok()? {
        ServerFrame::Subscribed(subscribed) if subscribed.streams.iter().any(|s| s.mode == StartMode::Waiting) => {
            Update::Waiting
        }
        ServerFrame::Snapshot(snapshot) => Update::State(snapshot.head),
        ServerFrame::Events(events) => Update::Events(events.items),
        ServerFrame::Delta(delta) => {
            Update::Text { turn: delta.turn, message: delta.message, offset: delta.offset, text: delta.text }
        }
        ServerFrame::Ephemeral(shown) => Update::Shown(shown),
        ServerFrame::Lagging(lagging) => Update::Lagging { stream: lagging.stream, after: lagging.after },
        ServerFrame::Access(access) => Update::Access { streams: access.streams, reason: access.reason },
        ServerFrame::Error(error) => Update::Broken(error.problem.code),
        ServerFrame::Reset(reset) => Update::Broken(match reset.reason.as_str() {
            "trimmed" => Code::EventsTrimmed,
            "epoch_changed" => Code::EpochChanged,
            _ => Code::HistoryBroken,
        }),
        _ => return None,
    })
}
