//! Questions, each answered on one reading connection.

use bytes::Bytes;
use roundtable_protocol::event::redacted_body;
use roundtable_protocol::ids::{Epoch, EventId, LinkId, ParticipantId, ProjectId, Rev, Seq};
use roundtable_protocol::{Actor, SessionId, Stream, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Result, Row};
use uuid::Uuid;

use super::value::{int, limit, micros, role, stream, time, time_if_any, uint, uuid};
use super::{blob, tables};
use crate::chain::{Hash, Kept, Salt, Walk};
use crate::types::{
    DirectoryEntry, DocumentUpdate, Found, Link, Login, NewOutboxRow, OutboxRow, PageToken, READ_BYTES, SessionHead,
    ShareCode, StateSnapshot, StoredEvent, TokenHash, Totals, User, Verification, ViewKey, ViewSnapshot,
};

/// How many events one step of a verification reads, so that no reading lasts long. Unit: events.
const VERIFY_STEP: usize = 1_000;

/// The columns of [`event`].
const EVENT: &str = "stream, seq, rev, uuid, header, salt IS NULL, body";

fn event(row: &Row<'_>) -> Result<StoredEvent> {
    let header = row.get_ref(4)?.as_blob()?;
    let is_redacted: bool = row.get(5)?;
    let body = row.get_ref(6)?.as_blob()?;
    // One allocation for both; a redacted body is stored without the mark, for want of room.
    let (header, body) = if is_redacted {
        (Bytes::copy_from_slice(header), Bytes::from(redacted_body(body)))
    } else {
        let mut both = Vec::with_capacity(header.len() + body.len());
        both.extend_from_slice(header);
        both.extend_from_slice(body);
        let both = Bytes::from(both);
        (both.slice(..header.len()), both.slice(header.len()..))
    };
    Ok(StoredEvent {
        stream: stream(row, 0)?,
        seq: Seq(uint(row, 1)?),
        rev: Rev(uint(row, 2)?),
        id: EventId(uuid(row, 3)?),
        header,
        body,
    })
}

/// Where a session stands, with what only the store knows.
struct Standing {
    row: i64,
    head: SessionHead,
    tips: [Hash; 4],
}

fn standing(conn: &Connection, session: SessionId) -> Result<Option<Standing>> {
    let mut statement = conn.prepare_cached(
        "SELECT s.id, s.rev, s.epoch, s.project_id, s.head_main, s.head_side, s.head_staff, s.head_stage, s.tips,
             coalesce((SELECT sum(rights_epoch) FROM projects WHERE project_id IN (s.project_id, zeroblob(16))), 0)
         FROM sessions s WHERE s.uuid = ?1",
    )?;
    let read = |row: &Row<'_>| {
        let head = SessionHead {
            rev: Rev(uint(row, 1)?),
            epoch: Epoch(row.get(2)?),
            project: ProjectId(uuid(row, 3)?),
            heads: [Seq(uint(row, 4)?), Seq(uint(row, 5)?), Seq(uint(row, 6)?), Seq(uint(row, 7)?)],
            rights_epoch: uint(row, 9)?,
        };
        Ok(Standing { row: row.get(0)?, head, tips: tables::split_tips(row.get_ref(8)?.as_blob()?) })
    };
    statement.query_row([session.0.as_bytes()], read).optional()
}

pub(super) fn head(conn: &Connection, session: SessionId) -> Result<Option<SessionHead>> {
    Ok(standing(conn, session)?.map(|standing| standing.head))
}

pub(super) fn events(
    conn: &Connection,
    session: SessionId,
    stream: Stream,
    after: Seq,
    count: usize,
    max_bytes: usize,
) -> Result<Vec<StoredEvent>> {
    let sql = format!(
        "SELECT {EVENT} FROM events WHERE session = (SELECT id FROM sessions WHERE uuid = ?1)
         AND stream = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((session.0.as_bytes(), stream as u8, int(after.0), limit(count)))?;
    let mut size = 0;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let event = event(row)?;
        size += event.header.len() + event.body.len();
        if !events.is_empty() && size > max_bytes {
            break;
        }
        events.push(event);
    }
    Ok(events)
}

