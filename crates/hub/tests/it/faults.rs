//! A store that says no, loses its answer, or is written to by somebody else; and a room that panics.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use roundtable_hub::Subscription;
use roundtable_protocol::{
    Code, EventId, LinkId, ParticipantId, ProjectId, Rev, Seq, ServerFrame, SessionId, Stream, Timestamp, UserId,
};
use roundtable_store::{
    Answer, AppendError, Appended, Commit, DirectoryEntry, DocumentUpdate, Found, Link, Login, MemoryStore, OutboxRow,
    PageToken, SessionHead, ShareCode, StateSnapshot, Store, StoredEvent, TokenHash, Totals, User, UserPatch,
    Verification, ViewKey, ViewSnapshot,
};

use crate::support::{House, assert_consecutive};

const MAIN: Stream = Stream::Main;

/// What happens to an append.
#[derive(Clone, Copy)]
enum Fate {
    /// Not written, and said so.
    Refused(Refusal),
    /// Written, but the answer is lost.
    WrittenUnknown,
    /// Not written, and nobody knows.
    LostUnknown,
}

#[derive(Clone, Copy)]
enum Refusal {
    Full,
    Unavailable,
}

/// The memory store with a fate for the next appends.
#[derive(Default)]
struct Faulty {
    inner: MemoryStore,
    fates: Mutex<VecDeque<Fate>>,
}

impl Faulty {
    fn next(&self, fates: &[Fate]) {
        self.fates.lock().expect("one thread").extend(fates);
    }
}

macro_rules! delegate {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> Answer<'_, $out> { self.inner.$name($($arg),*) })*
    };
}

