//! The values of the packets in `tests/packets/good.toml`, by their names.

use std::num::{NonZeroU16, NonZeroU32};

use bastionmq::codec::{
    Ack, Auth, ConnAck, ConnAckProperties, Connect, ConnectProperties, Delivery, Disconnect,
    Packet, PacketId, Property, Publish, ReasonCode, RetainHandling, SubAck, Subscribe,
    SubscribeFilters, SubscriptionOptions, Unsubscribe, UserProperties, Version, Will,
};
use bastionmq::message::QoS;
use bastionmq::topic::{TopicFilterRef, TopicNameRef};

/// In the order of the file.
pub(crate) const NAMES: [&str; 60] = [
    "connect_31",
    "connect_31_user_name_announced_and_missing",
    "connect_31_password_announced_and_missing",
    "connect_311",
    "connect_311_kept_session",
    "connect_311_without_client_id",
    "connect_311_full",
    "connect_311_overlong_length",
    "connect_5",
    "connect_5_without_client_id_kept",
    "connect_5_password_alone",
    "connect_5_full",
    "connect_5_properties_in_any_order",
    "connect_5_empty_will_payload",
    "connect_5_byte_order_mark",
    "connack_accepted_31",
    "connack_reserved_byte_31",
    "connack_session_present_311",
    "connack_not_authorized_3",
    "connack_5",
    "connack_5_full",
    "connack_5_refused",
    "publish_qos_0",
    "publish_qos_1_again",
    "publish_qos_2_retained",
    "publish_without_payload",
    "publish_5",
    "publish_5_full",
    "publish_5_alias_for_topic",
    "publish_5_properties_parted",
    "puback",
    "pubrec",
    "pubrel",
    "pubrel_again_31",
    "pubcomp",
    "puback_5_reason",
    "puback_5_success_spelled_out",
    "puback_5_no_properties_spelled_out",
    "puback_5_full",
    "pubrel_5_not_found",
    "subscribe_3",
    "subscribe_again_31",
    "subscribe_5",
    "subscribe_5_full",
    "suback_3",
    "suback_5",
    "suback_5_full",
    "unsubscribe_3",
    "unsubscribe_again_31",
    "unsubscribe_5",
    "unsuback_3",
    "unsuback_5",
    "pingreq",
    "pingresp",
    "disconnect",
    "disconnect_5_success_spelled_out",
    "disconnect_5_with_will",
    "disconnect_5_full",
    "auth_success",
    "auth_continue",
];

pub(crate) fn value(name: &str) -> Packet<'static> {
    match name.split('_').next() {
        Some("connect") => Packet::Connect(Box::new(connect(name))),
        Some("connack") => Packet::ConnAck(Box::new(connack(name))),
        Some("publish") => Packet::Publish(publish(name)),
        Some("puback" | "pubrec" | "pubrel" | "pubcomp") => ack(name),
        Some("subscribe") => Packet::Subscribe(subscribe(name)),
        Some("suback") => Packet::SubAck(suback(name)),
        Some("unsubscribe") => Packet::Unsubscribe(unsubscribe(name)),
        Some("unsuback") => Packet::UnsubAck(unsuback(name)),
        Some("pingreq") => Packet::PingReq,
        Some("pingresp") => Packet::PingResp,
        Some("disconnect") => Packet::Disconnect(disconnect(name)),
        Some("auth") => Packet::Auth(auth(name)),
        _ => unknown(name),
    }
}

fn unknown(name: &str) -> ! {
    panic!("no value is called {name}")
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("not 0")
}

