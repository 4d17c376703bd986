//! The log for people and programs: who has read an event, what its author knew, what one has not read.

use axum::Json;
use axum::extract::State;
use roundtable_protocol::model::Participant;
use roundtable_protocol::{Actor, EventId, ParticipantId, Seq, SessionId, Stream};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::json::{Path, Query};
use crate::problem::ApiError;
use crate::state::App;

/// Which stream.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// The stream; `main` when absent.
    stream: Option<Stream>,
}

impl StreamQuery {
    fn stream(&self) -> Stream {
        self.stream.unwrap_or(Stream::Main)
    }
}

/// Somebody by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reader {
    /// Who.
    participant_id: ParticipantId,
    /// The name that others see.
    display_name: String,
}

impl From<Participant> for Reader {
    fn from(p: Participant) -> Self {
        Self { participant_id: p.id, display_name: p.display_name }
    }
}

/// Who has applied an event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AcknowledgedBody {
    /// Those who have, as their clients have said.
    acknowledged_by: Vec<Reader>,
    /// Those in the session who have not, as far as is known.
    not_by: Vec<Reader>,
}

/// Tells who has read as far as an event. Read marks are written each 5 s and never go back.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/events/{seq}/acknowledged_by", tag = "events",
    params(("session_id" = SessionId, Path), ("seq" = u64, Path), StreamQuery),
    responses((status = 200, description = "Who has", body = AcknowledgedBody)))]
pub async fn acknowledged_by(
    State(app): State<App>,
    Caller(known): Caller,
    Path((session, seq)): Path<(SessionId, Seq)>,
    Query(query): Query<StreamQuery>,
) -> Result<Json<AcknowledgedBody>, ApiError> {
    let found = app.manager.acknowledged_by(session, known.user.id, query.stream(), seq).await?;
    let readers = |all: Vec<Participant>| all.into_iter().map(Reader::from).collect();
    Ok(Json(AcknowledgedBody { acknowledged_by: readers(found.by), not_by: readers(found.not_by) }))
}

/// What an event's author knew.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KnownBody {
    /// The event.
    id: EventId,
    /// Who did it.
    actor: Actor,
    /// The last seq of the event's own stream that its author had applied; null when the client did not say.
    seen: Option<Seq>,
    /// The seqs between that and the event: what happened at the same time. At most 1,000.
    unseen: Vec<Seq>,
    /// What it names as its parents.
    causes: Vec<CauseBody>,
}

/// A parent of an event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CauseBody {
    /// The parent.
    id: EventId,
    /// Its stream; null when the reader may not read it.
    stream: Option<Stream>,
    /// Its seq there.
    seq: Option<Seq>,
}

/// Tells what an event's author knew: how far they had applied its stream, what happened meanwhile, what it rests on.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/events/{seq}/known", tag = "events",
    params(("session_id" = SessionId, Path), ("seq" = u64, Path), StreamQuery),
    responses((status = 200, description = "What they knew", body = KnownBody)))]
pub async fn known(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((session, seq)): Path<(SessionId, Seq)>,
    Query(query): Query<StreamQuery>,
) -> Result<Json<KnownBody>, ApiError> {
    let found = app.manager.known(session, caller.user.id, query.stream(), seq).await?;
    let cause = |(id, place): (EventId, Option<(Stream, Seq)>)| CauseBody {
        id,
        stream: place.map(|(stream, _)| stream),
        seq: place.map(|(_, seq)| seq),
    };
    let causes = found.causes.into_iter().map(cause).collect();
    Ok(Json(KnownBody { id: found.id, actor: found.actor, seen: found.seen, unseen: found.unseen, causes }))
}

/// What one has not read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UnreadBody {
    /// By stream.
    streams: Vec<UnreadStream>,
}

/// What one has not read of a stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UnreadStream {
    /// The stream.
    stream: Stream,
    /// How many messages of others.
    count: u64,
}

/// Counts the messages of others that one has not read, by stream.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/unread", tag = "events", params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "How many", body = UnreadBody)))]
pub async fn unread(
    State(app): State<App>,
    Caller(known): Caller,
    Path(session): Path<SessionId>,
) -> Result<Json<UnreadBody>, ApiError> {
    let found = app.manager.unread(session, known.user.id).await?;
    let streams = found.into_iter().map(|(stream, count)| UnreadStream { stream, count }).collect();
    Ok(Json(UnreadBody { streams }))
}
