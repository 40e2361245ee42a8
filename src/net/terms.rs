//! What connections are accepted on: the settings of their listener as they were then.

use std::fmt;
use std::sync::Arc;

use super::stop::Stop;
use super::{Endpoint, ListenUrl};
use crate::unix::Doorman;

/// The terms of a listener. Others take their place as a whole when its settings change.
pub(super) struct Terms {
    pub(super) endpoint: Endpoint,
    /// The URL with the port that was bound.
    pub(super) url: ListenUrl,
    /// The same, as the log and the policy call the listener.
    pub(super) name: Arc<str>,
    pub(super) doorman: Doorman,
    /// Tells those who have come by these terms to go.
    pub(super) stop: Arc<Stop>,
}

impl Terms {
    pub(super) fn new(endpoint: Endpoint, url: ListenUrl, stop: Arc<Stop>) -> Self {
        let name = url.to_string().into();
        let doorman = Doorman::new(endpoint.unix.clone());
        Self { endpoint, url, name, doorman, stop }
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms").field("name", &self.name).finish_non_exhaustive()
    }
}
