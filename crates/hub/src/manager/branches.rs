//! Checkpoints, for programs: made, listed, named, deleted.

use roundtable_protocol::branching::CheckpointInfo;
use roundtable_protocol::command::{CheckpointCreate, CheckpointDelete, CheckpointRename, Envelope};
use roundtable_protocol::{CheckpointId, Code, Command, Problem, SessionId, Stream, UserId};
use uuid::Uuid;

use super::SessionManager;
use crate::room::Receipt;

impl SessionManager {
    /// Makes a checkpoint of now and waits until it is durable. The same key again answers the same checkpoint.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use roundtable_core::Founding;
    /// # use roundtable_hub::{HubConfig, SessionManager, clock};
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
    /// let made = manager.checkpoint(session, ana, clock::new_key(), "Before lunch").await?;
    /// assert_eq!(manager.checkpoints(session, ana).await?, [made]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The rules refuse it, or the store cannot write.
    pub async fn checkpoint(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        name: &str,
    ) -> Result<CheckpointInfo, Problem> {
        let command = Command::CheckpointCreate(CheckpointCreate { name: name.to_owned() });
        let receipt = self.ask_once(session, user, key, command).await?;
        self.checkpoint_of(session, user, CheckpointId(receipt.id.0)).await
    }

    /// Returns the checkpoints in the order in which they were made: all that have a name, and the last hundred others.
    ///
    /// # Errors
    /// `not_found` when there is no such session for this user.
    pub async fn checkpoints(&self, session: SessionId, user: UserId) -> Result<Vec<CheckpointInfo>, Problem> {
        self.viewed(session, user, |look, _| look.session.checkpoints().cloned().collect()).await
    }

    /// Returns one checkpoint.
    ///
    /// # Errors
    /// `no_such_checkpoint` when there is none, `not_found` when there is no such session for this user.
    pub async fn checkpoint_of(
        &self,
        session: SessionId,
        user: UserId,
        id: CheckpointId,
    ) -> Result<CheckpointInfo, Problem> {
        let found = self.viewed(session, user, move |look, _| look.session.checkpoint(id).cloned()).await?;
        found.ok_or_else(|| Problem::new(Code::NoSuchCheckpoint))
    }

    /// Gives a checkpoint another name; one that a rule has made is kept from then on.
    ///
    /// # Errors
    /// See [`SessionManager::checkpoint`].
    pub async fn rename_checkpoint(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        id: CheckpointId,
        name: &str,
    ) -> Result<CheckpointInfo, Problem> {
        let rename = CheckpointRename { checkpoint: id, name: name.to_owned() };
        match self.ask_once(session, user, key, Command::CheckpointRename(rename)).await {
            Err(problem) if problem.code != Code::AlreadyRecorded => Err(problem),
            _ => self.checkpoint_of(session, user, id).await,
        }
    }

    /// Deletes a checkpoint. What it names stays.
    ///
    /// # Errors
    /// See [`SessionManager::checkpoint`].
    pub async fn delete_checkpoint(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        id: CheckpointId,
    ) -> Result<(), Problem> {
        let command = Command::CheckpointDelete(CheckpointDelete { checkpoint: id });
        self.ask_once(session, user, key, command).await.map(drop)
    }

    /// Gives a command under a key that may have been sent before.
    pub(crate) async fn ask_once(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        command: Command,
    ) -> Result<Receipt, Problem> {
        let envelope = Envelope { key, stream: Stream::Main, seen: None, retry: true, command };
        self.command(session, user, envelope).await
    }
}
