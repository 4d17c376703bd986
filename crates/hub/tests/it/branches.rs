//! What an assistant reads of branches, and commits that fail in the middle of going back and merging.

use std::sync::Arc;
use std::time::Duration;

use roundtable_hub::{BranchList, clock};
use roundtable_protocol::branching::{CheckpointInfo, HeadMoved, MergeHow, RestoreHow};
use roundtable_protocol::command::{BranchMerge, CheckpointRestore, ContextPatch, MessagePost};
use roundtable_protocol::context::OpenConflict;
use roundtable_protocol::{BranchId, Command, Event, Problem, Seq, SessionId, Stream, UserId};
use serde_json::{Value, json};

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

/// What can be told of a session: its branches with the line and the context of each, its checkpoints, its events.
#[derive(Debug, PartialEq)]
struct Everything {
    branches: BranchList,
    lines: Vec<Vec<String>>,
    contexts: Vec<(Seq, Value)>,
    written: Vec<Vec<Seq>>,
    conflicts: Vec<OpenConflict>,
    checkpoints: Vec<CheckpointInfo>,
    events: Vec<Event>,
}

impl Everything {
    /// Returns what `place.write` has left on each branch.
    fn values(&self) -> Vec<u64> {
        self.contexts.iter().filter_map(|(_, value)| value["at"].as_u64()).collect()
    }
}

async fn everything(house: &House, session: SessionId, user: UserId) -> Everything {
    let branches = house.manager.branches(session, user).await.expect("read");
    let (mut lines, mut contexts, mut written) = (vec![], vec![], vec![]);
    for branch in &branches.branches {
        lines.push(texts(house, session, user, branch.id).await);
        let read = house.manager.context_on(session, user, Some(branch.id), "", None).await.expect("read");
        contexts.push((read.version, read.value));
        let history = house.manager.context_history(session, user, Some(branch.id), None, 1_000).await.expect("read");
        written.push(history.into_iter().map(|write| write.version).collect());
    }
    let checkpoints = house.manager.checkpoints(session, user).await.expect("read");
    let events = house.manager.history(session, user, MAIN, Seq::ZERO, 1_000).await.expect("read");
    let conflicts = house.manager.context_conflicts(session, user).await.expect("read");
    Everything { branches, lines, contexts, written, conflicts, checkpoints, events }
}

/// A session of Ana's with two branches, and a house that knows it.
#[derive(Clone, Copy)]
struct Place<'a> {
    house: &'a House,
    session: SessionId,
    ana: UserId,
    main: BranchId,
    branch: BranchId,
}

impl Place<'_> {
    async fn write(self, branch: BranchId, value: u64) {
        let merge = Some(json!({ "at": value }));
        let patch = ContextPatch { branch: Some(branch), merge, ..ContextPatch::default() };
        self.house.manager.update_context(self.session, self.ana, patch).await.expect("written");
    }
}

/// Does `what` with what was prepared while the store fails in each way there is; then everything is as before or as after,
/// never between. Returns what there was after each time that it was done.
async fn before_or_after<P>(
    prepare: impl AsyncFn(Place<'_>) -> P,
    what: impl AsyncFn(Place<'_>, P) -> Result<(), Problem>,
) -> Vec<Everything> {
    let mut done = Vec::new();
    for fate in
        [Fate::Refused(Refusal::Full), Fate::Refused(Refusal::Unavailable), Fate::WrittenUnknown, Fate::LostUnknown]
    {
        let store = Arc::new(Faulty::default());
        let house = House::over(store.clone());
        let (session, ana) = house.session().await;
        let (main, branch) = forked(&house, session, ana).await;
        let place = Place { house: &house, session, ana, main, branch };
        place.write(main, 1).await;
        place.write(branch, 2).await;
        let prepared = prepare(place).await;
        let before = everything(&house, session, ana).await;
        store.next(&[fate]);
        let refused = what(place, prepared).await.is_err();
        let after = everything(&house, session, ana).await;
        assert_eq!(refused, matches!(fate, Fate::Refused(_)), "what is unknown is found out");
        assert_eq!(refused, before == after, "refused: as before; done: as after");
        // Another server that reads the log finds the same.
        assert_eq!(everything(&House::over(store), session, ana).await, after);
        if !refused {
            done.push(after);
        }
    }
    done
}

async fn nothing(_: Place<'_>) {}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_there_or_not() {
    let make = async |Place { house, session, ana, .. }: Place<'_>, ()| {
        house.manager.checkpoint(session, ana, clock::new_key(), "Here").await.map(drop)
    };
    for after in before_or_after(nothing, make).await {
        assert_eq!(after.checkpoints.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn adopting_and_picking_happen_whole_or_not_at_all() {
    let adopt = async |Place { house, session, ana, main, branch }: Place<'_>, ()| {
        let adopt = merge(main, branch, MergeHow::Adopt);
        house.manager.merge(session, ana, clock::new_key(), adopt).await.map(drop)
    };
    for after in before_or_after(nothing, adopt).await {
        assert_eq!(after.lines, [["one", "other"], ["one", "other"]]);
        assert_eq!(after.values(), [2, 2]);
    }
    let pick = async |Place { house, session, ana, main, branch }: Place<'_>, ()| {
        let other = house.manager.path(session, ana, branch, None, 1).await?[0].message.id;
        let pick = BranchMerge { messages: vec![other], ..merge(main, branch, MergeHow::Pick) };
        house.manager.merge(session, ana, clock::new_key(), pick).await.map(drop)
    };
    for after in before_or_after(nothing, pick).await {
        assert_eq!(after.lines, [vec!["one", "two", "other"], vec!["one", "other"]]);
        assert_eq!(after.values(), [1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn going_back_moves_every_head_and_takes_every_context_back_or_changes_nothing() {
    let go_on = async |place: Place<'_>| {
        let Place { house, session, ana, main, branch } = place;
        let point = house.manager.checkpoint(session, ana, clock::new_key(), "Here").await.expect("made");
        house.post(session, ana, MAIN, "later").await.expect("said");
        say(house, session, ana, MessagePost { branch: Some(branch), ..post("later there") }).await;
        place.write(main, 3).await;
        place.write(branch, 4).await;
        point.checkpoint.id
    };
    let back = async |Place { house, session, ana, .. }: Place<'_>, checkpoint, how| {
        let back = CheckpointRestore { checkpoint, how, branch: None, name: None, then: vec![] };
        house.manager.restore(session, ana, clock::new_key(), back).await.map(drop)
    };
    for after in before_or_after(go_on, async |place, point| back(place, point, RestoreHow::InPlace).await).await {
        assert_eq!(after.lines, [["one", "two"], ["one", "other"]]);
        assert_eq!(after.values(), [1, 2]);
    }
    for after in before_or_after(go_on, async |place, point| back(place, point, RestoreHow::Branch).await).await {
        let lines = [vec!["one", "two", "later"], vec!["one", "other", "later there"], vec!["one", "two"]];
        assert_eq!(after.lines, lines);
        assert_eq!(after.values(), [3, 4, 1]);
    }
}
