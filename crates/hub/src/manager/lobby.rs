//! The lobby, for programs: who waits, letting them in or not.

use roundtable_access::Subject;
use roundtable_core::Caller;
use roundtable_protocol::command::{Envelope, ParticipantApprove, ParticipantDeny, ParticipantWithdrawRequest};
use roundtable_protocol::lobby::{Asked, JoinRequest, RequestStatus};
use roundtable_protocol::model::{Membership, Participant};
use roundtable_protocol::{Code, Command, ParticipantId, Permission, Problem, SessionId, Stream, UserId};

use super::SessionManager;
use crate::clock;
use crate::room::Receipt;

/// What came of asking to come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// One is in.
    Joined(Participant),
    /// One waits until somebody says yes or no.
    Waiting(JoinRequest),
}

impl Entry {
    /// Returns who one is, when one is in.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::Role;
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// # let session = manager.create_session(&Somebody::person("Ana"), "Plans").await?.id;
    /// let entry = manager.knock(session, &Somebody::person("Ben"), Role::Collaborator).await?;
    /// assert_eq!(entry.joined().map(|p| p.display_name.as_str()), Some("Ben"));
    /// # Ok(()) }
    /// ```
    pub fn joined(&self) -> Option<&Participant> {
        match self {
            Self::Joined(participant) => Some(participant),
            Self::Waiting(_) => None,
        }
    }
}

