//! Topic keys: what they are called, what they are for, and what may be done with them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hkdf::Hkdf;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::topic::{TopicFilter, TopicNameRef, matches};

/// What a topic key is called: 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 8]);

/// A text is no key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 16 lower-case hexadecimal digits")]
pub struct NotAKeyId;

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl FromStr for KeyId {
    type Err = NotAKeyId;

    fn from_str(text: &str) -> Result<Self, NotAKeyId> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != 16 || !digits {
            return Err(NotAKeyId);
        }
        u64::from_str_radix(text, 16).map(|id| Self(id.to_be_bytes())).map_err(|_| NotAKeyId)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// 32 secret bytes: shown by nothing, compared in constant time, wiped when the last clone is dropped.
/// Clones share them, so that a secret is in memory once.
#[derive(Clone)]
pub(super) struct KeyBytes(Arc<Zeroizing<[u8; 32]>>);

impl KeyBytes {
    fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// HKDF-SHA-256 (RFC 5869) of `secret` with an empty salt, for what `info` names.
    pub(super) fn derive(secret: &[u8; 32], info: &[&[u8]]) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        let derived =
            Hkdf::<Sha256>::new(None, secret).expand_multi_info(info, bytes.as_mut_slice());
        debug_assert!(derived.is_ok(), "32 bytes are less than 255 hashes");
        Self(Arc::new(bytes))
    }
}

impl PartialEq for KeyBytes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || bool::from(self.expose().ct_eq(other.expose()))
    }
}

/// The secret of a topic: who holds it seals, opens and verifies.
#[derive(Clone, PartialEq)]
pub struct TopicKey(KeyBytes);

impl TopicKey {
    /// Takes 32 random bytes; the caller keeps no copy.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(KeyBytes::new(bytes))
    }

    /// The bytes themselves, for whoever writes them into a ring or for a device.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// What verifies under this key and opens nothing (`mac_root`).
    #[must_use]
    pub fn verify_key(&self, id: KeyId) -> VerifyKey {
        VerifyKey(KeyBytes::derive(self.expose(), &[b"bmq1 mac", &id.0]))
    }

    /// What the keys of suite 1 are derived from (`enc_root`).
    pub(super) fn enc_root(&self, id: KeyId) -> KeyBytes {
        KeyBytes::derive(self.expose(), &[b"bmq1 enc", &id.0])
    }
}

impl Eq for TopicKey {}

impl fmt::Debug for TopicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TopicKey(..)")
    }
}

/// What verifies and opens nothing: `mac_root` of the format. It is a symmetric key, so who holds it
/// can also forge envelopes of suite 2.
#[derive(Clone, PartialEq)]
pub struct VerifyKey(KeyBytes);

impl VerifyKey {
    /// Takes 32 bytes that [`TopicKey::verify_key`] derived.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(KeyBytes::new(bytes))
    }

    /// The bytes themselves, for whoever writes them into a ring or for a verifier.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

impl Eq for VerifyKey {}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyKey(..)")
    }
}

/// As much of a key as its holder was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMaterial {
    /// All of it.
    Topic(TopicKey),
    /// What verifies.
    VerifyOnly(VerifyKey),
}

/// What may be done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Seals, opens and verifies.
    Active,
    /// Opens and verifies what was sealed earlier; seals nothing more.
    Retiring,
    /// Nothing: what names it is refused.
    Revoked,
}

/// A key, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it is called.
    pub id: KeyId,
    /// What it is for: envelopes on other topics are refused.
    pub topics: Vec<TopicFilter>,
    /// What may be done with it.
    pub state: KeyState,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// It seals nothing later than this, and what says it was sealed later is refused; in
    /// milliseconds since the Unix epoch.
    pub not_after_ms: Option<u64>,
    /// The key itself.
    pub material: KeyMaterial,
}

