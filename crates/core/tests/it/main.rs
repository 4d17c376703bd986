//! Laws that hold for every history, and recordings that must fold for ever.

mod context;
mod golden;
mod laws;
mod recount;
mod world;
