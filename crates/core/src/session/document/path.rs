//! Where something is in a document.
//!
//! Owns: reading pointers, finding their place, the canonical address of a place. Must not know: who writes. Invariant:
//! the canonical address of an array's element that has an `id` is by that id, so that it stays when the array moves.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::node::Node;

/// One step of a place that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Step {
    Index(usize),
    Key(String),
}

/// Why a place could not be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// There is nothing.
    Path,
    /// A step wants another type of value.
    Type,
    /// The text is no pointer.
    Pointer,
}

/// A place that was found: its steps, and its last one may not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub steps: Vec<Step>,
    /// Its canonical address.
    pub address: String,
    /// Lengths of those prefixes of the address, each an array's, after which an element was addressed by its number.
    pub by_index: Vec<usize>,
    /// The last step is `-`: the end of an array.
    pub at_end: bool,
}

/// Splits a pointer into its tokens, `~0` and `~1` resolved.
pub(super) fn tokens(pointer: &str) -> Result<Vec<String>, Missing> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let rest = pointer.strip_prefix('/').ok_or(Missing::Pointer)?;
    rest.split('/').map(unescape).collect()
}

fn unescape(token: &str) -> Result<String, Missing> {
    if !token.contains('~') {
        return Ok(token.to_owned());
    }
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        out.push(match (c, c == '~') {
            (_, true) => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(Missing::Pointer),
            },
            (c, false) => c,
        });
    }
    Ok(out)
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '~' => out.push_str("~0"),
            '/' => out.push_str("~1"),
            c => out.push(c),
        }
    }
}

/// Adds the member `key` to an address or pointer.
pub(super) fn push_key(out: &mut String, key: &str) {
    out.push('/');
    if key.starts_with('@') {
        out.push('@');
    }
    push_escaped(out, key);
}

/// Adds the element `i` to an address: by its id when it has one.
pub(super) fn push_element(out: &mut String, i: usize, element: Option<&Node>) {
    out.push('/');
    match element.and_then(Node::id) {
        Some(id) => {
            out.push('@');
            push_escaped(out, &id);
        }
        None => out.push_str(&i.to_string()),
    }
}

/// Returns the steps as a pointer, elements by number.
pub(super) fn pointer(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Key(key) => push_key(&mut out, key),
            Step::Index(i) => push_element(&mut out, *i, None),
        }
    }
    out
}

/// Returns the canonical address of steps in `root`.
pub(super) fn address(root: &Node, steps: &[Step]) -> String {
    let mut out = String::new();
    let mut here = Some(root);
    for step in steps {
        here = match step {
            Step::Key(key) => {
                push_key(&mut out, key);
                here.and_then(|n| if let Node::Object(all) = n { all.get(key) } else { None })
            }
            Step::Index(i) => {
                let element = here.and_then(|n| if let Node::Array(all) = n { all.get(*i) } else { None });
                push_element(&mut out, *i, element);
                element
            }
        };
    }
    out
}

/// Returns by which pointer a place is found again later: elements by their ids where that finds this very element, else
/// by number. When the last step is gone, it is by number.
pub(super) fn lasting(root: &Node, steps: &[Step], gone: bool) -> String {
    let mut out = String::new();
    let mut here = Some(root);
    for (n, step) in steps.iter().enumerate() {
        here = match (step, here) {
            (Step::Key(key), node) => {
                push_key(&mut out, key);
                node.and_then(|n| if let Node::Object(all) = n { all.get(key) } else { None })
            }
            (Step::Index(i), Some(Node::Array(all))) => {
                let element = all.get(*i).filter(|_| !(gone && n + 1 == steps.len()));
                let id = element.and_then(Node::id);
                let first = id.is_some() && all.iter().position(|other| other.id() == id) == Some(*i);
                push_element(&mut out, *i, element.filter(|_| first));
                element
            }
            (Step::Index(i), _) => {
                push_element(&mut out, *i, None);
                None
            }
        };
    }
    out
}

fn key_of(token: &str) -> Result<&str, Missing> {
    match token.strip_prefix('@') {
        None => Ok(token),
        Some(rest) if rest.starts_with('@') => Ok(rest),
        // Only arrays have elements to address.
        Some(_) => Err(Missing::Type),
    }
}

fn index_of(token: &str, all: &[Node]) -> Result<(usize, bool), Missing> {
    if let Some(id) = token.strip_prefix('@') {
        let at = all.iter().position(|n| n.id().is_some_and(|known| known == id)).ok_or(Missing::Path)?;
        return Ok((at, false));
    }
    let plain =
        token == "0" || !token.starts_with('0') && !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit());
    if !plain {
        return Err(Missing::Type);
    }
    token.parse().map(|i| (i, true)).map_err(|_| Missing::Path)
}

