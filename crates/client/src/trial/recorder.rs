//! From a client's traffic to a history.
//!
//! Owns: what a frame means to the laws, and whom a client shows as connected. Must not know: the laws.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roundtable_protocol::frame::{
    ClientFrame, CommandFrame, Lane, Person, PresenceStatus, ServerFrame, StreamPosition, Subscribe,
};
use roundtable_protocol::ids::{ParticipantId, SessionId, Stream};
use uuid::Uuid;

use super::history::{Entry, History, Place, Record};
use crate::incoming::Incoming;
use crate::socket::{Tap, Traffic};

/// Whom one client shows as connected. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<Mutex<BTreeMap<ParticipantId, bool>>>);

impl Shown {
    /// Returns those who are shown as connected.
    pub fn people(&self) -> BTreeSet<ParticipantId> {
        self.lock().iter().filter(|(_, there)| **there).map(|(id, _)| *id).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ParticipantId, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, person: &Person) {
        self.lock().insert(person.participant_id, person.status != PresenceStatus::Offline);
    }
}

/// Returns a tap that writes down everything about `client`, and whom the client shows.
pub fn tap(history: History, client: u32) -> (Tap, Shown) {
    let shown = Shown::default();
    let mut recorder = Recorder { history, client, connection: 0, commands: HashMap::new(), shown: shown.clone() };
    (Box::new(move |traffic| recorder.traffic(traffic)), shown)
}

struct Recorder {
    history: History,
    client: u32,
    /// The open connection.
    connection: u64,
    /// The key of each command that was sent over it, by request.
    commands: HashMap<u64, Uuid>,
    shown: Shown,
}

impl Recorder {
    fn traffic(&mut self, traffic: Traffic) {
        match traffic {
            Traffic::Opened => {
                self.connection = self.history.number();
                self.commands.clear();
                self.history.push(Record::Opened { client: self.client, connection: self.connection });
            }
            Traffic::Sent(frame) => self.sent(*frame),
            Traffic::Received(incoming) => match *incoming {
                Incoming::Events { session, stream, items } => {
                    let (connection, place) = (self.connection, place(session, stream));
                    for item in &items {
                        self.history.push(Record::Delivered { connection, place, entry: Entry::from(item) });
                    }
                }
                Incoming::Frame(frame) => self.received(frame),
                Incoming::Unknown => {}
            },
            Traffic::Unreadable(why) => self.history.push(Record::Unreadable { connection: self.connection, why }),
            Traffic::Closed => self.history.push(Record::Closed { connection: self.connection }),
        }
    }

    fn sent(&mut self, frame: ClientFrame) {
        match frame {
            ClientFrame::Command(CommandFrame { id, key, session_id, stream, .. }) => {
                self.commands.insert(id, key);
                let place = place(session_id, stream.unwrap_or(Stream::Main));
                self.history.push(Record::Sent { client: self.client, key, place });
            }
            ClientFrame::Subscribe(Subscribe { id, session_id, streams }) => {
                let after = |position: &StreamPosition| {
                    let seq = position.after.as_ref().map(|after| after.seq).unwrap_or_default();
                    (place(session_id, position.stream), seq)
                };
                let after = streams.iter().map(after).collect();
                self.history.push(Record::Asked { connection: self.connection, request: id, after });
            }
            _ => {}
        }
    }

    fn received(&mut self, frame: ServerFrame) {
        let connection = self.connection;
        match frame {
            ServerFrame::Ok(ok) => {
                let place = place(ok.session_id, ok.stream);
                let (client, key) = (self.client, ok.id.0);
                self.history.push(Record::Acked { client, key, place, seq: ok.seq, duplicate: ok.duplicate });
            }
            ServerFrame::Error(error) => {
                if let Some(key) = error.re.and_then(|re| self.commands.get(&re)) {
                    self.history.push(Record::Refused { key: *key, code: error.problem.code });
                }
            }
            ServerFrame::Subscribed(frame) => {
                frame.people.iter().for_each(|person| self.shown.put(person));
                for start in frame.streams {
                    let place = place(frame.session_id, start.stream);
                    let (request, head, mode) = (frame.re, start.head, start.mode);
                    self.history.push(Record::Started { connection, request, place, head, mode });
                }
            }
            ServerFrame::Snapshot(frame) => {
                for (stream, at) in frame.at {
                    let place = place(frame.session_id, stream);
                    self.history.push(Record::Folded { connection, place, at });
                }
            }
            ServerFrame::Lagging(frame) => {
                let place = place(frame.session_id, frame.stream);
                self.history.push(Record::Lagging { connection, place });
            }
            ServerFrame::Reset(frame) => {
                let place = place(frame.session_id, frame.stream);
                self.history.push(Record::Reset { connection, place });
            }
            ServerFrame::Ephemeral(frame) if frame.lane == Lane::Presence => {
                for item in frame.items {
                    if let Ok(person) = serde_json::from_value(item.data) {
                        self.shown.put(&person);
                    }
                }
            }
            _ => {}
        }
    }
}

fn place(session: SessionId, stream: Stream) -> Place {
    Place { session, stream }
}
