//! Whose password has been verified lately, so that the next login with the same one need not be
//! hashed: a fleet that comes back at once is let in at once. Kept are MACs alone, which nobody can
//! guess passwords by who has not got the key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use zeroize::Zeroizing;

use super::installation_key::{CredentialMac, INSTALLATION_KEY_BYTES, InstallationKey};
use super::user_name::{MAX_USER_NAME_BYTES, check_user_name};

/// Users that are remembered at once; more than a password file can hold of them.
const MAX_ENTRIES: usize = 1_000_000;
/// Bytes of one entry beside the name: its length, the end and the MAC.
const MAX_ENTRY_BYTES: usize = 1 + MAX_USER_NAME_BYTES + 8 + 32;

/// Bytes of the largest cache, written.
pub const MAX_CREDENTIAL_CACHE_BYTES: usize =
    INSTALLATION_KEY_BYTES + MAX_ENTRIES * MAX_ENTRY_BYTES;

/// One entry for each user that has been verified.
#[derive(Debug)]
pub struct CredentialCache {
    lifetime: Duration,
    entries: BTreeMap<Arc<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    mac: CredentialMac,
    /// Seconds since the Unix epoch.
    until: u64,
}

/// What was written is not a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("what it holds is no cache of verified credentials")]
pub struct BrokenCache;

impl CredentialCache {
    /// An empty one; entries are kept for `lifetime`, or not at all where that is 0.
    #[must_use]
    pub fn new(lifetime: Duration) -> Self {
        Self { lifetime, entries: BTreeMap::new() }
    }

    /// Whether `user` was verified with what `mac` is of, and that still counts; `now` is since the
    /// Unix epoch. Takes as long for a user that is not here.
    #[must_use]
    pub fn holds(&self, now: Duration, user: &str, mac: &CredentialMac) -> bool {
        let nobody = CredentialMac(Zeroizing::new([0; 32]));
        let entry = self.entries.get(user);
        let is_same = entry.map_or(&nobody, |entry| &entry.mac) == mac;
        is_same && entry.is_some_and(|entry| self.is_valid(entry, now))
    }

    /// Neither at its end, nor from a future that a clock has since been set back from.
    fn is_valid(&self, entry: &Entry, now: Duration) -> bool {
        let now = now.as_secs();
        entry.until > now && entry.until <= now.saturating_add(self.lifetime.as_secs())
    }

    /// Remembers that `user` was verified, in the place of what was remembered of it.
    pub fn insert(&mut self, now: Duration, user: &Arc<str>, mac: CredentialMac) {
        if self.lifetime.is_zero() {
            return;
        }
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(user) {
            self.expire(now);
        }
        if self.entries.len() < MAX_ENTRIES || self.entries.contains_key(user) {
            let until = now.saturating_add(self.lifetime).as_secs();
            self.entries.insert(Arc::clone(user), Entry { mac, until });
        }
    }

    /// Forgets every user that `is_meant`.
    pub fn forget_if(&mut self, is_meant: impl Fn(&str) -> bool) {
        self.entries.retain(|user, _| !is_meant(user));
    }

    /// Forgets what has come to its end.
    pub fn expire(&mut self, now: Duration) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|_, entry| self.is_valid(entry, now));
        self.entries = entries;
    }

    /// How many users are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The key and all entries, to be sealed:
    ///
    /// ```text
    /// 32  installation key
    /// and for each user: 1 its length, its name, 8 the end in Unix seconds, 32 the MAC
    /// ```
    ///
    /// Numbers are big-endian.
    #[must_use]
    pub fn write(&self, key: &InstallationKey) -> Zeroizing<Vec<u8>> {
        // Room for all of it: a buffer that grows leaves copies behind.
        let of_entry = |user: &Arc<str>| user.len() + MAX_ENTRY_BYTES - MAX_USER_NAME_BYTES;
        let room = self.entries.keys().map(of_entry).sum::<usize>() + INSTALLATION_KEY_BYTES;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        bytes.extend_from_slice(key.expose());
        for (user, Entry { mac, until }) in &self.entries {
            // No name is longer that stands in a password file.
            bytes.push(u8::try_from(user.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(user.as_bytes());
            bytes.extend_from_slice(&until.to_be_bytes());
            bytes.extend_from_slice(mac.0.as_slice());
        }
        bytes
    }

    /// Reads what [`write`](Self::write) has written.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn read(lifetime: Duration, bytes: &[u8]) -> Result<(InstallationKey, Self), BrokenCache> {
        let (key, mut rest) =
            bytes.split_first_chunk::<INSTALLATION_KEY_BYTES>().ok_or(BrokenCache)?;
        let mut cache = Self::new(lifetime);
        while !rest.is_empty() {
            let (user, entry) = read_entry(&mut rest).ok_or(BrokenCache)?;
            if cache.entries.len() == MAX_ENTRIES || cache.entries.insert(user, entry).is_some() {
                return Err(BrokenCache);
            }
        }
        Ok((InstallationKey::new(*key), cache))
    }
}

