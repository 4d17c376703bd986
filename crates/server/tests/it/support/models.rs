//! A stand-in for model servers of every kind, which remembers who asked for what with which key.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    Ollama,
    OpenAi,
    Anthropic,
}

/// The server; stops when dropped.
pub struct Models {
    pub port: u16,
    calls: Arc<Mutex<Vec<Call>>>,
    task: JoinHandle<()>,
}

/// A call that came in.
#[derive(Clone, Debug)]
pub struct Call {
    pub path: String,
    pub key: Option<String>,
}

#[derive(Clone)]
struct Stand {
    speaks: Speaks,
    key: Option<&'static str>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Models {
    /// Starts on a free port; with a `key`, calls without it are refused.
    pub async fn start(speaks: Speaks, key: Option<&'static str>) -> Self {
        let calls = Arc::new(Mutex::default());
        let stand = Stand { speaks, key, calls: Arc::clone(&calls) };
        let router = Router::new().fallback(answer).with_state(stand);
        // On every address, so that a test can call it by one that is not loopback.
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { port, calls, task }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the calls since the last time.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().expect("not poisoned"))
    }
}

impl Drop for Models {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(stand): State<Stand>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let key = header("x-api-key").or(bearer).map(str::to_owned);
    stand.calls.lock().expect("not poisoned").push(Call { path: path.clone(), key: key.clone() });
    if stand.key.is_some_and(|wanted| key.as_deref() != Some(wanted)) {
        return (StatusCode::UNAUTHORIZED, r#"{"error":{"message":"no such key"}}"#).into_response();
    }
    let body = match (stand.speaks, path.as_str()) {
        (Speaks::Ollama, "/api/version") => json!({"version": "0.12.0"}).to_string(),
        (Speaks::Ollama, "/api/tags") => {
            json!({"models": [{"name": "llama3.2:latest"}, {"name": "qwen3:4b"}]}).to_string()
        }
        (Speaks::Ollama, "/api/show") => json!({"model_info": {"llama.context_length": 4096}}).to_string(),
        (Speaks::Ollama, "/api/chat") => lines(),
        (Speaks::OpenAi, "/v1/models") | (Speaks::Anthropic, "/v1/models") => {
            json!({"data": [{"id": "big-model"}, {"id": "small-model"}]}).to_string()
        }
        (Speaks::OpenAi, "/v1/chat/completions") => completions(),
        (Speaks::Anthropic, "/v1/messages") => messages(),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    body.into_response()
}

fn lines() -> String {
    let line = |text: &str| json!({"message": {"role": "assistant", "content": text}, "done": false});
    let end = json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop",
        "prompt_eval_count": 7, "eval_count": 3});
    format!("{}\n{}\n{end}\n", line("Hello "), line("there."))
}

fn completions() -> String {
    let piece = |text: &str| json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}});
    events(&[piece("Hello "), piece("there."), end, usage]) + "data: [DONE]\n\n"
}

fn messages() -> String {
    let piece =
        |text: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
    events(&[
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        piece("Hello "),
        piece("there."),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ])
}

fn events(all: &[Value]) -> String {
    let name = |event: &Value| event["type"].as_str().map(|kind| format!("event: {kind}\n")).unwrap_or_default();
    all.iter().map(|event| format!("{}data: {event}\n\n", name(event))).collect()
}
