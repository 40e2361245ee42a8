//! Who may do what: each client is kept to its topics, on every path.

use crate::harness::raw::{self, Connect, RawClient, Will};
use crate::harness::rumqtt::v4;
use crate::harness::rumqtt::v5::{Client, Packet, PubAckReason, QoS, SubscribeReasonCode, options};
use crate::harness::{ADMIN, Broker, DEVICE1, DEVICE2, Login, Stream, VISITOR};

const NOT_AUTHORIZED: u8 = 0x87;
const BAD_CLIENT_ID: u8 = 0x85;

async fn client(broker: &Broker, login: Login) -> Client {
    Client::connect(options(broker, login.0, login)).await
}

/// A raw client on the plain listener, accepted.
fn raw_client(broker: &Broker, version: u8, id: &str, login: Login) -> RawClient {
    RawClient::connected(broker.plain_port(), &Connect::new(version, id).login(login))
}

#[tokio::test]
async fn a_device_publishes_within_its_topics_and_nowhere_else() {
    let broker = Broker::secure();
    let mut admin = client(&broker, ADMIN).await;
    admin.subscribe("#", QoS::ExactlyOnce).await;
    let mut device = client(&broker, DEVICE1).await;
    for topic in ["devices/device2/state", "devices", "announcements/mine", "devices/device1x/a"] {
        device.publish(topic, QoS::AtLeastOnce, "forged").await;
        let reason = device
            .wait_for(|packet| match packet {
                Packet::PubAck(answer) => Some(answer.reason),
                _ => None,
            })
            .await;
        assert_eq!(reason, PubAckReason::NotAuthorized, "{topic}");
        device.publish(topic, QoS::AtMostOnce, "forged").await;
    }
    device.publish("devices/device1/state", QoS::AtLeastOnce, "true").await;
    assert_eq!(admin.payload().await, "true");
}

#[test]
fn qos_2_is_refused_with_the_first_answer() {
    let broker = Broker::secure();
    let mut device = raw_client(&broker, 5, "device1", DEVICE1);
    let first = raw::PUBLISH | 2 << 1;
    device.send(&raw::publish_with(5, first, "devices/device2/state", Some(7), &[], b"forged"));
    assert_eq!(device.expect(raw::PUBREC).acknowledged(), (7, NOT_AUTHORIZED));
    // Its packet identifier is free again.
    device.send(&raw::publish_with(5, first, "devices/device1/state", Some(7), &[], b"true"));
    let (id, reason) = device.expect(raw::PUBREC).acknowledged();
    assert!(id == 7 && reason < 0x80, "{reason:#04x}");
}

#[tokio::test]
async fn a_device_of_3_1_1_is_not_heard_outside_its_topics() {
    let broker = Broker::secure();
    let mut admin = client(&broker, ADMIN).await;
    admin.subscribe("#", QoS::ExactlyOnce).await;
    let device = v4::Client::connect(v4::options(&broker, "device1", DEVICE1)).await;
    for qos in [v4::QoS::AtMostOnce, v4::QoS::AtLeastOnce, v4::QoS::ExactlyOnce] {
        device.publish("devices/device2/state", qos, "forged").await;
    }
    let device = v4::Client::connect(v4::options(&broker, "another1", DEVICE1)).await;
    device.publish("devices/device1/state", v4::QoS::AtLeastOnce, "true").await;
    assert_eq!(admin.payload().await, "true");
}

