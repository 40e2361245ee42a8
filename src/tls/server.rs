//! The TLS of a listener, from its files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientCertVerifierBuilder, NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    DistinguishedName, Error, InconsistentKeys, RootCertStore, ServerConfig,
    SupportedProtocolVersion,
};
use rustls_pki_types::CertificateDer;

use super::certificate::Certificate;
use super::crl::{List, read_lists};
use super::pem::{read_certificates, read_key};
use super::signature_memo::remembering_provider;
use super::{
    ClientAuth, ClientIdentity, ClientTrust, MinimumVersion, RevocationDepth, TlsError, Warning,
    WithoutAnswer,
};
use crate::clock::Now;

/// What is spoken inside TLS, by its name in ALPN (RFC 7301). Clients need not send one; who asks for
/// another protocol is refused, so that a browser can never be made to speak to an MQTT listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// `mqtt`.
    Mqtt,
    /// `http/1.1`, which a browser names when it opens a WebSocket.
    Http,
}

impl Alpn {
    fn name(self) -> Vec<u8> {
        match self {
            Self::Mqtt => b"mqtt".to_vec(),
            Self::Http => b"http/1.1".to_vec(),
        }
    }
}

/// What a TLS listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// `tls_cert`: its certificate chain, its own certificate first; PEM.
    pub certificate: PathBuf,
    /// `tls_key`: the private key of it; PEM, mode 0600 or 0640.
    pub key: PathBuf,
    /// `client_auth`: whether clients show a certificate.
    pub client_auth: ClientAuth,
    /// `client_ca`: who vouches for the certificates of clients; PEM.
    pub client_ca: Option<PathBuf>,
    /// Which of them have been taken back.
    pub revocation: Revocation,
    /// `client_identity`: which part of their certificates names their principals.
    pub client_identity: ClientIdentity,
    /// `tls_min_version`: the oldest TLS that is spoken.
    pub minimum_version: MinimumVersion,
    /// What is spoken inside.
    pub alpn: Alpn,
}

/// How it is found out whether a client certificate has been taken back. By default it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocation {
    /// `client_crl`: a file or a folder of lists, PEM or DER.
    pub lists: Option<PathBuf>,
    /// `client_crl_depth`: which certificates are looked for.
    pub depth: RevocationDepth,
    /// `client_crl_unknown`: where an issuer has no list.
    pub unknown: WithoutAnswer,
    /// `client_crl_expired`: where the list of an issuer has run out.
    pub expired: WithoutAnswer,
}

/// The TLS of a listener, ready to accept.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// For `tokio_rustls::TlsAcceptor`.
    pub config: Arc<ServerConfig>,
    /// Who is believed, where clients are asked for certificates.
    pub trust: Option<Arc<ClientTrust>>,
    /// What it was made of.
    pub files: ServerFiles,
    /// What the operator should hear.
    pub warnings: Vec<Warning>,
}

/// Reads the files of a listener and makes its TLS of them. `now` is for the warnings alone.
///
/// # Errors
/// A file that is missing, damaged, exposed, or does not fit the others.
pub fn server_config(files: &ServerFiles, now: Now) -> Result<ServerTls, TlsError> {
    let provider = Arc::new(default_provider());
    let mut warnings = Vec::new();
    let trust = client_trust(files, now, &mut warnings)?.map(Arc::new);
    let identity = own_identity(files, &provider, now, &mut warnings)?;

    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(protocol_versions(files.minimum_version))?;
    let builder = match &trust {
        Some(trust) => {
            let verifier: Arc<dyn ClientCertVerifier> = Arc::<ClientTrust>::clone(trust);
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    config.alpn_protocols = vec![files.alpn.name()];
    set_resumption(&mut config, files.client_auth)?;
    Ok(ServerTls { config: Arc::new(config), trust, files: files.clone(), warnings })
}

/// A resumed session shows no certificate again, so one that has since expired or lost its
/// authority would still open the door. Where certificates count, every handshake is a full one.
/// Elsewhere one ticket per connection makes coming back cheap, and costs the broker no memory.
fn set_resumption(config: &mut ServerConfig, client_auth: ClientAuth) -> Result<(), TlsError> {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if client_auth == ClientAuth::Off {
        config.ticketer = Ticketer::new()?;
        config.send_tls13_tickets = 1;
    } else {
        config.send_tls13_tickets = 0;
    }
    Ok(())
}

static TLS13_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

fn protocol_versions(minimum: MinimumVersion) -> &'static [&'static SupportedProtocolVersion] {
    match minimum {
        MinimumVersion::Tls12 => rustls::ALL_VERSIONS,
        MinimumVersion::Tls13 => TLS13_ONLY,
    }
}

fn own_identity(
    files: &ServerFiles,
    provider: &CryptoProvider,
    now: Now,
    warnings: &mut Vec<Warning>,
) -> Result<CertifiedKey, TlsError> {
    let chain = read_certificates(&files.certificate)?;
    let details = readable(&files.certificate, &chain)?;
    warnings.extend(
        details.iter().filter_map(|each| Warning::of_validity(&files.certificate, each, now)),
    );
    if details.first().is_some_and(|own| own.names.is_empty()) {
        warnings.push(Warning::NoNames { path: files.certificate.clone() });
    }
    certified_key(&files.certificate, chain, &files.key, provider)
}

/// The `chain` of the file `certificate` with the private key in the file `key`.
pub(super) fn certified_key(
    certificate: &Path,
    chain: Vec<CertificateDer<'static>>,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let loaded = provider
        .key_provider
        .load_private_key(read_key(key)?)
        .map_err(|source| TlsError::KeyUnusable { path: key.to_owned(), source })?;
    let identity = CertifiedKey::new(chain, loaded);
    match identity.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::KeyMismatch { key: key.to_owned(), certificate: certificate.to_owned() })
        }
        Err(_) => Err(TlsError::BrokenCertificate { path: certificate.to_owned(), position: 1 }),
    }
}