/// In each stream rev grows with seq, so the index by seq serves: find where `after` ends in each stream, find the
/// commit in which `count` is reached, read the streams up to there and join them.
pub(super) fn commits(conn: &Connection, session: SessionId, after: Rev, count: usize) -> Result<Vec<StoredEvent>> {
    let snapshot = conn.unchecked_transaction()?;
    let Some(Standing { row, head, .. }) = standing(&snapshot, session)? else { return Ok(Vec::new()) };
    if head.rev <= after {
        return Ok(Vec::new());
    }
    let mut starts = [Seq::ZERO; 4];
    let mut sizes: Vec<(u64, u64)> = Vec::new();
    for (stream, start) in Stream::ALL.into_iter().zip(&mut starts) {
        *start = last_up_to(&snapshot, row, stream, head.heads[stream as usize], after)?;
        let mut statement = snapshot.prepare_cached(
            "SELECT rev, length(header) + length(body) FROM events
             WHERE session = ?1 AND stream = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4",
        )?;
        let mut rows = statement.query((row, stream as u8, int(start.0), limit(count.max(1))))?;
        let mut size = 0;
        while size < READ_BYTES as u64
            && let Some(row) = rows.next()?
        {
            let (rev, bytes) = (uint(row, 0)?, uint(row, 1)?);
            size += bytes;
            sizes.push((rev, bytes));
        }
    }
    sizes.sort_unstable();
    let mut size = 0;
    let reached = sizes.iter().enumerate().position(|(n, (_, bytes))| {
        size += bytes;
        n + 1 >= count || size >= READ_BYTES as u64
    });
    let Some((last, _)) = reached.map(|n| sizes[n]).or(sizes.last().copied()) else { return Ok(Vec::new()) };

    let sql = format!("SELECT {EVENT}, pos FROM events WHERE session = ?1 AND stream = ?2 AND seq > ?3 ORDER BY seq");
    let mut statement = snapshot.prepare_cached(&sql)?;
    let mut events = Vec::new();
    for (stream, start) in Stream::ALL.into_iter().zip(starts) {
        let mut rows = statement.query((row, stream as u8, int(start.0)))?;
        while let Some(row) = rows.next()? {
            let event = event(row)?;
            if event.rev.0 > last {
                break;
            }
            events.push((event.rev, uint(row, 7)?, event));
        }
    }
    events.sort_unstable_by_key(|(rev, pos, _)| (*rev, *pos));
    Ok(events.into_iter().map(|(_, _, event)| event).collect())
}

/// Returns the last seq of a stream whose commit is `rev` or an earlier one.
fn last_up_to(conn: &Connection, session: i64, stream: Stream, head: Seq, rev: Rev) -> Result<Seq> {
    let mut statement = conn.prepare_cached(
        "SELECT rev FROM events WHERE session = ?1 AND stream = ?2 AND seq >= ?3 ORDER BY seq LIMIT 1",
    )?;
    let (mut low, mut high) = (0, if rev == Rev::ZERO { 0 } else { head.0 });
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let found = statement.query_row((session, stream as u8, int(middle)), |row| uint(row, 0)).optional()?;
        if found.is_some_and(|found| found <= rev.0) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(Seq(low))
}

pub(super) fn find(conn: &Connection, session: SessionId, id: EventId) -> Result<Option<Found>> {
    let sql = format!(
        "SELECT {EVENT}, key, fingerprint FROM events
         WHERE session = (SELECT id FROM sessions WHERE uuid = ?1) AND uuid = ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let read = |row: &Row<'_>| {
        let fingerprint: Option<i64> = row.get(8)?;
        Ok(Found { event: event(row)?, key: uuid(row, 7)?, fingerprint: fingerprint.map(i64::cast_unsigned) })
    };
    statement.query_row((session.0.as_bytes(), id.0.as_bytes()), read).optional()
}

/// Checks up to where the session stood at the start, in short steps.
pub(super) fn verify(conn: &Connection, session: SessionId) -> Result<Verification> {
    let mut verification = Verification::default();
    let Some(start) = standing(conn, session)? else { return Ok(verification) };
    for stream in Stream::ALL {
        let mut walk = Walk::new(stream);
        let head = start.head.heads[stream as usize];
        let mut after = Seq::ZERO;
        while let Some(last) = verify_step(conn, start.row, stream, after, head, &mut walk)? {
            after = last;
        }
        walk.finish(head, &start.tips[stream as usize], &mut verification);
    }
    let is_there = standing(conn, session)?.is_some_and(|end| end.row == start.row);
    Ok(if is_there { verification } else { Verification::default() })
}

