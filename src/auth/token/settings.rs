//! `[jwt]`: whose tokens are believed, and what they must say.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a token must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Public keys: one or more in PEM, or a JSON Web Key Set. Without them no token is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// What `iss` must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What `aud` must be or contain. Without it a token that has an `aud` is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Seconds by which the clocks of issuer and broker may differ.
    pub leeway_seconds: u32,
    /// The claim that names the principal.
    pub principal_claim: String,
    /// Whether a user name that is sent beside a token must be its principal.
    pub check_user_name: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            key_file: None,
            issuer: None,
            audience: None,
            leeway_seconds: 30,
            principal_claim: "sub".to_owned(),
            check_user_name: true,
        }
    }
}
