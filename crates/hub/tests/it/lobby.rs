//! The lobby: who waits is told nothing, and admission admits.

use std::sync::Arc;
use std::time::Duration;

use roundtable_hub::library::{Somebody, Update};
use roundtable_hub::replay::Place;
use roundtable_hub::{Entry, clock};
use roundtable_protocol::command::ParticipantJoin;
use roundtable_protocol::frame::StartMode;
use roundtable_protocol::lobby::{JoinRequest, RequestStatus};
use roundtable_protocol::model::{ParticipantKind, SettingsPatch};
use roundtable_protocol::{
    Code, DEFAULT_PROJECT, LinkId, Problem, Role, ServerFrame, SessionId, Stream, StreamSet, UserId,
};
use roundtable_store::{Link, MemoryStore, Store};

use crate::support::{House, founding, nothing};

const ALL: [Stream; 3] = [Stream::Main, Stream::Side, Stream::Staff];

/// A session with a lobby, and its owner.
async fn with_lobby(house: &House) -> (SessionId, UserId) {
    let (session, ana) = house.session().await;
    let patch = SettingsPatch { require_approval: Some(true), ..SettingsPatch::default() };
    house.manager.change_settings(session, ana, patch).await.expect("changed");
    (session, ana)
}

async fn knocks(house: &House, session: SessionId, name: &str) -> Result<(UserId, JoinRequest), Problem> {
    let somebody = Somebody::person(name);
    match house.manager.knock(session, &somebody, Role::Collaborator).await? {
        Entry::Waiting(request) => Ok((somebody.user, request)),
        Entry::Joined(participant) => panic!("{participant:?} did not wait"),
    }
}

fn code<T>(answer: Result<T, Problem>) -> Option<Code> {
    answer.err().map(|problem| problem.code)
}

