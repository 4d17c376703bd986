//! A scripted assistant: an OpenAI-compatible endpoint that streams the pieces it is given, as fast as they come, in
//! answers of [`ANSWER`] pieces each.

use anyhow::{Context, Result};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How many pieces make an answer. 2,000 of 200 bytes stay below the 512 KiB at which our model driver ends an answer.
pub const ANSWER: u64 = 2_000;

/// The endpoint. Each call to it streams the next [`ANSWER`] of what [`Model::pieces`] is given.
#[derive(Clone)]
pub struct Model {
    pub address: SocketAddr,
    script: Rc<RefCell<Option<UnboundedReceiver<String>>>>,
}

impl Model {
    /// Listens on a port of its own.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let model = Self { address: listener.local_addr()?, script: Rc::default() };
        let shared = model.clone();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                // A caller that goes away in the middle ends its own call.
                tokio::task::spawn_local(async move { shared.serve(stream).await });
            }
        });
        Ok(model)
    }

    /// Returns where the pieces of the next answers go; dropped: the answer ends.
    pub fn pieces(&self) -> UnboundedSender<String> {
        let (sender, receiver) = unbounded_channel();
        *self.script.borrow_mut() = Some(receiver);
        sender
    }

    async fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        while let Some(length) = read_head(&mut stream).await? {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            let script = self.script.borrow_mut().take();
            match script {
                Some(mut script) => {
                    answer(&mut stream, &mut script).await?;
                    // Before the answer's end is written: the next call may follow at once.
                    *self.script.borrow_mut() = Some(script);
                    end(&mut stream).await?;
                }
                None => {
                    let list = r#"{"object":"list","data":[{"id":"scripted","object":"model"}]}"#;
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{list}",
                        list.len()
                    );
                    stream.write_all(head.as_bytes()).await?;
                }
            }
        }
        Ok(())
    }
}

/// Reads the head of a request; returns the length of its body, or `None` at the end of the connection.
async fn read_head(stream: &mut BufReader<TcpStream>) -> Result<Option<usize>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        match line.trim_end().to_ascii_lowercase().split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().context("a bad content-length")?,
            Some(_) => {}
            None if line.trim_end().is_empty() => return Ok(Some(length)),
            None => {}
        }
    }
}

async fn answer(stream: &mut BufReader<TcpStream>, script: &mut UnboundedReceiver<String>) -> Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let (mut waiting, mut left) = (Vec::new(), usize::try_from(ANSWER)?);
    while left > 0 {
        let taken = script.recv_many(&mut waiting, left.min(64)).await;
        if taken == 0 {
            break;
        }
        left -= taken;
        let mut out = String::new();
        for piece in waiting.drain(..) {
            chunk(&mut out, &event(&format!(r#"{{"content":"{piece}"}}"#), "null"));
        }
        stream.write_all(out.as_bytes()).await?;
    }
    Ok(())
}

async fn end(stream: &mut BufReader<TcpStream>) -> Result<()> {
    let mut end = String::new();
    chunk(&mut end, &event("{}", r#""stop""#));
    chunk(&mut end, "data: [DONE]\n\n");
    end.push_str("0\r\n\r\n");
    stream.write_all(end.as_bytes()).await?;
    Ok(())
}

fn event(delta: &str, finish: &str) -> String {
    format!(
        r#"data: {{"id":"load","object":"chat.completion.chunk","created":0,"model":"scripted","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
    ) + "\n\n"
}

fn chunk(out: &mut String, text: &str) {
    out.push_str(&format!("{:x}\r\n{text}\r\n", text.len()));
}
