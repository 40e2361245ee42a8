//! What the broker counts, for Prometheus and the few numbers that `$SYS` shows, and what it writes down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::sentinel::Watch;
use crate::audit::{AuditLog, Condition, Event, Figures, Ticket};
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::message::QoS;
use crate::sentinel;
use crate::session::Output;
use crate::telemetry::{
    AclDecision, AuditState, DeniedAction, DropReason, LoginMethod, LoginResult, Metrics,
    PacketKind, ProtocolFault, ProtocolVersion, WorkerTotal,
};

/// How long a decision waits for the audit log, where nobody else says how long.
const AUDIT_PATIENCE: Duration = Duration::from_secs(5);

/// The counters of one broker. Connections add to them once per round, not per message.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) metrics: Arc<Metrics>,
    audit: Option<Arc<AuditLog>>,
    pub(super) watch: Watch,
    pub(super) totals: Totals,
}

/// What `$SYS` shows and nothing else does, and what has to be read back.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) clients_connected: AtomicU64,
    pub(super) clients_maximum: AtomicU64,
    /// Sessions that ended since nobody came back to them in time.
    pub(super) sessions_expired: AtomicU64,
    /// Bytes of the payloads of messages from clients, and to them.
    pub(super) payloads_received: WorkerTotal,
    pub(super) payloads_sent: WorkerTotal,
}

/// What one connection has received in this round.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// By packet type.
    pub(super) packets: [u32; 16],
    /// By QoS.
    pub(super) publishes: [u32; 3],
    /// Their bytes.
    pub(super) publish_bytes: [u64; 3],
    /// Those of their payloads alone.
    pub(super) payload_bytes: u64,
}

impl Counts {
    pub(super) fn new(metrics: Arc<Metrics>, audit: Option<Arc<AuditLog>>, watch: Watch) -> Self {
        Self { metrics, audit, watch, totals: Totals::default() }
    }

    /// Has the sentinel look at it, where there is one.
    pub(super) fn observe(&self, event: impl FnOnce() -> sentinel::Event) {
        self.watch.observe(event);
    }

    /// Has the audit log written, where there is one. Gives what to wait for, where that is strict.
    pub(super) fn audit(&self, event: impl FnOnce() -> Event) -> Option<Ticket> {
        self.audit.as_ref()?.record(Now::read(), event())
    }

    /// Whether what is decided waits for the audit log.
    pub(super) fn has_strict_audit(&self) -> bool {
        self.audit.as_ref().is_some_and(|audit| audit.is_strict())
    }

    /// Whether the audit log has on disk what there is to wait for, by then.
    pub(super) async fn is_written_by(&self, deadline: Instant, ticket: Option<Ticket>) -> bool {
        let (Some(audit), Some(ticket)) = (&self.audit, ticket) else { return true };
        timeout_at(deadline.into(), audit.until_written(ticket)).await.is_ok()
    }

    /// Whether the audit log soon has it on disk. This thread waits for that.
    pub(super) fn is_soon_written(&self, ticket: Option<Ticket>) -> bool {
        let (Some(audit), Some(ticket)) = (&self.audit, ticket) else { return true };
        audit.is_written_within(ticket, AUDIT_PATIENCE)
    }

    /// How the audit log is, where there is one.
    pub(super) fn audit_condition(&self) -> Option<Condition> {
        self.audit.as_ref().map(|audit| audit.figures().condition)
    }

    /// Shows how the audit log is getting on.
    pub(super) fn show_audit(&self) {
        let Some(audit) = &self.audit else {
            return self.metrics.audit.show(0, 0, 0, AuditState::Off);
        };
        let Figures { records, lost, damage, condition } = audit.figures();
        let state = match condition {
            Condition::Well => AuditState::Ok,
            Condition::Waits => AuditState::Waiting,
            Condition::Unsynced => AuditState::Unsynced,
        };
        self.metrics.audit.show(records, lost, damage, state);
    }

    pub(super) fn connected(&self) {
        let now = self.totals.clients_connected.fetch_add(1, Ordering::Relaxed) + 1;
        self.totals.clients_maximum.fetch_max(now, Ordering::Relaxed);
    }

