use roundtable_protocol::command::Command;
use roundtable_protocol::event::{Actor, EventBody as E};
use serde_json::json;

use super::super::tests::Room;
use super::*;

fn define(name: &str, schema: Option<Value>) -> Command {
    Command::ActionDefineType(ActionDefineType { name: name.to_owned(), schema })
}

fn perform(name: &str, data: Value) -> Command {
    Command::ActionPerform(ActionPerform { name: name.to_owned(), data })
}

fn refused(room: &mut Room, who: &str, command: Command) -> Code {
    room.give(who, Stream::Main, command).expect_err("refused").code
}

#[test]
fn data_fits_the_schema_that_its_type_has_now() {
    let mut room = Room::new();
    room.run("server: admit ben as collaborator\nserver: admit cyd as viewer");
    assert_eq!(refused(&mut room, "ben", define("vote", Some(json!(true)))), Code::Forbidden);
    room.give("ana", Stream::Main, define("vote", Some(json!({"enum": ["yes", "no"]})))).expect("defined");
    assert_eq!(refused(&mut room, "ana", define("vote", Some(json!({"enum": ["yes", "no"]})))), Code::AlreadyRecorded);
    room.give("ben", Stream::Main, perform("vote", json!("yes"))).expect("fits");
    assert_eq!(refused(&mut room, "ben", perform("vote", json!("maybe"))), Code::ActionDataInvalid);
    assert_eq!(refused(&mut room, "cyd", perform("vote", json!("yes"))), Code::Forbidden);
    room.give("ana", Stream::Main, define("vote", None)).expect("taken away");
    room.give("ben", Stream::Main, perform("vote", json!("maybe"))).expect("anything goes");
    room.give("ben", Stream::Main, perform("other.type", json!(null))).expect("a type without a schema");
    assert_eq!(room.session.actions.all().count(), 3);
}

#[test]
fn names_sizes_and_depths_are_bounded() {
    let mut room = Room::new();
    for name in ["", "Vote", "a b", &"x".repeat(MAX_TYPE + 1)] {
        assert_eq!(refused(&mut room, "ana", perform(name, json!(1))), Code::InvalidField, "{name}");
    }
    assert_eq!(refused(&mut room, "ana", perform("x", json!("x".repeat(MAX_ACTION_BYTES)))), Code::DataTooLarge);
    let deep = (0..=MAX_DEPTH).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(refused(&mut room, "ana", perform("x", deep)), Code::DataTooDeep);
    for n in 0..MAX_ACTION_TYPES {
        room.give("ana", Stream::Main, define(&format!("t{n}"), Some(json!(true)))).expect("there is room");
    }
    assert_eq!(refused(&mut room, "ana", define("more", Some(json!(true)))), Code::TooManyActionTypes);
    assert_eq!(refused(&mut room, "ana", define("t0", Some(json!({"pattern": "x"})))), Code::InvalidSchema);
}

#[test]
fn what_is_no_keyword_is_refused_with_its_place() {
    for (schema, place) in [
        (json!({"$ref": "#"}), "/$ref"),
        (json!({"properties": {"a/b": {"type": "text"}}}), "/properties/a~1b/type"),
        (json!({"items": {"anyOf": []}}), "/items/anyOf"),
        (json!({"additionalProperties": 7}), "/additionalProperties"),
        (json!({"minLength": -1}), "/minLength"),
        (json!({"enum": []}), "/enum"),
        (json!(7), "the schema"),
    ] {
        let why = schema::check_schema(&schema).expect_err("not usable");
        assert!(why.starts_with(place), "{why}");
    }
}

