//! From a patch to changes: what applies, what conflicts, and what then becomes of it.
//!
//! Owns: the strategies and the limits. Must not know: permissions, sessions, events. Invariant: the document that is
//! planned on is not changed; a plan either holds all that is to happen, or nothing is.

use roundtable_protocol::context::{
    ChangeOp, ConflictReason, ContextChange, ContextConflict, OpName, Overwrote, PatchOp, SkipReason, SkippedOp,
    Strategy,
};
use roundtable_protocol::event::Actor;
use roundtable_protocol::ids::{EventId, Seq, Timestamp};
use roundtable_protocol::problem::Code;
use serde_json::Value;

use super::Document;
use super::effect::{self, Effect, Fault, Raw};
use super::history;
use super::join::join;
use super::node::Node;
use super::path::{self, Missing};
use crate::context::Rejection;

/// Largest document. Unit: bytes as JSON.
const MAX_BYTES: usize = 1024 * 1024;
/// Deepest nesting. Unit: levels.
const MAX_DEPTH: usize = 32;
/// Most values in a document.
const MAX_VALUES: usize = 10_000;
/// Largest value that an operation writes. Unit: bytes as JSON.
pub(super) const MAX_VALUE: usize = 64 * 1024;
/// Most operations of a patch.
pub(super) const MAX_OPS: usize = 100;
/// Most that one patch writes: its event must fit into a frame. Unit: bytes as JSON.
const MAX_WRITTEN: usize = 512 * 1024;
/// Largest value that a write of several events puts there at once. Unit: bytes as JSON.
const MAX_PART: usize = 256 * 1024;
/// How much of what was there before one event tells; of the rest, the version before tells. Unit: bytes as JSON.
const MAX_BEFORE: usize = 256 * 1024;
/// Largest value that a conflict tells. Unit: bytes as JSON.
const MAX_TOLD: usize = 2 * 1024;

/// What is asked of the document.
pub(super) struct Ask<'a> {
    pub base: Option<Seq>,
    pub ops: &'a [PatchOp],
    pub atomic: bool,
    /// Whether the limits of a person's patch hold; those of the document always do.
    pub limited: bool,
    /// Whether all of it must fit into one event.
    pub one_event: bool,
    /// Returns what becomes of a conflict at an address; whether the operation itself says what its author has read.
    pub strategy: &'a dyn Fn(&str, bool) -> Result<Strategy, Rejection>,
    /// Returns whether the author ranks above another writer.
    pub outranks: &'a dyn Fn(Actor) -> bool,
}

/// What is to happen.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub changes: Vec<ContextChange>,
    pub strategy: Strategy,
    pub skipped: Vec<SkippedOp>,
    pub overwrote: Vec<Overwrote>,
    /// What people must choose about: the operation, its place by id, and what it conflicts with.
    pub open: Vec<(PatchOp, ContextConflict)>,
}

