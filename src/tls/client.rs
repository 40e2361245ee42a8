//! The TLS of the broker where it is the client: whom it believes, and what it shows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};

use super::TlsError;
use super::pem::read_certificates;
use super::server::certified_key;

/// What the broker's side of a connection to a server is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// The authorities that vouch for the server, PEM; without it those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate to show, own one first, and its private key; PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The TLS to speak to an HTTP/1.1 server: TLS 1.2 and 1.3, its name and its chain verified.
///
/// # Errors
/// A file that is missing, damaged, exposed, or does not fit the others; or a system without
/// authorities.
pub fn client_config(files: &ClientFiles) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(default_provider());
    let roots = match &files.ca {
        Some(path) => authorities(path)?,
        None => authorities_of_system()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(rustls::ALL_VERSIONS)?
        .with_root_certificates(roots);
    let mut config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = read_certificates(certificate)?;
            let identity = certified_key(certificate, chain, key, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (position, certificate) in (1..).zip(read_certificates(path)?) {
        let broken = |_| TlsError::BrokenCertificate { path: path.to_owned(), position };
        roots.add(certificate).map_err(broken)?;
    }
    Ok(roots)
}

/// What cannot be read of them is left out: it can only make fewer servers be believed.
fn authorities_of_system() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoSystemAuthorities) } else { Ok(roots) }
}
