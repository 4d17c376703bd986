//! What an assistant reads of branches, and commits that fail in the middle of going back and merging.

use std::sync::Arc;
use std::time::Duration;

use roundtable_protocol::branching::{HeadMoved, MergeHow, RestoreHow};
use roundtable_protocol::command::{BranchMerge, CheckpointRestore, MessagePost};
use roundtable_protocol::{BranchId, Command, Problem, SessionId, Stream, UserId};

use roundtable_hub::clock;

use crate::faulty::{Fate, Faulty, Refusal};
use crate::support::House;

const MAIN: Stream = Stream::Main;

async fn say(house: &House, session: SessionId, user: UserId, post: MessagePost) -> BranchId {
    house.give(session, user, Command::MessagePost(post)).await.expect("said");
    house.manager.branches(session, user).await.expect("read").branches.last().expect("the main one").id
}

fn post(text: &str) -> MessagePost {
    MessagePost { text: text.to_owned(), ask: Some(false), ..MessagePost::default() }
}

async fn texts(house: &House, session: SessionId, user: UserId, branch: BranchId) -> Vec<String> {
    let path = house.manager.path(session, user, branch, None, 500).await.expect("read");
    path.into_iter().rev().map(|m| m.message.text).collect()
}

/// Ana said "one" and "two"; "other" stands beside "two". Returns the two branches.
async fn forked(house: &House, session: SessionId, ana: UserId) -> (BranchId, BranchId) {
    let main = say(house, session, ana, post("one")).await;
    say(house, session, ana, post("two")).await;
    let two = house.manager.path(session, ana, main, None, 1).await.expect("read")[0].message.id;
    let branch = say(house, session, ana, MessagePost { sibling_of: Some(two), ..post("other") }).await;
    (main, branch)
}

async fn transcript(house: &mut House) -> Vec<String> {
    let work = tokio::time::timeout(Duration::from_secs(5), house.work.recv()).await;
    let work = work.expect("in time").expect("handed to a driver");
    work.transcript.iter().map(|m| m.text.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_assistant_reads_its_own_branch_and_nothing_of_another() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let (main, branch) = forked(&house, session, ana).await;
    let ask = |branch, text| MessagePost { ask: Some(true), branch: Some(branch), ..post(text) };
    say(&house, session, ana, ask(branch, "why the other?")).await;
    assert_eq!(transcript(&mut house).await, ["one", "other", "why the other?"]);
    say(&house, session, ana, ask(main, "why two?")).await;
    assert_eq!(transcript(&mut house).await, ["one", "two", "why two?"]);
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_left_long_ago_is_read_whole_whatever_has_been_said_since() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let (_, branch) = forked(&house, session, ana).await;
    crate::support::fill(&house, session, ana, 0, 600).await;
    let ask = MessagePost { ask: Some(true), branch: Some(branch), ..post("still there?") };
    say(&house, session, ana, ask).await;
    assert_eq!(transcript(&mut house).await, ["one", "other", "still there?"]);
}

#[tokio::test(start_paused = true)]
async fn a_summary_is_made_from_the_branch_that_it_is_about() {
    let mut house = House::new();
    let (session, ana) = house.session().await;
    let (main, branch) = forked(&house, session, ana).await;
    let merge = merge(main, branch, MergeHow::Summary);
    house.manager.merge(session, ana, clock::new_key(), merge).await.expect("asked");
    let read = transcript(&mut house).await;
    assert_eq!(read[..2], ["one", "other"]);
    assert!(read.len() == 3 && read[2].contains("branch 2"), "{read:?}");
}

fn merge(into: BranchId, from: BranchId, how: MergeHow) -> BranchMerge {
    BranchMerge { into, from, how, if_head: None, messages: vec![], text: None, question: None, said: vec![] }
}

#[tokio::test(start_paused = true)]
async fn many_who_write_at_once_each_get_what_they_chose() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let main = say(&house, session, ana, post("one")).await;
    let seen = house.manager.path(session, ana, main, None, 1).await.expect("read")[0].message.id;
    let write = |n: usize| {
        let if_head_moved = [HeadMoved::Append, HeadMoved::Fork, HeadMoved::Reject][n % 3];
        let message = MessagePost { parent: Some(seen), if_head_moved, ..post(&format!("n {n}")) };
        house.give(session, ana, Command::MessagePost(message))
    };
    let all = futures_util::future::join_all((0..30).map(write)).await;
    let refused = all.iter().filter(|r| r.is_err()).count();
    let list = house.manager.branches(session, ana).await.expect("read").branches;
    let path = texts(&house, session, ana, main).await;
    // The first one of all found nobody before it, whatever it had chosen.
    assert_eq!((path[1].as_str(), path.len(), list.len(), refused), ("n 0", 11, 11, 10));
    for branch in &list[1..] {
        assert_eq!(texts(&house, session, ana, branch.id).await.len(), 2);
    }
}

