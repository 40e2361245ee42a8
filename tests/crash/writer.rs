//! Publishers whose messages are numbered in each of their topics.

use crate::device::{Device, Event, Outgoing};
use crate::network::Network;
use crate::random::Random;

/// Messages that wait for their acknowledgement at once.
const WINDOW: usize = 20;

/// Publishes the messages of each topic in their order, and never gives one up.
#[derive(Debug)]
pub(crate) struct Writer {
    device: Device,
    topics: Vec<Numbered>,
    random: Random,
}

/// A topic.
#[derive(Clone, Debug)]
pub(crate) struct Numbered {
    pub(crate) topic: String,
    pub(crate) qos: u8,
    /// Messages that were published to it.
    pub(crate) count: u64,
}

impl Writer {
    /// A topic of its own for each of `levels` of QoS.
    pub(crate) fn new(device: Device, levels: &[u8], random: Random) -> Self {
        let topic = |qos: &u8| format!("m/{}/{qos}", device.id());
        let topics = levels.iter().map(|qos| Numbered { topic: topic(qos), qos: *qos, count: 0 });
        Self { topics: topics.collect(), device, random }
    }

    /// What it has published so far.
    pub(crate) fn topics(&self) -> &[Numbered] {
        &self.topics
    }

    /// Publishes `quota` messages, or as many as it gets to.
    pub(crate) fn work(&mut self, network: &Network, quota: u64) {
        let mut left = quota;
        let Some(mut visit) = self.device.visit(network) else { return };
        loop {
            while left > 0 && visit.in_flight() < WINDOW {
                visit.publish(next_message(&mut self.topics, &mut self.random));
                left -= 1;
            }
            if visit.in_flight() == 0 {
                network.note_idle();
            }
            if visit.next().is_none() {
                return;
            }
        }
    }

    /// Waits until all that it has published is acknowledged.
    pub(crate) fn finish(&mut self, network: &Network) {
        let mut visit = self.device.visit(network).expect("the broker stays");
        while visit.in_flight() > 0 {
            assert!(!matches!(visit.next().expect("the broker stays"), Event::Answer(_)));
        }
        visit.leave();
    }
}

fn next_message(topics: &mut [Numbered], random: &mut Random) -> Outgoing {
    let chosen = random.below(topics.len() as u64) as usize;
    let Numbered { topic, qos, count } = &mut topics[chosen];
    // Some take far more room than what is remembered of one that is on disk alone.
    let most = if random.once_in(4) { 4_000 } else { 300 };
    let payload = format!("{count} {}", "x".repeat(random.below(most) as usize)).into_bytes();
    *count += 1;
    Outgoing { topic: topic.clone(), payload, qos: *qos }
}
