//! The server's process.
//!
//! Owns: starting it on a data folder, ending it in every way, how much memory it holds. Must not know: what it serves.
//! Invariant: the process ends with its handle.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use roundtable_protocol::ids::SessionId;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::rest::Rest;

/// How long starting and ending may take.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);
/// What the server prints before its address.
const LISTENING: &str = "listening on http://";

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Launch {
    binary: PathBuf,
    data: PathBuf,
    log: PathBuf,
    settings: Vec<(String, String)>,
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Launch {
    /// Starts `binary` on the folder `data`, which is made when it is missing; what it logs goes to `data` with `.log`.
    pub fn new(binary: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Self {
        // The process runs in another folder.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let (binary, data) = (absolute(binary.into()), absolute(data.into()));
        let log = data.with_extension("log");
        Self { binary, data, log, settings: Vec::new() }
    }

    /// Sets what `docs/configuration.md` calls `key`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        let variable = format!("ROUNDTABLE_{}", key.replace('.', "_").to_ascii_uppercase());
        self.settings.push((variable, value.to_string()));
        self
    }

    /// Has the server log into that folder.
    #[must_use]
    pub fn log_to(mut self, folder: &Path) -> Self {
        self.log = folder.join("server.log");
        self
    }

    /// Returns the data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Returns where the server's log is.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Starts the server and waits until it serves.
    ///
    /// # Errors
    /// It does not start, or ends without a word, or is silent for too long.
    pub async fn start(&self, port: u16) -> io::Result<Server> {
        let mut child = self.spawn(port)?;
        let stdout = child.stdout.take().expect("its standard output is a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let address = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = line.strip_prefix(LISTENING) {
                    return address.parse().map_err(io::Error::other);
                }
            }
            Err(io::Error::other("the server ended before it served"))
        };
        let address = tokio::time::timeout(START_TIMEOUT, address).await??;
        Ok(Server { child, address })
    }

    /// Starts the server and waits for nothing.
    ///
    /// # Errors
    /// It does not start.
    pub fn spawn(&self, port: u16) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = self.command();
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(&self.data);
        command.stdout(Stdio::piped()).stderr(log).spawn()
    }

    /// Has the hash chain of a session verified; no server may run on the folder.
    ///
    /// # Errors
    /// What the verification printed.
    pub async fn verify(&self, session: SessionId) -> io::Result<String> {
        let mut command = self.command();
        let output = command.args(["admin", "verify", &session.to_string(), "--data"]).arg(&self.data).output().await?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match output.status.success() {
            true => Ok(said),
            false => Err(io::Error::other(format!("{said} {}", String::from_utf8_lossy(&output.stderr).trim()))),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        // No settings but those of the trial: neither from the environment nor from a file in this folder.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("ROUNDTABLE_") {
                command.env_remove(variable);
            }
        }
        command.current_dir(std::env::temp_dir()).envs(self.settings.iter().cloned());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Server {
    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of its WebSocket.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/api/v1/ws", self.address)
    }

    /// Returns calls to it.
    pub fn rest(&self) -> Rest {
        Rest::new(self.address)
    }

    /// Ends it as a power cut would: SIGKILL.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(&mut self) -> io::Result<ExitStatus> {
        let process = self.process()?;
        rustix::process::kill_process(process, rustix::process::Signal::TERM)?;
        tokio::time::timeout(START_TIMEOUT, self.child.wait()).await?
    }

    /// Returns how much memory it holds. Unit: bytes.
    ///
    /// # Errors
    /// The system does not say.
    pub fn memory_bytes(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process()?.as_raw_nonzero()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no VmRSS in /proc"))
    }

    fn process(&self) -> io::Result<rustix::process::Pid> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        id.ok_or_else(|| io::Error::other("the server has ended"))
    }
}
