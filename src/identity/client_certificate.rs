//! A client certificate that has been believed, and what it takes to judge it again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Attributes;

/// A client certificate, after the authorities of its listener have vouched for it. One per
/// connection that shows one; the certificates between it and its authority are shared by all
/// connections that show the same ones.
#[derive(PartialEq, Eq)]
pub struct ClientCertificate {
    /// The part that `client_identity` points to: the name of the principal.
    pub name: Arc<str>,
    /// What else it says: roles can be given by it.
    pub attributes: Attributes,
    /// The end of its last second, since the Unix epoch.
    pub ends: Duration,
    /// Which generation of its listener's authorities and revocation lists it was judged by.
    pub generation: u64,
    /// The certificate itself, DER.
    pub own: Box<[u8]>,
    /// What else was shown, in that order, DER: those between it and its authority.
    pub between: Arc<[Box<[u8]>]>,
}

/// Certificates are long, and nobody reads them in a log.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, ends, .. } = self;
        f.debug_struct("ClientCertificate")
            .field("name", name)
            .field("ends", ends)
            .finish_non_exhaustive()
    }
}
