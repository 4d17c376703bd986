//! What only the embedded store promises: the contract over it, the folder's lock, reopening, erasing, a full disk.

use tempfile::TempDir;

use super::SqliteStore;

async fn make() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    (SqliteStore::open(folder.path()).expect("opens"), folder)
}

crate::contract_tests!(make);
