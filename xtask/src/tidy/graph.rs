//! Rules about crates: who may know whom, and what must not be reachable.
//!
//! Arrows come from `cargo metadata`, read as plain JSON: the `cargo_metadata` crate turns on a feature
//! of `serde_json` for the whole workspace, and building one crate after all of them compiles much again.
//! What is reachable comes from `cargo tree`: the resolved graph in the metadata also holds optional
//! dependencies that nothing turns on (ring below rustls-webpki), which `cargo tree` leaves out.

use super::Violation;
use crate::tasks;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// One line of the picture: a package, what it may depend on, what its tests may use besides.
struct Arrows {
    from: &'static str,
    to: &'static [&'static str],
    tests: &'static [&'static str],
}

/// The picture of docs/ARCHITECTURE.md; the two change in one commit.
const PICTURE: &[Arrows] = &[
    Arrows { from: "roundtable-protocol", to: &[], tests: &[] },
    Arrows { from: "roundtable-core", to: &["roundtable-protocol"], tests: &["roundtable-access"] },
    Arrows { from: "roundtable-store", to: &["roundtable-protocol"], tests: &[] },
    Arrows { from: "roundtable-access", to: &["roundtable-protocol"], tests: &[] },
    Arrows { from: "roundtable-assistant", to: &["roundtable-protocol"], tests: &[] },
    Arrows { from: "roundtable-client", to: &["roundtable-protocol"], tests: &[] },
    Arrows {
        from: "roundtable-hub",
        to: &["roundtable-protocol", "roundtable-core", "roundtable-store", "roundtable-access"],
        tests: &[],
    },
    Arrows {
        from: "roundtable-server",
        to: &["roundtable-protocol", "roundtable-hub", "roundtable-store", "roundtable-access", "roundtable-assistant"],
        tests: &["roundtable-client"],
    },
    Arrows {
        from: "roundtable-sim",
        to: &["roundtable-protocol", "roundtable-core", "roundtable-client", "roundtable-access"],
        tests: &[],
    },
    Arrows { from: "xtask", to: &["roundtable-protocol", "roundtable-client"], tests: &[] },
];

/// Crates without a runtime, a database or a network.
const SANS_IO: &[&str] = &["roundtable-protocol", "roundtable-core"];

/// What would bring a runtime, a database or a network.
const IO: &[&str] = &["tokio", "axum", "hyper", "reqwest", "sqlx", "sqlx-core", "rusqlite", "libsqlite3-sys"];

/// The project has one TLS stack, rustls with aws-lc-rs; each of these would be the start of a second.
const OTHER_TLS: &[&str] = &["ring", "openssl-sys", "native-tls"];

/// What the workspace declares.
#[derive(Default)]
struct Declared {
    members: Vec<String>,
    /// Dependencies between members: from, to, kind (`normal`, `dev`, `build`).
    arrows: Vec<(String, String, String)>,
    /// Integration test binaries of members: package, name, path of the source.
    tests: Vec<(String, String, String)>,
}

/// Checks the workspace in `root` for the host's platform and the features in use.
pub fn check(root: &Path) -> Result<Vec<Violation>> {
    let declared = ask(tasks::cargo(root).args(["metadata", "--format-version", "1", "--locked", "--no-deps"]))?;
    let declared = read_declared(&serde_json::from_str(&declared)?)?;
    let mut violations = undrawn_arrows(&declared);
    violations.extend(test_binaries(&declared));
    let tree = ["tree", "--locked", "--edges", "normal", "--prefix", "depth", "--format", " {p}"];
    for member in SANS_IO {
        let tree = ask(tasks::cargo(root).args(tree).args(["--package", member]))?;
        violations.extend(reachable(&tree, IO)?);
    }
    let tree = ask(tasks::cargo(root).args(tree).arg("--workspace"))?;
    violations.extend(reachable(&tree, OTHER_TLS)?);
    Ok(violations)
}

