//! A store that keeps only the last events: what is gone is never answered in silence.

use std::sync::Arc;
use std::time::Duration;

use roundtable_hub::HistoryQuery;
use roundtable_hub::library::{Somebody, Update};
use roundtable_hub::replay::{Place, ReplayOptions};
use roundtable_protocol::command::MessageRedact;
use roundtable_protocol::frame::{After, StreamPosition};
use roundtable_protocol::{
    Code, Command, MessageId, Problem, Role, Seq, ServerFrame, SessionId, Stream, StreamSet, UserId,
};
use roundtable_store::{MemoryStore, Store};

use crate::support::{House, fill, nothing};

const KEPT: usize = 200;

/// A session of which the first events are gone, its owner, and the message that was posted `last` times.
async fn long(house: &House) -> (SessionId, UserId) {
    let (session, ana) = house.session().await;
    for round in 0..5 {
        fill(house, session, ana, round * 200, (round + 1) * 200).await;
    }
    (session, ana)
}

async fn oldest(store: &dyn Store, session: SessionId) -> Seq {
    match store.read(session, Stream::Main, Seq::ZERO, 1, usize::MAX).await {
        Err(roundtable_store::StoreError::Trimmed { oldest }) => oldest,
        other => panic!("nothing is gone: {other:?}"),
    }
}

fn code<T>(answer: Result<T, Problem>) -> Option<Code> {
    answer.err().map(|problem| problem.code)
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_said_to_be_gone_by_every_way_of_reading() {
    let store = Arc::new(MemoryStore::with_max_events(KEPT));
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let (session, ana) = long(&house).await;
    let oldest = oldest(&*store, session).await;
    let head = store.head(session).await.expect("read").expect("there").heads[0];
    assert!(head.0 > 1_000 && oldest.0 > head.0 - 600, "about {KEPT} of {head} are kept: {oldest} is the oldest");
    let manager = &house.manager;
    let main: StreamSet = [Stream::Main].into_iter().collect();
    let before = Seq(oldest.0 - 2);
    assert_eq!(code(manager.history(session, ana, Stream::Main, before, 10).await), Some(Code::EventsTrimmed));
    let problem = manager.history(session, ana, Stream::Main, Seq::ZERO, 10).await.expect_err("gone");
    assert!(problem.detail.contains(&oldest.to_string()), "{problem:?}");
    let kinds = vec!["message.posted".to_owned()];
    let query = HistoryQuery { stream: Stream::Main, after: Seq::ZERO, limit: 10, kinds, by: None, branch: None };
    assert_eq!(code(manager.find_events(session, ana, query).await), Some(Code::EventsTrimmed));
    let from = Place::seq(Stream::Main, before);
    let replay = manager.replay(session, ana, ReplayOptions { from, ..ReplayOptions::new(main) }).await;
    assert_eq!(code(replay.map(drop)), Some(Code::EventsTrimmed));
    assert_eq!(code(manager.page(session, ana, Stream::Main, 0).await), Some(Code::EventsTrimmed));
    let kept = manager.history(session, ana, Stream::Main, Seq(oldest.0 - 1), 10).await.expect("kept");
    assert_eq!(kept[0].seq, oldest);
    assert!(store.verify(session).await.expect("walked").broken.is_empty(), "what is kept still proves itself");
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_comes_back_too_late_is_reset_and_a_new_one_gets_everything_that_is() {
    let store = Arc::new(MemoryStore::with_max_events(KEPT));
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let (session, ana) = long(&house).await;
    let after = Some(After { seq: Seq(7), id: None });
    let late = StreamPosition { stream: Stream::Main, epoch: None, after };
    let mut reader = house.reader_from(session, ana, vec![late]).await;
    let reset = reader.until(|f| matches!(f, ServerFrame::Reset(_))).await;
    assert!(matches!(&reset, ServerFrame::Reset(r) if r.reason == "trimmed"), "{reset:?}");
    house.subscribe(&reader, session, ana, vec![nothing(Stream::Main)]).await.expect("subscribed");
    let snapshot = reader.until(|f| matches!(f, ServerFrame::Snapshot(_))).await;
    let ServerFrame::Snapshot(snapshot) = snapshot else { unreachable!() };
    let people: Vec<_> = snapshot.head.participants.iter().map(|p| p.display_name.as_str()).collect();
    assert_eq!(people, ["Ana", "Guide"], "the roster of events that are gone");
    reader.settle().await;
    let last = snapshot.head.streams[&Stream::Main].messages.last().map(|m| m.text.clone());
    let posted = reader.events(Stream::Main).len();
    assert!(last.as_deref() == Some("line 999") || posted > 0, "up to now: {last:?}");

    let mut watcher = house.manager.watch(session, ana, &[Stream::Main]).await.expect("watches");
    assert!(matches!(watcher.next().await, Some(Update::State(_))));
    watcher.catch_up(Stream::Main, Seq(7)).await.expect("asked");
    let told = loop {
        match watcher.next().await {
            Some(Update::Broken(code)) => break code,
            Some(_) => {}
            None => panic!("the watcher ended"),
        }
    };
    assert_eq!(told, Code::EventsTrimmed);
}

#[tokio::test(start_paused = true)]
async fn a_trimmed_session_is_loaded_again_as_it_was() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with_max_events(KEPT));
    let first = House::over(Arc::clone(&store));
    let (session, ana) = long(&first).await;
    let ben = Somebody::person("Ben");
    first.manager.let_in(session, &ben, Role::Viewer).await.expect("in");
    first.manager.shutdown().await;
    let second = House::over(Arc::clone(&store));
    let standing = second.manager.standing(session, ana).await.expect("there");
    assert_eq!(standing.info.participant_count, 2);
    assert!(standing.info.event_count > 1_000, "what is gone still counts");
    fill(&second, session, ana, 1_000, 1_010).await;
    // A set of streams that nobody has read before.
    let mut reader = second.reader(session, ben.user, &[Stream::Side, Stream::Main]).await;
    reader.until_text("line 1009").await;
}

