//! What has been written, as far as it is kept: for comparing with, and for going back.
//!
//! Owns: the last writes with what was there before, and for each address the last write of each class. Must not know:
//! strategies. Invariant: the marks are those of the kept writes and no others, so that a base from `floor` on can be
//! compared exactly.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use roundtable_protocol::context::{ChangeHow, ChangeOp, ConflictReason, ContextChange};
use roundtable_protocol::event::{Actor, ContextPatched, Event};
use roundtable_protocol::ids::{EventId, Seq, Timestamp};
use serde::{Deserialize, Serialize};

use super::node::Node;
use super::path::{self, Step};

/// How many writes are kept.
pub(super) const MAX_WRITES: usize = 10_000;
/// How much of what was there before is kept. Unit: bytes as JSON. Fewer writes are kept when they were large ones.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// How many addresses are kept.
const MAX_MARKS: usize = 50_000;
/// The same for every branch but the main one: there may be hundreds.
const BRANCH_WRITES: usize = 1_000;
const BRANCH_BYTES: usize = 512 * 1024;
const BRANCH_MARKS: usize = 5_000;

/// What a write did to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Class {
    /// Put a value there or took it away.
    Set,
    /// Moved the elements of the array.
    Shape,
    Inc,
    Union,
    Append,
}

impl Class {
    const ALL: [Self; 5] = [Self::Set, Self::Shape, Self::Inc, Self::Union, Self::Append];

    /// Returns whether both can happen to one address in either order.
    fn beside(self, other: Self) -> bool {
        match self {
            Self::Set => false,
            // Which element is meant is told by its id, or else checked as an index.
            Self::Shape => matches!(other, Self::Shape | Self::Union | Self::Append),
            Self::Union | Self::Append => other == self || other == Self::Shape,
            Self::Inc => other == Self::Inc,
        }
    }

    fn moves_elements(self) -> bool {
        matches!(self, Self::Shape | Self::Union | Self::Append)
    }
}

/// The last seq of each class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Mark([Seq; 5]);

impl Mark {
    fn newest(&self, of: impl Fn(Class) -> bool) -> Seq {
        Class::ALL.into_iter().filter(|c| of(*c)).map(|c| self.0[c as usize]).max().unwrap_or(Seq::ZERO)
    }
}

/// One change, with what it takes to undo it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    pub op: ChangeOp,
    pub steps: Vec<Step>,
    pub how: Option<ChangeHow>,
    /// The place after the change, by which it is found again: elements by id where that tells which one.
    pub address: String,
    pub was: Option<Node>,
    pub now: Option<Node>,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Write {
    pub seq: Seq,
    pub event: EventId,
    pub by: Actor,
    pub at: Timestamp,
    pub base: Option<Seq>,
    pub reverts: Vec<EventId>,
    pub changes: Vec<Change>,
    marks: Vec<(String, Class)>,
    bytes: usize,
}

/// What an operation touches.
#[derive(Clone, Debug)]
pub(super) struct Touch {
    pub address: String,
    pub class: Class,
    /// See [`path::Place::by_index`].
    pub by_index: Vec<usize>,
}

/// The kept writes and their marks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History {
    writes: Arc<VecDeque<Arc<Write>>>,
    marks: Arc<BTreeMap<String, Mark>>,
    bytes: usize,
    floor: Seq,
    /// Not that of the main branch.
    of_a_branch: bool,
}

impl History {
    pub fn of_a_branch() -> Self {
        Self { of_a_branch: true, ..Self::default() }
    }

    /// Returns what a branch that leaves at `until` knows of what was written before: as much as branches keep.
    pub fn fork(&self, until: Seq) -> Self {
        let whole = self.writes.back().is_none_or(|last| last.seq <= until);
        if whole && self.of_a_branch {
            return self.clone();
        }
        let before = self.writes.partition_point(|write| write.seq <= until);
        let first = before.saturating_sub(BRANCH_WRITES);
        let floor = first.checked_sub(1).map_or(self.floor, |last| self.writes[last].seq);
        let mut fork = Self { floor, ..Self::of_a_branch() };
        self.writes.range(first..before).cloned().for_each(|write| fork.keep(write));
        fork
    }

    /// Applies changes to `root` and keeps the write.
    pub fn write(&mut self, root: &mut Node, event: &Event, data: &ContextPatched) {
        let mut write = Write {
            seq: event.seq,
            event: event.header.id,
            by: event.header.actor,
            at: event.header.at,
            base: data.base,
            reverts: data.reverts.clone(),
            changes: Vec::with_capacity(data.ops.len()),
            marks: Vec::with_capacity(data.ops.len()),
            bytes: 0,
        };
        for change in &data.ops {
            if let Some(change) = make(root, change, &mut write.marks) {
                write.bytes += change.was.as_ref().map_or(0, |was| was.measure().bytes);
                write.changes.push(change);
            }
        }
        self.keep(Arc::new(write));
    }

