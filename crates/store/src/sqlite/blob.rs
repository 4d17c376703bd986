//! Content that can be erased.
//!
//! SQLite keeps the beginning of a long value beside other rows, and rows are copied when pages are balanced: a copy
//! in the unused part of a page survives `secure_delete`. So a value here begins with zeros that fill what is kept
//! there, and its length is such that this is never more than the least: the content lies in overflow pages, which
//! belong to nobody else and are wiped when freed.
//!
//! The numbers are those of section 1.6 of SQLite's file format for pages of 4096 bytes.

use bytes::Bytes;
use rusqlite::{Connection, Result};

/// The least that SQLite keeps of a long record beside other rows. Unit: bytes.
const LOCAL: usize = 489;
/// What one overflow page takes. Unit: bytes.
const OVERFLOW: usize = 4092;

/// Writes a new blob and answers its number.
fn insert(conn: &Connection, content: &[u8]) -> Result<i64> {
    conn.prepare_cached("INSERT INTO blobs (bytes) VALUES (?1)")?.insert([wrap(content)])
}

/// Writes `content` in the place of blob `id`, or anew.
pub(super) fn put(conn: &Connection, id: Option<i64>, content: &[u8]) -> Result<i64> {
    let Some(id) = id else { return insert(conn, content) };
    conn.prepare_cached("UPDATE blobs SET bytes = ?2 WHERE id = ?1")?.execute((id, wrap(content)))?;
    Ok(id)
}

/// Returns the stored form: length, zeros up to [`LOCAL`], content, zeros to the end of the last page.
fn wrap(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("snapshots are far below SQLite's limit of 1 GB");
    let mut stored = vec![0; stored_length(content.len())];
    stored[..4].copy_from_slice(&length.to_le_bytes());
    stored[LOCAL..LOCAL + content.len()].copy_from_slice(content);
    stored
}

/// Takes the content out of the stored form.
pub(super) fn unwrap(stored: Vec<u8>) -> Bytes {
    let stored = Bytes::from(stored);
    let Some(length) = stored.first_chunk().map(|length| u32::from_le_bytes(*length) as usize) else { return stored };
    stored.slice(LOCAL.min(stored.len())..(LOCAL + length).min(stored.len()))
}

/// Returns how long the stored form of `content` bytes is, so that the record fills `LOCAL` and whole pages.
fn stored_length(content: usize) -> usize {
    let fit = |head: usize| {
        let pages = (head + content).div_ceil(OVERFLOW).max(1);
        LOCAL + pages * OVERFLOW - head
    };
    // The record's head: its own length, the row id's place, and the type of a blob of n bytes, which is 12 + 2n.
    let head = |stored: usize| 2 + varint_length(12 + 2 * stored);
    (4..=7).map(|n| (n, fit(n))).find(|&(n, stored)| head(stored) == n).map_or(fit(4), |(_, stored)| stored)
}

fn varint_length(n: usize) -> usize {
    (usize::BITS - n.leading_zeros()).div_ceil(7).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_of_every_length_comes_back() {
        for length in [0, 1, 488, 489, 4000, 4087, 4088, 4089, 4092, 8180, 8181, 70_000, 1_100_000] {
            let content: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).expect("small")).collect();
            assert_eq!(unwrap(wrap(&content)), content, "length {length}");
        }
    }

    #[test]
    fn nothing_of_the_content_is_kept_beside_other_rows() {
        let conn = Connection::open_in_memory().expect("memory");
        conn.execute_batch("CREATE TABLE blobs (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)").expect("table");
        for length in (0..20_000).step_by(97).chain([300_000, 1_048_000, 1_049_000]) {
            insert(&conn, &vec![1; length]).expect("insert");
            // Of a leaf page's payload, what is not in overflow pages is local: exactly LOCAL for each row.
            let (local, rows): (i64, i64) = conn
                .query_row(
                    "SELECT sum(payload), sum(ncell) FROM dbstat WHERE name = 'blobs' AND pagetype = 'leaf'",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .expect("dbstat");
            assert_eq!((local, rows), (489, 1), "length {length}");
            conn.execute("DELETE FROM blobs", []).expect("delete");
        }
    }
}
