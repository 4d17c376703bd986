use roundtable_protocol::command::{
    Command, ContextPatch, ContextResolve, ContextRevert, ParticipantChangeRole, SessionEnd,
};
use roundtable_protocol::context::{ConflictReason, ContextConflict, SkipReason};
use roundtable_protocol::event::EventBody;
use roundtable_protocol::model::SettingsPatch;
use serde_json::json;

use super::super::tests::Room;
use super::*;

fn room() -> Room {
    let mut room = Room::new();
    room.run(
        "server: admit ben as collaborator
         server: admit cyd as moderator
         server: admit vic as viewer",
    );
    room
}

fn ops(value: Value) -> Vec<PatchOp> {
    serde_json::from_value(value).expect("operations")
}

fn patch(ops_json: Value) -> ContextPatch {
    ContextPatch { ops: ops(ops_json), ..ContextPatch::default() }
}

fn on(base: Seq, ops_json: Value) -> ContextPatch {
    ContextPatch { base: Some(base), ..patch(ops_json) }
}

fn write(room: &mut Room, who: &str, data: ContextPatch) -> Result<ContextPatched, Code> {
    let events = room.give(who, Stream::Main, Command::ContextPatch(data)).map_err(|no| no.code)?;
    match &events[0].body {
        EventBody::ContextPatched(data) => Ok(data.clone()),
        _ => Err(room.last.refused.as_ref().expect("refused").code),
    }
}

fn conflicts(room: &Room) -> Vec<ContextConflict> {
    room.last.refused.as_ref().and_then(|p| p.context.clone()).expect("a report").conflicts
}

fn seed(room: &mut Room, value: Value) -> Seq {
    let data = ContextPatch { merge: Some(value), ..ContextPatch::default() };
    write(room, "ana", data).expect("the seed");
    room.session.context_version(None)
}

fn at(room: &Room, path: &str) -> Value {
    room.session.context_value(None, path).expect("there")
}

/// Ben has read `base`; ana writes; ben writes.
fn race(start: Value, ana: Value, ben: Value, strategy: Option<Strategy>) -> (Room, Result<ContextPatched, Code>) {
    let mut room = room();
    let base = seed(&mut room, start);
    write(&mut room, "ana", on(base, ana)).expect("the first");
    let second = write(&mut room, "ben", ContextPatch { strategy, ..on(base, ben) });
    (room, second)
}

#[test]
fn writes_to_different_places_do_not_conflict() {
    let (room, second) = race(
        json!({"a": 1, "b": 1}),
        json!([{"op": "replace", "path": "/a", "value": 2}]),
        json!([{"op": "replace", "path": "/b", "value": 3}]),
        None,
    );
    assert!(second.is_ok());
    assert_eq!(at(&room, ""), json!({"a": 2, "b": 3}));
}

#[test]
fn a_conflict_names_both_values_the_author_and_a_suggestion_that_applies() {
    let (mut room, second) = race(
        json!({"a": {"x": 1, "y": 1}, "b": 0}),
        json!([{"op": "replace", "path": "/a/x", "value": 2}]),
        json!([{"op": "replace", "path": "/a", "value": {"x": 1, "y": 9}}, {"op": "replace", "path": "/b", "value": 5}]),
        None,
    );
    assert_eq!(second, Err(Code::ContextConflict));
    let [conflict] = &conflicts(&room)[..] else { panic!("one conflict") };
    assert_eq!((conflict.path.as_str(), conflict.op_index), ("/a", 0));
    assert_eq!(conflict.reason, ConflictReason::WrittenBelow);
    assert_eq!(conflict.yours, Some(json!({"x": 1, "y": 9})));
    assert_eq!(conflict.current, Some(json!({"x": 2, "y": 1})));
    assert_eq!(conflict.by, Actor::Participant(room.participant("ana")));
    assert_eq!(at(&room, "/b"), json!(0), "all or nothing");
    let told = room.last.events.iter().map(|e| (e.stream, e.body.kind())).collect::<Vec<_>>();
    assert_eq!(told, [(Stream::Staff, "context.refused")]);
    let report = room.last.refused.clone().and_then(|p| p.context).expect("a report");
    let again = ContextPatch { base: Some(report.version), ops: report.suggestion, ..ContextPatch::default() };
    assert!(write(&mut room, "ben", again).is_ok());
    assert_eq!(at(&room, ""), json!({"a": {"x": 2, "y": 9}, "b": 5}), "both changes are in it");
}

