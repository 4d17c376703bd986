//! One commit, written into the open transaction.

use std::collections::{HashMap, HashSet};

use roundtable_protocol::event::redacted_body;
use roundtable_protocol::{EventId, Seq, Stream};
use rusqlite::{OptionalExtension, Result, params};
use uuid::Uuid;

use super::super::value::{int, micros, role_number, stream, uint};
use super::super::{attachments, tables};
use super::tx::{Hot, Tx};
use crate::admit::admit;
use crate::chain::{self, GENESIS, Hash, Salt};
use crate::types::{AppendError, Appended, Birth, Commit, NewEvent};

/// A commit with what can be worked out on the caller's thread, which is half of the hashing.
pub(in crate::sqlite) struct Prepared {
    commit: Commit,
    salts: Vec<Salt>,
    seals: Vec<Hash>,
    /// Unit: bytes, roughly.
    pub(super) size: usize,
}

impl Prepared {
    pub(in crate::sqlite) fn new(commit: Commit) -> std::result::Result<Self, AppendError> {
        let salts = chain::salts(commit.events.len()).map_err(|e| AppendError::Unavailable(e.to_string()))?;
        let seals = commit.events.iter().zip(&salts).map(|(event, salt)| chain::seal(salt, &event.body)).collect();
        let events: usize = commit.events.iter().map(|event| event.header.len() + event.body.len()).sum();
        let documents: usize = commit.documents.iter().map(|update| update.bytes.len()).sum();
        Ok(Self { commit, salts, seals, size: events + documents })
    }
}

/// Writes the commit, or answers why not; then nothing of it was written.
///
/// An id that is there already makes the index fail in the middle; the whole group is then rolled back and done again
/// carefully. So the usual commit pays for no look-up.
pub(super) fn append(tx: &mut Tx<'_>, prepared: &Prepared) -> Result<std::result::Result<Appended, AppendError>> {
    let commit = &prepared.commit;
    let found = tx.hot(commit.session)?;
    let project = found.map(|hot| hot.project).or(commit.birth.as_ref().map(|birth| birth.project));
    let rights = project.map_or(Ok(0), |project| tx.rights(project))?;
    let heads = match admit(commit, found.map(|hot| hot.position()), rights) {
        Ok(heads) => heads,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Some(refusal) = duplicate(tx, found, &commit.events)? {
        return Ok(Err(refusal));
    }
    if !documents_are_dense(tx, found, commit)? {
        return Ok(Err(AppendError::Conflict { actual: commit.expected_rev }));
    }

    let mut hot = match (found, &commit.birth) {
        (Some(hot), _) => hot,
        (None, Some(birth)) => bear(tx, commit, birth)?,
        (None, None) => unreachable!("admit refuses a commit to a session that is not there"),
    };
    hot.rev = hot.rev.next();
    hot.heads = heads;
    hot.event_count += commit.events.len() as u64;
    hot.updated_at = hot.updated_at.max(micros(commit.at));
    write_events(tx, &mut hot, prepared)?;
    redact(tx, &hot, commit)?;
    write_rest(tx, &hot, commit)?;
    drop_attachments(tx, &hot, commit)?;
    move_head(tx, &hot, commit)?;
    tx.remember(commit.session, hot);
    Ok(Ok(Appended { rev: hot.rev }))
}

fn bear(tx: &Tx<'_>, commit: &Commit, birth: &Birth) -> Result<Hot> {
    let row = tx
        .conn
        .prepare_cached(
            "INSERT INTO sessions (uuid, epoch, project_id, rev, head_main, head_side, head_staff, head_stage, tips,
                 updated_at, event_count)
             VALUES (?1, ?2, ?3, 0, 0, 0, 0, 0, x'', 0, 0)",
        )?
        .insert((commit.session.0.as_bytes(), &birth.epoch.0, birth.project.0.as_bytes()))?;
    Ok(Hot {
        row,
        project: birth.project,
        rev: commit.expected_rev,
        heads: [Seq::ZERO; 4],
        tips: [GENESIS; 4],
        updated_at: micros(commit.at),
        event_count: 0,
    })
}

