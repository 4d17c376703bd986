//! A reader of Server-Sent Events.

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;

use super::{Person, soon};

/// One event of an event stream.
#[derive(Debug)]
pub struct Sent {
    pub id: Option<String>,
    pub kind: String,
    pub data: Value,
}

/// A reader of an event stream.
pub struct Reader {
    body: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Reader {
    pub async fn open(person: &Person, session: &str, streams: &str, last: Option<&str>) -> Self {
        Self::of(person, &format!("/sessions/{session}/live?streams={streams}"), last).await
    }

    pub async fn of(person: &Person, path: &str, last: Option<&str>) -> Self {
        let http = reqwest::Client::new();
        let url = format!("{}/api/v1{path}", person.base);
        let mut call = http.request(Method::GET, url).bearer_auth(person.token());
        if let Some(last) = last {
            call = call.header("last-event-id", last);
        }
        let response = soon("an event stream", call.send()).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.bytes_stream().boxed(), text: String::new() }
    }

    /// Returns the next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
                let (Some(kind), Some(data)) = (field("event: "), field("data: ")) else { continue };
                return Some(Sent { id: field("id: "), kind, data: serde_json::from_str(&data).expect("JSON") });
            }
            let part = soon("an event", self.body.next()).await?.ok()?;
            self.text.push_str(std::str::from_utf8(&part).expect("UTF-8"));
        }
    }

    pub async fn until(&mut self, kind: &str) -> Sent {
        loop {
            let sent = self.next().await.unwrap_or_else(|| panic!("the stream ended before {kind}"));
            if sent.kind == kind {
                return sent;
            }
        }
    }
}
