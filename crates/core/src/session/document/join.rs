//! Joining two changes of one value, made on the same base.
//!
//! Owns: the three-way rules. Must not know: paths, writers, strategies. Invariant: what one side left as it was is the
//! other side's; where both have changed the same thing, the current value stays and the join is not clean.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node::Node;

/// Joins `mine` and `now`, both made from `base`. Returns the value and whether nothing was lost of either.
pub(super) fn join(base: Option<&Node>, now: Option<&Node>, mine: Option<&Node>) -> (Option<Node>, bool) {
    let same = |a: Option<&Node>, b: Option<&Node>| match (a, b) {
        (Some(a), Some(b)) => a.same(b),
        (a, b) => a.is_none() && b.is_none(),
    };
    if same(now, mine) || same(base, mine) {
        return (now.cloned(), true);
    }
    if same(base, now) {
        return (mine.cloned(), true);
    }
    match (base, now, mine) {
        (base, Some(Node::Object(now)), Some(Node::Object(mine))) => {
            let empty = Arc::default();
            let base = if let Some(Node::Object(base)) = base { base } else { &empty };
            let (joined, clean) = objects(base, now, mine);
            (Some(Node::Object(Arc::new(joined))), clean)
        }
        (base, Some(Node::Array(now)), Some(Node::Array(mine))) => {
            let empty = Arc::default();
            let base = if let Some(Node::Array(base)) = base { base } else { &empty };
            match sets(base, now, mine) {
                Some(joined) => (Some(Node::Array(Arc::new(joined))), true),
                None => (Some(Node::Array(Arc::clone(now))), false),
            }
        }
        (Some(Node::Text(base)), Some(Node::Text(now)), Some(Node::Text(mine))) => match texts(base, now, mine) {
            Some(joined) => (Some(Node::Text(joined.into())), true),
            None => (Some(Node::Text(Arc::clone(now))), false),
        },
        _ => (now.cloned(), false),
    }
}

type Members = BTreeMap<String, Node>;

fn objects(base: &Members, now: &Members, mine: &Members) -> (Members, bool) {
    let mut joined = now.clone();
    let mut clean = true;
    for key in mine.keys().chain(base.keys()) {
        let (member, fine) = join(base.get(key), now.get(key), mine.get(key));
        clean &= fine;
        match member {
            Some(member) => joined.insert(key.clone(), member),
            None => joined.remove(key),
        };
    }
    (joined, clean)
}

/// Joins arrays of scalars as sets; none for others.
fn sets(base: &[Node], now: &[Node], mine: &[Node]) -> Option<Vec<Node>> {
    if [base, now, mine].into_iter().flatten().any(Node::is_container) {
        return None;
    }
    let has = |all: &[Node], one: &Node| all.iter().any(|n| n.same(one));
    let kept = now.iter().filter(|one| !has(base, one) || has(mine, one));
    let mut joined: Vec<Node> = kept.cloned().collect();
    for one in mine {
        if !has(base, one) && !has(&joined, one) {
            joined.push(one.clone());
        }
    }
    Some(joined)
}

/// Joins two versions of a text when what each has changed lies apart in `base`; each side's change is one piece, from
/// the first to the last character that differs.
pub(super) fn texts(base: &str, now: &str, mine: &str) -> Option<String> {
    if base == now || now == mine {
        return Some(mine.to_owned());
    }
    if base == mine {
        return Some(now.to_owned());
    }
    let base: Vec<char> = base.chars().collect();
    let (theirs, ours) = (Piece::of(&base, now), Piece::of(&base, mine));
    let (first, second) = if theirs.from <= ours.from { (theirs, ours) } else { (ours, theirs) };
    // Pieces that touch are in nobody's order.
    (first.to < second.from).then(|| {
        let plain = |range: std::ops::Range<usize>| base[range].iter();
        let text = plain(0..first.from)
            .chain(first.text.iter())
            .chain(plain(first.to..second.from))
            .chain(second.text.iter())
            .chain(plain(second.to..base.len()));
        text.collect()
    })
}

/// What a version has in the place of `base[from..to]`.
struct Piece {
    from: usize,
    to: usize,
    text: Vec<char>,
}

impl Piece {
    fn of(base: &[char], version: &str) -> Self {
        let version: Vec<char> = version.chars().collect();
        let from = base.iter().zip(&version).take_while(|(a, b)| a == b).count();
        let rest = (base.len() - from).min(version.len() - from);
        let tail = base.iter().rev().zip(version.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
        Self { from, to: base.len() - tail, text: version[from..version.len() - tail].to_vec() }
    }
}
