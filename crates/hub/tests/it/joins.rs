//! Joining, resuming, lagging.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;

use roundtable_hub::clock;
use roundtable_protocol::frame::{After, EphemeralIn, Lane, StartMode, StreamPosition};
use roundtable_protocol::model::SettingsPatch;
use roundtable_protocol::view::StreamView;
use roundtable_protocol::{Code, Command, Epoch, Event, Role, Seq, ServerFrame, Stream, StreamSet, View};
use roundtable_store::{MemoryStore, Store, ViewKey, ViewSnapshot};

use crate::support::{House, Reader, assert_consecutive, fill, nothing};

const MAIN: Stream = Stream::Main;

async fn mode(reader: &mut Reader) -> StartMode {
    match reader.until(|f| matches!(f, ServerFrame::Subscribed(_))).await {
        ServerFrame::Subscribed(s) => s.streams[0].mode,
        _ => unreachable!("a subscribed frame was waited for"),
    }
}

fn after(event: &Event, epoch: Option<Epoch>) -> StreamPosition {
    let after = Some(After { seq: event.seq, id: Some(event.header.id) });
    StreamPosition { stream: event.stream, epoch, after }
}

#[tokio::test(start_paused = true)]
async fn a_resumed_reader_gets_just_what_it_has_missed() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let mut first = house.reader(session, ana, &[MAIN]).await;
    fill(&house, session, ana, 0, 10).await;
    first.until_text("line 9").await;
    house.manager.disconnected(&first.outbox);
    fill(&house, session, ana, 10, 20).await;
    let last = first.events(MAIN).pop().expect("events");
    let mut second = house.reader_from(session, ana, vec![after(&last, None)]).await;
    second.until_text("line 19").await;
    assert_eq!(mode(&mut second).await, StartMode::Replay);
    assert_consecutive(&second.seqs(MAIN), last.seq);
}

