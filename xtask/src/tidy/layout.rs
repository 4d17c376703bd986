//! Rules about files: names, module docs, integration tests.

use super::{File, Violation};
use std::collections::BTreeSet;

pub fn check(files: &[File]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        violations.extend(no_mod_rs(file));
        violations.extend(library_has_a_doc(file));
        violations.extend(one_test_binary(file));
    }
    violations.extend(every_test_file_is_listed(files));
    violations
}

fn no_mod_rs(file: &File) -> Option<Violation> {
    let found = file.path.ends_with("/mod.rs");
    found.then(|| Violation::new(&file.path, "a module is foo.rs beside foo/, never mod.rs"))
}

fn library_has_a_doc(file: &File) -> Option<Violation> {
    let first = file.text.lines().find(|line| !line.trim().is_empty());
    let missing = file.path.ends_with("src/lib.rs") && !first.is_some_and(|line| line.starts_with("//!"));
    missing
        .then(|| Violation::new(&file.path, "lib.rs starts with a module doc: what it owns, must not know, invariant"))
}

/// Each file beside `tests/it` would be linked as a binary of its own: slow to build, slow to run.
fn one_test_binary(file: &File) -> Option<Violation> {
    let inside = inside_tests(&file.path)?;
    let found = inside != "it" && !inside.starts_with("it/");
    found.then(|| Violation::new(&file.path, "integration tests lie in tests/it: one binary per crate"))
}

/// A file that no `mod` line names is not compiled: its tests would never run and never fail.
fn every_test_file_is_listed(files: &[File]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for file in files.iter().filter(|file| file.is_rust()) {
        let Some(inside) = inside_tests(&file.path).filter(|inside| inside.starts_with("it/")) else { continue };
        if inside == "it/main.rs" {
            continue;
        }
        let (folder, name) = file.path.rsplit_once('/').expect("a path in tests/it has a folder");
        let module = name.trim_end_matches(".rs");
        let parent =
            if inside.matches('/').count() == 1 { format!("{folder}/main.rs") } else { format!("{folder}.rs") };
        let Some(parent_file) = files.iter().find(|other| other.path == parent) else {
            let what = if paths.contains(parent.as_str()) { "unreadable" } else { "missing" };
            violations.push(Violation::new(&file.path, format!("{parent}, which should name it, is {what}")));
            continue;
        };
        if !names_module(&parent_file.text, module) {
            violations.push(Violation::new(&file.path, format!("never runs: {parent} has no `mod {module};`")));
        }
    }
    violations
}

fn names_module(text: &str, module: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim();
        let line = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) ")).unwrap_or(line);
        line.strip_prefix("mod ").is_some_and(|rest| rest.trim_end() == format!("{module};"))
    })
}

/// Returns the part of the path below a crate's `tests` folder.
fn inside_tests(path: &str) -> Option<&str> {
    let in_crate = match path.strip_prefix("crates/") {
        Some(rest) => rest.split_once('/')?.1,
        None => path.strip_prefix("xtask/")?,
    };
    in_crate.strip_prefix("tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_paths(paths: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> =
            paths.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect();
        check(&files).into_iter().map(|violation| violation.to_string()).collect()
    }

    #[test]
    fn mod_rs_is_refused() {
        let found = check_paths(&[("crates/hub/src/room/mod.rs", "")]);
        assert_eq!(found, ["crates/hub/src/room/mod.rs: a module is foo.rs beside foo/, never mod.rs"]);
    }

    #[test]
    fn a_library_without_a_module_doc_is_refused() {
        let found = check_paths(&[
            ("crates/hub/src/lib.rs", "\nuse std::fmt;\n//! too late\n"),
            ("crates/core/src/lib.rs", "\n//! The engine.\n"),
            ("crates/core/src/other.rs", "use std::fmt;\n"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/hub/src/lib.rs: lib.rs starts with a module doc"), "{found:?}");
    }

    #[test]
    fn a_second_test_binary_is_refused() {
        let found = check_paths(&[
            ("crates/hub/tests/rooms.rs", ""),
            ("crates/hub/tests/long/main.rs", ""),
            ("crates/hub/tests/it/main.rs", ""),
            ("xtask/tests/tidy.rs", ""),
        ]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("crates/hub/tests/rooms.rs: integration tests lie in tests/it"), "{found:?}");
        assert!(found[1].starts_with("crates/hub/tests/long/main.rs: "), "{found:?}");
        assert!(found[2].starts_with("xtask/tests/tidy.rs: "), "{found:?}");
    }

    #[test]
    fn a_test_file_that_nothing_names_is_refused() {
        let found = check_paths(&[
            ("crates/hub/tests/it/main.rs", "mod joins;\n// mod lost;\nmod deep;\npub mod support;\n"),
            ("crates/hub/tests/it/joins.rs", ""),
            ("crates/hub/tests/it/support.rs", ""),
            ("crates/hub/tests/it/lost.rs", ""),
            ("crates/hub/tests/it/deep.rs", "mod listed;\n"),
            ("crates/hub/tests/it/deep/listed.rs", ""),
            ("crates/hub/tests/it/deep/unlisted.rs", ""),
            ("crates/hub/tests/it/orphan/child.rs", ""),
        ]);
        assert_eq!(
            found,
            [
                "crates/hub/tests/it/lost.rs: never runs: crates/hub/tests/it/main.rs has no `mod lost;`",
                "crates/hub/tests/it/deep/unlisted.rs: never runs: crates/hub/tests/it/deep.rs has no `mod unlisted;`",
                "crates/hub/tests/it/orphan/child.rs: crates/hub/tests/it/orphan.rs, which should name it, is missing",
            ]
        );
    }
}