#[tokio::test]
async fn a_device_subscribes_within_its_topics_and_nowhere_else() {
    let broker = Broker::secure();
    let mut device = client(&broker, DEVICE1).await;
    for filter in ["devices/device2/#", "other", "other/+", "$share/g/devices/device2/+", "$SYS/#"]
    {
        let answer = device.subscribe(filter, QoS::AtMostOnce).await.return_codes;
        assert_eq!(answer, [SubscribeReasonCode::NotAuthorized], "{filter}");
    }
    let mut old = v4::Client::connect(v4::options(&broker, "old1", DEVICE1)).await;
    let answer = old.subscribe("devices/device2/#", v4::QoS::AtMostOnce).await.return_codes;
    assert_eq!(answer, [v4::SubscribeReasonCode::Failure]);

    for filter in ["devices/device1/#", "devices/device1/state", "announcements/+"] {
        let answer = device.subscribe(filter, QoS::AtLeastOnce).await.return_codes;
        assert_eq!(answer, [SubscribeReasonCode::Success(QoS::AtLeastOnce)], "{filter}");
    }
    let admin = client(&broker, ADMIN).await;
    admin.publish("devices/device2/state", QoS::AtLeastOnce, "not for it").await;
    admin.publish("announcements/all", QoS::AtLeastOnce, "for everybody").await;
    assert_eq!(device.payload().await, "for everybody");
}

#[tokio::test]
async fn a_subscription_wider_than_its_topics_brings_a_device_its_own_and_no_other() {
    let broker = Broker::secure();
    let mut admin = client(&broker, ADMIN).await;
    for filter in ["#", "+/#", "devices/+/state", "$share/g/#"] {
        let mut device = client(&broker, DEVICE1).await;
        device.subscribe(filter, QoS::AtLeastOnce).await;
        for topic in ["devices/device2/state", "other", "devices/state"] {
            admin.hand_over(topic, QoS::AtLeastOnce, "not for it").await;
        }
        admin.hand_over("devices/device1/state", QoS::AtLeastOnce, "for it").await;
        assert_eq!(device.payload().await, "for it", "{filter}");
        device.disconnect().await;
    }
}

#[tokio::test]
async fn each_filter_of_one_subscribe_is_judged_by_itself() {
    let broker = Broker::secure();
    let mut device = client(&broker, DEVICE1).await;
    let filters = ["devices/device2/#", "devices/device1/#"]
        .map(|filter| crate::harness::rumqtt::v5::Filter::new(filter, QoS::AtLeastOnce));
    device.mqtt.subscribe_many(filters).await.expect("the client runs");
    let answer = device.suback().await.return_codes;
    let granted = SubscribeReasonCode::Success(QoS::AtLeastOnce);
    assert_eq!(answer, [SubscribeReasonCode::NotAuthorized, granted]);
}

#[tokio::test]
async fn a_retained_message_is_not_shown_to_who_may_not_read_it() {
    let broker = Broker::secure();
    let mut admin = client(&broker, ADMIN).await;
    admin.retain("devices/device2/secret", "not for it").await;
    admin.retain("devices/device1/hint", "for it").await;
    let mut device = client(&broker, DEVICE1).await;
    device.subscribe("devices/+/secret", QoS::AtLeastOnce).await;
    device.subscribe("devices/device1/#", QoS::AtLeastOnce).await;
    assert_eq!(device.payload().await, "for it");
}

#[test]
fn r26_a_will_outside_the_topics_of_its_client_is_refused_at_connect() {
    let broker = Broker::secure();
    for (version, refused) in [(5, NOT_AUTHORIZED), (4, 5), (3, 5)] {
        let will = Some(Will::new("devices/device2/state", b"forged"));
        let connect = Connect { will, ..Connect::new(version, "mortal").login(DEVICE1) };
        let mut client = RawClient::plain(broker.plain_port());
        client.send(&connect.encode());
        assert_eq!(client.expect(raw::CONNACK).reason(), refused, "version {version}");
        client.expect_end();
    }
    let will = Some(Will::new("devices/device1/state", b"gone"));
    let connect = Connect { will, ..Connect::new(5, "mortal").login(DEVICE1) };
    RawClient::connected(broker.plain_port(), &connect);
}

#[test]
fn a_client_id_with_a_wildcard_or_a_slash_in_it_widens_nothing() {
    let broker = Broker::secure();
    for id in ["+", "#", "a/b", "../x", "$SYS"] {
        let mut client = RawClient::plain(broker.plain_port());
        client.send(&Connect::new(5, id).login(VISITOR).encode());
        if client.expect(raw::CONNACK).reason() != 0 {
            continue; // Not to be let in at all is as safe.
        }
        for filter in ["lobby/#", "lobby/a/#", "lobby/a/b/x", "lobby/../x/y"] {
            assert_eq!(client.subscribe(5, filter, 0), NOT_AUTHORIZED, "{id}: {filter}");
        }
    }
    let mut client = raw_client(&broker, 5, "a", VISITOR);
    assert_eq!(client.subscribe(5, "lobby/a/#", 0), 0);
}

