//! A secret that is one line in a file of its own.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of the longest secret, with the end of its line.
pub const MAX_SECRET_BYTES: usize = 16 << 10;
/// Anything, for others than the owner.
const OTHERS: u32 = 0o077;

/// Why a secret cannot be read. Names its file.
#[derive(Debug, Error)]
pub enum SecretFileError {
    /// The system refuses.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than its owner could use it.
    #[error("others than its owner can read or write {0}: run 'chmod 600 {0}'", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
}

/// The first byte too many included, where there are more than [`MAX_SECRET_BYTES`]; without the end of its line.
///
/// # Errors
/// When the file `path` cannot be read, or is there for others than its owner.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let unreadable = |source| SecretFileError::Read { path: path.to_owned(), source };
    // The open file is asked, not its name, so that nothing can be swapped in between.
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.mode() & OTHERS != 0 {
        return Err(SecretFileError::Exposed { path: path.to_owned() });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET_BYTES + 1));
    file.take(MAX_SECRET_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    if bytes.ends_with(b"\r") {
        bytes.pop();
    }
    Ok(bytes)
}
