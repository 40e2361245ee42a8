//! Section 4.8: what ends a connection.

use super::scene::{QOS_1, RETAIN, Scene, UNSUBACK, publish, subscribe};
use crate::harness::ADMIN;
use crate::harness::raw::{
    AUTH, CONNACK, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBREC, PUBREL, SUBACK, packet,
};

#[test]
fn v311_4_8_0_1_a_violation_of_the_protocol_ends_the_connection_and_no_other() {
    let mut scene = Scene::open();
    let mut bystander = scene.client("bystander");
    bystander.subscribe("a", 0);
    for bytes in [
        // What only a server sends, and types that 3.1.1 does not have.
        packet(CONNACK, &[0, 0]),
        packet(SUBACK, &[0, 1, 0]),
        packet(UNSUBACK, &[0, 1]),
        packet(PINGRESP, &[]),
        packet(AUTH, &[]),
        packet(0, &[]),
        // A Remaining Length of five bytes, and packets longer or shorter than they should be.
        vec![PINGREQ, 0x80, 0x80, 0x80, 0x80, 0],
        packet(PINGREQ, &[0]),
        packet(PUBACK, &[0]),
        packet(PUBREC, &[]),
        packet(PUBREL, &[0, 1, 0]),
        packet(PUBCOMP, &[0, 1, 0, 0]),
        subscribe(1, &[("a", 3)]),
        publish(QOS_1, 0, "a", b""),
    ] {
        scene.is_cut_off(&bytes);
        scene.publish(0, "a", b"others go on");
        assert_eq!(bystander.receive().payload, b"others go on");
    }
}

#[test]
fn v311_4_8_0_2_an_error_of_the_server_ends_the_connection_that_it_happened_on() {
    let mut scene =
        Scene::secure("\n[broker]\nmax_retained_messages = 1\nsys_interval_seconds = 0\n");
    scene.publish(RETAIN | QOS_1, "a", b"fits");
    // There is no room for one more, and 3.1.1 has no way to say so: it must not look as if it had
    // been taken.
    let mut client = scene.user("client", ADMIN);
    client.send(&publish(RETAIN | QOS_1, 1, "b", b"does not fit"));
    client.expect_end();
    scene.publish(RETAIN | QOS_1, "a", b"in its place");
}
