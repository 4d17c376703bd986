//! Who may do what, in the small: the server's own role table, over the session alone.

use roundtable_access::{Facts, Subject, authorize};
use roundtable_core::Session;
use roundtable_protocol::grant::{Grant, Permission};
use roundtable_protocol::ids::{Stream, StreamSet, UserId};
use roundtable_protocol::model::Membership;

/// Returns what `user` may do in `session` as it stands, and which of the streams that are simulated they may read.
pub fn grant(session: &Session, user: UserId) -> Grant {
    let subject = match session.participant_of(user).filter(|p| p.membership == Membership::Joined) {
        Some(person) => Subject::Participant(person.role),
        None => Subject::Stranger,
    };
    let side_for_viewers = session.settings().side_for_viewers;
    let grant = authorize(&Facts { subject, side_for_viewers, roles_rev: session.roles_rev(), rights_epoch: 0 });
    let simulated = |stream: &Stream| matches!(stream, Stream::Main | Stream::Side);
    Grant { streams: grant.streams.iter().filter(simulated).collect(), ..grant }
}

/// Returns what the server's own rules, doors and drivers may do.
pub fn system(session: &Session) -> Grant {
    let mask = Permission::ALL.into_iter().collect();
    Grant { mask, streams: Stream::ALL.into_iter().collect::<StreamSet>(), ..Grant::nothing(session.roles_rev(), 0) }
}