fn write_events(tx: &Tx<'_>, hot: &mut Hot, prepared: &Prepared) -> Result<()> {
    let Prepared { commit, salts, seals, .. } = prepared;
    let erased: HashSet<(Stream, Seq)> = commit.redactions.iter().copied().collect();
    let mut insert = tx.conn.prepare_cached(
        "INSERT INTO events (session, stream, seq, rev, pos, uuid, key, fingerprint, branch, seen, causes, header, salt,
             body, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?;
    let parts = commit.events.iter().zip(salts).zip(seals).enumerate();
    for (pos, ((event, salt), seal)) in parts {
        let tip = &mut hot.tips[event.stream as usize];
        *tip = chain::link(tip, &event.header, seal);
        // What is redacted by the commit that brings it never reaches the disk.
        let stub = erased.contains(&(event.stream, event.seq)).then(|| stub(&event.body));
        let causes: Option<Vec<u8>> =
            (!event.causes.is_empty()).then(|| event.causes.iter().flat_map(|id| *id.0.as_bytes()).collect());
        let row = insert.insert(params![
            hot.row,
            event.stream as u8,
            int(event.seq.0),
            int(hot.rev.0),
            int(pos as u64),
            event.id.0.as_bytes(),
            event.key.as_bytes(),
            event.fingerprint.map(int),
            event.branch.as_ref().map(|id| id.0.as_bytes()),
            event.seen.map(|seq| int(seq.0)),
            causes,
            &event.header[..],
            stub.is_none().then_some(salt),
            stub.as_deref().unwrap_or(&event.body),
            &*tip,
        ])?;
        if stub.is_some() {
            put_seal(tx, hot, row, seal)?;
        }
    }
    Ok(())
}

/// Erases the text of earlier events and everything that may have been made of it.
fn redact(tx: &mut Tx<'_>, hot: &Hot, commit: &Commit) -> Result<()> {
    if commit.redactions.is_empty() {
        return Ok(());
    }
    tx.erases = true;
    tx.conn
        .prepare_cached("UPDATE sessions SET redacted_rev = ?2 WHERE id = ?1")?
        .execute((hot.row, int(hot.rev.0)))?;
    tables::drop_views(tx.conn, hot.row)?;
    tables::drop_state(tx.conn, hot.row)?;
    let mut find = tx.conn.prepare_cached(
        "SELECT id, salt, body FROM events WHERE session = ?1 AND stream = ?2 AND seq = ?3 AND salt IS NOT NULL",
    )?;
    let mut update = tx.conn.prepare_cached("UPDATE events SET salt = NULL, body = ?2 WHERE id = ?1")?;
    for (stream, seq) in &commit.redactions {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let stored: Option<(i64, Salt, Vec<u8>)> =
            find.query_row((hot.row, *stream as u8, int(seq.0)), read).optional()?;
        if let Some((row, salt, body)) = stored {
            put_seal(tx, hot, row, &chain::seal(&salt, &body))?;
            update.execute((row, stub(&body)))?;
        }
    }
    Ok(())
}

fn put_seal(tx: &Tx<'_>, hot: &Hot, event: i64, seal: &Hash) -> Result<()> {
    let mut insert = tx.conn.prepare_cached("INSERT INTO seals (event, session, body_hash) VALUES (?1, ?2, ?3)")?;
    insert.execute((event, hot.row, seal)).map(|_| ())
}

/// Returns what stays of a body, no longer than it was: a row that grew would be moved and leave a copy behind.
///
/// The mark that [`redacted_body`] adds may have no room; readers add it again to every row without a salt.
fn stub(body: &[u8]) -> Vec<u8> {
    let mut stub = redacted_body(body);
    if stub.len() > body.len()
        && let Some(rest) = stub.strip_suffix(br#","redacted":true}"#)
    {
        stub = [rest, b"}"].concat();
    }
    if stub.len() > body.len() {
        stub.clear();
    }
    stub
}

/// Writes what a commit brings beside its events.
fn write_rest(tx: &Tx<'_>, hot: &Hot, commit: &Commit) -> Result<()> {
    if let Some(info) = &commit.directory {
        tables::put_info(tx.conn, hot.row, info)?;
    }
    for (user, role) in &commit.members {
        match role {
            Some(role) => tx
                .conn
                .prepare_cached("INSERT OR REPLACE INTO members (session, user, role) VALUES (?1, ?2, ?3)")?
                .execute((hot.row, user.0.as_bytes(), role_number(*role)))?,
            None => tx
                .conn
                .prepare_cached("DELETE FROM members WHERE session = ?1 AND user = ?2")?
                .execute((hot.row, user.0.as_bytes()))?,
        };
    }
    attachments::attach(tx.conn, hot.row, &commit.attached)?;
    for row in &commit.outbox {
        tx.conn
            .prepare_cached(
                "INSERT INTO outbox (session, kind, idempotency_key, due_at, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((hot.row, &row.kind, row.idempotency_key.as_bytes(), micros(row.due_at), &row.body[..]))?;
    }
    for update in &commit.documents {
        let actor = update.actor.participant();
        tx.conn
            .prepare_cached(
                "INSERT INTO document_updates (session, document, n, actor, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((
                hot.row,
                update.document.as_bytes(),
                int(update.n),
                actor.as_ref().map(|id| id.0.as_bytes()),
                &update.bytes[..],
            ))?;
    }
    Ok(())
}

/// The files of a message go with its text. After they were attached: one commit may post and erase.
fn drop_attachments(tx: &Tx<'_>, hot: &Hot, commit: &Commit) -> Result<()> {
    let mut find = tx.conn.prepare_cached("SELECT uuid FROM events WHERE session = ?1 AND stream = ?2 AND seq = ?3")?;
    for (stream, seq) in &commit.redactions {
        let message: Option<Vec<u8>> =
            find.query_row((hot.row, *stream as u8, int(seq.0)), |row| row.get(0)).optional()?;
        if let Some(message) = message {
            attachments::drop_of_message(tx.conn, hot.row, &message)?;
        }
    }
    Ok(())
}

fn move_head(tx: &Tx<'_>, hot: &Hot, commit: &Commit) -> Result<()> {
    let [main, side, staff, stage] = hot.heads.map(|seq| int(seq.0));
    tx.conn
        .prepare_cached(
            "UPDATE sessions SET rev = ?2, head_main = ?3, head_side = ?4, head_staff = ?5, head_stage = ?6, tips = ?7,
                 wake_at = ?8, updated_at = ?9, event_count = ?10
             WHERE id = ?1",
        )?
        .execute((
            hot.row,
            int(hot.rev.0),
            main,
            side,
            staff,
            stage,
            hot.tips.as_flattened(),
            commit.wake_at.map(micros),
            hot.updated_at,
            int(hot.event_count),
        ))?;
    Ok(())
}

fn duplicate(tx: &Tx<'_>, found: Option<Hot>, events: &[NewEvent]) -> Result<Option<AppendError>> {
    if !tx.careful {
        return Ok(None);
    }
    let mut here: HashMap<EventId, (Stream, Seq)> = HashMap::with_capacity(events.len());
    let mut find = tx.conn.prepare_cached("SELECT stream, seq FROM events WHERE session = ?1 AND uuid = ?2")?;
    for event in events {
        let id = event.id;
        let read = |row: &rusqlite::Row<'_>| Ok((stream(row, 0)?, Seq(uint(row, 1)?)));
        let stored = match found {
            Some(hot) => find.query_row((hot.row, id.0.as_bytes()), read).optional()?,
            None => None,
        };
        if let Some((stream, seq)) = stored.or_else(|| here.insert(id, (event.stream, event.seq))) {
            return Ok(Some(AppendError::Duplicate { id, stream, seq }));
        }
    }
    Ok(None)
}

fn documents_are_dense(tx: &Tx<'_>, found: Option<Hot>, commit: &Commit) -> Result<bool> {
    let mut heads: HashMap<Uuid, u64> = HashMap::new();
    for update in &commit.documents {
        let head = match (heads.get(&update.document), found) {
            (Some(head), _) => *head,
            (None, Some(hot)) => tables::document_head(tx.conn, hot.row, update.document)?,
            (None, None) => 0,
        };
        if update.n != head + 1 {
            return Ok(false);
        }
        heads.insert(update.document, update.n);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_of_a_body_is_never_longer_than_it_was() {
        for body in [
            "",
            "x",
            "{}",
            "[1]",
            "7e5",
            r#"{"n":1e5}"#,
            r#"{"text":""}"#,
            r#"{"text":"","n":1e5}"#,
            r#"{"text":"1234567890"}"#,
            r#"{"text":"long enough for the mark"}"#,
            r#"{"text":"é","redacted":false}"#,
            r#"{"a":"\u000b"}"#,
        ] {
            let stored = stub(body.as_bytes());
            assert!(stored.len() <= body.len(), "{body}");
            let read = redacted_body(&stored);
            assert_eq!(redacted_body(&read), read, "{body}");
            assert!(serde_json::from_slice::<serde_json::Value>(&read).expect("JSON")["redacted"] == true, "{body}");
        }
        assert_eq!(redacted_body(&stub(br#"{"text":"","ask":true}"#)), br#"{"text":"","ask":true,"redacted":true}"#);
    }
}
