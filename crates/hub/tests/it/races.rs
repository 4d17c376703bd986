//! Two servers over one store: what is erased or deleted at one of them while the other one copies it.
//!
//! A server learns what another one has written when it commits itself or reads the log; in between it knows less than the
//! log. No copy of an erased text may come of that.

use std::sync::Arc;

use roundtable_hub::clock;
use roundtable_protocol::branching::MergeHow;
use roundtable_protocol::command::{BranchCreate, BranchMerge, MemoryAdd, MessageRedact, SessionFork};
use roundtable_protocol::{Code, Command, MessageId, Problem, Seq, SessionId, Stream, UserId};
use roundtable_store::{MemoryStore, Store};

use crate::faulty::Faulty;
use crate::support::{House, races, settled};

const CANARY: &str = "the canary sings";

async fn say(house: &House, session: SessionId, user: UserId, text: &str) -> MessageId {
    MessageId(house.post(session, user, Stream::Main, text).await.expect("said").id.0)
}

async fn erase(house: &House, session: SessionId, user: UserId, message: MessageId) -> Result<(), Problem> {
    let redact = MessageRedact { message, reason: None };
    house.give(session, user, Command::MessageRedact(redact)).await.map(drop)
}

async fn fork(house: &House, session: SessionId, user: UserId, fork: SessionFork) -> Result<SessionId, Problem> {
    house.manager.fork(session, user, clock::new_key(), fork).await.map(|made| made.info.id)
}

async fn texts(house: &House, session: SessionId, user: UserId) -> Vec<String> {
    let main = house.manager.standing(session, user).await.expect("seen").info.conversation_id;
    let path = house.manager.path(session, user, main, None, 500).await.expect("read");
    path.into_iter().rev().filter(|m| !m.message.redacted).map(|m| m.message.text).collect()
}

