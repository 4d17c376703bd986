use bytes::Bytes;
use roundtable_protocol::command::MessagePost;
use roundtable_protocol::frame::CommandFrame;
use roundtable_protocol::model::{SessionKind, SessionState, Settings, Visibility};
use roundtable_protocol::{ConnectionId, DEFAULT_PROJECT, Rev, Timestamp};
use roundtable_store::{Commit, MemoryStore, NewEvent};

use super::*;
use crate::clock;
use crate::frame::Frame;
use crate::outbox::Outbox;
use crate::room::Subscription;

fn manager() -> SessionManager {
    SessionManager::new(Arc::new(MemoryStore::default()), HubConfig::default()).0
}

fn founding(session: SessionId, owner: UserId) -> Founding {
    Founding {
        session,
        epoch: Epoch::from_random(clock::random()),
        project: DEFAULT_PROJECT,
        owner,
        owner_name: "Ana".to_owned(),
        owner_colour: None,
        title: "A test".to_owned(),
        kind: SessionKind::Collaborative,
        visibility: Visibility::Private,
        settings: Settings::default(),
        description: String::new(),
        tags: Vec::new(),
        category: None,
        expires_at: None,
        start: true,
        assistant: None,
    }
}

async fn session(manager: &SessionManager) -> (SessionId, UserId) {
    let (session, owner) = (SessionId(clock::new_key()), UserId(clock::new_key()));
    manager.create(clock::new_key(), founding(session, owner)).await.expect("created");
    (session, owner)
}

async fn say(manager: &SessionManager, session: SessionId, who: UserId) -> Result<Receipt, Problem> {
    let command = Command::MessagePost(MessagePost { text: "hello".to_owned(), ..MessagePost::default() });
    let envelope = Envelope { key: clock::new_key(), stream: Stream::Main, seen: None, retry: false, command };
    manager.command(session, who, envelope).await
}

/// Writes an event behind the rooms' back, as a newer version or a fault would.
async fn plant(manager: &SessionManager, session: SessionId, kind: &str, body: &str) {
    plant_due(manager, session, kind, body, None).await;
}