/// Finds the place of `pointer`. All but its last step exist; the last one may not. On failure also the address as far
/// as it goes, with the rest of the tokens as they are.
pub(super) fn locate(root: &Node, pointer: &str) -> Result<Place, (Missing, String)> {
    let tokens = tokens(pointer).map_err(|missing| (missing, String::new()))?;
    let mut place = Place { steps: Vec::new(), address: String::new(), by_index: Vec::new(), at_end: false };
    let mut here = Some(root);
    for (n, token) in tokens.iter().enumerate() {
        let last = n + 1 == tokens.len();
        let missing = |what, place: &Place| {
            let mut address = place.address.clone();
            for token in &tokens[n..] {
                address.push('/');
                push_escaped(&mut address, token);
            }
            (what, address)
        };
        here = match here {
            None => return Err(missing(Missing::Path, &place)),
            Some(Node::Object(all)) => {
                let key = key_of(token).map_err(|what| missing(what, &place))?;
                push_key(&mut place.address, key);
                place.steps.push(Step::Key(key.to_owned()));
                all.get(key)
            }
            Some(Node::Array(all)) if last && token == "-" => {
                place.at_end = true;
                place.address.push_str("/-");
                place.steps.push(Step::Index(all.len()));
                None
            }
            Some(Node::Array(all)) => {
                let (i, by_number) = index_of(token, all).map_err(|what| missing(what, &place))?;
                if i > all.len() {
                    return Err(missing(Missing::Path, &place));
                }
                if by_number {
                    place.by_index.push(place.address.len());
                }
                push_element(&mut place.address, i, all.get(i));
                place.steps.push(Step::Index(i));
                all.get(i)
            }
            Some(_) => return Err(missing(Missing::Type, &place)),
        };
    }
    Ok(place)
}

/// Returns what is at a place.
pub(super) fn get<'a>(root: &'a Node, steps: &[Step]) -> Option<&'a Node> {
    steps.iter().try_fold(root, |here, step| match (here, step) {
        (Node::Object(all), Step::Key(key)) => all.get(key),
        (Node::Array(all), Step::Index(i)) => all.get(*i),
        _ => None,
    })
}

fn container<'a>(root: &'a mut Node, steps: &[Step]) -> Option<&'a mut Node> {
    steps.iter().try_fold(root, |here, step| match (here, step) {
        (Node::Object(all), Step::Key(key)) => Arc::make_mut(all).get_mut(key),
        (Node::Array(all), Step::Index(i)) => Arc::make_mut(all).get_mut(*i),
        _ => None,
    })
}

/// Sets a member, replaces an element or the root. Returns what was there.
pub(super) fn set(root: &mut Node, steps: &[Step], value: Node) -> Option<Node> {
    let Some((last, above)) = steps.split_last() else { return Some(std::mem::replace(root, value)) };
    match (container(root, above)?, last) {
        (Node::Object(all), Step::Key(key)) => Arc::make_mut(all).insert(key.clone(), value),
        (Node::Array(all), Step::Index(i)) => {
            Arc::make_mut(all).get_mut(*i).map(|there| std::mem::replace(there, value))
        }
        _ => None,
    }
}

/// Inserts an element in front of the one that is there, or sets a member.
pub(super) fn insert(root: &mut Node, steps: &[Step], value: Node) {
    let Some((last, above)) = steps.split_last() else { return };
    match (container(root, above), last) {
        (Some(Node::Object(all)), Step::Key(key)) => {
            Arc::make_mut(all).insert(key.clone(), value);
        }
        (Some(Node::Array(all)), Step::Index(i)) if *i <= all.len() => Arc::make_mut(all).insert(*i, value),
        _ => {}
    }
}

/// Takes away what is there and returns it.
pub(super) fn remove(root: &mut Node, steps: &[Step]) -> Option<Node> {
    let (last, above) = steps.split_last()?;
    match (container(root, above)?, last) {
        (Node::Object(all), Step::Key(key)) => Arc::make_mut(all).remove(key),
        (Node::Array(all), Step::Index(i)) if *i < all.len() => Some(Arc::make_mut(all).remove(*i)),
        _ => None,
    }
}

/// Reads the pointer of a recorded change, whose elements are by number.
pub(super) fn recorded(root: &Node, pointer: &str) -> Option<Vec<Step>> {
    locate(root, pointer).ok().map(|place| place.steps)
}
