use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use roundtable_sim::{Fault, Report, run};

/// How many seeds an ordinary test run plays.
const SEEDS: u64 = 1000;
/// How long that may take: a promise of the project, on two processors, also without optimisation.
const TIME: Duration = Duration::from_secs(60);
/// Within how many seeds a planted fault must be found.
const BOUND: u64 = 30;

fn check(seeds: impl Iterator<Item = u64>) -> Vec<Report> {
    let reports: Vec<_> = seeds.map(|seed| run(seed, None)).collect();
    for report in &reports {
        assert_eq!(report.violation, None, "again: cargo run -p roundtable-sim -- --aloud --seed {}", report.seed);
    }
    reports
}

/// Played in two halves, one a processor.
#[test]
fn a_thousand_seeds_break_no_promise_and_take_no_longer_than_a_minute() {
    let started = Instant::now();
    let halves = std::thread::scope(|scope| {
        let odd = scope.spawn(|| check((0..SEEDS).skip(1).step_by(2)));
        let even = check((0..SEEDS).step_by(2));
        [even, odd.join().unwrap()].concat()
    });
    let took = started.elapsed();
    assert!(took < TIME, "{SEEDS} seeds took {took:?}");
    let sum = |of: fn(&Report) -> u64| halves.iter().map(of).sum::<u64>();
    assert!(sum(|r| r.crashes) > SEEDS, "servers die");
    assert!(sum(|r| r.snapshots) > SEEDS / 2, "snapshots are sent");
    assert!(sum(|r| r.connections) > 10 * SEEDS, "connections break");
    assert!(sum(|r| r.branching as u64) > 10 * SEEDS, "branches are begun, moved, merged and copied");
}

/// Returns the invariant that a fault breaks, and those that may break earlier in the same run as its consequence.
fn breaks(fault: Fault) -> (&'static str, &'static [&'static str]) {
    match fault {
        Fault::Skip | Fault::Swap => ("I5", &[]),
        Fault::Double => ("I2", &[]),
        Fault::StaleSnapshot | Fault::ForgottenResume => ("I8", &[]),
        // What was acknowledged and is lost leaves its number to something else, and its reader without it.
        Fault::AckBeforeCommit => ("I1", &["I3", "I4", "I7"]),
    }
}

#[test]
fn every_planted_fault_is_found_by_the_invariant_that_it_breaks() {
    for (fault, name) in Fault::ALL {
        let found: Vec<_> = (0..BOUND).filter_map(|seed| run(seed, Some(fault)).violation).collect();
        assert!(!found.is_empty(), "{name} was not found within {BOUND} seeds");
        let laws: BTreeSet<_> = found.iter().map(|what| what.split(':').next().unwrap_or_default()).collect();
        let (first, others) = breaks(fault);
        assert!(laws.contains(first), "{name} should break {first}: {found:?}");
        let strange: Vec<_> = laws.iter().filter(|law| **law != first && !others.contains(law)).collect();
        assert!(strange.is_empty(), "{name} should not break {strange:?}: {found:?}");
    }
}

#[test]
fn a_seed_gives_the_same_trace_twice() {
    for seed in [0, 3, 8] {
        assert_eq!(run(seed, None), run(seed, None));
    }
    assert_ne!(run(0, None).trace, run(1, None).trace);
}
