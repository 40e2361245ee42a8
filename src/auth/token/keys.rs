//! The keys that tokens are signed with: public ones, from PEM or a JSON Web Key Set (RFC 7517).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::{Error as PemError, PemObject};
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::der_parser::oid;
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::TokenFault;
use super::object::Object;

/// Bytes of the largest file of keys.
pub const MAX_KEY_FILE_BYTES: u64 = 1 << 20;
/// Keys that are kept: each may have to be tried.
const MAX_KEYS: usize = 32;
/// Bits of the smallest and the largest RSA modulus (RFC 7518 section 3.3).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

const PRIME256V1: Oid<'static> = oid!(1.2.840.10045.3.1.7);
const ED25519_OID: Oid<'static> = oid!(1.3.101.112);

/// The keys of one file; at least one.
#[derive(Clone, Debug)]
pub struct TokenKeys(Vec<Key>);

/// One key, which verifies one algorithm and no other.
#[derive(Clone, Debug)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    public: ParsedPublicKey,
    fingerprint: KeyFingerprint,
}

/// What tells a key from all others: the SHA-256 of what it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFingerprint([u8; 32]);

impl KeyFingerprint {
    /// The one of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(parts: [&[u8]; 2]) -> Self {
        let digest =
            parts.into_iter().fold(Sha256::new(), |digest, part| digest.chain_update(part));
        Self(digest.finalize().into())
    }
}

/// The algorithms that are accepted (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

/// What a token says about its signature.
#[derive(Debug)]
pub(super) struct Header {
    algorithm: Option<Algorithm>,
    key_id: Option<String>,
}

/// What is wrong with a file of keys.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeysError {
    /// Damaged PEM.
    #[error("the PEM is damaged")]
    BrokenPem,
    /// Not JSON, or not that of a key set.
    #[error("it begins like a JSON Web Key Set and is none: {0}")]
    BrokenJson(String),
    /// Nothing in it verifies what is accepted.
    #[error(
        "it holds no public key for RS256, ES256 (P-256) or EdDSA (Ed25519): write public keys in \
         PEM, or a JSON Web Key Set"
    )]
    Empty,
    /// More than are tried.
    #[error("it holds more than 32 keys")]
    TooMany,
    /// A key that is not what it says.
    #[error("key {position} is damaged: {what}")]
    BrokenKey {
        /// From 1, in the order of the file.
        position: usize,
        /// What.
        what: &'static str,
    },
    /// A private key: it belongs to the issuer alone.
    #[error("key {position} is private: only its issuer needs that; keep the public part here")]
    Private {
        /// From 1, in the order of the file.
        position: usize,
    },
    /// A token could mean both.
    #[error("key {position} has the `kid` of an earlier one")]
    Twice {
        /// From 1, in the order of the file.
        position: usize,
    },
}

impl TokenKeys {
    /// Reads public keys in PEM, or a JSON Web Key Set.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let keys = if text.trim_start().starts_with('{') {
            super::jwk::keys_of_set(text)?
        } else {
            keys_of_pem(text)?
        };
        if keys.is_empty() {
            return Err(KeysError::Empty);
        }
        if keys.len() > MAX_KEYS {
            return Err(KeysError::TooMany);
        }
        for (index, key) in keys.iter().enumerate() {
            let earlier = keys.iter().take(index);
            if key.id.is_some() && earlier.into_iter().any(|earlier| earlier.id == key.id) {
                return Err(KeysError::Twice { position: index + 1 });
            }
        }
        Ok(Self(keys))
    }

    /// The key that `header` means and that has made `signature` of `signed`. Keys without a name may be
    /// meant by every token of their algorithm.
    pub(super) fn verify(
        &self,
        header: &Header,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<KeyFingerprint, TokenFault> {
        let algorithm = header.algorithm.ok_or(TokenFault::Algorithm)?;
        let of_algorithm: Vec<_> = self.0.iter().filter(|key| key.algorithm == algorithm).collect();
        if of_algorithm.is_empty() {
            return Err(TokenFault::Algorithm);
        }
        let is_meant =
            |key: &&&Key| key.id.is_none() || header.key_id.is_none() || key.id == header.key_id;
        let meant: Vec<_> = of_algorithm.iter().filter(is_meant).collect();
        if meant.is_empty() {
            return Err(TokenFault::UnknownKey);
        }
        let is_ambiguous = meant.len() > 1 && meant.iter().any(|key| key.id.is_some());
        if header.key_id.is_none() && is_ambiguous {
            return Err(TokenFault::KeyMissing);
        }
        let right = meant.iter().find(|key| key.public.verify_sig(signed, signature).is_ok());
        right.map(|key| key.fingerprint).ok_or(TokenFault::Signature)
    }

    pub(super) fn contains(&self, fingerprint: &KeyFingerprint) -> bool {
        self.0.iter().any(|key| key.fingerprint == *fingerprint)
    }
}

