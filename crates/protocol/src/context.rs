//! The shared context: one JSON document of a session, and how it is written.
//!
//! Owns: the shapes of writes, changes and conflicts. Must not know: when two writes conflict (that is core's).
//! Invariant: a path is a JSON Pointer (RFC 6901); in it, `@<id>` addresses the element of an array whose `id` is that,
//! and a key that really begins with `@` is written `@@`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::event::Actor;
use crate::ids::{BranchId, EventId, Seq, Timestamp};

/// What becomes of a write that conflicts with another one, from the strictest to the loosest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// It is refused.
    #[default]
    Reject,
    /// The current value stays; both are kept as an open conflict for people to resolve.
    Manual,
    /// The current value stays; the operation is left out, the others apply.
    FirstWriterWins,
    /// Both are joined where they can be; what cannot be joined is refused.
    Merge,
    /// The higher role wins: owner, moderator, collaborator, agent. Equal ones are refused.
    RolePriority,
    /// It overwrites.
    LastWriterWins,
}

/// What an operation of a patch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpName {
    /// RFC 6902: sets a member, or inserts into an array (`-`: at its end).
    Add,
    /// RFC 6902: takes away.
    Remove,
    /// RFC 6902: puts another value in the place of one that is there.
    Replace,
    /// RFC 6902: takes away at `from`, adds at `path`.
    Move,
    /// RFC 6902: adds at `path` what is at `from`.
    Copy,
    /// RFC 6902: the whole patch applies only if the value is this one.
    Test,
    /// Adds a number to a number.
    Inc,
    /// Adds to an array those of `value` (one, or a list) that it has not.
    Union,
    /// Takes those of `value` (one, or a list) out of an array.
    RemoveValues,
    /// Puts text at the end of text, or `value` (one, or a list) at the end of an array.
    Append,
    /// Changes text from `was` into `value`, joined with what others have changed in it since.
    Text,
}

/// One operation of a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchOp {
    /// What it does.
    pub op: OpName,
    /// Where: a JSON Pointer, in which `@<id>` addresses an element of an array by its `id`.
    pub path: String,
    /// Where from; of `move` and `copy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// With what; at most 64 KiB as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub value: Option<Value>,
    /// The text that the author has read; of `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
}

/// Tells a value that is there and null from one that is absent.
fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

impl PatchOp {
    /// Makes an operation without `from` and `was`.
    pub fn new(op: OpName, path: impl Into<String>, value: Option<Value>) -> Self {
        Self { op, path: path.into(), from: None, value, was: None }
    }
}

/// What a change does to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeOp {
    /// A member that was not there, or an insertion into an array.
    Add,
    /// Another value in the place of one.
    Replace,
    /// It is gone.
    Remove,
}

/// Which commutative operation a change comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeHow {
    /// `inc`.
    Inc,
    /// `union`.
    Union,
    /// `append`, and `add` at `-`.
    Append,
}

/// One change of the document, as it is recorded: plain RFC 6902 with what was there before. In order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextChange {
    /// What it does.
    pub op: ChangeOp,
    /// Where; array elements by index.
    pub path: String,
    /// The value from now on; absent when it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub value: Option<Value>,
    /// The value before; absent when there was none, or when this event tells more than 256 KiB of such already: then
    /// the version before tells it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub was: Option<Value>,
    /// Which commutative operation it comes from; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<ChangeHow>,
}

/// Why two writes conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConflictReason {
    /// Somebody wrote the same place.
    Written,
    /// Somebody wrote a place that this one is in.
    WrittenAbove,
    /// Somebody wrote a place inside this one.
    WrittenBelow,
    /// Somebody inserted into the array or took something out, so an index means another element now.
    ArrayMoved,
    /// Somebody took away what this was to change.
    Gone,
    /// The text was changed in the same place.
    TextOverlaps,
}

/// One operation that conflicts with a committed write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextConflict {
    /// Where.
    pub path: String,
    /// Which operation of the patch, from 0.
    pub op_index: u32,
    /// The version that the author had read.
    pub base_version: Option<Seq>,
    /// What the author wants there; absent when it is to go, or when it is larger than 2 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub yours: Option<Value>,
    /// What is there; absent when nothing is, or when it is larger than 2 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub current: Option<Value>,
    /// The seq of the write that it conflicts with.
    pub current_version: Seq,
    /// Who made that write.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The event of that write.
    pub event: EventId,
    /// Why the two conflict.
    pub reason: ConflictReason,
}

/// What a refused writer is told beside the problem's own fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextReport {
    /// The document's version now: the base of `suggestion`.
    pub version: Seq,
    /// What conflicts.
    pub conflicts: Vec<ContextConflict>,
    /// What was applied: nothing.
    pub applied: Vec<ContextChange>,
    /// The same patch made again on `version`: operations without conflict as they were, joined ones where both can be
    /// kept; those that somebody must choose about are left out.
    pub suggestion: Vec<PatchOp>,
}

/// Why an operation was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// It conflicts.
    Conflict,
    /// It conflicts, and people will choose.
    Open,
    /// There is nothing at its path.
    PathNotFound,
    /// The value at its path is of another type.
    TypeClash,
    /// It is so already.
    AlreadySo,
}

/// An operation that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedOp {
    /// Which operation of the patch, from 0.
    pub op_index: u32,
    /// Where.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
}

/// A write that was overwritten although its author may not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Overwrote {
    /// Where.
    pub path: String,
    /// What was there; absent when nothing was, or when it is larger than 2 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub was: Option<Value>,
    /// Who wrote it.
    pub by: Actor,
    /// The seq of that write.
    pub version: Seq,
}

/// Which side a person takes in an open conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// What is there stays.
    Current,
    /// What was wanted is put there.
    Yours,
    /// Another value is put there.
    Value,
}

/// A branch's context as it was at a version that the rules do not keep: looked up in the log by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextThen {
    /// The branch as event headers name it: none is the main one.
    pub branch: Option<BranchId>,
    /// The version.
    pub seq: Seq,
    /// The whole document.
    pub value: Value,
}

/// A conflict that waits for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenConflict {
    /// The conflict: the id of the event that recorded it.
    pub id: EventId,
    /// The branch on whose context it arose; absent: the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// Who wanted the change.
    pub author: Actor,
    /// When.
    pub since: Timestamp,
    /// The operation that was wanted.
    pub wanted: PatchOp,
    /// What it conflicts with, as it was then.
    pub conflict: ContextConflict,
}

/// One write, as lists show it; what exactly it changed is in its event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextWrite {
    /// The version that it made.
    pub version: Seq,
    /// Its event.
    pub event: EventId,
    /// Who wrote.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The version that its author had read; null: written without looking.
    pub base: Option<Seq>,
    /// Which writes it takes back.
    pub reverts: Vec<EventId>,
    /// What it changed, elements of arrays by their ids.
    pub paths: Vec<String>,
}

/// How the contexts of two branches differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextComparison {
    /// The version of the first one.
    pub version_a: Seq,
    /// The version of the second one.
    pub version_b: Seq,
    /// Where they differ; the first 200 places.
    pub differences: Vec<ContextDifference>,
    /// In how many places they differ.
    pub count: usize,
}

/// One place in which two contexts differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextDifference {
    /// Where.
    pub path: String,
    /// What turns the first into the second.
    pub op: ChangeOp,
    /// What the first has there; absent when it has nothing, or more than 2 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub a: Option<Value>,
    /// What the second has there; absent when it has nothing, or more than 2 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub b: Option<Value>,
}
