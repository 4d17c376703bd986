//! The rooms of this process: found, loaded, woken, retired.
//!
//! Owns: the map of loaded rooms, a room's whole life, the loop that wakes due sessions. Must not know: what callers
//! want of a session. Invariant: one room a session in this process; an input never falls between a room that leaves
//! and the one that follows.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use roundtable_protocol::{Code, Problem, SessionId, Timestamp};
use roundtable_store::{Store, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::HubConfig;
use crate::manager::SessionManager;
use crate::room::{Input, Loaded, Room};
use crate::turns::TurnWork;
use crate::uploads;

/// How many due sessions are loaded in one go; those that are loaded already are told as many as there are.
const WAKE_AT_ONCE: usize = 100;
/// How many sessions are looked through after a start.
const FIND_AT_MOST: usize = 1_000_000;
/// How often an input is handed to a newly loaded room before the caller is told to come back.
pub(crate) const HAND_ON: usize = 4;

/// What the manager and its rooms share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: HubConfig,
    pub(crate) drivers: mpsc::Sender<TurnWork>,
    pub(crate) panics: AtomicUsize,
    pub(crate) leaving: AtomicBool,
    /// Held while what sessions owe each other is done.
    pub(crate) settling: tokio::sync::Mutex<()>,
    rooms: Mutex<HashMap<SessionId, Handle>>,
    /// When the rooms of sessions have panicked, lately.
    panicked: Mutex<HashMap<SessionId, Vec<Timestamp>>>,
    /// Whose panics have not been recorded in the session.
    unsaid: Mutex<HashSet<SessionId>>,
}

/// How to reach a loaded room.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) inbox: mpsc::Sender<Input>,
    pub(crate) online: Arc<Online>,
    /// The room ends where it is: its store does not answer, and the process leaves.
    pub(crate) given_up: CancellationToken,
}

/// Somebody who is connected, as lists of sessions show them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlinePerson {
    /// The name that others see.
    pub display_name: String,
    /// One of twelve hues, 0 to 11.
    pub colour: u8,
}

/// Who is connected to a room, for lists of sessions: written by the room, read without asking it.
#[derive(Debug, Default)]
pub(crate) struct Online {
    count: AtomicUsize,
    first: Mutex<Vec<OnlinePerson>>,
}

impl Online {
    /// How many people are named.
    pub(crate) const NAMED: usize = 8;

    /// Sets how many are there and who the first of them are.
    pub(crate) fn set(&self, count: usize, first: Vec<OnlinePerson>) {
        self.count.store(count, Ordering::Relaxed);
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = first;
    }

    /// Returns how many are there.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns the first of those who are there.
    pub(crate) fn first(&self) -> Vec<OnlinePerson> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    /// Makes the shared part, with no room loaded.
    pub(crate) fn new(store: Arc<dyn Store>, config: HubConfig, drivers: mpsc::Sender<TurnWork>) -> Self {
        let (panics, leaving) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (settling, rooms, panicked, unsaid) = Default::default();
        Self { store, config, drivers, panics, leaving, settling, rooms, panicked, unsaid }
    }

