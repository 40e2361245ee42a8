//! Any packet that a version can say. Borrowed parts are leaked: tests are short.

use std::num::{NonZeroU16, NonZeroU32};

use bastionmq::codec::{
    Ack, Auth, ConnAck, ConnAckProperties, Connect, ConnectProperties, Delivery, Disconnect,
    Packet, PacketId, Property, Publish, ReasonCode, RetainHandling, SubAck, Subscribe,
    SubscriptionOptions, Unsubscribe, UserProperties, Version, Will,
};
use bastionmq::message::QoS;
use bastionmq::topic::{TopicFilter, TopicNameRef};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::VERSIONS;

/// A packet, and the version of the connection that it is for.
pub(crate) fn versioned() -> impl Strategy<Value = (Version, Packet<'static>)> {
    select(&VERSIONS[..]).prop_flat_map(|version| (Just(version), packet(version)))
}

pub(crate) fn packet(version: Version) -> BoxedStrategy<Packet<'static>> {
    let both = prop_oneof![
        connect(version).prop_map(|connect| Packet::Connect(Box::new(connect))),
        connack(version).prop_map(|ack| Packet::ConnAck(Box::new(ack))),
        publish(version).prop_map(Packet::Publish),
        ack(version, PUBLISH_REASONS).prop_map(Packet::PubAck),
        ack(version, PUBLISH_REASONS).prop_map(Packet::PubRec),
        ack(version, RELEASE_REASONS).prop_map(Packet::PubRel),
        ack(version, RELEASE_REASONS).prop_map(Packet::PubComp),
        subscribe(version).prop_map(Packet::Subscribe),
        suback(version).prop_map(Packet::SubAck),
        unsubscribe(version).prop_map(Packet::Unsubscribe),
        unsuback(version).prop_map(Packet::UnsubAck),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        disconnect(version).prop_map(Packet::Disconnect),
    ];
    if version != Version::V5 {
        return both.boxed();
    }
    prop_oneof![14 => both, 1 => auth().prop_map(Packet::Auth)].boxed()
}

use ReasonCode::*;

const PUBLISH_REASONS: &[ReasonCode] =
    &[Success, NoMatchingSubscribers, NotAuthorized, QuotaExceeded];
const RELEASE_REASONS: &[ReasonCode] = &[Success, PacketIdentifierNotFound];

fn text() -> impl Strategy<Value = String> {
    "[^\\x00]{0,12}"
}

fn leaked_text() -> impl Strategy<Value = &'static str> {
    text().prop_map(|text| &*text.leak())
}

fn leaked_bytes(length: std::ops::Range<usize>) -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), length).prop_map(|bytes| &*bytes.leak())
}

fn topic() -> impl Strategy<Value = TopicNameRef<'static>> {
    "[^\\x00+#]{1,12}".prop_map(|text| TopicNameRef::parse(text.leak()).expect("a topic name"))
}

fn filter() -> impl Strategy<Value = TopicFilter> {
    let level = prop_oneof!["[^\\x00+#/$]{0,3}", Just("+".to_owned())];
    let share = option::of("[a-z]{1,4}");
    (share, vec(level, 0..4), any::<bool>()).prop_map(|(share, mut levels, hash)| {
        if hash || levels.join("/").is_empty() {
            levels.push("#".to_owned());
        }
        let share = share.map_or_else(String::new, |name| format!("$share/{name}/"));
        TopicFilter::parse(&format!("{share}{}", levels.join("/"))).expect("a topic filter")
    })
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    any::<NonZeroU16>()
}

/// `strategy` in 5.0 and the default before.
fn in_5<T, S>(version: Version, strategy: S) -> BoxedStrategy<T>
where
    T: Clone + Default + std::fmt::Debug + 'static,
    S: Strategy<Value = T> + 'static,
{
    if version == Version::V5 { strategy.boxed() } else { Just(T::default()).boxed() }
}

fn user_properties() -> impl Strategy<Value = UserProperties<'static>> {
    vec((text(), text()), 0..4).prop_map(|pairs| {
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    })
}

/// Any order, each at most once but for user properties.
fn forwarded() -> impl Strategy<Value = Vec<u8>> {
    let once = (
        option::of(0..=1u8),
        option::of(text()),
        option::of(topic()),
        option::of(leaked_bytes(0..9)),
    );
    let users = vec((text(), text()), 0..3);
    (once, users).prop_flat_map(|((format, content, response, correlation), users)| {
        let leak = |text: String| &*text.leak();
        let mut properties = Vec::new();
        properties.extend(format.map(Property::PayloadFormatIndicator));
        properties.extend(content.map(|text| Property::ContentType(leak(text))));
        properties.extend(response.map(|topic| Property::ResponseTopic(topic.as_str())));
        properties.extend(correlation.map(Property::CorrelationData));
        properties.extend(users.into_iter().map(|(n, v)| Property::User(leak(n), leak(v))));
        Just(properties).prop_shuffle().prop_map(Property::encode_all)
    })
}