fn verify_step(
    conn: &Connection,
    session: i64,
    stream: Stream,
    after: Seq,
    head: Seq,
    walk: &mut Walk,
) -> Result<Option<Seq>> {
    let mut statement = conn.prepare_cached(
        "SELECT e.seq, e.header, e.salt, e.body, e.hash, s.body_hash
         FROM events e LEFT JOIN seals s ON s.event = e.id
         WHERE e.session = ?1 AND e.stream = ?2 AND e.seq > ?3 AND e.seq <= ?4 ORDER BY e.seq LIMIT ?5",
    )?;
    let mut rows = statement.query((session, stream as u8, int(after.0), int(head.0), limit(VERIFY_STEP)))?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let seq = Seq(uint(row, 0)?);
        // Who tampers need not keep to the columns' types.
        let bytes = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_bytes_or_null().ok().flatten());
        let salt: Option<&Salt> = bytes(2)?.and_then(|salt| salt.try_into().ok());
        let seal: Option<&Hash> = bytes(5)?.and_then(|seal| seal.try_into().ok());
        let kept = match (salt, bytes(3)?, seal) {
            (Some(salt), Some(body), None) => Kept::Body { salt, body },
            (None, _, Some(seal)) => Kept::Seal(seal),
            _ => Kept::Nothing,
        };
        walk.step(seq, bytes(1)?.unwrap_or_default(), kept, bytes(4)?.unwrap_or_default());
        last = Some(seq);
    }
    Ok(last)
}

pub(super) fn due(conn: &Connection, now: Timestamp, count: usize) -> Result<Vec<SessionId>> {
    let mut statement =
        conn.prepare_cached("SELECT uuid FROM sessions WHERE wake_at <= ?1 ORDER BY wake_at, uuid LIMIT ?2")?;
    statement.query_map((micros(now), limit(count)), |row| uuid(row, 0).map(SessionId))?.collect()
}

pub(super) fn state(conn: &Connection, session: SessionId) -> Result<Option<StateSnapshot>> {
    let mut statement = conn.prepare_cached(
        "SELECT t.format, t.rev, b.bytes FROM states t JOIN blobs b ON b.id = t.blob
         WHERE t.session = (SELECT id FROM sessions WHERE uuid = ?1)",
    )?;
    let read = |row: &Row<'_>| {
        let bytes = blob::unwrap(row.get(2)?);
        Ok(StateSnapshot { session, format: row.get(0)?, rev: Rev(uint(row, 1)?), bytes })
    };
    statement.query_row([session.0.as_bytes()], read).optional()
}

pub(super) fn view(conn: &Connection, session: SessionId, key: ViewKey) -> Result<Option<ViewSnapshot>> {
    let (kind, which, n) = tables::view_key(key);
    let mut statement = conn.prepare_cached(
        "SELECT v.rev, b.bytes FROM views v JOIN blobs b ON b.id = v.blob
         WHERE v.session = (SELECT id FROM sessions WHERE uuid = ?1) AND v.kind = ?2 AND v.which = ?3 AND v.n = ?4",
    )?;
    let read = |row: &Row<'_>| Ok(ViewSnapshot { rev: Rev(uint(row, 0)?), bytes: blob::unwrap(row.get(1)?) });
    statement.query_row((session.0.as_bytes(), kind, which, n), read).optional()
}

/// Reads an entry from updated_at, event_count and the blob.
fn entry(row: &Row<'_>, role: Option<roundtable_protocol::Role>) -> Result<DirectoryEntry> {
    let json = blob::unwrap(row.get(2)?);
    let mut info: roundtable_protocol::model::SessionInfo = serde_json::from_slice(&json)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Blob, Box::new(e)))?;
    info.updated_at = time(row, 0)?;
    info.event_count = uint(row, 1)?;
    Ok(DirectoryEntry { info, role })
}

pub(super) fn session(conn: &Connection, session: SessionId) -> Result<Option<DirectoryEntry>> {
    let mut statement = conn.prepare_cached(
        "SELECT s.updated_at, s.event_count, b.bytes FROM sessions s JOIN blobs b ON b.id = s.info WHERE s.uuid = ?1",
    )?;
    statement.query_row([session.0.as_bytes()], |row| entry(row, None)).optional()
}

