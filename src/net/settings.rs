//! `[network]`: what a connection may cost before and while it is served, and those of one address.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The bounds of one connection and of one address, and what serves them all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Seconds from the first byte of a connection to its accepted CONNECT, TLS handshake included.
    pub connect_timeout_seconds: NonZeroU32,
    /// Bytes of the largest CONNECT packet.
    pub max_connect_size: NonZeroU32,
    /// Connections that one address may have at once over all listeners, of IPv6 the addresses with the
    /// same first 64 bits; 0 is any number. Unix sockets have no address.
    pub max_connections_per_address: u32,
    /// How many of them may be those of clients that have not been let in yet; 0 is any number.
    pub max_handshakes_per_address: u32,
    /// Seconds that a client may leave what is sent to it unread.
    pub send_timeout_seconds: NonZeroU32,
    /// Whether small writes leave at once (`TCP_NODELAY`).
    pub tcp_nodelay: bool,
    /// Connections that wait to be accepted, per listener.
    pub backlog: NonZeroU32,
    /// Connections that a listener accepts a second; the others wait in its backlog.
    pub max_connections_per_second: NonZeroU32,
    /// Threads that serve connections; 0 stands for half of the processors.
    pub worker_threads: u32,
}

impl Settings {
    /// How long a client may leave what is sent to it unread.
    pub(super) fn send_timeout(&self) -> Duration {
        Duration::from_secs(self.send_timeout_seconds.get().into())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout_seconds: NonZeroU32::MIN.saturating_add(9),
            max_connect_size: NonZeroU32::MIN.saturating_add((64 << 10) - 1),
            max_connections_per_address: 0,
            // Fewer than logins may wait: one address alone cannot keep all others out.
            max_handshakes_per_address: 1_000,
            send_timeout_seconds: NonZeroU32::MIN.saturating_add(59),
            tcp_nodelay: true,
            backlog: NonZeroU32::MIN.saturating_add(4_095),
            max_connections_per_second: NonZeroU32::MIN.saturating_add(1_999),
            worker_threads: 0,
        }
    }
}

impl Settings {
    /// How many threads serve connections on a machine with so many processors, at least one. Half of
    /// them unless it is set: the kernel does as much for each message as the broker, and passwords are
    /// hashed elsewhere. A worker that the load does not need is woken in vain.
    #[must_use]
    pub fn workers(&self, processors: usize) -> usize {
        match self.worker_threads {
            0 => processors.div_ceil(2).max(1),
            set => set as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_processors_serve_unless_the_operator_says_otherwise() {
        let by_default = Settings::default();
        for (processors, workers) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (64, 32)] {
            assert_eq!(by_default.workers(processors), workers);
        }
        let set = Settings { worker_threads: 3, ..Settings::default() };
        assert_eq!(set.workers(2), 3);
    }
}
