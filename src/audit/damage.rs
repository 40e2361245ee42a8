//! What was missing or changed of the log when a broker began to write it: a record of that stays in it, so
//! that nobody who has cut the log off can have it go on as if nothing had been there.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The `event` of such a record.
pub(super) const DAMAGED: &str = "damaged";

/// What is not as it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "damage", rename_all = "snake_case")]
pub(super) enum Damage {
    /// Nothing says how far the log went.
    HeadMissing {
        /// The last record that there was.
        found: u64,
    },
    /// What says how far the log went was not written by it.
    HeadChanged {
        /// The last record that there was.
        found: u64,
    },
    /// The log went further than its records.
    EndMissing {
        /// The last record that there was.
        found: u64,
        /// The last one that there had been.
        expected: u64,
    },
    /// A record of the last file is not what was written.
    RecordsChanged {
        /// The number of that file.
        in_file: u64,
        /// The line.
        line: u64,
    },
}

impl Damage {
    /// What stands in its record.
    pub(super) fn body(&self) -> String {
        // There is nothing in it that cannot be written as JSON.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("\"event\":\"{DAMAGED}\",{}", json.trim_matches(['{', '}']))
    }

    /// What the record `text`, a line without its end, tells.
    pub(super) fn told_by(text: &[u8]) -> String {
        let damage = serde_json::from_slice::<Self>(&[text, b"}"].concat());
        let what = damage.map_or_else(|_| "something was wrong".to_owned(), |it| it.to_string());
        format!("when the broker was started here, {what}")
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeadMissing { found } => {
                write!(
                    f,
                    "the file `head` was missing: what came after record {found} may have been removed"
                )
            }
            Self::HeadChanged { found } => {
                write!(
                    f,
                    "the file `head` was changed: what came after record {found} may have been removed"
                )
            }
            Self::EndMissing { found, expected } => {
                write!(f, "records {} to {expected} were missing", found.saturating_add(1))
            }
            Self::RecordsChanged { in_file, line } => {
                write!(f, "line {line} of file {in_file} was not as it was written")
            }
        }
    }
}