#[tokio::test(start_paused = true)]
async fn an_erased_text_is_gone_from_what_stands_for_events_that_are_gone() {
    let store = Arc::new(MemoryStore::with_max_events(KEPT));
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let (session, ana) = house.session().await;
    fill(&house, session, ana, 0, 900).await;
    let secret = house.post(session, ana, Stream::Main, "a secret").await.expect("posted");
    fill(&house, session, ana, 900, 950).await;
    let message = MessageId(secret.id.0);
    let redact = Command::MessageRedact(MessageRedact { message, reason: None });
    house.give(session, ana, redact).await.expect("erased");
    let key = roundtable_store::ViewKey::Head(Stream::ALL.into_iter().collect());
    let erased = store.head(session).await.expect("read").expect("there").rev;
    let is_new = async || store.view(session, key).await.expect("read").is_some_and(|view| view.rev >= erased);
    let made = async {
        while !is_new().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), made).await.expect("the view is made anew");
    let mut reader = house.reader(session, ana, &[Stream::Main]).await;
    reader.until(|f| matches!(f, ServerFrame::Snapshot(_))).await;
    reader.settle().await;
    assert!(!format!("{:?}", reader.frames).contains("a secret"));
}

#[tokio::test(start_paused = true)]
async fn the_state_of_now_is_known_and_the_timeline_says_where_it_begins() {
    let store = Arc::new(MemoryStore::with_max_events(KEPT));
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let (session, ana) = long(&house).await;
    let oldest = oldest(&*store, session).await;
    let head = store.head(session).await.expect("read").expect("there").heads[0];
    let main: StreamSet = [Stream::Main].into_iter().collect();
    let manager = &house.manager;
    let now = manager.state_at(session, ana, main, &Place::Now).await.expect("known");
    assert_eq!(now.at[&Stream::Main], head);
    assert!(now.view.participants.iter().any(|p| p.display_name == "Ana"), "of events that are gone");
    let last = now.view.streams[&Stream::Main].messages.last().map(|m| (m.text.clone(), m.at));
    assert_eq!(last.as_ref().map(|(text, _)| text.as_str()), Some("line 999"));
    assert_eq!(now.time, last.map(|(_, at)| at));
    let then = manager.state_at(session, ana, main, &Place::seq(Stream::Main, Seq(oldest.0 - 2))).await;
    assert_eq!(code(then.map(drop)), Some(Code::EventsTrimmed));

    let from = ReplayOptions { from: Place::Now, ..ReplayOptions::new(main) };
    let mut replay = manager.replay(session, ana, from).await.expect("begins at the end");
    assert!(replay.next().await.expect("read").is_none(), "nothing has happened since");
    fill(&house, session, ana, 1_000, 1_001).await;
    let next = replay.next().await.expect("read").expect("what happens then");
    assert_eq!(next.event, Some((Stream::Main, head.next())));

    let timeline = manager.timeline(session, ana, Stream::Main).await.expect("of what is kept");
    let first = timeline.points[0];
    assert_eq!((timeline.trimmed_before, first.seq, timeline.head), (Some(oldest), oldest, head.next()));
    assert_eq!(timeline.first_at, Some(first.at));
    let whole = House::new();
    let (session, ana) = whole.session().await;
    assert_eq!(whole.manager.timeline(session, ana, Stream::Main).await.expect("made").trimmed_before, None);
}
