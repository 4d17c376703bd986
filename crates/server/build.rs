//! Builds again when the page was built: a release binary carries it inside.

use std::fs::create_dir_all;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The folder's real path is put into the binary at compile time, so it must be there, if only empty: a page that
    // is built later would not be found. Where the source cannot be written there is no later.
    let _ = create_dir_all("../../web/dist");
    // A debug binary reads the page from the disk when it is asked for, so only a release has to look.
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        println!("cargo::rerun-if-changed=../../web/dist");
    }
}
