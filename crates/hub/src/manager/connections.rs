//! Connections of readers: subscribing, commands that must not wait, what is shown and not recorded.

use std::sync::Arc;

use roundtable_access::Subject;
use roundtable_core::Caller;
use roundtable_protocol::command::Envelope;
use roundtable_protocol::frame::{Ack, COMMAND_WINDOW, CommandFrame, EphemeralIn, ErrorFrame, ServerFrame};
use roundtable_protocol::model::SessionState;
use roundtable_protocol::{Code, Command, Permission, Problem, SessionId, UserId};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::SessionManager;
use crate::context::may_look_back;
use crate::frame::Frame;
use crate::lanes;
use crate::outbox::{Outbox, Placed};
use crate::room::{Input, Queued, Reply, Subscription, fingerprint};

impl SessionManager {
    /// Subscribes a connection. On `Ok` the outbox gets `subscribed`, what the reader has not, then live frames.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// use std::sync::Arc;
    /// use roundtable_hub::{Outbox, Subscription};
    /// use roundtable_protocol::frame::StreamPosition;
    /// use roundtable_protocol::{ConnectionId, Stream};
    ///
    /// let connection = Outbox::new(ConnectionId(roundtable_hub::clock::new_key()));
    /// let streams = vec![StreamPosition { stream: Stream::Main, epoch: None, after: None }];
    /// let request =
    ///     Subscription { connection: Arc::clone(&connection), re: 1, session_id: session, streams, present: true };
    /// manager.subscribe(ana, request).await?;
    /// let mut frames = Vec::new();
    /// assert!(connection.take(&mut frames).await);
    /// assert_eq!(frames[0].kind(), "subscribed");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `not_found` when there is no such session or the user may not see it.
    pub async fn subscribe(&self, user: UserId, request: Subscription) -> Result<(), Problem> {
        let (reply, answer) = oneshot::channel();
        self.send(request.session_id, Input::Subscribe(user, request, reply))?;
        answer.await.map_err(|_| Problem::new(Code::NotFound))?
    }

    /// Ends a connection's subscription of one session. Waits while the room has too much to do: a subscription that
    /// follows must come behind it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Outbox, Subscription};
    /// # use roundtable_protocol::frame::StreamPosition;
    /// # use roundtable_protocol::{ConnectionId, Stream};
    /// # let connection = Outbox::new(ConnectionId(roundtable_hub::clock::new_key()));
    /// # let streams = vec![StreamPosition { stream: Stream::Main, epoch: None, after: None }];
    /// # let request =
    /// #     Subscription { connection: Arc::clone(&connection), re: 1, session_id: session, streams, present: true };
    /// # manager.subscribe(ana, request).await?;
    /// manager.unsubscribe(session, &connection).await;
    /// assert!(!connection.is_reading());
    /// # Ok(()) }
    /// ```
    pub async fn unsubscribe(&self, session: SessionId, outbox: &Outbox) {
        outbox.shut(session);
        let room = self.shared.rooms().get(&session).cloned();
        if let Some(room) = room {
            // A room that has gone has no subscriptions.
            let _ = room.inbox.send(Input::Unsubscribe(outbox.id())).await;
        }
    }

