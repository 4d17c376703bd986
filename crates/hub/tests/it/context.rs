//! Many who write one context, also over two managers of one store.

use std::sync::Arc;

use roundtable_hub::clock;
use roundtable_protocol::command::{ContextPatch, ContextResolve, ContextRevert, ParticipantJoin};
use roundtable_protocol::context::{OpName, PatchOp, Strategy, Take};
use roundtable_protocol::grant::Permission;
use roundtable_protocol::model::{ParticipantKind, SettingsPatch};
use roundtable_protocol::{Code, Command, Role, Seq, Stream, UserId};
use roundtable_store::{MemoryStore, Store};
use serde_json::{Value, json};

use crate::support::{House, change_role, envelope, races};

/// How many tags there are in all: a document has an end.
const MAX_TAGS: usize = 500;

fn set(base: Option<Seq>, path: &str, value: Value) -> ContextPatch {
    ContextPatch { base, ops: vec![PatchOp::new(OpName::Add, path, Some(value))], ..ContextPatch::default() }
}

#[tokio::test(start_paused = true)]
async fn a_refused_writer_can_send_the_suggestion_and_staff_know_of_the_refusal() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, _) = house.person(session, "Ben", Role::Collaborator).await;
    let start =
        house.manager.update_context(session, ana, set(None, "/o", json!({"a": 1, "b": 1}))).await.expect("new");
    let base = Some(start.version);
    house.manager.update_context(session, ana, set(base, "/o", json!({"a": 2, "b": 1}))).await.expect("the first");
    let mut staff = house.reader(session, ana, &[Stream::Main, Stream::Staff]).await;
    let mut others = house.reader(session, ben, &[Stream::Main]).await;
    let refused = house.manager.update_context(session, ben, set(base, "/o", json!({"a": 1, "b": 2}))).await;
    let refused = refused.expect_err("a conflict");
    assert_eq!(refused.code, Code::ContextConflict);
    let report = refused.context.expect("a report");
    let again = ContextPatch { base: Some(report.version), ops: report.suggestion, ..ContextPatch::default() };
    house.manager.update_context(session, ben, again).await.expect("the suggestion applies");
    let read = house.manager.context(session, ben, "/o", None).await.expect("read");
    assert_eq!(read.value, json!({"a": 2, "b": 2}));
    assert_eq!(house.manager.context(session, ben, "/o/a", base).await.expect("read").value, json!(1));
    staff.settle().await;
    others.settle().await;
    let kinds = |events: Vec<roundtable_protocol::Event>| events.iter().map(|e| e.body.kind()).collect::<Vec<_>>();
    assert_eq!(kinds(staff.events(Stream::Staff)), ["context.refused"]);
    assert!(others.events(Stream::Staff).is_empty());
    let written = house.manager.context_history(session, ben, None, None, 10).await.expect("listed");
    assert_eq!(written.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_refused_is_free_for_the_next_try_and_one_that_was_accepted_is_not() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let base = house.manager.update_context(session, ana, set(None, "/a", json!(1))).await.expect("new").version;
    house.manager.update_context(session, ana, set(Some(base), "/a", json!(2))).await.expect("the first");
    let mut stale = envelope(Stream::Main, Command::ContextPatch(set(Some(base), "/a", json!(3))));
    for _ in 0..3 {
        let refused = house.manager.command(session, ana, stale.clone()).await.map_err(|p| p.code);
        assert_eq!(refused, Err(Code::ContextConflict));
        stale.retry = true;
    }
    let now = house.manager.context(session, ana, "", None).await.expect("read").version;
    stale.command = Command::ContextPatch(set(Some(now), "/a", json!(3)));
    let first = house.manager.command(session, ana, stale.clone()).await.expect("written");
    let second = house.manager.command(session, ana, stale).await.expect("the same");
    assert_eq!((first.id, first.duplicate, second.id, second.duplicate), (second.id, false, first.id, true));
}

#[tokio::test(start_paused = true)]
async fn open_conflicts_and_reverts_survive_a_restart() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let house = House::over(Arc::clone(&store));
    let (session, ana) = house.session().await;
    let base = house.manager.update_context(session, ana, set(None, "/a", json!(1))).await.expect("new").version;
    let second = house.manager.update_context(session, ana, set(Some(base), "/a", json!(2))).await.expect("written");
    let manual = ContextPatch { strategy: Some(Strategy::Manual), ..set(Some(base), "/a", json!(3)) };
    house.manager.update_context(session, ana, manual).await.expect("kept for people");
    house.manager.shutdown().await;

    let house = House::over(store);
    let open = house.manager.context_conflicts(session, ana).await.expect("listed");
    assert_eq!(open.len(), 1);
    let resolve = ContextResolve { conflict: open[0].id, take: Take::Current, value: None };
    house.give(session, ana, Command::ContextResolve(resolve)).await.expect("chosen");
    let revert = ContextRevert { event: Some(second.event), ..ContextRevert::default() };
    house.give(session, ana, Command::ContextRevert(revert)).await.expect("taken back");
    assert_eq!(house.manager.context(session, ana, "/a", None).await.expect("read").value, json!(1));
    assert!(house.manager.context_conflicts(session, ana).await.expect("listed").is_empty());
}

