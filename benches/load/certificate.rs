//! A throw-away authority and the server certificate that brokers show during a run.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// A server certificate for this machine, and clients that trust nothing else.
pub(crate) struct Certificate {
    ca: String,
    chain: String,
    key: String,
    connector: TlsConnector,
}

impl Certificate {
    pub(crate) fn make() -> anyhow::Result<Self> {
        let ca_key = KeyPair::generate()?;
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca = params.self_signed(&ca_key)?;
        let issuer = Issuer::new(params, ca_key);

        let key = KeyPair::generate()?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;

        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each connection is a new one: a resumed session would cost the broker less.
        config.resumption = Resumption::disabled();
        Ok(Self {
            ca: ca.pem(),
            chain: leaf.pem(),
            key: key.serialize_pem(),
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        self.connector.clone()
    }

    /// Writes `ca.crt`, `server.crt` and `server.key`.
    pub(crate) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        fs::write(directory.join("ca.crt"), &self.ca).context("cannot write ca.crt")?;
        fs::write(directory.join("server.crt"), &self.chain).context("cannot write server.crt")?;
        let mut options = OpenOptions::new();
        let key = options.write(true).create_new(true).mode(0o600);
        let mut file = key.open(directory.join("server.key")).context("cannot write server.key")?;
        file.write_all(self.key.as_bytes()).context("cannot write server.key")
    }
}
