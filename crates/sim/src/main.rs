//! `roundtable-sim`: plays seeds and says which one fails and how to play it again.
//!
//! `--seeds N` (1,000), `--from N` (0), `--seed N` for one, `--aloud` to have it tell every frame, `--fault NAME` to plant
//! a mistake, `--fixtures` to write `fixtures/views`.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use roundtable_sim::{Fault, Report, fixtures, run, run_aloud};

const USAGE: &str = "usage: roundtable-sim [--seeds N] [--from N] [--seed N] [--aloud] [--fault NAME] [--fixtures]";

struct Options {
    from: u64,
    seeds: u64,
    fault: Option<Fault>,
    fixtures: bool,
    aloud: bool,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.fixtures {
        return write_fixtures();
    }
    let started = Instant::now();
    let reports = play(&options);
    let failed = reports.iter().find(|r| r.violation.is_some());
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    println!(
        "{} seeds in {:.1} s: {} events, {} of branches, {} server deaths, {} connections, {} snapshots",
        reports.len(),
        started.elapsed().as_secs_f64(),
        sum(|r| r.events as u64),
        sum(|r| r.branching as u64),
        sum(|r| r.crashes),
        sum(|r| r.connections),
        sum(|r| r.snapshots),
    );
    let Some(report) = failed else { return ExitCode::SUCCESS };
    let violation = report.violation.as_deref().unwrap_or_default();
    println!("seed {} fails: {violation}", report.seed);
    let fault = Fault::ALL.iter().find(|(f, _)| Some(*f) == options.fault);
    let fault = fault.map(|(_, name)| format!(" --fault {name}")).unwrap_or_default();
    println!("again: cargo run --release -p roundtable-sim -- --aloud --seed {}{fault}", report.seed);
    ExitCode::FAILURE
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { from: 0, seeds: 1_000, fault: None, fixtures: false, aloud: false };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is no number"));
        match word.as_str() {
            "--seeds" => options.seeds = number(value()?)?,
            "--from" => options.from = number(value()?)?,
            "--seed" => (options.from, options.seeds) = (number(value()?)?, 1),
            "--fault" => {
                let name = value()?;
                let fault = Fault::ALL.iter().find(|(_, n)| *n == name);
                let names = || Fault::ALL.map(|(_, n)| n).join(", ");
                options.fault = Some(fault.ok_or_else(|| format!("no fault {name}; there are {}", names()))?.0);
            }
            "--aloud" => options.aloud = true,
            "--fixtures" => options.fixtures = true,
            _ => return Err(format!("{word} is not known")),
        }
    }
    Ok(options)
}

/// Plays the seeds on every processor; stops soon after the first failure.
fn play(options: &Options) -> Vec<Report> {
    let next = AtomicU64::new(options.from);
    let end = options.from + options.seeds;
    let reports = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let report = if options.aloud { run_aloud(seed, options.fault) } else { run(seed, options.fault) };
                    if report.violation.is_some() {
                        next.store(end, Ordering::Relaxed);
                    }
                    reports.lock().expect("nobody panics with it").push(report);
                }
            });
        }
    });
    let mut reports = reports.into_inner().expect("nobody panics with it");
    reports.sort_by_key(|r| r.seed);
    reports
}

fn write_fixtures() -> ExitCode {
    match fixtures::write() {
        Ok(files) => {
            println!("{files} files written");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("failed to write the fixtures: {error}");
            ExitCode::FAILURE
        }
    }
}
