//! Durable appends: `SessionManager` beside a bare loop of group commits with the same row layout, in the same run.
//!
//! Both are examples of their crates that print one JSON object a line; they run one after another on the same disk.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::Bench;
use crate::tasks::cargo;

/// The numbers of waiting callers.
pub const CALLERS: &[u64] = &[64, 1_024];

/// What one number of callers gave.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub callers: u64,
    pub manager: Rate,
    pub bare: Rate,
}

/// How fast, and how long each caller waited.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub events_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Runs both for each number of callers.
pub async fn measure(bench: &Bench) -> Result<Vec<Figures>> {
    let mut all = Vec::new();
    for &callers in CALLERS {
        let bare = run(bench, "roundtable-store", callers).await?;
        let manager = run(bench, "roundtable-hub", callers).await?;
        all.push(Figures { callers, manager, bare });
    }
    Ok(all)
}

async fn run(bench: &Bench, package: &str, callers: u64) -> Result<Rate> {
    let data = tempfile::Builder::new().prefix("append-").tempdir_in(bench.work.path())?;
    let seconds = bench.options.measured(true).as_secs().to_string();
    let mut command = Command::from(cargo(&bench.root));
    command
        .args(["run", "--quiet", "--release", "--package", package, "--example", "append_bench", "--"])
        .args(["--callers", &callers.to_string(), "--sessions", "100", "--seconds", &seconds, "--data"])
        .arg(data.path().join("data"))
        .stderr(std::process::Stdio::inherit());
    let output = command.output().await.with_context(|| format!("failed to run the bench of {package}"))?;
    ensure!(output.status.success(), "the bench of {package} ended with {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().rev().find(|line| line.starts_with('{')).context("the bench printed no result")?;
    let value: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
    let number = |field: &str| value[field].as_f64().with_context(|| format!("no {field} in {line}"));
    ensure!(number("callers")? == callers as f64, "the bench ran with other callers than asked: {line}");
    Ok(Rate { events_per_second: number("events_per_second")?, p50_ms: number("p50_ms")?, p99_ms: number("p99_ms")? })
}
