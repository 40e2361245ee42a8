//! Password hashes that Mosquitto wrote before it had argon2id: `$6$salt$hash`, SHA-512 of password
//! and salt, and `$7$iterations$salt$hash`, PBKDF2 with HMAC-SHA-512. They are good for one login:
//! then there is an argon2id hash in their place.

use std::fmt;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hash::HashFault;
use crate::secret::Secret;

const SHA512_MARK: &str = "$6$";
const PBKDF2_MARK: &str = "$7$";

/// About a second of one core. `mosquitto_passwd` writes 101 or 1,000 unless told otherwise.
const MAX_ROUNDS: u32 = 2_000_000;
/// Mosquitto takes 12 up to its version 2.0, and 64 from 2.1 on.
const ACCEPTED_SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

type Output = Zeroizing<[u8; 64]>;

/// What Mosquitto keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct MosquittoHash {
    method: Method,
    salt: Vec<u8>,
    output: [u8; 64],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Sha512,
    Pbkdf2 { rounds: u32 },
}

impl MosquittoHash {
    pub(super) fn is_one(text: &str) -> bool {
        text.starts_with(SHA512_MARK) || text.starts_with(PBKDF2_MARK)
    }

    /// Reads what `mosquitto_passwd` writes.
    pub(super) fn parse(text: &str) -> Result<Self, HashFault> {
        let (method, rest) = match (text.strip_prefix(SHA512_MARK), text.strip_prefix(PBKDF2_MARK))
        {
            (Some(rest), _) => (Method::Sha512, rest),
            (None, Some(rest)) => {
                let (rounds, rest) = rest.split_once('$').ok_or(HashFault::Broken)?;
                (Method::Pbkdf2 { rounds: read_rounds(rounds)? }, rest)
            }
            (None, None) => return Err(HashFault::Broken),
        };
        let (salt, output) = rest.split_once('$').ok_or(HashFault::Broken)?;
        let salt = Base64::decode_vec(salt).map_err(|_| HashFault::Broken)?;
        let output = Base64::decode_vec(output).map_err(|_| HashFault::Broken)?;
        let output = output.try_into().map_err(|_| HashFault::Broken)?;
        let parsed = Self { method, salt, output };
        let is_exact =
            ACCEPTED_SALT_BYTES.contains(&parsed.salt.len()) && parsed.to_string() == text;
        if is_exact { Ok(parsed) } else { Err(HashFault::Broken) }
    }

    /// The rounds of PBKDF2 that checking a password takes.
    pub(super) fn rounds(&self) -> u32 {
        match self.method {
            Method::Sha512 => 0,
            Method::Pbkdf2 { rounds } => rounds,
        }
    }

    /// Whether it is the hash of `password`. Unlike there, one with null bytes does not end at the
    /// first.
    pub(super) fn matches(&self, password: &Secret) -> bool {
        let found = match self.method {
            Method::Sha512 => sha512(password, &self.salt),
            Method::Pbkdf2 { rounds } => pbkdf2(password, &self.salt, rounds),
        };
        // HMAC cannot tell a short key from the same with null bytes behind it.
        bool::from(found.ct_eq(&self.output)) && !password.expose().contains(&0)
    }
}

impl fmt::Display for MosquittoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.method {
            Method::Sha512 => f.write_str(SHA512_MARK)?,
            Method::Pbkdf2 { rounds } => write!(f, "{PBKDF2_MARK}{rounds}$")?,
        }
        write!(f, "{}${}", Base64::encode_string(&self.salt), Base64::encode_string(&self.output))
    }
}

impl fmt::Debug for MosquittoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MosquittoHash(rounds={})", self.rounds())
    }
}

fn read_rounds(text: &str) -> Result<u32, HashFault> {
    match text.parse() {
        Ok(rounds @ 1..=MAX_ROUNDS) => Ok(rounds),
        Ok(_) => Err(HashFault::Rounds),
        Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(HashFault::Rounds)
        }
        Err(_) => Err(HashFault::Broken),
    }
}

fn sha512(password: &Secret, salt: &[u8]) -> Output {
    let hash = Sha512::new().chain_update(password.expose()).chain_update(salt);
    Zeroizing::new(hash.finalize().into())
}

