//! Saying something, and everything else that changes a session.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use roundtable_protocol::branching::HeadMoved;
use roundtable_protocol::command::{Envelope, MessageEdit, MessagePost, MessageRedact};
use roundtable_protocol::view::MessageView;
use roundtable_protocol::{AttachmentId, BranchId, Command, Event, MessageId, ParticipantId, Seq, SessionId, Stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::idempotency::Key;
use crate::json::{Json, Path};
use crate::problem::ApiError;
use crate::routes::{Accepted, created, give, raw_json};
use crate::state::App;
use crate::ws::parse;

/// A message.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// What is said; Markdown; 1 byte to 64 KiB, or nothing beside attachments.
    #[serde(default)]
    text: String,
    /// `main`, which the assistant sees, or `side`. `main` when absent.
    stream: Option<Stream>,
    /// The message that it answers, in the same stream.
    reply_to: Option<MessageId>,
    /// Whom it names, besides those that `@name` in the text names.
    #[serde(default)]
    mentions: Vec<ParticipantId>,
    /// True: asks the assistant. False: for the people. Absent: the session's settings decide.
    ask: Option<bool>,
    /// Files that were uploaded for this stream and not posted yet; at most 10.
    #[serde(default)]
    attachments: Vec<AttachmentId>,
    /// What a program says beside the text: a JSON object, at most 16 KiB, at most 32 levels deep.
    data: Option<Value>,
    /// The last seq of the stream that the author had seen.
    seen: Option<Seq>,
    /// The branch that it goes to, in `main`; absent: that of `parent`, else the main one.
    branch: Option<BranchId>,
    /// The newest message of the branch that the author has seen; absent: it follows whatever is the newest.
    parent: Option<MessageId>,
    /// What becomes of it when `parent` is not the newest any more.
    #[serde(default)]
    if_head_moved: HeadMoved,
    /// The message beside which it stands, as its other wording: it begins a new branch before that message.
    sibling_of: Option<MessageId>,
}

/// The new text of a message.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageText {
    /// Its text from now on; 1 byte to 64 KiB.
    text: String,
}

/// A command.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCommand {
    /// Its name, such as `turn.stop`.
    name: String,
    /// Its data; the shape follows from the name.
    #[serde(default)]
    #[schema(value_type = Object)]
    data: Value,
    /// The stream that a message goes to; `main` when absent.
    stream: Option<Stream>,
    /// The last seq of that stream that the author had seen.
    seen: Option<Seq>,
}

/// Says something.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/messages", tag = "messages",
    params(("session_id" = SessionId, Path)), request_body = NewMessage,
    responses((status = 201, description = "The event", body = Event)))]
pub async fn post(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    Json(body): Json<NewMessage>,
) -> Result<Response, ApiError> {
    let NewMessage { text, stream, reply_to, mentions, ask, attachments, data, seen, .. } = body;
    let NewMessage { branch, parent, if_head_moved, sibling_of, .. } = body;
    let command = Command::MessagePost(MessagePost {
        text,
        reply_to,
        mentions,
        ask,
        attachments,
        data,
        branch,
        parent,
        if_head_moved,
        sibling_of,
    });
    let stream = stream.unwrap_or(Stream::Main);
    let envelope = Envelope { key: key.id, stream, seen, retry: key.sent, command };
    let receipt = app.manager.command(session, known.user.id, envelope).await?;
    let event = app.manager.event(session, known.user.id, receipt.id).await?;
    Ok(raw_json(StatusCode::CREATED, event))
}

/// A message and where it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MessageBody {
    /// The stream that it is in.
    stream: Stream,
    /// The message as it is now; `n` is its number in the stream, from 0, so its page is `n / 256`.
    message: MessageView,
}

/// Reads one message.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/messages/{message_id}", tag = "messages",
    params(("session_id" = SessionId, Path), ("message_id" = MessageId, Path)),
    responses((status = 200, description = "The message", body = MessageBody)))]
pub async fn get(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, message)): Path<(SessionId, MessageId)>,
) -> Result<axum::Json<MessageBody>, ApiError> {
    let (stream, message) = app.manager.message(session, known.user.id, message).await?;
    Ok(axum::Json(MessageBody { stream, message }))
}

/// Changes the text of one's own message.
#[utoipa::path(patch, path = "/api/v1/sessions/{session_id}/messages/{message_id}", tag = "messages",
    params(("session_id" = SessionId, Path), ("message_id" = MessageId, Path)), request_body = MessageText,
    responses((status = 200, description = "The event", body = Event)))]
pub async fn edit(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, message)): Path<(SessionId, MessageId)>,
    key: Key,
    Json(body): Json<MessageText>,
) -> Result<Response, ApiError> {
    let command = Command::MessageEdit(MessageEdit { message, text: body.text });
    let receipt = give(&app.manager, session, known.user.id, key, command).await?;
    let event = app.manager.event(session, known.user.id, receipt.id).await?;
    Ok(raw_json(StatusCode::OK, event))
}

/// Erases a message's text, everywhere and for ever.
#[utoipa::path(delete, path = "/api/v1/sessions/{session_id}/messages/{message_id}", tag = "messages",
    params(("session_id" = SessionId, Path), ("message_id" = MessageId, Path)),
    responses((status = 204, description = "Erased")))]
pub async fn redact(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, message)): Path<(SessionId, MessageId)>,
) -> Result<StatusCode, ApiError> {
    let command = Command::MessageRedact(MessageRedact { message, reason: None });
    give(&app.manager, session, known.user.id, Key::fresh(), command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives any command, as a WebSocket would.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/commands", tag = "messages",
    params(("session_id" = SessionId, Path)), request_body = NewCommand,
    responses((status = 201, description = "It is durable", body = Accepted)))]
pub async fn command(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
    key: Key,
    Json(body): Json<NewCommand>,
) -> Result<Response, ApiError> {
    let command = parse::command(&body.name, body.data)?;
    let stream = body.stream.unwrap_or(Stream::Main);
    let envelope = Envelope { key: key.id, stream, seen: body.seen, retry: key.sent, command };
    let receipt = app.manager.command(session, known.user.id, envelope).await?;
    Ok(created(Accepted::from(receipt)))
}
