//! The subcommands.
//!
//! Owns: flags, what is printed, exit codes. Must not know: how anything is done. Invariant: standard output holds
//! only what a program may want to read; everything else goes to standard error.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use roundtable_protocol::SessionId;
use roundtable_store::{SqliteStore, Store};

use crate::serve::{Parts, Server, StartError};
use crate::settings::{Hosting, Settings, Sources};
use crate::{doctor, logging, openapi, operator};

/// What the process ends with when the data folder, the address or a setting cannot be used.
const CANNOT_START: u8 = 2;

/// How long a running server may take to answer whoever runs it.
const OPERATOR_WAITS: Duration = Duration::from_secs(10);

/// People and AI agents in one live session, on your own server.
#[derive(Debug, Parser)]
#[command(name = "roundtable", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve page, REST and WebSocket.
    Serve(Serve),
    /// Print the OpenAPI document.
    Openapi,
    /// Look at everything that a server needs, and say what to do about what is missing.
    Doctor(Serve),
    /// Bring the data folder to this version's format.
    Migrate {
        /// The data folder.
        #[arg(long, default_value = "./data")]
        data: PathBuf,
    },
    /// Look after the data.
    #[command(subcommand)]
    Admin(Admin),
}

#[derive(Debug, Subcommand)]
enum Admin {
    /// Change what a running server logs, until it ends.
    Log {
        /// A level, or levels by target, as in `info,roundtable_hub=debug`.
        filter: String,
        /// The data folder of the running server.
        #[arg(long, default_value = "./data")]
        data: PathBuf,
    },
    /// Walk the hash chain of a session and say whether anything was changed.
    Verify {
        /// The session's id.
        session: SessionId,
        /// The data folder.
        #[arg(long, default_value = "./data")]
        data: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long)]
    listen: Option<String>,
    /// The data folder [default: ./data]
    #[arg(long)]
    data: Option<String>,
    /// The settings file [default: roundtable.toml in the working directory, if there is one]
    #[arg(long)]
    config: Option<PathBuf>,
    /// The address at which people reach the server
    #[arg(long)]
    public_url: Option<String>,
    /// A host name that the server answers to; may be given several times
    #[arg(long)]
    allowed_host: Vec<String>,
    /// A proxy whose forwarded headers are believed; may be given several times
    #[arg(long)]
    trusted_proxy: Vec<String>,
    /// A file with the certificate chain, to speak HTTPS
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<String>,
    /// A file with the certificate's private key
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<String>,
    /// Who may start sessions: auto, everyone, nobody [default: auto]
    #[arg(long)]
    hosting: Option<String>,
}

impl Serve {
    fn sources(self) -> Sources {
        let mut flags: Vec<(&'static str, String, &'static str)> = Vec::new();
        flags.extend(self.listen.map(|v| ("listen", v, "--listen")));
        flags.extend(self.data.map(|v| ("data", v, "--data")));
        flags.extend(self.public_url.map(|v| ("public_url", v, "--public-url")));
        flags.extend(self.allowed_host.into_iter().map(|v| ("allowed_hosts", v, "--allowed-host")));
        flags.extend(self.trusted_proxy.into_iter().map(|v| ("trusted_proxies", v, "--trusted-proxy")));
        flags.extend(self.tls_cert.map(|v| ("tls_cert", v, "--tls-cert")));
        flags.extend(self.tls_key.map(|v| ("tls_key", v, "--tls-key")));
        flags.extend(self.hosting.map(|v| ("hosting", v, "--hosting")));
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Sources { file: self.config, environment: environment.collect(), flags }
    }
}

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(serve) => run_serve(serve),
        Command::Openapi => run_openapi(),
        Command::Doctor(serve) => run_doctor(serve),
        Command::Admin(Admin::Log { filter, data }) => run_log(&filter, &data),
        Command::Migrate { data } => run_migrate(&data),
        Command::Admin(Admin::Verify { session, data }) => run_verify(session, &data),
    };
    result.unwrap_or_else(|error| {
        eprintln!("roundtable: {error:#}");
        ExitCode::from(CANNOT_START)
    })
}