#[test]
fn the_same_value_twice_is_no_conflict() {
    let same = json!([{"op": "replace", "path": "/a", "value": 2}]);
    assert!(race(json!({"a": 1}), same.clone(), same, None).1.is_ok());
}

#[test]
fn commutative_operations_do_not_conflict_with_their_like() {
    let start = json!({"n": 1, "tags": ["a"], "log": ["x"], "t": "one"});
    let all = |tag: &str| {
        json!([{"op": "inc", "path": "/n", "value": 2}, {"op": "union", "path": "/tags", "value": ["a", tag]},
               {"op": "append", "path": "/log", "value": tag}, {"op": "append", "path": "/t", "value": tag}])
    };
    let (room, second) = race(start, all("b"), all("c"), None);
    assert!(second.is_ok());
    assert_eq!(at(&room, ""), json!({"n": 5, "tags": ["a", "b", "c"], "log": ["x", "b", "c"], "t": "onebc"}));
    let set = json!([{"op": "replace", "path": "/n", "value": 7}]);
    let inc = json!([{"op": "inc", "path": "/n", "value": 2}]);
    assert_eq!(race(json!({"n": 1}), set, inc, None).1, Err(Code::ContextConflict));
}

#[test]
fn an_element_with_an_id_is_found_wherever_it_has_moved() {
    let start = json!({"steps": [{"id": "a", "s": 0}, {"id": "b", "s": 0}]});
    let insert = json!([{"op": "add", "path": "/steps/0", "value": {"id": "z"}}]);
    let by_id = json!([{"op": "replace", "path": "/steps/@b/s", "value": 1}]);
    let (room, second) = race(start.clone(), insert.clone(), by_id, None);
    assert!(second.is_ok());
    assert_eq!(at(&room, "/steps/2"), json!({"id": "b", "s": 1}));
    assert_eq!(at(&room, "/steps/@b/s"), json!(1));
    let by_index = json!([{"op": "replace", "path": "/steps/1/s", "value": 1}]);
    let (room, second) = race(start, insert, by_index, None);
    assert_eq!(second, Err(Code::ContextConflict));
    assert_eq!(conflicts(&room)[0].reason, ConflictReason::ArrayMoved);
}

#[test]
fn a_key_that_begins_with_at_is_written_with_two() {
    let mut room = room();
    write(&mut room, "ana", patch(json!([{"op": "add", "path": "/@@type", "value": 1}]))).expect("written");
    assert_eq!(at(&room, ""), json!({"@type": 1}));
    assert_eq!(at(&room, "/@@type"), json!(1));
    let single = patch(json!([{"op": "add", "path": "/@type", "value": 1}]));
    assert_eq!(write(&mut room, "ana", single), Err(Code::TypeClash));
}

#[test]
fn each_strategy_does_what_its_name_says() {
    let start = || json!({"a": 1, "b": 1});
    let ana = || json!([{"op": "replace", "path": "/a", "value": 2}]);
    let ben = || json!([{"op": "replace", "path": "/a", "value": 3}, {"op": "replace", "path": "/b", "value": 3}]);
    let run = |strategy| race(start(), ana(), ben(), Some(strategy));

    assert_eq!(run(Strategy::Reject).1, Err(Code::ContextConflict));
    let (room, second) = run(Strategy::LastWriterWins);
    assert_eq!(at(&room, ""), json!({"a": 3, "b": 3}));
    let overwrote = second.expect("written").overwrote;
    assert_eq!(
        (overwrote[0].was.clone(), overwrote[0].by),
        (Some(json!(2)), Actor::Participant(room.participant("ana")))
    );
    let (room, second) = run(Strategy::FirstWriterWins);
    assert_eq!(at(&room, ""), json!({"a": 2, "b": 3}));
    assert_eq!(second.expect("written").skipped[0].reason, SkipReason::Conflict);
    assert_eq!(run(Strategy::Merge).1, Err(Code::ContextConflict), "two numbers cannot be joined");
    assert_eq!(run(Strategy::RolePriority).1, Err(Code::ContextConflict), "a collaborator is not above the owner");
    let (room, second) = run(Strategy::Manual);
    assert_eq!(at(&room, ""), json!({"a": 2, "b": 3}));
    assert_eq!(second.expect("written").skipped[0].reason, SkipReason::Open);
    assert_eq!(room.session.context_conflicts().len(), 1);
}

