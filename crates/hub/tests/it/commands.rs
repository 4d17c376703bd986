//! What becomes of commands: order, keys, windows.

use roundtable_protocol::{Code, Problem, Role, Seq, ServerFrame, Stream};

use crate::support::{House, assert_consecutive, envelope, post};

const MAIN: Stream = Stream::Main;

#[tokio::test(start_paused = true)]
async fn two_people_see_the_same_events_in_the_same_order() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Collaborator).await;
    let mut readers =
        [house.reader(session, ana, &[MAIN, Stream::Side]).await, house.reader(session, ben, &[MAIN]).await];
    for i in 0..40 {
        let who = if i % 2 == 0 { ana } else { ben };
        house.post(session, who, MAIN, &format!("line {i}")).await.expect("posted");
    }
    for reader in &mut readers {
        reader.until_text("line 39").await;
        assert_consecutive(&reader.seqs(MAIN), Seq::ZERO);
    }
    assert_eq!(readers[0].events(MAIN), readers[1].events(MAIN));
}

#[tokio::test(start_paused = true)]
async fn an_accepted_command_is_in_the_log_at_the_seq_that_was_answered() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let receipt = house.post(session, ana, MAIN, "here").await.expect("posted");
    let page = house.manager.events(session, ana, MAIN, Seq(receipt.seq.0 - 1), 1).await.expect("read");
    let event: roundtable_protocol::Event = serde_json::from_slice(&page.events[0]).expect("an event");
    assert_eq!((event.seq, event.header.id), (receipt.seq, receipt.id));
}

#[tokio::test(start_paused = true)]
async fn a_retried_key_gives_the_first_answer_and_no_second_event() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let mut first = envelope(MAIN, post("once", false));
    let receipt = house.manager.command(session, ana, first.clone()).await.expect("posted");
    first.retry = true;
    let again = house.manager.command(session, ana, first.clone()).await.expect("known");
    assert!(again.duplicate && again.seq == receipt.seq);
    house.manager.shutdown().await;
    let house = House::over(house.manager.store().clone());
    let later = house.manager.command(session, ana, first).await.expect("known after a restart");
    assert!(later.duplicate && later.seq == receipt.seq);
}

#[tokio::test(start_paused = true)]
async fn a_key_with_another_text_or_another_author_is_reused() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Collaborator).await;
    let first = envelope(MAIN, post("once", false));
    house.manager.command(session, ana, first.clone()).await.expect("posted");
    let mut other = first.clone();
    other.command = post("twice", false);
    for (who, what) in [(ana, other), (ben, first)] {
        let refused = house.manager.command(session, who, what).await.map_err(|p| p.code);
        assert_eq!(refused, Err(Code::KeyReused));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_forgotten_in_memory_is_still_not_used_twice() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let first = envelope(MAIN, post("once", false));
    let receipt = house.manager.command(session, ana, first.clone()).await.expect("posted");
    house.manager.shutdown().await;
    let house = House::over(house.manager.store().clone());
    let again = house.manager.command(session, ana, first).await.expect("the store knows it");
    assert!(again.duplicate && again.seq == receipt.seq);
}

#[tokio::test(start_paused = true)]
async fn commands_of_a_socket_are_answered_in_the_order_of_submission() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    for re in 0..32 {
        house.submit(&reader, session, ana, re, envelope(MAIN, post(&format!("n {re}"), false)));
    }
    reader.until_text("n 31").await;
    let answered: Vec<u64> =
        reader.frames.iter().filter_map(|f| if let ServerFrame::Ok(ok) = f { Some(ok.re) } else { None }).collect();
    assert_eq!(answered, (0..32).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_thirty_third_unanswered_command_is_refused() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    for re in 0..33 {
        house.submit(&reader, session, ana, re, envelope(MAIN, post("x", false)));
    }
    let refused = reader.until(|f| matches!(f, ServerFrame::Error(_))).await;
    let ServerFrame::Error(error) = refused else { unreachable!("an error was waited for") };
    assert_eq!((error.re, error.problem.code), (Some(32), Code::WindowFull));
}

#[tokio::test(start_paused = true)]
async fn what_the_rules_refuse_is_a_problem_with_its_code() {
    let house = House::new();
    let (session, _) = house.session().await;
    let (eve, _) = house.person(session, "Eve", Role::Viewer).await;
    let refused = house.post(session, eve, MAIN, "hello").await.map_err(|p: Problem| p.code);
    assert_eq!(refused, Err(Code::Forbidden));
    let stranger = roundtable_protocol::UserId(roundtable_hub::clock::new_key());
    let refused = house.post(session, stranger, MAIN, "hello").await.map_err(|p: Problem| p.code);
    assert_eq!(refused, Err(Code::NotFound), "a session that somebody may not see does not exist for them");
    let refused = house.manager.standing(session, stranger).await.map(|_| ()).map_err(|p| p.code);
    assert_eq!(refused, Err(Code::NotFound));
    let refused = house.post(session, stranger, MAIN, "is there anybody?").await.map_err(|p: Problem| p.code);
    assert_eq!(refused, Err(Code::NotFound), "a stranger is not told that there is a session");
}
