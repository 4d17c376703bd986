//! Where a request comes from.
//!
//! Owns: Host, Origin, Fetch-Metadata and the headers of trusted proxies. Must not know: logins. Invariant: a forwarded
//! header counts only when the connection itself comes from a trusted proxy.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::Response;
use roundtable_protocol::{Code, Problem};

use crate::problem::ApiError;
use crate::settings::Settings;
use crate::state::App;

/// The two ends of the connection that a request came in on.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Who connected.
    pub remote: SocketAddr,
    /// The address that was connected to.
    pub local: SocketAddr,
    /// Whether this server itself speaks TLS on it.
    pub tls: bool,
}

/// Where a request comes from and how this server was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Whether the caller speaks HTTPS, with us or with a trusted proxy.
    pub https: bool,
    /// The host, and the port if there was one, that the caller used for this server.
    pub authority: String,
    /// Who asks.
    pub address: IpAddr,
}

impl Arrival {
    /// Returns the origin under which the caller reached this server.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.authority)
    }

    fn of(ends: Ends, headers: &HeaderMap, uri: &Uri, settings: &Settings) -> Self {
        let trusted = |address: IpAddr| settings.trusted_proxies.iter().any(|network| network.contains(address));
        let host = uri.authority().map(|a| a.as_str()).or_else(|| text(headers, HOST.as_str()));
        let mut arrival = Self {
            https: ends.tls,
            authority: host.unwrap_or_default().to_ascii_lowercase(),
            address: ends.remote.ip().to_canonical(),
        };
        if trusted(arrival.address) {
            if let Some(scheme) = text(headers, "x-forwarded-proto").and_then(last) {
                arrival.https = scheme == "https";
            }
            if let Some(host) = text(headers, "x-forwarded-host").and_then(last) {
                arrival.authority = host.to_ascii_lowercase();
            }
            for hop in headers.get_all("x-forwarded-for").iter().rev().filter_map(|v| v.to_str().ok()) {
                for address in hop.rsplit(',').filter_map(|a| a.trim().parse::<IpAddr>().ok()) {
                    if trusted(arrival.address) {
                        arrival.address = address.to_canonical();
                    }
                }
            }
        }
        arrival
    }

    /// Returns whether this server answers to the host that it was called by.
    fn host_is_ours(&self, settings: &Settings, local: SocketAddr) -> bool {
        let host = without_port(&self.authority);
        let host = host.strip_suffix('.').unwrap_or(host);
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let address = address.to_canonical();
            if address.is_loopback() || address == local.ip().to_canonical() {
                return true;
            }
        }
        let public = settings.public_url.as_deref().and_then(|url| url.split_once("://"));
        host == "localhost"
            || host.ends_with(".localhost")
            || public.is_some_and(|(_, authority)| without_port(authority) == host)
            || settings.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }

    /// Returns whether a request that changes something must be refused because a page of another site may have sent
    /// it. `cookie`: it would log in by cookie.
    ///
    /// Source: the order of checks is the one of OWASP's cheat sheet on cross-site request forgery.
    pub fn is_cross_site(&self, headers: &HeaderMap, settings: &Settings, cookie: bool) -> bool {
        match text(headers, "sec-fetch-site") {
            Some(site) => site != "same-origin",
            None => self.origin_differs(headers, settings, cookie),
        }
    }

    /// The same for a WebSocket: browsers always send `Origin` with its upgrade, and not all send Fetch-Metadata.
    pub fn is_cross_site_upgrade(&self, headers: &HeaderMap, settings: &Settings, cookie: bool) -> bool {
        self.origin_differs(headers, settings, cookie)
    }

    fn origin_differs(&self, headers: &HeaderMap, settings: &Settings, cookie: bool) -> bool {
        match headers.get(ORIGIN) {
            Some(origin) => {
                let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
                origin != self.origin() && Some(&origin) != settings.public_url.as_ref()
            }
            None => cookie,
        }
    }
}

/// Returns whether a caller is on this machine and came without a detour: from loopback, by a loopback name, and not
/// through a proxy, which on this machine would make everybody look like that.
pub fn is_of_this_machine(arrival: &Arrival, ends: Ends, headers: &HeaderMap) -> bool {
    let host = without_port(&arrival.authority);
    let by_loopback = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    let forwarded = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];
    let direct = forwarded.iter().all(|name| !headers.contains_key(*name));
    ends.remote.ip().to_canonical().is_loopback() && arrival.address.is_loopback() && by_loopback && direct
}

