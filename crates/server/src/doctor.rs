//! `roundtable doctor`: looks at everything that a server needs, and says what to do about what is missing.
//!
//! Owns: what is looked at and the words for it. Must not know: how a server runs. Invariants: nothing is changed, a
//! running server is not disturbed, no key is shown or used; one line a finding.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roundtable_assistant::model::look_around;
use roundtable_store::sqlite::look;
use tokio::net::TcpSocket;

use crate::settings::{Settings, Sources};
use crate::{operator, page};

/// How long a model server on this machine may take to answer. Nobody waits here for a page, so longer than there.
const PROBE: Duration = Duration::from_millis(1000);
/// How long the two clocks are compared.
const CLOCKS: Duration = Duration::from_millis(200);
/// How far they may move apart in that time: less than a clock that is being set, more than a busy machine.
const DRIFT: Duration = Duration::from_millis(100);
/// Free space below which writing will soon end. Unit: bytes.
const LITTLE_SPACE: u64 = 256 << 20;
/// Free space below which a warning is due. Unit: bytes.
const SOME_SPACE: u64 = 2 << 30;
/// Open files below which the usual limit of connections cannot be reached.
const SOME_FILES: u64 = 4_096;
/// Open files below which a server is of little use.
const FEW_FILES: u64 = 256;
/// Years in which this program may run. 2026: it was written then.
const YEARS: std::ops::RangeInclusive<i16> = 2026..=2100;
/// The names of Chromium, for the shared browser that is to come.
const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// One line of the doctor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    verdict: Verdict,
    what: &'static str,
    words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warning,
    Problem,
}

impl Finding {
    fn ok(what: &'static str, words: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, what, words: words.into() }
    }

    fn warning(what: &'static str, words: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, what, words: words.into() }
    }

    fn problem(what: &'static str, words: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, what, words: words.into() }
    }

    /// Returns whether a server cannot run like that.
    pub fn is_problem(&self) -> bool {
        self.verdict == Verdict::Problem
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
        };
        write!(f, "{verdict:<8} {:<14} {}", self.what, self.words)
    }
}

/// Looks at everything.
pub async fn examine(sources: &Sources) -> Vec<Finding> {
    let settings = match Settings::load(sources) {
        Ok(settings) => settings,
        Err(error) => {
            return vec![Finding::problem("settings", format!("{error}; docs/configuration.md has all settings"))];
        }
    };
    let mut all = vec![Finding::ok("settings", "can be read and make sense")];
    let running = operator::read(&settings.data).ok().filter(|_| in_use(&settings.data));
    all.extend(folder(&settings.data));
    all.extend(space(&settings.data));
    all.push(port(settings.listen, running.is_some()));
    all.extend(certificate(&settings));
    all.push(built_page());
    all.push(chromium(std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect())));
    all.extend(models(&settings).await);
    all.extend(clock().await);
    all.extend(open_files());
    all
}

fn in_use(data: &Path) -> bool {
    look(data).is_ok_and(|state| state.in_use.is_some())
}

fn folder(data: &Path) -> Vec<Finding> {
    let shown = data.display();
    if !data.exists() {
        let above = data.ancestors().skip(1).find(|path| path.as_os_str().is_empty() || path.exists());
        let above = above.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return vec![match write_into(above) {
            Ok(()) => Finding::ok("data folder", format!("{shown} is not there yet; the first start makes it")),
            Err(error) => Finding::problem(
                "data folder",
                format!(
                    "{shown} cannot be made in {} ({error}): name another with --data, or change who may write",
                    above.display()
                ),
            ),
        }];
    }
    if let Err(error) = write_into(data) {
        let words =
            format!("{shown} cannot be written ({error}): change its owner or mode, or name another with --data");
        return vec![Finding::problem("data folder", words)];
    }
    let mut all = vec![Finding::ok("data folder", format!("{shown} can be written"))];
    match look(data) {
        Ok(state) => {
            all.push(match state.in_use {
                None => Finding::ok("lock", "no server uses the folder"),
                Some(pid) => {
                    let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                    Finding::warning("lock", format!("a server{pid} uses the folder; a second one would not start"))
                }
            });
            all.push(match state.schema {
                None => Finding::ok("database", "is not there yet; the first start makes it"),
                Some(found) if found > state.known => Finding::problem(
                    "database",
                    format!(
                        "has schema version {found}, this program knows {}: use a newer version of it",
                        state.known
                    ),
                ),
                Some(found) if found < state.known => Finding::warning(
                    "database",
                    format!(
                        "has schema version {found}; the next start brings it to {}: copy the folder first",
                        state.known
                    ),
                ),
                Some(found) => Finding::ok("database", format!("has schema version {found}, as this program")),
            });
        }
        Err(error) => all.push(Finding::problem("database", format!("{error}: name the right folder with --data"))),
    }
    all
}

