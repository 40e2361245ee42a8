//! `[audit]`: whether and where security events are written down.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The directory of the log, which is made if it is missing: mode 0700, for one broker alone. Without
    /// one nothing is written. It needs a master key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// MiB of a file before the next one is begun, and it is compressed.
    pub max_file_mib: NonZeroU32,
    /// Days that files are kept; 0 for ever.
    pub keep_days: u32,
    /// MiB that all files may take, of which the oldest are removed above that; 0 is any number.
    pub max_total_mib: u32,
    /// Whether nothing that is decided takes effect before the disk has its record.
    pub strict: bool,
    /// Whether client identifiers and addresses are written as keyed hashes: the same one for the same
    /// client, and nobody can tell whose without the secret of the log.
    pub mask: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dir: None,
            max_file_mib: NonZeroU32::MIN.saturating_add(63),
            keep_days: 90,
            max_total_mib: 10_240,
            strict: false,
            mask: false,
        }
    }
}

impl Settings {
    pub(super) fn max_file_bytes(&self) -> u64 {
        u64::from(self.max_file_mib.get()) << 20
    }

    /// Bytes that all files may take, unless any number.
    pub(super) fn max_total_bytes(&self) -> Option<u64> {
        (self.max_total_mib > 0).then(|| u64::from(self.max_total_mib) << 20)
    }

    /// How long files are kept, unless for ever.
    pub(super) fn keep(&self) -> Option<Duration> {
        const DAY: u64 = 86_400;
        (self.keep_days > 0).then(|| Duration::from_secs(DAY * u64::from(self.keep_days)))
    }
}