impl Key {
    /// Whether it is meant for `topic`.
    #[must_use]
    pub fn is_for(&self, topic: TopicNameRef<'_>) -> bool {
        let is_in = |filter: &TopicFilter| {
            is_in_branch(filter.as_str(), topic.as_str()) || matches(filter.borrowed(), topic)
        };
        self.topics.iter().any(is_in)
    }

    /// Whether it was still in use at that time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn was_valid_at(&self, time_ms: u64) -> bool {
        self.not_after_ms.is_none_or(|last| time_ms <= last)
    }

    /// Whether envelopes may be sealed with it at that time: it is active, whole, and not too old.
    #[must_use]
    pub fn seals_at(&self, now_ms: u64) -> bool {
        let whole = matches!(self.material, KeyMaterial::Topic(_));
        whole && self.state == KeyState::Active && self.was_valid_at(now_ms)
    }

    /// What verifies under it.
    #[must_use]
    pub fn verify_key(&self) -> VerifyKey {
        match &self.material {
            KeyMaterial::Topic(key) => key.verify_key(self.id),
            KeyMaterial::VerifyOnly(key) => key.clone(),
        }
    }
}

/// Most keys are for a branch, such as `plant/#`: that is told without looking at levels. A name holds no
/// wildcard, so what has more of them begins no name.
fn is_in_branch(filter: &str, topic: &str) -> bool {
    let rest = filter.strip_suffix("/#").and_then(|branch| topic.strip_prefix(branch));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_what_its_filters_match() {
        let topics = ["plant/#", "+/office/#", "exact", "$share/group/shared/#"];
        let key = Key {
            id: KeyId([1; 8]),
            topics: topics.map(|topic| TopicFilter::parse(topic).expect("a filter")).to_vec(),
            state: KeyState::Active,
            created_ms: 0,
            not_after_ms: None,
            material: KeyMaterial::Topic(TopicKey::new([7; 32])),
        };
        let is_for = |topic| key.is_for(TopicNameRef::parse(topic).expect("a topic"));
        for topic in ["plant", "plant/", "plant/7/x", "a/office", "a/office/b", "exact", "shared/x"]
        {
            assert!(is_for(topic), "{topic}");
        }
        for topic in ["plants", "plants/7", "plan", "office", "a/offices/b", "$a/office", "exact/x"]
        {
            assert!(!is_for(topic), "{topic}");
        }
    }

    #[test]
    fn a_key_id_is_written_as_it_is_read() {
        let id: KeyId = "00ff10203040506a".parse().expect("an id");
        assert_eq!(id.0, [0, 0xFF, 0x10, 0x20, 0x30, 0x40, 0x50, 0x6A]);
        assert_eq!(id.to_string(), "00ff10203040506a");
        let json = serde_json::to_string(&id).expect("written");
        assert_eq!(json, "\"00ff10203040506a\"");
        assert_eq!(serde_json::from_str::<KeyId>(&json).expect("read"), id);
    }

    #[test]
    fn signs_capitals_and_other_lengths_are_no_key_id() {
        for text in
            ["", "00ff10203040506", "00ff10203040506aa", "00FF10203040506A", "+0ff10203040506a"]
        {
            assert_eq!(text.parse::<KeyId>(), Err(NotAKeyId), "{text:?}");
        }
    }

    #[test]
    fn nothing_of_a_key_shows() {
        let key = TopicKey::new([0x5A; 32]);
        assert_eq!(format!("{key:?}"), "TopicKey(..)");
        assert_eq!(format!("{:?}", key.verify_key(KeyId([1; 8]))), "VerifyKey(..)");
    }

    #[test]
    fn each_id_has_roots_of_its_own() {
        let key = TopicKey::new([7; 32]);
        assert_ne!(key.verify_key(KeyId([1; 8])), key.verify_key(KeyId([2; 8])));
        assert!(key.verify_key(KeyId([1; 8])).0 != key.enc_root(KeyId([1; 8])));
    }
}
