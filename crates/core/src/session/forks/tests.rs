use roundtable_protocol::branching::{CopiedFrom, CopiedThere};
use roundtable_protocol::command::{self as c, Command};
use roundtable_protocol::event::EventBody as E;
use roundtable_protocol::grant::Grant;
use roundtable_protocol::ids::{BranchId, MemoryId, Seq, UserId};
use roundtable_protocol::memory::Memory;
use serde_json::json;

use super::super::tests::Room;
use super::*;
use crate::context::{Caller, CopiedMessage};

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn elsewhere() -> SessionId {
    SessionId(id(1))
}

/// A session that ana began as a copy of two messages of another one: m1 and m2.
fn copy(titled: bool) -> (Room, Session) {
    let there = |name: &str, agent| CopiedThere {
        session: elsewhere(),
        name: name.to_owned(),
        agent,
        at: "2026-11-19T10:00:00Z".parse().expect("a time"),
        files: 0,
    };
    let message = |n, text: &str, decision, there| CopiedMessage {
        from: CopiedFrom { message: MessageId(id(n)), author: Actor::System, there: Some(Box::new(there)) },
        text: text.to_owned(),
        data: None,
        decision,
    };
    let memory = Memory {
        id: MemoryId(id(30)),
        text: "kept".to_owned(),
        tags: vec![],
        author: Actor::System,
        at: "2026-11-19T10:00:00Z".parse().expect("a time"),
        edited_at: None,
        source: Some(MessageId(id(11))),
        pinned: true,
    };
    let copied = Copied {
        from: ForkedFrom {
            session: elsewhere(),
            branch: BranchId(id(2)),
            message: Some(MessageId(id(12))),
            seq: Seq(9),
            left_out: 0,
        },
        messages: vec![
            message(11, "What is the plan?", false, there("Ana", false)),
            message(12, "We go", true, there("Guide", true)),
        ],
        context: json!({"plan": ["go"]}),
        memories: vec![memory],
    };
    let mut room = Room::new();
    let mut founding = super::super::tests::founding();
    if !titled {
        founding.title = String::new();
    }
    let grant = Grant::nothing(0, 0);
    let caller = Caller::User(UserId(id(3)));
    let cx = Context { now: room.now, caller, grant: &grant, present: &[], uploads: &[] };
    let key = room.key();
    let decision = Session::create_copy(&cx, key, &founding, &copied).expect("a copy");
    let mut session = Session::empty(founding.session);
    decision.events.iter().for_each(|event| session.apply(event));
    room.log = decision.events;
    (room, session)
}

#[test]
fn a_copy_begins_with_messages_context_and_memories_that_name_their_origin() {
    let (room, session) = copy(true);
    let kinds: Vec<&str> = room.log.iter().map(|e| e.body.kind()).collect();
    let copied = ["message.posted", "message.posted", "decision.recorded", "memory.added", "context.patched"];
    assert_eq!(kinds[kinds.len() - 5..], copied);
    let ids: std::collections::BTreeSet<_> = room.log.iter().map(|e| e.header.id).collect();
    assert_eq!(ids.len(), room.log.len(), "every event has an id of its own");
    assert_eq!(session.context_value(None, "").expect("a document"), json!({"plan": ["go"]}));
    let from = session.forked_from().expect("it is one");
    assert_eq!((from.session, session.info().forked_from), (elsewhere(), Some(from)));
    let [first] = session.messages.copies_from(elsewhere(), MessageId(id(11)))[..] else { panic!("one copy") };
    let E::MemoryAdded(memory) = &room.log[room.log.len() - 2].body else { panic!("a memory") };
    assert_eq!((memory.source, memory.copied_from.map(|m| m.memory)), (Some(first), Some(MemoryId(id(30)))));
    assert!(session.messages.copies_from(SessionId(id(99)), MessageId(id(11))).is_empty());
    let read = Session::from_snapshot(Session::SNAPSHOT_FORMAT, &session.to_snapshot());
    assert_eq!(read.as_ref(), Some(&session));
}