    /// Notes that a session's room has panicked.
    fn note_panic(&self, session: SessionId) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner).insert(session);
        let now = self.now();
        let mut panicked = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
        panicked.retain(|_, times| times.last().is_some_and(|last| is_lately(*last, now)));
        let times = panicked.entry(session).or_default();
        times.retain(|at| is_lately(*at, now));
        times.push(now);
    }

    /// Returns whether a session's room has panicked since this was last asked.
    fn has_panicked_unsaid(&self, session: SessionId) -> bool {
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner).remove(&session)
    }

    /// Returns whether a session's room panics so often that the session must stop; says so once.
    fn panics_too_often(&self, session: SessionId) -> bool {
        let mut panicked = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
        let often = panicked.get(&session).is_some_and(|times| times.len() >= self.config.panics);
        if often {
            panicked.remove(&session);
        }
        often
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Timestamp {
        (self.config.now)()
    }

    /// Returns the map of loaded rooms.
    pub(crate) fn rooms(&self) -> MutexGuard<'_, HashMap<SessionId, Handle>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an input to the session's room, loading it when need be. Never waits: a full room is overloaded.
    pub(crate) fn send(self: &Arc<Self>, session: SessionId, mut input: Input) -> Result<(), Problem> {
        for _ in 0..HAND_ON {
            let room = self.room(session);
            match room.inbox.try_send(input) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    return Err(Problem::new(Code::Overloaded).retry_after_ms(250));
                }
                Err(mpsc::error::TrySendError::Closed(back)) => {
                    self.forget(session, &room.inbox);
                    input = back;
                }
            }
        }
        Err(Problem::new(Code::Unavailable).retry_after_ms(250))
    }

    /// Hands on what came to a room that was leaving.
    pub(crate) fn hand_on(self: &Arc<Self>, session: SessionId, input: Input) {
        if self.leaving.load(Ordering::SeqCst) {
            return;
        }
        if let Err(problem) = Self::send(self, session, input) {
            tracing::warn!(session.id = %session, code = problem.code.name(), "a late input found no room");
        }
    }

    /// Returns the session's room, loading it when it is not there.
    fn room(self: &Arc<Self>, session: SessionId) -> Handle {
        let mut rooms = self.rooms();
        if let Some(room) = rooms.get(&session) {
            return room.clone();
        }
        let (inbox, inputs) = mpsc::channel(self.config.inbox);
        let handle = Handle { inbox, online: Arc::default(), given_up: CancellationToken::new() };
        rooms.insert(session, handle.clone());
        drop(rooms);
        tokio::spawn(live(Arc::clone(self), session, handle.clone(), inputs));
        handle
    }

    /// Takes an idle room out of the map, unless somebody has just sent it something.
    pub(crate) fn retire(&self, session: SessionId, inbox: &mpsc::WeakSender<Input>) -> bool {
        let mut rooms = self.rooms();
        let Some(inbox) = inbox.upgrade() else { return true };
        if inbox.capacity() != inbox.max_capacity() {
            return false;
        }
        if rooms.get(&session).is_some_and(|h| h.inbox.same_channel(&inbox)) {
            rooms.remove(&session);
        }
        true
    }

    /// Takes a room that ends out of the map, whatever waits for it.
    pub(crate) fn forget_room(&self, session: SessionId, inbox: &mpsc::WeakSender<Input>) {
        if let Some(inbox) = inbox.upgrade() {
            self.forget(session, &inbox);
        }
    }

    /// Takes a room that has ended out of the map.
    pub(crate) fn forget(&self, session: SessionId, inbox: &mpsc::Sender<Input>) {
        let mut rooms = self.rooms();
        if rooms.get(&session).is_some_and(|h| h.inbox.same_channel(inbox)) {
            rooms.remove(&session);
        }
    }
}

/// How long a panic counts.
const PANICS_COUNT_FOR: Duration = Duration::from_secs(600);

fn is_lately(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at).unsigned_abs() < PANICS_COUNT_FOR
}

/// A room's whole life. A panic ends this room alone: its readers are told to subscribe again.
async fn live(shared: Arc<Shared>, session: SessionId, handle: Handle, inputs: mpsc::Receiver<Input>) {
    let given_up = handle.given_up.clone();
    tokio::select! {
        biased;
        () = given_up.cancelled() => {}
        () = load_and_run(shared, session, handle, inputs) => {}
    }
}

async fn load_and_run(shared: Arc<Shared>, session: SessionId, handle: Handle, mut inputs: mpsc::Receiver<Input>) {
    let loaded = match Loaded::read(session, &shared).await {
        Ok(Some(loaded)) => loaded,
        Ok(None) => return refuse(&shared, session, &handle, &mut inputs, Code::NotFound),
        Err(error) => {
            tracing::error!(session.id = %session, %error, "the session cannot be loaded");
            return refuse(&shared, session, &handle, &mut inputs, Code::Unavailable);
        }
    };
    let (to_self, online) = (handle.inbox.downgrade(), Arc::clone(&handle.online));
    let mut room = Room::new(session, Arc::clone(&shared), loaded, inputs, to_self, online);
    if shared.panics_too_often(session) {
        room.fail(
            "room_panicked",
            "The session stopped by a fault of the server, several times. The server's log says more.",
        );
    } else if shared.has_panicked_unsaid(session) {
        room.record_error(
            "room_panicked",
            "A fault of the server interrupted the session; it goes on from what was recorded. The server's log says more.",
        );
    }
    if AssertUnwindSafe(room.run()).catch_unwind().await.is_err() {
        shared.note_panic(session);
        tracing::error!(session.id = %session, "the session's room has panicked and is loaded anew");
    }
    handle.online.set(0, Vec::new());
    shared.forget(session, &handle.inbox);
}

