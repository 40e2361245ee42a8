//! Signatures by the sender's own key, for verifiers that must not be able to forge.

use std::fmt;

use p256::ecdsa;
use p256::ecdsa::signature::{MultipartSigner, MultipartVerifier};

use super::context::Context;
use super::wire::{Algorithm, Signature};

/// A private key of a sender.
pub struct Signer(SigningKey);

enum SigningKey {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P256(ecdsa::SigningKey),
}

/// Bytes are no key of their algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no key of this algorithm")]
pub struct NotAKey;

impl Signer {
    /// The key of this seed (RFC 8032).
    #[must_use]
    pub fn ed25519(seed: &[u8; 32]) -> Self {
        Self(SigningKey::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(seed))))
    }

    /// The key of this scalar, big-endian.
    ///
    /// # Errors
    /// When it is 0, or not below the order of the curve.
    pub fn p256(scalar: &[u8; 32]) -> Result<Self, NotAKey> {
        let key = ecdsa::SigningKey::from_slice(scalar).map_err(|_| NotAKey)?;
        Ok(Self(SigningKey::P256(key)))
    }

    /// What verifies its signatures.
    #[must_use]
    pub fn sender_key(&self) -> SenderKey {
        SenderKey(match &self.0 {
            SigningKey::Ed25519(key) => VerifyingKey::Ed25519(Box::new(key.verifying_key())),
            SigningKey::P256(key) => VerifyingKey::P256(Box::new(*key.verifying_key())),
        })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match &self.0 {
            SigningKey::Ed25519(_) => Algorithm::Ed25519,
            SigningKey::P256(_) => Algorithm::P256,
        }
    }

    /// The same for the same bytes: both algorithms draw nothing (RFC 8032, RFC 6979).
    pub(super) fn sign(&self, context: Context<'_>, bytes: &[u8]) -> Result<[u8; 64], NotAKey> {
        let message = [context.head(), context.topic(), bytes];
        match &self.0 {
            SigningKey::Ed25519(key) => {
                let signature: Result<ed25519_dalek::Signature, _> =
                    key.try_multipart_sign(&message);
                signature.map(|signature| signature.to_bytes()).map_err(|_| NotAKey)
            }
            SigningKey::P256(key) => {
                let signature: Result<ecdsa::Signature, _> = key.try_multipart_sign(&message);
                signature.map(|signature| signature.to_bytes().into()).map_err(|_| NotAKey)
            }
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

/// The public key of a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderKey(VerifyingKey);

#[derive(Clone, Debug, PartialEq, Eq)]
enum VerifyingKey {
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    P256(Box<ecdsa::VerifyingKey>),
}

impl SenderKey {
    /// An Ed25519 key as RFC 8032 has it.
    ///
    /// # Errors
    /// When it is no point of the curve, or one under which anything verifies.
    pub fn ed25519(bytes: &[u8; 32]) -> Result<Self, NotAKey> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| NotAKey)?;
        if key.is_weak() {
            return Err(NotAKey);
        }
        Ok(Self(VerifyingKey::Ed25519(Box::new(key))))
    }

    /// A P-256 key as SEC 1 has it, compressed (33 bytes) or not (65): the public key of a certificate.
    ///
    /// # Errors
    /// When it is no point of the curve.
    pub fn p256(bytes: &[u8]) -> Result<Self, NotAKey> {
        let key = ecdsa::VerifyingKey::from_sec1_bytes(bytes).map_err(|_| NotAKey)?;
        Ok(Self(VerifyingKey::P256(Box::new(key))))
    }

    pub(super) fn made(
        &self,
        signature: Signature<'_>,
        context: Context<'_>,
        bytes: &[u8],
    ) -> bool {
        let message = [context.head(), context.topic(), bytes];
        match (&self.0, signature.algorithm) {
            (VerifyingKey::Ed25519(key), Algorithm::Ed25519) => {
                let signature = ed25519_dalek::Signature::from_bytes(signature.bytes);
                key.multipart_verify(&message, &signature).is_ok()
            }
            (VerifyingKey::P256(key), Algorithm::P256) => {
                let signature = ecdsa::Signature::from_slice(signature.bytes);
                signature.is_ok_and(|signature| key.multipart_verify(&message, &signature).is_ok())
            }
            _ => false,
        }
    }
}
