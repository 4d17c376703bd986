use super::super::tests::{Room, check};
use super::*;
use expect_test::expect;

#[test]
fn people_come_go_and_come_back() {
    check(
        "server: admit ben as moderator
         server: admit ben as viewer
         ben: leave
         server: admit ben as viewer called Benno
         ana: remove ben
         server: admit ben as viewer
         ana: remove ben
         ana: remove zoe",
        expect![[r#"
            server: admit ben as moderator
              main participant.joined by ben: "ben" as moderator
            server: admit ben as viewer
              ! already_recorded - That is so already
            ben: leave
              main participant.left by ben
            server: admit ben as viewer called Benno
              main participant.joined by Benno: "Benno" as viewer
            ana: remove ben
              main participant.removed by ana
            server: admit ben as viewer
              ! removed - You were removed from this session
            ana: remove ben
              ! already_recorded - That is so already
            ana: remove zoe
              ! no_such_participant/participant - there is no such participant in this session
        "#]],
    );
}

#[test]
fn one_keeps_the_id_but_not_the_rights() {
    let mut room = Room::new();
    room.run("server: admit ben as moderator");
    let id = room.participant("ben");
    room.run("ben: leave\nserver: admit ben as viewer");
    let ben = room.session.participant(id).expect("known");
    assert_eq!((ben.role, ben.membership), (Role::Viewer, Membership::Joined));
    assert_eq!(room.session.participants().count(), 3, "ana, Guide, ben");
}

#[test]
fn the_owner_stays_the_owner() {
    check(
        "server: admit mo as moderator
         server: admit ben as owner
         ana: leave
         ana: remove ana
         ana: role ana viewer
         mo: role ana viewer
         mo: remove ana
         ana: role mo owner",
        expect![[r#"
            server: admit mo as moderator
              main participant.joined by mo: "mo" as moderator
            server: admit ben as owner
              ! invalid_field/role - no door makes an owner
            ana: leave
              main session.detached by ana: NobodyLeft
            ana: remove ana
              ! owner_must_stay - The owner cannot leave
            ana: role ana viewer
              ! owner_must_stay - The owner cannot leave
            mo: role ana viewer
              ! above_your_role - That participant or role is not below yours
            mo: remove ana
              ! above_your_role - That participant or role is not below yours
            ana: role mo owner
              ! above_your_role/role - you can give roles below your own
        "#]],
    );
}

#[test]
fn nobody_acts_on_who_is_not_below_them() {
    check(
        "server: admit mo as moderator
         server: admit max as moderator
         server: admit ben as collaborator
         mo: remove max
         mo: role max viewer
         mo: role mo viewer
         mo: role ben moderator
         mo: role ben viewer
         mo: role ben viewer
         mo: role ben collaborator
         ana: role ben moderator
         mo: remove ben
         ben: leave
         ana: role ben viewer
         ana: remove ben
         ana: remove guide
         ana: role guide viewer
         ben: remove mo",
        expect![[r#"
            server: admit mo as moderator
              main participant.joined by mo: "mo" as moderator
            server: admit max as moderator
              main participant.joined by max: "max" as moderator
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            mo: remove max
              ! above_your_role - That participant or role is not below yours
            mo: role max viewer
              ! above_your_role - That participant or role is not below yours
            mo: role mo viewer
              ! above_your_role - That participant or role is not below yours
            mo: role ben moderator
              ! above_your_role/role - you can give roles below your own
            mo: role ben viewer
              main participant.role_changed by mo: viewer
            mo: role ben viewer
              ! already_recorded - That is so already
            mo: role ben collaborator
              main participant.role_changed by mo: collaborator
            ana: role ben moderator
              main participant.role_changed by ana: moderator
            mo: remove ben
              ! above_your_role - That participant or role is not below yours
            ben: leave
              main participant.left by ben
            ana: role ben viewer
              ! no_such_participant/participant - there is no such participant in this session
            ana: remove ben
              main participant.removed by ana
            ana: remove guide
              ! not_available/participant - the assistant stays as it is; the session's settings say which one answers and when
            ana: role guide viewer
              ! not_available/participant - the assistant stays as it is; the session's settings say which one answers and when
            ben: remove mo
              ! removed - You were removed from this session
        "#]],
    );
}

#[test]
fn the_cap_counts_people_who_are_in() {
    check(
        r#"ana: settings {"max_participants": 2}
           server: admit ben as viewer
           server: admit bot as collaborator
           server: admit eve as viewer
           ben: leave
           server: admit eve as viewer
           server: admit ben as viewer
           ana: settings {"max_participants": 1}
           ana: settings {"max_participants": null}
           server: admit ben as viewer"#,
        expect![[r#"
            ana: settings {"max_participants": 2}
              main session.settings_changed by ana
            server: admit ben as viewer
              main participant.joined by ben: "ben" as viewer
            server: admit bot as collaborator
              main participant.joined by bot: "bot" as collaborator
            server: admit eve as viewer
              ! session_full - The session is full
            ben: leave
              main participant.left by ben
            server: admit eve as viewer
              main participant.joined by eve: "eve" as viewer
            server: admit ben as viewer
              ! session_full - The session is full
            ana: settings {"max_participants": 1}
              main session.settings_changed by ana
            ana: settings {"max_participants": null}
              main session.settings_changed by ana
            server: admit ben as viewer
              main participant.joined by ben: "ben" as viewer
        "#]],
    );
}

#[test]
fn a_closed_session_keeps_those_who_are_in() {
    check(
        r#"server: admit ben as collaborator
           server: admit eve as collaborator
           eve: leave
           ana: settings {"allow_join": false}
           server: admit dan as viewer
           server: admit eve as viewer
           server: admit ben as viewer
           ben: note still here"#,
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            server: admit eve as collaborator
              main participant.joined by eve: "eve" as collaborator
            eve: leave
              main participant.left by eve
            ana: settings {"allow_join": false}
              main session.settings_changed by ana
            server: admit dan as viewer
              ! join_closed - The session takes nobody in
            server: admit eve as viewer
              ! join_closed - The session takes nobody in
            server: admit ben as viewer
              ! already_recorded - That is so already
            ben: note still here
              main message.posted by ben
        "#]],
    );
}

#[test]
fn names_are_unique_among_those_present() {
    check(
        "server: admit ben as viewer called Ana
         server: admit eve as viewer called  ANA
         server: admit dan as viewer called Guide
         ben: leave
         server: admit joe as viewer called aNa
         server: admit kim as viewer called Ana (2)",
        expect![[r#"
            server: admit ben as viewer called Ana
              main participant.joined by Ana (2): "Ana (2)" as viewer
            server: admit eve as viewer called  ANA
              main participant.joined by ANA (3): "ANA (3)" as viewer
            server: admit dan as viewer called Guide
              main participant.joined by Guide (2): "Guide (2)" as viewer
            ben: leave
              main participant.left by Ana (2)
            server: admit joe as viewer called aNa
              main participant.joined by aNa (2): "aNa (2)" as viewer
            server: admit kim as viewer called Ana (2)
              main participant.joined by Ana (2) (2): "Ana (2) (2)" as viewer
        "#]],
    );
}

#[test]
fn a_lost_right_is_gone_from_the_queue_and_the_running_turn() {
    for (line, kind) in [
        ("ana: role ben viewer", "participant.role_changed"),
        ("ana: remove ben", "participant.removed"),
        ("ben: leave", "participant.left"),
    ] {
        let mut room = Room::new();
        room.run(
            "server: admit ben as collaborator
             ben: ask one
             server: claim t1
             server: write par
             ben: ask two
             ana: ask mine
             ben: ask three",
        );
        room.run(line);
        let kinds: Vec<&str> = room.last.events.iter().map(|e| e.body.kind()).collect();
        assert_eq!(kinds, [kind, "turn.withdrawn", "turn.withdrawn", "turn.stopped"], "{line}");
        assert_eq!(room.session.queue().len(), 1, "ana's turn stays");
        assert!(room.session.running_turn().is_none());
    }
}

#[test]
fn a_smaller_right_that_still_asks_keeps_its_turns() {
    let mut room = Room::new();
    room.run("server: admit ben as moderator\nben: ask one\nana: role ben collaborator");
    assert_eq!(room.session.queue().len(), 1);
}

#[test]
fn every_change_of_rights_raises_the_revision() {
    let mut room = Room::new();
    let mut revs = vec![room.session.roles_rev()];
    for line in
        ["server: admit ben as viewer", "ana: role ben collaborator", "ben: leave", "ana: remove ben", "ana: note x"]
    {
        room.run(line);
        revs.push(room.session.roles_rev());
    }
    assert_eq!(revs, [3, 4, 5, 6, 7, 7]);
}

#[test]
fn everybody_changes_their_own_name_and_colour_and_names_stay_unique() {
    check(
        r#"server: admit ben as viewer
           server: admit cyd as collaborator
           ben: profile {"display_name": "  Ben   the Second ", "colour": 3}
           ben: profile {"display_name": "CYD"}
           ben: profile {"display_name": "cyd (2)"}
           ben: profile {"display_name": "CYD (2)", "colour": 3}
           ben: profile {}
           cyd: profile {"colour": 12}
           cyd: profile {"display_name": " "}
           cyd: leave
           cyd: profile {"colour": 1}
           ben: profile {"display_name": "cyd"}
           ana: end
           ben: profile {"colour": 1}"#,
        expect![[r#"
            server: admit ben as viewer
              main participant.joined by ben: "ben" as viewer
            server: admit cyd as collaborator
              main participant.joined by cyd: "cyd" as collaborator
            ben: profile {"display_name": "  Ben   the Second ", "colour": 3}
              main participant.profile_changed by Ben the Second: "Ben the Second" in 3
            ben: profile {"display_name": "CYD"}
              main participant.profile_changed by CYD (2): "CYD (2)" in 3
            ben: profile {"display_name": "cyd (2)"}
              main participant.profile_changed by cyd (2): "cyd (2)" in 3
            ben: profile {"display_name": "CYD (2)", "colour": 3}
              main participant.profile_changed by CYD (2): "CYD (2)" in 3
            ben: profile {}
              ! already_recorded - That is so already
            cyd: profile {"colour": 12}
              ! invalid_field/colour - a hue is 0 to 11
            cyd: profile {"display_name": " "}
              ! invalid_field/display_name - 1 to 40 characters
            cyd: leave
              main participant.left by cyd
            cyd: profile {"colour": 1}
              ! not_a_participant - You are not in this session
            ben: profile {"display_name": "cyd"}
              main participant.profile_changed by cyd: "cyd" in 3
            ana: end
              main checkpoint.created by ana: 
              main session.ended by ana: completed (ended)
              main session.reported by ana
            ben: profile {"colour": 1}
              ! session_not_active - the session is completed
        "#]],
    );
}
