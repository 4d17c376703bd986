//! One document for each branch, copied when somebody writes.
//!
//! Owns: which branch has which document, what a fork begins with, how a document is brought to what another one is.
//! Must not know: heads and messages. Invariant: a branch that nobody has written on shares everything with the one that it
//! left, and no write on one branch changes what another one reads.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use roundtable_protocol::command::{Command, ContextRevert};
use roundtable_protocol::context::{
    ChangeOp, ContextChange, ContextComparison, ContextDifference, ContextThen, OpName, OpenConflict, PatchOp,
};
use roundtable_protocol::event::{BranchCreated, ContextConflicted, ContextPatched, ContextResolved, Event, EventBody};
use roundtable_protocol::grant::Permission;
use roundtable_protocol::ids::{BranchId, EventId, Seq, Stream};
use roundtable_protocol::problem::Code;
use roundtable_protocol::report::ContextFigures;
use serde::{Deserialize, Serialize};

use super::history::History;
use super::node::Node;
use super::plan::{self, Ask};
use super::{Document, MAX_REVERTS, Strategy, path};
use crate::context::{Decision, Rejection};
use crate::session::draft::{By, Draft};
use crate::session::{Session, branches, checkpoints};

/// How many places a comparison tells.
const MAX_DIFFERENCES: usize = 200;
/// Largest value that a comparison tells. Unit: bytes as JSON.
const MAX_TOLD: usize = 2 * 1024;
/// How much the documents of all branches but the main one may hold together, with what is kept of what they replaced; those
/// that are at the same version count once. Unit: bytes as JSON. With 200 branches of the largest documents it would be ten
/// times as much.
const MAX_TOGETHER: usize = 32 * 1024 * 1024;

static UNTOUCHED: LazyLock<Document> = LazyLock::new(Document::default);

/// The documents of all branches, and the conflicts that wait for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub(in crate::session) struct Documents {
    main: Document,
    /// Of the branches that have one; the others' are untouched.
    others: BTreeMap<BranchId, Document>,
    pub(super) open: Vec<OpenConflict>,
}

/// The same as it is kept, where nothing is shared.
#[derive(Deserialize)]
struct Stored {
    main: Document,
    others: BTreeMap<BranchId, Document>,
    open: Vec<OpenConflict>,
}

impl From<Stored> for Documents {
    /// What was the same document before is the same one again: documents at one version hold the same.
    fn from(stored: Stored) -> Self {
        let Stored { main, others, open } = stored;
        let mut known: BTreeMap<Seq, Document> = BTreeMap::new();
        let share = |(id, mut document): (BranchId, Document)| {
            match known.get(&document.version) {
                Some(same) if same.history == document.history => document = same.clone(),
                Some(same) => document.root = same.root.clone(),
                None if document.version == main.version => document.root = main.root.clone(),
                None => {}
            }
            document.weigh();
            known.entry(document.version).or_insert_with(|| document.clone());
            (id, document)
        };
        let others = others.into_iter().map(share).collect();
        Self { main, others, open }
    }
}

impl Documents {
    /// Returns the document of a branch as event headers name it: none is the main one.
    pub fn of(&self, branch: Option<BranchId>) -> &Document {
        match branch {
            None => &self.main,
            Some(id) => self.others.get(&id).unwrap_or(&UNTOUCHED),
        }
    }

    fn of_mut(&mut self, branch: Option<BranchId>) -> &mut Document {
        match branch {
            None => &mut self.main,
            Some(id) => self.others.entry(id).or_insert_with(Document::of_a_branch),
        }
    }

    pub fn apply_patched(&mut self, event: &Event, data: &ContextPatched) {
        let document = self.of_mut(event.header.branch);
        document.apply_patched(event, data);
        if event.header.branch.is_some() {
            document.weigh();
        }
    }

    /// Returns `counted` with how large the main branch's document is.
    pub fn figures(&self, counted: ContextFigures) -> ContextFigures {
        let json = serde_json::to_vec(&self.main.root).expect("a document serialises: string keys, no failing parts");
        let values = self.main.root.measure().values as u64 - 1;
        ContextFigures { values, size_bytes: json.len() as u64, ..counted }
    }

