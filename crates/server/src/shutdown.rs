//! The order in which everything ends.
//!
//! Owns: that order and its times. Must not know: how each part ends. Invariant: nothing that was acknowledged is lost:
//! sessions end before the store does.

use std::time::Duration;

use rand_between::between;
use roundtable_protocol::frame::{Bye, ServerFrame};
use tokio_util::sync::CancellationToken;

use crate::state::App;

/// How long running turns get to let go of their upstream calls.
const TURNS_END: Duration = Duration::from_secs(2);

/// Ends everything, in order: connections are told when to come back, requests finish, turns are cut, rooms write their
/// snapshots, the store closes.
pub async fn run(app: &App, stop_turns: CancellationToken, turns: tokio::task::JoinHandle<()>) {
    tracing::info!("shutting down");
    app.closing.cancel();
    app.operator.withdraw(&app.settings);
    app.connections.close();
    if tokio::time::timeout(app.settings.shutdown_timeout, app.connections.wait()).await.is_err() {
        tracing::warn!(count = app.connections.len(), "some connections did not end in time and are cut");
    }
    stop_turns.cancel();
    if tokio::time::timeout(TURNS_END, turns).await.is_err() {
        tracing::warn!("some turns did not end in time; they are recorded as lost");
    }
    app.manager.shutdown().await;
    if let Err(error) = app.store.close().await {
        tracing::error!(%error, "the store did not close as it should");
    }
    tracing::info!("shut down");
}

/// Returns the last frame of every connection when the server goes away. Not all come back at the same moment.
pub fn bye() -> ServerFrame {
    ServerFrame::Bye(Bye { code: "shutting_down".to_owned(), retry_after_ms: between(500, 2000) })
}

mod rand_between {
    use roundtable_hub::clock;

    /// Returns a random number of the range; the bias of the remainder does not matter here.
    pub(super) fn between(low: u64, high: u64) -> u64 {
        low + u64::from(u32::from_le_bytes(clock::random())) % (high - low + 1)
    }
}
