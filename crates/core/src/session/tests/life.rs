//! A session's life: founding, fields, moves, expiry.

use super::*;

fn refusal(change: impl FnOnce(&mut Founding)) -> String {
    let mut founding = founding();
    change(&mut founding);
    let grant = Grant::nothing(0, 0);
    let now = "2026-11-20T10:00:00Z".parse().expect("a time");
    let cx = Context { now, caller: Caller::System, grant: &grant, present: &[], uploads: &[] };
    let no = Session::create(&cx, Uuid::from_u128(5), &founding).expect_err("refused");
    format!("{} {}", no.code.name(), no.pointer.unwrap_or_default())
}

#[test]
fn a_session_begins_with_its_owner_and_its_assistant() {
    let room = untitled();
    let kinds: Vec<&str> = room.log.iter().map(|e| e.body.kind()).collect();
    assert_eq!(kinds, ["session.created", "participant.joined", "participant.joined", "session.started"]);
    let info = room.session.info();
    assert_eq!((info.title.as_str(), info.participant_count, info.event_count), ("New session", 1, 4));
    assert_eq!((info.owner_id, info.is_active), (user("ana"), true));
    assert_eq!(room.session.roles_rev(), 3, "created, ana, Guide");
    assert!(info.started_at == Some(room.now) && info.created_at == room.now && info.updated_at == room.now);
    assert_eq!(room.session.heads(), [Seq(4), Seq(0), Seq(0), Seq(0)]);
}

