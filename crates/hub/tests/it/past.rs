//! Contexts as they were longer ago than the rules keep them.

use std::sync::Arc;

use roundtable_hub::clock;
use roundtable_protocol::branching::RestoreHow;
use roundtable_protocol::command::{BranchCreate, CheckpointRestore, ContextPatch, ContextRevert, SessionFork};
use roundtable_protocol::{
    BranchId, CheckpointId, Code, Command, Problem, Seq, ServerFrame, SessionId, Stream, UserId,
};
use roundtable_store::{MemoryStore, Store};
use serde_json::{Value, json};

use crate::support::{House, envelope, fill};

/// More than are kept of a branch.
const WRITES: u64 = 1_100;
/// The write that is gone back to.
const EARLY: u64 = 10;

/// A branch whose early writes are not kept by the rules any more.
struct Long {
    session: SessionId,
    ana: UserId,
    branch: BranchId,
    /// The version of each write.
    versions: Vec<Seq>,
    /// What was there before the branch.
    before: Seq,
    checkpoint: CheckpointId,
}

fn n(branch: Option<BranchId>, n: u64) -> ContextPatch {
    ContextPatch { branch, merge: Some(json!({ "n": n, "list": [{"id": "x", "of": n}] })), ..ContextPatch::default() }
}

async fn long(house: &House) -> Long {
    let (session, ana) = house.session().await;
    let before = house.manager.update_context(session, ana, n(None, 0)).await.expect("written").version;
    let branch = house.manager.branch(session, ana, clock::new_key(), BranchCreate::default()).await.expect("made").id;
    // What is written on the main one after the fork is none of the branch's.
    house.manager.update_context(session, ana, n(None, 9_999)).await.expect("written");
    let (mut versions, mut checkpoint) = (Vec::new(), CheckpointId::NIL);
    for i in 1..=WRITES {
        let written = house.manager.update_context(session, ana, n(Some(branch), i)).await.expect("written");
        versions.push(written.version);
        if i == EARLY {
            let made = house.manager.checkpoint(session, ana, clock::new_key(), "early").await.expect("made");
            checkpoint = made.checkpoint.id;
        }
    }
    Long { session, ana, branch, versions, before, checkpoint }
}

impl Long {
    fn early(&self) -> Seq {
        self.versions[usize::try_from(EARLY).expect("small") - 1]
    }

    async fn at(&self, house: &House, branch: BranchId, version: Option<Seq>) -> Result<Value, Problem> {
        let read = house.manager.context_on(self.session, self.ana, Some(branch), "/list/@x/of", version).await;
        read.map(|read| read.value)
    }

    fn revert(&self) -> ContextRevert {
        ContextRevert { branch: Some(self.branch), to_version: Some(self.early()), ..ContextRevert::default() }
    }

    fn restore(&self, how: RestoreHow) -> CheckpointRestore {
        let branch = (how == RestoreHow::Branch).then_some(self.branch);
        CheckpointRestore { checkpoint: self.checkpoint, how, branch, name: None, then: vec![] }
    }
}

#[tokio::test(start_paused = true)]
async fn every_version_of_a_branch_can_be_read_and_its_history_goes_back_to_the_beginning() {
    let house = House::new();
    let long = long(&house).await;
    for i in [1, EARLY, WRITES / 2, WRITES] {
        let version = long.versions[usize::try_from(i).expect("small") - 1];
        assert_eq!(long.at(&house, long.branch, Some(version)).await.expect("told"), json!(i));
    }
    assert_eq!(long.at(&house, long.branch, Some(long.before)).await.expect("told"), json!(0), "before the fork");
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = house.manager.context_history(long.session, long.ana, Some(long.branch), before, 150).await;
        let page = page.expect("told");
        let Some(last) = page.last() else { break };
        before = Some(last.version);
        all.extend(page.into_iter().map(|write| write.version));
    }
    let mut wanted: Vec<Seq> = std::iter::once(long.before).chain(long.versions.iter().copied()).collect();
    wanted.reverse();
    assert_eq!(all, wanted, "each write once, none of the main branch's later ones");
}