/// Why nothing is to happen.
#[derive(Debug)]
pub(super) enum Refusal {
    Rejected(Rejection),
    /// With the operations made again on the current version.
    Conflicts(Vec<ContextConflict>, Vec<PatchOp>),
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Plans a patch on `document`.
pub(super) fn plan(document: &Document, ask: &Ask<'_>) -> Result<Plan, Refusal> {
    check_size(ask)?;
    if ask.base.is_some_and(|base| base < document.history.floor()) {
        return Err(Rejection::from(Code::BaseTooOld).into());
    }
    let mut planner = Planner {
        document,
        ask,
        work: document.root.clone(),
        before: None,
        moved: Vec::new(),
        plan: Plan::default(),
        written: 0,
        before_told: 0,
        conflicts: Vec::new(),
        suggestion: Vec::new(),
    };
    for (i, op) in ask.ops.iter().enumerate() {
        planner.one(u32::try_from(i).unwrap_or(u32::MAX), op)?;
    }
    planner.finish()
}

fn check_size(ask: &Ask<'_>) -> Result<(), Rejection> {
    if !ask.limited {
        return Ok(());
    }
    if ask.ops.is_empty() {
        return Err(Rejection::field("/ops", Code::InvalidField, "at least one operation"));
    }
    if ask.ops.len() > MAX_OPS {
        return Err(Code::PatchTooLong.into());
    }
    let mut written = 0;
    for value in ask.ops.iter().filter_map(|op| op.value.as_ref()) {
        let measure = Node::from(value).measure();
        written += measure.bytes;
        if measure.bytes > MAX_VALUE {
            return Err(Code::ContextValueTooLarge.into());
        }
        if measure.depth > MAX_DEPTH {
            return Err(Code::ContextTooDeep.into());
        }
    }
    if written > MAX_WRITTEN { Err(too_much()) } else { Ok(()) }
}

fn too_much() -> Rejection {
    Rejection::field(
        "/ops",
        Code::ContextTooLarge,
        "one write puts more than 512 KiB there: write, or revert, by parts",
    )
}

struct Planner<'a> {
    document: &'a Document,
    ask: &'a Ask<'a>,
    /// The document with what has been planned so far.
    work: Node,
    /// The document at the base, once it is needed.
    before: Option<Node>,
    /// Addresses of arrays whose elements this patch itself has moved.
    moved: Vec<String>,
    plan: Plan,
    written: usize,
    before_told: usize,
    conflicts: Vec<ContextConflict>,
    suggestion: Vec<PatchOp>,
}

