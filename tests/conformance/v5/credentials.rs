//! Sections 3.1.2.8, 3.1.2.9 and 3.1.3.5: user name and password.

use super::scene::{CLEAN, MALFORMED, PASSWORD, Scene, USER_NAME, connect_packet};
use crate::harness::ADMIN;
use crate::harness::raw::{CONNACK, Connect, data};

const BAD_LOGIN: u8 = 0x86;

#[test]
fn v5_3_1_2_16_a_user_name_that_no_flag_announces_is_malformed() {
    let scene = Scene::secure("");
    let (user, password) = ADMIN;
    scene.refused_with(MALFORMED, &connect_packet(CLEAN, &[&data("x"), &data(user)]));
    // Read as the password, it leaves the password over.
    let payload = [&data("x")[..], &data(user), &data(password)];
    scene.refused_with(MALFORMED, &connect_packet(CLEAN | PASSWORD, &payload));
}

#[test]
fn v5_3_1_2_17_a_user_name_that_is_announced_and_missing_is_malformed() {
    let scene = Scene::secure("");
    let (_, password) = ADMIN;
    scene.refused_with(MALFORMED, &connect_packet(CLEAN | USER_NAME, &[&data("x")]));
    let payload = [&data("x")[..], &data(password)];
    scene.refused_with(MALFORMED, &connect_packet(CLEAN | USER_NAME | PASSWORD, &payload));
}

#[test]
fn v5_3_1_2_18_a_password_that_no_flag_announces_is_malformed() {
    let scene = Scene::secure("");
    let (user, password) = ADMIN;
    let payload = [&data("x")[..], &data(user), &data(password)];
    scene.refused_with(MALFORMED, &connect_packet(CLEAN | USER_NAME, &payload));
    scene.refused_with(MALFORMED, &connect_packet(CLEAN, &[&data("x"), &data(password)]));
}

#[test]
fn v5_3_1_2_19_a_password_that_is_announced_and_missing_is_malformed() {
    let scene = Scene::secure("");
    let (user, _) = ADMIN;
    scene.refused_with(MALFORMED, &connect_packet(CLEAN | PASSWORD, &[&data("x")]));
    let payload = [&data("x")[..], &data(user)];
    scene.refused_with(MALFORMED, &connect_packet(CLEAN | USER_NAME | PASSWORD, &payload));
}

#[test]
fn v5_3_1_3_12_a_user_name_that_is_no_utf_8_string_is_malformed() {
    let scene = Scene::secure("");
    let (user, password) = ADMIN;
    for bad in [&b"admin\xFF"[..], b"\xED\xA0\x80", b"admin\0", b"\xC0\x80"] {
        let payload = [&data("x")[..], &data(bad), &data(password)];
        scene.refused_with(MALFORMED, &connect_packet(CLEAN | USER_NAME | PASSWORD, &payload));
    }
    // The password beside it is binary data, and only wrong.
    let payload = [&data("x")[..], &data(user), &data(b"\xFF\0")];
    scene.refused_with(BAD_LOGIN, &connect_packet(CLEAN | USER_NAME | PASSWORD, &payload));
    let mut client = scene.stranger();
    client.send(&Connect::new(5, "x").login(ADMIN).encode());
    assert_eq!(client.expect(CONNACK).reason(), 0);
}
