//! What the store asks of a disk: all of its I/O, so that tests can have one that tears, loses and lies.

use std::io;

/// A directory of files that only grow. Names have no path in them. What was appended is on disk for
/// certain once its file is synced, and a name once the names are.
pub trait Disk: Send + Sync + 'static {
    /// A file that is appended to.
    type File: Send;

    /// The names of all files.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// All bytes of a file.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// At most `length` bytes of a file, from byte `at` on: fewer where it ends before.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, name: &str, at: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Makes a file that is not there yet.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Writes all of `bytes` at the end of the file.
    ///
    /// # Errors
    /// What the system says; any part of them may then have been written.
    fn append(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Waits until the bytes of the file are on disk.
    ///
    /// # Errors
    /// What the system says; what was appended since the last time may then be lost, whatever a later
    /// call says.
    fn sync(&self, file: &mut Self::File) -> io::Result<()>;

    /// Waits until the names are on disk as they are.
    ///
    /// # Errors
    /// What the system says.
    fn sync_names(&self) -> io::Result<()>;

    /// Gives a file another name, in place of whatever has it.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Writes the file `name` whole, in place of whatever has the name: after a crash it has the old
    /// content or the new one.
    ///
    /// # Errors
    /// What the system says.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = format!("{name}.new");
        match self.remove(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = self.create(&new)?;
        self.append(&mut file, bytes)?;
        self.sync(&mut file)?;
        self.rename(&new, name)?;
        self.sync_names()
    }
}