    pub(super) fn disconnected(&self) {
        self.totals.clients_connected.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn login(&self, method: LoginMethod, reason: ReasonCode) {
        let result = match reason {
            ReasonCode::Success => LoginResult::Accepted,
            ReasonCode::ServerBusy => LoginResult::Busy,
            ReasonCode::ConnectionRateExceeded => LoginResult::LockedOut,
            ReasonCode::Banned => LoginResult::Banned,
            _ => LoginResult::Refused,
        };
        self.metrics.logins.increment((method, result));
    }

    pub(super) fn dropped(&self, reason: DropReason, messages: usize) {
        if messages > 0 {
            self.metrics.messages_dropped.add(reason, messages as u64);
        }
    }

    pub(super) fn denied(&self, action: DeniedAction) {
        self.metrics.acl_decisions.add((action, AclDecision::Denied), 1);
    }

    /// Adds what a round was allowed, and forgets it there.
    pub(super) fn allowed(&self, action: DeniedAction, count: &mut u32) {
        if *count > 0 {
            let count = std::mem::take(count).into();
            self.metrics.acl_decisions.add((action, AclDecision::Allowed), count);
        }
    }

    /// Counts that a client broke the protocol, and says how.
    pub(super) fn fault(&self, reason: ReasonCode) -> ProtocolFault {
        let fault = match reason {
            ReasonCode::MalformedPacket => ProtocolFault::MalformedPacket,
            ReasonCode::ProtocolError => ProtocolFault::ProtocolError,
            ReasonCode::ReceiveMaximumExceeded => ProtocolFault::ReceiveMaximumExceeded,
            ReasonCode::TopicAliasInvalid => ProtocolFault::TopicAliasInvalid,
            ReasonCode::PacketTooLarge => ProtocolFault::PacketTooLarge,
            ReasonCode::KeepAliveTimeout => ProtocolFault::KeepAliveTimeout,
            _ => ProtocolFault::Other,
        };
        self.metrics.protocol_faults.increment(fault);
        fault
    }

    pub(super) fn bytes_received(&self, bytes: usize) {
        self.metrics.bytes_received.add((), bytes as u64);
    }

    pub(super) fn bytes_sent(&self, bytes: usize) {
        self.metrics.bytes_sent.add((), bytes as u64);
    }

    /// Adds what one round has received from a client of this version.
    pub(super) fn add_received(&self, round: Received, version: ProtocolVersion) {
        let metrics = &self.metrics;
        for (kind, count) in each_kind(&round.packets) {
            metrics.packets_received.add((kind, version), count);
        }
        for (qos, count) in each_qos(round.publishes) {
            metrics.publishes_received.add((qos, version), count);
        }
        for (qos, bytes) in each_qos(round.publish_bytes) {
            metrics.publish_bytes_received.add((qos, version), bytes);
        }
        if round.payload_bytes > 0 {
            self.totals.payloads_received.add(round.payload_bytes);
        }
    }

    /// Adds what one round has for a client of this version, and forgets it there.
    pub(super) fn add_sent(&self, round: &mut Output, version: ProtocolVersion) {
        let metrics = &self.metrics;
        for (kind, count) in each_kind(&std::mem::take(&mut round.sent)) {
            metrics.packets_sent.add((kind, version), count);
        }
        for (qos, count) in each_qos(std::mem::take(&mut round.published)) {
            metrics.publishes_sent.add((qos, version), count);
        }
        for (qos, bytes) in each_qos(std::mem::take(&mut round.published_bytes)) {
            metrics.publish_bytes_sent.add((qos, version), bytes);
        }
        let payload_bytes = std::mem::take(&mut round.payload_bytes);
        if payload_bytes > 0 {
            self.totals.payloads_sent.add(payload_bytes);
        }
    }
}

/// What there are any of, by the number of their type.
fn each_kind(counts: &[u32; 16]) -> impl Iterator<Item = (PacketKind, u64)> {
    let counts = (0u8..).zip(counts).filter(|(_, count)| **count > 0);
    counts
        .filter_map(|(kind, count)| Some((PacketKind::of_first_byte(kind << 4)?, (*count).into())))
}

fn each_qos<T: Into<u64>>(counts: [T; 3]) -> impl Iterator<Item = (QoS, u64)> {
    let all = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    all.into_iter().zip(counts.map(Into::into)).filter(|(_, count)| *count > 0)
}
