//! A subscriber that keeps changing its mind, and what it was told that it has subscribed to.

use crate::device::{Device, Event};
use crate::harness::Broker;
use crate::harness::raw::{
    PUBACK, PUBLISH, UNSUBSCRIBE, data, packet, properties, publish_with, subscribe,
};
use crate::network::Network;
use crate::place::{VERSION, client};
use crate::random::Random;

const FILTERS: usize = 10;
/// Changes in one round.
const CHANGES: u64 = 20;
/// The reason code of a message that nobody has subscribed to.
const NO_SUBSCRIBER: u8 = 0x10;

/// The subscriber.
#[derive(Debug)]
pub(crate) struct Chooser {
    device: Device,
    random: Random,
    /// Whether it has subscribed to each of its filters, as far as it was told.
    has_subscribed: [Option<bool>; FILTERS],
}

impl Chooser {
    pub(crate) fn new(id: &str, random: Random) -> Self {
        Self { device: Device::new(id, VERSION), random, has_subscribed: [Some(false); FILTERS] }
    }

    fn topic(&self, number: usize) -> String {
        format!("{}/{number}", self.device.id())
    }

    /// Subscribes to this, unsubscribes from that.
    pub(crate) fn work(&mut self, network: &Network) {
        let topics: Vec<_> = (0..FILTERS).map(|number| self.topic(number)).collect();
        let Some(mut visit) = self.device.visit(network) else { return };
        for change in 0..CHANGES {
            let number = self.random.below(FILTERS as u64) as usize;
            let subscribes = self.random.once_in(2);
            let id = change as u16 + 1;
            self.has_subscribed[number] = None;
            visit.send(&match subscribes {
                true => subscribe(VERSION, id, &topics[number], 1),
                false => unsubscribe(id, &topics[number]),
            });
            loop {
                match visit.next() {
                    None => return,
                    Some(Event::Answer(_)) => break,
                    Some(_) => {}
                }
            }
            self.has_subscribed[number] = Some(subscribes);
        }
        while visit.next().is_some() {}
    }

    /// Fails unless the broker has what it told to have. From here on it is what it has.
    pub(crate) fn check(&mut self, broker: &Broker) {
        let mut asker = client(broker, "asker");
        for number in 0..FILTERS {
            let topic = self.topic(number);
            asker.send(&publish_with(VERSION, PUBLISH | 1 << 1, &topic, Some(1), &[], b""));
            let found = asker.expect(PUBACK).acknowledged().1 != NO_SUBSCRIBER;
            let told = self.has_subscribed[number].replace(found);
            assert_eq!(told.unwrap_or(found), found, "whether {topic} is subscribed to");
        }
    }
}

fn unsubscribe(id: u16, filter: &str) -> Vec<u8> {
    let body = [&id.to_be_bytes(), &properties(VERSION, &[])[..], &data(filter)].concat();
    packet(UNSUBSCRIBE, &body)
}
