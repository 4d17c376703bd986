//! What every store must do, run against each of them.
//!
//! A store's tests call [`contract_tests!`](crate::contract_tests) with an async function that makes a fresh, empty
//! store and whatever must live as long as it does. Each case is a test of its own and states one rule in its name.

pub mod append;
pub mod erase;
pub mod files;
pub mod law;
pub mod read;
pub mod rights;
pub mod rows;

use bytes::Bytes;
use roundtable_protocol::ids::uuid_v7;
use roundtable_protocol::model::{SessionInfo, SessionState};
use roundtable_protocol::{
    BranchId, DEFAULT_PROJECT, Epoch, EventId, ProjectId, Rev, Seq, SessionId, Stream, Timestamp, UserId,
};
use uuid::Uuid;

use crate::Store;
use crate::types::{AppendError, Appended, Birth, Commit, NewEvent, StoredEvent};

/// Makes a `#[tokio::test]` of every case of the contract.
///
/// `$make` is an async function without arguments that answers `(store, guard)`.
#[macro_export]
macro_rules! contract_tests {
    ($make:ident) => {
        $crate::contract_tests! { $make,
            append: a_commit_is_there_after_its_answer, append_refuses_a_stale_rev, append_refuses_a_gap,
                append_refuses_a_birth_twice_and_a_session_without_one, a_duplicate_is_answered_with_its_position,
                a_duplicate_within_a_commit_is_found, a_commit_happens_whole_or_not_at_all,
                append_refuses_when_rights_have_moved, each_commit_of_a_group_is_answered_for_itself,
                one_of_many_that_decided_on_the_same_rev_wins, an_empty_commit_counts, epochs_are_kept;
            read: a_stream_is_read_in_order_within_limits, commits_are_read_whole_and_in_order, commits_are_read_up_to_so_many_bytes,
                an_event_is_found_by_its_id, what_is_not_there_is_not_found;
            erase: a_redaction_takes_the_text_and_keeps_the_chain, a_redaction_may_name_an_event_of_its_own_commit,
                a_redaction_drops_views_of_before, append_refuses_to_redact_what_is_not_there,
                a_deleted_session_is_gone_and_others_are_not, a_redaction_drops_states_of_before;
            files: content_is_kept_once_and_read_back, a_file_is_found_in_its_session_alone, an_aborted_upload_leaves_nothing,
                the_files_of_an_erased_message_go, content_stays_while_another_file_has_it, what_was_never_posted_goes_by_time,
                a_commit_may_post_and_erase, a_deleted_session_takes_its_files;
            rights: links_are_kept_and_listed, a_link_is_used_at_most_as_often_as_it_says, an_ended_link_is_not_used,
                revoking_a_link_raises_the_rights_epoch_once, ending_a_login_raises_every_rights_epoch,
                users_and_logins_are_kept, a_user_changes_name_and_colour,
                a_share_code_opens_its_session_while_it_is_open, a_share_code_is_of_one_session_and_can_be_switched_off;
            rows: what_is_due_wakes_earliest_first, the_directory_counts_by_itself, a_user_pages_through_sessions, sessions_are_found_by_their_title,
                members_come_and_go, totals_count, snapshots_replace_each_other,
                an_older_snapshot_replaces_no_newer_one, outbox_rows_wait_until_they_are_done,
                document_updates_are_dense, read_marks_never_go_back, a_closed_store_says_so;
            law: random_commits_agree_with_a_model;
        }
    };
    ($make:ident, $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $case() {
                let (store, _guard) = super::$make().await;
                $crate::contract::$module::$case(&store).await;
            })+
        })+
    };
}

/// A moment of the tests' own clock. Unit of `n`: seconds.
pub fn at(n: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + n).expect("within jiff's range")
}

/// Draws an id.
pub fn id() -> Uuid {
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("the system has randomness");
    uuid_v7(at(0), random)
}

/// A session in the making: what the caller of a store has to know of it.
pub struct Log<'a> {
    /// Where it is kept.
    pub store: &'a dyn Store,
    /// Which session.
    pub session: SessionId,
    /// Its project.
    pub project: ProjectId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its rev as far as known.
    pub rev: Rev,
    /// The rights epoch as far as known.
    pub rights: u64,
    /// Its heads as far as known.
    pub heads: [Seq; 4],
    /// Whether it has been born.
    pub is_born: bool,
}

impl<'a> Log<'a> {
    /// Thinks of a session that is not there yet.
    pub fn unborn(store: &'a dyn Store) -> Self {
        let mut random = [0; 8];
        getrandom::fill(&mut random).expect("the system has randomness");
        Self {
            store,
            session: SessionId(id()),
            project: DEFAULT_PROJECT,
            epoch: Epoch::from_random(random),
            rev: Rev::ZERO,
            rights: 0,
            heads: [Seq::ZERO; 4],
            is_born: false,
        }
    }

