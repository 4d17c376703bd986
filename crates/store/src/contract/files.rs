//! Uploaded files.

use futures_util::StreamExt;
use roundtable_protocol::model::Attachment;
use roundtable_protocol::{AttachmentId, EventId, Seq, SessionId, Stream, UserId};
use sha2::{Digest, Sha256};

use super::{Log, at, id};
use crate::Store;
use crate::types::{BlobHash, Deletion, StoredAttachment};

const MAIN: Stream = Stream::Main;

fn hash(content: &str) -> BlobHash {
    Sha256::digest(content).into()
}

/// Returns a file in the making.
pub fn file(session: SessionId, name: &str, size_bytes: usize) -> StoredAttachment {
    StoredAttachment {
        session,
        uploader: UserId(id()),
        stream: MAIN,
        hash: [0; 32],
        attachment: Attachment {
            id: AttachmentId(id()),
            name: name.to_owned(),
            media_type: "text/plain".to_owned(),
            size_bytes: size_bytes as u64,
            width: None,
            height: Some(7),
        },
        created_at: at(0),
        message: None,
    }
}

/// Uploads `content` and returns the file as it is kept.
pub async fn upload(store: &dyn Store, session: SessionId, content: &str) -> StoredAttachment {
    let file = file(session, "a name", content.len());
    put(store, file, content).await.expect("the session is there")
}

async fn put(store: &dyn Store, file: StoredAttachment, content: &str) -> Option<StoredAttachment> {
    let mut blob = store.begin_blob().await.expect("begins");
    for part in content.as_bytes().chunks(5) {
        blob.write(part).await.expect("written");
    }
    store.put_attachment(file, blob).await.expect("kept")
}

/// Returns the content with that hash.
pub async fn content(store: &dyn Store, hash: BlobHash) -> Option<String> {
    let mut parts = store.read_blob(hash).await.expect("opens")?;
    let mut all = Vec::new();
    while let Some(part) = parts.next().await {
        all.extend_from_slice(&part.expect("reads"));
    }
    Some(String::from_utf8(all).expect("text"))
}

async fn attach(log: &mut Log<'_>, file: &StoredAttachment) -> EventId {
    let mut commit = log.commit(&[(MAIN, "look")]);
    let message = commit.events[0].id;
    commit.attached = vec![(file.attachment.id, message)];
    log.append(commit).await.expect("written");
    message
}

/// By its hash, however often it comes.
pub async fn content_is_kept_once_and_read_back(store: &dyn Store) {
    let log = Log::born(store).await;
    let long = "0123456789".repeat(30_000);
    for text in ["", "short", &long] {
        let one = upload(store, log.session, text).await;
        assert_eq!(one.hash, hash(text));
        let other = upload(store, log.session, text).await;
        assert!(one.hash == other.hash && one.attachment.id != other.attachment.id);
        assert_eq!(content(store, one.hash).await.as_deref(), Some(text));
    }
    assert_eq!(content(store, hash("never uploaded")).await, None);
}

/// A repeated id answers the first file; another session is told nothing.
pub async fn a_file_is_found_in_its_session_alone(store: &dyn Store) {
    let (log, other) = (Log::born(store).await, Log::born(store).await);
    let kept = upload(store, log.session, "one").await;
    let id = kept.attachment.id;
    assert_eq!(store.attachments(log.session, vec![AttachmentId(super::id()), id]).await, Ok(vec![kept.clone()]));
    assert_eq!(store.attachments(other.session, vec![id]).await, Ok(vec![]));
    let again = StoredAttachment { created_at: at(9), ..kept.clone() };
    assert_eq!(put(store, again.clone(), "two").await, Some(kept.clone()));
    assert_eq!(content(store, hash("two")).await, None, "nobody has it");
    assert_eq!(put(store, StoredAttachment { session: other.session, ..again }, "one").await, None);
    assert_eq!(put(store, file(SessionId(super::id()), "x", 1), "three").await, None, "there is no such session");
    assert_eq!(content(store, hash("three")).await, None);
    assert_eq!(content(store, hash("one")).await.as_deref(), Some("one"));
}

