//! Section 3.1.2.11.4: the size of what a client takes.

use super::scene::{LONG, PROTOCOL_ERROR, Reading, Scene, long_property, user_property};
use crate::harness::raw::{
    self, CONNACK, Connect, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK,
    SUBSCRIBE, UNSUBSCRIBE, data, packet,
};

const MAXIMUM_PACKET_SIZE: u8 = 0x27;
const TOO_LARGE: u8 = 0x95;
const AT_LEAST_ONCE: u8 = PUBLISH | 1 << 1;
const EXACTLY_ONCE: u8 = PUBLISH | 2 << 1;
const UNSUBACK: u8 = 0xB0;

/// A client that takes packets of at most `size` bytes.
fn takes_up_to(size: u32) -> Connect<'static> {
    let properties = long_property(MAXIMUM_PACKET_SIZE, size);
    Connect { properties, ..Connect::new(5, "small") }
}

/// Bytes of a packet with this body.
fn size_of(body: &[u8]) -> usize {
    1 + raw::variable_byte_integer(body.len()).len() + body.len()
}

#[test]
fn v5_3_1_2_24_no_message_is_sent_that_is_larger_than_the_client_takes() {
    let scene = Scene::open();
    for limit in [50, 51, 130, 131, 16_387, 16_388] {
        let mut small = scene.accepted(&takes_up_to(limit));
        assert_eq!(small.subscribe(5, "a", 0), 0);
        let mut publisher = scene.client("publisher");
        // Topic and property length take 4 bytes, the fixed header at least 2.
        let limit = limit as usize;
        let bodies = (limit - 10..limit + 2).map(|size| vec![b'x'; size - 4]);
        let bodies = bodies.collect::<Vec<_>>();
        for payload in &bodies {
            publisher.send(&raw::publish(5, "a", payload));
        }
        publisher.send(&raw::publish(5, "a", b"last"));
        let fits = |payload: &&Vec<u8>| raw::publish(5, "a", payload).len() <= limit;
        let expected = bodies.iter().filter(fits).map(Vec::len).collect::<Vec<_>>();
        assert!(!expected.is_empty() && expected.len() < bodies.len());
        for length in expected {
            let frame = small.read();
            assert_eq!(frame.publish(5).payload.len(), length);
            assert!(size_of(&frame.body) <= limit);
        }
        assert_eq!(small.message().payload, b"last");
    }
}

#[test]
fn v5_3_1_2_24_the_topic_and_the_properties_count_as_well() {
    let scene = Scene::open();
    let mut small = scene.accepted(&takes_up_to(60));
    assert_eq!(small.subscribe(5, "#", 0), 0);
    let mut publisher = scene.client("publisher");
    publisher.send(&raw::publish(5, &"t".repeat(60), b""));
    let note = user_property("name", "v".repeat(60));
    publisher.send(&raw::publish_with(5, PUBLISH, "a", None, &note, b""));
    publisher.send(&raw::publish(5, "a", b"last"));
    assert_eq!(small.message().payload, b"last");
}

#[test]
fn v5_3_1_2_24_a_connack_that_the_client_does_not_take_is_not_sent() {
    let scene = Scene::open();
    let needed = scene.welcomed(&takes_up_to(u32::MAX)).1.size;
    for limit in 1..=needed + 1 {
        let mut client = scene.stranger();
        client.send(&takes_up_to(u32::try_from(limit).expect("small")).encode());
        let answer = client.read_or_end();
        let accepted = answer.as_ref().is_some_and(|frame| frame.reason() == 0);
        assert_eq!(accepted, limit >= needed, "{limit}");
        assert!(answer.is_none_or(|frame| size_of(&frame.body) <= limit), "{limit}");
        if accepted { client.expect_nothing() } else { client.expect_end() }
    }
}

