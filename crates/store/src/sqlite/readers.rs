//! A few connections that read, off the runtime's threads.
//!
//! Invariant: a reading never waits for the writer (WAL), and no connection keeps a transaction between two readings,
//! or the log on the disk could not be emptied after an erasure.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::schema;
use crate::types::StoreError;

/// The readings that may go on at once. A reading is mostly memory copying, so more threads than this gain nothing.
const READERS: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Reads the database at `path`; connections are opened as they are needed.
    pub(super) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self { path, idle: Mutex::default(), permits: Arc::new(Semaphore::new(READERS)) })
    }

    /// Runs `f` on a blocking thread with a connection of its own.
    pub(super) async fn run<T: Send + 'static>(
        self: Arc<Self>,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Ok(permit) = self.permits.clone().acquire_owned().await else {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        };
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let conn = idle.map_or_else(|| self.open(), Ok)?;
            let found = f(&conn)?;
            // What was read is of no use to the next reading once something was written, and it would add up.
            conn.release_memory()?;
            // After an error the connection is not used again: it may be in the middle of a transaction.
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            Ok(found)
        });
        match reading.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(e)) => Err(unreadable(&e)),
            Err(e) => Err(StoreError::Unavailable(e.to_string())),
        }
    }

    /// Waits for the readings that go on and closes.
    pub(super) async fn close(&self) {
        let all = u32::try_from(READERS).expect("a few");
        let _permits = self.permits.acquire_many(all).await;
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        schema::prepare_reader(&conn)?;
        Ok(conn)
    }
}

fn unreadable(error: &rusqlite::Error) -> StoreError {
    tracing::error!(%error, "failed to read from the database");
    StoreError::Unavailable(error.to_string())
}
