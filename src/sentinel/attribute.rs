//! What events are told apart by.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::Event;
use crate::identity::Network;

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
            Self::Prefix => event.address.map(|it| Network::of_customer(it).to_string()),
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
            Self::Prefix => add(event.address.map(Network::of_customer), hasher),
            Self::Listener => add(event.listener.as_ref(), hasher),
            Self::Topic => add(event.topic.as_ref(), hasher),
            Self::TopicClass => add(event.topic.as_deref().map(topic_class), hasher),
        }
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
    fn a_topic_class_has_two_levels_at_most() {
        for (topic, class) in [("a/b/c/d", "a/b"), ("a/b", "a/b"), ("a", "a"), ("/a/b", "/a")] {
            assert_eq!(topic_class(topic), class);
        }
    }
}