impl Planner<'_> {
    /// Plans one operation: all of it, or nothing.
    fn one(&mut self, i: u32, op: &PatchOp) -> Result<(), Refusal> {
        let (work, changes, moved) = (self.work.clone(), self.plan.changes.len(), self.moved.len());
        let (overwrote, suggested) = (self.plan.overwrote.len(), self.suggestion.len());
        let done = match op.op {
            OpName::Test => self.test(i, op)?,
            OpName::Move | OpName::Copy => self.relocate(i, op)?,
            _ => self.single(i, op, op)?,
        };
        if !done {
            self.work = work;
            self.plan.changes.truncate(changes);
            self.moved.truncate(moved);
            self.plan.overwrote.truncate(overwrote);
            if op.from.is_some() {
                self.suggestion.truncate(suggested);
            }
        }
        Ok(())
    }

    fn test(&mut self, i: u32, op: &PatchOp) -> Result<bool, Refusal> {
        let wanted = effect::value(op).map_err(|fault| malformed(i, &fault))?;
        let there = path::locate(&self.work, &op.path).ok().and_then(|p| path::get(&self.work, &p.steps).cloned());
        if there.is_some_and(|there| there.same(&Node::from(wanted))) {
            self.suggestion.push(op.clone());
            return Ok(true);
        }
        let detail = format!("operation {i}: {} is not the value at {}", Code::ContextTestFailed.name(), op.path);
        Err(Rejection::field("/ops", Code::ContextTestFailed, detail).into())
    }

    /// `move` and `copy`: their parts count as one operation.
    fn relocate(&mut self, i: u32, op: &PatchOp) -> Result<bool, Refusal> {
        let from = op.from.as_deref().ok_or_else(|| malformed(i, &Fault::Malformed("from is missing".to_owned())))?;
        let within = op.path.strip_prefix(from).is_some_and(|rest| rest.starts_with('/'));
        if op.op == OpName::Move && within {
            return Err(malformed(i, &Fault::Malformed("nothing moves into itself".to_owned())).into());
        }
        let place = match path::locate(&self.work, from) {
            Ok(place) => place,
            Err((missing, address)) => return self.fault(i, op, op, Fault::Missing(missing, address)),
        };
        let Some(value) = path::get(&self.work, &place.steps).map(Node::to_value) else {
            return self.fault(i, op, op, Fault::Missing(Missing::Path, place.address));
        };
        if op.op == OpName::Move && !self.single(i, op, &PatchOp::new(OpName::Remove, from, None))? {
            return Ok(false);
        }
        let done = self.single(i, op, &PatchOp::new(OpName::Add, op.path.clone(), Some(value)))?;
        // Copies of copies grow without anything being sent.
        check_limits(&self.work)?;
        Ok(done)
    }

    /// Plans what `op` says, which is `asked` or a part of it. Returns whether it was planned.
    fn single(&mut self, i: u32, asked: &PatchOp, op: &PatchOp) -> Result<bool, Refusal> {
        let effect = match effect::effect(&self.work, op) {
            Ok(effect) => effect,
            Err(fault) => return self.fault(i, asked, op, fault),
        };
        let Some((seq, reason)) = self.conflict(&effect) else {
            self.suggest(asked);
            self.perform(&effect.raws)?;
            return Ok(true);
        };
        let conflict = self.told(i, op, &effect.address, seq, reason);
        let (joined, clean) = if effect.sets { self.joined(&effect) } else { (None, false) };
        let joined = joined.map(|value| {
            let there = path::get(&self.work, &effect.steps).is_some();
            let op = if there { ChangeOp::Replace } else { ChangeOp::Add };
            Raw { op, steps: effect.steps.clone(), value: Some(value), how: None }
        });
        if let (true, Some(raw)) = (clean, &joined) {
            let value = raw.value.as_ref().map(Node::to_value);
            self.suggestion.push(PatchOp::new(OpName::Add, effect.address.clone(), value));
        }
        match self.strategy(&effect.address, false)? {
            Strategy::LastWriterWins => self.overwrite(&effect, conflict),
            Strategy::RolePriority if (self.ask.outranks)(conflict.by) => self.overwrite(&effect, conflict),
            Strategy::FirstWriterWins => Ok(self.skip(i, &effect.address, SkipReason::Conflict)),
            Strategy::Manual => Ok(self.open(i, asked, &effect.address, conflict)),
            Strategy::Merge if joined.is_some() && (clean || !self.ask.atomic) => {
                self.perform(joined.as_slice())?;
                if !clean {
                    self.skip(i, &effect.address, SkipReason::Conflict);
                }
                Ok(true)
            }
            Strategy::Merge | Strategy::RolePriority | Strategy::Reject => Ok(self.refuse(conflict)),
        }
    }

    /// An operation that cannot be done, perhaps because of somebody's write since the base.
    fn fault(&mut self, i: u32, asked: &PatchOp, op: &PatchOp, fault: Fault) -> Result<bool, Refusal> {
        let (code, address, seq, reason) = match fault {
            Fault::Malformed(_) | Fault::Missing(Missing::Pointer, _) => return Err(malformed(i, &fault).into()),
            Fault::Overlaps(place) => {
                let seq = self.document.history.newest_upwards(&place.address).max(Seq(1));
                (Code::TypeClash, place.address, seq, ConflictReason::TextOverlaps)
            }
            Fault::Missing(missing, address) => {
                let base = self.ask.base.unwrap_or(self.document.version);
                let newest = self.document.history.newest_upwards(&address);
                let seq = if newest > base { newest } else { Seq::ZERO };
                let code = if missing == Missing::Type { Code::TypeClash } else { Code::PathNotFound };
                (code, address, seq, ConflictReason::Gone)
            }
        };
        if seq == Seq::ZERO {
            if self.ask.atomic && self.conflicts.is_empty() {
                let detail = format!("operation {i}: {} ({})", code.title(), op.path);
                return Err(Rejection::field("/ops", code, detail).into());
            }
            let reason = if code == Code::TypeClash { SkipReason::TypeClash } else { SkipReason::PathNotFound };
            return Ok(self.skip(i, &address, reason));
        }
        if op.op == OpName::Remove && code == Code::PathNotFound {
            return Ok(self.skip(i, &address, SkipReason::AlreadySo));
        }
        let conflict = self.told(i, op, &address, seq, reason);
        match self.strategy(&address, reason == ConflictReason::TextOverlaps)? {
            Strategy::FirstWriterWins => Ok(self.skip(i, &address, SkipReason::Conflict)),
            Strategy::Manual => Ok(self.open(i, asked, &address, conflict)),
            Strategy::LastWriterWins if reason == ConflictReason::TextOverlaps => {
                let op = PatchOp::new(OpName::Replace, op.path.clone(), op.value.clone());
                match effect::effect(&self.work, &op) {
                    Ok(effect) => self.overwrite(&effect, conflict),
                    Err(_) => Ok(self.refuse(conflict)),
                }
            }
            _ => Ok(self.refuse(conflict)),
        }
    }

    /// Returns the newest committed write that conflicts, unless it has made what is wanted already.
    fn conflict(&self, effect: &Effect) -> Option<(Seq, ConflictReason)> {
        let base = self.ask.base?;
        let history = &self.document.history;
        let by_touch = effect.touches.iter().filter_map(|touch| history.conflict(touch, base));
        // An index into an array that this patch itself has moved does not say which element was meant.
        let unclear = self.moved.iter().filter_map(|array| {
            let indexed =
                effect.touches.iter().any(|t| t.by_index.contains(&array.len()) && t.address.starts_with(array));
            let newest = history.newest_below(array);
            (indexed && newest > base).then_some((newest, ConflictReason::ArrayMoved))
        });
        let found = by_touch.chain(unclear).max_by_key(|(seq, _)| *seq)?;
        let [Raw { op: ChangeOp::Add | ChangeOp::Replace, value: Some(wanted), how: None, .. }] = &effect.raws[..]
        else {
            return Some(found);
        };
        let so_already = effect.sets && path::get(&self.work, &effect.steps).is_some_and(|now| now.same(wanted));
        (!so_already || found.1 == ConflictReason::ArrayMoved).then_some(found)
    }

    fn strategy(&mut self, address: &str, has_read: bool) -> Result<Strategy, Refusal> {
        let strategy = (self.ask.strategy)(address, has_read)?;
        self.plan.strategy = self.plan.strategy.max(strategy);
        Ok(strategy)
    }

    /// Joins the wanted value with the current one on what was there at the base.
    fn joined(&mut self, effect: &Effect) -> (Option<Node>, bool) {
        let Some(base) = self.ask.base else { return (None, false) };
        let before = self.before.get_or_insert_with(|| self.document.history.at(&self.document.root, base));
        let was = path::locate(before, &effect.address).ok().and_then(|place| path::get(before, &place.steps));
        let now = path::get(&self.work, &effect.steps);
        join(was, now, effect.raws.first().and_then(|raw| raw.value.as_ref()))
    }

    fn perform(&mut self, raws: &[Raw]) -> Result<(), Rejection> {
        for Raw { op, steps, value, how } in raws {
            let pointer = path::pointer(steps);
            if let (ChangeOp::Add | ChangeOp::Remove, Some((path::Step::Index(_), array))) = (op, steps.split_last()) {
                self.moved.push(path::address(&self.work, array));
            }
            let was = history::perform(&mut self.work, *op, steps, value.clone());
            let size = |node: &Option<Node>| node.as_ref().map_or(0, |n| n.measure().bytes);
            if self.ask.limited && matches!(value, Some(Node::Text(_))) && size(value) > MAX_VALUE {
                return Err(Code::ContextValueTooLarge.into());
            }
            self.written += size(value);
            if self.ask.one_event && self.written > MAX_WRITTEN {
                return Err(too_much());
            }
            self.before_told += size(&was);
            let was = was.filter(|_| self.before_told <= MAX_BEFORE);
            let (value, was) = (value.as_ref().map(Node::to_value), was.as_ref().map(Node::to_value));
            self.plan.changes.push(ContextChange { op: *op, path: pointer, value, was, how: *how });
        }
        Ok(())
    }

    fn overwrite(&mut self, effect: &Effect, conflict: ContextConflict) -> Result<bool, Refusal> {
        let ContextConflict { path, current, by, current_version, .. } = conflict;
        self.plan.overwrote.push(Overwrote { path, was: current, by, version: current_version });
        self.perform(&effect.raws)?;
        Ok(true)
    }

    fn skip(&mut self, op_index: u32, address: &str, reason: SkipReason) -> bool {
        self.plan.skipped.push(SkippedOp { op_index, path: address.to_owned(), reason });
        false
    }

    fn open(&mut self, i: u32, asked: &PatchOp, address: &str, conflict: ContextConflict) -> bool {
        // By id, so that it still means the same place when somebody chooses.
        let path =
            if matches!(asked.op, OpName::Move | OpName::Copy) { asked.path.clone() } else { address.to_owned() };
        self.plan.open.push((PatchOp { path, ..asked.clone() }, conflict));
        self.skip(i, address, SkipReason::Open)
    }

    fn refuse(&mut self, conflict: ContextConflict) -> bool {
        if !self.ask.atomic {
            self.skip(conflict.op_index, &conflict.path, SkipReason::Conflict);
        }
        self.conflicts.push(conflict);
        false
    }

    fn suggest(&mut self, asked: &PatchOp) {
        if self.suggestion.last() != Some(asked) {
            self.suggestion.push(asked.clone());
        }
    }

    /// Tells a conflict with the write of `seq`.
    fn told(&self, op_index: u32, op: &PatchOp, address: &str, seq: Seq, reason: ConflictReason) -> ContextConflict {
        let there = path::locate(&self.work, address).ok();
        let current = there.and_then(|place| path::get(&self.work, &place.steps).cloned());
        let history = &self.document.history;
        let write = history.by_seq(seq).or_else(|| history.writes().last());
        let unknown = (Actor::System, Timestamp::UNIX_EPOCH, EventId::NIL);
        let (by, at, event) = write.map_or(unknown, |w| (w.by, w.at, w.event));
        ContextConflict {
            path: address.to_owned(),
            op_index,
            base_version: self.ask.base,
            yours: op.value.clone().filter(|value| Node::from(value).measure().bytes <= MAX_TOLD),
            current: current.filter(|node| node.measure().bytes <= MAX_TOLD).map(|node| node.to_value()),
            current_version: seq,
            by,
            at,
            event,
            reason,
        }
    }

    fn finish(self) -> Result<Plan, Refusal> {
        let nothing = self.plan.changes.is_empty() && self.plan.open.is_empty();
        if !self.conflicts.is_empty() && (self.ask.atomic || nothing) {
            return Err(Refusal::Conflicts(self.conflicts, self.suggestion));
        }
        check_limits(&self.work)?;
        Ok(Plan {
            strategy: if self.ask.base.is_none() { Strategy::LastWriterWins } else { self.plan.strategy },
            ..self.plan
        })
    }
}

