//! Users, a session and clients to fill a server with.

use std::io;

use roundtable_protocol::ids::{ParticipantId, Seq, SessionId, Stream};
use serde_json::{Value, json};

use super::history::{Entry, History, Place, Record};
use super::recorder::{self, Shown};
use super::rest::Rest;
use super::server::Server;
use crate::incoming::{self, Incoming};
use crate::socket::Client;

/// Most events that one read asks for. Even the longest of a trial, 8 KB, then come at once: an answer holds 4 MiB.
const PAGE: usize = 500;

/// Somebody with a login who is in a session.
#[derive(Clone, Debug)]
pub struct Person {
    /// Their bearer token.
    pub token: String,
    /// Who they are in the session.
    pub participant: ParticipantId,
}

/// A session and the link by which people come in.
#[derive(Clone, Debug)]
pub struct Room {
    /// Which session.
    pub session: SessionId,
    /// Its owner's bearer token.
    pub owner: String,
    /// The link's id.
    pub link: String,
    /// The link's token.
    pub door: String,
}

/// A person with a client that writes down everything.
pub struct Guest {
    /// Who.
    pub person: Person,
    /// Their number in the history.
    pub number: u32,
    /// Their connection.
    pub client: Client,
    /// Whom it shows as connected.
    pub shown: Shown,
}

/// Logs somebody in and returns their token.
///
/// # Errors
/// The server cannot be reached or refuses.
pub async fn log_in(rest: &Rest, name: &str) -> io::Result<String> {
    let login = rest.post("/api/v1/guests", &json!({"display_name": name})).await?.ok()?;
    text(&login, "/token")
}

impl Room {
    /// Makes a session in which nobody answers unasked, and a link to it.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn open(server: &Server) -> io::Result<Self> {
        let owner = log_in(&server.rest(), "Owner").await?;
        let rest = server.rest().with_token(&owner);
        let wish = json!({"title": "A trial", "kind": "collaborative", "settings": {"respond": "manual"}});
        let session = rest.post("/api/v1/sessions", &wish).await?.ok()?;
        let id = text(&session, "/id")?;
        let link = rest.post(&format!("/api/v1/sessions/{id}/links"), &json!({"role": "collaborator"})).await?.ok()?;
        Ok(Self {
            session: id.parse().map_err(io::Error::other)?,
            owner,
            link: text(&link, "/id")?,
            door: text(&link, "/token")?,
        })
    }

    /// Lets somebody new in.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn admit(&self, server: &Server, name: &str) -> io::Result<Person> {
        let joined =
            server.rest().post("/api/v1/join", &json!({"link": self.door, "display_name": name})).await?.ok()?;
        let participant = text(&joined, "/participant/id")?.parse().map_err(io::Error::other)?;
        Ok(Person { token: text(&joined, "/token")?, participant })
    }

    /// Lets somebody new in and connects them.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn guest(&self, server: &Server, number: u32, history: &History) -> io::Result<Guest> {
        let person = self.admit(server, &format!("Guest {number}")).await?;
        let (tap, shown) = recorder::tap(history.clone(), number);
        let features = vec!["deflate".to_owned()];
        let client = Client::connect_tapped(server.ws_url(), Some(person.token.clone()), features, tap);
        client.subscribe(self.session, [Stream::Main, Stream::Side]);
        Ok(Guest { person, number, client, shown })
    }

    /// Returns calls of the owner.
    pub fn rest(&self, server: &Server) -> Rest {
        server.rest().with_token(&self.owner)
    }

    /// Returns the last number of a stream.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn head(&self, rest: &Rest, stream: Stream) -> io::Result<Seq> {
        Ok(self.page(rest, stream, Seq::ZERO, 1).await?.0)
    }

    /// Reads a piece of history, writes down that it was read, and returns the last number.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn read(
        &self,
        rest: &Rest,
        client: u32,
        stream: Stream,
        after: Seq,
        history: &History,
    ) -> io::Result<Seq> {
        let (read, place) = (history.number(), Place { session: self.session, stream });
        history.push(Record::Reading { client, read, place });
        let (head, items) = self.page(rest, stream, after, PAGE).await?;
        history.push(Record::Read { read, after, head, limit: PAGE, items });
        Ok(head)
    }

    /// Reads a whole stream as it is on the disk.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn log(&self, rest: &Rest, stream: Stream) -> io::Result<Vec<Entry>> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let after = all.last().map(|entry| entry.seq).unwrap_or_default();
            let (head, items) = self.page(rest, stream, after, PAGE).await?;
            if items.is_empty() {
                return match after == head {
                    true => Ok(all),
                    false => Err(io::Error::other(format!("{stream} stops at {after}, its head is {head}"))),
                };
            }
            all.extend(items);
        }
    }

    async fn page(&self, rest: &Rest, stream: Stream, after: Seq, limit: usize) -> io::Result<(Seq, Vec<Entry>)> {
        let session = self.session;
        let path = format!("/api/v1/sessions/{session}/events?stream={stream}&after={after}&limit={limit}");
        let page = rest.get(&path).await?.ok()?;
        let head = page["head"].as_u64().ok_or_else(|| io::Error::other("a page without head"))?;
        // The same reader as for frames, so that equal events have equal hashes.
        let frame = json!({"type": "events", "session_id": session, "stream": stream, "items": page["events"]});
        match incoming::from_text(&frame.to_string()).map_err(io::Error::other)? {
            Incoming::Events { items, .. } => Ok((Seq(head), items.iter().map(Entry::from).collect())),
            _ => Err(io::Error::other("a page without events")),
        }
    }
}

fn text(value: &Value, pointer: &str) -> io::Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| io::Error::other(format!("{pointer} is missing in {value}")))
}
