//! Bridges of other brokers.

use crate::harness::Broker;
use crate::harness::raw::{CONNACK, CONNECT, RawClient, data, packet};

/// A mosquitto bridge says first that it is one, by the highest bit of the protocol level, and goes
/// on without it once it is told return code 1 in a CONNACK of 3.x. One of 5.0 means nothing to it.
#[test]
fn a_bridge_that_marks_its_protocol_level_is_told_in_3_x_to_try_without_the_mark() {
    let broker = Broker::open();
    for (name, marked) in [("MQIsdp", 0x83), ("MQTT", 0x84)] {
        let mut bridge = RawClient::plain(broker.plain_port());
        let body = [&data(name)[..], &[marked, 2, 0, 60], &data("bridge")].concat();
        bridge.send(&packet(CONNECT, &body));
        let answer = bridge.expect(CONNACK);
        assert_eq!(answer.body, [0, 1], "{name} {marked:#04x}");
        bridge.expect_end();
    }
}
