//! SCRAM-SHA-256, from CONNECT to the end of the session.

use std::sync::Arc;

use futures::FutureExt;

use super::driver::{Driver, broker_of};
use super::scram_client::Scram;
use crate::auth::{PasswordFile, SCRAM_SHA_256, ScramVerifier};
use crate::broker::{Broker, Settings};
use crate::codec::{Auth, ConnAck, Connect, ConnectProperties, Packet, ReasonCode, Version};
use crate::message::QoS;
use crate::secret::Secret;

/// Has ann, with the password apple, and bob, with banana.
fn broker() -> Arc<Broker> {
    let mut users = PasswordFile::default();
    for (user, password) in [("ann", "apple"), ("bob", "banana")] {
        let verifier = ScramVerifier::new(&Secret::from(password), 4_096, [7; 16]);
        users.set_scram(user, verifier.expect("a verifier")).expect("a user");
    }
    broker_of(Settings::default(), users)
}

fn connect<'a>(method: &'a str, data: Option<&'a [u8]>) -> Packet<'a> {
    Packet::Connect(Box::new(Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive: 60,
        client_id: "c",
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties {
            authentication_method: Some(method),
            authentication_data: data,
            ..ConnectProperties::default()
        },
    }))
}

fn auth(reason: ReasonCode, data: Vec<u8>) -> Packet<'static> {
    Packet::Auth(Auth::new(reason, SCRAM_SHA_256, Some(data.into())))
}

fn answer(data: Vec<u8>) -> Packet<'static> {
    auth(ReasonCode::ContinueAuthentication, data)
}

/// The data of the only packet, an AUTH with `reason`.
fn data_of_auth(driver: &mut Driver, reason: ReasonCode) -> Vec<u8> {
    match &driver.heard()[..] {
        [Packet::Auth(auth)] if auth.reason == reason => {
            auth.authentication_data.as_deref().expect("data").to_vec()
        }
        other => panic!("{other:?}"),
    }
}

/// Lets the broker decide, and gives its CONNACK.
fn outcome(driver: &mut Driver) -> ConnAck<'static> {
    assert!(driver.client.is_at_the_door());
    driver.log_in().now_or_never().expect("nobody to wait for");
    match driver.heard().remove(0) {
        Packet::ConnAck(ack) => *ack,
        other => panic!("{other:?}"),
    }
}

/// One whole exchange.
fn log_in(broker: &Arc<Broker>, user: &str, password: &str) -> (Driver, ConnAck<'static>) {
    let mut scram = Scram::new(user, password);
    let mut driver = Driver::stranger(broker);
    driver.say(&connect(SCRAM_SHA_256, Some(&scram.first())));
    assert!(!driver.client.is_at_the_door());
    let challenge = data_of_auth(&mut driver, ReasonCode::ContinueAuthentication);
    driver.say(&answer(scram.last(&challenge)));
    let ack = outcome(&mut driver);
    if ack.reason == ReasonCode::Success {
        scram.check(ack.properties.authentication_data.as_deref().expect("a signature"));
        assert_eq!(ack.properties.authentication_method.as_deref(), Some(SCRAM_SHA_256));
    }
    (driver, ack)
}

/// As far as the end of a re-authentication.
fn prove_anew(driver: &mut Driver, user: &str, password: &str) -> Scram {
    let mut scram = Scram::new(user, password);
    driver.say(&auth(ReasonCode::ReAuthenticate, scram.first()));
    let challenge = data_of_auth(driver, ReasonCode::ContinueAuthentication);
    // The session is live meanwhile.
    driver.subscribe("a/#", QoS::AtMostOnce);
    driver.say(&answer(scram.last(&challenge)));
    scram
}

#[test]
fn whoever_proves_its_password_is_let_in_under_its_name() {
    let (mut driver, ack) = log_in(&broker(), "ann", "apple");
    assert_eq!(ack.reason, ReasonCode::Success);
    assert!(driver.client.is_inside());
    assert_eq!(driver.publish("a/b", false), ReasonCode::NoMatchingSubscribers);
}

