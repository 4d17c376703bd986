//! Reading the log.

use roundtable_protocol::{EventId, Rev, Seq, SessionId, Stream};

use super::{Log, body, id, texts};
use crate::Store;
use crate::types::{Deletion, Found, READ_BYTES, StoredEvent, Verification};

const MAIN: Stream = Stream::Main;
const SIDE: Stream = Stream::Side;

/// After a seq, at most so many, at most so large, but at least one.
pub async fn a_stream_is_read_in_order_within_limits(store: &dyn Store) {
    let mut log = Log::born(store).await;
    for n in 0..10 {
        log.post(&[(MAIN, &format!("m{n}")), (SIDE, &format!("s{n}"))]).await;
    }
    let read = async |after: u64, limit: usize, max_bytes: usize| {
        let events = store.read(log.session, MAIN, Seq(after), limit, max_bytes).await.expect("reads");
        assert!(events.iter().all(|event| event.stream == MAIN && event.rev == Rev(event.seq.0)));
        events.iter().map(|event| event.seq.0).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 3, usize::MAX).await, [1, 2, 3]);
    assert_eq!(read(8, 100, usize::MAX).await, [9, 10, 11]);
    assert_eq!(read(11, 100, usize::MAX).await, [0; 0]);
    assert_eq!(read(u64::from(u32::MAX), 100, usize::MAX).await, [0; 0]);
    assert_eq!(read(0, 0, usize::MAX).await, [0; 0]);
    assert_eq!(read(3, 100, 0).await, [4], "one at least");
    let one = store.read(log.session, MAIN, Seq(3), 1, usize::MAX).await.expect("reads");
    let size = one[0].header.len() + one[0].body.len();
    assert_eq!(read(3, 100, 3 * size).await, [4, 5, 6]);
    assert_eq!(read(3, 100, 3 * size - 1).await, [4, 5]);
}

/// A replay gets whole commits, ordered by rev and position across streams.
pub async fn commits_are_read_whole_and_in_order(store: &dyn Store) {
    let mut log = Log::unborn(store);
    log.post(&[(MAIN, "1a"), (SIDE, "1b"), (MAIN, "1c")]).await;
    log.post(&[(SIDE, "2a")]).await;
    log.post(&[]).await;
    log.post(&[(Stream::Stage, "4a"), (SIDE, "4b"), (MAIN, "4c"), (Stream::Staff, "4d")]).await;
    log.post(&[(SIDE, "5a"), (MAIN, "5b")]).await;
    let read = async |after: u64, limit: usize| {
        texts(&store.read_commits(log.session, Rev(after), limit).await.expect("reads")).join(" ")
    };
    assert_eq!(read(0, 100).await, "1a 1b 1c 2a 4a 4b 4c 4d 5a 5b");
    assert_eq!(read(0, 0).await, "1a 1b 1c");
    assert_eq!(read(0, 3).await, "1a 1b 1c");
    assert_eq!(read(0, 4).await, "1a 1b 1c 2a");
    assert_eq!(read(1, 2).await, "2a 4a 4b 4c 4d");
    assert_eq!(read(2, 1).await, "4a 4b 4c 4d");
    assert_eq!(read(3, 100).await, "4a 4b 4c 4d 5a 5b");
    assert_eq!(read(4, 1).await, "5a 5b");
    assert_eq!(read(5, 100).await, "");
    assert_eq!(read(99, 100).await, "");
}

/// However many are asked for: what is read at once is held in memory.
pub async fn commits_are_read_up_to_so_many_bytes(store: &dyn Store) {
    let mut log = Log::unborn(store);
    let long = "x".repeat(READ_BYTES / 4);
    for n in 0..6 {
        log.post(&[(if n % 2 == 0 { MAIN } else { SIDE }, long.as_str())]).await;
    }
    let read = async |after: u64| {
        let events = store.read_commits(log.session, Rev(after), 100).await.expect("reads");
        events.iter().map(|event| event.rev.0).collect::<Vec<_>>()
    };
    assert_eq!(read(0).await, [1, 2, 3, 4]);
    assert_eq!(read(4).await, [5, 6]);
    let mut wide = Log::unborn(store);
    wide.post(&[(MAIN, long.as_str()); 6]).await;
    let whole = store.read_commits(wide.session, Rev::ZERO, 1).await.expect("reads");
    assert_eq!(whole.len(), 6, "a commit is not cut");
}

/// By id, with the key and fingerprint of its command.
pub async fn an_event_is_found_by_its_id(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let mut commit = log.commit(&[(SIDE, "a"), (SIDE, "b")]);
    commit.events[1].key = commit.events[0].key;
    commit.events[1].fingerprint = None;
    let [first, second] = [commit.events[0].clone(), commit.events[1].clone()];
    log.append(commit).await.expect("written");
    for (new, text) in [(&first, "a"), (&second, "b")] {
        let (stream, seq, header) = (new.stream, new.seq, new.header.clone());
        let event = StoredEvent { stream, seq, rev: Rev(2), id: new.id, header, body: body(text) };
        let expected = Found { event, key: first.key, fingerprint: new.fingerprint };
        assert_eq!(store.find(log.session, new.id).await, Ok(Some(expected)));
    }
    assert_eq!(store.find(Log::born(store).await.session, first.id).await, Ok(None), "in its own session only");
}

/// A session that is not there has nothing, and that is no error.
pub async fn what_is_not_there_is_not_found(store: &dyn Store) {
    let nobody = SessionId(id());
    assert_eq!(store.head(nobody).await, Ok(None));
    assert_eq!(store.read(nobody, MAIN, Seq::ZERO, 10, 1000).await, Ok(vec![]));
    assert_eq!(store.read_commits(nobody, Rev::ZERO, 10).await, Ok(vec![]));
    assert_eq!(store.find(nobody, EventId(id())).await, Ok(None));
    assert_eq!(store.verify(nobody).await, Ok(Verification::default()));
    assert_eq!(store.session(nobody).await, Ok(None));
    assert_eq!(store.state(nobody).await, Ok(None));
    assert_eq!(store.links(nobody).await, Ok(vec![]));
    assert_eq!(store.read_marks(nobody).await, Ok(vec![]));
    assert_eq!(store.delete_session(nobody).await, Ok(Deletion::NoSuch));
    assert_eq!(store.outbox_done(77).await, Ok(false));
}
