//! `[http]`: the service that knows who clients are, and how much it may be asked.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the HTTP service is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where questions are posted. Without it nobody is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether `http://` is spoken off loopback, where everybody on the way reads passwords.
    pub allow_plain_http: bool,
    /// The authorities that vouch for an `https://` service, PEM; without it those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The certificate that the broker shows, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<PathBuf>,
    /// Its private key, PEM, mode 0600 or 0640.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// File with the bearer token that the service knows the broker by, mode 0600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Milliseconds for one question, from connecting to the last byte of the answer.
    pub timeout_ms: NonZeroU32,
    /// Questions under way at once, each on a connection of its own.
    pub max_in_flight: NonZeroU32,
    /// Logins that may wait for their turn to be asked about; beyond them a client is told that the
    /// server is busy. Each holds its password, 64 KiB at most.
    pub max_waiting_logins: NonZeroU32,
    /// Seconds that the same question need not be asked again once the client was let in; 0 asks
    /// always.
    pub cache_seconds: u32,
    /// Answers that are remembered at once.
    pub max_cached_answers: NonZeroU32,
    /// Seconds after which the service is asked again about a client that is inside; 0 never asks.
    /// That happens without a password, which the service has to know.
    pub revalidate_seconds: u32,
    /// Seconds that a client may stay inside beyond that where the service gives no answer.
    pub max_stale_seconds: u32,
    /// Failures in a row after which the service is left alone.
    pub breaker_failures: NonZeroU32,
    /// Seconds for which it is. Then one question tries whether it is back.
    pub breaker_seconds: NonZeroU32,
}

impl Settings {
    /// For one question.
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.get().into())
    }
}

impl Default for Settings {
    fn default() -> Self {
        const fn positive(value: u32) -> NonZeroU32 {
            match NonZeroU32::new(value) {
                Some(value) => value,
                None => NonZeroU32::MIN,
            }
        }
        Self {
            url: None,
            allow_plain_http: false,
            ca_file: None,
            client_cert: None,
            client_key: None,
            token_file: None,
            timeout_ms: positive(5_000),
            max_in_flight: positive(64),
            max_waiting_logins: positive(1_024),
            cache_seconds: 60,
            max_cached_answers: positive(10_000),
            revalidate_seconds: 0,
            max_stale_seconds: 900,
            breaker_failures: positive(5),
            breaker_seconds: positive(10),
        }
    }
}
