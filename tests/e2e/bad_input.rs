//! Bad input: the reason that the standard asks for, the end of that connection, and no other.

use crate::harness::raw::{
    self, AUTH, CONNACK, CONNECT, Connect, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH,
    PUBREC, PUBREL, RawClient, SUBACK, SUBSCRIBE, UNSUBSCRIBE, Will, data, packet,
};
use crate::harness::{ADMIN, Broker, Login};

const MALFORMED: u8 = 0x81;
const PROTOCOL_ERROR: u8 = 0x82;
const UNSUPPORTED_VERSION: u8 = 0x84;
const BAD_CLIENT_ID: u8 = 0x85;
const BAD_LOGIN: u8 = 0x86;
const BAD_METHOD: u8 = 0x8C;
const BAD_FILTER: u8 = 0x8F;
const BAD_TOPIC: u8 = 0x90;
const BAD_ALIAS: u8 = 0x94;
const TOO_LARGE: u8 = 0x95;

/// A broker, and a client that must not notice what others do.
struct Scene {
    broker: Broker,
    bystander: RawClient,
    login: Option<Login>,
}

impl Scene {
    /// Without users, and without limits.
    fn open() -> Self {
        Self::with(Broker::open(), None)
    }

    /// With users, and with `settings`.
    fn secure(settings: &str) -> Self {
        Self::with(Broker::secure_with_settings(settings), Some(ADMIN))
    }

    fn with(broker: Broker, login: Option<Login>) -> Self {
        let connect = Connect { login, ..Connect::new(5, "bystander") };
        let mut bystander = RawClient::connected(broker.plain_port(), &connect);
        assert_eq!(bystander.subscribe(5, "bystander", 0), 0);
        Self { broker, bystander, login }
    }

    /// A connection on which nothing has been said.
    fn stranger(&self) -> RawClient {
        RawClient::plain(self.broker.plain_port())
    }

    /// A connection whose CONNECT has been accepted.
    fn client(&self, version: u8) -> RawClient {
        let connect = Connect { login: self.login, ..Connect::new(version, "clumsy") };
        RawClient::connected(self.broker.plain_port(), &connect)
    }

    /// Sends `bytes` as the first thing: CONNACK `reason`, or the end alone where the standard has
    /// no code for it.
    fn refused_at_connect(&mut self, bytes: &[u8], reason: Option<u8>) {
        let mut client = self.stranger();
        client.send(bytes);
        if let Some(reason) = reason {
            let answer = client.expect(CONNACK);
            assert_eq!(answer.reason(), reason, "{bytes:02x?}");
        }
        client.expect_end();
        self.others_go_on();
    }

    /// Sends `bytes` on an accepted 5.0 connection: DISCONNECT `reason`, and the end.
    fn disconnected(&mut self, bytes: &[u8], reason: u8) {
        let mut client = self.client(5);
        client.send(bytes);
        let answer = client.expect(DISCONNECT);
        assert_eq!(answer.reason(), reason, "{bytes:02x?}");
        client.expect_end();
        self.others_go_on();
    }

    /// Sends `bytes` on an accepted connection of 3.x: the end, without a word.
    fn cut_off(&mut self, version: u8, bytes: &[u8]) {
        let mut client = self.client(version);
        client.send(bytes);
        client.expect_end();
        self.others_go_on();
    }

    fn others_go_on(&mut self) {
        self.bystander.send(&raw::publish(5, "bystander", b"still here"));
        assert_eq!(self.bystander.read().publish(5).payload, b"still here");
    }
}

/// A CONNECT of 5.0 with these flags and this payload.
fn connect_with(name: &str, level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let mut body = data(name);
    body.extend([level, flags, 0, 0]);
    body.extend_from_slice(rest);
    packet(CONNECT, &body)
}

// ── before CONNECT has been accepted ───────────────────────────────────────────────────────────

#[test]
fn a_wrong_password_or_user_is_answered_with_the_code_of_its_version() {
    let mut scene = Scene::secure("");
    for login in [("admin", "wrong"), ("nobody", "wrong")] {
        scene.refused_at_connect(&Connect::new(5, "x").login(login).encode(), Some(BAD_LOGIN));
        for version in [3, 4] {
            let mut client = scene.stranger();
            client.send(&Connect::new(version, "x").login(login).encode());
            let code = client.expect(CONNACK).reason();
            assert!([4, 5].contains(&code), "version {version}: {code}");
            client.expect_end();
        }
    }
    scene.others_go_on();
}

