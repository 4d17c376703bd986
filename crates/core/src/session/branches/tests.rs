use roundtable_protocol::branching::RestoreHow;
use roundtable_protocol::command::{self as c, Command};
use roundtable_protocol::event::EventBody as E;
use roundtable_protocol::ids::CheckpointId;
use serde_json::json;

use super::super::tests::Room;
use super::*;

fn post(text: &str) -> MessagePost {
    MessagePost { text: text.to_owned(), ask: Some(false), ..MessagePost::default() }
}

fn room() -> Room {
    let mut room = Room::new();
    room.run("server: admit ben as collaborator\nserver: admit cyd as viewer");
    room
}

fn say(room: &mut Room, who: &str, post: MessagePost) -> Result<Vec<Event>, Rejection> {
    room.give(who, Stream::Main, Command::MessagePost(post))
}

fn said(events: &[Event]) -> MessageId {
    MessageId(events[0].header.id.0)
}

fn texts(room: &Room, branch: BranchId) -> Vec<String> {
    let text = |id: MessageId| {
        let posted = room.log.iter().find(|e| e.header.id.0 == id.0);
        posted.map_or("an answer".to_owned(), |e| match &e.body {
            E::MessagePosted(data) => data.text.clone(),
            _ => String::new(),
        })
    };
    let mut path: Vec<u64> = room.session.path(branch).collect();
    path.reverse();
    path.into_iter().filter_map(|n| room.session.message_at(n)).map(text).collect()
}

fn main(room: &Room) -> BranchId {
    room.session.branches()[0].id
}

fn merge(room: &Room, from: BranchId, how: MergeHow) -> BranchMerge {
    let into = main(room);
    BranchMerge { into, from, how, if_head: None, messages: vec![], text: None, question: None, said: vec![] }
}

/// Ana said one and two; on a branch behind one, Ben said other.
fn forked() -> (Room, [MessageId; 3], BranchId) {
    let mut room = room();
    let one = said(&say(&mut room, "ana", post("one")).expect("said"));
    let two = said(&say(&mut room, "ana", post("two")).expect("said"));
    let other = MessagePost { parent: Some(one), if_head_moved: HeadMoved::Fork, ..post("other") };
    let other = said(&say(&mut room, "ben", other).expect("said"));
    let branch = room.session.branches()[1].id;
    (room, [one, two, other], branch)
}

#[test]
fn a_plain_conversation_is_one_line_and_says_nothing_of_parents() {
    let mut room = room();
    room.run("ana: note one\nben: side beside\nana: ask two\nserver: claim t1\nserver: write x\nserver: complete");
    for event in &room.log {
        let parent = match &event.body {
            E::MessagePosted(data) => data.parent,
            E::TurnStarted(data) => data.parent,
            _ => None,
        };
        assert_eq!((parent, event.header.branch), (None, None), "{event:?}");
    }
    assert_eq!(texts(&room, main(&room)), ["one", "two", "an answer"]);
    assert_eq!(room.session.branches().len(), 1);
}

#[test]
fn what_becomes_of_a_message_whose_author_was_behind_is_theirs_to_choose() {
    let (mut room, [one, two, other], branch) = forked();
    assert_eq!(texts(&room, branch), ["one", "other"]);
    let behind = |policy| MessagePost { parent: Some(one), if_head_moved: policy, ..post("late") };
    let no = say(&mut room, "ben", behind(HeadMoved::Reject)).expect_err("somebody was quicker");
    assert_eq!((no.code, no.pointer), (Code::HeadMoved, Some("/parent")));
    say(&mut room, "ben", behind(HeadMoved::Append)).expect("follows the newest");
    assert_eq!(texts(&room, main(&room)), ["one", "two", "late"]);
    let current = MessagePost { branch: Some(branch), parent: Some(other), ..post("on the branch") };
    say(&mut room, "ana", MessagePost { if_head_moved: HeadMoved::Reject, ..current }).expect("nobody was quicker");
    assert_eq!(texts(&room, branch), ["one", "other", "on the branch"]);
    let wrong = MessagePost { branch: Some(branch), parent: Some(two), ..post("lost") };
    assert_eq!(say(&mut room, "ana", wrong).expect_err("another branch's").code, Code::InvalidField);
}