fn client_trust(
    files: &ServerFiles,
    now: Now,
    warnings: &mut Vec<Warning>,
) -> Result<Option<ClientTrust>, TlsError> {
    let path = match (files.client_auth, &files.client_ca) {
        (ClientAuth::Off, Some(path)) => {
            return Err(TlsError::ClientCaUnused { path: path.clone() });
        }
        (ClientAuth::Off, None) => {
            return match &files.revocation.lists {
                Some(path) => Err(TlsError::ClientCrlUnused { path: path.clone() }),
                None => Ok(None),
            };
        }
        (_, None) => return Err(TlsError::ClientCaMissing),
        (_, Some(path)) => path,
    };
    let authorities = read_certificates(path)?;
    let lists = match &files.revocation.lists {
        Some(path) => read_lists(path, &authorities, now, warnings)?,
        None => Vec::new(),
    };
    let Authorities { roots, between, names } =
        client_authorities(path, authorities, now, warnings)?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::new(remembering_provider()),
    )
    .add_root_hint_subjects(names);
    if files.client_auth == ClientAuth::Optional {
        builder = builder.allow_unauthenticated();
    }
    if files.revocation.depth == RevocationDepth::EndEntity {
        builder = builder.only_check_end_entity_revocation();
    }
    if files.revocation.unknown == WithoutAnswer::Allow {
        builder = builder.allow_unknown_revocation_status();
    }
    if files.revocation.expired == WithoutAnswer::Deny {
        builder = builder.enforce_revocation_expiration();
    }
    let verifier = builder
        .clone()
        .with_crls(lists.iter().map(|list| list.der.clone()))
        .build()
        .map_err(|source| unusable(path, &builder, &lists, source))?;
    Ok(Some(ClientTrust { verifier, between }))
}

/// What is to blame: rustls does not say which list it is.
fn unusable(
    path: &Path,
    builder: &ClientCertVerifierBuilder,
    lists: &[List],
    source: VerifierBuilderError,
) -> TlsError {
    let is_unusable = |list: &&List| builder.clone().with_crls([list.der.clone()]).build().is_err();
    match lists.iter().find(is_unusable) {
        Some(list) => TlsError::ListUnusable { path: list.path.clone(), source },
        None => TlsError::ClientCaUnusable { path: path.to_owned(), source },
    }
}

/// The authorities of a file, after who vouches for whom.
struct Authorities {
    /// Those that no other one of the file vouches for: they are believed as they are.
    roots: RootCertStore,
    /// The others: believed as long as those that vouch for them say so.
    between: Vec<CertificateDer<'static>>,
    /// The names of the others: clients choose by them which certificate to show.
    names: Vec<DistinguishedName>,
}

/// Every certificate in the file must be that of an authority: rustls believes what it is given,
/// and a device's certificate among them would let that device vouch for others.
fn client_authorities(
    path: &Path,
    certificates: Vec<CertificateDer<'static>>,
    now: Now,
    warnings: &mut Vec<Warning>,
) -> Result<Authorities, TlsError> {
    let details = readable(path, &certificates)?;
    if let Some(index) = details.iter().position(|each| !each.is_authority) {
        return Err(TlsError::NotAnAuthority { path: path.to_owned(), position: index + 1 });
    }
    warnings.extend(details.iter().filter_map(|each| Warning::of_validity(path, each, now)));
    let mut parts = Authorities { roots: RootCertStore::empty(), between: vec![], names: vec![] };
    let is_vouched_for = |each: &Certificate| {
        each.raw_issuer != each.raw_subject
            && details.iter().any(|other| other.raw_subject == each.raw_issuer)
    };
    // Where they vouch for one another in a circle, there is no first one.
    let is_circle = details.iter().all(is_vouched_for);
    for (index, (certificate, each)) in certificates.into_iter().zip(&details).enumerate() {
        if is_vouched_for(each) && !is_circle {
            parts.between.push(certificate);
            parts.names.push(DistinguishedName::from(each.raw_subject.clone()));
        } else {
            parts.roots.add(certificate).map_err(|_| broken(path, index))?;
        }
    }
    Ok(parts)
}

fn readable(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Vec<Certificate>, TlsError> {
    let read = |(index, der)| Certificate::read(der).map_err(|_| broken(path, index));
    chain.iter().enumerate().map(read).collect()
}

fn broken(path: &Path, index: usize) -> TlsError {
    TlsError::BrokenCertificate { path: path.to_owned(), position: index + 1 }
}
