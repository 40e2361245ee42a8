//! What only a look at the very packets can show.

use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::{ADMIN, Broker, Site};

#[test]
fn who_is_taken_over_is_told_over_tls_and_without() {
    let broker = Broker::secure();
    for lasting in [false, true] {
        let mut connect = Connect::new(5, "twice").login(ADMIN);
        if lasting {
            connect = connect.keep_session(false, 3_600);
        }
        let mut tls = RawClient::tls(broker.tls_port(), Site::shared().tls());
        tls.send(&connect.encode());
        assert_eq!(tls.expect(raw::CONNACK).reason(), 0);
        let mut plain = RawClient::connected(broker.plain_port(), &connect);
        tls.expect_disconnect(0x8E);
        let mut heir = RawClient::connected(broker.plain_port(), &connect);
        plain.expect_disconnect(0x8E);
        heir.expect_silence();
    }
}

/// CONNACK properties of a 5.0 connection: identifier, and the bytes of each value.
fn connack(port: u16, connect: &Connect) -> (RawClient, Vec<u8>) {
    let mut client = RawClient::plain(port);
    client.send(&connect.encode());
    let answer = client.expect(raw::CONNACK);
    assert_eq!(answer.body[..2], [0, 0], "{answer:02x?}");
    assert!(answer.body[2] < 128, "more properties than this reader takes");
    (client, answer.body[3..].to_vec())
}

/// Whether `properties` hold this one.
fn has(properties: &[u8], property: &[u8]) -> bool {
    properties.windows(property.len()).any(|part| part == property)
}

#[test]
fn connack_announces_the_limits_and_caps_the_keep_alive() {
    let broker = Broker::secure_with_settings(
        "\n[mqtt]\nreceive_maximum = 17\ntopic_alias_maximum = 5\nmax_packet_size = 66000\n\
         max_keep_alive_seconds = 100\nmax_session_expiry_seconds = 1000\n",
    );
    for keep_alive in [0, 65_535] {
        let connect = Connect { keep_alive, ..Connect::new(5, "limits").login(ADMIN) };
        let (_client, properties) =
            connack(broker.plain_port(), &connect.keep_session(true, u32::MAX));
        for expected in [
            &[0x21, 0, 17][..],
            &[0x22, 0, 5],
            &[0x27, 0, 1, 0x01, 0xD0],
            &[0x13, 0, 100],
            &[0x11, 0, 0, 0x03, 0xE8],
        ] {
            assert!(has(&properties, expected), "no {expected:02x?} in {properties:02x?}");
        }
    }
}

#[test]
fn a_3_x_client_that_goes_beyond_what_is_available_is_cut_off_or_granted_less() {
    let broker = Broker::secure_with_settings(
        "\n[mqtt]\nmaximum_qos = 1\nretain_available = false\n\
         shared_subscription_available = false\n",
    );
    for version in [3, 4] {
        let connect = Connect::new(version, "client").login(ADMIN);
        let qos2 = raw::publish_with(version, raw::PUBLISH | 2 << 1, "a", Some(1), &[], b"");
        let mut retained = raw::publish(version, "a", b"");
        retained[0] |= 1;
        for packet in [qos2, retained] {
            let mut client = RawClient::connected(broker.plain_port(), &connect);
            client.send(&packet);
            client.expect_end();
        }
        let will = raw::Will::new("a", b"");
        for will in [raw::Will { qos: 2, ..will.clone() }, raw::Will { retain: true, ..will }] {
            let mut client = RawClient::plain(broker.plain_port());
            client.send(&Connect { will: Some(will), ..connect.clone() }.encode());
            client.expect_end();
        }
        let mut client = RawClient::connected(broker.plain_port(), &connect);
        assert_eq!(client.subscribe(version, "a", 2), 1);
        assert_eq!(client.subscribe(version, "$share/group/a", 2), 0x80);
    }
}

