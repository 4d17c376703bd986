//! Who is in the session, as what, and who may come.
//!
//! Owns: members, roles, names, the cap. Must not know: links, codes and passwords (doors check them before they say
//! `participant.join`), nor who is connected. Invariant: there is exactly one owner from the first event on; nobody
//! acts on somebody who is not below them, and nobody gives a role that is not below their own.

use std::collections::HashMap;

use roundtable_protocol::command::{
    ParticipantChangeProfile, ParticipantChangeRole, ParticipantJoin, ParticipantRemove,
};
use roundtable_protocol::event::{
    Actor, ParticipantJoined, ParticipantLeft, ParticipantProfileChanged, ParticipantRemoved, ParticipantRoleChanged,
    SessionOwnerChanged,
};
use roundtable_protocol::grant::Role;
use roundtable_protocol::ids::{ParticipantId, Stream, UserId};
use roundtable_protocol::model::{Membership, Participant, ParticipantKind};
use roundtable_protocol::problem::Code;
use serde::{Deserialize, Serialize};

use super::draft::{By, PARTICIPANT_ID};
use super::lifecycle::host;
use super::{Session, lifecycle, lobby, text, turns};
use crate::context::{Decision, Rejection};

/// Everybody who is or was in the session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Roster {
    all: Vec<Participant>,
    #[serde(skip)]
    by_id: HashMap<ParticipantId, usize>,
    #[serde(skip)]
    by_user: HashMap<UserId, usize>,
    /// How many people are joined.
    #[serde(skip)]
    people: u32,
    /// The first joined agent.
    #[serde(skip)]
    assistant: Option<ParticipantId>,
}

/// Returns whether a role may ask the assistant.
///
/// Mirrors the row `turn_prompt` of the built-in table in `access`: who is counted as "may prompt" without being the
/// caller has no grant at hand, so the role has to do.
pub(super) fn may_prompt(role: Role) -> bool {
    role >= Role::Collaborator
}

impl Roster {
    pub fn all(&self) -> &[Participant] {
        &self.all
    }

    pub fn get(&self, id: ParticipantId) -> Option<&Participant> {
        self.by_id.get(&id).map(|i| &self.all[*i])
    }

    pub fn of(&self, user: UserId) -> Option<&Participant> {
        self.by_user.get(&user).map(|i| &self.all[*i])
    }

    /// Returns how many people, not agents, are joined.
    pub fn people(&self) -> u32 {
        self.people
    }

    /// Returns who answers unless another agent is named.
    pub fn assistant(&self) -> Option<ParticipantId> {
        self.assistant
    }

    pub fn joined(&self) -> impl Iterator<Item = &Participant> {
        self.all.iter().filter(|p| p.membership == Membership::Joined)
    }

    pub fn get_joined(&self, id: ParticipantId) -> Option<&Participant> {
        self.get(id).filter(|p| p.membership == Membership::Joined)
    }

    /// Returns the joined participant that `user` is.
    pub fn member(&self, user: UserId) -> Result<&Participant, Rejection> {
        match self.of(user) {
            Some(p) if p.membership == Membership::Joined => Ok(p),
            Some(p) if p.membership == Membership::Removed => Err(Code::Removed.into()),
            _ => Err(Code::NotAParticipant.into()),
        }
    }

    pub fn apply_joined(&mut self, data: &ParticipantJoined) {
        let participant = &data.participant;
        match self.by_id.get(&participant.id) {
            Some(i) => self.all[*i].clone_from(participant),
            None => self.all.push(participant.clone()),
        }
        self.index();
    }

    pub fn apply_left(&mut self, data: &ParticipantLeft) {
        self.change(data.participant, |p| p.membership = Membership::Left);
    }

    pub fn apply_removed(&mut self, data: &ParticipantRemoved) {
        self.change(data.participant, |p| p.membership = Membership::Removed);
    }

    pub fn apply_role_changed(&mut self, data: &ParticipantRoleChanged) {
        self.change(data.participant, |p| p.role = data.role);
    }

    /// The old owner keeps order for the new one.
    pub fn apply_owner_changed(&mut self, data: &SessionOwnerChanged) {
        self.change(data.from, |p| p.role = Role::Moderator);
        self.change(data.to, |p| p.role = Role::Owner);
    }

    pub fn apply_profile_changed(&mut self, data: &ParticipantProfileChanged) {
        self.change(data.participant, |p| {
            p.display_name.clone_from(&data.display_name);
            p.colour = data.colour;
        });
    }

    fn change(&mut self, id: ParticipantId, change: impl FnOnce(&mut Participant)) {
        if let Some(i) = self.by_id.get(&id) {
            change(&mut self.all[*i]);
            self.index();
        }
    }

    /// Makes everything that is derived from the list anew. Roster changes are rare and rosters short.
    pub fn index(&mut self) {
        self.by_id = self.all.iter().enumerate().map(|(i, p)| (p.id, i)).collect();
        self.by_user = self.all.iter().enumerate().map(|(i, p)| (p.user_id, i)).collect();
        let people = self.joined().filter(|p| p.kind == ParticipantKind::User).count();
        self.people = u32::try_from(people).unwrap_or(u32::MAX);
        let assistant = self.joined().find(|p| p.kind == ParticipantKind::Agent).map(|p| p.id);
        self.assistant = assistant;
    }
}

