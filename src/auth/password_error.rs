//! What can be wrong in a password file.

use thiserror::Error;

use super::hash::HashFault;
use super::scram_verifier::VerifierFault;
use super::user_name::UserNameError;

/// What is wrong in a password file, and where. Shows nothing of the line itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {fault}")]
pub struct PasswordFileError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: LineFault,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LineFault {
    /// Some editors on Windows start a file with it.
    #[error("there is a byte order mark; save the file as UTF-8 without one")]
    ByteOrderMark,
    /// Neither user nor comment.
    #[error("there is no `:`; write `user:hash`, or `#` before a comment")]
    NoColon,
    /// Two passwords for one user would leave open which one counts.
    #[error("the user is already defined in line {first}; remove one of the two lines")]
    Duplicate {
        /// The line that came first.
        first: usize,
    },
    /// The user name.
    #[error(transparent)]
    UserName(#[from] UserNameError),
    /// The hash.
    #[error("{0}; remove the line, and set the password again with `bastionmq passwd add`")]
    Hash(#[from] HashFault),
    /// The SCRAM verifier.
    #[error("{0}; remove the line, and set the password again with `bastionmq passwd add --scram`")]
    Verifier(#[from] VerifierFault),
}

/// Why a user cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EntryError {
    /// The user name.
    #[error(transparent)]
    UserName(#[from] UserNameError),
    /// The hash.
    #[error(transparent)]
    Hash(#[from] HashFault),
}
