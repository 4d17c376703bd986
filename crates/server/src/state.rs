//! What every handler can reach.
//!
//! Owns: the one value that the router carries. Must not know: HTTP. Invariant: cheap to clone, the same for all.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use roundtable_hub::SessionManager;
use roundtable_protocol::{Code, LinkId, Problem, Timestamp, UserId};
use roundtable_store::{Store, User};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::assistants::Assistants;
use crate::auth::{Known, Logins, hosting_not_allowed};
use crate::limits::{Buckets, Neighbour, OpenSocket, Rate, Sockets};
use crate::metrics::ModelCalls;
use crate::operator::Operator;
use crate::problem::ApiError;
use crate::routes::reports::Reports;
use crate::settings::{Limits, Settings};
use crate::summaries::Summaries;

/// What every handler can reach.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

/// The content of [`App`].
pub struct Inner {
    /// The settings.
    pub settings: Settings,
    /// The address that is listened on.
    pub bound: SocketAddr,
    /// How often a connection hears something at least.
    pub heartbeat: Duration,
    /// The URLs at which the server can be reached, the nearest first, as at the start.
    pub urls: Vec<String>,
    /// The sessions.
    pub manager: SessionManager,
    /// The store beneath them.
    pub store: Arc<dyn Store>,
    /// What answers turns.
    pub assistants: Assistants,
    /// Logins.
    pub logins: Arc<Logins>,
    /// Rates.
    pub rates: Rates,
    /// How whoever runs the server reaches it.
    pub operator: Operator,
    /// Since when the server runs.
    pub started_at: Timestamp,
    /// What became of the models' calls.
    pub calls: Arc<ModelCalls>,
    /// What browsers have reported about the page.
    pub reports: Reports,
    /// What ended sessions came to, in words.
    pub summaries: Summaries,
    /// Open WebSockets and event streams.
    pub sockets: Sockets,
    /// Known to this process alone: what share codes are drawn from.
    pub secret: [u8; 32],
    /// Lets one password be hashed for each core at a time: a hash costs 19 MiB.
    pub hashing: Arc<Semaphore>,
    /// Cancelled when the server goes away.
    pub closing: CancellationToken,
    /// Everything that runs for one connection.
    pub connections: TaskTracker,
}

impl App {
    /// Wraps the parts.
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Returns whether `user` may start sessions here.
    ///
    /// # Errors
    /// `hosting_not_allowed`
    pub fn may_host(&self, user: &User) -> Result<(), ApiError> {
        if self.settings.may_host(user.guest) { Ok(()) } else { Err(hosting_not_allowed().into()) }
    }

    /// Counts one more socket of `address`.
    ///
    /// # Errors
    /// `too_many_connections`
    pub fn open_socket(&self, address: IpAddr) -> Result<OpenSocket, ApiError> {
        let most = self.settings.limits.sockets_per_address;
        self.sockets.open(address, most).ok_or_else(|| {
            Problem::new(Code::TooManyConnections)
                .with_detail(format!("your address has {most} open connections already"))
                .retry_after_ms(5000)
                .into()
        })
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("bound", &self.bound).field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// How fast callers may ask.
#[derive(Debug)]
pub struct Rates {
    requests: Buckets<Requester>,
    guests: Buckets<Neighbour>,
    passwords: Buckets<(LinkId, Neighbour)>,
    passwords_of_link: Buckets<LinkId>,
    codes: Buckets<Neighbour>,
    all_codes: Buckets<Guesser>,
}

/// Who guesses at share codes. Whoever has a login already is not kept out by the guesses of those who have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Guesser {
    Known,
    Stranger,
}

/// How many wrong share codes one address may try, and within how many seconds.
const WRONG_CODES: (u32, u32) = (10, 60);
/// The same for everybody together, once for those without a login and once for those with one: 5 a second. With 1,000
/// live codes of 30 bits the chance that any of them is hit in ten minutes stays below one in a hundred.
const WRONG_CODES_OF_ALL: (u32, u32) = (150, 30);

impl Guesser {
    fn of(known: bool) -> Self {
        if known { Self::Known } else { Self::Stranger }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Requester {
    User(UserId),
    Address(Neighbour),
}

impl Rates {
    /// Makes the buckets that `limits` ask for.
    pub fn new(limits: &Limits) -> Self {
        Self {
            requests: Buckets::new(Rate::new(limits.requests_per_second, limits.requests_burst)),
            guests: Buckets::new(Rate::new(limits.guests_per_second, limits.guests_burst)),
            passwords: Buckets::new(Some(Rate::within(5, 300))),
            passwords_of_link: Buckets::new(Some(Rate::within(60, 60))),
            codes: Buckets::new(Some(Rate::within(WRONG_CODES.0, WRONG_CODES.1))),
            all_codes: Buckets::new(Some(Rate::within(WRONG_CODES_OF_ALL.0, WRONG_CODES_OF_ALL.1))),
        }
    }

    /// Counts one REST call.
    ///
    /// # Errors
    /// `rate_limited`
    pub fn request(&self, known: Option<&Known>, address: IpAddr) -> Result<(), ApiError> {
        let requester = known.map_or(Requester::Address(address.into()), |known| Requester::User(known.user.id));
        self.requests.take(requester).map_err(|ms| limited(ms).into())
    }

    /// Counts one new login.
    ///
    /// # Errors
    /// `rate_limited`
    pub fn guest(&self, address: IpAddr) -> Result<(), ApiError> {
        self.guests.take(address.into()).map_err(|ms| limited(ms).into())
    }

    /// Counts one attempt at a share code, before it is looked at. A right one is given back: [`Rates::right_code`].
    ///
    /// # Errors
    /// `rate_limited`
    pub fn code(&self, known: bool, address: IpAddr) -> Result<(), ApiError> {
        self.codes.take(address.into()).map_err(limited)?;
        self.all_codes.take(Guesser::of(known)).map_err(|ms| {
            self.codes.give_back(&address.into());
            limited(ms).into()
        })
    }

    /// The attempt was right and costs nothing.
    pub fn right_code(&self, known: bool, address: IpAddr) {
        self.codes.give_back(&address.into());
        self.all_codes.give_back(&Guesser::of(known));
    }

    /// Counts one attempt at a link's password.
    ///
    /// # Errors
    /// `rate_limited`
    pub fn password(&self, link: LinkId, address: IpAddr) -> Result<(), ApiError> {
        let own = self.passwords.take((link, address.into()));
        own.and_then(|()| self.passwords_of_link.take(link)).map_err(|ms| limited(ms).into())
    }
}

fn limited(ms: u64) -> Problem {
    Problem::new(Code::RateLimited).retry_after_ms(ms.max(1))
}