pub(super) fn decide_join(by: &By<'_>, data: &ParticipantJoin) -> Result<Decision, Rejection> {
    let session = by.session;
    let known = session.roster.of(data.user);
    match known.map(|p| p.membership) {
        Some(Membership::Joined) => return Err(Code::AlreadyRecorded.into()),
        Some(Membership::Removed) => return Err(Code::Removed.into()),
        Some(Membership::Left) | None => {}
    }
    if session.state().is_ended() {
        return Err(lifecycle::not_active(session.state()));
    }
    if data.role == Role::Owner {
        return Err(Rejection::field("/role", Code::InvalidField, "no door makes an owner"));
    }
    if data.kind == ParticipantKind::User {
        if !session.settings().allow_join {
            return Err(Code::JoinClosed.into());
        }
        check_cap(session)?;
    }
    if lobby::must_wait(session, data) {
        return lobby::decide_request(by, data);
    }
    let name = text::filled_line("/display_name", &data.display_name, text::MAX_NAME)?;
    let colour = data.colour.map(text::chosen_colour).transpose()?;
    let id = known.map_or_else(|| ParticipantId::derive(by.envelope.key, PARTICIPANT_ID), |p| p.id);
    let mut draft = by.draft_as(Actor::Participant(id), None);
    let participant = Participant {
        id,
        user_id: data.user,
        kind: data.kind,
        role: data.role,
        display_name: free_name(session, &name),
        colour: colour.unwrap_or_else(|| text::colour(data.user)),
        guest: data.guest,
        membership: Membership::Joined,
        joined_at: draft.at(),
    };
    draft.push(Stream::Main, vec![], ParticipantJoined { participant, via: data.via });
    lobby::joined(session, &mut draft, data.user);
    Ok(draft.finish())
}

/// Checks that one more person may be in.
pub(super) fn check_cap(session: &Session) -> Result<(), Rejection> {
    match session.settings().max_participants {
        Some(cap) if session.roster.people >= cap => Err(Code::SessionFull.into()),
        _ => Ok(()),
    }
}

/// Returns `name`, made unlike those of everybody who is in.
pub(super) fn free_name(session: &Session, name: &str) -> String {
    text::unique_name(name, session.roster.joined().map(|p| p.display_name.as_str()))
}

pub(super) fn decide_leave(by: &By<'_>) -> Result<Decision, Rejection> {
    let me = by.person()?;
    let mut draft = by.draft();
    if me.role == Role::Owner {
        if !by.session.state().is_open() {
            return Err(Code::OwnerMustStay.into());
        }
        if !host::follow_at_once(by.session, by.cx.present, &mut draft) {
            return Ok(draft.finish());
        }
    }
    draft.push(Stream::Main, vec![], ParticipantLeft { participant: me.id });
    turns::cut(by.session, &mut draft, |_, requester| requester == me.id);
    Ok(draft.finish())
}

pub(super) fn decide_remove(by: &By<'_>, data: &ParticipantRemove) -> Result<Decision, Rejection> {
    let them = below(by, data.participant)?;
    let reason = text::reason(data.reason.as_ref())?;
    if them.membership == Membership::Removed {
        return Err(Code::AlreadyRecorded.into());
    }
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], ParticipantRemoved { participant: them.id, reason });
    turns::cut(by.session, &mut draft, |_, requester| requester == them.id);
    Ok(draft.finish())
}

pub(super) fn decide_change_role(by: &By<'_>, data: &ParticipantChangeRole) -> Result<Decision, Rejection> {
    let them = below(by, data.participant)?;
    if them.membership != Membership::Joined {
        return Err(no_such_participant());
    }
    if data.role >= by.person()?.role {
        return Err(Rejection::field("/role", Code::AboveYourRole, "you can give roles below your own"));
    }
    if data.role == them.role {
        return Err(Code::AlreadyRecorded.into());
    }
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], ParticipantRoleChanged { participant: them.id, role: data.role });
    if !may_prompt(data.role) {
        turns::cut(by.session, &mut draft, |_, requester| requester == them.id);
    }
    Ok(draft.finish())
}

pub(super) fn decide_change_profile(by: &By<'_>, data: &ParticipantChangeProfile) -> Result<Decision, Rejection> {
    let me = by.person()?;
    let display_name = match &data.display_name {
        Some(name) => {
            let name = text::filled_line("/display_name", name, text::MAX_NAME)?;
            let others = by.session.roster.joined().filter(|p| p.id != me.id);
            text::unique_name(&name, others.map(|p| p.display_name.as_str()))
        }
        None => me.display_name.clone(),
    };
    let colour = data.colour.map_or(Ok(me.colour), text::chosen_colour)?;
    if (&display_name, colour) == (&me.display_name, me.colour) {
        return Err(Code::AlreadyRecorded.into());
    }
    let mut draft = by.draft();
    draft.push(Stream::Main, vec![], ParticipantProfileChanged { participant: me.id, display_name, colour });
    Ok(draft.finish())
}

/// Returns the participant with that id if the caller may act on them.
fn below<'a>(by: &By<'a>, id: ParticipantId) -> Result<&'a Participant, Rejection> {
    let me = by.person()?;
    let them = by.session.roster.get(id).ok_or_else(no_such_participant)?;
    if them.role == Role::Owner && them.id == me.id {
        return Err(Code::OwnerMustStay.into());
    }
    if them.kind == ParticipantKind::Agent {
        let detail = "the assistant stays as it is; the session's settings say which one answers and when";
        return Err(Rejection::field("/participant", Code::NotAvailable, detail));
    }
    if them.role >= me.role {
        return Err(Code::AboveYourRole.into());
    }
    Ok(them)
}

fn no_such_participant() -> Rejection {
    Rejection::field("/participant", Code::NoSuchParticipant, "there is no such participant in this session")
}

#[cfg(test)]
mod tests;
