//! The directory, wakes, snapshots, outbox, documents and read marks.

use bytes::Bytes;
use roundtable_protocol::model::SessionState;
use roundtable_protocol::{Actor, ParticipantId, Rev, Role, Seq, SessionId, Stream, StreamSet, Timestamp, UserId};
use uuid::Uuid;

use super::{Log, at, id};
use crate::Store;
use crate::types::{
    AppendError, DocumentUpdate, NewOutboxRow, PageToken, StateSnapshot, StoreError, Totals, ViewKey, ViewSnapshot,
};

const MAIN: Stream = Stream::Main;

pub(crate) fn mail(due_at: Timestamp) -> NewOutboxRow {
    NewOutboxRow { kind: "mail".to_owned(), idempotency_key: id(), due_at, body: Bytes::from("dear Ana") }
}

pub(crate) fn update(document: Uuid, n: u64) -> DocumentUpdate {
    DocumentUpdate { document, n, actor: Actor::Participant(somebody()), bytes: Bytes::from(format!("update {n}")) }
}

pub(super) fn somebody() -> ParticipantId {
    ParticipantId(id())
}

/// Each commit says when to look again, or never.
pub async fn what_is_due_wakes_earliest_first(store: &dyn Store) {
    let mut logs = [Log::unborn(store), Log::unborn(store), Log::unborn(store)];
    for (log, second) in logs.iter_mut().zip([20, 10, 30]) {
        let mut commit = log.commit(&[(MAIN, "x")]);
        commit.wake_at = Some(at(second));
        log.append(commit).await.expect("written");
    }
    let sessions = logs.each_ref().map(|log| log.session);
    assert_eq!(store.due(at(9), 10).await, Ok(vec![]));
    assert_eq!(store.due(at(10), 10).await, Ok(vec![sessions[1]]));
    assert_eq!(store.due(at(99), 10).await, Ok(vec![sessions[1], sessions[0], sessions[2]]));
    assert_eq!(store.due(at(99), 2).await, Ok(vec![sessions[1], sessions[0]]));
    logs[1].post(&[(MAIN, "no more deadline")]).await;
    assert_eq!(store.due(at(99), 10).await, Ok(vec![sessions[0], sessions[2]]));
}

/// `updated_at` and `event_count` follow every commit, and time never goes back.
pub async fn the_directory_counts_by_itself(store: &dyn Store) {
    let mut log = Log::unborn(store);
    let mut commit = log.commit(&[(MAIN, "a"), (Stream::Side, "b")]);
    let info = log.info("title");
    commit.directory = Some(info.clone());
    commit.at = at(100);
    log.append(commit).await.expect("written");
    let entry = store.session(log.session).await.expect("reads").expect("there");
    assert_eq!((entry.info.updated_at, entry.info.event_count, entry.role), (at(100), 2, None));
    for (second, updated) in [(200, 200), (150, 200)] {
        let mut commit = log.commit(&[(MAIN, "c")]);
        commit.at = at(second);
        log.append(commit).await.expect("written");
        let entry = store.session(log.session).await.expect("reads").expect("there");
        assert_eq!(entry.info.updated_at, at(updated));
    }
    let mut expected = *info;
    expected.updated_at = at(200);
    expected.event_count = 4;
    assert_eq!(store.session(log.session).await.expect("reads").expect("there").info, expected);
    let mut renamed = log.commit(&[]);
    renamed.directory = Some(Box::new(roundtable_protocol::model::SessionInfo {
        title: "another, longer title".repeat(300),
        ..expected.clone()
    }));
    log.append(renamed).await.expect("written");
    let title = store.session(log.session).await.expect("reads").expect("there").info.title;
    assert_eq!(title, "another, longer title".repeat(300));
}

/// Newest activity first, in pages, without a session twice or missing.
pub async fn a_user_pages_through_sessions(store: &dyn Store) {
    let (ana, ben) = (UserId(id()), UserId(id()));
    let mut sessions: Vec<(Timestamp, SessionId)> = Vec::new();
    for n in 0..9_i64 {
        let mut log = Log::unborn(store);
        let mut commit = log.commit(&[(MAIN, "x")]);
        // Three at a time are equally old: their ids decide.
        commit.at = at(n / 3);
        commit.directory = Some(log.info("title"));
        commit.members = vec![(ana, Some(Role::Owner))];
        if n == 4 {
            commit.members.push((ben, Some(Role::Viewer)));
        }
        log.append(commit).await.expect("written");
        sessions.push((at(n / 3), log.session));
    }
    sessions.sort();
    sessions.reverse();
    let mut seen = Vec::new();
    let mut page = None;
    loop {
        let entries = store.sessions_of(ana, None, page, 4).await.expect("reads");
        let Some(last) = entries.last() else { break };
        page = Some(PageToken { updated_at: last.info.updated_at, id: last.info.id });
        assert!(entries.len() <= 4 && entries.iter().all(|entry| entry.role == Some(Role::Owner)));
        seen.extend(entries.iter().map(|entry| (entry.info.updated_at, entry.info.id)));
    }
    assert_eq!(seen, sessions);
    let of_ben = store.sessions_of(ben, None, None, 4).await.expect("reads");
    assert_eq!(of_ben.iter().map(|entry| entry.role).collect::<Vec<_>>(), [Some(Role::Viewer)]);
}