#[test]
fn a_packet_before_connect_ends_the_connection() {
    let mut scene = Scene::open();
    for first in [
        packet(PINGREQ, &[]),
        raw::publish(4, "a", b"early"),
        raw::subscribe(4, 1, "a", 0),
        packet(DISCONNECT, &[]),
        packet(AUTH, &[]),
        packet(CONNACK, &[0, 0]),
        packet(0x00, &[]),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ] {
        scene.refused_at_connect(&first, None);
    }
}

#[test]
fn a_protocol_that_is_not_spoken_here_is_refused() {
    let mut scene = Scene::open();
    let id = [0, 0, 1, b'x'];
    scene.refused_at_connect(&connect_with("MQTT", 6, 2, &id), Some(UNSUPPORTED_VERSION));
    for bytes in [connect_with("MQTT", 3, 2, &id), connect_with("HTTP", 4, 2, &id)] {
        let mut client = scene.stranger();
        client.send(&bytes);
        let refused = client.read_or_end().is_none_or(|answer| answer.reason() != 0);
        assert!(refused, "{bytes:02x?}");
        client.expect_end();
    }
    scene.others_go_on();
}

#[test]
fn a_malformed_connect_is_refused_with_the_reason() {
    let mut scene = Scene::open();
    let id = [0, 0, 1, b'x'];
    for (bytes, reason) in [
        // The reserved flag.
        (connect_with("MQTT", 5, 0x03, &id), MALFORMED),
        // Will QoS 3, and will QoS without a will.
        (connect_with("MQTT", 5, 0x1E, &id), MALFORMED),
        (connect_with("MQTT", 5, 0x0A, &id), MALFORMED),
        // A client identifier that is longer than the packet.
        (connect_with("MQTT", 5, 2, &[0, 0, 9, b'x']), MALFORMED),
        // Bytes behind the end.
        (connect_with("MQTT", 5, 2, &[0, 0, 1, b'x', 0]), MALFORMED),
        // A property that does not belong there, and one that stands twice.
        (connect_with("MQTT", 5, 2, &[2, 0x24, 1, 0, 1, b'x']), PROTOCOL_ERROR),
        (connect_with("MQTT", 5, 2, &[6, 0x21, 0, 1, 0x21, 0, 1, 0, 1, b'x']), PROTOCOL_ERROR),
        // Receive maximum 0.
        (connect_with("MQTT", 5, 2, &[3, 0x21, 0, 0, 0, 1, b'x']), PROTOCOL_ERROR),
    ] {
        let mut client = scene.stranger();
        client.send(&bytes);
        // The standard leaves it open whether a CONNACK comes; what comes must say this.
        if let Some(answer) = client.read_or_end() {
            assert_eq!(answer.first, CONNACK);
            assert!(
                [reason, MALFORMED, PROTOCOL_ERROR].contains(&answer.reason()),
                "{:#04x} for {bytes:02x?}",
                answer.reason()
            );
            client.expect_end();
        }
        scene.others_go_on();
    }
}

#[test]
fn bad_utf_8_in_a_connect_is_refused() {
    let mut scene = Scene::open();
    for id in [&[0xFF][..], &[0xC0, 0x80], &[0xED, 0xA0, 0x80], &[0x00]] {
        let rest = [&[0][..], &data(id)].concat();
        let mut client = scene.stranger();
        client.send(&connect_with("MQTT", 5, 2, &rest));
        if let Some(answer) = client.read_or_end() {
            assert!([MALFORMED, BAD_CLIENT_ID].contains(&answer.reason()), "{answer:?}");
            client.expect_end();
        }
        scene.others_go_on();
    }
}

#[test]
fn an_empty_client_id_is_assigned_one_or_refused() {
    let mut scene = Scene::open();
    let mut client = scene.stranger();
    client.send(&Connect::new(5, "").encode());
    let answer = client.expect(CONNACK);
    assert_eq!(answer.reason(), 0);
    assert!(answer.body.contains(&0x12), "no assigned client identifier in {answer:02x?}");
    // 3.1.1 without a clean session: code 2, and the end.
    let lasting = Connect { clean: false, ..Connect::new(4, "") };
    scene.refused_at_connect(&lasting.encode(), Some(2));
}

