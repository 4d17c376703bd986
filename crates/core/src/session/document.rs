//! The shared context: one JSON document for each branch, that everybody in the session writes.
//!
//! Owns: the document, its history as far as it is kept, open conflicts, and what a write comes to. Must not know: how
//! others see it. Invariant: `decide` does all the thinking, an event carries what came of it, `apply` only does that; a
//! clone costs a few counts, however large the document is.
//!
//! | module | holds |
//! |---|---|
//! | `branches` | which branch has which document, forks, ways back |
//! | `node` | a JSON value whose copies share what they have in common |
//! | `path` | pointers, `@<id>`, canonical addresses |
//! | `history` | the last 10,000 writes: who wrote what where, and how to undo it |
//! | `effect` | what one operation would do |
//! | `join` | the three-way rules |
//! | `plan` | conflicts, strategies, limits |

use std::collections::BTreeMap;

use roundtable_protocol::command::{ContextPatch, ContextResolve, ContextRevert};
use roundtable_protocol::context::{
    ChangeHow, ChangeOp, ContextReport, ContextWrite, OpName, OpenConflict, PatchOp, Strategy, Take,
};
use roundtable_protocol::event::{Actor, ContextConflicted, ContextPatched, ContextRefused, ContextResolved, Event};
use roundtable_protocol::grant::{Permission, Role};
use roundtable_protocol::ids::{BranchId, EventId, Seq, Stream};
use roundtable_protocol::model::ParticipantKind;
use roundtable_protocol::problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::draft::By;
use super::{Session, text};
use crate::context::{Decision, Rejection};

mod branches;
mod effect;
mod history;
mod join;
mod node;
mod path;
mod plan;

pub(super) use branches::{Documents, adopt, begin_at, begin_with, check_together, restore};
use history::{Change, History};
use node::Node;
use plan::{Ask, Plan, Refusal};

/// How many conflicts may wait for people.
const MAX_OPEN: usize = 100;
/// How many reverted writes one event names.
const MAX_REVERTS: usize = 100;
/// How many path prefixes may have a strategy of their own.
const MAX_STRATEGIES: usize = 50;
/// Longest pointer in settings and reverts. Unit: bytes.
const MAX_PATH: usize = 1_000;

/// The shared context of a branch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Document {
    root: Node,
    version: Seq,
    history: History,
    /// Of a branch other than the main one: about what it holds, and what is kept of what that replaced. Unit: bytes.
    #[serde(skip)]
    size: usize,
}

impl Default for Document {
    fn default() -> Self {
        Self { root: Node::object(), version: Seq::ZERO, history: History::default(), size: 0 }
    }
}

impl Document {
    pub fn apply_patched(&mut self, event: &Event, data: &ContextPatched) {
        if data.ops.is_empty() {
            return;
        }
        self.history.write(&mut self.root, event, data);
        self.version = self.version.max(event.seq);
    }

    /// Returns what is at `path` now.
    fn value(&self, path: &str) -> Option<Node> {
        let place = path::locate(&self.root, path).ok()?;
        path::get(&self.root, &place.steps).cloned()
    }
}

fn value_in(root: &Node, path: &str) -> Result<Value, Rejection> {
    let place = path::locate(root, path).ok();
    let value = place.and_then(|place| path::get(root, &place.steps).map(Node::to_value));
    value.ok_or_else(|| Rejection::field("/path", Code::PathNotFound, Code::PathNotFound.title()))
}

/// Checks the settings that concern the shared context.
pub(super) fn check_strategies(strategies: &BTreeMap<String, Strategy>) -> Result<(), Rejection> {
    let usable = |path: &String| path.len() <= MAX_PATH && path::tokens(path).is_ok();
    if strategies.len() > MAX_STRATEGIES || !strategies.keys().all(usable) {
        let detail = "at most 50 paths, each a JSON Pointer such as /plan, or empty for everything";
        return Err(Rejection::field("/settings/context_strategies", Code::InvalidField, detail));
    }
    Ok(())
}

