//! The state at any place of the log, and what followed at the pace at which it came.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roundtable_hub::replay::{Place, Replay, ReplayOptions, ReplayStep};
use roundtable_protocol::command::{MessageRedact, ParticipantRemove, SessionRename};
use roundtable_protocol::model::SettingsPatch;
use roundtable_protocol::{
    Code, Command, MessageId, Role, Seq, ServerFrame, SessionId, Stream, StreamSet, UserId, View,
};
use roundtable_store::{MemoryStore, Store};

use crate::support::{House, record};

const BOTH: [Stream; 2] = [Stream::Main, Stream::Side];

fn both() -> StreamSet {
    BOTH.into_iter().collect()
}

/// A session in which two talk in both streams. Returns the state after each event of `main`, as it was live.
async fn talked(house: &House, messages: u64) -> (SessionId, UserId, UserId, BTreeMap<Seq, (String, View)>) {
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Collaborator).await;
    let mut live = BTreeMap::new();
    for n in 0..messages {
        let (who, stream) = (if n % 3 == 0 { ben } else { ana }, if n % 4 == 3 { Stream::Side } else { Stream::Main });
        house.post(session, who, stream, &format!("message {n}")).await.expect("posted");
        let now = house.manager.state_at(session, ana, both(), &Place::Now).await.expect("a state");
        live.insert(now.at[&Stream::Main], (now.hash(), now.view));
    }
    (session, ana, ben, live)
}

async fn all(replay: &mut Replay) -> Vec<ReplayStep> {
    let mut steps = Vec::new();
    while let Some(step) = replay.next().await.expect("a step") {
        steps.push(step);
    }
    steps
}