fn ask(command: &mut Command) -> Result<String> {
    let output = command.output().context("failed to start cargo")?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}

fn undrawn_arrows(declared: &Declared) -> Vec<Violation> {
    let mut violations = Vec::new();
    for name in &declared.members {
        if !PICTURE.iter().any(|arrows| arrows.from == name) {
            violations
                .push(Violation::new(name, "is not in the picture of crates: draw it in xtask/src/tidy/graph.rs"));
        }
    }
    for (from, to, kind) in &declared.arrows {
        let Some(arrows) = PICTURE.iter().find(|arrows| arrows.from == from) else { continue };
        let drawn = arrows.to.contains(&to.as_str()) || (kind == "dev" && arrows.tests.contains(&to.as_str()));
        if !drawn {
            violations.push(Violation::new(from, format!("depends on {to} ({kind}): no such arrow is drawn")));
        }
    }
    violations
}

fn test_binaries(declared: &Declared) -> Vec<Violation> {
    let wrong = declared.tests.iter().filter(|(_, name, path)| name != "it" || !path.ends_with("tests/it/main.rs"));
    wrong
        .map(|(package, name, _)| {
            Violation::new(package, format!("has the test binary \"{name}\": only tests/it/main.rs may be one"))
        })
        .collect()
}

/// Reads the output of `cargo tree --prefix depth`; each forbidden package is reported with the way to it.
fn reachable(tree: &str, forbidden: &[&str]) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    let mut way: Vec<&str> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let depth: usize =
            words.next().unwrap_or_default().parse().context("cargo tree printed a line without depth")?;
        let name = words.next().context("cargo tree printed a line without a package")?;
        way.truncate(depth);
        way.push(name);
        if forbidden.contains(&name) {
            violations.push(Violation::new(way[0], format!("must not reach {name}: {}", way.join(" -> "))));
        }
    }
    ensure!(!way.is_empty(), "cargo tree printed nothing");
    Ok(violations)
}

