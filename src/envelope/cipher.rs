//! AES-256-GCM, with the sequence number as its nonce.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};

use super::key::KeyBytes;
use super::wire::GCM_TAG;

/// What a stream is encrypted with: its key schedule, computed once.
pub(super) struct Cipher(Box<Aes256Gcm>);

/// The body could not be encrypted, or is not what was encrypted.
#[derive(Debug)]
pub(super) struct CipherError;

impl Cipher {
    pub(super) fn new(enc_key: &KeyBytes) -> Self {
        Self(Box::new(Aes256Gcm::new(enc_key.expose().into())))
    }

    /// Encrypts in place; returns the tag.
    pub(super) fn seal(
        &self,
        seq: u64,
        aad: &[u8],
        payload: &mut [u8],
    ) -> Result<[u8; GCM_TAG], CipherError> {
        let tag = self.0.encrypt_inout_detached(&nonce(seq), aad, payload.into());
        tag.map(Into::into).map_err(|_| CipherError)
    }

    /// Appends what is in `body`, ciphertext and tag; on an error nothing.
    pub(super) fn open(
        &self,
        seq: u64,
        aad: &[u8],
        body: &[u8],
        into: &mut Vec<u8>,
    ) -> Result<(), CipherError> {
        let (ciphertext, tag) = body.split_last_chunk::<GCM_TAG>().ok_or(CipherError)?;
        let start = into.len();
        into.extend_from_slice(ciphertext);
        let payload = into.get_mut(start..).unwrap_or_default();
        let opened =
            self.0.decrypt_inout_detached(&nonce(seq), aad, payload.into(), &Tag::from(*tag));
        opened.map_err(|_| {
            into.truncate(start);
            CipherError
        })
    }
}

/// 4 zero bytes and the sequence number.
fn nonce(seq: u64) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&seq.to_be_bytes());
    nonce.into()
}
