//! A scripted endpoint: one script per request, in order, one request per connection.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What the endpoint does with one request.
#[derive(Clone, Debug)]
pub struct Script {
    head: String,
    chunks: Vec<String>,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Closes the chunked body properly.
    Proper,
    /// Closes the socket in the middle of the chunked body.
    Cut,
    /// Keeps the connection open and silent until the other side closes it.
    Silence,
}

impl Script {
    /// Streams `events` as server-sent events, then ends the body.
    pub fn stream(events: Vec<String>) -> Self {
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
        Self {
            head,
            chunks: events.into_iter().map(|data| format!("data: {data}\n\n")).collect(),
            ending: Ending::Proper,
        }
    }

    /// Streams an answer with usage, as the documentation of the API shows it.
    pub fn answer(words: &[&str]) -> Self {
        let mut events: Vec<String> = words.iter().map(|word| delta(word)).collect();
        events.push(finish("stop"));
        events.push(
            json!({"choices": [], "usage": {
                "prompt_tokens": 100, "completion_tokens": 14, "total_tokens": 114,
                "prompt_tokens_details": {"cached_tokens": 60},
                "completion_tokens_details": {"reasoning_tokens": 5},
            }})
            .to_string(),
        );
        events.push("[DONE]".to_owned());
        Self::stream(events)
    }

    /// Streams an answer as Anthropic's documentation shows it: 30 tokens in, 60 more out of a cache, 10 into it.
    pub fn messages(words: &[&str], stop_reason: &str) -> Self {
        let mut events = vec![message_start()];
        events.push(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}));
        events.push(json!({"type": "ping"}));
        events.extend(words.iter().map(|word| text_delta(word)));
        events.push(json!({"type": "content_block_stop", "index": 0}));
        events.push(json!({
            "type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": null},
            "usage": {"output_tokens": 14},
        }));
        events.push(json!({"type": "message_stop"}));
        Self::messages_of(events)
    }

    /// Streams events of Anthropic's shape, each under its name.
    pub fn messages_of(events: Vec<Value>) -> Self {
        let chunk = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().expect("a type"));
        Self { chunks: events.into_iter().map(chunk).collect(), ..Self::stream(Vec::new()) }
    }

    /// Streams an answer as Ollama does, one JSON object a line: 100 tokens in, 14 out.
    pub fn lines(words: &[&str], done_reason: &str) -> Self {
        let mut lines: Vec<Value> = words.iter().map(|word| line(word)).collect();
        lines.push(json!({
            "model": "m", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": done_reason,
            "total_duration": 1, "prompt_eval_count": 100, "eval_count": 14,
        }));
        Self::lines_of(lines)
    }

    /// Streams lines of JSON.
    pub fn lines_of(lines: Vec<Value>) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunks = lines.into_iter().map(|line| format!("{line}\n")).collect();
        Self { head: head.to_owned(), chunks, ending: Ending::Proper }
    }

    /// Cuts the connection after the events.
    pub fn then_cut(self) -> Self {
        Self { ending: Ending::Cut, ..self }
    }

    /// Says nothing after the events until the other side closes.
    pub fn then_silence(self) -> Self {
        Self { ending: Ending::Silence, ..self }
    }

    /// Answers with a status, headers (each with its line end) and a body.
    pub fn status(status: &str, headers: &str, body: &str) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        Self { head, chunks: Vec::new(), ending: Ending::Cut }
    }
}

/// One event with a piece of the answer.
pub fn delta(text: &str) -> String {
    json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}).to_string()
}

/// The event that says why the answer ends.
pub fn finish(reason: &str) -> String {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}).to_string()
}

/// The event that begins an answer of Anthropic's.
pub fn message_start() -> Value {
    json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m",
        "usage": {"input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10, "output_tokens": 1},
    }})
}

/// A piece of an answer of Anthropic's.
pub fn text_delta(text: &str) -> Value {
    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
}

/// A piece of an answer of Ollama's.
pub fn line(text: &str) -> Value {
    json!({"model": "m", "message": {"role": "assistant", "content": text}, "done": false})
}

/// What the endpoint saw.
#[derive(Debug)]
pub enum Seen {
    /// A request, with its head in lower case and its body.
    Request(String, Value),
    /// The other side closed the connection while it was held in silence.
    Closed,
}

/// The endpoint; stops when dropped.
pub struct Endpoint {
    /// The base URL without `/v1`.
    pub origin: String,
    /// What was seen, in order.
    pub seen: mpsc::UnboundedReceiver<Seen>,
    task: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Endpoint {
    /// Starts on a free port; connections beyond the scripts are closed without an answer.
    pub async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("bound"));
        let (tell, seen) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut scripts = scripts.into_iter();
            loop {
                let (socket, _) = listener.accept().await.expect("accepts");
                tokio::spawn(serve(socket, scripts.next(), tell.clone()));
            }
        });
        Self { origin, seen, task }
    }

    /// Returns the next request's head and body.
    pub async fn request(&mut self) -> (String, Value) {
        match self.next().await {
            Seen::Request(head, body) => (head, body),
            other => panic!("expected a request, saw {other:?}"),
        }
    }

    /// Waits until the other side has closed a silent connection.
    pub async fn closed(&mut self) {
        assert!(matches!(self.next().await, Seen::Closed));
    }

    /// Returns how many requests came that nobody asked about yet.
    pub fn further_requests(&mut self) -> usize {
        let mut count = 0;
        while let Ok(seen) = self.seen.try_recv() {
            count += usize::from(matches!(seen, Seen::Request(..)));
        }
        count
    }

    async fn next(&mut self) -> Seen {
        let next = tokio::time::timeout(Duration::from_secs(20), self.seen.recv());
        next.await.expect("the endpoint sees something in time").expect("the endpoint runs")
    }
}

async fn serve(mut socket: TcpStream, script: Option<Script>, tell: mpsc::UnboundedSender<Seen>) {
    let Some((head, body)) = read_request(&mut socket).await else { return };
    // The receiver is gone once the test is over.
    let _ = tell.send(Seen::Request(head, body));
    let Some(script) = script else { return };
    if write_all(&mut socket, &script).await.is_err() {
        return;
    }
    match script.ending {
        Ending::Proper => {
            let _ = socket.write_all(b"0\r\n\r\n").await;
        }
        Ending::Cut => {}
        Ending::Silence => {
            // Zero bytes or a reset: gone either way.
            let _ = socket.read(&mut [0; 1]).await;
            let _ = tell.send(Seen::Closed);
        }
    }
}

async fn write_all(socket: &mut TcpStream, script: &Script) -> std::io::Result<()> {
    socket.write_all(script.head.as_bytes()).await?;
    for chunk in &script.chunks {
        socket.write_all(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes()).await?;
        socket.flush().await?;
    }
    Ok(())
}

async fn read_request(socket: &mut TcpStream) -> Option<(String, Value)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().expect("a number"));
    while bytes.len() < end + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[end..end + length]).unwrap_or(Value::Null);
    Some((head, body))
}
