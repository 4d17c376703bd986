//! Rules about the text of files: clocks, leftovers, host names, machine paths, length.
//!
//! The words that are looked for are put together from parts, so that this file may be checked too.

use super::{File, Violation};

/// How many lines of Rust a file may hold, tests aside, before it must be parted.
const LONGEST_FILE: usize = 800;

/// Files that may be longer, each with the reason. An entry that is not needed is itself a violation.
const LONG_FILES: &[(&str, &str)] = &[];

/// Crates whose code is given the time and never asks for it.
const WITHOUT_CLOCK: &[&str] = &["crates/protocol/", "crates/core/"];

const CLOCKS: &[&str] = &[
    concat!("Instant", "::now"),
    concat!("SystemTime", "::now"),
    concat!("Timestamp", "::now"),
    concat!("Zoned", "::now"),
];

const LEFTOVERS: &[(&str, &str)] = &[
    (concat!("dbg", "!("), "a debugging aid stands in the code"),
    (concat!("todo", "!("), "unfinished code"),
    (concat!("unimplemented", "!("), "unfinished code"),
    (concat!("#[", "ignore"), "a test that does not run proves nothing: mend it or remove it"),
];

/// Where packages come from is the business of whoever builds, never of the project.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("deb.debian", ".org"),
    concat!("proxy.golang", ".org"),
];

/// Absolute paths that mean something on one machine only.
const MACHINE_PATHS: &[&str] = &[
    concat!("/", "work/"),
    concat!("/", "farm/"),
    concat!("/", "tmp/"),
    concat!("/", "root/"),
    concat!("/", "Users/"),
    concat!("C:\\", "Users"),
];

pub fn check(files: &[File]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files {
        if !is_lock_file(&file.path) {
            violations.extend(hosts_and_paths(file));
        }
        if file.is_rust() {
            violations.extend(clocks(file));
            violations.extend(leftovers(file));
        }
    }
    violations.extend(length(files, LONG_FILES));
    violations
}

fn is_lock_file(path: &str) -> bool {
    path.ends_with("Cargo.lock") || path.ends_with("package-lock.json")
}

fn hosts_and_paths(file: &File) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in numbered(&file.text) {
        for host in REGISTRY_HOSTS.iter().filter(|host| holds_word(line, host)) {
            violations
                .push(Violation::new(format!("{}:{number}", file.path), format!("names the registry host {host}")));
        }
        for path in MACHINE_PATHS.iter().filter(|path| holds_path(line, path)) {
            violations.push(Violation::new(
                format!("{}:{number}", file.path),
                format!("holds {path}, a path of somebody's machine"),
            ));
        }
    }
    violations
}

fn clocks(file: &File) -> Vec<Violation> {
    if !WITHOUT_CLOCK.iter().any(|folder| file.path.starts_with(folder)) {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for (number, line) in code(&file.text) {
        for clock in CLOCKS.iter().filter(|clock| holds_word(line, clock)) {
            violations.push(Violation::new(
                format!("{}:{number}", file.path),
                format!("{clock} in a crate without a clock: take the time as a value"),
            ));
        }
    }
    violations
}

fn leftovers(file: &File) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in code(&file.text) {
        for (word, why) in LEFTOVERS.iter().filter(|(word, _)| holds_word(line, word)) {
            violations.push(Violation::new(format!("{}:{number}", file.path), format!("{word}: {why}")));
        }
    }
    violations
}

fn length(files: &[File], long: &[(&str, &str)]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && !is_test_file(&file.path)) {
        let lines = lines_before_tests(&file.text);
        let excused = long.iter().any(|(path, _)| *path == file.path);
        if lines > LONGEST_FILE && !excused {
            let message =
                format!("{lines} lines, {LONGEST_FILE} are allowed: which second subject wants its own file?");
            violations.push(Violation::new(&file.path, message));
        }
        if lines <= LONGEST_FILE && excused {
            violations.push(Violation::new(&file.path, "is short now: take it off the list of long files"));
        }
    }
    violations
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Counts the lines above the test module at the end of a file.
fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let opens_tests =
        |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    lines.windows(2).position(opens_tests).unwrap_or(lines.len())
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Yields the lines of Rust without comments. A comment after code is cut at the slashes, which may cut
/// a string with an address in it too: what is looked for does not stand behind one.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    numbered(text).map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
}

