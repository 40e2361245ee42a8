//! The check of one user's password, apart from the file that it came from.

use super::hash::MAX_PASSWORD_BYTES;
use super::kept_hash::{Cost, KeptHash};
use super::memory::HashMemory;
use crate::secret::Secret;

/// Checks the password of one user; independent of the file that it came from.
#[derive(Clone, Debug)]
pub struct Verifier(pub(super) Account);

#[derive(Clone, Debug)]
pub(super) enum Account {
    Known(KeptHash),
    Unknown(Cost),
}

impl Verifier {
    /// Whether `password` is that of the user. Takes long (17 ms by default) and much memory, as
    /// much for an unknown user or a wrong password as for the right one.
    ///
    /// False for an empty password, for one beyond [`MAX_PASSWORD_BYTES`], which is not even
    /// looked at, and where the memory cannot be had.
    #[must_use]
    pub fn verify(&self, password: &Secret, memory: &mut HashMemory) -> bool {
        if password.expose().len() > MAX_PASSWORD_BYTES {
            return false;
        }
        match &self.0 {
            Account::Known(hash) => hash.matches(password, memory) && !password.is_empty(),
            Account::Unknown(cost) => {
                cost.spend(password, memory);
                false
            }
        }
    }

    /// The hash as it stands in the file; an unknown user has none.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        match &self.0 {
            Account::Known(hash) => Some(hash.to_string()),
            Account::Unknown(_) => None,
        }
    }

    /// Whether the hash is of a kind that argon2id is to replace once the password has been seen.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        matches!(self.0, Account::Known(KeptHash::Mosquitto(_)))
    }
}
