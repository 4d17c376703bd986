//! `/metrics`: the server's figures in the text format of Prometheus.
//!
//! Owns: which figures there are, the calls of models, how all of it is written. Must not know: what is done about them.
//! Invariants: a figure holds no id, no name, no text and no address; every figure stands in [`FIGURES`], from which
//! `docs/metrics.md` is made, and a test holds the list, the page and the answer together.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use roundtable_hub::metrics::{BOUNDS_US, Histogram};
use roundtable_protocol::model::Usage;
use roundtable_protocol::{Code, Problem, Timestamp};
use roundtable_store::Totals;

use crate::auth::Token;
use crate::limits::lock;
use crate::origin::{Arrival, Ends, is_of_this_machine};
use crate::problem::ApiError;
use crate::state::App;

/// The content type of the format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Name, kind, what it says.
pub const FIGURES: &[(&str, &str, &str)] = &[
    ("roundtable_build_info", "gauge", "1, with the version as label."),
    ("roundtable_start_time_seconds", "gauge", "When the process started, in seconds since 1970."),
    ("roundtable_connections", "gauge", "Open connections, those of WebSockets included."),
    ("roundtable_sockets", "gauge", "Open WebSockets and event streams."),
    ("roundtable_people_online", "gauge", "Participants who are connected, over all sessions."),
    ("roundtable_sessions", "gauge", "Sessions by state: all of them, and those that are active or paused (live)."),
    ("roundtable_sessions_loaded", "gauge", "Sessions that are in memory."),
    ("roundtable_events_stored", "gauge", "Events on the disk."),
    ("roundtable_events_appended_total", "counter", "Events that were written since the start."),
    ("roundtable_commits_total", "counter", "Commits that were written since the start."),
    ("roundtable_append_failures_total", "counter", "Appends that the store refused, or whose outcome was not known."),
    (
        "roundtable_append_seconds",
        "histogram",
        "From handing a commit to the store until it is on the disk or refused.",
    ),
    (
        "roundtable_fanout_seconds",
        "histogram",
        "From a commit being on the disk until its events were handed to the readers' sockets, or wait for the next flush.",
    ),
    (
        "roundtable_queue_length",
        "gauge",
        "What waits: before the sessions (inbox), before the disk (store), before the assistants (turns).",
    ),
    ("roundtable_room_panics_total", "counter", "Sessions that broke and were loaded anew: each is a bug."),
    ("roundtable_turns_running", "gauge", "Answers that are being made."),
    (
        "roundtable_model_calls_total",
        "counter",
        "Answers that ended, by provider and outcome: completed, stopped, lost, or the code of the failure.",
    ),
    (
        "roundtable_model_tokens_total",
        "counter",
        "Tokens by provider and kind: input (read anew), cache_read, cache_write, output (reasoning included), reasoning.",
    ),
    ("roundtable_csp_reports_total", "counter", "Reports of browsers that refused something in the page."),
];

/// What became of the models' calls. Answers are rare beside events, so a lock is cheap enough.
#[derive(Debug, Default)]
pub struct ModelCalls {
    running: AtomicUsize,
    calls: Mutex<BTreeMap<(&'static str, String), u64>>,
    tokens: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

/// A call that is being made; counted as running until dropped.
#[derive(Debug)]
pub struct Running<'a>(&'a ModelCalls);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ModelCalls {
    /// Counts a call as running.
    pub fn begin(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(self)
    }

    /// Notes how a call ended and what it used.
    pub fn ended(&self, provider: &'static str, outcome: &str, usage: &Usage) {
        *lock(&self.calls).entry((provider, outcome.to_owned())).or_default() += 1;
        let mut tokens = lock(&self.tokens);
        for (kind, count) in [
            ("input", usage.input_uncached),
            ("cache_read", usage.cache_read),
            ("cache_write", usage.cache_write),
            ("output", usage.output),
            ("reasoning", usage.reasoning),
        ] {
            *tokens.entry((provider, kind)).or_default() += count;
        }
    }
}

/// Shows the figures to callers on this machine, and to those who know `metrics.token`.
pub async fn metrics(
    State(app): State<App>,
    Extension(arrival): Extension<Arrival>,
    Extension(ends): Extension<Ends>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !may_read(&app, &arrival, ends, &headers) {
        let detail = "figures are for callers on the server's machine, or with the bearer that metrics.token sets";
        return Err(Problem::new(Code::NotLoggedIn).with_detail(detail).into());
    }
    let totals = app.store.totals().await?;
    Ok(([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, "no-store")], text(&app, totals)).into_response())
}

fn may_read(app: &App, arrival: &Arrival, ends: Ends, headers: &HeaderMap) -> bool {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(|token| Token::sent(token.trim()));
    let wanted = &app.settings.metrics.token;
    // Hashes are compared, so that the time it takes says nothing about the token.
    let known = token.is_some_and(|token| !wanted.is_empty() && token.hash() == Token::sent(wanted.expose()).hash());
    known || is_of_this_machine(arrival, ends, headers)
}