pub(super) fn sessions_of(
    conn: &Connection,
    user: UserId,
    search: Option<&str>,
    page: Option<PageToken>,
    count: usize,
) -> Result<Vec<DirectoryEntry>> {
    let mut statement = conn.prepare_cached(
        "SELECT s.updated_at, s.event_count, b.bytes, m.role
         FROM members m JOIN sessions s ON s.id = m.session JOIN blobs b ON b.id = s.info
         WHERE m.user = ?1 AND (s.updated_at, s.uuid) < (?2, ?3) ORDER BY s.updated_at DESC, s.uuid DESC",
    )?;
    // Without a page token: after everything that there can be.
    let (at, id) = page.map_or((i64::MAX, Uuid::max()), |page| (micros(page.updated_at), page.id.0));
    let read = |row: &Row<'_>| entry(row, Some(role(row, 3)?));
    let rows = statement.query_map((user.0.as_bytes(), at, id.as_bytes()), read)?;
    // Titles are inside the entries, so those that are searched for are found here; rows beyond the last are not read.
    let wanted = |entry: &Result<DirectoryEntry>| match (entry, search) {
        (Ok(entry), Some(search)) => crate::title_matches(&entry.info.title, search),
        _ => true,
    };
    rows.filter(wanted).take(count).collect()
}

pub(super) fn share_code(conn: &Connection, session: SessionId) -> Result<ShareCode> {
    let mut statement =
        conn.prepare_cached("SELECT c.code FROM codes c JOIN sessions s ON s.id = c.session WHERE s.uuid = ?1")?;
    let code: Option<Option<String>> = statement.query_row([session.0.as_bytes()], |row| row.get(0)).optional()?;
    Ok(match code {
        None => ShareCode::Never,
        Some(None) => ShareCode::Off,
        Some(Some(code)) => ShareCode::On(code),
    })
}

pub(super) fn session_by_code(conn: &Connection, code: &str) -> Result<Option<SessionId>> {
    let mut statement = conn.prepare_cached(
        "SELECT s.uuid FROM codes c JOIN sessions s ON s.id = c.session WHERE c.code = ?1 AND s.is_open",
    )?;
    statement.query_row([code], |row| uuid(row, 0).map(SessionId)).optional()
}

pub(super) fn totals(conn: &Connection) -> Result<Totals> {
    let mut statement = conn.prepare_cached("SELECT count(*), total(is_open), total(event_count) FROM sessions")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts below 2^53")]
    let whole = |n: f64| n as u64;
    let read = |row: &Row<'_>| {
        Ok(Totals { sessions: uint(row, 0)?, active_sessions: whole(row.get(1)?), events: whole(row.get(2)?) })
    };
    statement.query_row([], read)
}

pub(super) fn user(conn: &Connection, id: UserId) -> Result<Option<User>> {
    let mut statement =
        conn.prepare_cached("SELECT display_name, guest, created_at, colour FROM users WHERE id = ?1")?;
    let read = |row: &Row<'_>| {
        let (display_name, guest) = (row.get(0)?, row.get(1)?);
        Ok(User { id, display_name, guest, created_at: time(row, 2)?, colour: row.get(3)? })
    };
    statement.query_row([id.0.as_bytes()], read).optional()
}

pub(super) fn login(conn: &Connection, token_hash: TokenHash) -> Result<Option<Login>> {
    let mut statement = conn.prepare_cached("SELECT user, created_at, expires_at FROM logins WHERE token_hash = ?1")?;
    let read = |row: &Row<'_>| {
        Ok(Login { token_hash, user: UserId(uuid(row, 0)?), created_at: time(row, 1)?, expires_at: time(row, 2)? })
    };
    statement.query_row([token_hash], read).optional()
}

/// The columns of [`link_row`], for a table `links l` joined with its session `s`.
const LINK: &str = "l.id, l.token_hash, s.uuid, l.role, l.password_hash, l.created_by, l.created_at, l.expires_at,
    l.max_uses, l.uses, l.last_used_at, l.revoked_at FROM links l JOIN sessions s ON s.id = l.session";

