//! Certificates, public and private keys of devices that a command is given.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use zeroize::Zeroizing;

use crate::private_file::read_bounded;
use crate::tls::read_certificates;

/// Bytes of the largest file that is read.
const MAX_FILE_BYTES: u64 = 64 << 10;
const OTHERS: u32 = 0o007;

/// The certificate in a PEM file; of a chain the first.
pub(super) fn certificate(path: &Path) -> anyhow::Result<CertificateDer<'static>> {
    let first = read_certificates(path)?.into_iter().next();
    first.with_context(|| format!("{} holds no certificate", path.display()))
}

/// The public key in a PEM file (`BEGIN PUBLIC KEY`).
pub(super) fn public_key(path: &Path) -> anyhow::Result<SubjectPublicKeyInfoDer<'static>> {
    let pem = read_bounded(path, MAX_FILE_BYTES)?;
    SubjectPublicKeyInfoDer::from_pem_slice(&pem)
        .map_err(|_| anyhow!("{} holds no public key in PEM", path.display()))
}

/// The private key in a PEM file. The error of the parser may quote the file: it is not passed on.
pub(super) fn private_key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    let pem = Zeroizing::new(read_bounded(path, MAX_FILE_BYTES)?);
    let name = path.display();
    let is_encrypted = pem.windows(9).any(|window| window == b"ENCRYPTED");
    ensure!(!is_encrypted, "the key in {name} is encrypted: `openssl pkey -in {name}` opens it");
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| anyhow!("{name} holds no private key in PEM"))?;
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & OTHERS != 0) {
        // Where nobody listens there is nobody to warn.
        let _ = writeln!(io::stderr(), "warning: everybody can read {name}: chmod 600 it");
    }
    Ok(key)
}