#[test]
fn a_will_with_a_wildcard_in_its_topic_is_refused() {
    let mut scene = Scene::open();
    for topic in ["a/#", "+", ""] {
        let will = Some(Will::new(topic, b"x"));
        let mut client = scene.stranger();
        client.send(&Connect { will, ..Connect::new(5, "x") }.encode());
        if let Some(answer) = client.read_or_end() {
            assert!(answer.reason() >= 0x80, "{topic}: {answer:02x?}");
            client.expect_end();
        }
        scene.others_go_on();
    }
}

#[test]
fn an_unknown_method_of_authentication_is_refused() {
    let mut scene = Scene::open();
    let properties = [&[0x15][..], &data("SCRAM-UNKNOWN")].concat();
    let connect = Connect { properties, ..Connect::new(5, "x") };
    scene.refused_at_connect(&connect.encode(), Some(BAD_METHOD));
}

#[test]
fn a_connect_that_claims_more_than_64_kib_is_not_waited_for() {
    let mut scene = Scene::open();
    let mut client = scene.stranger();
    // Remaining Length 268,435,455, of which ten bytes come.
    client.send(&[CONNECT, 0xFF, 0xFF, 0xFF, 0x7F, 0, 4, b'M', b'Q', b'T', b'T', 5]);
    if let Some(answer) = client.read_or_end() {
        assert!(answer.reason() >= 0x80, "{answer:?}");
        client.expect_end();
    }
    scene.others_go_on();
}

#[test]
fn a_connect_that_never_comes_is_waited_for_10_seconds_and_no_longer() {
    let mut scene = Scene::open();
    let mut silent = scene.stranger();
    let mut halting = scene.stranger();
    let connect = Connect::new(5, "halting").encode();
    halting.send(&connect[..connect.len() - 1]);
    let since = std::time::Instant::now();
    for client in [&mut silent, &mut halting] {
        while client.read_or_end().is_some() {}
    }
    assert!(since.elapsed().as_secs() < 15, "{:?}", since.elapsed());
    scene.others_go_on();
}

// ── on an accepted connection ──────────────────────────────────────────────────────────────────

#[test]
fn a_second_connect_ends_the_connection() {
    let mut scene = Scene::open();
    scene.disconnected(&Connect::new(5, "clumsy").encode(), PROTOCOL_ERROR);
    for version in [3, 4] {
        scene.cut_off(version, &Connect::new(version, "clumsy").encode());
    }
}

#[test]
fn packets_that_only_a_server_sends_are_refused() {
    let mut scene = Scene::open();
    for bytes in [
        packet(CONNACK, &[0, 0, 0]),
        packet(SUBACK, &[0, 1, 0, 0]),
        packet(0xB0, &[0, 1, 0, 0]),
        packet(PINGRESP, &[]),
    ] {
        scene.disconnected(&bytes, PROTOCOL_ERROR);
    }
    scene.cut_off(4, &packet(PINGRESP, &[]));
}

#[test]
fn malformed_packets_of_every_kind_are_refused() {
    let mut scene = Scene::open();
    for bytes in [
        // A packet type that is none, and a length of five bytes.
        vec![0x00, 0],
        vec![PINGREQ, 0x80, 0x80, 0x80, 0x80, 0],
        // Reserved flags.
        packet(PINGREQ | 1, &[]),
        packet(SUBSCRIBE & 0xF0, &[0, 1, 0, 0, 1, b'a', 0]),
        packet(UNSUBSCRIBE & 0xF0, &[0, 1, 0, 0, 1, b'a']),
        packet(PUBREL & 0xF0, &[0, 1]),
        packet(PUBACK | 2, &[0, 1]),
        packet(DISCONNECT | 1, &[]),
        // QoS 3.
        raw::publish_with(5, PUBLISH | 3 << 1, "a", Some(1), &[], b""),
        // A packet that ends too soon, or has something in it that should not be.
        packet(PINGREQ, &[0]),
        packet(PUBACK, &[0]),
        packet(PUBREC, &[0]),
        packet(PUBCOMP, &[]),
        packet(PUBLISH, &[0, 9, b'a']),
        packet(PUBLISH, &[0]),
        packet(PUBLISH, &[0, 1, b'a', 5, 0x01]),
        packet(SUBSCRIBE, &[0, 1, 0, 0, 1, b'a']),
        packet(UNSUBSCRIBE, &[0, 1, 0, 0, 2, b'a']),
        // Reserved bits and QoS 3 of subscription options.
        raw::subscribe(5, 1, "a", 0xC0),
        raw::subscribe(5, 1, "a", 0x03),
        // A property that no packet has.
        packet(PUBLISH, &[0, 1, b'a', 2, 0x7F, 0]),
        // A reason code that no DISCONNECT has.
        packet(DISCONNECT, &[0x01]),
    ] {
        let mut client = scene.client(5);
        client.send(&bytes);
        let reason = client.expect(DISCONNECT).reason();
        assert!([MALFORMED, PROTOCOL_ERROR].contains(&reason), "{reason:#04x} for {bytes:02x?}");
        client.expect_end();
        scene.others_go_on();
    }
}

