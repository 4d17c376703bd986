//! Sessions that begin as copies of others, and what is erased in all of them.

use std::sync::Arc;

use roundtable_hub::{MemoryQuery, clock};
use roundtable_protocol::branching::MergeHow;
use roundtable_protocol::command::{
    BranchCreate, BranchMerge, ContextPatch, MemoryAdd, MessagePost, MessageRedact, SessionFork,
};
use roundtable_protocol::model::SettingsPatch;
use roundtable_protocol::{Code, Command, MessageId, Role, SessionId, Stream, UserId};
use roundtable_store::{MemoryStore, Store};
use serde_json::json;

use crate::faulty::Faulty;
use crate::support::{House, settled};

async fn say(house: &House, session: SessionId, user: UserId, text: &str) -> MessageId {
    let post = MessagePost { text: text.to_owned(), ask: Some(false), ..MessagePost::default() };
    MessageId(house.give(session, user, Command::MessagePost(post)).await.expect("said").id.0)
}

async fn fork(house: &House, session: SessionId, user: UserId, fork: SessionFork) -> SessionId {
    house.manager.fork(session, user, clock::new_key(), fork).await.expect("begun").info.id
}

async fn texts(house: &House, session: SessionId, user: UserId) -> Vec<String> {
    let main = house.manager.standing(session, user).await.expect("seen").info.conversation_id;
    let path = house.manager.path(session, user, main, None, 500).await.expect("read");
    path.into_iter().rev().filter(|m| !m.message.redacted).map(|m| m.message.text).collect()
}

async fn erase(house: &House, session: SessionId, user: UserId, message: MessageId) {
    let redact = MessageRedact { message, reason: None };
    house.give(session, user, Command::MessageRedact(redact)).await.expect("erased");
}

#[tokio::test(start_paused = true)]
async fn a_copy_holds_messages_context_and_memories_up_to_the_point_and_nobody_else() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Collaborator).await;
    let (vic, _) = house.person(session, "Vic", Role::Viewer).await;
    let one = say(&house, session, ana, "one").await;
    let two = say(&house, session, ben, "two").await;
    let set = |value| ContextPatch { merge: Some(value), ..ContextPatch::default() };
    house.manager.update_context(session, ana, set(json!({"a": 1}))).await.expect("written");
    let keep = |text: &str, source| MemoryAdd { text: text.into(), source, ..MemoryAdd::default() };
    for (text, source) in [("of two", Some(two)), ("of nothing", None)] {
        house.manager.add_memory(session, ana, clock::new_key(), keep(text, source)).await.expect("kept");
    }
    say(&house, session, ana, "three").await;
    house.manager.update_context(session, ana, set(json!({"a": 2}))).await.expect("written");

    let key = clock::new_key();
    let point = SessionFork { message: Some(two), title: Some("Another way".into()), ..SessionFork::default() };
    let made = house.manager.fork(session, ben, key, point.clone()).await.expect("begun");
    let again = house.manager.fork(session, ben, key, point).await.expect("the same");
    assert_eq!((made.info.id, made.duplicate, again.duplicate), (again.info.id, false, true));
    let copy = made.info.id;
    assert_eq!((made.info.title.as_str(), made.info.participant_count), ("Another way", 1));
    assert_eq!(texts(&house, copy, ben).await, ["one", "two"]);
    assert_eq!(house.manager.context(copy, ben, "", None).await.expect("read").value, json!({"a": 1}));
    let kept = house.manager.memories(copy, ben, MemoryQuery::default()).await.expect("read");
    assert_eq!(kept.iter().map(|m| m.text.as_str()).collect::<Vec<_>>(), ["of two"]);
    let main = made.info.conversation_id;
    let path = house.manager.path(copy, ben, main, None, 10).await.expect("read");
    let first = path.last().and_then(|m| m.message.copied_from.clone()).expect("a copy");
    let there = first.there.expect("of another session");
    assert_eq!((first.message, there.session, there.name.as_str(), there.agent), (one, session, "Ana", false));
    assert_eq!(kept[0].source, Some(path[0].message.id), "a memory is of the copy");

    let no = house.manager.standing(copy, ana).await.expect_err("rights are not copied");
    assert_eq!(no.code, Code::NotFound);
    let from = made.info.forked_from.expect("told");
    assert_eq!((from.session, from.message, from.left_out), (session, Some(two), 0));
    let lineage = house.manager.lineage(session, ana).await.expect("seen");
    assert_eq!(lineage.forked_from, None);
    let [(fork, title)] = &lineage.forks[..] else { panic!("one fork: {lineage:?}") };
    assert_eq!((fork.session, fork.message, title.clone()), (copy, Some(two), None), "of a title only who may see it");
    let lineage = house.manager.lineage(copy, ben).await.expect("seen");
    assert_eq!(lineage.forked_from.expect("told").1.as_deref(), Some("A test"));

    let refused = house.manager.fork(session, vic, clock::new_key(), SessionFork::default()).await.expect_err("no");
    assert_eq!(refused.code, Code::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn a_branch_or_a_checkpoint_can_be_copied_as_well_and_what_is_erased_or_not_recorded_cannot() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let one = say(&house, session, ana, "one").await;
    let point = house.manager.checkpoint(session, ana, clock::new_key(), "At first").await.expect("made");
    let two = say(&house, session, ana, "two").await;
    let create = BranchCreate { message: Some(one), ..BranchCreate::default() };
    let branch = house.manager.branch(session, ana, clock::new_key(), create).await.expect("begun").id;
    let post = MessagePost { branch: Some(branch), text: "aside".into(), ask: Some(false), ..MessagePost::default() };
    house.give(session, ana, Command::MessagePost(post)).await.expect("said");
    let of = |branch, checkpoint, seq| SessionFork { branch, checkpoint, seq, ..SessionFork::default() };
    let copy = fork(&house, session, ana, of(Some(branch), None, None)).await;
    assert_eq!(texts(&house, copy, ana).await, ["one", "aside"]);
    let copy = fork(&house, session, ana, of(None, Some(point.checkpoint.id), None)).await;
    assert_eq!(texts(&house, copy, ana).await, ["one"]);
    let copy = fork(&house, session, ana, of(None, None, Some(point.seq))).await;
    assert_eq!(texts(&house, copy, ana).await, ["one"]);

    erase(&house, session, ana, two).await;
    let refuse = async |fork| house.manager.fork(session, ana, clock::new_key(), fork).await.expect_err("refused").code;
    let at = |message| SessionFork { message: Some(message), ..SessionFork::default() };
    assert_eq!(refuse(at(two)).await, Code::MessageIsRedacted);
    assert_eq!(refuse(at(MessageId::NIL)).await, Code::NoSuchMessage);
    let unrecorded = SettingsPatch { recording: Some(false), ..SettingsPatch::default() };
    house.give(session, ana, Command::SessionChangeSettings(unrecorded)).await.expect("changed");
    assert_eq!(refuse(at(one)).await, Code::NotRecorded);
}

