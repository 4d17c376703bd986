//! Writes that are not commits, and the parts of commits that others share.

use roundtable_protocol::model::SessionInfo;
use roundtable_protocol::{LinkId, ParticipantId, Seq, SessionId, Stream, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Result};
use uuid::Uuid;

use super::value::{int, micros, role_number, uint};
use super::writer::Tx;
use super::{attachments, blob, read};
use crate::chain::{GENESIS, Hash};
use crate::types::{Deletion, Link, Login, StateSnapshot, TokenHash, User, UserPatch, ViewKey, ViewSnapshot};

/// Cuts the column into the hash of each stream.
pub(super) fn split_tips(column: &[u8]) -> [Hash; 4] {
    let mut tips = [GENESIS; 4];
    for (tip, bytes) in tips.iter_mut().zip(column.chunks_exact(32)) {
        tip.copy_from_slice(bytes);
    }
    tips
}

/// Returns the columns kind, which and n of a view.
pub(super) fn view_key(key: ViewKey) -> (u8, u8, i64) {
    match key {
        ViewKey::Head(streams) => (0, crate::stream_key(streams), 0),
        ViewKey::Page(stream, n) => (1, stream as u8, int(n)),
        ViewKey::Summary => (2, 0, 0),
    }
}

pub(super) fn put_info(conn: &Connection, session: i64, info: &SessionInfo) -> Result<()> {
    let json = serde_json::to_vec(info).expect("protocol types serialise: string keys, no failing impls");
    let old: Option<i64> =
        conn.prepare_cached("SELECT info FROM sessions WHERE id = ?1")?.query_row([session], |row| row.get(0))?;
    let blob = blob::put(conn, old, &json)?;
    conn.prepare_cached("UPDATE sessions SET info = ?2, is_open = ?3 WHERE id = ?1")?.execute((
        session,
        blob,
        info.state.is_open(),
    ))?;
    if info.state.is_ended() {
        conn.prepare_cached("DELETE FROM codes WHERE session = ?1")?.execute([session])?;
    }
    Ok(())
}

pub(super) fn document_head(conn: &Connection, session: i64, document: Uuid) -> Result<u64> {
    let mut statement =
        conn.prepare_cached("SELECT coalesce(max(n), 0) FROM document_updates WHERE session = ?1 AND document = ?2")?;
    statement.query_row((session, document.as_bytes()), |row| uint(row, 0))
}

/// Returns the last commit that erased something.
fn redacted_rev(conn: &Connection, session: i64) -> Result<u64> {
    conn.prepare_cached("SELECT redacted_rev FROM sessions WHERE id = ?1")?.query_row([session], |row| uint(row, 0))
}

/// Erases the state snapshot of a session.
pub(super) fn drop_state(conn: &Connection, session: i64) -> Result<()> {
    conn.prepare_cached("DELETE FROM blobs WHERE id IN (SELECT blob FROM states WHERE session = ?1)")?
        .execute([session])?;
    conn.prepare_cached("DELETE FROM states WHERE session = ?1")?.execute([session])?;
    Ok(())
}

/// Erases every view snapshot and page of a session.
pub(super) fn drop_views(conn: &Connection, session: i64) -> Result<()> {
    conn.prepare_cached("DELETE FROM blobs WHERE id IN (SELECT blob FROM views WHERE session = ?1)")?
        .execute([session])?;
    conn.prepare_cached("DELETE FROM views WHERE session = ?1")?.execute([session])?;
    Ok(())
}

