//! TLS to an engine, with a certificate of ours.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Certificates;

/// A TLS connection over a connection.
pub(super) async fn connect(
    stream: TcpStream,
    address: &str,
    certificates: &Certificates,
) -> io::Result<TlsStream<TcpStream>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(invalid)?;
    let config = Arc::new(config(certificates)?);
    TlsConnector::from(config).connect(name, stream).await
}

fn config(certificates: &Certificates) -> io::Result<ClientConfig> {
    let Certificates {
        authority,
        certificate,
        key,
    } = certificates;
    let mut roots = RootCertStore::empty();
    for root in read(authority)? {
        roots.add(root).map_err(invalid)?;
    }
    let chain = read(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| named(key, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(invalid)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(invalid)
}

fn read(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).map_err(|error| named(path, error))?;
    all.collect::<Result<_, _>>()
        .map_err(|error| named(path, error))
}

fn named(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("{}: {error}", path.display()),
    )
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