pub(super) fn decide_patch(by: &By<'_>, data: &ContextPatch) -> Result<Decision, Rejection> {
    let (branch, document) = branches::named(by, data.branch)?;
    if data.if_version.is_some_and(|version| version != document.version) {
        let detail = format!("the context is at version {}", document.version);
        return Err(Rejection { code: Code::ContextMoved, detail, pointer: None });
    }
    check_base("/base", document, data.base)?;
    let merged;
    let ops = match (&data.merge, &data.ops[..]) {
        (Some(merge), []) => {
            merged = plan::merge_ops(&document.root, merge)?;
            &merged[..]
        }
        (Some(_), _) => return Err(Rejection::field("/merge", Code::InvalidField, "either ops or merge")),
        (None, ops) => ops,
    };
    let (base, strategy, atomic) = (data.base, data.strategy, data.atomic);
    let write = Write { branch, base, strategy, atomic, limited: true, reverts: vec![] };
    decide_write(by, ops, write, data.reason.as_ref())
}

pub(super) fn decide_revert(by: &By<'_>, data: &ContextRevert) -> Result<Decision, Rejection> {
    let (branch, document) = branches::named(by, data.branch)?;
    check_base("/base", document, data.base)?;
    if data.paths.len() > plan::MAX_OPS || data.paths.iter().any(|p| p.len() > MAX_PATH) {
        return Err(Rejection::field("/paths", Code::InvalidField, "at most 100 paths of at most 1,000 bytes"));
    }
    let (ops, base, reverts) = match (data.event, data.to_version) {
        (Some(event), None) => revert_event(document, event, &data.paths)?,
        (None, Some(version)) => revert_to(document, branch, version, data)?,
        _ => return Err(Rejection::field("/event", Code::InvalidField, "either event or to_version")),
    };
    if ops.is_empty() {
        return Err(Code::AlreadyRecorded.into());
    }
    let (base, strategy) = (Some(base), data.strategy);
    let write = Write { branch, base, strategy, atomic: true, limited: false, reverts };
    decide_write(by, &ops, write, data.reason.as_ref())
}

pub(super) fn decide_resolve(by: &By<'_>, data: &ContextResolve) -> Result<Decision, Rejection> {
    if by.person()?.kind == ParticipantKind::Agent {
        return Err(Code::Forbidden.into());
    }
    let open = by.session.documents.open.iter().find(|open| open.id == data.conflict);
    let open = open.ok_or_else(|| Rejection::from(Code::NoSuchConflict))?;
    let (branch, document) = branches::named(by, open.branch)?;
    let op = match (data.take, &data.value) {
        (Take::Current, None) => None,
        (Take::Yours, None) => Some(open.wanted.clone()),
        (Take::Value, Some(value)) => {
            let there = document.value(&open.conflict.path).is_some();
            let op = if there { OpName::Replace } else { OpName::Add };
            Some(PatchOp::new(op, open.conflict.path.clone(), Some(value.clone())))
        }
        _ => return Err(Rejection::field("/value", Code::InvalidField, "belongs to value, and only to it")),
    };
    let mut draft = by.draft();
    draft.on(branch);
    if let Some(op) = op {
        let strategy = |_: &str, _: bool| Ok(Strategy::LastWriterWins);
        let ops = [op];
        let ask = Ask {
            base: None,
            ops: &ops,
            atomic: true,
            limited: true,
            one_event: true,
            strategy: &strategy,
            outranks: &|_| true,
        };
        match plan::plan(document, &ask) {
            Ok(plan) if plan.changes.is_empty() => {}
            Ok(plan) => {
                let base = Some(document.version);
                let ops = plan.changes;
                draft.push(Stream::Main, vec![open.id], ContextPatched { base, ops, ..ContextPatched::default() });
            }
            Err(Refusal::Rejected(rejection)) => return Err(rejection),
            Err(Refusal::Conflicts(..)) => return Err(Code::ContextConflict.into()),
        }
    }
    draft.push(Stream::Main, vec![open.id], ContextResolved { conflict: open.id, take: data.take });
    Ok(draft.finish())
}

