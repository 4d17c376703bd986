//! Points of a session that can be gone back to.
//!
//! Owns: which checkpoints there are, their names. Must not know: how heads move. Invariant: a checkpoint names
//! positions and nothing else, so making and deleting one changes nothing but the list.

use std::collections::VecDeque;
use std::sync::Arc;

use roundtable_protocol::branching::{Checkpoint, CheckpointInfo, CheckpointKind, RestoreHow};
use roundtable_protocol::command::{CheckpointCreate, CheckpointDelete, CheckpointRename, CheckpointRestore};
use roundtable_protocol::event::{
    BranchCreated, CheckpointCreated, CheckpointDeleted, CheckpointRenamed, CheckpointRestored, Event,
};
use roundtable_protocol::grant::Permission;
use roundtable_protocol::ids::{BranchId, CheckpointId, MessageId, Seq, Stream};
use roundtable_protocol::problem::Code;
use serde::{Deserialize, Serialize};

use super::draft::{By, CHECKPOINT_ID, Draft};
use super::{Session, branches, document, text};
use crate::context::{Decision, Rejection};

/// How many checkpoints with a name a session may have.
pub const MAX_NAMED: usize = 200;
/// How many automatic checkpoints without a name are kept; the oldest give way.
pub const KEPT_AUTOMATIC: usize = 100;
/// Longest name. Unit: characters.
const MAX_NAME: usize = 80;

/// The checkpoints that there are, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Checkpoints {
    all: Arc<VecDeque<CheckpointInfo>>,
}

impl Checkpoints {
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &CheckpointInfo> {
        self.all.iter()
    }

    pub fn get(&self, id: CheckpointId) -> Option<&CheckpointInfo> {
        self.all.iter().rev().find(|c| c.checkpoint.id == id)
    }

    pub fn apply_created(&mut self, event: &Event, data: &CheckpointCreated) {
        let (by, at, seq) = (event.header.actor, event.header.at, event.seq);
        let all = Arc::make_mut(&mut self.all);
        all.push_back(CheckpointInfo { checkpoint: data.checkpoint.clone(), by, at, seq });
        let unnamed = |c: &CheckpointInfo| c.checkpoint.name.is_none();
        if all.iter().filter(|c| unnamed(c)).count() > KEPT_AUTOMATIC
            && let Some(oldest) = all.iter().position(unnamed)
        {
            all.remove(oldest);
        }
    }

    pub fn apply_renamed(&mut self, data: &CheckpointRenamed) {
        let new = &data.checkpoint;
        let all = Arc::make_mut(&mut self.all);
        if let Some(old) = all.iter_mut().find(|c| c.checkpoint.id == new.checkpoint.id) {
            old.clone_from(new);
        }
    }

    pub fn apply_deleted(&mut self, data: &CheckpointDeleted) {
        Arc::make_mut(&mut self.all).retain(|c| c.checkpoint.id != data.checkpoint);
    }

    /// Checks that one more name fits.
    fn room(&self) -> Result<(), Rejection> {
        let named = self.all.iter().filter(|c| c.checkpoint.name.is_some()).count();
        if named < MAX_NAMED { Ok(()) } else { Err(Code::TooManyCheckpoints.into()) }
    }
}

/// Makes a checkpoint by a rule, of everything up to the events that are in `draft` already.
///
/// `why` is the rule in a word: `pause`, `end`, `events`, `detached`. To be called once in a decision.
pub(super) fn automatic(session: &Session, draft: &mut Draft, why: &str) {
    let id = CheckpointId::derive(draft.key(), CHECKPOINT_ID);
    let checkpoint = point(session, draft, id, None, Some(why.to_owned()));
    draft.push(Stream::Main, vec![], CheckpointCreated { checkpoint });
}

