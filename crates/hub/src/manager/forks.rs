//! Sessions that begin as copies of others, for programs.

use roundtable_protocol::branching::{Fork, ForkedFrom};
use roundtable_protocol::command::SessionFork;
use roundtable_protocol::{Code, Command, Problem, SessionId, UserId};
use uuid::Uuid;

use super::{Created, SessionManager, unavailable};

/// Where a session came from and what has come from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lineage {
    /// What it began as a copy of.
    pub forked_from: Option<(ForkedFrom, Option<String>)>,
    /// The sessions that began as copies of it, oldest first.
    pub forks: Vec<(Fork, Option<String>)>,
}

/// Forks.
impl SessionManager {
    /// Begins a new session as a copy of this one up to a point, and waits until it is there: the messages of the path, the
    /// shared context, and what was kept in mind of those messages, each with its origin. The caller owns it; nobody else is in
    /// it. The same key again answers the same session.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Founding, HubConfig, SessionManager, clock};
    /// # use roundtable_protocol::command::{Envelope, MessagePost, SessionFork};
    /// # use roundtable_protocol::{Command, Stream, UserId};
    /// # use roundtable_store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, _turns) = SessionManager::new(Arc::new(MemoryStore::default()), HubConfig::default());
    /// # let ana = UserId(clock::new_key());
    /// # let founding = Founding::simple(ana, "Ana");
    /// # let session = founding.session;
    /// # manager.create(clock::new_key(), founding).await?;
    /// # let command = Command::MessagePost(MessagePost { text: "What if?".into(), ..MessagePost::default() });
    /// # let envelope = Envelope { key: clock::new_key(), stream: Stream::Main, seen: None, retry: false, command };
    /// # manager.command(session, ana, envelope).await?;
    /// let made = manager.fork(session, ana, clock::new_key(), SessionFork::default()).await?;
    /// assert_eq!(made.info.forked_from.unwrap().session, session);
    ///
    /// let main = made.info.conversation_id;
    /// assert_eq!(manager.path(made.info.id, ana, main, None, 10).await?[0].message.text, "What if?");
    /// assert_eq!(manager.lineage(session, ana).await?.forks[0].0.session, made.info.id);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_recorded`, `message_is_redacted`, `no_such_checkpoint`, `too_many_forks`; the rules refuse it, or the store cannot
    /// write.
    pub async fn fork(
        &self,
        session: SessionId,
        user: UserId,
        key: Uuid,
        fork: SessionFork,
    ) -> Result<Created, Problem> {
        let receipt = self.ask_once(session, user, key, Command::SessionFork(fork)).await?;
        self.settle_lineage().await.map_err(unavailable)?;
        let made = roundtable_core::session::fork_of(receipt.id.0);
        let later = |problem: Problem| match problem.code {
            // It could not begin yet; what is owed stays owed.
            Code::NotFound => Problem::new(Code::Unavailable).retry_after_ms(1_000),
            _ => problem,
        };
        let info = self.standing(made, user).await.map_err(later)?.info;
        Ok(Created { info, duplicate: receipt.duplicate })
    }

    /// Returns where a session came from and what has come from it; titles only of sessions that the user may see.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// assert!(manager.lineage(session, ana).await?.forks.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session for this user.
    pub async fn lineage(&self, session: SessionId, user: UserId) -> Result<Lineage, Problem> {
        let look = |look: &mut crate::room::Look<'_>, _| (look.session.forked_from(), look.session.forks().to_vec());
        let (from, all) = self.viewed(session, user, look).await?;
        let forked_from = match from {
            Some(from) => Some((from, self.title_for(from.session, user).await?)),
            None => None,
        };
        let mut forks = Vec::with_capacity(all.len());
        for fork in all {
            forks.push((fork, self.title_for(fork.session, user).await?));
        }
        Ok(Lineage { forked_from, forks })
    }

    async fn title_for(&self, session: SessionId, user: UserId) -> Result<Option<String>, Problem> {
        match self.standing(session, user).await {
            Ok(standing) => Ok(Some(standing.info.title)),
            Err(problem) if problem.code == Code::NotFound => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}
