//! The shared context of a session, for programs.
//!
//! Owns: reading the document, writing it in one call, and what came of a write. Must not know: when writes conflict
//! (that is core's). Invariant: a write is a command like any other: decided in its turn, durable when it is answered.

use roundtable_protocol::command::{ContextPatch, Envelope};
use roundtable_protocol::context::{ContextChange, ContextWrite, OpenConflict, Overwrote, SkippedOp};
use roundtable_protocol::event::EventBody;
use roundtable_protocol::{BranchId, Code, Command, Event, EventId, Problem, Seq, SessionId, Stream, UserId};
use serde_json::Value;

use crate::clock;
use crate::manager::SessionManager;
use crate::room::Receipt;

mod past;

pub(crate) use past::may_look_back;

/// A part of the context and the version that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextValue {
    /// The seq of the last write in `main`; 0 before the first.
    pub version: Seq,
    /// What is there.
    pub value: Value,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextWritten {
    /// The version that the write made: its event's seq.
    pub version: Seq,
    /// The event.
    pub event: EventId,
    /// What has changed.
    pub applied: Vec<ContextChange>,
    /// Operations that were left out.
    pub skipped: Vec<SkippedOp>,
    /// Writes of others that were overwritten.
    pub overwrote: Vec<Overwrote>,
    /// Whether the key had been accepted before.
    pub duplicate: bool,
}

impl SessionManager {
    /// Returns what is at `path` of the main branch's context, now or at `version`; everything when `path` is empty.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::ContextPatch;
    ///
    /// let patch = ContextPatch { merge: Some(serde_json::json!({"plan": "Spring"})), ..ContextPatch::default() };
    /// manager.update_context(session, ana, patch).await?;
    /// assert_eq!(manager.context(session, ana, "/plan", None).await?.value, "Spring");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SessionManager::context_on`].
    pub async fn context(
        &self,
        session: SessionId,
        user: UserId,
        path: &str,
        version: Option<Seq>,
    ) -> Result<ContextValue, Problem> {
        self.context_on(session, user, None, path, version).await
    }

