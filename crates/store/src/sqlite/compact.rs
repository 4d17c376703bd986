//! Takes away the emptied rows of the heaps and gives their space back.

use std::time::Instant;

use rusqlite::{Connection, Result};

/// Compacts at the start when more than this is empty, and more than a quarter of the file. Unit: bytes.
const WORTH_IT: i64 = 64 << 20;

/// Compacts if it is worth the time that it takes.
pub(super) fn compact_if_worth_it(conn: &Connection) -> Result<()> {
    let emptied: i64 =
        conn.query_row("SELECT value FROM counters WHERE name = 'emptied_bytes'", [], |row| row.get(0))?;
    let size: i64 =
        conn.query_row("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()", [], |row| {
            row.get(0)
        })?;
    if emptied > WORTH_IT && emptied > size / 4 { compact(conn) } else { Ok(()) }
}

/// Deletes emptied rows, then writes the whole database anew, which also leaves no unused part of a page behind.
pub(super) fn compact(conn: &Connection) -> Result<()> {
    let start = Instant::now();
    conn.execute_batch(
        "BEGIN IMMEDIATE;
         DELETE FROM events WHERE session < 0;
         DELETE FROM document_updates WHERE session < 0;
         DELETE FROM outbox WHERE due_at IS NULL;
         UPDATE counters SET value = 0 WHERE name = 'emptied_bytes';
         COMMIT;
         VACUUM;",
    )
    .inspect_err(|_| {
        if !conn.is_autocommit() {
            let _ = conn.execute_batch("ROLLBACK");
        }
    })?;
    tracing::info!(duration_ms = start.elapsed().as_millis(), "compacted the database");
    Ok(())
}
