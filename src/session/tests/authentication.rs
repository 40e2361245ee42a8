//! Enhanced authentication: AUTH before and after CONNACK.

use super::super::*;
use super::driver::{Driver, KEY, connect, qos1};
use crate::codec::{self, ConnAck, Disconnect};
use crate::identity::ClientId;

fn auth(reason: ReasonCode, method: &'static str) -> Packet<'static> {
    Packet::Auth(codec::Auth::new(reason, method, Some(Cow::Borrowed(b"said"))))
}

/// A client that has said CONNECT with a method, and takes packets of `limit` bytes.
fn at_the_door(limit: Option<u32>) -> Driver {
    let mut connect = connect(Version::V5);
    connect.properties.authentication_method = Some("M");
    connect.properties.authentication_data = Some(b"first");
    connect.properties.maximum_packet_size = limit.and_then(std::num::NonZeroU32::new);
    let mut driver = Driver::new(&Settings::default(), Version::V5);
    driver.say(Packet::Connect(Box::new(connect)));
    driver
}

/// As [`at_the_door`], and asked for more.
fn challenged() -> Driver {
    let mut driver = at_the_door(None);
    driver.actions();
    driver.take(Input::Challenge { data: b"question".to_vec() });
    driver.heard();
    driver
}

/// A client that is let in.
fn inside() -> Driver {
    let mut driver = challenged();
    driver.say(auth(ReasonCode::ContinueAuthentication, "M"));
    welcome(&mut driver);
    driver.heard();
    driver.actions();
    driver
}

fn welcome(driver: &mut Driver) {
    driver.take(Input::Identified(Box::new(Identified {
        client_id: ClientId::new("c"),
        assigned: false,
        key: KEY,
        is_durable: false,
        resumed: None,
        authentication_data: Some(b"last".to_vec()),
        settings: None,
    })));
}

fn connack(driver: &mut Driver) -> ConnAck<'static> {
    match driver.heard().remove(0) {
        Packet::ConnAck(ack) => *ack,
        other => panic!("{other:?}"),
    }
}

/// Reason, method and data.
fn the_auth(driver: &mut Driver) -> (ReasonCode, String, Vec<u8>) {
    match &driver.heard()[..] {
        [Packet::Auth(auth)] => (
            auth.reason,
            auth.authentication_method.as_deref().expect("a method").to_owned(),
            auth.authentication_data.as_deref().expect("data").to_vec(),
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_exchange_runs_from_connect_over_auth_to_connack() {
    let mut driver = at_the_door(None);
    let [Action::Identify(request)] = &driver.actions()[..] else { panic!("no request") };
    let authentication = request.authentication.as_ref().expect("a method");
    assert_eq!(&*authentication.method, "M");
    assert_eq!(authentication.data.as_ref().map(|it| it.expose()), Some(&b"first"[..]));

    driver.take(Input::Challenge { data: b"question".to_vec() });
    let question = (ReasonCode::ContinueAuthentication, "M".to_owned(), b"question".to_vec());
    assert_eq!(the_auth(&mut driver), question);

    driver.say(auth(ReasonCode::ContinueAuthentication, "M"));
    let [Action::Authenticate { data: Some(data) }] = &driver.actions()[..] else {
        panic!("no answer")
    };
    assert_eq!(data.expose(), b"said");

    welcome(&mut driver);
    let ack = connack(&mut driver);
    assert_eq!(ack.reason, ReasonCode::Success);
    assert_eq!(ack.properties.authentication_method.as_deref(), Some("M"));
    assert_eq!(ack.properties.authentication_data.as_deref(), Some(&b"last"[..]));
}

#[test]
fn before_connack_nothing_but_auth_and_disconnect_is_taken() {
    for packet in [Packet::PingReq, qos1(1), Packet::Connect(Box::new(connect(Version::V5)))] {
        let mut driver = challenged();
        driver.say(packet);
        assert_eq!(connack(&mut driver).reason, ReasonCode::ProtocolError);
        assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
    }
    let mut driver = challenged();
    driver.say(Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
    assert!(driver.heard().is_empty());
    assert_eq!(driver.closed(), Some(Closed::ByClient(ReasonCode::Success)));
    assert!(driver.session.leave().is_none(), "nobody was let in");
}

#[test]
fn an_auth_of_another_method_or_reason_is_a_protocol_error() {
    for packet in [
        auth(ReasonCode::ContinueAuthentication, "N"),
        auth(ReasonCode::ReAuthenticate, "M"),
        auth(ReasonCode::Success, "M"),
    ] {
        let mut driver = challenged();
        driver.say(packet.clone());
        assert_eq!(connack(&mut driver).reason, ReasonCode::ProtocolError, "{packet:?}");
    }
    for packet in [
        auth(ReasonCode::ReAuthenticate, "N"),
        auth(ReasonCode::ContinueAuthentication, "M"),
        auth(ReasonCode::Success, "M"),
    ] {
        let mut driver = inside();
        driver.say(packet.clone());
        assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError), "{packet:?}");
    }
}

#[test]
fn an_auth_that_nobody_asked_for_is_a_protocol_error() {
    let mut driver = at_the_door(None);
    driver.say(auth(ReasonCode::ContinueAuthentication, "M"));
    assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
}

#[test]
fn a_client_proves_itself_anew_while_its_session_is_live() {
    let mut driver = inside();
    driver.say(auth(ReasonCode::ReAuthenticate, "M"));
    assert!(matches!(&driver.actions()[..], [Action::Reauthenticate { data: Some(_) }]));
    driver.take(Input::Challenge { data: b"again".to_vec() });
    let question = (ReasonCode::ContinueAuthentication, "M".to_owned(), b"again".to_vec());
    assert_eq!(the_auth(&mut driver), question);
    driver.say(Packet::PingReq);
    assert!(matches!(&driver.heard()[..], [Packet::PingResp]));
    driver.say(auth(ReasonCode::ContinueAuthentication, "M"));
    assert!(matches!(&driver.actions()[..], [Action::Authenticate { .. }]));
    driver.take(Input::Authenticated { data: b"done".to_vec() });
    let done = (ReasonCode::Success, "M".to_owned(), b"done".to_vec());
    assert_eq!(the_auth(&mut driver), done);
    driver.say(auth(ReasonCode::ReAuthenticate, "M"));
    assert!(matches!(&driver.actions()[..], [Action::Reauthenticate { .. }]));
}

#[test]
fn a_second_beginning_before_the_first_has_ended_is_a_protocol_error() {
    let mut driver = inside();
    driver.say(auth(ReasonCode::ReAuthenticate, "M"));
    driver.take(Input::Challenge { data: Vec::new() });
    driver.say(auth(ReasonCode::ReAuthenticate, "M"));
    assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
}

#[test]
fn an_auth_that_the_client_has_no_room_for_is_not_sent() {
    let mut driver = at_the_door(Some(20));
    driver.actions();
    driver.take(Input::Challenge { data: vec![0; 20] });
    assert_eq!(connack(&mut driver).reason, ReasonCode::PacketTooLarge);
    assert_eq!(driver.violation(), Some(ReasonCode::PacketTooLarge));
}

#[test]
fn an_answer_of_the_broker_that_nobody_waits_for_is_not_sent() {
    let mut driver = inside();
    driver.take(Input::Challenge { data: Vec::new() });
    driver.take(Input::Authenticated { data: Vec::new() });
    let mut without_method = Driver::open(Version::V5);
    without_method.take(Input::Challenge { data: Vec::new() });
    assert!(driver.heard().is_empty() && without_method.heard().is_empty());
}
