//! About the server itself: health, the page of problems.

use std::fmt::Write;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use roundtable_protocol::{Code, Problem};

use crate::problem::{ApiError, store_problem};
use crate::state::App;

/// How long the store may take to answer before the server counts as not ready.
const STORE_ANSWERS: Duration = Duration::from_secs(2);

/// Says that the process is up.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Says whether requests can be served: the store answers, and the server is not going away.
pub async fn readyz(State(app): State<App>) -> Result<&'static str, ApiError> {
    if app.closing.is_cancelled() {
        return Err(Code::ShuttingDown.into());
    }
    match tokio::time::timeout(STORE_ANSWERS, app.store.totals()).await {
        Ok(Ok(_)) => Ok("ready\n"),
        Ok(Err(error)) => Err(store_problem(&error).into()),
        Err(_) => Err(Problem::new(Code::Unavailable).with_detail("the store does not answer").into()),
    }
}

/// Shows every code with its status and what to do.
pub async fn problems() -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], page()).into_response()
}

fn page() -> String {
    let mut html = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Problems - Roundtable</title><h1>Problems</h1><p>What the <code>code</code> of an error means. \
         Retryable: the same call may succeed later.</p>",
    );
    for code in Code::ALL {
        // Writing to a string cannot fail.
        let _ = write!(
            html,
            "<h2 id={name}><code>{name}</code></h2><p>{title}. HTTP status {status}, {retry}.<p>{fix}",
            name = code.name(),
            title = escaped(code.title()),
            status = code.status(),
            retry = if code.retryable() { "retryable" } else { "not retryable" },
            fix = escaped(code.fix()),
        );
    }
    html.push_str("</html>\n");
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns `docs/problems.md`.
pub fn document() -> String {
    let mut text = String::from(
        "# Problems\n\nEvery error, over REST and WebSocket alike, has one shape (RFC 9457) and a `code` from this list.\n\
         The server shows the same list at `/api/problems`. This page is made from `crates/protocol/src/problem.rs`; a \
         test holds the two together.\n\n| code | status | retry | what happened | who can mend it and how |\n\
         |---|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let retry = if code.retryable() { "yes" } else { "no" };
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "| `{}` | {} | {retry} | {} | {} |", code.name(), code.status(), code.title(), code.fix());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_anchor() {
        let page = page();
        for code in Code::ALL {
            assert!(page.contains(&format!("<h2 id={}>", code.name())), "{}", code.name());
        }
    }

    #[test]
    fn the_page_about_problems_is_current() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/problems.md");
        let expected = document();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &expected).expect("the page is written");
        }
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(page == expected, "docs/problems.md is not current: run this test with UPDATE_EXPECT=1");
    }
}
