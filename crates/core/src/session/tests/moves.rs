//! The moves between states.

use roundtable_protocol::model::SessionState;

use super::*;

/// The moves that a command can make.
const MOVES: [&str; 6] =
    ["ana: start", "ana: pause", "ana: resume", "server: fault disk full", "ana: end", "ana: terminate x"];

/// Returns a session in each state.
fn in_state(state: SessionState) -> Room {
    let mut room = Room::founded(|f| f.start = state != SessionState::Created);
    match state {
        SessionState::Created | SessionState::Active => {}
        SessionState::Paused => drop(room.run("ana: pause")),
        SessionState::Completed => drop(room.run("ana: end")),
        SessionState::Failed => drop(room.run("server: fault disk full")),
        SessionState::Terminated => drop(room.run("ana: terminate x")),
    }
    assert_eq!(room.session.state(), state);
    room
}

#[test]
fn every_move_of_every_state_is_an_event_or_is_refused() {
    use SessionState as S;
    let mut table = String::new();
    for state in [S::Created, S::Active, S::Paused, S::Completed, S::Failed, S::Terminated] {
        let row = MOVES.map(|line| {
            let mut room = in_state(state);
            let before = room.session.clone();
            let told = room.run(line);
            if told.contains("! ") {
                assert!(told.contains("! illegal_transition"), "{told}");
                assert_eq!(room.session, before, "what is refused changes nothing");
                return "-";
            }
            assert!(!room.last.events.is_empty());
            room.session.state().name()
        });
        writeln!(table, "{:<10} | {}", state.name(), row.join(" | ")).expect("a string");
    }
    // The table of docs/lifecycle.md; columns: start, pause, resume, fail, end, terminate.
    expect![[r#"
        created    | active | - | - | - | completed | terminated
        active     | - | paused | - | failed | completed | terminated
        paused     | - | - | active | failed | completed | terminated
        completed  | - | - | - | - | - | -
        failed     | - | - | active | - | - | terminated
        terminated | - | - | - | - | - | -
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_pause_stops_the_answer_where_it_is_and_starts_no_other() {
    check(
        "ana: ask one
         server: claim t1
         server: write Hel
         ana: ask two
         ana: pause lunch
         server: look
         server: write lo
         server: claim t2
         ana: note people may talk
         ana: ask three
         server: look
         ana: pause again
         ana: resume
         server: look
         server: claim t2
         server: look",
        expect![[r#"
            ana: ask one
              main message.posted by ana ask
              main turn.queued by ana: t1
            server: claim t1
              main turn.started by Guide: t1
            server: write Hel
              main turn.progressed by Guide: 0 "Hel"
            ana: ask two
              main message.posted by ana ask
              main turn.queued by ana: t2
            ana: pause lunch
              main turn.stopped by ana: t1 length 3
              main session.paused by ana: lunch
              main checkpoint.created by ana:
            server: look
              paused, running none, queue [t2], owed []
            server: write lo
              ! stale_lease - The claim on this turn has passed to somebody else
            server: claim t2
              ! session_not_active - the session is paused
            ana: note people may talk
              main message.posted by ana
            ana: ask three
              main message.posted by ana ask
              main turn.queued by ana: t3
            server: look
              paused, running none, queue [t2 t3], owed []
            ana: pause again
              ! illegal_transition - a session that is paused cannot be paused
            ana: resume
              main session.resumed by ana from paused
            server: look
              active, running none, queue [t2 t3], owed [t2]
            server: claim t2
              main turn.started by Guide: t2
            server: look
              active, running t2, queue [t3], owed []
        "#]],
    );
}

#[test]
fn moderators_pause_and_resume_and_others_do_not() {
    check(
        "server: admit ben as moderator
         server: admit eve as collaborator
         eve: pause
         ben: pause
         eve: resume
         ben: resume",
        expect![[r#"
            server: admit ben as moderator
              main participant.joined by ben: "ben" as moderator
            server: admit eve as collaborator
              main participant.joined by eve: "eve" as collaborator
            eve: pause
              ! forbidden - Your role does not allow this
            ben: pause
              main session.paused by ben
              main checkpoint.created by ben:
            eve: resume
              ! forbidden - Your role does not allow this
            ben: resume
              main session.resumed by ben from paused
        "#]],
    );
}

#[test]
fn a_failure_carries_its_cause_and_what_waits_goes_on_after_it() {
    let mut room = Room::new();
    let told = room.run(
        "ana: ask one
         server: claim t1
         ana: ask two
         server: fault room_panicked The session's room has stopped three times.
         ana: say nothing
         ana: resume
         server: look",
    );
    expect![[r#"
        ana: ask one
          main message.posted by ana ask
          main turn.queued by ana: t1
        server: claim t1
          main turn.started by Guide: t1
        ana: ask two
          main message.posted by ana ask
          main turn.queued by ana: t2
        server: fault room_panicked The session's room has stopped three times.
          main turn.lost by system: t1 length 0
          main session.ended by system: failed (room_panicked)
        ana: say nothing
          ! session_not_active - the session is failed
        ana: resume
          main session.resumed by ana from failed
        server: look
          active, running none, queue [t2], owed [t2]
    "#]]
    .assert_eq(&told);
    let cause = room.log.iter().find_map(|e| match &e.body {
        E::SessionEnded(d) => d.detail.clone(),
        _ => None,
    });
    assert_eq!(cause.as_deref(), Some("The session's room has stopped three times."));
    assert_eq!(room.session.info().ended_at, None);
}

#[test]
fn a_session_that_is_over_is_not_resumed_before_it_has_time_again() {
    let mut room = Room::founded(|f| f.expires_at = "2026-11-20T11:00:00Z".parse().ok());
    let told = room.run(
        "server: fault disk full
         server: wait 3600
         ana: resume
         ana: expire 600
         ana: resume",
    );
    expect![[r#"
        server: fault disk full
          main session.ended by system: failed (disk)
        server: wait 3600
          .
        ana: resume
          ! cannot_resume - its time is over: move expires_at first
        ana: expire 600
          main session.expiry_changed by ana
        ana: resume
          main session.resumed by ana from failed
    "#]]
    .assert_eq(&told);
}

#[test]
fn an_end_that_finishes_what_was_asked_waits_for_it_and_takes_nothing_new() {
    check(
        "ana: ask one
         server: claim t1
         ana: ask two
         ana: finish
         ana: finish
         ana: ask three
         ana: again m1
         ana: note people may talk
         server: complete
         server: wait 1
         server: claim t2
         server: complete
         server: wait 1
         server: look",
        expect![[r#"
            ana: ask one
              main message.posted by ana ask
              main turn.queued by ana: t1
            server: claim t1
              main turn.started by Guide: t1
            ana: ask two
              main message.posted by ana ask
              main turn.queued by ana: t2
            ana: finish
              main session.ending by ana
            ana: finish
              ! already_recorded - That is so already
            ana: ask three
              ! session_not_active - the session ends as soon as what was asked is answered; it takes no new questions
            ana: again m1
              ! session_not_active - the session ends as soon as what was asked is answered; it takes no new questions
            ana: note people may talk
              main message.posted by ana
            server: complete
              main turn.completed by Guide: t1 length 0
            server: wait 1
              .
            server: claim t2
              main turn.started by Guide: t2
            server: complete
              main turn.completed by Guide: t2 length 0
            server: wait 1
              main checkpoint.created by system: 
              main session.ended by system: completed (ended)
              main session.reported by system
            server: look
              completed, running none, queue [], owed [archive]
        "#]],
    );
}

#[test]
fn an_end_that_finishes_ends_at_once_where_nothing_waits() {
    check(
        "ana: finish",
        expect![[r#"
            ana: finish
              main checkpoint.created by ana: 
              main session.ended by ana: completed (ended)
              main session.reported by ana
        "#]],
    );
}
