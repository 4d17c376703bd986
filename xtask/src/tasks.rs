//! Tasks that run other programs in the right order and stop at the first that fails.

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Address of the debug server; the page's development server forwards its calls there.
const DEV_LISTEN: &str = "127.0.0.1:8080";

/// Writes `web/openapi.json` as the server's handlers describe themselves, then the TypeScript types.
pub fn codegen(root: &Path) -> Result<()> {
    let output = cargo(root)
        .args(["run", "--quiet", "-p", "roundtable-server", "--", "openapi"])
        .stderr(Stdio::inherit())
        .output()
        .context("failed to start cargo")?;
    ensure!(output.status.success(), "the server did not print its OpenAPI document ({})", output.status);
    let document: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("what the server printed is not JSON")?;
    ensure!(document.get("openapi").is_some(), "what the server printed is not an OpenAPI document");
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    write_if_changed(&root.join("web/openapi.json"), &text)?;
    run(Command::new("npm").args(["run", "--silent", "codegen"]).current_dir(root.join("web")))
}

/// Runs what the continuous integration runs: one list of steps, kept in the Makefile.
pub fn ci(root: &Path) -> Result<()> {
    run(Command::new("make").args(["--no-print-directory", "test"]).current_dir(root))
}

/// Runs the simulator with the given arguments.
pub fn sim(root: &Path, arguments: &[String]) -> Result<()> {
    run(cargo(root).args(["run", "--quiet", "--release", "-p", "roundtable-sim", "--"]).args(arguments))
}

/// Starts a debug server and the page's development server; when one ends, the other is ended too.
///
/// Ctrl-C reaches both by itself: they are in this process's group.
pub fn dev(root: &Path) -> Result<()> {
    run(cargo(root).args(["build", "-p", "roundtable-server"]))?;
    let binary = root.join("target/debug/roundtable");
    let mut server = Command::new(&binary)
        .args(["serve", "--listen", DEV_LISTEN, "--data", "data"])
        .current_dir(root)
        .spawn()
        .with_context(|| format!("failed to start {}", binary.display()))?;
    let page = Command::new("npm").args(["run", "dev"]).current_dir(root.join("web")).spawn();
    let mut page = match page {
        Ok(page) => page,
        Err(error) => {
            end(&mut server)?;
            return Err(error).context("failed to start npm");
        }
    };
    let ended = loop {
        if let Some(status) = server.try_wait()? {
            break ("the server", status);
        }
        if let Some(status) = page.try_wait()? {
            break ("the page's development server", status);
        }
        thread::sleep(Duration::from_millis(200));
    };
    end(&mut server)?;
    end(&mut page)?;
    let (who, status) = ended;
    ensure!(status.success(), "{who} ended with {status}");
    Ok(())
}

/// Packs what one installs: the release binary with the page inside, licences, notes and a checksum.
pub fn dist(root: &Path) -> Result<()> {
    run(Command::new("make").args(["--no-print-directory", "build"]).current_dir(root))?;
    let name = format!("roundtable-{}-{}", env!("CARGO_PKG_VERSION"), host()?);
    let dist = root.join("target/dist");
    let folder = dist.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let files =
        ["target/release/roundtable", "README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE-MIT", "LICENSE-APACHE"];
    for file in files {
        let from = root.join(file);
        let to = folder.join(from.file_name().expect("each entry of the list names a file"));
        fs::copy(&from, &to).with_context(|| format!("failed to copy {file}"))?;
    }
    let archive = format!("{name}.tar.gz");
    run(Command::new("tar").args(["-czf", &archive, &name]).current_dir(&dist))?;
    let sum = Command::new("sha256sum").arg(&archive).current_dir(&dist).output().context("failed to run sha256sum")?;
    ensure!(sum.status.success(), "sha256sum ended with {}", sum.status);
    fs::write(dist.join(format!("{archive}.sha256")), &sum.stdout)?;
    let binary_bytes = fs::metadata(folder.join("roundtable"))?.len();
    println!("target/dist/{archive}; the binary holds {:.1} MB", binary_bytes as f64 / 1e6);
    Ok(())
}

/// Returns the target triple that `rustc` builds for when it is not told otherwise.
pub fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("failed to start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(triple) => Ok(triple.trim().to_owned()),
        None => bail!("rustc did not name its host"),
    }
}

/// Returns the cargo that started this task, called in `root`.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

fn end(child: &mut Child) -> Result<()> {
    if child.try_wait()?.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// Leaves an equal file alone, so that nothing that watches it builds again.
fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}
