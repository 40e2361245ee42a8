//! AUTH, and enhanced authentication by SCRAM-SHA-256 (3.15 and 4.12).

use super::scene::{MALFORMED, PROTOCOL_ERROR, long_property, text_property};
use super::stage::{Stage, Version5, properties_at};
use crate::harness::raw::{
    AUTH, CONNACK, Connect, DISCONNECT, Frame, PINGREQ, RawClient, packet, publish, subscribe,
    variable_byte_integer,
};
use crate::harness::scram::Scram;
use crate::harness::{ADMIN, DEVICE1, Login};

const SCRAM: &str = "SCRAM-SHA-256";
const CONTINUE: u8 = 0x18;
const AGAIN: u8 = 0x19;
const MAXIMUM_PACKET_SIZE: u8 = 0x27;
const REASON_STRING: u8 = 0x1F;
const USER_PROPERTY: u8 = 0x26;
const AUTHENTICATION_METHOD: u8 = 0x15;
const AUTHENTICATION_DATA: u8 = 0x16;
const BAD_METHOD: u8 = 0x8C;
const NOT_AUTHORIZED: u8 = 0x87;
const BAD_LOGIN: u8 = 0x86;
const PACKET_TOO_LARGE: u8 = 0x95;

/// AUTH with a reason code and a method.
fn auth(reason: u8, method: &str) -> Vec<u8> {
    let section = text_property(AUTHENTICATION_METHOD, method);
    let length = u8::try_from(section.len()).expect("one byte of length");
    packet(AUTH, &[&[reason, length], &section[..]].concat())
}

/// AUTH with data.
fn auth_with(reason: u8, method: &str, data: &[u8]) -> Vec<u8> {
    let method = text_property(AUTHENTICATION_METHOD, method);
    let section = [method, text_property(AUTHENTICATION_DATA, data)].concat();
    let length = variable_byte_integer(section.len());
    packet(AUTH, &[&[reason], &length[..], &section[..]].concat())
}

/// The value of a property of an AUTH or, two bytes in, of a CONNACK.
fn property(frame: &Frame, id: u8) -> Option<Vec<u8>> {
    let at = if frame.first == CONNACK { 2 } else { 1 };
    let mut found = properties_at(frame, at).into_iter().filter(|(found, _)| *found == id);
    let value = found.next().map(|(_, value)| value);
    assert!(found.next().is_none(), "{id:#04x} twice: {frame:?}");
    value
}

/// A client whose CONNECT has named SCRAM-SHA-256, with more properties, and what it hears first.
fn opened(stage: &Stage, login: Login, more: &[u8]) -> (RawClient, Scram, Frame) {
    let scram = Scram::new(login.0, login.1);
    let mut properties = text_property(AUTHENTICATION_METHOD, SCRAM);
    properties.extend(text_property(AUTHENTICATION_DATA, scram.first()));
    properties.extend_from_slice(more);
    let mut client = stage.stranger();
    client.send(&Connect { properties, ..Connect::new(5, "client") }.encode());
    let answer = client.read();
    (client, scram, answer)
}

/// As [`opened`], and challenged.
fn challenged(stage: &Stage) -> (RawClient, Scram, Frame) {
    let (client, scram, challenge) = opened(stage, ADMIN, &[]);
    assert_eq!((challenge.first, challenge.reason()), (AUTH, CONTINUE), "{challenge:?}");
    (client, scram, challenge)
}

/// The client's answer to a challenge.
fn answer(scram: &mut Scram, challenge: &Frame) -> Vec<u8> {
    let question = property(challenge, AUTHENTICATION_DATA).expect("data");
    auth_with(CONTINUE, SCRAM, &scram.last(&question))
}

/// A client that has proven itself to be [`ADMIN`].
fn proven(stage: &Stage) -> RawClient {
    let (mut client, mut scram, challenge) = challenged(stage);
    client.send(&answer(&mut scram, &challenge));
    assert_eq!(client.expect(CONNACK).reason(), 0);
    client
}

#[test]
fn v5_3_1_2_30_before_connack_any_packet_but_auth_and_disconnect_is_a_protocol_error() {
    let stage = Stage::secure();
    for bytes in [
        packet(PINGREQ, &[]),
        publish(5, "a", b"early"),
        subscribe(5, 1, "#", 0),
        Connect::new(5, "client").encode(),
    ] {
        let (mut client, _, _) = challenged(&stage);
        client.send(&bytes);
        let answer = client.expect(CONNACK);
        assert_eq!(answer.reason(), PROTOCOL_ERROR, "for {bytes:02x?}");
        client.expect_end();
    }
    let (mut client, _, _) = challenged(&stage);
    client.send(&packet(DISCONNECT, &[]));
    client.expect_end();
}

