//! Section 2.1: structure of a control packet.

use super::scene::{MALFORMED, Scene};
use crate::harness::raw::{
    self, AUTH, CONNACK, CONNECT, Connect, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH,
    PUBREC, PUBREL, SUBACK, SUBSCRIBE, UNSUBSCRIBE, packet,
};

const UNSUBACK: u8 = 0xB0;

#[test]
fn v5_2_1_3_1_a_reserved_flag_that_is_not_as_listed_is_malformed() {
    let scene = Scene::open();
    for (listed, body) in [
        (PUBACK, &[0, 1][..]),
        (PUBREC, &[0, 1]),
        (PUBREL, &[0, 1]),
        (PUBCOMP, &[0, 1]),
        (SUBSCRIBE, &[0, 1, 0, 0, 1, b'a', 0]),
        (UNSUBSCRIBE, &[0, 1, 0, 0, 1, b'a']),
        (PINGREQ, &[]),
        (DISCONNECT, &[]),
        (AUTH, &[]),
    ] {
        for first in (listed & 0xF0..=listed | 0x0F).filter(|first| *first != listed) {
            scene.disconnected_with(MALFORMED, &packet(first, body));
        }
    }
}

#[test]
fn v5_2_1_3_1_a_reserved_flag_of_connect_is_refused() {
    let scene = Scene::open();
    let connect = Connect::new(5, "x").encode();
    for first in CONNECT | 1..=CONNECT | 0x0F {
        let refused = [&[first], &connect[1..]].concat();
        assert!(scene.refused(&refused).is_none_or(|answer| answer.reason == MALFORMED));
    }
}

#[test]
fn v5_2_1_3_1_the_server_sets_reserved_flags_as_listed() {
    let scene = Scene::open();
    let mut client = scene.stranger();
    client.send(&Connect::new(5, "x").encode());
    assert_eq!(client.read().first, CONNACK);
    client.send(&raw::subscribe(5, 1, "a", 2));
    assert_eq!(client.read().first, SUBACK);
    client.send(&raw::publish_with(5, PUBLISH | 1 << 1, "b", Some(2), &[], b""));
    assert_eq!(client.read().first, PUBACK);
    client.send(&raw::publish_with(5, PUBLISH | 2 << 1, "b", Some(3), &[], b""));
    assert_eq!(client.read().first, PUBREC);
    client.send(&raw::acknowledge(PUBREL, 3));
    assert_eq!(client.read().first, PUBCOMP);
    scene.client("publisher").send(&raw::publish_with(5, PUBLISH | 2 << 1, "a", Some(1), &[], b""));
    let message = client.read();
    assert_eq!(message.first, PUBLISH | 2 << 1);
    client.send(&raw::acknowledge(PUBREC, message.publish(5).id.expect("QoS 2")));
    assert_eq!(client.read().first, PUBREL);
    client.send(&packet(UNSUBSCRIBE, &[0, 4, 0, 0, 1, b'a']));
    assert_eq!(client.read().first, UNSUBACK);
    client.send(&packet(PINGREQ, &[]));
    assert_eq!(client.read().first, PINGRESP);
    client.send(&packet(PINGRESP, &[]));
    assert_eq!(client.read().first, DISCONNECT);
}
