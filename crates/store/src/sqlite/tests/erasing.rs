//! What was erased is in no file of the folder.

use std::path::Path;

use futures_util::FutureExt;
use futures_util::future::join_all;
use roundtable_protocol::{Role, Seq, Stream, UserId};
use rusqlite::Connection;
use sha2::Digest;

use super::{HEAD, MAIN, make};
use crate::Store;
use crate::contract::files::{content, file, upload};
use crate::contract::{Log, assert_verifies, id};
use crate::sqlite::{FILE, SqliteStore};
use crate::types::{StateSnapshot, ViewKey, ViewSnapshot};

/// What is looked for. Its first character must not come again in it: see [`count`].
const CANARY: &str = "~tirra-lirra-by-the-river";

/// Returns the files of the folder that contain `needle`, each with how often.
fn grep(folder: &Path, needle: &str) -> Vec<(String, usize)> {
    count(&files(folder), needle)
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("lists").map(|entry| entry.expect("an entry")) {
        if entry.path().is_dir() {
            all.extend(files(&entry.path()));
        } else {
            all.push((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("reads")));
        }
    }
    all
}

fn count(files: &[(String, Vec<u8>)], needle: &str) -> Vec<(String, usize)> {
    let needle = needle.as_bytes();
    let starts = |bytes: &[u8]| {
        bytes.split(|byte| *byte == needle[0]).skip(1).filter(|rest| rest.starts_with(&needle[1..])).count()
    };
    let counted = files.iter().map(|(name, bytes)| (name.clone(), starts(bytes)));
    counted.filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn a_redacted_text_is_in_no_file() {
    let (store, folder) = make().await;
    let mut log = Log::born(&store).await;
    let mut other = Log::born(&store).await;
    // Posted, edited, edited at length, and shown in snapshots that were replaced and moved.
    let edited = format!("{CANARY} {}", "and on ".repeat(2_000));
    log.post(&[(MAIN, CANARY), (MAIN, "open"), (Stream::Side, CANARY)]).await;
    log.post(&[(MAIN, &format!("edited {CANARY}"))]).await;
    for n in 0..40_usize {
        let bytes = format!("{}{CANARY}", "v".repeat(n * 331)).into();
        store.put_view(log.session, HEAD, ViewSnapshot { rev: log.rev, bytes }).await.expect("kept");
        let page = ViewKey::Page(MAIN, (n % 7) as u64);
        let bytes = format!("{}{CANARY}", "p".repeat(10_000 - n * 217)).into();
        store.put_view(log.session, page, ViewSnapshot { rev: log.rev, bytes }).await.expect("kept");
        other.post(&[(MAIN, "somebody else's")]).await;
    }
    log.post(&[(MAIN, &edited)]).await;
    assert_ne!(grep(folder.path(), CANARY), [], "it is there to be found");

    let mut commit = log.commit(&[(MAIN, "redacted"), (MAIN, CANARY)]);
    commit.redactions = [2, 4, 5, 7].map(|seq| (MAIN, Seq(seq))).to_vec();
    commit.redactions.push((Stream::Side, Seq(1)));
    log.append(commit).await.expect("written");
    assert_eq!(grep(folder.path(), CANARY), []);
    assert_eq!(assert_verifies(&store, &log).await, 5);
    store.close().await.expect("closes");
    assert_eq!(grep(folder.path(), CANARY), []);
}

#[tokio::test]
async fn a_file_of_an_erased_message_is_in_no_file() {
    let (store, folder) = make().await;
    let mut log = Log::born(&store).await;
    let mut posted = Vec::new();
    for n in 0..20 {
        // The name is text of a session as well.
        let file = file(log.session, &format!("{CANARY}.txt"), 7);
        let mut blob = store.begin_blob().await.expect("begins");
        blob.write(format!("{CANARY} {}", n % 3).as_bytes()).await.expect("written");
        posted.push(store.put_attachment(file, blob).await.expect("kept").expect("there").attachment.id);
    }
    let mut aborted = store.begin_blob().await.expect("begins");
    aborted.write(CANARY.as_bytes()).await.expect("written");
    drop(aborted);
    for id in &posted {
        let mut commit = log.commit(&[(MAIN, "look")]);
        commit.attached = vec![(*id, commit.events[0].id)];
        log.append(commit).await.expect("written");
    }
    assert_ne!(grep(folder.path(), CANARY), [], "it is there to be found");
    let mut commit = log.commit(&[]);
    commit.redactions = (2..22).map(|seq| (MAIN, Seq(seq))).collect();
    log.append(commit).await.expect("written");
    assert_eq!(grep(folder.path(), CANARY), []);
    store.close().await.expect("closes");
    assert_eq!(grep(folder.path(), CANARY), []);
}

#[tokio::test]
async fn what_an_upload_left_when_the_process_died_goes_with_the_next_one() {
    let (store, folder) = make().await;
    let log = Log::born(&store).await;
    let kept = upload(&store, log.session, "kept").await;
    store.close().await.expect("closes");
    drop(store);
    let unnamed = folder.path().join("blobs/unnamed/half");
    std::fs::write(&unnamed, CANARY).expect("written");
    // Named, doomed, and no row yet.
    let orphan: [u8; 32] = sha2::Sha256::digest(CANARY).into();
    let name: String = orphan.iter().map(|byte| format!("{byte:02x}")).collect();
    let place = folder.path().join("blobs").join(&name[..2]);
    std::fs::create_dir_all(&place).expect("made");
    std::fs::write(place.join(&name[2..]), CANARY).expect("written");
    let conn = Connection::open(folder.path().join(FILE)).expect("opens");
    for hash in [orphan, kept.hash] {
        conn.execute("INSERT INTO doomed (hash) VALUES (?1)", [hash]).expect("doomed");
    }
    drop(conn);
    let store = SqliteStore::open(folder.path()).expect("opens again");
    assert_eq!(grep(folder.path(), CANARY), []);
    assert_eq!(content(&store, kept.hash).await.as_deref(), Some("kept"), "a file has it");
}

/// Rows that SQLite moves between pages leave copies behind; here none may move. Many sessions side by side, rows of
/// all sizes, sessions deleted in between, redactions that make rows shorter: afterwards each text is gone or is there
/// exactly once.
#[tokio::test]
async fn no_copy_of_a_text_stays_behind_when_its_neighbours_change() {
    let (store, folder) = make().await;
    let mut logs = Vec::new();
    for _ in 0..12 {
        logs.push(Log::born(&store).await);
    }
    let word = |session: usize, round: usize| format!("{CANARY}-{session}-{round}>");
    for round in 0..60 {
        join_all(logs.iter_mut().enumerate().map(|(n, log)| {
            let filler = "y".repeat((round * 97 + n * 41) % 700);
            let mut commit = log.commit(&[(MAIN, &format!("{}{filler}", word(n, round)))]);
            commit.directory = (round % 20 == 0).then(|| log.info(&format!("{}{filler}", word(n, 1_000))));
            log.append(commit)
        }))
        .await;
        join_all(logs.iter().enumerate().flat_map(|(n, log)| {
            let filler = "y".repeat((round * 97 + n * 41) % 700);
            let large = format!("{filler}{filler}{filler}{}", word(n, 2_000));
            let small = format!("{}{}", word(n, 3_000), "z".repeat((round * 53) % 400));
            let page = ViewKey::Page(MAIN, (round % 9) as u64);
            let view = |bytes: String| ViewSnapshot { rev: log.rev, bytes: bytes.into() };
            [store.put_view(log.session, HEAD, view(large)), store.put_view(log.session, page, view(small))]
        }))
        .await;
    }
    // Every third message is redacted while pages are full.
    for round in (1..60).step_by(3) {
        join_all(logs.iter_mut().map(|log| log.redact(MAIN, Seq(2 + round)))).await;
    }
    // Three of four sessions go, so that pages become empty enough to be joined; then another third of the
    // messages of those that stay.
    let kept = [1, 5, 9];
    for (_, log) in logs.iter().enumerate().filter(|(n, _)| !kept.contains(n)) {
        assert_eq!(store.delete_session(log.session).await, Ok(crate::Deletion::Done));
    }
    for round in (0..60).step_by(3) {
        for n in kept {
            logs[n].redact(MAIN, Seq(2 + round)).await;
        }
    }
    store.close().await.expect("closes");
    let files = files(folder.path());
    for n in 0..logs.len() {
        for round in (0..60).chain([1_000, 2_000, 3_000]) {
            let stays = kept.contains(&n) && (round == 1_000 || round < 60 && round % 3 == 2);
            let found = count(&files, &word(n, round));
            let expected = if stays { vec![(FILE.to_owned(), 1)] } else { vec![] };
            assert_eq!(found, expected, "session {n}, text {round}");
        }
    }
}

#[tokio::test]
async fn a_deleted_session_is_in_no_file() {
    let (store, folder) = make().await;
    let other = Log::born(&store).await;
    let mut log = Log::born(&store).await;
    let mut commit = log.commit(&[(MAIN, CANARY), (Stream::Stage, CANARY)]);
    commit.directory = Some(log.info(CANARY));
    commit.members = vec![(UserId(id()), Some(Role::Owner))];
    commit.outbox =
        vec![crate::types::NewOutboxRow { body: CANARY.into(), ..crate::contract::rows::mail(super::at(0)) }];
    let update = crate::contract::rows::update(id(), 1);
    commit.documents = vec![crate::types::DocumentUpdate { bytes: CANARY.into(), ..update }];
    log.append(commit).await.expect("written");
    let view = ViewSnapshot { rev: log.rev, bytes: CANARY.into() };
    store.put_view(log.session, HEAD, view).await.expect("kept");
    let state = StateSnapshot { session: log.session, format: 1, rev: log.rev, bytes: CANARY.into() };
    store.put_state(state).await.expect("kept");
    assert_ne!(grep(folder.path(), CANARY), [], "it is there to be found");
    let owed = store.outbox_due(super::at(0), 1).await.expect("reads");
    assert_eq!(store.outbox_done(owed[0].id).await, Ok(true));
    assert_eq!(store.delete_session(log.session).await, Ok(crate::Deletion::Done));
    assert_eq!(grep(folder.path(), CANARY), []);
    assert_eq!(assert_verifies(&store, &other).await, 0);
}

#[tokio::test]
async fn a_redaction_is_answered_when_the_log_on_the_disk_has_forgotten_it() {
    let (store, folder) = make().await;
    let mut log = Log::born(&store).await;
    let mut other = Log::born(&store).await;
    log.post(&[(MAIN, CANARY)]).await;
    let reader = Connection::open(folder.path().join(FILE)).expect("a second connection");
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").expect("holds the log");

    let session = log.session;
    let mut redaction = Box::pin(log.redact(MAIN, Seq(2)));
    assert!((&mut redaction).now_or_never().is_none());
    // Asked later, answered earlier: nobody else waits for the reader. With the second answer the attempt to empty the
    // log that came after the first one has certainly failed.
    for _ in 0..2 {
        other.post(&[(MAIN, "meanwhile")]).await;
    }
    assert!((&mut redaction).now_or_never().is_none(), "the reader is still there");
    let head = store.head(session).await.expect("reads").expect("there");
    assert_eq!(head.rev.0, 3, "written, but not answered");
    assert_ne!(grep(folder.path(), CANARY), []);

    // A server that dies here leaves it to the next one.
    let copy = tempfile::tempdir().expect("a temporary folder");
    for name in [FILE.to_owned(), format!("{FILE}-wal")] {
        std::fs::copy(folder.path().join(&name), copy.path().join(&name)).expect("copies");
    }
    assert_ne!(grep(copy.path(), CANARY), []);
    let next = SqliteStore::open(copy.path()).expect("opens what the dead one left");
    assert_eq!(grep(copy.path(), CANARY), []);
    assert_eq!(next.verify(session).await.expect("verifies").redacted, 1);

    reader.execute_batch("COMMIT").expect("lets go");
    redaction.await;
    assert_eq!(grep(folder.path(), CANARY), []);
}
