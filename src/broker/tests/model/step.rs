//! What may happen next: the steps that proptest puts in a row.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::oracle::{Rules, Subscription, Will};
use crate::codec::{RetainHandling, SubscriptionOptions, Version};
use crate::message::QoS;

/// The number of a client; it is its place in the world, too.
pub(super) type Name = usize;

/// One of 3.1.1 among those of 5.0.
pub(super) const VERSIONS: [Version; 4] = [Version::V5, Version::V5, Version::V5, Version::V311];

/// Few, so that subscriptions, retained messages and rules meet on them.
pub(super) const TOPICS: [&str; 5] = ["a/x", "a/y", "b/x", "secret/a", "job/1"];

/// Plain and shared filters that overlap.
const FILTERS: [&str; 10] = [
    "a/x",
    "a/+",
    "+/x",
    "#",
    "secret/a",
    "secret/#",
    "$share/g/job/+",
    "$share/g/#",
    "$share/h/a/+",
    "$share/g/secret/#",
];

/// What comes with a RETAIN flag for one of these was published so, since they get no retained
/// messages; for the others, it was retained: nobody could tell the two apart otherwise.
const AS_PUBLISHED: [&str; 2] = ["+/x", "secret/#"];

/// 3.1.1 has no subscription identifiers that tell the copy of a share from one of its own: plain
/// and shared filters do not overlap.
const FILTERS_OF_3: [&str; 4] = ["a/x", "a/+", "secret/a", "$share/g/job/+"];

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The client connects; where it is connected, the new connection takes over.
    Connect(Name, Hello),
    /// Its connection ends.
    End(Name, Ending),
    Subscribe(Name, &'static str, Subscription),
    Unsubscribe(Name, &'static str),
    Publish(Name, Content),
    /// The broker sends what it may, and the client reads so many packets.
    Read(Name, usize),
    /// The client sends the oldest answer of a kind: see `Peer::answers`.
    Answer(Name, usize),
    /// Other rules are put in force.
    Reload(Rules),
    /// So many seconds pass.
    Pass(u64),
}

/// A CONNECT.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hello {
    pub(super) clean_start: bool,
    /// Seconds; 5.0 alone.
    pub(super) expiry: u32,
    pub(super) will: Option<Will>,
    /// 5.0 alone.
    pub(super) receive_maximum: u16,
}

/// How a connection ends, but for a take-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The network loses it.
    Lost,
    /// The client breaks the protocol.
    Violation,
    /// DISCONNECT; with another session expiry where there is one.
    Disconnect(Option<u32>),
    /// DISCONNECT with will, which 3.1.1 does not have: it loses the connection.
    DisconnectWithWill,
}

/// What a message says, and how it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    pub(super) topic: &'static str,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// No payload: as a retained message, it removes the earlier one.
    pub(super) is_empty: bool,
    /// Seconds; 5.0 alone.
    pub(super) expiry: Option<u64>,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let name = || 0..VERSIONS.len();
    prop_oneof![
        6 => (name(), hello()).prop_map(|(name, hello)| Step::Connect(name, hello)),
        2 => (name(), ending()).prop_map(|(name, ending)| Step::End(name, ending)),
        8 => name().prop_flat_map(subscribe),
        2 => name().prop_flat_map(|name| filter(name).prop_map(move |it| Step::Unsubscribe(name, it))),
        16 => (name(), content()).prop_map(|(name, content)| Step::Publish(name, content)),
        12 => (name(), 0..6usize).prop_map(|(name, count)| Step::Read(name, count)),
        12 => (name(), 0..4usize).prop_map(|(name, kind)| Step::Answer(name, kind)),
        2 => rules().prop_map(Step::Reload),
        3 => (0..15u64).prop_map(Step::Pass),
    ]
}

/// Everybody is there from the beginning; what comes may end that.
pub(super) fn hello() -> impl Strategy<Value = Hello> {
    let expiry = select(vec![0, 10, 10, 3_600, u32::MAX]);
    let parts = (prop::bool::weighted(0.2), expiry, option::of(will()), 1..4u16);
    parts.prop_map(|(clean_start, expiry, will, receive_maximum)| Hello {
        clean_start,
        expiry,
        will,
        receive_maximum,
    })
}

fn will() -> impl Strategy<Value = Will> {
    (content(), select(vec![0, 0, 5, 30])).prop_map(|(content, delay)| Will { content, delay })
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        3 => Just(Ending::Lost),
        1 => Just(Ending::Violation),
        2 => option::of(select(vec![0, 5, 3_600])).prop_map(Ending::Disconnect),
        1 => Just(Ending::DisconnectWithWill),
    ]
}

fn filter(name: Name) -> impl Strategy<Value = &'static str> {
    match VERSIONS[name] {
        Version::V5 => select(&FILTERS[..]),
        _ => select(&FILTERS_OF_3[..]),
    }
}

fn subscribe(name: Name) -> impl Strategy<Value = Step> {
    let handling =
        select(vec![RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend]);
    (filter(name), qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(filter, maximum_qos, no_local, retain_as_published, retain_handling)| {
            let is_shared = filter.starts_with("$share/");
            let is_as_published = AS_PUBLISHED.contains(&filter);
            let options = match VERSIONS[name] {
                Version::V5 => SubscriptionOptions {
                    maximum_qos,
                    no_local: no_local && !is_shared,
                    retain_as_published: retain_as_published && (is_shared || is_as_published),
                    retain_handling: match is_as_published {
                        true => RetainHandling::DoNotSend,
                        false => retain_handling,
                    },
                },
                _ => SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() },
            };
            Step::Subscribe(name, filter, Subscription { options, id: None })
        },
    )
}

fn content() -> impl Strategy<Value = Content> {
    let expiry = option::weighted(0.2, 1..10u64);
    let parts = (select(&TOPICS[..]), qos(), any::<bool>(), prop::bool::weighted(0.1), expiry);
    parts.prop_map(|(topic, qos, retain, is_empty, expiry)| match is_empty {
        // It carries no number to tell it by: nobody waits for it.
        true => Content { topic, qos: QoS::AtMostOnce, retain: true, is_empty, expiry: None },
        false => Content { topic, qos, retain, is_empty, expiry },
    })
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn rules() -> impl Strategy<Value = Rules> {
    select(vec![Rules::Open, Rules::Open, Rules::NoSecrets, Rules::Unreadable, Rules::OneIsBlind])
}
