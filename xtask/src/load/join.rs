//! Joining a session of 10,000 events: how long until the first content is there.

use anyhow::{Context, Result, ensure};
use std::ops::ControlFlow;
use tokio::time::sleep;

use super::Bench;
use super::server::{self, Server, is, refused, wait_for};
use super::tally::{Marks, message, now};

/// How many events the session holds, but for the few that made it.
const EVENTS: u64 = 10_000;
/// How many are posted before the first of them is acknowledged.
const WINDOW: u64 = 32;

/// Medians of joins. Unit: milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// From the TCP connection to the first content, on a server that has the session loaded.
    pub warm_ms: f64,
    /// The same from the `subscribe` on.
    pub warm_subscribe_ms: f64,
    /// What a join takes of the server's processor time.
    pub warm_cpu_ms: f64,
    /// From the TCP connection to the first content, on a server that has just been started.
    pub cold_ms: f64,
    /// The same from the `subscribe` on.
    pub cold_subscribe_ms: f64,
}

/// Fills a session and joins it again and again.
pub async fn measure(bench: &Bench) -> Result<Figures> {
    let mut server = Server::start(&bench.binary, bench.work.path(), &[]).await?;
    let owner = server.guest("Owner").await?;
    let (session, _) = server.session(&owner, "guide").await?;
    fill(&server, &owner, &session).await.context("the session could not be filled")?;
    // Snapshots are written behind the room's back.
    sleep(bench.options.settle()).await;
    let (warm, cold) = bench.options.joins();
    join(&server, &owner, &session).await?;
    let cpu = server.process.cpu()?;
    let mut warm_joins = Vec::new();
    for _ in 0..warm {
        warm_joins.push(join(&server, &owner, &session).await?);
    }
    let warm_cpu_ms = (server.process.cpu()? - cpu) as f64 / 1e6 / warm as f64;
    let mut cold_joins = Vec::new();
    for _ in 0..cold {
        server = server.restart().await?;
        cold_joins.push(join(&server, &owner, &session).await?);
    }
    server.process.stop().await?;
    let (warm_ms, warm_subscribe_ms) = medians(&warm_joins);
    let (cold_ms, cold_subscribe_ms) = medians(&cold_joins);
    Ok(Figures { warm_ms, warm_subscribe_ms, warm_cpu_ms, cold_ms, cold_subscribe_ms })
}

async fn fill(server: &Server, owner: &str, session: &str) -> Result<()> {
    let socket = server.socket(owner).await?;
    let (mut posted, mut acked) = (0, 0);
    let next = |posted: &mut u64| {
        *posted += 1;
        server::post(session, *posted, &message(*posted, now()))
    };
    let first: Vec<String> = (0..WINDOW).map(|_| next(&mut posted)).collect();
    socket.send_all(first.iter().map(String::as_str));
    let writer = socket.clone();
    let filled = socket.pump(|frame, _| {
        refused(frame)?;
        if is(frame, "ok") {
            acked += 1;
            if posted < EVENTS {
                writer.send(&next(&mut posted));
            }
        }
        Ok(if acked == EVENTS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    filled.await
}

/// Joins; returns the time from the connection and from the `subscribe` to the first content. Unit: nanoseconds.
async fn join(server: &Server, token: &str, session: &str) -> Result<(u64, u64)> {
    let connected = now();
    let socket = server.socket(token).await?;
    let subscribed = now();
    server::subscribe(&socket, session);
    wait_for(&socket, "subscribed").await?;
    let marks = Marks::default();
    let content = socket.pump(|frame, at| {
        refused(frame)?;
        if !is(frame, "snapshot") && !is(frame, "events") {
            return Ok(ControlFlow::Continue(()));
        }
        // The end of the conversation is what one sees first.
        let last = marks.of(frame).map(|(_, number)| number).max();
        ensure!(last == Some(EVENTS), "the first content ends at message {last:?} of {EVENTS}");
        Ok(ControlFlow::Break(at))
    });
    let at = content.await.context("no content came")?;
    Ok((at - connected, at - subscribed))
}

fn medians(joins: &[(u64, u64)]) -> (f64, f64) {
    let median = |mut values: Vec<u64>| {
        values.sort_unstable();
        values[values.len() / 2] as f64 / 1e6
    };
    (median(joins.iter().map(|join| join.0).collect()), median(joins.iter().map(|join| join.1).collect()))
}
