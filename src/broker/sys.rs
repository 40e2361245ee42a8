//! `$SYS`: the broker about itself, as messages, retained where any are, under the names that Mosquitto gave them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Interval, MissedTickBehavior};

use super::Broker;
use crate::message::{Message, QoS};
use crate::topic::TopicName;

/// When `$SYS` is due; never, where it is off.
pub(super) struct SysInterval(Option<Interval>);

impl SysInterval {
    pub(super) async fn tick(&mut self) {
        match &mut self.0 {
            Some(interval) => {
                interval.tick().await;
            }
            None => std::future::pending().await,
        }
    }
}

impl Broker {
    pub(super) fn sys_interval(&self) -> SysInterval {
        let seconds = u64::from(self.settings.sys_interval_seconds);
        let interval = (seconds > 0).then(|| {
            let mut interval = tokio::time::interval(Duration::from_secs(seconds));
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        SysInterval(interval)
    }

    pub(super) fn publish_sys(&self) {
        let (totals, metrics) = (&self.counts.totals, &self.counts.metrics);
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed).to_string();
        let connected = totals.clients_connected.load(Ordering::Relaxed);
        let sessions = self.registry.len() as u64;
        let (retained, _) = self.retained.size();
        let values = [
            ("version", concat!("BastionMQ ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("uptime", format!("{} seconds", self.started.elapsed().as_secs())),
            ("clients/connected", connected.to_string()),
            ("clients/active", connected.to_string()),
            ("clients/inactive", sessions.saturating_sub(connected).to_string()),
            ("clients/disconnected", sessions.saturating_sub(connected).to_string()),
            ("clients/total", sessions.to_string()),
            ("clients/maximum", total(&totals.clients_maximum)),
            ("messages/received", metrics.packets_received.total().to_string()),
            ("messages/sent", metrics.packets_sent.total().to_string()),
            ("publish/messages/received", metrics.publishes_received.total().to_string()),
            ("publish/messages/sent", metrics.publishes_sent.total().to_string()),
            ("publish/messages/dropped", metrics.messages_dropped.total().to_string()),
            ("bytes/received", metrics.bytes_received.total().to_string()),
            ("bytes/sent", metrics.bytes_sent.total().to_string()),
            ("subscriptions/count", self.routes.len().to_string()),
            ("retained messages/count", retained.to_string()),
        ];
        for (name, value) in values {
            self.publish_value(name, value);
        }
    }

    fn publish_value(&self, name: &str, value: String) {
        let Ok(topic) = TopicName::parse(&format!("$SYS/broker/{name}")) else { return };
        self.publish_directly(&Arc::new(Message {
            topic,
            payload: Bytes::from(value),
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
