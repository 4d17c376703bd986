//! Pausing, resuming and failing, with a driver at work.

use std::sync::Arc;
use std::time::Duration;

use roundtable_hub::config::Reaches;
use roundtable_hub::{HubConfig, SessionManager};
use roundtable_protocol::command::SessionResume;
use roundtable_protocol::model::{EndReason, SessionState, Usage};
use roundtable_protocol::{Code, Command, EventBody, Seq, ServerFrame, Stream};
use roundtable_store::{MemoryStore, Store};

use crate::faulty::{Fate, Faulty};
use crate::support::{House, Reader, assert_consecutive, envelope, post};

const MAIN: Stream = Stream::Main;

async fn kind(reader: &mut Reader, kind: &str) {
    reader.until(|f| matches!(f, ServerFrame::Events(e) if e.items.iter().any(|e| e.body.kind() == kind))).await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_records_what_was_shown_cancels_the_driver_and_leaves_nothing_running() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    house.manager.command(session, ana, envelope(MAIN, post("tell me", true))).await.expect("asked");
    let work = house.work.recv().await.expect("handed to a driver");
    work.handle.text("so far".to_owned()).await;
    reader.until(|f| matches!(f, ServerFrame::Delta(_))).await;
    let busy = house.manager.health(session, ana).await.expect("seen");
    assert_eq!((busy.drivers, busy.turn.is_some(), busy.connections, busy.online), (1, true, 1, 1));

    house.manager.pause(session, ana, Some("lunch")).await.expect("paused");
    assert!(work.handle.cancelled().is_cancelled(), "the driver is told at once");
    let health = house.manager.health(session, ana).await.expect("seen");
    assert_eq!((health.state, health.drivers, health.turn), (SessionState::Paused, 0, None));
    kind(&mut reader, "session.paused").await;
    let text: String = reader
        .events(MAIN)
        .iter()
        .filter_map(|e| if let EventBody::TurnProgressed(d) = &e.body { Some(d.text.clone()) } else { None })
        .collect();
    assert_eq!(text, "so far");

    work.handle.complete(EndReason::EndTurn, Usage::default()).await;
    house.manager.command(session, ana, envelope(MAIN, post("people may ask", true))).await.expect("queued");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(house.work.try_recv().is_err(), "nothing starts in a pause");
    house.manager.resume(session, ana).await.expect("resumed");
    assert!(house.work.recv().await.is_some(), "what waited goes on");
    assert!(reader.events(MAIN).iter().all(|e| e.body.kind() != "turn.completed"), "a late driver writes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_paused_session_that_nobody_reads_takes_no_memory() {
    let house = House::new();
    let (session, ana) = house.session().await;
    house.manager.pause(session, ana, None).await.expect("paused");
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(house.manager.stats().rooms, 0);
    house.manager.resume(session, ana).await.expect("resumed from what was stored");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_resumed_without_what_it_needs() {
    let store = Arc::new(MemoryStore::default());
    let config =
        HubConfig { missing: Arc::new(|_| Some("the model is not connected".to_owned())), ..Default::default() };
    let (manager, work) = SessionManager::new(store, config);
    let house = House { manager, work, now: Arc::new(roundtable_hub::clock::now) };
    let (session, ana) = house.session().await;
    house.manager.pause(session, ana, None).await.expect("paused");
    let refused = house.manager.resume(session, ana).await.expect_err("refused");
    assert_eq!((refused.code, refused.detail.as_str()), (Code::CannotResume, "the model is not connected"));
    let refused = house.manager.pause(session, ana, None).await.expect_err("refused");
    assert_eq!(refused.code, Code::IllegalTransition);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_fails_and_the_next_one_begins() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    house.manager.command(session, ana, envelope(MAIN, post("one", true))).await.expect("asked");
    house.manager.command(session, ana, envelope(MAIN, post("two", true))).await.expect("asked");
    let work = house.work.recv().await.expect("handed to a driver");
    work.handle.text("so far".to_owned()).await;
    tokio::time::sleep(Duration::from_secs(30 * 60 + 2)).await;
    assert!(work.handle.cancelled().is_cancelled());
    kind(&mut reader, "turn.failed").await;
    let failed = reader.events(MAIN).into_iter().find_map(|e| match e.body {
        EventBody::TurnFailed(data) => Some((data.code, data.length)),
        _ => None,
    });
    assert_eq!(failed, Some(("turn_timeout".to_owned(), 6)));
    assert!(house.work.recv().await.is_some(), "the next one begins");
}

/// Whatever the store answers, a pause with a running turn is wholly there or not at all.
#[tokio::test(start_paused = true)]
async fn a_pause_that_meets_a_fault_is_before_or_after_and_never_between() {
    let fates = [
        Fate::WrittenUnknown,
        Fate::LostUnknown,
        Fate::Refused(crate::faulty::Refusal::Full),
        Fate::Refused(crate::faulty::Refusal::Unavailable),
    ];
    for fate in fates {
        let store = Arc::new(Faulty::default());
        let mut house = House::over(store.clone());
        let (session, ana) = house.session().await;
        house.manager.command(session, ana, envelope(MAIN, post("tell me", true))).await.expect("asked");
        let work = house.work.recv().await.expect("handed to a driver");
        store.next(&[fate]);
        let paused = house.manager.pause(session, ana, None).await.is_ok();
        // What a server that starts now would find, with the first one gone in this moment.
        let log = store.inner.read(session, MAIN, Seq::ZERO, 1_000, 1 << 20).await.expect("read");
        let header = |e: &roundtable_store::StoredEvent| String::from_utf8_lossy(&e.header).into_owned();
        let has = |kind: &str| log.iter().any(|e| header(e).contains(kind));
        assert_eq!(has("session.paused"), paused);
        assert_eq!(has("turn.stopped"), paused, "the turn is stopped exactly when the session is paused");
        let again = House::over(store);
        let state = again.manager.standing(session, ana).await.expect("loads").info.state;
        assert_eq!(state == SessionState::Paused, paused);
        drop(work);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_fails_with_its_cause_and_goes_on_when_that_is_gone() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    house.manager.fail(session, "disk_failing", "The disk is failing. Replace it.").await.expect("failed");
    kind(&mut reader, "session.ended").await;
    let events = reader.events(MAIN);
    let Some(EventBody::SessionEnded(ended)) = events.last().map(|e| &e.body) else { panic!("ended") };
    assert_eq!(
        (ended.reason.as_str(), ended.detail.as_deref()),
        ("disk_failing", Some("The disk is failing. Replace it."))
    );
    let refused = house.post(session, ana, MAIN, "hello").await.expect_err("refused");
    assert_eq!(refused.code, Code::SessionNotActive);
    house.manager.resume(session, ana).await.expect("resumed");
    house.manager.command(session, ana, envelope(MAIN, post("go on", true))).await.expect("asked");
    assert!(house.work.recv().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_same_moves_by_two_people_at_once_happen_once() {
    let house = Arc::new(House::new());
    let (session, ana) = house.session().await;
    let moves = (0..20).map(|_| house.manager.pause(session, ana, None));
    let done = futures_util::future::join_all(moves).await;
    assert_eq!(done.iter().filter(|d| d.is_ok()).count(), 1);
    let refused = done.iter().filter_map(|d| d.as_ref().err());
    assert!(refused.into_iter().all(|p| p.code == Code::IllegalTransition));
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    kind(&mut reader, "session.paused").await;
    assert_consecutive(&reader.seqs(MAIN), Seq::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_resumed_only_once_its_assistant_can_be_reached_by_call_and_by_connection() {
    let there = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asked = Arc::clone(&there);
    let reaches: Reaches = Arc::new(move |_| {
        let is_there = asked.load(std::sync::atomic::Ordering::SeqCst);
        Box::pin(async move { if is_there { None } else { std::future::pending().await } })
    });
    let config = HubConfig { reaches, ..HubConfig::default() };
    let (manager, work) = SessionManager::new(Arc::new(MemoryStore::default()), config);
    let now: roundtable_hub::config::Now = Arc::new(roundtable_hub::clock::now);
    let house = House { manager, work, now };
    let (session, ana) = house.session().await;
    house.manager.pause(session, ana, None).await.expect("paused");
    let refused = house.manager.resume(session, ana).await.expect_err("nobody answers");
    assert_eq!(refused.code, Code::CannotResume);
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    let resume = || Command::SessionResume(SessionResume {});
    house.submit(&reader, session, ana, 7, envelope(MAIN, resume()));
    let error = reader.until(|f| matches!(f, ServerFrame::Error(e) if e.re == Some(7))).await;
    assert!(matches!(&error, ServerFrame::Error(e) if e.problem.code == Code::CannotResume), "{error:?}");
    there.store(true, std::sync::atomic::Ordering::SeqCst);
    house.submit(&reader, session, ana, 8, envelope(MAIN, resume()));
    reader.until(|f| matches!(f, ServerFrame::Ok(ok) if ok.re == 8)).await;
    assert_eq!(house.manager.standing(session, ana).await.expect("there").info.state, SessionState::Active);
}

/// A house whose assistant answers that it is there once `there` says so.
fn slow_to_reach() -> (House, Arc<tokio::sync::Notify>) {
    let there = Arc::new(tokio::sync::Notify::new());
    let asked = Arc::clone(&there);
    let reaches: Reaches = Arc::new(move |_| {
        let asked = Arc::clone(&asked);
        Box::pin(async move {
            asked.notified().await;
            None
        })
    });
    (House::with(Arc::new(MemoryStore::default()), HubConfig { reaches, ..HubConfig::default() }), there)
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_sends_behind_a_resume_is_decided_behind_it() {
    let (house, there) = slow_to_reach();
    let (session, ana) = house.session().await;
    house.manager.fail(session, "disk_failing", "The disk is failing.").await.expect("failed");
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    house.submit(&reader, session, ana, 1, envelope(MAIN, Command::SessionResume(SessionResume {})));
    for re in 2..6 {
        house.submit(&reader, session, ana, re, envelope(MAIN, post(&format!("n {re}"), false)));
    }
    reader.settle().await;
    assert!(!reader.frames.iter().any(|f| matches!(f, ServerFrame::Ok(_) | ServerFrame::Error(_))), "all wait");
    there.notify_one();
    reader.until_text("n 5").await;
    // Nothing waits any more: what follows goes on by itself.
    house.submit(&reader, session, ana, 6, envelope(MAIN, post("n 6", false)));
    reader.until(|f| matches!(f, ServerFrame::Ok(ok) if ok.re == 6)).await;
    let answered = reader.frames.iter().filter_map(|f| if let ServerFrame::Ok(ok) = f { Some(ok.re) } else { None });
    assert_eq!(answered.collect::<Vec<_>>(), (1..7).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_stands_behind_a_resume_that_is_refused_is_answered_all_the_same() {
    let (house, _there) = slow_to_reach();
    let (session, ana) = house.session().await;
    house.manager.pause(session, ana, None).await.expect("paused");
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    house.submit(&reader, session, ana, 1, envelope(MAIN, Command::SessionResume(SessionResume {})));
    house.submit(&reader, session, ana, 2, envelope(MAIN, post("I tried", false)));
    house.submit(&reader, session, ana, 3, envelope(MAIN, Command::SessionResume(SessionResume {})));
    reader.until(|f| matches!(f, ServerFrame::Error(e) if e.re == Some(3))).await;
    let place = |wanted: &dyn Fn(&ServerFrame) -> bool| reader.frames.iter().position(wanted).expect("answered");
    let refused = place(&|f| matches!(f, ServerFrame::Error(e) if e.re == Some(1)));
    assert!(refused < place(&|f| matches!(f, ServerFrame::Ok(ok) if ok.re == 2)));
}
