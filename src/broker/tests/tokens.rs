//! Connections that rest on a token: they end with it, and with the key that has signed it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use serde_json::json;

use super::driver::{Driver, Visit, broker};
use super::issuer::Issuer;
use crate::auth::{TokenKeys, TokenSettings, TokenVerifier};
use crate::broker::Broker;
use crate::codec::{Connect, Packet, ReasonCode, Version};
use crate::message::QoS;

fn verifier(issuer: &Issuer) -> TokenVerifier {
    let audience = Some("broker".to_owned());
    let settings = TokenSettings { audience, ..TokenSettings::default() };
    TokenVerifier::new(TokenKeys::parse(&issuer.key_set()).expect("keys"), settings)
}

fn broker_that_believes(issuer: &Issuer) -> Arc<Broker> {
    let broker = broker();
    broker.replace_tokens(Some(verifier(issuer)));
    broker
}

/// With a token of a minute, and of half a minute more for clocks that differ.
fn enter(broker: &Arc<Broker>, issuer: &Issuer) -> (Driver, bool) {
    let token = issuer.token("ann", 60, &json!({}));
    let mut driver = Driver::stranger(broker);
    let connect = Visit::of("c").connect(Version::V5);
    let connect = Connect { password: Some(token.as_bytes()), ..connect };
    driver.say(&Packet::Connect(Box::new(connect)));
    driver.log_in().now_or_never().expect("nobody to wait for");
    let is_resumed = driver.welcome();
    (driver, is_resumed)
}

fn farewell(driver: &mut Driver) -> Option<ReasonCode> {
    match &driver.heard()[..] {
        [Packet::Disconnect(disconnect)] => Some(disconnect.reason),
        [] => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_taken_or_delivered_beyond_the_end_of_a_token() {
    let issuer = Issuer::new();
    let broker = broker_that_believes(&issuer);
    let (mut driver, _) = enter(&broker, &issuer);
    driver.subscribe("a", QoS::AtLeastOnce);
    let ends = driver.client.deadline().expect("a deadline");
    assert!(ends <= driver.now.instant + Duration::from_secs(90));
    let (mut other, _) = Driver::enter(&broker, Visit::of("other"));
    driver.now = driver.now.after(Duration::from_secs(91));
    assert_eq!(other.publish("a", false), ReasonCode::Success);
    assert_eq!(farewell(&mut driver), Some(ReasonCode::NotAuthorized));
    assert!(driver.client.is_closed());
    // It waits for whoever proves to be the same.
    let (mut again, is_resumed) = enter(&broker, &issuer);
    assert!(is_resumed);
    assert_eq!(again.topics(), ["a"]);
}

#[test]
fn what_comes_after_the_end_of_a_token_is_not_looked_at() {
    let issuer = Issuer::new();
    let broker = broker_that_believes(&issuer);
    let (mut driver, _) = enter(&broker, &issuer);
    driver.now = driver.now.after(Duration::from_secs(91));
    assert_eq!(driver.client.receive(driver.now, &[0xc0, 0]), 0);
    assert_eq!(farewell(&mut driver), Some(ReasonCode::NotAuthorized));
}

#[test]
fn a_connection_ends_with_the_key_that_has_signed_its_token() {
    let (issuer, next) = (Issuer::new(), Issuer::new());
    let broker = broker_that_believes(&issuer);
    let (mut driver, _) = enter(&broker, &issuer);
    broker.replace_tokens(Some(verifier(&issuer)));
    assert_eq!(farewell(&mut driver), None);
    broker.replace_tokens(Some(verifier(&next)));
    assert_eq!(farewell(&mut driver), Some(ReasonCode::NotAuthorized));
    broker.replace_tokens(Some(verifier(&issuer)));
    let (mut driver, _) = enter(&broker, &issuer);
    broker.replace_tokens(None);
    assert_eq!(farewell(&mut driver), Some(ReasonCode::NotAuthorized));
}
