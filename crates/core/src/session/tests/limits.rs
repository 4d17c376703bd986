//! What ends a session by itself, and the warning before.

use super::*;

#[test]
fn an_expiry_is_warned_of_once_and_can_be_moved() {
    let mut room = Room::founded(|f| f.expires_at = "2026-11-20T11:00:00Z".parse().ok());
    assert_eq!(room.session.next_deadline(), "2026-11-20T10:55:00Z".parse().ok());
    let told = room.run(
        "server: wait 3299
         server: wait 1
         server: wait 100
         ana: expire 1800
         ana: expire 1800
         server: wait 1499
         server: wait 1
         server: wait 300",
    );
    expect![[r#"
        server: wait 3299
          .
        server: wait 1
          main session.warned by system: Expiry at 2026-11-20T11:00:00Z
        server: wait 100
          .
        ana: expire 1800
          main session.expiry_changed by ana
        ana: expire 1800
          ! already_recorded - That is so already
        server: wait 1499
          .
        server: wait 1
          main session.warned by system: Expiry at 2026-11-20T11:26:40Z
        server: wait 300
          main checkpoint.created by system: 
          main session.ended by system: completed (expired)
          main session.reported by system
    "#]]
    .assert_eq(&told);
}

#[test]
fn an_expiry_that_is_lifted_strikes_no_more() {
    let mut room = Room::founded(|f| f.expires_at = "2026-11-20T11:00:00Z".parse().ok());
    room.run("ana: expire never\n server: wait 9999");
    assert_eq!((room.session.next_deadline(), room.session.info().is_active), (None, true));
}

#[test]
fn a_time_limit_counts_from_the_start_and_through_pauses() {
    let mut room = Room::founded(|f| f.start = false);
    let told = room.run(
        r#"ana: settings {"time_limit_s": 100}
           server: wait 500
           ana: start
           server: wait 79
           ana: pause
           server: wait 1
           server: wait 20"#,
    );
    expect![[r#"
        ana: settings {"time_limit_s": 100}
          main session.settings_changed by ana
        server: wait 500
          .
        ana: start
          main session.started by ana
        server: wait 79
          .
        ana: pause
          main session.paused by ana
          main checkpoint.created by ana:
        server: wait 1
          main session.warned by system: Time at 2026-11-20T10:10:00Z
        server: wait 20
          main checkpoint.created by system: 
          main session.ended by system: completed (time_limit)
          main session.reported by system
    "#]]
    .assert_eq(&told);
}

#[test]
fn an_idle_limit_counts_from_what_somebody_last_did_and_rests_while_paused() {
    let mut room = Room::new();
    let told = room.run(
        r#"ana: settings {"idle_limit_s": 100}
           server: wait 80
           ana: note still here
           server: wait 79
           ana: pause
           server: wait 5000
           ana: resume
           server: wait 80
           server: wait 20"#,
    );
    expect![[r#"
        ana: settings {"idle_limit_s": 100}
          main session.settings_changed by ana
        server: wait 80
          main session.warned by system: Idle at 2026-11-20T10:01:40Z
        ana: note still here
          main message.posted by ana
        server: wait 79
          .
        ana: pause
          main session.paused by ana
          main checkpoint.created by ana:
        server: wait 5000
          .
        ana: resume
          main session.resumed by ana from paused
        server: wait 80
          main session.warned by system: Idle at 2026-11-20T11:27:39Z
        server: wait 20
          main checkpoint.created by system: 
          main session.ended by system: completed (idle_limit)
          main session.reported by system
    "#]]
    .assert_eq(&told);
}

#[test]
fn limits_are_between_a_second_and_a_year() {
    let mut room = Room::new();
    let told = room.run(
        r#"ana: settings {"time_limit_s": 0}
           ana: settings {"idle_limit_s": 31536001}
           ana: settings {"idle_limit_s": 31536000, "time_limit_s": 1}
           ana: settings {"idle_limit_s": null}
           ana: expire 0"#,
    );
    expect![[r#"
        ana: settings {"time_limit_s": 0}
          ! invalid_field/settings/time_limit_s - 1 to 31536000 seconds, or null for no limit
        ana: settings {"idle_limit_s": 31536001}
          ! invalid_field/settings/idle_limit_s - 1 to 31536000 seconds, or null for no limit
        ana: settings {"idle_limit_s": 31536000, "time_limit_s": 1}
          main session.settings_changed by ana
        ana: settings {"idle_limit_s": null}
          main session.settings_changed by ana
        ana: expire 0
          ! invalid_field/expires_at - that time has passed
    "#]]
    .assert_eq(&told);
    assert_eq!((room.session.settings().idle_limit_s, room.session.settings().time_limit_s), (None, Some(1)));
}
