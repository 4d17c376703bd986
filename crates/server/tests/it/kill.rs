//! The server dies, and nothing that was acknowledged is lost. `make soak` does the same for much longer.

use std::time::{SystemTime, UNIX_EPOCH};

use roundtable_client::trial::rounds::{self, Plan};
use roundtable_client::trial::server::Launch;

#[tokio::test(flavor = "multi_thread")]
async fn i1_to_i9_hold_when_the_server_is_killed_while_twenty_people_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let launch = Launch::new(env!("CARGO_BIN_EXE_roundtable"), folder.path().join("data"));
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    // Short rounds, but all there is to them: turns that lose their server, people who vanish.
    let plan = Plan { seed, rounds: 20, writers: 20, readers: 3, round_ms: 150, slow: true };
    let report = rounds::run(&rounds::unlimited(launch), &plan).await.unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    assert!(report.findings.is_empty(), "{report}");
    assert!(report.kills >= 20 && report.acked > 400 && report.reads > 0, "the trial was no trial: {report}");
}