/// Takes an entry from the front of `bytes`.
fn read_entry(bytes: &mut &[u8]) -> Option<(Arc<str>, Entry)> {
    let (length, rest) = bytes.split_first()?;
    let (user, rest) = rest.split_at_checked(usize::from(*length))?;
    let (until, rest) = rest.split_first_chunk::<8>()?;
    let (mac, rest) = rest.split_first_chunk::<32>()?;
    let user = std::str::from_utf8(user).ok().filter(|user| check_user_name(user).is_ok())?;
    let mac = CredentialMac(Zeroizing::new(*mac));
    *bytes = rest;
    Some((Arc::from(user), Entry { mac, until: u64::from_be_bytes(*until) }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    const LIFETIME: Duration = Duration::from_secs(100);
    const NOW: Duration = Duration::from_secs(1_000_000);

    fn key() -> InstallationKey {
        InstallationKey::new([7; 32])
    }

    fn mac(user: &str, password: &str) -> CredentialMac {
        key().mac(user, &Secret::from(password), "line")
    }

    fn cache_of(users: &[&str]) -> CredentialCache {
        let mut cache = CredentialCache::new(LIFETIME);
        for user in users {
            cache.insert(NOW, &Arc::from(*user), mac(user, "apple"));
        }
        cache
    }

    #[test]
    fn only_the_same_user_with_the_same_password_is_remembered() {
        let cache = cache_of(&["ann"]);
        assert!(cache.holds(NOW, "ann", &mac("ann", "apple")));
        assert!(!cache.holds(NOW, "ann", &mac("ann", "pear")));
        assert!(!cache.holds(NOW, "bob", &mac("bob", "apple")));
        assert!(!cache.holds(NOW, "bob", &mac("ann", "apple")));
        let nothing = CredentialMac(Zeroizing::new([0; 32]));
        assert!(!cache.holds(NOW, "bob", &nothing));
    }

    #[test]
    fn an_entry_ends_and_does_not_outlive_a_clock_that_is_set_back() {
        let mut cache = cache_of(&["ann"]);
        let holds = |cache: &CredentialCache, now| cache.holds(now, "ann", &mac("ann", "apple"));
        assert!(holds(&cache, NOW + LIFETIME - Duration::from_secs(1)));
        assert!(!holds(&cache, NOW + LIFETIME));
        assert!(!holds(&cache, NOW - Duration::from_secs(1)));
        cache.expire(NOW + LIFETIME);
        assert!(cache.is_empty());
    }

    #[test]
    fn a_lifetime_of_0_remembers_nobody() {
        let mut cache = CredentialCache::new(Duration::ZERO);
        cache.insert(NOW, &Arc::from("ann"), mac("ann", "apple"));
        assert!(!cache.holds(NOW, "ann", &mac("ann", "apple")));
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn who_is_meant_is_forgotten_and_nobody_else() {
        let mut cache = cache_of(&["ann", "bob"]);
        cache.forget_if(|user| user == "ann");
        assert!(!cache.holds(NOW, "ann", &mac("ann", "apple")));
        assert!(cache.holds(NOW, "bob", &mac("bob", "apple")));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let cache = cache_of(&["ann", "安", &"x".repeat(MAX_USER_NAME_BYTES)]);
        let written = cache.write(&key());
        let (found, read) = CredentialCache::read(LIFETIME, &written).unwrap();
        assert_eq!(found.expose(), key().expose());
        assert_eq!(read.write(&found), written);
        assert!(read.holds(NOW, "ann", &mac("ann", "apple")));
    }

    #[test]
    fn what_is_cut_off_or_twice_there_is_refused() {
        let written = cache_of(&["ann", "bob"]).write(&key());
        let whole = [32, 32 + 1 + 3 + 8 + 32, written.len()];
        for end in 0..=written.len() {
            let read = CredentialCache::read(LIFETIME, &written[..end]);
            assert_eq!(read.is_ok(), whole.contains(&end), "{end}");
        }
        let twice = [&written[..], &written[32..]].concat();
        assert!(CredentialCache::read(LIFETIME, &twice).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read_exactly(
            bytes in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            if let Ok((key, cache)) = CredentialCache::read(LIFETIME, &bytes) {
                prop_assert_eq!(cache.write(&key).len(), bytes.len());
            }
        }
    }
}