/// Answers everything that waits for a room that cannot be.
fn refuse(shared: &Shared, session: SessionId, handle: &Handle, inputs: &mut mpsc::Receiver<Input>, code: Code) {
    shared.forget(session, &handle.inbox);
    inputs.close();
    while let Ok(input) = inputs.try_recv() {
        let problem = Problem::new(code);
        match input {
            Input::Command(queued) => crate::room::refuse(session, *queued, problem),
            Input::Subscribe(_, _, reply) => {
                // A caller that has gone does not want the answer.
                let _ = reply.send(Err(problem));
            }
            Input::Delete(_, deleted) => {
                // The same.
                let _ = deleted.send(Err(problem));
            }
            _ => {}
        }
    }
}

/// Looks every second for sessions that are due, and loads them.
///
/// From time to time it also throws away files that were never posted.
pub(crate) async fn wake(shared: std::sync::Weak<Shared>) {
    let mut swept: Option<Timestamp> = None;
    if let Some(shared) = shared.upgrade()
        && shared.store.exclusive()
    {
        drop(tokio::spawn(find_left(Arc::downgrade(&shared))));
    }
    loop {
        let Some(shared) = shared.upgrade() else { return };
        if shared.leaving.load(Ordering::SeqCst) {
            return;
        }
        if let Err(error) = wake_due(&shared).await {
            tracing::warn!(%error, "cannot look for due sessions");
        }
        if let Err(error) = SessionManager::of(&shared).settle_lineage().await {
            tracing::warn!(%error, "cannot look for what sessions owe each other");
        }
        let now = shared.now();
        if swept.is_none_or(|last| now.duration_since(last).unsigned_abs() >= uploads::SWEEP_EVERY) {
            swept = Some(now);
            match shared.store.drop_unposted(now - uploads::KEPT).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "threw away files that were uploaded and never posted"),
                Err(error) => tracing::warn!(%error, "cannot throw away files that were never posted"),
            }
        }
        let every = shared.config.wake_every;
        drop(shared);
        tokio::time::sleep(every).await;
    }
}

/// Loads, once, the sessions whose owners were connected when the last server stopped: an owner who does not come back
/// is missed from now on. Only where no other server can have those connections.
async fn find_left(shared: std::sync::Weak<Shared>) {
    let due = match shared.upgrade() {
        Some(shared) => shared.store.due(roundtable_core::session::watched(), FIND_AT_MOST).await,
        None => return,
    };
    let due = due.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot look for sessions that the last server left");
        Vec::new()
    });
    for some in due.chunks(WAKE_AT_ONCE) {
        let Some(shared) = shared.upgrade().filter(|s| !s.leaving.load(Ordering::SeqCst)) else { return };
        some.iter().for_each(|session| shared.hand_on(*session, Input::Wake));
        let every = shared.config.wake_every;
        drop(shared);
        tokio::time::sleep(every).await;
    }
}

/// Wakes what is due. Some stay due, because their history cannot be folded, and would hide the others if only the
/// earliest were asked for; once loaded they take no place from those that are not.
async fn wake_due(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let (mut woken, mut may_load) = (HashSet::new(), WAKE_AT_ONCE);
    let mut limit = WAKE_AT_ONCE;
    loop {
        let due = shared.store.due(shared.now(), limit).await?;
        let whole = due.len() < limit;
        for session in due {
            if !woken.insert(session) {
                continue;
            }
            if !shared.rooms().contains_key(&session) {
                may_load -= 1;
            }
            shared.hand_on(session, Input::Wake);
            if may_load == 0 {
                return Ok(());
            }
        }
        if whole {
            return Ok(());
        }
        limit *= 2;
        tokio::task::yield_now().await;
    }
}