/// Returns where everything is now.
fn point(session: &Session, draft: &Draft, id: CheckpointId, name: Option<String>, why: Option<String>) -> Checkpoint {
    let kind = if why.is_some() { CheckpointKind::Automatic } else { CheckpointKind::Named };
    let seqs = Stream::ALL.into_iter().map(|s| (s, draft.head(s))).filter(|(_, seq)| *seq > Seq::ZERO).collect();
    Checkpoint {
        id,
        name,
        kind,
        why,
        seqs,
        heads: session.branch_heads(),
        context: session.context_point(session.branches.main()),
    }
}

pub(super) fn decide_create(by: &By<'_>, data: &CheckpointCreate) -> Result<Decision, Rejection> {
    let name = text::filled_line("/name", &data.name, MAX_NAME)?;
    by.session.checkpoints.room()?;
    let mut draft = by.draft();
    let checkpoint = point(by.session, &draft, CheckpointId(draft.key()), Some(name), None);
    draft.push(Stream::Main, vec![], CheckpointCreated { checkpoint });
    Ok(draft.finish())
}

pub(super) fn decide_rename(by: &By<'_>, data: &CheckpointRename) -> Result<Decision, Rejection> {
    let name = text::filled_line("/name", &data.name, MAX_NAME)?;
    let mut renamed = changeable(by, data.checkpoint)?.clone();
    if renamed.checkpoint.name.as_ref() == Some(&name) {
        return Err(Code::AlreadyRecorded.into());
    }
    if renamed.checkpoint.name.is_none() {
        by.session.checkpoints.room()?;
    }
    renamed.checkpoint.name = Some(name);
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], CheckpointRenamed { checkpoint: renamed });
    Ok(draft.finish())
}

pub(super) fn decide_delete(by: &By<'_>, data: &CheckpointDelete) -> Result<Decision, Rejection> {
    changeable(by, data.checkpoint)?;
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], CheckpointDeleted { checkpoint: data.checkpoint });
    Ok(draft.finish())
}

pub(super) fn decide_restore(by: &By<'_>, data: &CheckpointRestore) -> Result<Decision, Rejection> {
    let info = existing(by, data.checkpoint)?;
    match data.how {
        RestoreHow::Branch => as_branch(by, data, info),
        RestoreHow::InPlace => in_place(by, data, info),
    }
}

/// Returns where a branch's head was.
fn head_at(session: &Session, checkpoint: &Checkpoint, branch: BranchId) -> Option<Option<MessageId>> {
    let recorded = checkpoint.heads.iter().find(|h| h.branch == branch).map(|h| h.head);
    // Checkpoints of before there were branches name no heads; then there was one line.
    let is_old = checkpoint.heads.is_empty() && branch == session.branches.main();
    recorded.or_else(|| is_old.then(|| session.messages.newest_before(seq_of(checkpoint))))
}

/// Returns where `main` was.
fn seq_of(checkpoint: &Checkpoint) -> Seq {
    checkpoint.seqs.get(&Stream::Main).copied().unwrap_or(Seq::ZERO)
}

/// Returns where a branch was: its newest message, and up to which seq its context belongs to the checkpoint.
pub(super) fn place(
    by: &By<'_>,
    checkpoint: CheckpointId,
    branch: Option<BranchId>,
) -> Result<(BranchId, Option<MessageId>, Seq), Rejection> {
    let session = by.session;
    let checkpoint = &existing(by, checkpoint)?.checkpoint;
    let branch = branches::existing(by, "/branch", branch.unwrap_or_else(|| session.branches.main()))?.id;
    let Some(head) = head_at(session, checkpoint, branch) else {
        return Err(Rejection::field("/branch", Code::NoSuchBranch, "the checkpoint does not hold that branch"));
    };
    Ok((branch, head, seq_of(checkpoint)))
}