#[test]
fn v5_3_15_2_1_auth_has_one_of_three_reason_codes() {
    let stage = Stage::secure();
    for reason in (0..=u8::MAX).filter(|reason| ![0, CONTINUE, AGAIN].contains(reason)) {
        let (mut client, _, _) = challenged(&stage);
        client.send(&auth(reason, SCRAM));
        let told = client.expect(CONNACK).reason();
        assert!([MALFORMED, PROTOCOL_ERROR].contains(&told), "{told:#04x} for {reason:#04x}");
        client.expect_end();
    }
    let mut client = proven(&stage);
    let mut scram = Scram::new(ADMIN.0, ADMIN.1);
    client.send(&auth_with(AGAIN, SCRAM, &scram.first()));
    let challenge = client.expect(AUTH);
    assert_eq!(challenge.reason(), CONTINUE);
    client.send(&answer(&mut scram, &challenge));
    assert_eq!(client.expect(AUTH).reason(), 0);
}

/// Fails if an AUTH comes that is larger than the client takes, or that holds what makes it so.
fn holds_back(id: u8) {
    let stage = Stage::secure();
    let (_, _, challenge) = challenged(&stage);
    let size = u32::try_from(2 + challenge.body.len()).expect("a small packet");
    for limit in [size, size - 1] {
        let (mut client, _, heard) =
            opened(&stage, ADMIN, &long_property(MAXIMUM_PACKET_SIZE, limit));
        if limit == size {
            assert_eq!((heard.first, heard.reason()), (AUTH, CONTINUE));
            assert_eq!(property(&heard, id), None);
        } else {
            // Without room for the challenge itself there is no exchange.
            assert_eq!((heard.first, heard.reason()), (CONNACK, PACKET_TOO_LARGE));
            client.expect_end();
        }
    }
}

#[test]
fn v5_3_15_2_2_no_reason_string_makes_an_auth_larger_than_the_client_takes() {
    holds_back(REASON_STRING);
}

#[test]
fn v5_3_15_2_3_no_user_property_makes_an_auth_larger_than_the_client_takes() {
    holds_back(USER_PROPERTY);
}

#[test]
fn v5_4_12_0_2_an_auth_of_the_server_asks_to_continue() {
    let stage = Stage::secure();
    for login in [ADMIN, DEVICE1, ("nobody", "nothing")] {
        let (_, _, challenge) = opened(&stage, login, &[]);
        assert_eq!((challenge.first, challenge.reason()), (AUTH, CONTINUE), "{login:?}");
    }
}

#[test]
fn v5_4_12_0_3_an_answer_of_the_client_that_does_not_continue_is_a_protocol_error() {
    let stage = Stage::secure();
    for reason in [0, AGAIN] {
        let (mut client, mut scram, challenge) = challenged(&stage);
        let question = property(&challenge, AUTHENTICATION_DATA).expect("data");
        client.send(&auth_with(reason, SCRAM, &scram.last(&question)));
        assert_eq!(client.expect(CONNACK).reason(), PROTOCOL_ERROR, "{reason:#04x}");
        client.expect_end();
    }
}

#[test]
fn v5_4_12_0_4_a_client_that_is_rejected_is_told_and_disconnected() {
    let stage = Stage::secure();
    for login in [(ADMIN.0, DEVICE1.1), ("nobody", ADMIN.1)] {
        let (mut client, mut scram, challenge) = opened(&stage, login, &[]);
        client.send(&answer(&mut scram, &challenge));
        assert_eq!(client.expect(CONNACK).reason(), BAD_LOGIN, "{login:?}");
        client.expect_end();
    }
    for data in [&b""[..], b"n", b"n,,n=admin", b"p=tls-exporter,,n=admin,r=x"] {
        let mut properties = text_property(AUTHENTICATION_METHOD, SCRAM);
        properties.extend(text_property(AUTHENTICATION_DATA, data));
        let mut client = stage.stranger();
        client.send(&Connect { properties, ..Connect::new(5, "client") }.encode());
        assert_eq!(client.expect(CONNACK).reason(), NOT_AUTHORIZED, "{data:?}");
        client.expect_end();
    }
}

#[test]
fn v5_4_12_0_5_every_auth_and_a_connack_that_accepts_name_the_method_of_the_connect() {
    let stage = Stage::secure();
    let named = Some(SCRAM.as_bytes().to_vec());
    let (mut client, mut scram, challenge) = challenged(&stage);
    assert_eq!(property(&challenge, AUTHENTICATION_METHOD), named);
    client.send(&answer(&mut scram, &challenge));
    let accepted = client.expect(CONNACK);
    assert_eq!(accepted.reason(), 0);
    assert_eq!(property(&accepted, AUTHENTICATION_METHOD), named);
    scram.check(&property(&accepted, AUTHENTICATION_DATA).expect("data"));

    for method in ["SCRAM-SHA-1", "scram-sha-256", ""] {
        let (mut client, mut scram, challenge) = challenged(&stage);
        let question = property(&challenge, AUTHENTICATION_DATA).expect("data");
        client.send(&auth_with(CONTINUE, method, &scram.last(&question)));
        assert_eq!(client.expect(CONNACK).reason(), PROTOCOL_ERROR, "{method}");
        client.expect_end();
    }
    let (mut client, _, _) = challenged(&stage);
    let section = text_property(AUTHENTICATION_DATA, "x");
    let length = u8::try_from(section.len()).expect("one byte of length");
    client.send(&packet(AUTH, &[&[CONTINUE, length], &section[..]].concat()));
    assert_eq!(client.expect(CONNACK).reason(), PROTOCOL_ERROR, "no method");
    client.expect_end();
}

