//! The shared context of every branch against an oracle that keeps every version and every write, and looks at all of them.

use proptest::prelude::*;
use roundtable_core::{Caller, Context, Decision, Founding, Rejection, Session};
use roundtable_protocol::branching::{MergeHow, RestoreHow};
use roundtable_protocol::command::{
    BranchCreate, BranchMerge, CheckpointCreate, CheckpointRestore, Command, ContextPatch, ContextRevert, Envelope,
};
use roundtable_protocol::context::{ChangeHow, ChangeOp, ContextChange, OpName, PatchOp, Strategy as Conflicts};
use roundtable_protocol::event::EventBody;
use roundtable_protocol::grant::{Grant, Permission as P};
use roundtable_protocol::ids::{
    BranchId, DEFAULT_PROJECT, Epoch, EventId, Seq, SessionId, Stream, StreamSet, Timestamp, UserId, uuid_v7,
};
use roundtable_protocol::model::{SessionKind, Settings, Visibility};
use roundtable_protocol::problem::Code;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    Set,
    Shape,
    Inc,
    Union,
    Append,
}

/// What a write touched: an address by ids, and after which of its steps an element was meant by number.
#[derive(Clone, Debug)]
struct Touch {
    at: Vec<String>,
    class: Class,
    by_number: Vec<usize>,
}

/// Everything that ever was on a branch.
#[derive(Clone)]
struct Oracle {
    versions: Vec<(u64, Value)>,
    writes: Vec<(u64, EventId, Vec<Touch>)>,
}

impl Oracle {
    fn now(&self) -> &Value {
        &self.versions.last().expect("the first version").1
    }

    fn at(&self, version: u64) -> &Value {
        &self.versions.iter().rev().find(|(v, _)| *v <= version).expect("the first version").1
    }

    fn conflicts(&self, mine: &Touch, base: u64) -> bool {
        let since = self.writes.iter().filter(|(seq, ..)| *seq > base).flat_map(|(_, _, touches)| touches);
        since.into_iter().any(|theirs| overlap(theirs, mine))
    }

    fn below(&self, at: &[String], base: u64) -> bool {
        let since = self.writes.iter().filter(|(seq, ..)| *seq > base).flat_map(|(_, _, touches)| touches);
        since.into_iter().any(|theirs| theirs.at.len() > at.len() && theirs.at.starts_with(at))
    }

    /// Folds what was recorded.
    fn record(&mut self, seq: u64, event: EventId, ops: &[ContextChange]) {
        let mut document = self.now().clone();
        let mut touches = Vec::new();
        for op in ops {
            touches.extend(written(&document, op));
            perform(&mut document, op);
        }
        self.versions.push((seq, document));
        self.writes.push((seq, event, touches));
    }
}

fn overlap(theirs: &Touch, mine: &Touch) -> bool {
    use Class::{Append, Inc, Set, Shape, Union};
    let moves = matches!(theirs.class, Shape | Union | Append) && mine.by_number.contains(&theirs.at.len());
    if theirs.at == mine.at {
        let beside = matches!(
            (mine.class, theirs.class),
            (Inc, Inc) | (Union, Union | Shape) | (Append, Append | Shape) | (Shape, Shape | Union | Append)
        );
        return moves || !beside;
    }
    if mine.at.starts_with(&theirs.at) {
        return moves || matches!(theirs.class, Set | Inc);
    }
    theirs.at.starts_with(&mine.at) && mine.class == Set
}

fn tokens(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(|t| t.replace("~1", "/").replace("~0", "~")).collect()
}

fn id(value: &Value) -> Option<String> {
    match value.get("id")? {
        Value::String(id) => Some(format!("@{id}")),
        Value::Number(id) => Some(format!("@{id}")),
        _ => None,
    }
}

fn name(array: &[Value], i: usize) -> String {
    array.get(i).and_then(id).unwrap_or_else(|| i.to_string())
}

/// A pointer read on a document: its address, the plain RFC 6901 pointer, and where it counts by number.
struct Read {
    at: Vec<String>,
    plain: String,
    by_number: Vec<usize>,
}

