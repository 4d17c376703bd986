//! Files of the page, packed once.
//!
//! Owns: the packed bytes for as long as the process runs. Must not know: HTTP. Invariant: what is kept is bounded by the
//! page that was built, because bytes are found by the hash of their content.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Files below this gain nothing: they fit into one packet either way. Unit: bytes.
const SMALLEST: usize = 1024;
/// How many files are kept. While somebody works on the page, a debug server meets ever new ones.
const KEPT: usize = 512;

static PACKED: LazyLock<Mutex<HashMap<[u8; 32], Bytes>>> = LazyLock::new(Mutex::default);

/// Returns whether a file gets smaller by packing: text does, pictures and fonts are packed already.
pub(super) fn is_worth_it(content_type: &str, size: usize) -> bool {
    let text = ["text/", "application/json", "application/manifest+json", "application/wasm", "image/svg+xml"];
    size >= SMALLEST && text.iter().any(|kind| content_type.starts_with(kind))
}

/// Returns the packed bytes of the content with that hash. The first time they are made, which takes a moment, on a
/// thread that may block.
pub(super) async fn of(hash: [u8; 32], content: &[u8]) -> Option<Bytes> {
    let at_hand = || PACKED.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
    if let Some(packed) = at_hand() {
        return Some(packed);
    }
    let content = content.to_vec();
    let packed = tokio::task::spawn_blocking(move || pack(&content)).await.ok().flatten()?;
    let mut all = PACKED.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= KEPT {
        all.clear();
    }
    Some(all.entry(hash).or_insert(packed).clone())
}

fn pack(content: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).ok()?;
    encoder.finish().ok().map(Bytes::from)
}