fn malformed(i: u32, fault: &Fault) -> Rejection {
    let detail = match fault {
        Fault::Malformed(detail) => detail.as_str(),
        _ => "the path is no JSON Pointer",
    };
    Rejection::field("/ops", Code::InvalidField, format!("operation {i}: {detail}"))
}

fn check_limits(root: &Node) -> Result<(), Rejection> {
    let measure = root.measure();
    match () {
        () if measure.depth > MAX_DEPTH => Err(Code::ContextTooDeep.into()),
        () if measure.values > MAX_VALUES => Err(Code::ContextTooManyPaths.into()),
        () if measure.bytes > MAX_BYTES => Err(Code::ContextTooLarge.into()),
        () => Ok(()),
    }
}

/// Turns an RFC 7396 patch into operations on `root`, which is an object.
pub(super) fn merge_ops(root: &Node, patch: &Value) -> Result<Vec<PatchOp>, Rejection> {
    let Value::Object(members) = patch else {
        return Err(Rejection::field(
            "/merge",
            Code::TypeClash,
            "the context is an object, so what is laid over it is one",
        ));
    };
    let mut ops = Vec::new();
    lay_over(Some(root), members, "", &mut ops, 0)?;
    if ops.is_empty() {
        return Err(Code::AlreadyRecorded.into());
    }
    Ok(ops)
}

