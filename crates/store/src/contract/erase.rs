//! Redaction and deletion.

use bytes::Bytes;
use roundtable_protocol::event::redacted_body;
use roundtable_protocol::{Rev, Role, Seq, Stream, StreamSet, UserId};

use super::{Log, assert_verifies, at, body, id, texts};
use crate::Store;
use crate::types::{AppendError, Deletion, StateSnapshot, ViewKey, ViewSnapshot};

const MAIN: Stream = Stream::Main;
const HEAD: ViewKey = ViewKey::Head(StreamSet::EMPTY.with(MAIN));

/// The text is gone from every reading, the rest of the body and the chain stay; redacting again is no fault.
pub async fn a_redaction_takes_the_text_and_keeps_the_chain(store: &dyn Store) {
    let mut log = Log::born(store).await;
    // From too short for the mark that a redacted body bears to longer than a page.
    for text in ["", "x", "secret", "a secret of middling length, longer than the mark", &"long ".repeat(3000)] {
        let said = log.post(&[(MAIN, "before"), (MAIN, text), (MAIN, "after")]).await[1];
        let seq = Seq(log.heads[0].0 - 1);
        let mut commit = log.commit(&[(MAIN, "redacted")]);
        commit.redactions = vec![(MAIN, seq), (MAIN, seq)];
        log.append(commit).await.expect("written");
        let stub = Bytes::from(redacted_body(&body(text)));
        let found = store.find(log.session, said).await.expect("reads").expect("there");
        assert_eq!(found.event.body, stub);
        assert_eq!(log.stream(MAIN).await[usize::try_from(seq.0).expect("few") - 1].body, stub);
        let commits = store.read_commits(log.session, Rev(log.rev.0 - 2), 2).await.expect("reads");
        assert_eq!(commits[1].body, stub);
        assert_eq!(texts(&commits), ["before", "", "after"]);
    }
    assert_eq!(assert_verifies(store, &log).await, 5);
    log.redact(MAIN, Seq(3)).await;
    log.post(&[(MAIN, "goes on")]).await;
    assert_eq!(assert_verifies(store, &log).await, 5);
}

/// A message that is posted and redacted in one commit is never readable.
pub async fn a_redaction_may_name_an_event_of_its_own_commit(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let mut commit = log.commit(&[(MAIN, "secret"), (MAIN, "open")]);
    commit.redactions = vec![(MAIN, Seq(2)), (MAIN, Seq(1))];
    log.append(commit).await.expect("written");
    assert_eq!(texts(&log.stream(MAIN).await), ["", "", "open"]);
    assert_eq!(assert_verifies(store, &log).await, 2);
}

/// View snapshots may hold the text: those of before are gone, and one that comes late is not kept.
pub async fn a_redaction_drops_views_of_before(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let other = Log::born(store).await;
    let view = |rev: u64| ViewSnapshot { rev: Rev(rev), bytes: Bytes::from("hello") };
    let page = ViewKey::Page(MAIN, 0);
    for key in [HEAD, page] {
        store.put_view(log.session, key, view(1)).await.expect("kept");
        store.put_view(other.session, key, view(1)).await.expect("kept");
    }
    log.redact(MAIN, Seq(1)).await;
    for key in [HEAD, page] {
        assert_eq!(store.view(log.session, key).await, Ok(None));
        store.put_view(log.session, key, view(1)).await.expect("no error, but not kept");
        assert_eq!(store.view(log.session, key).await, Ok(None));
        assert_eq!(store.view(other.session, key).await, Ok(Some(view(1))));
    }
    store.put_view(log.session, HEAD, view(2)).await.expect("kept");
    assert_eq!(store.view(log.session, HEAD).await, Ok(Some(view(2))));
}

/// Only events can be redacted.
pub async fn append_refuses_to_redact_what_is_not_there(store: &dyn Store) {
    let log = Log::born(store).await;
    for place in [(MAIN, Seq(0)), (MAIN, Seq(3)), (Stream::Side, Seq(1))] {
        let mut commit = log.commit(&[(MAIN, "second")]);
        commit.redactions = vec![place];
        assert_eq!(store.append(commit).await, Err(AppendError::Conflict { actual: Rev(1) }));
    }
    assert_eq!(log.stream(MAIN).await.len(), 1);
}

