//! Appending: what is written, what is refused, and that nobody pays for another one.

use futures_util::future::join_all;
use roundtable_protocol::{EventId, Rev, Seq, Stream};

use super::{Log, assert_verifies, at, id, texts};
use crate::Store;
use crate::types::{AppendError, SessionHead};

const MAIN: Stream = Stream::Main;
const SIDE: Stream = Stream::Side;

/// What was answered `Ok` can be read.
pub async fn a_commit_is_there_after_its_answer(store: &dyn Store) {
    let mut log = Log::unborn(store);
    assert_eq!(store.head(log.session).await, Ok(None));
    log.post(&[(MAIN, "a"), (SIDE, "b"), (MAIN, "c")]).await;
    let head = SessionHead {
        rev: Rev(1),
        epoch: log.epoch.clone(),
        project: log.project,
        rights_epoch: 0,
        heads: [Seq(2), Seq(1), Seq(0), Seq(0)],
    };
    assert_eq!(store.head(log.session).await, Ok(Some(head)));
    assert_eq!(texts(&log.stream(MAIN).await), ["a", "c"]);
    assert_eq!(texts(&log.stream(SIDE).await), ["b"]);
    assert_eq!(assert_verifies(store, &log).await, 0);
}

/// Two who decided on the same rev cannot both write.
pub async fn append_refuses_a_stale_rev(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let stale = log.commit(&[(MAIN, "stale")]);
    log.post(&[(MAIN, "first")]).await;
    assert_eq!(store.append(stale.clone()).await, Err(AppendError::Conflict { actual: Rev(2) }));
    let mut early = stale;
    early.expected_rev = Rev(3);
    assert_eq!(store.append(early).await, Err(AppendError::Conflict { actual: Rev(2) }));
    assert_eq!(texts(&log.stream(MAIN).await), ["hello", "first"]);
}

/// A stream has no holes and no two events of one number.
pub async fn append_refuses_a_gap(store: &dyn Store) {
    let mut log = Log::born(store).await;
    for seq in [Seq(0), Seq(1), Seq(3)] {
        let mut commit = log.commit(&[(MAIN, "x")]);
        commit.events[0].seq = seq;
        assert_eq!(store.append(commit).await, Err(AppendError::Conflict { actual: Rev(1) }), "seq {seq}");
    }
    let mut second = log.commit(&[(MAIN, "x"), (MAIN, "y")]);
    second.events[1].seq = Seq(4);
    assert_eq!(store.append(second).await, Err(AppendError::Conflict { actual: Rev(1) }));
    log.post(&[(MAIN, "right")]).await;
    assert_eq!(texts(&log.stream(MAIN).await), ["hello", "right"]);
}

/// A session is born exactly once, and only by a commit that says so.
pub async fn append_refuses_a_birth_twice_and_a_session_without_one(store: &dyn Store) {
    let mut log = Log::unborn(store);
    let birth = log.commit(&[(MAIN, "first")]);
    let mut orphan = birth.clone();
    orphan.birth = None;
    assert_eq!(store.append(orphan).await, Err(AppendError::Conflict { actual: Rev::ZERO }));
    let mut late = birth.clone();
    late.expected_rev = Rev(1);
    assert_eq!(store.append(late).await, Err(AppendError::Conflict { actual: Rev::ZERO }));
    log.append(birth.clone()).await.expect("born");
    assert_eq!(store.append(birth.clone()).await, Err(AppendError::Conflict { actual: Rev(1) }));
    let mut again = log.commit(&[(MAIN, "second")]);
    again.birth = birth.birth;
    assert_eq!(store.append(again).await, Err(AppendError::Conflict { actual: Rev(1) }));
}

/// An id is taken for ever, and the answer says where it is.
pub async fn a_duplicate_is_answered_with_its_position(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let taken = log.post(&[(SIDE, "a"), (SIDE, "b")]).await[1];
    let mut commit = log.commit(&[(MAIN, "new"), (MAIN, "old")]);
    commit.events[1].id = taken;
    let expected = AppendError::Duplicate { id: taken, stream: SIDE, seq: Seq(2) };
    assert_eq!(store.append(commit).await, Err(expected));
    let other = Log::born(store).await;
    let mut elsewhere = other.commit(&[(MAIN, "the same id in another session")]);
    elsewhere.events[0].id = taken;
    assert_eq!(store.append(elsewhere).await.map(|appended| appended.rev), Ok(Rev(2)));
    log.post(&[(MAIN, "goes on")]).await;
    assert_eq!(assert_verifies(store, &log).await, 0);
}

/// Also two events of one commit cannot have one id.
pub async fn a_duplicate_within_a_commit_is_found(store: &dyn Store) {
    let log = Log::born(store).await;
    let mut commit = log.commit(&[(MAIN, "a"), (SIDE, "b")]);
    commit.events[1].id = commit.events[0].id;
    let expected = AppendError::Duplicate { id: commit.events[0].id, stream: MAIN, seq: Seq(2) };
    assert_eq!(store.append(commit).await, Err(expected));
    assert_eq!(log.stream(MAIN).await.len(), 1);
}

