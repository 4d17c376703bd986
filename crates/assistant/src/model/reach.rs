//! Which addresses an endpoint may have.
//!
//! Owns: the check at the moment of connecting. Must not know: who may choose an endpoint. Invariant: with a limit, no
//! connection is made to an address that it does not allow, whatever a name resolves to at that moment, and no proxy is
//! asked to connect instead.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Which addresses an endpoint may have.
#[derive(Clone, Default)]
pub struct Reach(Option<Arc<Allowed>>);

type Allowed = dyn Fn(IpAddr) -> bool + Send + Sync;

impl Reach {
    /// Allows every address.
    pub const ANYWHERE: Self = Self(None);

    /// Allows only addresses for which `allowed` returns true.
    pub fn only(allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(allowed)))
    }

    /// Returns whether a URL that names an address, not a host, names an allowed one.
    pub(super) fn allows_literal(&self, url: &Url) -> bool {
        let Some(allowed) = &self.0 else { return true };
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().map_or(true, |address| allowed(address.to_canonical()))
    }

    /// Makes a client connect only where it is allowed.
    pub(super) fn limit(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        match &self.0 {
            None => builder,
            Some(allowed) => builder.no_proxy().dns_resolver(Arc::new(Limited(Arc::clone(allowed)))),
        }
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Reach(limited)" } else { "Reach(anywhere)" })
    }
}

/// The name leads only to addresses that may not be called.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address that this server does not call")]
pub(super) struct OutOfReach;

struct Limited(Arc<Allowed>);

impl Resolve for Limited {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let kept: Vec<SocketAddr> = found.filter(|address| allowed(address.ip().to_canonical())).collect();
            if kept.is_empty() {
                return Err(Box::new(OutOfReach) as Box<dyn std::error::Error + Send + Sync>);
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}
