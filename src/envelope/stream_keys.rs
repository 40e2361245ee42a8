//! The keys of one stream, derived once: what makes and checks its tags, and what encrypts.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::cipher::Cipher;
use super::context::Context;
use super::key::KeyBytes;
use super::{Envelope, Key, KeyMaterial};

/// What the keys of a stream are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To check tags.
    Verify,
    /// To open too, or to seal.
    Open,
}

/// The keys of one stream of one sender.
pub struct StreamKeys {
    /// What they were derived from.
    material: KeyMaterial,
    /// Keyed already: a message starts from a copy.
    mac: Hmac<Sha256>,
    /// `None` where they only verify.
    cipher: Option<Cipher>,
}

impl StreamKeys {
    pub(super) fn derive(key: &Key, sender: &str, stream: &[u8; 16], purpose: Purpose) -> Self {
        // A sender has at most 128 bytes.
        let length = [u8::try_from(sender.len()).unwrap_or(u8::MAX)];
        let info: [&[u8]; 3] = [&length, sender.as_bytes(), stream];
        let mac_key = KeyBytes::derive(key.verify_key().expose(), &info);
        let cipher = match (&key.material, purpose) {
            (KeyMaterial::Topic(topic_key), Purpose::Open) => {
                let root = topic_key.enc_root(key.id);
                Some(Cipher::new(&KeyBytes::derive(root.expose(), &info)))
            }
            _ => None,
        };
        Self { material: key.material.clone(), mac: keyed(&mac_key), cipher }
    }

    /// Whether they are those of `key` and serve `purpose`: a ring may be replaced while they are kept.
    pub(super) fn are_of(&self, key: &Key, purpose: Purpose) -> bool {
        let whole = matches!(key.material, KeyMaterial::Topic(_));
        let suffice = purpose == Purpose::Verify || self.cipher.is_some() || !whole;
        suffice && self.material == key.material
    }

    /// The HMAC over the context and `bytes`.
    pub(super) fn tag(&self, context: Context<'_>, bytes: &[u8]) -> [u8; 32] {
        self.mac_over(context, bytes).finalize().into_bytes().into()
    }

    /// Whether the HMAC of `envelope` is right, compared in constant time.
    pub(super) fn made(&self, envelope: &Envelope<'_>, context: Context<'_>) -> bool {
        self.mac_over(context, envelope.before_tag()).verify(envelope.tag().into()).is_ok()
    }

    fn mac_over(&self, context: Context<'_>, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(context.head());
        mac.update(context.topic());
        mac.update(bytes);
        mac
    }

    /// What encrypts and decrypts; `None` where they only verify.
    pub(super) fn cipher(&self) -> Option<&Cipher> {
        self.cipher.as_ref()
    }
}

/// A key shorter than a block is filled up with zeros (RFC 2104).
fn keyed(mac_key: &KeyBytes) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(mac_key.expose());
    Hmac::new((&*block).into())
}

impl fmt::Debug for StreamKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKeys(..)")
    }
}