/// Lets others go on for a while that differs from round to round.
async fn wait_a_little(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Returns everything that the store keeps of a session and that could say something.
async fn kept(store: &dyn Store, session: SessionId) -> String {
    let mut all = format!("{:?}", store.session(session).await.expect("read"));
    for stream in Stream::ALL {
        let log = store.read(session, stream, Seq::ZERO, 1_000, usize::MAX).await.expect("read");
        log.iter().for_each(|event| all.push_str(&String::from_utf8_lossy(&event.body)));
    }
    all
}

/// Checks that no server shows and the store does not keep what was erased.
async fn assert_nowhere(store: &dyn Store, houses: &[&House], user: UserId, sessions: &[SessionId], round: usize) {
    for session in sessions {
        let kept = kept(store, *session).await;
        assert!(!kept.contains(CANARY), "round {round}: {kept}");
        for house in houses {
            let texts = texts(house, *session, user).await;
            assert!(!texts.iter().any(|text| text.contains(CANARY)), "round {round}: {texts:?}");
            let memories = house.manager.memories(*session, user, Default::default()).await.expect("read");
            assert!(!memories.iter().any(|memory| memory.text.contains(CANARY)), "round {round}: {memories:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_another_server_begins_holds_what_the_log_holds_not_what_that_server_knows() {
    let store = Arc::new(Faulty::default());
    let (here, there) = (House::over(store.clone()), House::over(store.clone()));
    let (session, ana) = here.session().await;
    say(&here, session, ana, "known to both").await;
    assert_eq!(texts(&there, session, ana).await, ["known to both"]);
    let secret = say(&here, session, ana, CANARY).await;
    say(&here, session, ana, "later").await;
    erase(&here, session, ana, secret).await.expect("erased");
    let key = clock::new_key();
    let copy = roundtable_core::session::fork_of(key);
    store.refuse(Some(copy));
    let made = here.manager.fork(session, ana, key, SessionFork::default()).await;
    assert_eq!(made.expect_err("not yet").code, Code::Unavailable);
    here.manager.shutdown().await;
    store.refuse(None);
    settled(&*store.inner).await;
    assert_eq!(texts(&there, copy, ana).await, ["known to both", "later"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_of_no_copy_deletes_no_session_that_owes_one_something() {
    let store = Arc::new(Faulty::default());
    let (here, there) = (House::over(store.clone()), House::over(store.clone()));
    let (session, ana) = here.session().await;
    let secret = say(&here, session, ana, CANARY).await;
    assert_eq!(texts(&there, session, ana).await, [CANARY]);
    let copy = fork(&here, session, ana, SessionFork::default()).await.expect("begun");
    store.refuse(Some(copy));
    erase(&here, session, ana, secret).await.expect("erased");
    let refused = there.manager.delete(session, ana).await.expect_err("it owes its copy something");
    assert_eq!((refused.code, refused.retryable), (Code::Unavailable, true));
    store.refuse(None);
    there.manager.delete(session, ana).await.expect("now it is told");
    assert_nowhere(&*store.inner, &[&there], ana, &[copy], 0).await;
}

/// Copies, copies of copies and picks are made at one server while the text is erased at the other one.
#[tokio::test(start_paused = true)]
async fn what_is_erased_at_one_server_while_another_copies_it_is_in_no_copy() {
    let store = Arc::new(MemoryStore::default());
    let houses = [House::over(store.clone()), House::over(store.clone())];
    let (mut with, mut without) = (0, 0);
    for round in 0..races(200) {
        let (here, there) = (&houses[round % 2], &houses[1 - round % 2]);
        let (session, ana) = here.session().await;
        let secret = say(here, session, ana, CANARY).await;
        let keep = MemoryAdd { text: CANARY.into(), source: Some(secret), ..MemoryAdd::default() };
        let memory = here.manager.add_memory(session, ana, clock::new_key(), keep).await.expect("kept");
        say(here, session, ana, "stays").await;
        let mut copies = vec![fork(here, session, ana, SessionFork::default()).await.expect("begun")];
        let mains = [session, copies[0]].map(|id| async move {
            let main = here.manager.standing(id, ana).await.expect("seen").info.conversation_id;
            let path = here.manager.path(id, ana, main, None, 10).await.expect("read");
            let begin = BranchCreate { seq: Some(Seq(3)), ..BranchCreate::default() };
            let empty = here.manager.branch(id, ana, clock::new_key(), begin).await.expect("begun").id;
            (main, empty, path.last().expect("a message").message.id)
        });
        let places = futures_util::future::join_all(mains).await;
        if round % 3 > 0 {
            // Otherwise the other server has never heard of them.
            for id in [session, copies[0]] {
                texts(there, id, ana).await;
            }
            say(here, session, ana, "only one of them knows this").await;
        }
        let copying = async {
            wait_a_little(round * 7 % 23).await;
            let of = [session, copies[0]][round / 2 % 2];
            let made = fork(here, of, ana, SessionFork::default()).await.expect("begun");
            (made, fork(here, made, ana, SessionFork::default()).await.expect("begun"))
        };
        let picking = async {
            wait_a_little(round * 5 % 19).await;
            for (id, (main, empty, message)) in [session, copies[0]].into_iter().zip(&places) {
                let (into, from, messages) = (*empty, *main, vec![*message]);
                let (how, if_head, text, question, said) = (MergeHow::Pick, None, None, None, vec![]);
                let pick = BranchMerge { into, from, how, if_head, messages, text, question, said };
                let picked = here.manager.merge(id, ana, clock::new_key(), pick).await;
                // Refused by the rules, or because there is nothing left to copy.
                let erased = [Code::MessageIsRedacted, Code::TextEmpty];
                if let Err(problem) = picked {
                    assert!(erased.contains(&problem.code), "round {round}: {problem:?}");
                }
            }
        };
        let erasing = async {
            wait_a_little(round * 11 % 37).await;
            erase(there, session, ana, secret).await.expect("erased");
            let remove = roundtable_protocol::command::MemoryRemove { memory: memory.id, reason: None };
            let gone = there.give(session, ana, Command::MemoryRemove(remove)).await;
            assert!(gone.is_ok() || gone.is_err_and(|p| p.code == Code::NoSuchMemory), "gone with its message");
        };
        let ((made, far), (), ()) = tokio::join!(copying, picking, erasing);
        copies.extend([made, far]);
        settled(&*store).await;
        let log = store.read(far, Stream::Main, Seq::ZERO, 1_000, usize::MAX).await.expect("read");
        match log.iter().any(|event| String::from_utf8_lossy(&event.header).contains("message.redacted")) {
            true => with += 1,
            false => without += 1,
        }
        copies.push(session);
        assert_nowhere(&*store, &[here, there], ana, &copies, round).await;
    }
    assert!(with > 0 && without > 0, "{with} last copies had it and lost it, {without} never had it");
}

/// An origin is erased at one server and deleted at the other one.
#[tokio::test(start_paused = true)]
async fn what_was_erased_before_its_session_was_deleted_elsewhere_is_in_no_copy() {
    let store = Arc::new(MemoryStore::default());
    let houses = [House::over(store.clone()), House::over(store.clone())];
    let (mut erased, mut late) = (0, 0);
    for round in 0..races(200) {
        let (here, there) = (&houses[round % 2], &houses[1 - round % 2]);
        let (session, ana) = here.session().await;
        let secret = say(here, session, ana, CANARY).await;
        if round % 3 > 0 {
            texts(there, session, ana).await;
        }
        let erasing = async {
            wait_a_little(round * 7 % 23).await;
            let copy = fork(here, session, ana, SessionFork::default()).await;
            (copy, erase(here, session, ana, secret).await)
        };
        let deleting = async {
            wait_a_little(round * 11 % 61).await;
            while let Err(problem) = there.manager.delete(session, ana).await {
                assert!(problem.retryable, "{problem:?}");
            }
        };
        let ((copy, done), ()) = tokio::join!(erasing, deleting);
        settled(&*store).await;
        match (copy, done) {
            (Ok(copy), Ok(())) => {
                erased += 1;
                assert_nowhere(&*store, &[here, there], ana, &[copy], round).await;
            }
            _ => late += 1,
        }
    }
    assert!(erased > 0 && late > 0, "{erased} were erased, {late} came too late");
}
