//! Bodies, queries and path parameters on their way in.
//!
//! Owns: size, time, depth, shape, and what a caller is told about each. Must not know: what the values mean.
//! Invariant: whatever comes in, the answer is a value or a problem that points at the place.

use std::time::Duration;

use axum::body::{BodyDataStream, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use roundtable_protocol::{Code, Problem};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::problem::ApiError;
use crate::state::App;

/// How deep JSON may be nested. Levels.
const DEEPEST: usize = 32;

/// How long the rest of a refused body is read. Closing with input unread resets the connection, and the answer is lost
/// on its way (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// How much of it is read. Unit: bytes.
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// A JSON body.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// A JSON body that may be left out.
#[derive(Clone, Copy, Debug)]
pub struct JsonOrNothing<T>(pub T);

/// A JSON body of whatever content type; the handler says which it takes.
#[derive(Clone, Debug)]
pub struct AnyJson(pub serde_json::Value);

/// What stands behind the question mark.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// What the path names. A part of another shape names nothing: 404.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let bytes = body(request, app).await?;
        Ok(Self(parse(&bytes)?))
    }
}

impl<T: DeserializeOwned> FromRequest<App> for JsonOrNothing<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        if request.body().is_end_stream() {
            return Ok(Self(parse(b"{}")?));
        }
        let bytes = body(request, app).await?;
        Ok(Self(parse(if bytes.is_empty() { b"{}" } else { &bytes })?))
    }
}

impl FromRequest<App> for AnyJson {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let bytes = whole(request, app).await?;
        Ok(Self(parse(&bytes)?))
    }
}

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|query| Self(query.0)).map_err(|rejection| {
            let text = rejection.body_text();
            let detail = text.split_once(": ").map_or(text.as_str(), |(_, detail)| detail);
            let code = if detail.contains("unknown field") { Code::UnknownField } else { Code::InvalidField };
            let name = detail.split(['`', ':']).find(|part| !part.contains(' ')).unwrap_or_default();
            Problem::new(code)
                .with_detail(format!("in the query: {detail}"))
                .with_field(format!("/{name}"), code, detail)
                .into()
        })
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let path = axum::extract::Path::from_request_parts(parts, app).await;
        path.map(|path| Self(path.0)).map_err(|_| Code::NotFound.into())
    }
}

/// Reads a whole JSON body within the limits of size and time.
async fn body(request: Request, app: &App) -> Result<Bytes, ApiError> {
    if !is_json(request.headers()) {
        return Err(Code::UnsupportedMediaType.into());
    }
    whole(request, app).await
}

/// Reads a whole body within the limits of size and time.
async fn whole(request: Request, app: &App) -> Result<Bytes, ApiError> {
    let most = app.settings.limits.body_bytes;
    let body = request.into_body();
    let announced = body.size_hint().lower();
    let mut parts = body.into_data_stream();
    let read = if announced > most as u64 {
        Err(too_large(most))
    } else {
        let read = tokio::time::timeout(app.settings.limits.body_timeout, collect(&mut parts, most)).await;
        read.unwrap_or_else(|_| Err(Code::RequestTimeout.into()))
    };
    if read.is_err() {
        let_end(parts, (LINGER, LINGER_BYTES));
    }
    read
}

/// Reads the rest of a refused body for so long and so many bytes, and keeps nothing of it.
pub(crate) fn let_end(parts: BodyDataStream, (time, bytes): (Duration, usize)) {
    tokio::spawn(tokio::time::timeout(time, ignore(parts, bytes)));
}

async fn ignore(mut parts: BodyDataStream, mut left: usize) {
    while let Some(Ok(part)) = parts.next().await {
        left = left.saturating_sub(part.len());
        if left == 0 {
            return;
        }
    }
}

async fn collect(parts: &mut BodyDataStream, most: usize) -> Result<Bytes, ApiError> {
    let mut all = BytesMut::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| Problem::new(Code::MalformedJson).with_detail("the body broke off"))?;
        if all.len() + part.len() > most {
            return Err(too_large(most));
        }
        all.extend_from_slice(&part);
    }
    Ok(all.freeze())
}

fn too_large(most: usize) -> ApiError {
    Problem::new(Code::BodyTooLarge).with_detail(format!("the body is larger than {most} bytes")).into()
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Reads JSON into `T`.
///
/// # Errors
/// `malformed_json`, `unknown_field` or `invalid_field`, the latter two with a pointer.
pub fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
    check_depth(bytes)?;
    parse_flat(bytes)
}

