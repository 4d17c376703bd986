//! The library's calls in a program of one's own, beside the same calls in plain asyncio: `library_bench.rs` of the hub
//! and `bench/peers/library.py`, one after another, each in a process of its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Bench, target};

/// How many watch the session.
const WATCHERS: [u32; 3] = [1, 10, 100];
/// How often each is measured; the median counts.
const ROUNDS: usize = 3;

/// What one number of watchers gave. Unit: messages a second.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub watchers: u32,
    pub memory: f64,
    pub sqlite: f64,
    /// The same in Python.
    pub asyncio: f64,
}

/// Builds the example and runs both.
pub fn measure(bench: &Bench) -> Result<Vec<Figures>> {
    let built = crate::tasks::cargo(&bench.root)
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            "roundtable-hub",
            "--example",
            "library_bench",
        ])
        .status()?;
    ensure!(built.success(), "building library_bench ended with {built}");
    let ours = target(&bench.root).join("release/examples/library_bench");
    let peer = bench.root.join("bench/peers/library.py");
    let rounds = if bench.options.quick { 1 } else { ROUNDS };
    let mut all = Vec::new();
    for watchers in WATCHERS {
        let mut found = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds {
            let data = tempfile::tempdir_in(bench.work.path()).context("failed to make a folder")?;
            found[0].push(rate(&ours, &[], watchers)?);
            found[1].push(rate(&ours, &["--data", &data.path().to_string_lossy()], watchers)?);
            found[2].push(rate(Path::new("python3"), &[&peer.to_string_lossy()], watchers)?);
        }
        let [memory, sqlite, asyncio] = found.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        });
        all.push(Figures { watchers, memory, sqlite, asyncio });
    }
    Ok(all)
}

fn rate(program: &Path, first: &[&str], watchers: u32) -> Result<f64> {
    let watchers = watchers.to_string();
    let out = Command::new(program)
        .args(first)
        .args(["--subscribers", &watchers])
        .output()
        .with_context(|| format!("failed to start {}", program.display()))?;
    ensure!(out.status.success(), "{} ended with {}", program.display(), out.status);
    let told: Value = serde_json::from_slice(&out.stdout).context("it printed no JSON")?;
    told["messages_per_second"].as_f64().context("it told no rate")
}
