//! Who is there: connections and the last sign of life of each participant.
//!
//! Owns: the statuses and the grace after a dropped connection. Must not know: sessions, storage, sockets. Invariant:
//! nothing here is ever stored; what is lost with the process comes back with the connections.
//!
//! Changes wait until [`Presence::on_time`] hands them out, so that a reload, a second tab or a short network cut
//! within one tick is never seen by anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roundtable_protocol::frame::{Person, PresenceStatus};
use roundtable_protocol::ids::{ConnectionId, ParticipantId, Timestamp};

/// How long after a sign of life somebody counts as active (DESIGN, defaults that people notice).
pub const ACTIVE_FOR: Duration = Duration::from_secs(60);
/// How long after a sign of life somebody counts as idle; away after that.
pub const IDLE_FOR: Duration = Duration::from_secs(5 * 60);
/// How long after the last connection has dropped somebody still counts as there.
pub const GRACE: Duration = Duration::from_secs(15);

/// The presence of everybody in one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    people: BTreeMap<ParticipantId, Entry>,
    connections: BTreeMap<ConnectionId, ParticipantId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    connections: BTreeSet<ConnectionId>,
    last_active_at: Timestamp,
    /// When the last connection dropped; none while there is one.
    dropped_at: Option<Timestamp>,
    /// Said to be gone: no grace.
    gone: bool,
    /// Whether something has happened that others may have to be told of at once.
    stirred: bool,
    /// What others were told last.
    told: PresenceStatus,
}

impl Presence {
    /// Notes that `participant` has opened `connection`; that is a sign of life.
    pub fn connect(&mut self, participant: ParticipantId, connection: ConnectionId, now: Timestamp) {
        if self.connections.get(&connection).is_some_and(|p| *p != participant) {
            self.disconnect(connection, now);
        }
        self.connections.insert(connection, participant);
        let entry = self.people.entry(participant).or_insert_with(|| Entry::new(now));
        entry.connections.insert(connection);
        entry.dropped_at = None;
        entry.gone = false;
        entry.sign_of_life(now);
    }

    /// Notes that `connection` has dropped; its participant stays for [`GRACE`] if it was the last one.
    pub fn disconnect(&mut self, connection: ConnectionId, now: Timestamp) {
        let Some(participant) = self.connections.remove(&connection) else { return };
        let Some(entry) = self.people.get_mut(&participant) else { return };
        entry.connections.remove(&connection);
        if entry.connections.is_empty() {
            entry.dropped_at = Some(now);
        }
    }

    /// Notes a sign of life of somebody who is connected.
    pub fn activity(&mut self, participant: ParticipantId, now: Timestamp) {
        if let Some(entry) = self.people.get_mut(&participant).filter(|e| !e.connections.is_empty()) {
            entry.sign_of_life(now);
        }
    }

    /// Notes that `participant` left or was sent away: no grace.
    pub fn gone(&mut self, participant: ParticipantId) {
        let Some(entry) = self.people.get_mut(&participant) else { return };
        for connection in std::mem::take(&mut entry.connections) {
            self.connections.remove(&connection);
        }
        entry.gone = true;
        entry.stirred = true;
    }

    /// Returns everybody whose status is not what was last handed out, and hands it out.
    pub fn on_time(&mut self, now: Timestamp) -> Vec<Person> {
        let mut changed = Vec::new();
        self.people.retain(|id, entry| {
            let status = entry.status(now);
            entry.stirred = false;
            if status != entry.told {
                entry.told = status;
                changed.push(entry.person(*id, status));
            }
            status != PresenceStatus::Offline
        });
        changed
    }

    /// Returns when [`Presence::on_time`] has something to hand out again; a moment that has passed: now.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.people.values().filter_map(Entry::next_change).min()
    }

    /// Returns who is there: connected, or dropped within [`GRACE`] as of the last [`Presence::on_time`].
    pub fn online(&self) -> Vec<ParticipantId> {
        self.people.iter().filter(|(_, e)| !e.gone).map(|(id, _)| *id).collect()
    }

    /// Returns whether `participant` has a connection now, whatever the grace.
    pub fn is_connected(&self, participant: ParticipantId) -> bool {
        self.people.get(&participant).is_some_and(|entry| !entry.connections.is_empty())
    }

    /// Returns everybody who is there, with the status as of the last [`Presence::on_time`] or sign of life.
    pub fn people(&self) -> Vec<Person> {
        let there = self.people.iter().filter(|(_, e)| !e.gone);
        let status = |e: &Entry| if e.stirred { PresenceStatus::Active } else { e.told };
        there.map(|(id, entry)| entry.person(*id, status(entry))).collect()
    }
}

impl Entry {
    fn new(now: Timestamp) -> Self {
        Self {
            connections: BTreeSet::new(),
            last_active_at: now,
            dropped_at: None,
            gone: false,
            stirred: true,
            told: PresenceStatus::Offline,
        }
    }

    fn sign_of_life(&mut self, now: Timestamp) {
        self.last_active_at = self.last_active_at.max(now);
        self.stirred |= self.told != PresenceStatus::Active;
    }

    fn status(&self, now: Timestamp) -> PresenceStatus {
        if self.gone || self.dropped_at.is_some_and(|at| after(at, GRACE) <= now) {
            PresenceStatus::Offline
        } else if now < after(self.last_active_at, ACTIVE_FOR) {
            PresenceStatus::Active
        } else if now < after(self.last_active_at, IDLE_FOR) {
            PresenceStatus::Idle
        } else {
            PresenceStatus::Away
        }
    }

    /// When the status will differ from what others were told, if nothing else happens.
    fn next_change(&self) -> Option<Timestamp> {
        if self.stirred {
            return Some(self.last_active_at);
        }
        let aging = match self.told {
            PresenceStatus::Active => Some(after(self.last_active_at, ACTIVE_FOR)),
            PresenceStatus::Idle => Some(after(self.last_active_at, IDLE_FOR)),
            PresenceStatus::Away | PresenceStatus::Offline => None,
        };
        let leaving = self.dropped_at.map(|at| after(at, GRACE));
        [aging, leaving].into_iter().flatten().min()
    }

    fn person(&self, id: ParticipantId, status: PresenceStatus) -> Person {
        Person { participant_id: id, status, last_active_at: self.last_active_at }
    }
}

/// Returns `at` plus `by`, at most the end of time.
fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
