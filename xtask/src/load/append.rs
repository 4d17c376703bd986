//! Durable appends: `SessionManager` beside a bare loop of group commits with the same row layout, in the same run.
//!
//! Both are examples of their crates that print one JSON object a line; they run in turns on the same disk.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

use super::Bench;
use crate::tasks::cargo;

/// How long each is measured in one round.
const SECONDS: u64 = 2;
/// The numbers of waiting callers.
pub const CALLERS: &[u64] = &[64, 1_024];

/// What one number of callers gave: the medians of the rounds. Unit: events a second, milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub callers: u64,
    pub manager: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// `Store::append` alone, with the commits that a room would make.
    pub store: f64,
    pub bare: f64,
    /// `SessionManager` to the bare loop; both of one round.
    pub ratio: f64,
}

/// Runs both in turns for each number of callers.
pub async fn measure(bench: &Bench) -> Result<Vec<Figures>> {
    let mut all = Vec::new();
    for &callers in CALLERS {
        let mut rounds = Vec::new();
        for _ in 0..bench.options.rounds(1_000) {
            rounds.push(round(bench, callers).await?);
        }
        rounds.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
        all.push(rounds[rounds.len() / 2]);
    }
    Ok(all)
}

async fn round(bench: &Bench, callers: u64) -> Result<Figures> {
    let data = tempfile::Builder::new().prefix("append-").tempdir_in(bench.work.path())?;
    let (count, seconds) = (callers.to_string(), SECONDS.to_string());
    let mut below = example(bench, "roundtable-store", "append_bench");
    below.args(["--callers", &count, "--seconds", &seconds, "--rounds", "1", "--dir"]).arg(data.path());
    let below = &json_of(below).await?["durable_append"][0];
    let mut manager = example(bench, "roundtable-hub", "manager_bench");
    manager.args(["--callers", &count, "--seconds", &seconds, "--sessions", "100", "--data"]);
    let manager = json_of(arg(manager, &data.path().join("manager"))).await?;
    let (bare, rate) = (number(below, "bare")?, number(&manager, "events_per_second")?);
    Ok(Figures {
        callers,
        manager: rate,
        p50_ms: number(&manager, "p50_ms")?,
        p99_ms: number(&manager, "p99_ms")?,
        store: number(below, "store")?,
        bare,
        ratio: rate / bare,
    })
}

fn arg(mut command: Command, path: &Path) -> Command {
    command.arg(path);
    command
}

fn example(bench: &Bench, package: &str, name: &str) -> Command {
    let mut command = Command::from(cargo(&bench.root));
    command.args(["run", "--quiet", "--release", "--package", package, "--example", name, "--"]);
    command.stderr(Stdio::inherit());
    command
}

/// Runs a bench; its last line is the result.
async fn json_of(mut command: Command) -> Result<Value> {
    let output = command.output().await.context("failed to start cargo")?;
    ensure!(output.status.success(), "{:?} ended with {}", command.as_std(), output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().context("the bench printed nothing")?;
    serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))
}

fn number(value: &Value, field: &str) -> Result<f64> {
    value[field].as_f64().with_context(|| format!("no {field} in {value}"))
}