/// Dropped before it is kept.
pub async fn an_aborted_upload_leaves_nothing(store: &dyn Store) {
    let log = Log::born(store).await;
    let mut blob = store.begin_blob().await.expect("begins");
    blob.write(b"half").await.expect("written");
    drop(blob);
    assert_eq!(content(store, hash("half")).await, None);
    upload(store, log.session, "half").await;
    assert_eq!(content(store, hash("half")).await.as_deref(), Some("half"));
}

/// With the text; others stay.
pub async fn the_files_of_an_erased_message_go(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let (gone, stays) = (upload(store, log.session, "gone").await, upload(store, log.session, "stays").await);
    let message = attach(&mut log, &gone).await;
    attach(&mut log, &stays).await;
    let posted = store.attachments(log.session, vec![gone.attachment.id]).await.expect("reads");
    assert_eq!(posted, [StoredAttachment { message: Some(message), ..gone.clone() }]);
    log.redact(MAIN, Seq(2)).await;
    assert_eq!(store.attachments(log.session, vec![gone.attachment.id]).await, Ok(vec![]));
    assert_eq!(content(store, gone.hash).await, None);
    assert_eq!(store.attachments(log.session, vec![stays.attachment.id]).await.expect("reads").len(), 1);
    assert_eq!(content(store, stays.hash).await.as_deref(), Some("stays"));
}

/// Whoever has it, in whichever session.
pub async fn content_stays_while_another_file_has_it(store: &dyn Store) {
    let (mut log, mut other) = (Log::born(store).await, Log::born(store).await);
    let here = upload(store, log.session, "shared").await;
    let there = upload(store, other.session, "shared").await;
    attach(&mut log, &here).await;
    attach(&mut other, &there).await;
    log.redact(MAIN, Seq(2)).await;
    assert_eq!(content(store, here.hash).await.as_deref(), Some("shared"));
    other.redact(MAIN, Seq(2)).await;
    assert_eq!(content(store, here.hash).await, None);
}

/// Only that.
pub async fn what_was_never_posted_goes_by_time(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let mut files = Vec::new();
    for (text, second) in [("early", 0), ("late", 10), ("posted", 0)] {
        let file = StoredAttachment { created_at: at(second), ..file(log.session, text, text.len()) };
        files.push(put(store, file, text).await.expect("kept"));
    }
    attach(&mut log, &files[2]).await;
    assert_eq!(store.drop_unposted(at(-1)).await, Ok(0));
    assert_eq!(store.drop_unposted(at(5)).await, Ok(1));
    assert_eq!(store.drop_unposted(at(5)).await, Ok(0));
    assert_eq!(content(store, hash("early")).await, None);
    for text in ["late", "posted"] {
        assert_eq!(content(store, hash(text)).await.as_deref(), Some(text));
    }
}

/// The batch of a room may hold both.
pub async fn a_commit_may_post_and_erase(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let file = upload(store, log.session, "short-lived").await;
    let mut commit = log.commit(&[(MAIN, "look")]);
    commit.attached = vec![(file.attachment.id, commit.events[0].id)];
    commit.redactions = vec![(MAIN, commit.events[0].seq)];
    log.append(commit).await.expect("written");
    assert_eq!(store.attachments(log.session, vec![file.attachment.id]).await, Ok(vec![]));
    assert_eq!(content(store, file.hash).await, None);
}

/// Posted or not.
pub async fn a_deleted_session_takes_its_files(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let (posted, waiting) = (upload(store, log.session, "posted").await, upload(store, log.session, "waiting").await);
    attach(&mut log, &posted).await;
    assert_eq!(store.delete_session(log.session).await, Ok(Deletion::Done));
    for file in [posted, waiting] {
        assert_eq!(store.attachments(log.session, vec![file.attachment.id]).await, Ok(vec![]));
        assert_eq!(content(store, file.hash).await, None);
    }
}
