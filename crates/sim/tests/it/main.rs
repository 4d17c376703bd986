//! The simulator's own tests: seeds without a fault hold, planted faults are found, a seed is a seed.
mod fixtures;
mod seeds;

/// Every file beside this one is a module of this binary: one that is not listed would never run.
#[test]
fn every_file_here_is_listed() {
    let source = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(module == "main" || source.contains(&format!("mod {module};")), "{name} is not listed");
    }
}
