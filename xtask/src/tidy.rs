//! Rules about the tree that the compiler cannot check. `cargo xtask tidy` and an ordinary test run them.
//!
//! Owns: which crate may know which, what a file may be called and hold, which words may stand in it.
//! Must not know: what the code means. Invariant: each rule has a test with a planted violation.
//!
//! | module | rules about |
//! |---|---|
//! | [`graph`] | arrows between crates, libraries that must not be reachable, test binaries |
//! | [`layout`] | file names, integration tests, module docs |
//! | [`words`] | clocks, leftovers, host names, machine paths, length |

mod graph;
mod layout;
mod words;

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// One broken rule at one place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    place: String,
    message: String,
}

impl Violation {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

/// A text file of the project; the path is relative to the root and uses `/`.
struct File {
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Prints every violation; the process fails when there is one.
pub fn run(root: &Path) -> Result<ExitCode> {
    let violations = check(root)?;
    for violation in &violations {
        eprintln!("{violation}");
    }
    if violations.is_empty() {
        println!("tidy: nothing to mend");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tidy: {} to mend", violations.len());
    Ok(ExitCode::FAILURE)
}

fn check(root: &Path) -> Result<Vec<Violation>> {
    let files = files(root)?;
    let mut violations = words::check(&files);
    violations.extend(layout::check(&files));
    violations.extend(graph::check(root)?);
    violations.sort();
    Ok(violations)
}

/// Reads what git tracks or would track; a new file is checked before its first commit.
///
/// Binary files and links to nowhere are left out.
fn files(root: &Path) -> Result<Vec<File>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("failed to start git")?;
    ensure!(output.status.success(), "git does not list the project's files: is this a clone?");
    let list = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let paths: BTreeSet<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    let read = |path: &str| {
        let text = String::from_utf8(std::fs::read(root.join(path)).ok()?).ok()?;
        Some(File { path: path.to_owned(), text })
    };
    Ok(paths.into_iter().filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let violations = check(&crate::root()).expect("the tree can be read");
        let lines: Vec<String> = violations.iter().map(Violation::to_string).collect();
        assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
    }

    #[test]
    fn the_tree_that_is_read_holds_this_file() {
        let files = files(&crate::root()).expect("git lists the files");
        assert!(files.iter().any(|file| file.path == "xtask/src/tidy.rs" && file.is_rust()));
    }
}