#[test]
fn each_keyword_asks_what_json_schema_says() {
    let person = json!({
        "type": "object", "required": ["name"], "additionalProperties": false,
        "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 3},
                       "age": {"type": ["integer", "null"], "minimum": 0, "maximum": 150},
                       "tags": {"type": "array", "items": {"const": 1}, "minItems": 1, "maxItems": 2}},
    });
    schema::check_schema(&person).expect("usable");
    for data in [
        json!({"name": "Ana"}),
        json!({"name": "😀😀😀", "age": null}),
        json!({"name": "B", "age": 7.0, "tags": [1, 1.0]}),
    ] {
        schema::check(&person, &data).expect("fits");
    }
    for (data, place) in [
        (json!([]), "the data: must be object"),
        (json!({}), "/name: is missing"),
        (json!({"name": ""}), "/name: must have at least 1"),
        (json!({"name": "Anna"}), "/name: must have at most 3"),
        (json!({"name": "A", "age": 1.5}), "/age: must be integer or null"),
        (json!({"name": "A", "age": -1}), "/age: must be at least 0"),
        (json!({"name": "A", "age": 151}), "/age: must be at most 150"),
        (json!({"name": "A", "tags": []}), "/tags: must have at least 1"),
        (json!({"name": "A", "tags": [1, 1, 1]}), "/tags: must have at most 2"),
        (json!({"name": "A", "tags": [1, 2]}), "/tags/1: must be 1"),
        (json!({"name": "A", "x": 1}), "/x: is not allowed"),
    ] {
        let why = schema::check(&person, &data).expect_err("does not fit");
        assert!(why.starts_with(place), "{why}");
    }
}

#[test]
fn what_was_not_recorded_is_erased_a_day_after_the_end() {
    let mut room = Room::founded(|f| f.settings.recording = false);
    room.give("ana", Stream::Main, perform("vote", json!("yes"))).expect("performed");
    let add = roundtable_protocol::command::MemoryAdd { text: "canary".to_owned(), ..Default::default() };
    room.give("ana", Stream::Main, Command::MemoryAdd(add)).expect("added");
    room.run("ana: end\nserver: archive");
    let told = room.run("server: wait 86400");
    assert!(told.contains("memory.removed by system") && told.contains("action.redacted by system"), "{told}");
    assert_eq!(room.last.redactions.len(), 2);
    assert!(room.session.actions.is_empty() && room.session.memories().next().is_none());
    assert_eq!(room.session.next_deadline(), None, "and nothing is left to erase");
}

#[test]
fn an_error_is_recorded_for_all_by_whoever_may_act() {
    let mut room = Room::new();
    room.run("server: admit ben as collaborator\nserver: admit vic as viewer");
    let report = |code: &str, detail: &str| {
        Command::ErrorReport(ErrorReport { code: code.to_owned(), detail: detail.to_owned(), turn: None })
    };
    let told = room.give("ben", Stream::Main, report("build_failed", " the build is red ")).expect("recorded");
    let E::ErrorRecorded(data) = &told[0].body else { panic!("{told:?}") };
    assert_eq!((data.code.as_str(), data.detail.as_str()), ("build_failed", "the build is red"));
    let told = room.give("server", Stream::Main, report("disk_slow", "slow today")).expect("recorded");
    assert_eq!(told[0].header.actor, Actor::System);
    assert_eq!(refused(&mut room, "vic", report("x", "y")), Code::Forbidden);
    assert_eq!(refused(&mut room, "ben", report("Build Failed", "y")), Code::InvalidField);
    assert_eq!(refused(&mut room, "ben", report("x", "  ")), Code::TextEmpty);
    assert_eq!(refused(&mut room, "ben", report("x", &"y".repeat(2_001))), Code::InvalidField);
    room.run("ana: end");
    assert_eq!(refused(&mut room, "ben", report("x", "y")), Code::SessionNotActive);
}

#[test]
fn the_words_of_errors_go_with_what_was_not_recorded() {
    let mut room = Room::founded(|founding| founding.settings.recording = false);
    let report = ErrorReport { code: "x".to_owned(), detail: "a secret".to_owned(), turn: None };
    let seq = room.give("ana", Stream::Main, Command::ErrorReport(report)).expect("recorded")[0].seq;
    room.run("ana: end\nserver: wait 90000");
    assert!(room.last.redactions.contains(&(Stream::Main, seq)), "{:?}", room.last.redactions);
}
