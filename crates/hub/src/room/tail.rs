//! What has happened since the last snapshots, and when the next are due.
//!
//! Owns: the counting. Must not know: what is in a snapshot, nor how it is written.

/// What an event weighs when the log is read, against a state snapshot. Unit: bytes.
const EVENT_WEIGHT: u64 = 512;

/// The events that no snapshot stands for yet.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Since the last state, and how large that was. Unit of the second: bytes.
    state_events: u64,
    state_bytes: u64,
    /// Since the head of the view was kept.
    view_events: u64,
    /// The last state may hold what has been erased since.
    outdated: bool,
}

/// How seldom snapshots are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How many events make one worth writing.
    pub(crate) after: u64,
    /// How many events the store keeps, where it lets the oldest go.
    pub(crate) retention: Option<usize>,
}

/// When it is asked what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// After a commit, nobody reading.
    Unread,
    /// After a commit, with readers.
    Read,
    /// The room is at rest or ends.
    AtRest,
}

/// What is to be written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) state: bool,
    pub(crate) view: bool,
}

impl Tail {
    /// The tail of a room that was loaded from a state of so many bytes and as many events after it.
    pub(crate) fn new(events: u64, state_bytes: u64) -> Self {
        Self { state_events: events, state_bytes, view_events: events, outdated: false }
    }

    /// Counts events that were committed.
    pub(crate) fn add(&mut self, events: u64) {
        self.state_events += events;
        self.view_events += events;
    }

    /// Something was erased that the last state may hold, and the store may have nothing else to make a new one from.
    pub(crate) fn outdate(&mut self) {
        self.outdated = true;
    }

    /// Returns what is due; the caller writes it, so it counts as written.
    ///
    /// A state grows with its session: were it written every so many events, a long and busy session would keep the
    /// store's only writer from all others. So it waits until the events after it outweigh it, except where the store
    /// lets events go: there it must be younger than those. While nobody reads, the view is left until the room rests.
    pub(crate) fn take_due(&mut self, pace: Pace, when: When) -> Due {
        let (after, outweighs) = match pace.retention {
            Some(kept) => (pace.after.min(kept as u64 / 2), 0),
            None => (pace.after, self.state_bytes / EVENT_WEIGHT),
        };
        let rests = when == When::AtRest;
        let due = Due {
            state: self.outdated || self.state_events >= after.max(outweighs) || rests && self.state_events > 0,
            view: rests && self.view_events > 0 || when == When::Read && self.view_events >= after,
        };
        if due.state {
            (self.state_events, self.outdated) = (0, false);
        }
        if due.view {
            self.view_events = 0;
        }
        due
    }

    /// Notes how large the state is that is written now. Unit: bytes.
    pub(crate) fn state_is(&mut self, bytes: u64) {
        self.state_bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Pace = Pace { after: 100, retention: None };
    const NOTHING: Due = Due { state: false, view: false };

    #[test]
    fn a_state_waits_until_the_events_after_it_outweigh_it() {
        let mut tail = Tail::new(0, 300 * EVENT_WEIGHT);
        tail.add(299);
        assert_eq!(tail.take_due(WHOLE, When::Unread), NOTHING);
        tail.add(1);
        assert_eq!(tail.take_due(WHOLE, When::Unread), Due { state: true, view: false });
        tail.state_is(10);
        tail.add(99);
        assert_eq!(tail.take_due(WHOLE, When::Unread), NOTHING, "a small state waits for the usual number of events");
    }

    #[test]
    fn where_the_store_lets_events_go_a_state_is_always_younger_than_half_of_them() {
        let pace = Pace { after: 100, retention: Some(20) };
        let mut tail = Tail::new(0, 1 << 20);
        tail.add(10);
        assert!(tail.take_due(pace, When::Unread).state);
        tail.outdate();
        assert!(tail.take_due(pace, When::Unread).state, "what was erased is not kept in a state");
    }

    #[test]
    fn the_view_is_written_for_readers_and_when_the_room_rests() {
        let mut tail = Tail::new(100, 0);
        assert!(!tail.take_due(WHOLE, When::Unread).view);
        assert!(tail.take_due(WHOLE, When::Read).view);
        tail.add(1);
        assert_eq!(tail.take_due(WHOLE, When::AtRest), Due { state: true, view: true });
        assert_eq!(tail.take_due(WHOLE, When::AtRest), NOTHING, "it counts as written");
    }
}
