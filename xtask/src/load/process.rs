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
/// In what part of a second Linux tells processor time to programs (USER_HZ), on every machine.
const TICKS_PER_SECOND: u64 = 100;
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

    /// Returns how long the server has been on a processor, threads that have ended included. Unit: nanoseconds, in the
    /// kernel's steps of 10 ms. (The finer figures of `task/*/schedstat` leave out a thread that began and ended between
    /// two readings, and a crowd is written by such threads.)
    pub fn cpu(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).with_context(|| tail(&self.log))?;
        cpu_of(&text).context("the kernel does not say utime and stime")
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

/// Reads user and system time out of `/proc/PID/stat` (fields 14 and 15 of proc(5)). Unit: nanoseconds.
fn cpu_of(stat: &str) -> Option<u64> {
    // The program's name stands in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) * (1_000_000_000 / TICKS_PER_SECOND))
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(8)..].join("\n  ");
    if last.is_empty() { "the server logged nothing".into() } else { format!("the server's log ends:\n  {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_ended_count() {
        let cpu = |of: &str| cpu_of(&fs::read_to_string(format!("/proc/{of}/stat")).expect("a file")).expect("figures");
        // Until the thread has been on a processor that long, however busy the machine is.
        let spin = move || while cpu("thread-self") < 50_000_000 {};
        let read = || cpu("self");
        let before = read();
        let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(spin)).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert!(read() - before >= 90_000_000);
    }

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 100 0 0";
        assert_eq!(cpu_of(stat), Some(3_000_000_000));
        assert_eq!(cpu_of("7 (a) S 1"), None);
    }
}