#[test]
fn what_is_erased_elsewhere_takes_copies_their_memories_and_the_title_along() {
    let (mut room, session) = copy(false);
    assert_eq!(session.info().title, "What is the plan?");
    room.session = session;
    let erase = |from, messages: &[u128], memories: &[u128]| {
        Command::CopiesErase(CopiesErase {
            from,
            messages: messages.iter().map(|n| MessageId(id(*n))).collect(),
            memories: memories.iter().map(|n| MemoryId(id(*n))).collect(),
        })
    };
    let kinds = |events: &[Event]| events.iter().map(|e| e.body.kind()).collect::<Vec<_>>();
    for nothing in [erase(SessionId(id(99)), &[11], &[30]), erase(elsewhere(), &[77], &[78])] {
        let no = room.give("server", Stream::Main, nothing).expect_err("there is no such copy");
        assert_eq!(no.code, Code::AlreadyRecorded);
    }
    let events = room.give("server", Stream::Main, erase(elsewhere(), &[11], &[30])).expect("erased");
    assert_eq!(kinds(&events), ["message.redacted", "session.renamed", "memory.removed"]);
    assert_eq!(room.last.redactions.len(), 3, "the text, the title and the memory");
    let again = room.give("server", Stream::Main, erase(elsewhere(), &[11], &[30])).expect_err("done already");
    assert_eq!(again.code, Code::AlreadyRecorded);
    let no = room.give("ana", Stream::Main, erase(elsewhere(), &[12], &[])).expect_err("only the server says this");
    assert_eq!(no.code, Code::Forbidden);
}

#[test]
fn a_fork_names_its_point_and_is_refused_where_there_is_none() {
    let mut room = Room::new();
    room.run("server: admit vic as viewer\nana: note one\nana: note two");
    let (one, two) = (room.message("m1"), room.message("m2"));
    let main = room.session.branches()[0].id;
    let mut fork = |who: &str, fork: SessionFork| room.give(who, Stream::Main, Command::SessionFork(fork));
    let at = |message| SessionFork { message: Some(message), ..SessionFork::default() };
    let events = fork("ana", at(one)).expect("forked");
    let E::SessionForked(forked) = &events[0].body else { panic!("a fork") };
    assert_eq!((forked.session, forked.branch, forked.message), (fork_of(events[0].header.id.0), main, Some(one)));
    let refused = |answer: Result<Vec<Event>, Rejection>| answer.expect_err("refused").code;
    assert_eq!(refused(fork("vic", at(one))), Code::Forbidden);
    assert_eq!(refused(fork("ana", at(MessageId::NIL))), Code::NoSuchMessage);
    let both = SessionFork { seq: Some(Seq(3)), checkpoint: Some(roundtable_protocol::CheckpointId::NIL), ..at(two) };
    assert_eq!(refused(fork("ana", both)), Code::InvalidField);
    let nowhere = SessionFork { branch: Some(BranchId::NIL), ..SessionFork::default() };
    assert_eq!(refused(fork("ana", nowhere)), Code::NoSuchBranch);
    let long = SessionFork { title: Some("x".repeat(500)), ..SessionFork::default() };
    assert_eq!(refused(fork("ana", long)), Code::InvalidField);
    let unknown = SessionFork { checkpoint: Some(roundtable_protocol::CheckpointId::NIL), ..SessionFork::default() };
    assert_eq!(refused(fork("ana", unknown)), Code::NoSuchCheckpoint);
    for _ in 1..MAX_FORKS {
        fork("ana", SessionFork::default()).expect("forked");
    }
    assert_eq!(refused(fork("ana", SessionFork::default())), Code::TooManyForks);
    let redact = c::MessageRedact { message: two, reason: None };
    room.give("ana", Stream::Main, Command::MessageRedact(redact)).expect("erased");
    let no = room.give("ana", Stream::Main, Command::SessionFork(at(two))).expect_err("refused");
    assert_eq!(no.code, Code::TooManyForks);
}
