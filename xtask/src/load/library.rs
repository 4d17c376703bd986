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
        let [memory, sqlite, asyncio] = found.map(median);
        all.push(Figures { watchers, memory, sqlite, asyncio });
    }
    Ok(all)
}

impl Figures {
    /// Returns how many messages we send, in memory, in the time in which Python sends one.
    pub fn ratio(&self) -> f64 {
        self.memory / self.asyncio
    }
}

fn rate(program: &Path, first: &[&str], watchers: u32) -> Result<f64> {
    let out = Command::new(program)
        .args(first)
        .args(["--subscribers", &watchers.to_string()])
        .output()
        .with_context(|| format!("failed to start {}", program.display()))?;
    ensure!(out.status.success(), "{} ended with {}", program.display(), out.status);
    told(&out.stdout, watchers).with_context(|| format!("{} told no figures", program.display()))
}

/// Reads the messages a second from what a bench prints: one JSON object, about that many watchers, who were told of every
/// message.
fn told(printed: &[u8], watchers: u32) -> Result<f64> {
    let told: Value = serde_json::from_slice(printed).context("it is no JSON")?;
    let number = |name: &str| told[name].as_f64().filter(|n| n.is_finite()).with_context(|| format!("no {name}"));
    let (rate, deliveries) = (number("messages_per_second")?, number("deliveries_per_second")?);
    ensure!(number("subscribers")? == f64::from(watchers), "it is about others than {watchers} watchers");
    ensure!(rate > 0.0, "no message was sent");
    // Rounded to whole ones before.
    ensure!((deliveries - rate * f64::from(watchers)).abs() <= f64::from(watchers), "not everybody was told");
    Ok(rate)
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_from_what_either_bench_prints() {
        // With Python's spaces and digits, and without.
        let python = br#"{"subscribers": 10, "messages_per_second": 98765.4321, "deliveries_per_second": 987654.321}"#;
        assert_eq!(told(python, 10).expect("figures"), 98_765.432_1);
        let ours = br#"{"subscribers":10,"messages_per_second":41234,"deliveries_per_second":412337}"#;
        assert_eq!(told(ours, 10).expect("figures"), 41_234.0);
    }

    #[test]
    fn what_is_no_rate_or_about_something_else_is_refused() {
        for (printed, why) in [
            ("", "it is no JSON"),
            ("[]", "no messages_per_second"),
            (r#"{"subscribers":10,"messages_per_second":"7","deliveries_per_second":70}"#, "no messages_per_second"),
            (r#"{"subscribers":1,"messages_per_second":7,"deliveries_per_second":7}"#, "others than 10"),
            (r#"{"subscribers":10,"messages_per_second":0,"deliveries_per_second":0}"#, "no message was sent"),
            (
                r#"{"subscribers":10,"messages_per_second":7000,"deliveries_per_second":63000}"#,
                "not everybody was told",
            ),
        ] {
            let error = told(printed.as_bytes(), 10).expect_err(printed).to_string();
            assert!(error.contains(why), "{printed}: {error}");
        }
    }

    #[test]
    fn one_slow_round_of_three_does_not_count() {
        assert_eq!(median(vec![40_000.0, 9_000.0, 42_000.0]), 40_000.0);
        assert_eq!(median(vec![7.0]), 7.0, "a quick run has one round");
    }

    #[test]
    fn the_peer_is_where_it_is_looked_for_and_speaks_the_same_figures() {
        let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/peers/library.py");
        let peer = std::fs::read_to_string(peer).expect("the peer");
        for name in ["--subscribers", "subscribers", "messages_per_second", "deliveries_per_second"] {
            assert!(peer.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}
