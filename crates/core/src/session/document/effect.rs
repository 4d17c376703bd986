//! What one operation would do to a document, and what it touches.
//!
//! Owns: the meaning of each operation. Must not know: versions, writers, strategies. Invariant: nothing is changed
//! here; an operation that cannot be done says why.

use roundtable_protocol::context::{ChangeHow, ChangeOp, OpName, PatchOp};
use serde_json::Value;

use super::history::{Class, Touch};
use super::node::Node;
use super::path::{self, Missing, Place, Step};

/// Why an operation cannot be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// Its place or its type is not there. With the address as far as it can be told.
    Missing(Missing, String),
    /// `text`: both sides changed the same piece.
    Overlaps(Place),
    /// The operation itself is wrong.
    Malformed(String),
}

/// One change to make.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub op: ChangeOp,
    pub steps: Vec<Step>,
    pub value: Option<Node>,
    pub how: Option<ChangeHow>,
}

/// What an operation would do.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    pub address: String,
    pub steps: Vec<Step>,
    pub touches: Vec<Touch>,
    pub raws: Vec<Raw>,
    /// Whether it sets a whole value, so that two versions of it can be joined.
    pub sets: bool,
}

/// Returns what an operation would do to `root`. Not for `move`, `copy` and `test`.
pub(super) fn effect(root: &Node, op: &PatchOp) -> Result<Effect, Fault> {
    let place = path::locate(root, &op.path).map_err(|(missing, address)| match missing {
        Missing::Pointer => Fault::Malformed(format!("{} is no JSON Pointer", op.path)),
        _ => Fault::Missing(missing, address),
    })?;
    let there = path::get(root, &place.steps);
    let gone = || Fault::Missing(Missing::Path, place.address.clone());
    let clash = || Fault::Missing(Missing::Type, place.address.clone());
    match op.op {
        OpName::Add => add(root, &place, value(op)?),
        OpName::Replace => match there {
            Some(_) if place.steps.is_empty() && !value(op)?.is_object() => Err(clash()),
            Some(_) => Ok(set(&place, ChangeOp::Replace, value(op)?)),
            None => Err(gone()),
        },
        OpName::Remove if place.steps.is_empty() => Err(clash()),
        OpName::Remove => there.map(|_| remove(&place)).ok_or_else(gone),
        OpName::Inc => match (there, Node::from(value(op)?)) {
            (None, _) => Err(gone()),
            (Some(Node::Number(now)), Node::Number(by)) => {
                let sum = sum(now, &by).ok_or_else(clash)?;
                Ok(commuting(&place, Class::Inc, vec![replace(&place, sum, Some(ChangeHow::Inc))]))
            }
            _ => Err(clash()),
        },
        OpName::Append => match (there, Node::from(value(op)?)) {
            (None, _) => Err(gone()),
            (Some(Node::Text(now)), Node::Text(more)) => {
                let text = Node::Text(format!("{now}{more}").into());
                Ok(commuting(&place, Class::Append, vec![replace(&place, text, Some(ChangeHow::Append))]))
            }
            (Some(Node::Array(now)), _) => {
                let all = extend(&place, now.len(), many(value(op)?), ChangeHow::Append);
                Ok(commuting(&place, Class::Append, all))
            }
            _ => Err(clash()),
        },
        OpName::Union => match there {
            None => Err(gone()),
            Some(Node::Array(now)) => {
                let mut new: Vec<Node> = Vec::new();
                for one in many(value(op)?) {
                    if !now.iter().chain(&new).any(|known| known.same(&one)) {
                        new.push(one);
                    }
                }
                Ok(commuting(&place, Class::Union, extend(&place, now.len(), new, ChangeHow::Union)))
            }
            Some(_) => Err(clash()),
        },
        OpName::RemoveValues => match there {
            None => Err(gone()),
            Some(Node::Array(now)) => {
                let out = many(value(op)?);
                let at = (0..now.len()).rev().filter(|i| out.iter().any(|one| one.same(&now[*i])));
                let raws = at.map(|i| Raw { op: ChangeOp::Remove, steps: inside(&place, i), value: None, how: None });
                Ok(Effect { raws: raws.collect(), ..commuting(&place, Class::Set, vec![]) })
            }
            Some(_) => Err(clash()),
        },
        OpName::Text => match (there, value(op)?, &op.was) {
            (None, ..) => Err(gone()),
            (Some(Node::Text(now)), Value::String(mine), Some(was)) => {
                let text = super::join::texts(was, now, mine).ok_or_else(|| Fault::Overlaps(place.clone()))?;
                Ok(Effect { touches: vec![], ..set_node(&place, ChangeOp::Replace, Node::Text(text.into())) })
            }
            (Some(_), _, None) => Err(Fault::Malformed("text needs was, the text that was read".to_owned())),
            _ => Err(clash()),
        },
        OpName::Move | OpName::Copy | OpName::Test => Err(Fault::Malformed("is no single change".to_owned())),
    }
}