/// A snapshot of a session that is not there any more is dropped, one that is older than what is kept, and one of before
/// the last redaction: a title that was made from an erased message may be in it.
pub(super) fn put_state(tx: &mut Tx<'_>, snapshot: &StateSnapshot) -> Result<()> {
    let Some(hot) = tx.hot(snapshot.session)? else { return Ok(()) };
    if snapshot.rev.0 < redacted_rev(tx.conn, hot.row)? {
        return Ok(());
    }
    let mut find = tx.conn.prepare_cached("SELECT blob, rev FROM states WHERE session = ?1")?;
    let old: Option<(i64, i64)> = find.query_row([hot.row], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if old.is_some_and(|(_, rev)| rev > int(snapshot.rev.0)) {
        return Ok(());
    }
    let blob = blob::put(tx.conn, old.map(|(blob, _)| blob), &snapshot.bytes)?;
    tx.conn
        .prepare_cached("INSERT OR REPLACE INTO states (session, format, rev, blob) VALUES (?1, ?2, ?3, ?4)")?
        .execute((hot.row, snapshot.format, int(snapshot.rev.0), blob))?;
    Ok(())
}

/// A view that is older than what is kept is dropped, and one that was made before the last redaction: it may hold what
/// was erased.
pub(super) fn put_view(tx: &mut Tx<'_>, session: SessionId, key: ViewKey, snapshot: &ViewSnapshot) -> Result<()> {
    let Some(hot) = tx.hot(session)? else { return Ok(()) };
    if snapshot.rev.0 < redacted_rev(tx.conn, hot.row)? {
        return Ok(());
    }
    let (kind, which, n) = view_key(key);
    let mut find = tx
        .conn
        .prepare_cached("SELECT blob, rev FROM views WHERE session = ?1 AND kind = ?2 AND which = ?3 AND n = ?4")?;
    let old: Option<(i64, i64)> =
        find.query_row((hot.row, kind, which, n), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if old.is_some_and(|(_, rev)| rev > int(snapshot.rev.0)) {
        return Ok(());
    }
    let blob = blob::put(tx.conn, old.map(|(blob, _)| blob), &snapshot.bytes)?;
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO views (session, kind, which, n, rev, blob) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((hot.row, kind, which, n, int(snapshot.rev.0), blob))?;
    Ok(())
}

/// Empties every row of a session in the heaps and deletes it everywhere else.
pub(super) fn delete_session(tx: &mut Tx<'_>, session: SessionId) -> Result<Deletion> {
    let Some(hot) = tx.hot(session)? else { return Ok(Deletion::NoSuch) };
    let owes = "SELECT EXISTS (SELECT 1 FROM outbox WHERE session = ?1 AND due_at IS NOT NULL)";
    if tx.conn.prepare_cached(owes)?.query_row([hot.row], |row| row.get(0))? {
        return Ok(Deletion::Owes);
    }
    tx.forget(session);
    tx.erases = true;
    let run = |sql: &str| tx.conn.prepare_cached(sql)?.execute([hot.row]).map(|_| ());
    run("UPDATE counters SET value = value + (
             SELECT coalesce(sum(length(header) + length(body) + 150), 0) FROM events WHERE session = ?1
         ) + (
             SELECT coalesce(sum(length(bytes) + 60), 0) FROM document_updates WHERE session = ?1
         ) WHERE name = 'emptied_bytes'")?;
    run("UPDATE events SET session = -id, uuid = x'', key = x'', fingerprint = NULL, branch = NULL, seen = NULL,
             causes = NULL, header = x'', salt = NULL, body = x'', hash = x'' WHERE session = ?1")?;
    run("DELETE FROM seals WHERE session = ?1")?;
    run("UPDATE document_updates SET session = -id, document = x'', actor = NULL, bytes = x'' WHERE session = ?1")?;
    drop_views(tx.conn, hot.row)?;
    attachments::drop_of_session(tx.conn, hot.row)?;
    run("DELETE FROM blobs WHERE id IN (
             SELECT blob FROM states WHERE session = ?1 UNION ALL SELECT info FROM sessions WHERE id = ?1
         )")?;
    // Members, links, read marks and what else refers to the session go with it.
    run("DELETE FROM sessions WHERE id = ?1")?;
    Ok(Deletion::Done)
}

pub(super) fn put_user(tx: &Tx<'_>, user: &User) -> Result<bool> {
    let changed = tx
        .conn
        .prepare_cached(
            "INSERT OR IGNORE INTO users (id, display_name, guest, created_at, colour) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((user.id.0.as_bytes(), &user.display_name, user.guest, micros(user.created_at), user.colour))?;
    Ok(changed == 1)
}

pub(super) fn change_user(tx: &Tx<'_>, user: UserId, patch: &UserPatch) -> Result<Option<User>> {
    tx.conn
        .prepare_cached(
            "UPDATE users SET display_name = coalesce(?2, display_name), colour = coalesce(?3, colour) WHERE id = ?1",
        )?
        .execute((user.0.as_bytes(), &patch.display_name, patch.colour))?;
    read::user(tx.conn, user)
}

pub(super) fn put_login(tx: &Tx<'_>, login: &Login) -> Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO logins (token_hash, user, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((login.token_hash, login.user.0.as_bytes(), micros(login.created_at), micros(login.expires_at)))?;
    Ok(())
}

pub(super) fn end_login(tx: &mut Tx<'_>, token_hash: &TokenHash) -> Result<bool> {
    let ended = tx.conn.prepare_cached("DELETE FROM logins WHERE token_hash = ?1")?.execute([token_hash])? == 1;
    if ended {
        tx.raise_rights(None)?;
    }
    Ok(ended)
}

pub(super) fn put_link(tx: &mut Tx<'_>, link: &Link) -> Result<bool> {
    let Some(hot) = tx.hot(link.session)? else { return Ok(false) };
    let changed = tx
        .conn
        .prepare_cached(
            "INSERT OR IGNORE INTO links (id, token_hash, session, role, password_hash, created_by, created_at,
                 expires_at, max_uses, uses, last_used_at, revoked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute((
            link.id.0.as_bytes(),
            link.token_hash,
            hot.row,
            role_number(link.role),
            &link.password_hash,
            link.created_by.0.as_bytes(),
            micros(link.created_at),
            link.expires_at.map(micros),
            link.max_uses,
            link.uses,
            link.last_used_at.map(micros),
            link.revoked_at.map(micros),
        ))?;
    Ok(changed == 1)
}

pub(super) fn revoke_link(tx: &mut Tx<'_>, session: SessionId, id: LinkId, at: Timestamp) -> Result<Option<Link>> {
    let Some(hot) = tx.hot(session)? else { return Ok(None) };
    let revoked = tx
        .conn
        .prepare_cached("UPDATE links SET revoked_at = ?3 WHERE id = ?1 AND session = ?2 AND revoked_at IS NULL")?
        .execute((id.0.as_bytes(), hot.row, micros(at)))?;
    if revoked == 1 {
        tx.raise_rights(Some(hot.project))?;
    }
    read::link_by_id(tx.conn, session, id)
}

/// The conditions are those of [`Link::is_live`].
pub(super) fn use_link(tx: &Tx<'_>, id: LinkId, at: Timestamp) -> Result<bool> {
    let used = tx
        .conn
        .prepare_cached(
            "UPDATE links SET uses = uses + 1, last_used_at = ?2 WHERE id = ?1 AND revoked_at IS NULL
             AND (expires_at IS NULL OR ?2 < expires_at) AND (max_uses IS NULL OR uses < max_uses)",
        )?
        .execute((id.0.as_bytes(), micros(at)))?;
    Ok(used == 1)
}

/// Which sessions are open is known from the directory entry, written by the commit that changed it.
pub(super) fn put_share_code(tx: &mut Tx<'_>, session: SessionId, code: &str, replace: bool) -> Result<bool> {
    let Some(hot) = tx.hot(session)? else { return Ok(false) };
    let mut may = tx.conn.prepare_cached(
        "SELECT is_open AND NOT EXISTS (SELECT 1 FROM codes WHERE code = ?2)
             AND (?3 OR NOT EXISTS (SELECT 1 FROM codes WHERE session = ?1))
         FROM sessions WHERE id = ?1",
    )?;
    if !may.query_row((hot.row, code, replace), |row| row.get::<_, bool>(0))? {
        return Ok(false);
    }
    tx.conn.prepare_cached("INSERT OR REPLACE INTO codes (session, code) VALUES (?1, ?2)")?.execute((hot.row, code))?;
    if replace {
        tx.raise_rights(Some(hot.project))?;
    }
    Ok(true)
}

pub(super) fn end_share_code(tx: &mut Tx<'_>, session: SessionId) -> Result<bool> {
    let Some(hot) = tx.hot(session)? else { return Ok(false) };
    let ended = tx
        .conn
        .prepare_cached("UPDATE codes SET code = NULL WHERE session = ?1 AND code IS NOT NULL")?
        .execute([hot.row])?
        == 1;
    if ended {
        tx.raise_rights(Some(hot.project))?;
    }
    Ok(ended)
}

pub(super) fn put_read_mark(
    tx: &mut Tx<'_>,
    session: SessionId,
    participant: ParticipantId,
    stream: Stream,
    seq: Seq,
) -> Result<()> {
    let Some(hot) = tx.hot(session)? else { return Ok(()) };
    tx.conn
        .prepare_cached(
            "INSERT INTO read_marks (session, participant, stream, seq) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (session, participant, stream) DO UPDATE SET seq = max(seq, excluded.seq)",
        )?
        .execute((hot.row, participant.0.as_bytes(), stream as u8, int(seq.0)))?;
    Ok(())
}

pub(super) fn outbox_done(tx: &Tx<'_>, id: u64) -> Result<bool> {
    let done = tx
        .conn
        .prepare_cached(
            "UPDATE outbox SET due_at = NULL, kind = '', idempotency_key = x'', body = x''
             WHERE id = ?1 AND due_at IS NOT NULL",
        )?
        .execute([int(id)])?;
    Ok(done == 1)
}