fn lay_over(
    now: Option<&Node>,
    patch: &serde_json::Map<String, Value>,
    above: &str,
    ops: &mut Vec<PatchOp>,
    depth: usize,
) -> Result<(), Rejection> {
    if depth > MAX_DEPTH {
        return Err(Code::ContextTooDeep.into());
    }
    for (key, wanted) in patch {
        let mut at = above.to_owned();
        path::push_key(&mut at, key);
        let there = now.and_then(|n| if let Node::Object(all) = n { all.get(key) } else { None });
        match (wanted, there) {
            (Value::Null, None) => {}
            (Value::Null, Some(_)) => ops.push(PatchOp::new(OpName::Remove, at, None)),
            (Value::Object(inside), Some(Node::Object(_))) => lay_over(there, inside, &at, ops, depth + 1)?,
            (wanted, _) => ops.push(PatchOp::new(OpName::Add, at, Some(without_nulls(wanted)))),
        }
    }
    Ok(())
}

/// RFC 7396, 2: in what is new, a null says that there is nothing.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(all) => Value::Object(
            all.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect(),
        ),
        other => other.clone(),
    }
}

/// Adds the operations that turn `now` into `then`.
pub(super) fn difference(now: &Node, then: &Node, at: &str, ops: &mut Vec<PatchOp>) {
    if now.same(then) {
        return;
    }
    match (now, then) {
        (Node::Object(a), Node::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let mut at = at.to_owned();
                path::push_key(&mut at, key);
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => difference(a, b, &at, ops),
                    (Some(_), None) => ops.push(PatchOp::new(OpName::Remove, at, None)),
                    (None, Some(b)) => ops.push(PatchOp::new(OpName::Add, at, Some(b.to_value()))),
                    (None, None) => {}
                }
            }
        }
        (Node::Array(a), Node::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b.iter()).enumerate() {
                difference(a, b, &format!("{at}/{i}"), ops);
            }
        }
        (_, then) => ops.push(PatchOp::new(OpName::Replace, at, Some(then.to_value()))),
    }
}

