//! Memories and typed actions, for programs.

use std::collections::BTreeMap;

use roundtable_protocol::command::{ActionDefineType, ActionPerform, MemoryAdd, MemoryEdit, MemoryRemove};
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
    /// # Errors
    /// `no_such_memory` when there is none, `not_found` when there is no such session for this user.
    pub async fn memory(&self, session: SessionId, user: UserId, id: MemoryId) -> Result<Memory, Problem> {
        let all = self.memories(session, user, MemoryQuery::default()).await?;
        all.into_iter().find(|memory| memory.id == id).ok_or_else(|| Problem::new(Code::NoSuchMemory))
    }

    /// Changes a memory's text, tags or place; what is so already is no error.
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

    /// Says what data of a type of actions must be from now on; without a schema, anything. What is so already is no
    /// error.
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
    /// # Errors
    /// `not_found` when there is no such session for this user.
    pub async fn action_types(&self, session: SessionId, user: UserId) -> Result<Vec<ActionType>, Problem> {
        let types: BTreeMap<String, Value> =
            self.viewed(session, user, |look, _| look.session.action_types().clone()).await?;
        Ok(types.into_iter().map(|(name, schema)| ActionType { name, schema }).collect())
    }
}
