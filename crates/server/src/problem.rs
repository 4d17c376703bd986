//! Errors on their way out, and request ids.
//!
//! Owns: how a [`Problem`] becomes an answer, the headers that every answer bears, one log line per request. Must not
//! know: why anything failed. Invariants: every answer with an error status is a problem, also those that a library
//! would have written; each carries the id under which the log knows the request; causes stay in the log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use roundtable_protocol::{Code, Problem};
use roundtable_store::StoreError;
use tracing::Instrument;

/// The header that carries the request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The content type of problems.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem as a handler returns it.
#[derive(Clone, Debug)]
pub struct ApiError(Arc<Problem>);

impl ApiError {
    /// Returns the problem.
    pub fn problem(&self) -> &Problem {
        &self.0
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(Arc::new(problem))
    }
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        Problem::new(code).into()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store did not answer");
        store_problem(&error).into()
    }
}

/// Returns what callers are told about a store that does not answer.
pub fn store_problem(error: &StoreError) -> Problem {
    match error {
        StoreError::Full => Code::StorageFull.into(),
        StoreError::Unavailable(_) => Problem::new(Code::Unavailable).retry_after_ms(1000),
        StoreError::Trimmed { oldest } => roundtable_hub::trimmed(*oldest),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Makes the id of a request, runs it, logs it, and gives its answer the last touch.
pub async fn finish(request: Request, next: Next) -> Response {
    let id = roundtable_hub::clock::new_key().to_string();
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::debug_span!("request", request.id = %id, %method, %route);
    let started = Instant::now();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
    let _in_span = span.entered();
    let mut response = answer.unwrap_or_else(|_| {
        tracing::error!("a handler panicked; this is a bug");
        ApiError::from(Code::Internal).into_response()
    });
    if response.status().is_client_error() || response.status().is_server_error() {
        response = as_problem(response, &id, path);
    }
    tracing::debug!(
        status = response.status().as_u16(),
        duration_ms = started.elapsed().as_millis() as u64,
        "answered a request"
    );
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, HeaderValue::from_str(&id).expect("a UUID is a header value"));
    for (name, value) in SECURITY {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// What every answer says to browsers. No script and no style but from files of ours, nothing from elsewhere. `'self'`
/// covers `ws:` and `wss:` of the same host; pictures may also be made by the page itself, as previews are.
const SECURITY: [(&str, &str); 8] = [
    (
        "content-security-policy",
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; \
         font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; object-src 'none'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'; report-uri /api/csp-report",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "accelerometer=(), camera=(self), display-capture=(self), fullscreen=(self), geolocation=(), gyroscope=(), \
         magnetometer=(), microphone=(self), midi=(), payment=(), usb=()",
    ),
    ("x-permitted-cross-domain-policies", "none"),
];

fn as_problem(response: Response, id: &str, path: String) -> Response {
    let (mut parts, _) = response.into_parts();
    let mut problem = match parts.extensions.get::<ApiError>() {
        Some(error) => error.problem().clone(),
        None => Problem::new(code_of(parts.status)),
    };
    problem.request_id = Some(id.to_owned());
    problem.instance.get_or_insert(path);
    parts.status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(ms) = problem.retry_after_ms {
        parts.headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
    }
    if parts.status == StatusCode::UNAUTHORIZED {
        parts.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if parts.status == StatusCode::REQUEST_TIMEOUT {
        parts.headers.insert("connection", HeaderValue::from_static("close"));
    }
    let body = serde_json::to_vec(&problem).expect("problems serialise: string keys, no failing parts");
    Response::from_parts(parts, Body::from(body))
}

/// Returns the code for an answer that a library wrote.
fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => Code::RequestTimeout,
        StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        StatusCode::BAD_REQUEST => Code::MalformedJson,
        status if status.is_client_error() => Code::InvalidField,
        _ => Code::Internal,
    }
}
