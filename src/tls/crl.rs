//! Certificate revocation lists (RFC 5280, section 5) as they lie in files.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::certificate::{Validity, printable};
use super::pem::{open, read_bounded, unreadable};
use super::{TlsError, Warning};
use crate::clock::Now;

/// Bytes of all lists of a listener: some 800,000 certificates that are taken back.
const MAX_LIST_BYTES: u64 = 32 << 20;
/// Files of the largest folder.
const MAX_FILES: usize = 1_000;

/// One list, and where it is from.
pub(super) struct List {
    pub(super) path: PathBuf,
    pub(super) der: CertificateRevocationListDer<'static>,
    /// When it was made, in seconds since the Unix epoch.
    made: i64,
}

/// The lists in a file or in the files of a folder, PEM or DER, the latest first: that which is asked
/// first of one authority is then its latest. `authorities` are those whose signatures are known
/// already; lists of others count for clients that show the certificates of those.
///
/// # Errors
/// A file that cannot be read, is too large, is damaged, holds no list, or one that the authority of
/// its name has not signed.
pub(super) fn read_lists(
    path: &Path,
    authorities: &[CertificateDer<'_>],
    now: Now,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<List>, TlsError> {
    let authorities: Vec<_> =
        authorities.iter().filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1)).collect();
    let mut lists: Vec<List> = Vec::new();
    let mut room = MAX_LIST_BYTES;
    for file in files(path)? {
        let bytes = read_bounded(&file, &open(&file)?, room)?;
        room = room.saturating_sub(bytes.len() as u64);
        for (index, der) in lists_in(&file, &bytes)?.into_iter().enumerate() {
            let made = check(&file, index, &der, &authorities, now, warnings)?;
            // Folders made by c_rehash hold each list under two names.
            if lists.iter().all(|known| known.der != der) {
                lists.push(List { path: file.clone(), der, made });
            }
        }
    }
    if lists.is_empty() {
        return Err(TlsError::NoList { path: path.to_owned() });
    }
    lists.sort_by_key(|list| Reverse(list.made));
    Ok(lists)
}

/// The file itself, or the files of a folder, but for hidden ones and further folders.
fn files(path: &Path) -> Result<Vec<PathBuf>, TlsError> {
    let unreadable = |source| unreadable(path, source);
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // Whatever cannot be looked at is taken for a file, so that it is complained about.
        let is_folder = fs::metadata(entry.path()).is_ok_and(|it| it.is_dir());
        if !is_hidden && !is_folder {
            files.push(entry.path());
        }
        if files.len() > MAX_FILES {
            return Err(TlsError::TooManyLists { path: path.to_owned(), limit: MAX_FILES });
        }
    }
    files.sort();
    Ok(files)
}

fn lists_in(
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    const SEQUENCE: u8 = 0x30;
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(vec![CertificateRevocationListDer::from(bytes.to_vec())]);
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, PemError>>()
        .map_err(|_| TlsError::BrokenPem { path: path.to_owned() })?;
    if lists.is_empty() {
        return Err(TlsError::NoList { path: path.to_owned() });
    }
    Ok(lists)
}

/// Whether a list is sound and signed by the authority of its name; gives when it was made.
fn check(
    path: &Path,
    index: usize,
    der: &CertificateRevocationListDer<'_>,
    authorities: &[X509Certificate<'_>],
    now: Now,
    warnings: &mut Vec<Warning>,
) -> Result<i64, TlsError> {
    let broken = || TlsError::BrokenList { path: path.to_owned(), position: index + 1 };
    let (rest, list) = CertificateRevocationList::from_der(der).map_err(|_| broken())?;
    if !rest.is_empty() {
        return Err(broken());
    }
    let issuer = || printable(&list.issuer().to_string());
    let mut namesakes = authorities
        .iter()
        .filter(|authority| authority.subject().as_raw() == list.issuer().as_raw())
        .peekable();
    if namesakes.peek().is_none() {
        warnings.push(Warning::ListOfStranger { path: path.to_owned(), issuer: issuer() });
    } else if !namesakes.any(|authority| has_signed(authority, &list)) {
        return Err(TlsError::ForgedList { path: path.to_owned(), issuer: issuer() });
    }
    // One without an end is refused by rustls, which says so.
    if let Some(next) = list.next_update() {
        let validity = Validity { not_before: i64::MIN, not_after: next.timestamp() };
        let path = path.to_owned();
        warnings.extend(Warning::of_list(path, issuer(), validity, now));
    }
    Ok(list.last_update().timestamp())
}

/// With the key of the authority, which must be meant for it.
fn has_signed(authority: &X509Certificate<'_>, list: &CertificateRevocationList<'_>) -> bool {
    let may_sign = match authority.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.crl_sign()),
        Err(_) => false,
    };
    may_sign && list.verify_signature(authority.public_key()).is_ok()
}
