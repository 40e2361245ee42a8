//! Unix sockets: where their files are, and who is at the other end.

pub mod accounts;
mod doorman;
mod process;
mod settings;
mod socket;

pub use doorman::{Doorman, UnixPeerError};
pub use process::MAX_PROCESS_NAME;
pub use settings::{SocketMode, SocketModeError, UnixAccess, UnixSettings};
pub use socket::{MAX_SOCKET_PATH, SocketFile, UnixSocketError, bind, check_socket_path};
