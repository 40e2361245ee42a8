//! Certificates and private keys as they lie in files.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::TlsError;

/// Bytes of the largest file that is read: the bundle of all public authorities takes a quarter.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The certificates in a PEM file, in its order; at least one.
///
/// # Errors
/// The file cannot be read, is too large, is damaged, or holds no certificate.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read_bounded(path, &open(path)?, MAX_FILE_BYTES)?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, PemError>>()
        .map_err(|_| TlsError::BrokenPem { path: path.to_owned() })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

/// The private key in a PEM file, which nobody but its owner and group may read.
pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = open(path)?;
    refuse_exposed(path, &file)?;
    let pem = read_bounded(path, &file, MAX_FILE_BYTES)?;
    if pem.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
        return Err(TlsError::KeyEncrypted { path: path.to_owned() });
    }
    // The error of the parser may quote the file: it is not passed on.
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        PemError::NoItemsFound => TlsError::NoKey { path: path.to_owned() },
        _ => TlsError::BrokenPem { path: path.to_owned() },
    })
}

/// In the first line of an encrypted PKCS#8 key, or in the second of a traditional one.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

pub(super) fn open(path: &Path) -> Result<File, TlsError> {
    File::open(path).map_err(|source| unreadable(path, source))
}

pub(super) fn read_bounded(
    path: &Path,
    file: &File,
    limit: u64,
) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|source| unreadable(path, source))?;
    if bytes.len() as u64 > limit {
        return Err(TlsError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Asks the open file, not its name, so that nothing can be swapped in between. The group may read,
/// as the `ssl-cert` group of Debian and the `fsGroup` of Kubernetes do.
fn refuse_exposed(path: &Path, file: &File) -> Result<(), TlsError> {
    const GROUP_WRITES: u32 = 0o020;
    const OTHERS: u32 = 0o007;
    let mode = file.metadata().map_err(|source| unreadable(path, source))?.mode() & 0o7777;
    if mode & (GROUP_WRITES | OTHERS) != 0 {
        return Err(TlsError::KeyExposed { path: path.to_owned(), mode });
    }
    Ok(())
}

pub(super) fn unreadable(path: &Path, source: io::Error) -> TlsError {
    TlsError::Read { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use rcgen::KeyPair;
    use tempfile::TempDir;

    use super::*;

    fn file(directory: &TempDir, content: &str, mode: u32) -> PathBuf {
        let path = directory.path().join("file.pem");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn key() -> String {
        KeyPair::generate().unwrap().serialize_pem()
    }

    #[test]
    fn a_key_that_others_can_read_or_the_group_can_write_is_refused_with_its_remedy() {
        let directory = TempDir::new().unwrap();
        for mode in [0o644, 0o604, 0o660, 0o601] {
            let path = file(&directory, &key(), mode);
            let error = read_key(&path).unwrap_err();
            assert!(matches!(error, TlsError::KeyExposed { mode: seen, .. } if seen == mode));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_key_may_be_read_by_its_owner_and_group() {
        let directory = TempDir::new().unwrap();
        for mode in [0o600, 0o400, 0o640, 0o440] {
            assert!(read_key(&file(&directory, &key(), mode)).is_ok());
        }
    }

    #[test]
    fn an_encrypted_key_is_named_as_such() {
        let directory = TempDir::new().unwrap();
        let pkcs8 =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n\
                           -----END RSA PRIVATE KEY-----\n";
        for pem in [pkcs8, traditional] {
            let error = read_key(&file(&directory, pem, 0o600)).unwrap_err();
            assert!(matches!(error, TlsError::KeyEncrypted { .. }), "{error}");
        }
    }

    #[test]
    fn a_file_cut_off_is_damaged_and_its_content_is_not_quoted() {
        let directory = TempDir::new().unwrap();
        let whole = key();
        let error = read_key(&file(&directory, &whole[..100], 0o600)).unwrap_err();
        assert!(matches!(error, TlsError::BrokenPem { .. }), "{error}");
        assert!(!error.to_string().contains(&whole[40..60]), "{error}");
    }

    #[test]
    fn a_file_without_what_is_wanted_says_so() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "# nothing here\n", 0o600);
        assert!(matches!(read_key(&path), Err(TlsError::NoKey { .. })));
        assert!(matches!(read_certificates(&path), Err(TlsError::NoCertificate { .. })));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_certificates(Path::new("/nonexistent/server.crt")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/server.crt"), "{error}");
    }

    #[test]
    fn a_file_without_end_is_read_up_to_the_bound() {
        let error = read_certificates(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(error, TlsError::TooLarge { .. }), "{error}");
    }
}
