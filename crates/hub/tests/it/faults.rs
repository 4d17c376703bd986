//! A store that says no, loses its answer, or is written to by somebody else; and a room that panics.

use std::sync::Arc;
use std::time::Duration;

use roundtable_hub::Subscription;
use roundtable_protocol::command::MessageRedact;
use roundtable_protocol::frame::{After, StreamPosition};
use roundtable_protocol::{Code, Command, MessageId, Seq, ServerFrame, SessionId, Stream};
use roundtable_store::{MemoryStore, Store};

use crate::faulty::{Fate, Faulty, Refusal};
use crate::support::{House, assert_consecutive, envelope, fill, nothing, post};

const MAIN: Stream = Stream::Main;

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_is_answered_with_its_code_and_nothing_is_shown() {
    let store = Arc::new(Faulty::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    for (refusal, code) in [(Refusal::Full, Code::StorageFull), (Refusal::Unavailable, Code::Unavailable)] {
        store.next(&[Fate::Refused(refusal)]);
        let refused = house.post(session, ana, MAIN, "lost").await.expect_err("refused");
        assert!(refused.code == code && refused.retryable);
    }
    house.post(session, ana, MAIN, "kept").await.expect("the store is back");
    reader.until_text("kept").await;
    assert_consecutive(&reader.seqs(MAIN), Seq::ZERO);
    assert!(!format!("{:?}", reader.frames).contains("lost"));
}

/// The clock of this test goes on by itself only while every room waits: were one to spin, this would never end.
#[tokio::test(start_paused = true)]
async fn a_room_that_the_store_has_refused_waits_for_the_next_command_and_does_not_spin() {
    let store = Arc::new(Faulty::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    store.next(&[Fate::Refused(Refusal::Full)]);
    house.post(session, ana, MAIN, "lost").await.expect_err("refused");
    tokio::time::sleep(Duration::from_secs(10)).await;
    house.post(session, ana, MAIN, "kept").await.expect("the store is back");
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_was_lost_is_read_back_before_anybody_is_answered() {
    let store = Arc::new(Faulty::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    store.next(&[Fate::WrittenUnknown]);
    let written = house.post(session, ana, MAIN, "written").await.expect("it is in the log");
    store.next(&[Fate::LostUnknown]);
    let again = house.post(session, ana, MAIN, "again").await.expect("decided again");
    assert_eq!(again.seq.0, written.seq.0 + 1);
    reader.until_text("again").await;
    assert_consecutive(&reader.seqs(MAIN), Seq::ZERO);
    assert_eq!(reader.events(MAIN).iter().filter(|e| crate::support::says(e, "written")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_managers_over_one_store_agree_on_one_order() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (one, two) = (House::over(store.clone()), House::over(store));
    let (session, ana) = one.session().await;
    let mut reader = one.reader(session, ana, &[MAIN]).await;
    for i in 0..20 {
        one.post(session, ana, MAIN, &format!("one {i}")).await.expect("posted");
        two.post(session, ana, MAIN, &format!("two {i}")).await.expect("posted after a conflict");
    }
    one.post(session, ana, MAIN, "last").await.expect("posted");
    reader.until_text("last").await;
    assert_consecutive(&reader.seqs(MAIN), Seq::ZERO);
    assert_eq!(reader.events(MAIN).iter().filter(|e| e.body.kind() == "message.posted").count(), 41);
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_window_is_sent_again_in_order_after_a_refusal() {
    let store = Arc::new(Faulty::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    reader.until(|f| matches!(f, ServerFrame::Events(_))).await;
    store.next(&[Fate::Refused(Refusal::Unavailable)]);
    let mut window: Vec<_> =
        (0..3).map(|i| crate::support::envelope(MAIN, crate::support::post(&format!("n {i}"), false))).collect();
    house.submit(&reader, session, ana, 0, window[0].clone());
    reader.until(|f| matches!(f, ServerFrame::Error(e) if e.problem.code == Code::Unavailable)).await;
    house.submit(&reader, session, ana, 1, window[1].clone());
    reader
        .until(|f| matches!(f, ServerFrame::Error(e) if e.re == Some(1) && e.problem.code == Code::RetryInOrder))
        .await;
    window.iter_mut().for_each(|e| e.retry = true);
    for (re, envelope) in (10..).zip(window) {
        house.submit(&reader, session, ana, re, envelope);
    }
    reader.until_text("n 2").await;
    let texts: Vec<String> = reader
        .events(MAIN)
        .into_iter()
        .filter_map(|e| if let roundtable_protocol::EventBody::MessagePosted(m) = e.body { Some(m.text) } else { None })
        .collect();
    assert_eq!(texts, ["n 0", "n 1", "n 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_of_a_missing_session_is_not_found() {
    let house = House::new();
    let (_, ana) = house.session().await;
    let outbox = roundtable_hub::Outbox::new(roundtable_protocol::ConnectionId(roundtable_hub::clock::new_key()));
    let session_id = SessionId(roundtable_hub::clock::new_key());
    let request = Subscription { connection: outbox, re: 1, session_id, streams: vec![], present: true };
    assert_eq!(house.manager.subscribe(ana, request).await.map_err(|p| p.code), Err(Code::NotFound));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_no_reading() {
    let store = Arc::new(Faulty::default());
    let mut house = House::over(store.clone());
    let (session, ana) = house.session().await;
    fill(&house, session, ana, 0, 300).await;
    store.refuse_views();
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    reader.until(|f| matches!(f, ServerFrame::Snapshot(_))).await;
    let page = house.manager.page(session, ana, MAIN, 0).await.expect("a page");
    assert_eq!(page.messages.len(), 256);
    house.manager.command(session, ana, envelope(MAIN, post("what was said?", true))).await.expect("asked");
    let work = tokio::time::timeout(Duration::from_secs(5), house.work.recv()).await;
    let work = work.expect("the conversation can be read for a turn").expect("handed to a driver");
    assert!(work.transcript.iter().any(|m| m.asks && m.text == "what was said?"));
}

#[tokio::test(start_paused = true)]
async fn a_joiner_whose_history_cannot_be_read_is_told_so() {
    let store = Arc::new(Faulty::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    house.post(session, ana, MAIN, "kept").await.expect("posted");
    store.fail_reads(1);
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    let error = reader.until(|f| matches!(f, ServerFrame::Error(_))).await;
    let ServerFrame::Error(error) = error else { unreachable!("an error was waited for") };
    assert_eq!((error.re, error.session_id), (Some(1), Some(session)));
    assert!(error.problem.code == Code::Unavailable && error.problem.retryable);
    assert!(reader.frames.iter().all(|f| !matches!(f, ServerFrame::Subscribed(_) | ServerFrame::Lagging(_))));
    house.subscribe(&reader, session, ana, vec![nothing(MAIN)]).await.expect("subscribed again");
    reader.until_text("kept").await;
}

#[tokio::test(start_paused = true)]
async fn a_joiner_whose_history_breaks_off_subscribes_again_without_a_hole() {
    let store = Arc::new(Faulty::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    fill(&house, session, ana, 0, 300).await;
    let mut first = house.reader(session, ana, &[MAIN]).await;
    first.until(|f| matches!(f, ServerFrame::Snapshot(_))).await;
    fill(&house, session, ana, 300, 310).await;
    store.fail_reads(1);
    store.reads.shut();
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    store.reads.holds().await;
    reader.take_what_is_there();
    store.reads.open();
    let snapshot = reader.until(|f| matches!(f, ServerFrame::Snapshot(_))).await;
    let ServerFrame::Snapshot(snapshot) = snapshot else { unreachable!("a snapshot was waited for") };
    let lagging = reader.until(|f| matches!(f, ServerFrame::Lagging(_))).await;
    let had = snapshot.at[&MAIN];
    assert!(matches!(lagging, ServerFrame::Lagging(l) if l.after <= had), "never above what was sent");
    fill(&house, session, ana, 310, 311).await;
    let resumed = StreamPosition { stream: MAIN, epoch: None, after: Some(After { seq: had, id: None }) };
    house.subscribe(&reader, session, ana, vec![resumed]).await.expect("subscribed again");
    reader.until_text("line 310").await;
    assert_consecutive(&reader.seqs(MAIN), had);
}

#[tokio::test(start_paused = true)]
async fn while_a_commit_cannot_be_read_back_the_room_answers_what_it_knows() {
    let store = Arc::new(Faulty::default());
    let house = Arc::new(House::over(store.clone()));
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    reader.until(|f| matches!(f, ServerFrame::Events(_))).await;
    store.next(&[Fate::WrittenUnknown]);
    store.fail_reads(usize::MAX);
    let unknown = tokio::spawn({
        let house = house.clone();
        async move { house.post(session, ana, MAIN, "unknown").await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = Duration::from_secs(1);
    let standing = tokio::time::timeout(second, house.manager.standing(session, ana)).await;
    standing.expect("in time").expect("reading works");
    let refused = tokio::time::timeout(second, house.post(session, ana, MAIN, "more")).await.expect("in time");
    assert_eq!(refused.map(drop).map_err(|p| p.code), Err(Code::Unavailable));
    assert!(!unknown.is_finished(), "nobody is answered before the log has been read");
    store.fail_reads(0);
    unknown.await.expect("no panic").expect("it was in the log");
    house.post(session, ana, MAIN, "after").await.expect("writing goes on");
    reader.until_text("after").await;
    assert_consecutive(&reader.seqs(MAIN), Seq::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_does_not_keep_a_server_from_ending() {
    for stuck in ["reads fail", "an append hangs"] {
        let store = Arc::new(Faulty::default());
        let house = Arc::new(House::over(store.clone()));
        let (session, ana) = house.session().await;
        house.post(session, ana, MAIN, "kept").await.expect("posted");
        if stuck == "reads fail" {
            store.next(&[Fate::LostUnknown]);
            store.fail_reads(usize::MAX);
        } else {
            store.appends.shut();
        }
        let pending = tokio::spawn({
            let house = house.clone();
            async move { house.post(session, ana, MAIN, "unknown").await.map(drop).map_err(|p| p.retryable) }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let ended = tokio::time::timeout(Duration::from_secs(20), house.manager.shutdown()).await;
        assert!(ended.is_ok(), "{stuck}");
        assert_eq!(pending.await.expect("no panic"), Err(true), "{stuck}: whoever waits may send again");
    }
}

#[tokio::test(start_paused = true)]
async fn an_erasing_does_not_wait_for_a_joiner_s_history() {
    let store = Arc::new(Faulty::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    fill(&house, session, ana, 0, 300).await;
    let said = house.post(session, ana, MAIN, "wrong").await.expect("posted");
    store.reads.shut();
    let mut slow = house.reader(session, ana, &[MAIN]).await;
    store.reads.holds().await;
    let redact = Command::MessageRedact(MessageRedact { message: MessageId(said.id.0), reason: None });
    let erased = tokio::time::timeout(Duration::from_secs(5), house.give(session, ana, redact)).await;
    erased.expect("at once").expect("erased");
    store.reads.open();
    slow.until(|f| matches!(f, ServerFrame::Events(e) if e.items.iter().any(|e| e.body.kind() == "message.redacted")))
        .await;
    let mut fresh = house.reader(session, ana, &[MAIN]).await;
    fresh.until(|f| matches!(f, ServerFrame::Snapshot(_))).await;
    fresh.settle().await;
    assert!(!format!("{:?}", fresh.frames).contains("wrong"), "no view keeps what was erased");
}
