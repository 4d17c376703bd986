//! Who asks: tokens, cookies, logins at hand.
//!
//! Owns: making and finding logins, the guard before every route. Must not know: roles. Invariants: a token is stored
//! only as its hash and is never logged; a login that ended, by its owner or by its time, has ended for every open
//! connection at once.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::Method;
use axum::http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roundtable_access::routes::{self, Action};
use roundtable_hub::{Standing, clock};
use roundtable_protocol::{Code, Permission, Problem, SessionId, Timestamp, UserId};
use roundtable_store::{Login, Store, StoreError, TokenHash, User};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::limits::lock;
use crate::origin::{Arrival, Ends, is_safe};
use crate::problem::ApiError;
use crate::state::App;

/// How long a login lasts.
const LOGIN_DAYS: i64 = 90;
/// How many logins each of the two halves of the cache holds.
const CACHED: usize = 8192;
/// How long a cached login is believed without asking the store.
const BELIEVED: Duration = Duration::from_secs(60);
/// How often an open connection compares the end of its login with the clock.
const CLOCK_MAY_BE_SET: Duration = Duration::from_secs(3600);
/// The cookie over plain HTTP.
const COOKIE_PLAIN: &str = "roundtable";
/// The cookie over HTTPS; browsers keep others from setting it.
const COOKIE_SECURE: &str = "__Host-roundtable";

/// A secret that opens something: a login or a door.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Makes a token of `BYTES` random bytes.
    pub fn random<const BYTES: usize>() -> Self {
        Self(URL_SAFE_NO_PAD.encode(clock::random::<BYTES>()))
    }

    /// Takes what a caller sent as a token.
    pub fn sent(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns what is stored of it.
    pub fn hash(&self) -> TokenHash {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Returns the secret, for the one answer that hands it out.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// A login that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Whose.
    pub user: User,
    /// By which stored hash.
    pub token_hash: TokenHash,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Logins at hand.
pub struct Logins {
    store: Arc<dyn Store>,
    cache: Mutex<Cache>,
    open: Mutex<HashMap<TokenHash, (CancellationToken, usize)>>,
}

/// Two halves: what is used moves to the young one, and when that is full the old one is forgotten.
#[derive(Default)]
struct Cache {
    young: HashMap<TokenHash, Cached>,
    old: HashMap<TokenHash, Cached>,
    /// Raised by each removal, so that a slow read does not put back what was just ended.
    removals: u64,
}

#[derive(Clone)]
struct Cached {
    known: Arc<Known>,
    read_at: std::time::Instant,
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").finish_non_exhaustive()
    }
}

impl Logins {
    /// Makes the cache before `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, cache: Mutex::default(), open: Mutex::default() }
    }

    /// Makes a login of `user` and returns its token, once.
    ///
    /// # Errors
    /// The store's.
    pub async fn begin(&self, user: &User) -> Result<Token, StoreError> {
        let token = Token::random::<32>();
        let now = clock::now();
        let expires_at = now + jiff_days(LOGIN_DAYS);
        let login = Login { token_hash: token.hash(), user: user.id, created_at: now, expires_at };
        self.store.put_login(login).await?;
        Ok(token)
    }

    /// Finds the login with that hash; `None` when there is none, or its time is over.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(&self, hash: TokenHash) -> Result<Option<Arc<Known>>, StoreError> {
        let cached = lock(&self.cache).get(hash);
        let removals = match cached {
            Ok(known) => return Ok(Some(known).filter(|k| clock::now() < k.expires_at)),
            Err(removals) => removals,
        };
        let Some(known) = self.read(hash).await? else { return Ok(None) };
        let known = Arc::new(known);
        let mut cache = lock(&self.cache);
        if cache.removals == removals {
            cache.put(Arc::clone(&known));
        }
        Ok(Some(known).filter(|k| clock::now() < k.expires_at))
    }

    async fn read(&self, hash: TokenHash) -> Result<Option<Known>, StoreError> {
        let Some(login) = self.store.login(hash).await? else { return Ok(None) };
        let user = self.store.user(login.user).await?;
        Ok(user.map(|user| Known { user, token_hash: hash, expires_at: login.expires_at }))
    }

    /// Ends a login, here and on every open connection; whether there was one.
    ///
    /// # Errors
    /// The store's.
    pub async fn end(&self, hash: TokenHash) -> Result<bool, StoreError> {
        let ended = self.store.end_login(hash).await?;
        lock(&self.cache).remove(hash);
        if let Some((token, _)) = lock(&self.open).get(&hash) {
            token.cancel();
        }
        Ok(ended)
    }

    /// Forgets what is cached of a user, because it has changed.
    pub fn changed(&self, user: UserId) {
        lock(&self.cache).remove_user(user);
    }

    /// Watches a login for as long as a connection is open. `None` when it has ended in the meantime.
    ///
    /// # Errors
    /// The store's.
    pub async fn watch(self: &Arc<Self>, hash: TokenHash) -> Result<Option<Watch>, StoreError> {
        let ended = {
            let mut open = lock(&self.open);
            let (token, count) = open.entry(hash).or_insert_with(|| (CancellationToken::new(), 0));
            *count += 1;
            token.clone()
        };
        let mut watch = Watch { logins: Arc::clone(self), hash, ended, expires_at: Timestamp::UNIX_EPOCH };
        // Looked up again after the watch stands: an end in between would have told nobody.
        let Some(known) = self.find(hash).await? else { return Ok(None) };
        watch.expires_at = known.expires_at;
        Ok(Some(watch))
    }
}

