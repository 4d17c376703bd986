//! Accepting connections: [`Server`].
//!
//! Owns: listener, connection tasks, their limits, the ends of each. Must not know: routes. Invariant: a connection
//! that sends nothing holds a task and a socket, no buffers, and not for long.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use roundtable_assistant::Guide;
use roundtable_hub::{HubConfig, SessionManager, clock};
use roundtable_store::{OpenError, SqliteStore, Store};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::app;
use crate::assistants::{Assistants, AssistantsError};
use crate::auth::Logins;
use crate::limits::Sockets;
use crate::logging::LogSwitch;
use crate::metrics::ModelCalls;
use crate::operator::Operator;
use crate::origin::Ends;
use crate::routes::reports::Reports;
use crate::settings::Settings;
use crate::state::{App, Inner, Rates};
use crate::summaries::{self, Summaries};
use crate::tls::TlsError;
use crate::{metrics, shutdown, tls, turns};

/// How long the kernel waits for a reader that has vanished before it gives the connection up.
const VANISHED: Duration = Duration::from_secs(30);
/// How many connections may wait to be accepted; the system may allow fewer. With the usual 128, of 500 clients that come
/// back at once a hundred believed to be connected and were reset seconds later.
const BACKLOG: u32 = 4096;
/// How long to wait when the system has no more sockets.
const NO_SOCKETS: Duration = Duration::from_millis(100);
/// How long a model server on this machine may take to say that it is there. Chosen so that the list is there before a
/// person wonders; a local server answers in a few milliseconds.
const PROBE_TIMEOUT: Duration = Duration::from_millis(300);
/// The largest head of a request. Unit: bytes.
const HEAD_BYTES: usize = 32 * 1024;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error("{0}")]
    Store(#[from] OpenError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The model of the settings, or the connections in the data folder, cannot be used.
    #[error("{0}")]
    Assistants(#[from] AssistantsError),
    /// Routes and actions do not agree: a bug.
    #[error("{0}")]
    Routes(#[from] app::RouteError),
}

/// A running server. Dropping it begins its end; [`Server::stop`] also waits for it.
#[derive(Debug)]
pub struct Server {
    app: App,
    stop: DropGuard,
    running: tokio::task::JoinHandle<()>,
}

/// What a server is made of, beside its settings.
#[derive(Debug)]
pub struct Parts {
    /// How rooms behave.
    pub hub: HubConfig,
    /// The guide that answers.
    pub guide: Guide,
    /// How long a model server on this machine may take to say that it is there.
    pub probe_timeout: Duration,
    /// What changes the process's log, where there is one.
    pub log: Option<LogSwitch>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { hub: HubConfig::default(), guide: Guide::default(), probe_timeout: PROBE_TIMEOUT, log: None }
    }
}

impl Server {
    /// Opens the store, listens and serves.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        Self::start_with(settings, Parts::default()).await
    }

    /// The same with other parts.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start_with(settings: Settings, parts: Parts) -> Result<Self, StartError> {
        let store = open_store(settings.data.clone()).await?;
        Self::start_on(store, settings, parts).await
    }

    /// The same on a store that is open already.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start_on(store: Arc<dyn Store>, settings: Settings, parts: Parts) -> Result<Self, StartError> {
        raise_open_files();
        let assistants = Assistants::open(&settings, parts.guide, parts.probe_timeout)?;
        let tls = match (&settings.tls_cert, &settings.tls_key) {
            (Some(cert), Some(key)) => Some(tls::acceptor(cert, key)?),
            _ => None,
        };
        let (listener, bound) = listen(settings.listen).await?;
        let (label, known, asked) = (assistants.clone(), assistants.clone(), assistants.clone());
        let (summarise, ended) = summaries::at_the_end();
        let hub = HubConfig {
            label: Arc::new(move |name| label.label(name)),
            assistants: Arc::new(move |name| known.knows(name)),
            reaches: Arc::new(move |name| asked.away(name)),
            summarise,
            max_events: settings.limits.session_events,
            inbox: settings.limits.session_queue.max(1),
            turn_limit: settings.limits.turn_timeout,
            ..parts.hub
        };
        // Rooms keep it for who reads, connections for who does not.
        let heartbeat = hub.head_every;
        let (manager, work) = SessionManager::new(Arc::clone(&store), hub);
        let calls = Arc::new(ModelCalls::default());
        let stop_turns = CancellationToken::new();
        let turns = tokio::spawn(turns::run(assistants.clone(), Arc::clone(&calls), work, stop_turns.clone()));
        let app = App::new(Inner {
            rates: Rates::new(&settings.limits),
            urls: reachable(&settings, bound),
            settings,
            bound,
            heartbeat,
            manager,
            assistants,
            logins: Arc::new(Logins::new(Arc::clone(&store))),
            store,
            operator: Operator::new(parts.log),
            started_at: metrics::started_at(),
            calls: Arc::clone(&calls),
            reports: Reports::default(),
            summaries: Summaries::default(),
            sockets: Sockets::default(),
            secret: clock::random(),
            hashing: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))),
            closing: CancellationToken::new(),
            connections: TaskTracker::new(),
        });
        tokio::spawn(summaries::run(app.clone(), ended));
        let router = app::router(app.clone())?;
        if let Err(error) = app.operator.announce(&app.settings, bound) {
            tracing::warn!(%error, "the file for the operator cannot be written; admin commands do not reach this server");
        }
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (app, stop) = (app.clone(), stop.clone());
            async move {
                accept(&app, listener, tls, router, &stop).await;
                shutdown::run(&app, stop_turns, turns).await;
            }
        });
        Ok(Self { app, stop: stop.drop_guard(), running })
    }

    /// Returns the address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.app.bound
    }

    /// Returns the state, for programs that embed the server.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Returns the URLs at which the server can be reached, the nearest first.
    pub fn urls(&self) -> Vec<String> {
        self.app.urls.clone()
    }

    /// Tells everything to end and waits until it has.
    pub async fn stop(self) {
        drop(self.stop);
        if self.running.await.is_err() {
            tracing::error!("the server's main task panicked while it ended");
        }
    }
}