/// Whatever the case, in any script, and paged like the whole list.
pub async fn sessions_are_found_by_their_title(store: &dyn Store) {
    let ana = UserId(id());
    for (n, title) in ["Budget 2027", "Äpfel und Birnen", "the BUDGET again", "plans"].into_iter().enumerate() {
        let mut log = Log::unborn(store);
        let mut commit = log.commit(&[(MAIN, "x")]);
        commit.at = at(i64::try_from(n).expect("few"));
        commit.directory = Some(log.info(title));
        commit.members = vec![(ana, Some(Role::Owner))];
        log.append(commit).await.expect("written");
    }
    let find = async |search: &str, page: Option<PageToken>, limit| {
        let found = store.sessions_of(ana, Some(search.to_owned()), page, limit).await.expect("reads");
        found.into_iter().map(|entry| entry.info).collect::<Vec<_>>()
    };
    let titles = |found: &[roundtable_protocol::model::SessionInfo]| {
        found.iter().map(|info| info.title.clone()).collect::<Vec<_>>()
    };
    assert_eq!(titles(&find("budget", None, 9).await), ["the BUDGET again", "Budget 2027"]);
    assert_eq!(titles(&find("äPFEL", None, 9).await), ["Äpfel und Birnen"]);
    assert_eq!(find("nothing", None, 9).await, []);
    let first = find("budget", None, 1).await;
    let page = PageToken { updated_at: first[0].updated_at, id: first[0].id };
    assert_eq!(titles(&find("budget", Some(page), 1).await), ["Budget 2027"]);
}

/// Membership is what the last commit about it said.
pub async fn members_come_and_go(store: &dyn Store) {
    let ana = UserId(id());
    let mut log = Log::born(store).await;
    let mut roles = Vec::new();
    for (role, directory) in
        [(Some(Role::Viewer), true), (Some(Role::Moderator), false), (None, false), (Some(Role::Collaborator), false)]
    {
        let mut commit = log.commit(&[]);
        commit.directory = directory.then(|| log.info("title"));
        commit.members = vec![(ana, role)];
        log.append(commit).await.expect("written");
        roles.push(store.sessions_of(ana, None, None, 9).await.expect("reads").first().and_then(|entry| entry.role));
    }
    assert_eq!(roles, [Some(Role::Viewer), Some(Role::Moderator), None, Some(Role::Collaborator)]);
}

/// Sessions, open ones, events.
pub async fn totals_count(store: &dyn Store) {
    assert_eq!(store.totals().await, Ok(Totals::default()));
    let states = [SessionState::Created, SessionState::Active, SessionState::Paused, SessionState::Completed];
    for state in states {
        let mut log = Log::unborn(store);
        let mut commit = log.commit(&[(MAIN, "a"), (MAIN, "b")]);
        let mut info = log.info("title");
        info.state = state;
        commit.directory = Some(info);
        log.append(commit).await.expect("written");
    }
    assert_eq!(store.totals().await, Ok(Totals { sessions: 4, active_sessions: 2, events: 8 }));
}

/// One state a session, one view a key; the last one stays.
pub async fn snapshots_replace_each_other(store: &dyn Store) {
    let log = Log::born(store).await;
    let main = StreamSet::EMPTY.with(MAIN);
    let keys = [
        ViewKey::Head(main),
        ViewKey::Head(main.with(Stream::Side)),
        ViewKey::Page(MAIN, 0),
        ViewKey::Page(MAIN, 1),
        ViewKey::Page(Stream::Side, 1),
        ViewKey::Summary,
    ];
    for round in 1..4_u64 {
        let state = StateSnapshot {
            session: log.session,
            format: u32::try_from(round).expect("few") + 7,
            rev: Rev(round),
            bytes: Bytes::from(vec![1; usize::try_from(round).expect("few") * 5000]),
        };
        store.put_state(state.clone()).await.expect("kept");
        assert_eq!(store.state(log.session).await, Ok(Some(state)));
        let view = |n: usize| ViewSnapshot { rev: Rev(round), bytes: Bytes::from(vec![2; n * 4000]) };
        for (n, key) in keys.into_iter().enumerate() {
            store.put_view(log.session, key, view(n)).await.expect("kept");
        }
        for (n, key) in keys.into_iter().enumerate() {
            assert_eq!(store.view(log.session, key).await, Ok(Some(view(n))));
        }
    }
    assert_eq!(store.view(log.session, ViewKey::Page(MAIN, 2)).await, Ok(None));
}