#[tokio::test(start_paused = true)]
async fn admission_admits_and_nothing_can_be_read_before() {
    let house = House::new();
    let (session, ana) = with_lobby(&house).await;
    house.post(session, ana, Stream::Main, "before").await.expect("posted");
    let (ben, request) = knocks(&house, session, "Ben").await.expect("waits");
    let mut reader = house.reader(session, ben, &ALL).await;
    let subscribed = reader.until(|f| matches!(f, ServerFrame::Subscribed(_))).await;
    let ServerFrame::Subscribed(subscribed) = subscribed else { unreachable!() };
    assert!(subscribed.streams.iter().all(|s| s.mode == StartMode::Waiting && s.head.0 == 0 && s.epoch.0.is_empty()));
    assert!(subscribed.people.is_empty() && subscribed.you.participant_id.is_none());
    house.post(session, ana, Stream::Main, "meanwhile").await.expect("posted");
    reader.settle().await;
    assert_eq!(reader.frames.len(), 1, "{:?}", reader.frames);
    let manager = &house.manager;
    assert_eq!(code(manager.standing(session, ben).await), Some(Code::NotFound));
    assert_eq!(code(manager.participants(session, ben).await), Some(Code::NotFound));
    assert_eq!(code(manager.history(session, ben, Stream::Main, Default::default(), 10).await), Some(Code::NotFound));
    assert_eq!(code(house.post(session, ben, Stream::Main, "hello").await), Some(Code::NotFound));
    assert_eq!(code(manager.approve(session, ben, request.id).await), Some(Code::NotFound));

    let admitted = manager.approve(session, ana, request.id).await.expect("admitted");
    assert_eq!((admitted.id, admitted.display_name.as_str()), (request.id, "Ben"));
    let access = reader.until(|f| matches!(f, ServerFrame::Access(_))).await;
    let ServerFrame::Access(access) = access else { unreachable!() };
    assert_eq!((access.reason.as_str(), access.streams), ("admitted", vec![Stream::Main, Stream::Side]));
    let wanted = ALL.iter().map(|s| nothing(*s)).collect();
    house.subscribe(&reader, session, ben, wanted).await.expect("subscribed");
    reader.until_text("before").await;
    reader.until_text("meanwhile").await;
    house.post(session, ben, Stream::Main, "hello").await.expect("posted");
    assert_eq!(manager.asked(session, ben).await.expect("in").status, RequestStatus::Joined);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_goes_on_by_itself_once_its_person_is_in() {
    let house = House::new();
    let (session, ana) = with_lobby(&house).await;
    house.post(session, ana, Stream::Main, "before").await.expect("posted");
    let (ben, request) = knocks(&house, session, "Ben").await.expect("waits");
    let mut watcher = house.manager.watch(session, ben, &ALL).await.expect("watches");
    assert_eq!(watcher.next().await, Some(Update::Waiting));
    house.manager.approve(session, ana, request.id).await.expect("admitted");
    assert!(matches!(watcher.next().await, Some(Update::Access { reason, .. }) if reason == "admitted"));
    let told = watcher.next().await;
    assert!(matches!(&told, Some(Update::Events(events)) if events.len() > 3), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn only_those_who_may_admit_see_who_waits() {
    let house = House::new();
    let (session, ana) = house.session().await;
    let (mo, _) = house.person(session, "Mo", Role::Moderator).await;
    let (cyd, _) = house.person(session, "Cyd", Role::Collaborator).await;
    let patch = SettingsPatch { require_approval: Some(true), ..SettingsPatch::default() };
    house.manager.change_settings(session, ana, patch).await.expect("changed");
    let (mut staff, mut others) = (house.reader(session, mo, &ALL).await, house.reader(session, cyd, &ALL).await);
    knocks(&house, session, "Zed").await.expect("waits");
    house.post(session, ana, Stream::Main, "after").await.expect("posted");
    staff.until_text("after").await;
    others.until_text("after").await;
    staff.settle().await;
    assert!(format!("{:?}", staff.frames).contains("Zed"));
    assert!(!format!("{:?}", others.frames).contains("Zed"));
    assert_eq!(house.manager.join_requests(session, mo).await.expect("seen").len(), 1);
    assert_eq!(code(house.manager.join_requests(session, cyd).await), Some(Code::Forbidden));
    let streams: StreamSet = ALL.into_iter().collect();
    let of =
        async |user| house.manager.state_at(session, user, streams, &Place::Now).await.expect("a state").view.requests;
    assert_eq!((of(mo).await.len(), of(cyd).await.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_let_in_learns_why_and_is_told_no_more() {
    let house = House::new();
    let (session, ana) = with_lobby(&house).await;
    let (eve, request) = knocks(&house, session, "Eve").await.expect("waits");
    let mut reader = house.reader(session, eve, &ALL).await;
    house.manager.deny(session, ana, request.id, Some("not today")).await.expect("denied");
    let access = reader.until(|f| matches!(f, ServerFrame::Access(_))).await;
    assert!(matches!(&access, ServerFrame::Access(a) if a.reason == "denied" && a.streams.is_empty()), "{access:?}");
    let asked = house.manager.asked(session, eve).await.expect("remembered");
    assert_eq!((asked.status, asked.reason.as_deref()), (RequestStatus::Denied, Some("not today")));
    house.post(session, ana, Stream::Main, "secret").await.expect("posted");
    reader.settle().await;
    assert!(!format!("{:?}", reader.frames).contains("secret"));
    assert_eq!(code(house.manager.watch(session, eve, &ALL).await.map(drop)), Some(Code::NotFound));
}

#[tokio::test(start_paused = true)]
async fn a_request_expires_by_itself_while_nobody_is_there() {
    let house = House::new();
    let (session, _) = with_lobby(&house).await;
    let (eve, request) = knocks(&house, session, "Eve").await.expect("waits");
    let mut reader = house.reader(session, eve, &ALL).await;
    let life = std::time::Duration::from_secs(601);
    tokio::time::sleep(life).await;
    let access = reader.next_access().await;
    assert_eq!(access.reason, "expired");
    assert!((house.now)() >= request.expires_at);
}

#[tokio::test(start_paused = true)]
async fn who_waits_still_waits_after_a_restart() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let first = House::over(Arc::clone(&store));
    let (session, ana) = with_lobby(&first).await;
    let (ben, request) = knocks(&first, session, "Ben").await.expect("waits");
    first.manager.shutdown().await;
    let second = House::over(store);
    assert_eq!(second.manager.asked(session, ben).await.expect("waits").status, RequestStatus::Waiting);
    let admitted = second.manager.approve(session, ana, request.id).await.expect("admitted");
    assert_eq!(admitted.id, request.id);
}

#[tokio::test(start_paused = true)]
async fn the_last_place_is_given_once() {
    let house = House::new();
    let (session, ana) = with_lobby(&house).await;
    let patch = SettingsPatch { max_participants: Some(Some(2)), ..SettingsPatch::default() };
    house.manager.change_settings(session, ana, patch).await.expect("changed");
    let (_, ben) = knocks(&house, session, "Ben").await.expect("waits");
    let (_, cyd) = knocks(&house, session, "Cyd").await.expect("waits");
    let manager = &house.manager;
    let (one, other) = tokio::join!(manager.approve(session, ana, ben.id), manager.approve(session, ana, cyd.id));
    assert!(one.is_ok());
    assert_eq!(code(other), Some(Code::SessionFull));
    assert_eq!(manager.join_requests(session, ana).await.expect("seen").len(), 1, "who found no place still waits");
}

#[tokio::test(start_paused = true)]
async fn asking_twice_is_asking_once() {
    let house = House::new();
    let (owner, session) = (UserId(clock::new_key()), SessionId(clock::new_key()));
    let mut founding = founding(session, owner);
    founding.settings.require_approval = true;
    house.manager.create(clock::new_key(), founding).await.expect("created");
    let user = UserId(clock::new_key());
    let join = || ParticipantJoin {
        user,
        kind: ParticipantKind::User,
        role: Role::Viewer,
        display_name: "Ben".to_owned(),
        guest: true,
        via: None,
        colour: None,
        vouched: false,
    };
    let first = house.manager.join(session, clock::new_key(), join()).await.expect("waits");
    let second = house.manager.join(session, clock::new_key(), join()).await.expect("waits");
    assert_eq!(first, second);
    house.manager.withdraw_request(session, user).await.expect("withdrawn");
    assert_eq!(code(house.manager.withdraw_request(session, user).await), Some(Code::NotFound));
}

/// A session with a lobby, its owner, a link that ends in an hour, and somebody who waits having come by it.
async fn waiting_by_link(house: &House, store: &dyn Store) -> (SessionId, UserId, LinkId, JoinRequest) {
    let (session, ana) = with_lobby(house).await;
    let (id, created_at) = (LinkId(clock::new_key()), (house.now)());
    let link = Link {
        id,
        token_hash: [7; 32],
        session,
        role: Role::Collaborator,
        password_hash: None,
        created_by: ana,
        created_at,
        expires_at: created_at.checked_add(Duration::from_secs(300)).ok(),
        max_uses: Some(1),
        uses: 0,
        last_used_at: None,
        revoked_at: None,
    };
    assert!(store.put_link(link).await.expect("kept"));
    assert!(store.use_link(id, created_at).await.expect("used"), "asking uses it up");
    let join = ParticipantJoin {
        user: UserId(clock::new_key()),
        kind: ParticipantKind::User,
        role: Role::Collaborator,
        display_name: "Ben".to_owned(),
        guest: true,
        via: Some(id),
        colour: None,
        vouched: false,
    };
    let entry = house.manager.join(session, clock::new_key(), join).await.expect("waits");
    let Entry::Waiting(request) = entry else { panic!("{entry:?} did not wait") };
    (session, ana, id, request)
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_used_up_by_asking_still_lets_in() {
    let store = Arc::new(MemoryStore::default());
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let (session, ana, _, request) = waiting_by_link(&house, &*store).await;
    assert_eq!(house.manager.approve(session, ana, request.id).await.expect("admitted").id, request.id);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_by_a_link_that_was_revoked_while_they_waited() {
    let store = Arc::new(MemoryStore::default());
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let (session, ana, link, request) = waiting_by_link(&house, &*store).await;
    store.revoke_link(session, link, (house.now)()).await.expect("written").expect("there");
    house.manager.rights_moved(DEFAULT_PROJECT);
    let manager = &house.manager;
    assert_eq!(code(manager.approve(session, ana, request.id).await), Some(Code::LinkEnded));
    assert_eq!(code(manager.entry(session, request.user_id).await.map(|e| e.joined().cloned())), None);
    assert_eq!(manager.asked(session, request.user_id).await.expect("waits").status, RequestStatus::Waiting);
    manager.deny(session, ana, request.id, None).await.expect("not now still can be said");
    assert_eq!(code(manager.approve(session, ana, request.id).await), Some(Code::LinkEnded), "nor later");
    let people = manager.participants(session, ana).await.expect("seen");
    assert!(people.iter().all(|(p, _)| p.id != request.id), "{people:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_by_a_link_that_expired_while_they_waited() {
    let store = Arc::new(MemoryStore::default());
    let house = House::over(Arc::clone(&store) as Arc<dyn Store>);
    let (session, ana, _, request) = waiting_by_link(&house, &*store).await;
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(code(house.manager.approve(session, ana, request.id).await), Some(Code::LinkEnded));
    house.manager.deny(session, ana, request.id, Some("ask for a new link")).await.expect("denied");
}