fn read(document: &Value, path: &str) -> Option<Read> {
    let mut out = Read { at: vec![], plain: String::new(), by_number: vec![] };
    let mut here = Some(document);
    for token in tokens(path) {
        match here? {
            Value::Object(all) => {
                out.at.push(token.clone());
                out.plain += &format!("/{token}");
                here = all.get(&token);
            }
            Value::Array(all) if token == "-" => {
                out.at.push("-".to_owned());
                out.plain += &format!("/{}", all.len());
                here = None;
            }
            Value::Array(all) => {
                let i = match token.strip_prefix('@') {
                    Some(_) => all.iter().position(|v| id(v).as_ref() == Some(&token))?,
                    None => {
                        out.by_number.push(out.at.len());
                        token.parse().ok()?
                    }
                };
                if i > all.len() {
                    return None;
                }
                out.at.push(name(all, i));
                out.plain += &format!("/{i}");
                here = all.get(i);
            }
            _ => return None,
        }
    }
    Some(out)
}

fn is_element(document: &Value, plain: &str) -> bool {
    let above = &plain[..plain.rfind('/').unwrap_or(0)];
    !plain.is_empty() && document.pointer(above).is_some_and(Value::is_array)
}

/// What a recorded change touched.
fn written(document: &Value, change: &ContextChange) -> Vec<Touch> {
    let touch = |at: &[String], class| Touch { at: at.to_vec(), class, by_number: vec![] };
    let at = read(document, &change.path).expect("what is recorded can be read").at;
    let above = &at[..at.len().saturating_sub(1)];
    let named = |value: &Value| -> Option<Touch> {
        let mut at = above.to_vec();
        at.push(id(value)?);
        Some(touch(&at, Class::Set))
    };
    match (change.how, change.op, is_element(document, &change.path)) {
        (Some(ChangeHow::Inc), ..) => vec![touch(&at, Class::Inc)],
        (Some(ChangeHow::Append), _, true) => vec![touch(above, Class::Append)],
        (Some(ChangeHow::Append), ..) => vec![touch(&at, Class::Append)],
        (Some(ChangeHow::Union), ..) => vec![touch(above, Class::Union)],
        (None, ChangeOp::Add, true) => {
            let new = change.value.as_ref().and_then(named);
            std::iter::once(touch(above, Class::Shape)).chain(new).collect()
        }
        (None, ChangeOp::Remove, true) => {
            let old = change.was.as_ref().and_then(named);
            std::iter::once(touch(above, Class::Shape)).chain(old).collect()
        }
        (None, ChangeOp::Replace, true) => {
            let new = change.value.as_ref().and_then(named);
            std::iter::once(touch(&at, Class::Set)).chain(new).collect()
        }
        _ => {
            let mut all = vec![touch(&at, Class::Set)];
            let element = &change.path[..change.path.rfind('/').unwrap_or(0)];
            if at.last().is_some_and(|key| key == "id")
                && is_element(document, element)
                && let Some(new) = id(&json!({ "id": change.value }))
            {
                let mut at = above[..above.len() - 1].to_vec();
                at.push(new);
                all.push(touch(&at, Class::Set));
            }
            all
        }
    }
}

fn perform(document: &mut Value, change: &ContextChange) {
    let (above, last) = change.path.rsplit_once('/').unwrap_or(("", ""));
    if change.path.is_empty() {
        *document = change.value.clone().expect("a root stays");
        return;
    }
    let value = change.value.clone();
    match (document.pointer_mut(above).expect("what is recorded can be done"), change.op) {
        (Value::Object(all), ChangeOp::Remove) => {
            all.remove(last);
        }
        (Value::Object(all), _) => {
            all.insert(last.to_owned(), value.expect("a value"));
        }
        (Value::Array(all), op) => {
            let i: usize = last.parse().expect("a number");
            match op {
                ChangeOp::Add => all.insert(i, value.expect("a value")),
                ChangeOp::Replace => all[i] = value.expect("a value"),
                ChangeOp::Remove => {
                    all.remove(i);
                }
            }
        }
        _ => panic!("nothing is in a scalar"),
    }
}

/// What the oracle expects of one patch.
#[derive(Debug, PartialEq)]
enum Expected {
    Document(Value),
    Conflict,
    Refused,
}

