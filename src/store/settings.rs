//! `[store]`: what outlives the process, and what that may cost.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whether and how state is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The directory of the store, which is made if it is missing: mode 0700, for one broker alone.
    /// Without one everything is in memory. It needs a master key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// When what is acknowledged is on disk.
    pub durability: Durability,
    /// With `relaxed`: milliseconds of what was acknowledged that a power loss may take, at most.
    pub relaxed_window_ms: NonZeroU32,
    /// Days after which a new data key is made, and what was written under older ones rewritten.
    pub data_key_days: NonZeroU32,
}

/// What an acknowledgement waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The disk says that it has what is acknowledged.
    #[default]
    Fsync,
    /// The system has it: a crash of the process loses nothing, a power loss what is younger than the
    /// window.
    Relaxed,
    /// Nothing. Nothing is kept.
    None,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dir: None,
            durability: Durability::Fsync,
            relaxed_window_ms: NonZeroU32::MIN.saturating_add(99),
            data_key_days: NonZeroU32::MIN.saturating_add(89),
        }
    }
}

impl Settings {
    /// The directory, where anything is to be kept.
    #[must_use]
    pub fn used_dir(&self) -> Option<&PathBuf> {
        self.dir.as_ref().filter(|_| self.durability != Durability::None)
    }

    /// How long synced data may lag behind what was acknowledged.
    pub(super) fn window(&self) -> Duration {
        match self.durability {
            Durability::Relaxed => Duration::from_millis(self.relaxed_window_ms.get().into()),
            Durability::Fsync | Durability::None => Duration::ZERO,
        }
    }

    /// How old a data key may become.
    pub(super) fn data_key_age(&self) -> Duration {
        const DAY: u64 = 86_400;
        Duration::from_secs(DAY * u64::from(self.data_key_days.get()))
    }
}