    /// Returns what is at `path` of a branch's context, now or at `version`. No branch: the main one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::ContextPatch;
    ///
    /// let patch = ContextPatch { merge: Some(serde_json::json!({"plan": "Spring"})), ..ContextPatch::default() };
    /// manager.update_context(session, ana, patch).await?;
    /// assert_eq!(manager.context_on(session, ana, None, "/plan", None).await?.value, "Spring");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `no_such_branch`;
    /// `path_not_found`; `events_trimmed` for a version of which the log is not kept any more; `not_found` when there is no
    /// such session for this user.
    pub async fn context_on(
        &self,
        session: SessionId,
        user: UserId,
        branch: Option<BranchId>,
        path: &str,
        version: Option<Seq>,
    ) -> Result<ContextValue, Problem> {
        let at = path.to_owned();
        let look = move |look: &mut crate::room::Look<'_>, _| {
            known(look.session, branch)?;
            let value = match version {
                Some(version) => look.session.context_value_at(branch, &at, version)?,
                None => look.session.context_value(branch, &at)?,
            };
            Ok(ContextValue { version: version.unwrap_or_else(|| look.session.context_version(branch)), value })
        };
        let read: Result<ContextValue, roundtable_core::Rejection> = self.viewed(session, user, look).await?;
        match (read, version) {
            (Err(no), Some(version)) if no.code == Code::BaseTooOld => {
                let whole = self.context_then(session, branch, version).await?;
                let value = roundtable_core::Session::context_part(&whole, path)?;
                Ok(ContextValue { version, value })
            }
            (read, _) => read.map_err(Problem::from),
        }
    }

    /// Writes the context and waits until that is durable or refused.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Founding, HubConfig, SessionManager, clock};
    /// # use roundtable_protocol::model::{SessionKind, Settings, Visibility};
    /// # use roundtable_protocol::{Code, DEFAULT_PROJECT, Epoch, Problem, SessionId, UserId};
    /// # use roundtable_store::MemoryStore;
    /// use roundtable_protocol::command::ContextPatch;
    /// use roundtable_protocol::context::{OpName, PatchOp};
    /// use serde_json::json;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Problem> {
    /// # let (manager, _turns) = SessionManager::new(Arc::new(MemoryStore::default()), HubConfig::default());
    /// # let (session, ana) = (SessionId(clock::new_key()), UserId(clock::new_key()));
    /// # let founding = Founding {
    /// #     session, owner: ana, epoch: Epoch::from_random(clock::random()), project: DEFAULT_PROJECT,
    /// #     owner_name: "Ana".to_owned(), owner_colour: None, title: String::new(), kind: SessionKind::default(),
    /// #     visibility: Visibility::default(), settings: Settings::default(), description: String::new(),
    /// #     tags: vec![], category: None, expires_at: None, start: true, assistant: None,
    /// # };
    /// # manager.create(clock::new_key(), founding).await?;
    /// // Lay an object over the document (RFC 7396) ...
    /// let seed = ContextPatch { merge: Some(json!({"plan": {"title": "Spring"}})), ..ContextPatch::default() };
    /// let read = manager.update_context(session, ana, seed).await?.version;
    ///
    /// // ... then change a place (RFC 6902), on the version that was read.
    /// let set = |title: &str| ContextPatch {
    ///     base: Some(read),
    ///     ops: vec![PatchOp::new(OpName::Replace, "/plan/title", Some(json!(title)))],
    ///     ..ContextPatch::default()
    /// };
    /// manager.update_context(session, ana, set("Summer")).await?;
    /// assert_eq!(manager.context(session, ana, "/plan/title", None).await?.value, "Summer");
    ///
    /// // Whoever has read an older version is told what is there now, and by whom.
    /// let refused = manager.update_context(session, ana, set("Autumn")).await.unwrap_err();
    /// assert_eq!(refused.code, Code::ContextConflict);
    /// assert_eq!(refused.context.unwrap().conflicts[0].current, Some(json!("Summer")));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `context_conflict` with [`Problem::context`], and the other codes of the rules; see [`SessionManager::command`].
    pub async fn update_context(
        &self,
        session: SessionId,
        user: UserId,
        patch: ContextPatch,
    ) -> Result<ContextWritten, Problem> {
        let command = Command::ContextPatch(patch);
        let envelope = Envelope { key: clock::new_key(), stream: Stream::Main, seen: None, retry: false, command };
        let receipt = self.command(session, user, envelope).await?;
        self.context_written(session, user, receipt).await
    }

    /// Returns what came of a write that has been answered with `receipt`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::ContextPatch;
    ///
    /// let patch = ContextPatch { merge: Some(serde_json::json!({"plan": "Spring"})), ..ContextPatch::default() };
    /// let command = roundtable_protocol::Command::ContextPatch(patch);
    /// let envelope = roundtable_protocol::command::Envelope {
    ///     key: roundtable_hub::clock::new_key(), stream: roundtable_protocol::Stream::Main, seen: None, retry: false, command,
    /// };
    /// let receipt = manager.command(session, ana, envelope).await?;
    /// assert_eq!(manager.context_written(session, ana, receipt).await?.applied.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when that is no write of the context for this user.
    pub async fn context_written(
        &self,
        session: SessionId,
        user: UserId,
        receipt: Receipt,
    ) -> Result<ContextWritten, Problem> {
        let wire = self.event(session, user, receipt.id).await?;
        let event: Event = serde_json::from_slice(&wire).map_err(|_| Problem::new(Code::UpgradeInProgress))?;
        let (version, id, duplicate) = (event.seq, event.header.id, receipt.duplicate);
        match event.body {
            EventBody::ContextPatched(data) => {
                let (applied, skipped, overwrote) = (data.ops, data.skipped, data.overwrote);
                Ok(ContextWritten { version, event: id, applied, skipped, overwrote, duplicate })
            }
            // Somebody chose what is there already.
            EventBody::ContextResolved(_) => {
                let (applied, skipped, overwrote) = (vec![], vec![], vec![]);
                Ok(ContextWritten { version, event: id, applied, skipped, overwrote, duplicate })
            }
            _ => Err(Problem::new(Code::NotFound)),
        }
    }

    /// Returns up to `limit` of the writes of a branch's context, the newest first, those before a version if one is given.
    /// What exactly a write changed is in its event. Of the newest (10,000 of the main branch's, 1,000 of others') `paths` name
    /// elements by their ids; older ones are read from the log, which names them by their places.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use roundtable_protocol::command::ContextPatch;
    ///
    /// let patch = ContextPatch { merge: Some(serde_json::json!({"plan": "Spring"})), ..ContextPatch::default() };
    /// let written = manager.update_context(session, ana, patch).await?;
    /// assert_eq!(manager.context_history(session, ana, None, None, 10).await?[0].version, written.version);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `no_such_branch`; `events_trimmed` when the log of all that was asked for is gone; see [`SessionManager::standing`].
    pub async fn context_history(
        &self,
        session: SessionId,
        user: UserId,
        branch: Option<BranchId>,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<ContextWrite>, Problem> {
        let look = move |look: &mut crate::room::Look<'_>, _| {
            known(look.session, branch)?;
            Ok((look.session.context_writes(branch, before, limit), look.session.context_floor(branch)))
        };
        let read: Result<_, roundtable_core::Rejection> = self.viewed(session, user, look).await?;
        let (mut writes, floor) = read.map_err(Problem::from)?;
        let until = before.map_or(floor, |before| floor.min(Seq(before.0.saturating_sub(1))));
        if writes.len() < limit && until > Seq::ZERO {
            match self.older_writes(session, branch, until, limit - writes.len()).await {
                Err(problem) if problem.code == Code::EventsTrimmed && !writes.is_empty() => {}
                older => writes.extend(older?),
            }
        }
        Ok(writes)
    }

    /// Returns the conflicts of all branches' contexts that wait for people, the oldest first; at most 100.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// assert!(manager.context_conflicts(session, ana).await?.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SessionManager::standing`].
    pub async fn context_conflicts(&self, session: SessionId, user: UserId) -> Result<Vec<OpenConflict>, Problem> {
        self.viewed(session, user, |look, _| look.session.context_conflicts().to_vec()).await
    }
}

fn known(session: &roundtable_core::Session, branch: Option<BranchId>) -> Result<(), roundtable_core::Rejection> {
    match branch.is_none_or(|id| session.branch(id).is_some()) {
        true => Ok(()),
        false => Err(Code::NoSuchBranch.into()),
    }
}
