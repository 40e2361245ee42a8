//! How the disk is.

use std::fmt;
use std::io;

/// Whether changes can be written. What is ill is tried again until it is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// They can.
    #[default]
    Good = 0,
    /// There is no room, or no more than a quota allows.
    Full = 1,
    /// Nothing may be written.
    ReadOnly = 2,
    /// The disk fails.
    Failing = 3,
}

impl Health {
    /// What an error says of the disk.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly,
            _ => Self::Failing,
        }
    }

    pub(super) fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Good,
            1 => Self::Full,
            2 => Self::ReadOnly,
            _ => Self::Failing,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Full => "the disk is full",
            Self::ReadOnly => "the disk cannot be written to",
            Self::Failing => "the disk fails",
        })
    }
}