#[test]
fn a_session_that_is_not_started_waits() {
    let mut room = Room::founded(|f| f.start = false);
    let told = room.run(
        "ana: say too early
         server: admit ben as collaborator
         ana: rename Plan
         ana: start
         ana: start
         ana: note now",
    );
    expect![[r#"
        ana: say too early
          ! session_not_active - the session is created
        server: admit ben as collaborator
          main participant.joined by ben: "ben" as collaborator
        ana: rename Plan
          main session.renamed by ana: Plan
        ana: start
          main session.started by ana
        ana: start
          ! illegal_transition - a session that is active cannot be started
        ana: note now
          main message.posted by ana
    "#]]
    .assert_eq(&told);
}

#[test]
fn a_name_that_the_assistant_shares_is_numbered() {
    let room = Room::founded(|f| f.owner_name = "GUIDE".to_owned());
    let names: Vec<&str> = room.session.participants().map(|p| p.display_name.as_str()).collect();
    assert_eq!(names, ["GUIDE", "Guide (2)"]);
}

#[test]
fn founding_refuses_what_cannot_be() {
    assert_eq!(refusal(|f| f.owner_name = " ".into()), "invalid_field /display_name");
    assert_eq!(refusal(|f| f.owner_name = "a\u{202e}b".into()), "invalid_field /display_name");
    assert_eq!(refusal(|f| f.title = "x".repeat(201)), "invalid_field /title");
    assert_eq!(refusal(|f| f.description = "x".repeat(2_001)), "invalid_field /description");
    assert_eq!(refusal(|f| f.tags = vec!["x".into(); 11]), "invalid_field /tags");
    assert_eq!(refusal(|f| f.tags = vec![String::new()]), "invalid_field /tags");
    assert_eq!(refusal(|f| f.category = Some("x".repeat(41))), "invalid_field /category");
    assert_eq!(refusal(|f| f.settings.max_participants = Some(0)), "invalid_field /settings/max_participants");
    assert_eq!(refusal(|f| f.settings.assistant = "A B".into()), "invalid_field /settings/assistant");
    assert_eq!(refusal(|f| f.expires_at = "2026-11-20T10:00:00Z".parse().ok()), "invalid_field /expires_at");
    assert_eq!(refusal(|f| f.assistant = Some((user("guide"), String::new()))), "invalid_field /assistant");
}

#[test]
fn details_that_are_absent_stay() {
    let mut room = Room::new();
    room.run(
        r#"ana: details {"description": " What we plan ", "tags": ["a", "a", "b"], "category": "work"}
           ana: details {"visibility": "link"}"#,
    );
    let info = room.session.info();
    assert_eq!((info.description.as_str(), info.category.as_deref()), ("What we plan", Some("work")));
    assert_eq!((info.tags, info.visibility), (vec!["a".to_owned(), "b".to_owned()], Visibility::Link));
    room.run(r#"ana: details {"category": ""}"#);
    assert_eq!(room.session.info().category, None);
}

#[test]
fn only_a_setting_that_rights_rest_on_makes_grants_stale() {
    let mut room = Room::new();
    let before = room.session.roles_rev();
    room.run(r#"ana: settings {"allow_join": false}"#);
    assert_eq!(room.session.roles_rev(), before);
    room.run(r#"ana: settings {"side_for_viewers": false}"#);
    assert_eq!(room.session.roles_rev(), before + 1);
    room.run(r#"ana: settings {"side_for_viewers": false}"#);
    assert_eq!(room.session.roles_rev(), before + 1, "nothing changed");
}

#[test]
fn the_end_ends_every_turn_first() {
    check(
        r#"ana: ask one
           server: claim t1
           server: write Hel
           ana: ask two
           ana: end
           ana: say late
           ana: end
           ana: rename late
           server: write lo
           server: admit ben as viewer
           server: look"#,
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
            ana: end
              main turn.withdrawn by ana: t2
              main turn.stopped by ana: t1 length 3
              main checkpoint.created by ana: 
              main session.ended by ana: completed (ended)
              main session.reported by ana
            ana: say late
              ! session_not_active - the session is completed
            ana: end
              ! illegal_transition - a session that is completed cannot be completed
            ana: rename late
              ! session_not_active - the session is completed
            server: write lo
              ! stale_lease - The claim on this turn has passed to somebody else
            server: admit ben as viewer
              ! session_not_active - the session is completed
            server: look
              completed, running none, queue [], owed [archive]
        "#]],
    );
}

#[test]
fn after_the_end_things_can_still_be_taken_away() {
    check(
        "server: admit ben as collaborator
         server: admit eve as viewer
         ben: note a password
         ana: terminate fire
         ben: redact m1
         ana: remove eve
         ben: leave",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            server: admit eve as viewer
              main participant.joined by eve: "eve" as viewer
            ben: note a password
              main message.posted by ben
            ana: terminate fire
              main checkpoint.created by ana: 
              main session.ended by ana: terminated (fire)
              main session.reported by ana
            ben: redact m1
              main message.redacted by ben
            ana: remove eve
              main participant.removed by ana
            ben: leave
              main participant.left by ben
        "#]],
    );
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    let mut room = Room::founded(|f| f.expires_at = "2026-11-20T11:00:00Z".parse().ok());
    assert_eq!(room.session.next_deadline(), "2026-11-20T10:55:00Z".parse().ok(), "the warning");
    let told = room.run(
        "server: wait 3599
         ana: ask last
         server: claim t1
         server: wait 1
         server: wait 60",
    );
    expect![[r#"
        server: wait 3599
          main session.warned by system: Expiry at 2026-11-20T11:00:00Z
        ana: ask last
          main message.posted by ana ask
          main turn.queued by ana: t1
        server: claim t1
          main turn.started by Guide: t1
        server: wait 1
          main turn.stopped by system: t1 length 0
          main checkpoint.created by system: 
          main session.ended by system: completed (expired)
          main session.reported by system
        server: wait 60
          .
    "#]]
    .assert_eq(&told);
    assert_eq!(room.session.next_deadline(), None);
}

#[test]
fn what_was_not_recorded_is_erased_a_day_after_the_end() {
    let mut room = Room::founded(|f| f.settings.recording = false);
    let told = room.run(
        "ana: note one
         ana: side two
         server: wait 86400
         ana: end
         server: archive
         server: wait 86399",
    );
    assert!(!told.contains("redacted"), "{told}");
    assert_eq!(room.session.next_deadline(), "2026-11-22T10:00:00Z".parse().ok());
    let told = room.run("server: wait 1");
    assert_eq!(told.matches("message.redacted by system").count(), 2, "{told}");
    assert_eq!(room.session.next_deadline(), None);
    assert_eq!(room.session.wake_at(room.now), None);
}

#[test]
fn what_is_recorded_stays_after_the_end() {
    let mut room = Room::founded(|_| {});
    room.run("ana: note one\n ana: end");
    assert_eq!(room.session.next_deadline(), None);
}

#[test]
fn a_long_session_that_was_not_recorded_is_erased_some_at_a_time() {
    let mut room = Room::founded(|f| f.settings.recording = false);
    for n in 0..1_200 {
        room.run(&format!("ana: note {n}"));
    }
    room.run("ana: end");
    let told = room.run("server: wait 86400");
    assert_eq!(told.matches("message.redacted").count(), 500, "one commit is bounded");
    assert!(room.session.wake_at(room.now) <= Some(room.now), "and the rest is due at once");
}

#[test]
fn time_never_goes_back() {
    let mut room = Room::new();
    room.now = "2026-11-20T12:00:00Z".parse().expect("a time");
    room.run("ana: note late");
    room.now = "2026-11-20T09:00:00Z".parse().expect("a time");
    room.run("ana: note early by the clock");
    let at: Vec<Timestamp> = room.log.iter().map(|e| e.header.at).collect();
    assert!(at.is_sorted());
    assert_eq!(room.session.last_at(), "2026-11-20T12:00:00Z".parse().expect("a time"));
}

fn untitled() -> Room {
    Room::founded(|f| f.title = " ".to_owned())
}

#[test]
fn a_session_without_a_title_is_called_after_its_first_message_in_main() {
    let mut room = untitled();
    let told = room.run(
        "server: admit ben as collaborator
         ben: side not this
         ben: note ???
         ben: note # Plans for spring
         ana: note and something else",
    );
    expect![[r#"
        server: admit ben as collaborator
          main participant.joined by ben: "ben" as collaborator
        ben: side not this
          side message.posted by ben
        ben: note ???
          main message.posted by ben
        ben: note # Plans for spring
          main message.posted by ben
          main session.renamed by ben: Plans for spring
        ana: note and something else
          main message.posted by ana
    "#]]
    .assert_eq(&told);
    assert_eq!(room.session.info().title, "Plans for spring");
}

#[test]
fn a_title_that_a_person_gave_is_not_changed() {
    let mut room = untitled();
    room.run("ana: rename My own\n ana: note first");
    assert_eq!(room.session.info().title, "My own");
    let mut room = Room::new();
    room.run("ana: note first");
    assert_eq!(room.session.info().title, "Plans");
}

#[test]
fn an_erased_message_takes_the_title_with_it_that_was_made_from_it() {
    let mut room = untitled();
    room.run("ana: note the secret\n ana: redact m1");
    assert_eq!(room.session.info().title, "New session");
    let titled = room.log.iter().find(|e| e.body.kind() == "session.renamed").expect("renamed").seq;
    let E::SessionRenamed(last) = &room.log.last().expect("an event").body else { panic!("renamed") };
    assert!(last.untitled && last.made_from.is_none());
    assert!(room.last.redactions.contains(&(Stream::Main, titled)), "{:?}", room.last.redactions);
    room.run("ana: note a new beginning");
    assert_eq!(room.session.info().title, "a new beginning");
}

#[test]
fn a_title_that_was_replaced_is_erased_with_its_message_and_the_new_one_stays() {
    let mut room = untitled();
    room.run("ana: note the secret\n ana: rename Plans\n ana: redact m1");
    let made: Vec<Seq> = room
        .log
        .iter()
        .filter(|e| matches!(&e.body, E::SessionRenamed(d) if d.made_from.is_some()))
        .map(|e| e.seq)
        .collect();
    assert!(made.iter().all(|seq| room.last.redactions.contains(&(Stream::Main, *seq))), "{:?}", room.last.redactions);
    assert_eq!((made.len(), room.session.info().title.as_str()), (1, "Plans"));
}

#[test]
fn logs_of_before_say_nothing_of_titles_and_theirs_were_given() {
    let mut room = untitled();
    let first = room.log[0].clone();
    let mut body: serde_json::Value = serde_json::from_slice(&first.body.to_json()).expect("JSON");
    body.as_object_mut().expect("an object").remove("untitled").expect("was there");
    let old = E::parse("session.created", &body.to_string()).expect("still reads");
    room.log[0].body = old;
    let mut session = Session::empty(room.session.id());
    room.log.iter().for_each(|event| session.apply(event));
    room.session = session;
    room.run("ana: note first");
    assert_eq!(room.session.info().title, "New session");
}
