//! What the broker counts, for Prometheus and the few numbers that `$SYS` shows, and what it writes down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::audit::{AuditLog, Event};
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::message::QoS;
use crate::session::Output;
use crate::telemetry::{
    DeniedAction, DropReason, LoginMethod, LoginResult, Metrics, PacketKind, ProtocolFault,
};

/// The counters of one broker. Connections add to them once per round, not per message.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) metrics: Arc<Metrics>,
    audit: Option<Arc<AuditLog>>,
    pub(super) totals: Totals,
}

/// What `$SYS` shows, and what has to be read back.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) clients_connected: AtomicU64,
    pub(super) clients_maximum: AtomicU64,
    pub(super) packets_received: AtomicU64,
    pub(super) packets_sent: AtomicU64,
    pub(super) publishes_received: AtomicU64,
    pub(super) publishes_sent: AtomicU64,
    pub(super) publishes_dropped: AtomicU64,
    pub(super) bytes_received: AtomicU64,
    pub(super) bytes_sent: AtomicU64,
}

/// What one connection has received in this round.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// By packet type.
    pub(super) packets: [u32; 16],
    /// By QoS.
    pub(super) publishes: [u32; 3],
}

impl Counts {
    pub(super) fn new(metrics: Arc<Metrics>, audit: Option<Arc<AuditLog>>) -> Self {
        Self { metrics, audit, totals: Totals::default() }
    }

    /// Has the audit log written, where there is one.
    pub(super) fn audit(&self, event: impl FnOnce() -> Event) {
        if let Some(audit) = &self.audit {
            audit.record(Now::read(), event());
        }
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
            self.totals.publishes_dropped.fetch_add(messages as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn denied(&self, action: DeniedAction) {
        self.metrics.acl_denied.increment(action);
    }

    pub(super) fn fault(&self, reason: ReasonCode) {
        self.metrics.protocol_faults.increment(match reason {
            ReasonCode::MalformedPacket => ProtocolFault::MalformedPacket,
            ReasonCode::ProtocolError => ProtocolFault::ProtocolError,
            ReasonCode::ReceiveMaximumExceeded => ProtocolFault::ReceiveMaximumExceeded,
            ReasonCode::TopicAliasInvalid => ProtocolFault::TopicAliasInvalid,
            ReasonCode::PacketTooLarge => ProtocolFault::PacketTooLarge,
            ReasonCode::KeepAliveTimeout => ProtocolFault::KeepAliveTimeout,
            _ => ProtocolFault::Other,
        });
    }

    pub(super) fn bytes_received(&self, bytes: usize) {
        self.metrics.bytes_received.increment(bytes as u64);
        self.totals.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn bytes_sent(&self, bytes: usize) {
        self.metrics.bytes_sent.increment(bytes as u64);
        self.totals.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Adds what one round has received.
    pub(super) fn add_received(&self, mut round: Received) {
        let packets = each_kind(&mut round.packets, |kind, count| {
            self.metrics.packets_received.add(kind, count);
        });
        let publishes = each_qos(&mut round.publishes, |qos, count| {
            self.metrics.publishes_received.add(qos, count);
        });
        add(&self.totals.packets_received, packets);
        add(&self.totals.publishes_received, publishes);
    }

    /// Adds what one round has sent, and forgets it there.
    pub(super) fn add_sent(&self, round: &mut Output) {
        let packets =
            each_kind(&mut round.sent, |kind, count| self.metrics.packets_sent.add(kind, count));
        let publishes = each_qos(&mut round.published, |qos, count| {
            self.metrics.publishes_sent.add(qos, count)
        });
        add(&self.totals.packets_sent, packets);
        add(&self.totals.publishes_sent, publishes);
    }
}

fn each_kind(counts: &mut [u32; 16], add: impl Fn(PacketKind, u64)) -> u64 {
    let mut sum = 0;
    for (kind, count) in (0u8..).zip(counts.iter_mut()).filter(|(_, count)| **count > 0) {
        let count = u64::from(std::mem::take(count));
        sum += count;
        if let Some(kind) = PacketKind::of_first_byte(kind << 4) {
            add(kind, count);
        }
    }
    sum
}

fn each_qos(counts: &mut [u32; 3], add: impl Fn(QoS, u64)) -> u64 {
    let all = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    let mut sum = 0;
    for (qos, count) in all.into_iter().zip(counts).filter(|(_, count)| **count > 0) {
        let count = u64::from(std::mem::take(count));
        sum += count;
        add(qos, count);
    }
    sum
}

fn add(total: &AtomicU64, count: u64) {
    if count > 0 {
        total.fetch_add(count, Ordering::Relaxed);
    }
}
