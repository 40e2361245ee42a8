//! A key that is wrapped for one device: JSON that anybody may carry, and that device alone opens.
//!
//! `docs/envelope-keys.md` is the format, for whoever unwraps it in another language.

use std::fmt;

use base64ct::{Base64, Encoding};
use rustls_pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::device_key::Recipient;
use super::hexadecimal;
use super::key_document::{Extent, IsVerifyOnly, NotAKey, parse_topics};
use super::wrapping::{self, Algorithm, Wrapped};
use crate::envelope::{Key, KeyId, KeyMaterial, KeyState, TopicKey, VerifyKey};
use crate::topic::TopicFilter;

/// Bytes of the largest one: room for some hundred topics.
pub const MAX_WRAPPED_BYTES: usize = 64 << 10;
const VERSION: u8 = 1;
/// What the binding begins with, so that nothing else is taken for it.
const BINDING: &[u8] = b"bmq1 wrap";

/// A key that is wrapped for one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedKey {
    /// Of this format.
    wrapped_key: u8,
    /// The name of its principal.
    device: String,
    key_id: KeyId,
    topics: Vec<String>,
    holds: Holds,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_after_ms: Option<u64>,
    algorithm: Algorithm,
    /// SHA-256 over the SubjectPublicKeyInfo of the device, in hexadecimal digits.
    recipient: String,
    /// `enc` of HPKE.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    encapsulated: String,
    ciphertext: String,
}

/// Which of the two keys it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Holds {
    TopicKey,
    MacRoot,
}

