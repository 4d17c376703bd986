use super::super::tests::{Room, check};
use super::*;
use expect_test::expect;

#[test]
fn texts_have_limits() {
    let mut room = Room::new();
    let long = "x".repeat(64 * 1024);
    assert!(room.run(&format!("ana: note {long}")).ends_with("main message.posted by ana\n"));
    assert!(room.run(&format!("ana: note {long}y")).contains("! message_too_long/text - the text has 65537 bytes"));
    assert!(room.run("ana: note").contains("! text_empty/text"));
    assert!(room.run("ana: edit m1").contains("! text_empty/text"));
    assert!(room.run("ana: staff hello").contains("! not_available/stream"));
}

#[test]
fn only_the_author_edits_and_moderators_erase() {
    check(
        "server: admit ben as collaborator
         server: admit mo as moderator
         ben: note first
         ana: edit m1 not mine
         ben: edit m1 better
         mo: edit m1 nor mine
         mo: redact m1
         ben: edit m1 again
         ben: redact m1
         ana: note hers
         ben: redact m2
         ana: redact m2
         ben: edit m9 nothing",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            server: admit mo as moderator
              main participant.joined by mo: "mo" as moderator
            ben: note first
              main message.posted by ben
            ana: edit m1 not mine
              ! not_your_message - Only its author may do this
            ben: edit m1 better
              main message.edited by ben
            mo: edit m1 nor mine
              ! not_your_message - Only its author may do this
            mo: redact m1
              main message.redacted by mo
            ben: edit m1 again
              ! message_is_redacted - The message's text has been erased
            ben: redact m1
              ! message_is_redacted - The message's text has been erased
            ana: note hers
              main message.posted by ana
            ben: redact m2
              ! not_your_message - Only its author may do this
            ana: redact m2
              main message.redacted by ana
            ben: edit m9 nothing
              ! no_such_message/message - there is no such message here
        "#]],
    );
}

#[test]
fn erasing_names_every_event_that_bears_the_text() {
    let mut room = Room::new();
    room.run("ana: note one\nana: note two\nana: edit m1 1\nana: edit m1 1.\nana: note three\nana: edit m1 1!\nana: redact m1");
    let bearing: Vec<(Stream, Seq)> =
        room.log.iter().filter(|e| e.text_of() == Some(room.message("m1"))).map(|e| (e.stream, e.seq)).collect();
    assert_eq!(bearing.len(), 4);
    assert_eq!(room.last.redactions, bearing);
}