#[test]
fn what_is_well_formed_but_not_allowed_is_a_protocol_error() {
    let mut scene = Scene::open();
    for bytes in [
        // Packet identifier 0.
        raw::publish_with(5, PUBLISH | 1 << 1, "a", Some(0), &[], b""),
        raw::subscribe(5, 0, "a", 0),
        // Nothing to subscribe to or unsubscribe from.
        packet(SUBSCRIBE, &[0, 1, 0]),
        packet(UNSUBSCRIBE, &[0, 1, 0]),
        // Retain handling 3.
        raw::subscribe(5, 1, "a", 0x30),
        // No local on a shared subscription.
        raw::subscribe(5, 1, "$share/g/a", 0x04),
        // Subscription identifier 0, and one from a client in a PUBLISH.
        packet(SUBSCRIBE, &[0, 1, 2, 0x0B, 0, 0, 1, b'a', 0]),
        raw::publish_with(5, PUBLISH, "a", None, &[0x0B, 1], b""),
        // No topic, and no alias that would stand for it.
        raw::publish(5, "", b""),
        // The same property twice, and one of another packet.
        raw::publish_with(5, PUBLISH, "a", None, &[0x01, 0, 0x01, 0], b""),
        raw::publish_with(5, PUBLISH, "a", None, &[0x11, 0, 0, 0, 1], b""),
        // AUTH where no method was agreed on.
        packet(AUTH, &[0x18, 0]),
        // A session expiry interval on DISCONNECT where CONNECT had none.
        packet(DISCONNECT, &[0, 5, 0x11, 0, 0, 0, 1]),
    ] {
        let mut client = scene.client(5);
        client.send(&bytes);
        let reason = client.expect(DISCONNECT).reason();
        assert!([PROTOCOL_ERROR, MALFORMED].contains(&reason), "{reason:#04x} for {bytes:02x?}");
        client.expect_end();
        scene.others_go_on();
    }
}

#[test]
fn malformed_packets_of_3_x_end_the_connection() {
    let mut scene = Scene::open();
    for version in [3, 4] {
        for bytes in [
            vec![PINGREQ, 0x80, 0x80, 0x80, 0x80, 0],
            packet(PINGREQ | 1, &[]),
            raw::publish_with(version, PUBLISH | 3 << 1, "a", Some(1), &[], b""),
            raw::publish_with(version, PUBLISH | 1 << 1, "a", Some(0), &[], b""),
            raw::publish(version, "a/#", b""),
            raw::subscribe(version, 1, "a/#/b", 0),
            packet(SUBSCRIBE, &[0, 1]),
            packet(AUTH, &[0x18, 0]),
        ] {
            scene.cut_off(version, &bytes);
        }
    }
}

#[test]
fn bad_utf_8_in_a_topic_is_refused() {
    let mut scene = Scene::open();
    for topic in [&[0xFF][..], &[b'a', 0xC3], &[0xED, 0xBF, 0xBF], &[b'a', 0, b'b']] {
        let mut body = data(topic);
        body.push(0);
        let mut client = scene.client(5);
        client.send(&packet(PUBLISH, &body));
        let reason = client.expect(DISCONNECT).reason();
        assert!([MALFORMED, BAD_TOPIC].contains(&reason), "{reason:#04x} for {topic:02x?}");
        client.expect_end();
        scene.others_go_on();
    }
}

#[test]
fn a_wildcard_in_a_topic_name_is_refused() {
    let mut scene = Scene::open();
    for topic in ["#", "a/#", "+", "a/+/b", "a+", "#a"] {
        scene.disconnected(&raw::publish(5, topic, b""), BAD_TOPIC);
    }
}