impl Cache {
    fn get(&mut self, hash: TokenHash) -> Result<Arc<Known>, u64> {
        let fresh = |cached: &&Cached| cached.read_at.elapsed() < BELIEVED;
        if let Some(cached) = self.young.get(&hash).filter(fresh) {
            return Ok(Arc::clone(&cached.known));
        }
        let Some(cached) = self.old.remove(&hash).filter(|c| fresh(&c)) else { return Err(self.removals) };
        let known = Arc::clone(&cached.known);
        self.insert(cached);
        Ok(known)
    }

    fn put(&mut self, known: Arc<Known>) {
        self.insert(Cached { known, read_at: std::time::Instant::now() });
    }

    fn insert(&mut self, cached: Cached) {
        if self.young.len() >= CACHED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(cached.known.token_hash, cached);
    }

    fn remove_user(&mut self, user: UserId) {
        self.removals += 1;
        for half in [&mut self.young, &mut self.old] {
            half.retain(|_, cached| cached.known.user.id != user);
        }
    }

    fn remove(&mut self, hash: TokenHash) {
        self.removals += 1;
        self.young.remove(&hash);
        self.old.remove(&hash);
    }
}

/// An open connection's eye on its login.
#[derive(Debug)]
pub struct Watch {
    logins: Arc<Logins>,
    hash: TokenHash,
    ended: CancellationToken,
    expires_at: Timestamp,
}

/// How a login came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody ended it.
    LoggedOut,
    /// Its time is over.
    Expired,
}

/// The end of a login, to be waited for.
pub type Ending = Pin<Box<dyn Future<Output = Ended> + Send>>;

impl Watch {
    /// Waits until the login ends.
    pub fn ended(&self) -> Ending {
        let (ended, expires_at) = (self.ended.clone(), self.expires_at);
        Box::pin(async move {
            tokio::select! {
                () = ended.cancelled() => Ended::LoggedOut,
                () = reached(expires_at) => Ended::Expired,
            }
        })
    }
}

/// Waits until it is that late. Looks at the clock again and again, because it may be set while somebody waits.
async fn reached(at: Timestamp) {
    while let Ok(left) = Duration::try_from(at.duration_since(clock::now())) {
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(CLOCK_MAY_BE_SET)).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut open = lock(&self.logins.open);
        if let Some((_, count)) = open.get_mut(&self.hash) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.hash);
            }
        }
    }
}

/// Who asks, if anybody is logged in.
#[derive(Clone, Debug)]
pub struct Visitor(pub Option<Arc<Known>>);

/// Who asks; the guard has seen to it that somebody is logged in.
#[derive(Clone, Debug)]
pub struct Caller(pub Arc<Known>);

impl FromRequestParts<App> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self(None)))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let visitor = parts.extensions.get::<Visitor>().and_then(|visitor| visitor.0.clone());
        visitor.map(Self).ok_or_else(|| Code::NotLoggedIn.into())
    }
}

/// What the guard found out about the session that the path names.
#[derive(Clone, Debug)]
pub struct Here(pub Arc<Standing>);

impl FromRequestParts<App> for Here {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a handler wants the caller's standing, but its route names no permission");
            Code::Internal.into()
        })
    }
}

/// How a request logs in.
enum Credential {
    None,
    Bearer(Token),
    Cookie(Token),
}

/// Finds out who asks and whether the route's action is allowed, before any handler runs. Fails closed.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let action = action_of(&parts)?;
    let arrival = parts.extensions.get::<Arrival>().cloned().ok_or(Code::Internal)?;
    let credential = credential(&parts.headers, arrival.https);
    refuse_cross_site(&app, &parts, action, &arrival, &credential)?;
    if action == Action::Operator {
        app.rates.request(None, arrival.address)?;
        check_operator(&app, &parts, &arrival, &credential)?;
        parts.extensions.insert(Visitor(None));
        return Ok(next.run(Request::from_parts(parts, body)).await);
    }
    let known = match &credential {
        Credential::None => None,
        Credential::Bearer(token) => match app.logins.find(token.hash()).await? {
            Some(known) => Some(known),
            None => return Err(ended_or_unknown(&app, token).await),
        },
        Credential::Cookie(token) => app.logins.find(token.hash()).await?,
    };
    app.rates.request(known.as_deref(), arrival.address)?;
    check_action(&app, &mut parts, action, known.as_ref()).await?;
    parts.extensions.insert(Visitor(known));
    Ok(next.run(Request::from_parts(parts, body)).await)
}

