use super::*;

fn grant(subject: Subject) -> Grant {
    authorize(&Facts { subject, side_for_viewers: true, roles_rev: 3, rights_epoch: 5 })
}

#[test]
fn a_stranger_gets_nothing() {
    let grant = grant(Subject::Stranger);
    assert_eq!(grant, Grant::nothing(3, 5));
    assert!(Permission::ALL.into_iter().all(|p| !grant.allows(p)));
}

#[test]
fn a_higher_role_may_do_whatever_a_lower_one_may() {
    for pair in Role::ALL.windows(2) {
        let (low, high) = (roles::permissions(pair[0]), roles::permissions(pair[1]));
        assert_eq!(low.intersect(high), low, "{} within {}", pair[0], pair[1]);
    }
}

#[test]
fn no_role_holds_what_only_the_server_may() {
    for role in Role::ALL {
        let grant = grant(Subject::Participant(role));
        assert!(!grant.allows(Permission::ParticipantJoin) && !grant.allows(Permission::TurnDrive), "{role}");
    }
}

#[test]
fn a_viewer_reads_and_writes_nothing() {
    let mask = roles::permissions(Role::Viewer);
    assert_eq!(mask.iter().collect::<Vec<_>>(), [Permission::SessionView, Permission::ParticipantBe]);
}

#[test]
fn side_chat_can_be_closed_to_viewers_and_to_nobody_else() {
    for role in Role::ALL {
        let facts =
            Facts { subject: Subject::Participant(role), side_for_viewers: false, roles_rev: 0, rights_epoch: 0 };
        assert_eq!(authorize(&facts).streams.contains(Stream::Side), role != Role::Viewer, "{role}");
    }
}

#[test]
fn each_route_stands_once() {
    let mut seen = std::collections::HashSet::new();
    assert!(routes::ROUTES.iter().all(|(m, p, _)| seen.insert((m, p))));
    assert_eq!(routes::action("GET", "/nowhere"), None);
}
