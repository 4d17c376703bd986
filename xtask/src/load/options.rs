//! What the tool is asked to do.

use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::Duration;

use super::peers::System;

/// The measures, in the order in which they run.
pub const MEASURES: &[(&str, &str)] = &[
    ("start", "cold start to the page, memory of a fresh server, size of the binary"),
    ("append", "durable appends through SessionManager beside a bare group commit"),
    ("join", "joining a session of 10,000 events, warm and cold"),
    ("fanout", "one session, 100, 1,000 and 5,000 receivers, 20,000 deliveries a second"),
    ("burst", "the same receivers, 16 messages in flight; also pieces of an answer"),
    ("idle", "memory of 5,000 idle connections"),
    ("sessions", "500 sessions of four people, paced and saturated"),
    ("hot", "one session of 500 writers"),
    ("library", "messages through the library's calls, beside plain asyncio in Python"),
    ("isolation", "50 quiet sessions, alone and beside one at 5,000 commands a second"),
];

/// The numbers of receivers.
pub const SIZES: &[usize] = &[100, 1_000, 5_000];

/// How the tool was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub quick: bool,
    pub write: bool,
    /// Another binary than the release build of this tree.
    pub binary: Option<PathBuf>,
    systems: Vec<System>,
    only: Vec<String>,
    sizes: Vec<usize>,
}

impl Options {
    /// Reads the arguments.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            quick: false,
            write: false,
            binary: None,
            systems: System::ALL.to_vec(),
            only: Vec::new(),
            sizes: SIZES.to_vec(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--write" => options.write = true,
                "--binary" => {
                    let Some(path) = arguments.next() else { bail!("--binary wants the path of a server's binary") };
                    options.binary = Some(path.into());
                }
                "--systems" => {
                    let Some(list) = arguments.next() else { bail!("--systems wants names, as in --systems ours,bun") };
                    options.systems = list.split(',').map(system).collect::<Result<_>>()?;
                }
                "--sizes" => {
                    let Some(list) = arguments.next() else { bail!("--sizes wants numbers, as in --sizes 100,1000") };
                    options.sizes = list.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                name if name.strip_prefix("--").is_some_and(is_measure) => {
                    options.only.push(name.trim_start_matches('-').to_owned());
                }
                other => bail!("\"{other}\" means nothing here\n\n{}", usage()),
            }
        }
        Ok(options)
    }

    /// Says whether a measure is wanted.
    pub fn does(&self, measure: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == measure)
    }

    /// Returns whose servers are wanted, in the order in which they run.
    pub fn systems(&self) -> impl Iterator<Item = System> {
        System::ALL.into_iter().filter(|system| self.systems.contains(system))
    }

    /// Says whether somebody else's server is wanted.
    pub fn peers(&self) -> bool {
        self.systems().any(|system| system != System::Ours)
    }

    /// Returns the numbers of receivers that are wanted.
    pub fn sizes(&self) -> Vec<usize> {
        if self.does("fanout") || self.does("burst") {
            return self.sizes.clone();
        }
        SIZES.last().into_iter().copied().filter(|_| self.does("idle")).collect()
    }

    /// Returns how often a fan-out is measured; the median counts. The promises are about 1,000 receivers.
    pub fn rounds(&self, receivers: usize) -> usize {
        if receivers == 1_000 && !self.quick { 3 } else { 1 }
    }

    /// Returns how long load runs before anything counts.
    pub fn warm_up(&self) -> Duration {
        Duration::from_millis(if self.quick { 500 } else { 1_000 })
    }

    /// Returns how long a phase is measured.
    pub fn measured(&self, burst: bool) -> Duration {
        Duration::from_secs(match (self.quick, burst) {
            (true, _) => 2,
            (false, true) => 4,
            (false, false) => 5,
        })
    }

    /// Returns how long a server is left alone before its memory is read.
    pub fn settle(&self) -> Duration {
        Duration::from_millis(if self.quick { 1_000 } else { 2_000 })
    }

    /// Returns how many joins are made warm and cold.
    pub fn joins(&self) -> (usize, usize) {
        if self.quick { (5, 3) } else { (20, 9) }
    }
}

fn system(name: &str) -> Result<System> {
    match System::ALL.into_iter().find(|system| system.name() == name) {
        Some(system) => Ok(system),
        None => bail!("\"{name}\" is no system; there are ours, socketio and bun"),
    }
}

fn is_measure(name: &str) -> bool {
    MEASURES.iter().any(|(measure, _)| *measure == name)
}

/// Says what may be asked.
pub fn usage() -> String {
    let mut text = String::from(
        "usage: cargo xtask load [--quick] [--write] [--systems ...] [--binary PATH] [--sizes N,N] [--MEASURE ...]\n\n  \
         --quick     short phases, one round: to see that it works, not to quote\n  \
         --write     put the result into docs/performance.md\n  \
         --systems   whose servers: ours,socketio,bun without it\n  \
         --binary    another binary than target/release/roundtable, to compare two builds\n  \
         --sizes     numbers of receivers; 100,1000,5000 without it\n\n\
         Measures; all without one:\n",
    );
    for (name, what) in MEASURES {
        text.push_str(&format!("  {:<12}{what}\n", format!("--{name}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn without_a_measure_everything_is_measured() {
        let options = parse("--quick").expect("good arguments");
        assert!(MEASURES.iter().all(|(name, _)| options.does(name)));
        assert_eq!((options.sizes(), options.rounds(1_000)), (SIZES.to_vec(), 1));
    }

    #[test]
    fn a_measure_alone_is_measured_alone() {
        let options = parse("--idle").expect("good arguments");
        assert!(options.does("idle") && !options.does("fanout"));
        assert_eq!(options.sizes(), [5_000]);
        assert_eq!(parse("--fanout --sizes 10,20").expect("good arguments").sizes(), [10, 20]);
        assert!(parse("--join").expect("good arguments").sizes().is_empty());
    }

    #[test]
    fn systems_run_in_one_order() {
        let options = parse("--systems bun,ours").expect("good arguments");
        assert_eq!(options.systems().collect::<Vec<_>>(), [System::Ours, System::Bun]);
        assert!(options.peers() && !parse("--systems ours").expect("good arguments").peers());
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in ["--fast", "fanout", "--sizes", "--sizes x", "--systems ws", "--"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
