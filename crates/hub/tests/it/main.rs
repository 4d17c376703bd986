//! Rules of rooms, stated against the public [`SessionManager`](roundtable_hub::SessionManager) over the memory store.

mod branches;
mod commands;
mod context;
mod examples;
mod faults;
mod faulty;
mod forks;
mod host;
mod joins;
mod life;
mod lobby;
mod log;
mod moves;
mod past;
mod races;
mod replay;
mod rights;
mod support;
mod trimmed;
mod turns;
mod uploads;

/// The allocator of the server's binary, so that what is measured here holds there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