#[test]
fn an_answer_is_erased_by_who_asked_and_stops_first() {
    let mut room = Room::new();
    let told = room.run(
        "server: admit ben as collaborator
         server: admit eve as collaborator
         ben: ask one
         server: claim t1
         server: write Hel
         eve: redact m2
         eve: note meanwhile
         server: write lo
         ben: edit m2 mine
         ben: redact m2
         server: write !
         ben: redact m2",
    );
    expect![[r#"
        server: admit ben as collaborator
          main participant.joined by ben: "ben" as collaborator
        server: admit eve as collaborator
          main participant.joined by eve: "eve" as collaborator
        ben: ask one
          main message.posted by ben ask
          main turn.queued by ben: t1
        server: claim t1
          main turn.started by Guide: t1
        server: write Hel
          main turn.progressed by Guide: 0 "Hel"
        eve: redact m2
          ! not_your_message - Only its author may do this
        eve: note meanwhile
          main message.posted by eve
        server: write lo
          main turn.progressed by Guide: 3 "lo"
        ben: edit m2 mine
          ! not_your_message - Only its author may do this
        ben: redact m2
          main turn.stopped by ben: t1 length 5
          main message.redacted by ben
        server: write !
          ! stale_lease - The claim on this turn has passed to somebody else
        ben: redact m2
          ! message_is_redacted - The message's text has been erased
    "#]]
    .assert_eq(&told);
    let texts: Vec<Seq> = room.session.messages.texts(room.message("m2")).into_iter().map(|(_, seq)| seq).collect();
    let progressed = room.log.iter().filter(|e| e.body.kind() == "turn.progressed").map(|e| e.seq);
    assert_eq!(texts, progressed.collect::<Vec<_>>(), "and not the event that began it");
}

#[test]
fn erasing_a_question_takes_it_out_of_the_queue() {
    check(
        "server: admit ben as collaborator
         ana: ask one
         ben: again m1
         ana: note two
         ben: again m2
         ana: redact m1
         server: look
         ben: again m1",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            ana: ask one
              main message.posted by ana ask
              main turn.queued by ana: t1
            ben: again m1
              ! already_recorded - That is so already
            ana: note two
              main message.posted by ana
            ben: again m2
              main turn.queued by ben: t2
            ana: redact m1
              main turn.withdrawn by ana: t1
              main message.redacted by ana
            server: look
              active, running none, queue [t2], owed [t2]
            ben: again m1
              ! message_is_redacted - The message's text has been erased
        "#]],
    );
}

#[test]
fn replies_stay_in_their_stream_and_name_their_parent() {
    let mut room = Room::new();
    let told = room.run(
        "ana: note one
         ana: side aside
         ana: reply m1 yes
         ana: reply m2 no
         ana: reply m9 nobody
         ana: ask two
         server: claim t1
         ana: reply m5 well",
    );
    expect![[r#"
        ana: note one
          main message.posted by ana
        ana: side aside
          side message.posted by ana
        ana: reply m1 yes
          main message.posted by ana ask
          main turn.queued by ana: t1
        ana: reply m2 no
          ! no_such_message/reply_to - there is no such message in this stream
        ana: reply m9 nobody
          ! no_such_message/reply_to - there is no such message in this stream
        ana: ask two
          main message.posted by ana ask
          main turn.queued by ana: t2
        server: claim t1
          main turn.started by Guide: t1
        ana: reply m5 well
          main message.posted by ana ask
          main turn.queued by ana: t3
    "#]]
    .assert_eq(&told);
    let reply = room.log.iter().find(|e| e.header.id.0 == room.message("m3").0).expect("the reply");
    assert_eq!(reply.header.causes, [EventId(room.message("m1").0)]);
    let started = room.log.iter().find(|e| e.body.kind() == "turn.started").expect("started");
    let reply = room.log.iter().find(|e| e.header.id.0 == room.message("m6").0).expect("the reply to the answer");
    assert_eq!(reply.header.causes, [started.header.id]);
}

#[test]
fn mentions_are_of_those_present() {
    check(
        "server: admit ben as collaborator
         server: admit eve as collaborator called Ben Smith
         ana: note @ben @Ben Smith, look: @BEN SMITHS a@ben @nobody @bens
         ana: name eve hi @ben
         ben: leave
         ana: name ben hi
         ana: note @ben",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            server: admit eve as collaborator called Ben Smith
              main participant.joined by Ben Smith: "Ben Smith" as collaborator
            ana: note @ben @Ben Smith, look: @BEN SMITHS a@ben @nobody @bens
              main message.posted by ana to ben, Ben Smith
            ana: name eve hi @ben
              main message.posted by ana ask to Ben Smith, ben
              main turn.queued by ana: t1
            ben: leave
              main participant.left by ben
            ana: name ben hi
              ! no_such_participant/mentions - 01a1f866-0d00-79f0-b672-78d6e3e0263c is not in this session
            ana: note @ben
              main message.posted by ana
        "#]],
    );
}

#[test]
fn too_many_mentions_are_refused() {
    let mut room = Room::new();
    let mentions = vec![room.participant("ana"); text::MAX_MENTIONS + 1];
    let post = MessagePost { text: "hi".to_owned(), mentions, ..MessagePost::default() };
    let no = room.give("ana", Stream::Main, Command::MessagePost(post)).expect_err("refused");
    assert_eq!((no.code, no.pointer), (Code::InvalidField, Some("/mentions")));
}

#[test]
fn a_decision_is_a_mark() {
    check(
        "server: admit ben as collaborator
         ana: note let us go
         ben: unmark m1
         ben: mark m1
         ana: mark m1
         ana: unmark m1
         ana: side elsewhere
         ana: mark m2
         ana: redact m1
         ana: mark m1",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            ana: note let us go
              main message.posted by ana
            ben: unmark m1
              ! already_recorded - That is so already
            ben: mark m1
              main decision.recorded by ben
            ana: mark m1
              ! already_recorded - That is so already
            ana: unmark m1
              main decision.withdrawn by ana
            ana: side elsewhere
              side message.posted by ana
            ana: mark m2
              side decision.recorded by ana
            ana: redact m1
              main message.redacted by ana
            ana: mark m1
              ! message_is_redacted - The message's text has been erased
        "#]],
    );
}

#[test]
fn pages_know_where_they_begin_and_when_they_last_changed() {
    let mut room = Room::new();
    for i in 0..600 {
        room.run(if i % 3 == 0 { "ana: side x" } else { "ana: note x" });
    }
    assert_eq!(room.session.pages(Stream::Staff), []);
    assert_eq!(room.session.pages(Stream::Side), [PageSpan { first: Seq(1), changed: Seq(200) }]);
    // Four events stand before the first message of main.
    let first = PageSpan { first: Seq(5), changed: Seq(260) };
    assert_eq!(room.session.pages(Stream::Main), [first, PageSpan { first: Seq(261), changed: Seq(404) }]);
    room.run("ana: mark m2");
    assert_eq!(room.session.pages(Stream::Main)[0], PageSpan { first: Seq(5), changed: Seq(405) });
    let last = room.session.message(room.message("m600")).expect("known");
    assert_eq!((last.n, last.stream, last.redacted, last.decision), (399, Stream::Main, false, false));
}

#[test]
fn a_clone_shares_the_pages_that_neither_writes_to() {
    let mut room = Room::new();
    for _ in 0..300 {
        room.run("ana: note x");
    }
    let before = room.session.clone();
    room.run("ana: note one more");
    let pages = |s: &super::super::Session| s.messages.lines[0].pages.clone();
    assert!(Arc::ptr_eq(&pages(&before)[0], &pages(&room.session)[0]));
    assert!(!Arc::ptr_eq(&pages(&before)[1], &pages(&room.session)[1]));
    assert_eq!(before.messages.lines[0].pages[1].len() + 1, room.session.messages.lines[0].pages[1].len());
}

#[test]
fn a_message_stays_small() {
    assert_eq!(std::mem::size_of::<Entry>(), 40, "the module's doc says so");
}

#[test]
fn data_beside_a_text_is_bounded_kept_by_edits_and_erased_with_it() {
    let mut room = Room::new();
    let post =
        |data| Command::MessagePost(MessagePost { text: "hi".to_owned(), data: Some(data), ..Default::default() });
    let refusal = |room: &mut Room, data| room.give("ana", Stream::Main, post(data)).expect_err("refused");
    let no = refusal(&mut room, serde_json::json!(["no", "object"]));
    assert_eq!((no.code, no.pointer), (Code::InvalidField, Some("/data")));
    assert_eq!(refusal(&mut room, serde_json::json!({ "x": "y".repeat(17_000) })).code, Code::DataTooLarge);
    let deep = (0..40).fold(serde_json::json!({}), |inner, _| serde_json::json!({ "in": inner }));
    assert_eq!(refusal(&mut room, deep).code, Code::DataTooDeep);
    let data = serde_json::json!({ "poll": { "choices": [1, 2] } });
    let posted = room.give("ana", Stream::Main, post(data.clone())).expect("posted");
    let view = |room: &Room| {
        let mut view = roundtable_protocol::View::default();
        room.log.iter().for_each(|event| view.apply(event));
        view.streams[&Stream::Main].messages[0].clone()
    };
    assert_eq!(view(&room).data.as_ref(), Some(&data));
    room.run("ana: edit m1 hello");
    assert_eq!((view(&room).text.as_str(), view(&room).data), ("hello", Some(data)));
    room.run("ana: redact m1");
    assert_eq!(view(&room).data, None);
    let body = roundtable_protocol::event::redacted_body(&posted[0].body.to_json());
    assert!(!String::from_utf8_lossy(&body).contains("poll"), "the row forgets it too");
}