#[test]
fn v5_4_12_1_1_a_client_proves_itself_anew_by_the_method_of_its_connect_alone() {
    let stage = Stage::secure();
    let mut client = proven(&stage);
    client.subscribed("a/#", 0);
    let mut scram = Scram::new(ADMIN.0, ADMIN.1);
    client.send(&auth_with(AGAIN, SCRAM, &scram.first()));
    let challenge = client.expect(AUTH);
    // Other packets flow as before.
    client.says("a/b", "meanwhile");
    client.hears("meanwhile");
    client.send(&answer(&mut scram, &challenge));
    let done = client.expect(AUTH);
    assert_eq!(done.reason(), 0);
    assert_eq!(property(&done, AUTHENTICATION_METHOD), Some(SCRAM.as_bytes().to_vec()));
    scram.check(&property(&done, AUTHENTICATION_DATA).expect("data"));
    client.hears_nothing();

    for method in ["SCRAM-SHA-1", ""] {
        let first = Scram::new(ADMIN.0, ADMIN.1).first();
        proven(&stage).provokes(&auth_with(AGAIN, method, &first), &[PROTOCOL_ERROR]);
    }
}

#[test]
fn v5_4_12_1_2_a_client_that_fails_to_prove_itself_anew_is_told_and_disconnected() {
    let stage = Stage::secure();
    for (user, password) in [(ADMIN.0, "wrong"), DEVICE1] {
        let mut client = proven(&stage);
        let mut scram = Scram::new(user, password);
        client.send(&auth_with(AGAIN, SCRAM, &scram.first()));
        let challenge = client.expect(AUTH);
        client.provokes(&answer(&mut scram, &challenge), &[NOT_AUTHORIZED]);
    }
    proven(&stage).provokes(&auth_with(AGAIN, SCRAM, b"nonsense"), &[NOT_AUTHORIZED]);
}

#[test]
fn v5_3_15_1_1_an_auth_with_reserved_bits_is_malformed() {
    let stage = Stage::open();
    for flags in 1..16 {
        stage.client("clumsy").provokes(&packet(AUTH | flags, &[0x18, 0]), &[MALFORMED]);
    }
}

#[test]
fn v5_4_12_0_1_a_method_that_is_not_supported_ends_the_connection() {
    for (stage, login) in [(Stage::open(), None), (Stage::secure(), Some(ADMIN))] {
        for method in ["NO-SUCH-METHOD", ""] {
            let properties = text_property(AUTHENTICATION_METHOD, method);
            let mut client = stage.stranger();
            client.send(&Connect { properties, login, ..Connect::new(5, "client") }.encode());
            if let Some(answer) = client.read_or_end() {
                assert_eq!(answer.first, CONNACK);
                assert!([BAD_METHOD, NOT_AUTHORIZED].contains(&answer.reason()), "{answer:?}");
                client.expect_end();
            }
        }
    }
}

#[test]
fn v5_4_12_0_6_without_a_method_there_is_neither_auth_nor_a_method_in_the_connack() {
    for (stage, login, accepted) in [
        (Stage::open(), None, true),
        (Stage::secure(), Some(DEVICE1), true),
        (Stage::secure(), Some(("device1", "wrong")), false),
        (Stage::secure(), None, false),
    ] {
        let mut client = stage.stranger();
        client.send(&Connect { login, ..Connect::new(5, "client") }.encode());
        let answer = client.expect(CONNACK);
        assert_eq!(answer.reason() == 0, accepted, "{answer:?}");
        let found = properties_at(&answer, 2);
        assert!(found.iter().all(|(id, _)| *id != AUTHENTICATION_METHOD), "{found:?}");
        if accepted {
            client.hears_nothing();
        }
    }
}

#[test]
fn v5_4_12_0_7_an_auth_without_a_method_in_the_connect_is_a_protocol_error() {
    let stage = Stage::open();
    for bytes in [packet(AUTH, &[]), auth(0x18, "METHOD"), auth(0x19, "METHOD"), auth(0, "METHOD")]
    {
        stage.client("clumsy").provokes(&bytes, &[PROTOCOL_ERROR]);
    }
}
