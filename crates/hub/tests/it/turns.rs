//! One agent turn, from being owed to its end.

use roundtable_hub::{TurnWork, clock};
use roundtable_protocol::command::{MemoryAdd, SessionEnd, TurnStop};
use roundtable_protocol::model::{EndReason, SettingsPatch, Usage};
use roundtable_protocol::view::AnswerState;
use roundtable_protocol::{Command, Event, EventBody, ServerFrame, SessionId, Stream, Timestamp, UserId, View};

use crate::support::{House, Reader, envelope, post};

const MAIN: Stream = Stream::Main;

async fn ask(house: &mut House, session: SessionId, who: UserId, text: &str) -> TurnWork {
    house.manager.command(session, who, envelope(MAIN, post(text, true))).await.expect("asked");
    house.work.recv().await.expect("handed to a driver")
}

fn view(reader: &Reader) -> View {
    let mut view = View::default();
    reader.events(MAIN).iter().for_each(|e| view.apply(e));
    view
}

async fn kind(reader: &mut Reader, kind: &str) {
    reader.until(|f| matches!(f, ServerFrame::Events(e) if e.items.iter().any(|e| e.body.kind() == kind))).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_shown_as_it_grows_and_recorded_whole() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    let work = ask(&mut house, session, ana, "tell me").await;
    assert!(work.transcript.iter().any(|m| m.asks && m.text == "tell me"));
    for piece in ["Hello", " dear", " 😀 people"] {
        work.handle.text(piece.to_owned()).await;
    }
    reader.until(|f| matches!(f, ServerFrame::Delta(d) if d.text.ends_with("people"))).await;
    work.handle.complete(EndReason::EndTurn, Usage::default()).await;
    kind(&mut reader, "turn.completed").await;
    let view = view(&reader);
    let answer = view.streams[&MAIN].messages.last().expect("an answer");
    assert_eq!(answer.text, "Hello dear 😀 people");
    assert_eq!(answer.answer.as_ref().map(|a| (a.state, a.length)), Some((AnswerState::Completed, 20)));
    let shown: String = reader
        .frames
        .iter()
        .filter_map(|f| if let ServerFrame::Delta(d) = f { Some(d.text.as_str()) } else { None })
        .collect();
    assert_eq!(shown, answer.text, "every token was shown, once");
    let order = |f: &ServerFrame| match f {
        ServerFrame::Delta(_) => Some("delta"),
        ServerFrame::Events(e) if e.items.iter().any(|e| e.body.kind() == "turn.started") => Some("started"),
        _ => None,
    };
    assert_eq!(reader.frames.iter().find_map(order), Some("started"), "text never comes before its message");
}

/// Waits for the next `turn.progressed` and returns when it was recorded.
async fn next_recorded(reader: &mut Reader) -> Timestamp {
    let progressed = |e: &&Event| e.body.kind() == "turn.progressed";
    let frame = reader.next(|f| matches!(f, ServerFrame::Events(e) if e.items.iter().any(|e| progressed(&e)))).await;
    let ServerFrame::Events(events) = frame else { unreachable!("events were waited for") };
    events.items.iter().find(progressed).expect("it is there").header.at
}

#[tokio::test(start_paused = true)]
async fn text_is_recorded_at_least_each_second_while_it_grows() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    let work = ask(&mut house, session, ana, "slowly").await;
    for _ in 0..3 {
        let said = (house.now)();
        work.handle.text("first".to_owned()).await;
        let recorded = next_recorded(&mut reader).await;
        assert!(recorded.duration_since(said).as_millis() <= 1_000, "{said} {recorded}");
    }
    work.handle.complete(EndReason::EndTurn, Usage::default()).await;
}

#[tokio::test(start_paused = true)]
async fn four_kilobytes_are_recorded_before_any_second_has_passed() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    let work = ask(&mut house, session, ana, "quickly").await;
    for _ in 0..3 {
        let said = (house.now)();
        work.handle.text("x".repeat(4_096)).await;
        assert_eq!(next_recorded(&mut reader).await, said);
    }
    work.handle.complete(EndReason::EndTurn, Usage::default()).await;
    kind(&mut reader, "turn.completed").await;
    assert_eq!(view(&reader).streams[&MAIN].messages.last().map(|m| m.text.len()), Some(3 * 4_096));
}

#[tokio::test(start_paused = true)]
async fn stop_cancels_the_driver_and_keeps_what_it_had() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    let work = ask(&mut house, session, ana, "long").await;
    work.handle.text("half of it".to_owned()).await;
    reader.until(|f| matches!(f, ServerFrame::Delta(_))).await;
    house.give(session, ana, Command::TurnStop(TurnStop { turn: work.turn })).await.expect("stopped");
    work.handle.cancelled().cancelled().await;
    kind(&mut reader, "turn.stopped").await;
    let last = view(&reader).streams[&MAIN].messages.last().cloned().expect("an answer");
    assert_eq!(last.text, "half of it");
    assert_eq!(last.answer.map(|a| a.state), Some(AnswerState::Stopped));
    work.handle.text("too late".to_owned()).await;
    work.handle.complete(EndReason::EndTurn, Usage::default()).await;
    reader.settle().await;
    assert!(!format!("{:?}", reader.frames).contains("too late"));
}

