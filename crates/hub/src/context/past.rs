//! The context as it was longer ago than the rules keep it: folded from the log.
//!
//! Owns: reading old versions and old writes. Must not know: what is done with them. Invariant: what is told here is what the
//! fold of the log gives; where the log is not kept, that is said (`events_trimmed`). Nothing here runs on a room's task.

use roundtable_core::Session;
use roundtable_protocol::context::{ContextThen, ContextWrite};
use roundtable_protocol::event::EventBody;
use roundtable_protocol::{BranchId, Code, Command, Event, Permission, Problem, Seq, SessionId, Stream, UserId};
use roundtable_store::{READ_BYTES, StoredEvent};
use serde::Deserialize;
use serde_json::Value;

use crate::manager::{SessionManager, unavailable};

/// How many events are read at once.
const CHUNK: usize = 2_000;

/// Returns whether a command may go back further than the rules keep the context.
pub(crate) fn may_look_back(command: &Command) -> bool {
    matches!(command, Command::ContextRevert(_) | Command::BranchCreate(_) | Command::CheckpointRestore(_))
}

impl SessionManager {
    /// Looks up the contexts that a command goes back to and that the rules do not keep.
    pub(crate) async fn look_back(
        &self,
        session: SessionId,
        user: UserId,
        command: &mut Command,
    ) -> Result<(), Problem> {
        let asked = command.clone();
        let then = match command {
            Command::ContextRevert(data) => &mut data.then,
            Command::BranchCreate(data) => &mut data.then,
            Command::CheckpointRestore(data) => &mut data.then,
            _ => return Ok(()),
        };
        then.clear();
        let wanted = self.viewed(session, user, move |look, grant| {
            let may = grant.allows(Permission::ContextWrite) || grant.allows(Permission::BranchWrite);
            if may { look.session.contexts_wanted(&asked) } else { Vec::new() }
        });
        for (branch, seq) in wanted.await? {
            let value = self.context_then(session, branch, seq).await?;
            then.push(ContextThen { branch, seq, value });
        }
        Ok(())
    }

    /// Returns a branch's whole context as it was at a version, from the log.
    ///
    /// # Errors
    /// `events_trimmed` where the log is not kept from its beginning.
    pub(crate) async fn context_then(
        &self,
        session: SessionId,
        branch: Option<BranchId>,
        seq: Seq,
    ) -> Result<Value, Problem> {
        let lineage = self.ask(session, move |look| look.session.context_lineage(branch, seq)).await?;
        for (branch, until) in lineage {
            let folded = self.fold_context(session, until).await?;
            if branch.is_none_or(|id| folded.branch(id).is_some()) {
                return Ok(folded.context_value(branch, "")?);
            }
        }
        Err(Problem::new(Code::BaseTooOld))
    }

    /// Folds what the log says of contexts up to a seq.
    async fn fold_context(&self, session: SessionId, until: Seq) -> Result<Session, Problem> {
        let mut state = Session::empty(session);
        let mut after = Seq::ZERO;
        while after < until {
            let read = self.store().read(session, Stream::Main, after, CHUNK, READ_BYTES).await.map_err(unavailable)?;
            let Some(last) = read.last() else { break };
            after = last.seq;
            for stored in read.iter().filter(|stored| stored.seq <= until && makes_contexts(stored)) {
                state.apply(&event(stored)?);
            }
            tokio::task::yield_now().await;
        }
        Ok(state)
    }

    /// Returns up to `limit` writes of a branch's context that are in the log at or before `until`, the newest first.
    pub(super) async fn older_writes(
        &self,
        session: SessionId,
        branch: Option<BranchId>,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<ContextWrite>, Problem> {
        let lineage = self.ask(session, move |look| look.session.context_lineage(branch, until)).await?;
        let counts =
            |event: &Event| lineage.iter().any(|(of, until)| *of == event.header.branch && event.seq <= *until);
        let (mut writes, mut until) = (Vec::new(), until);
        while until > Seq::ZERO && writes.len() < limit {
            let before = Seq(until.0.saturating_sub(CHUNK as u64));
            let mut part = Vec::new();
            let mut after = before;
            while after < until {
                let read = self.store().read(session, Stream::Main, after, CHUNK, READ_BYTES).await;
                let read = match read.map_err(unavailable) {
                    // What is kept is told; whoever asks for more is told that it is gone.
                    Err(problem) if problem.code == Code::EventsTrimmed && !writes.is_empty() => return Ok(writes),
                    read => read?,
                };
                let Some(last) = read.last() else { break };
                after = last.seq;
                for stored in
                    read.iter().filter(|stored| stored.seq <= until && kind(stored) == Some("context.patched"))
                {
                    part.extend(Some(event(stored)?).filter(counts).and_then(write));
                }
            }
            part.reverse();
            writes.extend(part);
            until = before;
        }
        writes.truncate(limit);
        Ok(writes)
    }
}

fn kind(stored: &StoredEvent) -> Option<&str> {
    #[derive(Deserialize)]
    struct Header<'a> {
        kind: &'a str,
    }
    // A kind is letters and a dot: it needs no unescaping.
    serde_json::from_slice::<Header<'_>>(&stored.header).ok().map(|header| header.kind)
}

fn makes_contexts(stored: &StoredEvent) -> bool {
    matches!(kind(stored), Some("session.created" | "branch.created" | "context.patched"))
}

fn event(stored: &StoredEvent) -> Result<Event, Problem> {
    Event::from_stored(stored.stream, stored.seq, &stored.header, &stored.body)
        .map_err(|_| Problem::new(Code::UpgradeInProgress))
}

/// Returns what a history tells of an event; none of one that changed nothing.
fn write(event: Event) -> Option<ContextWrite> {
    let EventBody::ContextPatched(data) = event.body else { return None };
    (!data.ops.is_empty()).then(|| ContextWrite {
        version: event.seq,
        event: event.header.id,
        by: event.header.actor,
        at: event.header.at,
        base: data.base,
        reverts: data.reverts,
        paths: data.ops.into_iter().map(|op| op.path).collect(),
    })
}