/// Reads JSON whose depth has been checked.
///
/// # Errors
/// See [`parse`].
pub fn parse_flat<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
    // Keeping track of the place costs as much as reading, so it is done only once something is wrong.
    serde_json::from_slice(bytes).or_else(|_| parse_with_places(bytes))
}

fn parse_with_places<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        shape_problem(&pointer, error.inner())
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// Reads an already parsed value into `T`; `under` is the pointer to it.
///
/// # Errors
/// `unknown_field` or `invalid_field` with a pointer.
pub fn convert<T: DeserializeOwned>(value: serde_json::Value, under: &str) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer = format!("{under}{}", pointer(error.path()));
        shape_problem(&pointer, error.inner())
    })
}

/// Refuses what is nested too deeply, without recursion.
///
/// # Errors
/// `malformed_json`
pub fn check_depth(bytes: &[u8]) -> Result<(), Problem> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(Problem::new(Code::MalformedJson).with_detail(format!("nested deeper than {DEEPEST} levels")));
        }
    }
    Ok(())
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::MalformedJson).with_detail(error.to_string())
}

fn shape_problem(pointer: &str, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return malformed(error);
    }
    let text = error.to_string();
    let detail = text.split(" at line ").next().unwrap_or(&text);
    let named = detail.split('`').nth(1).unwrap_or_default();
    let (code, pointer) = if detail.starts_with("unknown field") {
        (Code::UnknownField, with_last(pointer, named))
    } else if detail.starts_with("missing field") || detail.starts_with("duplicate field") {
        (Code::InvalidField, with_last(pointer, named))
    } else {
        (Code::InvalidField, pointer.to_owned())
    };
    let place = if pointer.is_empty() { "the body" } else { pointer.as_str() };
    Problem::new(code).with_detail(format!("{place}: {detail}")).with_field(pointer.clone(), code, detail)
}

/// Returns the pointer to the named field, which a path sometimes ends with already.
fn with_last(pointer: &str, name: &str) -> String {
    let last = escape(name);
    if pointer.rsplit('/').next() == Some(last.as_str()) { pointer.to_owned() } else { format!("{pointer}/{last}") }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("/{index}")),
            Segment::Map { key } => text.push_str(&format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

/// Source: RFC 6901 section 3.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        n: u32,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        text: String,
    }

    fn refused(text: &str) -> (Code, String) {
        let problem = parse::<Outer>(text.as_bytes()).expect_err(text);
        (problem.code, problem.errors.first().map(|e| e.pointer.clone()).unwrap_or_default())
    }

    #[test]
    fn a_wrong_body_is_told_by_code_and_place() {
        assert_eq!(refused("{"), (Code::MalformedJson, String::new()));
        assert_eq!(refused("{\"n\":1} x"), (Code::MalformedJson, String::new()));
        assert_eq!(refused(""), (Code::MalformedJson, String::new()));
        assert_eq!(refused("[]"), (Code::InvalidField, String::new()));
        assert_eq!(refused("{}"), (Code::InvalidField, "/n".to_owned()));
        assert_eq!(refused("{\"n\":-1}"), (Code::InvalidField, "/n".to_owned()));
        assert_eq!(refused("{\"n\":1,\"m\":2}"), (Code::UnknownField, "/m".to_owned()));
        assert_eq!(refused("{\"n\":1,\"n\":2}"), (Code::InvalidField, "/n".to_owned()));
        assert_eq!(
            refused("{\"n\":1,\"inner\":[{\"text\":\"a\"},{\"text\":2}]}"),
            (Code::InvalidField, "/inner/1/text".to_owned())
        );
        assert_eq!(refused("{\"n\":1,\"inner\":[{\"te/xt\":2}]}"), (Code::UnknownField, "/inner/0/te~1xt".to_owned()));
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(check_depth(nested(32).as_bytes()).is_ok());
        assert!(check_depth(nested(33).as_bytes()).is_err());
        assert!(check_depth(format!("\"\\\"{}\"", "[".repeat(99)).as_bytes()).is_ok());
        assert!(check_depth("[".repeat(1_000_000).as_bytes()).is_err());
        assert!(check_depth("{\"a\":[]}".repeat(99).as_bytes()).is_ok(), "side by side is not deep");
    }
}
