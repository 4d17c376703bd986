//! The `roundtable` command.

use std::process::ExitCode;

/// Gives pages back by itself, on a thread of its own, within ten seconds (docs/decisions/0003).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    roundtable_server::cli::main()
}