/// Tries to write a file, which is gone afterwards.
fn write_into(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".roundtable-doctor-{}", std::process::id()));
    fs::write(&path, b"x").and_then(|()| fs::remove_file(&path))
}

#[cfg(unix)]
fn space(data: &Path) -> Option<Finding> {
    let place = data.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(place).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let shown = format!("{:.1} GB are free", free as f64 / 1e9);
    Some(match free {
        free if free < LITTLE_SPACE => {
            Finding::problem("free space", format!("{shown}: make room, or nothing can be said any more"))
        }
        free if free < SOME_SPACE => Finding::warning("free space", format!("{shown}: make room soon")),
        _ => Finding::ok("free space", shown),
    })
}

#[cfg(not(unix))]
fn space(_: &Path) -> Option<Finding> {
    None
}

fn port(listen: SocketAddr, running: bool) -> Finding {
    if listen.port() == 0 {
        return Finding::ok("address", format!("{}: a free port is taken at the start", listen.ip()));
    }
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let bound = socket.and_then(|socket| {
        // As the server does it, or the fading connections of the last one would look like a problem.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(listen)?;
        socket.listen(1).map(drop)
    });
    match bound {
        Ok(()) => Finding::ok("address", format!("{listen} is free")),
        Err(_) if running => {
            Finding::warning("address", format!("{listen} is taken; a server runs on this data folder"))
        }
        Err(error) => Finding::problem(
            "address",
            format!("{listen} cannot be listened on ({error}): end what uses it, or choose another with --listen"),
        ),
    }
}

fn certificate(settings: &Settings) -> Option<Finding> {
    let (cert, key) = (settings.tls_cert.as_ref()?, settings.tls_key.as_ref()?);
    Some(match crate::tls::acceptor(cert, key) {
        Ok(_) => Finding::ok("certificate", "can be used with its key"),
        Err(error) => Finding::problem("certificate", format!("{error}: see tls_cert and tls_key")),
    })
}

fn built_page() -> Finding {
    if page::is_built() {
        Finding::ok("page", "is built in")
    } else {
        Finding::warning(
            "page",
            "is not built in: the API works, browsers see a notice. Build it with make page, then build again",
        )
    }
}

fn chromium(path: Option<Vec<PathBuf>>) -> Finding {
    let folders = path.unwrap_or_default();
    let found =
        CHROMIUM.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()));
    match found {
        Some(file) => Finding::ok("Chromium", format!("{} (for the shared browser, which is to come)", file.display())),
        None => Finding::warning(
            "Chromium",
            "is not in PATH. Nothing needs it yet; the shared browser, which is to come, will: install it from your system's packages",
        ),
    }
}

async fn models(settings: &Settings) -> Vec<Finding> {
    let mut addresses = settings.assistants.probe.clone();
    addresses.extend(settings.surroundings.ollama.filter(|ollama| !addresses.contains(ollama)));
    addresses.retain(|address| address.port() != settings.listen.port());
    let mut all = Vec::new();
    if settings.has_model() {
        let name = settings.model.name.as_deref().unwrap_or_default();
        all.push(Finding::ok(
            "model",
            format!("the settings name {name}; the first answer shows whether it can be reached"),
        ));
    }
    for server in look_around(&addresses, PROBE).await {
        let count = server.models.len();
        let words = format!("{} at {} with {count} models: connect one in the page", server.label, server.address);
        all.push(Finding::ok("model", words));
    }
    for key in &settings.surroundings.keys {
        let words = format!("{} is set: connect a model of {} in the page", key.variable, key.label);
        all.push(Finding::ok("model", words));
    }
    if all.is_empty() {
        all.push(Finding::warning(
            "model",
            "none is found: the Guide answers, which is not an AI. Start Ollama or another model server, or set a provider's key",
        ));
    }
    all
}

