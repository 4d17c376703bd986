//! `cargo xtask load`: the promises of DESIGN 6, measured beside socket.io and Bun in the same run.
//!
//! Owns: the generator, the order of the measures, the table. Must not know: how the server works inside; it starts
//! binaries and talks over the wire. Invariant: client and server are different processes, peers run alone one after
//! another, and every limit that was raised is printed.
//!
//! | module | holds |
//! |---|---|
//! | [`options`] | what may be asked |
//! | [`machine`] | what the numbers were measured on |
//! | [`process`] | a server as the kernel sees it: processor time, memory |
//! | [`http`], [`socket`] | the wire, as lean as it gets |
//! | [`tally`] | counting, order, latencies |
//! | [`server`], [`peers`], [`model`] | our server, socket.io and Bun, a scripted model |
//! | [`fanout`], [`sessions`], [`join`], [`start`], [`append`], [`library`] | the measures |
//! | [`report`] | the table and what is promised |

mod append;
mod fanout;
mod http;
mod join;
mod library;
mod machine;
mod model;
mod options;
mod peers;
mod process;
mod report;
mod server;
mod sessions;
mod socket;
mod start;
mod tally;

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use tempfile::TempDir;
use tokio::task::LocalSet;

use options::Options;
use report::{Report, Rounds};

/// The page that holds the table.
const PAGE: &str = "docs/performance.md";
const BEGIN: &str = "<!-- load:begin -->";
const END: &str = "<!-- load:end -->";

/// How many people write in the one hot session.
const HOT_WRITERS: usize = 500;
/// How many of them read it, in the two runs.
const HOT_READERS: [usize; 2] = [10, HOT_WRITERS];
/// Messages a second in the paced run of 500 sessions.
const PACED: f64 = 2_000.0;

/// How many sessions are measured alone and beside a busy one, and messages a second over all of them.
const QUIET: (usize, f64) = (50, 200.0);
/// Writers of the busy session beside them, and its commands a second.
const BUSY: (usize, f64) = (200, 5_000.0);
/// How often both are measured.
const ISOLATION_ROUNDS: usize = 5;

/// What every measure needs.
struct Bench {
    root: PathBuf,
    binary: PathBuf,
    /// Holds data folders and logs; gone when the tool ends.
    work: TempDir,
    options: Options,
}

/// Measures and prints the table.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{}", options::usage());
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    if cfg!(debug_assertions) {
        return again_as_release(root, arguments);
    }
    let usual = target(root).join("release/roundtable");
    let binary = options.binary.as_ref().map_or(Ok(usual), fs::canonicalize).context("--binary names no file")?;
    if !binary.exists() && options.systems().any(|system| system == peers::System::Ours) {
        eprintln!("building the release binary");
        let status = Command::new("make").args(["--no-print-directory", "build"]).current_dir(root).status()?;
        ensure!(status.success(), "make build ended with {status}");
    }
    if options.peers() {
        peers::install(root)?;
    }
    let work = tempfile::Builder::new().prefix("load-").tempdir_in(target(root)).context("failed to make a folder")?;
    let bench = Bench { root: root.to_owned(), binary, work, options };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = LocalSet::new().block_on(&runtime, bench.all())?;
    println!("\n{text}");
    if bench.options.write {
        let command = ["cargo xtask load"].into_iter().chain(arguments.iter().map(String::as_str));
        let command = command.filter(|part| *part != "--write").collect::<Vec<_>>().join(" ");
        write_page(&root.join(PAGE), &command, &text)?;
        eprintln!("written to {PAGE}");
    }
    Ok(())
}

