//! Checkpoints and branches, for programs.

use std::sync::Arc;

use roundtable_protocol::branching::{Branch, CheckpointInfo};
use roundtable_protocol::command::{
    BranchCreate, BranchMerge, CheckpointCreate, CheckpointDelete, CheckpointRename, CheckpointRestore, Envelope,
};
use roundtable_protocol::context::ContextComparison;
use roundtable_protocol::view::MessageView;
use roundtable_protocol::{BranchId, CheckpointId, Code, Command, MessageId, Problem, SessionId, Stream, UserId};
use uuid::Uuid;

use super::{SessionManager, unavailable};
use crate::room::Receipt;

/// The branches of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchList {
    /// The branches, the main one first, archived ones among them.
    pub branches: Vec<Branch>,
    /// The branch that whoever presents shows.
    pub focus: Option<BranchId>,
}

/// A message on a branch's path.
#[derive(Clone, Debug, PartialEq)]
pub struct PathMessage {
    /// The message.
    pub message: MessageView,
    /// The message that it follows.
    pub parent: Option<MessageId>,
    /// All messages that follow the same one, itself among them, oldest first.
    pub siblings: Vec<MessageId>,
}

/// Two branches beside each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The newest message that both have.
    pub ancestor: Option<MessageId>,
    /// What only the first one has, oldest first; at most the newest 200.
    pub only_a: Vec<MessageView>,
    /// What only the second one has, oldest first; at most the newest 200.
    pub only_b: Vec<MessageView>,
    /// How many messages only the first one has.
    pub count_a: usize,
    /// How many messages only the second one has.
    pub count_b: usize,
    /// How their contexts differ.
    pub context: ContextComparison,
}

/// How many messages of each side a comparison holds.
const COMPARED: usize = 200;

/// Branches.
impl SessionManager {
    /// Begins a branch and waits until it is durable. Its id is the key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use roundtable_core::Founding;
    /// # use roundtable_hub::{HubConfig, SessionManager, clock};
    /// # use roundtable_protocol::branching::MergeHow;
    /// # use roundtable_protocol::command::{BranchCreate, BranchMerge, CheckpointRestore, Envelope, MessagePost};
    /// # use roundtable_protocol::model::{SessionKind, Settings, Visibility};
    /// # use roundtable_protocol::{Command, DEFAULT_PROJECT, Epoch, SessionId, Stream, UserId};
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
    /// # let created = manager.create(clock::new_key(), founding).await?;
    /// let main = created.info.conversation_id;
    /// let point = manager.checkpoint(session, ana, clock::new_key(), "Before").await?;
    /// let idea = BranchCreate { name: Some("Idea".into()), ..BranchCreate::default() };
    /// let branch = manager.branch(session, ana, clock::new_key(), idea).await?;
    /// let text = MessagePost { text: "What if?".into(), branch: Some(branch.id), ..MessagePost::default() };
    /// let command = Command::MessagePost(text);
    /// let envelope = Envelope { key: clock::new_key(), stream: Stream::Main, seen: None, retry: false, command };
    /// manager.command(session, ana, envelope).await?;
    /// let compared = manager.compare(session, ana, main, branch.id).await?;
    /// assert_eq!((compared.count_a, compared.count_b), (0, 1));
    ///
    /// let adopt = BranchMerge {
    ///     into: main, from: branch.id, how: MergeHow::Adopt, if_head: None, messages: vec![], text: None,
    ///     question: None, said: vec![],
    /// };
    /// manager.merge(session, ana, clock::new_key(), adopt).await?;
    /// assert_eq!(manager.path(session, ana, main, None, 10).await?[0].message.text, "What if?");
    ///
    /// let back = CheckpointRestore {
    ///     checkpoint: point.checkpoint.id, how: Default::default(), branch: None, name: None, then: vec![],
    /// };
    /// let restored = manager.restore(session, ana, clock::new_key(), back).await?.expect("a new branch");
    /// assert_eq!((restored.name.as_str(), restored.head), ("Before", None));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The rules refuse it, or the store cannot write.
    pub async fn branch(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        create: BranchCreate,
    ) -> Result<Branch, Problem> {
        let receipt = self.ask_once(session, user, key, Command::BranchCreate(create)).await?;
        self.branch_of(session, user, BranchId(receipt.id.0)).await
    }

