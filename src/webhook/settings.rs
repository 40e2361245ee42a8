//! `[webhook]`: where alerts are posted.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where alerts are posted, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `https://`, or `http://` on loopback. Without it nothing is posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The authorities that vouch for it, PEM; without it those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// File with the bearer token that it knows the broker by, mode 0600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// File with the secret that alerts are signed by, mode 0600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Milliseconds for one attempt, from connecting to the last byte of the answer.
    pub timeout_ms: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: None,
            ca_file: None,
            token_file: None,
            secret_file: None,
            timeout_ms: NonZeroU32::MIN.saturating_add(4_999),
        }
    }
}