/// Everything of the session goes, nothing of another one; its id may be used again.
pub async fn a_deleted_session_is_gone_and_others_are_not(store: &dyn Store) {
    let owner = UserId(id());
    let mut gone = Log::born(store).await;
    let mut other = Log::born(store).await;
    let document = id();
    let mut links = Vec::new();
    for log in [&mut gone, &mut other] {
        let mut commit = log.commit(&[(MAIN, "more"), (Stream::Side, "side")]);
        commit.directory = Some(log.info("title"));
        commit.members = vec![(owner, Some(Role::Owner))];
        commit.outbox = vec![super::rows::mail(at(0))];
        commit.documents = vec![super::rows::update(document, 1)];
        commit.wake_at = Some(at(0));
        log.append(commit).await.expect("written");
        let view = ViewSnapshot { rev: log.rev, bytes: Bytes::from("v") };
        store.put_view(log.session, HEAD, view).await.expect("kept");
        let state = StateSnapshot { session: log.session, format: 1, rev: log.rev, bytes: Bytes::from("s") };
        store.put_state(state).await.expect("kept");
        store.put_read_mark(log.session, super::rows::somebody(), MAIN, Seq(1)).await.expect("kept");
        let link = super::rights::link(log.session);
        assert_eq!(store.put_link(link.clone()).await, Ok(true));
        links.push(link);
    }
    assert_eq!(store.delete_session(gone.session).await, Ok(Deletion::Owes));
    assert_eq!(gone.stream(MAIN).await.len(), 2, "nothing is gone while something is owed");
    let owed = store.outbox_due(at(0), 10).await.expect("reads");
    let owed = owed.iter().find(|row| row.session == gone.session).expect("it waits");
    assert_eq!(store.outbox_done(owed.id).await, Ok(true));
    assert_eq!(store.delete_session(gone.session).await, Ok(Deletion::Done));
    assert_eq!(store.delete_session(gone.session).await, Ok(Deletion::NoSuch));
    assert_eq!(store.head(gone.session).await, Ok(None));
    assert_eq!(gone.stream(MAIN).await, []);
    assert_eq!(store.session(gone.session).await, Ok(None));
    assert_eq!(store.view(gone.session, HEAD).await, Ok(None));
    assert_eq!(store.state(gone.session).await, Ok(None));
    assert_eq!(store.link(links[0].token_hash).await, Ok(None));
    assert_eq!(store.read_marks(gone.session).await, Ok(vec![]));
    assert_eq!(store.document_updates(gone.session, document, 0).await, Ok(vec![]));
    let late = ViewSnapshot { rev: Rev(9), bytes: Bytes::from("late") };
    store.put_view(gone.session, HEAD, late).await.expect("no error, but not kept");
    assert_eq!(store.view(gone.session, HEAD).await, Ok(None));

    assert_eq!(store.due(at(0), 10).await, Ok(vec![other.session]));
    assert_eq!(store.outbox_due(at(0), 10).await.expect("reads").len(), 1);
    assert_eq!(store.sessions_of(owner, None, None, 10).await.expect("reads").len(), 1);
    assert_eq!(store.link(links[1].token_hash).await, Ok(Some(links[1].clone())));
    assert_eq!(store.document_updates(other.session, document, 0).await.expect("reads").len(), 1);
    assert_eq!(assert_verifies(store, &other).await, 0);
    let stale = AppendError::Conflict { actual: Rev::ZERO };
    assert_eq!(store.append(gone.commit(&[(MAIN, "into the void")])).await, Err(stale));

    let mut again = Log::unborn(store);
    again.session = gone.session;
    again.post(&[(MAIN, "anew")]).await;
    assert_eq!(texts(&again.stream(MAIN).await), ["anew"]);
    assert_eq!(assert_verifies(store, &again).await, 0);
}

/// A title that was made from the erased text may be in it.
pub async fn a_redaction_drops_states_of_before(store: &dyn Store) {
    let mut log = Log::born(store).await;
    let state = |rev| StateSnapshot { session: log.session, format: 1, rev, bytes: Bytes::from("s") };
    let old = state(log.rev);
    store.put_state(old.clone()).await.expect("kept");
    let mut commit = log.commit(&[]);
    commit.redactions = vec![(MAIN, Seq(1))];
    log.append(commit).await.expect("written");
    assert_eq!(store.state(log.session).await, Ok(None));
    store.put_state(old).await.expect("no error, but not kept");
    assert_eq!(store.state(log.session).await, Ok(None));
    let new = StateSnapshot { session: log.session, format: 1, rev: log.rev, bytes: Bytes::from("s") };
    store.put_state(new.clone()).await.expect("kept");
    assert_eq!(store.state(log.session).await, Ok(Some(new)));
}
