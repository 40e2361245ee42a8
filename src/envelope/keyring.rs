//! The keys that somebody holds, by their ids.

use std::collections::BTreeMap;

use super::{Key, KeyId, KeyState, Refusal};
use crate::topic::{TopicName, TopicNameRef};

/// Topic keys by their ids. Where it is kept is the business of whoever holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing {
    keys: BTreeMap<KeyId, Key>,
}

impl KeyRing {
    /// Adds a key; returns the one of the same id that it takes the place of.
    pub fn insert(&mut self, key: Key) -> Option<Key> {
        self.keys.insert(key.id, key)
    }

    /// Takes a key out.
    pub fn remove(&mut self, id: KeyId) -> Option<Key> {
        self.keys.remove(&id)
    }

    /// The key of that id.
    #[must_use]
    pub fn get(&self, id: KeyId) -> Option<&Key> {
        self.keys.get(&id)
    }

    /// The key of that id, to be changed. Its `id` stays as it is.
    pub fn get_mut(&mut self, id: KeyId) -> Option<&mut Key> {
        self.keys.get_mut(&id)
    }

    /// All of them, by id.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What to seal with on `topic`: of the keys that may, the newest, so that a rotation takes
    /// effect as soon as the new key is there.
    #[must_use]
    pub fn sealing_key_for(&self, topic: &TopicName, now_ms: u64) -> Option<&Key> {
        let may = |key: &&Key| key.seals_at(now_ms) && key.is_for(topic.borrowed());
        self.keys().filter(may).max_by_key(|key| (key.created_ms, key.id))
    }

    /// What an envelope on `topic` that names `id` is verified with: step 2 of the format.
    ///
    /// # Errors
    /// `unknown_key`, `wrong_topic`, `revoked_key`.
    pub fn verifying_key(&self, id: KeyId, topic: TopicNameRef<'_>) -> Result<&Key, Refusal> {
        let key = self.get(id).ok_or(Refusal::UnknownKey(id))?;
        if !key.is_for(topic) {
            return Err(Refusal::WrongTopic(id));
        }
        if key.state == KeyState::Revoked {
            return Err(Refusal::RevokedKey(id));
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{KeyMaterial, TopicKey};
    use crate::topic::TopicFilter;

    fn key(id: u8, topics: &str, created_ms: u64) -> Key {
        Key {
            id: KeyId([id; 8]),
            topics: vec![TopicFilter::parse(topics).expect("a filter")],
            state: KeyState::Active,
            created_ms,
            not_after_ms: None,
            material: KeyMaterial::Topic(TopicKey::new([id; 32])),
        }
    }

    fn ring(keys: impl IntoIterator<Item = Key>) -> KeyRing {
        let mut ring = KeyRing::default();
        keys.into_iter().for_each(|key| assert_eq!(ring.insert(key), None));
        ring
    }

    fn sealing(ring: &KeyRing, topic: &str, now_ms: u64) -> Option<KeyId> {
        let topic = TopicName::parse(topic).expect("a topic");
        ring.sealing_key_for(&topic, now_ms).map(|key| key.id)
    }

    #[test]
    fn the_newest_key_of_a_topic_seals() {
        let ring = ring([key(1, "plant/#", 10), key(2, "plant/7/#", 20), key(3, "other/#", 30)]);
        assert_eq!(sealing(&ring, "plant/7/x", 100), Some(KeyId([2; 8])));
        assert_eq!(sealing(&ring, "plant/8/x", 100), Some(KeyId([1; 8])));
        assert_eq!(sealing(&ring, "office", 100), None);
    }

    #[test]
    fn what_is_retiring_revoked_outdated_or_not_whole_seals_nothing() {
        for state in [KeyState::Retiring, KeyState::Revoked] {
            assert_eq!(sealing(&ring([Key { state, ..key(1, "#", 0) }]), "a", 1), None);
        }
        let outdated = ring([Key { not_after_ms: Some(5), ..key(1, "#", 0) }]);
        assert_eq!(sealing(&outdated, "a", 5), Some(KeyId([1; 8])));
        assert_eq!(sealing(&outdated, "a", 6), None);
        let whole = key(1, "#", 0);
        let material = KeyMaterial::VerifyOnly(whole.verify_key());
        assert_eq!(sealing(&ring([Key { material, ..whole }]), "a", 1), None);
    }

    #[test]
    fn a_key_is_known_then_meant_for_the_topic_then_in_force() {
        let revoked = Key { state: KeyState::Revoked, ..key(2, "plant/#", 0) };
        let retiring = Key { state: KeyState::Retiring, ..key(3, "plant/#", 0) };
        let ring = ring([revoked, retiring]);
        let judge = |id, topic| {
            let topic = TopicNameRef::parse(topic).expect("a topic");
            ring.verifying_key(KeyId([id; 8]), topic)
                .map(|key| key.id.0[0])
                .map_err(|why| why.name())
        };
        assert_eq!(judge(1, "plant/1"), Err("unknown_key"));
        assert_eq!(judge(2, "office"), Err("wrong_topic"));
        assert_eq!(judge(2, "plant/1"), Err("revoked_key"));
        assert_eq!(judge(3, "plant/1"), Ok(3));
    }
}
