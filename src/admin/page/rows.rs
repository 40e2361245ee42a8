//! What the page lists: parts, alerts, bans, slow consumers. Each list is bounded, and says how many there are.

use std::cmp::Reverse;

use serde::Serialize;
use serde_json::Value;

use crate::admin::readiness::{Condition, Part};
use crate::broker::{Broker, LongQueue};
use crate::sanctions::Standing;

/// Alerts that are shown.
const ALERTS: usize = 30;
/// Bans, and quarantines, that are shown.
const SANCTIONS: usize = 50;

/// A part of the broker.
#[derive(Serialize)]
pub(super) struct PartRow {
    name: String,
    /// `ok`, `degraded`, `failed`.
    condition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// A session for which messages wait.
#[derive(Serialize)]
pub(super) struct QueueRow {
    client_id: String,
    principal: String,
    address: String,
    connected: bool,
    messages: usize,
    bytes: usize,
    /// For how long the first of them has waited, where that is known.
    seconds: Option<f64>,
}

/// Somebody who is banned, or in quarantine.
#[derive(Serialize)]
pub(super) struct SanctionRow {
    subject: String,
    by: String,
    why: String,
    /// In seconds since the Unix epoch.
    since: u64,
    /// The same; never where there is nothing.
    until: Option<u64>,
    refused: u64,
}

/// Some of a list.
#[derive(Serialize)]
pub(super) struct List<T> {
    shown: Vec<T>,
    /// How many there are.
    of: usize,
}

impl PartRow {
    pub(super) fn of(Part { name, condition }: Part) -> Self {
        let (condition, why) = match condition {
            Condition::Well => ("ok", None),
            Condition::Degraded(why) => ("degraded", Some(why)),
            Condition::Failed(why) => ("failed", Some(why)),
        };
        Self { name, condition, why }
    }
}

impl QueueRow {
    pub(super) fn of(queue: LongQueue) -> Self {
        let LongQueue { client_id, principal, address, is_connected, messages, bytes, waits } =
            queue;
        Self {
            client_id: client_id.to_string(),
            principal: principal.to_string(),
            address: address.to_string(),
            connected: is_connected,
            messages,
            bytes,
            seconds: waits.map(|waits| waits.as_secs_f64()),
        }
    }
}

impl List<SanctionRow> {
    /// The latest come first.
    pub(super) fn of(mut standings: Vec<Standing>) -> Self {
        standings.sort_by_key(|it| Reverse(it.sanction.since));
        let of = standings.len();
        let shown = standings.into_iter().take(SANCTIONS).map(SanctionRow::of).collect();
        Self { shown, of }
    }
}

impl SanctionRow {
    fn of(Standing { sanction, refused }: Standing) -> Self {
        Self {
            subject: sanction.subject.to_string(),
            by: sanction.by.to_string(),
            why: sanction.why.to_string(),
            since: sanction.since.as_secs(),
            until: sanction.until.map(|until| until.as_secs()),
            refused,
        }
    }
}

/// The last alerts, as they were published; the latest comes first.
pub(super) fn alerts(broker: &Broker) -> Vec<Value> {
    let alerts = broker.recent_alerts(ALERTS);
    alerts.iter().rev().filter_map(|alert| serde_json::from_slice(alert).ok()).collect()
}
