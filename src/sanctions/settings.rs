//! `[bans]`: who is never banned, and how many bans there may be.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::Allowed;

/// Who is never banned, and how many bans there may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Addresses, networks, principals, client identifiers and certificates that nobody bans, by hand
    /// or by a rule.
    pub allow: Allowed,
    /// The most that there are at a time; more are refused.
    pub max_bans: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { allow: Allowed::default(), max_bans: NonZeroU32::MIN.saturating_add(9_999) }
    }
}
