//! Bytes that nobody can read or change without the master key: AES-256-GCM under a key of their
//! own, which the master key seals.
//!
//! ```text
//!  0   8  "BMQSEAL", and the version of this format: 1
//!  8  16  what it is for, in ASCII, filled up with null bytes
//! 24  12  nonce, 32  key and 16  tag: the key of this file, under the master key
//! 84  12  nonce, ..  content and 16  tag: under the key of this file
//! ```
//!
//! The first 24 bytes are authenticated with both. Key and nonces are new each time it is written, so
//! that none is used twice.

use std::fmt;
use std::io;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use thiserror::Error;
use zeroize::Zeroizing;

use super::master_key::{KEY_BYTES, MasterKey};
use crate::secret::Secret;

const MAGIC: [u8; 8] = *b"BMQSEAL\x01";
/// Those before the version.
const MAGIC_NAME: &[u8] = b"BMQSEAL";
const HEADER_BYTES: usize = 24;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const SEALED_KEY_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/// What something is sealed for. What was sealed for one purpose does not open for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The cache of verified credentials.
    Credentials,
    /// The key ring.
    KeyRing,
    /// The key of the log of replay windows.
    ReplayWindows,
    /// The data keys of the store.
    Store,
    /// The secret of the audit log.
    Audit,
    /// The key of an archive of the store.
    Archive,
}

/// Why something was not sealed.
#[derive(Debug, Error)]
#[error("the system gives no random numbers: {0}")]
pub struct SealError(io::Error);

/// Why something cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// It does not start as such a file does.
    #[error("it was not written by BastionMQ")]
    Foreign,
    /// A later BastionMQ has written it.
    #[error("it is of another version of the format")]
    Version,
    /// It is something else that BastionMQ keeps.
    #[error("it was written for another purpose")]
    Purpose,
    /// It is not as it was written, or this is not the key that it was written with.
    #[error("it is damaged, or was sealed under another master key")]
    Unauthentic,
}

impl Purpose {
    const ALL: [Self; 6] = [
        Self::Credentials,
        Self::KeyRing,
        Self::ReplayWindows,
        Self::Store,
        Self::Audit,
        Self::Archive,
    ];

    /// What `sealed` was sealed for.
    pub(super) fn of(sealed: &[u8]) -> Result<Self, OpenError> {
        let found = Self::ALL.into_iter().find(|purpose| sealed.starts_with(&purpose.header()));
        match found {
            Some(purpose) => Ok(purpose),
            None if sealed.starts_with(&MAGIC) => Err(OpenError::Purpose),
            None if sealed.starts_with(MAGIC_NAME) => Err(OpenError::Version),
            None => Err(OpenError::Foreign),
        }
    }

    fn header(self) -> [u8; HEADER_BYTES] {
        let name: &[u8] = match self {
            Self::Credentials => b"credentials",
            Self::KeyRing => b"key ring",
            Self::ReplayWindows => b"replay windows",
            Self::Store => b"store",
            Self::Audit => b"audit",
            Self::Archive => b"archive",
        };
        let mut header = [0; HEADER_BYTES];
        let bytes = MAGIC.iter().chain(name);
        header.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        header
    }
}

impl MasterKey {
    /// Seals `content`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn seal(&self, purpose: Purpose, content: &[u8]) -> Result<Vec<u8>, SealError> {
        let header = purpose.header();
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        fill(key.as_mut_slice())?;
        let mut sealed = header.to_vec();
        sealed.extend(encrypt(self.current.expose(), &header, key.as_slice())?);
        sealed.extend(encrypt(key.as_slice(), &header, content)?);
        Ok(sealed)
    }

    /// Opens what [`seal`](Self::seal) has made for the same purpose.
    ///
    /// # Errors
    /// What it is instead.
    pub fn open_sealed(&self, purpose: Purpose, sealed: &[u8]) -> Result<Secret, OpenError> {
        if Purpose::of(sealed)? != purpose {
            return Err(OpenError::Purpose);
        }
        let (header, rest) =
            sealed.split_first_chunk::<HEADER_BYTES>().ok_or(OpenError::Unauthentic)?;
        let (key, content) =
            rest.split_at_checked(SEALED_KEY_BYTES).ok_or(OpenError::Unauthentic)?;
        let opened = self.keys().find_map(|master| decrypt(master.expose(), header, key).ok());
        let key = opened.ok_or(OpenError::Unauthentic)?;
        decrypt(key.expose(), header, content)
    }
}

