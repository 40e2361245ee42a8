//! The language that a policy file is written in.

use serde::{Deserialize, Serialize};

use super::error::PolicyError;
use super::policy::Policy;

/// The language that a policy file is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyFormat {
    /// Roles and their assignment, in TOML.
    #[default]
    Bastionmq,
    /// The ACL file of Mosquitto: see [`mosquitto`](super::mosquitto).
    Mosquitto,
}

impl PolicyFormat {
    /// Reads the text of a policy file.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the text. A file with an error is not used in part.
    pub fn parse(self, text: &str) -> Result<Policy, Vec<PolicyError>> {
        match self {
            Self::Bastionmq => Policy::parse(text),
            Self::Mosquitto => Policy::parse_mosquitto(text),
        }
    }
}