/// Does `what` while the store fails in each way there is; then everything is as before or as after, never between.
async fn before_or_after(what: impl AsyncFn(&House, SessionId, UserId, BranchId, BranchId) -> Result<(), Problem>) {
    for fate in
        [Fate::Refused(Refusal::Full), Fate::Refused(Refusal::Unavailable), Fate::WrittenUnknown, Fate::LostUnknown]
    {
        let store = Arc::new(Faulty::default());
        let house = House::over(store.clone());
        let (session, ana) = house.session().await;
        let (main, branch) = forked(&house, session, ana).await;
        let set = |branch, value| {
            let merge = Some(serde_json::json!({ "at": value }));
            roundtable_protocol::command::ContextPatch { branch, merge, ..Default::default() }
        };
        house.manager.update_context(session, ana, set(None, 1)).await.expect("written");
        house.manager.update_context(session, ana, set(Some(branch), 2)).await.expect("written");
        let look = async |house: &House| {
            let context = house.manager.context(session, ana, "/at", None).await.expect("read");
            let list = house.manager.branches(session, ana).await.expect("read");
            let made = house.manager.checkpoints(session, ana).await.expect("read");
            (list, texts(house, session, ana, main).await, made, context)
        };
        let before = look(&house).await;
        store.next(&[fate]);
        let done = what(&house, session, ana, main, branch).await;
        let after = look(&house).await;
        assert_eq!(done.is_err(), before == after, "refused: as before; done: as after");
        // Another server that reads the log finds the same.
        assert_eq!(look(&House::over(store)).await, after);
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_there_or_not() {
    before_or_after(async |house, session, ana, _, _| {
        house.manager.checkpoint(session, ana, clock::new_key(), "Here").await.map(drop)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn adopting_and_picking_happen_whole_or_not_at_all() {
    before_or_after(async |house, session, ana, main, branch| {
        let adopt = merge(main, branch, MergeHow::Adopt);
        house.manager.merge(session, ana, clock::new_key(), adopt).await.map(drop)
    })
    .await;
    before_or_after(async |house, session, ana, main, branch| {
        let other = house.manager.path(session, ana, branch, None, 1).await?[0].message.id;
        let pick = BranchMerge { messages: vec![other], ..merge(main, branch, MergeHow::Pick) };
        house.manager.merge(session, ana, clock::new_key(), pick).await.map(drop)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn going_back_in_place_moves_every_head_or_none() {
    for fate in [Fate::Refused(Refusal::Unavailable), Fate::WrittenUnknown, Fate::LostUnknown] {
        let store = Arc::new(Faulty::default());
        let house = House::over(store.clone());
        let (session, ana) = house.session().await;
        let (main, branch) = forked(&house, session, ana).await;
        let point = house.manager.checkpoint(session, ana, clock::new_key(), "Here").await.expect("made");
        house.post(session, ana, MAIN, "later").await.expect("said");
        say(&house, session, ana, MessagePost { branch: Some(branch), ..post("later there") }).await;
        store.next(&[fate]);
        let (checkpoint, how) = (point.checkpoint.id, RestoreHow::InPlace);
        let back = CheckpointRestore { checkpoint, how, branch: None, name: None };
        let done = house.manager.restore(session, ana, clock::new_key(), back).await;
        let lengths = async |house: &House| {
            (texts(house, session, ana, main).await.len(), texts(house, session, ana, branch).await.len())
        };
        let expected = if done.is_ok() { (2, 2) } else { (3, 3) };
        assert_eq!(lengths(&house).await, expected);
        assert_eq!(lengths(&House::over(store)).await, expected, "whoever reads the log finds the same");
    }
}
