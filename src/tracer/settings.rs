//! `[tracing]`: what is traced, and who gets to know it.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Ratio;

/// What is traced, and where spans are posted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where a collector takes traces: `https://`, or `http://` on loopback. Without it nothing is traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The authorities that vouch for it, PEM; without it those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// File with the bearer token that it knows the broker by, mode 0600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// What the broker is called there.
    pub service_name: String,
    /// How many of the connections are traced.
    pub connect_ratio: Ratio,
    /// How many of the publications are traced.
    pub publish_ratio: Ratio,
    /// Publications a second, of all clients, that are traced since their publishers ask for it; 0 is none.
    pub forced_per_second: u32,
    /// The same of one connection.
    pub forced_per_client_per_second: u32,
    /// Deliveries of one publication that are traced.
    pub max_deliveries: u32,
    /// Whether client identifiers, users, addresses and topics are told.
    pub include_identifiers: bool,
    /// Spans that wait to be posted. What is more is dropped.
    pub max_queued_spans: NonZeroU32,
    /// Milliseconds for one attempt, from connecting to the last byte of the answer.
    pub timeout_ms: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        let number = |number: u32| NonZeroU32::MIN.saturating_add(number - 1);
        Self {
            endpoint: None,
            ca_file: None,
            token_file: None,
            service_name: "bastionmq".to_owned(),
            connect_ratio: Ratio::of(0.01),
            publish_ratio: Ratio::of(0.001),
            forced_per_second: 100,
            forced_per_client_per_second: 1,
            max_deliveries: 8,
            include_identifiers: false,
            max_queued_spans: number(2_048),
            timeout_ms: number(5_000),
        }
    }
}
