//! What is kept of a password in one line of a password file: a hash or a SCRAM verifier.

use std::fmt;

use super::hash::HashParameters;
use super::kept_hash::KeptHash;
use super::password_error::LineFault;
use super::scram_verifier::{MARK as SCRAM_MARK, ScramVerifier};

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Kept {
    Hash(KeptHash),
    Verifier(ScramVerifier),
}

/// How a user of a file can prove its password, and what that costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptProof {
    /// By sending it: the broker hashes.
    Argon2id(HashParameters),
    /// By sending it, against a hash that Mosquitto has written: SHA-512, or that many rounds of
    /// PBKDF2. Its next login replaces it by argon2id.
    Mosquitto {
        /// Of PBKDF2; 0 is SHA-512.
        rounds: u32,
    },
    /// By SCRAM-SHA-256: the client hashes, as often as this.
    Scram(u32),
}

impl fmt::Display for KeptProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argon2id(parameters) => write!(f, "argon2id {parameters}"),
            Self::Mosquitto { rounds: 0 } => {
                f.write_str("SHA-512 of Mosquitto ($6$), until the next login")
            }
            Self::Mosquitto { rounds } => {
                write!(f, "PBKDF2-SHA-512 of Mosquitto ($7$) i={rounds}, until the next login")
            }
            Self::Scram(iterations) => write!(f, "SCRAM-SHA-256 i={iterations}"),
        }
    }
}

impl Kept {
    pub(super) fn is_verifier(text: &str) -> bool {
        text.starts_with(SCRAM_MARK)
    }

    /// Reads what stands behind the user name.
    pub(super) fn parse(text: &str) -> Result<Self, LineFault> {
        if Self::is_verifier(text) {
            Ok(Self::Verifier(ScramVerifier::parse(text)?))
        } else {
            Ok(Self::Hash(KeptHash::parse(text)?))
        }
    }

    pub(super) fn hash(&self) -> Option<&KeptHash> {
        if let Self::Hash(hash) = self { Some(hash) } else { None }
    }

    pub(super) fn verifier(&self) -> Option<&ScramVerifier> {
        if let Self::Verifier(verifier) = self { Some(verifier) } else { None }
    }

    pub(super) fn proof(&self) -> KeptProof {
        match self {
            Self::Hash(KeptHash::Argon2id(hash)) => KeptProof::Argon2id(hash.parameters),
            Self::Hash(KeptHash::Mosquitto(hash)) => KeptProof::Mosquitto { rounds: hash.rounds() },
            Self::Verifier(verifier) => KeptProof::Scram(verifier.iterations()),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => hash.fmt(f),
            Self::Verifier(verifier) => verifier.fmt(f),
        }
    }
}
