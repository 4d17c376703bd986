//! Memories and typed actions, for programs.

use std::collections::BTreeMap;

use roundtable_protocol::command::{
    ActionDefineType, ActionPerform, Envelope, ErrorReport, MemoryAdd, MemoryEdit, MemoryRemove,
};
use roundtable_protocol::memory::{ActionType, Memory};
use roundtable_protocol::{Code, Command, MemoryId, Problem, SessionId, Stream, StreamSet, UserId};
use serde_json::Value;
use uuid::Uuid;

use super::{SessionManager, unavailable};
use crate::room::Receipt;

/// Which memories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryQuery {
    /// Only those whose text or tags contain every word of this, whatever the case.
    pub words: Option<String>,
    /// Only those with this tag.
    pub tag: Option<String>,
    /// Only pinned ones, or only others.
    pub pinned: Option<bool>,
}

impl MemoryQuery {
    fn wants(&self, memory: &Memory) -> bool {
        let hay = format!("{}\n{}", memory.text, memory.tags.join("\n")).to_lowercase();
        let words = self.words.as_deref().unwrap_or_default().to_lowercase();
        words.split_whitespace().all(|word| hay.contains(word))
            && self.tag.as_ref().is_none_or(|tag| memory.tags.contains(tag))
            && self.pinned.is_none_or(|pinned| memory.pinned == pinned)
    }
}

impl SessionManager {
    /// Adds a memory and waits until it is durable. The same key again answers the same memory.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use roundtable_core::Founding;
    /// # use roundtable_hub::{HubConfig, MemoryQuery, SessionManager, clock};
    /// # use roundtable_protocol::command::MemoryAdd;
    /// # use roundtable_protocol::model::{SessionKind, Settings, Visibility};
    /// # use roundtable_protocol::{DEFAULT_PROJECT, Epoch, SessionId, UserId};
    /// # use roundtable_store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, _turns) = SessionManager::new(Arc::new(MemoryStore::default()), HubConfig::default());
    /// # let (session, ana) = (SessionId(clock::new_key()), UserId(clock::new_key()));
    /// # let founding = Founding {
    /// #     session, epoch: Epoch::from_random([7; 8]), project: DEFAULT_PROJECT, owner: ana, owner_name: "Ana".into(),
    /// #     owner_colour: None, title: "Plans".into(), kind: SessionKind::Collaborative, visibility: Visibility::Private,
    /// #     settings: Settings::default(), description: String::new(), tags: vec![], category: None, expires_at: None,
    /// #     start: true, assistant: None,
    /// # };
    /// # manager.create(clock::new_key(), founding).await?;
    /// let tea = MemoryAdd { text: "Ben likes tea".into(), ..MemoryAdd::default() };
    /// let made = manager.add_memory(session, ana, clock::new_key(), tea).await?;
    /// let found = manager.memories(session, ana, MemoryQuery { words: Some("TEA".into()), ..MemoryQuery::default() });
    /// assert_eq!(found.await?, [made]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The rules refuse it, or the store cannot write.
    pub async fn add_memory(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        add: MemoryAdd,
    ) -> Result<Memory, Problem> {
        let receipt = self.ask_once(session, user, key, Command::MemoryAdd(add)).await?;
        self.memory(session, user, MemoryId(receipt.id.0)).await
    }

    /// Returns memories, pinned ones first, then the newest first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::MemoryAdd;
    ///
    /// let tea = MemoryAdd { text: "Ben likes tea".into(), ..MemoryAdd::default() };
    /// let made = manager.add_memory(session, ana, roundtable_hub::clock::new_key(), tea).await?;
    /// let query = roundtable_hub::MemoryQuery::default();
    /// assert_eq!(manager.memories(session, ana, query).await?, [made]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session for this user.
    pub async fn memories(&self, session: SessionId, user: UserId, query: MemoryQuery) -> Result<Vec<Memory>, Problem> {
        let views = self.viewed(session, user, |look, _| std::sync::Arc::clone(look.views)).await?;
        let view = views.view(StreamSet::EMPTY.with(Stream::Main)).await.map_err(unavailable)?;
        let (mut found, others): (Vec<_>, Vec<_>) =
            view.memories.into_iter().rev().filter(|memory| query.wants(memory)).partition(|memory| memory.pinned);
        found.extend(others);
        Ok(found)
    }

    /// Returns one memory.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::MemoryAdd;
    ///
    /// let tea = MemoryAdd { text: "Ben likes tea".into(), ..MemoryAdd::default() };
    /// let made = manager.add_memory(session, ana, roundtable_hub::clock::new_key(), tea).await?;
    /// assert_eq!(manager.memory(session, ana, made.id).await?.text, "Ben likes tea");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `no_such_memory` when there is none, `not_found` when there is no such session for this user.
    pub async fn memory(&self, session: SessionId, user: UserId, id: MemoryId) -> Result<Memory, Problem> {
        let all = self.memories(session, user, MemoryQuery::default()).await?;
        all.into_iter().find(|memory| memory.id == id).ok_or_else(|| Problem::new(Code::NoSuchMemory))
    }