#[test]
fn a_wrong_password_and_an_unknown_user_hear_the_same() {
    let broker = broker();
    let (wrong, of_wrong) = log_in(&broker, "ann", "pear");
    let (unknown, of_unknown) = log_in(&broker, "eve", "apple");
    assert_eq!(of_wrong.reason, ReasonCode::BadUserNameOrPassword);
    assert_eq!(of_wrong, of_unknown);
    assert!(wrong.client.is_closed() && unknown.client.is_closed());
}

#[test]
fn a_method_that_there_is_not_is_refused_by_name() {
    let mut driver = Driver::stranger(&broker());
    driver.say(&connect("SCRAM-SHA-1", Some(b"n,,n=ann,r=x")));
    assert_eq!(outcome(&mut driver).reason, ReasonCode::BadAuthenticationMethod);
    assert!(driver.client.is_closed());
}

#[test]
fn r21_absent_empty_nul_and_64_kib_data_do_not_get_in() {
    let broker = broker();
    let long = vec![b'x'; 60_000];
    for data in [None, Some(&b""[..]), Some(b"\0"), Some(b"n,,n=,r=x"), Some(&long)] {
        let mut driver = Driver::stranger(&broker);
        driver.say(&connect(SCRAM_SHA_256, data));
        assert_eq!(outcome(&mut driver).reason, ReasonCode::NotAuthorized);
        let mut driver = Driver::stranger(&broker);
        driver.say(&connect(SCRAM_SHA_256, Some(b"n,,n=ann,r=x")));
        data_of_auth(&mut driver, ReasonCode::ContinueAuthentication);
        let data = data.map(|data| data.to_vec().into());
        let reason = ReasonCode::ContinueAuthentication;
        driver.say(&Packet::Auth(Auth::new(reason, SCRAM_SHA_256, data)));
        assert_eq!(outcome(&mut driver).reason, ReasonCode::NotAuthorized);
        assert!(driver.client.is_closed());
    }
}

#[test]
fn a_password_beside_the_method_is_refused() {
    let mut driver = Driver::stranger(&broker());
    let Packet::Connect(mut packet) = connect(SCRAM_SHA_256, Some(b"n,,n=ann,r=x")) else {
        unreachable!()
    };
    packet.user_name = Some("ann");
    packet.password = Some(b"apple");
    driver.say(&Packet::Connect(packet));
    assert_eq!(outcome(&mut driver).reason, ReasonCode::BadUserNameOrPassword);
}

#[test]
fn a_client_may_prove_itself_anew_as_often_as_it_likes() {
    let (mut driver, _) = log_in(&broker(), "ann", "apple");
    for _ in 0..3 {
        let scram = prove_anew(&mut driver, "ann", "apple");
        scram.check(&data_of_auth(&mut driver, ReasonCode::Success));
    }
    assert!(driver.client.is_inside());
}

#[test]
fn a_client_that_fails_to_prove_itself_anew_or_as_somebody_else_is_sent_away() {
    let broker = broker();
    for (user, password) in [("ann", "pear"), ("bob", "banana"), ("eve", "apple")] {
        let (mut driver, _) = log_in(&broker, "ann", "apple");
        prove_anew(&mut driver, user, password);
        match &driver.heard()[..] {
            [Packet::Disconnect(farewell)] => {
                assert_eq!(farewell.reason, ReasonCode::NotAuthorized, "{user}");
            }
            other => panic!("{other:?}"),
        }
        assert!(driver.client.is_closed());
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing() {
    let broker = broker();
    let mut driver = Driver::stranger(&broker);
    driver.say(&connect(SCRAM_SHA_256, Some(b"n,,n=ann,r=x")));
    data_of_auth(&mut driver, ReasonCode::ContinueAuthentication);
    driver.disconnect(ReasonCode::Success);
    assert!(driver.client.is_closed() && driver.heard().is_empty());
    assert_eq!(broker.registry.len(), 0);
}