/// Decides a patch the slow way: `reject`, all or nothing.
fn expected(oracle: &Oracle, base: u64, ops: &[PatchOp]) -> Expected {
    let mut document = oracle.now().clone();
    let mut moved: Vec<Vec<String>> = Vec::new();
    let mut conflict = false;
    for op in ops {
        let gone = |oracle: &Oracle, document: &Value| {
            // Somebody's write since may be why nothing is there.
            let at = tokens(&op.path);
            let read = (0..=at.len()).rev().find_map(|n| {
                let prefix = at[..n].iter().map(|t| format!("/{t}")).collect::<String>();
                read(document, &prefix).map(|r| (r.at, n))
            });
            let (mut address, n) = read.expect("the root can be read");
            address.extend_from_slice(&at[n..]);
            let since = oracle.writes.iter().filter(|(seq, ..)| *seq > base).flat_map(|(_, _, touches)| touches);
            since.into_iter().any(|t| address.starts_with(&t.at))
        };
        let Some(read) = read(&document, &op.path) else {
            if op.op == OpName::Remove && gone(oracle, &document) && !clashes(&document, &op.path) {
                continue;
            }
            if gone(oracle, &document) {
                conflict = true;
                continue;
            }
            if conflict {
                continue;
            }
            return Expected::Refused;
        };
        let there = document.pointer(&read.plain).cloned();
        let element = is_element(&document, &read.plain);
        let touch = |at: &[String], class| Touch { at: at.to_vec(), class, by_number: read.by_number.clone() };
        let above = &read.at[..read.at.len().saturating_sub(1)];
        let value = op.value.clone().unwrap_or(Value::Null);
        let change = |op, path: &str, value, how| ContextChange { op, path: path.to_owned(), value, was: None, how };
        let mut missing = false;
        let (touches, changes): (Vec<Touch>, Vec<ContextChange>) = match (op.op, &there, element) {
            (OpName::Add, _, true) => {
                let class = if op.path.ends_with("/-") { Class::Append } else { Class::Shape };
                (vec![touch(above, class)], vec![change(ChangeOp::Add, &read.plain, Some(value.clone()), None)])
            }
            (OpName::Add, _, false) | (OpName::Replace, Some(_), _) if !read.at.is_empty() => {
                let op = if there.is_some() { ChangeOp::Replace } else { ChangeOp::Add };
                (vec![touch(&read.at, Class::Set)], vec![change(op, &read.plain, Some(value.clone()), None)])
            }
            (OpName::Remove, Some(_), _) if !read.at.is_empty() => {
                let mut touches = vec![touch(&read.at, Class::Set)];
                if element {
                    touches.push(touch(above, Class::Shape));
                }
                (touches, vec![change(ChangeOp::Remove, &read.plain, None, None)])
            }
            (OpName::Inc, Some(Value::Number(n)), _) => {
                let sum = json!(n.as_i64().expect("small") + value.as_i64().expect("a number"));
                (vec![touch(&read.at, Class::Inc)], vec![change(ChangeOp::Replace, &read.plain, Some(sum), None)])
            }
            (OpName::Append, Some(Value::Array(all)), _) => {
                let at = format!("{}/{}", read.plain, all.len());
                (vec![touch(&read.at, Class::Append)], vec![change(ChangeOp::Add, &at, Some(value.clone()), None)])
            }
            (OpName::Append, Some(Value::String(now)), _) if value.is_string() => {
                let text = json!(format!("{now}{}", value.as_str().expect("text")));
                (vec![touch(&read.at, Class::Append)], vec![change(ChangeOp::Replace, &read.plain, Some(text), None)])
            }
            (OpName::Union, Some(Value::Array(all)), _) => {
                let at = format!("{}/{}", read.plain, all.len());
                let new = change(ChangeOp::Add, &at, Some(value.clone()), None);
                (vec![touch(&read.at, Class::Union)], if all.contains(&value) { vec![] } else { vec![new] })
            }
            (_, None, _) => {
                missing = true;
                (vec![], vec![])
            }
            _ => {
                missing = true;
                (vec![], vec![])
            }
        };
        if missing {
            if gone(oracle, &document) {
                conflict |= !(op.op == OpName::Remove && there.is_none());
                continue;
            }
            if conflict {
                continue;
            }
            return Expected::Refused;
        }
        let so_already = matches!(op.op, OpName::Add | OpName::Replace)
            && !(op.op == OpName::Add && element)
            && there.as_ref() == Some(&value);
        let unclear = moved.iter().any(|array| {
            read.by_number.contains(&array.len())
                && touches.iter().any(|t| t.at.starts_with(array))
                && oracle.below(array, base)
        });
        // An index whose array has moved is unclear even when what is there now is what is wanted.
        let by_move = touches.iter().any(|mine| {
            let since = oracle.writes.iter().filter(|(seq, ..)| *seq > base).flat_map(|(_, _, touches)| touches);
            since.into_iter().any(|theirs| overlap(theirs, mine))
        });
        let hit = by_move || unclear || touches.iter().any(|mine| oracle.conflicts(mine, base));
        if hit && !so_already {
            conflict = true;
            continue;
        }
        if hit && so_already && newest_is_move(oracle, &touches, base, &moved, &read) {
            conflict = true;
            continue;
        }
        for change in &changes {
            if matches!(change.op, ChangeOp::Add | ChangeOp::Remove) && is_element(&document, &change.path) {
                let above = &change.path[..change.path.rfind('/').expect("an element")];
                moved.push(self::read(&document, above).expect("an array").at);
            }
            perform(&mut document, change);
        }
    }
    if conflict { Expected::Conflict } else { Expected::Document(document) }
}