fn action_of(parts: &Parts) -> Result<Action, ApiError> {
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    routes::action(method.as_str(), path).ok_or_else(|| {
        tracing::error!(%method, route = path, "a route without an action was called; it is refused");
        Code::Internal.into()
    })
}

fn refuse_cross_site(
    app: &App,
    parts: &Parts,
    action: Action,
    arrival: &Arrival,
    credential: &Credential,
) -> Result<(), ApiError> {
    if matches!(credential, Credential::Bearer(_)) {
        return Ok(());
    }
    let cookie = matches!(credential, Credential::Cookie(_));
    let crossed = match action {
        Action::Socket => cookie && arrival.is_cross_site_upgrade(&parts.headers, &app.settings, cookie),
        _ if is_safe(&parts.method) => false,
        _ => arrival.is_cross_site(&parts.headers, &app.settings, cookie),
    };
    if crossed { Err(Code::CrossSite.into()) } else { Ok(()) }
}

fn check_operator(app: &App, parts: &Parts, arrival: &Arrival, credential: &Credential) -> Result<(), ApiError> {
    let ends = *parts.extensions.get::<Ends>().ok_or(Code::Internal)?;
    match credential {
        Credential::Bearer(token) if app.operator.is_caller(token, arrival, ends) => Ok(()),
        _ => {
            let detail = "only from the server's own machine, with the token in its data folder: roundtable admin log";
            Err(Problem::new(Code::NotLoggedIn).with_detail(detail).into())
        }
    }
}

async fn check_action(
    app: &App,
    parts: &mut Parts,
    action: Action,
    known: Option<&Arc<Known>>,
) -> Result<(), ApiError> {
    match (action, known) {
        (Action::Public | Action::Socket, _) => Ok(()),
        // It has been checked on a way of its own, and no login opens it.
        (Action::Operator, _) => Err(Code::Forbidden.into()),
        (_, None) => Err(Code::NotLoggedIn.into()),
        (Action::LoggedIn | Action::PerCommand, Some(_)) => Ok(()),
        (Action::Host, Some(known)) => app.may_host(&known.user),
        (Action::In(permission), Some(known)) => {
            let session = session_of(parts, app).await?;
            let standing = app.manager.standing(session, known.user.id).await?;
            require(&standing, permission)?;
            parts.extensions.insert(Here(Arc::new(standing)));
            Ok(())
        }
    }
}

fn require(standing: &Standing, permission: Permission) -> Result<(), ApiError> {
    if standing.grant.allows(permission) {
        return Ok(());
    }
    let code = if standing.participant.is_some() { Code::Forbidden } else { Code::NotAParticipant };
    Err(code.into())
}

async fn session_of(parts: &mut Parts, app: &App) -> Result<SessionId, ApiError> {
    let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Code::NotFound)?;
    let id = params.iter().find(|(name, _)| *name == "session_id").and_then(|(_, id)| id.parse().ok());
    id.ok_or_else(|| Code::NotFound.into())
}

/// Tells a token whose time is over from one that never was.
async fn ended_or_unknown(app: &App, token: &Token) -> ApiError {
    match app.store.login(token.hash()).await {
        Ok(Some(_)) => Code::LoginExpired.into(),
        Ok(None) => Code::NotLoggedIn.into(),
        Err(error) => error.into(),
    }
}

fn credential(headers: &HeaderMap, https: bool) -> Credential {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().unwrap_or_default();
        let token = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        return Credential::Bearer(Token::sent(token.map_or("", |(_, token)| token.trim())));
    }
    let name = cookie_name(https);
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(';'));
    let found = cookies.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name);
    found.map_or(Credential::None, |(_, value)| Credential::Cookie(Token::sent(value)))
}

fn cookie_name(https: bool) -> &'static str {
    if https { COOKIE_SECURE } else { COOKIE_PLAIN }
}

/// Returns the header that gives a browser the cookie.
pub fn set_cookie(token: &Token, arrival: &Arrival) -> (axum::http::HeaderName, HeaderValue) {
    cookie(token.expose(), LOGIN_DAYS * 86_400, arrival.https)
}

/// Returns the header that takes the cookie away.
pub fn clear_cookie(arrival: &Arrival) -> (axum::http::HeaderName, HeaderValue) {
    cookie("", 0, arrival.https)
}

fn cookie(value: &str, max_age_s: i64, https: bool) -> (axum::http::HeaderName, HeaderValue) {
    let secure = if https { "; Secure" } else { "" };
    let name = cookie_name(https);
    let text = format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}");
    let mut value = HeaderValue::from_str(&text).expect("base64 and our own words are header text");
    value.set_sensitive(true);
    (SET_COOKIE, value)
}

fn jiff_days(days: i64) -> Duration {
    Duration::from_secs(days.unsigned_abs() * 86_400)
}

/// Returns the problem for a caller who may not start sessions.
pub fn hosting_not_allowed() -> Problem {
    Problem::new(Code::HostingNotAllowed).with_detail(
        "you may not start sessions on this server; its administrator can allow it with the setting `hosting`",
    )
}
