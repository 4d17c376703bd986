use expect_test::expect;
use roundtable_protocol::branching::CheckpointKind;
use roundtable_protocol::command as c;
use roundtable_protocol::event::Actor;

use super::super::tests::{Room, check};
use super::*;

/// Lets the rule make one, as the session's life does.
fn by_rule(room: &mut Room, why: &str) -> CheckpointId {
    let key = room.key();
    let mut draft = Draft::new(&room.session, key, room.now, Actor::System);
    automatic(&room.session, &mut draft, why);
    room.take(draft.finish());
    room.session.checkpoints().next_back().expect("it was made").checkpoint.id
}

#[test]
fn a_checkpoint_says_where_every_stream_is() {
    let mut room = Room::new();
    room.run("server: admit ben as collaborator\nana: note one\nben: side two\nben: checkpoint Before lunch");
    let made = room.session.checkpoints().next().expect("made").clone();
    assert_eq!(made.checkpoint.name.as_deref(), Some("Before lunch"));
    assert_eq!(made.checkpoint.kind, CheckpointKind::Named);
    assert_eq!(made.by, Actor::Participant(room.participant("ben")));
    let main = made.seq.0 - 1;
    assert_eq!(made.checkpoint.seqs, [(Stream::Main, Seq(main)), (Stream::Side, Seq(1))].into());
    assert_eq!(room.session.checkpoint(made.checkpoint.id), Some(&made));
}

#[test]
fn a_rule_makes_one_of_everything_that_came_before_it_in_the_decision() {
    let mut room = Room::new();
    let before = room.session.heads()[0];
    let id = by_rule(&mut room, "pause");
    let made = room.session.checkpoint(id).expect("kept");
    assert_eq!((made.checkpoint.kind, made.checkpoint.why.as_deref()), (CheckpointKind::Automatic, Some("pause")));
    assert_eq!((made.checkpoint.name.as_ref(), made.by), (None, Actor::System));
    assert_eq!(made.checkpoint.seqs[&Stream::Main], before);
}

#[test]
fn names_are_cleaned_and_who_may_change_them_is_checked() {
    check(
        "server: admit ben as collaborator
         server: admit cyd as viewer
         server: admit dan as moderator
         ana: checkpoint   Two   words
         ben: checkpoint
         cyd: checkpoint mine
         ben: recall k1 Ben's
         dan: recall k1 Dan's
         dan: recall k1 Dan's
         ben: checkpoint another
         ben: recall k2 better
         ben: forget k1
         ben: forget k2
         ben: forget k2
         ana: end
         dan: recall k1 too late
         ana: checkpoint too late",
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            server: admit cyd as viewer
              main participant.joined by cyd: "cyd" as viewer
            server: admit dan as moderator
              main participant.joined by dan: "dan" as moderator
            ana: checkpoint   Two   words
              main checkpoint.created by ana: Two words
            ben: checkpoint
              ! invalid_field/name - 1 to 80 characters
            cyd: checkpoint mine
              ! forbidden - Your role does not allow this
            ben: recall k1 Ben's
              ! not_your_checkpoint - Only who made it, or a moderator, may do this
            dan: recall k1 Dan's
              main checkpoint.renamed by dan: Dan's
            dan: recall k1 Dan's
              ! already_recorded - That is so already
            ben: checkpoint another
              main checkpoint.created by ben: another
            ben: recall k2 better
              main checkpoint.renamed by ben: better
            ben: forget k1
              ! not_your_checkpoint - Only who made it, or a moderator, may do this
            ben: forget k2
              main checkpoint.deleted by ben
            ben: forget k2
              ! no_such_checkpoint/checkpoint - there is no such checkpoint here
            ana: end
              main checkpoint.created by ana: 
              main session.ended by ana: completed (ended)
              main session.reported by ana
            dan: recall k1 too late
              ! session_not_active - the session is completed
            ana: checkpoint too late
              ! session_not_active - the session is completed
        "#]],
    );
}

#[test]
fn there_is_a_cap_on_names_and_unnamed_ones_give_way() {
    let mut room = Room::new();
    let first = by_rule(&mut room, "events");
    let second = by_rule(&mut room, "events");
    let named = c::Command::CheckpointRename(CheckpointRename { checkpoint: second, name: "kept".to_owned() });
    room.give("ana", Stream::Main, named).expect("an automatic one gets a name");
    for _ in 0..KEPT_AUTOMATIC {
        by_rule(&mut room, "events");
    }
    assert_eq!(room.session.checkpoint(first), None, "the oldest without a name");
    let kept = room.session.checkpoint(second).expect("a name keeps it");
    assert_eq!(kept.checkpoint.kind, CheckpointKind::Automatic);
    let make = || c::Command::CheckpointCreate(CheckpointCreate { name: "x".to_owned() });
    for _ in 1..MAX_NAMED {
        room.give("ana", Stream::Main, make()).expect("there is room");
    }
    assert_eq!(room.give("ana", Stream::Main, make()).expect_err("full").code, Code::TooManyCheckpoints);
    assert_eq!(room.session.checkpoints().count(), MAX_NAMED + KEPT_AUTOMATIC);
}
