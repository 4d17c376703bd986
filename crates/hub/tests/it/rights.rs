//! A lost right is gone from everything at once.

use std::sync::Arc;

use roundtable_protocol::model::SettingsPatch;
use roundtable_protocol::{Code, Command, Role, ServerFrame, Stream};
use roundtable_store::Store;

use crate::faulty::Faulty;
use crate::support::{House, change_role, envelope, post, remove};

const BOTH: [Stream; 2] = [Stream::Main, Stream::Side];

#[tokio::test(start_paused = true)]
async fn a_message_right_behind_the_demotion_is_refused() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, participant) = house.person(session, "Ben", Role::Collaborator).await;
    house.post(session, ben, Stream::Main, "still may").await.expect("posted");
    let demote = house.give(session, ana, change_role(&participant, Role::Viewer));
    let say = house.post(session, ben, Stream::Main, "may not");
    let (demoted, said) = tokio::join!(demote, say);
    demoted.expect("demoted");
    assert_eq!(said.map_err(|p| p.code), Err(Code::Forbidden));
}

#[tokio::test(start_paused = true)]
async fn who_is_removed_learns_it_and_gets_nothing_more() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (ben, participant) = house.person(session, "Ben", Role::Collaborator).await;
    let mut reader = house.reader(session, ben, &BOTH).await;
    reader.until(|f| matches!(f, ServerFrame::Subscribed(_))).await;
    reader.settle().await;
    house.give(session, ana, remove(&participant)).await.expect("removed");
    house.post(session, ana, Stream::Main, "secret").await.expect("posted");
    let access = reader.until(|f| matches!(f, ServerFrame::Access(_))).await;
    assert!(matches!(&access, ServerFrame::Access(a) if a.streams.is_empty() && a.reason == "removed"), "{access:?}");
    reader.settle().await;
    let told = reader.frames.iter().position(|f| matches!(f, ServerFrame::Access(_))).expect("told");
    assert_eq!(reader.frames.len(), told + 1, "nothing after it: {:?}", &reader.frames[told..]);
    assert!(!format!("{:?}", reader.frames).contains("secret"));
    assert_eq!(house.manager.standing(session, ben).await.map(|_| ()).map_err(|p| p.code), Err(Code::NotFound));
}

#[tokio::test(start_paused = true)]
async fn queued_frames_of_a_lost_stream_are_dropped() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (eve, _) = house.person(session, "Eve", Role::Viewer).await;
    let mut reader = house.reader(session, eve, &BOTH).await;
    reader.until(|f| matches!(f, ServerFrame::Subscribed(_))).await;
    reader.settle().await;
    let mut witness = house.reader(session, ana, &BOTH).await;
    house.post(session, ana, Stream::Side, "aside").await.expect("posted");
    witness.until_text("aside").await;
    let patch = SettingsPatch { side_for_viewers: Some(false), ..SettingsPatch::default() };
    house.give(session, ana, Command::SessionChangeSettings(patch)).await.expect("changed");
    house.post(session, ana, Stream::Side, "secret").await.expect("posted");
    house.post(session, ana, Stream::Main, "for all").await.expect("posted");
    reader.until_text("for all").await;
    assert!(!format!("{:?}", reader.frames).contains("secret"));
    let access = reader.until(|f| matches!(f, ServerFrame::Access(_))).await;
    assert!(matches!(access, ServerFrame::Access(a) if a.streams == [Stream::Main]));
}

#[tokio::test(start_paused = true)]
async fn a_promoted_reader_may_write_on_the_same_connection() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (eve, participant) = house.person(session, "Eve", Role::Viewer).await;
    let mut reader = house.reader(session, eve, &BOTH).await;
    house.submit(&reader, session, eve, 1, envelope(Stream::Main, post("no", false)));
    reader.until(|f| matches!(f, ServerFrame::Error(e) if e.problem.code == Code::Forbidden)).await;
    house.give(session, ana, change_role(&participant, Role::Collaborator)).await.expect("promoted");
    reader.until(|f| matches!(f, ServerFrame::Access(a) if a.you.role == Some(Role::Collaborator))).await;
    house.submit(&reader, session, eve, 2, envelope(Stream::Main, post("yes", false)));
    reader.until_text("yes").await;
}

#[tokio::test(start_paused = true)]
async fn a_rights_epoch_that_moves_in_flight_is_caught_and_the_command_decided_again() {
    let house = House::new();
    let (session, ana) = house.session().await;
    house.post(session, ana, Stream::Main, "before").await.expect("posted");
    let project = roundtable_protocol::DEFAULT_PROJECT;
    house.manager.store().raise_rights_epoch(project).await.expect("raised");
    house.post(session, ana, Stream::Main, "after").await.expect("posted with a grant of the new epoch");
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_lost_elsewhere_while_a_commit_is_in_flight_writes_nothing() {
    let store = Arc::new(Faulty::default());
    let (here, elsewhere) = (Arc::new(House::over(store.clone())), House::over(store.inner.clone()));
    let (session, ana) = here.session().await;
    let (ben, participant) = here.person(session, "Ben", Role::Collaborator).await;
    here.post(session, ben, Stream::Main, "still may").await.expect("posted");
    let mut reader = here.reader(session, ana, &BOTH).await;
    store.appends.shut();
    let said = tokio::spawn({
        let here = here.clone();
        async move { here.post(session, ben, Stream::Main, "may not").await.map(drop) }
    });
    store.appends.holds().await;
    elsewhere.give(session, ana, change_role(&participant, Role::Viewer)).await.expect("demoted");
    store.raise_rights_epoch(roundtable_protocol::DEFAULT_PROJECT).await.expect("raised");
    let before = store.head(session).await.expect("answered").expect("there").heads;
    store.appends.open();
    assert_eq!(said.await.expect("no panic").map_err(|p| p.code), Err(Code::Forbidden));
    assert_eq!(store.head(session).await.expect("answered").expect("there").heads, before, "nothing was written");
    here.post(session, ana, Stream::Main, "last").await.expect("posted");
    reader.until_text("last").await;
    assert!(!format!("{:?}", reader.frames).contains("may not"));
}

/// The rule "the assistant answers always while one person who may prompt is online" counts by role in `core`; who may
/// prompt stands in the role table of `access`. Both must agree.
#[tokio::test(start_paused = true)]
async fn who_counts_as_a_prompter_is_who_may_prompt() {
    for role in [Role::Viewer, Role::Collaborator, Role::Moderator] {
        let mut house = House::new();
        let (session, ana) = house.session().await;
        let (other, _) = house.person(session, "Other", role).await;
        let _ana = house.reader(session, ana, &BOTH).await;
        let _other = house.reader(session, other, &BOTH).await;
        let unaddressed = roundtable_protocol::command::MessagePost { text: "hm".to_owned(), ..Default::default() };
        let receipt = house.give(session, ana, Command::MessagePost(unaddressed)).await.expect("posted");
        house.post(session, ana, Stream::Main, "later").await.expect("posted");
        let asked = house.work.try_recv().is_ok();
        let may = roundtable_access::roles::permissions(role).allows(roundtable_protocol::Permission::TurnPrompt);
        assert_eq!(asked, !may, "{role}: {receipt:?}");
    }
}