/// Nothing of a refused commit is there: no event, no directory entry, no wake, no outbox row, no document.
pub async fn a_commit_happens_whole_or_not_at_all(store: &dyn Store) {
    let log = Log::born(store).await;
    let mut commit = log.commit(&[(MAIN, "a"), (MAIN, "b")]);
    let user = roundtable_protocol::UserId(id());
    commit.events[1].id = commit.events[0].id;
    commit.directory = Some(log.info("never"));
    commit.members = vec![(user, Some(roundtable_protocol::Role::Owner))];
    commit.wake_at = Some(at(0));
    commit.outbox = vec![super::rows::mail(at(0))];
    commit.documents = vec![super::rows::update(id(), 1)];
    let document = commit.documents[0].document;
    store.append(commit).await.expect_err("refused for its last event");
    let head = store.head(log.session).await.expect("reads").expect("there");
    assert_eq!((head.rev, head.heads[0]), (Rev(1), Seq(1)));
    assert_eq!(store.session(log.session).await, Ok(None));
    assert_eq!(store.sessions_of(user, None, None, 10).await, Ok(vec![]));
    assert_eq!(store.due(at(1), 10).await, Ok(vec![]));
    assert_eq!(store.outbox_due(at(1), 10).await, Ok(vec![]));
    assert_eq!(store.document_updates(log.session, document, 0).await, Ok(vec![]));
}

/// A commit that rests on rights of before a change is refused, also when it makes the session.
pub async fn append_refuses_when_rights_have_moved(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let epoch = store.raise_rights_epoch(log.project).await.expect("raises");
    assert_eq!(store.rights_epoch(log.project).await, Ok(epoch));
    let moved = Err(AppendError::RightsMoved { actual: epoch });
    assert_eq!(store.append(log.commit(&[(MAIN, "x")])).await, moved);
    assert_eq!(store.append(Log::unborn(store).commit(&[(MAIN, "x")])).await, moved);
    assert_eq!(store.head(log.session).await.expect("reads").expect("there").rights_epoch, epoch);
    log.rights = epoch;
    log.post(&[(MAIN, "y")]).await;
    assert_eq!(texts(&log.stream(MAIN).await), ["hello", "y"]);
}

/// Commits that wait together are written together, and the bad ones among them cost the others nothing.
pub async fn each_commit_of_a_group_is_answered_for_itself(store: &dyn Store) {
    let mut logs: Vec<Log<'_>> = (0..200).map(|_| Log::unborn(store)).collect();
    let first = join_all(logs.iter_mut().map(|log| log.post(&[(MAIN, "first")]))).await;
    let commits: Vec<_> = logs
        .iter()
        .zip(&first)
        .enumerate()
        .map(|(n, (log, ids))| {
            let mut commit = log.commit(&[(MAIN, "a"), (MAIN, "b")]);
            match n % 5 {
                1 => commit.expected_rev = Rev(9),
                2 => commit.events[1].id = ids[0],
                3 => commit.expected_rights = 9,
                4 => commit.events[1].seq = Seq(9),
                _ => {}
            }
            commit
        })
        .collect();
    let answers = join_all(commits.into_iter().map(|commit| store.append(commit))).await;
    for (n, (answer, ids)) in answers.into_iter().zip(&first).enumerate() {
        let expected = match n % 5 {
            0 => Ok(Rev(2)),
            2 => Err(AppendError::Duplicate { id: ids[0], stream: MAIN, seq: Seq(1) }),
            3 => Err(AppendError::RightsMoved { actual: 0 }),
            _ => Err(AppendError::Conflict { actual: Rev(1) }),
        };
        assert_eq!(answer.map(|appended| appended.rev), expected, "commit {n}");
    }
    for (n, log) in logs.iter().enumerate() {
        assert_eq!(log.stream(MAIN).await.len(), if n % 5 == 0 { 3 } else { 1 }, "session {n}");
        assert_eq!(store.verify(log.session).await.expect("verifies").broken, []);
    }
}

/// Many servers may decide on one rev; one of them wins.
pub async fn one_of_many_that_decided_on_the_same_rev_wins(store: &dyn Store) {
    let log = Log::born(store).await;
    let answers = join_all((0..50).map(|_| store.append(log.commit(&[(MAIN, "mine")])))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let lost = Err(AppendError::Conflict { actual: Rev(2) });
    assert_eq!(answers.iter().filter(|answer| **answer == lost).count(), 49);
    assert_eq!(log.stream(MAIN).await.len(), 2);
}

/// A commit may bring nothing but guards.
pub async fn an_empty_commit_counts(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let mut commit = log.commit(&[]);
    commit.wake_at = Some(at(5));
    log.append(commit).await.expect("written");
    assert_eq!(store.head(log.session).await.expect("reads").expect("there").rev, Rev(2));
    assert_eq!(store.due(at(5), 10).await, Ok(vec![log.session]));
    assert_eq!(store.find(log.session, EventId(id())).await, Ok(None));
}

/// Each session keeps the epoch that it was born with.
pub async fn epochs_are_kept(store: &dyn Store) {
    let mut one = Log::born(store).await;
    let other = Log::born(store).await;
    one.post(&[(MAIN, "more")]).await;
    assert_ne!(one.epoch, other.epoch);
    for log in [&one, &other] {
        let head = store.head(log.session).await.expect("reads").expect("there");
        assert_eq!((head.epoch, head.project), (log.epoch.clone(), log.project));
    }
}
