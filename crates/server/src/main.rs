//! The `roundtable` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    roundtable_server::cli::main()
}
