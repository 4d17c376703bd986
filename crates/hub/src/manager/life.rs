//! A session's life through the manager: its moves, its health, which ones are live.
//!
//! Owns: the calls by which a program that has no HTTP leads a session. Must not know: which moves are legal; the rules
//! say. Invariant: each call is one command, durable before it returns.

use roundtable_protocol::command::{SessionDetach, SessionEnd, SessionFail, SessionPause, SessionResume, SessionStart};
use roundtable_protocol::model::{Pending, SessionState};
use roundtable_protocol::report::Report;
use roundtable_protocol::{Timestamp, TurnId};

use super::*;

/// How many directory entries are read at once.
const PAGE: usize = 200;

/// How a session is doing. What costs something is counted; what only a system can know is estimated and says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Where it is in its life.
    pub state: SessionState,
    /// Why it is served read-only, when it is.
    pub broken: Option<Code>,
    /// How many connections read it here.
    pub connections: usize,
    /// How many participants are connected here.
    pub online: usize,
    /// How many events were recorded a second, over the last ten seconds.
    pub events_per_s: f64,
    /// How many commands wait before its room.
    pub commands_waiting: usize,
    /// How many turns wait for their answer.
    pub turns_waiting: usize,
    /// The turn that is being answered.
    pub turn: Option<TurnHealth>,
    /// How many drivers work for it in this process.
    pub drivers: usize,
    /// How much memory it takes here: state, message index and what waits for readers. Estimated. Unit: bytes.
    pub memory_bytes: u64,
    /// When something last happened.
    pub last_at: Timestamp,
    /// When it is looked at by itself next: a deadline.
    pub next_deadline: Option<Timestamp>,
}

/// A turn that is being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnHealth {
    /// The turn.
    pub id: TurnId,
    /// For how long. Unit: milliseconds.
    pub age_ms: u64,
    /// How long the claim on it still holds unless it is renewed. Unit: milliseconds.
    pub lease_ms: u64,
}

impl SessionManager {
    /// Begins work in a session that was made with `start: false`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// use roundtable_hub::{HubConfig, SessionManager, clock};
    /// use roundtable_protocol::model::SessionState;
    /// # use std::sync::Arc;
    /// # use roundtable_store::MemoryStore;
    /// # let (manager, _turns) = SessionManager::new(Arc::new(MemoryStore::default()), HubConfig::default());
    ///
    /// let ana = roundtable_protocol::UserId(clock::new_key());
    /// # let founding = roundtable_hub::Founding { start: false, ..roundtable_hub::Founding::simple(ana, "Ana") };
    /// let session = manager.create(clock::new_key(), founding).await?.info.id;
    /// manager.start(session, ana).await?;
    /// manager.pause(session, ana, Some("lunch")).await?;
    /// assert_eq!(manager.health(session, ana).await?.state, SessionState::Paused);
    /// manager.resume(session, ana).await?;
    /// manager.end(session, ana, None).await?;
    /// assert!(manager.active_sessions(ana).await?.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `illegal_transition`, and see [`SessionManager::command`].
    pub async fn start(&self, session: SessionId, user: UserId) -> Result<Receipt, Problem> {
        self.move_on(session, user, Command::SessionStart(SessionStart {})).await
    }

    /// Lets assistants rest: the running answer stops where it is, no other is begun. People may go on talking.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::model::SessionState;
    ///
    /// manager.pause(session, ana, Some("lunch")).await?;
    /// assert_eq!(manager.standing(session, ana).await?.info.state, SessionState::Paused);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `illegal_transition`, and see [`SessionManager::command`].
    pub async fn pause(&self, session: SessionId, user: UserId, reason: Option<&str>) -> Result<Receipt, Problem> {
        let reason = reason.map(str::to_owned);
        self.move_on(session, user, Command::SessionPause(SessionPause { reason })).await
    }

    /// Goes on after a pause, or after a failure whose cause is gone.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::model::SessionState;
    ///
    /// manager.pause(session, ana, None).await?;
    /// manager.resume(session, ana).await?;
    /// assert_eq!(manager.standing(session, ana).await?.info.state, SessionState::Active);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `illegal_transition`; `cannot_resume` when something that the session needs is not there; and see
    /// [`SessionManager::command`].
    pub async fn resume(&self, session: SessionId, user: UserId) -> Result<Receipt, Problem> {
        self.move_on(session, user, Command::SessionResume(SessionResume {})).await
    }

    /// Goes away and lets the session work on; its owner stays its owner.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// manager.detach(session, ana).await?;
    /// assert_eq!(manager.detached_sessions(ana).await?.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `session_not_active`, and see [`SessionManager::command`].
    pub async fn detach(&self, session: SessionId, user: UserId) -> Result<Receipt, Problem> {
        self.move_on(session, user, Command::SessionDetach(SessionDetach {})).await
    }

