//! The key pair of a device, as its certificate and its private key have it, for wrapping keys to it.

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, PrivateDecryptingKey, PublicEncryptingKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use rustls_pki_types::PrivateKeyDer;
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::envelope::{SenderKey, Signer};

const RSA: &str = "1.2.840.113549.1.1.1";
const ELLIPTIC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const X25519: &str = "1.3.101.110";
const ED25519: &str = "1.3.101.112";

/// Behind the header of a PKCS#8 key (RFC 8410, RFC 5958): version 1 or 2, the object identifier, and
/// the octets of the key in octets of their own.
const PKCS8_X25519: [u8; 13] = [2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4];
const PKCS8_ED25519: [u8; 13] = [2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4];

/// The public key that something is wrapped for.
#[derive(Clone, Debug)]
pub struct Recipient {
    pub(super) key: PublicKey,
    /// SHA-256 over its SubjectPublicKeyInfo (RFC 5280), by which the device knows which of its keys.
    pub(super) fingerprint: [u8; 32],
}

/// What can be wrapped for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// Of 2048 to 8192 bits, DER.
    Rsa(Vec<u8>),
    /// An uncompressed point.
    P256(Vec<u8>),
    X25519([u8; 32]),
}

/// Why nothing can be wrapped for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unsuitable {
    /// It is damaged, or something else.
    #[error("it is no X.509 certificate and no public key, or damaged")]
    Unreadable,
    /// Of another kind.
    #[error("its key is neither RSA of 2048 to 8192 bits nor P-256, X25519 or Ed25519")]
    Kind,
}

impl Recipient {
    /// The key of a certificate, DER. Whether anybody vouches for the certificate is not looked at.
    ///
    /// # Errors
    /// When it is damaged, or has a key that nothing can be wrapped for.
    pub fn of_certificate(der: &[u8]) -> Result<Self, Unsuitable> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|_| Unsuitable::Unreadable)?;
        Self::of(certificate.public_key())
    }

    /// A public key by itself: a SubjectPublicKeyInfo, DER.
    ///
    /// # Errors
    /// As [`Self::of_certificate`].
    pub fn of_public_key(der: &[u8]) -> Result<Self, Unsuitable> {
        let (_, key) = SubjectPublicKeyInfo::from_der(der).map_err(|_| Unsuitable::Unreadable)?;
        Self::of(&key)
    }

    fn of(info: &SubjectPublicKeyInfo<'_>) -> Result<Self, Unsuitable> {
        let octets = info.subject_public_key.data.as_ref();
        let fixed = || <[u8; 32]>::try_from(octets).map_err(|_| Unsuitable::Unreadable);
        let key = match info.algorithm.algorithm.to_id_string().as_str() {
            RSA => PublicKey::Rsa(rsa(info.raw)?),
            ELLIPTIC => PublicKey::P256(p256(info)?),
            X25519 => PublicKey::X25519(fixed()?),
            ED25519 => PublicKey::X25519(montgomery(&fixed()?)?),
            _ => return Err(Unsuitable::Kind),
        };
        Ok(Self { key, fingerprint: Sha256::digest(info.raw).into() })
    }
}

fn rsa(info: &[u8]) -> Result<Vec<u8>, Unsuitable> {
    PublicEncryptingKey::from_der(info).map_err(|_| Unsuitable::Kind)?;
    Ok(info.to_vec())
}

fn p256(info: &SubjectPublicKeyInfo<'_>) -> Result<Vec<u8>, Unsuitable> {
    let curve = info.algorithm.parameters.as_ref().and_then(|it| it.as_oid().ok());
    if curve.is_none_or(|curve| curve.to_id_string() != P256) {
        return Err(Unsuitable::Kind);
    }
    Ok(info.subject_public_key.data.to_vec())
}

/// The X25519 key of an Ed25519 key: the same point on the curve as X25519 has it (RFC 7748, 4.1).
/// To use one key for both is sound (Thormarker, "On using the same key pair for Ed25519 and an X25519
/// based KEM", 2021), and spares such devices a second key.
fn montgomery(key: &[u8; 32]) -> Result<[u8; 32], Unsuitable> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| Unsuitable::Unreadable)?;
    // On such a point everybody agrees on the same secret.
    if key.is_weak() { Err(Unsuitable::Unreadable) } else { Ok(key.to_montgomery().to_bytes()) }
}

/// The key that a device signs envelopes with: Ed25519 or P-256.
#[must_use]
pub fn signer_of(key: &PrivateKeyDer<'_>) -> Option<Signer> {
    if let PrivateKeyDer::Pkcs8(pkcs8) = key
        && let Some(seed) = curve25519(pkcs8.secret_pkcs8_der(), &PKCS8_ED25519)
    {
        return Some(Signer::ed25519(seed));
    }
    let number = private_p256(key)?;
    Signer::p256(number.first_chunk()?).ok()
}

/// The key of a certificate, DER, that the signatures of its device verify with: Ed25519 or P-256.
#[must_use]
pub fn sender_key_of(certificate: &[u8]) -> Option<SenderKey> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let info = certificate.public_key();
    match info.algorithm.algorithm.to_id_string().as_str() {
        ED25519 => SenderKey::ed25519(info.subject_public_key.data.as_ref().try_into().ok()?).ok(),
        ELLIPTIC => SenderKey::p256(&p256(info).ok()?).ok(),
        _ => None,
    }
}

/// A private RSA key.
pub(super) fn private_rsa(key: &PrivateKeyDer<'_>) -> Option<PrivateDecryptingKey> {
    let pkcs8 = match key {
        PrivateKeyDer::Pkcs8(key) => Zeroizing::new(key.secret_pkcs8_der().to_vec()),
        PrivateKeyDer::Pkcs1(key) => {
            let key = RsaKeyPair::from_der(key.secret_pkcs1_der()).ok()?;
            let pkcs8: Pkcs8V1Der<'_> = key.as_der().ok()?;
            Zeroizing::new(pkcs8.as_ref().to_vec())
        }
        _ => return None,
    };
    PrivateDecryptingKey::from_pkcs8(&pkcs8).ok()
}

/// A private key on the curve P-256: its number, in 32 octets.
pub(super) fn private_p256(key: &PrivateKeyDer<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let key = PrivateKey::from_private_key_der(&ECDH_P256, key.secret_der()).ok()?;
    let number: EcPrivateKeyBin<'_> = key.as_be_bytes().ok()?;
    Some(Zeroizing::new(number.as_ref().to_vec()))
}

/// A private X25519 key, or that of an Ed25519 key.
pub(super) fn private_x25519(key: &PrivateKeyDer<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let PrivateKeyDer::Pkcs8(key) = key else { return None };
    let der = key.secret_pkcs8_der();
    if let Some(key) = curve25519(der, &PKCS8_X25519) {
        return Some(Zeroizing::new(key.to_vec()));
    }
    let seed = curve25519(der, &PKCS8_ED25519)?;
    Some(Zeroizing::new(SigningKey::from_bytes(seed).to_scalar_bytes().to_vec()))
}

fn curve25519<'a>(der: &'a [u8], header: &[u8; 13]) -> Option<&'a [u8; 32]> {
    let [0x30, length, 2, 1, version, rest @ ..] = der else { return None };
    let is_whole = usize::from(*length) == rest.len() + 3 && *length < 0x80 && *version < 2;
    let rest = rest.strip_prefix(header.get(3..)?)?.strip_prefix(&[32])?;
    is_whole.then(|| rest.first_chunk::<32>())?
}
