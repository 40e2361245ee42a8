//! Sealed payloads: protected from device to device, and verified on their way by who cannot read them.
//!
//! `docs/envelope-format.md` has the format, the keys and the checks. Here is the library that seals,
//! verifies and opens: pure, so time and randomness are arguments.
//!
//! ```
//! use bastionmq::envelope::{
//!     Check, Key, KeyId, KeyMaterial, KeyRing, KeyState, Opener, Options, Sealer, TopicKey,
//! };
//! use bastionmq::topic::{TopicFilter, TopicNameRef};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = Key {
//!     id: KeyId([1; 8]),
//!     topics: vec![TopicFilter::parse("plant/#")?],
//!     state: KeyState::Active,
//!     created_ms: 0,
//!     not_after_ms: None,
//!     material: KeyMaterial::Topic(TopicKey::new([0x42; 32])), // 32 random bytes
//! };
//! let topic = TopicNameRef::parse("plant/7/temperature")?;
//! let now_ms = 1_790_000_000_000;
//!
//! // A device draws 16 random bytes when it starts, and seals.
//! let mut sealer = Sealer::new(&key, "sensor-7", [9; 16])?;
//! let envelope = sealer.seal(topic, now_ms, b"21.5", &Options::default())?;
//!
//! // Another one opens it, once.
//! let mut ring = KeyRing::default();
//! ring.insert(key);
//! let (mut opener, mut payload) = (Opener::default(), Vec::new());
//! let check = Check::new(topic, now_ms);
//! let opened = opener.open(&ring, &check, &envelope, &mut payload)?;
//! assert_eq!((opened.envelope.sender(), &*payload), ("sensor-7", &b"21.5"[..]));
//!
//! let again = opener.open(&ring, &check, &envelope, &mut payload);
//! assert_eq!(again.map_err(|refusal| refusal.name()).err(), Some("replayed"));
//! # Ok(())
//! # }
//! ```
//!
//! [`Verifier`] and [`Opener`] take the steps of the format one after the other. Who serves many
//! connections takes them itself, and locks the streams only where they are looked at; each sender may
//! have its share of them behind a lock of its own.
//!
//! ```
//! use std::sync::Mutex;
//!
//! use bastionmq::envelope::{Check, Claim, Envelope, KeyRing, Refusal, Streams, Verified};
//!
//! fn verify<'a>(
//!     streams: &Mutex<Streams>,
//!     ring: &KeyRing,
//!     check: &Check<'_>,
//!     bytes: &'a [u8],
//! ) -> Result<Verified<'a>, Refusal> {
//!     let lock = || streams.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
//!     let claim = Claim::of(Envelope::parse(bytes)?, ring, check)?;
//!     let cached = lock().keys_of(&claim);
//!     let authentic = claim.prove(cached, check)?;
//!     if authentic.depends_on_signature(check) {
//!         lock().look(&authentic)?;
//!     }
//!     let signed = authentic.signed(check)?;
//!     lock().accept(&authentic)?;
//!     Ok(Verified { envelope: *authentic.envelope(), receipt: authentic.receipt(), signed })
//! }
//! ```

mod cipher;
mod context;
mod image;
mod key;
mod keyring;
mod malformed;
mod open;
mod refusal;
mod seal;
mod signature;
mod stream_keys;
mod streams;
#[cfg(test)]
mod tests;
mod tlv;
mod verify;
mod window;
mod wire;

pub use image::{NotAnImage, StreamImage};
pub use key::{Key, KeyId, KeyMaterial, KeyState, NotAKeyId, TopicKey, VerifyKey};
pub use keyring::KeyRing;
pub use malformed::Malformed;
pub use open::Opener;
pub use refusal::{Receipt, Refusal};
pub use seal::{MAX_PAYLOAD, Options, SealError, Sealer};
pub use signature::{NotAKey, SenderKey, Signer};
pub use stream_keys::StreamKeys;
pub use streams::{Limits, Streams};
pub use tlv::{Tlv, Tlvs, tag};
pub use verify::{
    Authentic, Check, Claim, DEFAULT_MAX_AGE, DEFAULT_MAX_SKEW, Signed, Verified, Verifier,
};
pub use window::PLACES;
pub use wire::{Algorithm, Envelope, MAGIC, MAX_SENDER, Signature, Suite};