/// How something is to be written.
struct Write {
    branch: Option<BranchId>,
    base: Option<Seq>,
    strategy: Option<Strategy>,
    atomic: bool,
    limited: bool,
    reverts: Vec<EventId>,
}

fn decide_write(by: &By<'_>, ops: &[PatchOp], write: Write, reason: Option<&String>) -> Result<Decision, Rejection> {
    let document = by.session.documents.of(write.branch);
    let reason = text::reason(reason)?;
    let me = rank(by.session, by.person.map_or(Actor::System, |p| Actor::Participant(p.id)));
    let is_agent = by.person.is_some_and(|p| p.kind == ParticipantKind::Agent);
    let blind = ops.iter().filter(|op| write.base.is_none() && op.op != OpName::Text);
    if blind.clone().next().is_some() && (is_agent || by.session.settings().context_base_required) {
        return Err(Rejection::field("/base", Code::BaseRequired, Code::BaseRequired.fix()));
    }
    let strategy = |address: &str, has_read: bool| strategy_at(by, &write, is_agent, address, has_read);
    // Writing without looking is the loosest of all strategies.
    for op in blind {
        strategy(&op.path, false)?;
    }
    let ask = Ask {
        base: write.base,
        ops,
        atomic: write.atomic,
        limited: write.limited,
        one_event: true,
        strategy: &strategy,
        outranks: &|other| me > rank(by.session, other),
    };
    match plan::plan(document, &ask) {
        Ok(plan) if by.session.documents.open.len() + plan.open.len() > MAX_OPEN => Err(Code::TooManyConflicts.into()),
        Ok(plan) => Ok(planned(by, plan, write, reason)),
        Err(Refusal::Rejected(rejection)) => Err(rejection),
        Err(Refusal::Conflicts(conflicts, suggestion)) => {
            let report =
                ContextReport { version: document.version, conflicts: conflicts.clone(), applied: vec![], suggestion };
            let mut draft = by.draft();
            draft.on(write.branch);
            draft.refuse(ContextRefused { base: write.base, conflicts }, refused(report));
            Ok(draft.finish())
        }
    }
}

fn planned(by: &By<'_>, plan: Plan, write: Write, reason: Option<String>) -> Decision {
    let Plan { changes, strategy, skipped, overwrote, open } = plan;
    let Write { branch, base, reverts, .. } = write;
    let mut draft = by.draft();
    draft.on(branch);
    let patched = ContextPatched { base, ops: changes, strategy, skipped, overwrote, reverts, reason };
    let first = draft.push(Stream::Main, vec![], patched);
    for (wanted, conflict) in open {
        draft.push(Stream::Main, vec![first], ContextConflicted { wanted, conflict });
    }
    draft.finish()
}

fn refused(report: ContextReport) -> Problem {
    let paths: Vec<&str> = report.conflicts.iter().take(5).map(|c| c.path.as_str()).collect();
    let detail = format!("somebody else has written {} since your base", paths.join(", "));
    let mut problem = Problem::new(Code::ContextConflict).with_detail(detail);
    problem.context = Some(Box::new(report));
    problem
}

fn check_base(pointer: &'static str, document: &Document, base: Option<Seq>) -> Result<(), Rejection> {
    match base {
        Some(base) if base > document.version => {
            let detail = format!("the context is at version {}", document.version);
            Err(Rejection::field(pointer, Code::InvalidField, detail))
        }
        _ => Ok(()),
    }
}

