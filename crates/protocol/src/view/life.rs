//! Where a session is in its life, beyond its state.
//!
//! Owns: [`LifeView`] and how events change it. Must not know: clocks; whether a warning still matters is for whoever
//! shows it. Invariant: only assigns; `web/src/session/life.ts` says the same.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::{Actor, Event, EventBody};
use crate::ids::{ParticipantId, Stream, Timestamp};
use crate::model::{DetachReason, Limit};
use crate::report::Report;

/// Where a session is in its life. Absent from a view while there is nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LifeView {
    /// Who paused it, and why; null while it is not paused.
    pub paused: Option<PausedView>,
    /// Why it will end as soon as what was asked is answered.
    pub ending: Option<String>,
    /// What went wrong, in words, when it failed.
    pub cause: Option<String>,
    /// What will soon end it; one of each limit at most.
    pub warnings: Vec<WarningView>,
    /// That it works on by itself, or last did.
    pub detached: Option<DetachedView>,
    /// What it came to, once it has ended.
    pub report: Option<Report>,
}

/// Who paused a session, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PausedView {
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Why, in their words.
    pub reason: Option<String>,
}

/// What will soon end a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WarningView {
    /// Which limit.
    pub limit: Limit,
    /// When, unless something changes.
    pub strikes_at: Timestamp,
}

/// A session that works on by itself, or did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DetachedView {
    /// Since when.
    pub since: Timestamp,
    /// How it came about.
    pub why: DetachReason,
    /// Until when; null while it goes on.
    pub until: Option<Timestamp>,
    /// Who came then.
    pub by: Option<ParticipantId>,
    /// What has been done meanwhile.
    pub done: Option<DoneView>,
}

/// What was done while nobody led a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DoneView {
    /// When the last of it was done.
    pub at: Timestamp,
    /// How many answers.
    pub turns: u32,
    /// How many of them failed, were lost or were stopped.
    pub unfinished: u32,
}

impl LifeView {
    /// Returns whether there is nothing to say.
    pub fn is_quiet(&self) -> bool {
        *self == Self::default()
    }

    /// Takes from an event what it says about the session's life.
    pub(super) fn apply(&mut self, event: &Event) {
        let at = event.header.at;
        match &event.body {
            EventBody::SessionPaused(data) => {
                self.paused = Some(PausedView { by: event.header.actor, at, reason: data.reason.clone() });
            }
            EventBody::SessionResumed(_) => (self.paused, self.cause) = (None, None),
            EventBody::SessionEnding(data) => self.ending = Some(data.reason.clone()),
            EventBody::SessionEnded(data) => {
                (self.paused, self.ending) = (None, None);
                self.cause.clone_from(&data.detail);
                self.warnings.clear();
            }
            EventBody::SessionReported(data) => self.report = Some(data.report.clone()),
            EventBody::SessionWarned(data) => {
                self.warnings.retain(|w| w.limit != data.limit);
                self.warnings.push(WarningView { limit: data.limit, strikes_at: data.strikes_at });
            }
            EventBody::SessionExpiryChanged(_) => self.warnings.retain(|w| w.limit != Limit::Expiry),
            EventBody::SessionSettingsChanged(_) => self.warnings.retain(|w| w.limit == Limit::Expiry),
            EventBody::MessagePosted(_) if event.stream == Stream::Main => {
                self.warnings.retain(|w| w.limit != Limit::Idle)
            }
            EventBody::SessionDetached(data) => {
                self.detached = Some(DetachedView { since: at, why: data.why, until: None, by: None, done: None });
            }
            EventBody::SessionAttached(data) => self.with_detached(|d| {
                d.until = Some(at);
                d.by = Some(data.participant);
            }),
            EventBody::SessionOwnerChanged(data) => self.with_detached(|d| {
                d.until.get_or_insert(at);
                d.by.get_or_insert(data.to);
            }),
            EventBody::SessionWorkDone(data) => self.with_detached(|d| {
                d.done = Some(DoneView { at, turns: data.turns, unfinished: data.unfinished });
            }),
            _ => {}
        }
    }

    fn with_detached(&mut self, change: impl FnOnce(&mut DetachedView)) {
        if let Some(detached) = &mut self.detached {
            change(detached);
        }
    }
}