fn reachable(settings: &Settings, bound: SocketAddr) -> Vec<String> {
    let addresses = if bound.ip().is_unspecified() { own_addresses(bound.ip()) } else { vec![bound.ip()] };
    let scheme = if settings.tls_cert.is_some() { "https" } else { "http" };
    let url = |ip| format!("{scheme}://{}", SocketAddr::new(ip, bound.port()));
    addresses.into_iter().map(url).chain(settings.public_url.clone()).collect()
}

async fn open_store(data: PathBuf) -> Result<Arc<dyn Store>, OpenError> {
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(data)).await;
    Ok(Arc::new(opened.expect("opening the store does not panic")?))
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { address, error };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    // A server that starts again takes its port while connections of the last one fade.
    #[cfg(unix)]
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Accepts connections until `stop` is called.
async fn accept(app: &App, listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, stop: &CancellationToken) {
    let most = app.settings.limits.connections;
    let room = Arc::new(Semaphore::new(if most == 0 { Semaphore::MAX_PERMITS } else { most }));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(app.settings.limits.header_timeout).max_buf_size(HEAD_BYTES);
    let http = Arc::new(http);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(NO_SOCKETS).await;
                continue;
            }
        };
        // Over the limit a connection is closed at once: whoever is in keeps working.
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
        let Ok(local) = stream.local_addr() else { continue };
        let ends = Ends { remote, local, tls: tls.is_some() };
        let serving = Serving { app: app.clone(), http: Arc::clone(&http), router: router.clone(), ends, permit };
        app.connections.spawn(connection(serving, stream, tls.clone()));
    }
}

/// What serving one connection needs.
struct Serving {
    app: App,
    http: Arc<http1::Builder>,
    router: Router,
    ends: Ends,
    permit: OwnedSemaphorePermit,
}

/// Waits for the first byte in a future that is small, because attackers open many connections and say nothing.
async fn connection(serving: Serving, stream: TcpStream, tls: Option<TlsAcceptor>) {
    prepare(&stream);
    let limit = serving.app.settings.limits.header_timeout;
    // Looked at, not only waited for: a fresh stream may call itself readable before anything came.
    let mut byte = [0];
    let first_byte = tokio::time::timeout(limit, stream.peek(&mut byte));
    let spoke = tokio::select! {
        biased;
        () = serving.app.closing.cancelled() => return,
        spoke = first_byte => spoke,
    };
    if !matches!(spoke, Ok(Ok(1))) {
        return;
    }
    match tls {
        None => Box::pin(serve(serving, stream)).await,
        Some(tls) => Box::pin(serve_tls(serving, stream, tls)).await,
    }
}

async fn serve_tls(serving: Serving, stream: TcpStream, tls: TlsAcceptor) {
    let limit = serving.app.settings.limits.header_timeout;
    // Whoever does not finish the handshake, or speaks no TLS, is let go.
    let Ok(Ok(stream)) = tokio::time::timeout(limit, tls.accept(stream)).await else { return };
    match tls::taken_off(stream, &serving.app.connections).await {
        Ok(stream) => serve(serving, stream).await,
        Err(error) => tracing::warn!(%error, "cannot take TLS off a connection"),
    }
}

async fn serve(serving: Serving, stream: TcpStream) {
    let Serving { app, http, router, ends, permit } = serving;
    // An upgraded connection lives on in the task of its WebSocket; the permit goes with it.
    let permit = Arc::new(permit);
    let service = router.map_request(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ends);
        request.extensions_mut().insert(Permit(Arc::clone(&permit)));
        request.map(Body::new)
    });
    let serving = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).with_upgrades();
    tokio::pin!(serving);
    let mut closing = std::pin::pin!(app.closing.cancelled());
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            // What a client does wrong on its own connection is no news.
            _ = serving.as_mut() => return,
            () = closing.as_mut(), if !told => {
                told = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Keeps a connection counted for as long as somebody holds this.
#[derive(Clone, Debug)]
pub struct Permit(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// Makes the kernel notice readers that vanish without a word, and send small frames at once.
fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(VANISHED / 2).with_interval(VANISHED / 6);
    // Each is a wish: a system without the option serves all the same.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(VANISHED));
}

/// Lets this process open as many files as the system allows: each connection is one.
#[cfg(unix)]
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_err() {
        tracing::debug!("the limit of open files stays as it is");
    }
}

#[cfg(not(unix))]
fn raise_open_files() {}

/// Returns this machine's addresses of one family, loopback first.
fn own_addresses(like: IpAddr) -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut all: Vec<IpAddr> =
        interfaces.iter().map(if_addrs::Interface::ip).filter(|ip| is_reachable(*ip, like)).collect();
    all.sort_by_key(|ip| !ip.is_loopback());
    all.dedup();
    all
}

/// Link-local IPv6 addresses need a zone that no browser takes. A socket on `::` also takes IPv4.
fn is_reachable(ip: IpAddr, like: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(v6) => like.is_ipv6() && !v6.is_unicast_link_local(),
    }
}