#[tokio::test(start_paused = true)]
async fn the_next_turn_starts_when_one_has_ended() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let first = ask(&mut house, session, ana, "one").await;
    house.manager.command(session, ana, envelope(MAIN, post("two", true))).await.expect("queued");
    assert!(house.work.try_recv().is_err(), "one turn at a time");
    first.handle.fail("model_failed", "It broke.", Usage::default()).await;
    let second = house.work.recv().await.expect("the next");
    assert!(second.transcript.iter().any(|m| m.asks && m.text == "two"));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_goes_without_a_word_loses_its_turn() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    let work = ask(&mut house, session, ana, "one").await;
    work.handle.text("partial".to_owned()).await;
    drop(work);
    kind(&mut reader, "turn.lost").await;
    let last = view(&reader).streams[&MAIN].messages.last().cloned().expect("an answer");
    assert_eq!(last.text, "partial");
}

/// A server that ends without a word: its runtime is dropped with everything that runs in it.
fn server<T>(run: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("a runtime").block_on(run)
}

#[test]
fn a_turn_that_ran_when_the_server_died_is_lost_and_the_queue_goes_on() {
    let (store, session, ana) = server(async {
        let mut house = House::new();
        let (session, ana) = house.session().await;
        let _cut_short = ask(&mut house, session, ana, "one").await;
        house.manager.command(session, ana, envelope(MAIN, post("two", true))).await.expect("queued");
        (house.manager.store().clone(), session, ana)
    });
    server(async {
        let mut house = House::over(store);
        let second = house.work.recv().await.expect("owed after the restart, with nobody asking");
        assert!(second.transcript.iter().any(|m| m.asks && m.text == "two"));
        let mut reader = house.reader(session, ana, &[MAIN]).await;
        kind(&mut reader, "turn.lost").await;
    });
}

#[tokio::test(start_paused = true)]
async fn side_chat_is_in_no_transcript() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    house.post(session, ana, Stream::Side, "CANARY").await.expect("posted");
    house.post(session, ana, MAIN, "open").await.expect("posted");
    let work = ask(&mut house, session, ana, "what was said?").await;
    assert!(!format!("{:?}", work.transcript).contains("CANARY"));
    assert!(work.transcript.iter().any(|m| m.text == "open"));
}

#[tokio::test(start_paused = true)]
async fn a_late_joiner_gets_the_text_that_is_not_in_the_log_yet() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let work = ask(&mut house, session, ana, "long").await;
    work.handle.text("already shown".to_owned()).await;
    let mut early = house.reader(session, ana, &[MAIN]).await;
    work.handle.text(", and more".to_owned()).await;
    early.until(|f| matches!(f, ServerFrame::Delta(d) if d.text.ends_with("more"))).await;
    let mut view = view(&early);
    for frame in &early.frames {
        if let ServerFrame::Delta(d) = frame {
            assert!(view.apply_delta(d.message, d.offset, &d.text), "no hole at {}", d.offset);
        }
    }
    assert_eq!(view.streams[&MAIN].messages.last().map(|m| m.text.clone()), Some("already shown, and more".into()));
}

#[tokio::test(start_paused = true)]
async fn ending_the_session_stops_the_turn_and_empties_the_queue() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    let work = ask(&mut house, session, ana, "one").await;
    house.manager.command(session, ana, envelope(MAIN, post("two", true))).await.expect("queued");
    house.give(session, ana, Command::SessionEnd(SessionEnd::default())).await.expect("ended");
    work.handle.cancelled().cancelled().await;
    kind(&mut reader, "session.ended").await;
    assert!(view(&reader).turns.is_empty());
    let kinds: Vec<_> = reader.events(MAIN).iter().map(|e| e.body.clone()).collect();
    assert!(kinds.iter().any(|b| matches!(b, EventBody::TurnStopped(_))));
    assert!(house.work.try_recv().is_err(), "nothing is owed in an ended session");
}

#[tokio::test(start_paused = true)]
async fn an_assistant_is_given_memories_only_where_the_settings_say_so_and_never_side_chat() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let add = |text: &str, pinned| MemoryAdd { text: text.to_owned(), pinned, ..MemoryAdd::default() };
    for (text, pinned) in [("tea at four", false), ("we ship on Fridays", true), ("Ben is away", false)] {
        house.manager.add_memory(session, ana, clock::new_key(), add(text, pinned)).await.expect("kept");
    }
    house.post(session, ana, Stream::Side, "a secret").await.expect("posted");
    let work = ask(&mut house, session, ana, "what do you know?").await;
    assert!(work.memories.is_empty(), "off by default");
    work.handle.complete(EndReason::EndTurn, Usage::default()).await;
    let patch = SettingsPatch { memories_to_assistants: Some(true), ..SettingsPatch::default() };
    house.manager.change_settings(session, ana, patch).await.expect("changed");
    let work = ask(&mut house, session, ana, "and now?").await;
    let told: Vec<_> = work.memories.iter().map(|m| (m.text.as_str(), m.author.display_name.as_str())).collect();
    assert_eq!(told, [("we ship on Fridays", "Ana"), ("Ben is away", "Ana"), ("tea at four", "Ana")]);
    assert!(!format!("{work:?}").contains("a secret"));
    work.handle.complete(EndReason::EndTurn, Usage::default()).await;
}