fn will(version: Version) -> impl Strategy<Value = Will<'static>> {
    let message = (topic(), leaked_bytes(0..20), qos(), any::<bool>());
    let properties = in_5(version, (any::<Option<u32>>(), any::<Option<u32>>(), forwarded()));
    (message, properties).prop_map(
        |((topic, payload, qos, retain), (delay_interval, message_expiry_interval, properties))| {
            Will {
                topic,
                payload,
                qos,
                retain,
                delay_interval,
                message_expiry_interval,
                properties: properties.into(),
            }
        },
    )
}

fn connect(version: Version) -> impl Strategy<Value = Connect<'static>> {
    let least = usize::from(version != Version::V5);
    let client_id = format!("[^\\x00]{{{least},9}}").prop_map_leaked();
    let credentials = (option::of(leaked_text()), option::of(leaked_bytes(0..9)));
    let session = (any::<bool>(), any::<u16>(), client_id);
    let will = option::of(will(version));
    let properties = in_5(version, connect_properties());
    (session, credentials, will, properties).prop_map(
        move |((clean_start, keep_alive, client_id), (user_name, password), will, properties)| {
            let password = password.filter(|_| version == Version::V5 || user_name.is_some());
            Connect {
                version,
                clean_start,
                keep_alive,
                client_id,
                will,
                user_name,
                password,
                properties,
            }
        },
    )
}

trait Pattern {
    fn prop_map_leaked(self) -> BoxedStrategy<&'static str>;
}

impl Pattern for String {
    fn prop_map_leaked(self) -> BoxedStrategy<&'static str> {
        proptest::string::string_regex(&self)
            .expect("a pattern")
            .prop_map(|text| &*text.leak())
            .boxed()
    }
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties<'static>> {
    let limits = any::<(Option<u32>, Option<NonZeroU16>, Option<NonZeroU32>, Option<u16>)>();
    let asks = any::<(Option<bool>, Option<bool>)>();
    let method = option::of((leaked_text(), option::of(leaked_bytes(0..9))));
    (limits, asks, user_properties(), method).prop_map(|(limits, asks, user_properties, method)| {
        ConnectProperties {
            session_expiry_interval: limits.0,
            receive_maximum: limits.1,
            maximum_packet_size: limits.2,
            topic_alias_maximum: limits.3,
            request_response_information: asks.0,
            request_problem_information: asks.1,
            user_properties,
            authentication_method: method.map(|(method, _)| method),
            authentication_data: method.and_then(|(_, data)| data),
        }
    })
}

fn connack(version: Version) -> impl Strategy<Value = ConnAck<'static>> {
    let reasons = match version {
        Version::V5 => vec![Success, ProtocolError, Banned, QuotaExceeded, ConnectionRateExceeded],
        _ => vec![
            Success,
            UnsupportedProtocolVersion,
            ClientIdentifierNotValid,
            ServerUnavailable,
            BadUserNameOrPassword,
            NotAuthorized,
        ],
    };
    let properties = in_5(version, connack_properties());
    (any::<bool>(), select(reasons), properties).prop_map(move |(session, reason, properties)| {
        let session_present = session && version != Version::V31 && reason == Success;
        ConnAck { session_present, reason, properties }
    })
}

fn connack_properties() -> impl Strategy<Value = ConnAckProperties<'static>> {
    let limits = any::<(Option<u32>, Option<NonZeroU16>, Option<NonZeroU32>, Option<u16>)>();
    let maximum_qos = option::of(select(vec![QoS::AtMostOnce, QoS::AtLeastOnce]));
    let available = any::<(Option<bool>, Option<bool>, Option<bool>, Option<bool>)>();
    let texts = vec(option::of(text()), 5);
    let data = option::of(vec(any::<u8>(), 0..9));
    (limits, maximum_qos, available, any::<Option<u16>>(), texts, data, user_properties()).prop_map(
        |(limits, maximum_qos, available, server_keep_alive, texts, data, user_properties)| {
            let mut texts = texts.into_iter().map(|text| text.map(Into::into));
            let mut next = || texts.next().flatten();
            ConnAckProperties {
                session_expiry_interval: limits.0,
                receive_maximum: limits.1,
                maximum_qos,
                retain_available: available.0,
                maximum_packet_size: limits.2,
                assigned_client_identifier: next(),
                topic_alias_maximum: limits.3,
                reason_string: next(),
                user_properties,
                wildcard_subscription_available: available.1,
                subscription_identifiers_available: available.2,
                shared_subscription_available: available.3,
                server_keep_alive,
                response_information: next(),
                server_reference: next(),
                authentication_method: next(),
                authentication_data: data.map(Into::into),
            }
        },
    )
}

fn delivery() -> impl Strategy<Value = (bool, Delivery)> {
    (any::<bool>(), qos(), packet_id()).prop_map(|(dup, qos, id)| match qos {
        QoS::AtMostOnce => (false, Delivery::AtMostOnce),
        QoS::AtLeastOnce => (dup, Delivery::AtLeastOnce(id)),
        QoS::ExactlyOnce => (dup, Delivery::ExactlyOnce(id)),
    })
}