#[test]
fn a_higher_role_overwrites_a_lower_one_and_an_agent_overwrites_nobody() {
    let mut room = room();
    let base = seed(&mut room, json!({"a": 1}));
    let set = |n: i64| json!([{"op": "replace", "path": "/a", "value": n}]);
    write(&mut room, "ben", on(base, set(2))).expect("a collaborator");
    let by_role = |n| ContextPatch { strategy: Some(Strategy::RolePriority), ..on(base, set(n)) };
    assert!(write(&mut room, "cyd", by_role(3)).is_ok());
    assert_eq!(write(&mut room, "ben", by_role(4)), Err(Code::ContextConflict));
    assert!(write(&mut room, "ana", by_role(5)).is_ok());
    assert_eq!(at(&room, "/a"), json!(5));
    let agent = room.session.participants().find(|p| p.kind == ParticipantKind::Agent).map(|p| p.id).expect("Guide");
    assert!(
        rank(&room.session, Actor::Participant(agent))
            < rank(&room.session, Actor::Participant(room.participant("ben")))
    );
}

#[test]
fn joining_takes_objects_apart_sets_together_and_text_in_pieces() {
    let start = json!({"o": {"x": 1, "y": 1}, "l": ["a", "b"], "t": "one two three"});
    let ana = json!([{"op": "replace", "path": "/o", "value": {"x": 2, "y": 1}},
        {"op": "replace", "path": "/l", "value": ["a", "b", "c"]}, {"op": "replace", "path": "/t", "value": "ONE two three"}]);
    let ben = json!([{"op": "replace", "path": "/o", "value": {"x": 1, "y": 3}},
        {"op": "replace", "path": "/l", "value": ["b", "d"]}, {"op": "replace", "path": "/t", "value": "one two THREE"}]);
    let (room, second) = race(start, ana, ben, Some(Strategy::Merge));
    assert!(second.is_ok());
    assert_eq!(at(&room, ""), json!({"o": {"x": 2, "y": 3}, "l": ["b", "c", "d"], "t": "ONE two THREE"}));
}

#[test]
fn text_is_changed_on_what_its_author_has_read() {
    let mut room = room();
    seed(&mut room, json!({"t": "one two three"}));
    let edit = |was: &str, value: &str| patch(json!([{"op": "text", "path": "/t", "was": was, "value": value}]));
    write(&mut room, "ana", edit("one two three", "one 2 three")).expect("plain");
    write(&mut room, "ben", edit("one two three", "one two three!")).expect("apart");
    assert_eq!(at(&room, "/t"), json!("one 2 three!"));
    assert_eq!(write(&mut room, "ben", edit("one two three", "one zwei three")), Err(Code::ContextConflict));
    assert_eq!(conflicts(&room)[0].reason, ConflictReason::TextOverlaps);
}

#[test]
fn settings_decide_by_the_longest_prefix_and_only_moderators_loosen() {
    let mut room = room();
    let strategies = [("".to_owned(), Strategy::Reject), ("/plan".to_owned(), Strategy::Merge)].into();
    let settings = SettingsPatch { context_strategies: Some(strategies), ..SettingsPatch::default() };
    room.give("ana", Stream::Main, Command::SessionChangeSettings(settings)).expect("the owner");
    write(&mut room, "ana", on(Seq::ZERO, json!([{"op": "add", "path": "/plan", "value": {"x": 1}}]))).expect("new");
    let base = room.session.context_version(None);
    let set = |key: &str| json!([{"op": "add", "path": "/plan", "value": {"x": 1, key: 1}}]);
    write(&mut room, "ana", on(base, set("y"))).expect("the first");
    write(&mut room, "ben", on(base, set("z"))).expect("joined by the settings");
    assert_eq!(at(&room, "/plan"), json!({"x": 1, "y": 1, "z": 1}));
    let loose = || ContextPatch {
        strategy: Some(Strategy::LastWriterWins),
        ..on(base, json!([{"op": "add", "path": "/plan", "value": 1}]))
    };
    assert_eq!(write(&mut room, "ben", loose()), Err(Code::Forbidden));
    assert_eq!(write(&mut room, "ben", patch(set("q"))), Err(Code::BaseRequired), "not to look is loosest of all");
    assert!(write(&mut room, "cyd", loose()).is_ok());
    let wrong = SettingsPatch {
        context_strategies: Some([("plan".to_owned(), Strategy::Merge)].into()),
        ..SettingsPatch::default()
    };
    let no = room.give("ana", Stream::Main, Command::SessionChangeSettings(wrong)).expect_err("no pointer");
    assert_eq!(no.pointer, Some("/settings/context_strategies"));
}