    /// Changes a memory's text, tags or place; what is so already is no error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::MemoryAdd;
    ///
    /// let tea = MemoryAdd { text: "Ben likes tea".into(), ..MemoryAdd::default() };
    /// let made = manager.add_memory(session, ana, roundtable_hub::clock::new_key(), tea).await?;
    /// let edit = roundtable_protocol::command::MemoryEdit {
    ///     memory: made.id, text: Some("Ben likes coffee".into()), tags: None, pinned: Some(true),
    /// };
    /// assert!(manager.edit_memory(session, ana, roundtable_hub::clock::new_key(), edit).await?.pinned);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SessionManager::add_memory`].
    pub async fn edit_memory(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        edit: MemoryEdit,
    ) -> Result<Memory, Problem> {
        let id = edit.memory;
        match self.ask_once(session, user, key, Command::MemoryEdit(edit)).await {
            Err(problem) if problem.code != Code::AlreadyRecorded => Err(problem),
            _ => self.memory(session, user, id).await,
        }
    }

    /// Removes a memory; its texts are erased.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::MemoryAdd;
    ///
    /// let tea = MemoryAdd { text: "Ben likes tea".into(), ..MemoryAdd::default() };
    /// let made = manager.add_memory(session, ana, roundtable_hub::clock::new_key(), tea).await?;
    /// manager.remove_memory(session, ana, roundtable_hub::clock::new_key(), made.id).await?;
    /// assert!(manager.memory(session, ana, made.id).await.is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SessionManager::add_memory`].
    pub async fn remove_memory(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        id: MemoryId,
    ) -> Result<(), Problem> {
        let command = Command::MemoryRemove(MemoryRemove { memory: id, reason: None });
        self.ask_once(session, user, key, command).await.map(drop)
    }

    /// Performs an action and waits until it is durable: data of a type that has a schema must fit it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// let vote = serde_json::json!({"choice": "yes"});
    /// manager.perform_action(session, ana, roundtable_hub::clock::new_key(), "vote.cast", vote).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `action_data_invalid` when the data does not fit; the rules refuse it, or the store cannot write.
    pub async fn perform_action(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        name: &str,
        data: Value,
    ) -> Result<Receipt, Problem> {
        let command = Command::ActionPerform(ActionPerform { name: name.to_owned(), data });
        self.ask_once(session, user, key, command).await
    }

    /// Records that something went wrong, in a participant's name: everybody who reads `main` sees it.
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
    /// manager.report_error(session, ana.user, "build_failed", "The build is red: look at the log.").await?;
    /// let history = manager.history(session, ana.user, Stream::Main, Seq::ZERO, 100).await?;
    /// assert_eq!(history.last().map(|event| event.body.kind()), Some("error"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `invalid_field`, `text_empty`, and see [`SessionManager::command`].
    pub async fn report_error(
        &self,
        session: SessionId,
        user: UserId,
        code: &str,
        detail: &str,
    ) -> Result<Receipt, Problem> {
        let report = ErrorReport { code: code.to_owned(), detail: detail.to_owned(), turn: None };
        self.ask_once(session, user, crate::clock::new_key(), Command::ErrorReport(report)).await
    }

    /// The same in the name of the program around the manager: the event's actor is the server.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::{Actor, Seq, Stream};
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// # let ana = Somebody::person("Ana");
    /// # let session = manager.create_session(&ana, "Plans").await?.id;
    /// manager.record_error(session, "disk_slow", "Answers may take longer today.").await?;
    /// let history = manager.history(session, ana.user, Stream::Main, Seq::ZERO, 100).await?;
    /// assert_eq!(history.last().map(|event| event.header.actor), Some(Actor::System));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `session_not_active`, `invalid_field`, or the store cannot write.
    pub async fn record_error(&self, session: SessionId, code: &str, detail: &str) -> Result<Receipt, Problem> {
        let report = ErrorReport { code: code.to_owned(), detail: detail.to_owned(), turn: None };
        let (key, command) = (crate::clock::new_key(), Command::ErrorReport(report));
        let envelope = Envelope { key, stream: Stream::Main, seen: None, retry: false, command };
        let (caller, subject) = (roundtable_core::Caller::System, roundtable_access::Subject::Rule);
        self.ask_for(session, caller, subject, envelope, UserId::NIL).await
    }

    /// Says what data of a type of actions must be from now on; without a schema, anything. What is so already is no
    /// error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// let schema = serde_json::json!({"enum": ["yes", "no"]});
    /// manager.define_action(session, ana, roundtable_hub::clock::new_key(), "vote", Some(schema)).await?;
    /// let refused = manager.perform_action(session, ana, roundtable_hub::clock::new_key(), "vote", serde_json::json!("maybe")).await;
    /// assert!(refused.is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `invalid_schema` when the schema is not usable; the rules refuse it, or the store cannot write.
    pub async fn define_action(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        name: &str,
        schema: Option<Value>,
    ) -> Result<(), Problem> {
        let command = Command::ActionDefineType(ActionDefineType { name: name.to_owned(), schema });
        match self.ask_once(session, user, key, command).await {
            Err(problem) if problem.code != Code::AlreadyRecorded => Err(problem),
            _ => Ok(()),
        }
    }

    /// Returns the types of actions that have a schema, in the order of their names.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// let schema = serde_json::json!({"type": "string"});
    /// manager.define_action(session, ana, roundtable_hub::clock::new_key(), "vote", Some(schema)).await?;
    /// assert_eq!(manager.action_types(session, ana).await?[0].name, "vote");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session for this user.
    pub async fn action_types(&self, session: SessionId, user: UserId) -> Result<Vec<ActionType>, Problem> {
        let types: BTreeMap<String, Value> =
            self.viewed(session, user, |look, _| look.session.action_types().clone()).await?;
        Ok(types.into_iter().map(|(name, schema)| ActionType { name, schema }).collect())
    }
}
