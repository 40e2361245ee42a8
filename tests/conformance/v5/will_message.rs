//! Sections 3.1.2.6, 3.1.2.7, 3.1.3.2.8 and 3.1.3.3: the message that a will is.

use super::scene::{
    CLEAN, MALFORMED, Reading, Scene, WILL, connect_packet, properties as parse, text_property,
    user_property,
};
use crate::harness::raw::{Connect, Will, data};

/// Connect Flag: retain the will.
const WILL_RETAIN: u8 = 0x20;
const WILL_QOS_SHIFT: u8 = 3;

fn with_will(will: Will<'static>) -> Connect<'static> {
    Connect { will: Some(will), ..Connect::new(5, "x") }
}

#[test]
fn v5_3_1_2_11_a_will_qos_without_a_will_is_malformed() {
    let scene = Scene::open();
    for qos in 1..=3 {
        let flags = CLEAN | qos << WILL_QOS_SHIFT;
        scene.refused_with(MALFORMED, &connect_packet(flags, &[&data("x")]));
    }
}

#[test]
fn v5_3_1_2_12_a_will_qos_is_0_1_or_2() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 2);
    for qos in 0..=2 {
        scene.accepted(&with_will(Will { qos, ..Will::new("wills", b"will") })).break_off();
        assert_eq!(subscriber.message().qos, qos);
    }
    let connect = with_will(Will { qos: 3, ..Will::new("wills", b"will") });
    scene.refused_with(MALFORMED, &connect.encode());
}

#[test]
fn v5_3_1_2_13_will_retain_without_a_will_is_malformed() {
    let scene = Scene::open();
    scene.refused_with(MALFORMED, &connect_packet(CLEAN | WILL_RETAIN, &[&data("x")]));
}

#[test]
fn v5_3_1_2_14_a_will_is_not_retained_unless_it_says_so() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    scene.accepted(&with_will(Will::new("wills", b"will"))).break_off();
    assert_eq!(subscriber.message().payload, b"will");
    scene.subscriber("wills/#", 0).expect_nothing();
    // Nor does it take the place of one that is.
    let retained = Will { retain: true, ..Will::new("wills", b"retained") };
    scene.accepted(&with_will(retained)).break_off();
    assert_eq!(subscriber.message().payload, b"retained");
    scene.accepted(&with_will(Will::new("wills", b"passing"))).break_off();
    assert_eq!(subscriber.message().payload, b"passing");
    assert_eq!(scene.subscriber("+", 0).message().payload, b"retained");
}

#[test]
fn v5_3_1_2_15_a_will_that_says_so_is_retained() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    let will = Will { retain: true, qos: 1, ..Will::new("wills", b"will") };
    scene.accepted(&with_will(will)).break_off();
    let live = subscriber.message();
    assert_eq!((live.payload.as_slice(), live.retain), (&b"will"[..], false));
    let mut late = scene.subscriber("wills/#", 1);
    let kept = late.message();
    assert_eq!((kept.payload.as_slice(), kept.retain, kept.qos), (&b"will"[..], true, 1));
    // An empty one takes it away.
    scene.accepted(&with_will(Will { retain: true, ..Will::new("wills", b"") })).break_off();
    assert_eq!(subscriber.message().payload, b"");
    scene.subscriber("+", 0).expect_nothing();
}

#[test]
fn v5_3_1_3_10_the_user_properties_of_a_will_keep_their_order() {
    const USER_PROPERTY: u8 = 0x26;
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    let pairs = [("b", "2"), ("a", "1"), ("b", "1"), ("", ""), ("b", "2")];
    let notes = pairs.map(|(name, value)| user_property(name, value));
    // Another property in their midst.
    let (head, tail) = notes.split_at(2);
    let properties = [head.concat(), text_property(0x03, "text/plain"), tail.concat()].concat();
    let will = Will { properties, ..Will::new("wills", b"will") };
    scene.accepted(&with_will(will)).break_off();
    let found = parse(&subscriber.message().properties);
    let found = found.into_iter().filter(|(id, _)| *id == USER_PROPERTY);
    let expected = notes.iter().map(|note| (USER_PROPERTY, note[1..].to_vec()));
    assert!(found.eq(expected));
}

#[test]
fn v5_3_1_3_11_a_will_topic_that_is_no_utf_8_string_is_malformed() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("#", 0);
    for bad in [&b"a\xFF"[..], b"\xED\xA0\x80", b"a\0", b"\xC0\x80"] {
        let payload = [&data("x")[..], &[0], &data(bad), &data("will")];
        scene.refused_with(MALFORMED, &connect_packet(CLEAN | WILL, &payload));
    }
    // The payload beside it is binary data.
    scene.accepted(&with_will(Will::new("жук/🐞", b"\xFF\0"))).break_off();
    let will = subscriber.message();
    assert_eq!((will.topic.as_str(), &will.payload[..]), ("жук/🐞", &b"\xFF\0"[..]));
}