    fn keep(&mut self, write: Arc<Write>) {
        let marks = Arc::make_mut(&mut self.marks);
        for (address, class) in &write.marks {
            let mark = marks.entry(address.clone()).or_default();
            mark.0[*class as usize] = mark.0[*class as usize].max(write.seq);
        }
        self.bytes += write.bytes;
        let writes = Arc::make_mut(&mut self.writes);
        writes.push_back(write);
        let (max_writes, max_bytes, max_marks) = match self.of_a_branch {
            true => (BRANCH_WRITES, BRANCH_BYTES, BRANCH_MARKS),
            false => (MAX_WRITES, MAX_BYTES, MAX_MARKS),
        };
        while writes.len() > max_writes || self.bytes > max_bytes && writes.len() > 1 || marks.len() > max_marks {
            let Some(oldest) = writes.pop_front() else { break };
            self.floor = self.floor.max(oldest.seq);
            self.bytes -= oldest.bytes;
            for (address, class) in &oldest.marks {
                if let Some(mark) = marks.get_mut(address) {
                    if mark.0[*class as usize] == oldest.seq {
                        mark.0[*class as usize] = Seq::ZERO;
                    }
                    if *mark == Mark::default() {
                        marks.remove(address);
                    }
                }
            }
        }
    }

    /// Returns how much of what was there before is kept. Unit: bytes as JSON.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the oldest version that can be compared with and gone back to.
    pub fn floor(&self) -> Seq {
        self.floor
    }

    /// Returns the kept writes, the oldest first.
    pub fn writes(&self) -> impl DoubleEndedIterator<Item = &Write> {
        self.writes.iter().map(|w| &**w)
    }

    pub fn by_seq(&self, seq: Seq) -> Option<&Write> {
        self.writes().rev().find(|w| w.seq == seq)
    }

    pub fn by_event(&self, event: EventId) -> Option<&Write> {
        self.writes().rev().find(|w| w.event == event)
    }

    /// Returns whether a later write takes this one back and has not been taken back itself.
    pub fn is_taken_back(&self, event: EventId) -> bool {
        let mut taken_back: BTreeSet<EventId> = BTreeSet::new();
        for write in self.writes().rev().filter(|w| !w.reverts.is_empty()) {
            if !taken_back.contains(&write.event) {
                taken_back.extend(&write.reverts);
            }
        }
        taken_back.contains(&event)
    }

    /// Returns whether what was at `version` can be told.
    pub fn tells(&self, version: Seq) -> bool {
        version >= self.floor
    }

    /// Returns the document as it was at `version`, which is not below the floor.
    pub fn at(&self, now: &Node, version: Seq) -> Node {
        let mut root = now.clone();
        for write in self.writes().rev().take_while(|w| w.seq > version) {
            for change in write.changes.iter().rev() {
                undo(&mut root, change);
            }
        }
        root
    }

    /// Returns the newest write after `base` that conflicts with `touch`, and why.
    pub fn conflict(&self, touch: &Touch, base: Seq) -> Option<(Seq, ConflictReason)> {
        let mut found: Option<(Seq, ConflictReason)> = None;
        let mut note = |seq: Seq, reason| {
            if seq > base && found.is_none_or(|(known, _)| seq > known) {
                found = Some((seq, reason));
            }
        };
        for (end, mark) in self.above(&touch.address) {
            if touch.by_index.contains(&end) {
                note(mark.newest(Class::moves_elements), ConflictReason::ArrayMoved);
            }
            if end < touch.address.len() {
                note(mark.newest(|c| matches!(c, Class::Set | Class::Inc)), ConflictReason::WrittenAbove);
            } else {
                note(mark.newest(|c| !touch.class.beside(c)), ConflictReason::Written);
            }
        }
        if touch.class == Class::Set {
            note(self.newest_below(&touch.address), ConflictReason::WrittenBelow);
        }
        found
    }

    /// Returns the newest seq strictly below an address.
    pub fn newest_below(&self, address: &str) -> Seq {
        let from = format!("{address}/");
        let below = self.marks.range(from.clone()..).take_while(|(known, _)| known.starts_with(&from));
        below.map(|(_, mark)| mark.newest(|_| true)).max().unwrap_or(Seq::ZERO)
    }

    /// Returns the newest write at an address or anywhere above it.
    pub fn newest_upwards(&self, address: &str) -> Seq {
        self.above(address).map(|(_, mark)| mark.newest(|_| true)).max().unwrap_or(Seq::ZERO)
    }

