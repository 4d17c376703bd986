use super::*;
use uuid::Uuid;

fn at(seconds: u64) -> Timestamp {
    after("2026-11-20T10:00:00Z".parse().expect("a time"), Duration::from_secs(seconds))
}

const ANA: ParticipantId = ParticipantId(Uuid::from_u128(1));
const BEN: ParticipantId = ParticipantId(Uuid::from_u128(2));

fn socket(n: u128) -> ConnectionId {
    ConnectionId(Uuid::from_u128(n))
}

fn told(people: &[Person]) -> Vec<(ParticipantId, PresenceStatus)> {
    people.iter().map(|p| (p.participant_id, p.status)).collect()
}

/// Follows the deadlines from `from` to `to` and collects what is handed out, with the second.
fn follow(presence: &mut Presence, from: u64, to: u64) -> Vec<(u64, PresenceStatus)> {
    let mut all = Vec::new();
    for second in from..=to {
        if presence.next_deadline().is_some_and(|due| due <= at(second)) {
            let changed = presence.on_time(at(second));
            assert!(presence.next_deadline().is_none_or(|due| due > at(second)), "a deadline that is over stays");
            all.extend(changed.iter().map(|p| (second, p.status)));
        }
    }
    all
}

#[test]
fn who_does_nothing_grows_idle_then_away() {
    let mut presence = Presence::default();
    presence.connect(ANA, socket(1), at(0));
    use PresenceStatus::{Active, Away, Idle};
    assert_eq!(told(&presence.people()), [(ANA, Active)], "there at once for those who ask");
    assert_eq!(follow(&mut presence, 0, 1_000), [(0, Active), (60, Idle), (300, Away)]);
    assert_eq!(presence.next_deadline(), None);
    presence.activity(ANA, at(1_001));
    assert_eq!(follow(&mut presence, 1_001, 1_100), [(1_001, Active), (1_061, Idle)]);
    presence.activity(ANA, at(1_101));
    assert_eq!(follow(&mut presence, 1_101, 1_102), [(1_101, Active)]);
    assert_eq!(presence.people()[0].last_active_at, at(1_101));
}

#[test]
fn a_dropped_connection_is_forgiven_for_fifteen_seconds() {
    let mut presence = Presence::default();
    presence.connect(ANA, socket(1), at(0));
    presence.on_time(at(0));
    presence.disconnect(socket(1), at(10));
    assert_eq!(follow(&mut presence, 10, 24), []);
    assert_eq!(presence.online(), [ANA]);
    presence.connect(ANA, socket(2), at(24));
    assert_eq!(follow(&mut presence, 24, 50), [], "nobody saw it");
    presence.disconnect(socket(2), at(50));
    assert_eq!(follow(&mut presence, 50, 100), [(65, PresenceStatus::Offline)]);
    assert!(presence.online().is_empty() && presence.people().is_empty() && presence.next_deadline().is_none());
}

#[test]
fn the_last_of_several_connections_counts() {
    let mut presence = Presence::default();
    presence.connect(ANA, socket(1), at(0));
    presence.connect(ANA, socket(2), at(0));
    presence.on_time(at(0));
    presence.disconnect(socket(1), at(1));
    presence.disconnect(socket(1), at(2));
    assert_eq!(follow(&mut presence, 1, 40), []);
    presence.disconnect(socket(2), at(40));
    assert_eq!(follow(&mut presence, 40, 100), [(55, PresenceStatus::Offline)]);
}

#[test]
fn leaving_has_no_grace() {
    let mut presence = Presence::default();
    presence.connect(ANA, socket(1), at(0));
    presence.connect(BEN, socket(2), at(0));
    presence.on_time(at(0));
    presence.gone(ANA);
    assert_eq!((presence.online(), presence.people().len()), (vec![BEN], 1));
    assert!(presence.next_deadline().is_some_and(|due| due <= at(5)));
    assert_eq!(told(&presence.on_time(at(5))), [(ANA, PresenceStatus::Offline)]);
    presence.disconnect(socket(1), at(6));
    presence.activity(ANA, at(6));
    assert_eq!(presence.online(), [BEN]);
    presence.connect(ANA, socket(3), at(7));
    assert_eq!(told(&presence.on_time(at(7))), [(ANA, PresenceStatus::Active)]);
}

#[test]
fn who_came_and_went_between_two_ticks_was_never_seen() {
    let mut presence = Presence::default();
    presence.connect(ANA, socket(1), at(0));
    presence.gone(ANA);
    assert_eq!(presence.on_time(at(0)), []);
    assert!(presence.online().is_empty() && presence.next_deadline().is_none());
}

#[test]
fn a_connection_that_becomes_somebody_else_leaves_the_first_one() {
    let mut presence = Presence::default();
    presence.connect(ANA, socket(1), at(0));
    presence.connect(BEN, socket(1), at(1));
    presence.on_time(at(1));
    assert_eq!(told(&presence.on_time(at(16))), [(ANA, PresenceStatus::Offline)]);
    assert_eq!(presence.online(), [BEN]);
}