#[tokio::test(start_paused = true)]
async fn what_is_erased_goes_from_copies_copies_of_copies_and_what_was_picked_from_them() {
    let store = Arc::new(MemoryStore::default());
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let (session, ana) = house.session().await;
    let secret = say(&house, session, ana, "the canary sings").await;
    say(&house, session, ana, "stays").await;
    let copy = fork(&house, session, ana, SessionFork::default()).await;
    let main = house.manager.standing(copy, ana).await.expect("seen").info.conversation_id;
    let first = house.manager.path(copy, ana, main, None, 10).await.expect("read");
    let copied = first.last().expect("a message").message.id;
    let begin = BranchCreate { seq: Some(roundtable_protocol::Seq(3)), ..BranchCreate::default() };
    let empty = house.manager.branch(copy, ana, clock::new_key(), begin).await.expect("begun").id;
    let pick = BranchMerge {
        into: empty,
        from: main,
        how: MergeHow::Pick,
        if_head: None,
        messages: vec![copied],
        text: None,
        question: None,
        said: vec![],
    };
    house.manager.merge(copy, ana, clock::new_key(), pick).await.expect("picked");
    let far = fork(&house, copy, ana, SessionFork { branch: Some(empty), ..SessionFork::default() }).await;
    assert_eq!(texts(&house, far, ana).await, ["the canary sings"]);

    erase(&house, session, ana, secret).await;
    settled(&*store).await;
    for (session, left) in [(session, vec!["stays"]), (copy, vec!["stays"]), (far, vec![])] {
        assert_eq!(texts(&house, session, ana).await, left);
        let log = store.read(session, Stream::Main, roundtable_protocol::Seq::ZERO, 1_000, usize::MAX).await;
        let log: String = log.expect("read").iter().map(|e| String::from_utf8_lossy(&e.body).into_owned()).collect();
        assert!(!log.contains("canary"), "{log}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_to_copies_survives_a_store_that_refuses_and_a_restart() {
    let store = Arc::new(Faulty::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    let secret = say(&house, session, ana, "the canary sings").await;
    let key = clock::new_key();
    let copy = roundtable_core::session::fork_of(key);
    // The event that it is forked is written, the new session is not.
    store.refuse(Some(copy));
    let made = house.manager.fork(session, ana, key, SessionFork::default()).await;
    assert_eq!(made.expect_err("not yet").code, Code::Unavailable);
    house.manager.shutdown().await;
    drop(house);

    store.refuse(None);
    let house = House::over(store.clone());
    settled(&*store.inner).await;
    let made = house.manager.fork(session, ana, key, SessionFork::default()).await.expect("it is there");
    assert_eq!((made.info.id, made.duplicate), (copy, true));
    assert_eq!(texts(&house, copy, ana).await, ["the canary sings"]);
    store.refuse(Some(copy));
    erase(&house, session, ana, secret).await;
    house.manager.shutdown().await;
    drop(house);

    store.refuse(None);
    let house = House::over(store.clone());
    settled(&*store.inner).await;
    assert!(texts(&house, copy, ana).await.is_empty(), "erased after the restart");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_deleted_only_after_its_copies_have_lost_what_it_has_lost() {
    let store = Arc::new(MemoryStore::default());
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let (session, ana) = house.session().await;
    let secret = say(&house, session, ana, "the canary sings").await;
    let copy = fork(&house, session, ana, SessionFork::default()).await;
    erase(&house, session, ana, secret).await;
    house.manager.delete(session, ana).await.expect("deleted");
    assert!(texts(&house, copy, ana).await.is_empty());
    let lineage = house.manager.lineage(copy, ana).await.expect("seen");
    let (from, title) = lineage.forked_from.expect("told");
    assert_eq!((from.session, title), (session, None), "where it came from is known, what is gone has no title");
}

/// What programs said beside the texts of a session's main branch, as far as it is still told.
async fn beside(house: &House, session: SessionId, user: UserId) -> Vec<serde_json::Value> {
    let main = house.manager.standing(session, user).await.expect("seen").info.conversation_id;
    let path = house.manager.path(session, user, main, None, 500).await.expect("read");
    path.into_iter().rev().filter_map(|m| m.message.data).collect()
}

#[tokio::test(start_paused = true)]
async fn what_programs_say_beside_a_text_goes_with_it_into_every_copy_and_is_erased_with_it() {
    let store = Arc::new(MemoryStore::default());
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let (session, ana) = house.session().await;
    let one = say(&house, session, ana, "one").await;
    let main = house.manager.standing(session, ana).await.expect("seen").info.conversation_id;
    let create = BranchCreate { message: Some(one), ..BranchCreate::default() };
    let branch = house.manager.branch(session, ana, clock::new_key(), create).await.expect("begun").id;
    say(&house, session, ana, "two").await;
    let sums = |total: u64| json!({"total": total, "secret": "4711"});
    let post = |total| MessagePost {
        branch: Some(branch),
        text: "sums".into(),
        data: Some(sums(total)),
        ask: Some(false),
        ..MessagePost::default()
    };
    let mut posted = Vec::new();
    for total in [1, 2] {
        let message = house.give(session, ana, Command::MessagePost(post(total))).await.expect("said");
        posted.push(MessageId(message.id.0));
    }
    let merge = |how, messages: &[MessageId]| BranchMerge {
        messages: messages.to_vec(),
        ..BranchMerge {
            into: main,
            from: branch,
            how,
            if_head: None,
            messages: vec![],
            text: None,
            question: None,
            said: vec![],
        }
    };
    let pick = merge(MergeHow::Pick, &posted);
    house.manager.merge(session, ana, clock::new_key(), pick).await.expect("picked");
    assert_eq!(beside(&house, session, ana).await, [sums(1), sums(2)], "picked");

    let picked = fork(&house, session, ana, SessionFork::default()).await;
    let of_branch = SessionFork { branch: Some(branch), ..SessionFork::default() };
    let other = fork(&house, session, ana, of_branch).await;
    let of_copy = fork(&house, picked, ana, SessionFork::default()).await;
    for copy in [picked, other, of_copy] {
        assert_eq!(beside(&house, copy, ana).await, [sums(1), sums(2)], "begun as a copy");
    }
    erase(&house, session, ana, posted[0]).await;
    settled(&*store).await;
    for copy in [session, picked, other, of_copy] {
        assert_eq!(beside(&house, copy, ana).await, [sums(2)], "the other one stays");
    }
    erase(&house, session, ana, posted[1]).await;
    settled(&*store).await;
    for copy in [session, picked, other, of_copy] {
        assert!(beside(&house, copy, ana).await.is_empty());
        let log =
            store.read(copy, Stream::Main, roundtable_protocol::Seq::ZERO, 1_000, usize::MAX).await.expect("read");
        let kept = log.iter().any(|event| String::from_utf8_lossy(&event.body).contains("4711"));
        assert!(!kept, "nothing of it is left in the log");
    }
}

#[tokio::test(start_paused = true)]
async fn an_adopted_branch_brings_what_programs_say_beside_its_texts() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let one = say(&house, session, ana, "one").await;
    let main = house.manager.standing(session, ana).await.expect("seen").info.conversation_id;
    let create = BranchCreate { message: Some(one), ..BranchCreate::default() };
    let branch = house.manager.branch(session, ana, clock::new_key(), create).await.expect("begun").id;
    let data = Some(json!({"total": 1}));
    let post =
        MessagePost { branch: Some(branch), text: "sums".into(), data, ask: Some(false), ..MessagePost::default() };
    let posted = house.give(session, ana, Command::MessagePost(post)).await.expect("said");
    let (into, from, how) = (main, branch, MergeHow::Adopt);
    let merge =
        BranchMerge { into, from, how, if_head: None, messages: vec![], text: None, question: None, said: vec![] };
    house.manager.merge(session, ana, clock::new_key(), merge).await.expect("adopted");
    assert_eq!(beside(&house, session, ana).await, [json!({"total": 1})]);
    erase(&house, session, ana, MessageId(posted.id.0)).await;
    assert!(beside(&house, session, ana).await.is_empty());
}