    /// Returns how much the documents of all branches but the main one hold. Unit: bytes.
    fn size(&self) -> usize {
        let by_version: BTreeMap<Seq, usize> = self.others.values().map(|d| (d.version, d.size)).collect();
        by_version.values().sum()
    }

    pub fn apply_conflicted(&mut self, event: &Event, data: &ContextConflicted) {
        self.open.push(OpenConflict {
            id: event.header.id,
            branch: event.header.branch,
            author: event.header.actor,
            since: event.header.at,
            wanted: data.wanted.clone(),
            conflict: data.conflict.clone(),
        });
    }

    pub fn apply_resolved(&mut self, data: &ContextResolved) {
        self.open.retain(|open| open.id != data.conflict);
    }

    /// A branch begins with the document that the one which it leaves, `from`, had at the fork. Open conflicts stay with the
    /// branch on which they arose.
    pub fn apply_forked(&mut self, from: Option<BranchId>, data: &BranchCreated) {
        let document = self.of(from);
        if document.version > Seq::ZERO {
            let fork = document.fork(data.fork_seq);
            self.others.insert(data.branch, fork);
        }
    }
}

impl Document {
    fn of_a_branch() -> Self {
        Self { history: History::of_a_branch(), ..Self::default() }
    }

    fn weigh(&mut self) {
        self.size = self.root.measure().bytes + self.history.bytes();
    }

    /// Returns what a branch that leaves at `until` begins with.
    fn fork(&self, until: Seq) -> Self {
        let history = self.history.fork(until);
        let root = if until < self.version { self.history.at(&self.root, until) } else { self.root.clone() };
        let version = history.writes().next_back().map_or(history.floor(), |write| write.seq);
        let mut fork = Self { root, version, history, size: 0 };
        fork.weigh();
        fork
    }
}

/// Checks that what was decided leaves the documents of all branches within what they may hold together, or makes it less.
pub(in crate::session) fn check_together(session: &Session, decision: &Decision) -> Result<(), Rejection> {
    let mut after = None;
    for event in &decision.events {
        let documents = || session.documents.clone();
        match &event.body {
            EventBody::ContextPatched(data) if event.header.branch.is_some() => {
                after.get_or_insert_with(documents).apply_patched(event, data);
            }
            EventBody::BranchCreated(data) => {
                let from = session.branches.header(data.from_branch);
                after.get_or_insert_with(documents).apply_forked(from, data);
            }
            _ => {}
        }
    }
    match after.map(|after| after.size()) {
        Some(size) if size > MAX_TOGETHER && size > session.documents.size() => Err(Code::ContextsTooLarge.into()),
        _ => Ok(()),
    }
}

/// Returns what a document was at a version: from what is kept, else from what was looked up.
pub(super) fn then(document: &Document, (branch, seq): (Option<BranchId>, Seq), found: &[ContextThen]) -> Option<Node> {
    if document.history.tells(seq) {
        return Some(document.history.at(&document.root, seq));
    }
    found.iter().find(|then| (then.branch, then.seq) == (branch, seq)).map(|then| Node::from(&then.value))
}

/// Writes what a branch that is just begun had at `wanted`, where that is older than what its document begins with.
pub(in crate::session) fn begin_at(
    session: &Session,
    draft: &mut Draft,
    created: &BranchCreated,
    wanted: Seq,
    found: &[ContextThen],
) -> Result<(), Rejection> {
    let from = session.branches.header(created.from_branch);
    let document = session.documents.of(from);
    if wanted >= created.fork_seq {
        return Ok(());
    }
    let Some(then) = then(document, (from, wanted), found) else { return Ok(()) };
    let begins = document.fork(created.fork_seq);
    let base = Some(begins.version);
    draft.on(Some(created.branch));
    for ops in plan::parts(changes_to(&begins, &then)?) {
        draft.push(Stream::Main, vec![], ContextPatched { base, ops, ..ContextPatched::default() });
    }
    Ok(())
}