#[test]
fn a_sibling_stands_beside_the_other_wording_and_cuts_nothing_off() {
    let (mut room, [one, two, other], _) = forked();
    let third = said(&say(&mut room, "ana", MessagePost { sibling_of: Some(two), ..post("third") }).expect("said"));
    assert_eq!(room.session.siblings(two), [two, other, third]);
    let begin = said(&say(&mut room, "ana", MessagePost { sibling_of: Some(one), ..post("anew") }).expect("said"));
    assert_eq!(room.session.siblings(one), [one, begin]);
    assert_eq!(room.session.parent(begin), None);
    assert_eq!(texts(&room, main(&room)), ["one", "two"], "what was there stays");
    let no = say(&mut room, "cyd", MessagePost { sibling_of: Some(one), ..post("x") }).expect_err("a viewer");
    assert_eq!(no.code, Code::Forbidden);
}

#[test]
fn a_question_is_answered_on_its_own_branch() {
    let (mut room, [one, ..], branch) = forked();
    let ask = MessagePost { ask: Some(true), branch: Some(branch), ..post("why?") };
    let question = said(&say(&mut room, "ben", ask).expect("asked"));
    room.run("ana: note meanwhile\nserver: claim t1\nserver: write because\nserver: complete");
    assert_eq!(texts(&room, branch), ["one", "other", "why?", "an answer"]);
    assert_eq!(texts(&room, main(&room)), ["one", "two", "meanwhile"]);
    let turns = room.log.iter().filter(|e| e.body.kind().starts_with("turn."));
    assert!(turns.into_iter().all(|e| e.header.branch == Some(branch)));
    let again = Command::TurnAsk(c::TurnAsk { message: question, sibling: true });
    room.give("ben", Stream::Main, again).expect("another answer");
    room.run("server: claim t2\nserver: write since\nserver: complete");
    let newest = room.session.branches()[2].clone();
    assert_eq!((newest.fork_message, texts(&room, newest.id).len()), (Some(question), 4));
    assert_eq!(room.session.siblings(newest.head.expect("an answer")).len(), 2);
    assert_eq!(room.session.parent(question).and_then(|id| room.session.parent(id)), Some(one));
}

#[test]
fn branches_are_compared_by_what_each_has_alone() {
    let (room, [one, two, other], branch) = forked();
    let both = room.session.compare(main(&room), branch).expect("both are there");
    assert_eq!(both, Compared { ancestor: Some(one), only_a: vec![two], only_b: vec![other] });
    let same = room.session.compare(branch, branch).expect("it is there");
    assert_eq!((same.ancestor, same.only_a.len() + same.only_b.len()), (Some(other), 0));
    assert_eq!(room.session.compare(branch, BranchId::NIL), None);
}

#[test]
fn a_branch_begins_at_a_message_or_a_seq_and_never_at_an_erased_one() {
    let (mut room, [one, two, _], branch) = forked();
    let create = |message, seq| Command::BranchCreate(BranchCreate { message, seq, ..BranchCreate::default() });
    room.give("ben", Stream::Main, create(Some(one), None)).expect("made");
    let at = room.session.branches()[2].clone();
    assert_eq!((at.head, at.fork_message, at.name.as_str()), (Some(one), Some(one), "branch 3"));
    let seq = room.log.iter().find(|e| e.header.id.0 == two.0).expect("posted").seq;
    assert_eq!(at.fork_seq, Seq(seq.0 - 1), "the context of before the next message");
    room.give("ben", Stream::Main, create(None, Some(Seq(seq.0 - 1)))).expect("made");
    assert_eq!(room.session.branches()[3].head, Some(one));
    let no = room.give("ben", Stream::Main, create(None, Some(Seq(9_999)))).expect_err("not yet");
    assert_eq!((no.code, no.pointer), (Code::InvalidField, Some("/seq")));
    let no = room.give("ben", Stream::Main, create(Some(MessageId::NIL), None)).expect_err("unknown");
    assert_eq!((no.code, no.pointer), (Code::NoSuchMessage, Some("/message")));
    room.run("ana: redact m1");
    let no = room.give("ben", Stream::Main, create(Some(one), None)).expect_err("erased");
    assert_eq!(no.code, Code::MessageIsRedacted);
    assert_eq!(texts(&room, branch).len(), 2, "what stands behind it stays");
}