/// Returns what becomes of a conflict at an address: what was asked for, if the settings or the author's rights let it,
/// else what the settings say for the longest prefix, else `reject`.
fn strategy_at(
    by: &By<'_>,
    write: &Write,
    is_agent: bool,
    address: &str,
    has_read: bool,
) -> Result<Strategy, Rejection> {
    let above =
        |prefix: &str| address.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let settings = &by.session.settings().context_strategies;
    let set =
        settings.iter().filter(|(prefix, _)| above(prefix)).max_by_key(|(prefix, _)| prefix.len()).map(|(_, s)| *s);
    let blind = (write.base.is_none() && !has_read).then_some(Strategy::LastWriterWins);
    let asked = blind.or(write.strategy);
    if let (Some(asked), Some(set)) = (asked, set)
        && asked > set
        && by.person.is_some()
        && !by.cx.grant.allows(Permission::ContextOverride)
    {
        if blind.is_some() {
            return Err(Rejection::field("/base", Code::BaseRequired, Code::BaseRequired.fix()));
        }
        let detail = "the session's settings are stricter for this path; a moderator may write by a looser strategy";
        return Err(Rejection::field("/strategy", Code::Forbidden, detail));
    }
    let strategy = asked.or(set).unwrap_or_default();
    // An agent never overwrites a person.
    Ok(if is_agent { strategy.min(Strategy::RolePriority) } else { strategy })
}

/// Returns how a writer ranks: agents below all people who may write.
fn rank(session: &Session, actor: Actor) -> u8 {
    let Actor::Participant(id) = actor else { return 5 };
    match session.participant(id) {
        Some(p) if p.kind == ParticipantKind::Agent => 1,
        Some(p) => match p.role {
            Role::Viewer => 1,
            Role::Collaborator => 2,
            Role::Moderator => 3,
            Role::Owner => 4,
        },
        None => 0,
    }
}

type Back = (Vec<PatchOp>, Seq, Vec<EventId>);

