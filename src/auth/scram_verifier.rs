//! What is kept of a password for SCRAM-SHA-256 (RFC 5802 section 3, RFC 7677): enough to recognise
//! who has the password, not enough to log in with.

use std::fmt;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// How often `bastionmq passwd add --scram` hashes unless told otherwise. The client pays for it, at
/// each login: some 10 ms of a computer, and a second of a small device. RFC 7677 asks for 4,096.
pub const DEFAULT_SCRAM_ITERATIONS: u32 = 15_000;

/// What a verifier starts with, in a password file.
pub(super) const MARK: &str = "SCRAM-SHA-256$";

const MIN_ITERATIONS: u32 = 4_096;
/// A hostile or mistaken file must not keep clients busy for minutes.
const MAX_ITERATIONS: u32 = 1_000_000;
const SALT_BYTES: usize = 16;
const ACCEPTED_SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

/// One HMAC-SHA-256 or SHA-256, wiped.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// What is kept of a password, and how it was made of it.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl ScramVerifier {
    /// Hashes `password`: `iterations` (4,096 to 1,000,000) times, with a salt that no other
    /// password has.
    ///
    /// # Errors
    /// When the iterations are out of bounds, or the password is one that SCRAM clients cannot send:
    /// empty, not UTF-8, or with control characters. It is taken as it is; beyond ASCII, a client
    /// that prepares passwords (SASLprep) must come to the same characters.
    pub fn new(
        password: &Secret,
        iterations: u32,
        salt: [u8; SALT_BYTES],
    ) -> Result<Self, ScramError> {
        check_iterations(iterations).map_err(|_| ScramError::Iterations)?;
        check_password(password)?;
        Ok(Self::derive(password, iterations, salt.to_vec()))
    }

    fn derive(password: &Secret, iterations: u32, salt: Vec<u8>) -> Self {
        let salted = salted_password(password, iterations, &salt);
        let client_key = hmac(salted.as_slice(), b"Client Key");
        let stored_key = sha256(client_key.as_slice());
        let server_key = hmac(salted.as_slice(), b"Server Key");
        Self { iterations, salt, stored_key, server_key }
    }

    /// Reads what [`Display`](fmt::Display) writes, and PostgreSQL too:
    /// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the last three in base64.
    ///
    /// # Errors
    /// What is not of that form, or beyond the bounds.
    pub(super) fn parse(text: &str) -> Result<Self, VerifierFault> {
        let rest = text.strip_prefix(MARK).ok_or(VerifierFault::Broken)?;
        let (how, keys) = rest.split_once('$').ok_or(VerifierFault::Broken)?;
        let (iterations, salt) = how.split_once(':').ok_or(VerifierFault::Broken)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(VerifierFault::Broken)?;
        let salt = Base64::decode_vec(salt).map_err(|_| VerifierFault::Broken)?;
        if !ACCEPTED_SALT_BYTES.contains(&salt.len()) {
            return Err(VerifierFault::Salt);
        }
        let iterations = read_iterations(iterations)?;
        let (stored_key, server_key) = (read_key(stored_key)?, read_key(server_key)?);
        Ok(Self { iterations, salt, stored_key, server_key })
    }

    /// One that no password opens, and that looks like `pattern` from outside. The same `user` gets
    /// the same one under the same `key`.
    pub(super) fn decoy(key: &Secret, user: &str, pattern: Option<&Self>) -> Self {
        let derive = |label: &[u8]| hmac_of(key.expose(), &[label, user.as_bytes()]);
        let salt_bytes = pattern.map_or(SALT_BYTES, |pattern| pattern.salt.len());
        let salt = [derive(b"salt 1 "), derive(b"salt 2 ")].map(|half| *half).concat();
        Self {
            iterations: pattern.map_or(DEFAULT_SCRAM_ITERATIONS, |pattern| pattern.iterations),
            salt: salt.into_iter().take(salt_bytes).collect(),
            stored_key: derive(b"stored "),
            server_key: derive(b"server "),
        }
    }

    /// How often the client hashes.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    pub(super) fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Whether it was made of `password`. Hashes as often as a client does.
    #[must_use]
    pub fn matches(&self, password: &Secret) -> bool {
        let found = Self::derive(password, self.iterations, self.salt.clone());
        let is_same = found.stored_key.ct_eq(self.stored_key.as_slice());
        // HMAC cannot tell a short key from the same with null bytes behind it.
        bool::from(is_same) && check_password(password).is_ok()
    }

    /// Whether `proof` shows that the client has the password (RFC 5802 section 3).
    pub(super) fn is_proven_by(&self, proof: &[u8; 32], auth_message: &[u8]) -> Choice {
        let mut client_key = hmac(self.stored_key.as_slice(), auth_message);
        for (byte, of_proof) in client_key.iter_mut().zip(proof) {
            *byte ^= of_proof;
        }
        sha256(client_key.as_slice()).ct_eq(self.stored_key.as_slice())
    }

    /// What shows the client that the server has the verifier.
    pub(super) fn server_signature(&self, auth_message: &[u8]) -> Key {
        hmac(self.server_key.as_slice(), auth_message)
    }
}

impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { iterations, salt, stored_key, server_key } = self;
        let [salt, stored_key, server_key] =
            [salt.as_slice(), stored_key.as_slice(), server_key.as_slice()]
                .map(Base64::encode_string);
        write!(f, "{MARK}{iterations}:{salt}${stored_key}:{server_key}")
    }
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramVerifier(i={})", self.iterations)
    }
}

/// `Hi` of RFC 5802: PBKDF2 with HMAC-SHA-256, of one block.
fn salted_password(password: &Secret, iterations: u32, salt: &[u8]) -> Key {
    let keyed = keyed(password.expose());
    let mut block = finish(keyed.clone().chain_update(salt).chain_update(1_u32.to_be_bytes()));
    let mut result = block.clone();
    for _ in 1..iterations {
        block = finish(keyed.clone().chain_update(block.as_slice()));
        for (byte, of_block) in result.iter_mut().zip(block.iter()) {
            *byte ^= of_block;
        }
    }
    result
}

fn hmac(key: &[u8], message: &[u8]) -> Key {
    hmac_of(key, &[message])
}

fn hmac_of(key: &[u8], message: &[&[u8]]) -> Key {
    finish(message.iter().fold(keyed(key), |mac, part| mac.chain_update(part)))
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length: RFC 2104")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

fn finish(mac: Hmac<Sha256>) -> Key {
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn sha256(bytes: &[u8]) -> Key {
    Zeroizing::new(Sha256::digest(bytes).into())
}

fn check_iterations(iterations: u32) -> Result<u32, VerifierFault> {
    match iterations {
        MIN_ITERATIONS..=MAX_ITERATIONS => Ok(iterations),
        _ => Err(VerifierFault::Iterations),
    }
}

fn check_password(password: &Secret) -> Result<(), ScramError> {
    let text = std::str::from_utf8(password.expose()).map_err(|_| ScramError::NotText)?;
    match text {
        "" => Err(ScramError::Empty),
        text if text.contains(char::is_control) => Err(ScramError::NotText),
        _ => Ok(()),
    }
}

/// Decimal digits and nothing else: what is written is what was read.
fn read_iterations(text: &str) -> Result<u32, VerifierFault> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let iterations = text.parse().ok().filter(|_| is_plain).ok_or(VerifierFault::Broken)?;
    check_iterations(iterations)
}

fn read_key(text: &str) -> Result<Key, VerifierFault> {
    let mut key = Key::default();
    let bytes = Base64::decode(text, key.as_mut_slice()).map_or(0, <[u8]>::len);
    if bytes == key.len() { Ok(key) } else { Err(VerifierFault::Broken) }
}

/// Why a password cannot be kept for SCRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ScramError {
    /// Too few, or too many.
    #[error("the SCRAM iterations must be between 4096 and 1000000")]
    Iterations,
    /// There is nothing to hash.
    #[error("the password is empty; choose one that is not")]
    Empty,
    /// SCRAM clients send text alone.
    #[error(
        "a password for SCRAM is UTF-8 text without control characters; choose another, or leave \
         SCRAM out"
    )]
    NotText,
}