#[test]
fn adopting_moves_a_head_and_takes_back_the_questions_that_it_leaves() {
    let (mut room, [one, two, other], branch) = forked();
    room.run("ana: ask on the main one");
    let adopt = |room: &Room| Command::BranchMerge(merge(room, branch, MergeHow::Adopt));
    let command = adopt(&room);
    let no = room.give("ben", Stream::Main, command).expect_err("it is not his");
    assert_eq!(no.code, Code::NotYourBranch);
    let behind = BranchMerge { if_head: Some(two), ..merge(&room, branch, MergeHow::Adopt) };
    let no = room.give("ana", Stream::Main, Command::BranchMerge(behind)).expect_err("a question came since");
    assert_eq!(no.code, Code::HeadMoved);
    let command = adopt(&room);
    let events = room.give("ana", Stream::Main, command).expect("adopted");
    assert_eq!(events.iter().map(|e| e.body.kind()).collect::<Vec<_>>(), ["branch.merged", "turn.withdrawn"]);
    assert_eq!(texts(&room, main(&room)), ["one", "other"]);
    assert_eq!(room.session.siblings(two), [two, other], "nothing is cut off");
    let command = adopt(&room);
    assert_eq!(room.give("ana", Stream::Main, command).expect_err("is so").code, Code::NothingToMerge);
    assert_eq!(room.session.parent(other), Some(one));
}

#[test]
fn picked_messages_are_copies_that_are_erased_with_the_original() {
    let (mut room, [one, _, other], branch) = forked();
    let said = |id| Said { message: id, text: "other".to_owned(), attachments: vec![], data: None };
    let pick = |room: &Room, id| BranchMerge {
        messages: vec![id],
        said: vec![said(id)],
        ..merge(room, branch, MergeHow::Pick)
    };
    let shared = Command::BranchMerge(pick(&room, one));
    assert_eq!(room.give("ben", Stream::Main, shared).expect_err("on both").code, Code::InvalidField);
    let command = Command::BranchMerge(pick(&room, other));
    let events = room.give("ana", Stream::Main, command).expect("picked");
    let copy = MessageId(events[1].header.id.0);
    let E::MessagePosted(posted) = &events[1].body else { panic!("a copy") };
    let author = roundtable_protocol::Actor::Participant(room.participant("ben"));
    assert_eq!(posted.copied_from, Some(super::super::CopiedFrom { message: other, author, there: None }));
    assert_eq!(texts(&room, main(&room)), ["one", "two", "other"]);
    let edit = Command::MessageEdit(c::MessageEdit { message: copy, text: "her words".to_owned() });
    assert_eq!(room.give("ana", Stream::Main, edit).expect_err("his words").code, Code::NotYourMessage);
    let erase = Command::MessageRedact(c::MessageRedact { message: other, reason: None });
    room.give("ben", Stream::Main, erase).expect("erased");
    assert!([other, copy].iter().all(|id| room.session.message(*id).is_some_and(|m| m.redacted)));
    let seq = events[1].seq;
    assert!(room.last.redactions.contains(&(Stream::Main, seq)), "the copy's text goes too");
}

#[test]
fn a_summary_is_given_or_asked_of_the_assistant_who_reads_the_other_branch() {
    let (mut room, _, branch) = forked();
    let text = Some("they agree".to_owned());
    let given = Command::BranchMerge(BranchMerge { text, ..merge(&room, branch, MergeHow::Summary) });
    room.give("ben", Stream::Main, given).expect("given");
    assert_eq!(texts(&room, main(&room)), ["one", "two", "they agree"]);
    let asked = Command::BranchMerge(merge(&room, branch, MergeHow::Summary));
    room.give("ben", Stream::Main, asked).expect("asked");
    let on = room.session.queue()[0].on;
    assert_eq!((on.reads, room.session.queue().len()), (Some(branch), 1));
    room.run("server: claim t1\nserver: write so\nserver: complete");
    assert_eq!(texts(&room, main(&room)).len(), 5);
    assert_eq!(texts(&room, branch), ["one", "other"], "nothing is written on the other one");
}

