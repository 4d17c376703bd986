//! `cargo xtask kill`: a real server, real sockets, SIGKILL; `--bad-days` for everything else that goes wrong.
//!
//! Owns: arguments, what is printed, the exit code. Must not know: how faults are made and what is checked; that is
//! `roundtable_client::trial`, which the server's tests use too. Invariant: a run that finds anything ends with 1 and
//! prints the seed with which it can be asked for again.

mod bad_days;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use roundtable_client::trial::rounds::{self, Plan};
use roundtable_client::trial::server::Launch;

use crate::tasks;

const USAGE: &str = "\
usage: cargo xtask kill [arguments]

  --rounds N    how often the server is killed (default 20)
  --writers N   how many people write meanwhile (default 20)
  --seed S      the seed of a former run (default: the time)
  --binary F    the server to kill (default: target/release/roundtable, built if it is missing)
  --bad-days    callers who hold, flood and never finish, instead of kills";

/// How many people only read.
const READERS: u32 = 5;
/// The longest time that a round writes after everybody has come back. Unit: milliseconds.
const ROUND_MS: u64 = 1_500;

struct Options {
    rounds: u32,
    writers: u32,
    seed: u64,
    binary: PathBuf,
    bad_days: bool,
}

/// Kills a server in rounds, or puts it through bad days.
pub fn run(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    let options = options(root, arguments)?;
    if !options.binary.exists() {
        let build = ["build", "--release", "--quiet", "-p", "roundtable-server"];
        let status = tasks::cargo(root).args(build).status().context("failed to start cargo")?;
        ensure!(status.success(), "the server does not build");
    }
    let folder = tempfile::tempdir()?;
    let launch = Launch::new(&options.binary, folder.path().join("data"));
    let good = match options.bad_days {
        true => bad_days::run(launch),
        false => tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(kill(launch, &options)),
    };
    match good {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => {
            println!(
                "again: cargo xtask kill --rounds {} --writers {} --seed {}",
                options.rounds, options.writers, options.seed
            );
            keep(folder);
            Ok(ExitCode::FAILURE)
        }
        Err(error) => {
            keep(folder);
            Err(error.context(format!("seed {}", options.seed)))
        }
    }
}

async fn kill(launch: Launch, options: &Options) -> Result<bool> {
    let launch = rounds::unlimited(launch);
    let Options { seed, rounds, writers, .. } = *options;
    println!("killing {} {rounds} times while {writers} people write, seed {seed}", options.binary.display());
    let plan = Plan { seed, rounds, writers, readers: READERS, round_ms: ROUND_MS, slow: true };
    let report = rounds::run(&launch, &plan).await?;
    println!("{report}");
    Ok(report.findings.is_empty())
}

/// Leaves the data folder and the server's log for whoever wants to know why.
fn keep(folder: tempfile::TempDir) {
    println!("data and log stay in {}", folder.keep().display());
}

fn options(root: &Path, arguments: &[String]) -> Result<Options> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let binary = target.join("release/roundtable");
    let mut options = Options { rounds: 20, writers: 20, seed, binary, bad_days: false };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{name} wants a value"));
        match name.as_str() {
            "--rounds" => options.rounds = value()?.parse().context("--rounds wants a number")?,
            "--writers" => options.writers = value()?.parse().context("--writers wants a number")?,
            "--seed" => options.seed = value()?.parse().context("--seed wants a number")?,
            "--binary" => options.binary = value()?.into(),
            "--bad-days" => options.bad_days = true,
            _ => bail!("no argument is called {name}\n\n{USAGE}"),
        }
    }
    ensure!(options.writers > 0 && options.rounds > 0, "there must be rounds and writers");
    Ok(options)
}
