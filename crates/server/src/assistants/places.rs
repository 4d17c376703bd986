//! At which addresses people may connect models of their own.
//!
//! Owns: which addresses are public, and the rule. Must not know: whether anybody may connect at all. Invariant: while
//! others can reach this server, nobody can use it to reach what only it can reach.
//!
//! While only people at this device can reach the server, they may name any address: they can call it themselves. As
//! soon as others can (it listens beyond loopback, has a `public_url` or trusted proxies), whoever names an address
//! makes *this machine* call it, which stands in networks that they do not: its own services, the router, a cloud's
//! metadata at 169.254.169.254. So then an address that people name must be public and speak HTTPS, or lie in
//! `assistants.allowed_networks`. It is looked at when the connection is made, after the name was resolved, and
//! redirects are never followed. Model servers that this server itself has found on its machine are not named by
//! anybody and stay allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use roundtable_assistant::model::Reach;

use crate::settings::Settings;

/// Returns which addresses may be called for somebody who came from elsewhere.
pub fn reach(settings: &Settings, url: &str) -> Reach {
    let allowed = settings.assistants.allowed_networks.clone();
    let encrypted = url.trim_start().get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    Reach::only(move |address| {
        (encrypted && is_public(address)) || allowed.iter().any(|network| network.contains(address))
    })
}

/// Returns whether a URL names an address, not a host, that is not public: whoever runs that asks for no money.
pub fn is_private_literal(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    bare.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| !is_public(address))
}

/// Returns whether an address is one of the public internet. Source: the IANA registries of special-purpose addresses.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Global unicast is 2000::/3; of NAT64 and 6to4 the address inside counts.
    let inside = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(inside(high, low)),
        [0x2002, high, low, ..] => is_public_v4(inside(high, low)),
        [0x2001, second, ..] if second < 0x200 => false,
        [0x2001, 0x0db8, ..] => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_urls_are_recognised() {
        for url in ["http://10.0.0.1/v1", "http://u:p@192.168.1.5:8080/v1", "https://[fd00::1]:8443/v1", "http://[::1]"]
        {
            assert!(is_private_literal(url), "{url}");
        }
        for url in ["https://api.example/v1", "https://1.1.1.1/v1", "https://10.0.0.1.example/v1", ""] {
            assert!(!is_private_literal(url), "{url}");
        }
    }

    #[test]
    fn what_only_this_machine_or_its_network_can_reach_is_not_public() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "64:ff9b:1::1",
        ] {
            assert!(!is_public(text.parse().expect(text)), "{text}");
        }
        for text in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "192.1.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(is_public(text.parse().expect(text)), "{text}");
        }
    }
}
