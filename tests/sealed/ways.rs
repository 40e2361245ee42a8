//! Every way that a message takes carries an envelope untouched; and what the broker seals is opened for
//! those who may have it opened.

use bastionmq::envelope::MAGIC;

use crate::harness::raw::{CONNACK, Connect, PUBLISH, RawClient, Will, publish_with};
use crate::harness::{ADMIN, DEVICE1, DEVICE2};
use crate::plant::{Plant, TOPIC, seal, sealer, send};

const RETAINED: u8 = PUBLISH | 1 << 1 | 1;

fn keeping(plant: &Plant, login: (&'static str, &'static str), id: &str) -> RawClient {
    let connect = Connect::new(5, id).login(login).keep_session(false, 3_600);
    RawClient::connected(plant.broker.plain_port(), &connect)
}

#[test]
fn shares_retained_messages_and_queues_carry_envelopes_as_they_are() {
    let plant = Plant::start();
    let mut sealer = sealer();
    let mut member = plant.client(ADMIN, "member");
    assert_eq!(member.subscribe(5, "$share/group/plant/#", 0), 0);
    let mut away = keeping(&plant, ADMIN, "away");
    assert_eq!(away.subscribe(5, "plant/#", 1), 1);
    away.break_off();
    let mut device = plant.client(DEVICE1, "device");
    let sealed = seal(&mut sealer, b"for everybody");
    device.send(&publish_with(5, RETAINED, TOPIC, Some(1), &[], &sealed));
    assert_eq!(member.expect(PUBLISH).publish(5).payload, sealed, "shared");
    let mut late = plant.client(ADMIN, "late");
    assert_eq!(late.subscribe(5, "plant/#", 0), 0);
    let retained = late.expect(PUBLISH).publish(5);
    assert!(retained.retain && retained.payload == sealed, "retained");
    let mut back = keeping(&plant, ADMIN, "away");
    assert_eq!(back.expect(PUBLISH).publish(5).payload, sealed, "queued");
}

#[test]
fn what_the_broker_seals_is_plain_for_those_who_may_open_it_and_sealed_for_all_others() {
    let plant = Plant::start();
    let mut reader = plant.reader("legacy/#");
    let mut other = plant.client(DEVICE2, "other");
    assert_eq!(other.subscribe(5, "legacy/#", 0), 0);
    let mut device = plant.client(DEVICE1, "device");
    device.send(&publish_with(5, RETAINED, "legacy/1", Some(1), &[], b"plain"));
    assert_eq!(reader.expect(PUBLISH).publish(5).payload, b"plain");
    assert!(other.expect(PUBLISH).publish(5).payload.starts_with(&MAGIC));
    for (login, is_plain) in [(ADMIN, true), (DEVICE2, false)] {
        let mut late = plant.client(login, &format!("late-{}", login.0));
        assert_eq!(late.subscribe(5, "legacy/#", 0), 0);
        let payload = late.expect(PUBLISH).publish(5).payload;
        assert_eq!(payload == b"plain", is_plain, "retained");
    }
    assert_eq!(plant.count("bastionmq_envelopes_sealed_total"), 1);
    assert_eq!(plant.count("bastionmq_envelopes_opened_total"), 2);
}

#[test]
fn a_will_is_an_envelope_as_any_message_is() {
    let plant = Plant::start();
    let mut reader = plant.reader("plant/#");
    let mut sealer = sealer();
    let sealed = seal(&mut sealer, b"gone");
    let connect = |payload| Connect {
        will: Some(Will::new(TOPIC, payload)),
        ..Connect::new(5, "device").login(DEVICE1)
    };
    let mut refused = RawClient::plain(plant.broker.plain_port());
    refused.send(&connect(b"plain").encode());
    let answer = refused.read();
    assert_eq!((answer.first, answer.reason()), (CONNACK, 0x99));
    RawClient::connected(plant.broker.plain_port(), &connect(&sealed)).break_off();
    assert_eq!(reader.expect(PUBLISH).publish(5).payload, sealed);
    let mut again = RawClient::plain(plant.broker.plain_port());
    again.send(&connect(&sealed).encode());
    assert_eq!(again.read().reason(), 0x99, "it was sent");
    let mut device = plant.client(DEVICE1, "other");
    assert_eq!(send(&mut device, TOPIC, 1, &sealed), 0x99, "nor is it a message");
}