    /// Makes a session with one event in `main`.
    pub async fn born(store: &'a dyn Store) -> Self {
        let mut log = Self::unborn(store);
        log.post(&[(Stream::Main, "hello")]).await;
        log
    }

    /// Returns a commit of what was said, on what is known; it changes nothing.
    pub fn commit(&self, said: &[(Stream, &str)]) -> Commit {
        let mut heads = self.heads;
        let event = |&(stream, text): &(Stream, &str)| {
            let head = &mut heads[stream as usize];
            *head = head.next();
            said_event(stream, *head, text)
        };
        Commit {
            session: self.session,
            expected_rev: self.rev,
            expected_rights: self.rights,
            birth: (!self.is_born).then(|| Birth { epoch: self.epoch.clone(), project: self.project }),
            events: said.iter().map(event).collect(),
            redactions: Vec::new(),
            attached: Vec::new(),
            directory: None,
            members: Vec::new(),
            wake_at: None,
            at: at(i64::try_from(self.rev.0).expect("few revs")),
            outbox: Vec::new(),
            documents: Vec::new(),
        }
    }

    /// Appends a commit and moves on when it was written.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub async fn append(&mut self, commit: Commit) -> Result<Appended, AppendError> {
        let heads: Vec<_> = commit.events.iter().map(|event| (event.stream, event.seq)).collect();
        let appended = self.store.append(commit).await?;
        assert_eq!(appended.rev, self.rev.next(), "each commit counts one");
        self.rev = appended.rev;
        self.is_born = true;
        for (stream, seq) in heads {
            self.heads[stream as usize] = seq;
        }
        Ok(appended)
    }

    /// Appends one commit of what was said and answers the ids.
    pub async fn post(&mut self, said: &[(Stream, &str)]) -> Vec<EventId> {
        let commit = self.commit(said);
        let ids = commit.events.iter().map(|event| event.id).collect();
        self.append(commit).await.expect("a commit on the known rev is written");
        ids
    }

    /// Redacts one event.
    pub async fn redact(&mut self, stream: Stream, seq: Seq) {
        let mut commit = self.commit(&[]);
        commit.redactions = vec![(stream, seq)];
        self.append(commit).await.expect("a redaction on the known rev is written");
    }

    /// Reads a stream whole.
    pub async fn stream(&self, stream: Stream) -> Vec<StoredEvent> {
        self.store.read(self.session, stream, Seq::ZERO, usize::MAX, usize::MAX).await.expect("reads")
    }

    /// Returns a directory entry for the session.
    pub fn info(&self, title: &str) -> Box<SessionInfo> {
        Box::new(SessionInfo {
            id: self.session,
            owner_id: UserId(id()),
            project_id: self.project,
            title: title.to_owned(),
            description: String::new(),
            tags: Vec::new(),
            category: None,
            visibility: roundtable_protocol::model::Visibility::Private,
            kind: roundtable_protocol::model::SessionKind::Collaborative,
            state: SessionState::Active,
            is_active: true,
            conversation_id: BranchId(id()),
            settings: roundtable_protocol::model::Settings::default(),
            expires_at: None,
            created_at: at(0),
            updated_at: at(0),
            started_at: None,
            ended_at: None,
            detached_at: None,
            work_done: false,
            forked_from: None,
            participant_count: 1,
            event_count: 0,
        })
    }
}

/// Returns an event whose body says `text`.
pub fn said_event(stream: Stream, seq: Seq, text: &str) -> NewEvent {
    let id = id();
    NewEvent {
        stream,
        seq,
        id: EventId(id),
        key: id,
        fingerprint: Some(id.as_u64_pair().1),
        branch: None,
        seen: Some(Seq(seq.0 - 1)),
        causes: vec![EventId(id), EventId(id)],
        header: Bytes::from(format!(r#"{{"id":"{id}","kind":"message.posted"}}"#)),
        body: body(text),
    }
}

/// Returns a body that says `text`.
pub fn body(text: &str) -> Bytes {
    Bytes::from(serde_json::json!({ "text": text }).to_string())
}

/// Returns what the bodies of `events` say.
pub fn texts(events: &[StoredEvent]) -> Vec<String> {
    let text = |event: &StoredEvent| {
        let body: serde_json::Value = serde_json::from_slice(&event.body).expect("a JSON body");
        body["text"].as_str().expect("a text").to_owned()
    };
    events.iter().map(text).collect()
}

/// Asserts that the session's chain holds and answers how many of its events are redacted.
pub async fn assert_verifies(store: &dyn Store, log: &Log<'_>) -> u64 {
    let found = store.verify(log.session).await.expect("verifies");
    assert_eq!(found.broken, [], "the chain holds");
    assert_eq!(found.events, log.heads.iter().map(|seq| seq.0).sum::<u64>());
    found.redacted
}