#[test]
fn an_assigned_client_id_is_told_and_differs_each_time() {
    let broker = Broker::open();
    let assigned = [0, 1].map(|_| connack(broker.plain_port(), &Connect::new(5, "")).1);
    assert!(has(&assigned[0], &[0x12]) && assigned[0] != assigned[1], "{assigned:02x?}");
}

#[test]
fn a_client_gets_no_more_messages_at_once_than_it_takes() {
    let broker = Broker::secure();
    let properties = vec![0x21, 0, 2];
    let connect = Connect { properties, ..Connect::new(5, "narrow").login(ADMIN) };
    let mut narrow = RawClient::connected(broker.plain_port(), &connect);
    assert_eq!(narrow.subscribe(5, "flow", 1), 1);
    let publisher = Connect::new(5, "publisher").login(ADMIN);
    let mut publisher = RawClient::connected(broker.plain_port(), &publisher);
    for id in 1..=5_u16 {
        let first = raw::PUBLISH | 1 << 1;
        publisher.send(&raw::publish_with(5, first, "flow", Some(id), &[], &id.to_be_bytes()));
        publisher.expect(raw::PUBACK);
    }
    let mut unacknowledged = std::collections::VecDeque::new();
    for _ in 0..2 {
        unacknowledged.push_back(narrow.read().publish(5));
    }
    narrow.expect_silence();
    for number in 1..=5_u16 {
        let message = unacknowledged.pop_front().expect("a message");
        assert_eq!(message.payload, number.to_be_bytes());
        narrow.send(&raw::acknowledge(raw::PUBACK, message.id.expect("an identifier")));
        if number <= 3 {
            unacknowledged.push_back(narrow.read().publish(5));
        }
        narrow.expect_silence();
    }
}

#[test]
fn a_message_larger_than_a_client_takes_is_left_out() {
    let broker = Broker::secure();
    let properties = vec![0x27, 0, 0, 0, 64];
    let connect = Connect { properties, ..Connect::new(5, "small").login(ADMIN) };
    let mut small = RawClient::connected(broker.plain_port(), &connect);
    assert_eq!(small.subscribe(5, "flow", 0), 0);
    let publisher = Connect::new(5, "publisher").login(ADMIN);
    let mut publisher = RawClient::connected(broker.plain_port(), &publisher);
    for payload in [&[b'x'; 100][..], b"fits"] {
        publisher.send(&raw::publish(5, "flow", payload));
    }
    assert_eq!(small.read().publish(5).payload, b"fits");
}

#[test]
fn more_retained_messages_than_are_sent_at_once_all_arrive_and_hold_nobody_up() {
    // Several times what the broker looks at in one go, and what it keeps ready to be sent.
    const MESSAGES: usize = 5_000;
    let settings = "\n[broker]\nsys_interval_seconds = 0\n";
    let broker = Broker::secure_with_settings(settings);
    let login = |id| Connect::new(5, id).login(ADMIN);
    let mut publisher = RawClient::connected(broker.plain_port(), &login("publisher"));
    for number in 0..MESSAGES {
        let mut retained = raw::publish(5, &format!("kept/{number}"), &[b'x'; 500]);
        retained[0] |= 1;
        publisher.send(&retained);
    }
    publisher.expect_silence();
    let mut reader = RawClient::connected(broker.plain_port(), &login("reader"));
    assert_eq!(reader.subscribe(5, "kept/+", 0), 0);
    // Nobody waits for a reader that has not read any of it yet.
    publisher.expect_silence();
    let topics = (0..MESSAGES).map(|_| {
        let message = reader.read().publish(5);
        assert!(message.retain);
        message.topic
    });
    assert_eq!(topics.collect::<std::collections::HashSet<_>>().len(), MESSAGES);
    reader.expect_silence();
}