pub(super) fn value(op: &PatchOp) -> Result<&Value, Fault> {
    op.value.as_ref().ok_or_else(|| Fault::Malformed("value is missing".to_owned()))
}

fn many(value: &Value) -> Vec<Node> {
    match value {
        Value::Array(all) => all.iter().map(Node::from).collect(),
        one => vec![Node::from(one)],
    }
}

fn touch(place: &Place, address: String, class: Class) -> Touch {
    Touch { address, class, by_index: place.by_index.clone() }
}

fn inside(place: &Place, i: usize) -> Vec<Step> {
    let mut steps = place.steps.clone();
    steps.push(Step::Index(i));
    steps
}

fn replace(place: &Place, value: Node, how: Option<ChangeHow>) -> Raw {
    Raw { op: ChangeOp::Replace, steps: place.steps.clone(), value: Some(value), how }
}

fn extend(place: &Place, from: usize, new: Vec<Node>, how: ChangeHow) -> Vec<Raw> {
    let one = |(i, node)| Raw { op: ChangeOp::Add, steps: inside(place, from + i), value: Some(node), how: Some(how) };
    new.into_iter().enumerate().map(one).collect()
}

fn commuting(place: &Place, class: Class, raws: Vec<Raw>) -> Effect {
    let touches = vec![touch(place, place.address.clone(), class)];
    Effect { address: place.address.clone(), steps: place.steps.clone(), touches, raws, sets: false }
}

/// Puts a value in a place; the author may know what was there.
fn set(place: &Place, op: ChangeOp, value: &Value) -> Effect {
    set_node(place, op, Node::from(value))
}

fn set_node(place: &Place, op: ChangeOp, value: Node) -> Effect {
    Effect {
        address: place.address.clone(),
        steps: place.steps.clone(),
        touches: vec![touch(place, place.address.clone(), Class::Set)],
        raws: vec![Raw { op, steps: place.steps.clone(), value: Some(value), how: None }],
        sets: true,
    }
}

/// The address of the container that a place is in.
fn above(place: &Place) -> String {
    place.address[..place.address.rfind('/').unwrap_or(0)].to_owned()
}

fn add(root: &Node, place: &Place, value: &Value) -> Result<Effect, Fault> {
    match place.steps.last() {
        None if value.is_object() => Ok(set(place, ChangeOp::Replace, value)),
        None => Err(Fault::Missing(Missing::Type, String::new())),
        Some(Step::Key(_)) => {
            let op = if path::get(root, &place.steps).is_some() { ChangeOp::Replace } else { ChangeOp::Add };
            Ok(set(place, op, value))
        }
        Some(Step::Index(_)) => {
            let (class, how) =
                if place.at_end { (Class::Append, Some(ChangeHow::Append)) } else { (Class::Shape, None) };
            let mut raw = Raw { op: ChangeOp::Add, steps: place.steps.clone(), value: Some(Node::from(value)), how };
            if place.at_end {
                raw.how = Some(ChangeHow::Append);
            }
            Ok(Effect {
                address: place.address.clone(),
                steps: place.steps.clone(),
                touches: vec![touch(place, above(place), class)],
                raws: vec![raw],
                sets: false,
            })
        }
    }
}

fn remove(place: &Place) -> Effect {
    let mut touches = vec![touch(place, place.address.clone(), Class::Set)];
    if matches!(place.steps.last(), Some(Step::Index(_))) {
        touches.push(touch(place, above(place), Class::Shape));
    }
    Effect {
        address: place.address.clone(),
        steps: place.steps.clone(),
        touches,
        raws: vec![Raw { op: ChangeOp::Remove, steps: place.steps.clone(), value: None, how: None }],
        sets: false,
    }
}

/// Adds two numbers; none when the sum cannot be held.
fn sum(a: &serde_json::Number, b: &serde_json::Number) -> Option<Node> {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return a.checked_add(b).map(|sum| Node::Number(sum.into()));
    }
    serde_json::Number::from_f64(a.as_f64()? + b.as_f64()?).map(Node::Number)
}
