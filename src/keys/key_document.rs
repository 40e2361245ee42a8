//! One key as JSON: what is exported and imported, and what a ring consists of.
//!
//! ```json
//! {"key_id":"00112233445566aa","topics":["plant/#"],"topic_key":"…64 hexadecimal digits…"}
//! ```
//!
//! A verify-only key has `mac_root` in the place of `topic_key`. `state` is `active` where it is left
//! out; `created_ms` and `not_after_ms` are milliseconds since the Unix epoch.

use std::fmt;
use std::io;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

use super::hexadecimal;
use crate::envelope::{Key, KeyId, KeyMaterial, KeyState, TopicKey, VerifyKey};
use crate::secret::Secret;
use crate::topic::TopicFilter;

/// How much of a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it: who reads it seals, opens and verifies.
    Whole,
    /// What verifies.
    VerifyOnly,
}

/// Why a text is no key. Shows nothing of it.
#[derive(Debug, Error)]
pub enum NotAKey {
    /// It is not the JSON of a key.
    #[error("it is no exported key: {0}")]
    Json(serde_json::Error),
    /// It is none of the two keys, or both.
    #[error("key {0} has to have either a `topic_key` or a `mac_root`")]
    Material(KeyId),
    /// It is for no topic.
    #[error("key {0} is for no topic")]
    NoTopic(KeyId),
    /// A topic filter is none.
    #[error("key {id} is for {filter:?}, which is no topic filter: {reason}")]
    Topic {
        /// The key.
        id: KeyId,
        /// What is written.
        filter: String,
        /// Why it is none.
        reason: crate::topic::TopicError,
    },
    /// A filter of a shared subscription: nothing is published to it.
    #[error("key {id} is for {filter:?}, a shared subscription: name the topics themselves")]
    Shared {
        /// The key.
        id: KeyId,
        /// What is written.
        filter: String,
    },
}

/// A key that verifies and does nothing else was asked for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("key {0} is verify-only here: the topic key is not known")]
pub struct IsVerifyOnly(pub KeyId);

/// A key as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyDocument {
    key_id: KeyId,
    topics: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic_key: Option<KeyText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac_root: Option<KeyText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<KeyState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_after_ms: Option<u64>,
}

/// A key in hexadecimal digits.
struct KeyText(Zeroizing<[u8; 32]>);

impl KeyDocument {
    /// All that is known of the key.
    pub(super) fn of(key: &Key) -> Self {
        let (topic_key, mac_root) = match &key.material {
            KeyMaterial::Topic(key) => (Some(KeyText::of(key.expose())), None),
            KeyMaterial::VerifyOnly(key) => (None, Some(KeyText::of(key.expose()))),
        };
        Self {
            key_id: key.id,
            topics: key.topics.iter().map(|filter| filter.as_str().to_owned()).collect(),
            topic_key,
            mac_root,
            state: (key.state != KeyState::Active).then_some(key.state),
            created_ms: Some(key.created_ms),
            not_after_ms: key.not_after_ms,
        }
    }

    /// The key; one that does not say when it was made was made `now_ms`.
    pub(super) fn into_key(self, now_ms: u64) -> Result<Key, NotAKey> {
        let id = self.key_id;
        let material = match (self.topic_key, self.mac_root) {
            (Some(KeyText(bytes)), None) => KeyMaterial::Topic(TopicKey::new(*bytes)),
            (None, Some(KeyText(bytes))) => KeyMaterial::VerifyOnly(VerifyKey::new(*bytes)),
            _ => return Err(NotAKey::Material(id)),
        };
        Ok(Key {
            id,
            topics: parse_topics(id, &self.topics)?,
            state: self.state.unwrap_or(KeyState::Active),
            created_ms: self.created_ms.unwrap_or(now_ms),
            not_after_ms: self.not_after_ms,
            material,
        })
    }
}

/// The filters that a key is for; at least one.
///
/// # Errors
/// That there is none, or which one is no filter of topics.
pub fn parse_topics(id: KeyId, topics: &[String]) -> Result<Vec<TopicFilter>, NotAKey> {
    if topics.is_empty() {
        return Err(NotAKey::NoTopic(id));
    }
    topics.iter().map(|text| parse_topic(id, text)).collect()
}

fn parse_topic(id: KeyId, text: &str) -> Result<TopicFilter, NotAKey> {
    let filter = TopicFilter::parse(text).map_err(|reason| NotAKey::Topic {
        id,
        filter: text.to_owned(),
        reason,
    })?;
    match filter.borrowed().share() {
        None => Ok(filter),
        Some(_) => Err(NotAKey::Shared { id, filter: text.to_owned() }),
    }
}