#[test]
fn a_session_can_forbid_to_write_without_looking() {
    let mut room = room();
    let settings = SettingsPatch { context_base_required: Some(true), ..SettingsPatch::default() };
    room.give("ana", Stream::Main, Command::SessionChangeSettings(settings)).expect("the owner");
    let add = json!([{"op": "add", "path": "/a", "value": 1}]);
    assert_eq!(write(&mut room, "ana", patch(add.clone())), Err(Code::BaseRequired));
    assert!(write(&mut room, "ana", on(Seq::ZERO, add)).is_ok());
}

#[test]
fn an_open_conflict_is_resolved_by_either_side_or_another_value() {
    for (take, value, result) in [
        (Take::Current, None, json!(2)),
        (Take::Yours, None, json!(3)),
        (Take::Value, Some(json!("both")), json!("both")),
    ] {
        let set = |n: i64| json!([{"op": "replace", "path": "/a", "value": n}]);
        let (mut room, _) = race(json!({"a": 1}), set(2), set(3), Some(Strategy::Manual));
        let conflict = room.session.context_conflicts()[0].id;
        let resolve = |value| Command::ContextResolve(ContextResolve { conflict, take, value });
        let no = room.give("vic", Stream::Main, resolve(value.clone())).expect_err("a viewer");
        assert_eq!(no.code, Code::Forbidden);
        room.give("ben", Stream::Main, resolve(value.clone())).expect("a person chooses");
        assert_eq!(at(&room, "/a"), result);
        assert!(room.session.context_conflicts().is_empty());
        assert_eq!(room.give("ben", Stream::Main, resolve(value)).expect_err("gone").code, Code::NoSuchConflict);
    }
}

#[test]
fn a_write_is_taken_back_unless_others_have_built_on_it() {
    let mut room = room();
    seed(&mut room, json!({"a": 1, "n": 1}));
    write(
        &mut room,
        "ben",
        patch(json!([{"op": "replace", "path": "/a", "value": 2}, {"op": "inc", "path": "/n", "value": 5}])),
    )
    .expect("written");
    let event = room.last.events[0].header.id;
    write(&mut room, "cyd", patch(json!([{"op": "inc", "path": "/n", "value": 10}]))).expect("beside it");
    let revert = |event| Command::ContextRevert(ContextRevert { event: Some(event), ..ContextRevert::default() });
    let events = room.give("ana", Stream::Main, revert(event)).expect("taken back");
    assert_eq!(at(&room, ""), json!({"a": 1, "n": 11}));
    assert!(matches!(&events[0].body, EventBody::ContextPatched(data) if data.reverts == [event]));
    let twice = room.give("ana", Stream::Main, revert(event)).expect_err("once");
    assert_eq!(twice.code, Code::AlreadyRecorded);
    write(&mut room, "ben", patch(json!([{"op": "replace", "path": "/a", "value": 3}]))).expect("written");
    let event = room.last.events[0].header.id;
    write(&mut room, "cyd", patch(json!([{"op": "replace", "path": "/a", "value": 4}]))).expect("built on it");
    room.give("ana", Stream::Main, revert(event)).expect("decided");
    assert_eq!(room.last.refused.as_ref().map(|p| p.code), Some(Code::ContextConflict), "it was written since");
    let unknown = room.give("ana", Stream::Main, revert(EventId::NIL)).expect_err("no write");
    assert_eq!(unknown.code, Code::NotFound);
}

#[test]
fn paths_go_back_to_a_version_and_the_rest_stays() {
    let mut room = room();
    let first = seed(&mut room, json!({"a": {"x": 1}, "b": 1}));
    write(
        &mut room,
        "ben",
        patch(json!([{"op": "replace", "path": "/a/x", "value": 2}, {"op": "replace", "path": "/b", "value": 2}])),
    )
    .expect("written");
    let back = ContextRevert { to_version: Some(first), paths: vec!["/a".to_owned()], ..ContextRevert::default() };
    room.give("ben", Stream::Main, Command::ContextRevert(back)).expect("back");
    assert_eq!(at(&room, ""), json!({"a": {"x": 1}, "b": 2}));
    let all = ContextRevert { to_version: Some(Seq::ZERO), ..ContextRevert::default() };
    room.give("ben", Stream::Main, Command::ContextRevert(all)).expect("back");
    assert_eq!(at(&room, ""), json!({}));
    assert_eq!(room.session.context_writes(None, None, 10).len(), 4, "nothing is removed");
}