/// Whether the path fails because a value is of another type, not because nothing is there.
fn clashes(document: &Value, path: &str) -> bool {
    let mut here = Some(document);
    for token in tokens(path) {
        match here {
            None => return false,
            Some(Value::Object(_)) if token.starts_with('@') => return true,
            Some(Value::Object(all)) => here = all.get(&token),
            Some(Value::Array(all)) if token.starts_with('@') => {
                here = all.iter().find(|v| id(v).as_ref() == Some(&token));
            }
            Some(Value::Array(all)) => match token.parse::<usize>() {
                Ok(i) => here = all.get(i),
                Err(_) => return true,
            },
            Some(_) => return true,
        }
    }
    false
}

/// Whether the newest write that conflicts moved the array that is counted in.
fn newest_is_move(oracle: &Oracle, touches: &[Touch], base: u64, moved: &[Vec<String>], mine: &Read) -> bool {
    let mut newest = (0, false);
    for (seq, _, theirs) in oracle.writes.iter().filter(|(seq, ..)| *seq > base) {
        for theirs in theirs {
            for touch in touches.iter().filter(|mine| overlap(theirs, mine)) {
                let moves = matches!(theirs.class, Class::Shape | Class::Union | Class::Append)
                    && touch.by_number.contains(&theirs.at.len());
                if *seq > newest.0 {
                    newest = (*seq, moves);
                } else if *seq == newest.0 {
                    newest.1 |= moves;
                }
            }
            for array in
                moved.iter().filter(|array| mine.by_number.contains(&array.len()) && mine.at.starts_with(array))
            {
                if theirs.at.len() > array.len() && theirs.at.starts_with(array) && *seq >= newest.0 {
                    newest = (*seq, true);
                }
            }
        }
    }
    newest.1
}

struct Room {
    session: Session,
    /// The main branch's.
    oracle: Oracle,
    others: Vec<(BranchId, Oracle)>,
    keys: u64,
}

fn owner() -> UserId {
    UserId(Uuid::from_u128(7))
}

impl Room {
    fn new() -> Self {
        let founding = Founding {
            session: SessionId(Uuid::from_u128(78)),
            epoch: Epoch("epoch".to_owned()),
            project: DEFAULT_PROJECT,
            owner: owner(),
            owner_name: "ana".to_owned(),
            owner_colour: None,
            title: "t".to_owned(),
            kind: SessionKind::Collaborative,
            visibility: Visibility::Private,
            settings: Settings::default(),
            description: String::new(),
            tags: vec![],
            category: None,
            expires_at: None,
            start: true,
            assistant: None,
        };
        let grant = Grant::nothing(0, 0);
        let cx = Context { now: now(), caller: Caller::System, grant: &grant, present: &[], uploads: &[] };
        let mut session = Session::empty(founding.session);
        let decision = Session::create(&cx, uuid_v7(now(), [9; 10]), &founding).expect("a session");
        decision.events.iter().for_each(|event| session.apply(event));
        let oracle = Oracle { versions: vec![(0, json!({}))], writes: vec![] };
        let mut room = Self { session, oracle, others: vec![], keys: 0 };
        let seed = json!({"a": {"x": 1, "y": "two"}, "n": 1, "list": ["p", "q", "r"],
            "steps": [{"id": "one", "s": 0}, {"id": "two", "s": 0}, {"s": 9}]});
        let seed = ContextPatch { merge: Some(seed), ..ContextPatch::default() };
        room.give(Command::ContextPatch(seed)).expect("the seed");
        room
    }