#[test]
fn a_branch_that_is_put_away_takes_nothing_and_its_questions_go() {
    let (mut room, _, branch) = forked();
    let ask = MessagePost { ask: Some(true), branch: Some(branch), ..post("why?") };
    say(&mut room, "ben", ask).expect("asked");
    let archive = |branch, archived| Command::BranchArchive(BranchArchive { branch, archived });
    let events = room.give("ben", Stream::Main, archive(branch, true)).expect("his own");
    assert_eq!(events.len(), 2, "and the question is taken back");
    let late = MessagePost { branch: Some(branch), ..post("late") };
    assert_eq!(say(&mut room, "ben", late).expect_err("away").code, Code::BranchIsArchived);
    let first = main(&room);
    assert_eq!(room.give("ana", Stream::Main, archive(first, true)).expect_err("stays").code, Code::MainBranchStays);
    assert_eq!(
        room.give("ana", Stream::Main, archive(BranchId::NIL, true)).expect_err("none").code,
        Code::NoSuchBranch
    );
    room.give("ana", Stream::Main, archive(branch, false)).expect("taken out");
    say(&mut room, "ben", MessagePost { branch: Some(branch), ..post("again") }).expect("open");
}

#[test]
fn a_checkpoint_comes_back_as_a_branch_or_in_place_and_no_right_with_it() {
    let (mut room, [one, two, other], branch) = forked();
    room.run("ana: checkpoint Here");
    let point = room.session.checkpoints().next().expect("made").checkpoint.clone();
    assert_eq!(point.heads.len(), 2);
    room.run("ana: note later\nana: role ben viewer\nana: remove cyd");
    say(&mut room, "ana", MessagePost { branch: Some(branch), ..post("later there") }).expect("said");
    let restore = |how| {
        let checkpoint = point.id;
        Command::CheckpointRestore(c::CheckpointRestore { checkpoint, how, branch: None, name: None, then: vec![] })
    };
    let roles = room.session.roles_rev();
    room.give("ana", Stream::Main, restore(RestoreHow::Branch)).expect("as a branch");
    let made = room.session.branches()[2].clone();
    assert_eq!((made.name.as_str(), made.head, made.fork_message), ("Here", Some(two), Some(two)));
    room.give("ana", Stream::Main, restore(RestoreHow::InPlace)).expect("in place");
    assert_eq!(texts(&room, main(&room)), ["one", "two"]);
    assert_eq!(texts(&room, branch), ["one", "other"]);
    assert_eq!(room.session.roles_rev(), roles);
    assert_eq!(room.session.message(other).map(|m| m.redacted), Some(false));
    let no = room.give("ana", Stream::Main, restore(RestoreHow::InPlace)).expect_err("is so already");
    assert_eq!(no.code, Code::AlreadyRecorded);
    let unknown = c::CheckpointRestore {
        checkpoint: CheckpointId::NIL,
        how: RestoreHow::Branch,
        branch: None,
        name: None,
        then: vec![],
    };
    let no = room.give("ana", Stream::Main, Command::CheckpointRestore(unknown)).expect_err("unknown");
    assert_eq!(no.code, Code::NoSuchCheckpoint);
    assert_eq!(room.session.parent(two), Some(one));
}

fn write(room: &mut Room, who: &str, branch: Option<BranchId>, value: serde_json::Value) -> Result<Seq, Rejection> {
    let data = c::ContextPatch { branch, merge: Some(value), ..c::ContextPatch::default() };
    room.give(who, Stream::Main, Command::ContextPatch(data)).map(|events| events[0].seq)
}

fn context(room: &Room, branch: BranchId) -> serde_json::Value {
    room.session.context_value(Some(branch), "").expect("a document")
}

fn create(room: &mut Room, create: BranchCreate) -> BranchId {
    BranchId(room.give("ben", Stream::Main, Command::BranchCreate(create)).expect("begun")[0].header.id.0)
}

