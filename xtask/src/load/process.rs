//! A server under load: started, watched through the kernel's accounting, ended.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a server may take until it says where it listens.
const START: Duration = Duration::from_secs(30);
/// How long a server may take to end when asked to.
const STOP: Duration = Duration::from_secs(30);
/// What every server prints before its address.
const LISTENING: &str = "listening on http://";

/// A running server. Dropped: killed.
pub struct Process {
    child: Child,
    pid: u32,
    log: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// When it was started.
    pub started: Instant,
}

impl Process {
    /// Starts `command` and waits until it says where it listens; what it logs goes to the file `log`.
    pub async fn start(mut command: Command, log: &Path) -> Result<Self> {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {:?}", command.as_std().get_program()))?;
        let pid = child.id().context("the server ended at once")?;
        let mut lines = BufReader::new(child.stdout.take().context("the server has no standard output")?).lines();
        let address = async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, address)) = line.split_once(LISTENING) {
                    return address.trim().trim_end_matches('/').parse().context("the address cannot be read");
                }
            }
            bail!("the server ended without saying where it listens")
        };
        let address = match timeout(START, address).await.context("the server says nothing").flatten() {
            Ok(address) => address,
            Err(error) => return Err(error.context(tail(log))),
        };
        // A full pipe would stop the server.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, pid, log: log.to_owned(), address, started })
    }

    /// Returns how long the server's threads have been on a processor, as the kernel counts it. Unit: nanoseconds.
    pub fn cpu(&self) -> Result<Cpu> {
        let mut threads = Vec::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.pid)).with_context(|| tail(&self.log))? {
            let entry = entry?;
            let id = entry.file_name().to_string_lossy().parse().unwrap_or(0);
            // A thread may end between listing and reading.
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
            let on_cpu = text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            threads.push((id, on_cpu));
        }
        Ok(Cpu { threads, whole: self.whole_cpu()? })
    }

    /// Returns the processor time of all threads, those that have ended too, in steps of 10 ms.
    fn whole_cpu(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks * 10_000_000)
    }

    /// Returns how much memory the server holds. Unit: bytes.
    pub fn memory(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).with_context(|| tail(&self.log))?;
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).context("the kernel does not say VmRSS")?;
        let kilobytes: u64 = line.split_whitespace().nth(1).context("VmRSS has no value")?.parse()?;
        Ok(kilobytes * 1024)
    }

    /// Asks the server to end and waits for that.
    pub async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("the server has no process id")?;
        kill_process(pid, Signal::TERM).with_context(|| tail(&self.log))?;
        if timeout(STOP, self.child.wait()).await.is_err() {
            bail!("the server does not end within {STOP:?}; {}", tail(&self.log));
        }
        Ok(())
    }

    /// Returns the end of what the server logged, for an error message.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

/// The processor time of a server at one moment.
pub struct Cpu {
    threads: Vec<(u64, u64)>,
    whole: u64,
}

impl Cpu {
    /// Returns the time since `before`: exact while no thread has ended in between, else in steps of 10 ms.
    pub fn since(&self, before: &Self) -> u64 {
        let then = |id: u64| before.threads.iter().find(|(other, _)| *other == id).map_or(0, |(_, time)| *time);
        let none_ended = before.threads.iter().all(|(id, _)| self.threads.iter().any(|(other, _)| other == id));
        if none_ended {
            return self.threads.iter().map(|(id, time)| time.saturating_sub(then(*id))).sum();
        }
        self.whole.saturating_sub(before.whole)
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(8)..].join("\n  ");
    if last.is_empty() { "the server logged nothing".into() } else { format!("the server's log ends:\n  {last}") }
}
