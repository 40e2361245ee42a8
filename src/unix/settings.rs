//! What a Unix listener asks of the file system, and of the processes that connect.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Bits of a file's mode by which its group may use a socket.
const GROUP: u32 = 0o060;
/// Bits of a file's mode by which everybody else may.
const OTHERS: u32 = 0o006;

/// A Unix listener, ready to be bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixSettings {
    /// Who may open the socket, as far as the file system decides.
    pub mode: SocketMode,
    /// The group that the socket, and a directory that is made for it, belong to.
    pub gid: Option<u32>,
    /// Who may connect.
    pub access: UnixAccess,
}

/// Which processes may connect: those of one of the users or of a member of one of the groups; if
/// executables are listed, only those that run one of them; and if names are, only those that call
/// themselves so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixAccess {
    /// Users by number.
    pub uids: BTreeSet<u32>,
    /// Groups by number.
    pub gids: BTreeSet<u32>,
    /// Absolute paths without symbolic links, as the kernel shows them.
    pub executables: BTreeSet<PathBuf>,
    /// Names of processes, which these give themselves.
    pub processes: BTreeSet<String>,
}

/// The mode of a socket's file, as `0660`; both bits of a class are needed to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SocketMode(u32);

/// Why a text is no mode of a socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no mode of a socket: \"0600\" is for its owner, \"0660\" for its group as well, \
     \"0666\" for everybody"
)]
pub struct SocketModeError(String);

impl SocketMode {
    /// For the owner alone.
    pub const OWNER: Self = Self(0o600);
    /// For the group as well.
    pub const GROUP: Self = Self(0o660);

    /// The bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether others than the owner may connect.
    #[must_use]
    pub fn is_shared(self) -> bool {
        self.0 & (GROUP | OTHERS) != 0
    }

    /// The mode of a directory through which those get at the socket who may connect, and in which
    /// nobody but its owner may put another one in its place.
    pub(super) fn of_directory(self) -> u32 {
        let group = if self.0 & GROUP == 0 { 0 } else { 0o050 };
        let others = if self.0 & OTHERS == 0 { 0 } else { 0o005 };
        0o700 | group | others
    }
}

impl Default for SocketMode {
    fn default() -> Self {
        Self::OWNER
    }
}

impl TryFrom<String> for SocketMode {
    type Error = SocketModeError;

    fn try_from(text: String) -> Result<Self, SocketModeError> {
        match text.as_str() {
            "0600" => Ok(Self::OWNER),
            "0660" => Ok(Self::GROUP),
            "0666" => Ok(Self(0o666)),
            _ => Err(SocketModeError(text)),
        }
    }
}

impl From<SocketMode> for String {
    fn from(mode: SocketMode) -> Self {
        mode.to_string()
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_one_of_the_three_that_mean_something() {
        for (text, directory) in [("0600", 0o700), ("0660", 0o750), ("0666", 0o755)] {
            let mode = SocketMode::try_from(text.to_owned()).unwrap();
            assert_eq!(mode.to_string(), text);
            assert_eq!(mode.of_directory(), directory);
        }
        for text in ["", "600", "0770", "0640", "rw", "432"] {
            assert!(SocketMode::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
