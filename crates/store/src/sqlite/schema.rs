//! The tables, their versions, and how connections are set up.
//!
//! Three kinds of table, because SQLite's `secure_delete` alone does not erase: when rows move between pages, the old
//! page keeps a copy of them in its unused middle, and nothing ever wipes that (`rebuildPage` in its source).
//!
//! | kind | tables | how text is erased |
//! |---|---|---|
//! | heap | `events`, `document_updates`, `outbox` | rows are appended and never move: an update never makes a row longer, and a row is emptied where it stands, never deleted. [`super::compact`] takes emptied rows away |
//! | blob | `blobs` | content lies in whole pages of its own ([`super::blob`]), which `secure_delete` wipes when they are freed |
//! | plain | all others | hold no text of a session |
//!
//! No foreign key leads from or to a heap: it would turn an update into a delete and an insert.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::OpenError;

/// The steps from one schema version to the next, the first from nothing to version 1. Never edited, only added to.
const MIGRATIONS: &[&str] = &[include_str!("schema/0001_spine.sql"), include_str!("schema/0002_room.sql")];

/// Says in the file's header that it is Roundtable's ("RTbl").
const APPLICATION_ID: i32 = 0x5254_626c;

/// Sets up the connection that writes and brings the schema up to date.
pub(super) fn prepare_writer(conn: &mut Connection, max_page_count: Option<u32>) -> Result<(), OpenError> {
    conn.pragma_update(None, "page_size", 4096)?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
    // Rolled back statements keep what they replaced in memory instead of in a file elsewhere.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "foreign_keys", "ON")?;
    conn.pragma_update(None, "cache_size", -32_000)?;
    // A log that grew while somebody read for long does not stay that large.
    conn.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
    conn.busy_timeout(super::BUSY)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    migrate(conn, MIGRATIONS)?;
    set_max_page_count(conn, max_page_count)?;
    Ok(())
}

/// Sets up a connection that reads.
pub(super) fn prepare_reader(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(super::BUSY)?;
    conn.pragma_update(None, "query_only", "ON")?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -2_000)?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Limits the size of the database; `None` takes the limit away.
pub(super) fn set_max_page_count(conn: &Connection, pages: Option<u32>) -> rusqlite::Result<()> {
    conn.pragma_update_and_check(None, "max_page_count", pages.unwrap_or(0xffff_fffe), |_| Ok(()))
}

/// Returns the newest version that this program knows.
pub(super) fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// Returns the version of the database in a file, which is only read.
pub(super) fn version(path: &std::path::Path) -> Result<i32, OpenError> {
    let conn = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.busy_timeout(super::BUSY)?;
    let found: i32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let is_foreign = if found == 0 { application != 0 } else { application != APPLICATION_ID };
    if is_foreign { Err(OpenError::Foreign) } else { Ok(found) }
}

fn migrate(conn: &mut Connection, migrations: &[&str]) -> Result<(), OpenError> {
    let known = i32::try_from(migrations.len()).expect("there are few migrations");
    let found: i32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let is_foreign = if found == 0 { application != 0 } else { application != APPLICATION_ID };
    if is_foreign {
        return Err(OpenError::Foreign);
    }
    let Ok(done) = usize::try_from(found) else { return Err(OpenError::Foreign) };
    if found > known {
        return Err(OpenError::NewerSchema { found, known });
    }
    for (n, step) in migrations.iter().enumerate().skip(done) {
        let tx = conn.transaction()?;
        tx.execute_batch(step)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", i32::try_from(n + 1).expect("there are few migrations"))?;
        tx.commit()?;
        tracing::info!(version = n + 1, "the database schema is up to date");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(conn: &Connection) -> i64 {
        conn.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0)).expect("count")
    }

    #[test]
    fn migrations_run_once_and_in_order() {
        let mut conn = Connection::open_in_memory().expect("memory");
        let steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y", "CREATE TABLE b (x)"];
        migrate(&mut conn, &steps[..1]).expect("first");
        conn.execute("INSERT INTO a (x) VALUES (1)", []).expect("a row of the old version");
        migrate(&mut conn, &steps).expect("the rest");
        migrate(&mut conn, &steps).expect("nothing left to do");
        let row: (i64, Option<i64>) =
            conn.query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?))).expect("kept");
        assert_eq!((row, tables(&conn)), ((1, None), 2));
    }

    #[test]
    fn a_failed_migration_leaves_the_version_before_it() {
        let mut conn = Connection::open_in_memory().expect("memory");
        let steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE b (x)"];
        assert!(migrate(&mut conn, &steps).is_err());
        let version: i32 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).expect("version");
        assert_eq!((version, tables(&conn)), (1, 1));
    }

    #[test]
    fn a_newer_schema_and_a_foreign_file_are_refused() {
        let mut conn = Connection::open_in_memory().expect("memory");
        migrate(&mut conn, MIGRATIONS).expect("ours");
        conn.pragma_update(None, "user_version", 99).expect("pretend");
        assert!(matches!(migrate(&mut conn, MIGRATIONS), Err(OpenError::NewerSchema { found: 99, .. })));
        let mut conn = Connection::open_in_memory().expect("memory");
        conn.pragma_update(None, "application_id", 7).expect("pretend");
        assert!(matches!(migrate(&mut conn, MIGRATIONS), Err(OpenError::Foreign)));
    }
}
