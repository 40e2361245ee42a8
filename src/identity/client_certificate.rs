//! A client certificate that has been believed, and what it takes to judge it again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Attributes;

/// A client certificate, after somebody has vouched for it whom its listener believes. One per
/// connection that has one.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The part that `client_identity` points to: the name of the principal.
    pub name: Arc<str>,
    /// What else it says: roles can be given by it.
    pub attributes: Attributes,
    /// What it takes to judge it again; nothing where a proxy has judged it, and shows no more of it
    /// than its name.
    pub evidence: Option<Evidence>,
}

/// A certificate that has been shown, and judged by the authorities of its listener. The certificates
/// between it and its authority are shared by all connections that show the same ones.
#[derive(PartialEq, Eq)]
pub struct Evidence {
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
impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence").field("ends", &self.ends).finish_non_exhaustive()
    }
}
