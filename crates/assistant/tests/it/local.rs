//! The rules of looking for model servers on this machine.

use std::net::SocketAddr;
use std::time::Duration;

use roundtable_assistant::Provider;
use roundtable_assistant::model::look_around;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Long enough for a busy machine that answers.
const PATIENT: Duration = Duration::from_secs(20);

/// Answers each path with its body, everything else with 404.
async fn serve(routes: &'static [(&'static str, &'static str)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.expect("accepts");
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
                    if socket.read_buf(&mut bytes).await.unwrap_or_default() == 0 {
                        return;
                    }
                }
                let head = String::from_utf8_lossy(&bytes).into_owned();
                assert!(!head.to_lowercase().contains("authorization"), "nothing secret is sent: {head}");
                let found = routes.iter().find(|(path, _)| head.starts_with(&format!("GET {path} ")));
                let (status, body) = found.map_or(("404 Not Found", "{}"), |(_, body)| ("200 OK", *body));
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
                // The other side may have lost its patience.
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn servers_are_told_apart_by_what_they_answer() {
    let ollama = serve(&[
        ("/api/version", r#"{"version":"0.12.0"}"#),
        ("/api/tags", r#"{"models":[{"name":"llama3.2:latest"}]}"#),
        ("/v1/models", r#"{"data":[{"id":"llama3.2:latest","owned_by":"library"}]}"#),
    ])
    .await;
    let llama_cpp = serve(&[
        ("/api/tags", r#"{"models":[{"name":"gemma.gguf"}]}"#),
        ("/v1/models", r#"{"data":[{"id":"gemma.gguf","owned_by":"llamacpp"}]}"#),
    ])
    .await;
    let other = serve(&[("/v1/models", r#"{"data":[{"id":"a"},{"id":"b"}]}"#)]).await;
    let page = serve(&[("/v1/models", "<html>a page</html>"), ("/api/tags", r#"{"models":[]}"#)]).await;
    let found = look_around(&[ollama, llama_cpp, page, other], PATIENT).await;
    let shown: Vec<_> = found.iter().map(|server| (server.address, server.provider, server.label)).collect();
    assert_eq!(
        shown,
        [
            (ollama, Provider::Ollama, "Ollama"),
            (llama_cpp, Provider::OpenAiCompatible, "llama.cpp"),
            (other, Provider::OpenAiCompatible, "Model server"),
        ]
    );
    assert_eq!(found[0].models, ["llama3.2:latest"]);
    assert_eq!(
        (found[0].base_url.as_str(), found[2].base_url.as_str()),
        (format!("http://{ollama}").as_str(), format!("http://{other}/v1").as_str())
    );
}

#[tokio::test]
async fn who_says_nothing_costs_the_patience_once_and_the_others_are_found() {
    let silent: Vec<TcpListener> = {
        let mut all = Vec::new();
        for _ in 0..20 {
            all.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
        }
        all
    };
    let addresses: Vec<SocketAddr> = silent.iter().map(|listener| listener.local_addr().expect("bound")).collect();
    let started = std::time::Instant::now();
    assert_eq!(look_around(&addresses, Duration::from_millis(300)).await, []);
    assert!(started.elapsed() < Duration::from_secs(5), "one after the other: {:?}", started.elapsed());
}

#[tokio::test]
async fn nothing_but_loopback_is_asked() {
    let elsewhere: Vec<SocketAddr> = ["192.0.2.1:11434", "0.0.0.0:11434"].iter().map(|a| a.parse().expect(a)).collect();
    let started = std::time::Instant::now();
    assert_eq!(look_around(&elsewhere, PATIENT).await, []);
    assert!(started.elapsed() < PATIENT / 2);
}