    /// Ends a session as intended. What waits for an answer is withdrawn; [`SessionManager::finish`] answers it first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::model::SessionState;
    ///
    /// manager.end(session, ana, Some("done")).await?;
    /// assert_eq!(manager.standing(session, ana).await?.info.state, SessionState::Completed);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `illegal_transition`, and see [`SessionManager::command`].
    pub async fn end(&self, session: SessionId, user: UserId, reason: Option<&str>) -> Result<Receipt, Problem> {
        let end = SessionEnd { reason: reason.map(str::to_owned), ..SessionEnd::default() };
        self.move_on(session, user, Command::SessionEnd(end)).await
    }

    /// Ends a session as soon as what was asked is answered.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::model::SessionState;
    ///
    /// manager.finish(session, ana).await?;
    /// assert_eq!(manager.standing(session, ana).await?.info.state, SessionState::Completed, "nothing waited");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SessionManager::end`].
    pub async fn finish(&self, session: SessionId, user: UserId) -> Result<Receipt, Problem> {
        let end = SessionEnd { pending: Pending::Finish, ..SessionEnd::default() };
        self.move_on(session, user, Command::SessionEnd(end)).await
    }

    /// Stops a session because of a fault outside it. `code` is a stable word, `detail` says for people what to do before
    /// the session is resumed. For the program around the manager, not for its users.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::model::SessionState;
    ///
    /// manager.fail(session, "no_power", "Plug it in, then resume.").await?;
    /// assert_eq!(manager.standing(session, ana).await?.info.state, SessionState::Failed);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `illegal_transition` when it is not open, or the store cannot write.
    pub async fn fail(&self, session: SessionId, code: &str, detail: &str) -> Result<Receipt, Problem> {
        let command = Command::SessionFail(SessionFail { code: code.to_owned(), detail: detail.to_owned() });
        let envelope = Envelope { key: clock::new_key(), stream: Stream::Main, seen: None, retry: false, command };
        self.rule(session, envelope).await
    }

    /// Gives a command of the server's own.
    pub(crate) async fn rule(&self, session: SessionId, envelope: Envelope) -> Result<Receipt, Problem> {
        self.ask_for(session, Caller::System, Subject::Rule, envelope, UserId::NIL).await
    }

    /// Returns the sessions in state active or paused that a user is a participant of, newest activity first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// assert_eq!(manager.active_sessions(ana).await?[0].id, session);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn active_sessions(&self, user: UserId) -> Result<Vec<SessionInfo>, Problem> {
        self.sessions_that(user, |info| info.is_active).await
    }

    /// Returns the sessions of a user that work on with nobody leading them, newest activity first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// assert!(manager.detached_sessions(ana).await?.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn detached_sessions(&self, user: UserId) -> Result<Vec<SessionInfo>, Problem> {
        self.sessions_that(user, |info| info.is_active && info.detached_at.is_some()).await
    }

    async fn sessions_that(
        &self,
        user: UserId,
        wanted: impl Fn(&SessionInfo) -> bool,
    ) -> Result<Vec<SessionInfo>, Problem> {
        let (mut found, mut page) = (Vec::new(), None);
        loop {
            let entries = self.shared.store.sessions_of(user, None, page, PAGE).await.map_err(unavailable)?;
            let whole = entries.len() < PAGE;
            page = entries.last().map(|e| PageToken { updated_at: e.info.updated_at, id: e.info.id });
            found.extend(entries.into_iter().map(|entry| entry.info).filter(|info| wanted(info)));
            if whole {
                return Ok(found);
            }
        }
    }

    /// Returns how a session is doing here.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// assert_eq!(manager.health(session, ana).await?.connections, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session or the user may not see it.
    pub async fn health(&self, session: SessionId, user: UserId) -> Result<Health, Problem> {
        let now = self.now();
        self.viewed(session, user, move |look, _| Health::of(look, now)).await
    }

    /// Returns what a session came to; what it has come to so far, while it goes on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// assert_eq!(manager.report(session, ana).await?.messages, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session or the user may not see it.
    pub async fn report(&self, session: SessionId, user: UserId) -> Result<Report, Problem> {
        let now = self.now();
        self.viewed(session, user, move |look, _| look.session.report(now)).await
    }

    async fn move_on(&self, session: SessionId, user: UserId, command: Command) -> Result<Receipt, Problem> {
        let envelope = Envelope { key: clock::new_key(), stream: Stream::Main, seen: None, retry: false, command };
        self.command(session, user, envelope).await
    }
}

impl Health {
    fn of(look: &mut Look<'_>, now: Timestamp) -> Self {
        let (session, figures) = (look.session, (look.figures)());
        let ms = |from: Timestamp, to: Timestamp| u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0);
        let turn = session.running_turn().map(|t| TurnHealth {
            id: t.turn,
            age_ms: ms(t.since, now),
            lease_ms: ms(now, t.lease.until),
        });
        Self {
            state: session.state(),
            broken: figures.broken,
            connections: figures.connections,
            online: look.presence.online().len(),
            events_per_s: figures.events_per_s,
            commands_waiting: figures.commands_waiting,
            turns_waiting: session.queue().len(),
            turn,
            drivers: figures.drivers,
            memory_bytes: 2 * session.estimated_bytes() + figures.waiting_bytes,
            last_at: session.last_at(),
            next_deadline: session.next_deadline(),
        }
    }
}