    fn decide(&mut self, command: Command) -> Result<Decision, Rejection> {
        self.keys += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.keys.to_be_bytes());
        let mask = [P::SessionView, P::ContextWrite, P::BranchWrite, P::BranchManage].into_iter().collect();
        let streams = StreamSet::EMPTY.with(Stream::Main);
        let grant = Grant { mask, streams, ..Grant::nothing(self.session.roles_rev(), 0) };
        let cx = Context { now: now(), caller: Caller::User(owner()), grant: &grant, present: &[], uploads: &[] };
        let key = uuid_v7(now(), random);
        let envelope = Envelope { key, stream: Stream::Main, seen: None, retry: false, command };
        self.session.decide(&cx, &envelope)
    }

    /// Gives a command; folds what happens into the session and the oracle.
    fn give(&mut self, command: Command) -> Result<Decision, Rejection> {
        let decision = self.decide(command)?;
        for event in &decision.events {
            self.session.apply(event);
            match &event.body {
                EventBody::ContextPatched(data) if !data.ops.is_empty() => {
                    self.of_mut(event.header.branch).record(event.seq.0, event.header.id, &data.ops);
                }
                EventBody::BranchCreated(data) => {
                    let from = (data.from_branch != self.session.branches()[0].id).then_some(data.from_branch);
                    let mut fork = self.of(from).clone();
                    fork.versions.retain(|(seq, _)| *seq <= data.fork_seq.0);
                    fork.writes.retain(|(seq, ..)| *seq <= data.fork_seq.0);
                    self.others.push((data.branch, fork));
                }
                _ => {}
            }
        }
        for (branch, oracle) in
            std::iter::once((None, &self.oracle)).chain(self.others.iter().map(|(b, o)| (Some(*b), o)))
        {
            assert_eq!(&self.session.context_value(branch, "").expect("the root"), oracle.now(), "{branch:?}");
            assert_eq!(self.session.context_version(branch).0, oracle.versions.last().expect("the first").0);
        }
        Ok(decision)
    }

    fn of(&self, branch: Option<BranchId>) -> &Oracle {
        let other = branch.and_then(|id| self.others.iter().find(|(b, _)| *b == id));
        other.map_or(&self.oracle, |(_, oracle)| oracle)
    }

    fn of_mut(&mut self, branch: Option<BranchId>) -> &mut Oracle {
        let other = branch.and_then(|id| self.others.iter_mut().find(|(b, _)| *b == id));
        other.map_or(&mut self.oracle, |(_, oracle)| oracle)
    }

    /// Returns a branch by any number; none is the main one.
    fn branch(&self, n: u8) -> Option<BranchId> {
        usize::from(n).checked_rem(self.others.len() + 1)?.checked_sub(1).map(|i| self.others[i].0)
    }

    fn base(&self, branch: Option<BranchId>, back: usize) -> u64 {
        let versions = &self.of(branch).versions;
        versions[versions.len().saturating_sub(back + 1).max(1).min(versions.len() - 1)].0
    }

    /// Begins a branch, adopts one, or makes or goes back to a checkpoint.
    fn meet(&mut self, kind: u8, a: u8, b: u8, at: u64) -> Result<Decision, Rejection> {
        let main = self.session.branches()[0].id;
        let (into, from) = (self.branch(a).unwrap_or(main), self.branch(b).unwrap_or(main));
        let seq = Some(Seq(at.min(self.session.heads()[0].0)));
        let point = self.session.checkpoints().nth(usize::from(a) % 3).map(|c| c.checkpoint.id);
        let command = match (kind % 4, point) {
            // A few branches are enough: every one is compared after every write.
            (0, _) if self.others.len() < 3 => {
                Command::BranchCreate(BranchCreate { from_branch: Some(from), seq, ..BranchCreate::default() })
            }
            (1, _) => Command::BranchMerge(BranchMerge {
                into,
                from,
                how: MergeHow::Adopt,
                if_head: None,
                messages: vec![],
                text: None,
                question: None,
                said: vec![],
            }),
            (2, Some(checkpoint)) => {
                let how = if b.is_multiple_of(2) || self.others.len() >= 3 {
                    RestoreHow::InPlace
                } else {
                    RestoreHow::Branch
                };
                Command::CheckpointRestore(CheckpointRestore {
                    checkpoint,
                    how,
                    branch: None,
                    name: None,
                    then: vec![],
                })
            }
            _ => Command::CheckpointCreate(CheckpointCreate { name: "here".to_owned() }),
        };
        self.give(command)
    }
}

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().expect("a time")
}

