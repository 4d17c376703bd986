//! The simulated disk: what survives a crash.
//!
//! Invariant: only [`Disk::write`] changes it, whole commits at a time.

use std::collections::BTreeMap;

use roundtable_core::Session;
use roundtable_protocol::event::{Event, EventBody, redacted_body};
use roundtable_protocol::ids::{Seq, SessionId, Stream};
use roundtable_protocol::view::View;
use uuid::Uuid;

/// What one append brings.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// In the order in which they happened.
    pub events: Vec<Event>,
    /// Whose text goes.
    pub redactions: Vec<(Stream, Seq)>,
}

/// Everything that was committed.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    log: Vec<Event>,
    keys: BTreeMap<Uuid, (Stream, Seq)>,
}

impl Disk {
    /// Returns every event, in the order of commits.
    pub fn log(&self) -> &[Event] {
        &self.log
    }

    /// Writes a commit.
    pub fn write(&mut self, commit: &Commit) {
        for event in &commit.events {
            self.keys.entry(event.header.id.0).or_insert((event.stream, event.seq));
            self.log.push(event.clone());
        }
        for place in &commit.redactions {
            for event in self.log.iter_mut().filter(|e| (e.stream, e.seq) == *place) {
                let body = redacted_body(&event.body.to_json());
                let body = std::str::from_utf8(&body).expect("JSON is UTF-8");
                event.body = EventBody::parse(event.body.kind(), body).expect("an erased body keeps its shape");
            }
        }
    }

    /// Returns where the event with that id is.
    pub fn find(&self, id: Uuid) -> Option<(Stream, Seq)> {
        self.keys.get(&id).copied()
    }

    /// Returns the events of a stream after `after`.
    pub fn read(&self, stream: Stream, after: Seq) -> impl Iterator<Item = &Event> {
        self.log.iter().filter(move |e| e.stream == stream && e.seq > after)
    }

    /// Folds everything into the state that decides.
    pub fn session(&self, id: SessionId) -> Session {
        let mut session = Session::empty(id);
        self.log.iter().for_each(|event| session.apply(event));
        session
    }

    /// Folds everything into the view that shows.
    pub fn view(&self) -> View {
        let mut view = View::default();
        self.log.iter().for_each(|event| view.apply(event));
        view
    }
}
