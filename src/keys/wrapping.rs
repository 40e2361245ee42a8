//! Thirty-two bytes for one public key: RSA-OAEP with SHA-256 (RFC 8017), or HPKE in base mode
//! (RFC 9180).

use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PublicEncryptingKey,
};
use rustls::crypto::aws_lc_rs::hpke::{
    DH_KEM_P256_HKDF_SHA256_AES_256, DH_KEM_X25519_HKDF_SHA256_AES_256,
};
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use rustls_pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::device_key::{PublicKey, private_p256, private_rsa, private_x25519};

/// How a key is wrapped. What it belongs to is authenticated with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSA-OAEP with SHA-256, also in MGF1; the binding is the label.
    #[serde(rename = "rsa-oaep-sha256")]
    RsaOaepSha256,
    /// HPKE with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM; the binding is the `info`, and
    /// there is no `aad`.
    #[serde(rename = "hpke-x25519-sha256-aes256gcm")]
    HpkeX25519,
    /// The same with DHKEM(P-256, HKDF-SHA256).
    #[serde(rename = "hpke-p256-sha256-aes256gcm")]
    HpkeP256,
}

/// What has been wrapped.
pub(super) struct Wrapped {
    pub(super) algorithm: Algorithm,
    /// `enc` of HPKE, and nothing for RSA.
    pub(super) encapsulated: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
}

impl Algorithm {
    /// The kind of private key that it takes to unwrap.
    pub(super) fn key_kind(self) -> &'static str {
        match self {
            Self::RsaOaepSha256 => "RSA",
            Self::HpkeX25519 => "X25519 or Ed25519",
            Self::HpkeP256 => "P-256",
        }
    }
}

/// Wraps `secret` for `key`; nothing where the key is none, such as a point that is not on its curve.
pub(super) fn wrap(key: &PublicKey, binding: &[u8], secret: &[u8; 32]) -> Option<Wrapped> {
    match key {
        PublicKey::Rsa(der) => {
            let key =
                OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(der).ok()?).ok()?;
            let mut ciphertext = vec![0; key.ciphertext_size()];
            key.encrypt(&OAEP_SHA256_MGF1SHA256, secret, &mut ciphertext, Some(binding)).ok()?;
            let algorithm = Algorithm::RsaOaepSha256;
            Some(Wrapped { algorithm, encapsulated: Vec::new(), ciphertext })
        }
        PublicKey::P256(point) => {
            hpke(Algorithm::HpkeP256, DH_KEM_P256_HKDF_SHA256_AES_256, point, binding, secret)
        }
        PublicKey::X25519(key) => {
            hpke(Algorithm::HpkeX25519, DH_KEM_X25519_HKDF_SHA256_AES_256, key, binding, secret)
        }
    }
}

fn hpke(
    algorithm: Algorithm,
    suite: &impl Hpke,
    key: &[u8],
    binding: &[u8],
    secret: &[u8; 32],
) -> Option<Wrapped> {
    let (encapsulated, ciphertext) =
        suite.seal(binding, &[], secret, &HpkePublicKey(key.to_vec())).ok()?;
    Some(Wrapped { algorithm, encapsulated: encapsulated.0, ciphertext })
}

/// The private key is of another kind than what was wrapped asks for.
pub(super) struct OtherKind;

/// Unwraps; nothing where it was wrapped for another key, or does not belong to `binding`.
pub(super) fn unwrap(
    wrapped: &Wrapped,
    key: &PrivateKeyDer<'_>,
    binding: &[u8],
) -> Result<Option<Zeroizing<[u8; 32]>>, OtherKind> {
    let opened = match wrapped.algorithm {
        Algorithm::RsaOaepSha256 => {
            let key = private_rsa(key).ok_or(OtherKind)?;
            let key = OaepPrivateDecryptingKey::new(key).map_err(|_| OtherKind)?;
            let mut room = Zeroizing::new(vec![0; key.min_output_size()]);
            let label = Some(binding);
            key.decrypt(&OAEP_SHA256_MGF1SHA256, &wrapped.ciphertext, &mut room, label)
                .ok()
                .and_then(|secret| <[u8; 32]>::try_from(&*secret).ok())
                .map(Zeroizing::new)
        }
        Algorithm::HpkeX25519 => {
            let key = private_x25519(key).ok_or(OtherKind)?;
            open(DH_KEM_X25519_HKDF_SHA256_AES_256, wrapped, &key, binding)
        }
        Algorithm::HpkeP256 => {
            let key = private_p256(key).ok_or(OtherKind)?;
            open(DH_KEM_P256_HKDF_SHA256_AES_256, wrapped, &key, binding)
        }
    };
    Ok(opened)
}

fn open(
    suite: &impl Hpke,
    wrapped: &Wrapped,
    key: &[u8],
    binding: &[u8],
) -> Option<Zeroizing<[u8; 32]>> {
    let encapsulated = EncapsulatedSecret(wrapped.encapsulated.clone());
    let key = HpkePrivateKey::from(key.to_vec());
    let secret = suite.open(&encapsulated, binding, &[], &wrapped.ciphertext, &key).ok()?;
    <[u8; 32]>::try_from(Zeroizing::new(secret).as_slice()).ok().map(Zeroizing::new)
}
