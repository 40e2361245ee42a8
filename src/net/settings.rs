//! `[network]`: what a connection may cost before and while it is served.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The bounds of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Seconds from the first byte of a connection to its accepted CONNECT, TLS handshake included.
    pub connect_timeout_seconds: NonZeroU32,
    /// Bytes of the largest CONNECT packet.
    pub max_connect_size: NonZeroU32,
    /// Seconds that a client may leave what is sent to it unread.
    pub send_timeout_seconds: NonZeroU32,
    /// Whether small writes leave at once (`TCP_NODELAY`).
    pub tcp_nodelay: bool,
    /// Connections that wait to be accepted, per listener.
    pub backlog: NonZeroU32,
    /// Connections that a listener accepts a second; the others wait in its backlog.
    pub max_connections_per_second: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout_seconds: NonZeroU32::MIN.saturating_add(9),
            max_connect_size: NonZeroU32::MIN.saturating_add((64 << 10) - 1),
            send_timeout_seconds: NonZeroU32::MIN.saturating_add(59),
            tcp_nodelay: true,
            backlog: NonZeroU32::MIN.saturating_add(4_095),
            max_connections_per_second: NonZeroU32::MIN.saturating_add(3_999),
        }
    }
}
