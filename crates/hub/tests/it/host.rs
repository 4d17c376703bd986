//! The owner's connections drop, come back, or do not; and what a server that starts again makes of it.

use std::sync::Arc;
use std::time::Duration;

use roundtable_protocol::command::ParticipantLeave;
use roundtable_protocol::{Command, Role, ServerFrame, SessionId, Stream, UserId};
use roundtable_store::{MemoryStore, Store};

use crate::support::{House, Reader};

const MAIN: Stream = Stream::Main;

async fn owner(house: &House, session: SessionId, who: UserId) -> UserId {
    house.manager.standing(session, who).await.expect("seen").info.owner_id
}

async fn detached(house: &House, session: SessionId, who: UserId) -> bool {
    house.manager.standing(session, who).await.expect("seen").info.detached_at.is_some()
}

async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn kinds(reader: &mut Reader, stream: Stream) -> Vec<&'static str> {
    reader.take_what_is_there();
    reader.events(stream).iter().map(|e| e.body.kind()).collect()
}

#[tokio::test(start_paused = true)]
async fn reloads_are_never_recorded_and_change_no_owner() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Moderator).await;
    let mut bens = house.reader(session, ben, &[MAIN, Stream::Staff]).await;
    for _ in 0..20 {
        let reader = house.reader(session, ana, &[MAIN]).await;
        wait(10).await;
        house.manager.disconnected(&reader.outbox);
        wait(10).await;
    }
    let _last = house.reader(session, ana, &[MAIN]).await;
    wait(600).await;
    assert_eq!(owner(&house, session, ben).await, ana);
    assert_eq!(kinds(&mut bens, Stream::Staff), ["session.host_arrived"]);
}

#[tokio::test(start_paused = true)]
async fn an_owner_who_comes_back_within_a_minute_stays_it_and_one_who_does_not_is_followed() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Collaborator).await;
    let mut bens = house.reader(session, ben, &[MAIN]).await;
    let first = house.reader(session, ana, &[MAIN]).await;
    let second = house.reader(session, ana, &[MAIN]).await;
    wait(5).await;
    house.manager.disconnected(&first.outbox);
    wait(600).await;
    assert_eq!(owner(&house, session, ben).await, ana, "the second connection is still there");
    house.manager.disconnected(&second.outbox);
    wait(58).await;
    let back = house.reader(session, ana, &[MAIN]).await;
    wait(600).await;
    assert_eq!(owner(&house, session, ben).await, ana);
    house.manager.disconnected(&back.outbox);
    wait(59).await;
    assert_eq!(owner(&house, session, ben).await, ana);
    wait(3).await;
    assert_eq!(owner(&house, session, ben).await, ben);
    let role = |standing: roundtable_hub::Standing| standing.participant.map(|p| p.role);
    assert_eq!(role(house.manager.standing(session, ana).await.expect("seen")), Some(Role::Moderator));
    let access = bens.until(|f| matches!(f, ServerFrame::Access(_))).await;
    let ServerFrame::Access(access) = access else { unreachable!("access was waited for") };
    assert_eq!((access.you.role, access.reason.as_str()), (Some(Role::Owner), "role_changed"));
    let list = house.manager.store().sessions_of(ben, None, None, 10).await.expect("listed");
    assert_eq!(list[0].role, Some(Role::Owner), "lists say it too");
}

#[tokio::test(start_paused = true)]
async fn who_follows_is_followed_in_turn_and_viewers_never() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Collaborator).await;
    let (eve, _) = house.person(session, "Eve", Role::Moderator).await;
    let (vic, _) = house.person(session, "Vic", Role::Viewer).await;
    let mut readers = Vec::new();
    for who in [ana, ben, eve, vic] {
        readers.push(house.reader(session, who, &[MAIN]).await);
    }
    wait(5).await;
    for (n, next) in [(0, eve), (2, ben)] {
        house.manager.disconnected(&readers[n].outbox);
        wait(90).await;
        assert_eq!(owner(&house, session, vic).await, next);
    }
    house.manager.disconnected(&readers[1].outbox);
    wait(90).await;
    assert_eq!(owner(&house, session, vic).await, ben, "the viewer does not become it");
    assert!(detached(&house, session, vic).await);
}

