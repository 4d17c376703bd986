//! The server from outside: one binary for all of it.

mod access;
mod assistants;
mod attachments;
mod bad_days;
mod branches;
mod browsers;
mod checkpoints;
mod codes;
mod command_line;
mod context;
mod documents;
mod doors;
mod errors;
mod events;
mod forks;
mod idempotency;
mod kill;
mod life;
mod limits;
mod lobby;
mod logs;
mod memories;
mod metrics;
mod operator;
mod people;
mod reading;
mod replay;
mod rest;
mod rubbish;
mod shutdown;
mod sockets;
mod summaries;
mod support;
mod turns;

/// Every file beside this one is a module of this binary: one that is not listed would never run.
#[test]
fn every_file_here_is_listed() {
    let source = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")).expect("the folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        let Some(module) = name.strip_suffix(".rs") else { continue };
        assert!(module == "main" || source.contains(&format!("mod {module};")), "{name} is not listed");
    }
}