    /// Takes a command from a socket. Never waits; the answer arrives in the outbox, in the order of submission.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Outbox, Subscription};
    /// # use roundtable_protocol::frame::StreamPosition;
    /// # use roundtable_protocol::{ConnectionId, Stream};
    /// # let connection = Outbox::new(ConnectionId(roundtable_hub::clock::new_key()));
    /// # let streams = vec![StreamPosition { stream: Stream::Main, epoch: None, after: None }];
    /// # let request =
    /// #     Subscription { connection: Arc::clone(&connection), re: 1, session_id: session, streams, present: true };
    /// # manager.subscribe(ana, request).await?;
    /// use roundtable_protocol::command::{Envelope, MessagePost};
    /// use roundtable_protocol::frame::CommandFrame;
    ///
    /// let key = roundtable_hub::clock::new_key();
    /// let frame = CommandFrame {
    ///     id: 7, key, session_id: session, stream: None, seen: None, name: "message.post".into(),
    ///     data: serde_json::Value::Null, retry: false,
    /// };
    /// let post = MessagePost { text: "Hello".into(), ..MessagePost::default() };
    /// let command = roundtable_protocol::Command::MessagePost(post);
    /// let envelope = Envelope { key, stream: Stream::Main, seen: None, retry: false, command };
    /// manager.submit(ana, &connection, &frame, envelope);
    /// let mut frames = Vec::new();
    /// while !frames.iter().any(|frame: &roundtable_hub::Frame| frame.kind() == "ok") {
    ///     assert!(connection.take(&mut frames).await);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn submit(&self, user: UserId, outbox: &Arc<Outbox>, frame: &CommandFrame, envelope: Envelope) {
        let (session, key, re) = (frame.session_id, envelope.key, frame.id);
        let order = match outbox.submit(session, key, COMMAND_WINDOW) {
            Ok(order) => order,
            Err(refused) => return refuse(outbox, session, re, refused.into()),
        };
        let fingerprint = fingerprint(user, &envelope);
        let reply = Reply::Connection { outbox: Arc::clone(outbox), re, order };
        let (caller, subject) = (Caller::User(user), Subject::Stranger);
        let queued = Box::new(Queued { caller, subject, envelope, fingerprint, reply, attempts: 0 });
        let asks_first = waits_for(&queued.envelope.command);
        match outbox.behind().place(session, queued, asks_first) {
            Placed::Free(queued) => self.hand_on(session, queued),
            Placed::Waits => {}
            Placed::First => {
                let (manager, outbox) = (self.clone(), Arc::clone(outbox));
                tokio::spawn(async move { manager.hand_on_in_order(session, user, &outbox).await });
            }
        }
    }

    /// Hands on what waits behind a command that waits for something itself, that first: what the connection has sent behind
    /// it must be decided behind it.
    async fn hand_on_in_order(&self, session: SessionId, user: UserId, outbox: &Outbox) {
        while let Some(mut queued) = outbox.behind().next(session) {
            match self.prepare(session, user, &mut queued.envelope.command).await {
                Ok(()) => self.hand_on(session, queued),
                Err(problem) => turn_down(session, &queued, problem),
            }
        }
    }

    /// Hands a connection's command to its room, or answers that it cannot be.
    fn hand_on(&self, session: SessionId, queued: Box<Queued>) {
        let (key, reply) = (queued.envelope.key, queued.reply.connection());
        if let Err(problem) = self.send(session, Input::Command(queued))
            && let Some((outbox, re, order)) = reply
        {
            answer_instead(session, &outbox, (re, order, key), problem);
        }
    }

    /// Does what a command waits for before it is decided: the assistant is asked whether it is there, old contexts are read
    /// from the log.
    pub(super) async fn prepare(&self, session: SessionId, user: UserId, command: &mut Command) -> Result<(), Problem> {
        match command {
            Command::SessionResume(_) => self.check_reached(session, user).await,
            other if may_look_back(other) => self.look_back(session, user, other).await,
            _ => Ok(()),
        }
    }

    /// Asks the assistant of a session that rests whether it is there. Whoever may not resume it anyway is told that by the
    /// session.
    pub(super) async fn check_reached(&self, session: SessionId, user: UserId) -> Result<(), Problem> {
        let wanted = self.viewed(session, user, |look, grant| {
            let rests = matches!(look.session.state(), SessionState::Paused | SessionState::Failed);
            let may = rests && grant.allows(Permission::SessionPause);
            may.then(|| look.session.settings().assistant.clone())
        });
        match wanted.await? {
            Some(assistant) => self.shared.config.check_reached(&assistant).await,
            None => Ok(()),
        }
    }

    /// Takes what somebody shows; what is too large is answered with an error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Outbox, Subscription};
    /// # use roundtable_protocol::frame::StreamPosition;
    /// # use roundtable_protocol::{ConnectionId, Stream};
    /// # let connection = Outbox::new(ConnectionId(roundtable_hub::clock::new_key()));
    /// # let streams = vec![StreamPosition { stream: Stream::Main, epoch: None, after: None }];
    /// # let request =
    /// #     Subscription { connection: Arc::clone(&connection), re: 1, session_id: session, streams, present: true };
    /// # manager.subscribe(ana, request).await?;
    /// use roundtable_protocol::frame::{EphemeralIn, Lane};
    ///
    /// let data = serde_json::json!(true);
    /// manager.ephemeral(&connection, EphemeralIn { session_id: session, stream: Stream::Main, lane: Lane::Typing, data });
    /// # Ok(()) }
    /// ```
    pub fn ephemeral(&self, outbox: &Arc<Outbox>, frame: EphemeralIn) {
        if !lanes::fits(&frame.data) {
            let problem = Problem::new(Code::EphemeralTooLarge);
            let error = ErrorFrame { re: None, session_id: Some(frame.session_id), problem };
            return outbox.push(Frame::encode(&ServerFrame::Error(error)));
        }
        self.tell(frame.session_id, Input::Ephemeral(outbox.id(), frame));
    }

    /// Notes how far a reader has applied a stream.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Outbox, Subscription};
    /// # use roundtable_protocol::frame::StreamPosition;
    /// # use roundtable_protocol::{ConnectionId, Stream};
    /// # let connection = Outbox::new(ConnectionId(roundtable_hub::clock::new_key()));
    /// # let streams = vec![StreamPosition { stream: Stream::Main, epoch: None, after: None }];
    /// # let request =
    /// #     Subscription { connection: Arc::clone(&connection), re: 1, session_id: session, streams, present: true };
    /// # manager.subscribe(ana, request).await?;
    /// use roundtable_protocol::{Seq, frame::Ack};
    ///
    /// manager.acked(&connection, Ack { session_id: session, stream: Stream::Main, seq: Seq(1) });
    /// # Ok(()) }
    /// ```
    pub fn acked(&self, outbox: &Arc<Outbox>, ack: Ack) {
        self.tell(ack.session_id, Input::Acked(outbox.id(), ack));
    }

    /// A connection is gone: its subscriptions and its presence end.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), roundtable_protocol::Problem> {
    /// # let (manager, session, ana) = roundtable_hub::library::example().await?;
    /// # use std::sync::Arc;
    /// # use roundtable_hub::{Outbox, Subscription};
    /// # use roundtable_protocol::frame::StreamPosition;
    /// # use roundtable_protocol::{ConnectionId, Stream};
    /// # let connection = Outbox::new(ConnectionId(roundtable_hub::clock::new_key()));
    /// # let streams = vec![StreamPosition { stream: Stream::Main, epoch: None, after: None }];
    /// # let request =
    /// #     Subscription { connection: Arc::clone(&connection), re: 1, session_id: session, streams, present: true };
    /// # manager.subscribe(ana, request).await?;
    /// manager.disconnected(&connection);
    /// assert!(connection.is_closed());
    /// # Ok(()) }
    /// ```
    pub fn disconnected(&self, outbox: &Arc<Outbox>) {
        outbox.close();
        for session in outbox.sessions() {
            let Some(room) = self.shared.rooms().get(&session).cloned() else { continue };
            let connection = outbox.id();
            match room.inbox.try_send(Input::Disconnected(connection)) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
                Err(mpsc::error::TrySendError::Full(input)) => {
                    tokio::spawn(async move { room.inbox.send(input).await });
                }
            }
        }
    }
}

/// Returns whether a command waits for something before it can be decided; see [`SessionManager::prepare`].
fn waits_for(command: &Command) -> bool {
    matches!(command, Command::SessionResume(_)) || may_look_back(command)
}

/// Answers a command that no room gets.
fn turn_down(session: SessionId, queued: &Queued, problem: Problem) {
    if let Some((outbox, re, order)) = queued.reply.connection() {
        answer_instead(session, &outbox, (re, order, queued.envelope.key), problem);
    }
}

fn answer_instead(session: SessionId, outbox: &Outbox, (re, order, key): (u64, u64, Uuid), problem: Problem) {
    if problem.retryable {
        outbox.close_gate(session, order, key);
    }
    outbox.answered(session);
    refuse(outbox, session, re, problem);
}

fn refuse(outbox: &Outbox, session: SessionId, re: u64, problem: Problem) {
    let error = ErrorFrame { re: Some(re), session_id: Some(session), problem };
    outbox.push(Frame::encode(&ServerFrame::Error(error)));
}