#[test]
fn a_topic_is_sent_once_to_a_client_that_takes_aliases() {
    let broker = Broker::secure();
    let properties = vec![0x22, 0, 1];
    let connect = Connect { properties, ..Connect::new(5, "aliased").login(ADMIN) };
    let mut client = RawClient::connected(broker.plain_port(), &connect);
    assert_eq!(client.subscribe(5, "a/long/topic", 0), 0);
    for _ in 0..2 {
        client.send(&raw::publish(5, "a/long/topic", b""));
    }
    let (first, second) = (client.read().publish(5), client.read().publish(5));
    assert_eq!((first.topic.as_str(), &first.properties[..]), ("a/long/topic", &[0x23, 0, 1][..]));
    assert_eq!((second.topic.as_str(), &second.properties[..]), ("", &[0x23, 0, 1][..]));
}

#[test]
fn an_unacknowledged_message_comes_again_with_the_same_id_when_its_client_returns() {
    let broker = Broker::secure();
    for (version, qos) in [(5, 1), (5, 2), (4, 1), (4, 2), (3, 1), (3, 2)] {
        let mut connect = Connect::new(version, "returning").login(ADMIN);
        connect.clean = false;
        if version == 5 {
            connect = connect.keep_session(false, 3_600);
        }
        let mut client = RawClient::connected(broker.plain_port(), &connect);
        assert_eq!(client.subscribe(version, "flow", qos), qos);
        client.send(&raw::publish(version, "flow", b"QoS 0 is sent once"));
        assert_eq!(client.read().publish(version).qos, 0);
        let first = raw::PUBLISH | qos << 1;
        client.send(&raw::publish_with(version, first, "flow", Some(9), &[], b"again"));
        if qos == 2 {
            // The message may come before or behind PUBCOMP.
            client.expect_and_keep(raw::PUBREC);
            client.send(&raw::acknowledge(raw::PUBREL, 9));
            client.expect_and_keep(raw::PUBCOMP);
        } else {
            client.expect_and_keep(raw::PUBACK);
        }
        let before = client.kept_or_next().publish(version);
        client.break_off();

        let mut client = RawClient::plain(broker.plain_port());
        client.send(&connect.encode());
        let answer = client.expect(raw::CONNACK);
        // 3.1 has no flag for it.
        let present = u8::from(version != 3);
        assert_eq!(answer.body[..2], [present, 0], "version {version} QoS {qos}");
        let again = client.read().publish(version);
        assert_eq!((before.dup, again.dup), (false, true), "version {version} QoS {qos}");
        assert_eq!((before.id, before.payload), (again.id, again.payload));
        // Done with: nothing is left for the next round.
        let answer = if qos == 1 { raw::PUBACK } else { raw::PUBREC };
        client.send(&raw::acknowledge(answer, again.id.expect("an identifier")));
        if qos == 2 {
            client.expect(raw::PUBREL);
            client.send(&raw::acknowledge(raw::PUBCOMP, again.id.expect("an identifier")));
        }
        client.expect_silence();
        client.send(&raw::packet(raw::DISCONNECT, &[]));
        let clean = Connect { clean: true, ..Connect::new(version, "returning").login(ADMIN) };
        RawClient::connected(broker.plain_port(), &clean);
    }
}

#[test]
fn a_qos_2_message_sent_twice_is_published_once() {
    let broker = Broker::secure();
    let mut client =
        RawClient::connected(broker.plain_port(), &Connect::new(5, "client").login(ADMIN));
    assert_eq!(client.subscribe(5, "flow", 0), 0);
    for dup in [0, 8] {
        let first = raw::PUBLISH | 2 << 1 | dup;
        client.send(&raw::publish_with(5, first, "flow", Some(9), &[], b"once"));
        client.expect_and_keep(raw::PUBREC);
    }
    client.send(&raw::acknowledge(raw::PUBREL, 9));
    client.expect_and_keep(raw::PUBCOMP);
    assert_eq!(client.kept_or_next().publish(5).payload, b"once");
    client.expect_silence();
}