/// The key as one line of JSON, for somebody else's ring: without the time when this one got it.
///
/// # Errors
/// When all of a verify-only key is asked for.
pub fn export(key: &Key, extent: Extent) -> Result<Secret, IsVerifyOnly> {
    let material = match (extent, &key.material) {
        (Extent::Whole, KeyMaterial::VerifyOnly(_)) => return Err(IsVerifyOnly(key.id)),
        (Extent::Whole, whole) => whole.clone(),
        (Extent::VerifyOnly, _) => KeyMaterial::VerifyOnly(key.verify_key()),
    };
    let document = KeyDocument::of(&Key { material, ..key.clone() });
    Ok(to_json(&KeyDocument { created_ms: None, ..document }))
}

/// Reads exported keys: one JSON object behind the other.
///
/// # Errors
/// When one of them is none.
pub fn import(text: &[u8], now_ms: u64) -> Result<Vec<Key>, NotAKey> {
    let documents = serde_json::Deserializer::from_slice(text).into_iter::<KeyDocument>();
    documents.map(|document| document.map_err(NotAKey::Json)?.into_key(now_ms)).collect()
}

/// Writes JSON that holds secrets.
pub(super) fn to_json(document: &impl Serialize) -> Secret {
    let mut length = Length(0);
    // Neither counting nor writing to memory fails, and a document has no maps.
    let _ = serde_json::to_writer(&mut length, document);
    // Room for all of it: a buffer that grows leaves copies behind.
    let mut json = Vec::with_capacity(length.0);
    let _ = serde_json::to_writer(&mut json, document);
    Secret::new(json)
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl KeyText {
    fn of(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }
}

impl Serialize for KeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hexadecimal::encode(self.0.as_slice()))
    }
}

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyTextVisitor)
    }
}

struct KeyTextVisitor;

impl Visitor<'_> for KeyTextVisitor {
    type Value = KeyText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of 64 hexadecimal digits")
    }

    /// The usual error would show the text.
    fn visit_str<E: de::Error>(self, text: &str) -> Result<KeyText, E> {
        let bytes = hexadecimal::decode(text);
        bytes.map(KeyText).ok_or_else(|| E::custom("a key is 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"key_id":"00112233445566aa","topics":["plant/#","a/+"],"topic_key":"0101010101010101010101010101010101010101010101010101010101010101"}"#;

    fn one(text: &str) -> Result<Key, NotAKey> {
        import(text.as_bytes(), 7).map(|mut keys| keys.remove(0))
    }

    fn exported(key: &Key, extent: Extent) -> String {
        String::from_utf8(export(key, extent).unwrap().expose().to_vec()).unwrap()
    }

    #[test]
    fn an_exported_key_is_imported_as_it_was() {
        let key = one(WHOLE).unwrap();
        assert_eq!((key.state, key.created_ms, key.not_after_ms), (KeyState::Active, 7, None));
        assert_eq!(exported(&key, Extent::Whole), WHOLE);
        let key = Key { state: KeyState::Retiring, not_after_ms: Some(9), ..key };
        assert_eq!(one(&exported(&key, Extent::Whole)).unwrap(), key);
    }

    #[test]
    fn a_verify_only_export_has_the_mac_root_alone() {
        let key = one(WHOLE).unwrap();
        let text = exported(&key, Extent::VerifyOnly);
        assert!(text.contains("\"mac_root\"") && !text.contains("topic_key"), "{text}");
        let less = one(&text).unwrap();
        assert_eq!(less.material, KeyMaterial::VerifyOnly(key.verify_key()));
        assert_eq!(exported(&less, Extent::VerifyOnly), text);
        assert_eq!(export(&less, Extent::Whole).unwrap_err(), IsVerifyOnly(key.id));
    }

    #[test]
    fn several_keys_stand_behind_each_other() {
        let two = format!("{WHOLE}\n{}\n", WHOLE.replace("66aa", "66ab"));
        assert_eq!(import(two.as_bytes(), 0).unwrap().len(), 2);
        assert!(import(b" \n", 0).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_and_no_key_is_shown() {
        let canary = "01".repeat(32);
        for (from, to) in [
            ("\"topic_key\"", "\"key\""),
            ("00112233445566aa", "0011"),
            ("plant/#", "plant/#/x"),
            ("plant/#", "$share/g/x"),
            ("[\"plant/#\",\"a/+\"]", "[]"),
            ("0101010101", "0101"),
            ("\"topics\"", "\"mac_root\":\"\",\"topics\""),
            ("}", ""),
            ("}", ",\"state\":\"new\"}"),
        ] {
            let refused = one(&WHOLE.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(!refused.contains(&canary[..20]), "{refused}");
        }
        let both = WHOLE.replace("}", &format!(",\"mac_root\":\"{canary}\"}}"));
        assert!(matches!(one(&both), Err(NotAKey::Material(_))));
    }
}
