use roundtable_protocol::command::{Command, MessageRedact};
use roundtable_protocol::ids::Stream;

use super::super::tests::Room;
use super::*;

fn add(text: &str, source: Option<MessageId>) -> Command {
    Command::MemoryAdd(MemoryAdd { text: text.to_owned(), source, ..MemoryAdd::default() })
}

fn edit(memory: MemoryId, text: Option<&str>, pinned: Option<bool>) -> Command {
    Command::MemoryEdit(MemoryEdit { memory, text: text.map(str::to_owned), tags: None, pinned })
}

fn remove_it(memory: MemoryId) -> Command {
    Command::MemoryRemove(MemoryRemove { memory, reason: None })
}

fn refused(room: &mut Room, who: &str, command: Command) -> Code {
    room.give(who, Stream::Main, command).expect_err("refused").code
}

fn newest(room: &Room) -> MemoryId {
    room.session.memories().last().expect("there is one").0
}

#[test]
fn only_the_author_and_moderators_change_a_memory_and_everybody_pins() {
    let mut room = Room::new();
    room.run("server: admit ben as collaborator\nserver: admit cyd as viewer\nserver: admit dan as moderator");
    room.give("ana", Stream::Main, add("  tea at four  ", None)).expect("added");
    let tea = newest(&room);
    assert_eq!(refused(&mut room, "cyd", add("mine", None)), Code::Forbidden);
    assert_eq!(refused(&mut room, "cyd", edit(tea, None, Some(true))), Code::Forbidden);
    assert_eq!(refused(&mut room, "ben", edit(tea, Some("coffee"), Some(true))), Code::NotYourMemory);
    assert_eq!(refused(&mut room, "ben", remove_it(tea)), Code::NotYourMemory);
    assert!(!room.session.memories().any(|(_, pinned)| pinned), "what is refused is not half done");
    room.give("ben", Stream::Main, edit(tea, None, Some(true))).expect("pinned");
    assert_eq!(refused(&mut room, "ben", edit(tea, None, Some(true))), Code::AlreadyRecorded);
    room.give("dan", Stream::Main, edit(tea, Some("coffee"), None)).expect("a moderator");
    room.give("dan", Stream::Main, remove_it(tea)).expect("a moderator");
    assert_eq!(refused(&mut room, "dan", remove_it(tea)), Code::NoSuchMemory);
}

#[test]
fn texts_are_bounded_and_say_something() {
    let mut room = Room::new();
    assert_eq!(refused(&mut room, "ana", add(" \n ", None)), Code::TextEmpty);
    assert_eq!(refused(&mut room, "ana", add(&"x".repeat(MAX_TEXT + 1), None)), Code::InvalidField);
    for n in 0..MAX_MEMORIES {
        room.give("ana", Stream::Main, add(&format!("n {n}"), None)).expect("there is room");
    }
    assert_eq!(refused(&mut room, "ana", add("one more", None)), Code::TooManyMemories);
}

#[test]
fn a_memory_is_made_from_what_was_said_in_main_and_goes_with_it() {
    let mut room = Room::new();
    room.run("ana: note the canary\nana: side beside");
    let (said, aside) = (room.message("m1"), room.message("m2"));
    assert_eq!(refused(&mut room, "ana", add("beside", Some(aside))), Code::NoSuchMessage);
    room.give("ana", Stream::Main, add("canary", Some(said))).expect("added");
    let memory = newest(&room);
    room.give("ana", Stream::Main, edit(memory, Some("another canary"), None)).expect("edited");
    let redact = Command::MessageRedact(MessageRedact { message: said, reason: None });
    let texts = room.session.memories.get(memory).expect("there").texts.clone();
    room.give("ana", Stream::Main, redact).expect("erased");
    assert_eq!(texts.len(), 2);
    assert!(texts.iter().all(|seq| room.last.redactions.contains(&(Stream::Main, *seq))), "{texts:?}");
    assert!(room.session.memories().next().is_none());
    assert_eq!(refused(&mut room, "ana", add("again", Some(said))), Code::MessageIsRedacted);
}