/// Splits an operation that puts a large container there: the empty one, then what is in it.
pub(super) fn split(op: PatchOp, out: &mut Vec<PatchOp>) {
    let large = op.value.as_ref().is_some_and(|value| Node::from(value).measure().bytes > MAX_PART);
    match op.value {
        Some(Value::Object(all)) if large => {
            out.push(PatchOp::new(op.op, op.path.clone(), Some(Value::Object(serde_json::Map::new()))));
            for (key, value) in all {
                let mut at = op.path.clone();
                path::push_key(&mut at, &key);
                split(PatchOp::new(OpName::Add, at, Some(value)), out);
            }
        }
        Some(Value::Array(all)) if large => {
            out.push(PatchOp::new(op.op, op.path.clone(), Some(Value::Array(Vec::new()))));
            for (i, value) in all.into_iter().enumerate() {
                split(PatchOp::new(OpName::Add, format!("{}/{i}", op.path), Some(value)), out);
            }
        }
        value => out.push(PatchOp { value, ..op }),
    }
}

/// Divides changes, in order, into parts each of which fits into an event.
pub(super) fn parts(changes: Vec<ContextChange>) -> Vec<Vec<ContextChange>> {
    let (mut parts, mut room) = (Vec::new(), 0);
    for change in changes {
        let size = change.value.as_ref().map_or(0, |value| Node::from(value).measure().bytes);
        if parts.is_empty() || size > room {
            parts.push(Vec::new());
            room = MAX_WRITTEN;
        }
        room = room.saturating_sub(size);
        parts.last_mut().expect("one was pushed").push(change);
    }
    parts
}
