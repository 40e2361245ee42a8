//! What was found to be not as it was written.

use std::fmt;
use std::io;

use super::segment::{BadHeader, name_of};

/// A part of a store that cannot be served.
#[derive(Debug)]
pub struct Damage {
    /// The segment.
    pub segment: u32,
    /// What is wrong with it.
    pub kind: DamageKind,
}

/// What is wrong with a segment.
#[derive(Debug)]
pub enum DamageKind {
    /// Its end was not written out, as is to be expected where a broker or its machine did not end in
    /// order: what nobody was told to be stored.
    Torn {
        /// The first of the bytes that do not count.
        at: usize,
        /// How many they are.
        bytes: usize,
    },
    /// Bytes within it are not what was written there.
    Records {
        /// The first of them.
        at: usize,
        /// How many they are.
        bytes: usize,
    },
    /// Bytes that it had are missing at its end.
    Truncated {
        /// How many.
        bytes: usize,
    },
    /// Nothing of it can be read.
    Header(BadHeader),
    /// The system does not give it.
    Unreadable(io::Error),
    /// There is no file of it.
    Missing,
}

impl Damage {
    /// Whether something that was stored is lost.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        !matches!(self.kind, DamageKind::Torn { .. })
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", name_of(self.segment))?;
        match &self.kind {
            DamageKind::Torn { at, bytes } => {
                write!(f, "{bytes} bytes from byte {at} on were not written to their end: cut off")
            }
            DamageKind::Records { at, bytes } => {
                write!(f, "{bytes} bytes from byte {at} on are damaged: set aside")
            }
            DamageKind::Truncated { bytes } => write!(f, "{bytes} bytes are missing at its end"),
            DamageKind::Header(why) => write!(f, "{why}: set aside as a whole"),
            DamageKind::Unreadable(error) => write!(f, "cannot be read: {error}"),
            DamageKind::Missing => f.write_str("is missing"),
        }
    }
}
