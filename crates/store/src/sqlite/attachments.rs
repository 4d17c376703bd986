//! Rows of uploaded files. Their content lies beside the database: see [`crate::blobs`].
//!
//! Invariant: content without a row is doomed from before it got its name, so that it is found and taken away whenever
//! the process ends.

use roundtable_protocol::model::Attachment;
use roundtable_protocol::{AttachmentId, EventId, SessionId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::blob;
use super::value::{micros, stream, time, uint, uuid};
use super::writer::Tx;
use crate::blobs::Blobs;
use crate::types::{BlobHash, StoredAttachment};

/// The columns of [`row`], for a table `attachments a` joined with its session `s` and its info `b`.
const COLUMNS: &str = "s.uuid, a.uploader, a.stream, a.hash, b.bytes, a.created_at, a.message
    FROM attachments a JOIN sessions s ON s.id = a.session JOIN blobs b ON b.id = a.info";

fn row(row: &Row<'_>) -> Result<StoredAttachment> {
    let json = blob::unwrap(row.get(4)?);
    let attachment: Attachment = serde_json::from_slice(&json)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Blob, Box::new(e)))?;
    let message: Option<[u8; 16]> = row.get(6)?;
    Ok(StoredAttachment {
        session: SessionId(uuid(row, 0)?),
        uploader: UserId(uuid(row, 1)?),
        stream: stream(row, 2)?,
        hash: row.get(3)?,
        attachment,
        created_at: time(row, 5)?,
        message: message.map(|id| EventId(uuid::Uuid::from_bytes(id))),
    })
}

fn by_id(conn: &Connection, id: AttachmentId) -> Result<Option<StoredAttachment>> {
    let sql = format!("SELECT {COLUMNS} WHERE a.id = ?1");
    conn.prepare_cached(&sql)?.query_row([id.0.as_bytes()], row).optional()
}

/// Returns those of the files that are in the session, in the order of `ids`.
pub(super) fn of(conn: &Connection, session: SessionId, ids: &[AttachmentId]) -> Result<Vec<StoredAttachment>> {
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        all.extend(by_id(conn, *id)?.filter(|found| found.session == session));
    }
    Ok(all)
}

/// Keeps a file and spares its content; an earlier one with its id stays.
pub(super) fn put(tx: &mut Tx<'_>, new: &StoredAttachment) -> Result<Option<StoredAttachment>> {
    if let Some(known) = by_id(tx.conn, new.attachment.id)? {
        return Ok(Some(known).filter(|known| known.session == new.session));
    }
    let Some(hot) = tx.hot(new.session)? else { return Ok(None) };
    let json = serde_json::to_vec(&new.attachment).expect("protocol types serialise: string keys, no failing impls");
    let info = blob::put(tx.conn, None, &json)?;
    tx.conn
        .prepare_cached(
            "INSERT INTO attachments (id, session, uploader, stream, hash, info, created_at, message)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            new.attachment.id.0.as_bytes(),
            hot.row,
            new.uploader.0.as_bytes(),
            new.stream as u8,
            new.hash,
            info,
            micros(new.created_at),
            new.message.as_ref().map(|id| id.0.as_bytes()),
        ))?;
    spare(tx, &new.hash)?;
    Ok(Some(new.clone()))
}

/// Notes with which messages files were posted.
pub(super) fn attach(conn: &Connection, session: i64, attached: &[(AttachmentId, EventId)]) -> Result<()> {
    let mut update = conn.prepare_cached("UPDATE attachments SET message = ?3 WHERE id = ?1 AND session = ?2")?;
    for (id, message) in attached {
        update.execute((id.0.as_bytes(), session, message.0.as_bytes()))?;
    }
    Ok(())
}

/// Deletes the files of a message.
pub(super) fn drop_of_message(conn: &Connection, session: i64, message: &[u8]) -> Result<()> {
    for sql in [
        "INSERT OR IGNORE INTO doomed SELECT hash FROM attachments WHERE session = ?1 AND message = ?2",
        "DELETE FROM blobs WHERE id IN (SELECT info FROM attachments WHERE session = ?1 AND message = ?2)",
        "DELETE FROM attachments WHERE session = ?1 AND message = ?2",
    ] {
        conn.prepare_cached(sql)?.execute((session, message))?;
    }
    Ok(())
}

/// Deletes the files of a session.
pub(super) fn drop_of_session(conn: &Connection, session: i64) -> Result<()> {
    for sql in [
        "INSERT OR IGNORE INTO doomed SELECT hash FROM attachments WHERE session = ?1",
        "DELETE FROM blobs WHERE id IN (SELECT info FROM attachments WHERE session = ?1)",
        "DELETE FROM attachments WHERE session = ?1",
    ] {
        conn.prepare_cached(sql)?.execute([session])?;
    }
    Ok(())
}

/// Deletes the files that came at or before `until` and were never posted.
pub(super) fn drop_unposted(tx: &mut Tx<'_>, until: Timestamp) -> Result<u64> {
    let count = "SELECT count(*) FROM attachments WHERE message IS NULL AND created_at <= ?1";
    let dropped = tx.conn.prepare_cached(count)?.query_row([micros(until)], |row| uint(row, 0))?;
    if dropped == 0 {
        return Ok(0);
    }
    tx.erases = true;
    for sql in [
        "INSERT OR IGNORE INTO doomed SELECT hash FROM attachments WHERE message IS NULL AND created_at <= ?1",
        "DELETE FROM blobs WHERE id IN (SELECT info FROM attachments WHERE message IS NULL AND created_at <= ?1)",
        "DELETE FROM attachments WHERE message IS NULL AND created_at <= ?1",
    ] {
        tx.conn.prepare_cached(sql)?.execute([micros(until)])?;
    }
    Ok(dropped)
}

/// Marks content as something that may have no file.
pub(super) fn doom(tx: &Tx<'_>, hash: &BlobHash) -> Result<()> {
    tx.conn.prepare_cached("INSERT OR IGNORE INTO doomed (hash) VALUES (?1)")?.execute([hash]).map(|_| ())
}

/// Takes that mark away.
pub(super) fn spare(tx: &Tx<'_>, hash: &BlobHash) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM doomed WHERE hash = ?1")?.execute([hash]).map(|_| ())
}

/// Returns the content that is marked.
pub(super) fn doomed(conn: &Connection) -> Result<Vec<BlobHash>> {
    conn.prepare_cached("SELECT hash FROM doomed")?.query_map([], |row| row.get(0))?.collect()
}

/// Returns whether a file has this content.
pub(super) fn is_used(conn: &Connection, hash: &BlobHash) -> Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM attachments WHERE hash = ?1)")?
        .query_row([hash], |row| row.get(0))
}

/// Takes content away that a process which died had no time for.
pub(super) fn sweep_at_start(conn: &Connection, blobs: &Blobs) -> Result<()> {
    for hash in doomed(conn)? {
        if !is_used(conn, &hash)?
            && let Err(error) = blobs.remove_at_start(&hash)
        {
            tracing::warn!(%error, "an erased file could not be taken away; it is tried again at the next start");
            continue;
        }
        conn.execute("DELETE FROM doomed WHERE hash = ?1", [hash])?;
    }
    Ok(())
}
