//! The log for people and programs, and what is written at a session's end.

use roundtable_hub::HistoryQuery;
use roundtable_protocol::command::{DecisionRecord, Envelope};
use roundtable_protocol::frame::Ack;
use roundtable_protocol::model::{EndReason, SessionState, Usage, UsageSource};
use roundtable_protocol::{Code, Command, EventBody, MessageId, Role, Seq, ServerFrame, Stream};
use roundtable_store::Store;

use crate::support::{House, envelope, post};

const MAIN: Stream = Stream::Main;

fn query(kinds: &[&str], limit: usize) -> HistoryQuery {
    let kinds = kinds.iter().map(|k| (*k).to_owned()).collect();
    HistoryQuery { stream: MAIN, after: Seq::ZERO, limit, kinds, by: None, branch: None }
}

#[tokio::test(start_paused = true)]
async fn history_is_filtered_by_kind_and_person_and_says_where_to_go_on() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, who) = house.person(session, "Ben", Role::Collaborator).await;
    for n in 0..30 {
        house.post(session, if n % 3 == 0 { ben } else { ana }, MAIN, &format!("line {n}")).await.expect("posted");
    }
    let only = HistoryQuery { by: Some(who.id), ..query(&["message.posted"], 4) };
    let (mut seqs, mut after) = (Vec::new(), Some(Seq::ZERO));
    while let Some(from) = after {
        let found =
            house.manager.find_events(session, ana, HistoryQuery { after: from, ..only.clone() }).await.expect("read");
        assert!(found.page.events.len() <= 4);
        for event in &found.page.events {
            let event: roundtable_protocol::Event = serde_json::from_slice(event).expect("an event");
            assert_eq!((event.body.kind(), event.header.actor.participant()), ("message.posted", Some(who.id)));
            seqs.push(event.seq.0);
        }
        after = found.next;
    }
    assert_eq!(seqs.len(), 10);
    assert!(seqs.is_sorted());
    let none = house.manager.find_events(session, ana, query(&["session.paused"], 10)).await.expect("read");
    assert!(none.page.events.is_empty() && none.next.is_none());
    let (eve, _) = house.person(session, "Eve", Role::Viewer).await;
    let staff = HistoryQuery { stream: Stream::Staff, ..query(&["session.archived"], 10) };
    let refused = house.manager.find_events(session, eve, staff).await.expect_err("not hers");
    assert_eq!(refused.code, Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn who_has_acknowledged_an_event_and_what_is_unread_follow_from_read_marks() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, bens) = house.person(session, "Ben", Role::Viewer).await;
    let mut reader = house.reader(session, ben, &[MAIN]).await;
    let mut seq = Seq::ZERO;
    for n in 0..5 {
        seq = house.post(session, ana, MAIN, &format!("line {n}")).await.expect("posted").seq;
    }
    reader.until_text("line 4").await;
    assert_eq!(house.manager.unread(session, ben).await.expect("counted")[0], (MAIN, 5));
    assert_eq!(house.manager.unread(session, ana).await.expect("counted")[0], (MAIN, 0), "one's own are read");
    house.manager.acked(&reader.outbox, Ack { session_id: session, stream: MAIN, seq: Seq(seq.0 - 2) });
    let who = |all: &[roundtable_protocol::model::Participant]| all.iter().map(|p| p.id).collect::<Vec<_>>();
    let earlier = house.manager.acknowledged_by(session, ana, MAIN, Seq(seq.0 - 2)).await.expect("told");
    assert_eq!(who(&earlier.by), [bens.id]);
    let last = house.manager.acknowledged_by(session, ana, MAIN, seq).await.expect("told");
    assert!(last.by.is_empty() && who(&last.not_by).contains(&bens.id));
    assert_eq!(house.manager.unread(session, ben).await.expect("counted")[0], (MAIN, 2));
    let none = house.manager.acknowledged_by(session, ana, MAIN, Seq(999)).await.expect_err("no such event");
    assert_eq!(none.code, Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn what_an_author_knew_is_told_from_seen_and_causes() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let first = house.post(session, ana, MAIN, "first").await.expect("posted").seq;
    house.post(session, ana, MAIN, "meanwhile").await.expect("posted");
    let blind = Envelope { seen: Some(first), ..envelope(MAIN, post("answers the first", true)) };
    let asked = house.manager.command(session, ana, blind).await.expect("posted");
    let known = house.manager.known(session, ana, MAIN, asked.seq).await.expect("told");
    assert_eq!((known.seen, known.unseen), (Some(first), vec![first.next()]));
    let _work = house.work.recv().await.expect("handed to a driver");
    let started = house.manager.find_events(session, ana, query(&["turn.started"], 1)).await.expect("read").page.events;
    let started: roundtable_protocol::Event = serde_json::from_slice(&started[0]).expect("an event");
    let known = house.manager.known(session, ana, MAIN, started.seq).await.expect("told");
    assert_eq!(known.causes, [(asked.id, Some((MAIN, asked.seq)))], "the question is its parent");
    assert!(known.seen.is_none() && known.unseen.is_empty(), "nothing is guessed");
}

