use super::super::tests::{Room, check};
use super::*;
use expect_test::expect;
use roundtable_protocol::event::EventBody;

#[test]
fn a_turn_from_question_to_answer() {
    let mut room = Room::new();
    let told = room.run(
        "server: admit ben as collaborator
         ben: ask what?
         server: look
         server: claim t1
         server: look
         server: write Hel
         server: write lo 😀
         server: write
         server: complete
         server: complete
         server: look",
    );
    expect![[r#"
        server: admit ben as collaborator
          main participant.joined by ben: "ben" as collaborator
        ben: ask what?
          main message.posted by ben ask
          main turn.queued by ben: t1
        server: look
          active, running none, queue [t1], owed [t1]
        server: claim t1
          main turn.started by Guide: t1
        server: look
          active, running t1, queue [], owed []
        server: write Hel
          main turn.progressed by Guide: 0 "Hel"
        server: write lo 😀
          main turn.progressed by Guide: 3 "lo 😀"
        server: write
          main turn.progressed by Guide: 8 ""
        server: complete
          main turn.completed by Guide: t1 length 8
        server: complete
          ! stale_lease - The claim on this turn has passed to somebody else
        server: look
          active, running none, queue [], owed []
    "#]]
    .assert_eq(&told);
    let question = EventId(room.message("m1").0);
    let about_turn = |e: &&Event| e.body.kind().starts_with("turn.");
    assert!(room.log.iter().filter(about_turn).all(|e| e.header.causes == [question]));
    let driven = |e: &&Event| e.header.actor == Actor::Participant(room.participant("guide"));
    assert_eq!(room.log.iter().filter(driven).count(), 5);
    assert!(room.log.iter().filter(driven).all(|e| e.header.on_behalf_of == Some(room.participant("ben"))));
}

#[test]
fn only_the_claim_writes() {
    check(
        "server: claim t1
         ana: ask one
         ana: ask two
         server: claim t2
         server: claim t1
         server: claim t1
         server: claim t2
         server: stale x
         server: skip x
         server: write x
         server: lose
         server: write x
         server: claim t2
         server: fail model_error it broke
         server: lose",
        expect![[r#"
            server: claim t1
              ! no_such_turn/turn - there is no such turn; it has probably ended
            ana: ask one
              main message.posted by ana ask
              main turn.queued by ana: t1
            ana: ask two
              main message.posted by ana ask
              main turn.queued by ana: t2
            server: claim t2
              ! illegal_transition - only the next turn is started, and only when none is running
            server: claim t1
              main turn.started by Guide: t1
            server: claim t1
              ! turn_already_started - The answer has begun
            server: claim t2
              ! illegal_transition - only the next turn is started, and only when none is running
            server: stale x
              ! stale_lease - The claim on this turn has passed to somebody else
            server: skip x
              ! invalid_field/offset - the recorded text has 0 UTF-16 code units
            server: write x
              main turn.progressed by Guide: 0 "x"
            server: lose
              main turn.lost by system: t1 length 1
            server: write x
              ! stale_lease - The claim on this turn has passed to somebody else
            server: claim t2
              main turn.started by Guide: t2
            server: fail model_error it broke
              main turn.failed by Guide: t2 length 0 model_error
            server: lose
              ! stale_lease - The claim on this turn has passed to somebody else
        "#]],
    );
}

#[test]
fn a_claim_that_is_not_renewed_is_lost() {
    check(
        "ana: ask one
         ana: ask two
         server: claim t1
         server: write a
         server: wait 14
         server: write b
         server: wait 14
         server: wait 1
         server: look",
        expect![[r#"
            ana: ask one
              main message.posted by ana ask
              main turn.queued by ana: t1
            ana: ask two
              main message.posted by ana ask
              main turn.queued by ana: t2
            server: claim t1
              main turn.started by Guide: t1
            server: write a
              main turn.progressed by Guide: 0 "a"
            server: wait 14
              .
            server: write b
              main turn.progressed by Guide: 1 "b"
            server: wait 14
              .
            server: wait 1
              main turn.lost by system: t1 length 2
            server: look
              active, running none, queue [t2], owed [t2]
        "#]],
    );
}

#[test]
fn whoever_must_look_again_is_told_when() {
    let mut room = Room::new();
    assert_eq!(room.session.wake_at(room.now), None);
    room.run("ana: ask one");
    assert_eq!(room.session.wake_at(room.now), Some(room.now), "a turn is owed");
    room.run("server: claim t1");
    let until = room.now.checked_add(LEASE).expect("a time");
    assert_eq!((room.session.wake_at(room.now), room.session.next_deadline()), (Some(until), Some(until)));
    room.run("server: complete");
    assert_eq!(room.session.wake_at(room.now), None);
}

#[test]
fn the_queue_goes_round_by_person() {
    check(
        "server: admit ben as collaborator
         server: admit eve as collaborator
         ana: ask a1
         ana: ask a2
         ana: ask a3
         ben: ask b1
         eve: ask e1
         ben: ask b2
         server: look
         ana: ask a4
         server: claim t1
         eve: ask e2
         ana: ask a4
         server: look",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            server: admit eve as collaborator
              main participant.joined by eve: "eve" as collaborator
            ana: ask a1
              main message.posted by ana ask
              main turn.queued by ana: t1
            ana: ask a2
              main message.posted by ana ask
              main turn.queued by ana: t2
            ana: ask a3
              main message.posted by ana ask
              main turn.queued by ana: t3
            ben: ask b1
              main message.posted by ben ask
              main turn.queued by ben: t4 before t2
            eve: ask e1
              main message.posted by eve ask
              main turn.queued by eve: t5 before t2
            ben: ask b2
              main message.posted by ben ask
              main turn.queued by ben: t6 before t3
            server: look
              active, running none, queue [t1 t4 t5 t2 t6 t3], owed [t1]
            ana: ask a4
              ! queue_full - 3 of your questions wait already; wait for an answer or take one back
            server: claim t1
              main turn.started by Guide: t1
            eve: ask e2
              main message.posted by eve ask
              main turn.queued by eve: t7
            ana: ask a4
              main message.posted by ana ask
              main turn.queued by ana: t8
            server: look
              active, running t1, queue [t4 t5 t2 t6 t3 t7 t8], owed []
        "#]],
    );
}

#[test]
fn the_queue_has_an_end() {
    let mut room = Room::new();
    for i in 0..8 {
        let told = room.run(&format!(
            "server: admit p{i} as collaborator
             p{i}: ask 1
             p{i}: ask 2
             p{i}: ask 3"
        ));
        assert_eq!(told.matches("queue_full").count(), [0, 0, 0, 0, 0, 0, 1, 3][i], "{told}");
    }
    assert_eq!(room.session.queue().len(), MAX_QUEUED);
    assert!(room.run("p7: say @Guide help").contains("queue_full"), "addressed: refused rather than silently unasked");
    room.run(r#"ana: settings {"respond": "always"}"#);
    let told = room.run("p7: say just talking");
    assert!(told.ends_with("main message.posted by p7\n"), "not addressed: posted unasked; {told}");
}

#[test]
fn only_who_asked_changes_what_is_asked() {
    check(
        "server: admit ben as collaborator
         server: admit mo as moderator
         ben: ask one
         mo: change t1 two
         ben: change t1 two
         ben: edit m1 three
         ben: change t1
         ana: again m1
         ana: note mine
         ben: again m2
         ben: change t2 yours
         server: claim t1
         ben: change t1 late
         ben: change t9 never",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            server: admit mo as moderator
              main participant.joined by mo: "mo" as moderator
            ben: ask one
              main message.posted by ben ask
              main turn.queued by ben: t1
            mo: change t1 two
              ! not_your_turn - Only who asked, or a moderator, may do this
            ben: change t1 two
              main message.edited by ben
              main turn.edited by ben: t1
            ben: edit m1 three
              main message.edited by ben
              main turn.edited by ben: t1
            ben: change t1
              ! text_empty/text - write something
            ana: again m1
              ! already_recorded - That is so already
            ana: note mine
              main message.posted by ana
            ben: again m2
              main turn.queued by ben: t2
            ben: change t2 yours
              ! not_your_message - Only its author may do this
            server: claim t1
              main turn.started by Guide: t1
            ben: change t1 late
              ! turn_already_started - The answer has begun
            ben: change t9 never
              ! no_such_turn/turn - there is no such turn; it has probably ended
        "#]],
    );
}

#[test]
fn who_asked_or_a_moderator_takes_back_and_who_may_prompt_stops() {
    check(
        "server: admit ben as collaborator
         server: admit eve as collaborator
         server: admit mo as moderator
         server: admit vic as viewer
         ben: ask one
         ben: ask two
         ben: ask three
         eve: withdraw t1
         ben: stop t1
         mo: withdraw t2
         ben: withdraw t3
         server: claim t1
         server: write Hel
         ben: withdraw t1
         vic: stop t1
         eve: stop t1
         ben: stop t1
         server: write lo
         mo: stop t9",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            server: admit eve as collaborator
              main participant.joined by eve: "eve" as collaborator
            server: admit mo as moderator
              main participant.joined by mo: "mo" as moderator
            server: admit vic as viewer
              main participant.joined by vic: "vic" as viewer
            ben: ask one
              main message.posted by ben ask
              main turn.queued by ben: t1
            ben: ask two
              main message.posted by ben ask
              main turn.queued by ben: t2
            ben: ask three
              main message.posted by ben ask
              main turn.queued by ben: t3
            eve: withdraw t1
              ! not_your_turn - Only who asked, or a moderator, may do this
            ben: stop t1
              ! turn_not_running - The answer is not running
            mo: withdraw t2
              main turn.withdrawn by mo: t2
            ben: withdraw t3
              main turn.withdrawn by ben: t3
            server: claim t1
              main turn.started by Guide: t1
            server: write Hel
              main turn.progressed by Guide: 0 "Hel"
            ben: withdraw t1
              ! turn_already_started - The answer has begun
            vic: stop t1
              ! forbidden - Your role does not allow this
            eve: stop t1
              main turn.stopped by eve: t1 length 3
            ben: stop t1
              ! no_such_turn/turn - there is no such turn; it has probably ended
            server: write lo
              ! stale_lease - The claim on this turn has passed to somebody else
            mo: stop t9
              ! no_such_turn/turn - there is no such turn; it has probably ended
        "#]],
    );
}

#[test]
fn asking_about_a_message() {
    check(
        "server: admit ben as collaborator
         ana: note one
         ana: side two
         ben: again m1
         ben: again m1
         ben: again m2
         ben: again m9
         server: claim t1
         ben: again m3
         ben: again m1",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            ana: note one
              main message.posted by ana
            ana: side two
              side message.posted by ana
            ben: again m1
              main turn.queued by ben: t1
            ben: again m1
              ! already_recorded - That is so already
            ben: again m2
              ! invalid_field/message - side chat never reaches the assistant
            ben: again m9
              ! no_such_message/message - there is no such message here
            server: claim t1
              main turn.started by Guide: t1
            ben: again m3
              ! invalid_field/message - that is an answer; ask about its question
            ben: again m1
              main turn.queued by ben: t2
        "#]],
    );
}

#[test]
fn alone_one_is_answered_always() {
    check(
        "server: admit ben as collaborator
         server: admit eve as viewer
         ana: online ana eve guide
         ana: say what time is it
         ana: note to myself
         ana: online ana ben
         ana: say hi ben
         ana: say hi @guide
         ben: note @guide keep out
         ana: side @guide can you hear me
         ana: sideask and now
         ben: online
         ben: say over the REST interface",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            server: admit eve as viewer
              main participant.joined by eve: "eve" as viewer
            ana: online ana eve guide
              .
            ana: say what time is it
              main message.posted by ana ask
              main turn.queued by ana: t1
            ana: note to myself
              main message.posted by ana
            ana: online ana ben
              .
            ana: say hi ben
              main message.posted by ana
            ana: say hi @guide
              main message.posted by ana ask to Guide
              main turn.queued by ana: t2
            ben: note @guide keep out
              main message.posted by ben to Guide
            ana: side @guide can you hear me
              side message.posted by ana to Guide
            ana: sideask and now
              ! invalid_field/ask - side chat never reaches the assistant
            ben: online
              .
            ben: say over the REST interface
              main message.posted by ben ask
              main turn.queued by ben: t3 before t2
        "#]],
    );
}

#[test]
fn settings_say_when_the_assistant_answers() {
    let mut told = String::new();
    for respond in ["mention", "always", "reply", "manual"] {
        let mut room = Room::new();
        room.run(&format!(
            "ana: settings {{\"respond\": \"{respond}\"}}\nana: ask one\nserver: claim t1\nserver: complete"
        ));
        for line in ["say hello", "say @guide hello", "reply m2 why", "ask hello", "note @guide hello"] {
            let asks = room.run(&format!("ana: {line}")).contains("turn.queued");
            room.run("ana: withdraw t2\nana: withdraw t3\nana: withdraw t4");
            told += &format!("{respond} / {line}: {}\n", if asks { "asks" } else { "-" });
        }
    }
    expect![[r#"
        mention / say hello: -
        mention / say @guide hello: asks
        mention / reply m2 why: -
        mention / ask hello: asks
        mention / note @guide hello: -
        always / say hello: asks
        always / say @guide hello: asks
        always / reply m2 why: asks
        always / ask hello: asks
        always / note @guide hello: -
        reply / say hello: -
        reply / say @guide hello: asks
        reply / reply m2 why: asks
        reply / ask hello: asks
        reply / note @guide hello: -
        manual / say hello: -
        manual / say @guide hello: -
        manual / reply m2 why: -
        manual / ask hello: asks
        manual / note @guide hello: -
    "#]]
    .assert_eq(&told);
}

#[test]
fn a_session_without_assistant_says_so_when_asked() {
    let mut room = Room::founded(|f| f.assistant = None);
    expect![[r#"
        ana: say hi
          main message.posted by ana
        ana: ask hi
          ! no_assistant - The session has no assistant
        ana: again m1
          ! no_assistant - The session has no assistant
    "#]]
    .assert_eq(&room.run("ana: say hi\nana: ask hi\nana: again m1"));
}

#[test]
fn paused_people_talk_and_queue_but_nothing_starts() {
    let mut room = Room::new();
    room.session.lifecycle.state = roundtable_protocol::model::SessionState::Paused;
    expect![[r#"
        ana: note hi
          main message.posted by ana
        ana: ask hi
          main message.posted by ana ask
          main turn.queued by ana: t1
        server: look
          paused, running none, queue [t1], owed []
        server: claim t1
          ! session_not_active - the session is paused
        ana: end
          main turn.withdrawn by ana: t1
          main checkpoint.created by ana: 
          main session.ended by ana: completed (ended)
          main session.reported by ana
    "#]]
    .assert_eq(&room.run("ana: note hi\nana: ask hi\nserver: look\nserver: claim t1\nana: end"));
}

#[test]
fn a_driver_that_was_told_by_the_state_knows_all_it_needs() {
    let mut room = Room::new();
    room.run(r#"ana: settings {"assistant": "model"}"#);
    room.run("ana: ask one");
    let owed = room.session.owed();
    let queued = &room.session.queue()[0];
    let crate::Owed::StartTurn { turn, message, requester, assistant, driver } = &owed[0] else { panic!("a turn") };
    assert_eq!((*turn, *message, driver.as_str()), (queued.turn, room.message("m1"), "model"));
    assert_eq!((*requester, *assistant), (room.participant("ana"), room.participant("guide")));
}

#[test]
fn the_length_counts_utf16_and_survives_a_repeated_progress() {
    let mut turns = Turns::default();
    let mut room = Room::new();
    room.run("ana: ask one\nserver: claim t1\nserver: write a😀");
    for event in &room.log {
        match &event.body {
            EventBody::TurnStarted(data) => drop(turns.apply_started(event, data)),
            EventBody::TurnProgressed(data) => (0..2).for_each(|_| turns.apply_progressed(data)),
            _ => {}
        }
    }
    assert_eq!(turns.running().map(|t| t.length), Some(3));
}