#[test]
fn a_branch_begins_with_the_context_of_its_fork_and_neither_sees_the_others_writes() {
    let mut room = room();
    write(&mut room, "ana", None, json!({"a": 1})).expect("written");
    let one = said(&say(&mut room, "ana", post("one")).expect("said"));
    let version = write(&mut room, "ana", None, json!({"b": 2})).expect("written");
    say(&mut room, "ana", post("two")).expect("said");
    write(&mut room, "ana", None, json!({"c": 3})).expect("written");
    let branch = create(&mut room, BranchCreate { message: Some(one), ..BranchCreate::default() });
    assert_eq!(context(&room, branch), json!({"a": 1, "b": 2}), "what was there before the next message");
    assert_eq!(room.session.context_version(Some(branch)), version);
    let by_seq = create(&mut room, BranchCreate { seq: Some(Seq(version.0 - 1)), ..BranchCreate::default() });
    assert_eq!(context(&room, by_seq), json!({"a": 1}), "a seq means just that seq");

    write(&mut room, "ben", Some(branch), json!({"b": 9})).expect("written");
    write(&mut room, "ana", None, json!({"a": 7})).expect("written");
    let main = main(&room);
    assert_eq!(context(&room, branch), json!({"a": 1, "b": 9}));
    assert_eq!(context(&room, main), json!({"a": 7, "b": 2, "c": 3}));
    let compared = room.session.compare_context(main, branch).expect("both are there");
    let differ: Vec<(&str, Option<i64>, Option<i64>)> = compared
        .differences
        .iter()
        .map(|d| (d.path.as_str(), d.a.as_ref().and_then(|v| v.as_i64()), d.b.as_ref().and_then(|v| v.as_i64())))
        .collect();
    assert_eq!(differ, [("/a", Some(7), Some(1)), ("/b", Some(2), Some(9)), ("/c", Some(3), None)]);

    let event = room.log.last().expect("events").header.id;
    let back = c::ContextRevert { branch: Some(branch), event: Some(event), ..c::ContextRevert::default() };
    let no = room.give("ana", Stream::Main, Command::ContextRevert(back)).expect_err("a write of another branch");
    assert_eq!(no.code, Code::NotFound);
    let no = write(&mut room, "ben", Some(BranchId::NIL), json!({"b": 9})).expect_err("no such branch");
    assert_eq!((no.code, no.pointer), (Code::NoSuchBranch, Some("/branch")));
    room.give("ben", Stream::Main, Command::BranchArchive(BranchArchive { branch, archived: true })).expect("put away");
    let no = write(&mut room, "ben", Some(branch), json!({"b": 1})).expect_err("put away");
    assert_eq!(no.code, Code::BranchIsArchived);
}

#[test]
fn a_writer_on_a_branch_conflicts_with_writes_on_that_branch_alone() {
    let mut room = room();
    let base = write(&mut room, "ana", None, json!({"a": 1})).expect("written");
    let branch = create(&mut room, BranchCreate::default());
    write(&mut room, "ana", None, json!({"a": 2})).expect("written");
    let on = |branch, value: i64| {
        let merge = Some(json!({ "a": value }));
        Command::ContextPatch(c::ContextPatch { branch, base: Some(base), merge, ..c::ContextPatch::default() })
    };
    room.give("ben", Stream::Main, on(Some(branch), 3)).expect("nobody has written there");
    assert!(room.last.refused.is_none());
    let refused = room.give("ana", Stream::Main, on(Some(branch), 4)).expect("recorded");
    assert_eq!(refused[0].header.branch, Some(branch));
    assert_eq!(room.last.refused.as_ref().map(|p| p.code), Some(Code::ContextConflict));
}

#[test]
fn adopting_a_branch_takes_its_context_by_a_write_picking_and_summing_up_leave_it() {
    let (mut room, [_, _, other], branch) = forked();
    write(&mut room, "ana", None, json!({"a": 1, "only": true})).expect("written");
    write(&mut room, "ben", Some(branch), json!({"a": 2, "deep": {"er": [1]}})).expect("written");
    let before = (context(&room, main(&room)), context(&room, branch));
    let said = vec![Said { message: other, text: "other".to_owned(), attachments: vec![], data: None }];
    let pick = BranchMerge { messages: vec![other], said, ..merge(&room, branch, MergeHow::Pick) };
    let summary = BranchMerge { text: Some("in short".into()), ..merge(&room, branch, MergeHow::Summary) };
    for merge in [pick, summary] {
        room.give("ben", Stream::Main, Command::BranchMerge(merge)).expect("merged");
        assert_eq!((context(&room, main(&room)), context(&room, branch)), before);
    }
    let version = room.session.context_version(None);
    let adopt = merge(&room, branch, MergeHow::Adopt);
    let events = room.give("ana", Stream::Main, Command::BranchMerge(adopt)).expect("merged");
    let E::ContextPatched(patched) = &events.last().expect("events").body else { panic!("a write: {events:?}") };
    assert_eq!((patched.base, events.last().expect("events").header.branch), (Some(version), None));
    assert_eq!(context(&room, main(&room)), before.1);
    assert_eq!(context(&room, branch), before.1);
    assert_eq!(room.session.context_value_at(None, "", version).expect("kept"), before.0, "nothing is lost");
}