#[test]
fn limits_have_codes_and_nothing_is_half_applied() {
    let mut room = room();
    seed(&mut room, json!({"a": "text", "l": []}));
    let deep = (0..40).fold(json!(1), |inside, _| json!([inside]));
    let long: Vec<Value> = (0..101).map(|i| json!({"op": "add", "path": format!("/k{i}"), "value": 1})).collect();
    let big = "x".repeat(70_000);
    let add =
        |value: Value| json!([{"op": "add", "path": "/ok", "value": 1}, {"op": "add", "path": "/v", "value": value}]);
    let cases = [
        (json!(long), Code::PatchTooLong),
        (json!([]), Code::InvalidField),
        (add(json!(big)), Code::ContextValueTooLarge),
        (add(deep), Code::ContextTooDeep),
        (add(json!(vec![1; 11_000])), Code::ContextTooManyPaths),
        (json!([{"op": "add", "path": "/ok", "value": 1}, {"op": "inc", "path": "/a", "value": 1}]), Code::TypeClash),
        (json!([{"op": "add", "path": "/ok", "value": 1}, {"op": "remove", "path": "/none"}]), Code::PathNotFound),
        (
            json!([{"op": "add", "path": "/ok", "value": 1}, {"op": "add", "path": "/no/where", "value": 1}]),
            Code::PathNotFound,
        ),
        (
            json!([{"op": "add", "path": "/ok", "value": 1}, {"op": "test", "path": "/a", "value": 1}]),
            Code::ContextTestFailed,
        ),
        (json!([{"op": "add", "path": "ok", "value": 1}]), Code::InvalidField),
        (json!([{"op": "remove", "path": ""}]), Code::TypeClash),
        (json!([{"op": "move", "from": "/l", "path": "/l/x"}]), Code::InvalidField),
        (json!([{"op": "add", "path": "/l/7", "value": 1}]), Code::PathNotFound),
        (json!([{"op": "add", "path": "/l/x", "value": 1}]), Code::TypeClash),
    ];
    for (ops, code) in cases {
        let text = ops.to_string();
        assert_eq!(write(&mut room, "ana", patch(ops)), Err(code), "{}", &text[..text.len().min(200)]);
        assert_eq!(at(&room, ""), json!({"a": "text", "l": []}));
    }
}

#[test]
fn copies_of_copies_end_at_the_limit() {
    let mut room = room();
    seed(&mut room, json!({"a": {"v": "x".repeat(1_000)}}));
    let copies: Vec<Value> = (0..60).map(|i| json!({"op": "copy", "from": "", "path": format!("/c{i}")})).collect();
    let refused = write(&mut room, "ana", patch(json!(copies)));
    assert!(
        matches!(refused, Err(Code::ContextTooLarge | Code::ContextTooDeep | Code::ContextTooManyPaths)),
        "{refused:?}"
    );
}

#[test]
fn what_does_not_apply_is_left_out_when_asked() {
    let mut room = room();
    seed(&mut room, json!({"a": 1}));
    let some = json!([{"op": "remove", "path": "/none"}, {"op": "inc", "path": "/a", "value": "x"}, {"op": "add", "path": "/b", "value": 1}]);
    let written = write(&mut room, "ana", ContextPatch { atomic: false, ..patch(some) }).expect("the rest");
    let skipped: Vec<_> = written.skipped.iter().map(|s| (s.op_index, s.reason)).collect();
    assert_eq!(skipped, [(0, SkipReason::PathNotFound), (1, SkipReason::TypeClash)]);
    assert_eq!(at(&room, ""), json!({"a": 1, "b": 1}));
}

#[test]
fn move_copy_and_test_are_those_of_rfc_6902() {
    let mut room = room();
    seed(&mut room, json!({"a": {"x": 1}, "l": [1, 2, 3]}));
    let all = json!([{"op": "test", "path": "/a/x", "value": 1.0}, {"op": "move", "from": "/a/x", "path": "/b"},
        {"op": "copy", "from": "/l", "path": "/a/l"}, {"op": "move", "from": "/l/0", "path": "/l/2"},
        {"op": "add", "path": "/l/-", "value": 4}, {"op": "remove_values", "path": "/l", "value": [3, 9]}]);
    write(&mut room, "ana", patch(all)).expect("written");
    assert_eq!(at(&room, ""), json!({"a": {"l": [1, 2, 3]}, "b": 1, "l": [2, 1, 4]}));
}

