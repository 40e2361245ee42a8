//! `$SYS`: the broker about itself, as messages, retained where any are, under the names that Mosquitto gave them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::{Interval, MissedTickBehavior};

use super::Broker;
use super::load::{self, Loads};
use crate::message::{Message, QoS};
use crate::telemetry::PacketKind;
use crate::topic::TopicName;

/// When `$SYS` is due, never where it is off; and what it tells of the time before.
pub(super) struct Sys {
    interval: Option<Interval>,
    pub(super) loads: Loads,
}

impl Sys {
    pub(super) async fn tick(&mut self) {
        match &mut self.interval {
            Some(interval) => {
                interval.tick().await;
            }
            None => std::future::pending().await,
        }
    }
}

impl Broker {
    pub(super) fn sys(&self) -> Sys {
        let seconds = u64::from(self.settings.sys_interval_seconds);
        let interval = (seconds > 0).then(|| {
            let mut interval = tokio::time::interval(Duration::from_secs(seconds));
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Sys { interval, loads: Loads::default() }
    }

    pub(super) fn publish_sys(&self, loads: &mut Loads) {
        self.publish_value("version", concat!("BastionMQ ", env!("CARGO_PKG_VERSION")));
        self.publish_value("uptime", &format!("{} seconds", self.started.elapsed().as_secs()));
        for (name, value) in self.sys_of_now().into_iter().chain(self.sys_since_start()) {
            self.publish_value(name, &value.to_string());
        }
        loads.update(Instant::now(), self.sys_load());
        for (name, value) in loads.each() {
            self.publish_value(&name, &value);
        }
    }

    /// What there is now.
    fn sys_of_now(&self) -> [(&'static str, u64); 9] {
        let connected = self.counts.totals.clients_connected.load(Ordering::Relaxed);
        let sessions = self.registry.len() as u64;
        let away = sessions.saturating_sub(connected);
        let (plain, shared) = self.routes.plain_and_shared();
        let (retained, _) = self.retained.size();
        [
            ("clients/connected", connected),
            ("clients/active", connected),
            ("clients/inactive", away),
            ("clients/disconnected", away),
            ("clients/total", sessions),
            ("messages/inflight", self.counts.metrics.in_flight.value()),
            ("subscriptions/count", plain as u64),
            ("shared_subscriptions/count", shared as u64),
            ("retained messages/count", retained as u64),
        ]
    }

    /// What there has been since the start.
    fn sys_since_start(&self) -> [(&'static str, u64); 11] {
        let (totals, metrics) = (&self.counts.totals, &self.counts.metrics);
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("clients/maximum", total(&totals.clients_maximum)),
            ("clients/expired", total(&totals.sessions_expired)),
            ("messages/received", metrics.packets_received.total()),
            ("messages/sent", metrics.packets_sent.total()),
            ("publish/messages/received", metrics.publishes_received.total()),
            ("publish/messages/sent", metrics.publishes_sent.total()),
            ("publish/messages/dropped", metrics.messages_dropped.total()),
            ("publish/bytes/received", totals.payloads_received.value()),
            ("publish/bytes/sent", totals.payloads_sent.value()),
            ("bytes/received", metrics.bytes_received.total()),
            ("bytes/sent", metrics.bytes_sent.total()),
        ]
    }

    fn sys_load(&self) -> load::Totals {
        let metrics = &self.counts.metrics;
        [
            metrics.packets_received.total(),
            metrics.packets_sent.total(),
            metrics.messages_dropped.total(),
            metrics.publishes_received.total(),
            metrics.publishes_sent.total(),
            metrics.bytes_received.total(),
            metrics.bytes_sent.total(),
            metrics.connections_accepted.value(),
            metrics.packets_received.total_of(|(kind, _)| kind == PacketKind::Connect),
        ]
    }

    fn publish_value(&self, name: &str, value: &str) {
        let Ok(topic) = TopicName::parse(&format!("$SYS/broker/{name}")) else { return };
        self.publish_directly(&Arc::new(Message {
            topic,
            payload: Bytes::copy_from_slice(value.as_bytes()),
            properties: Bytes::new(),
            qos: QoS::AtMostOnce,
            retain: self.live.mqtt.load().retain_available,
            expiry: None,
            arrived: None,
            publisher: None,
            trace: None,
        }));
    }
}
