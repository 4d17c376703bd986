//! The `roundtable` command as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

/// Returns the command, without anybody's environment.
pub fn roundtable(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.current_dir(folder).env_clear();
    command
}

/// Runs the command to its end.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    roundtable(folder).args(arguments).output().expect("it runs")
}

/// A server process that is killed when dropped.
pub struct Process {
    child: Child,
    log: Option<JoinHandle<String>>,
    /// Where it said that it listens.
    pub base: String,
}

impl Process {
    /// Starts a server in a folder.
    pub fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = roundtable(folder);
        command.args(["serve", "--listen", "127.0.0.1:0"]).envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut stderr = child.stderr.take().expect("piped");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("UTF-8");
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let base = line.trim().strip_prefix("listening on ").expect("the line that programs wait for").to_owned();
        Self { child, log: Some(log), base }
    }

    /// Asks the server to end, waits until it has, and returns its log.
    pub fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        assert!(self.child.wait().expect("it ends").success(), "it ends well");
        self.log.take().expect("not taken").join().expect("the log is text")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl AsRef<str> for Process {
    fn as_ref(&self) -> &str {
        &self.base
    }
}
