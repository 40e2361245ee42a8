//! What the control socket needs of whoever reads files anew.

use super::answers::FileStatus;

/// The files that are read anew while the broker runs.
pub trait Files: Clone + Send + Sync + 'static {
    /// Reads all of them anew, and says what has come of it; nothing, where nobody reads them any
    /// more.
    fn reload(&self) -> impl Future<Output = Option<Vec<FileStatus>>> + Send;

    /// What is known of each kind of them.
    fn standing(&self) -> Vec<FileStatus>;

    /// The URLs that clients can connect to, as the files have it now.
    fn listeners(&self) -> Vec<String>;
}