/// They are made beside each other, so the older one may be the later one.
pub async fn an_older_snapshot_replaces_no_newer_one(store: &dyn Store) {
    let log = Log::born(store).await;
    let bytes = Bytes::from("s");
    let state = |rev| StateSnapshot { session: log.session, format: 1, rev: Rev(rev), bytes: bytes.clone() };
    let view = |rev| ViewSnapshot { rev: Rev(rev), bytes: bytes.clone() };
    let key = ViewKey::Head(StreamSet::EMPTY.with(MAIN));
    for rev in [3, 2] {
        store.put_state(state(rev)).await.expect("no error");
        store.put_view(log.session, key, view(rev)).await.expect("no error");
    }
    assert_eq!(store.state(log.session).await, Ok(Some(state(3))));
    assert_eq!(store.view(log.session, key).await, Ok(Some(view(3))));
}

/// At least once: a row waits until somebody says that it was sent.
pub async fn outbox_rows_wait_until_they_are_done(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let mut commit = log.commit(&[]);
    commit.outbox = vec![mail(at(20)), mail(at(10)), mail(at(10))];
    let rows = commit.outbox.clone();
    log.append(commit).await.expect("written");
    assert_eq!(store.outbox_due(at(9), 10).await, Ok(vec![]));
    let due = store.outbox_due(at(20), 10).await.expect("reads");
    assert!(due.iter().all(|row| row.session == log.session));
    let in_order: Vec<_> = due.iter().map(|row| row.row.clone()).collect();
    assert_eq!(in_order, [rows[1].clone(), rows[2].clone(), rows[0].clone()]);
    assert_eq!(store.outbox_due(at(20), 2).await.expect("reads"), due[..2]);
    assert_eq!(store.outbox_done(due[0].id).await, Ok(true));
    assert_eq!(store.outbox_done(due[0].id).await, Ok(false));
    assert_eq!(store.outbox_due(at(20), 10).await.expect("reads"), due[1..]);
}

/// Each document counts for itself, without a gap.
pub async fn document_updates_are_dense(store: &dyn Store) {
    let (one, other) = (id(), id());
    let mut log = Log::born(store).await;
    let mut commit = log.commit(&[]);
    commit.documents = vec![update(one, 1), update(other, 1), update(one, 2)];
    let mut updates = vec![commit.documents[0].clone(), commit.documents[2].clone()];
    log.append(commit).await.expect("written");
    for n in [0, 2, 4] {
        let mut gap = log.commit(&[]);
        gap.documents = vec![update(one, n)];
        assert_eq!(store.append(gap).await, Err(AppendError::Conflict { actual: log.rev }), "update {n}");
    }
    let mut third = log.commit(&[]);
    third.documents = vec![DocumentUpdate { actor: Actor::System, ..update(one, 3) }];
    updates.push(third.documents[0].clone());
    log.append(third).await.expect("written");
    assert_eq!(store.document_updates(log.session, one, 0).await, Ok(updates.clone()));
    assert_eq!(store.document_updates(log.session, one, 2).await, Ok(updates[2..].to_vec()));
    assert_eq!(store.document_updates(log.session, other, 0).await.expect("reads").len(), 1);
    assert_eq!(store.document_updates(Log::born(store).await.session, one, 0).await, Ok(vec![]));
}

/// A mark that comes late changes nothing.
pub async fn read_marks_never_go_back(store: &dyn Store) {
    let log = Log::born(store).await;
    let mut people = [somebody(), somebody()];
    people.sort();
    for (who, stream, seq) in [(0, MAIN, 5), (0, MAIN, 3), (1, MAIN, 1), (0, Stream::Side, 2), (1, MAIN, 4)] {
        store.put_read_mark(log.session, people[who], stream, Seq(seq)).await.expect("kept");
    }
    let expected = [(people[0], MAIN, Seq(5)), (people[0], Stream::Side, Seq(2)), (people[1], MAIN, Seq(4))];
    let mut marks = store.read_marks(log.session).await.expect("reads");
    marks.sort();
    assert_eq!(marks, expected);
    store.put_read_mark(SessionId(id()), people[0], MAIN, Seq(1)).await.expect("no error for a session that is gone");
}

/// Every later call is answered, with `Unavailable`.
pub async fn a_closed_store_says_so(store: &dyn Store) {
    let log = Log::born(store).await;
    store.close().await.expect("closes");
    let is_unavailable = |e: Option<StoreError>| matches!(e, Some(StoreError::Unavailable(_)));
    let append = store.append(log.commit(&[(MAIN, "late")])).await;
    assert!(matches!(append, Err(AppendError::Unavailable(_))), "{append:?}");
    assert!(is_unavailable(store.head(log.session).await.err()));
    assert!(is_unavailable(store.put_read_mark(log.session, somebody(), MAIN, Seq(1)).await.err()));
    assert!(is_unavailable(store.totals().await.err()));
    store.close().await.expect("closing twice is no fault");
}