async fn clock() -> Vec<Finding> {
    let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (started, wall_started) = (Instant::now(), wall());
    tokio::time::sleep(CLOCKS).await;
    let (passed, wall_passed) = (started.elapsed(), wall().checked_sub(wall_started));
    let year = roundtable_hub::clock::now().to_string().get(..4).and_then(|year| year.parse::<i16>().ok());
    vec![judge_year(year), judge_pace(passed, wall_passed)]
}

fn judge_year(year: Option<i16>) -> Finding {
    match year {
        Some(year) if YEARS.contains(&year) => Finding::ok("clock", format!("says {year}")),
        year => {
            let year = year.map_or("nothing".to_owned(), |year| year.to_string());
            Finding::problem("clock", format!("says {year}: set it, or logins and links end at the wrong time"))
        }
    }
}

/// The wall clock may be set at any time; while that happens, times in sessions jump.
fn judge_pace(passed: Duration, wall_passed: Option<Duration>) -> Finding {
    match wall_passed.map(|wall| wall.abs_diff(passed)) {
        Some(drift) if drift <= DRIFT => Finding::ok("clock's pace", "the wall clock runs as the steady one"),
        _ => Finding::warning(
            "clock's pace",
            "the wall clock jumps against the steady one: let one time service set it, slowly (chrony or systemd-timesyncd)",
        ),
    }
}

#[cfg(unix)]
fn open_files() -> Option<Finding> {
    use rustix::process::{Resource, getrlimit};
    // The server raises the soft limit by itself.
    Some(judge_files(getrlimit(Resource::Nofile).maximum))
}

#[cfg(not(unix))]
fn open_files() -> Option<Finding> {
    None
}

#[cfg_attr(not(unix), expect(dead_code, reason = "only Unix limits open files like that"))]
fn judge_files(most: Option<u64>) -> Finding {
    let raise = "raise it (ulimit -Hn, LimitNOFILE= of a systemd unit): each connection is one";
    match most {
        None => Finding::ok("open files", "are not limited"),
        Some(most) if most < FEW_FILES => Finding::problem("open files", format!("are limited to {most}: {raise}")),
        Some(most) if most < SOME_FILES => Finding::warning("open files", format!("are limited to {most}: {raise}")),
        Some(most) => Finding::ok("open files", format!("may be {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_and_limits_are_judged() {
        let check = |finding: Finding, verdict| assert_eq!(finding.verdict, verdict, "{finding}");
        check(judge_year(Some(2026)), Verdict::Ok);
        check(judge_year(Some(1970)), Verdict::Problem);
        check(judge_year(None), Verdict::Problem);
        let ms = Duration::from_millis;
        check(judge_pace(ms(200), Some(ms(205))), Verdict::Ok);
        check(judge_pace(ms(200), Some(ms(4000))), Verdict::Warning);
        check(judge_pace(ms(200), None), Verdict::Warning);
        check(judge_files(Some(100)), Verdict::Problem);
        check(judge_files(Some(1024)), Verdict::Warning);
        check(judge_files(Some(1_048_576)), Verdict::Ok);
        check(judge_files(None), Verdict::Ok);
    }

    #[test]
    fn chromium_is_looked_for_in_the_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = || Some(vec![PathBuf::from("nowhere"), folder.path().to_owned()]);
        assert_eq!(chromium(path()).verdict, Verdict::Warning);
        fs::write(folder.path().join("chromium"), "").expect("written");
        assert_eq!(chromium(path()).verdict, Verdict::Ok);
        assert_eq!(chromium(None).verdict, Verdict::Warning);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_problem() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        let check = |data: &Path, verdict: Verdict| {
            let all = self::folder(data);
            assert_eq!(all.first().map(|finding| finding.verdict), Some(verdict), "{all:?}");
        };
        check(&folder.path().join("new/deeper"), Verdict::Ok);
        check(&file.join("below"), Verdict::Problem);
        check(&file, Verdict::Problem);
        check(folder.path(), Verdict::Ok);
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1, "nothing is left behind");
    }
}