#[derive(Clone, Debug)]
struct Try {
    back: usize,
    ops: Vec<PatchOp>,
    revert: u8,
    branch: u8,
    /// What happens to branches before it, with which ones, and at which seq.
    meet: Option<(u8, u8, u8, u64)>,
}

fn one() -> impl Strategy<Value = PatchOp> {
    let set = (
        prop_oneof![Just(OpName::Add), Just(OpName::Replace), Just(OpName::Remove)],
        prop::sample::select(vec![
            "/a",
            "/a/x",
            "/a/y",
            "/a/z",
            "/a/x/deep",
            "/n",
            "/b",
            "/list",
            "/list/0",
            "/list/1",
            "/list/2",
            "/list/-",
            "/steps/0",
            "/steps/1/s",
            "/steps/2",
            "/steps/2/s",
            "/steps/@one",
            "/steps/@one/s",
            "/steps/@two/s",
            "/steps/@two/id",
            "/steps/0/id",
            "/steps/@three/s",
        ]),
        prop_oneof![
            4 => (0..4i64).prop_map(|n| json!(n)),
            1 => prop::sample::select(vec!["one", "two", "three", "four"]).prop_map(|t| json!(t)),
            1 => prop::sample::select(vec!["one", "three"]).prop_map(|t| json!({"id": t, "s": 5})),
            1 => Just(json!({"x": 7})),
            1 => Just(json!(["p"])),
        ],
    );
    let set = set.prop_map(|(op, path, value)| PatchOp::new(op, path, (op != OpName::Remove).then_some(value)));
    let inc = (prop::sample::select(vec!["/n", "/a/x", "/steps/@one/s", "/a/y"]), 1..4i64);
    let inc = inc.prop_map(|(path, by)| PatchOp::new(OpName::Inc, path, Some(json!(by))));
    let many = (
        prop_oneof![Just(OpName::Append), Just(OpName::Union)],
        prop::sample::select(vec!["/list", "/steps", "/n"]),
        prop::sample::select(vec![json!("p"), json!("s"), json!({"id": "four", "s": 1})]),
    );
    let many = many.prop_map(|(op, path, value)| PatchOp::new(op, path, Some(value)));
    prop_oneof![6 => set, 2 => inc, 2 => many]
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let back = prop_oneof![3 => 0..2usize, 2 => 0..8usize];
    let meet = prop::option::weighted(0.15, (any::<u8>(), any::<u8>(), any::<u8>(), 0..40u64));
    let one = (back, prop::collection::vec(one(), 1..4), any::<u8>(), any::<u8>(), meet);
    let one = one.prop_map(|(back, ops, revert, branch, meet)| Try { back, ops, revert, branch, meet });
    prop::collection::vec(one, 1..24)
}

