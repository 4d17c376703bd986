//! How whoever runs the server reaches it while it runs.
//!
//! Owns: the file `operator.json` in the data folder, with the address and a token that is good until the server ends.
//! Must not know: what is asked for. Invariants: whoever can read the file may read the data folder anyway, so the token
//! gives nobody more than they have; it is only taken from callers on this machine.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::assistants::file::for_owner_only;
use crate::auth::Token;
use crate::logging::LogSwitch;
use crate::origin::{Arrival, Ends};
use crate::settings::Settings;

/// The file's name.
const NAME: &str = "operator.json";

/// How whoever runs the server reaches it.
#[derive(Debug)]
pub struct Operator {
    token: Token,
    /// What changes the process's log, where there is one.
    pub log: Option<LogSwitch>,
}

/// What the file says.
#[derive(Clone, Serialize, Deserialize)]
pub struct Announced {
    /// Where the server is.
    pub url: String,
    /// What opens it.
    pub token: String,
}

impl Operator {
    /// Makes a new token.
    pub fn new(log: Option<LogSwitch>) -> Self {
        Self { token: Token::random::<32>(), log }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// What the system says.
    pub fn announce(&self, settings: &Settings, bound: SocketAddr) -> io::Result<()> {
        let scheme = if settings.tls_cert.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", SocketAddr::new(reachable(bound.ip()), bound.port()));
        let announced = Announced { url, token: self.token.expose().to_owned() };
        let text = serde_json::to_vec(&announced).expect("two strings serialise");
        let path = file_in(&settings.data);
        fs::create_dir_all(&settings.data)?;
        // The file of a server that was killed may have another mode.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for_owner_only(OpenOptions::new().write(true).create_new(true)).open(path)?.write_all(&text)
    }

    /// Takes the file away.
    pub fn withdraw(&self, settings: &Settings) {
        if let Err(error) = fs::remove_file(file_in(&settings.data)) {
            tracing::debug!(%error, "the file for the operator is gone already");
        }
    }

    /// Returns whether a caller is whoever runs the server: on this machine, with the token.
    pub fn is_caller(&self, token: &Token, arrival: &Arrival, ends: Ends) -> bool {
        let local = |address: IpAddr| address.is_loopback() || address == ends.local.ip().to_canonical();
        let here = local(ends.remote.ip().to_canonical()) && local(arrival.address);
        // Hashes are compared, so that the time it takes says nothing about the token.
        here && token.hash() == self.token.hash()
    }
}

/// Reads what a running server has written into a data folder.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn read(data: &Path) -> io::Result<Announced> {
    let bytes = fs::read(file_in(data))?;
    serde_json::from_slice(&bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is broken"))
}

fn file_in(data: &Path) -> PathBuf {
    data.join(NAME)
}

fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