/// A generator without optimisation would measure itself.
fn again_as_release(root: &Path, arguments: &[String]) -> Result<()> {
    let status = crate::tasks::cargo(root)
        .args(["run", "--quiet", "--release", "--package", "xtask", "--", "load"])
        .args(arguments)
        .status()
        .context("failed to start cargo")?;
    ensure!(status.success(), "the release build of this tool ended with {status}");
    Ok(())
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

impl Bench {
    /// Runs every measure that is wanted; returns the text of the result.
    async fn all(&self) -> Result<String> {
        let started = Instant::now();
        let open_files = machine::raise_open_files()?;
        let (p50, p99) = machine::sync_ms(self.work.path())?;
        let load = machine::load_average();
        let mut report = Report::default();
        self.fan_out(&mut report).await?;
        self.crowds(&mut report).await?;
        self.isolation(&mut report).await?;
        if self.options.does("join") {
            self.say("joining 10,000 events");
            report.join(&join::measure(self).await.context("joins")?);
        }
        if self.options.does("append") {
            self.say("durable appends");
            report.append(&append::measure(self).await.context("appends")?);
        }
        if self.options.does("library") {
            self.say("the library beside asyncio");
            report.library(&library::measure(self).context("the library")?);
        }
        if self.options.does("start") {
            self.say("fresh servers");
            report.start(&start::measure(self).await.context("start")?);
        }
        let mut text =
            format!("Measured {} on {}.\n", jiff::Timestamp::now().strftime("%Y-%m-%d"), machine::describe());
        text.push_str(&format!(
            "`fdatasync` of 4 KB on this disk: {p50:.2} ms median, {p99:.2} ms p99. Load average before the run: {load}. \
             The run took {} s.{}\n",
            started.elapsed().as_secs(),
            if self.options.quick { " **A quick run: short phases, one round.**" } else { "" }
        ));
        if self.options.peers() {
            text.push_str(&format!("Peers: {}.\n", peers::versions(&self.root)?));
        }
        text.push_str(&format!("Limits that were raised: {open_files};"));
        let raised: Vec<String> = server::RAISED.iter().map(|(name, value)| format!(" `{name}={value}`")).collect();
        text.push_str(&format!("{} (0: without limit).\n\n{}", raised.join(","), report.markdown()));
        let short = report.short();
        if !short.is_empty() {
            text.push_str(&format!("\nFalls short: {}.\n", short.join("; ")));
        }
        Ok(text)
    }

    async fn fan_out(&self, report: &mut Report) -> Result<()> {
        for receivers in self.options.sizes() {
            let mut rounds = Rounds { receivers, figures: Vec::new(), memory: Vec::new() };
            for round in 1..=self.options.rounds(receivers) {
                for system in self.options.systems() {
                    self.say(&format!("fan-out to {receivers}, round {round}: {}", system.name()));
                    let outcome = fanout::measure(self, system, receivers).await?;
                    rounds.figures.extend(outcome.figures);
                    rounds.memory.push((system, outcome.memory_each));
                }
            }
            report.fanout(&rounds);
            if self.options.does("idle") && options::SIZES.last() == Some(&receivers) {
                report.idle(&rounds);
            }
        }
        Ok(())
    }

    async fn crowds(&self, report: &mut Report) -> Result<()> {
        if self.options.does("sessions") {
            self.say("500 sessions of four people");
            let server = server::Server::start(&self.binary, self.work.path(), &[]).await?;
            let run = async {
                let crowd = sessions::Crowd::new(&server, 500, 4, 4).await?;
                let paced = crowd.paced(self, &server, PACED).await?;
                let saturated = crowd.saturated(self, &server).await?;
                report.sessions(&paced, &saturated);
                anyhow::Ok(())
            };
            run.await.map_err(|error| error.context(server.process.log_tail())).context("500 sessions")?;
            server.process.stop().await?;
        }
        if self.options.does("hot") {
            for readers in HOT_READERS {
                self.say(&format!("one session of {HOT_WRITERS} writers, {readers} read"));
                let server = server::Server::start(&self.binary, self.work.path(), &[]).await?;
                let run = async {
                    let crowd = sessions::Crowd::new(&server, 1, HOT_WRITERS, readers).await?;
                    report.hot(readers, &crowd.saturated(self, &server).await?);
                    anyhow::Ok(())
                };
                run.await.map_err(|error| error.context(server.process.log_tail())).context("the hot session")?;
                server.process.stop().await?;
            }
        }
        Ok(())
    }

    /// Quiet sessions alone, then beside a busy one on the same server, in turns; the median of the ratios counts. A 99th
    /// percentile of waiting for a disk is the disk's own moods for the most part.
    async fn isolation(&self, report: &mut Report) -> Result<()> {
        if !self.options.does("isolation") {
            return Ok(());
        }
        self.say("50 quiet sessions beside a busy one");
        let server = server::Server::start(&self.binary, self.work.path(), &[]).await?;
        let run = async {
            let quiet = sessions::Crowd::new(&server, QUIET.0, 2, 2).await?;
            let busy = sessions::Crowd::new(&server, 1, BUSY.0, 2).await?;
            let mut rounds = Vec::new();
            for _ in 0..if self.options.quick { 1 } else { ISOLATION_ROUNDS } {
                let alone = quiet.paced(self, &server, QUIET.1).await?;
                let (beside, loud) =
                    tokio::join!(quiet.paced(self, &server, QUIET.1), busy.paced(self, &server, BUSY.1));
                rounds.push(sessions::Isolation { alone, beside: beside?, busy: loud? });
            }
            report.isolation(rounds);
            anyhow::Ok(())
        };
        run.await.map_err(|error| error.context(server.process.log_tail())).context("isolation")?;
        server.process.stop().await
    }

    fn say(&self, what: &str) {
        eprintln!("load: {what}");
    }
}

/// Replaces what stands between the marks of the page.
fn write_page(path: &Path, command: &str, text: &str) -> Result<()> {
    let old = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    fs::write(path, between_marks(&old, &format!("Command: `{command}`\n\n{text}"))?)?;
    Ok(())
}

fn between_marks(page: &str, text: &str) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("{PAGE} has no {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{PAGE} has no {END} after {BEGIN}"))?;
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("# A\n{BEGIN}\nold\n{END}\nwhy\n");
        assert_eq!(between_marks(&page, "new\n").expect("marks"), format!("# A\n{BEGIN}\nnew\n{END}\nwhy\n"));
        assert!(between_marks("# A\n", "new").is_err());
        assert!(between_marks(&format!("{END}{BEGIN}"), "new").is_err());
    }

    #[test]
    fn the_page_has_its_marks() {
        let page = fs::read_to_string(crate::root().join(PAGE)).expect("the page can be read");
        assert!(between_marks(&page, "").is_ok());
    }
}
