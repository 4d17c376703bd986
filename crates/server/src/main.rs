//! The `roundtable` command.

use std::process::ExitCode;

/// Gives pages back when sessions are left; the C library's does not (docs/decisions/0003).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    roundtable_server::cli::main()
}