fn topic(text: &'static str) -> TopicNameRef<'static> {
    TopicNameRef::parse(text).expect("a topic name")
}

fn filter(text: &'static str) -> TopicFilterRef<'static> {
    TopicFilterRef::parse(text).expect("a topic filter")
}

fn users(pairs: &[(&'static str, &'static str)]) -> UserProperties<'static> {
    pairs.iter().copied().collect()
}

fn connect(name: &str) -> Connect<'static> {
    let version = match name.split('_').nth(1) {
        Some("31") => Version::V31,
        Some("311") => Version::V311,
        _ => Version::V5,
    };
    let plain = Connect {
        version,
        clean_start: true,
        keep_alive: 60,
        client_id: "c",
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    };
    let will = Will {
        topic: topic("w"),
        payload: b"p",
        qos: QoS::ExactlyOnce,
        retain: true,
        delay_interval: None,
        message_expiry_interval: None,
        properties: Vec::new().into(),
    };
    match name {
        "connect_31" | "connect_31_user_name_announced_and_missing" => {
            Connect { keep_alive: 10, ..plain }
        }
        "connect_31_password_announced_and_missing" => Connect { user_name: Some("u"), ..plain },
        "connect_311" | "connect_311_overlong_length" | "connect_5" => plain,
        "connect_311_kept_session" => Connect { clean_start: false, keep_alive: u16::MAX, ..plain },
        "connect_311_without_client_id" => Connect { client_id: "", ..plain },
        "connect_311_full" => {
            Connect { will: Some(will), user_name: Some("u"), password: Some(&[0, 0xFF]), ..plain }
        }
        "connect_5_without_client_id_kept" => {
            Connect { clean_start: false, client_id: "", ..plain }
        }
        "connect_5_password_alone" => Connect { password: Some(b"pw"), ..plain },
        "connect_5_full" => Connect {
            keep_alive: 0,
            will: Some(Will {
                qos: QoS::AtLeastOnce,
                delay_interval: Some(5),
                message_expiry_interval: Some(9),
                properties: Property::encode_all([
                    Property::PayloadFormatIndicator(1),
                    Property::ContentType("t"),
                    Property::ResponseTopic("r"),
                    Property::CorrelationData(&[0xFF]),
                    Property::User("k", ""),
                ])
                .into(),
                ..will
            }),
            user_name: Some("u"),
            password: Some(b"pw"),
            properties: ConnectProperties {
                session_expiry_interval: Some(60),
                receive_maximum: NonZeroU16::new(10),
                maximum_packet_size: NonZeroU32::new(1024),
                topic_alias_maximum: Some(5),
                request_response_information: Some(true),
                request_problem_information: Some(false),
                user_properties: users(&[("n", "v")]),
                authentication_method: Some("SCRAM"),
                authentication_data: Some(&[0, 1]),
            },
            ..plain
        },
        "connect_5_properties_in_any_order" => Connect {
            properties: ConnectProperties {
                receive_maximum: NonZeroU16::new(10),
                user_properties: users(&[("a", "1"), ("b", "2")]),
                ..ConnectProperties::default()
            },
            ..plain
        },
        "connect_5_empty_will_payload" => Connect {
            will: Some(Will { payload: b"", qos: QoS::AtMostOnce, retain: false, ..will }),
            ..plain
        },
        "connect_5_byte_order_mark" => Connect { client_id: "\u{FEFF}", ..plain },
        _ => unknown(name),
    }
}

fn connack(name: &str) -> ConnAck<'static> {
    let session = ConnAck { session_present: true, ..ConnAck::new(ReasonCode::Success) };
    match name {
        "connack_accepted_31" | "connack_reserved_byte_31" => ConnAck::new(ReasonCode::Success),
        "connack_session_present_311" | "connack_5" => session,
        "connack_not_authorized_3" => ConnAck::new(ReasonCode::NotAuthorized),
        "connack_5_full" => ConnAck {
            properties: ConnAckProperties {
                session_expiry_interval: Some(60),
                receive_maximum: NonZeroU16::new(10),
                maximum_qos: Some(QoS::AtLeastOnce),
                retain_available: Some(false),
                maximum_packet_size: NonZeroU32::new(1024),
                assigned_client_identifier: Some("id".into()),
                topic_alias_maximum: Some(5),
                reason_string: Some("r".into()),
                user_properties: users(&[("n", "v")]),
                wildcard_subscription_available: Some(true),
                subscription_identifiers_available: Some(true),
                shared_subscription_available: Some(false),
                server_keep_alive: Some(30),
                response_information: Some("i".into()),
                server_reference: Some("s".into()),
                authentication_method: Some("m".into()),
                authentication_data: Some(vec![1, 2].into()),
            },
            ..ConnAck::new(ReasonCode::Success)
        },
        "connack_5_refused" => ConnAck {
            properties: ConnAckProperties {
                reason_string: Some("no".into()),
                ..ConnAckProperties::default()
            },
            ..ConnAck::new(ReasonCode::NotAuthorized)
        },
        _ => unknown(name),
    }
}

