//! Sections 3.1.2.8, 3.1.2.9, 3.1.3.4 and 3.1.3: user name, password, the order of the payload.

use super::scene::{ILL_FORMED, Scene, connect_with};
use crate::harness::ADMIN;

const CLEAN: u8 = 0x02;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

fn admin() -> [&'static [u8]; 2] {
    [ADMIN.0.as_bytes(), ADMIN.1.as_bytes()]
}

#[test]
fn v311_3_1_2_18_without_the_user_name_flag_there_is_no_user_name() {
    let scene = Scene::open();
    scene.is_hung_up_on(&connect_with(CLEAN, &[b"client", b"user"]));
}

#[test]
fn v311_3_1_2_19_with_the_user_name_flag_there_is_a_user_name() {
    let scene = Scene::secure("");
    let [user, password] = admin();
    scene.is_hung_up_on(&connect_with(CLEAN | USER_NAME, &[b"client"]));
    let mut client = scene.stranger();
    client.send(&connect_with(CLEAN | USER_NAME | PASSWORD, &[b"client", user, password]));
    client.expect_accepted();
}

#[test]
fn v311_3_1_2_20_without_the_password_flag_there_is_no_password() {
    let scene = Scene::secure("");
    let [user, password] = admin();
    scene.is_hung_up_on(&connect_with(CLEAN | USER_NAME, &[b"client", user, password]));
}

#[test]
fn v311_3_1_2_21_with_the_password_flag_there_is_a_password() {
    let scene = Scene::secure("");
    let [user, _] = admin();
    scene.is_hung_up_on(&connect_with(CLEAN | USER_NAME | PASSWORD, &[b"client", user]));
}

#[test]
fn v311_3_1_2_22_without_the_user_name_flag_there_is_no_password_flag() {
    let scene = Scene::open();
    scene.is_hung_up_on(&connect_with(CLEAN | PASSWORD, &[b"client", b"password"]));
    scene.is_hung_up_on(&connect_with(CLEAN | PASSWORD, &[b"client", b"user", b"password"]));
}

#[test]
fn v311_3_1_3_1_the_payload_is_client_id_will_topic_will_message_user_name_password() {
    let scene = Scene::secure("");
    let mut witness = scene.user("witness", ADMIN);
    witness.subscribe("topic", 0);
    let flags = CLEAN | 0x04 | USER_NAME | PASSWORD;
    let [user, password] = admin();
    let mut client = scene.stranger();
    client.send(&connect_with(flags, &[b"client", b"topic", b"message", user, password]));
    client.expect_accepted();
    client.break_off();
    assert_eq!(witness.receive().payload, b"message");
    // In another order, the same fields are those of a user who does not exist.
    for fields in [
        [b"client", user, password, b"topic", b"message"],
        [b"client", b"topic", b"message", password, user],
    ] {
        scene.is_refused(&connect_with(flags, &fields), 4);
    }
}

#[test]
fn v311_3_1_3_11_a_user_name_is_utf_8() {
    let scene = Scene::open();
    for user in ILL_FORMED {
        scene.is_hung_up_on(&connect_with(CLEAN | USER_NAME, &[b"client", user]));
        let bytes = connect_with(CLEAN | USER_NAME | PASSWORD, &[b"client", user, b"password"]);
        scene.is_hung_up_on(&bytes);
    }
}