/// Returns the operations that take one write back, and the version that they rest on: the write itself.
fn revert_event(document: &Document, event: EventId, paths: &[String]) -> Result<Back, Rejection> {
    let no_such = "that is no write of the context, or an older one than the 10,000 that can be taken back one by one";
    let write = document.history.by_event(event);
    let write = write.ok_or_else(|| Rejection::field("/event", Code::NotFound, no_such))?;
    if document.history.is_taken_back(event) {
        return Err(Code::AlreadyRecorded.into());
    }
    let within = |address: &str| {
        let below = |p: &String| address.strip_prefix(p.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        paths.is_empty() || paths.iter().any(below)
    };
    let changes = write.changes.iter().rev().filter(|change| within(&change.address));
    Ok((changes.map(inverse).collect(), write.seq, vec![event]))
}

/// Returns the operation that takes a change back, its place by id.
fn inverse(change: &Change) -> PatchOp {
    let at = change.address.clone();
    let was = change.was.as_ref().map(Node::to_value);
    match (change.op, change.how, &change.was, &change.now) {
        (_, Some(ChangeHow::Inc), Some(Node::Number(was)), Some(Node::Number(now))) => {
            let by = match (was.as_i64(), now.as_i64()) {
                (Some(was), Some(now)) => was.checked_sub(now).map(Value::from),
                _ => was.as_f64().zip(now.as_f64()).map(|(was, now)| Value::from(was - now)),
            };
            match by {
                Some(by) => PatchOp::new(OpName::Inc, at, Some(by)),
                None => PatchOp::new(OpName::Replace, at, Some(Value::Number(was.clone()))),
            }
        }
        (ChangeOp::Add, Some(ChangeHow::Union), _, Some(now)) if !now.is_container() => {
            let array = at[..at.rfind('/').unwrap_or(0)].to_owned();
            PatchOp::new(OpName::RemoveValues, array, Some(now.to_value()))
        }
        (ChangeOp::Add, ..) => PatchOp::new(OpName::Remove, at, None),
        (ChangeOp::Replace, ..) => PatchOp::new(OpName::Replace, at, was),
        // An element goes back to where it was by number: by its id it is not there.
        (ChangeOp::Remove, ..) if matches!(change.steps.last(), Some(path::Step::Index(_))) => {
            let array = &at[..at.rfind('/').unwrap_or(0)];
            let last = change.steps.last().map(std::slice::from_ref).unwrap_or_default();
            PatchOp::new(OpName::Add, format!("{array}{}", path::pointer(last)), was)
        }
        (ChangeOp::Remove, ..) => PatchOp::new(OpName::Add, at, was),
    }
}

/// Returns the operations that bring the document, or some paths of it, back to a version.
fn revert_to(
    document: &Document,
    branch: Option<BranchId>,
    version: Seq,
    data: &ContextRevert,
) -> Result<Back, Rejection> {
    check_base("/to_version", document, Some(version))?;
    let then = branches::then(document, (branch, version), &data.then).ok_or(Code::BaseTooOld)?;
    let mut ops = Vec::new();
    if data.paths.is_empty() {
        plan::difference(&document.root, &then, "", &mut ops);
    }
    for path in &data.paths {
        let place = |root: &Node| path::locate(root, path).ok().map(|place| place.steps);
        let here = place(&document.root);
        let now = here.as_ref().and_then(|steps| path::get(&document.root, steps));
        let before = place(&then).and_then(|steps| path::get(&then, &steps).cloned());
        match (now, before, here.as_deref()) {
            (Some(now), Some(before), Some(steps)) => {
                plan::difference(now, &before, &path::pointer(steps), &mut ops);
            }
            (Some(_), None, _) => ops.push(PatchOp::new(OpName::Remove, path.clone(), None)),
            (None, Some(before), _) => ops.push(PatchOp::new(OpName::Add, path.clone(), Some(before.to_value()))),
            _ => return Err(Rejection::field("/paths", Code::PathNotFound, format!("{path} is in neither version"))),
        }
    }
    let since = document.history.writes().rev().take_while(|w| w.seq > version);
    let reverts = since.take(MAX_REVERTS).map(|w| w.event).collect();
    Ok((ops, data.base.unwrap_or(document.version), reverts))
}

/// Reading the shared context of a branch; none is the main one, and a branch that is not there has nothing.
impl Session {
    fn document(&self, branch: Option<BranchId>) -> &Document {
        self.documents.of(branch.and_then(|id| self.branches.header(id)))
    }

    /// Returns the seq of its last write in `main`; 0 before the first.
    pub fn context_version(&self, branch: Option<BranchId>) -> Seq {
        self.document(branch).version
    }

    /// Returns what is at `path`, a JSON Pointer in which `@<id>` addresses an element; everything when it is empty.
    ///
    /// # Errors
    /// `path_not_found`.
    pub fn context_value(&self, branch: Option<BranchId>, path: &str) -> Result<Value, Rejection> {
        value_in(&self.document(branch).root, path)
    }

    /// Returns what was at `path` at `version`.
    ///
    /// # Errors
    /// `path_not_found`; `base_too_old` when that version cannot be told from the writes that are kept.
    pub fn context_value_at(&self, branch: Option<BranchId>, path: &str, version: Seq) -> Result<Value, Rejection> {
        let document = self.document(branch);
        check_base("/version", document, Some(version))?;
        if !document.history.tells(version) {
            return Err(Code::BaseTooOld.into());
        }
        value_in(&document.history.at(&document.root, version), path)
    }

    /// Returns what is at `path` of a whole document.
    ///
    /// # Errors
    /// `path_not_found`.
    pub fn context_part(document: &Value, path: &str) -> Result<Value, Rejection> {
        value_in(&Node::from(document), path)
    }

    /// Returns up to `limit` writes that are kept, the newest first, those before a version if one is given.
    pub fn context_writes(&self, branch: Option<BranchId>, before: Option<Seq>, limit: usize) -> Vec<ContextWrite> {
        let older = |w: &&history::Write| before.is_none_or(|before| w.seq < before);
        let write = |w: &history::Write| ContextWrite {
            version: w.seq,
            event: w.event,
            by: w.by,
            at: w.at,
            base: w.base,
            reverts: w.reverts.clone(),
            paths: w.changes.iter().map(|change| change.address.clone()).collect(),
        };
        self.document(branch).history.writes().rev().filter(older).take(limit).map(write).collect()
    }

    /// Returns the conflicts of all branches that wait for people, the oldest first.
    pub fn context_conflicts(&self) -> &[OpenConflict] {
        &self.documents.open
    }
}

#[cfg(test)]
mod tests;
