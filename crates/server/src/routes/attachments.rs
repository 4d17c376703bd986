//! Files: uploading and reading them.
//!
//! Owns: the limits of an upload, the headers under which a file is handed out. Must not know: where files lie, who may
//! read which (that is the hub's). Invariants: what was not received whole leaves nothing behind; nothing that is handed
//! out can run in this server's page.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use roundtable_protocol::frame::MAX_ATTACHMENT_BYTES;
use roundtable_protocol::model::Attachment;
use roundtable_protocol::{AttachmentId, Code, Problem, SessionId, Stream};
use roundtable_store::NewBlob;
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::IntoParams;

use crate::auth::{Caller, Here};
use crate::files::{self, Kind, Look};
use crate::idempotency::Key;
use crate::json::{self, Path, Query};
use crate::problem::{ApiError, store_problem};
use crate::routes::created;
use crate::state::App;

/// How much must arrive within the time that a whole JSON body may take: slow lines are served, lines that say nothing
/// are not. Unit: bytes.
const PROGRESS: usize = 64 * 1024;
/// How long and how much of a refused file is read on, so that the answer arrives.
const LINGER: (Duration, usize) = (Duration::from_secs(10), 64 * 1024 * 1024);

/// What is uploaded, and for which stream.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// The file's name; folders, control and direction characters are taken out of it.
    #[serde(default)]
    name: String,
    /// The stream that it will be posted to; `main` when absent.
    #[serde(default = "main_stream")]
    stream: Stream,
}

fn main_stream() -> Stream {
    Stream::Main
}

/// Uploads a file, to be posted with `message.post` to the same stream within 24 hours.
///
/// The body is the file itself. What it is is told from its content; the content type of the request counts for nothing.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/attachments", tag = "messages",
    params(("session_id" = SessionId, Path), UploadQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file, at most 25 MiB"),
    responses((status = 201, description = "The file", body = Attachment)))]
pub async fn upload(
    State(app): State<App>,
    Caller(known): Caller,
    Here(standing): Here,
    Query(query): Query<UploadQuery>,
    key: Key,
    body: Body,
) -> Result<Response, ApiError> {
    let announced = body.size_hint().lower();
    let mut parts = body.into_data_stream();
    let received = async {
        app.manager.may_upload(&standing, query.stream)?;
        if announced > MAX_ATTACHMENT_BYTES {
            return Err(too_large().into());
        }
        receive(&app, &mut parts).await
    };
    let (content, look, size_bytes) = match received.await {
        Ok(received) => received,
        Err(error) => {
            json::let_end(parts, LINGER);
            return Err(error);
        }
    };
    let name = files::cleaned(&query.name);
    let Kind { media_type, size } = look.tell(&name);
    let attachment = Attachment {
        id: AttachmentId::derive(key.id, 0),
        name,
        media_type: media_type.to_owned(),
        size_bytes,
        width: size.map(|(width, _)| width),
        height: size.map(|(_, height)| height),
    };
    let kept = app.manager.keep_upload(standing.info.id, known.user.id, query.stream, attachment, content);
    Ok(created(kept.await?))
}

fn too_large() -> Problem {
    Problem::new(Code::AttachmentTooLarge)
}

/// Takes a file in. As long as something comes it may take its time.
async fn receive(app: &App, parts: &mut BodyDataStream) -> Result<(NewBlob, Look, u64), ApiError> {
    let patience = app.settings.limits.body_timeout;
    let (mut content, mut look) = (app.manager.begin_upload().await?, Look::default());
    let mut size: u64 = 0;
    let (mut until, mut progress) = (Instant::now() + patience, 0);
    loop {
        let next = tokio::time::timeout_at(until, parts.next()).await.map_err(|_| Code::RequestTimeout)?;
        let Some(part) = next else { return Ok((content, look, size)) };
        let part = part.map_err(|_| Problem::new(Code::RequestTimeout).with_detail("the file broke off"))?;
        size += part.len() as u64;
        if size > MAX_ATTACHMENT_BYTES {
            return Err(too_large().into());
        }
        look.at(&part);
        content.write(&part).await.map_err(|error| store_problem(&error))?;
        progress += part.len();
        if progress >= PROGRESS {
            (until, progress) = (Instant::now() + patience, 0);
        }
    }
}

/// Reads a file. Pictures come to be shown, everything else to be saved.
#[utoipa::path(get, path = "/api/v1/sessions/{session_id}/attachments/{attachment_id}", tag = "messages",
    params(("session_id" = SessionId, Path), ("attachment_id" = AttachmentId, Path)),
    responses((status = 200, description = "The file", content_type = "application/octet-stream", body = Vec<u8>)))]
pub async fn get(
    State(app): State<App>,
    Caller(known): Caller,
    Here(standing): Here,
    Path((session, id)): Path<(SessionId, AttachmentId)>,
) -> Result<Response, ApiError> {
    let file = app.manager.attachment(session, known.user.id, &standing.grant, id).await?;
    let content = app.store.read_blob(file.hash).await?.ok_or(Code::AttachmentNotFound)?;
    let Attachment { name, media_type, size_bytes, .. } = file.attachment;
    let inline = files::shown_inline(&media_type);
    let content_type =
        if media_type.starts_with("text/") { format!("{media_type}; charset=utf-8") } else { media_type };
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_LENGTH, size_bytes.to_string()),
        (CONTENT_DISPOSITION, disposition(inline, &name)),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
        (CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned()),
    ];
    Ok((headers, Body::from_stream(content)).into_response())
}

/// Source: RFC 6266 section 4, RFC 8187 section 3.2.
fn disposition(inline: bool, name: &str) -> String {
    let kind = if inline { "inline" } else { "attachment" };
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_header_text_whatever_is_in_it() {
        assert_eq!(
            disposition(false, "a \"b\"; ü\r\nx%.txt"),
            "attachment; filename=\"a _b_; ___x_.txt\"; filename*=UTF-8''a%20%22b%22%3B%20%C3%BC%0D%0Ax%25.txt"
        );
        assert!(disposition(true, "x.png").starts_with("inline; "));
    }
}
