//! What binds each line to all before it.
//!
//! A line is a JSON object that ends with `,"mac":"`, 64 hexadecimal digits and `"}`. They are the
//! HMAC-SHA-256 of the tag of the line before it and of the line up to there. A checkpoint also has an
//! Ed25519 signature of the SHA-256 of its file up to there, and so has the head of the log.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::clock::Moment;
use crate::keys::hexadecimal;

/// What stands between a line and its tag.
const MAC: &[u8] = b",\"mac\":\"";
const END: &[u8] = b"\"}";
const TAG_BYTES: usize = 32;
/// Of a key of HMAC-SHA-256 that is used as it is.
const BLOCK_BYTES: usize = 64;
/// What is signed begins with this, so that the signature means nothing else.
const SIGNED: &[u8] = b"BastionMQ audit checkpoint 1\0";
/// The same of a head.
const SIGNED_HEAD: &[u8] = b"BastionMQ audit head 1\0";

/// Binds a line to all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag([u8; TAG_BYTES]);

/// The secrets of a log: of its tags, its checkpoints and its masks.
pub struct Keys {
    chain: Hmac<Sha256>,
    names: Hmac<Sha256>,
    signer: SigningKey,
}

/// What checkpoints can be checked with by whoever has no secret: 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a public key of an audit log is 64 hexadecimal digits, as `bastionmq audit verify` prints it"
)]
pub struct NotAPublicKey;

impl Tag {
    /// Before the first line.
    pub(super) const NONE: Self = Self([0; TAG_BYTES]);

    /// Binds a line to all before it in its file, also for whoever has no secret.
    pub(super) fn of_file(digest: &Sha256) -> Self {
        Self(digest.clone().finalize().into())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal::encode(&self.0))
    }
}

impl FromStr for Tag {
    type Err = ();

    /// As it is written, and in no other way: a line has one form.
    fn from_str(text: &str) -> Result<Self, ()> {
        let tag = hexadecimal::decode::<TAG_BYTES>(text).map(|bytes| Self(*bytes)).ok_or(())?;
        if tag.to_string() == text { Ok(tag) } else { Err(()) }
    }
}

impl Keys {
    /// All of them follow from one secret.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        let derived = Hkdf::<Sha256>::new(None, secret);
        let expand = |purpose: &[u8], key: &mut [u8]| {
            // It only fails for more than 8,160 bytes.
            let _ = derived.expand(purpose, key);
        };
        let hmac = |purpose: &[u8]| {
            let mut key = Zeroizing::new([0; BLOCK_BYTES]);
            expand(purpose, key.as_mut_slice());
            <Hmac<Sha256> as KeyInit>::new((&*key).into())
        };
        let mut seed = Zeroizing::new([0; 32]);
        expand(b"audit checkpoints", seed.as_mut_slice());
        Self {
            chain: hmac(b"audit chain"),
            names: hmac(b"audit names"),
            signer: SigningKey::from_bytes(&seed),
        }
    }

    /// What its checkpoints are checked with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.signer.verifying_key())
    }

    pub(super) fn tag(&self, previous: &Tag, line: &[u8]) -> Tag {
        Tag(digest_of(&self.chain, &[&previous.0, line]))
    }

    /// 16 digits that stand for `parts`, the same for the same ones.
    pub(super) fn name(&self, parts: &[&str]) -> String {
        // Lengths keep ("a", "bc") and ("ab", "c") apart.
        let lengths: Vec<u8> = parts.iter().flat_map(|it| it.len().to_be_bytes()).collect();
        let parts: Vec<&[u8]> = std::iter::once(lengths.as_slice())
            .chain(parts.iter().map(|part| part.as_bytes()))
            .collect();
        let digest = digest_of(&self.names, &parts);
        hexadecimal::encode(digest.first_chunk::<8>().unwrap_or(&[0; 8])).to_string()
    }

    /// What stands in a checkpoint, after so much of its file.
    pub(super) fn checkpoint(&self, digest: &Sha256) -> String {
        let signature = self.signer.sign(&signed(digest));
        let signature = hexadecimal::encode(&signature.to_bytes()).to_string();
        format!("\"event\":\"checkpoint\",\"signature\":\"{signature}\"")
    }

    /// What stands behind what a head says.
    pub(super) fn sign_head(&self, said: &str) -> String {
        let signature = self.signer.sign(&[SIGNED_HEAD, said.as_bytes()].concat());
        hexadecimal::encode(&signature.to_bytes()).to_string()
    }
}

impl PublicKey {
    pub(super) fn has_signed(&self, digest: &Sha256, signature: &str) -> bool {
        self.verifies(&signed(digest), signature)
    }

    pub(super) fn has_signed_head(&self, said: &str, signature: &str) -> bool {
        self.verifies(&[SIGNED_HEAD, said.as_bytes()].concat(), signature)
    }

    fn verifies(&self, bytes: &[u8], signature: &str) -> bool {
        hexadecimal::decode::<64>(signature)
            .is_some_and(|it| self.0.verify_strict(bytes, &Signature::from_bytes(&it)).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal::encode(self.0.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = NotAPublicKey;

    fn from_str(text: &str) -> Result<Self, NotAPublicKey> {
        let bytes = hexadecimal::decode::<32>(text).ok_or(NotAPublicKey)?;
        VerifyingKey::from_bytes(&bytes).map(Self).map_err(|_| NotAPublicKey)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

fn signed(digest: &Sha256) -> Vec<u8> {
    [SIGNED, &digest.clone().finalize()].concat()
}

fn digest_of(key: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; TAG_BYTES] {
    let mut mac = key.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Adds record `seq`, after the one with the tag `previous`, to `text`: `body` is what stands in its object
/// between time and tag.
pub(super) fn add_record(
    text: &mut Vec<u8>,
    seq: u64,
    at: Duration,
    body: &str,
    previous: &Tag,
    keys: &Keys,
) -> Tag {
    let start = text.len();
    let time = Moment(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
    text.extend(format!("{{\"seq\":{seq},\"time\":\"{time:#}\",{body}").as_bytes());
    let tag = keys.tag(previous, text.get(start..).unwrap_or_default());
    text.extend(MAC);
    text.extend(tag.to_string().as_bytes());
    text.extend(END);
    text.push(b'\n');
    tag
}

/// A line without its end, and its tag; nothing where it has none.
pub(super) fn split_line(line: &[u8]) -> Option<(&[u8], Tag)> {
    let line = line.strip_suffix(END)?;
    let (text, digits) = line.split_at_checked(line.len().checked_sub(TAG_BYTES * 2)?)?;
    let tag = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((text.strip_suffix(MAC)?, tag))
}
