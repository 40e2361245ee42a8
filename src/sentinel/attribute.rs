//! What events are told apart by.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::Event;

/// Something that an event may have, and others have in common with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// Who it was.
    Principal,
    /// Its client identifier.
    Client,
    /// Its IP address.
    Address,
    /// The network that the address is in: /24 of IPv4, /56 of IPv6, which is what one customer has.
    Prefix,
    /// The URL of its listener.
    Listener,
    /// The topic.
    Topic,
    /// The first two levels of the topic.
    TopicClass,
}

impl Attribute {
    /// As rules write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Client => "client",
            Self::Address => "address",
            Self::Prefix => "prefix",
            Self::Listener => "listener",
            Self::Topic => "topic",
            Self::TopicClass => "topic_class",
        }
    }

    /// That of `event` as text, where it has it.
    #[must_use]
    pub fn of(self, event: &Event) -> Option<String> {
        match self {
            Self::Principal => event.principal.as_ref().map(ToString::to_string),
            Self::Client => event.client.as_ref().map(ToString::to_string),
            Self::Address => event.address.map(|it| it.to_string()),
            Self::Prefix => event.address.map(|it| match network_of(it) {
                IpAddr::V4(network) => format!("{network}/24"),
                IpAddr::V6(network) => format!("{network}/56"),
            }),
            Self::Listener => event.listener.as_deref().map(str::to_owned),
            Self::Topic => event.topic.as_deref().map(str::to_owned),
            Self::TopicClass => event.topic.as_deref().map(|it| topic_class(it).to_owned()),
        }
    }

    /// Adds that of `event` to `hasher`; says whether the event has it.
    pub(super) fn hash_of(self, event: &Event, hasher: &mut impl Hasher) -> bool {
        fn add(value: Option<impl Hash>, hasher: &mut impl Hasher) -> bool {
            value.is_some_and(|value| {
                value.hash(hasher);
                true
            })
        }
        match self {
            Self::Principal => add(event.principal.as_ref(), hasher),
            Self::Client => add(event.client.as_ref(), hasher),
            Self::Address => add(event.address, hasher),
            Self::Prefix => add(event.address.map(network_of), hasher),
            Self::Listener => add(event.listener.as_ref(), hasher),
            Self::Topic => add(event.topic.as_ref(), hasher),
            Self::TopicClass => add(event.topic.as_deref().map(topic_class), hasher),
        }
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 72 << 72).into(),
    }
}

/// The first two levels of `topic`.
#[must_use]
pub fn topic_class(topic: &str) -> &str {
    let end = topic.match_indices('/').nth(1).map_or(topic.len(), |(at, _)| at);
    topic.get(..end).unwrap_or(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_what_one_customer_has() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("192.0.2.77"), "192.0.2.0");
        assert_eq!(network("2001:db8:1:2345:6::7"), "2001:db8:1:2300::");
    }

    #[test]
    fn a_topic_class_has_two_levels_at_most() {
        for (topic, class) in [("a/b/c/d", "a/b"), ("a/b", "a/b"), ("a", "a"), ("/a/b", "/a")] {
            assert_eq!(topic_class(topic), class);
        }
    }
}
