//! Connections that were refused before anybody said who they are, summed up by address for a second until
//! the sentinel is told of them: to watch a flood costs less than to make it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Broker;
use crate::sentinel::{Event, Kind};
use crate::telemetry::Refusal;

/// Addresses that are told apart within a second, each with every reason; those of others are summed up by
/// reason alone.
const MOST: usize = 1_024;

/// What was refused within this second.
#[derive(Debug, Default)]
pub(super) struct Knocks(Mutex<HashMap<Knock, Sum>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Knock {
    why: &'static str,
    address: Option<IpAddr>,
}

#[derive(Debug)]
struct Sum {
    /// Of the first of them.
    listener: Arc<str>,
    times: u32,
}

impl Knocks {
    fn add(&self, why: &'static str, address: Option<IpAddr>, listener: &Arc<str>, times: u32) {
        let mut sums = self.0.lock();
        let mut knock = Knock { why, address };
        if sums.len() >= MOST && !sums.contains_key(&knock) {
            knock.address = None;
        }
        let first = || Sum { listener: Arc::clone(listener), times: 0 };
        let sum = sums.entry(knock).or_insert_with(first);
        sum.times = sum.times.saturating_add(times);
    }

    /// An event for each reason and address.
    fn take(&self) -> impl Iterator<Item = Event> + use<> {
        std::mem::take(&mut *self.0.lock()).into_iter().map(|(Knock { why, address }, sum)| Event {
            address,
            listener: Some(sum.listener),
            times: sum.times,
            ..Event::new(Kind::ConnectionRefused, why)
        })
    }
}

impl Broker {
    /// The sentinel is to hear of so many connections that were refused before their clients said who they are.
    /// Whoever is banned was found before, and what the client has sent is told with how it ended.
    pub fn note_knocks(
        &self,
        why: Refusal,
        address: Option<IpAddr>,
        listener: &Arc<str>,
        times: u32,
    ) {
        if self.counts.watch.is_on() && !matches!(why, Refusal::Banned | Refusal::Protocol) {
            self.knocks.add(why.name(), address, listener, times);
        }
    }

    /// Tells the sentinel of all that it was not told of.
    pub(super) fn tell_knocks(&self) {
        self.knocks.take().for_each(|event| self.counts.observe(|| event));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn told(knocks: &Knocks) -> Vec<(&'static str, Option<IpAddr>, u32)> {
        let mut told: Vec<_> =
            knocks.take().map(|event| (event.reason, event.address, event.times)).collect();
        told.sort();
        told
    }

    #[test]
    fn what_is_refused_is_told_once_for_each_address_and_reason() {
        let (knocks, listener) = (Knocks::default(), "mqtt://".into());
        let address = |last| Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, last)));
        for _ in 0..500 {
            knocks.add("rate_of_address", address(1), &listener, 1);
        }
        // One that stands for others.
        knocks.add("rate_of_address", address(1), &listener, 500);
        knocks.add("tls_handshake", address(1), &listener, 1);
        knocks.add("tls_handshake", address(2), &listener, 1);
        let sums = [
            ("rate_of_address", address(1), 1_000),
            ("tls_handshake", address(1), 1),
            ("tls_handshake", address(2), 1),
        ];
        assert_eq!(told(&knocks), sums);
        assert_eq!(told(&knocks), []);
    }

    #[test]
    fn more_addresses_than_are_told_apart_take_no_more_memory_and_none_of_them_is_forgotten() {
        let (knocks, listener) = (Knocks::default(), "mqtt://".into());
        for bits in 0..100_000 {
            knocks.add("rate", Some(Ipv4Addr::from_bits(bits).into()), &listener, 1);
        }
        knocks.add("rate", Some(Ipv4Addr::from_bits(0).into()), &listener, 1);
        let told = told(&knocks);
        assert_eq!(told.len(), MOST + 1);
        assert_eq!(told.iter().map(|(.., times)| times).sum::<u32>(), 100_001);
        assert_eq!(told[0], ("rate", None, 100_000 - MOST as u32));
        assert!(told.contains(&("rate", Some(Ipv4Addr::from_bits(0).into()), 2)));
    }
}
