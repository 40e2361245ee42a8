//! One password file after another: what was proven against an earlier one, and still holds.

use super::{Entry, PasswordFile};

/// That a user has proven its password, and by what. It holds as long as that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordProof {
    by_scram: bool,
    revision: u64,
}

impl PasswordFile {
    /// Takes the place of `earlier`: what is kept of a user as it was goes on proving the logins that
    /// it has proven.
    pub fn succeed(&mut self, earlier: &Self) {
        self.revision = earlier.revision + 1;
        for entry in &mut self.entries {
            let unchanged = earlier.entry(&entry.user, entry.kept.verifier().is_some());
            let unchanged = unchanged.filter(|before| before.kept == entry.kept);
            entry.since = unchanged.map_or(self.revision, |before| before.since);
        }
    }

    /// That a user has proven its password against this file: by sending it, or by SCRAM.
    #[must_use]
    pub fn proof(&self, by_scram: bool) -> PasswordProof {
        PasswordProof { by_scram, revision: self.revision }
    }

    /// Whether what `user` has proven itself by is still kept.
    #[must_use]
    pub fn upholds(&self, user: &str, proof: PasswordProof) -> bool {
        self.entry(user, proof.by_scram).is_some_and(|entry| entry.since <= proof.revision)
    }

    fn entry(&self, user: &str, is_verifier: bool) -> Option<&Entry> {
        let positions = if is_verifier { &self.verifiers } else { &self.hashes };
        positions.get(user).and_then(|&at| self.entries.get(at))
    }
}
