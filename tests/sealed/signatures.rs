//! Where a signature is required, it is by the key of the certificate that the device has shown.

use std::fs;
use std::path::Path;

use crate::harness::raw::{Connect, PUBLISH, RawClient};
use crate::harness::{ADMIN, DEVICE1, Site, bastionmq};
use crate::plant::{Plant, TOPIC, send};

const SIGNED: &str = "signed/1";
const TAKEN: u8 = 0;
const NOBODY: u8 = 0x10;
const NO_FORMAT: u8 = 0x99;

/// What `bastionmq seal` makes for the first device, signed by a key where one is given.
fn sealed(plant: &Plant, topic: &str, sign_key: Option<&Path>) -> Vec<u8> {
    fs::write(plant.file("payload"), "1200").expect("written");
    let mut command = bastionmq();
    command.args(["seal", "--ring", "keyring", "--master-key-file", "master.key"]);
    command.args(["--sender", DEVICE1.0, "--topic", topic, "--in", "payload"]);
    if let Some(key) = sign_key {
        command.arg("--sign-key").arg(key);
    }
    let output = command.current_dir(plant.files()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The first device, by the certificate that `certs client` has made for it.
fn by_certificate(plant: &Plant) -> RawClient {
    let tls = Site::shared().tls_as(DEVICE1.0);
    let mut device = RawClient::tls(plant.broker.tls_port(), tls);
    device.send(&Connect::new(5, "signs").encode());
    assert_eq!(device.read().reason(), TAKEN);
    device
}

#[test]
fn only_what_the_key_of_the_certificate_has_signed_is_taken_where_a_signature_is_required() {
    let plant = Plant::start();
    let mut reader = plant.client(ADMIN, "reader");
    assert_eq!(reader.subscribe(5, SIGNED, 0), 0);
    let mut device = by_certificate(&plant);
    let (own, other) = (Site::shared().file("device1.key"), Site::shared().file("server.key"));
    let signed = sealed(&plant, SIGNED, Some(&own));
    assert_eq!(send(&mut device, SIGNED, 1, &signed), TAKEN);
    assert_eq!(reader.expect(PUBLISH).publish(5).payload, signed);
    let unsigned = sealed(&plant, SIGNED, None);
    assert_eq!(send(&mut device, SIGNED, 2, &unsigned), NO_FORMAT, "unsigned");
    assert_eq!(plant.refused("bad_signature"), 1);
    let wrong = sealed(&plant, SIGNED, Some(&other));
    assert_eq!(send(&mut device, SIGNED, 3, &wrong), NO_FORMAT, "signed by another key");
    assert_eq!(plant.refused("bad_signature"), 2);
    // The same name, proven by its password: nothing says whose the key is.
    let mut by_password = plant.client(DEVICE1, "password");
    let signed = sealed(&plant, SIGNED, Some(&own));
    assert_eq!(send(&mut by_password, SIGNED, 1, &signed), NO_FORMAT, "no certificate");
    assert_eq!(plant.refused("bad_signature"), 3);
    reader.expect_silence();
    assert_eq!(send(&mut device, SIGNED, 4, &signed), TAKEN, "what is refused uses up no place");
}

#[test]
fn a_signature_that_nobody_asks_for_must_be_right_all_the_same() {
    let plant = Plant::start();
    let mut device = by_certificate(&plant);
    for (id, key, reason) in
        [(1, Some("device1.key"), NOBODY), (2, None, NOBODY), (3, Some("server.key"), NO_FORMAT)]
    {
        let key = key.map(|name| Site::shared().file(name));
        let sealed = sealed(&plant, TOPIC, key.as_deref());
        assert_eq!(send(&mut device, TOPIC, id, &sealed), reason, "{key:?}");
    }
    assert_eq!(plant.refused("bad_signature"), 1);
}