    /// Returns the branches.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::BranchCreate;
    ///
    /// let main = manager.standing(session, ana).await?.info.conversation_id;
    /// let idea = BranchCreate { name: Some("Idea".into()), ..BranchCreate::default() };
    /// let branch = manager.branch(session, ana, roundtable_hub::clock::new_key(), idea).await?;
    /// let list = manager.branches(session, ana).await?;
    /// assert_eq!(list.branches.iter().map(|b| b.id).collect::<Vec<_>>(), [main, branch.id]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session for this user.
    pub async fn branches(&self, session: SessionId, user: UserId) -> Result<BranchList, Problem> {
        let list = |look: &mut crate::room::Look<'_>, _| BranchList {
            branches: look.session.branches().to_vec(),
            focus: look.session.focus(),
        };
        self.viewed(session, user, list).await
    }

    /// Returns one branch.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// # use roundtable_protocol::command::BranchCreate;
    ///
    /// # let main = manager.standing(session, ana).await?.info.conversation_id;
    /// # let idea = BranchCreate { name: Some("Idea".into()), ..BranchCreate::default() };
    /// # let branch = manager.branch(session, ana, roundtable_hub::clock::new_key(), idea).await?;
    /// assert_eq!(manager.branch_of(session, ana, branch.id).await?.name, "Idea");
    /// # let _ = main;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `no_such_branch` when there is none, `not_found` when there is no such session for this user.
    pub async fn branch_of(&self, session: SessionId, user: UserId, id: BranchId) -> Result<Branch, Problem> {
        let found = self.viewed(session, user, move |look, _| look.session.branch(id).cloned()).await?;
        found.ok_or_else(|| Problem::new(Code::NoSuchBranch))
    }

    /// Brings what was said on one branch to another: adopts it, picks messages, or posts a summary.
    /// See [`SessionManager::branch`] for an example.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// # use roundtable_protocol::command::BranchCreate;
    ///
    /// # let main = manager.standing(session, ana).await?.info.conversation_id;
    /// # let idea = BranchCreate { name: Some("Idea".into()), ..BranchCreate::default() };
    /// # let branch = manager.branch(session, ana, roundtable_hub::clock::new_key(), idea).await?;
    /// # let text = roundtable_protocol::command::MessagePost {
    /// #     text: "What if?".into(), branch: Some(branch.id), ..Default::default()
    /// # };
    /// # let command = roundtable_protocol::Command::MessagePost(text);
    /// # let envelope = roundtable_protocol::command::Envelope {
    /// #     key: roundtable_hub::clock::new_key(), stream: roundtable_protocol::Stream::Main, seen: None, retry: false, command,
    /// # };
    /// # manager.command(session, ana, envelope).await?;
    /// use roundtable_protocol::{branching::MergeHow, command::BranchMerge};
    ///
    /// let adopt = BranchMerge {
    ///     into: main, from: branch.id, how: MergeHow::Adopt, if_head: None, messages: vec![], text: None,
    ///     question: None, said: vec![],
    /// };
    /// manager.merge(session, ana, roundtable_hub::clock::new_key(), adopt).await?;
    /// assert_eq!(manager.path(session, ana, main, None, 10).await?[0].message.text, "What if?");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SessionManager::branch`].
    pub async fn merge(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        merge: BranchMerge,
    ) -> Result<Receipt, Problem> {
        self.ask_once(session, user, key, Command::BranchMerge(merge)).await
    }

    /// Goes back to a checkpoint. Returns the branch that was made; none when it was done in place.
    /// See [`SessionManager::branch`] for an example.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::CheckpointRestore;
    ///
    /// let point = manager.checkpoint(session, ana, roundtable_hub::clock::new_key(), "Before").await?.checkpoint.id;
    /// let back = CheckpointRestore { checkpoint: point, how: Default::default(), branch: None, name: None, then: vec![] };
    /// let branch = manager.restore(session, ana, roundtable_hub::clock::new_key(), back).await?;
    /// assert_eq!(branch.map(|b| b.name).as_deref(), Some("Before"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SessionManager::branch`]; `already_recorded` when every head is there already.
    pub async fn restore(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        restore: CheckpointRestore,
    ) -> Result<Option<Branch>, Problem> {
        let makes_branch = restore.how == roundtable_protocol::branching::RestoreHow::Branch;
        let receipt = self.ask_once(session, user, key, Command::CheckpointRestore(restore)).await?;
        if !makes_branch {
            return Ok(None);
        }
        self.branch_of(session, user, BranchId(receipt.id.0)).await.map(Some)
    }

    /// Returns messages of a branch's path, the newest first: at most `limit`, and only those that come before the message
    /// `before` on it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// # use roundtable_protocol::command::BranchCreate;
    ///
    /// # let main = manager.standing(session, ana).await?.info.conversation_id;
    /// # let idea = BranchCreate { name: Some("Idea".into()), ..BranchCreate::default() };
    /// # let branch = manager.branch(session, ana, roundtable_hub::clock::new_key(), idea).await?;
    /// # let text = roundtable_protocol::command::MessagePost {
    /// #     text: "What if?".into(), branch: Some(branch.id), ..Default::default()
    /// # };
    /// # let command = roundtable_protocol::Command::MessagePost(text);
    /// # let envelope = roundtable_protocol::command::Envelope {
    /// #     key: roundtable_hub::clock::new_key(), stream: roundtable_protocol::Stream::Main, seen: None, retry: false, command,
    /// # };
    /// # manager.command(session, ana, envelope).await?;
    /// assert_eq!(manager.path(session, ana, branch.id, None, 10).await?[0].message.text, "What if?");
    /// assert!(manager.path(session, ana, main, None, 10).await?.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `no_such_branch`, `not_found`, or the store cannot be read.
    pub async fn path(
        &self,
        session: SessionId,
        user: UserId,
        branch: BranchId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<PathMessage>, Problem> {
        let look = move |look: &mut crate::room::Look<'_>, _| {
            look.session.branch(branch)?;
            let path = look.session.path(branch).filter(|n| before.is_none_or(|before| *n < before));
            let numbers: Vec<u64> = path.take(limit).collect();
            let about = |n: &u64| {
                let id = look.session.message_at(*n)?;
                Some((id, look.session.parent(id), look.session.siblings(id)))
            };
            let about: Vec<_> = numbers.iter().filter_map(about).collect();
            Some((numbers, about, look.session.pages(Stream::Main).to_vec(), Arc::clone(look.views)))
        };
        let found = self.viewed(session, user, look).await?;
        let (mut numbers, about, spans, views) = found.ok_or_else(|| Problem::new(Code::NoSuchBranch))?;
        numbers.reverse();
        let read = views.messages(Stream::Main, &numbers, &spans).await.map_err(unavailable)?;
        let join = |(id, parent, siblings): (MessageId, _, _)| {
            let message = read.iter().find(|m| m.id == id)?.clone();
            Some(PathMessage { message, parent, siblings })
        };
        Ok(about.into_iter().filter_map(join).collect())
    }

    /// Compares two branches.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// # use roundtable_protocol::command::BranchCreate;
    ///
    /// # let main = manager.standing(session, ana).await?.info.conversation_id;
    /// # let idea = BranchCreate { name: Some("Idea".into()), ..BranchCreate::default() };
    /// # let branch = manager.branch(session, ana, roundtable_hub::clock::new_key(), idea).await?;
    /// # let text = roundtable_protocol::command::MessagePost {
    /// #     text: "What if?".into(), branch: Some(branch.id), ..Default::default()
    /// # };
    /// # let command = roundtable_protocol::Command::MessagePost(text);
    /// # let envelope = roundtable_protocol::command::Envelope {
    /// #     key: roundtable_hub::clock::new_key(), stream: roundtable_protocol::Stream::Main, seen: None, retry: false, command,
    /// # };
    /// # manager.command(session, ana, envelope).await?;
    /// let compared = manager.compare(session, ana, main, branch.id).await?;
    /// assert_eq!((compared.count_a, compared.count_b), (0, 1));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `no_such_branch`, `not_found`, or the store cannot be read.
    pub async fn compare(
        &self,
        session: SessionId,
        user: UserId,
        a: BranchId,
        b: BranchId,
    ) -> Result<Comparison, Problem> {
        let look = move |look: &mut crate::room::Look<'_>, _| {
            let (compared, context) = (look.session.compare(a, b)?, look.session.compare_context(a, b)?);
            let numbers = |ids: &[MessageId]| -> Vec<u64> {
                let newest = &ids[ids.len().saturating_sub(COMPARED)..];
                newest.iter().filter_map(|id| look.session.message(*id)).map(|m| m.n).collect()
            };
            let (of_a, of_b) = (numbers(&compared.only_a), numbers(&compared.only_b));
            Some((compared, context, of_a, of_b, look.session.pages(Stream::Main).to_vec(), Arc::clone(look.views)))
        };
        let found = self.viewed(session, user, look).await?;
        let (compared, context, of_a, of_b, spans, views) = found.ok_or_else(|| Problem::new(Code::NoSuchBranch))?;
        Ok(Comparison {
            ancestor: compared.ancestor,
            only_a: views.messages(Stream::Main, &of_a, &spans).await.map_err(unavailable)?,
            only_b: views.messages(Stream::Main, &of_b, &spans).await.map_err(unavailable)?,
            count_a: compared.only_a.len(),
            count_b: compared.only_b.len(),
            context,
        })
    }
}

