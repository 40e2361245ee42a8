//! The bearer token that the service knows the broker by (RFC 6750), from a file of its own.

use std::path::{Path, PathBuf};

use hyper::header::HeaderValue;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{MAX_SECRET_BYTES, SecretFileError, read_secret};

/// `Authorization: Bearer …`. Never shown.
#[derive(Clone, Debug)]
pub struct BearerToken(pub(super) HeaderValue);

/// Why there is no token. Names its file, and shows nothing of it.
#[derive(Debug, Error)]
pub enum BearerTokenError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// It holds something else.
    #[error(
        "{} holds no bearer token: one line of visible characters is wanted, at most 16 KiB, and \
         nothing else",
        path.display()
    )]
    NoToken {
        /// The file.
        path: PathBuf,
    },
}

impl BearerToken {
    /// Reads the token in the file `path`: one line, which nobody but its owner may read.
    ///
    /// # Errors
    /// When the file cannot be read, is there for others, or holds something else.
    pub fn read(path: &Path) -> Result<Self, BearerTokenError> {
        let line = read_secret(path)?;
        Self::parse(&line).ok_or_else(|| BearerTokenError::NoToken { path: path.to_owned() })
    }

    fn parse(token: &[u8]) -> Option<Self> {
        let is_token = !token.is_empty()
            && token.len() <= MAX_SECRET_BYTES
            && token.iter().all(u8::is_ascii_graphic);
        if !is_token {
            return None;
        }
        let text = Zeroizing::new([b"Bearer ", token].concat());
        let mut value = HeaderValue::from_bytes(&text).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(content: &[u8], mode: u32) -> Result<BearerToken, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        BearerToken::read(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_is_one_line_and_is_never_shown() {
        for content in [&b"canary-1"[..], b"canary-1\n", b"canary-1\r\n"] {
            let token = read(content, 0o600).unwrap();
            assert_eq!(token.0.as_bytes(), b"Bearer canary-1");
            assert!(!format!("{token:?}").contains("canary"), "{token:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_quoted() {
        let long = vec![b'x'; 20_000];
        for content in [&b""[..], b"\n", b"two words", b"two\nlines", b"canary\0", b"\xff", &long] {
            let error = read(content, 0o600).unwrap_err();
            assert!(
                error.contains("holds no bearer token") && !error.contains("canary"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_its_remedy() {
        for mode in [0o640, 0o604, 0o660, 0o644, 0o610] {
            let error = read(b"token", mode).unwrap_err();
            assert!(error.contains("run 'chmod 600 "), "{error}");
        }
        assert!(read(b"token", 0o400).is_ok());
    }
}