#[test]
fn a_filter_with_a_misplaced_wildcard_is_refused() {
    let mut scene = Scene::open();
    for filter in ["a/#/b", "a#", "a+", "+a/b", "", "$share/g", "$share//a", "$share/+/a"] {
        let mut client = scene.client(5);
        client.send(&raw::subscribe(5, 1, filter, 0));
        let answer = client.read();
        // One filter may be refused by itself; a packet that is malformed ends the connection.
        if answer.first == SUBACK {
            assert_eq!(answer.body.last(), Some(&BAD_FILTER), "{filter}");
            client.expect_silence();
        } else {
            let reasons = [BAD_FILTER, MALFORMED, PROTOCOL_ERROR];
            assert_eq!(answer.first, DISCONNECT, "{filter}");
            assert!(reasons.contains(&answer.reason()), "{filter}: {:#04x}", answer.reason());
            client.expect_end();
        }
        scene.others_go_on();
    }
}

#[test]
fn a_topic_alias_that_was_not_agreed_on_is_refused() {
    let mut scene = Scene::secure("");
    for alias in [[0, 0], [0xFF, 0xFF]] {
        let with = [&[0x23], &alias[..]].concat();
        scene.disconnected(&raw::publish_with(5, PUBLISH, "a", None, &with, b""), BAD_ALIAS);
    }
    // Allowed, but not defined.
    let bytes = raw::publish_with(5, PUBLISH, "", None, &[0x23, 0, 1], b"");
    let mut client = scene.client(5);
    client.send(&bytes);
    let reason = client.expect(DISCONNECT).reason();
    assert!([PROTOCOL_ERROR, BAD_ALIAS].contains(&reason), "{reason:#04x}");
    client.expect_end();
    scene.others_go_on();
}

#[test]
fn an_oversize_packet_is_refused_before_it_has_arrived() {
    let mut scene = Scene::secure("\n[mqtt]\nmax_packet_size = 1000\n");
    // Two megabytes are announced, and not sent.
    let mut announced = vec![PUBLISH];
    announced.extend(raw::variable_byte_integer(2_000_000));
    announced.extend(data("a"));
    scene.disconnected(&announced, TOO_LARGE);
    scene.cut_off(4, &announced);
    // The largest that is accepted, fixed header included: 3 + 3 + 1 + 993 bytes.
    let mut client = scene.client(5);
    let largest = raw::publish(5, "a", &[b'x'; 993]);
    assert_eq!(largest.len(), 1_000);
    client.send(&largest);
    client.expect_silence();
}

#[test]
fn more_messages_in_flight_than_agreed_on_end_the_connection() {
    let mut scene = Scene::secure("\n[mqtt]\nreceive_maximum = 2\n");
    let mut client = scene.client(5);
    for id in 1..=3 {
        client.send(&raw::publish_with(5, PUBLISH | 2 << 1, "a", Some(id), &[], b""));
    }
    for _ in 0..2 {
        client.expect(PUBREC);
    }
    client.expect_disconnect(0x93);
    scene.others_go_on();
}

#[test]
fn acknowledgements_of_nothing_do_no_harm() {
    let mut scene = Scene::open();
    let mut client = scene.client(5);
    // Unknown identifiers: PUBREC is answered with PUBREL, PUBREL with PUBCOMP, both 0x92.
    client.send(&raw::acknowledge(PUBREL, 77));
    assert_eq!(client.expect(PUBCOMP).acknowledged(), (77, 0x92));
    client.send(&raw::acknowledge(PUBREC, 78));
    assert_eq!(client.expect(PUBREL).acknowledged(), (78, 0x92));
    scene.others_go_on();
}

#[test]
fn a_topic_of_65535_slashes_is_a_limit_and_not_a_crash() {
    let mut scene = Scene::open();
    let deep = "/".repeat(65_535);
    for bytes in [raw::publish(5, &deep, b""), raw::subscribe(5, 1, &deep, 0)] {
        let mut client = scene.client(5);
        client.send(&bytes);
        // Refused one way or the other, or, without limits, served.
        client.send(&packet(PINGREQ, &[]));
        assert!(client.read_or_end().is_some(), "neither an answer nor a reason");
        scene.others_go_on();
    }
}

#[test]
fn a_keep_alive_that_runs_out_ends_the_connection() {
    let mut scene = Scene::open();
    for (version, keep_alive) in [(5, 1), (4, 1)] {
        let connect = Connect { keep_alive, ..Connect::new(version, "sleepy") };
        let mut client = RawClient::connected(scene.broker.plain_port(), &connect);
        let since = std::time::Instant::now();
        if version == 5 {
            client.expect_disconnect(0x8D);
        } else {
            client.expect_end();
        }
        let waited = since.elapsed().as_secs_f32();
        assert!((1.4..5.0).contains(&waited), "{waited} s for 1.5 s");
    }
    scene.others_go_on();
}