/// Which contexts a command goes back to.
impl Session {
    /// Returns the versions of contexts that a command goes back to and that the rules do not keep: whoever drives the
    /// session looks them up in the log and says them in the command's `then`. Branches are named as event headers do.
    pub fn contexts_wanted(&self, command: &Command) -> Vec<(Option<BranchId>, Seq)> {
        let header = |id: BranchId| self.branches.header(id);
        let all = match command {
            Command::ContextRevert(ContextRevert { branch, to_version: Some(version), .. }) => {
                vec![(branch.and_then(header), *version)]
            }
            Command::BranchCreate(data) => {
                branches::wanted(self, data).map(|(from, seq)| (header(from), seq)).into_iter().collect()
            }
            Command::CheckpointRestore(data) => {
                checkpoints::wanted(self, data).into_iter().map(|(branch, seq)| (header(branch), seq)).collect()
            }
            _ => Vec::new(),
        };
        let untold = |(branch, seq): &(Option<BranchId>, Seq)| !self.documents.of(*branch).history.tells(*seq);
        all.into_iter().filter(untold).collect()
    }

    /// Returns where a branch's context of a version came to be: the branch itself, and up to which seq each of those that
    /// it goes back to counts. The first one that was there at its seq has the document.
    pub fn context_lineage(&self, branch: Option<BranchId>, seq: Seq) -> Vec<(Option<BranchId>, Seq)> {
        let (mut at, mut until) = (branch.and_then(|id| self.branches.header(id)), seq);
        let mut line = vec![(at, until)];
        // A branch leaves one that was there before it, so this ends.
        while let Some(of) = at.and_then(|id| self.branches.get(id)) {
            until = until.min(of.fork_seq);
            at = of.from_branch.and_then(|id| self.branches.header(id));
            line.push((at, until));
        }
        line
    }

    /// Returns the oldest version of a branch's context that can be told from what is kept.
    pub fn context_floor(&self, branch: Option<BranchId>) -> Seq {
        self.document(branch).history.floor()
    }

    /// Returns the oldest seq, from `wanted` on, at which the context of a branch can be told.
    pub(in crate::session) fn context_kept(&self, branch: BranchId, wanted: Seq) -> Seq {
        wanted.max(self.documents.of(self.branches.header(branch)).history.floor())
    }

    /// Returns a branch's context at `seq`, or, when that cannot be told any more, the oldest that can. None is the main one.
    pub fn context_kept_at(&self, branch: Option<BranchId>, seq: Seq) -> serde_json::Value {
        let document = self.documents.of(branch.and_then(|id| self.branches.header(id)));
        document.history.at(&document.root, seq).to_value()
    }

    /// Returns the version of a branch's context; none while nothing has been written.
    pub(in crate::session) fn context_point(&self, branch: BranchId) -> Option<Seq> {
        Some(self.documents.of(self.branches.header(branch)).version).filter(|version| *version > Seq::ZERO)
    }

    /// Returns whether two branches' contexts hold the same.
    pub(in crate::session) fn same_context(&self, a: BranchId, b: BranchId) -> bool {
        let of = |id| &self.documents.of(self.branches.header(id)).root;
        of(a).same(of(b))
    }

    /// Returns how the contexts of two branches differ; none when there is no such branch.
    pub fn compare_context(&self, a: BranchId, b: BranchId) -> Option<ContextComparison> {
        let of = |id| self.branch(id).map(|_| self.documents.of(self.branches.header(id)));
        let (a, b) = (of(a)?, of(b)?);
        let mut ops = Vec::new();
        plan::difference(&a.root, &b.root, "", &mut ops);
        let count = ops.len();
        let told = |root: &Node, path: &str| {
            let place = path::locate(root, path).ok()?;
            let value = path::get(root, &place.steps).filter(|node| node.measure().bytes <= MAX_TOLD);
            value.map(Node::to_value)
        };
        let one = |op: PatchOp| ContextDifference {
            op: match op.op {
                OpName::Add => ChangeOp::Add,
                OpName::Remove => ChangeOp::Remove,
                _ => ChangeOp::Replace,
            },
            a: told(&a.root, &op.path),
            b: told(&b.root, &op.path),
            path: op.path,
        };
        let differences = ops.into_iter().take(MAX_DIFFERENCES).map(one).collect();
        Some(ContextComparison { version_a: a.version, version_b: b.version, differences, count })
    }
}

