//! A fresh server: how soon it serves the page, how much memory it holds, how large it is.

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::Bench;
use super::http::Http;
use super::server::Server;

/// How often the server is started.
const STARTS: usize = 5;

/// What a fresh server takes.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// From the start of the process to the last byte of the page. Median, milliseconds.
    pub page_ms: f64,
    /// Memory after the page was served and things have calmed down. Unit: bytes.
    pub memory: u64,
    /// The binary. Unit: bytes.
    pub binary: u64,
}

/// Starts the server on an empty folder again and again.
pub async fn measure(bench: &Bench) -> Result<Figures> {
    let mut took = Vec::new();
    let mut memory = 0;
    for _ in 0..STARTS {
        let server = Server::start(&bench.binary, bench.work.path(), &[]).await?;
        let (status, page) = Http::connect(server.address()).await?.call("GET", "/", None, None, None).await?;
        took.push(server.process.started.elapsed().as_secs_f64() * 1e3);
        ensure!(status == 200 && !page.is_empty(), "the page was answered {status} with {} bytes", page.len());
        sleep(bench.options.settle()).await;
        memory = memory.max(server.process.memory()?);
        server.process.stop().await?;
    }
    took.sort_by(f64::total_cmp);
    Ok(Figures { page_ms: took[STARTS / 2], memory, binary: std::fs::metadata(&bench.binary)?.len() })
}
