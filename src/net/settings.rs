//! `[network]`: what a connection may cost before and while it is served, and those of one address.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::throttle::{ArrivalRates, Bounds, Rate};

/// The bounds of one connection, of one address and of one prefix, and what serves them all. An address is
/// one of IPv4, or the first 64 bits of one of IPv6; a prefix is a /24, or a /56. Unix sockets have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Seconds from the first byte of a connection to its accepted CONNECT, TLS handshake included.
    pub connect_timeout_seconds: NonZeroU32,
    /// Bytes of the largest CONNECT packet.
    pub max_connect_size: NonZeroU32,
    /// Connections that one address may have at once over all listeners; 0 is any number.
    pub max_connections_per_address: u32,
    /// The same of one prefix.
    pub max_connections_per_prefix: u32,
    /// How many of those of one address may be of clients that have not been let in yet; 0 is any number.
    pub max_handshakes_per_address: u32,
    /// The same of one prefix.
    pub max_handshakes_per_prefix: u32,
    /// The same of all.
    pub max_handshakes: u32,
    /// TLS handshakes that may be under way; 0 is any number.
    pub max_tls_handshakes: u32,
    /// Connections a second that one address may make over all listeners; 0 is any number. Unlike those
    /// above `max_connections_per_second`, which wait, those above this are closed.
    pub connection_rate_per_address: u32,
    /// How many of them at once, after a rest.
    pub connection_burst_per_address: NonZeroU32,
    /// The same of one prefix.
    pub connection_rate_per_prefix: u32,
    /// The same of one prefix.
    pub connection_burst_per_prefix: NonZeroU32,
    /// The same of all.
    pub connection_rate: u32,
    /// The same of all.
    pub connection_burst: NonZeroU32,
    /// Refusals a second of one address or prefix, for its rate or a ban, that a listener answers. Of what
    /// comes beyond that the system drops so much that no more are left (on Linux); 0 answers all.
    pub answered_refusals_per_second: u32,
    /// Seconds that a client may leave what is sent to it unread.
    pub send_timeout_seconds: NonZeroU32,
    /// Whether small writes leave at once (`TCP_NODELAY`).
    pub tcp_nodelay: bool,
    /// Connections that wait to be served, per listener: so many that have been accepted, and as many
    /// again in the queue of the system, as far as that allows (`net.core.somaxconn`).
    pub backlog: NonZeroU32,
    /// Connections that a listener begins to serve a second; the others wait.
    pub max_connections_per_second: NonZeroU32,
    /// Threads that serve connections; 0 stands for half of the processors.
    pub worker_threads: u32,
}

impl Settings {
    /// How long a client may leave what is sent to it unread.
    pub(super) fn send_timeout(&self) -> Duration {
        Duration::from_secs(self.send_timeout_seconds.get().into())
    }

    pub(super) fn arrival_rates(&self) -> ArrivalRates {
        let rate = |count, burst| Some(Rate::new(NonZeroU32::new(count)?, NonZeroU32::MIN, burst));
        ArrivalRates {
            address: rate(self.connection_rate_per_address, self.connection_burst_per_address),
            prefix: rate(self.connection_rate_per_prefix, self.connection_burst_per_prefix),
            all: rate(self.connection_rate, self.connection_burst),
        }
    }

    /// Of connections; `max_connections` of `[broker]` is their bound in all.
    pub(super) fn connection_bounds(&self) -> Bounds {
        let Self { max_connections_per_address, max_connections_per_prefix, .. } = *self;
        Bounds { address: max_connections_per_address, prefix: max_connections_per_prefix, all: 0 }
    }

    /// Of those whose clients have not been let in.
    pub(super) fn handshake_bounds(&self) -> Bounds {
        Bounds {
            address: self.max_handshakes_per_address,
            prefix: self.max_handshakes_per_prefix,
            all: self.max_handshakes,
        }
    }

    /// How many TLS handshakes may be under way.
    pub(super) fn most_tls_handshakes(&self) -> u32 {
        NonZeroU32::new(self.max_tls_handshakes).map_or(u32::MAX, NonZeroU32::get)
    }

    /// Without a bound for addresses, prefixes and all.
    #[cfg(test)]
    pub(super) fn unbounded() -> Self {
        Self {
            max_handshakes_per_address: 0,
            max_handshakes_per_prefix: 0,
            max_handshakes: 0,
            connection_rate_per_address: 0,
            connection_rate_per_prefix: 0,
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout_seconds: NonZeroU32::MIN.saturating_add(9),
            max_connect_size: NonZeroU32::MIN.saturating_add((64 << 10) - 1),
            max_connections_per_address: 0,
            max_connections_per_prefix: 0,
            // Fewer than logins may wait: one address alone cannot keep all others out.
            max_handshakes_per_address: 1_000,
            // A provider's gateways are often neighbours.
            max_handshakes_per_prefix: 4_000,
            // As many as one listener accepts within the time that they have.
            max_handshakes: 20_000,
            // Each holds some 20 KB while it is under way.
            max_tls_handshakes: 4_000,
            // One address takes half of the turns of a listener, one prefix three quarters; and a fleet of
            // 10,000 that comes back at once behind one address is not concerned.
            connection_rate_per_address: 1_000,
            connection_burst_per_address: NonZeroU32::MIN.saturating_add(9_999),
            connection_rate_per_prefix: 1_500,
            connection_burst_per_prefix: NonZeroU32::MIN.saturating_add(14_999),
            connection_rate: 0,
            connection_burst: NonZeroU32::MIN.saturating_add(19_999),
            // A fortieth of a processor.
            answered_refusals_per_second: 1_000,
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