fn link_row(row: &Row<'_>) -> Result<Link> {
    Ok(Link {
        id: LinkId(uuid(row, 0)?),
        token_hash: row.get(1)?,
        session: SessionId(uuid(row, 2)?),
        role: role(row, 3)?,
        password_hash: row.get(4)?,
        created_by: UserId(uuid(row, 5)?),
        created_at: time(row, 6)?,
        expires_at: time_if_any(row, 7)?,
        max_uses: row.get(8)?,
        uses: row.get(9)?,
        last_used_at: time_if_any(row, 10)?,
        revoked_at: time_if_any(row, 11)?,
    })
}

pub(super) fn link(conn: &Connection, token_hash: TokenHash) -> Result<Option<Link>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {LINK} WHERE l.token_hash = ?1"))?;
    statement.query_row([token_hash], link_row).optional()
}

pub(super) fn link_by_id(conn: &Connection, session: SessionId, id: LinkId) -> Result<Option<Link>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {LINK} WHERE l.id = ?1 AND s.uuid = ?2"))?;
    statement.query_row((id.0.as_bytes(), session.0.as_bytes()), link_row).optional()
}

pub(super) fn links(conn: &Connection, session: SessionId) -> Result<Vec<Link>> {
    let sql = format!("SELECT {LINK} WHERE s.uuid = ?1 ORDER BY l.created_at DESC, l.id DESC");
    let mut statement = conn.prepare_cached(&sql)?;
    statement.query_map([session.0.as_bytes()], link_row)?.collect()
}

pub(super) fn rights_epoch(conn: &Connection, project: ProjectId) -> Result<u64> {
    let mut statement = conn
        .prepare_cached("SELECT coalesce(sum(rights_epoch), 0) FROM projects WHERE project_id IN (?1, zeroblob(16))")?;
    statement.query_row([project.0.as_bytes()], |row| uint(row, 0))
}

pub(super) fn read_marks(conn: &Connection, session: SessionId) -> Result<Vec<(ParticipantId, Stream, Seq)>> {
    let mut statement = conn.prepare_cached(
        "SELECT participant, stream, seq FROM read_marks
         WHERE session = (SELECT id FROM sessions WHERE uuid = ?1) ORDER BY participant, stream",
    )?;
    let read = |row: &Row<'_>| Ok((ParticipantId(uuid(row, 0)?), stream(row, 1)?, Seq(uint(row, 2)?)));
    statement.query_map([session.0.as_bytes()], read)?.collect()
}

pub(super) fn outbox_due(conn: &Connection, now: Timestamp, count: usize) -> Result<Vec<OutboxRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT o.id, s.uuid, o.kind, o.idempotency_key, o.due_at, o.body
         FROM outbox o JOIN sessions s ON s.id = o.session WHERE o.due_at <= ?1 ORDER BY o.due_at, o.id LIMIT ?2",
    )?;
    let read = |row: &Row<'_>| {
        let body: Vec<u8> = row.get(5)?;
        let waiting = NewOutboxRow {
            kind: row.get(2)?,
            idempotency_key: uuid(row, 3)?,
            due_at: time(row, 4)?,
            body: Bytes::from(body),
        };
        Ok(OutboxRow { id: uint(row, 0)?, session: SessionId(uuid(row, 1)?), row: waiting })
    };
    statement.query_map((micros(now), limit(count)), read)?.collect()
}

pub(super) fn document_updates(
    conn: &Connection,
    session: SessionId,
    document: Uuid,
    after: u64,
) -> Result<Vec<DocumentUpdate>> {
    let mut statement = conn.prepare_cached(
        "SELECT n, actor, bytes FROM document_updates
         WHERE session = (SELECT id FROM sessions WHERE uuid = ?1) AND document = ?2 AND n > ?3 ORDER BY n",
    )?;
    let read = |row: &Row<'_>| {
        let actor: Option<[u8; 16]> = row.get(1)?;
        let actor = actor.map_or(Actor::System, |id| Actor::Participant(ParticipantId(Uuid::from_bytes(id))));
        let bytes: Vec<u8> = row.get(2)?;
        Ok(DocumentUpdate { document, n: uint(row, 0)?, actor, bytes: Bytes::from(bytes) })
    };
    statement.query_map((session.0.as_bytes(), document.as_bytes(), int(after)), read)?.collect()
}