/// Returns whether a method only reads.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Finds out where a request comes from and refuses hosts that are not ours. Health checks come by any name.
pub async fn check_host(State(app): State<App>, mut request: Request, next: Next) -> Result<Response, ApiError> {
    let ends = *request.extensions().get::<Ends>().expect("the accept loop says where a request came in");
    let arrival = Arrival::of(ends, request.headers(), request.uri(), &app.settings);
    let health = matches!(request.uri().path(), "/healthz" | "/readyz");
    if !health && !arrival.host_is_ours(&app.settings, ends.local) {
        return Err(Problem::new(Code::WrongHost)
            .with_detail("this server does not answer to that host name; an administrator can add it to allowed_hosts")
            .into());
    }
    request.extensions_mut().insert(arrival);
    Ok(next.run(request).await)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Returns the last of several values: the one that the nearest proxy wrote.
fn last(values: &str) -> Option<&str> {
    values.rsplit(',').next().map(str::trim).filter(|v| !v.is_empty())
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.is_empty() => {
            // An IPv6 address without brackets is no authority, so a colon inside the host means brackets.
            if host.contains(':') && !host.starts_with('[') { authority } else { host }
        }
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings = Settings::defaults();
        change(&mut settings);
        settings
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().expect("name"), v.parse().expect("value"))).collect()
    }

    fn arrive(remote: &str, pairs: &[(&'static str, &str)], settings: &Settings) -> Arrival {
        let ends = Ends {
            remote: remote.parse().expect("address"),
            local: "192.168.1.5:80".parse().expect("address"),
            tls: false,
        };
        Arrival::of(ends, &headers(pairs), &"/".parse().expect("uri"), settings)
    }

    #[test]
    fn forwarded_headers_count_only_from_a_trusted_proxy() {
        let forwarded = [
            ("host", "inner:8080"),
            ("x-forwarded-for", "6.6.6.6, 9.9.9.9, 10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "r.example"),
        ];
        let trusting = settings(|s| s.trusted_proxies = vec!["10.0.0.0/8".parse().expect("network")]);
        let arrival = arrive("10.0.0.1:5", &forwarded, &trusting);
        assert_eq!((arrival.origin().as_str(), arrival.address.to_string().as_str()), ("https://r.example", "9.9.9.9"));
        let arrival = arrive("11.0.0.1:5", &forwarded, &trusting);
        assert_eq!(
            (arrival.origin().as_str(), arrival.address.to_string().as_str()),
            ("http://inner:8080", "11.0.0.1")
        );
    }

    #[test]
    fn only_our_own_hosts_are_answered() {
        let settings = settings(|s| {
            s.public_url = Some("https://r.example:8443".to_owned());
            s.allowed_hosts = vec!["Lan.Example".to_owned()];
        });
        let ours = |host: &str| {
            let local = "192.168.1.5:80".parse().expect("address");
            arrive("1.1.1.1:1", &[("host", host)], &settings).host_is_ours(&settings, local)
        };
        for host in [
            "localhost",
            "a.localhost:1",
            "127.0.0.1:8080",
            "[::1]:80",
            "192.168.1.5",
            "r.example",
            "R.example:1",
            "lan.example.",
        ] {
            assert!(ours(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "192.168.1.6", "r.example.evil", "127.0.0.1.evil", "[::2]"]
        {
            assert!(!ours(host), "{host}");
        }
    }

    #[test]
    fn what_another_site_may_have_sent_is_told_apart() {
        let settings = settings(|s| s.public_url = Some("https://r.example".to_owned()));
        let check = |pairs: &[(&'static str, &str)], cookie| {
            let mut all = vec![("host", "localhost:8080")];
            all.extend_from_slice(pairs);
            arrive("127.0.0.1:1", &all, &settings).is_cross_site(&headers(&all), &settings, cookie)
        };
        assert!(!check(&[("sec-fetch-site", "same-origin"), ("origin", "http://elsewhere")], true));
        assert!(!check(&[("origin", "http://localhost:8080")], true));
        assert!(!check(&[("origin", "https://r.example")], true));
        assert!(!check(&[], false), "a program without a cookie");
        assert!(check(&[], true), "nothing says where it comes from");
        for site in ["cross-site", "same-site", "none"] {
            assert!(check(&[("sec-fetch-site", site)], true), "{site}");
            assert!(check(&[("sec-fetch-site", site)], false), "{site}");
        }
        for origin in ["http://localhost:8081", "https://localhost:8080", "http://evil.example", "null"] {
            assert!(check(&[("origin", origin)], true), "{origin}");
        }
    }
}