#[tokio::test(start_paused = true)]
async fn the_end_leaves_a_report_and_says_where_the_hash_chain_stands() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let (_, bens) = house.person(session, "Ben", Role::Collaborator).await;
    let mut reader = house.reader(session, ana, &[MAIN, Stream::Staff]).await;
    let asked = house.manager.command(session, ana, envelope(MAIN, post("what now?", true))).await.expect("asked");
    let work = house.work.recv().await.expect("handed to a driver");
    let usage = Usage { input_uncached: 12, output: 7, source: UsageSource::Reported, ..Usage::default() };
    work.handle.text("this".to_owned()).await;
    work.handle.complete(EndReason::EndTurn, usage).await;
    let message = MessageId(asked.id.0);
    house.give(session, ana, Command::DecisionRecord(DecisionRecord { message })).await.expect("marked");
    let so_far = house.manager.report(session, ana).await.expect("told");
    assert_eq!((so_far.state, so_far.turns.completed), (SessionState::Active, 1));
    house.manager.end(session, ana, Some("done")).await.expect("ended");
    let archived = |f: &ServerFrame| matches!(f, ServerFrame::Events(e) if e.items.iter().any(|e| e.body.kind() == "session.archived"));
    reader.until(archived).await;
    let report = house.manager.report(session, ana).await.expect("told");
    let main = reader.events(MAIN);
    let Some(EventBody::SessionReported(recorded)) = main.last().map(|e| &e.body) else { panic!("reported") };
    assert_eq!(recorded.report, report);
    assert_eq!((report.state, report.reason.as_str(), report.messages), (SessionState::Completed, "done", 1));
    assert_eq!((report.decisions.as_slice(), report.usage.len()), ([message].as_slice(), 1));
    assert_eq!((report.usage[0].usage, report.usage[0].answers), (usage, 1));
    assert!(report.participants.iter().any(|p| p.participant == bens.id && p.messages == 0));
    let staff = reader.events(Stream::Staff);
    let Some(EventBody::SessionArchived(archived)) = staff.last().map(|e| &e.body) else { panic!("archived") };
    let head = archived.heads.iter().find(|h| h.stream == MAIN).expect("main");
    assert_eq!(head.seq, main.last().expect("an event").seq);
    let found = house.manager.store().verify(session).await.expect("walked");
    let hex = |hash: &[u8; 32]| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let now = found.heads.iter().find(|(stream, ..)| *stream == MAIN).expect("main");
    assert_eq!(head.hash, hex(&now.2), "nothing was changed since");
}

#[tokio::test(start_paused = true)]
async fn a_long_session_does_not_write_its_whole_state_every_few_events() {
    let store = std::sync::Arc::new(crate::faulty::Faulty::default());
    let config = roundtable_hub::HubConfig { snapshot_after: 16, ..Default::default() };
    let house = House::with(store.clone(), config);
    let (session, ana) = house.session().await;
    for n in 0..2_000 {
        house.post(session, ana, MAIN, &format!("line {n}")).await.expect("posted");
    }
    let written = store.states_bytes.load(std::sync::atomic::Ordering::SeqCst);
    let last = store.state(session).await.expect("read").expect("one was written").bytes.len();
    // Each is paid by the events since the one before, at 512 bytes each.
    assert!(written <= 2_100 * 512 + last, "{written} bytes were written, the last time {last}");
}
