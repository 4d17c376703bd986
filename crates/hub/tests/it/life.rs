//! Rooms come and go.

use std::sync::Arc;
use std::time::Duration;

use roundtable_protocol::model::{EndReason, Usage};
use roundtable_protocol::{Code, Permission, Role, ServerFrame, SessionId, Stream, UserId};
use roundtable_store::{MemoryStore, Store, ViewKey};

use crate::faulty::Faulty;
use crate::support::{House, envelope, post};

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
    assert!(after.detached_at.is_some(), "its owner went");
    let (updated_at, event_count) = (before.updated_at, before.event_count);
    assert_eq!(roundtable_protocol::model::SessionInfo { updated_at, event_count, detached_at: None, ..after }, before);
    assert!(house.manager.standing(session, ben).await.is_ok());
    assert_eq!(house.manager.stats().rooms, 1);
}

#[tokio::test(start_paused = true)]
async fn rooms_that_nobody_needs_are_unloaded_all_of_them() {
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
async fn a_room_that_was_just_left_stays_for_a_minute() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let reader = house.reader(session, ana, &[MAIN]).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    house.manager.disconnected(&reader.outbox);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(house.manager.stats().rooms, 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(house.manager.stats().rooms, 0);
}

#[tokio::test(start_paused = true)]
async fn a_room_at_rest_has_nothing_left_to_write_at_its_end() {
    let store = Arc::new(MemoryStore::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    let reader = house.reader(session, ana, &[MAIN]).await;
    house.post(session, ana, MAIN, "before the rest").await.expect("posted");
    house.manager.disconnected(&reader.outbox);
    let view = ViewKey::Head([MAIN, Stream::Side].into_iter().collect());
    let kept = async || {
        let newest = store.head(session).await.expect("reads").expect("there").rev;
        let state = store.state(session).await.expect("reads").map(|state| state.rev);
        let view = store.view(session, view).await.expect("reads").map(|view| view.rev);
        (state, view, newest)
    };
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(house.manager.stats().rooms, 1, "it rests, and is there");
    let (state, view, newest) = kept().await;
    assert_eq!((state, view), (Some(newest), Some(newest)));
    house.post(session, ana, MAIN, "in the rest").await.expect("posted");
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(house.manager.stats().rooms, 0);
    let (state, _, newest) = kept().await;
    assert_eq!(state, Some(newest), "what came after that is written too");
}

#[tokio::test(start_paused = true)]
async fn a_running_turn_keeps_a_room_that_nobody_is_connected_to() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    house.manager.command(session, ana, envelope(MAIN, post("a long one", true))).await.expect("asked");
    let work = house.work.recv().await.expect("handed to a driver");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(house.manager.stats().rooms, 1);
    assert!(!work.handle.cancelled().is_cancelled(), "its lease is renewed");
    work.handle.complete(EndReason::EndTurn, Usage::default()).await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(house.manager.stats().rooms, 0);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_session_is_told_to_its_readers_and_every_command_is_answered() {
    let store = Arc::new(Faulty::default());
    let house = Arc::new(House::over(store.clone()));
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Collaborator).await;
    let mut readers =
        [house.reader(session, ana, &[MAIN]).await, house.reader(session, ben, &[MAIN, Stream::Side]).await];
    for reader in &mut readers {
        reader.until(|f| matches!(f, ServerFrame::Events(_))).await;
        reader.settle().await;
    }
    store.appends.shut();
    house.submit(&readers[1], session, ben, 7, envelope(MAIN, post("in flight", false)));
    store.appends.holds().await;
    house.submit(&readers[1], session, ben, 8, envelope(MAIN, post("behind it", false)));
    let delete = tokio::spawn({
        let house = house.clone();
        async move { house.manager.delete(session, ana).await }
    });
    tokio::task::yield_now().await;
    store.appends.open();
    delete.await.expect("no panic").expect("deleted");
    for reader in &mut readers {
        let access = reader.until(|f| matches!(f, ServerFrame::Access(_))).await;
        let ServerFrame::Access(access) = access else { unreachable!("access was waited for") };
        assert_eq!((access.streams.len(), access.reason.as_str()), (0, "session_deleted"));
        assert!(access.you.participant_id.is_none() && !access.you.can.allows(Permission::SessionView));
    }
    let answers = |re| {
        move |f: &ServerFrame| match f {
            ServerFrame::Ok(ok) => ok.re == re,
            ServerFrame::Error(e) => e.re == Some(re) && e.problem.code == Code::NotFound,
            _ => false,
        }
    };
    readers[1].until(answers(7)).await;
    readers[1].until(answers(8)).await;
    assert_eq!(house.manager.standing(session, ana).await.map(drop).map_err(|p| p.code), Err(Code::NotFound));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(house.manager.stats().rooms, 0);
    for reader in &mut readers {
        reader.settle().await;
        let told = reader.frames.iter().position(|f| matches!(f, ServerFrame::Access(_))).expect("told");
        let after = &reader.frames[told + 1..];
        assert!(after.iter().all(|f| matches!(f, ServerFrame::Ok(_) | ServerFrame::Error(_))), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_brings_a_session_back_while_it_is_deleted() {
    let store = Arc::new(Faulty::default());
    let house = Arc::new(House::over(store.clone()));
    let (session, ana) = house.session().await;
    let spawn = |delete: bool| {
        let house = house.clone();
        tokio::spawn(async move {
            if delete {
                return house.manager.delete(session, ana).await;
            }
            house.post(session, ana, MAIN, "too late").await.map(drop)
        })
    };
    store.deletes.shut();
    let delete = spawn(true);
    store.deletes.holds().await;
    let (post, again) = (spawn(false), spawn(true));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!post.is_finished());
    store.deletes.open();
    delete.await.expect("no panic").expect("deleted");
    assert_eq!(post.await.expect("no panic").map_err(|p| p.code), Err(Code::NotFound));
    assert_eq!(again.await.expect("no panic").map_err(|p| p.code), Err(Code::NotFound));
}

#[tokio::test(start_paused = true)]
async fn only_who_may_delete_deletes() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Moderator).await;
    let stranger = UserId(roundtable_hub::clock::new_key());
    for (user, code) in [(ben, Code::Forbidden), (stranger, Code::NotFound)] {
        assert_eq!(house.manager.delete(session, user).await.map_err(|p| p.code), Err(code));
    }
    house.post(session, ana, MAIN, "still here").await.expect("posted");
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

/// Resident memory of this process. Unit: kilobytes.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("a resident size");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}

/// Opens sessions and leaves them; returns resident memory while they are open.
async fn open_and_leave(house: &House, sessions: &[(SessionId, UserId)]) -> u64 {
    let mut readers = Vec::new();
    for some in sessions.chunks(100) {
        let open = some.iter().map(|(session, ana)| async {
            let reader = house.reader(*session, *ana, &[MAIN, Stream::Side]).await;
            house.post(*session, *ana, MAIN, "hello").await.expect("posted");
            reader
        });
        readers.extend(futures_util::future::join_all(open).await);
    }
    let open = resident_kb();
    let mut revs = Vec::new();
    for (session, _) in sessions {
        revs.push(house.manager.store().head(*session).await.expect("answered").expect("there").rev);
    }
    readers.drain(..).for_each(|reader| house.manager.disconnected(&reader.outbox));
    tokio::time::pause();
    while house.manager.stats().rooms > 0 {
        tokio::time::advance(Duration::from_secs(10)).await;
        tokio::task::yield_now().await;
    }
    tokio::time::resume();
    // Each room writes its state last; then it is gone.
    for ((session, _), rev) in sessions.iter().zip(revs) {
        while house.manager.store().state(*session).await.expect("answered").is_none_or(|state| state.rev < rev) {
            tokio::task::yield_now().await;
        }
    }
    open
}

/// Returns resident memory before 5,000 sessions are opened, with all of them open, and after they were left. As many
/// others are opened and left before, so that the bounded caches of the store are as full as they get.
async fn memory_of_5000() -> [u64; 3] {
    let folder = tempfile::tempdir().expect("a folder");
    let store = roundtable_store::SqliteStore::open(folder.path()).expect("a store");
    let house = House::over(std::sync::Arc::new(store));
    let mut sessions = Vec::new();
    for _ in 0..100 {
        sessions.extend(futures_util::future::join_all((0..100).map(|_| house.session())).await);
    }
    let (others, fresh) = sessions.split_at(5_000);
    open_and_leave(&house, others).await;
    let before = resident_kb();
    let open = open_and_leave(&house, fresh).await;
    // The last snapshots are being written, and the allocator gives pages back a moment after they are free.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while resident_kb() > before + before / 5 && std::time::Instant::now() < deadline {
        house.session().await;
    }
    [before, open, resident_kb()]
}

#[test]
fn five_thousand_sessions_opened_and_left_give_their_memory_back() {
    const CHILD: &str = "ROUNDTABLE_TEST_MEMORY_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let [before, open, after] = runtime.block_on(memory_of_5000());
        assert!(open > before + before / 5, "open rooms weigh something: {before} KB before, {open} KB open");
        assert!(after <= before + before / 5, "{before} KB before, {open} KB open, {after} KB after");
        return;
    }
    // A process of its own, so that other tests do not weigh in.
    let own = std::env::current_exe().expect("this program");
    let name = "life::five_thousand_sessions_opened_and_left_give_their_memory_back";
    let run = std::process::Command::new(own).args(["--exact", name, "--nocapture"]).env(CHILD, "1").output();
    let run = run.expect("runs");
    assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
}
