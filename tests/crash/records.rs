//! Records of every kind, damaged: reported and passed over, and the broker starts.

use std::fs;
use std::path::Path;

use crate::device::{Device, Outgoing};
use crate::harness::Stream;
use crate::harness::raw::{Connect, PUBLISH, RawClient, Will, publish_with};
use crate::network::Network;
use crate::place::{Place, VERSION, client, kill, stop};

/// Places in the file at which a bit is turned, each in a copy of its own.
const PLACES: usize = 24;

/// Leaves something of everything behind: sessions, subscriptions, wills that are due and that wait,
/// messages for one and for many, sent and not, identifiers received, and what is retained.
fn fill(place: &Place) {
    let broker = place.start();
    let network = Network::of(&broker);
    let mut devices = ["one", "two", "three"].map(|id| Device::new(id, VERSION));
    for (device, filter) in devices.iter_mut().zip(["shared/#", "shared/+", "alone"]) {
        let mut visit = device.visit(&network).expect("the broker stays");
        visit.subscribe(filter, 2);
        visit.leave();
    }
    let mut writer = Device::new("writer", VERSION);
    let mut visit = writer.visit(&network).expect("the broker stays");
    visit.publish_all(["shared/1", "shared/2", "alone"].map(|topic| Outgoing::new(topic, 2, "x")));
    // Received, and not released.
    visit.is_mute = true;
    visit.publish(Outgoing::new("alone", 2, "y"));
    visit.next();
    let mut reader = devices[0].visit(&network).expect("the broker stays");
    reader.is_mute = true;
    reader.next();
    let mut other = devices[1].visit(&network).expect("the broker stays");
    other.next();
    other.next();

    const AN_HOUR: [u8; 5] = [0x18, 0, 0, 0x0E, 0x10];
    let will = Some(Will { properties: AN_HOUR.to_vec(), ..Will::new("will", b"late") });
    let connect = Connect { will, ..Connect::new(VERSION, "late").keep_session(false, 7_200) };
    RawClient::connected(broker.plain_port(), &connect).break_off();
    let will = Some(Will::new("will", b"soon"));
    let connect = Connect { will, ..Connect::new(VERSION, "soon").keep_session(false, 7_200) };
    let _soon = RawClient::connected(broker.plain_port(), &connect);
    let mut retains = client(&broker, "retains");
    retains.send(&publish_with(VERSION, PUBLISH | 1 | 1 << 1, "retained", Some(1), &[], b"x"));
    retains.read();
    kill(broker);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("a copy");
        }
    }
}

#[test]
fn r30_no_record_that_is_damaged_keeps_the_broker_from_starting() {
    let whole = Place::new();
    fill(&whole);
    let segment = |place: &Place| place.store().join("00000001.log");
    let length = fs::metadata(segment(&whole)).expect("a segment").len() as usize;
    assert!(length > 1_000, "{length} bytes");
    for number in 0..PLACES {
        let place = Place::new();
        copy(whole.root(), place.root());
        let mut content = fs::read(segment(&place)).expect("a segment");
        let at = number * length / PLACES;
        content[at] ^= 1 << (number % 8);
        fs::write(segment(&place), content).expect("damaged");

        let broker = place.start();
        let reported = |line: &str| {
            let is_told = line.contains("the store is damaged") || line.contains("in order");
            is_told.then_some(())
        };
        broker.process().wait_for(Stream::Err, reported);
        let network = Network::of(&broker);
        for id in ["one", "two", "three", "writer", "late", "soon"] {
            let mut device = Device::new(id, VERSION);
            let mut visit = device.visit(&network).expect("the broker stays");
            visit.until_quiet();
            visit.leave();
        }
        assert!(!broker.process().transcript().contains("panic"), "the byte at {at}");
        stop(broker);
        // What was damaged is not damage any more.
        stop(place.start());
    }
}
