//! The master key of an installation: 32 random bytes, and while it is being replaced the one before
//! it.
//!
//! As text it is one key or more, the one that seals first; the others still open what was sealed
//! before. A key is `bastionmq-master-key-1:` and base64, or without that mark base64 of any kind or 64
//! hexadecimal digits. Between keys stands white space or a comma. One key may also be its 32 bytes as they
//! are.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding};
use thiserror::Error;
use zeroize::Zeroizing;

use super::hexadecimal;
use super::master_key_source::VARIABLE;
use crate::private_file::PrivateFileError;
use crate::secret::Secret;

pub(super) const KEY_BYTES: usize = 32;
/// What a key is written with, so that nobody takes it for something else.
const MARK: &str = "bastionmq-master-key-1:";
/// More would be rotations that nobody has finished.
const MOST_KEYS: usize = 4;

/// Seals the keys of files. Never written anywhere but to its own file.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    /// Seals and opens.
    pub(super) current: Secret,
    /// Those before it, which only open.
    pub(super) previous: Vec<Secret>,
}

/// Why there is no master key. Names where it was looked for, and shows nothing of it.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// It cannot be read or made.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file holds something else.
    #[error("{} holds no master key of BastionMQ; is it the right file?", .0.display())]
    NoKey(PathBuf),
    /// The variable holds something else.
    #[error(
        "the environment variable {VARIABLE} holds no master key: give it 32 bytes as 64 hexadecimal \
         digits or as base64, such as `openssl rand -base64 32` prints"
    )]
    NoKeyInVariable,
    /// Whoever can read it can read what it seals.
    #[error("everybody can read or write {}: chmod 600 it", .0.display())]
    Exposed(PathBuf),
    /// The system gives no randomness.
    #[error("the system gives no random numbers for a master key: {0}")]
    NoRandomness(io::Error),
}

impl MasterKey {
    /// A new one.
    pub(super) fn random() -> Result<Self, MasterKeyError> {
        let mut key = vec![0; KEY_BYTES];
        let filled = getrandom::fill(&mut key);
        filled.map_err(|error| MasterKeyError::NoRandomness(io::Error::other(error)))?;
        Ok(Self { current: Secret::new(key), previous: Vec::new() })
    }

    /// Reads what the module's documentation says.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        // Text of that length is not random, and a key cut short at best.
        let is_text = bytes.iter().all(|byte| matches!(byte, b'\t'..=b'\r' | b' '..=b'~'));
        if bytes.len() == KEY_BYTES && !is_text {
            return Some(Self { current: Secret::from(bytes), previous: Vec::new() });
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let words = text.split([' ', '\t', '\r', '\n', ',']).filter(|word| !word.is_empty());
        // One more than there may be, to know that there are too many.
        let mut keys = words.take(MOST_KEYS + 1).map(parse_one);
        let current = keys.next()??;
        let previous = keys.collect::<Option<Vec<_>>>()?;
        (previous.len() < MOST_KEYS).then_some(Self { current, previous })
    }

    /// What [`Self::parse`] reads: a line for each key.
    pub(super) fn to_text(&self) -> Zeroizing<String> {
        let line = MARK.len() + KEY_BYTES.div_ceil(3) * 4 + 1;
        // Room for all of it: a text that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(line * (1 + self.previous.len())));
        for key in self.keys() {
            let encoded = Zeroizing::new(Base64::encode_string(key.expose()));
            text.extend([MARK, &encoded, "\n"]);
        }
        text
    }

    /// The one that seals, and those before it.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// Whether there is one before it, with which something may still be sealed.
    #[must_use]
    pub fn is_being_replaced(&self) -> bool {
        !self.previous.is_empty()
    }
}

fn parse_one(word: &str) -> Option<Secret> {
    let key = match word.strip_prefix(MARK) {
        Some(encoded) => Secret::new(Base64::decode_vec(encoded).ok()?),
        None => match hexadecimal::decode::<KEY_BYTES>(word) {
            Some(bytes) => Secret::from(bytes.as_slice()),
            None => Secret::new(any_base64(word)?),
        },
    };
    (key.expose().len() == KEY_BYTES).then_some(key)
}

/// With the one or the other alphabet, and padded or not.
fn any_base64(word: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(word)
        .or_else(|_| Base64Unpadded::decode_vec(word))
        .or_else(|_| Base64Url::decode_vec(word))
        .or_else(|_| Base64UrlUnpadded::decode_vec(word))
        .ok()
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// What a file that holds something else is called.
pub(super) fn no_key(path: &Path) -> MasterKeyError {
    MasterKeyError::NoKey(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing_of_the_key() {
        let key = MasterKey { current: Secret::from("canary"), previous: Vec::new() };
        assert_eq!(format!("{key:?}"), "MasterKey(..)");
    }

    #[test]
    fn a_key_may_be_written_in_many_ways() {
        let key = MasterKey { current: Secret::new(vec![0xfb; 32]), previous: Vec::new() };
        let base64 = Base64::encode_string(key.current.expose());
        let url = base64.replace('+', "-").replace('/', "_");
        for text in [
            &*key.to_text(),
            &base64,
            base64.trim_end_matches('='),
            &url,
            url.trim_end_matches('='),
            &"fb".repeat(32),
            &"FB".repeat(32),
            &format!("\n{base64}\r\n"),
        ] {
            assert_eq!(parse(text), Some(key.clone()), "{text}");
        }
        assert_eq!(MasterKey::parse(key.current.expose()), Some(key));
    }

    fn parse(text: &str) -> Option<MasterKey> {
        MasterKey::parse(text.as_bytes())
    }

    #[test]
    fn the_first_of_several_seals_and_no_more_than_four_are_kept() {
        let word = |byte: &str| byte.repeat(32);
        let keys = parse(&format!("{}, {}", word("22"), word("11"))).unwrap();
        assert_eq!(keys.current.expose(), [0x22; 32]);
        assert_eq!(keys.previous, [Secret::new(vec![0x11; 32])]);
        assert_eq!(parse(&keys.to_text()), Some(keys));
        let four = ["11", "22", "33", "44"].map(word).join("\n");
        assert!(parse(&four).is_some());
        assert!(parse(&format!("{four}\n{}", word("55"))).is_none());
    }

    #[test]
    fn other_text_is_no_key() {
        let good = MasterKey::random().unwrap().to_text();
        for text in ["", "\n", ",", "-----BEGIN PRIVATE KEY-----\n", &good[..good.len() - 5]] {
            assert!(parse(text).is_none(), "{text:?}");
        }
        for digits in [31, 33] {
            assert!(parse(&"11".repeat(digits)).is_none(), "{digits}");
        }
        assert!(parse(&"1".repeat(32)).is_none() && MasterKey::parse(&[0xff; 31]).is_none());
    }
}
