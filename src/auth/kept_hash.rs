//! The hash that a password which was sent is checked against, and what that costs.

use std::fmt;
use std::hint::black_box;

use super::hash::{DEFAULT_HASH_PARAMETERS, HashFault, HashParameters, PasswordHash};
use super::memory::HashMemory;
use super::mosquitto_hash::{MosquittoHash, pbkdf2};
use crate::secret::Secret;

/// A hash, of whatever kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeptHash {
    Argon2id(PasswordHash),
    /// To be replaced by argon2id when its password is next seen.
    Mosquitto(MosquittoHash),
}

/// What a wrong password costs. One that is checked against a hash of Mosquitto costs argon2id as
/// well: else everybody could tell from outside which users have the cheap hashes, and guess their
/// passwords a thousand times faster than those of others. The right password pays the same for the
/// hash that replaces the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// Of PBKDF2 with HMAC-SHA-512.
    pub(super) rounds: u32,
    pub(super) argon2id: HashParameters,
}

impl KeptHash {
    pub(super) fn parse(text: &str) -> Result<Self, HashFault> {
        if MosquittoHash::is_one(text) {
            Ok(Self::Mosquitto(MosquittoHash::parse(text)?))
        } else {
            Ok(Self::Argon2id(PasswordHash::parse(text)?))
        }
    }

    pub(super) fn cost(&self) -> Cost {
        match self {
            Self::Argon2id(hash) => Cost { rounds: 0, argon2id: hash.parameters },
            Self::Mosquitto(hash) => {
                Cost { rounds: hash.rounds(), argon2id: DEFAULT_HASH_PARAMETERS }
            }
        }
    }

    /// Whether it is the hash of `password`.
    pub(super) fn matches(&self, password: &Secret, memory: &mut HashMemory) -> bool {
        match self {
            Self::Argon2id(hash) => hash.matches(password, memory),
            Self::Mosquitto(hash) => {
                let is_right = hash.matches(password);
                if !is_right {
                    DEFAULT_HASH_PARAMETERS.spend(password, memory);
                }
                is_right
            }
        }
    }
}

impl Cost {
    /// Spends it on nobody's hash: the answer to an unknown user must not come sooner.
    pub(super) fn spend(self, password: &Secret, memory: &mut HashMemory) {
        if self.rounds > 0 {
            black_box(pbkdf2(password, &[0; 12], self.rounds));
        }
        self.argon2id.spend(password, memory);
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self { rounds: 0, argon2id: DEFAULT_HASH_PARAMETERS }
    }
}

impl fmt::Display for KeptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argon2id(hash) => hash.fmt(f),
            Self::Mosquitto(hash) => hash.fmt(f),
        }
    }
}
