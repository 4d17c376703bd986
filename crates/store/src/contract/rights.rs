//! People, doors and the rights epoch.

use futures_util::future::join_all;
use roundtable_protocol::model::SessionState;
use roundtable_protocol::{LinkId, ProjectId, Role, SessionId, Stream, UserId};

use super::{Log, at, id};
use crate::Store;
use crate::types::{AppendError, Deletion, Link, Login, ShareCode, TokenHash, User, UserPatch};

/// Returns a link that leads into `session` for ever.
pub(super) fn link(session: SessionId) -> Link {
    Link {
        id: LinkId(id()),
        token_hash: token_hash(),
        session,
        role: Role::Collaborator,
        password_hash: None,
        created_by: UserId(id()),
        created_at: at(0),
        expires_at: None,
        max_uses: None,
        uses: 0,
        last_used_at: None,
        revoked_at: None,
    }
}

fn token_hash() -> TokenHash {
    let mut hash = [0; 32];
    getrandom::fill(&mut hash).expect("the system has randomness");
    hash
}

/// By token, and all of a session, newest first.
pub async fn links_are_kept_and_listed(store: &dyn Store) {
    let log = Log::born(store).await;
    let plain = link(log.session);
    let full = Link {
        role: Role::Viewer,
        password_hash: Some("$argon2id$v=19$x".to_owned()),
        created_at: at(1),
        expires_at: Some(at(9)),
        max_uses: Some(3),
        uses: 1,
        last_used_at: Some(at(2)),
        revoked_at: Some(at(3)),
        ..link(log.session)
    };
    for link in [&plain, &full] {
        assert_eq!(store.put_link(link.clone()).await, Ok(true));
        assert_eq!(store.put_link(link.clone()).await, Ok(false), "the id is there");
        assert_eq!(store.link(link.token_hash).await, Ok(Some(link.clone())));
    }
    assert_eq!(store.links(log.session).await, Ok(vec![full, plain]));
    assert_eq!(store.link(token_hash()).await, Ok(None));
    assert_eq!(store.put_link(link(SessionId(id()))).await, Ok(false), "there is no such session");
}

/// Also when everybody comes at once.
pub async fn a_link_is_used_at_most_as_often_as_it_says(store: &dyn Store) {
    let log = Log::born(store).await;
    let limited = Link { max_uses: Some(3), ..link(log.session) };
    store.put_link(limited.clone()).await.expect("kept");
    let used = join_all((0..20).map(|_| store.use_link(limited.id, at(4)))).await;
    assert_eq!(used.iter().filter(|used| **used == Ok(true)).count(), 3);
    assert_eq!(used.iter().filter(|used| **used == Ok(false)).count(), 17);
    let kept = store.link(limited.token_hash).await.expect("reads").expect("there");
    assert_eq!((kept.uses, kept.last_used_at), (3, Some(at(4))));
}

/// Revoked, expired, or not there at all.
pub async fn an_ended_link_is_not_used(store: &dyn Store) {
    let log = Log::born(store).await;
    let expiring = Link { expires_at: Some(at(10)), ..link(log.session) };
    store.put_link(expiring.clone()).await.expect("kept");
    assert_eq!(store.use_link(expiring.id, at(9)).await, Ok(true));
    assert_eq!(store.use_link(expiring.id, at(10)).await, Ok(false));
    let revoked = link(log.session);
    store.put_link(revoked.clone()).await.expect("kept");
    store.revoke_link(log.session, revoked.id, at(1)).await.expect("revokes").expect("there");
    assert_eq!(store.use_link(revoked.id, at(2)).await, Ok(false));
    assert_eq!(store.use_link(LinkId(id()), at(2)).await, Ok(false));
}