impl Store for Faulty {
    fn append(&self, commit: Commit) -> Answer<'_, Appended, AppendError> {
        let fate = self.fates.lock().expect("one thread").pop_front();
        Box::pin(async move {
            match fate {
                None => self.inner.append(commit).await,
                Some(Fate::Refused(Refusal::Full)) => Err(AppendError::Full),
                Some(Fate::Refused(Refusal::Unavailable)) => Err(AppendError::Unavailable("planted".into())),
                Some(Fate::LostUnknown) => Err(AppendError::Unknown("planted".into())),
                Some(Fate::WrittenUnknown) => {
                    self.inner.append(commit).await?;
                    Err(AppendError::Unknown("planted".into()))
                }
            }
        })
    }

    delegate! {
        head(session: SessionId) -> Option<SessionHead>;
        read(session: SessionId, stream: Stream, after: Seq, limit: usize, max_bytes: usize) -> Vec<StoredEvent>;
        read_commits(session: SessionId, after: Rev, limit: usize) -> Vec<StoredEvent>;
        find(session: SessionId, id: EventId) -> Option<Found>;
        verify(session: SessionId) -> Verification;
        due(now: Timestamp, limit: usize) -> Vec<SessionId>;
        put_state(snapshot: StateSnapshot) -> ();
        state(session: SessionId) -> Option<StateSnapshot>;
        put_view(session: SessionId, key: ViewKey, snapshot: ViewSnapshot) -> ();
        view(session: SessionId, key: ViewKey) -> Option<ViewSnapshot>;
        session(session: SessionId) -> Option<DirectoryEntry>;
        sessions_of(user: UserId, search: Option<String>, page: Option<PageToken>, limit: usize) -> Vec<DirectoryEntry>;
        delete_session(session: SessionId) -> bool;
        totals() -> Totals;
        put_user(user: User) -> bool;
        user(user: UserId) -> Option<User>;
        change_user(user: UserId, patch: UserPatch) -> Option<User>;
        put_login(login: Login) -> ();
        login(token_hash: TokenHash) -> Option<Login>;
        end_login(token_hash: TokenHash) -> bool;
        put_link(link: Link) -> bool;
        link(token_hash: TokenHash) -> Option<Link>;
        links(session: SessionId) -> Vec<Link>;
        revoke_link(session: SessionId, link: LinkId, at: Timestamp) -> Option<Link>;
        use_link(link: LinkId, at: Timestamp) -> bool;
        share_code(session: SessionId) -> ShareCode;
        put_share_code(session: SessionId, code: String, replace: bool) -> bool;
        end_share_code(session: SessionId) -> bool;
        session_by_code(code: String) -> Option<SessionId>;
        rights_epoch(project: ProjectId) -> u64;
        raise_rights_epoch(project: ProjectId) -> u64;
        put_read_mark(session: SessionId, participant: ParticipantId, stream: Stream, seq: Seq) -> ();
        read_marks(session: SessionId) -> Vec<(ParticipantId, Stream, Seq)>;
        outbox_due(now: Timestamp, limit: usize) -> Vec<OutboxRow>;
        outbox_done(id: u64) -> bool;
        document_updates(session: SessionId, document: uuid::Uuid, after: u64) -> Vec<DocumentUpdate>;
        close() -> ();
    }

    fn exclusive(&self) -> bool {
        self.inner.exclusive()
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_is_answered_with_its_code_and_nothing_is_shown() {
    let store = Arc::new(Faulty::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    for (refusal, code) in [(Refusal::Full, Code::StorageFull), (Refusal::Unavailable, Code::Unavailable)] {
        store.next(&[Fate::Refused(refusal)]);
        let refused = house.post(session, ana, MAIN, "lost").await.expect_err("refused");
        assert!(refused.code == code && refused.retryable);
    }
    house.post(session, ana, MAIN, "kept").await.expect("the store is back");
    reader.until_text("kept").await;
    assert_consecutive(&reader.seqs(MAIN), Seq::ZERO);
    assert!(!format!("{:?}", reader.frames).contains("lost"));
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_was_lost_is_read_back_before_anybody_is_answered() {
    let store = Arc::new(Faulty::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    store.next(&[Fate::WrittenUnknown]);
    let written = house.post(session, ana, MAIN, "written").await.expect("it is in the log");
    store.next(&[Fate::LostUnknown]);
    let again = house.post(session, ana, MAIN, "again").await.expect("decided again");
    assert_eq!(again.seq.0, written.seq.0 + 1);
    reader.until_text("again").await;
    assert_consecutive(&reader.seqs(MAIN), Seq::ZERO);
    assert_eq!(reader.events(MAIN).iter().filter(|e| crate::support::says(e, "written")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_managers_over_one_store_agree_on_one_order() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (one, two) = (House::over(store.clone()), House::over(store));
    let (session, ana) = one.session().await;
    let mut reader = one.reader(session, ana, &[MAIN]).await;
    for i in 0..20 {
        one.post(session, ana, MAIN, &format!("one {i}")).await.expect("posted");
        two.post(session, ana, MAIN, &format!("two {i}")).await.expect("posted after a conflict");
    }
    one.post(session, ana, MAIN, "last").await.expect("posted");
    reader.until_text("last").await;
    assert_consecutive(&reader.seqs(MAIN), Seq::ZERO);
    assert_eq!(reader.events(MAIN).iter().filter(|e| e.body.kind() == "message.posted").count(), 41);
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_window_is_sent_again_in_order_after_a_refusal() {
    let store = Arc::new(Faulty::default());
    let house = House::over(store.clone());
    let (session, ana) = house.session().await;
    let mut reader = house.reader(session, ana, &[MAIN]).await;
    reader.until(|f| matches!(f, ServerFrame::Events(_))).await;
    store.next(&[Fate::Refused(Refusal::Unavailable)]);
    let mut window: Vec<_> =
        (0..3).map(|i| crate::support::envelope(MAIN, crate::support::post(&format!("n {i}"), false))).collect();
    house.submit(&reader, session, ana, 0, window[0].clone());
    reader.until(|f| matches!(f, ServerFrame::Error(e) if e.problem.code == Code::Unavailable)).await;
    house.submit(&reader, session, ana, 1, window[1].clone());
    reader
        .until(|f| matches!(f, ServerFrame::Error(e) if e.re == Some(1) && e.problem.code == Code::RetryInOrder))
        .await;
    window.iter_mut().for_each(|e| e.retry = true);
    for (re, envelope) in (10..).zip(window) {
        house.submit(&reader, session, ana, re, envelope);
    }
    reader.until_text("n 2").await;
    let texts: Vec<String> = reader
        .events(MAIN)
        .into_iter()
        .filter_map(|e| if let roundtable_protocol::EventBody::MessagePosted(m) = e.body { Some(m.text) } else { None })
        .collect();
    assert_eq!(texts, ["n 0", "n 1", "n 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_of_a_missing_session_is_not_found() {
    let house = House::new();
    let (_, ana) = house.session().await;
    let outbox = roundtable_hub::Outbox::new(roundtable_protocol::ConnectionId(roundtable_hub::clock::new_key()));
    let session_id = SessionId(roundtable_hub::clock::new_key());
    let request = Subscription { connection: outbox, re: 1, session_id, streams: vec![], present: true };
    assert_eq!(house.manager.subscribe(ana, request).await.map_err(|p| p.code), Err(Code::NotFound));
}