/// Brings the context of `into` to what that of `from` is now.
pub(in crate::session) fn adopt(
    by: &By<'_>,
    draft: &mut Draft,
    into: BranchId,
    from: BranchId,
    cause: EventId,
) -> Result<(), Rejection> {
    let session = by.session;
    let then = session.documents.of(session.branches.header(from)).root.clone();
    bring(by, draft, into, &then, cause, vec![]).map(drop)
}

/// Brings the context of a branch back to what it was at `seq`. Returns whether it was something else.
pub(in crate::session) fn restore(
    by: &By<'_>,
    draft: &mut Draft,
    branch: BranchId,
    seq: Seq,
    cause: EventId,
    found: &[ContextThen],
) -> Result<bool, Rejection> {
    let header = by.session.branches.header(branch);
    let document = by.session.documents.of(header);
    if document.version <= seq {
        return Ok(false);
    }
    let Some(then) = then(document, (header, seq), found) else {
        let detail = "more has been written since than the context can take back; restore it as a branch";
        return Err(Rejection::field("/checkpoint", Code::BaseTooOld, detail));
    };
    let since = document.history.writes().rev().take_while(|w| w.seq > seq);
    bring(by, draft, branch, &then, cause, since.take(MAX_REVERTS).map(|w| w.event).collect())
}

/// Writes what turns a document into `then`: one event, or several when it is more than fits into one.
fn bring(
    by: &By<'_>,
    draft: &mut Draft,
    branch: BranchId,
    then: &Node,
    cause: EventId,
    reverts: Vec<EventId>,
) -> Result<bool, Rejection> {
    let header = by.session.branches.header(branch);
    let document = by.session.documents.of(header);
    let changes = changes_to(document, then)?;
    if changes.is_empty() {
        return Ok(false);
    }
    if by.person.is_some() && !by.cx.grant.allows(Permission::ContextWrite) {
        return Err(Code::Forbidden.into());
    }
    let base = Some(document.version);
    draft.on(header);
    for (i, ops) in plan::parts(changes).into_iter().enumerate() {
        let reverts = if i == 0 { reverts.clone() } else { Vec::new() };
        draft.push(Stream::Main, vec![cause], ContextPatched { base, ops, reverts, ..ContextPatched::default() });
    }
    draft.on(None);
    Ok(true)
}

fn changes_to(document: &Document, then: &Node) -> Result<Vec<ContextChange>, Rejection> {
    let (mut whole, mut ops) = (Vec::new(), Vec::new());
    plan::difference(&document.root, then, "", &mut whole);
    whole.into_iter().for_each(|op| plan::split(op, &mut ops));
    let strategy = |_: &str, _: bool| Ok(Strategy::LastWriterWins);
    let ask = Ask {
        base: Some(document.version),
        ops: &ops,
        atomic: true,
        limited: false,
        one_event: false,
        strategy: &strategy,
        outranks: &|_| true,
    };
    match plan::plan(document, &ask) {
        Ok(plan) => Ok(plan.changes),
        Err(plan::Refusal::Rejected(no)) => Err(no),
        Err(plan::Refusal::Conflicts(..)) => Err(Code::ContextConflict.into()),
    }
}

/// Writes what the main branch's context of a new session begins with.
pub(in crate::session) fn begin_with(draft: &mut Draft, value: &serde_json::Value) -> Result<(), Rejection> {
    let changes = changes_to(&UNTOUCHED, &Node::from(value))?;
    for ops in plan::parts(changes) {
        draft.push(Stream::Main, vec![], ContextPatched { base: Some(Seq::ZERO), ops, ..ContextPatched::default() });
    }
    Ok(())
}

/// Returns the branch that a command names, as headers name it, and its document; it must be open.
pub(super) fn named<'a>(by: &By<'a>, branch: Option<BranchId>) -> Result<(Option<BranchId>, &'a Document), Rejection> {
    let session = by.session;
    let Some(id) = branch else { return Ok((None, session.documents.of(None))) };
    if branches::existing(by, "/branch", id)?.archived {
        return Err(Code::BranchIsArchived.into());
    }
    let header = session.branches.header(id);
    Ok((header, session.documents.of(header)))
}

#[cfg(test)]
mod tests;