fn text(app: &App, totals: Totals) -> String {
    let stats = app.manager.stats();
    let hub = app.manager.metrics();
    let mut page = Page::default();
    page.one("roundtable_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.one("roundtable_start_time_seconds", &[], app.started_at.as_second().unsigned_abs());
    page.one("roundtable_connections", &[], app.connections.len() as u64);
    page.one("roundtable_sockets", &[], app.sockets.count() as u64);
    page.one("roundtable_people_online", &[], stats.users_in_sessions as u64);
    page.one("roundtable_sessions", &[("state", "all")], totals.sessions);
    page.one("roundtable_sessions", &[("state", "live")], totals.active_sessions);
    page.one("roundtable_sessions_loaded", &[], stats.rooms as u64);
    page.one("roundtable_events_stored", &[], totals.events);
    page.one("roundtable_events_appended_total", &[], hub.events.get());
    page.one("roundtable_commits_total", &[], hub.commits.get());
    page.one("roundtable_append_failures_total", &[], hub.append_failures.get());
    page.histogram("roundtable_append_seconds", &hub.append);
    page.histogram("roundtable_fanout_seconds", &hub.fanout);
    page.one("roundtable_queue_length", &[("queue", "inbox")], stats.inputs_waiting as u64);
    page.one("roundtable_queue_length", &[("queue", "store")], app.store.waiting() as u64);
    page.one("roundtable_queue_length", &[("queue", "turns")], stats.turns_waiting as u64);
    page.one("roundtable_room_panics_total", &[], stats.panics as u64);
    page.one("roundtable_turns_running", &[], app.calls.running.load(Ordering::Relaxed) as u64);
    page.head("roundtable_model_calls_total");
    for ((provider, outcome), count) in lock(&app.calls.calls).iter() {
        page.one("roundtable_model_calls_total", &[("provider", provider), ("outcome", outcome)], *count);
    }
    page.head("roundtable_model_tokens_total");
    for ((provider, kind), count) in lock(&app.calls.tokens).iter() {
        page.one("roundtable_model_tokens_total", &[("provider", provider), ("kind", kind)], *count);
    }
    page.one("roundtable_csp_reports_total", &[], app.reports.total());
    page.text
}

/// The answer while it is written.
#[derive(Default)]
struct Page {
    text: String,
    last: &'static str,
}

// Writing to a string cannot fail.
impl Page {
    fn head(&mut self, name: &'static str) {
        if self.last != name {
            let (_, kind, help) = FIGURES.iter().find(|(known, ..)| *known == name).expect("every figure is listed");
            let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            self.last = name;
        }
    }

    fn one(&mut self, name: &'static str, labels: &[(&str, &str)], value: u64) {
        self.head(name);
        let _ = self.text.write_str(name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"{value}\"", if n == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn histogram(&mut self, name: &'static str, histogram: &Histogram) {
        self.head(name);
        let (below, total, sum_us) = histogram.read();
        for (bound, count) in BOUNDS_US.iter().zip(below) {
            let _ = writeln!(self.text, "{name}_bucket{{le=\"{}\"}} {count}", *bound as f64 / 1e6);
        }
        let sum = sum_us as f64 / 1e6;
        let _ = write!(self.text, "{name}_bucket{{le=\"+Inf\"}} {total}\n{name}_sum {sum}\n{name}_count {total}\n");
    }
}

/// Returns when this process started, as far as the figures are concerned.
pub fn started_at() -> Timestamp {
    roundtable_hub::clock::now()
}

/// Returns `docs/metrics.md`.
pub fn document() -> String {
    let mut text = String::from(HEAD);
    for (name, kind, help) in FIGURES {
        let _ = writeln!(text, "| `{name}` | {kind} | {help} |");
    }
    text.push_str(TAIL);
    text
}

const HEAD: &str = "# Figures

`GET /metrics` shows the server's figures in the text format of Prometheus. They hold no ids, names, texts or addresses.

Who may read them: callers on the server's own machine, and whoever sends `Authorization: Bearer` with the value of the
setting `metrics.token`. A caller counts as one on this machine when it connects from loopback, calls the server by a
loopback name, and no proxy has forwarded it. A scraper on another machine must call the server by a name that it answers
to (see `allowed_hosts`):

```yaml
scrape_configs:
  - job_name: roundtable
    authorization: { credentials: \"the value of metrics.token\" }
    static_configs: [{ targets: [\"roundtable.lan:8080\"] }]
```

| figure | kind | says |
|---|---|---|
";

const TAIL: &str = "
What to watch: `roundtable_append_seconds` is what everybody waits for when they say something; `roundtable_queue_length` of
`store` or `inbox` that stays above zero means that the disk does not keep up; `roundtable_room_panics_total` and
`roundtable_csp_reports_total` should stay at zero.

This page is made from the list in `crates/server/src/metrics.rs`; a test holds the two together.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_values_are_written_as_the_format_asks() {
        let mut page = Page::default();
        page.one("roundtable_queue_length", &[("queue", "inbox")], 3);
        page.one("roundtable_queue_length", &[("queue", "store")], 0);
        page.one("roundtable_commits_total", &[], 7);
        let lines: Vec<&str> = page.text.lines().filter(|line| !line.starts_with("# HELP")).collect();
        assert_eq!(
            lines,
            [
                "# TYPE roundtable_queue_length gauge",
                "roundtable_queue_length{queue=\"inbox\"} 3",
                "roundtable_queue_length{queue=\"store\"} 0",
                "# TYPE roundtable_commits_total counter",
                "roundtable_commits_total 7",
            ]
        );
    }

    #[test]
    fn the_page_about_figures_is_current() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        let expected = document();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &expected).expect("the page is written");
        }
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(page == expected, "docs/metrics.md is not current: run this test with UPDATE_EXPECT=1");
    }
}