fn run_serve(serve: Serve) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&serve.sources())?;
    let log = logging::start(&settings.log).map_err(|error| anyhow::anyhow!("log.filter: {error}"))?;
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let parts = Parts { log: Some(log), ..Parts::default() };
        let server = Server::start_with(settings.clone(), parts).await.map_err(|error| match error {
            StartError::Assistants(error) => anyhow::anyhow!("failed to set up the assistants: {error}"),
            error => error.into(),
        })?;
        announce(&server, &settings)?;
        signals.wait().await;
        server.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Says on standard output where the server is, in a form that programs can wait for.
fn announce(server: &Server, settings: &Settings) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for url in server.urls() {
        writeln!(out, "listening on {url}")?;
    }
    out.flush()?;
    drop(out);
    tracing::info!(
        address = %server.address(),
        assistant = server.app().assistants.usual(),
        hosting = %settings.hosting,
        "serving"
    );
    if settings.hosting == Hosting::Auto && !settings.only_this_device() {
        tracing::warn!(
            "nobody may start sessions, because others can reach this server; allow it with hosting = \"everyone\" \
             (--hosting everyone, ROUNDTABLE_HOSTING=everyone)"
        );
    }
    Ok(())
}

fn run_openapi() -> anyhow::Result<ExitCode> {
    let text = openapi::document().to_pretty_json()?;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

fn run_doctor(serve: Serve) -> anyhow::Result<ExitCode> {
    let findings = runtime()?.block_on(doctor::examine(&serve.sources()));
    let mut out = std::io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    Ok(if findings.iter().any(doctor::Finding::is_problem) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn run_log(filter: &str, data: &std::path::Path) -> anyhow::Result<ExitCode> {
    let announced = operator::read(data)
        .map_err(|error| anyhow::anyhow!("no server runs on the data folder {}: {error}", data.display()))?;
    runtime()?.block_on(async {
        // The certificate is for the name that people use; this is the same machine, and the token says which server.
        let http = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build()?;
        let call = http.put(format!("{}/api/v1/admin/log", announced.url)).bearer_auth(&announced.token);
        let answer = call.json(&serde_json::json!({"filter": filter})).timeout(OPERATOR_WAITS).send().await;
        let answer = answer.map_err(|error| anyhow::anyhow!("the server does not answer: {}", error.without_url()))?;
        let status = answer.status();
        let body: serde_json::Value = answer.json().await.unwrap_or_default();
        let detail = body["detail"].as_str().unwrap_or("it refuses");
        anyhow::ensure!(status.is_success(), "{detail} ({status})");
        println!("the server logs by {filter} from now on, until it ends");
        Ok(ExitCode::SUCCESS)
    })
}

fn run_migrate(data: &std::path::Path) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        // Opening is what migrates.
        let store = SqliteStore::open(data)?;
        let totals = store.totals().await?;
        store.close().await?;
        println!("{} is ready: {} sessions, {} events", data.display(), totals.sessions, totals.events);
        Ok(ExitCode::SUCCESS)
    })
}

fn run_verify(session: SessionId, data: &std::path::Path) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(data.is_dir(), "there is no data folder {}", data.display());
    runtime()?.block_on(async {
        let store = SqliteStore::open(data)?;
        let known = store.head(session).await?.is_some();
        let found = store.verify(session).await?;
        store.close().await?;
        anyhow::ensure!(known, "there is no session {session} in {}", data.display());
        println!("{} events checked, {} of them erased", found.events, found.redacted);
        for (stream, seq, hash) in &found.heads {
            let hash: String = hash.iter().map(|b| format!("{b:02x}")).collect();
            println!("{stream} {seq} {hash}");
        }
        for (stream, seq) in &found.broken {
            println!("broken: {stream} {seq}");
        }
        Ok(if found.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// The signals that ask a server to end. Listened to before it starts, so that none is missed.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    async fn wait(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