pub(crate) fn publish(version: Version) -> impl Strategy<Value = Publish<'static>> {
    let ids = vec(1..=268_435_455u32, 0..4);
    let alias = any::<(Option<NonZeroU16>, bool)>();
    let properties = in_5(version, (any::<Option<u32>>(), ids, alias, forwarded()));
    (delivery(), any::<bool>(), topic(), leaked_bytes(0..300), properties).prop_map(
        |((dup, delivery), retain, topic, payload, (expiry, ids, alias, properties))| {
            let (topic_alias, hide_topic) = alias;
            Publish {
                dup,
                delivery,
                retain,
                topic: (!hide_topic || topic_alias.is_none()).then_some(topic),
                topic_alias,
                message_expiry_interval: expiry,
                subscription_ids: ids.into(),
                properties: properties.into(),
                payload,
            }
        },
    )
}

type Explanation = (Option<String>, UserProperties<'static>);

fn explanation(version: Version) -> BoxedStrategy<Explanation> {
    in_5(version, (option::of(text()), user_properties()))
}

fn ack(version: Version, reasons: &'static [ReasonCode]) -> impl Strategy<Value = Ack<'static>> {
    let reasons = if version == Version::V5 { reasons } else { &reasons[..1] };
    (packet_id(), select(reasons), explanation(version)).prop_map(
        |(packet_id, reason, (reason_string, user_properties))| Ack {
            packet_id,
            reason,
            reason_string: reason_string.map(Into::into),
            user_properties,
        },
    )
}

fn options(version: Version) -> impl Strategy<Value = SubscriptionOptions> {
    let handling =
        select(vec![RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend]);
    let new = in_5(version, (any::<bool>(), any::<bool>(), handling));
    (qos(), new).prop_map(|(maximum_qos, (no_local, retain_as_published, retain_handling))| {
        SubscriptionOptions { maximum_qos, no_local, retain_as_published, retain_handling }
    })
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe<'static>> {
    let subscription_id = in_5(version, option::of(1..=268_435_455u32));
    let filters = vec((filter(), options(version)), 1..5);
    (packet_id(), subscription_id, in_5(version, user_properties()), filters).prop_map(
        |(packet_id, subscription_id, user_properties, mut filters)| {
            for (filter, options) in &mut filters {
                options.no_local &= filter.borrowed().share().is_none();
            }
            Subscribe {
                packet_id,
                subscription_id: subscription_id.and_then(NonZeroU32::new),
                user_properties,
                filters: filters.iter().map(|(f, options)| (f.borrowed(), *options)).collect(),
            }
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe<'static>> {
    (packet_id(), in_5(version, user_properties()), vec(filter(), 1..5)).prop_map(
        |(packet_id, user_properties, filters)| Unsubscribe {
            packet_id,
            user_properties,
            filters: filters.iter().map(TopicFilter::borrowed).collect(),
        },
    )
}

fn suback(version: Version) -> impl Strategy<Value = SubAck<'static>> {
    let reasons = match version {
        Version::V5 => vec![Success, GrantedQoS1, GrantedQoS2, NotAuthorized, TopicFilterInvalid],
        _ => vec![Success, GrantedQoS1, GrantedQoS2, UnspecifiedError],
    };
    acknowledged(version, vec(select(reasons), 1..5))
}

fn unsuback(version: Version) -> impl Strategy<Value = SubAck<'static>> {
    let reasons = select(vec![Success, NoSubscriptionExisted, NotAuthorized]);
    acknowledged(version, in_5(version, vec(reasons, 1..5)))
}

fn acknowledged(
    version: Version,
    reasons: impl Strategy<Value = Vec<ReasonCode>>,
) -> impl Strategy<Value = SubAck<'static>> {
    (packet_id(), reasons, explanation(version)).prop_map(
        |(packet_id, reasons, (reason_string, user_properties))| SubAck {
            packet_id,
            reasons: reasons.into(),
            reason_string: reason_string.map(Into::into),
            user_properties,
        },
    )
}

fn disconnect(version: Version) -> impl Strategy<Value = Disconnect<'static>> {
    let reasons = match version {
        Version::V5 => vec![Success, DisconnectWithWill, KeepAliveTimeout, ServerMoved],
        _ => vec![Success],
    };
    let properties = in_5(version, (any::<Option<u32>>(), option::of(text())));
    (select(reasons), properties, explanation(version)).prop_map(
        |(reason, (session_expiry_interval, reference), (reason_string, user_properties))| {
            Disconnect {
                reason,
                session_expiry_interval,
                reason_string: reason_string.map(Into::into),
                user_properties,
                server_reference: reference.map(Into::into),
            }
        },
    )
}

fn auth() -> impl Strategy<Value = Auth<'static>> {
    let reason = select(vec![Success, ContinueAuthentication, ReAuthenticate]);
    let data = option::of(vec(any::<u8>(), 0..9));
    (reason, text(), data, explanation(Version::V5)).prop_map(
        |(reason, method, data, (reason_string, user_properties))| Auth {
            reason_string: reason_string.map(Into::into),
            user_properties,
            ..Auth::new(reason, method, data.map(Into::into))
        },
    )
}