/// In the same transaction, so that no commit slips in between.
pub async fn revoking_a_link_raises_the_rights_epoch_once(store: &dyn Store) {
    let log = Log::born(store).await;
    let mine = link(log.session);
    store.put_link(mine.clone()).await.expect("kept");
    let stranger = Log::born(store).await.session;
    assert_eq!(store.revoke_link(stranger, mine.id, at(1)).await, Ok(None), "it leads elsewhere");
    assert_eq!(store.revoke_link(log.session, LinkId(id()), at(1)).await, Ok(None));
    assert_eq!(store.rights_epoch(log.project).await, Ok(0));
    let revoked = Link { revoked_at: Some(at(1)), ..mine.clone() };
    assert_eq!(store.revoke_link(log.session, mine.id, at(1)).await, Ok(Some(revoked.clone())));
    assert_eq!(store.revoke_link(log.session, mine.id, at(2)).await, Ok(Some(revoked)), "once is enough");
    assert_eq!(store.rights_epoch(log.project).await, Ok(1));
    let moved = AppendError::RightsMoved { actual: 1 };
    assert_eq!(store.append(log.commit(&[(Stream::Main, "x")])).await, Err(moved));
}

/// Every project's, known or not: a login is worth something everywhere.
pub async fn ending_a_login_raises_every_rights_epoch(store: &dyn Store) {
    let log = Log::born(store).await;
    let login = Login { token_hash: token_hash(), user: UserId(id()), created_at: at(0), expires_at: at(9) };
    store.put_login(login.clone()).await.expect("kept");
    store.raise_rights_epoch(log.project).await.expect("raises");
    assert_eq!(store.end_login(login.token_hash).await, Ok(true));
    assert_eq!(store.end_login(login.token_hash).await, Ok(false));
    assert_eq!(store.login(login.token_hash).await, Ok(None));
    assert_eq!(store.rights_epoch(log.project).await, Ok(2));
    assert_eq!(store.rights_epoch(ProjectId(id())).await, Ok(1));
    assert_eq!(store.head(log.session).await.expect("reads").expect("there").rights_epoch, 2);
    let moved = AppendError::RightsMoved { actual: 2 };
    assert_eq!(store.append(log.commit(&[(Stream::Main, "x")])).await, Err(moved));
}

/// A user once, a login by its token.
pub async fn users_and_logins_are_kept(store: &dyn Store) {
    let ana = User { id: UserId(id()), display_name: "Ana".to_owned(), guest: true, created_at: at(1), colour: None };
    let other = User { display_name: "Ben".to_owned(), ..ana.clone() };
    assert_eq!(store.user(ana.id).await, Ok(None));
    assert_eq!(store.put_user(ana.clone()).await, Ok(true));
    assert_eq!(store.put_user(other).await, Ok(false));
    assert_eq!(store.user(ana.id).await, Ok(Some(ana.clone())));
    let login = Login { token_hash: token_hash(), user: ana.id, created_at: at(1), expires_at: at(2) };
    store.put_login(login.clone()).await.expect("kept");
    assert_eq!(store.login(login.token_hash).await, Ok(Some(login)));
    assert_eq!(store.login(token_hash()).await, Ok(None));
}

/// What is not said stays.
pub async fn a_user_changes_name_and_colour(store: &dyn Store) {
    let ana =
        User { id: UserId(id()), display_name: "Ana".to_owned(), guest: false, created_at: at(1), colour: Some(3) };
    assert_eq!(store.put_user(ana.clone()).await, Ok(true));
    assert_eq!(store.user(ana.id).await, Ok(Some(ana.clone())));
    let renamed = UserPatch { display_name: Some("Anna".to_owned()), colour: None };
    let ana = User { display_name: "Anna".to_owned(), ..ana };
    assert_eq!(store.change_user(ana.id, renamed).await, Ok(Some(ana.clone())));
    let recoloured = UserPatch { display_name: None, colour: Some(11) };
    let ana = User { colour: Some(11), ..ana };
    assert_eq!(store.change_user(ana.id, recoloured.clone()).await, Ok(Some(ana.clone())));
    assert_eq!(store.user(ana.id).await, Ok(Some(ana)));
    assert_eq!(store.change_user(UserId(id()), recoloured).await, Ok(None));
}

