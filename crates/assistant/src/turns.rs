//! Runs the turns of one conversation, one at a time, for drivers that live in this process.
//!
//! Owns: the task of a turn, its stop, its end. Must not know: what the turn does. Invariant: whatever the turn's
//! future does, also a panic, exactly one [`AgentEvent::Ended`] follows, after all text that was handed in.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use roundtable_protocol::model::Usage;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::driver::{AgentEvent, EVENT_CAPACITY, Failure, FailureCode, PromptRejection, TurnEnd};

/// The running turn of a conversation and the way out for its events.
pub(crate) struct Turns {
    out: mpsc::Sender<AgentEvent>,
    running: Option<JoinHandle<()>>,
    busy: Arc<AtomicBool>,
    closing: CancellationToken,
}

impl Turns {
    pub(crate) fn new() -> (Self, mpsc::Receiver<AgentEvent>) {
        let (out, events) = mpsc::channel(EVENT_CAPACITY);
        (Self { out, running: None, busy: Arc::default(), closing: CancellationToken::new() }, events)
    }

    /// Starts a turn. `turn` must return soon after its outlet's stop was called.
    pub(crate) async fn start<F>(&mut self, stop: CancellationToken, turn: F) -> Result<(), PromptRejection>
    where
        F: for<'a> FnOnce(&'a mut Outlet) -> BoxFuture<'a, TurnEnd> + Send + 'static,
    {
        if self.busy.load(Ordering::Acquire) {
            return Err(PromptRejection::Busy);
        }
        self.join().await;
        self.busy.store(true, Ordering::Release);
        let outlet = Outlet {
            out: self.out.clone(),
            asked: stop.clone(),
            stop: self.closing.child_token(),
            closing: self.closing.clone(),
            unsent: String::new(),
        };
        self.running = Some(tokio::spawn(run(outlet, stop, Arc::clone(&self.busy), turn)));
        Ok(())
    }

    /// Waits for the last task. It clears `busy` before its last event, so that a caller who has read that event is
    /// never refused, and the wait here keeps that event ahead of the next turn's.
    async fn join(&mut self) {
        if let Some(task) = self.running.take() {
            // The task catches panics of the turn; only a runtime that shuts down can make this an error.
            let _ = task.await;
        }
    }

    /// Stops what runs and waits for it.
    pub(crate) async fn close(mut self) {
        self.closing.cancel();
        self.join().await;
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

async fn run<F>(mut outlet: Outlet, asked: CancellationToken, busy: Arc<AtomicBool>, turn: F)
where
    F: for<'a> FnOnce(&'a mut Outlet) -> BoxFuture<'a, TurnEnd> + Send + 'static,
{
    let stop = outlet.stop.clone();
    let reader = outlet.out.clone();
    let end = {
        let mut turn = AssertUnwindSafe(turn(&mut outlet)).catch_unwind().boxed();
        let ended = tokio::select! {
            ended = &mut turn => ended,
            () = async { tokio::select! { () = asked.cancelled() => {}, () = reader.closed() => {} } } => {
                stop.cancel();
                turn.await
            }
        };
        ended.unwrap_or_else(|_| TurnEnd::Failed(broken()))
    };
    busy.store(false, Ordering::Release);
    outlet.send(AgentEvent::Ended(end)).await;
}

fn broken() -> Failure {
    tracing::error!("an assistant driver panicked; its turn has failed, the session goes on");
    Failure {
        code: FailureCode::DriverBroke,
        message: "The assistant broke inside this server. The text so far is kept; please report this.".to_owned(),
        retryable: true,
    }
}

/// The turn has been stopped: return [`TurnEnd::Stopped`].
#[derive(Debug)]
pub(crate) struct Stopped;

/// Where a turn puts its events.
pub(crate) struct Outlet {
    out: mpsc::Sender<AgentEvent>,
    asked: CancellationToken,
    stop: CancellationToken,
    closing: CancellationToken,
    unsent: String,
}

