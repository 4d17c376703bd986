//! No room: writes are refused, reads go on, and nothing has to be restarted.

use futures_util::future::join_all;
use roundtable_protocol::{Rev, Seq};

use super::{HEAD, MAIN};
use crate::Store;
use crate::contract::{Log, assert_verifies};
use crate::sqlite::{SqliteOptions, SqliteStore};
use crate::types::{AppendError, StoreError, ViewSnapshot};

/// A store with room for about 100 pages of events.
fn small() -> (SqliteStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = SqliteOptions { max_page_count: Some(150) };
    (SqliteStore::open_with(folder.path(), options).expect("opens"), folder)
}

/// Posts pages of text until there is no room.
async fn fill(log: &mut Log<'_>) {
    let page = "x".repeat(9_000);
    for _ in 0..200 {
        let commit = log.commit(&[(MAIN, &page)]);
        match log.append(commit).await {
            Ok(_) => {}
            Err(error) => return assert_eq!(error, AppendError::Full),
        }
    }
    panic!("the store never filled up");
}

#[tokio::test]
async fn a_full_store_refuses_writes_and_goes_on_reading() {
    let (store, _folder) = small();
    let mut doomed = Log::born(&store).await;
    let mut log = Log::born(&store).await;
    fill(&mut doomed).await;
    let rev = doomed.rev;
    assert_eq!(store.head(doomed.session).await.expect("reads").expect("there").rev, rev);
    assert_eq!(doomed.stream(MAIN).await.len() as u64, doomed.heads[0].0);
    assert_eq!(assert_verifies(&store, &doomed).await, 0);
    let large = ViewSnapshot { rev, bytes: vec![7; 60_000].into() };
    assert_eq!(store.put_view(doomed.session, HEAD, large.clone()).await, Err(StoreError::Full));
    assert_eq!(store.view(doomed.session, HEAD).await, Ok(None));

    store.set_max_page_count(None).await.expect("more room");
    log.post(&[(MAIN, &"y".repeat(50_000))]).await;
    store.put_view(doomed.session, HEAD, large).await.expect("kept");
    assert_eq!(assert_verifies(&store, &log).await, 0);
}

#[tokio::test]
async fn deleting_a_session_of_long_texts_makes_room() {
    let (store, _folder) = small();
    let mut doomed = Log::born(&store).await;
    let mut log = Log::born(&store).await;
    fill(&mut doomed).await;
    let commit = log.commit(&[(MAIN, &"y".repeat(50_000))]);
    assert_eq!(store.append(commit.clone()).await, Err(AppendError::Full));
    assert_eq!(store.delete_session(doomed.session).await, Ok(crate::Deletion::Done));
    log.append(commit).await.expect("written now");
    assert_eq!(assert_verifies(&store, &log).await, 0);
}

#[tokio::test]
async fn what_fits_is_written_also_beside_what_does_not() {
    let (store, _folder) = small();
    let mut logs: Vec<Log<'_>> = (0..20).map(|_| Log::unborn(&store)).collect();
    join_all(logs.iter_mut().map(|log| log.post(&[(MAIN, "first")]))).await;
    let huge = "z".repeat(1_000_000);
    let commits =
        logs.iter().enumerate().map(|(n, log)| log.commit(&[(MAIN, if n % 4 == 0 { &huge } else { "small" })]));
    let answers = join_all(commits.map(|commit| store.append(commit)).collect::<Vec<_>>()).await;
    for (n, answer) in answers.into_iter().enumerate() {
        let expected = if n % 4 == 0 { Err(AppendError::Full) } else { Ok(Rev(2)) };
        assert_eq!(answer.map(|appended| appended.rev), expected, "commit {n}");
        let head = store.head(logs[n].session).await.expect("reads").expect("there");
        assert_eq!(head.heads[0], Seq(if n % 4 == 0 { 1 } else { 2 }));
    }
}
