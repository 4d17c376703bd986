//! The examples of the library run as they stand, and every public call of it has a tested example.

#[path = "../../examples/agent_swarm.rs"]
mod agent_swarm;
#[path = "../../examples/two_friends.rs"]
mod two_friends;

#[test]
fn two_friends_talk_until_the_end() {
    two_friends::main().expect("the example runs");
}

#[test]
fn fifty_agents_write_one_context_and_lose_nothing() {
    agent_swarm::main().expect("the example runs");
}

#[test]
fn every_public_call_of_the_library_has_a_tested_example() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut without = Vec::new();
    let mut found = 0;
    for file in sources(std::path::Path::new(folder)) {
        let text = std::fs::read_to_string(&file).expect("a source");
        for (name, has_example) in calls(&text) {
            found += 1;
            if !has_example {
                without.push(format!("{}: {name}", file.file_stem().expect("a name").display()));
            }
        }
    }
    assert!(found > 60, "{found} calls were found");
    assert!(without.is_empty(), "no example that is run:\n{}", without.join("\n"));
}

/// Returns every source below `folder`.
fn sources(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// Returns the public functions in `impl` blocks of the library's own types, and whether the comment above each holds an
/// example that is run.
fn calls(text: &str) -> Vec<(String, bool)> {
    const TYPES: [&str; 6] = ["SessionManager", "Watcher", "Somebody", "Entry", "Place", "ReplayOptions"];
    let mut all = Vec::new();
    let (mut inside, mut example, mut fenced) = (false, false, false);
    for line in text.lines() {
        if line.starts_with("impl ") {
            inside = TYPES.iter().any(|name| line.starts_with(&format!("impl {name} {{")));
        }
        if line == "}" {
            inside = false;
        }
        let trimmed = line.trim_start();
        if let Some(comment) = trimmed.strip_prefix("///") {
            match comment.trim() {
                "```" if !fenced => (fenced, example) = (true, true),
                fence if fence.starts_with("```") => fenced = !fenced,
                _ => {}
            }
            continue;
        }
        let name = trimmed.strip_prefix("pub async fn ").or_else(|| trimmed.strip_prefix("pub fn "));
        if let Some(name) = name.filter(|_| inside && line.starts_with("    pub")) {
            let name = name.split(['(', '<']).next().unwrap_or_default();
            all.push((name.to_owned(), example));
        }
        if !trimmed.starts_with("#[") {
            (example, fenced) = (false, false);
        }
    }
    all
}