impl SessionManager {
    /// Lists who waits to be let in, in the order of asking.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Entry, HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::{Role, model::SettingsPatch};
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// let ana = Somebody::person("Ana");
    /// let session = manager.create_session(&ana, "Plans").await?.id;
    /// let lobby = SettingsPatch { require_approval: Some(true), ..SettingsPatch::default() };
    /// manager.change_settings(session, ana.user, lobby).await?;
    /// manager.knock(session, &Somebody::person("Ben"), Role::Collaborator).await?;
    /// let waiting = manager.join_requests(session, ana.user).await?;
    /// assert_eq!(waiting[0].display_name, "Ben");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session for this user; `forbidden` for who may not admit.
    pub async fn join_requests(&self, session: SessionId, user: UserId) -> Result<Vec<JoinRequest>, Problem> {
        let look = |look: &mut crate::room::Look<'_>, grant: roundtable_protocol::Grant| {
            grant.allows(Permission::ParticipantAdmit).then(|| look.session.join_requests().to_vec())
        };
        self.viewed(session, user, look).await?.ok_or_else(|| Problem::new(Code::Forbidden))
    }

    /// Lets somebody in who waits, or to whom was said no within the last ten minutes. From then on they may read.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Entry, HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::{Role, model::SettingsPatch};
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// # let ana = Somebody::person("Ana");
    /// # let session = manager.create_session(&ana, "Plans").await?.id;
    /// # let lobby = SettingsPatch { require_approval: Some(true), ..SettingsPatch::default() };
    /// # manager.change_settings(session, ana.user, lobby).await?;
    /// let ben = Somebody::person("Ben");
    /// let Entry::Waiting(request) = manager.knock(session, &ben, Role::Collaborator).await? else { panic!() };
    /// assert!(manager.standing(session, ben.user).await.is_err(), "nothing is told before");
    /// let ben = manager.approve(session, ana.user, request.id).await?;
    /// assert_eq!(ben.role, Role::Collaborator);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `no_such_request`, `session_full`, `above_your_role`, and see [`SessionManager::command`].
    pub async fn approve(
        &self,
        session: SessionId,
        user: UserId,
        participant: ParticipantId,
    ) -> Result<Participant, Problem> {
        let command = Command::ParticipantApprove(ParticipantApprove { participant });
        self.command(session, user, said(command)).await?;
        let found = self.viewed(session, user, move |look, _| look.session.participant(participant).cloned()).await?;
        found.ok_or_else(|| Problem::new(Code::NoSuchParticipant))
    }

    /// Does not let somebody in who waits; they are told, with the reason.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Entry, HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::{Code, Role, model::SettingsPatch};
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// # let ana = Somebody::person("Ana");
    /// # let session = manager.create_session(&ana, "Plans").await?.id;
    /// # let lobby = SettingsPatch { require_approval: Some(true), ..SettingsPatch::default() };
    /// # manager.change_settings(session, ana.user, lobby).await?;
    /// let eve = Somebody::person("Eve");
    /// let Entry::Waiting(request) = manager.knock(session, &eve, Role::Collaborator).await? else { panic!() };
    /// manager.deny(session, ana.user, request.id, Some("not today")).await?;
    /// let again = manager.knock(session, &eve, Role::Collaborator).await;
    /// assert_eq!(again.unwrap_err().code, Code::JoinDenied);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `no_such_request`, and see [`SessionManager::command`].
    pub async fn deny(
        &self,
        session: SessionId,
        user: UserId,
        participant: ParticipantId,
        reason: Option<&str>,
    ) -> Result<Receipt, Problem> {
        let deny = ParticipantDeny { participant, reason: reason.map(str::to_owned) };
        self.command(session, user, said(Command::ParticipantDeny(deny))).await
    }

    /// Returns where one's own request stands; an answer is remembered for ten minutes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Entry, HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::{Role, lobby::RequestStatus, model::SettingsPatch};
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// # let ana = Somebody::person("Ana");
    /// # let session = manager.create_session(&ana, "Plans").await?.id;
    /// # let lobby = SettingsPatch { require_approval: Some(true), ..SettingsPatch::default() };
    /// # manager.change_settings(session, ana.user, lobby).await?;
    /// let eve = Somebody::person("Eve");
    /// manager.knock(session, &eve, Role::Viewer).await?;
    /// assert_eq!(manager.asked(session, eve.user).await?.status, RequestStatus::Waiting);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when this user has not asked, or it is forgotten.
    pub async fn asked(&self, session: SessionId, user: UserId) -> Result<Asked, Problem> {
        let found = self.ask(session, move |look| {
            let joined = look.session.participant_of(user).filter(|p| p.membership == Membership::Joined).cloned();
            let expires_at = look.session.last_at();
            look.session.asked(user).or_else(|| {
                joined.map(|p| Asked { request: joined_as(p, expires_at), status: RequestStatus::Joined, reason: None })
            })
        });
        found.await?.ok_or_else(|| Problem::new(Code::NotFound))
    }

    /// Stops waiting.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Entry, HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::{Role, model::SettingsPatch};
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// # let ana = Somebody::person("Ana");
    /// # let session = manager.create_session(&ana, "Plans").await?.id;
    /// # let lobby = SettingsPatch { require_approval: Some(true), ..SettingsPatch::default() };
    /// # manager.change_settings(session, ana.user, lobby).await?;
    /// let eve = Somebody::person("Eve");
    /// manager.knock(session, &eve, Role::Viewer).await?;
    /// manager.withdraw_request(session, eve.user).await?;
    /// assert!(manager.join_requests(session, ana.user).await?.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when this user does not wait.
    pub async fn withdraw_request(&self, session: SessionId, user: UserId) -> Result<Receipt, Problem> {
        let envelope = said(Command::ParticipantWithdrawRequest(ParticipantWithdrawRequest { user }));
        let answer = self.ask_for(session, Caller::System, Subject::Door, envelope, user).await;
        answer.map_err(|problem| match problem.code {
            Code::NoSuchRequest => Problem::new(Code::NotFound),
            _ => problem,
        })
    }

    /// Returns whether somebody is in or waits.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{HubConfig, SessionManager, library::Somebody};
    /// # use roundtable_protocol::Role;
    /// # let store = Arc::new(roundtable_store::MemoryStore::default());
    /// # let (manager, _turns) = SessionManager::new(store, HubConfig::default());
    /// let ana = Somebody::person("Ana");
    /// let session = manager.create_session(&ana, "Plans").await?.id;
    /// assert!(manager.entry(session, ana.user).await?.joined().is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session, `not_a_participant` when neither.
    pub async fn entry(&self, session: SessionId, user: UserId) -> Result<Entry, Problem> {
        let look = move |look: &mut crate::room::Look<'_>| {
            let joined = look.session.participant_of(user).filter(|p| p.membership == Membership::Joined);
            let waits = || look.session.join_requests().iter().find(|r| r.user_id == user).cloned();
            joined.cloned().map(Entry::Joined).or_else(|| waits().map(Entry::Waiting))
        };
        self.ask(session, look).await?.ok_or_else(|| Problem::new(Code::NotAParticipant))
    }
}

fn said(command: Command) -> Envelope {
    Envelope { key: clock::new_key(), stream: Stream::Main, seen: None, retry: false, command }
}

/// Says of somebody who is in what their request was.
fn joined_as(participant: Participant, expires_at: roundtable_protocol::Timestamp) -> JoinRequest {
    JoinRequest {
        id: participant.id,
        user_id: participant.user_id,
        display_name: participant.display_name,
        role: participant.role,
        guest: participant.guest,
        colour: participant.colour,
        via: None,
        requested_at: participant.joined_at,
        expires_at,
    }
}
