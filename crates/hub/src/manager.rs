//! [`SessionManager`]: finds or loads rooms; the library's face.
//!
//! Owns: the questions and commands that a program may have, and what of their answers each user may see. Must not
//! know: HTTP, cookies, how turns are answered. Invariant: what a user may not see is answered as if it were not there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use roundtable_access::Subject;
use roundtable_core::{Caller, Context, Founding, Session};
use roundtable_protocol::command::{Envelope, ParticipantJoin};
use roundtable_protocol::frame::{PAGE_MESSAGES, Person};
use roundtable_protocol::model::{Membership, Participant, SessionInfo};
use roundtable_protocol::view::{MessageView, Page};
use roundtable_protocol::{
    Code, Command, Epoch, EventId, Grant, MessageId, Permission, Problem, ProjectId, Seq, SessionId, Stream, Timestamp,
    UserId,
};
use roundtable_store::{AppendError, PageToken, Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::clock;
use crate::config::HubConfig;
use crate::joins::wire;
use crate::metrics::Metrics;
use crate::room::{Input, Look, Queued, Receipt, Reply, birth, fingerprint, founded_as};
use crate::rooms::{HAND_ON, Handle, OnlinePerson, Shared, wake};
use crate::turns::TurnWork;

mod branches;
mod connections;
mod figures;
mod forks;
mod life;
mod lobby;
mod log;
mod memories;
mod reading;

pub use branches::{BranchList, Comparison, PathMessage};
pub use figures::Stats;
pub use forks::Lineage;
pub use life::{Health, TurnHealth};
pub use lobby::Entry;
pub use log::{Acknowledged, History, HistoryQuery, Known, Unread};
pub use memories::MemoryQuery;
pub use reading::EventPage;

/// How many turns may wait for a driver.
const WORK_WAITING: usize = 256;

/// Sessions, found or loaded on demand. Cheap to clone; usable without any HTTP.
///
/// ```no_run
/// # async fn example() -> Result<(), roundtable_protocol::Problem> {
/// use std::sync::Arc;
/// use roundtable_hub::{HubConfig, SessionManager};
/// use roundtable_store::MemoryStore;
///
/// let (manager, _turns) = SessionManager::new(Arc::new(MemoryStore::default()), HubConfig::default());
/// let stats = manager.stats();
/// assert_eq!(stats.rooms, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SessionManager {
    shared: Arc<Shared>,
}

/// A session was made, now or by an earlier call with the same key.
#[derive(Clone, Debug)]
pub struct Created {
    /// The session.
    pub info: SessionInfo,
    /// Whether the key had been accepted before.
    pub duplicate: bool,
}

/// Who a user is in a session, and what follows from it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The participant, while joined.
    pub participant: Option<Participant>,
    /// What may be done.
    pub grant: Grant,
    /// The session.
    pub info: SessionInfo,
}

impl SessionManager {
    /// Makes a manager over `store`, and the channel on which owed turns are handed to drivers.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use roundtable_hub::{HubConfig, SessionManager};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # let _inside = runtime.enter();
    /// let store = Arc::new(roundtable_store::MemoryStore::default());
    /// let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// assert_eq!(manager.stats().rooms, 0);
    /// ```
    ///
    /// # Panics
    /// When called outside a tokio runtime.
    pub fn new(store: Arc<dyn Store>, config: HubConfig) -> (Self, mpsc::Receiver<TurnWork>) {
        let (drivers, work) = mpsc::channel(WORK_WAITING);
        let shared = Arc::new(Shared::new(store, config, drivers));
        tokio::spawn(wake(Arc::downgrade(&shared)));
        (Self { shared }, work)
    }

    /// Returns the manager whose rooms `shared` is of.
    pub(crate) fn of(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }

    /// Returns what this manager and its rooms share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Returns the store below.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_store::Store;
    ///
    /// assert!(manager.store().session(session).await.unwrap().is_some());
    /// # Ok(()) }
    /// ```
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Makes a session. The same key again answers the same session.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_hub::Founding;
    /// use roundtable_protocol::model::Settings;
    ///
    /// let settings = Settings { max_participants: Some(10), ..Settings::default() };
    /// let session = roundtable_protocol::SessionId(roundtable_hub::clock::new_key());
    /// let founding = Founding { session, settings, ..Founding::simple(ana, "Ana") };
    /// let key = roundtable_hub::clock::new_key();
    /// assert!(!manager.create(key, founding.clone()).await?.duplicate);
    /// assert!(manager.create(key, founding).await?.duplicate, "the same key is the same session");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The rules refuse a field, the key was used for something else, or the store cannot write.
    pub async fn create(&self, key: Uuid, founding: Founding) -> Result<Created, Problem> {
        let owner = founding.owner;
        let session = founding.session;
        let said = founded_as(&founding);
        for _ in 0..HAND_ON {
            if let Some(head) = self.shared.store.head(session).await.map_err(unavailable)? {
                tracing::debug!(session.id = %session, rev = head.rev.0, "the session is there already");
                return self.created_before(key, &founding, said).await;
            }
            self.shared.config.check_assistant(&founding.settings.assistant)?;
            let rights_epoch = self.shared.store.rights_epoch(founding.project).await.map_err(unavailable)?;
            let grant = Grant::nothing(0, rights_epoch);
            let cx = Context {
                now: self.shared.now(),
                caller: Caller::User(owner),
                grant: &grant,
                present: &[],
                uploads: &[],
            };
            let decision = Session::create(&cx, key, &founding)?;
            let mut state = Session::empty(session);
            decision.events.iter().for_each(|event| state.apply(event));
            let commit = birth(&state, decision, key, said, rights_epoch, state.last_at());
            let (events, started) = (commit.events.len() as u64, std::time::Instant::now());
            let outcome = self.shared.store.append(commit).await;
            self.metrics().append.observe(started.elapsed());
            match outcome {
                Ok(_) => {
                    self.metrics().commits.add(1);
                    self.metrics().events.add(events);
                    return Ok(Created { info: state.info(), duplicate: false });
                }
                Err(
                    AppendError::Conflict { .. }
                    | AppendError::RightsMoved { .. }
                    | AppendError::Duplicate { .. }
                    | AppendError::Unknown(_),
                ) => {}
                Err(AppendError::Full) => return Err(Problem::new(Code::StorageFull)),
                Err(AppendError::Unavailable(why)) => return Err(unavailable(StoreError::Unavailable(why))),
            }
        }
        Err(Problem::new(Code::Unavailable).retry_after_ms(1_000))
    }

    /// Answers a creation whose session is there already: its own if it is the same once more.
    async fn created_before(&self, key: Uuid, founding: &Founding, said: u64) -> Result<Created, Problem> {
        let reused = || Problem::new(Code::KeyReused);
        let first = self.shared.store.find(founding.session, key.into()).await.map_err(unavailable)?;
        // Before there was a fingerprint, 0 was stored.
        first.and_then(|f| f.fingerprint).filter(|before| [0, said].contains(before)).ok_or_else(reused)?;
        let standing = self.standing(founding.session, founding.owner).await.map_err(|_| reused())?;
        Ok(Created { info: standing.info, duplicate: true })
    }

    /// Gives a command and waits until it is durable or refused.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::{Envelope, SessionRename};
    /// use roundtable_protocol::{Command, Stream};
    ///
    /// let command = Command::SessionRename(SessionRename { title: "Spring".into() });
    /// let envelope = Envelope { key: roundtable_hub::clock::new_key(), stream: Stream::Main, seen: None, retry: false, command };
    /// manager.command(session, ana, envelope).await?;
    /// assert_eq!(manager.standing(session, ana).await?.info.title, "Spring");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The rules refuse it, the room has too much to do, or the store cannot write.
    pub async fn command(&self, session: SessionId, user: UserId, mut envelope: Envelope) -> Result<Receipt, Problem> {
        if envelope.command.is_internal() {
            return Err(Problem::new(Code::UnknownCommand));
        }
        self.prepare(session, user, &mut envelope.command).await?;
        self.ask_for(session, Caller::User(user), Subject::Stranger, envelope, user).await
    }