async fn plant_due(manager: &SessionManager, session: SessionId, kind: &str, body: &str, wake_at: Option<Timestamp>) {
    let head = manager.store().head(session).await.expect("answered").expect("there");
    let (id, at) = (EventId(clock::new_key()), clock::now());
    let header = format!(r#"{{"id":"{id}","kind":"{kind}","actor":"system","at":"{at}"}}"#);
    let event = NewEvent {
        stream: Stream::Main,
        seq: head.heads[0].next(),
        id,
        key: id.0,
        fingerprint: None,
        branch: None,
        seen: None,
        causes: Vec::new(),
        header: header.into(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let commit = Commit {
        session,
        expected_rev: head.rev,
        expected_rights: head.rights_epoch,
        birth: None,
        events: vec![event],
        redactions: Vec::new(),
        attached: Vec::new(),
        directory: None,
        members: Vec::new(),
        wake_at,
        at,
        outbox: Vec::new(),
        documents: Vec::new(),
    };
    assert!(manager.store().append(commit).await.expect("appended").rev > Rev::ZERO);
}

#[tokio::test]
async fn a_room_that_panics_ends_alone() {
    let manager = manager();
    let (hurt, ana) = session(&manager).await;
    let (other, ben) = session(&manager).await;
    say(&manager, hurt, ana).await.expect("posted");
    say(&manager, other, ben).await.expect("posted");
    let outbox = Outbox::new(ConnectionId(clock::new_key()));
    let position = roundtable_protocol::frame::StreamPosition { stream: Stream::Main, epoch: None, after: None };
    let connection = Arc::clone(&outbox);
    let request = Subscription { connection, re: 1, session_id: hurt, streams: vec![position], present: true };
    manager.subscribe(ana, request).await.expect("subscribed");
    let asked: Result<(), Problem> = manager.ask(hurt, |_| panic!("planted")).await;
    assert!(asked.is_err());
    say(&manager, other, ben).await.expect("another session goes on");
    say(&manager, hurt, ana).await.expect("the hurt one is loaded anew");
    let told = manager.events(hurt, ana, Stream::Main, Seq::ZERO, 100).await.expect("read").events;
    let errors = told.iter().filter(|event| String::from_utf8_lossy(event).contains("\"kind\":\"error\"")).count();
    assert_eq!(errors, 1, "and says in its log that it was interrupted");
    assert_eq!(manager.stats().panics, 1);
    let mut frames = Vec::new();
    while !frames.iter().any(|f: &Frame| f.kind() == "lagging") {
        assert!(outbox.take(&mut frames).await, "its readers are told to subscribe again");
    }
}

#[tokio::test]
async fn a_room_that_panics_three_times_fails_its_session_with_the_cause_and_can_be_resumed() {
    let manager = manager();
    let (hurt, ana) = session(&manager).await;
    for _ in 0..3 {
        let asked: Result<(), Problem> = manager.ask(hurt, |_| panic!("planted")).await;
        assert!(asked.is_err());
        while manager.stats().rooms > 0 {
            tokio::task::yield_now().await;
        }
    }
    let refused = say(&manager, hurt, ana).await.expect_err("refused");
    assert_eq!(refused.code, Code::SessionNotActive);
    let cause = manager.events(hurt, ana, Stream::Main, Seq::ZERO, 100).await.expect("read").events;
    let last = String::from_utf8_lossy(cause.last().expect("an event")).into_owned();
    assert!(last.contains("room_panicked") && last.contains("\"detail\""), "{last}");
    manager.resume(hurt, ana).await.expect("resumed");
    say(&manager, hurt, ana).await.expect("posted");
}

/// Returns the median time of a message in a session of its own. Unit: microseconds.
async fn median_of_a_message(manager: &SessionManager, n: usize) -> u128 {
    let (session, ana) = session(manager).await;
    let mut took = Vec::with_capacity(n);
    for _ in 0..n {
        let began = std::time::Instant::now();
        say(manager, session, ana).await.expect("posted");
        took.push(began.elapsed().as_micros());
    }
    took.sort_unstable();
    took[n / 2]
}

/// The measure at full size is the phase `isolation` of `cargo xtask load`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_session_and_one_that_panics_leave_the_others_alone() {
    let manager = manager();
    let quiet = median_of_a_message(&manager, 400).await;
    let (busy, ana) = session(&manager).await;
    let (hurt, _) = session(&manager).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let flood = tokio::spawn({
        let (manager, stop) = (manager.clone(), stop.clone());
        async move {
            let mut written = 0;
            while !stop.is_cancelled() {
                let some = (0..50).map(|_| say(&manager, busy, ana));
                written += futures_util::future::join_all(some).await.iter().filter(|r| r.is_ok()).count();
                // 5,000 a second.
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            written
        }
    });
    let panics = tokio::spawn({
        let (manager, stop) = (manager.clone(), stop.clone());
        async move {
            while !stop.is_cancelled() {
                let _: Result<(), Problem> = manager.ask(hurt, |_| panic!("planted")).await;
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    });
    let beside = median_of_a_message(&manager, 400).await;
    stop.cancel();
    panics.await.expect("ended");
    assert!(flood.await.expect("ended") > 0 && manager.stats().panics > 0);
    // On a busy machine of two cores the scheduler's own grain is a few milliseconds.
    assert!(beside <= quiet * 5 + 5_000, "{quiet} us alone, {beside} us beside a busy session");
}

#[tokio::test]
async fn a_session_that_holds_too_much_takes_no_more_messages_and_can_still_be_ended() {
    let config = HubConfig { max_events: 5, ..HubConfig::default() };
    let manager = SessionManager::new(Arc::new(MemoryStore::default()), config).0;
    let (full, ana) = session(&manager).await;
    while say(&manager, full, ana).await.is_ok() {}
    let refused = say(&manager, full, ana).await.expect_err("refused");
    assert_eq!((refused.code, refused.retryable), (Code::SessionStorageFull, false));
    let (other, ben) = session(&manager).await;
    say(&manager, other, ben).await.expect("another session has room");
    manager.end(full, ana, None).await.expect("ended");
}

#[tokio::test]
async fn a_history_that_cannot_be_folded_is_read_only_and_hurts_nobody_else() {
    for (kind, body, code) in
        [("moon.landed", "{}", Code::UpgradeInProgress), ("message.posted", r#"{"text":7}"#, Code::HistoryBroken)]
    {
        let manager = manager();
        let (broken, ana) = session(&manager).await;
        let (other, ben) = session(&manager).await;
        plant(&manager, broken, kind, body).await;
        assert_eq!(say(&manager, broken, ana).await.map_err(|p| p.code), Err(code), "{kind}");
        let read = manager.events(broken, ana, Stream::Main, Seq::ZERO, 10).await.expect("reading works");
        assert!(!read.events.is_empty());
        say(&manager, other, ben).await.expect("another session goes on");
    }
}

#[tokio::test]
async fn a_second_create_with_the_same_key_is_the_first_once_more_or_refused() {
    let manager = manager();
    let (key, id, owner) = (clock::new_key(), SessionId(clock::new_key()), UserId(clock::new_key()));
    let first = manager.create(key, founding(id, owner)).await.expect("created");
    assert!(!first.duplicate);
    let renamed = Founding { owner_name: "Anna".to_owned(), ..founding(id, owner) };
    let again = manager.create(key, renamed).await.expect("answered");
    assert!(again.duplicate && again.info.title == "A test");
    let others = [
        (key, Founding { title: "Another".to_owned(), ..founding(id, owner) }),
        (key, Founding { start: false, ..founding(id, owner) }),
        (key, founding(id, UserId(clock::new_key()))),
        (clock::new_key(), founding(id, owner)),
    ];
    for (key, other) in others {
        let refused = manager.create(key, other).await.map(|_| ()).map_err(|p| p.code);
        assert_eq!(refused, Err(Code::KeyReused));
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_that_stay_due_do_not_hide_the_others() {
    let (began, at) = (tokio::time::Instant::now(), clock::now());
    let now = Arc::new(move || at.saturating_add(began.elapsed()).expect("a time"));
    let (manager, _work) =
        SessionManager::new(Arc::new(MemoryStore::default()), HubConfig { now, ..HubConfig::default() });
    for _ in 0..250 {
        let (broken, _) = session(&manager).await;
        plant_due(&manager, broken, "moon.landed", "{}", Some(Timestamp::UNIX_EPOCH)).await;
    }
    let (expires, owner) = (SessionId(clock::new_key()), UserId(clock::new_key()));
    let expires_at = Some(at.saturating_add(std::time::Duration::from_secs(5)).expect("a time"));
    manager.create(clock::new_key(), Founding { expires_at, ..founding(expires, owner) }).await.expect("created");
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let entry = manager.store().session(expires).await.expect("answered").expect("there");
    assert_eq!(entry.info.state, SessionState::Completed);
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_names_leaves_nothing_behind() {
    let manager = manager();
    let (user, outbox) = (UserId(clock::new_key()), Outbox::new(ConnectionId(clock::new_key())));
    let command = Command::MessagePost(MessagePost { text: "hello".to_owned(), ..MessagePost::default() });
    for round in 0..100 {
        let mut answers = Vec::new();
        for re in 0..100 {
            let session_id = SessionId(clock::new_key());
            let envelope = Envelope {
                key: clock::new_key(),
                stream: Stream::Main,
                seen: None,
                retry: false,
                command: command.clone(),
            };
            let frame = CommandFrame {
                id: re,
                key: envelope.key,
                session_id,
                stream: None,
                seen: None,
                name: command.name().to_owned(),
                data: serde_json::Value::Null,
                retry: false,
            };
            manager.submit(user, &outbox, &frame, envelope);
        }
        while answers.len() < 100 {
            assert!(outbox.take(&mut answers).await, "round {round}");
        }
        assert!(answers.iter().all(|f| f.kind() == "error"));
    }
    assert_eq!(outbox.sessions(), []);
}
