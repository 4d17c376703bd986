//! Who gets as far as the rules: doors, grants, membership, permission.

use super::*;
use crate::permission;

fn code(result: Result<Vec<Event>, Rejection>) -> &'static str {
    result.map_or_else(|no| no.code.name(), |_| "ok")
}

fn note() -> Command {
    Command::MessagePost(c::MessagePost { text: "hi".to_owned(), ask: Some(false), ..Default::default() })
}

#[test]
fn a_session_without_its_first_event_is_not_there() {
    let mut room = Room::new();
    room.session = Session::empty(SessionId(Uuid::from_u128(2)));
    assert_eq!(code(room.give("ana", Stream::Main, note())), "not_found");
}

#[test]
fn what_only_the_server_says_is_refused_from_people() {
    let mut room = Room::new();
    room.run("ana: ask one");
    let all = room.session.participants().map(|p| p.user_id).collect::<Vec<_>>();
    assert_eq!(all.len(), 2);
    let mut grant = room.grant("ana");
    grant.mask = P::ALL.into_iter().collect();
    for line in ["claim t1", "admit ben as viewer", "write x", "complete", "fail x y", "lose"] {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (stream, command) = room.command("ana", verb, rest);
        assert!(command.is_internal());
        assert_eq!(code(room.give_with("ana", &grant, stream, command)), "forbidden", "{line}");
    }
}

#[test]
fn a_grant_of_another_revision_or_past_its_time_is_stale() {
    let mut room = Room::new();
    let old = room.grant("ana");
    room.run("server: admit ben as collaborator");
    assert_eq!(code(room.give_with("ana", &old, Stream::Main, note())), "stale_grant");
    let mut timed = room.grant("ana");
    timed.valid_until = Some(room.now);
    assert_eq!(code(room.give_with("ana", &timed, Stream::Main, note())), "stale_grant");
    timed.valid_until = room.now.checked_add(Duration::from_millis(1)).ok();
    assert_eq!(code(room.give_with("ana", &timed, Stream::Main, note())), "ok");
}

#[test]
fn who_is_not_in_learns_why() {
    let mut room = Room::new();
    room.run("server: admit ben as collaborator\nserver: admit eve as collaborator\nben: leave\nana: remove eve");
    assert_eq!(code(room.give("dan", Stream::Main, note())), "not_a_participant");
    assert_eq!(code(room.give("ben", Stream::Main, note())), "not_a_participant");
    assert_eq!(code(room.give("eve", Stream::Main, note())), "removed");
}

#[test]
fn side_chat_has_its_own_permission() {
    let mut room = Room::new();
    let mut grant = room.grant("ana");
    grant.mask = mask(&[P::SessionView, P::MessagePost]);
    assert_eq!(code(room.give_with("ana", &grant, Stream::Side, note())), "forbidden");
    assert_eq!(code(room.give_with("ana", &grant, Stream::Main, note())), "ok");
    grant.mask = mask(&[P::SessionView, P::SidePost]);
    assert_eq!(code(room.give_with("ana", &grant, Stream::Main, note())), "forbidden");
    assert_eq!(code(room.give_with("ana", &grant, Stream::Side, note())), "ok");
    let edit =
        |room: &Room| Command::MessageEdit(c::MessageEdit { message: room.message("m1"), text: "in main".to_owned() });
    let main = edit(&room);
    assert_eq!(code(room.give_with("ana", &grant, Stream::Side, main)), "forbidden", "the message's stream counts");
}

#[test]
fn a_message_in_a_stream_that_one_may_not_read_is_not_there() {
    let mut room = Room::new();
    room.run("ana: side secret");
    let mut grant = room.grant("ana");
    grant.streams = StreamSet::EMPTY.with(Stream::Main);
    let mark = Command::DecisionRecord(c::DecisionRecord { message: room.message("m1") });
    assert_eq!(code(room.give_with("ana", &grant, Stream::Main, mark)), "no_such_message");
}

