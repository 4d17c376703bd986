//! Rooms come and go.

use std::time::Duration;

use roundtable_protocol::{Role, Stream};

use crate::support::House;

const MAIN: Stream = Stream::Main;

#[tokio::test(start_paused = true)]
async fn a_room_without_connection_or_owed_work_is_unloaded_and_comes_back_as_it_was() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Viewer).await;
    let reader = house.reader(session, ana, &[MAIN]).await;
    house.post(session, ana, MAIN, "kept").await.expect("posted");
    let before = house.manager.standing(session, ana).await.expect("there").info;
    tokio::time::advance(Duration::from_secs(120)).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(house.manager.stats().rooms, 1, "a connection keeps it");
    house.manager.disconnected(&reader.outbox);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(house.manager.stats().rooms, 0);
    let after = house.manager.standing(session, ana).await.expect("there").info;
    assert_eq!(after, before);
    assert!(house.manager.standing(session, ben).await.is_ok());
    assert_eq!(house.manager.stats().rooms, 1);
}

#[tokio::test(start_paused = true)]
async fn rooms_that_nobody_needs_give_their_memory_back() {
    let house = House::new();
    let mut sessions = Vec::new();
    for _ in 0..200 {
        sessions.push(house.session().await);
    }
    for (session, ana) in &sessions {
        let reader = house.reader(*session, *ana, &[MAIN]).await;
        house.manager.disconnected(&reader.outbox);
    }
    assert_eq!(house.manager.stats().rooms, 200);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(house.manager.stats().rooms, 0);
}

#[tokio::test(start_paused = true)]
async fn a_shut_down_manager_takes_nothing_more() {
    let house = House::new();
    let (session, ana) = house.session().await;
    house.post(session, ana, MAIN, "kept").await.expect("posted");
    house.manager.shutdown().await;
    let refused = house.post(session, ana, MAIN, "late").await.map_err(|p| p.code.name());
    assert_eq!(refused, Err("shutting_down"));
}
