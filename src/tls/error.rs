//! Why a listener cannot speak TLS: which file, what is wrong with it, how to mend it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The operator's mistake in the TLS part of a listener.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The file is missing or closed to this user.
    #[error(
        "cannot read {}: {source}; check the path, and that the user of the broker may read it",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than any certificate bundle, or all revocation lists together are too large.
    #[error(
        "{} is larger than the {limit} bytes that there is room for: is it the right file?",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound, in bytes.
        limit: u64,
    },
    /// The file holds no certificate.
    #[error(
        "{} holds no certificate: a PEM file with '-----BEGIN CERTIFICATE-----' is wanted",
        path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file is cut off or damaged.
    #[error("{} is not sound PEM (cut off or damaged?): write it again", path.display())]
    BrokenPem {
        /// The file.
        path: PathBuf,
    },
    /// A certificate that cannot be parsed.
    #[error("certificate {position} in {} cannot be read: it is damaged, or not X.509 version 3", path.display())]
    BrokenCertificate {
        /// The file.
        path: PathBuf,
        /// Which certificate of the file, from 1.
        position: usize,
    },
    /// The file holds no private key.
    #[error(
        "{} holds no private key: a PEM file with PKCS#8, SEC1 or PKCS#1 is wanted",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The private key asks for a passphrase.
    #[error(
        "the private key {0} is encrypted: decrypt it with 'openssl pkey -in {0} -out NEW', \
         keep NEW at mode 0600 and name it instead",
        path.display()
    )]
    KeyEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// The private key is open to more than its owner and group.
    #[error(
        "the private key {0} has mode {mode:04o}: others can read or replace it; \
         run 'chmod 600 {0}' (640 if the broker reads it by its group)",
        path.display()
    )]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The private key is of a kind that TLS cannot use here.
    #[error(
        "the private key {} cannot be used ({source}): ECDSA P-256/P-384/P-521, Ed25519 or \
         RSA from 2048 bits is wanted",
        path.display()
    )]
    KeyUnusable {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The private key is not that of the certificate.
    #[error(
        "the private key {} does not belong to the certificate {}: name the pair that was \
         issued together, the server's own certificate first in its file",
        key.display(),
        certificate.display()
    )]
    KeyMismatch {
        /// The private key.
        key: PathBuf,
        /// The certificate.
        certificate: PathBuf,
    },
    /// A certificate in `client_ca` that may not sign others.
    #[error(
        "certificate {position} in {} is not that of an authority (CA): client_ca names the \
         authority that issues the certificates of clients, not one of them",
        path.display()
    )]
    NotAnAuthority {
        /// The file.
        path: PathBuf,
        /// Which certificate of the file, from 1.
        position: usize,
    },
    /// Clients are asked for certificates, but nobody is named who vouches for them.
    #[error("client_auth asks for certificates, but client_ca is not set: name the CA's file")]
    ClientCaMissing,
    /// An authority is named, but no client is asked for a certificate.
    #[error(
        "client_ca = \"{}\" has no effect while client_auth is \"off\": set client_auth = \
         \"required\" or \"optional\", or remove client_ca",
        path.display()
    )]
    ClientCaUnused {
        /// The file.
        path: PathBuf,
    },
    /// Revocation lists are named, but no client is asked for a certificate.
    #[error(
        "client_crl = \"{}\" has no effect while client_auth is \"off\": set client_auth = \
         \"required\" or \"optional\" and client_ca, or remove client_crl",
        path.display()
    )]
    ClientCrlUnused {
        /// The file or folder.
        path: PathBuf,
    },
    /// The file or folder holds no revocation list.
    #[error(
        "{} holds no revocation list: files in PEM with '-----BEGIN X509 CRL-----', or in DER, are \
         wanted; one without entries will do",
        path.display()
    )]
    NoList {
        /// The file or folder.
        path: PathBuf,
    },
    /// A folder that was not made for revocation lists.
    #[error("{} holds more than {limit} files: is it the right folder?", path.display())]
    TooManyLists {
        /// The folder.
        path: PathBuf,
        /// The bound.
        limit: usize,
    },
    /// A revocation list that cannot be parsed.
    #[error(
        "revocation list {position} in {} cannot be read: it is damaged, or no X.509 CRL",
        path.display()
    )]
    BrokenList {
        /// The file.
        path: PathBuf,
        /// Which list of the file, from 1.
        position: usize,
    },
    /// A revocation list that its authority has not made.
    #[error(
        "the revocation list in {} bears the name of {issuer}, and that authority in client_ca has \
         not signed it, or may not (cRLSign is wanted in its key usage): fetch it again",
        path.display()
    )]
    ForgedList {
        /// The file.
        path: PathBuf,
        /// Whose it says that it is.
        issuer: String,
    },
    /// A revocation list of a kind that is not supported.
    #[error(
        "the revocation list in {} cannot be used ({source}): a complete list of version 2 with \
         nextUpdate is wanted, neither a delta nor an indirect one",
        path.display()
    )]
    ListUnusable {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::server::VerifierBuilderError,
    },
    /// The system names no authority that a server could be believed by.
    #[error(
        "this system has no bundle of public authorities: install its package ca-certificates, or name \
         the authority of the server as ca_file"
    )]
    NoSystemAuthorities,
    /// Rustls refuses what the files ask for.
    #[error("TLS cannot be set up: {0}")]
    Refused(#[from] rustls::Error),
    /// The authorities of clients cannot be used.
    #[error("the certificates in {} cannot verify clients: {source}", path.display())]
    ClientCaUnusable {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::server::VerifierBuilderError,
    },
}
