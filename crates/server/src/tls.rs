//! HTTPS without a proxy.
//!
//! Owns: reading certificate and key, taking TLS off a connection. Must not know: what is served. Invariants: neither
//! key nor content of the files is part of an error; behind it everything is a plain TCP stream, so that rooms write to
//! all sockets in one way.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;

/// Why the server cannot speak HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file cannot be read, or holds none.
    #[error("tls_cert: {} holds no certificate in PEM form, or cannot be read", .0.display())]
    Certificate(PathBuf),
    /// The key file cannot be read, or holds none.
    #[error("tls_key: {} holds no private key in PEM form, or cannot be read", .0.display())]
    Key(PathBuf),
    /// Certificate and key do not belong together, or cannot be used.
    #[error("tls_cert, tls_key: {0}")]
    Unusable(#[from] rustls::Error),
}

/// Reads certificate and key.
///
/// # Errors
/// See [`TlsError`].
pub fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let no_certificate = || TlsError::Certificate(cert.to_owned());
    let chain = CertificateDer::pem_file_iter(cert).map_err(|_| no_certificate())?;
    let chain: Vec<CertificateDer<'static>> = chain.collect::<Result<_, _>>().map_err(|_| no_certificate())?;
    if chain.is_empty() {
        return Err(no_certificate());
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|_| TlsError::Key(key.to_owned()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Returns a plain stream whose bytes go through `stream`, copied by a task of `tasks` until either side ends.
///
/// The pair is a connection of this process with itself. It costs two sockets and a copy; a server with many people
/// takes TLS off in a proxy.
///
/// # Errors
/// The system has no more sockets, or a stranger was quicker than this process to connect.
pub async fn taken_off(mut stream: TlsStream<TcpStream>, tasks: &TaskTracker) -> io::Result<TcpStream> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (outer, inner) = tokio::join!(TcpStream::connect(listener.local_addr()?), listener.accept());
    let (mut outer, (inner, peer)) = (outer?, inner?);
    if outer.local_addr()? != peer {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    outer.set_nodelay(true)?;
    inner.set_nodelay(true)?;
    tasks.spawn(async move {
        // Both ends learn of an error by the end of their streams.
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut outer).await;
    });
    Ok(inner)
}