fn config() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").map(|_| ProptestConfig::default().cases);
    ProptestConfig { cases: asked.unwrap_or(3_000), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Detection, documents, old versions and reverts are those of somebody who keeps everything.
    #[test]
    fn the_context_law_is_that_of_an_oracle_with_the_whole_history(tries in tries()) {
        let mut room = Room::new();
        for one in &tries {
            if let Some((kind, a, b, at)) = one.meet {
                let then = room.session.heads()[0];
                match room.meet(kind, a, b, at) {
                    Ok(_) => {}
                    Err(no) => {
                        let known = matches!(no.code, Code::NothingToMerge | Code::AlreadyRecorded | Code::BaseTooOld);
                        prop_assert!(known, "{}", no);
                        prop_assert_eq!(then, room.session.heads()[0]);
                    }
                }
            }
            let branch = room.branch(one.branch);
            let base = room.base(branch, one.back);
            let wanted = expected(room.of(branch), base, &one.ops);
            let patch = ContextPatch { branch, base: Some(Seq(base)), ops: one.ops.clone(), ..ContextPatch::default() };
            let before = room.of(branch).now().clone();
            match room.give(Command::ContextPatch(patch)) {
                Ok(decision) => match decision.refused {
                    Some(problem) => {
                        prop_assert_eq!(&wanted, &Expected::Conflict, "{:?} on {}", one, &before);
                        prop_assert_eq!(&before, room.of(branch).now(), "nothing of it applies");
                        prop_assert!(decision.events.iter().all(|e| e.stream == Stream::Staff));
                        let report = problem.context.expect("what conflicts");
                        prop_assert!(!report.conflicts.is_empty());
                        prop_assert!(report.conflicts.iter().all(|c| c.current_version.0 > base));
                        let again = ContextPatch { branch, base: Some(report.version), ops: report.suggestion, ..Default::default() };
                        if !again.ops.is_empty() && let Ok(decision) = room.decide(Command::ContextPatch(again)) {
                            prop_assert!(decision.refused.is_none(), "the suggestion rests on the current version");
                        }
                    }
                    None => prop_assert_eq!(wanted, Expected::Document(room.of(branch).now().clone()), "{:?} on {}", one, &before),
                },
                Err(no) => {
                    prop_assert_eq!(wanted, Expected::Refused, "{} for {:?} on {}", no, one, &before);
                    prop_assert!(matches!(no.code, Code::PathNotFound | Code::TypeClash), "{}", no);
                }
            }
            let version = room.base(branch, usize::from(one.revert) % 12);
            prop_assert_eq!(&room.session.context_value_at(branch, "", Seq(version)).expect("kept"), room.of(branch).at(version), "an old version");
            if one.revert.is_multiple_of(5) {
                let back = ContextRevert { branch, to_version: Some(Seq(version)), ..ContextRevert::default() };
                if room.give(Command::ContextRevert(back)).is_ok() {
                    prop_assert_eq!(room.of(branch).now(), &room.of(branch).at(version).clone(), "back at a version");
                }
            } else if one.revert.is_multiple_of(3) && !room.of(branch).writes.is_empty() {
                let writes = &room.of(branch).writes;
                let (seq, event, _) = writes[writes.len() - 1 - usize::from(one.revert / 3) % writes.len().min(4)].clone();
                let last = seq == writes.last().expect("a write").0;
                let back = ContextRevert { branch, event: Some(event), ..ContextRevert::default() };
                let taken = room.give(Command::ContextRevert(back));
                if last && taken.is_ok_and(|d| d.refused.is_none()) {
                    prop_assert_eq!(room.of(branch).now(), room.of(branch).at(seq - 1), "the last write is taken back whole");
                }
            }
            let stored = room.session.to_snapshot();
            let read = Session::from_snapshot(Session::SNAPSHOT_FORMAT, &stored);
            prop_assert_eq!(read.as_ref(), Some(&room.session), "a snapshot is the state");
        }
    }

    /// Two people who join their changes lose nothing: what one of them left as it was is the other's.
    #[test]
    fn joined_objects_hold_what_each_side_changed(
        mine in prop::collection::btree_map("[a-e]", 0..3i64, 0..5),
        theirs in prop::collection::btree_map("[a-e]", 0..3i64, 0..5),
    ) {
        let mut room = Room::new();
        let give = |room: &mut Room, base, value: &std::collections::BTreeMap<String, i64>, strategy| {
            let ops = vec![PatchOp::new(OpName::Add, "/o", Some(json!(value)))];
            room.give(Command::ContextPatch(ContextPatch { base, ops, strategy, ..Default::default() })).expect("decided")
        };
        let start: std::collections::BTreeMap<String, i64> = [("a".to_owned(), 0), ("b".to_owned(), 0)].into();
        give(&mut room, None, &start, None);
        let base = Some(room.session.context_version(None));
        give(&mut room, base, &theirs, None);
        let decision = give(&mut room, base, &mine, Some(Conflicts::Merge));
        let both = start.keys().chain(mine.keys()).chain(theirs.keys());
        let clean = both.clone().all(|k| {
            mine.get(k) == theirs.get(k) || start.get(k) == theirs.get(k) || start.get(k) == mine.get(k)
        });
        prop_assert_eq!(decision.refused.is_none(), clean);
        if clean {
            for k in both {
                let wanted = if mine.get(k) == start.get(k) { theirs.get(k) } else { mine.get(k) };
                prop_assert_eq!(room.oracle.now()["o"].get(k).and_then(Value::as_i64), wanted.copied(), "{}", k);
            }
        }
    }
}
