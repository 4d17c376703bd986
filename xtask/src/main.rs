//! The project's own tasks: `cargo xtask <task>`. Needs nothing but the toolchain.
//!
//! Owns: the dispatcher and the small tasks. Must not know how the server works inside: it starts
//! binaries, reads files and talks over the wire like anybody else.
//! Invariant: a task that fails ends the process with a status other than 0 and says which step failed.
//!
//! | module | holds |
//! |---|---|
//! | [`tidy`] | the rules about the tree that the compiler cannot check; also an ordinary test |
//! | [`load`] | `load`: the promises measured beside peers, as `make bench` |
//! | [`kill`] | `kill`: SIGKILL in rounds, and bad days |
//! | [`tasks`] | `ci`, `codegen`, `dev`, `dist`, `sim`: other programs in the right order |

mod kill;
mod load;
mod tasks;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <task> [arguments]

  tidy      check the rules about crates, files and words that the compiler cannot check
  codegen   write web/openapi.json from the server's handlers and the TypeScript types from that
  ci        run exactly what the continuous integration runs
  sim       run the simulation, release build; arguments go to the simulator
  load      measure the promises beside socket.io and Bun; `load --help` lists what it measures
  kill      kill a server in rounds while people write; `kill --help` lists what else
  dev       start a debug server and the page's development server
  dist      pack page, binary, licences and a checksum under target/dist";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((task, rest)) = arguments.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(task, rest) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask {task}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &str, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let root = root();
    match task {
        "tidy" => return tidy::run(&root),
        "kill" => return kill::run(&root, arguments),
        "codegen" => tasks::codegen(&root)?,
        "ci" => tasks::ci(&root)?,
        "sim" => tasks::sim(&root, arguments)?,
        "load" => load::run(&root, arguments)?,
        "dev" => tasks::dev(&root)?,
        "dist" => tasks::dist(&root)?,
        "help" | "--help" | "-h" => println!("{USAGE}"),
        _ => {
            eprintln!("no task is called \"{task}\"\n\n{USAGE}");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the folder of the workspace, wherever the task was called from.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies one folder below the root of the workspace").to_path_buf()
}