impl Outlet {
    /// Returns the token that is cancelled when the turn has to stop.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Hands on a piece of text, waiting while the reader is behind.
    ///
    /// A stop ends the wait at once; the piece is kept and goes out with the next event, so that the caller can first
    /// let go of what it holds upstream.
    pub(crate) async fn text(&mut self, text: String) -> Result<(), Stopped> {
        if text.is_empty() {
            return Ok(());
        }
        // The task that passes the wish on may be polled later than a turn whose next pieces are all there already.
        if self.asked.is_cancelled() {
            self.stop.cancel();
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                self.unsent = text;
                return Err(Stopped);
            }
            permit = self.out.reserve() => match permit {
                Ok(permit) => permit.send(AgentEvent::Text(text)),
                Err(_) => return Err(Stopped),
            },
        }
        Ok(())
    }

    /// Hands on what the turn used.
    pub(crate) async fn usage(&mut self, usage: Usage) {
        self.send(AgentEvent::Usage(usage)).await;
    }

    /// Hands on something unknown.
    pub(crate) async fn unknown(&mut self, what: &str, raw: serde_json::Value) {
        self.send(AgentEvent::Unknown { what: what.to_owned(), raw }).await;
    }

    async fn send(&mut self, event: AgentEvent) {
        if !self.unsent.is_empty() {
            let text = std::mem::take(&mut self.unsent);
            self.send_one(AgentEvent::Text(text)).await;
        }
        self.send_one(event).await;
    }

    /// Waits for room unless the conversation is closing: then nobody may be reading any more.
    async fn send_one(&self, event: AgentEvent) {
        tokio::select! {
            biased;
            permit = self.out.reserve() => if let Ok(permit) = permit { permit.send(event) },
            () = self.closing.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use roundtable_protocol::model::EndReason;

    use super::*;

    async fn rest(events: &mut mpsc::Receiver<AgentEvent>) -> Vec<AgentEvent> {
        let mut all = Vec::new();
        while let Some(event) = events.recv().await {
            let last = matches!(event, AgentEvent::Ended(_));
            all.push(event);
            if last {
                break;
            }
        }
        all
    }

    #[tokio::test]
    async fn a_turn_that_panics_still_ends() {
        let (mut turns, mut events) = Turns::new();
        turns.start(CancellationToken::new(), |outlet| panic_after_text(outlet)).await.expect("idle");
        let all = rest(&mut events).await;
        assert_eq!(all[0], AgentEvent::Text("so far".to_owned()));
        assert!(matches!(&all[1], AgentEvent::Ended(TurnEnd::Failed(f)) if f.code == FailureCode::DriverBroke));
    }

    fn panic_after_text(outlet: &mut Outlet) -> BoxFuture<'_, TurnEnd> {
        async move {
            outlet.text("so far".to_owned()).await.expect("not stopped");
            panic!("a planted bug")
        }
        .boxed()
    }

    #[tokio::test]
    async fn a_second_prompt_is_refused_until_the_first_turn_has_ended() {
        let (mut turns, mut events) = Turns::new();
        let stop = CancellationToken::new();
        turns.start(stop.clone(), |outlet| wait_for_stop(outlet)).await.expect("idle");
        let second = turns.start(CancellationToken::new(), |outlet| wait_for_stop(outlet)).await;
        assert_eq!(second, Err(PromptRejection::Busy));
        stop.cancel();
        assert_eq!(rest(&mut events).await, [AgentEvent::Ended(TurnEnd::Stopped)]);
        turns.start(stop, |outlet| wait_for_stop(outlet)).await.expect("idle once the end was read");
    }

    fn wait_for_stop(outlet: &mut Outlet) -> BoxFuture<'_, TurnEnd> {
        async move {
            outlet.stop().cancelled().await;
            TurnEnd::Stopped
        }
        .boxed()
    }

    fn flood(outlet: &mut Outlet) -> BoxFuture<'_, TurnEnd> {
        async move {
            for n in 0..2 * EVENT_CAPACITY {
                if outlet.text(format!("{n} ")).await.is_err() {
                    return TurnEnd::Stopped;
                }
            }
            TurnEnd::Completed(EndReason::EndTurn)
        }
        .boxed()
    }

    #[tokio::test]
    async fn a_stop_while_the_reader_is_behind_loses_no_text() {
        let (mut turns, mut events) = Turns::new();
        let stop = CancellationToken::new();
        turns.start(stop.clone(), |outlet| flood(outlet)).await.expect("idle");
        while events.len() < EVENT_CAPACITY {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        let all = rest(&mut events).await;
        let expected: Vec<AgentEvent> = (0..all.len() - 1).map(|n| AgentEvent::Text(format!("{n} "))).collect();
        assert_eq!(all[..all.len() - 1], expected, "in order, without a hole");
        // One piece was waiting for room when the stop came, and one more may have met it.
        assert!((EVENT_CAPACITY + 1..=EVENT_CAPACITY + 2).contains(&expected.len()), "{}", expected.len());
        assert_eq!(all.last(), Some(&AgentEvent::Ended(TurnEnd::Stopped)));
    }

    #[tokio::test]
    async fn closing_does_not_wait_for_a_reader() {
        let (mut turns, mut events) = Turns::new();
        turns.start(CancellationToken::new(), |outlet| flood(outlet)).await.expect("idle");
        while events.len() < EVENT_CAPACITY {
            tokio::task::yield_now().await;
        }
        turns.close().await;
        assert!(rest(&mut events).await.len() >= EVENT_CAPACITY);
    }

    #[tokio::test]
    async fn a_reader_that_went_away_stops_the_turn() {
        let (mut turns, events) = Turns::new();
        turns.start(CancellationToken::new(), |outlet| wait_for_stop(outlet)).await.expect("idle");
        drop(events);
        let task = turns.running.take().expect("started");
        task.await.expect("the turn ends by itself");
    }
}
