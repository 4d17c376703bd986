use expect_test::expect;
use roundtable_protocol::lobby::RequestStatus;

use super::super::Session;
use super::super::tests::{Room, check, user};
use super::*;

const LOBBY: &str = r#"ana: settings {"require_approval": true}"#;

fn with_lobby() -> Room {
    let mut room = Room::new();
    room.run(LOBBY);
    room
}

#[test]
fn who_waits_is_nobody_until_somebody_lets_them_in() {
    check(
        r#"server: admit ben as collaborator
           ana: settings {"require_approval": true}
           server: admit cyd as collaborator
           server: admit cyd as collaborator
           cyd: say hello
           cyd: leave
           ben: approve cyd
           ana: approve cyd
           cyd: say hello
           ana: approve cyd
           ana: approve zoe
           server: admit cyd as viewer"#,
        expect![[r#"
            server: admit ben as collaborator
              main participant.joined by ben: "ben" as collaborator
            ana: settings {"require_approval": true}
              main session.settings_changed by ana
            server: admit cyd as collaborator
              staff participant.requested by system: "cyd" as collaborator
            server: admit cyd as collaborator
              ! already_recorded - That is so already
            cyd: say hello
              ! not_a_participant - You are not in this session
            cyd: leave
              ! not_a_participant - You are not in this session
            ben: approve cyd
              ! forbidden - Your role does not allow this
            ana: approve cyd
              staff participant.approved by ana
              main participant.joined by cyd: "cyd" as collaborator
            cyd: say hello
              main message.posted by cyd ask
              main turn.queued by cyd: t1
            ana: approve cyd
              ! no_such_request/participant - nobody waits under that id
            ana: approve zoe
              ! no_such_request/participant - nobody waits under that id
            server: admit cyd as viewer
              ! already_recorded - That is so already
        "#]],
    );
}

#[test]
fn a_no_stands_for_a_while_and_can_be_taken_back() {
    check(
        r#"ana: settings {"require_approval": true}
           server: admit cyd as collaborator
           ana: deny cyd not today
           ana: deny cyd
           server: admit cyd as collaborator
           server: wait 599
           server: admit cyd as collaborator
           server: wait 1
           server: admit cyd as collaborator
           ana: deny cyd
           ana: approve cyd"#,
        expect![[r#"
            ana: settings {"require_approval": true}
              main session.settings_changed by ana
            server: admit cyd as collaborator
              staff participant.requested by system: "cyd" as collaborator
            ana: deny cyd not today
              staff participant.denied by ana: not today
            ana: deny cyd
              ! no_such_request/participant - nobody waits under that id
            server: admit cyd as collaborator
              ! join_denied - not today
            server: wait 599
              .
            server: admit cyd as collaborator
              ! join_denied - not today
            server: wait 1
              .
            server: admit cyd as collaborator
              staff participant.requested by system: "cyd" as collaborator
            ana: deny cyd
              staff participant.denied by ana
            ana: approve cyd
              staff participant.approved by ana
              main participant.joined by cyd: "cyd" as collaborator
        "#]],
    );
}

#[test]
fn a_request_ends_with_its_time_its_author_or_the_session() {
    check(
        r#"ana: settings {"require_approval": true}
           server: admit cyd as collaborator
           server: wait 599
           server: admit dan as collaborator
           server: wait 1
           server: go-away dan
           server: go-away dan
           server: admit dan as collaborator
           ana: end
           server: admit eve as viewer
           ana: approve dan"#,
        expect![[r#"
            ana: settings {"require_approval": true}
              main session.settings_changed by ana
            server: admit cyd as collaborator
              staff participant.requested by system: "cyd" as collaborator
            server: wait 599
              .
            server: admit dan as collaborator
              staff participant.requested by system: "dan" as collaborator
            server: wait 1
              staff participant.request_ended by system: expired
            server: go-away dan
              staff participant.request_ended by system: withdrawn
            server: go-away dan
              ! no_such_request/participant - nobody waits under that id
            server: admit dan as collaborator
              staff participant.requested by system: "dan" as collaborator
            ana: end
              main checkpoint.created by ana: 
              staff participant.request_ended by ana: session_ended
              main session.ended by ana: completed (ended)
              main session.reported by ana
            server: admit eve as viewer
              ! session_not_active - the session is completed
            ana: approve dan
              ! session_not_active - the session is completed
        "#]],
    );
}

#[test]
fn the_cap_counts_when_somebody_is_let_in() {
    check(
        r#"ana: settings {"require_approval": true, "max_participants": 2}
           server: admit cyd as collaborator
           server: admit dan as collaborator
           ana: approve cyd
           ana: approve dan
           cyd: leave
           ana: approve dan
           server: admit eve as viewer"#,
        expect![[r#"
            ana: settings {"require_approval": true, "max_participants": 2}
              main session.settings_changed by ana
            server: admit cyd as collaborator
              staff participant.requested by system: "cyd" as collaborator
            server: admit dan as collaborator
              staff participant.requested by system: "dan" as collaborator
            ana: approve cyd
              staff participant.approved by ana
              main participant.joined by cyd: "cyd" as collaborator
            ana: approve dan
              ! session_full - The session is full
            cyd: leave
              main participant.left by cyd
            ana: approve dan
              staff participant.approved by ana
              main participant.joined by dan: "dan" as collaborator
            server: admit eve as viewer
              ! session_full - The session is full
        "#]],
    );
}

#[test]
fn programs_and_those_whom_somebody_stands_for_need_not_wait() {
    check(
        r#"ana: settings {"require_approval": true}
           server: admit bot as collaborator
           server: admit cyd as collaborator called Cyd
           server: vouch cyd as viewer called Cyd
           server: admit dan as viewer called Cyd
           ana: settings {"require_approval": false}
           server: admit dan as viewer called Cyd
           server: admit eve as viewer"#,
        expect![[r#"
            ana: settings {"require_approval": true}
              main session.settings_changed by ana
            server: admit bot as collaborator
              main participant.joined by bot: "bot" as collaborator
            server: admit cyd as collaborator called Cyd
              staff participant.requested by system: "Cyd" as collaborator
            server: vouch cyd as viewer called Cyd
              main participant.joined by Cyd: "Cyd" as viewer
              staff participant.request_ended by Cyd: joined
            server: admit dan as viewer called Cyd
              staff participant.requested by system: "Cyd" as viewer
            ana: settings {"require_approval": false}
              main session.settings_changed by ana
            server: admit dan as viewer called Cyd
              main participant.joined by Cyd (2): "Cyd (2)" as viewer
              staff participant.request_ended by Cyd (2): joined
            server: admit eve as viewer
              main participant.joined by eve: "eve" as viewer
        "#]],
    );
}

#[test]
fn nobody_lets_in_who_would_not_be_below_them() {
    check(
        r#"server: admit mo as moderator
           ana: settings {"require_approval": true}
           server: admit max as moderator
           mo: approve max
           ana: approve max
           mo: remove cyd
           server: admit cyd as viewer called max
           mo: approve cyd
           mo: remove cyd
           server: admit cyd as viewer
           cyd: leave"#,
        expect![[r#"
            server: admit mo as moderator
              main participant.joined by mo: "mo" as moderator
            ana: settings {"require_approval": true}
              main session.settings_changed by ana
            server: admit max as moderator
              staff participant.requested by system: "max" as moderator
            mo: approve max
              ! above_your_role - That participant or role is not below yours
            ana: approve max
              staff participant.approved by ana
              main participant.joined by max: "max" as moderator
            mo: remove cyd
              ! no_such_participant/participant - there is no such participant in this session
            server: admit cyd as viewer called max
              staff participant.requested by system: "max" as viewer
            mo: approve cyd
              staff participant.approved by mo
              main participant.joined by max (2): "max (2)" as viewer
            mo: remove cyd
              main participant.removed by mo
            server: admit cyd as viewer
              ! removed - You were removed from this session
            cyd: leave
              ! removed - You were removed from this session
        "#]],
    );
}

#[test]
fn fifty_wait_and_no_more() {
    let mut room = with_lobby();
    for n in 0..MAX_WAITING {
        room.run(&format!("server: admit guest{n} as viewer"));
    }
    assert_eq!(room.session.join_requests().len(), MAX_WAITING);
    let answer = room.run("server: admit late as viewer");
    assert!(answer.contains("! lobby_full"), "{answer}");
    room.run("ana: deny guest0");
    room.run("server: admit late as viewer");
    assert_eq!(room.session.asked(user("late")).map(|a| a.status), Some(RequestStatus::Waiting));
}

#[test]
fn a_request_survives_the_snapshot_and_keeps_nobody_from_being_idle() {
    let mut room = Room::new();
    room.run(r#"ana: settings {"require_approval": true, "idle_limit_s": 700}"#);
    room.run("server: wait 600\nserver: admit cyd as viewer");
    let bytes = room.session.to_snapshot();
    assert_eq!(Session::from_snapshot(Session::SNAPSHOT_FORMAT, &bytes).as_ref(), Some(&room.session));
    let told = room.run("server: wait 100");
    assert!(told.contains("session.ended"), "{told}");
    let asked = room.session.asked(user("cyd")).expect("remembered");
    assert_eq!((asked.status, asked.reason), (RequestStatus::SessionEnded, None));
}