/// Says whether `word` stands in `line` and does not merely end a longer word.
fn holds_word(line: &str, word: &str) -> bool {
    let ends_longer =
        |at: usize| line[..at].ends_with(|before: char| before.is_alphanumeric() || "_-".contains(before));
    line.match_indices(word).any(|(at, _)| !ends_longer(at))
}

/// Says whether an absolute path starts in `line`; the same text inside a longer path is not meant.
fn holds_path(line: &str, path: &str) -> bool {
    let goes_on =
        |at: usize| line[..at].ends_with(|before: char| before.is_alphanumeric() || "_-.}*)>".contains(before));
    line.match_indices(path).any(|(at, _)| !goes_on(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    fn check_one(path: &str, text: &str) -> Vec<String> {
        check(&[file(path, text)]).into_iter().map(|violation| violation.to_string()).collect()
    }

    #[test]
    fn every_clock_is_refused_in_core_and_protocol() {
        for clock in CLOCKS {
            let found =
                check_one("crates/core/src/session.rs", &format!("fn f() {{\n    let t = std::time::{clock}();\n}}\n"));
            assert_eq!(found.len(), 1, "{clock}: {found:?}");
            assert!(found[0].starts_with("crates/core/src/session.rs:2: "), "{found:?}");
            assert_eq!(check_one("crates/protocol/src/ids.rs", &format!("let t = {clock}();")).len(), 1);
            assert!(check_one("crates/hub/src/room.rs", &format!("let t = {clock}();")).is_empty());
            assert!(check_one("crates/core/src/session.rs", &format!("// never call {clock}()")).is_empty());
        }
    }

    #[test]
    fn every_leftover_is_refused() {
        for (word, _) in LEFTOVERS {
            assert_eq!(check_one("crates/hub/src/room.rs", &format!("    {word}x)]")).len(), 1, "{word}");
            assert!(check_one("crates/hub/src/room.rs", &format!("/// Unlike {word}x)]")).is_empty(), "{word}");
            assert!(check_one("docs/logging.md", word).is_empty(), "{word}");
        }
        assert!(check_one("crates/hub/src/room.rs", concat!("my_", "dbg", "!(x)")).is_empty());
    }

    #[test]
    fn every_registry_host_is_refused_outside_lock_files() {
        for host in REGISTRY_HOSTS {
            let line = format!("see https://www.{host}/x");
            assert_eq!(check_one("README.md", &line).len(), 1, "{host}");
            assert!(check_one("Cargo.lock", &line).is_empty());
            assert!(check_one("web/package-lock.json", &line).is_empty());
        }
    }

    #[test]
    fn every_machine_path_is_refused() {
        for path in MACHINE_PATHS {
            assert_eq!(check_one("Makefile", &format!("cd {path}main")).len(), 1, "{path}");
            assert_eq!(check_one("web/a.ts", &format!("open(\"{path}main\")")).len(), 1, "{path}");
            assert_eq!(check_one("web/a.ts", &format!("file://{path}main")).len(), 1, "{path}");
            let inside_a_path = path.replace('\\', "");
            assert!(check_one("docs/a.md", &format!("./a{inside_a_path}b")).is_empty(), "{path}");
        }
    }

    #[test]
    fn a_file_of_more_than_800_lines_is_refused() {
        let lines = "fn f() {}\n".repeat(LONGEST_FILE);
        let longer = format!("{lines}fn g() {{}}\n");
        let with_tests = format!("{lines}#[cfg(test)]\nmod tests {{\n    fn g() {{}}\n}}\n");
        let split_tests = format!("{lines}#[cfg(test)]\nmod tests;\n");
        assert!(check_one("crates/hub/src/room.rs", &lines).is_empty());
        assert!(check_one("crates/hub/src/room.rs", &with_tests).is_empty());
        assert_eq!(check_one("crates/hub/src/room.rs", &longer).len(), 1);
        assert_eq!(check_one("crates/hub/src/room.rs", &split_tests).len(), 1);
        assert!(check_one("crates/hub/tests/it/rooms.rs", &longer).is_empty());
        assert!(check_one("crates/hub/src/room/tests.rs", &longer).is_empty());
    }

    #[test]
    fn an_excuse_that_is_no_longer_needed_is_refused() {
        let long = [("crates/hub/src/room.rs", "a table")];
        let needed = file("crates/hub/src/room.rs", &"x\n".repeat(LONGEST_FILE + 1));
        let not_needed = file("crates/hub/src/room.rs", "x\n");
        assert!(length(&[needed], &long).is_empty());
        assert_eq!(length(&[not_needed], &long).len(), 1);
    }
}
