//! The owner's absence: grace, succession, detaching and attaching.

use super::*;

#[test]
fn a_missed_owner_who_comes_back_in_time_stays_the_owner() {
    check(
        "server: admit ben as moderator
         server: attach ana
         server: attach ana
         server: online ana ben
         server: miss
         server: miss
         server: wait 59
         server: attach ana
         server: wait 600",
        expect![[r#"
            server: admit ben as moderator
              main participant.joined by ben: "ben" as moderator
            server: attach ana
              staff session.host_arrived by system
            server: attach ana
              ! already_recorded - That is so already
            server: online ana ben
              .
            server: miss
              staff session.host_left by system until 2026-11-20T10:01:00Z
            server: miss
              ! already_recorded - That is so already
            server: wait 59
              .
            server: attach ana
              staff session.host_arrived by system
            server: wait 600
              .
        "#]],
    );
}

#[test]
fn the_longest_serving_moderator_follows_then_a_collaborator_and_nobody_else() {
    let mut room = Room::new();
    let told = room.run(
        "server: admit eve as collaborator
         server: admit bot as moderator
         server: wait 1
         server: admit ben as moderator
         server: wait 1
         server: admit cyd as moderator
         server: admit vic as viewer
         server: attach ana
         server: online cyd ben eve vic bot
         server: miss
         server: wait 60
         ben: rename Ben's
         ana: rename Ana's
         server: online eve vic bot
         server: miss
         server: wait 60
         server: online vic bot
         server: miss
         server: wait 60",
    );
    expect![[r#"
        server: admit eve as collaborator
          main participant.joined by eve: "eve" as collaborator
        server: admit bot as moderator
          main participant.joined by bot: "bot" as moderator
        server: wait 1
          .
        server: admit ben as moderator
          main participant.joined by ben: "ben" as moderator
        server: wait 1
          .
        server: admit cyd as moderator
          main participant.joined by cyd: "cyd" as moderator
        server: admit vic as viewer
          main participant.joined by vic: "vic" as viewer
        server: attach ana
          staff session.host_arrived by system
        server: online cyd ben eve vic bot
          .
        server: miss
          staff session.host_left by system until 2026-11-20T10:01:02Z
        server: wait 60
          main session.owner_changed by system: from ana to ben, Away
        ben: rename Ben's
          main session.renamed by ben: Ben's
        ana: rename Ana's
          ! forbidden - Your role does not allow this
        server: online eve vic bot
          .
        server: miss
          staff session.host_left by system until 2026-11-20T10:02:02Z
        server: wait 60
          main session.owner_changed by system: from ben to eve, Away
        server: online vic bot
          .
        server: miss
          staff session.host_left by system until 2026-11-20T10:03:02Z
        server: wait 60
          main session.detached by system: NobodyLeft
    "#]]
    .assert_eq(&told);
    let owners: Vec<_> = room.session.participants().filter(|p| p.role == Role::Owner).collect();
    assert_eq!((owners.len(), owners[0].display_name.as_str()), (1, "eve"));
    assert_eq!(room.session.info().owner_id, user("eve"));
}

#[test]
fn an_owner_who_leaves_is_followed_at_once() {
    check(
        "server: admit ben as collaborator
         server: online ana ben
         ana: leave
         ana: say again",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            server: online ana ben
              .
            ana: leave
              main session.owner_changed by ana: from ana to ben, Left
              main participant.left by ana
            ana: say again
              ! not_a_participant - You are not in this session
        "#]],
    );
}

#[test]
fn an_owner_who_leaves_with_nobody_there_detaches_the_session_and_stays_its_owner() {
    let mut room = Room::new();
    let told = room.run(
        "server: admit ben as collaborator
         server: online ana
         ana: leave
         ana: end
         ana: leave",
    );
    expect![[r#"
        server: admit ben as collaborator
          main participant.joined by ben: "ben" as collaborator
        server: online ana
          .
        ana: leave
          main session.detached by ana: NobodyLeft
        ana: end
          main checkpoint.created by ana: 
          main session.ended by ana: completed (ended)
          main session.reported by ana
        ana: leave
          ! owner_must_stay - The owner cannot leave
    "#]]
    .assert_eq(&told);
}

#[test]
fn a_detached_session_works_on_and_says_when_it_is_done() {
    let mut room = Room::new();
    let told = room.run(
        "ana: ask one
         ana: ask two
         ana: detach
         ana: detach
         server: claim t1
         server: complete
         server: wait 1
         server: claim t2
         server: fail x broken
         server: wait 1
         server: wait 1
         server: attach ana
         server: wait 1",
    );
    expect![[r#"
        ana: ask one
          main message.posted by ana ask
          main turn.queued by ana: t1
        ana: ask two
          main message.posted by ana ask
          main turn.queued by ana: t2
        ana: detach
          main session.detached by ana: Asked
        ana: detach
          ! already_recorded - That is so already
        server: claim t1
          main turn.started by Guide: t1
        server: complete
          main turn.completed by Guide: t1 length 0
        server: wait 1
          .
        server: claim t2
          main turn.started by Guide: t2
        server: fail x broken
          main turn.failed by Guide: t2 length 0 x
        server: wait 1
          main session.work_done by system: 2 turns, 1 unfinished
        server: wait 1
          .
        server: attach ana
          staff session.host_arrived by system
          main session.attached by system: ana
        server: wait 1
          .
    "#]]
    .assert_eq(&told);
    assert_eq!(room.session.detached_since(), None);
}

#[test]
fn checkpoints_are_made_every_500_events_and_every_five_minutes_detached_where_something_happened() {
    let mut room = Room::new();
    for n in 0..600 {
        room.run(&format!("ana: note {n}"));
    }
    assert!(room.run("server: wait 1").contains("checkpoint.created"));
    let why = |room: &Room| room.session.checkpoints().map(|c| c.checkpoint.why.clone()).collect::<Vec<_>>();
    assert_eq!(why(&room), [Some("events".to_owned())]);
    assert_eq!(room.run("server: wait 1"), "server: wait 1\n  .\n");
    room.run("ana: detach");
    assert!(!room.run("server: wait 299").contains("checkpoint"));
    assert!(room.run("server: wait 1").contains("checkpoint.created"));
    assert!(!room.run("server: wait 3000").contains("checkpoint"), "nothing has happened since");
    room.run("ana: pause\n ana: resume\n ana: end");
    let last: Vec<String> = why(&room).into_iter().flatten().skip(1).collect();
    assert_eq!(last, ["detached", "pause", "end"]);
}

#[test]
fn a_session_detached_on_purpose_waits_for_its_owner_and_one_that_lost_everybody_for_anybody_who_can_lead() {
    check(
        "server: admit ben as collaborator
         server: admit vic as viewer
         ana: detach
         server: attach ben
         server: attach ana
         server: online vic
         server: miss
         server: wait 60
         server: attach vic
         server: attach ben",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            server: admit vic as viewer
              main participant.joined by vic: "vic" as viewer
            ana: detach
              main session.detached by ana: Asked
            server: attach ben
              ! already_recorded - That is so already
            server: attach ana
              staff session.host_arrived by system
              main session.attached by system: ana
            server: online vic
              .
            server: miss
              staff session.host_left by system until 2026-11-20T10:01:00Z
            server: wait 60
              main session.detached by system: NobodyLeft
            server: attach vic
              ! already_recorded - That is so already
            server: attach ben
              main session.attached by system: ben
        "#]],
    );
}

#[test]
fn a_session_whose_owner_is_connected_is_watched_and_others_are_not() {
    let mut room = Room::new();
    assert_eq!(room.session.wake_at(room.now), None);
    room.run("server: attach ana");
    assert_eq!(room.session.wake_at(room.now), Some(crate::session::watched()));
    room.run("server: miss");
    let until = room.now.checked_add(crate::session::HOST_GRACE).ok();
    assert_eq!(room.session.wake_at(room.now), until);
    room.run("server: wait 60\n server: wait 300");
    assert_eq!(room.session.wake_at(room.now), None, "detached, with nothing to do");
}
