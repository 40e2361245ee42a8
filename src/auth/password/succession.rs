//! One password file after another: what was proven against an earlier one, and still holds.

use super::{Entry, KeptProof, PasswordFile};
use crate::secret::Secret;

/// That a user has proven its password, and by what. It holds as long as that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordProof {
    by_scram: bool,
    /// It proves what came before this revision.
    before: u64,
}

impl PasswordProof {
    /// Of what is not kept any more: it never holds.
    #[must_use]
    pub fn superseded(by_scram: bool) -> Self {
        Self { by_scram, before: 0 }
    }

    /// Whether the password was proven by SCRAM, and not by sending it.
    #[must_use]
    pub fn is_by_scram(self) -> bool {
        self.by_scram
    }
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
        PasswordProof { by_scram, before: self.revision + 1 }
    }

    /// Whether what `user` has proven itself by is still kept.
    #[must_use]
    pub fn upholds(&self, user: &str, proof: PasswordProof) -> bool {
        self.entry(user, proof.by_scram).is_some_and(|entry| entry.since < proof.before)
    }

    /// What `user` has proven itself by, as the file has it, and whether its next login replaces that: as
    /// long as it is kept.
    #[must_use]
    pub fn proven_by(&self, user: &str, proof: PasswordProof) -> Option<(Secret, bool)> {
        let entry = self.entry(user, proof.by_scram).filter(|entry| entry.since < proof.before)?;
        let is_outdated = matches!(entry.kept.proof(), KeptProof::Mosquitto { .. });
        Some((Secret::from(entry.kept.to_string().as_str()), is_outdated))
    }

    fn entry(&self, user: &str, is_verifier: bool) -> Option<&Entry> {
        let positions = if is_verifier { &self.verifiers } else { &self.hashes };
        positions.get(user).and_then(|&at| self.entries.get(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{HashParameters, hash};

    #[test]
    fn what_is_superseded_proves_nothing() {
        let mut file = PasswordFile::default();
        let cheap = HashParameters::new(8, 1, 1).unwrap();
        let line = hash(&Secret::from("apple"), cheap, [7; 16]).unwrap();
        file.set("ann", &line).unwrap();
        let proof = file.proof(false);
        assert!(file.upholds("ann", proof) && !file.upholds("bob", proof));
        assert!(!file.upholds("ann", PasswordProof::superseded(false)));
        let (kept, is_outdated) = file.proven_by("ann", proof).unwrap();
        assert!(!is_outdated && kept.expose() == line.as_bytes());
        assert!(file.proven_by("ann", file.proof(true)).is_none());
    }
}
