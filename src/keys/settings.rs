//! `[keys]`: where the key is that other keys are sealed by, and where those are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::MasterKeySource;

/// The keys of this installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// File of the master key: mode 0600, made on first use. What is sealed under it cannot be read
    /// without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key_file: Option<PathBuf>,
    /// The key ring, sealed under the master key: the keys of envelopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_file: Option<PathBuf>,
    /// Directory of keys that are wrapped for devices, each of which may fetch its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrapped_dir: Option<PathBuf>,
}

impl Settings {
    /// Where the master key is, if there is to be one: see [`MasterKeySource::find`].
    #[must_use]
    pub fn master_key_source(&self) -> Option<MasterKeySource> {
        MasterKeySource::find(None, self)
    }
}
