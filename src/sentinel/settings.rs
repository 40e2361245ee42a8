//! `[sentinel]`: whether and how it is looked for what is out of the ordinary.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The sentinel. Its rules are [`RuleSettings`](super::RuleSettings).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether it is looked at all.
    pub enabled: bool,
    /// Whether the rules are in force that come with the broker, but for those that are turned off.
    pub default_rules: bool,
    /// Of how many keys each rule keeps what it needs to know. A key takes less than 700 bytes, 1.5 KiB
    /// where different ones are counted, and 4 KiB where quantiles are taken. Who comes only once in a
    /// while is forgotten where there are more.
    pub max_keys: NonZeroU32,
    /// The same for rules that learn what is usual: those that look for new ones, deviations and silence. They
    /// remember everybody, and not only those who do something wrong. A key takes less than 250 bytes, and 800
    /// where new ones are looked for.
    pub max_learned_keys: NonZeroU32,
    /// Seconds that the clock of whoever seals payloads may be off before that is an event.
    pub clock_skew_seconds: NonZeroU32,
}

impl Settings {
    pub(super) fn clock_skew(&self) -> Duration {
        Duration::from_secs(self.clock_skew_seconds.get().into())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            default_rules: true,
            max_keys: NonZeroU32::MIN.saturating_add(16_383),
            max_learned_keys: NonZeroU32::MIN.saturating_add(199_999),
            clock_skew_seconds: NonZeroU32::MIN.saturating_add(29),
        }
    }
}