fn read_declared(metadata: &Value) -> Result<Declared> {
    let mut declared = Declared::default();
    let packages = list(&metadata["packages"])?;
    for package in packages {
        declared.members.push(text(&package["name"])?.to_owned());
    }
    for package in packages {
        let name = text(&package["name"])?;
        for dependency in list(&package["dependencies"])? {
            let to = text(&dependency["name"])?;
            if declared.members.iter().any(|member| member == to) && to != name {
                let kind = dependency["kind"].as_str().unwrap_or("normal");
                declared.arrows.push((name.to_owned(), to.to_owned(), kind.to_owned()));
            }
        }
        for target in list(&package["targets"])? {
            if list(&target["kind"])?.iter().any(|kind| kind == "test") {
                let source = text(&target["src_path"])?.replace('\\', "/");
                declared.tests.push((name.to_owned(), text(&target["name"])?.to_owned(), source));
            }
        }
    }
    Ok(declared)
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().context("cargo metadata has another shape than expected: no list")
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().context("cargo metadata has another shape than expected: no text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<Value> =
            dependencies.iter().map(|(to, kind)| json!({"name": to, "kind": kind})).collect();
        json!({"name": name, "dependencies": dependencies, "targets": []})
    }

    fn arrows_of(packages: &[Value]) -> Vec<String> {
        let declared = read_declared(&json!({"packages": packages})).expect("the test's metadata has the right shape");
        undrawn_arrows(&declared).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn drawn_arrows_pass() {
        let found = arrows_of(&[
            package("roundtable-protocol", &[("serde", None)]),
            package("roundtable-core", &[("roundtable-protocol", None), ("serde", None)]),
            package("roundtable-server", &[("roundtable-client", Some("dev"))]),
            package("roundtable-client", &[("roundtable-protocol", None)]),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn an_undrawn_arrow_is_refused() {
        let found = arrows_of(&[
            package("roundtable-core", &[("roundtable-store", None)]),
            package("roundtable-store", &[("roundtable-core", Some("dev"))]),
            package("roundtable-client", &[("roundtable-core", Some("build"))]),
            package("roundtable-server", &[("roundtable-client", None)]),
        ]);
        assert_eq!(
            found,
            [
                "roundtable-core: depends on roundtable-store (normal): no such arrow is drawn",
                "roundtable-store: depends on roundtable-core (dev): no such arrow is drawn",
                "roundtable-client: depends on roundtable-core (build): no such arrow is drawn",
                "roundtable-server: depends on roundtable-client (normal): no such arrow is drawn",
            ]
        );
    }

    #[test]
    fn a_crate_outside_the_picture_is_refused() {
        let found = arrows_of(&[package("roundtable-extra", &[])]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("roundtable-extra: is not in the picture"), "{found:?}");
    }

    #[test]
    fn a_runtime_reachable_from_core_is_refused_with_the_way() {
        for library in IO {
            let tree = format!(
                "0 roundtable-core v0.1.0 (folder)\n1 serde v1.0.0\n1 middle v1.0.0\n2 {library} v1.0.0\n1 end v1.0.0\n"
            );
            let found = reachable(&tree, IO).expect("the test's tree has the right shape");
            let way = format!("roundtable-core -> middle -> {library}");
            assert_eq!(found, [Violation::new("roundtable-core", format!("must not reach {library}: {way}"))]);
        }
    }

    #[test]
    fn a_second_tls_stack_is_refused_below_any_member() {
        for library in OTHER_TLS {
            let tree = format!(
                "0 roundtable-core v0.1.0\n1 serde v1.0.0\n\n0 roundtable-server v0.1.0\n1 http v1.0.0\n2 {library} v1.0.0 (*)\n"
            );
            let found = reachable(&tree, OTHER_TLS).expect("the test's tree has the right shape");
            let way = format!("roundtable-server -> http -> {library}");
            assert_eq!(found, [Violation::new("roundtable-server", format!("must not reach {library}: {way}"))]);
        }
    }

    #[test]
    fn names_that_only_start_alike_are_not_meant() {
        let found = reachable("0 roundtable-core v0.1.0\n1 ringbuf v1.0.0\n1 tokio-util v1.0.0\n", IO);
        assert_eq!(found.expect("the test's tree has the right shape"), []);
    }

    #[test]
    fn the_real_tree_of_the_server_reaches_the_runtime() {
        let tree = ["tree", "--locked", "--edges", "normal", "--prefix", "depth", "--format", " {p}"];
        let tree = ask(tasks::cargo(&crate::root()).args(tree).args(["--package", "roundtable-server"]));
        let found = reachable(&tree.expect("cargo tree answers"), &["tokio"]).expect("cargo tree has the known shape");
        assert!(!found.is_empty(), "the rule would not see tokio if it were there");
    }

    #[test]
    fn a_second_test_binary_is_refused() {
        let mut core = package("roundtable-core", &[]);
        core["targets"] = json!([
            {"kind": ["test"], "name": "it", "src_path": "crates/core/tests/it/main.rs"},
            {"kind": ["test"], "name": "laws", "src_path": "crates/core/laws/main.rs"},
            {"kind": ["lib"], "name": "core", "src_path": "crates/core/src/lib.rs"},
        ]);
        let declared = read_declared(&json!({"packages": [core]})).expect("the test's metadata has the right shape");
        let message = "has the test binary \"laws\": only tests/it/main.rs may be one";
        assert_eq!(test_binaries(&declared), [Violation::new("roundtable-core", message)]);
    }

    #[test]
    fn answers_of_another_shape_are_an_error_not_a_pass() {
        assert!(read_declared(&json!({"workspace_members": []})).is_err());
        assert!(reachable("", IO).is_err());
        assert!(reachable("roundtable-core v0.1.0\n", IO).is_err());
    }
}