#[test]
fn going_back_in_place_takes_the_context_back_by_a_new_write_and_a_branch_forks_it() {
    let (mut room, _, branch) = forked();
    write(&mut room, "ana", None, json!({"a": 1})).expect("written");
    write(&mut room, "ben", Some(branch), json!({"b": 1})).expect("written");
    let then = (context(&room, main(&room)), context(&room, branch));
    let point = c::CheckpointCreate { name: "here".to_owned() };
    let point = room.give("ana", Stream::Main, Command::CheckpointCreate(point)).expect("made");
    let E::CheckpointCreated(made) = &point[0].body else { panic!("a checkpoint") };
    let versions: Vec<Option<Seq>> = made.checkpoint.heads.iter().map(|head| head.context).collect();
    assert_eq!(versions, [Some(room.session.context_version(None)), Some(room.session.context_version(Some(branch)))]);
    assert_eq!(made.checkpoint.context, versions[0]);
    let checkpoint = made.checkpoint.id;

    write(&mut room, "ana", None, json!({"a": null, "new": [1, 2]})).expect("written");
    write(&mut room, "ben", Some(branch), json!({"b": 2})).expect("written");
    let restore = |how| {
        Command::CheckpointRestore(c::CheckpointRestore { checkpoint, how, branch: None, name: None, then: vec![] })
    };
    let made = room.give("ben", Stream::Main, restore(RestoreHow::Branch)).expect("as a branch");
    assert_eq!(context(&room, BranchId(made[0].header.id.0)), then.0);
    assert_ne!(context(&room, main(&room)), then.0, "nothing else changes");

    let events = room.give("ana", Stream::Main, restore(RestoreHow::InPlace)).expect("in place");
    assert_eq!((context(&room, main(&room)), context(&room, branch)), then);
    let writes: Vec<_> =
        events.iter().filter_map(|e| if let E::ContextPatched(d) = &e.body { Some(d) } else { None }).collect();
    assert!(writes.len() == 2 && writes.iter().all(|data| data.reverts.len() == 1), "{events:?}");
    let again = room.give("ana", Stream::Main, restore(RestoreHow::InPlace)).expect_err("all is there");
    assert_eq!(again.code, Code::AlreadyRecorded);
}

#[test]
fn a_context_larger_than_an_event_comes_back_in_several_writes_of_one_decision() {
    let mut room = room();
    let point = c::CheckpointCreate { name: "empty".to_owned() };
    let full = c::CheckpointCreate { name: "full".to_owned() };
    let empty =
        CheckpointId(room.give("ana", Stream::Main, Command::CheckpointCreate(point)).expect("made")[0].header.id.0);
    for i in 0..14 {
        write(&mut room, "ana", None, json!({"big": {format!("k{i}"): "x".repeat(60_000)}})).expect("written");
    }
    let then = context(&room, main(&room));
    let full =
        CheckpointId(room.give("ana", Stream::Main, Command::CheckpointCreate(full)).expect("made")[0].header.id.0);
    for (checkpoint, wanted, least) in [(empty, json!({}), 1), (full, then, 2)] {
        let (how, branch, name) = (RestoreHow::InPlace, None, None);
        let restore = Command::CheckpointRestore(c::CheckpointRestore { checkpoint, how, branch, name, then: vec![] });
        let events = room.give("ana", Stream::Main, restore).expect("in place");
        assert!(events.len() > least);
        for event in &events {
            assert!(serde_json::to_vec(&event.body).expect("JSON").len() < 900_000, "an event fits into a frame");
        }
        assert_eq!(context(&room, main(&room)), wanted);
    }
}
