//! That the broker has removed files of its own, and why: a record of that comes before they go, so that what
//! is missing is accounted for in the log itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The `event` of such a record.
pub(super) const REMOVED: &str = "removed";

/// Files that are removed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Removal {
    pub(super) first_file: u64,
    pub(super) last_file: u64,
    /// The last record that goes with them.
    pub(super) last_record: u64,
    /// The time of that.
    pub(super) until: String,
    /// How many of the files others had removed before.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) missing: u64,
    #[serde(flatten)]
    pub(super) why: Why,
}

/// Why files are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub(super) enum Why {
    /// Their time is over.
    Age {
        /// How long files are kept.
        keep_days: u32,
    },
    /// All together are too many.
    Total {
        /// How many they may be.
        max_total_mib: u32,
    },
}

impl Removal {
    /// What stands in its record.
    pub(super) fn body(&self) -> String {
        // There is nothing in it that cannot be written as JSON.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("\"event\":\"{REMOVED}\",{}", json.trim_matches(['{', '}']))
    }

    /// That of the record `text`, a line without its end and tag.
    pub(super) fn told_by(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(&[text, b"}"].concat()).ok()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first_file, last_file, last_record, until, missing, why } = self;
        match first_file == last_file {
            true => write!(f, "file {last_file}")?,
            false => write!(f, "files {first_file} to {last_file}")?,
        }
        write!(f, " removed, up to record {last_record} of {until}: ")?;
        match why {
            Why::Age { keep_days } => write!(f, "older than keep_days = {keep_days}")?,
            Why::Total { max_total_mib } => {
                write!(f, "all together took more than max_total_mib = {max_total_mib}")?;
            }
        }
        match missing {
            0 => Ok(()),
            missing => write!(f, "; {missing} of them had been removed by somebody else before"),
        }
    }
}