/// A nonce, and what it gives.
fn encrypt(key: &[u8], header: &[u8], content: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut nonce)?;
    let payload = Payload { msg: content, aad: header };
    let sealed = Aes256Gcm::new_from_slice(key)
        .ok()
        .and_then(|cipher| cipher.encrypt(&Nonce::from(nonce), payload).ok());
    // The key has its length, and 64 GiB are never reached.
    let sealed = sealed.ok_or_else(|| SealError(io::ErrorKind::InvalidInput.into()))?;
    Ok([&nonce, sealed.as_slice()].concat())
}

fn decrypt(key: &[u8], header: &[u8], sealed: &[u8]) -> Result<Secret, OpenError> {
    let (nonce, content) =
        sealed.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Unauthentic)?;
    let payload = Payload { msg: content, aad: header };
    let opened = Aes256Gcm::new_from_slice(key)
        .ok()
        .and_then(|cipher| cipher.decrypt(&Nonce::from(*nonce), payload).ok());
    opened.map(Secret::new).ok_or(OpenError::Unauthentic)
}

fn fill(bytes: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(bytes).map_err(|error| SealError(io::Error::other(error)))
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials => f.write_str("the cache of verified credentials"),
            Self::KeyRing => f.write_str("the key ring"),
            Self::ReplayWindows => f.write_str("the key of the replay windows"),
            Self::Store => f.write_str("the data keys of the store"),
            Self::Audit => f.write_str("the secret of the audit log"),
            Self::Archive => f.write_str("the key of an archive"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MasterKey {
        MasterKey { current: Secret::new(vec![byte; KEY_BYTES]), previous: Vec::new() }
    }

    fn master() -> MasterKey {
        key(7)
    }

    fn seal(content: &[u8]) -> Vec<u8> {
        master().seal(Purpose::Credentials, content).unwrap()
    }

    fn open(sealed: &[u8]) -> Result<Secret, OpenError> {
        master().open_sealed(Purpose::Credentials, sealed)
    }

    #[test]
    fn what_is_sealed_opens_and_shows_nothing() {
        for content in [&b""[..], b"canary", &[0; 100_000]] {
            let sealed = seal(content);
            assert_eq!(open(&sealed).unwrap().expose(), content);
            assert_eq!(sealed.len(), content.len() + 112);
            assert_ne!(sealed, seal(content), "keys and nonces are new each time");
        }
        assert!(!seal(b"canary").windows(6).any(|bytes| bytes == b"canary"));
    }

    #[test]
    fn any_other_key_is_refused() {
        let opened = key(8).open_sealed(Purpose::Credentials, &seal(b"content"));
        assert_eq!(opened.unwrap_err(), OpenError::Unauthentic);
    }

    #[test]
    fn what_was_sealed_under_a_key_before_it_still_opens() {
        let newer = MasterKey { previous: vec![master().current], ..key(8) };
        let opened = newer.open_sealed(Purpose::Credentials, &seal(b"content")).unwrap();
        assert_eq!(opened.expose(), b"content");
        let sealed = newer.seal(Purpose::Credentials, b"content").unwrap();
        assert_eq!(open(&sealed).unwrap_err(), OpenError::Unauthentic, "the newest one seals");
    }

    #[test]
    fn one_changed_bit_anywhere_is_found() {
        let sealed = seal(b"content");
        for position in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[position / 8] ^= 1 << (position % 8);
            let expected = match position / 8 {
                0..7 => OpenError::Foreign,
                7 => OpenError::Version,
                8..24 => OpenError::Purpose,
                _ => OpenError::Unauthentic,
            };
            assert_eq!(open(&changed).unwrap_err(), expected, "bit {position}");
        }
    }

    #[test]
    fn what_is_cut_off_anywhere_is_refused() {
        let sealed = seal(b"content");
        for end in 0..sealed.len() {
            assert!(open(&sealed[..end]).is_err(), "{end}");
        }
    }
}
