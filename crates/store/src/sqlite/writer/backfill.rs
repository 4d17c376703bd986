//! Moving the log on the disk (SQLite's WAL) into the database beside the writing.
//!
//! Owns: when that begins, who does it, and how long the log may become. Must not know: what is written. Invariant: the
//! writer itself moves only what has come while the other thread was at work, or waits for it when the log is too long.
//!
//! Were it SQLite's automatic checkpoint, every writer's commit would wait some ten milliseconds now and then: the one
//! that happens to fill the log moves all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// After how many pages the log is moved; 16 MiB instead of SQLite's 4: hot index pages are moved less often.
const AFTER: u32 = 4_096;
/// How many times that the log may reach before the writer waits for the move.
const PATIENCE: u32 = 4;

/// The other thread, and what the writer knows of it.
pub(super) struct Backfill {
    /// Pages in the log, as of the last commit.
    pages: Arc<AtomicU32>,
    after: u32,
    /// The pages up to which the log has been moved.
    moved: u32,
    is_moving: bool,
    begin: SyncSender<()>,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Backfill {
    /// Takes over from the automatic checkpoint of `conn`, which writes to a database in a file.
    pub(super) fn start(conn: &mut Connection) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Self::start_after(conn, AFTER)
    }

    fn start_after(conn: &mut Connection, after: u32) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let other = Connection::open(conn.path().unwrap_or_default())?;
        other.busy_timeout(super::BUSY)?;
        other.pragma_update(None, "synchronous", "FULL")?;
        let pages = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&pages);
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, n: std::ffi::c_int| {
            counted.store(u32::try_from(n).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let ((begin, begins), (finished, done)) = (sync_channel(1), sync_channel(1));
        let thread = std::thread::Builder::new().name("store-backfill".to_owned()).spawn(move || {
            while begins.recv().is_ok() {
                backfill(&other);
                if finished.send(()).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { pages, after, moved: 0, is_moving: false, begin, done, thread })
    }

    /// To be called by the writer between two groups.
    pub(super) fn step(&mut self, conn: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        // Everything was moved and no one read the log: it has begun anew.
        self.moved = if pages < self.moved { 0 } else { self.moved };
        let waiting = pages - self.moved;
        if self.is_moving {
            let is_done = match waiting > self.after.saturating_mul(PATIENCE) {
                true => self.done.recv().is_ok(),
                false => self.done.try_recv().is_ok(),
            };
            if is_done {
                self.is_moving = false;
                // What was written meanwhile is little; without it the log would never begin anew.
                backfill(conn);
                self.moved = pages;
            }
        } else if waiting >= self.after {
            self.is_moving = !matches!(self.begin.try_send(()), Err(TrySendError::Disconnected(())));
        }
    }

    /// Ends the other thread, so that the writer's connection is the last one.
    pub(super) fn stop(self) {
        let Self { begin, done, thread, .. } = self;
        drop((begin, done));
        if thread.join().is_err() {
            tracing::error!("the thread that moved the log has panicked");
        }
    }
}

/// Moves what no reader needs and nobody writes.
fn backfill(conn: &Connection) {
    let moved = conn.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)").and_then(|mut s| s.query_row([], |_| Ok(())));
    if let Err(error) = moved {
        tracing::warn!(%error, "failed to move the log into the database; it goes on growing until that works");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_stays_short_while_it_is_moved_beside_the_writing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("db");
        let mut conn = Connection::open(&path).expect("opens");
        super::super::super::schema::prepare_writer(&mut conn, None).expect("prepares");
        let mut backfill = Backfill::start_after(&mut conn, 32).expect("starts");
        conn.execute_batch("CREATE TABLE t (b BLOB)").expect("a table");
        for _ in 0..2_000 {
            conn.execute("INSERT INTO t VALUES (zeroblob(8000))", []).expect("written");
            backfill.step(&conn);
        }
        let log = std::fs::metadata(folder.path().join("db-wal")).expect("there").len();
        // Four times 32 pages, and twice what one commit writes; a page has a head of 24 bytes.
        assert!(log < (4 * 32 + 2 * 8) * 4_120, "{log} bytes of log after 16 MB");
        let unmoved: u32 = backfill.pages.load(Ordering::Relaxed);
        assert!(unmoved <= 4 * 32 + 8, "{unmoved} pages");
        backfill.stop();
        conn.close().expect("closes");
        assert!(!folder.path().join("db-wal").exists(), "the last to leave moves the rest");
    }
}