    /// Iterates over the marks of an address and of everything above it.
    fn above<'a>(&'a self, address: &'a str) -> impl Iterator<Item = (usize, &'a Mark)> {
        let ends = address.match_indices('/').map(|(i, _)| i).chain(std::iter::once(address.len()));
        ends.filter_map(|end| self.marks.get(&address[..end]).map(|mark| (end, mark)))
    }
}

/// Makes one change, if its place is there.
fn make(root: &mut Node, change: &ContextChange, marks: &mut Vec<(String, Class)>) -> Option<Change> {
    let steps = path::recorded(root, &change.path)?;
    let now = change.value.as_ref().map(Node::from);
    mark(root, &steps, change, now.as_ref(), marks);
    let (op, how) = (change.op, change.how);
    let was = perform(root, op, &steps, now.clone());
    let address = path::lasting(root, &steps, op == ChangeOp::Remove);
    Some(Change { op, steps, how, address, was, now })
}

/// Does what a change says. Returns what was there.
pub(super) fn perform(root: &mut Node, op: ChangeOp, steps: &[Step], now: Option<Node>) -> Option<Node> {
    match op {
        ChangeOp::Add => {
            path::insert(root, steps, now.unwrap_or(Node::Null));
            None
        }
        ChangeOp::Replace => path::set(root, steps, now.unwrap_or(Node::Null)),
        ChangeOp::Remove => path::remove(root, steps),
    }
}

fn undo(root: &mut Node, change: &Change) {
    match change.op {
        ChangeOp::Add => {
            path::remove(root, &change.steps);
        }
        ChangeOp::Replace => {
            path::set(root, &change.steps, change.was.clone().unwrap_or(Node::Null));
        }
        ChangeOp::Remove => path::insert(root, &change.steps, change.was.clone().unwrap_or(Node::Null)),
    }
}

/// Notes what a change touches.
fn mark(root: &Node, steps: &[Step], change: &ContextChange, now: Option<&Node>, marks: &mut Vec<(String, Class)>) {
    let address = path::address(root, steps);
    let array = |n: usize| path::address(root, &steps[..n]);
    let element = |n: usize, i: usize, node: &Node| {
        let mut at = array(n);
        path::push_element(&mut at, i, Some(node));
        at
    };
    let above = steps.len().saturating_sub(1);
    match (change.how, change.op, steps.last()) {
        (Some(ChangeHow::Inc), ..) => marks.push((address.clone(), Class::Inc)),
        (Some(ChangeHow::Append), ChangeOp::Replace, _) => marks.push((address.clone(), Class::Append)),
        (Some(how @ (ChangeHow::Append | ChangeHow::Union)), _, Some(Step::Index(_))) => {
            let class = if how == ChangeHow::Union { Class::Union } else { Class::Append };
            marks.push((array(above), class));
        }
        (_, ChangeOp::Add, Some(Step::Index(i))) => {
            marks.push((array(above), Class::Shape));
            if let Some(node) = now.filter(|n| n.id().is_some()) {
                marks.push((element(above, *i, node), Class::Set));
            }
        }
        (_, ChangeOp::Remove, Some(Step::Index(_))) => {
            marks.push((array(above), Class::Shape));
            if path::get(root, steps).is_some_and(|n| n.id().is_some()) {
                marks.push((address.clone(), Class::Set));
            }
        }
        (_, ChangeOp::Replace, Some(Step::Index(i))) => {
            marks.push((address.clone(), Class::Set));
            if let Some(node) = now.filter(|n| n.id().is_some()) {
                let at = element(above, *i, node);
                if at != address {
                    marks.push((at, Class::Set));
                }
            }
        }
        (_, _, Some(Step::Key(key))) => {
            marks.push((address.clone(), Class::Set));
            // An element that has another id from now on is another one for those who address it by that id.
            if key == "id"
                && let Some(Step::Index(i)) = above.checked_sub(1).map(|n| &steps[n])
                && let Some(now) = now
            {
                let named = Node::Object(Arc::new([("id".to_owned(), now.clone())].into()));
                if named.id().is_some() {
                    marks.push((element(above - 1, *i, &named), Class::Set));
                }
            }
        }
        _ => marks.push((address.clone(), Class::Set)),
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    floor: Seq,
    of_a_branch: bool,
    writes: Vec<Arc<Write>>,
}

impl Serialize for History {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let writes = self.writes.iter().cloned().collect();
        Stored { floor: self.floor, of_a_branch: self.of_a_branch, writes }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for History {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let mut history = Self { of_a_branch: stored.of_a_branch, ..Self::default() };
        stored.writes.into_iter().for_each(|write| history.keep(write));
        history.floor = stored.floor;
        Ok(history)
    }
}
