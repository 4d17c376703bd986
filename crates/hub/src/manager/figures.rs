//! What is loaded and connected, in numbers.

use super::*;

/// What is loaded and connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rooms in memory.
    pub rooms: usize,
    /// Inputs that wait before a room, over all rooms.
    pub inputs_waiting: usize,
    /// Claimed turns that wait for a driver.
    pub turns_waiting: usize,
    /// Participants who are connected, over all rooms.
    pub users_in_sessions: usize,
    /// Rooms that have panicked since the start.
    pub panics: usize,
}

/// Figures.
impl SessionManager {
    /// Returns what is loaded and connected.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// assert_eq!(manager.stats().users_in_sessions, 0, "nobody is connected");
    /// # Ok(()) }
    /// ```
    pub fn stats(&self) -> Stats {
        let rooms = self.shared.rooms();
        Stats {
            rooms: rooms.len(),
            inputs_waiting: rooms.values().map(|h| h.inbox.max_capacity() - h.inbox.capacity()).sum(),
            turns_waiting: self.shared.drivers.max_capacity() - self.shared.drivers.capacity(),
            users_in_sessions: rooms.values().map(|h| h.online.count()).sum(),
            panics: self.shared.panics.load(Ordering::Relaxed),
        }
    }

    /// Returns what rooms have counted and timed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// assert!(manager.metrics().commits.get() >= 1);
    /// # Ok(()) }
    /// ```
    pub fn metrics(&self) -> &Metrics {
        &self.shared.config.metrics
    }

    /// Returns how many participants of a session are connected; 0 when it is not loaded.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::Stream;
    ///
    /// let _watcher = manager.watch(session, ana, &[Stream::Main]).await?;
    /// assert_eq!(manager.online(session), 1);
    /// # Ok(()) }
    /// ```
    pub fn online(&self, session: SessionId) -> usize {
        self.shared.rooms().get(&session).map_or(0, |h| h.online.count())
    }

    /// Returns how many participants of a session are connected and the first eight of them; nobody when it is not
    /// loaded. Loads nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::Stream;
    ///
    /// let _watcher = manager.watch(session, ana, &[Stream::Main]).await?;
    /// assert_eq!(manager.online_people(session).1[0].display_name, "Ana");
    /// # Ok(()) }
    /// ```
    pub fn online_people(&self, session: SessionId) -> (usize, Vec<OnlinePerson>) {
        let room = self.shared.rooms().get(&session).map(|h| Arc::clone(&h.online));
        room.map_or_else(Default::default, |online| (online.count(), online.first()))
    }
}
