//! `[keys]`: where the key is that other keys are sealed by.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The keys of this installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// File of the master key: mode 0600, made on first use. What is sealed under it cannot be read
    /// without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key_file: Option<PathBuf>,
}
