//! The embedded page.
//!
//! Owns: files of `web/dist` and which address shows which. Must not know: what the page does. Invariant: addresses
//! below `/api` are never the page.

mod packed;

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use roundtable_protocol::Code;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::problem::ApiError;

/// Lets the service worker look after the whole page, wherever its file lies.
const SERVICE_WORKER_ALLOWED: HeaderName = HeaderName::from_static("service-worker-allowed");
/// The service worker.
const SERVICE_WORKER: &str = "sw.js";

/// The built page. A debug binary reads it from the disk, a release carries it inside.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Files;

/// Says that the page has not been built.
const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Roundtable</title><h1>Roundtable</h1>\
    <p>The server runs, but its page was not built into it. Build it with <code>make page</code>, or use the \
    <a href=/api/docs/>API</a>.</p>";

/// Answers whatever no route has: a file of the page, the page itself, or 404.
pub async fn serve(request: Request) -> Response {
    let path = request.uri().path();
    if path == "/api" || path.starts_with("/api/") {
        return ApiError::from(Code::NotFound).into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return ApiError::from(Code::MethodNotAllowed).into_response();
    }
    let name = path.trim_start_matches('/');
    // What the builder leaves for itself is not part of the page.
    let hidden = name.split('/').any(|part| part.starts_with('.'));
    if let Some(file) = Files::get(name).filter(|_| !name.is_empty() && !hidden && !name.ends_with(".html")) {
        return answer(name, &file.into(), request.headers()).await;
    }
    let Some(document) = document_of(path) else { return ApiError::from(Code::NotFound).into_response() };
    match Files::get(document) {
        Some(file) => answer(document, &file.into(), request.headers()).await,
        None if document == PAGE => {
            ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-cache")], NOT_BUILT).into_response()
        }
        None => ApiError::from(Code::NotFound).into_response(),
    }
}

/// A file of the page.
struct PageFile {
    data: Cow<'static, [u8]>,
    hash: [u8; 32],
}

impl From<EmbeddedFile> for PageFile {
    fn from(file: EmbeddedFile) -> Self {
        Self { hash: file.metadata.sha256_hash(), data: file.data }
    }
}

/// Returns whether the page is there.
pub fn is_built() -> bool {
    Files::get(PAGE).is_some()
}

/// The page.
const PAGE: &str = "index.html";
/// The stories of the page, which are only there when it was built with them.
const STORIES: &str = "stories.html";

/// Returns the document that makes something of an address.
fn document_of(path: &str) -> Option<&'static str> {
    match path {
        "/" | "/index.html" | "/join" | "/join/" | "/s" | "/settings" | "/settings/" => Some(PAGE),
        "/stories" | "/stories/" | "/stories.html" => Some(STORIES),
        path if path.starts_with("/s/") => Some(PAGE),
        _ => None,
    }
}

async fn answer(name: &str, file: &PageFile, headers: &HeaderMap) -> Response {
    // Names under assets/ hold a hash of the content: what is there never changes.
    let caching = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let tag = etag(&file.hash);
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = known.flat_map(|list| list.split(',')).any(|known| tag == known.trim());
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { body(name, file, headers).await };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    response.headers_mut().insert(ETAG, tag);
    if name == SERVICE_WORKER {
        response.headers_mut().insert(SERVICE_WORKER_ALLOWED, HeaderValue::from_static("/"));
    }
    response
}

/// Returns the file, packed when the caller takes that and it is worth it.
async fn body(name: &str, file: &PageFile, headers: &HeaderMap) -> Response {
    let content_type = content_type(name);
    let packable = packed::is_worth_it(content_type, file.data.len());
    let packed = if packable && takes_gzip(headers) { packed::of(file.hash, &file.data).await } else { None };
    let is_packed = packed.is_some();
    let bytes = packed.unwrap_or_else(|| match &file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::copy_from_slice(bytes),
    });
    let mut response = bytes.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if packable {
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if is_packed {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let wanted = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    wanted.flat_map(|list| list.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32)));
        is_gzip && !refused
    })
}

fn etag(hash: &[u8; 32]) -> HeaderValue {
    let hex: String = hash[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    // Weak, because compression changes the bytes.
    HeaderValue::from_str(&format!("W/\"{hex}\"")).expect("hexadecimal is header text")
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "jpg" | "jpeg" => "image/jpeg",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_its_own_addresses_and_no_others() {
        for path in ["/", "/join", "/s/abc", "/s/abc/timeline", "/settings"] {
            assert_eq!(document_of(path), Some(PAGE), "{path}");
        }
        assert_eq!(document_of("/stories"), Some(STORIES));
        for path in ["/api", "/api/v1/x", "/admin.php", "/sessions", "/joinx", "/settingsx", "/storiesx"] {
            assert_eq!(document_of(path), None, "{path}");
        }
    }

    #[test]
    fn a_caller_takes_gzip_when_it_says_so() {
        let takes = |value: &str| takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().expect(value))]));
        for value in ["gzip", "br, gzip", "deflate,GZIP;q=0.5", "gzip;q=1"] {
            assert!(takes(value), "{value}");
        }
        for value in ["br", "gzip;q=0", "gzip; q=0.0", "x-gzip", "*"] {
            assert!(!takes(value), "{value}");
        }
    }

    #[tokio::test]
    async fn a_file_is_packed_once_and_answered_with_all_that_caches_need() {
        let text = "let answer = 42;\n".repeat(500);
        let file = PageFile { data: Cow::Owned(text.clone().into_bytes()), hash: [7; 32] };
        let gzip = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let plain = answer("assets/a.js", &file, &HeaderMap::new()).await;
        let packed = answer("assets/a.js", &file, &gzip).await;
        for response in [&plain, &packed] {
            assert_eq!(response.headers()[VARY], "accept-encoding");
            assert_eq!(response.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
            assert_eq!(response.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
        }
        assert!(!plain.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(packed.headers()[CONTENT_ENCODING], "gzip");
        let tag = packed.headers()[ETAG].clone();
        let bytes = axum::body::to_bytes(packed.into_body(), usize::MAX).await.expect("a body");
        assert!(bytes.len() < text.len() / 10);
        let mut unpacked = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut unpacked).expect("gzip");
        assert_eq!(unpacked, text);
        let again = answer("assets/a.js", &file, &gzip).await;
        let second = axum::body::to_bytes(again.into_body(), usize::MAX).await.expect("a body");
        assert_eq!(second.as_ptr(), bytes.as_ptr(), "the bytes of the first time");
        let list = HeaderMap::from_iter([(
            IF_NONE_MATCH,
            format!("W/\"x\", {}", tag.to_str().expect("text")).parse().expect("a value"),
        )]);
        assert_eq!(answer("assets/a.js", &file, &list).await.status(), StatusCode::NOT_MODIFIED);
        let worker = answer(SERVICE_WORKER, &file, &gzip).await;
        assert_eq!(worker.headers()[SERVICE_WORKER_ALLOWED], "/");
        assert_eq!(worker.headers()[CACHE_CONTROL], "no-cache");
        let manifest = answer("manifest.webmanifest", &file, &gzip).await;
        assert_eq!(manifest.headers()[CONTENT_TYPE], "application/manifest+json");
    }
}