/// Two servers, one session: whoever loses the race for the commit decides again on what the other has written.
#[tokio::test]
async fn over_two_managers_the_loser_decides_again_and_nothing_is_lost() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let houses = [House::over(Arc::clone(&store)), House::over(store)];
    let (session, ana) = houses[0].session().await;
    let (ben, _) = houses[0].person(session, "Ben", Role::Collaborator).await;
    let start = json!({"n": 0, "tags": [], "slots": {}});
    let seed = ContextPatch { merge: Some(start), ..ContextPatch::default() };
    let mut base = houses[0].manager.update_context(session, ana, seed).await.expect("new").version;
    let mut conflicts = 0;
    let rounds = races(200);
    for round in 0..rounds {
        let write = |who: usize| {
            let ops = vec![
                PatchOp::new(OpName::Inc, "/n", Some(json!(1))),
                PatchOp::new(OpName::Union, "/tags", Some(json!(round % MAX_TAGS))),
                PatchOp::new(OpName::Add, "/slots/taken", Some(json!(format!("{round}-{who}")))),
            ];
            let patch = ContextPatch { base: Some(base), ops, ..ContextPatch::default() };
            houses[who].manager.update_context(session, [ana, ben][who], patch)
        };
        let (first, second) = tokio::join!(write(0), write(1));
        let codes: Vec<Code> = [&first, &second].iter().filter_map(|r| r.as_ref().err().map(|p| p.code)).collect();
        assert_eq!(codes, [Code::ContextConflict], "exactly one claims the slot: {first:?} {second:?}");
        conflicts += codes.len();
        base = [first, second].into_iter().find_map(Result::ok).expect("one").version;
        // A manager learns what another has written when it commits itself.
        for (house, who) in houses.iter().zip([ana, ben]) {
            house.post(session, who, Stream::Main, "go on").await.expect("posted");
        }
    }
    assert_eq!(conflicts, rounds);
    let read = houses[0].manager.context(session, ana, "", None).await.expect("read").value;
    assert_eq!(
        (read["n"].as_i64(), read["tags"].as_array().map(Vec::len)),
        (i64::try_from(rounds).ok(), Some(rounds.min(MAX_TAGS)))
    );
}

/// A demotion races a write of the one who is demoted, each at another manager.
#[tokio::test]
async fn a_demotion_that_races_a_write_lets_none_through_after_its_commit() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (here, there) = (House::over(Arc::clone(&store)), House::over(Arc::clone(&store)));
    let (session, ana) = here.session().await;
    let (ben, participant) = here.person(session, "Ben", Role::Collaborator).await;
    let (mut through, mut refused) = (0, 0);
    for round in 0..races(300) {
        here.give(session, ana, change_role(&participant, Role::Collaborator)).await.ok();
        there.post(session, ana, Stream::Main, "both know it").await.expect("posted");
        let demote = here.give(session, ana, change_role(&participant, Role::Viewer));
        let write = async {
            // The race is won by either side, also where one thread runs everything.
            if round % 3 == 2 {
                tokio::task::yield_now().await;
                while here.manager.standing(session, ben).await.is_ok_and(|s| s.grant.allows(Permission::ContextWrite))
                {
                    tokio::task::yield_now().await;
                }
            }
            for _ in 0..round % 4 {
                tokio::task::yield_now().await;
            }
            there.manager.update_context(session, ben, set(None, "/a", json!(round))).await
        };
        let (demoted, written) = tokio::join!(demote, write);
        let demoted = demoted.expect("demoted").seq;
        match written {
            Ok(written) => {
                through += 1;
                assert!(written.version < demoted, "the write came first");
            }
            Err(problem) => {
                refused += 1;
                assert_eq!(problem.code, Code::Forbidden);
            }
        }
        let after = there.manager.update_context(session, ben, set(None, "/a", json!("no"))).await;
        assert_eq!(after.map_err(|p| p.code), Err(Code::Forbidden), "round {round}");
    }
    assert!(through > 0 && refused > 0, "{through} came first, {refused} came too late");
    let history = there.manager.context_history(session, ana, None, None, usize::MAX).await.expect("listed");
    assert_eq!(history.len(), through, "nothing else was written");
}

/// Two servers let people in at once: the cap holds, and it is reached.
#[tokio::test]
async fn over_two_managers_a_cap_of_participants_holds_however_many_come_at_once() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let houses = [House::over(Arc::clone(&store)), House::over(store)];
    for _ in 0..races(100) / 10 {
        let (session, ana) = houses[0].session().await;
        let cap = SettingsPatch { max_participants: Some(Some(5)), ..SettingsPatch::default() };
        houses[0].give(session, ana, Command::SessionChangeSettings(cap)).await.expect("changed");
        let join = |n: usize| {
            let (user, display_name) = (UserId(clock::new_key()), format!("Guest {n}"));
            let (kind, role, guest) = (ParticipantKind::User, Role::Collaborator, true);
            let join =
                ParticipantJoin { user, kind, role, display_name, guest, via: None, colour: None, vouched: true };
            houses[n % 2].manager.join(session, clock::new_key(), join)
        };
        let all = futures_util::future::join_all((0..12).map(join)).await;
        let refused = all.iter().filter_map(|r| r.as_ref().err()).map(|p| p.code).collect::<Vec<_>>();
        assert_eq!(refused, [Code::SessionFull; 8]);
        for house in &houses {
            house.post(session, ana, Stream::Main, "both know it").await.expect("posted");
            assert_eq!(house.manager.standing(session, ana).await.expect("seen").info.participant_count, 5);
        }
    }
}