    /// Lets somebody in, or has them wait where that is wanted, after the caller has checked the door; the role is the
    /// door's. Who is in or waits already is answered so.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::ParticipantJoin;
    /// use roundtable_protocol::{Role, UserId, model::ParticipantKind};
    ///
    /// let join = ParticipantJoin {
    ///     user: UserId(roundtable_hub::clock::new_key()), kind: ParticipantKind::User, role: Role::Viewer, display_name: "Ben".into(),
    ///     guest: true, via: None, colour: None, vouched: false,
    /// };
    /// assert!(manager.join(session, roundtable_hub::clock::new_key(), join).await?.joined().is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `join_closed`, `join_denied`, `lobby_full`, `session_full`, `removed`, and see [`SessionManager::command`].
    pub async fn join(&self, session: SessionId, key: Uuid, join: ParticipantJoin) -> Result<Entry, Problem> {
        let user = join.user;
        let command = Command::ParticipantJoin(join);
        let envelope = Envelope { key, stream: Stream::Main, seen: None, retry: false, command };
        match self.ask_for(session, Caller::System, Subject::Door, envelope, user).await {
            Ok(_) => {}
            Err(problem) if problem.code == Code::AlreadyRecorded => {}
            Err(problem) => return Err(problem),
        }
        self.entry(session, user).await
    }

    async fn ask_for(
        &self,
        session: SessionId,
        caller: Caller,
        subject: Subject,
        envelope: Envelope,
        user: UserId,
    ) -> Result<Receipt, Problem> {
        let (reply, answer) = oneshot::channel();
        let fingerprint = fingerprint(user, &envelope);
        let queued = Queued { caller, subject, envelope, fingerprint, reply: Reply::Waiter(reply), attempts: 0 };
        self.send(session, Input::Command(Box::new(queued)))?;
        answer.await.map_err(|_| Problem::new(Code::Unavailable).retry_after_ms(500))?
    }

    /// Returns who a user is in a session.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::Role;
    ///
    /// let standing = manager.standing(session, ana).await?;
    /// assert_eq!(standing.participant.map(|p| p.role), Some(Role::Owner));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session or the user may not see it.
    pub async fn standing(&self, session: SessionId, user: UserId) -> Result<Standing, Problem> {
        self.viewed(session, user, move |look, grant| Standing {
            participant: joined(look.session, user).cloned(),
            grant,
            info: look.session.info(),
        })
        .await
    }

    /// Returns the people and assistants of a session with their presence.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// assert_eq!(manager.participants(session, ana).await?.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SessionManager::standing`].
    pub async fn participants(
        &self,
        session: SessionId,
        user: UserId,
    ) -> Result<Vec<(Participant, Option<Person>)>, Problem> {
        self.viewed(session, user, |look, _| {
            let people = look.presence.people();
            let presence = |id| people.iter().find(|p| p.participant_id == id).cloned();
            look.session.participants().map(|p| (p.clone(), presence(p.id))).collect()
        })
        .await
    }

    /// Deletes a session with everything that is its own; its readers are told.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// manager.delete(session, ana).await?;
    /// assert!(manager.standing(session, ana).await.is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The user may not, or the store cannot write.
    pub async fn delete(&self, session: SessionId, user: UserId) -> Result<(), Problem> {
        for _ in 0..HAND_ON {
            let (deleted, answer) = oneshot::channel();
            self.send(session, Input::Delete(user, deleted))?;
            match answer.await.map_err(|_| Problem::new(Code::NotFound))? {
                Err(problem) if problem.code == Code::Overloaded => {
                    // What was erased is erased in copies first.
                    self.settle_lineage().await.map_err(unavailable)?;
                }
                other => return other,
            }
        }
        Err(Problem::new(Code::Unavailable).retry_after_ms(1_000))
    }