#[test]
fn a_rule_limits_qos_and_retain() {
    let broker = Broker::secure();
    let mut visitor = raw_client(&broker, 5, "v", VISITOR);
    assert_eq!(visitor.subscribe(5, "lobby/v/#", 2), 1, "granted what the rule allows");
    let refused = |visitor: &mut RawClient, first: u8, answer: u8| {
        visitor.send(&raw::publish_with(5, first, "lobby/v/x", Some(9), &[], b""));
        assert_eq!(visitor.expect(answer).acknowledged(), (9, NOT_AUTHORIZED));
    };
    refused(&mut visitor, raw::PUBLISH | 2 << 1, raw::PUBREC);
    refused(&mut visitor, raw::PUBLISH | 1 << 1 | 1, raw::PUBACK);
}

#[test]
fn a_deny_rule_wins_over_an_allow_rule() {
    let broker = Broker::secure();
    let mut device = raw_client(&broker, 5, "device1", DEVICE1);
    let first = raw::PUBLISH | 1 << 1;
    device.send(&raw::publish_with(5, first, "devices/device1/read-only", Some(1), &[], b""));
    assert_eq!(device.expect(raw::PUBACK).acknowledged(), (1, NOT_AUTHORIZED));
    assert_eq!(device.subscribe(5, "devices/device1/read-only", 0), 0);
}

#[test]
fn r25_a_client_id_belongs_to_the_user_that_made_the_session() {
    let broker = Broker::secure();
    let owner = Connect::new(5, "the one").login(DEVICE1).keep_session(true, 3_600);
    let mut first = RawClient::connected(broker.plain_port(), &owner);
    assert_eq!(first.subscribe(5, "devices/device1/#", 1), 1);

    for clean in [true, false] {
        let thief = Connect { clean, ..Connect::new(5, "the one").login(DEVICE2) };
        let mut client = RawClient::plain(broker.plain_port());
        client.send(&thief.encode());
        let reason = client.expect(raw::CONNACK).reason();
        assert!([BAD_CLIENT_ID, NOT_AUTHORIZED].contains(&reason), "{reason:#04x}");
        client.expect_end();
    }
    first.expect_silence();
    first.break_off();

    // Nor while its owner is away.
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&Connect::new(4, "the one").login(DEVICE2).encode());
    assert_ne!(client.expect(raw::CONNACK).reason(), 0);
    let mut back = RawClient::plain(broker.plain_port());
    back.send(&Connect { clean: false, ..owner }.encode());
    assert_eq!(back.expect(raw::CONNACK).body[..2], [1, 0], "its session is still there");
}

#[test]
fn r23_clients_do_not_publish_to_the_topics_of_the_broker() {
    let broker = Broker::secure();
    let mut admin = raw_client(&broker, 5, "admin", ADMIN);
    for topic in ["$SYS/broker/version", "$foo", "$share/g/t", "$"] {
        let first = raw::PUBLISH | 1 << 1;
        admin.send(&raw::publish_with(5, first, topic, Some(1), &[], b"forged"));
        let (_, reason) = admin.expect(raw::PUBACK).acknowledged();
        assert!(reason >= 0x80, "{topic}: {reason:#04x}");
    }
    admin.expect_silence();
}

#[test]
fn u11_a_refusal_is_logged_with_who_and_what_and_without_a_secret() {
    let broker = Broker::secure();
    let mut device = raw_client(&broker, 5, "device1", DEVICE1);
    assert_eq!(device.subscribe(5, "devices/device2/#", 0), NOT_AUTHORIZED);
    let line = broker.process().wait_for_text(Stream::Err, "devices/device2/#");
    assert!(line.contains("device1"), "{line}");
    assert!(!broker.process().transcript().contains(DEVICE1.1), "the password is in the log");
}
