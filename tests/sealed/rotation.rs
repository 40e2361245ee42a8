//! Keys change under a broker that runs, and no message is lost.

use bastionmq::envelope::{KeyId, KeyState, Sealer};

use crate::harness::{DEVICE1, Stream};
use crate::plant::{Plant, TOPIC, key, seal, send};

const NOBODY: u8 = 0x10;
const NOT_AUTHORIZED: u8 = 0x87;

/// Waits until the ring has been read anew so many times.
fn reloaded(plant: &Plant, times: usize) {
    let seen = std::cell::Cell::new(0);
    plant.broker.process().wait_for(Stream::Err, |line| {
        let is_it = line.contains("\"reloaded\"") && line.contains("\"key_ring\"");
        seen.set(seen.get() + usize::from(is_it));
        (seen.get() >= times).then_some(())
    });
}

#[test]
fn a_key_is_rotated_and_then_revoked_and_a_broken_ring_changes_nothing() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    let sealer =
        |number| Sealer::new(&key(number, "plant/#"), DEVICE1.0, [number; 16]).expect("a sealer");
    let (mut old, mut new) = (sealer(1), sealer(8));
    assert_eq!(send(&mut device, TOPIC, 1, &seal(&mut old, b"x")), NOBODY);
    assert_eq!(send(&mut device, TOPIC, 2, &seal(&mut new, b"x")), NOT_AUTHORIZED);
    plant.change_ring(|ring| {
        drop(ring.insert(key(8, "plant/#")));
        ring.get_mut(KeyId([1; 8])).expect("a key").state = KeyState::Retiring;
    });
    reloaded(&plant, 1);
    assert_eq!(send(&mut device, TOPIC, 3, &seal(&mut old, b"x")), NOBODY, "it still verifies");
    assert_eq!(send(&mut device, TOPIC, 4, &seal(&mut new, b"x")), NOBODY);
    plant.change_ring(|ring| {
        ring.get_mut(KeyId([1; 8])).expect("a key").state = KeyState::Revoked;
    });
    reloaded(&plant, 2);
    assert_eq!(send(&mut device, TOPIC, 5, &seal(&mut old, b"x")), NOT_AUTHORIZED);
    assert_eq!(plant.refused("revoked_key"), 1);
    std::fs::write(plant.file("keyring"), b"broken").expect("written");
    plant.broker.process().wait_for_text(Stream::Err, "not reloaded");
    assert_eq!(send(&mut device, TOPIC, 6, &seal(&mut new, b"x")), NOBODY);
    assert_eq!(plant.count("bastionmq_reload_in_force{what=\"key_ring\"}"), 0);
}