#[tokio::test(start_paused = true)]
async fn when_all_leave_at_once_the_session_detaches_and_comes_back_with_who_comes() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Collaborator).await;
    let readers = [house.reader(session, ana, &[MAIN]).await, house.reader(session, ben, &[MAIN]).await];
    wait(5).await;
    readers.iter().for_each(|reader| house.manager.disconnected(&reader.outbox));
    wait(200).await;
    assert!(detached(&house, session, ana).await);
    assert_eq!(owner(&house, session, ana).await, ana);
    assert_eq!(house.manager.detached_sessions(ana).await.expect("listed").len(), 1);
    let _back = house.reader(session, ben, &[MAIN]).await;
    wait(5).await;
    assert!(!detached(&house, session, ana).await);
    assert_eq!(owner(&house, session, ana).await, ana, "coming back makes nobody the owner");
}

#[tokio::test(start_paused = true)]
async fn an_owner_who_leaves_is_followed_without_any_grace() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Collaborator).await;
    let _readers = [house.reader(session, ana, &[MAIN]).await, house.reader(session, ben, &[MAIN]).await];
    house.give(session, ana, Command::ParticipantLeave(ParticipantLeave {})).await.expect("left");
    assert_eq!(owner(&house, session, ben).await, ben);
}

#[tokio::test(start_paused = true)]
async fn a_detached_session_that_works_on_says_when_it_is_done() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let reader = house.reader(session, ana, &[MAIN]).await;
    house
        .manager
        .command(session, ana, crate::support::envelope(MAIN, crate::support::post("work", true)))
        .await
        .expect("asked");
    let work = house.work.recv().await.expect("handed to a driver");
    house.manager.detach(session, ana).await.expect("detached");
    house.manager.disconnected(&reader.outbox);
    wait(600).await;
    let listed = async || {
        house.manager.detached_sessions(ana).await.expect("listed").iter().map(|i| i.work_done).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, [false], "it works on");
    work.handle.text("all of it".to_owned()).await;
    work.handle.complete(roundtable_protocol::model::EndReason::EndTurn, Default::default()).await;
    wait(90).await;
    assert_eq!(house.manager.stats().rooms, 0, "nobody needs it any more");
    assert_eq!(listed().await, [true], "it is done");
    let mut back = house.reader(session, ana, &[MAIN]).await;
    wait(1).await;
    let kinds = kinds(&mut back, MAIN);
    let place = |kind| kinds.iter().position(|k| *k == kind).unwrap_or(usize::MAX);
    assert!(place("session.detached") < place("turn.completed"));
    assert!(place("turn.completed") < place("session.work_done"));
    assert!(place("session.work_done") < place("session.attached"), "{kinds:?}");
    assert_eq!(owner(&house, session, ana).await, ana, "an owner who detached on purpose is not missed");
}

/// A server that stops without a word: its connections are gone, and the log does not know.
#[tokio::test(start_paused = true)]
async fn after_a_restart_an_owner_has_the_same_grace_to_come_back() {
    for comes_back in [true, false] {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let first = House::over(store.clone());
        let (session, ana) = first.session().await;
        let (ben, _) = first.person(session, "Ben", Role::Collaborator).await;
        let _gone = [first.reader(session, ana, &[MAIN]).await, first.reader(session, ben, &[MAIN]).await];
        wait(5).await;
        // Two rooms of one session would miss each other's connections: the first one stands still from now on.
        first.manager.shutdown().await;
        let again = House::over(store);
        wait(3).await;
        let _ben = again.reader(session, ben, &[MAIN]).await;
        let _ana = if comes_back { Some(again.reader(session, ana, &[MAIN]).await) } else { None };
        wait(50).await;
        assert_eq!(owner(&again, session, ben).await, ana);
        wait(30).await;
        assert_eq!(owner(&again, session, ben).await, if comes_back { ana } else { ben });
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_session_to_which_nobody_comes_back_detaches_without_being_asked_for() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let first = House::over(store.clone());
    let (session, ana) = first.session().await;
    let _gone = first.reader(session, ana, &[MAIN]).await;
    wait(5).await;
    first.manager.shutdown().await;
    let again = House::over(store);
    wait(120).await;
    let entry = again.manager.store().session(session).await.expect("read").expect("there");
    assert!(entry.info.detached_at.is_some());
}
