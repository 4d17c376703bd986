//! Normal clients whose waiting time is measured while others misbehave.
//!
//! Owns: who talks how fast, and how long each waited for its acknowledgement. Must not know: who misbehaves.

use std::fmt;
use std::io;
use std::time::Duration;

use roundtable_protocol::Problem;
use roundtable_protocol::ids::Stream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::people::Room;
use super::server::Server;
use crate::socket::Client;

/// How many people sit in one session.
const TABLE: usize = 5;
/// How long somebody may take to be there.
const ARRIVE: Duration = Duration::from_secs(20);

/// People who talk, five in a session.
pub struct Crowd {
    people: Vec<(Room, Client)>,
}

impl Crowd {
    /// Lets `size` people in and waits until all are there.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn gather(server: &Server, size: usize) -> io::Result<Self> {
        let mut people = Vec::new();
        while people.len() < size {
            let room = Room::open(server).await?;
            for n in 0..TABLE.min(size - people.len()) {
                let person = room.admit(server, &format!("Person {n}")).await?;
                let client = Client::connect(server.ws_url(), Some(person.token));
                client.subscribe(room.session, [Stream::Main, Stream::Side]);
                people.push((room.clone(), client));
            }
        }
        for (room, client) in &people {
            let there = client.wait_until(room.session, ARRIVE, |session| session.is_live(Stream::Main));
            there.await.map_err(io::Error::other)?;
        }
        Ok(Self { people })
    }

    /// Has everybody say something so often, evenly spread, and waits for every acknowledgement.
    ///
    /// # Errors
    /// Something was refused for good.
    pub async fn talk(&self, times: u32, every: Duration) -> io::Result<Waits> {
        let start = Instant::now();
        let mut talking = JoinSet::new();
        for (n, (room, client)) in self.people.iter().enumerate() {
            let (session, client) = (room.session, client.clone());
            let first = start + every * u32::try_from(n).unwrap_or(0) / u32::try_from(self.people.len()).unwrap_or(1);
            talking.spawn(async move {
                let mut waits = Vec::new();
                for time in 0..times {
                    // The pace is the load: a slow answer does not make the next question later.
                    tokio::time::sleep_until(first + every * time).await;
                    let asked = Instant::now();
                    client.post(session, Stream::Main, &format!("word {time} of {n}"), None).await?;
                    waits.push(asked.elapsed());
                }
                Ok(waits)
            });
        }
        let mut all = Vec::new();
        while let Some(waits) = talking.join_next().await {
            let waits: Result<Vec<Duration>, Box<Problem>> = waits.map_err(io::Error::other)?;
            all.extend(waits.map_err(io::Error::other)?);
        }
        all.sort_unstable();
        Ok(Waits(all))
    }
}

/// How long people waited, shortest first.
#[derive(Clone, Debug)]
pub struct Waits(Vec<Duration>);

impl Waits {
    /// Returns what 99 of 100 did not wait longer than.
    pub fn p99(&self) -> Duration {
        self.part(99)
    }

    /// Returns what one half did not wait longer than.
    pub fn p50(&self) -> Duration {
        self.part(50)
    }

    fn part(&self, percent: usize) -> Duration {
        let place = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(place).copied().unwrap_or_default()
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |wait: Duration| wait.as_secs_f64() * 1000.0;
        write!(f, "p50 {:.1} ms, p99 {:.1} ms of {}", ms(self.p50()), ms(self.p99()), self.0.len())
    }
}