#[tokio::test(start_paused = true)]
async fn a_view_that_another_version_has_kept_is_made_again() {
    let store = Arc::new(MemoryStore::default());
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let (session, ana) = house.session().await;
    fill(&house, session, ana, 0, 300).await;
    // As versions that knew no branches kept it: no format, and all that they did not know is missing for good.
    let at = store.head(session).await.expect("read").expect("kept");
    let mut old = View::default();
    let main = StreamView { head: at.heads[MAIN as usize], count: 300, messages: vec![] };
    old.streams.insert(MAIN, main);
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&serde_json::to_vec(&old).expect("JSON")).expect("in memory");
    let bytes = Bytes::from(packed.finish().expect("in memory"));
    let key = ViewKey::Head(StreamSet::EMPTY.with(MAIN));
    store.put_view(session, key, ViewSnapshot { rev: at.rev, bytes }).await.expect("kept");

    let mut reader = house.reader(session, ana, &[MAIN]).await;
    let snapshot = reader.until(|f| matches!(f, ServerFrame::Snapshot(_))).await;
    let ServerFrame::Snapshot(snapshot) = snapshot else { unreachable!("a snapshot was waited for") };
    assert_eq!(snapshot.head.branching.branches.len(), 1, "the main branch is there");
    assert_eq!(snapshot.head.streams[&MAIN].messages.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_joiner_of_a_long_session_gets_head_and_tail_without_a_hole() {
    let house = House::new();
    let (session, ana) = house.session().await;
    fill(&house, session, ana, 0, 700).await;
    let mut reader = house.reader(session, ana, &[MAIN, Stream::Side]).await;
    assert_eq!(mode(&mut reader).await, StartMode::Snapshot);
    fill(&house, session, ana, 700, 705).await;
    reader.until_text("line 704").await;
    let snapshot = reader.until(|f| matches!(f, ServerFrame::Snapshot(_))).await;
    let ServerFrame::Snapshot(snapshot) = snapshot else { unreachable!("a snapshot was waited for") };
    let mut view = snapshot.head;
    assert_eq!(view.streams[&MAIN].messages.len(), 100);
    assert_eq!(view.head(MAIN), snapshot.at[&MAIN]);
    assert_consecutive(&reader.seqs(MAIN), snapshot.at[&MAIN]);
    reader.events(MAIN).iter().for_each(|e| view.apply(e));
    assert_eq!(view.streams[&MAIN].count, 705);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_another_history_is_reset() {
    let house = House::new();
    let (session, ana) = house.session().await;
    fill(&house, session, ana, 0, 3).await;
    let ahead = StreamPosition { stream: MAIN, epoch: None, after: Some(After { seq: Seq(99), id: None }) };
    let foreign = StreamPosition {
        stream: MAIN,
        epoch: Some(Epoch("other".to_owned())),
        after: Some(After { seq: Seq(1), id: None }),
    };
    let forged = StreamPosition {
        stream: MAIN,
        epoch: None,
        after: Some(After { seq: Seq(2), id: Some(roundtable_protocol::EventId(clock::new_key())) }),
    };
    for (position, why) in [(ahead, "ahead_of_head"), (foreign, "epoch_changed"), (forged, "other_history")] {
        let mut reader = house.reader_from(session, ana, vec![position]).await;
        let reset = reader.until(|f| matches!(f, ServerFrame::Reset(_))).await;
        assert!(matches!(reset, ServerFrame::Reset(r) if r.reason == why), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_keep_up_is_told_where_to_go_on() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let mut slow = house.reader(session, ana, &[MAIN]).await;
    slow.until(|f| matches!(f, ServerFrame::Events(_))).await;
    let mut quick = house.reader(session, ana, &[MAIN]).await;
    let text = "x".repeat(36_000);
    for i in 0..40 {
        house.post(session, ana, MAIN, &text).await.expect("posted");
        house.post(session, ana, MAIN, &format!("mark {i}")).await.expect("posted");
        quick.until_text(&format!("mark {i}")).await;
    }
    let lagging = slow.until(|f| matches!(f, ServerFrame::Lagging(_))).await;
    let ServerFrame::Lagging(lagging) = lagging else { unreachable!("lagging was waited for") };
    let had = slow.seqs(MAIN).last().copied().unwrap_or(0);
    assert_consecutive(&slow.seqs(MAIN), Seq::ZERO);
    assert_eq!(lagging.after, Seq(had), "nothing between what it has and where it goes on");
    assert_consecutive(&quick.seqs(MAIN), Seq::ZERO);
    let resumed = StreamPosition { stream: MAIN, epoch: None, after: Some(After { seq: Seq(had), id: None }) };
    house.subscribe(&slow, session, ana, vec![resumed]).await.expect("subscribed again");
    slow.until_text("mark 39").await;
    assert_consecutive(&slow.seqs(MAIN), Seq::ZERO);
}

#[tokio::test(start_paused = true)]
async fn pages_hold_the_folded_messages_of_long_ago() {
    let house = House::new();
    let (session, ana) = house.session().await;
    fill(&house, session, ana, 0, 600).await;
    for (page, messages) in [(0, 256), (1, 256), (2, 88)] {
        let got = house.manager.page(session, ana, MAIN, page).await.expect("a page");
        assert_eq!(got.messages.len(), messages);
        assert_eq!(got.messages[0].text, format!("line {}", page * 256));
    }
    assert!(house.manager.page(session, ana, MAIN, 3).await.is_err());
    let first = house.manager.page(session, ana, MAIN, 0).await.expect("a page").messages[7].id;
    let edit = roundtable_protocol::command::MessageEdit { message: first, text: "better".to_owned() };
    house.give(session, ana, roundtable_protocol::Command::MessageEdit(edit)).await.expect("edited");
    let page = house.manager.page(session, ana, MAIN, 0).await.expect("a page");
    assert_eq!(page.messages[7].text, "better", "a kept page is not older than the last change of its messages");
}

#[tokio::test(start_paused = true)]
async fn presence_is_told_and_ends_fifteen_seconds_after_the_last_connection() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, participant) = house.person(session, "Ben", Role::Collaborator).await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    let gone = Reader::new();
    house.subscribe(&gone, session, ben, vec![nothing(MAIN)]).await.expect("subscribed");
    let shows = |frame: &ServerFrame, status: &str| match frame {
        ServerFrame::Ephemeral(e) => {
            e.items.iter().any(|i| i.participant_id == participant.id && i.data["status"] == status)
        }
        _ => false,
    };
    reader.until(|f| shows(f, "active")).await;
    house.manager.disconnected(&gone.outbox);
    tokio::time::sleep(Duration::from_secs(14)).await;
    reader.take_what_is_there();
    assert!(!reader.frames.iter().any(|f| shows(f, "offline")), "a network cut of 14 s is not seen");
    tokio::time::sleep(Duration::from_secs(2)).await;
    reader.take_what_is_there();
    assert!(reader.frames.iter().any(|f| shows(f, "offline")));
    let left = house.manager.participants(session, ana).await.expect("a list");
    assert!(left.iter().any(|(p, _)| p.id == participant.id), "membership outlasts the connection");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_written_in_shards_gets_what_a_few_get() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let mut crowd = Vec::new();
    for _ in 0..1_100 {
        crowd.push(house.reader(session, ana, &[MAIN, Stream::Side]).await);
    }
    fill(&house, session, ana, 0, 20).await;
    house.post(session, ana, Stream::Side, "aside").await.expect("posted");
    for reader in &mut crowd {
        reader.until_text("line 19").await;
        reader.until_text("aside").await;
        assert_consecutive(&reader.seqs(MAIN), Seq::ZERO);
    }
    house.manager.disconnected(&crowd[700].outbox);
    house.post(session, ana, MAIN, "last").await.expect("posted");
    for (i, reader) in crowd.iter_mut().enumerate().filter(|(i, _)| *i != 700) {
        reader.until_text("last").await;
        assert_consecutive(&reader.seqs(MAIN), Seq::ZERO);
        assert!(reader.frames.iter().all(|f| !matches!(f, ServerFrame::Lagging(_))), "reader {i}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_fifteen_seconds_a_reader_is_told_the_heads_of_what_it_may_read_and_of_nothing_else() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (eve, _) = house.person(session, "Eve", Role::Viewer).await;
    let patch = SettingsPatch { side_for_viewers: Some(false), ..SettingsPatch::default() };
    house.give(session, ana, Command::SessionChangeSettings(patch)).await.expect("changed");
    fill(&house, session, ana, 0, 3).await;
    house.post(session, ana, Stream::Side, "aside").await.expect("posted");
    let mut readers = [house.reader(session, ana, &Stream::ALL).await, house.reader(session, eve, &Stream::ALL).await];
    let heads = |reader: &mut Reader| -> Vec<BTreeMap<Stream, Seq>> {
        reader.take_what_is_there();
        let head = |f: &ServerFrame| if let ServerFrame::Head(h) = f { Some(h.streams.clone()) } else { None };
        reader.frames.iter().filter_map(head).collect()
    };
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert!(readers.iter_mut().all(|r| heads(r).len() <= 1), "not more often");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(readers.iter_mut().all(|r| !heads(r).is_empty()));
    tokio::time::sleep(Duration::from_secs(15)).await;
    let stored = house.manager.store().head(session).await.expect("answered").expect("there").heads;
    for (reader, user, side) in [(0, ana, true), (1, eve, false)] {
        let may = house.manager.standing(session, user).await.expect("there").grant.streams;
        assert_eq!((may.contains(MAIN), may.contains(Stream::Side)), (true, side));
        let told = heads(&mut readers[reader]);
        let expected: BTreeMap<_, _> = may.iter().map(|s| (s, stored[s as usize])).collect();
        assert!(told.len() >= 2 && told.iter().all(|streams| *streams == expected), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_lags_and_then_goes_is_not_there_any_more() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, participant) = house.person(session, "Ben", Role::Collaborator).await;
    let slow = house.reader(session, ben, &[MAIN]).await;
    fill(&house, session, ana, 0, 5).await;
    let text = "x".repeat(36_000);
    for _ in 0..40 {
        house.post(session, ana, MAIN, &text).await.expect("posted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    house.manager.disconnected(&slow.outbox);
    tokio::time::sleep(Duration::from_secs(16)).await;
    let people = house.manager.participants(session, ana).await.expect("a list");
    let (_, presence) = people.into_iter().find(|(p, _)| p.id == participant.id).expect("still a member");
    assert_eq!(presence, None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_reads_at_most_256_sessions() {
    let house = House::new();
    let reader = Reader::new();
    let mut last = None;
    for n in 0..=256 {
        let (session, ana) = house.session().await;
        let subscribed = house.subscribe(&reader, session, ana, vec![nothing(MAIN)]).await;
        assert_eq!(subscribed.map_err(|p| p.code), if n < 256 { Ok(()) } else { Err(Code::TooManySessions) });
        if n == 255 {
            house.manager.unsubscribe(session, &reader.outbox).await;
            house.subscribe(&reader, session, ana, vec![nothing(MAIN)]).await.expect("its place was free again");
            last = Some(session);
        }
    }
    let session = last.expect("the 256th");
    house.manager.unsubscribe(session, &reader.outbox).await;
    let (another, ana) = house.session().await;
    house.subscribe(&reader, another, ana, vec![nothing(MAIN)]).await.expect("a place");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_to_be_shown_is_refused_with_its_own_code() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Collaborator).await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    let mut shows = house.reader(session, ben, &[MAIN]).await;
    shows.until(|f| matches!(f, ServerFrame::Subscribed(_))).await;
    // The quotes count.
    for letters in [1_023, 1_022] {
        let data = serde_json::Value::from("x".repeat(letters));
        let frame = EphemeralIn { session_id: session, stream: MAIN, lane: Lane::Pointer, data };
        house.manager.ephemeral(&shows.outbox, frame);
    }
    let error = shows.until(|f| matches!(f, ServerFrame::Error(_))).await;
    let ServerFrame::Error(error) = error else { unreachable!("an error was waited for") };
    assert_eq!((error.re, error.session_id, error.problem.code), (None, Some(session), Code::EphemeralTooLarge));
    let shown = |f: &ServerFrame| matches!(f, ServerFrame::Ephemeral(e) if e.lane == Lane::Pointer);
    let shown = reader.until(shown).await;
    assert!(matches!(shown, ServerFrame::Ephemeral(e) if e.items[0].data.as_str().map(str::len) == Some(1_022)));
}
