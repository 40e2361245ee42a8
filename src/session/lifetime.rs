//! How long things last: keep alive, session expiry, and the will that outlives the connection.

use std::time::{Duration, Instant};

use super::{Closed, Settings, Will};
use crate::codec::{Connect, Disconnect, ReasonCode, Version};

/// Seconds of a session expiry interval that never ends (5.0 section 3.1.2.11.2).
const FOR_EVER: u32 = u32::MAX;

/// The clocks of one connection.
#[derive(Debug)]
pub(super) struct Lifetime {
    /// One and a half times the keep alive `[MQTT-3.1.2-22]`.
    silence: Duration,
    heard: Instant,
    session_expiry_seconds: u32,
    /// Whether CONNECT set the session to end with its connection; the bound may have set it since.
    is_to_end: bool,
    max_session_expiry_seconds: u32,
    pub(super) will: Option<Box<Will>>,
}

/// How long a session is kept without a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionExpiry {
    /// It ends with the connection.
    Now,
    /// It ends this long after the connection.
    After(Duration),
    /// It never ends.
    Never,
}

/// What the broker tells a 5.0 client where it differs from what the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Adjusted {
    pub(super) server_keep_alive: Option<u16>,
    pub(super) session_expiry_interval: Option<u32>,
}

impl SessionExpiry {
    /// The one that a session expiry interval of so many seconds means (5.0 section 3.1.2.11.2).
    #[must_use]
    pub fn from_seconds(seconds: u32) -> Self {
        match seconds {
            0 => Self::Now,
            FOR_EVER => Self::Never,
            seconds => Self::After(Duration::from_secs(seconds.into())),
        }
    }

    /// The session expiry interval that means it.
    #[must_use]
    pub fn seconds(self) -> u32 {
        match self {
            Self::Now => 0,
            Self::After(lifetime) => u32::try_from(lifetime.as_secs()).unwrap_or(FOR_EVER),
            Self::Never => FOR_EVER,
        }
    }
}

impl Lifetime {
    pub(super) fn new(
        connect: &Connect<'_>,
        will: Option<Box<Will>>,
        settings: &Settings,
        now: Instant,
    ) -> (Self, Adjusted) {
        let max_session_expiry_seconds = settings.max_session_expiry_seconds;
        let asked = match connect.version {
            Version::V5 => connect.properties.session_expiry_interval.unwrap_or(0),
            _ if connect.clean_start => 0,
            _ => FOR_EVER,
        };
        let session_expiry_seconds = asked.min(max_session_expiry_seconds);
        let max_keep_alive = settings.max_keep_alive_seconds.get();
        let keep_alive = match connect.keep_alive {
            0 => max_keep_alive,
            asked => asked.min(max_keep_alive),
        };
        let adjusted = Adjusted {
            server_keep_alive: (keep_alive != connect.keep_alive).then_some(keep_alive),
            session_expiry_interval: (session_expiry_seconds != asked)
                .then_some(session_expiry_seconds),
        };
        let silence = Duration::from_millis(u64::from(keep_alive) * 1_500);
        let lifetime = Self {
            silence,
            heard: now,
            session_expiry_seconds,
            is_to_end: asked == 0,
            max_session_expiry_seconds,
            will,
        };
        (lifetime, adjusted)
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn deadline(&self) -> Instant {
        self.heard + self.silence
    }

    /// DISCONNECT may set another session expiry interval, but not bring a session to life that was
    /// to end with its connection (5.0 section 3.14.2.2.2). A normal one takes the will along
    /// `[MQTT-3.14.4-3]`.
    pub(super) fn on_disconnect(&mut self, packet: &Disconnect<'_>) -> Result<(), Closed> {
        if let Some(asked) = packet.session_expiry_interval {
            if self.is_to_end && asked != 0 {
                return Err(Closed::Violation {
                    reason: ReasonCode::ProtocolError,
                    what: "DISCONNECT sets a session expiry that CONNECT had set to 0",
                });
            }
            self.session_expiry_seconds = asked.min(self.max_session_expiry_seconds);
        }
        if packet.reason == ReasonCode::Success {
            self.will = None;
        }
        Ok(())
    }

    pub(super) fn session_expiry(&self) -> SessionExpiry {
        SessionExpiry::from_seconds(self.session_expiry_seconds)
    }
}