/// Returns which branches' contexts a restore goes back to, and to which seq.
pub(super) fn wanted(session: &Session, data: &CheckpointRestore) -> Vec<(BranchId, Seq)> {
    let Some(info) = session.checkpoints.get(data.checkpoint) else { return Vec::new() };
    let seq = seq_of(&info.checkpoint);
    match data.how {
        RestoreHow::Branch => vec![(data.branch.unwrap_or_else(|| session.branches.main()), seq)],
        RestoreHow::InPlace => {
            let held = |b: &&roundtable_protocol::branching::Branch| {
                !b.archived && head_at(session, &info.checkpoint, b.id).is_some()
            };
            session.branches().iter().filter(held).map(|b| (b.id, seq)).collect()
        }
    }
}

fn as_branch(by: &By<'_>, data: &CheckpointRestore, info: &CheckpointInfo) -> Result<Decision, Rejection> {
    let session = by.session;
    let (from_branch, head, seq) = place(by, info.checkpoint.id, data.branch)?;
    let name = match (&data.name, &info.checkpoint.name) {
        (Some(name), _) | (None, Some(name)) => text::filled_line("/name", name, MAX_NAME)?,
        (None, None) => format!("branch {}", session.branches().len() + 1),
    };
    branches::check_room(session)?;
    let mut draft = by.draft();
    let branch = BranchId(draft.key());
    draft.on(Some(branch));
    let (fork_message, fork_seq) = (head, session.context_kept(from_branch, seq));
    let begun = BranchCreated { branch, name, from_branch, fork_message, fork_seq, head };
    let created = draft.push(Stream::Main, vec![], begun.clone());
    let restored = CheckpointRestored { checkpoint: info.checkpoint.id, how: RestoreHow::Branch, branch: Some(branch) };
    draft.push(Stream::Main, vec![created], restored);
    document::begin_at(session, &mut draft, &begun, seq, &data.then)?;
    Ok(draft.finish())
}

/// Moves every open branch's head back to where it was, and its context to what it was; branches that came later stay as
/// they are. Roles, bans and settings are none of it: rights are never brought back.
fn in_place(by: &By<'_>, data: &CheckpointRestore, info: &CheckpointInfo) -> Result<Decision, Rejection> {
    if by.person.is_some() && !by.cx.grant.allows(Permission::BranchManage) {
        return Err(Code::Forbidden.into());
    }
    if data.branch.is_some() || data.name.is_some() {
        let detail = "in place every branch moves; leave branch and name out";
        return Err(Rejection::field("/how", Code::InvalidField, detail));
    }
    let session = by.session;
    let mut draft = by.draft();
    let (checkpoint, how) = (info.checkpoint.id, RestoreHow::InPlace);
    let cause = draft.push(Stream::Main, vec![], CheckpointRestored { checkpoint, how, branch: None });
    let mut moved = false;
    for branch in session.branches().iter().filter(|b| !b.archived) {
        let Some(head) = head_at(session, &info.checkpoint, branch.id) else { continue };
        if head != branch.head {
            branches::move_head(session, &mut draft, branch, head);
            moved = true;
        }
        moved |= document::restore(by, &mut draft, branch.id, seq_of(&info.checkpoint), cause, &data.then)?;
    }
    if moved { Ok(draft.finish()) } else { Err(Code::AlreadyRecorded.into()) }
}

/// Returns the checkpoint with that id.
fn existing<'a>(by: &By<'a>, id: CheckpointId) -> Result<&'a CheckpointInfo, Rejection> {
    let none = || Rejection::field("/checkpoint", Code::NoSuchCheckpoint, "there is no such checkpoint here");
    by.session.checkpoints.get(id).ok_or_else(none)
}

/// Returns the checkpoint with that id if the caller made it or may change everybody's.
fn changeable<'a>(by: &By<'a>, id: CheckpointId) -> Result<&'a CheckpointInfo, Rejection> {
    let info = existing(by, id)?;
    let own = by.person.is_none_or(|p| text::is(info.by, p.id));
    if own || by.cx.grant.allows(Permission::BranchManage) { Ok(info) } else { Err(Code::NotYourCheckpoint.into()) }
}

#[cfg(test)]
mod tests;