#[test]
fn v5_3_1_2_24_a_client_that_takes_no_connack_leaves_nothing_behind() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    let will = Some(raw::Will::new("wills", b"of a client that never was"));
    let connect = Connect { will, ..takes_up_to(9) };
    let mut client = scene.stranger();
    client.send(&connect.encode());
    assert_eq!(client.expect(CONNACK).reason(), TOO_LARGE);
    client.expect_end();
    subscriber.expect_nothing();
    // Its identifier is free.
    scene.client("small").expect_nothing();
}

#[test]
fn v5_3_1_2_24_an_acknowledgement_that_the_client_does_not_take_is_not_sent() {
    const FILTERS: usize = 40;
    let scene = Scene::open();
    let filters = (0..FILTERS).map(|number| data(format!("{number:02}"))).collect::<Vec<_>>();
    let with_options = filters.iter().flat_map(|filter| [filter, &[0][..]].concat());
    let subscribe = packet(SUBSCRIBE, &[vec![0, 1, 0], with_options.collect()].concat());
    let unsubscribe = packet(UNSUBSCRIBE, &[vec![0, 1, 0], filters.concat()].concat());
    let needed = u32::try_from(size_of(&[0; 3 + FILTERS])).expect("small");
    for (bytes, answer) in [(subscribe, SUBACK), (unsubscribe, UNSUBACK)] {
        let mut client = scene.accepted(&takes_up_to(needed));
        client.send(&bytes);
        client.expect(answer);
        let mut client = scene.accepted(&takes_up_to(needed - 1));
        client.send(&bytes);
        client.expect_disconnect(TOO_LARGE);
    }
}

#[test]
fn v5_3_1_2_24_a_disconnect_leaves_out_the_reason_string_that_the_client_does_not_take() {
    let scene = Scene::open();
    let needed = u32::try_from(scene.welcomed(&takes_up_to(u32::MAX)).1.size).expect("small");
    let mut client = scene.accepted(&takes_up_to(needed));
    client.send(&packet(CONNACK, &[0, 0, 0]));
    let farewell = client.expect(DISCONNECT);
    assert_eq!(farewell.reason(), PROTOCOL_ERROR);
    assert!(size_of(&farewell.body) <= needed as usize, "{farewell:02x?}");
}

#[test]
fn v5_3_1_2_25_a_message_that_is_too_large_counts_as_sent() {
    let scene = Scene::open();
    let receive_maximum = [0x21, 0, 1];
    let mut connect = takes_up_to(50).keep_session(true, LONG);
    connect.properties.extend(takes_up_to(50).properties);
    connect.properties.extend(receive_maximum);
    let mut small = scene.accepted(&connect);
    assert_eq!(small.subscribe(5, "a", 2), 2);
    let mut large = scene.subscriber("a", 0);
    let mut publisher = scene.client("publisher");
    let mut publish = |first: u8, payload: &[u8]| {
        publisher.send(&raw::publish_with(5, first, "a", Some(1), &[], payload));
        if first == EXACTLY_ONCE {
            publisher.expect(PUBREC);
            publisher.send(&raw::acknowledge(PUBREL, 1));
            publisher.expect(PUBCOMP);
        } else {
            publisher.expect(PUBACK);
        }
    };
    // One that is too large takes no place in the window of one, and does not come later.
    for first in [AT_LEAST_ONCE, EXACTLY_ONCE] {
        publish(first, &[b'x'; 100]);
        publish(AT_LEAST_ONCE, b"small");
        let message = small.message();
        assert_eq!(message.payload, b"small");
        small.send(&raw::acknowledge(PUBACK, message.id.expect("QoS 1")));
        assert_eq!(large.message().payload.len(), 100);
        assert_eq!(large.message().payload, b"small");
    }
    small.leave();
    // Nor does it come to the next connection, which would take it.
    let (mut roomy, answer) = scene.welcomed(&Connect::new(5, "small").keep_session(false, LONG));
    assert!(answer.has_session());
    roomy.expect_nothing();
}
