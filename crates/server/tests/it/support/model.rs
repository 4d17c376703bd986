//! A model's endpoint that answers what the test tells it to, and remembers what it was asked.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::stream;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::soon;

/// The endpoint; stops when dropped.
pub struct Model {
    pub url: String,
    /// The body of each call.
    asked: mpsc::UnboundedReceiver<String>,
    /// Says that a held call was let go of by the other side.
    let_go: mpsc::UnboundedReceiver<()>,
    task: JoinHandle<()>,
}

struct Script {
    words: Vec<&'static str>,
    hold: bool,
    asked: mpsc::UnboundedSender<String>,
    let_go: Mutex<mpsc::UnboundedSender<()>>,
}

impl Model {
    /// Starts an endpoint that answers with `words`; `hold`: it never ends its answer.
    pub async fn start(words: &[&'static str], hold: bool) -> Self {
        let (tell_asked, asked) = mpsc::unbounded_channel();
        let (tell_let_go, let_go) = mpsc::unbounded_channel();
        let script = Script { words: words.to_vec(), hold, asked: tell_asked, let_go: Mutex::new(tell_let_go) };
        let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(Arc::new(script));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { url, asked, let_go, task }
    }

    /// Waits for the next call and returns its body.
    pub async fn asked(&mut self) -> String {
        soon("a call of the model", self.asked.recv()).await.expect("a call")
    }

    /// Returns whether there was no call besides those that were waited for.
    pub fn was_not_asked(&mut self) -> bool {
        self.asked.try_recv().is_err()
    }

    /// Waits until the other side has let go of a held call.
    pub async fn let_go(&mut self) {
        soon("the end of a held call", self.let_go.recv()).await.expect("the end");
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Tells when the answer's body is dropped.
struct Held(mpsc::UnboundedSender<()>);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

async fn answer(State(script): State<Arc<Script>>, body: Bytes) -> Response {
    script.asked.send(String::from_utf8(body.to_vec()).expect("UTF-8")).expect("the test listens");
    let mut parts: Vec<String> = script
        .words
        .iter()
        .map(|word| json!({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": null}]}).to_string())
        .collect();
    if !script.hold {
        parts.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).to_string());
        parts.push(
            json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}})
                .to_string(),
        );
        parts.push("[DONE]".to_owned());
    }
    let held = script.hold.then_some(Held(script.let_go.lock().await.clone()));
    let parts = stream::unfold((parts.into_iter(), held), |(mut parts, held)| async move {
        match parts.next() {
            Some(part) => Some((Ok::<_, Infallible>(Bytes::from(format!("data: {part}\n\n"))), (parts, held))),
            None if held.is_some() => std::future::pending().await,
            None => None,
        }
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(parts)).into_response()
}
