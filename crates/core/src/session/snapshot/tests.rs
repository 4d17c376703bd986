use super::super::tests::Room;
use super::*;

#[test]
fn a_snapshot_gives_the_state_back() {
    let mut room = Room::new();
    room.run(
        "server: admit ben as collaborator
         ana: note hello
         ben: side psst
         ana: ask one
         server: claim t1
         server: write He
         ben: note meanwhile
         server: write llo
         ben: ask two
         ana: edit m1 hi
         ana: mark m1
         ben: redact m2",
    );
    let bytes = room.session.to_snapshot();
    let back = Session::from_snapshot(Session::SNAPSHOT_FORMAT, &bytes).expect("reads");
    assert_eq!(back, room.session);
    let text = String::from_utf8(bytes).expect("text");
    assert!(!["hello", "psst", "meanwhile"].iter().any(|said| text.contains(said)), "no text of messages");
}

#[test]
fn another_format_or_broken_bytes_are_thrown_away() {
    let bytes = Room::new().session.to_snapshot();
    assert_eq!(Session::from_snapshot(Session::SNAPSHOT_FORMAT + 1, &bytes), None);
    assert_eq!(Session::from_snapshot(Session::SNAPSHOT_FORMAT, b"{}"), None);
    assert_eq!(Session::from_snapshot(Session::SNAPSHOT_FORMAT, &bytes[..bytes.len() - 1]), None);
    let mut room = Room::new();
    room.run("ana: note hello");
    let torn = String::from_utf8(room.session.to_snapshot())
        .expect("text")
        .replace("\"authors\":[", "\"authors\":[],\"was\":[");
    assert_eq!(Session::from_snapshot(Session::SNAPSHOT_FORMAT, torn.as_bytes()), None, "a message without its author");
}

#[test]
fn ten_thousand_messages_take_less_than_a_hundred_bytes_each() {
    let mut room = Room::new();
    room.run("ana: note first");
    let first = room.log.last().expect("posted").clone();
    for i in 0..10_000u64 {
        let mut event = first.clone();
        event.header.id = roundtable_protocol::EventId::derive(first.header.id.0, i);
        event.seq.0 += i + 1;
        room.session.apply(&event);
    }
    let bytes = room.session.to_snapshot().len();
    assert!(bytes < 100 * 10_000, "{bytes}");
    assert_eq!(room.session.pages(first.stream).len(), 40);
}
