use roundtable_protocol::branching::RestoreHow;
use roundtable_protocol::command::{BranchCreate, CheckpointCreate, CheckpointRestore, Command, ContextPatch};
use serde_json::{Value, json};

use super::super::super::tests::Room;
use super::*;

fn patch(branch: Option<BranchId>, merge: Value) -> Command {
    Command::ContextPatch(ContextPatch { branch, merge: Some(merge), ..ContextPatch::default() })
}

fn branch(room: &mut Room, from: Option<BranchId>) -> Result<BranchId, Rejection> {
    let create = BranchCreate { from_branch: from, ..BranchCreate::default() };
    room.give("ana", Stream::Main, Command::BranchCreate(create)).map(|events| BranchId(events[0].header.id.0))
}

fn give(room: &mut Room, command: Command) -> Result<(), Rejection> {
    room.give("ana", Stream::Main, command).map(drop)
}

/// About 420 KiB under seven names that begin with `key`.
fn much(key: &str) -> Value {
    (0..7).map(|n| (format!("{key}{n}"), json!(key.repeat(60 * 1024)))).collect::<serde_json::Map<_, _>>().into()
}

/// What takes them out again.
fn without(key: &str) -> Value {
    (0..7).map(|n| (format!("{key}{n}"), Value::Null)).collect::<serde_json::Map<_, _>>().into()
}

/// Does it, or checks that nothing of it is done.
fn whole_or_not(room: &mut Room, what: impl FnOnce(&mut Room) -> Result<(), Rejection>) -> bool {
    let before = room.session.clone();
    let done = what(room);
    assert!(room.session.documents.size() <= MAX_TOGETHER);
    let Err(no) = done else { return true };
    assert_eq!(no.code, Code::ContextsTooLarge);
    assert_eq!(room.session, before, "nothing of it is done");
    false
}

/// Branches that each hold about 850 KiB of their own, as many as there may be.
fn full() -> (Room, Vec<BranchId>) {
    let mut room = Room::new();
    give(&mut room, patch(None, much("a"))).expect("written");
    give(&mut room, patch(None, much("b"))).expect("written");
    let mut all: Vec<BranchId> = Vec::new();
    for n in 0.. {
        assert!(n < 60, "there is an end");
        let begin = |room: &mut Room| branch(room, all.last().copied()).map(|id| all.push(id));
        if !whole_or_not(&mut room, begin) {
            break;
        }
        let last = all.last().copied();
        if !whole_or_not(&mut room, |room| give(room, patch(last, json!({ "n": n })))) {
            // It is there, and shares what the one before it holds.
            all.pop();
            break;
        }
    }
    (room, all)
}

#[test]
fn branches_that_nobody_has_written_on_since_the_fork_count_once() {
    let mut room = Room::new();
    give(&mut room, patch(None, much("a"))).expect("written");
    for _ in 0..100 {
        branch(&mut room, None).expect("made");
    }
    assert!(room.session.documents.size() < 1024 * 1024);
}

#[test]
fn the_contexts_of_all_branches_together_are_bounded_and_nothing_is_done_by_half() {
    let (mut room, all) = full();
    assert!((30..45).contains(&all.len()), "{}", all.len());
    let written = all[3];
    let more = json!({"x": "x".repeat(60 * 1024), "y": "y".repeat(60 * 1024)});
    let take = |id: &BranchId| whole_or_not(&mut room, |room| give(room, patch(Some(*id), more.clone())));
    let taken = all[4..].iter().map(take).filter(|taken| *taken).count();
    assert!(taken < 8, "the bound is reached: {taken}");
    give(&mut room, patch(None, json!({"n": "main"}))).expect("the main branch can always be written");
    for key in ["a", "b"] {
        give(&mut room, patch(Some(written), without(key))).expect("what makes it less can be written");
    }
    let free = MAX_TOGETHER - room.session.documents.size();
    assert!(free > 400 * 1024, "{free}");
    assert!(whole_or_not(&mut room, |room| give(room, patch(Some(written), json!({"n": "again"})))));
}

#[test]
fn what_is_shared_is_shared_again_after_a_reload_and_weighs_the_same() {
    let (mut room, all) = full();
    for _ in 0..20 {
        branch(&mut room, all.first().copied()).expect("shares");
    }
    let stored = serde_json::to_vec(&room.session.documents).expect("serialises");
    let again: Documents = serde_json::from_slice(&stored).expect("reads");
    assert_eq!(again, room.session.documents);
    assert_eq!(again.size(), room.session.documents.size());
    let root = |id: &BranchId| match &again.others[id].root {
        Node::Object(members) => std::sync::Arc::as_ptr(members),
        other => panic!("{other:?}"),
    };
    let newest: Vec<BranchId> = room.session.branches().iter().rev().take(20).map(|b| b.id).collect();
    assert!(newest.iter().all(|id| root(id) == root(&newest[0])), "one document in memory");
}

#[test]
fn going_back_in_place_is_refused_as_a_whole_when_it_would_be_too_much() {
    let (mut room, all) = full();
    let create = Command::CheckpointCreate(CheckpointCreate { name: "full".to_owned() });
    let made = room.give("ana", Stream::Main, create).expect("made");
    let checkpoint = roundtable_protocol::ids::CheckpointId(made[0].header.id.0);
    // What the last one holds is shared by one that could not be written.
    for id in &all[..all.len() - 1] {
        give(&mut room, patch(Some(*id), without("a"))).expect("less");
    }
    let restore = CheckpointRestore { checkpoint, how: RestoreHow::InPlace, branch: None, name: None, then: vec![] };
    assert!(!whole_or_not(&mut room, |room| give(room, Command::CheckpointRestore(restore))));
}