/// Why a key is not wrapped.
#[derive(Debug, Error)]
pub enum WrapError {
    /// It is asked for more than there is.
    #[error(transparent)]
    VerifyOnly(#[from] IsVerifyOnly),
    /// Nobody is to use it.
    #[error("key {0} is revoked")]
    Revoked(KeyId),
    /// The name of the device is empty, or too long.
    #[error("a device has a name of 1 to 65,535 bytes")]
    Device,
    /// It would be larger than [`MAX_WRAPPED_BYTES`].
    #[error("key {0} is for too many topics to be wrapped")]
    TooLarge(KeyId),
    /// The public key is none.
    #[error("the public key of the device is faulty")]
    PublicKey,
}

/// Why a text is no wrapped key.
#[derive(Debug, Error)]
pub enum NotWrapped {
    /// It is larger than [`MAX_WRAPPED_BYTES`].
    #[error("it is too large for a wrapped key")]
    TooLarge,
    /// It is not the JSON of one.
    #[error("it is no wrapped key: {0}")]
    Json(#[from] serde_json::Error),
    /// A later BastionMQ has written it.
    #[error("it is of version {0} of the format; this is version {VERSION}")]
    Version(u8),
    /// What it is for is faulty.
    #[error(transparent)]
    Key(#[from] NotAKey),
    /// Bytes are not base64.
    #[error("its ciphertext is not base64")]
    Base64,
}

/// Why a wrapped key does not open.
#[derive(Debug, Error)]
pub enum UnwrapError {
    /// It is none.
    #[error(transparent)]
    NotWrapped(#[from] NotWrapped),
    /// The private key is of another kind.
    #[error("it is wrapped for a key of the kind {0}, and this private key is of another")]
    OtherKind(&'static str),
    /// It was made for another key, or changed.
    #[error("it was wrapped for another key than this one, or has been changed")]
    NotForThis,
}

impl WrappedKey {
    /// Wraps `key` for `device`, the name of a principal, whose public key is `recipient`.
    ///
    /// # Errors
    /// When the key is revoked or not all there, or cannot be wrapped for this device.
    pub fn wrap(
        key: &Key,
        extent: Extent,
        device: &str,
        recipient: &Recipient,
    ) -> Result<Self, WrapError> {
        if key.state == KeyState::Revoked {
            return Err(WrapError::Revoked(key.id));
        }
        let (holds, secret) = match (extent, &key.material) {
            (Extent::VerifyOnly, _) => (Holds::MacRoot, Zeroizing::new(*key.verify_key().expose())),
            (_, KeyMaterial::Topic(key)) => (Holds::TopicKey, Zeroizing::new(*key.expose())),
            (Extent::Whole, KeyMaterial::VerifyOnly(_)) => Err(IsVerifyOnly(key.id))?,
        };
        let mut this = Self {
            wrapped_key: VERSION,
            device: device.to_owned(),
            key_id: key.id,
            topics: key.topics.iter().map(|filter| filter.as_str().to_owned()).collect(),
            holds,
            not_after_ms: key.not_after_ms,
            algorithm: Algorithm::RsaOaepSha256,
            recipient: hexadecimal::encode(&recipient.fingerprint).to_string(),
            encapsulated: String::new(),
            ciphertext: String::new(),
        };
        if device.is_empty() || u16::try_from(device.len()).is_err() {
            return Err(WrapError::Device);
        }
        let binding = this.binding().ok_or(WrapError::TooLarge(key.id))?;
        let wrapped =
            wrapping::wrap(&recipient.key, &binding, &secret).ok_or(WrapError::PublicKey)?;
        this.algorithm = wrapped.algorithm;
        this.encapsulated = Base64::encode_string(&wrapped.encapsulated);
        this.ciphertext = Base64::encode_string(&wrapped.ciphertext);
        // A file of it ends with a line end.
        if this.to_string().len() >= MAX_WRAPPED_BYTES {
            return Err(WrapError::TooLarge(key.id));
        }
        Ok(this)
    }

    /// Reads what [`fmt::Display`] writes.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(text: &[u8]) -> Result<Self, NotWrapped> {
        if text.len() > MAX_WRAPPED_BYTES {
            return Err(NotWrapped::TooLarge);
        }
        let this: Self = serde_json::from_slice(text)?;
        if this.wrapped_key != VERSION {
            return Err(NotWrapped::Version(this.wrapped_key));
        }
        this.filters()?;
        this.wrapped()?;
        Ok(this)
    }

    /// Unwraps it by the private key of the device. `now_ms` is when the key was made as far as its
    /// holder is concerned.
    ///
    /// # Errors
    /// When it was wrapped for another key, or changed.
    pub fn unwrap(&self, private: &PrivateKeyDer<'_>, now_ms: u64) -> Result<Key, UnwrapError> {
        let wrapped = self.wrapped()?;
        let other = |_| UnwrapError::OtherKind(self.algorithm.key_kind());
        let binding = self.binding().ok_or(UnwrapError::NotForThis)?;
        let secret = wrapping::unwrap(&wrapped, private, &binding).map_err(other)?;
        let secret = secret.ok_or(UnwrapError::NotForThis)?;
        Ok(Key {
            id: self.key_id,
            topics: self.filters()?,
            state: KeyState::Active,
            created_ms: now_ms,
            not_after_ms: self.not_after_ms,
            material: match self.holds {
                Holds::TopicKey => KeyMaterial::Topic(TopicKey::new(*secret)),
                Holds::MacRoot => KeyMaterial::VerifyOnly(VerifyKey::new(*secret)),
            },
        })
    }

    /// The name of the principal that it is for.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The key that is wrapped.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    fn filters(&self) -> Result<Vec<TopicFilter>, NotWrapped> {
        Ok(parse_topics(self.key_id, &self.topics)?)
    }

    fn wrapped(&self) -> Result<Wrapped, NotWrapped> {
        let decode = |text: &str| Base64::decode_vec(text).map_err(|_| NotWrapped::Base64);
        Ok(Wrapped {
            algorithm: self.algorithm,
            encapsulated: decode(&self.encapsulated)?,
            ciphertext: decode(&self.ciphertext)?,
        })
    }

    /// Everything that is said of the key: it does not unwrap when any of it is changed.
    fn binding(&self) -> Option<Vec<u8>> {
        let holds = match self.holds {
            Holds::TopicKey => 1,
            Holds::MacRoot => 2,
        };
        let mut bytes = BINDING.to_vec();
        bytes.extend(self.key_id.0);
        bytes.push(holds);
        bytes.extend(self.not_after_ms.unwrap_or(0).to_be_bytes());
        extend_counted(&mut bytes, &self.device)?;
        bytes.extend(u16::try_from(self.topics.len()).ok()?.to_be_bytes());
        self.topics.iter().try_for_each(|topic| extend_counted(&mut bytes, topic))?;
        Some(bytes)
    }
}

fn extend_counted(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    bytes.extend(u16::try_from(text.len()).ok()?.to_be_bytes());
    bytes.extend(text.as_bytes());
    Some(())
}

/// One line of JSON.
impl fmt::Display for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::agreement;
    use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin, PublicKeyX509Der};
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
        PKCS_RSA_SHA256, SignatureAlgorithm,
    };
    use rustls_pki_types::PrivatePkcs8KeyDer;

