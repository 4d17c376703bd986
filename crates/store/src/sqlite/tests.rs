//! What only the embedded store promises: the contract over it, the folder's lock, reopening, erasing, a full disk.

mod erasing;
mod full;

use futures_util::FutureExt;
use roundtable_protocol::{Role, Seq, Stream, StreamSet, UserId};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{FILE, OpenError, SqliteStore};
use crate::Store;
use crate::contract::{Log, assert_verifies, at, id, texts};
use crate::types::{StateSnapshot, ViewKey, ViewSnapshot};

const MAIN: Stream = Stream::Main;
const HEAD: ViewKey = ViewKey::Head(StreamSet::EMPTY.with(MAIN));

async fn make() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    (SqliteStore::open(folder.path()).expect("opens"), folder)
}

crate::contract_tests!(make);

#[tokio::test]
async fn everything_survives_reopening() {
    let (store, folder) = make().await;
    let user = UserId(id());
    let mut log = Log::born(&store).await;
    let mut commit = log.commit(&[(MAIN, "a"), (Stream::Side, "b")]);
    commit.directory = Some(log.info("title"));
    commit.members = vec![(user, Some(Role::Owner))];
    commit.wake_at = Some(at(1));
    commit.redactions = vec![(MAIN, Seq(1))];
    log.append(commit).await.expect("written");
    let view = ViewSnapshot { rev: log.rev, bytes: "view".into() };
    store.put_view(log.session, HEAD, view.clone()).await.expect("kept");
    let state = StateSnapshot { session: log.session, format: 3, rev: log.rev, bytes: "state".into() };
    store.put_state(state.clone()).await.expect("kept");
    store.raise_rights_epoch(log.project).await.expect("raises");
    let head = store.head(log.session).await;
    let entry = store.session(log.session).await;
    store.close().await.expect("closes");

    let store = SqliteStore::open(folder.path()).expect("opens again");
    assert_eq!(store.head(log.session).await, head);
    assert_eq!(store.session(log.session).await, entry);
    assert_eq!(store.view(log.session, HEAD).await, Ok(Some(view)));
    assert_eq!(store.state(log.session).await, Ok(Some(state)));
    assert_eq!(store.due(at(1), 9).await, Ok(vec![log.session]));
    assert_eq!(store.sessions_of(user, None, None, 9).await.expect("reads").len(), 1);
    let mut again = Log { store: &store, rights: 1, ..log };
    again.post(&[(MAIN, "c")]).await;
    assert_eq!(texts(&again.stream(MAIN).await), ["", "a", "c"]);
    assert_eq!(assert_verifies(&store, &again).await, 1);
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_is_written_before_the_folder_is_free() {
    let (store, folder) = make().await;
    let log = Log::born(&store).await;
    let mut append = store.append(log.commit(&[(MAIN, "asked")]));
    // Polled once it is in the queue; the answer is not waited for.
    assert!((&mut append).now_or_never().is_none());
    drop(append);
    let session = log.session;
    drop(store);
    let store = SqliteStore::open(folder.path()).expect("opens again");
    assert_eq!(store.head(session).await.expect("reads").expect("there").rev.0, 2);
}

#[tokio::test]
async fn a_second_server_is_told_who_has_the_folder() {
    let (store, folder) = make().await;
    let error = SqliteStore::open(folder.path()).expect_err("in use");
    let pid = std::process::id();
    assert!(matches!(&error, OpenError::InUse { pid: Some(found), .. } if *found == pid), "{error}");
    let text = format!("another server (pid {pid}) uses the data folder {}", folder.path().display());
    assert_eq!(error.to_string(), text);
    drop(store);
    SqliteStore::open(folder.path()).expect("free after the first is gone");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("writes");
    let error = SqliteStore::open(file.join("data")).expect_err("a file is in the way");
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
}

#[tokio::test]
async fn an_older_program_refuses_a_newer_database() {
    let (store, folder) = make().await;
    drop(store);
    let conn = Connection::open(folder.path().join(FILE)).expect("opens");
    conn.pragma_update(None, "user_version", 99).expect("pretends");
    drop(conn);
    let error = SqliteStore::open(folder.path()).expect_err("newer");
    assert_eq!(
        error.to_string(),
        "the database has schema version 99, this program knows 2: use a newer version of it"
    );
}

#[tokio::test]
async fn tampering_is_found() {
    let (store, folder) = make().await;
    let mut log = Log::born(&store).await;
    for text in ["a", "b", "c"] {
        log.post(&[(MAIN, text), (Stream::Side, text)]).await;
    }
    log.redact(MAIN, Seq(2)).await;
    assert_eq!(assert_verifies(&store, &log).await, 1);
    let conn = Connection::open(folder.path().join(FILE)).expect("a second connection");
    let broken = async |sql: &str, undo: &str| {
        assert_eq!(conn.execute(sql, []).expect("tampers"), 1, "{sql}");
        let found = store.verify(log.session).await.expect("verifies").broken;
        assert_eq!(conn.execute(undo, []).expect("repairs"), 1, "{undo}");
        found
    };
    let at_seq = |seq: u64| vec![(MAIN, Seq(seq))];
    let event = "WHERE stream = 0 AND seq = 3";
    let change = |column: &str, from: &str, to: &str| {
        format!("UPDATE events SET {column} = CAST(replace({column}, '{from}', '{to}') AS BLOB) {event}")
    };
    let (change_body, undo) = (change("body", "\"b\"", "\"x\""), change("body", "\"x\"", "\"b\""));
    assert_eq!(broken(&change_body, &undo).await, at_seq(3));
    let (change_header, undo) = (change("header", "posted", "edited"), change("header", "edited", "posted"));
    assert_eq!(broken(&change_header, &undo).await, at_seq(3));
    let (change_seal, undo) =
        ("UPDATE seals SET body_hash = -body_hash", "UPDATE seals SET body_hash = seal FROM kept");
    conn.execute_batch("CREATE TEMP TABLE kept AS SELECT body_hash AS seal FROM seals").expect("remembers");
    assert_eq!(broken(change_seal, undo).await, at_seq(2));
    let moved = |from: i64, to: i64| format!("UPDATE events SET seq = {to} WHERE stream = 0 AND seq = {from}");
    assert_eq!(broken(&moved(4, 9), &moved(9, 4)).await, at_seq(4), "the last event is missing");
    assert_eq!(broken(&moved(1, 9), &moved(9, 1)).await, at_seq(1), "the first event is missing");
    assert_eq!(store.verify(log.session).await.expect("verifies").broken, [], "all repaired");
}

#[tokio::test]
async fn another_program_may_look_but_not_keep_writes_waiting_for_ever() {
    let (store, folder) = make().await;
    let mut log = Log::born(&store).await;
    let other = Connection::open(folder.path().join(FILE)).expect("a second connection");
    other.execute_batch("BEGIN; SELECT * FROM events").expect("reads");
    log.post(&[(MAIN, "while somebody reads")]).await;
    other.execute_batch("COMMIT; BEGIN IMMEDIATE").expect("locks");
    let refused = store.append(log.commit(&[(MAIN, "while somebody writes")])).await;
    assert!(matches!(refused, Err(crate::types::AppendError::Unavailable(_))), "{refused:?}");
    other.execute_batch("ROLLBACK").expect("frees");
    log.post(&[(MAIN, "after")]).await;
    assert_eq!(texts(&log.stream(MAIN).await), ["hello", "while somebody reads", "after"]);
}

#[tokio::test]
async fn compacting_gives_space_back_and_keeps_everything_else() {
    let (store, folder) = make().await;
    let mut kept = Log::born(&store).await;
    let mut doomed = Log::born(&store).await;
    let long = "x".repeat(2_000);
    for _ in 0..200 {
        kept.post(&[(MAIN, "short")]).await;
        doomed.post(&[(MAIN, &long)]).await;
    }
    assert_eq!(store.delete_session(doomed.session).await, Ok(crate::Deletion::Done));
    let size = || std::fs::metadata(folder.path().join(FILE)).expect("there").len();
    let before = size();
    store.compact().await.expect("compacts");
    kept.post(&[(MAIN, "after")]).await;
    assert_eq!(assert_verifies(&store, &kept).await, 0);
    store.close().await.expect("closes");
    assert!(size() < before / 2, "{} of {before} bytes are left", size());
}

#[tokio::test]
async fn a_folder_is_looked_at_without_being_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let seen = || super::look(folder.path()).expect("readable");
    assert_eq!((seen().in_use, seen().schema), (None, None));
    let store = SqliteStore::open(folder.path()).expect("opens");
    let state = seen();
    assert_eq!((state.in_use, state.schema), (Some(Some(std::process::id())), Some(state.known)));
    store.close().await.expect("closes");
    drop(store);
    assert_eq!((seen().in_use, seen().schema), (None, Some(state.known)));
}