#[tokio::test(start_paused = true)]
async fn the_state_at_a_seq_is_the_one_that_was_live_at_that_seq() {
    let house = House::new();
    let (session, ana, _, live) = talked(&house, 300).await;
    for (seq, (hash, view)) in live {
        // What side chat had after the last event of main, before the next one, is at that place too.
        let then = house.manager.state_at(session, ana, both(), &Place::seq(Stream::Main, seq)).await.expect("a state");
        assert_eq!(then.at[&Stream::Main], seq);
        assert_eq!(then.view.streams[&Stream::Main], view.streams[&Stream::Main], "main at {seq}");
        assert_eq!(then.hash(), hash, "at {seq}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_from_any_place_ends_in_the_state_of_now() {
    let house = House::new();
    let (session, ana, _, live) = talked(&house, 40).await;
    let now = house.manager.state_at(session, ana, both(), &Place::Now).await.expect("a state");
    for from in [Place::At(BTreeMap::new()), Place::seq(Stream::Main, *live.keys().nth(9).expect("ten"))] {
        let options = ReplayOptions { from, ..ReplayOptions::new(both()) };
        let mut replay = house.manager.replay(session, ana, options).await.expect("a replay");
        let mut view = replay.start().view.clone();
        for step in all(&mut replay).await {
            if let Ok(ServerFrame::Events(events)) = serde_json::from_slice(step.frame.text()) {
                events.items.iter().for_each(|event| view.apply(event));
            }
        }
        assert_eq!(view.to_head(both()), now.view);
        assert_eq!(*replay.position(), now.at);
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_follow_the_speed_and_long_ones_are_cut() {
    let house = House::new();
    let (session, ana) = house.session().await;
    for pause in [1, 60, 4] {
        tokio::time::advance(Duration::from_secs(pause)).await;
        house.post(session, ana, Stream::Main, "after a while").await.expect("posted");
    }
    let pauses = async |speed: f64, max_gap: Option<Duration>| {
        let options = ReplayOptions { speed, max_gap, ..ReplayOptions::new(StreamSet::EMPTY.with(Stream::Main)) };
        let mut replay = house.manager.replay(session, ana, options).await.expect("a replay");
        let steps = all(&mut replay).await;
        let posted = steps.iter().filter(|step| String::from_utf8_lossy(step.frame.text()).contains("after a while"));
        posted.map(|step| step.pause.as_secs_f64()).collect::<Vec<_>>()
    };
    let rounded = |pauses: Vec<f64>| pauses.into_iter().map(|p| (p * 10.0).round() / 10.0).collect::<Vec<_>>();
    assert_eq!(rounded(pauses(1.0, Some(Duration::from_secs(2))).await), [1.0, 2.0, 2.0]);
    assert_eq!(rounded(pauses(4.0, None).await), [0.3, 15.0, 1.0]);
    assert_eq!(rounded(pauses(0.25, Some(Duration::from_secs(10))).await), [4.0, 40.0, 16.0]);
}

#[tokio::test(start_paused = true)]
async fn a_speed_out_of_range_is_refused() {
    let house = House::new();
    let (session, ana) = house.session().await;
    for speed in [0.0, 0.2, 16.1, f64::NAN, f64::INFINITY, -1.0] {
        let options = ReplayOptions { speed, ..ReplayOptions::new(both()) };
        let refused = house.manager.replay(session, ana, options).await.err().expect("refused");
        assert_eq!(refused.code, Code::InvalidField, "{speed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_erased_while_a_replay_waits_is_not_shown() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let first = house.post(session, ana, Stream::Main, "in the open").await.expect("posted");
    let canary = house.post(session, ana, Stream::Main, "the canary sings").await.expect("posted");
    let from = Place::seq(Stream::Main, Seq(first.seq.0 - 1));
    let options = ReplayOptions { from, ..ReplayOptions::new(both()) };
    let mut replay = house.manager.replay(session, ana, options).await.expect("a replay");
    replay.next().await.expect("a step").expect("the first message");
    let erase = MessageRedact { message: MessageId(canary.id.0), reason: None };
    house.give(session, ana, Command::MessageRedact(erase)).await.expect("erased");
    tokio::time::advance(Duration::from_secs(5)).await;
    let rest = all(&mut replay).await;
    assert!(rest.iter().any(|step| step.event == Some((Stream::Main, canary.seq))));
    assert!(rest.iter().all(|step| !String::from_utf8_lossy(step.frame.text()).contains("canary")));
}

#[tokio::test(start_paused = true)]
async fn whoever_loses_the_right_to_read_loses_the_replay() {
    let house = House::new();
    let (session, ana, ben, _) = talked(&house, 10).await;
    let mut replay = house.manager.replay(session, ben, ReplayOptions::new(both())).await.expect("a replay");
    replay.next().await.expect("a step").expect("an event");
    let people = house.manager.participants(session, ana).await.expect("people");
    let participant = people.iter().find(|(p, _)| p.user_id == ben).expect("Ben").0.id;
    let remove = ParticipantRemove { participant, reason: None };
    house.give(session, ana, Command::ParticipantRemove(remove)).await.expect("removed");
    assert_eq!(replay.next().await.expect_err("refused").code, Code::NotFound);
    let stranger = UserId(roundtable_hub::clock::new_key());
    let refused = house.manager.replay(session, stranger, ReplayOptions::new(both())).await.err().expect("refused");
    assert_eq!(refused.code, Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_recorded_has_no_replay_until_it_is_recorded_again() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let set = async |recording: bool| {
        let patch = SettingsPatch { recording: Some(recording), ..SettingsPatch::default() };
        house.give(session, ana, Command::SessionChangeSettings(patch)).await.expect("set");
    };
    set(false).await;
    let refused = house.manager.replay(session, ana, ReplayOptions::new(both())).await.err().expect("refused");
    assert_eq!(refused.code, Code::NotRecorded);
    assert_eq!(house.manager.timeline(session, ana, Stream::Main).await.expect_err("refused").code, Code::NotRecorded);
    set(true).await;
    house.manager.replay(session, ana, ReplayOptions::new(both())).await.expect("a replay");
}

#[tokio::test(start_paused = true)]
async fn the_timeline_says_when_a_seq_was_reached_and_what_stands_out() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let rename = |n: u64| Command::SessionRename(SessionRename { title: format!("title {n}") });
    for n in 0..2_500 {
        tokio::time::advance(Duration::from_millis(100)).await;
        house.give(session, ana, rename(n)).await.expect("renamed");
    }
    let timeline = house.manager.timeline(session, ana, Stream::Main).await.expect("a timeline");
    assert!(timeline.points.len() > 400 && timeline.points.len() <= 1_000, "{}", timeline.points.len());
    assert!(timeline.points.is_sorted_by_key(|point| point.seq) && timeline.points.is_sorted_by_key(|point| point.at));
    assert_eq!(timeline.points.first().map(|point| point.seq), Some(Seq(1)));
    assert_eq!(timeline.points.last().map(|point| point.seq), Some(timeline.head));
    let kinds: Vec<_> = timeline.markers.iter().map(|marker| marker.kind.as_str()).collect();
    assert_eq!(kinds[..3], ["participant.joined", "participant.joined", "session.started"]);
    // One of each 500 events, made by the session itself; the last may be under way.
    assert!(kinds.len() >= 7 && kinds[3..].iter().all(|kind| *kind == "checkpoint.created"), "{kinds:?}");
}

/// The recordings of `fixtures/views`: each line has an event and the state after it.
#[tokio::test(start_paused = true)]
async fn every_recording_of_the_fixtures_replays_to_its_recorded_states() {
    #[derive(serde::Deserialize)]
    struct Line {
        event: serde_json::Value,
        view: View,
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/views");
    let mut recordings = 0;
    for entry in std::fs::read_dir(folder).expect("recordings") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a recording");
        // What was shown ahead of the record, or was of an unknown kind, is no recording.
        if text.lines().any(|line| !line.starts_with("{\"event\":")) {
            continue;
        }
        let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let (session, owner) = record(&*store, lines.iter().map(|line| &line.event)).await;
        recordings += 1;
        let house = House::over(store);
        let mut at: BTreeMap<Stream, Seq> = BOTH.into_iter().map(|stream| (stream, Seq::ZERO)).collect();
        for line in &lines {
            let stream: Stream = serde_json::from_value(line.event["stream"].clone()).expect("a stream");
            at.insert(stream, serde_json::from_value(line.event["seq"].clone()).expect("a seq"));
            let place = Place::At(at.clone());
            let then = house.manager.state_at(session, owner, both(), &place).await.expect("a state");
            let mut expected = line.view.to_head(both());
            for stream in BOTH {
                expected.streams.entry(stream).or_default();
            }
            assert_eq!(then.view, expected, "{} at {at:?}", path.display());
        }
    }
    assert!(recordings > 6, "{recordings}");
}
