//! HTTP as a client: a small question by POST, over TLS or on this machine, and its answer, bounded in every way.

mod access;
mod backoff;
mod bearer;
mod retry_after;
mod secret_file;
mod url;

pub use access::{Access, Connection, Fault};
pub use backoff::{pause_after, pause_with_jitter};
pub use bearer::{BearerToken, BearerTokenError};
pub use secret_file::{MAX_SECRET_BYTES, SecretFileError, read_secret};
pub use url::{ServiceUrl, ServiceUrlError};