fn publish(name: &str) -> Publish<'static> {
    let plain = Publish {
        dup: false,
        delivery: Delivery::AtMostOnce,
        retain: false,
        topic: Some(topic("a")),
        topic_alias: None,
        message_expiry_interval: None,
        subscription_ids: Vec::new().into(),
        properties: Vec::new().into(),
        payload: b"x",
    };
    match name {
        "publish_qos_0" | "publish_5" => plain,
        "publish_qos_1_again" => {
            Publish { dup: true, delivery: Delivery::AtLeastOnce(id(7)), ..plain }
        }
        "publish_qos_2_retained" => {
            Publish { retain: true, delivery: Delivery::ExactlyOnce(id(u16::MAX)), ..plain }
        }
        "publish_without_payload" => Publish { payload: b"", ..plain },
        "publish_5_full" => Publish {
            retain: true,
            delivery: Delivery::AtLeastOnce(id(1)),
            topic_alias: NonZeroU16::new(2),
            message_expiry_interval: Some(10),
            subscription_ids: vec![1, 268_435_455].into(),
            properties: Property::encode_all([
                Property::PayloadFormatIndicator(1),
                Property::ContentType("t"),
                Property::ResponseTopic("r"),
                Property::CorrelationData(&[0]),
                Property::User("n", "v"),
                Property::User("n", "v"),
            ])
            .into(),
            ..plain
        },
        "publish_5_alias_for_topic" => {
            Publish { topic: None, topic_alias: NonZeroU16::new(2), ..plain }
        }
        "publish_5_properties_parted" => Publish {
            topic_alias: NonZeroU16::new(2),
            properties: Property::encode_all([
                Property::User("a", "1"),
                Property::ContentType("t"),
            ])
            .into(),
            ..plain
        },
        _ => unknown(name),
    }
}

fn ack(name: &str) -> Packet<'static> {
    let success = |packet_id| Ack::new(id(packet_id), ReasonCode::Success);
    match name {
        "puback" | "puback_5_success_spelled_out" | "puback_5_no_properties_spelled_out" => {
            Packet::PubAck(success(1))
        }
        "pubrec" => Packet::PubRec(success(1)),
        "pubrel" | "pubrel_again_31" => Packet::PubRel(success(u16::MAX)),
        "pubcomp" => Packet::PubComp(success(1)),
        "puback_5_reason" => Packet::PubAck(Ack::new(id(1), ReasonCode::NoMatchingSubscribers)),
        "puback_5_full" => Packet::PubAck(Ack {
            reason_string: Some("no".into()),
            user_properties: users(&[("n", "v")]),
            ..Ack::new(id(1), ReasonCode::NotAuthorized)
        }),
        "pubrel_5_not_found" => {
            Packet::PubRel(Ack::new(id(1), ReasonCode::PacketIdentifierNotFound))
        }
        _ => unknown(name),
    }
}

