//! Builds again when the page was built: a release binary carries it inside.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A debug binary reads the page from the disk when it is asked for, so only a release has to look.
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        println!("cargo::rerun-if-changed=../../web/dist");
    }
}