    use super::*;
    use crate::keys::Unsuitable;

    struct Device {
        recipient: Recipient,
        private: PrivateKeyDer<'static>,
    }

    fn certificate(kind: &'static SignatureAlgorithm) -> (Vec<u8>, PrivateKeyDer<'static>) {
        let pair = KeyPair::generate_for(kind).unwrap();
        let certificate = CertificateParams::default().self_signed(&pair).unwrap();
        let private = PrivatePkcs8KeyDer::from(pair.serialize_der()).into();
        (certificate.der().to_vec(), private)
    }

    fn device(kind: &'static SignatureAlgorithm) -> Device {
        let (certificate, private) = certificate(kind);
        Device { recipient: Recipient::of_certificate(&certificate).unwrap(), private }
    }

    /// As RFC 8410 writes it, which nothing at hand does.
    fn x25519() -> Device {
        let key = agreement::PrivateKey::generate(&agreement::X25519).unwrap();
        let seed: Curve25519SeedBin<'_> = key.as_be_bytes().unwrap();
        let header = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20];
        let private = PrivatePkcs8KeyDer::from([&header, seed.as_ref()].concat()).into();
        let public: PublicKeyX509Der<'_> = key.compute_public_key().unwrap().as_der().unwrap();
        Device { recipient: Recipient::of_public_key(public.as_ref()).unwrap(), private }
    }

    fn devices() -> [Device; 4] {
        let [rsa, p256, ed25519] =
            [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ED25519].map(device);
        [rsa, p256, ed25519, x25519()]
    }

    fn key() -> Key {
        let topics = ["plant/#", "a/+"].map(|text| TopicFilter::parse(text).unwrap());
        Key {
            id: KeyId([0xa1; 8]),
            topics: topics.to_vec(),
            state: KeyState::Active,
            created_ms: 5,
            not_after_ms: Some(9),
            material: KeyMaterial::Topic(TopicKey::new([7; 32])),
        }
    }

    fn wrap(extent: Extent, device: &Device) -> WrappedKey {
        WrappedKey::wrap(&key(), extent, "sensor-7", &device.recipient).unwrap()
    }

    #[test]
    fn a_key_is_unwrapped_by_its_device_whatever_kind_of_key_that_has() {
        for device in devices() {
            let wrapped = wrap(Extent::Whole, &device);
            let read = WrappedKey::parse(wrapped.to_string().as_bytes()).unwrap();
            assert_eq!(read, wrapped);
            assert_eq!(read.unwrap(&device.private, 5).unwrap(), key(), "{:?}", read.algorithm);
            assert_ne!(wrap(Extent::Whole, &device), wrapped, "it is wrapped anew each time");
        }
    }

    #[test]
    fn of_a_verify_only_key_nothing_else_is_wrapped() {
        let device = device(&PKCS_ECDSA_P256_SHA256);
        let wrapped = wrap(Extent::VerifyOnly, &device);
        let material = KeyMaterial::VerifyOnly(key().verify_key());
        let less = wrapped.unwrap(&device.private, 5).unwrap();
        assert_eq!(less, Key { material, ..key() });
        let again = WrappedKey::wrap(&less, Extent::VerifyOnly, "x", &device.recipient).unwrap();
        assert_eq!(again.unwrap(&device.private, 5).unwrap(), less);
        let whole = WrappedKey::wrap(&less, Extent::Whole, "x", &device.recipient);
        assert!(matches!(whole, Err(WrapError::VerifyOnly(_))));
    }

    #[test]
    fn nobody_else_unwraps_it() {
        let theirs = devices();
        for (mine, other) in devices().iter().zip(&theirs) {
            let refused = wrap(Extent::Whole, mine).unwrap(&other.private, 0).unwrap_err();
            assert!(matches!(refused, UnwrapError::NotForThis), "{refused}");
        }
        let [rsa, p256, ..] = &theirs;
        for (mine, other) in [(rsa, p256), (p256, rsa)] {
            let refused = wrap(Extent::Whole, mine).unwrap(&other.private, 0).unwrap_err();
            assert!(matches!(refused, UnwrapError::OtherKind(_)), "{refused}");
        }
    }

    #[test]
    fn nothing_that_is_said_of_it_can_be_changed() {
        for device in devices() {
            let wrapped = wrap(Extent::Whole, &device);
            let good = || wrapped.clone();
            for changed in [
                WrappedKey { device: "sensor-8".to_owned(), ..good() },
                WrappedKey { key_id: KeyId([0xa2; 8]), ..good() },
                WrappedKey { topics: vec!["plant/#".to_owned()], ..good() },
                WrappedKey { topics: vec!["a/+".to_owned(), "plant/#".to_owned()], ..good() },
                WrappedKey { holds: Holds::MacRoot, ..good() },
                WrappedKey { not_after_ms: None, ..good() },
                WrappedKey { ciphertext: Base64::encode_string(&[1; 48]), ..good() },
                WrappedKey { ciphertext: String::new(), ..good() },
            ] {
                let opened = changed.unwrap(&device.private, 0);
                assert!(matches!(opened, Err(UnwrapError::NotForThis)), "{changed}");
            }
        }
    }

    #[test]
    fn what_cannot_be_wrapped_is_refused_with_the_reason() {
        let Device { recipient, .. } = device(&PKCS_ECDSA_P256_SHA256);
        let wrap = |key: &Key, name: &str| WrappedKey::wrap(key, Extent::Whole, name, &recipient);
        let revoked = Key { state: KeyState::Revoked, ..key() };
        assert!(matches!(wrap(&revoked, "x"), Err(WrapError::Revoked(_))));
        for name in ["", &"x".repeat(65_536)] {
            assert!(matches!(wrap(&key(), name), Err(WrapError::Device)));
        }
        let filter = TopicFilter::parse(&"x".repeat(60_000)).unwrap();
        let wide = Key { topics: vec![filter.clone(), filter], ..key() };
        assert!(matches!(wrap(&wide, "x"), Err(WrapError::TooLarge(_))));
        let (certificate, _) = certificate(&PKCS_ECDSA_P384_SHA384);
        assert_eq!(Recipient::of_certificate(&certificate).unwrap_err(), Unsuitable::Kind);
        for der in [&certificate[..50], b""] {
            assert_eq!(Recipient::of_certificate(der).unwrap_err(), Unsuitable::Unreadable);
            assert_eq!(Recipient::of_public_key(der).unwrap_err(), Unsuitable::Unreadable);
        }
    }

    #[test]
    fn a_text_that_is_no_wrapped_key_says_why() {
        let good = wrap(Extent::Whole, &device(&PKCS_ECDSA_P256_SHA256)).to_string();
        for (from, to, why) in [
            ("\"wrapped_key\":1", "\"wrapped_key\":2", "version 2"),
            ("plant/#", "plant/#/x", "no topic filter"),
            ("\"ciphertext\":\"", "\"ciphertext\":\"!", "base64"),
            ("hpke-p256", "hpke-p999", "no wrapped key"),
            ("\"device\"", "\"devise\"", "no wrapped key"),
        ] {
            let refused = WrappedKey::parse(good.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(refused.to_string().contains(why), "{refused}");
        }
    }
}