/// Why a SCRAM verifier in a file is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VerifierFault {
    /// It is none, or only a part of one.
    #[error(
        "the SCRAM verifier is broken or cut off; it reads \
         `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`"
    )]
    Broken,
    /// Too few for security, or too many for clients.
    #[error("the SCRAM iterations must be between 4096 and 1000000")]
    Iterations,
    /// Too short for security, or too long to send.
    #[error("the salt of a SCRAM verifier has 8 to 64 bytes")]
    Salt,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the example in RFC 7677: user `user`, password `pencil`.
    fn rfc_7677() -> ScramVerifier {
        let salt = Base64::decode_vec("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        ScramVerifier::derive(&Secret::from("pencil"), 4_096, salt)
    }

    #[test]
    fn the_verifier_of_rfc_7677_is_that_of_postgresql() {
        assert_eq!(
            rfc_7677().to_string(),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbs\
             T4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn it_matches_the_password_that_it_was_made_of() {
        let verifier = rfc_7677();
        assert!(verifier.matches(&Secret::from("pencil")));
        for wrong in ["", "Pencil", "pencil\0", "pencil "] {
            assert!(!verifier.matches(&Secret::from(wrong)), "{wrong:?}");
        }
        let of_nothing = ScramVerifier::derive(&Secret::from(""), 4_096, vec![7; 16]);
        assert!(!of_nothing.matches(&Secret::from("")));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let text = rfc_7677().to_string();
        assert_eq!(ScramVerifier::parse(&text).unwrap().to_string(), text);
    }

    #[test]
    fn a_verifier_cut_off_anywhere_is_refused() {
        let text = rfc_7677().to_string();
        for end in 0..text.len() {
            assert!(ScramVerifier::parse(&text[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn every_malformed_verifier_is_refused() {
        let good = rfc_7677().to_string();
        let changed = |from: &str, to: &str| good.replacen(from, to, 1);
        let broken = [
            changed("SHA-256", "SHA-1"),
            changed("SHA-256", "SHA-256-PLUS"),
            changed("4096", ""),
            changed("4096", "+4096"),
            changed("4096", "04096"),
            changed("4096", "4096 "),
            changed("4096", "99999999999"),
            changed("4096:", "4096$"),
            changed("gQ==", "gQ="),
            changed("gQ==", "gR=="),
            changed("gQ==", "gQ"),
            changed("T4qY=", "T4qY"),
            changed("T4qY=", "T4q="),
            changed("T4qY=:", "T4qY=$"),
            format!("{good} "),
            format!("{good}:"),
        ];
        for text in broken {
            assert_eq!(ScramVerifier::parse(&text).unwrap_err(), VerifierFault::Broken, "{text}");
        }
        for iterations in ["4095", "1", "1000001"] {
            let text = changed("4096", iterations);
            assert_eq!(ScramVerifier::parse(&text).unwrap_err(), VerifierFault::Iterations);
        }
        for salt in ["", "AAAA", &"AAAA".repeat(22)] {
            let text = changed("W22ZaJ0SNY7soEsUEjb6gQ==", salt);
            assert_eq!(ScramVerifier::parse(&text).unwrap_err(), VerifierFault::Salt, "{text}");
        }
    }

    #[test]
    fn passwords_that_scram_cannot_carry_are_refused() {
        let new = |password: &[u8], iterations| {
            ScramVerifier::new(&Secret::from(password), iterations, [7; 16]).map(|_| ())
        };
        assert_eq!(new("pässword 1".as_bytes(), 4_096), Ok(()));
        assert_eq!(new(b"", 4_096), Err(ScramError::Empty));
        assert_eq!(new(b"a\0", 4_096), Err(ScramError::NotText));
        assert_eq!(new(b"\xff", 4_096), Err(ScramError::NotText));
        assert_eq!(new(b"a", 4_095), Err(ScramError::Iterations));
        assert_eq!(new(b"a", 1_000_001), Err(ScramError::Iterations));
    }

    #[test]
    fn nothing_of_a_verifier_is_printed_by_accident() {
        assert_eq!(format!("{:?}", rfc_7677()), "ScramVerifier(i=4096)");
    }
}