fn subscribe(name: &str) -> Subscribe<'static> {
    let qos = |maximum_qos| SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
    let plain = |filters: &[(TopicFilterRef<'_>, SubscriptionOptions)]| Subscribe {
        packet_id: id(1),
        subscription_id: None,
        user_properties: UserProperties::default(),
        filters: filters.iter().copied().collect::<SubscribeFilters<'_>>(),
    };
    match name {
        "subscribe_3" => {
            plain(&[(filter("a/+"), qos(QoS::AtMostOnce)), (filter("#"), qos(QoS::ExactlyOnce))])
        }
        "subscribe_again_31" | "subscribe_5" => plain(&[(filter("a"), qos(QoS::AtLeastOnce))]),
        "subscribe_5_full" => Subscribe {
            subscription_id: NonZeroU32::new(16_383),
            user_properties: users(&[("n", "v")]),
            ..plain(&[
                (
                    filter("a/#"),
                    SubscriptionOptions {
                        maximum_qos: QoS::ExactlyOnce,
                        no_local: true,
                        retain_as_published: true,
                        retain_handling: RetainHandling::DoNotSend,
                    },
                ),
                (
                    filter("$share/g/a"),
                    SubscriptionOptions {
                        maximum_qos: QoS::AtLeastOnce,
                        no_local: false,
                        retain_as_published: true,
                        retain_handling: RetainHandling::SendIfNew,
                    },
                ),
            ])
        },
        _ => unknown(name),
    }
}

fn suback(name: &str) -> SubAck<'static> {
    use ReasonCode::*;
    match name {
        "suback_3" => SubAck::new(id(1), vec![Success, GrantedQoS1, GrantedQoS2, UnspecifiedError]),
        "suback_5" => SubAck::new(id(1), vec![GrantedQoS2, NotAuthorized]),
        "suback_5_full" => SubAck {
            reason_string: Some("r".into()),
            user_properties: users(&[("n", "v")]),
            ..SubAck::new(id(1), vec![WildcardSubscriptionsNotSupported])
        },
        _ => unknown(name),
    }
}

fn unsubscribe(name: &str) -> Unsubscribe<'static> {
    let plain = |filters: &[TopicFilterRef<'_>]| Unsubscribe {
        packet_id: id(1),
        user_properties: UserProperties::default(),
        filters: filters.iter().copied().collect(),
    };
    match name {
        "unsubscribe_3" => plain(&[filter("a/+"), filter("b")]),
        "unsubscribe_again_31" => plain(&[filter("a")]),
        "unsubscribe_5" => {
            Unsubscribe { user_properties: users(&[("n", "v")]), ..plain(&[filter("a")]) }
        }
        _ => unknown(name),
    }
}

fn unsuback(name: &str) -> SubAck<'static> {
    use ReasonCode::*;
    match name {
        "unsuback_3" => SubAck::new(id(1), vec![]),
        "unsuback_5" => {
            SubAck::new(id(1), vec![Success, NoSubscriptionExisted, TopicFilterInvalid])
        }
        _ => unknown(name),
    }
}

fn disconnect(name: &str) -> Disconnect<'static> {
    match name {
        "disconnect" | "disconnect_5_success_spelled_out" => Disconnect::new(ReasonCode::Success),
        "disconnect_5_with_will" => Disconnect::new(ReasonCode::DisconnectWithWill),
        "disconnect_5_full" => Disconnect {
            session_expiry_interval: Some(5),
            reason_string: Some("r".into()),
            user_properties: users(&[("n", "v")]),
            server_reference: Some("s".into()),
            ..Disconnect::new(ReasonCode::UseAnotherServer)
        },
        _ => unknown(name),
    }
}

fn auth(name: &str) -> Auth<'static> {
    match name {
        "auth_success" => Auth {
            reason: ReasonCode::Success,
            authentication_method: None,
            authentication_data: None,
            reason_string: None,
            user_properties: UserProperties::default(),
        },
        "auth_continue" => Auth {
            reason_string: Some("r".into()),
            user_properties: users(&[("n", "v")]),
            ..Auth::new(ReasonCode::ContinueAuthentication, "m", Some(vec![0, 0xFF].into()))
        },
        _ => unknown(name),
    }
}