#[tokio::test(start_paused = true)]
async fn a_branch_goes_back_to_an_early_version_by_call_and_by_connection() {
    let house = House::new();
    let long = long(&house).await;
    let revert = Command::ContextRevert(ContextRevert { paths: vec!["/list".to_owned()], ..long.revert() });
    house.give(long.session, long.ana, revert).await.expect("reverted");
    assert_eq!(long.at(&house, long.branch, None).await.expect("read"), json!(EARLY));
    let read = house.manager.context_on(long.session, long.ana, Some(long.branch), "/n", None).await.expect("read");
    assert_eq!(read.value, json!(WRITES), "only at the paths");
    let mut reader = house.reader(long.session, long.ana, &[Stream::Main]).await;
    let revert = Command::ContextRevert(long.revert());
    house.submit(&reader, long.session, long.ana, 7, envelope(Stream::Main, revert));
    house.submit(
        &reader,
        long.session,
        long.ana,
        8,
        envelope(Stream::Main, Command::ContextPatch(n(Some(long.branch), 5))),
    );
    reader.until(|f| matches!(f, ServerFrame::Ok(ok) if ok.re == 8)).await;
    let place = |re| reader.frames.iter().position(|f| matches!(f, ServerFrame::Ok(ok) if ok.re == re));
    assert!(place(7).expect("reverted") < place(8).expect("written"), "as they were sent");
    assert_eq!(long.at(&house, long.branch, None).await.expect("read"), json!(5));
    let early = ContextRevert { to_version: Some(long.before), ..long.revert() };
    house.give(long.session, long.ana, Command::ContextRevert(early)).await.expect("reverted");
    assert_eq!(long.at(&house, long.branch, None).await.expect("read"), json!(0), "to before the branch began");
}

#[tokio::test(start_paused = true)]
async fn an_early_checkpoint_is_restored_as_a_branch_and_in_place() {
    let house = House::new();
    let long = long(&house).await;
    let (session, ana) = (long.session, long.ana);
    let made = house.manager.restore(session, ana, clock::new_key(), long.restore(RestoreHow::Branch)).await;
    let made = made.expect("restored").expect("a branch");
    assert_eq!(long.at(&house, made.id, None).await.expect("read"), json!(EARLY));
    assert_eq!(long.at(&house, long.branch, None).await.expect("read"), json!(WRITES), "the other one stays");
    let create = BranchCreate { from_branch: Some(long.branch), seq: Some(long.early()), ..BranchCreate::default() };
    let by_seq = house.manager.branch(session, ana, clock::new_key(), create).await.expect("made");
    assert_eq!(long.at(&house, by_seq.id, None).await.expect("read"), json!(EARLY));

    let branch = Some(long.branch);
    let fork = SessionFork { branch, checkpoint: Some(long.checkpoint), ..SessionFork::default() };
    let copy = house.manager.fork(session, ana, clock::new_key(), fork).await.expect("begun").info;
    assert_eq!(house.manager.context(copy.id, ana, "/n", None).await.expect("read").value, json!(EARLY));

    house.manager.restore(session, ana, clock::new_key(), long.restore(RestoreHow::InPlace)).await.expect("restored");
    assert_eq!(long.at(&house, long.branch, None).await.expect("read"), json!(EARLY));
    assert_eq!(house.manager.context(session, ana, "/n", None).await.expect("read").value, json!(9_999));
}

#[tokio::test(start_paused = true)]
async fn where_the_log_is_trimmed_old_versions_are_said_to_be_gone() {
    let store = Arc::new(MemoryStore::with_max_events(300));
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let long = long(&house).await;
    fill(&house, long.session, long.ana, 0, 300).await;
    let code = |problem: Problem| problem.code;
    let read = long.at(&house, long.branch, Some(long.early())).await;
    assert_eq!(read.map_err(code), Err(Code::EventsTrimmed));
    let revert = house.give(long.session, long.ana, Command::ContextRevert(long.revert())).await;
    assert_eq!(revert.map(drop).map_err(code), Err(Code::EventsTrimmed));
    let restore =
        house.manager.restore(long.session, long.ana, clock::new_key(), long.restore(RestoreHow::InPlace)).await;
    assert_eq!(restore.map(drop).map_err(code), Err(Code::EventsTrimmed));
    let oldest = house.manager.context_history(long.session, long.ana, Some(long.branch), Some(long.early()), 10).await;
    assert_eq!(oldest.map(drop).map_err(code), Err(Code::EventsTrimmed));
    let recent = long.versions[usize::try_from(WRITES).expect("small") - 3];
    assert_eq!(long.at(&house, long.branch, Some(recent)).await.expect("kept"), json!(WRITES - 2));
}