#[test]
fn a_viewer_may_only_go() {
    check(
        r#"server: admit eve as viewer
           ana: note hello
           ana: ask something
           eve: say hi
           eve: side hi
           eve: again m1
           eve: mark m1
           eve: redact m1
           eve: withdraw t1
           eve: rename mine
           eve: settings {}
           eve: remove ana
           eve: role ana viewer
           eve: end
           eve: leave"#,
        expect![[r#"
            server: admit eve as viewer
              main participant.joined by eve: "eve" as viewer
            ana: note hello
              main message.posted by ana
            ana: ask something
              main message.posted by ana ask
              main turn.queued by ana: t1
            eve: say hi
              ! forbidden - Your role does not allow this
            eve: side hi
              ! forbidden - Your role does not allow this
            eve: again m1
              ! forbidden - Your role does not allow this
            eve: mark m1
              ! forbidden - Your role does not allow this
            eve: redact m1
              ! forbidden - Your role does not allow this
            eve: withdraw t1
              ! forbidden - Your role does not allow this
            eve: rename mine
              ! forbidden - Your role does not allow this
            eve: settings {}
              ! forbidden - Your role does not allow this
            eve: remove ana
              ! forbidden - Your role does not allow this
            eve: role ana viewer
              ! forbidden - Your role does not allow this
            eve: end
              ! forbidden - Your role does not allow this
            eve: leave
              main participant.left by eve
        "#]],
    );
}

#[test]
fn the_drivers_permission_covers_exactly_the_drivers_commands() {
    let room = Room::new();
    let mut by_permission: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let lines = [
        "start",
        "rename x",
        "details {}",
        "settings {}",
        "end",
        "admit b as viewer",
        "leave",
        "remove b",
        "role b viewer",
        "say x",
        "side x",
        "edit m1 x",
        "redact m1",
        "mark m1",
        "unmark m1",
        "again m1",
        "change t1 x",
        "withdraw t1",
        "stop t1",
        "claim t1",
        "write x",
        "complete",
        "fail x y",
        "lose",
        "pause",
        "resume",
        "detach",
        "expire 60",
        "fault x y",
        "attach ana",
        "miss",
        "archive",
    ];
    for line in lines {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (stream, command) = room.command("ana", verb, rest);
        by_permission.entry(format!("{:?}", permission(&command, stream))).or_default().push(command.name());
    }
    let mut told = String::new();
    for (permission, commands) in by_permission {
        writeln!(told, "{permission}: {}", commands.join(" ")).expect("a string");
    }
    expect![[r#"
        DecisionRecord: decision.record decision.withdraw
        MessagePost: message.post message.edit message.redact
        ParticipantBe: participant.leave
        ParticipantChangeRole: participant.change_role
        ParticipantJoin: participant.join
        ParticipantRemove: participant.remove
        SessionChange: session.start session.rename session.change_details session.change_settings session.detach session.change_expiry
        SessionEnd: session.end session.fail
        SessionPause: session.pause session.resume
        SidePost: message.post
        TurnDrive: turn.start turn.progress turn.complete turn.fail turn.lose session.attach session.miss_host session.archive
        TurnPrompt: turn.ask turn.edit turn.withdraw
        TurnStop: turn.stop
    "#]]
    .assert_eq(&told);
}

#[test]
fn seen_is_of_the_events_own_stream_and_never_ahead_of_it() {
    let mut room = Room::new();
    let events = room.give("ana", Stream::Main, note()).expect("allowed");
    assert_eq!(events[0].header.seen, Some(Seq(4)), "the caller said 999");
    let mut side = room.give("ana", Stream::Side, note()).expect("allowed");
    assert_eq!(side.remove(0).header.seen, Some(Seq(0)));
    let edit = Command::MessageEdit(c::MessageEdit { message: room.message("m2"), text: "x".to_owned() });
    let events = room.give("ana", Stream::Main, edit).expect("allowed");
    assert_eq!((events[0].stream, events[0].header.seen), (Stream::Side, None));
}

#[test]
fn every_rejection_becomes_a_problem_that_names_its_field() {
    let problem: roundtable_protocol::Problem = Rejection::field("/text", Code::TextEmpty, "write something").into();
    assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "/text"));
}
