//! socket.io and Bun, as the kernel sees them: a process that listens.

use anyhow::{Context, Result, bail, ensure};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::process::Command;

use super::process::Process;
use super::socket::Socket;

/// Whose server is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    Ours,
    SocketIo,
    Bun,
}

impl System {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 3] = [Self::Ours, Self::SocketIo, Self::Bun];

    /// Returns how the system is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::SocketIo => "socketio",
            Self::Bun => "bun",
        }
    }
}

/// The folder that holds the peers' servers and packages.
pub fn folder(root: &Path) -> PathBuf {
    root.join("bench/peers")
}

/// Installs the peers' packages, exactly as the lock file names them, unless they are there.
pub fn install(root: &Path) -> Result<()> {
    let folder = folder(root);
    if folder.join("node_modules/.bin/bun").exists() && folder.join("node_modules/socket.io").exists() {
        return Ok(());
    }
    eprintln!("installing socket.io and Bun below bench/peers");
    let status = std::process::Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&folder)
        .status()
        .context("failed to start npm")?;
    ensure!(status.success(), "npm could not install the peers' packages; --systems ours measures without them");
    Ok(())
}

/// Returns name and version of each peer, from what is installed.
pub fn versions(root: &Path) -> Result<String> {
    let version = |package: &str| -> Result<String> {
        let path = folder(root).join("node_modules").join(package).join("package.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} is not installed", package))?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        Ok(value["version"].as_str().unwrap_or("of unknown version").to_owned())
    };
    let node = std::process::Command::new("node").arg("--version").output().context("failed to start node")?;
    let node = String::from_utf8_lossy(&node.stdout).trim().to_owned();
    Ok(format!("socket.io {} on Node {node}, Bun {}", version("socket.io")?, version("bun")?))
}

/// Starts a peer's server.
pub async fn start(system: System, root: &Path, work: &Path) -> Result<Process> {
    let folder = folder(root);
    let (program, script) = match system {
        System::SocketIo => (PathBuf::from("node"), "socketio.mjs"),
        System::Bun => (folder.join("node_modules/.bin/bun"), "bun.js"),
        System::Ours => bail!("our own server is no peer"),
    };
    let mut command = Command::new(program);
    command.arg(script).current_dir(&folder).env("NODE_ENV", "production");
    Process::start(command, &work.join(format!("{script}.log"))).await
}

/// Opens a connection to a peer; one that is to receive joins the room.
pub async fn connect(system: System, process: &Process, receives: bool) -> Result<Rc<Socket>> {
    let path = if system == System::SocketIo { "/socket.io/?EIO=4&transport=websocket" } else { "/" };
    let socket = Socket::open(process.address, path, None).await?;
    if system == System::SocketIo {
        // Engine.IO opens with packet 0; the namespace is entered with 40 and answered with 40.
        until(&socket, b"0").await?;
        socket.send("40");
        until(&socket, b"40").await?;
    }
    if receives {
        let (join, joined): (_, &[u8]) =
            if system == System::SocketIo { (r#"42["join"]"#, br#"42["joined"]"#) } else { ("join", b"joined") };
        socket.send(join);
        until(&socket, joined).await?;
    }
    Ok(socket)
}

/// Writes a message as the peer's client would.
pub fn message(system: System, text: &str) -> String {
    if system == System::SocketIo { format!(r#"42["m","{text}"]"#) } else { text.to_owned() }
}

async fn until(socket: &Rc<Socket>, start: &[u8]) -> Result<()> {
    let found = socket
        .pump(|frame, _| Ok(if frame.starts_with(start) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }));
    found.await.context("the peer does not answer")
}
