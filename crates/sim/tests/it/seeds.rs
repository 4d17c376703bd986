use roundtable_sim::{Fault, Report, run};

/// How many seeds an ordinary test run plays; `roundtable-sim` plays a thousand.
const SEEDS: u64 = 160;
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
fn no_seed_breaks_a_promise() {
    let halves = std::thread::scope(|scope| {
        let odd = scope.spawn(|| check((0..SEEDS).skip(1).step_by(2)));
        let even = check((0..SEEDS).step_by(2));
        [even, odd.join().unwrap()].concat()
    });
    let sum = |of: fn(&Report) -> u64| halves.iter().map(of).sum::<u64>();
    assert!(sum(|r| r.crashes) > SEEDS, "servers die");
    assert!(sum(|r| r.snapshots) > SEEDS / 2, "snapshots are sent");
    assert!(sum(|r| r.connections) > 10 * SEEDS, "connections break");
}

#[test]
fn every_planted_fault_is_found() {
    for (fault, name) in Fault::ALL {
        let found = (0..BOUND).find_map(|seed| run(seed, Some(fault)).violation);
        assert!(found.is_some(), "{name} was not found within {BOUND} seeds");
    }
}

#[test]
fn a_seed_gives_the_same_trace_twice() {
    for seed in [0, 3, 8] {
        assert_eq!(run(seed, None), run(seed, None));
    }
    assert_ne!(run(0, None).trace, run(1, None).trace);
}