async fn in_state(store: &dyn Store, state: SessionState) -> Log<'_> {
    let mut log = Log::unborn(store);
    let mut commit = log.commit(&[(Stream::Main, "hello")]);
    let mut info = log.info("title");
    info.state = state;
    commit.directory = Some(info);
    log.append(commit).await.expect("written");
    log
}

/// Paused is open; created and ended are not, and what has ended has no code any more.
pub async fn a_share_code_opens_its_session_while_it_is_open(store: &dyn Store) {
    let new = in_state(store, SessionState::Created).await;
    assert_eq!(store.put_share_code(new.session, "NEWNEW".to_owned(), true).await, Ok(false));
    let mut log = in_state(store, SessionState::Active).await;
    assert_eq!(store.share_code(log.session).await, Ok(ShareCode::Never));
    assert_eq!(store.put_share_code(log.session, "ABCDEF".to_owned(), false).await, Ok(true));
    assert_eq!(store.share_code(log.session).await, Ok(ShareCode::On("ABCDEF".to_owned())));
    for (state, open) in [(SessionState::Active, true), (SessionState::Paused, true), (SessionState::Completed, false)]
    {
        let mut commit = log.commit(&[]);
        let mut info = log.info("title");
        info.state = state;
        commit.directory = Some(info);
        log.append(commit).await.expect("written");
        assert_eq!(store.session_by_code("ABCDEF".to_owned()).await, Ok(open.then_some(log.session)), "{state:?}");
    }
    assert_eq!(store.share_code(log.session).await, Ok(ShareCode::Never));
    let other = in_state(store, SessionState::Active).await;
    assert_eq!(store.put_share_code(other.session, "ABCDEF".to_owned(), false).await, Ok(true), "free again");
    assert_eq!(store.delete_session(other.session).await, Ok(Deletion::Done));
    assert_eq!(store.session_by_code("ABCDEF".to_owned()).await, Ok(None));
    assert_eq!(store.put_share_code(SessionId(id()), "GHJKLM".to_owned(), true).await, Ok(false));
}

/// Changing what opens a door raises the rights epoch, as for links.
pub async fn a_share_code_is_of_one_session_and_can_be_switched_off(store: &dyn Store) {
    let (log, other) = (in_state(store, SessionState::Active).await, in_state(store, SessionState::Active).await);
    let put = async |log: &Log<'_>, code: &str, replace| {
        store.put_share_code(log.session, code.to_owned(), replace).await.expect("writes")
    };
    let before = store.rights_epoch(log.project).await.expect("reads");
    assert!(put(&log, "ABCDEF", false).await);
    assert_eq!(store.rights_epoch(log.project).await, Ok(before), "a first code takes nothing from anybody");
    assert!(!put(&log, "BBBBBB", false).await, "there is one");
    assert!(!put(&other, "ABCDEF", true).await, "another session has it");
    assert!(put(&log, "CCCCCC", true).await);
    assert_eq!(store.rights_epoch(log.project).await, Ok(before + 1));
    assert_eq!(store.session_by_code("ABCDEF".to_owned()).await, Ok(None), "replaced");
    assert_eq!(store.session_by_code("CCCCCC".to_owned()).await, Ok(Some(log.session)));
    assert_eq!(store.end_share_code(log.session).await, Ok(true));
    assert_eq!(store.end_share_code(log.session).await, Ok(false));
    assert_eq!(store.rights_epoch(log.project).await, Ok(before + 2));
    assert_eq!(store.share_code(log.session).await, Ok(ShareCode::Off));
    assert_eq!(store.session_by_code("CCCCCC".to_owned()).await, Ok(None));
    assert!(!put(&log, "DDDDDD", false).await, "switched off stays off");
    assert!(put(&log, "DDDDDD", true).await);
    assert_eq!(store.share_code(log.session).await, Ok(ShareCode::On("DDDDDD".to_owned())));
}
