//! The built-in driver: fixed rules, no model, no network.
//!
//! Owns: when it says what, and how fast. Must not know: anything beyond the transcript it is given.
//! Invariants: it is always labelled [`LABEL`]; it never imitates conversation: what it has no rule for, it says so.

mod answers;

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use roundtable_protocol::model::EndReason;
use tokio_util::sync::CancellationToken;

use crate::driver::{AgentSession, Caps, Driver, Failure, FailureCode, OpenSpec, Opened, PromptRejection, TurnEnd};
use crate::turn::TurnInput;
use crate::turns::{Outlet, Turns};
use answers::Reply;

/// What stands beside every answer of the guide.
pub const LABEL: &str = "Guide - not an AI model";

/// How fast the guide writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two words.
    pub word: Duration,
    /// Between two words of `/demo slow`.
    pub slow_word: Duration,
    /// Before the first word of `/demo slow`.
    pub slow_start: Duration,
}

impl Pace {
    /// Everything at once, for tests of others.
    pub const INSTANT: Self = Self { word: Duration::ZERO, slow_word: Duration::ZERO, slow_start: Duration::ZERO };
}

impl Default for Pace {
    /// About 28 words a second, as a middling model writes.
    fn default() -> Self {
        Self {
            word: Duration::from_millis(35),
            slow_word: Duration::from_millis(350),
            slow_start: Duration::from_secs(5),
        }
    }
}

/// The built-in driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guide {
    pace: Pace,
}

impl Guide {
    /// Makes a guide that writes at `pace`.
    pub fn with_pace(pace: Pace) -> Self {
        Self { pace }
    }
}

impl Driver for Guide {
    fn probe(&self) -> BoxFuture<'_, Result<Caps, Failure>> {
        let caps = Caps { driver: "guide", label: LABEL.to_owned(), model: None, usage: false };
        std::future::ready(Ok(caps)).boxed()
    }

    fn open(&self, _spec: OpenSpec) -> BoxFuture<'_, Result<Opened, Failure>> {
        let (turns, events) = Turns::new();
        let session = Box::new(GuideSession { pace: self.pace, turns });
        std::future::ready(Ok(Opened { session, events })).boxed()
    }
}

struct GuideSession {
    pace: Pace,
    turns: Turns,
}

impl AgentSession for GuideSession {
    fn prompt(&mut self, input: TurnInput, stop: CancellationToken) -> BoxFuture<'_, Result<(), PromptRejection>> {
        let pace = self.pace;
        async move {
            let reply = answers::reply(&input);
            self.turns.start(stop, move |outlet| answer(reply, pace, outlet).boxed()).await
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.turns.close().boxed()
    }
}

async fn answer(reply: Reply, pace: Pace, outlet: &mut Outlet) -> TurnEnd {
    let stop = outlet.stop();
    let (first, between) = match reply {
        Reply::Slow(_) => (pace.slow_start, pace.slow_word),
        Reply::Says(_) | Reply::Fails(_) => (pace.word, pace.word),
    };
    let (Reply::Says(text) | Reply::Slow(text) | Reply::Fails(text)) = &reply;
    let mut wait = first;
    for piece in text.split_inclusive(char::is_whitespace) {
        tokio::select! {
            biased;
            () = stop.cancelled() => return TurnEnd::Stopped,
            () = tokio::time::sleep(wait) => {}
        }
        if outlet.text(piece.to_owned()).await.is_err() {
            return TurnEnd::Stopped;
        }
        wait = between;
    }
    match reply {
        Reply::Says(_) | Reply::Slow(_) => TurnEnd::Completed(EndReason::EndTurn),
        Reply::Fails(_) => TurnEnd::Failed(Failure {
            code: FailureCode::GuideDemoError,
            message: "This failure was asked for with /demo error. Nothing is broken.".to_owned(),
            retryable: false,
        }),
    }
}

#[cfg(test)]
mod tests;