/// Checkpoints.
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// let made = manager.checkpoint(session, ana, roundtable_hub::clock::new_key(), "before lunch").await?;
    /// assert_eq!(manager.checkpoints(session, ana).await?, [made]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session for this user.
    pub async fn checkpoints(&self, session: SessionId, user: UserId) -> Result<Vec<CheckpointInfo>, Problem> {
        self.viewed(session, user, |look, _| look.session.checkpoints().cloned().collect()).await
    }

    /// Returns one checkpoint.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// let made = manager.checkpoint(session, ana, roundtable_hub::clock::new_key(), "before lunch").await?;
    /// assert_eq!(manager.checkpoint_of(session, ana, made.checkpoint.id).await?, made);
    /// # Ok(()) }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// let made = manager.checkpoint(session, ana, roundtable_hub::clock::new_key(), "before lunch").await?;
    /// let renamed = manager.rename_checkpoint(session, ana, roundtable_hub::clock::new_key(), made.checkpoint.id, "noon").await?;
    /// assert_eq!(renamed.checkpoint.name.as_deref(), Some("noon"));
    /// # Ok(()) }
    /// ```
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
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// let made = manager.checkpoint(session, ana, roundtable_hub::clock::new_key(), "before lunch").await?;
    /// manager.delete_checkpoint(session, ana, roundtable_hub::clock::new_key(), made.checkpoint.id).await?;
    /// assert!(manager.checkpoints(session, ana).await?.is_empty());
    /// # Ok(()) }
    /// ```
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