#[test]
fn a_merge_patch_is_that_of_rfc_7396() {
    let mut room = room();
    seed(&mut room, json!({"a": {"x": 1, "y": 2}, "b": [1], "c": null}));
    assert_eq!(at(&room, ""), json!({"a": {"x": 1, "y": 2}, "b": [1]}), "null says that there is nothing");
    seed(&mut room, json!({"a": {"x": null, "z": {"deep": 1, "no": null}}, "b": {"new": 1}}));
    assert_eq!(at(&room, ""), json!({"a": {"y": 2, "z": {"deep": 1}}, "b": {"new": 1}}));
    let same = ContextPatch { merge: Some(json!({"gone": null})), ..ContextPatch::default() };
    assert_eq!(write(&mut room, "ana", same), Err(Code::AlreadyRecorded));
}

#[test]
fn a_version_can_be_asked_for_strictly() {
    let mut room = room();
    let version = seed(&mut room, json!({"a": 1}));
    let strict =
        |v| ContextPatch { if_version: Some(v), ..patch(json!([{"op": "replace", "path": "/a", "value": 2}])) };
    assert!(write(&mut room, "ana", strict(version)).is_ok());
    assert_eq!(write(&mut room, "ana", strict(version)), Err(Code::ContextMoved));
    let future = on(Seq(9_999), json!([{"op": "replace", "path": "/a", "value": 2}]));
    assert_eq!(write(&mut room, "ana", future), Err(Code::InvalidField));
}

#[test]
fn viewers_read_and_nobody_writes_after_the_end() {
    let mut room = room();
    let add = || patch(json!([{"op": "add", "path": "/a", "value": 1}]));
    assert_eq!(write(&mut room, "vic", add()), Err(Code::Forbidden));
    let participant = room.participant("ben");
    let demote = ParticipantChangeRole { participant, role: Role::Viewer };
    room.give("ana", Stream::Main, Command::ParticipantChangeRole(demote)).expect("demoted");
    assert_eq!(write(&mut room, "ben", add()), Err(Code::Forbidden));
    room.give("ana", Stream::Main, Command::SessionEnd(SessionEnd::default())).expect("ended");
    assert_eq!(write(&mut room, "ana", add()), Err(Code::SessionNotActive));
}

#[test]
fn a_base_older_than_what_is_kept_is_told_from_a_conflict() {
    let mut room = room();
    let base = seed(&mut room, json!({"n": 0}));
    let inc = ContextPatched {
        ops: vec![roundtable_protocol::context::ContextChange {
            op: ChangeOp::Replace,
            path: "/n".to_owned(),
            value: Some(json!(1)),
            was: Some(json!(0)),
            how: Some(ChangeHow::Inc),
        }],
        ..ContextPatched::default()
    };
    let mut event = room.log.last().expect("the seed").clone();
    event.body = inc.into();
    for _ in 0..history::MAX_WRITES + 1 {
        event.seq = event.seq.next();
        room.session.apply(&event);
    }
    let add = json!([{"op": "add", "path": "/a", "value": 1}]);
    assert_eq!(write(&mut room, "ana", on(base, add.clone())), Err(Code::BaseTooOld));
    let floor = room.session.documents.of(None).history.floor();
    assert_eq!(room.session.context_writes(None, None, usize::MAX).len(), history::MAX_WRITES);
    assert!(
        room.session.context_value_at(None, "", floor).is_ok()
            && room.session.context_value_at(None, "", base).is_err()
    );
    let recent = room.session.context_version(None);
    assert!(write(&mut room, "ana", on(recent, add)).is_ok());
}

#[test]
fn a_write_copies_only_what_it_changes() {
    let mut room = room();
    seed(&mut room, json!({"a": {"x": 1}, "b": {"y": 1}}));
    let before = room.session.clone();
    write(&mut room, "ana", patch(json!([{"op": "replace", "path": "/a/x", "value": 2}]))).expect("written");
    let inside = |session: &Session, key: &str| match &session.documents.of(None).root {
        Node::Object(all) => match &all[key] {
            Node::Object(kids) => std::sync::Arc::as_ptr(kids),
            _ => panic!("an object"),
        },
        _ => panic!("an object"),
    };
    assert_eq!(inside(&before, "b"), inside(&room.session, "b"), "shared");
    assert_ne!(inside(&before, "a"), inside(&room.session, "a"), "copied");
}
