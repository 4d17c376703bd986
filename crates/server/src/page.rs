//! The embedded page.
//!
//! Owns: files of `web/dist` and which address shows which. Must not know: what the page does. Invariant: addresses
//! below `/api` are never the page.

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use roundtable_protocol::Code;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::problem::ApiError;

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
    if let Some(file) = Files::get(name).filter(|_| !name.is_empty() && name != "index.html") {
        return answer(name, &file, request.headers());
    }
    if !is_view(path) {
        return ApiError::from(Code::NotFound).into_response();
    }
    match Files::get("index.html") {
        Some(file) => answer("index.html", &file, request.headers()),
        None => ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-cache")], NOT_BUILT).into_response(),
    }
}

/// Returns whether the page itself makes something of the address.
fn is_view(path: &str) -> bool {
    matches!(path, "/" | "/index.html" | "/join" | "/join/" | "/s") || path.starts_with("/s/")
}

fn answer(name: &str, file: &EmbeddedFile, headers: &HeaderMap) -> Response {
    // Names under assets/ hold a hash of the content: what is there never changes.
    let caching = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let tag = etag(&file.metadata.sha256_hash());
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| *known == tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = file.data.to_vec().into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
        response
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    response.headers_mut().insert(ETAG, tag);
    response
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
        for path in ["/", "/join", "/s/abc", "/s/abc/timeline"] {
            assert!(is_view(path), "{path}");
        }
        for path in ["/api", "/api/v1/x", "/admin.php", "/sessions", "/joinx"] {
            assert!(!is_view(path), "{path}");
        }
    }
}