impl Header {
    pub(super) fn read(header: &Object) -> Result<Self, TokenFault> {
        if header.value("crit").is_some() {
            return Err(TokenFault::Critical);
        }
        let algorithm = header.text("alg")?.ok_or(TokenFault::Type("alg"))?;
        let key_id = header.text("kid")?.map(str::to_owned);
        Ok(Self { algorithm: Algorithm::named(algorithm), key_id })
    }
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

impl Key {
    /// With the name by which tokens mean it.
    pub(super) fn named(self, id: Option<String>) -> Self {
        Self { id, ..self }
    }

    /// Of a modulus and an exponent, both big-endian.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, &'static str> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let leading = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if !RSA_BITS.contains(&(n.len() * 8).saturating_sub(leading)) {
            return Err("RSA keys have 2,048 to 8,192 bits");
        }
        let public =
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256);
        let public = public.map_err(|_| "it is no RSA key")?;
        let fingerprint = KeyFingerprint::of([e, n]);
        Ok(Self { id: None, algorithm: Algorithm::Rs256, public, fingerprint })
    }

    /// Of an uncompressed point (SEC 1 section 2.3.3).
    pub(super) fn p256(point: &[u8]) -> Result<Self, &'static str> {
        let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        let public = public.map_err(|_| "it is no point of P-256")?;
        let fingerprint = KeyFingerprint::of([b"", point]);
        Ok(Self { id: None, algorithm: Algorithm::Es256, public, fingerprint })
    }

    /// Of the 32 bytes of RFC 8032 section 5.1.5.
    pub(super) fn ed25519(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| "Ed25519 keys have 32 bytes")?;
        let public = ParsedPublicKey::new(&ED25519, bytes).map_err(|_| "it is no Ed25519 key")?;
        let fingerprint = KeyFingerprint::of([b"", bytes]);
        Ok(Self { id: None, algorithm: Algorithm::EdDsa, public, fingerprint })
    }
}

fn keys_of_pem(text: &str) -> Result<Vec<Key>, KeysError> {
    if text.contains("PRIVATE KEY-----") {
        return Err(KeysError::Private { position: 1 });
    }
    let mut keys = Vec::new();
    for (index, der) in SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()).enumerate() {
        let der = der.map_err(|_: PemError| KeysError::BrokenPem)?;
        let broken = |what| KeysError::BrokenKey { position: index + 1, what };
        keys.push(key_of_spki(&der).map_err(broken)?);
    }
    Ok(keys)
}

fn key_of_spki(der: &[u8]) -> Result<Key, &'static str> {
    const UNREADABLE: &str = "it is no SubjectPublicKeyInfo";
    let (rest, info) = SubjectPublicKeyInfo::from_der(der).map_err(|_| UNREADABLE)?;
    if !rest.is_empty() {
        return Err(UNREADABLE);
    }
    let parameters = info.algorithm.parameters.as_ref();
    let curve = parameters.and_then(|parameters| parameters.as_oid().ok());
    if info.algorithm.algorithm == ED25519_OID {
        return Key::ed25519(&info.subject_public_key.data);
    }
    match info.parsed().map_err(|_| UNREADABLE)? {
        PublicKey::RSA(key) => Key::rsa(key.modulus, key.exponent),
        PublicKey::EC(_) if curve == Some(PRIME256V1) => Key::p256(&info.subject_public_key.data),
        _ => Err("it is for none of RS256, ES256 (P-256) and EdDSA (Ed25519)"),
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}