    /// Tells the rooms that rights outside the log have changed in a project.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// // Something outside the log, such as a suspended account, has changed what people may do.
    /// manager.rights_moved(roundtable_protocol::DEFAULT_PROJECT);
    /// # Ok(()) }
    /// ```
    pub fn rights_moved(&self, project: ProjectId) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            match shared.store.rights_epoch(project).await {
                Ok(epoch) => {
                    let rooms: Vec<Handle> = shared.rooms().values().cloned().collect();
                    for room in rooms {
                        // A room that has gone reads the epoch when it is loaded.
                        let _ = room.inbox.send(Input::RightsMoved(epoch)).await;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the rights epoch cannot be read; the store catches it at the next commit")
                }
            }
        });
    }

    /// Takes no more commands, finishes what is under way, writes snapshots and unloads every room. A room whose store
    /// does not answer in [`HubConfig::leave_within`] is given up: what was acknowledged is on the disk.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// manager.shutdown().await;
    /// assert_eq!(manager.stats().rooms, 0);
    /// # Ok(()) }
    /// ```
    pub async fn shutdown(&self) {
        self.shared.leaving.store(true, Ordering::SeqCst);
        let sessions: Vec<SessionId> = self.shared.rooms().keys().copied().collect();
        let ends = futures_util::future::join_all(sessions.into_iter().map(|session| self.shut(session)));
        if tokio::time::timeout(self.shared.config.leave_within, ends).await.is_err() {
            let given_up: Vec<Handle> = self.shared.rooms().drain().map(|(_, room)| room).collect();
            tracing::error!(rooms = given_up.len(), "the store does not answer; rooms are given up");
            given_up.iter().for_each(|room| room.given_up.cancel());
        }
    }

    async fn shut(&self, session: SessionId) {
        let Some(room) = self.shared.rooms().get(&session).cloned() else { return };
        let (done, ended) = oneshot::channel();
        if room.inbox.send(Input::Shutdown(done)).await.is_ok() {
            // An error says that the room ended another way.
            let _ = ended.await;
        }
        self.shared.forget(session, &room.inbox);
    }

    /// Asks a question about a session that `user` may see; `not_found` otherwise.
    pub(crate) async fn viewed<T: Send + 'static>(
        &self,
        session: SessionId,
        user: UserId,
        question: impl FnOnce(&mut Look<'_>, Grant) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.ask(session, move |look| {
            let grant = look.grants.authorize(look.session, user);
            grant.allows(Permission::SessionView).then(|| question(look, grant))
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))
    }

    /// Asks a question about the committed state of a session.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        session: SessionId,
        question: impl FnOnce(&mut Look<'_>) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let question = Box::new(move |look: &mut Look<'_>| {
            // A caller that has gone does not want the answer.
            let _ = reply.send(question(look));
        });
        self.send(session, Input::Ask(question))?;
        answer.await.map_err(|_| Problem::new(Code::NotFound))
    }

    /// Hands an input to the session's room; nobody starts anything while the process leaves.
    fn send(&self, session: SessionId, input: Input) -> Result<(), Problem> {
        if self.shared.leaving.load(Ordering::SeqCst) {
            return Err(Problem::new(Code::ShuttingDown).retry_after_ms(1_000));
        }
        Shared::send(&self.shared, session, input)
    }

    /// Hands an input to a room only if it is loaded; what it says may be lost.
    fn tell(&self, session: SessionId, input: Input) {
        let room = self.shared.rooms().get(&session).cloned();
        if let Some(room) = room {
            // Ephemeral by nature: a room with too much to do drops it.
            let _ = room.inbox.try_send(input);
        }
    }
}

fn joined(session: &Session, user: UserId) -> Option<&Participant> {
    session.participant_of(user).filter(|p| p.membership == Membership::Joined)
}

pub(crate) fn unavailable(error: StoreError) -> Problem {
    match error {
        StoreError::Full => Problem::new(Code::StorageFull),
        StoreError::Unavailable(why) => {
            tracing::warn!(why, "the store is unavailable");
            Problem::new(Code::Unavailable).retry_after_ms(1_000)
        }
        StoreError::Trimmed { oldest } => trimmed(oldest),
    }
}

/// Returns what is told to whoever asks for events that are not kept any more.
///
/// ```
/// use roundtable_protocol::{Code, Seq};
///
/// assert_eq!(roundtable_hub::trimmed(Seq(42)).code, Code::EventsTrimmed);
/// ```
pub fn trimmed(oldest: Seq) -> Problem {
    Problem::new(Code::EventsTrimmed).with_detail(format!("the oldest event that is kept has seq {oldest}"))
}

#[cfg(test)]
mod tests;