/// PBKDF2 with HMAC-SHA-512 (RFC 8018 section 5.2), of one block.
pub(super) fn pbkdf2(password: &Secret, salt: &[u8], rounds: u32) -> Output {
    let keyed = keyed(password.expose());
    let mut block = finish(keyed.clone().chain_update(salt).chain_update(1_u32.to_be_bytes()));
    let mut result = block.clone();
    for _ in 1..rounds {
        block = finish(keyed.clone().chain_update(block.as_slice()));
        for (byte, of_block) in result.iter_mut().zip(block.iter()) {
            *byte ^= of_block;
        }
    }
    result
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length: RFC 2104")]
fn keyed(key: &[u8]) -> Hmac<Sha512> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

fn finish(mac: Hmac<Sha512>) -> Output {
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "password": from the tests of Mosquitto.
    const SHA512: &str = "$6$vZY4TS+/HBxHw38S$vvjVFECzb8dyuu/mruD2QKTfdFn0WmKxbc+1TsdB0L8EdHk3v9JRmfj\
                          Hd56+VaTnUcSZOZ/hzkdvWCtxlX7AUQ==";
    /// Of "secret": written by `mosquitto_passwd` 2.0.
    const PBKDF2: &str = "$7$101$DW8oHJo47f+3TUnM$QFKHMbKiuydmFs0ZrAynU3l48o2nZzg6kGD/8eGq3sWnKI4ZvN6\
                          y2hoieCUMGHmchXXAmQ7ZjLtlauBNEcxuRw==";
    /// Of "secret", with a salt of 64 bytes as `mosquitto_passwd` 2.1 takes: computed by Python.
    const PBKDF2_LONG_SALT: &str = "$7$1000$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0\
         +Pw==$j5aX3DstWRgO5cjjfvKvsf7Z/KK812T4wGDMih+DCHQg8P7++fmj4sZcMp1smkEafZL0QZ29tE5ezahL/nyff\
         w==";

    fn is_of(text: &str, password: &str) -> bool {
        MosquittoHash::parse(text).unwrap().matches(&Secret::from(password))
    }

    #[test]
    fn hashes_of_mosquitto_match_their_passwords_and_no_other() {
        for (text, password) in
            [(SHA512, "password"), (PBKDF2, "secret"), (PBKDF2_LONG_SALT, "secret")]
        {
            assert!(is_of(text, password), "{text}");
            assert_eq!(MosquittoHash::parse(text).unwrap().to_string(), text);
            let nul = format!("{password}\0");
            let longer = format!("{password}\0x");
            for wrong in ["", "Password", "secre", "secret ", &nul, &longer] {
                assert!(!is_of(text, wrong), "{text} {wrong:?}");
            }
        }
    }

    #[test]
    fn pbkdf2_agrees_with_known_vectors() {
        // From "PBKDF2-HMAC-SHA-512 test vectors": P=password, S=salt.
        let first = |rounds| pbkdf2(&Secret::from("password"), b"salt", rounds)[..4].to_vec();
        assert_eq!(first(1), [0x86, 0x7f, 0x70, 0xcf]);
        assert_eq!(first(2), [0xe1, 0xd9, 0xc1, 0x6a]);
        assert_eq!(first(4_096), [0xd1, 0x97, 0xb1, 0xb3]);
    }

    #[test]
    fn a_hash_cut_off_anywhere_is_refused() {
        for text in [SHA512, PBKDF2, PBKDF2_LONG_SALT] {
            for end in 0..text.len() {
                assert!(MosquittoHash::parse(&text[..end]).is_err(), "{}", &text[..end]);
            }
            for tail in ["=", "A", "$", " "] {
                assert!(MosquittoHash::parse(&format!("{text}{tail}")).is_err(), "{tail:?}");
            }
        }
    }

    #[test]
    fn rounds_that_cost_nothing_or_too_much_are_refused() {
        let with = |rounds: &str| MosquittoHash::parse(&PBKDF2.replace("101", rounds)).err();
        assert_eq!(with("2000000"), None);
        for rounds in ["0", "2000001", "4294967295", "4294967296", "99999999999999999999"] {
            assert_eq!(with(rounds), Some(HashFault::Rounds), "{rounds}");
        }
        for rounds in ["", "-1", "+1", "1e3", "0101", " 101"] {
            assert_eq!(with(rounds), Some(HashFault::Broken), "{rounds}");
        }
    }

    #[test]
    fn short_and_long_salts_are_refused() {
        let rest = SHA512.rsplit_once('$').unwrap().1;
        for salt in ["", "AAAAAAAAAA==", &Base64::encode_string(&[7; 65])] {
            let text = format!("$6${salt}${rest}");
            assert_eq!(MosquittoHash::parse(&text), Err(HashFault::Broken), "{salt}");
        }
    }

    #[test]
    fn debug_output_shows_no_hash() {
        let kept = MosquittoHash::parse(PBKDF2).unwrap();
        assert_eq!(format!("{kept:?}"), "MosquittoHash(rounds=101)");
    }
}
