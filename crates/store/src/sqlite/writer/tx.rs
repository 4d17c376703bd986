//! What a job sees of the transaction: the connection and what the only writer may remember between transactions.

use std::collections::HashMap;

use roundtable_protocol::{ProjectId, Rev, Seq, SessionId};
use rusqlite::{Connection, OptionalExtension, Result};

use super::super::tables;
use super::super::value::{int, uint, uuid};
use crate::admit::Position;
use crate::chain::Hash;

/// How many sessions are remembered. About 250 bytes each; beyond it all are forgotten and read again as needed.
const REMEMBERED: usize = 8_192;

/// What a session's row says. True only while nobody else writes, which the folder's lock ensures.
#[derive(Clone, Copy, Debug)]
pub(in crate::sqlite) struct Hot {
    pub(in crate::sqlite) row: i64,
    pub(in crate::sqlite) project: ProjectId,
    pub(super) rev: Rev,
    pub(super) heads: [Seq; 4],
    pub(super) tips: [Hash; 4],
    pub(super) updated_at: i64,
    pub(super) event_count: u64,
}

impl Hot {
    pub(super) fn position(&self) -> Position {
        Position { rev: self.rev, heads: self.heads }
    }
}

/// What is remembered. Thrown away when a transaction is rolled back.
#[derive(Debug, Default)]
pub(super) struct Caches {
    pub(super) sessions: HashMap<SessionId, Hot>,
    rights: HashMap<ProjectId, u64>,
}

/// One job's view of the transaction.
pub(in crate::sqlite) struct Tx<'a> {
    pub(in crate::sqlite) conn: &'a Connection,
    pub(super) caches: &'a mut Caches,
    /// Looks for duplicates before writing.
    pub(super) careful: bool,
    /// Set by a job whose answer must wait until the log on the disk has forgotten what it erased.
    pub(in crate::sqlite) erases: bool,
}

impl<'a> Tx<'a> {
    pub(super) fn new(conn: &'a Connection, caches: &'a mut Caches, careful: bool) -> Self {
        Self { conn, caches, careful, erases: false }
    }

    /// Returns what the session's row says, if there is one.
    pub(in crate::sqlite) fn hot(&mut self, session: SessionId) -> Result<Option<Hot>> {
        if let Some(hot) = self.caches.sessions.get(&session) {
            return Ok(Some(*hot));
        }
        let mut statement = self.conn.prepare_cached(
            "SELECT id, project_id, rev, head_main, head_side, head_staff, head_stage, tips, updated_at, event_count
             FROM sessions WHERE uuid = ?1",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Hot {
                row: row.get(0)?,
                project: ProjectId(uuid(row, 1)?),
                rev: Rev(uint(row, 2)?),
                heads: [Seq(uint(row, 3)?), Seq(uint(row, 4)?), Seq(uint(row, 5)?), Seq(uint(row, 6)?)],
                tips: tables::split_tips(row.get_ref(7)?.as_blob()?),
                updated_at: row.get(8)?,
                event_count: uint(row, 9)?,
            })
        };
        let hot = statement.query_row([session.0.as_bytes()], read).optional()?;
        if let Some(hot) = hot {
            self.remember(session, hot);
        }
        Ok(hot)
    }

    pub(super) fn remember(&mut self, session: SessionId, hot: Hot) {
        if self.caches.sessions.len() >= REMEMBERED {
            self.caches.sessions.clear();
        }
        self.caches.sessions.insert(session, hot);
    }

    pub(in crate::sqlite) fn forget(&mut self, session: SessionId) {
        self.caches.sessions.remove(&session);
    }

    /// Returns a project's rights epoch.
    pub(in crate::sqlite) fn rights(&mut self, project: ProjectId) -> Result<u64> {
        if let Some(rights) = self.caches.rights.get(&project) {
            return Ok(*rights);
        }
        let rights = super::super::read::rights_epoch(self.conn, project)?;
        self.caches.rights.insert(project, rights);
        Ok(rights)
    }

    /// Raises the rights epoch of a project, or of every one.
    pub(in crate::sqlite) fn raise_rights(&mut self, project: Option<ProjectId>) -> Result<()> {
        self.caches.rights.clear();
        let project = project.unwrap_or(ProjectId::NIL);
        self.conn
            .prepare_cached(
                "INSERT INTO projects (project_id, rights_epoch) VALUES (?1, ?2)
                 ON CONFLICT (project_id) DO UPDATE SET rights_epoch = rights_epoch + 1",
            )?
            .execute((project.0.as_bytes(), int(1)))?;
        Ok(())
    }
}
