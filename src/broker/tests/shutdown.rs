//! The end of the broker: who is told what, and what becomes of wills.

use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;

use super::driver::{Driver, Visit, broker, broker_that_speaks};
use crate::auth::PasswordFile;
use crate::broker::{Broker, Settings};
use crate::codec::{Packet, ReasonCode};
use crate::message::QoS;
use crate::session::{self, Redirect};

const REFERENCE: &str = "other.example.com:8883";

/// A broker whose clients are sent to another.
fn redirecting(redirect: Redirect, server_moved: bool) -> Arc<Broker> {
    let server_reference = REFERENCE.to_owned();
    let mqtt = session::Settings {
        server_reference,
        server_moved,
        redirect,
        ..session::Settings::default()
    };
    broker_that_speaks(mqtt, Settings::default(), PasswordFile::default())
}

/// The reason code of the last packet, and the server that it sends to.
fn last_word(driver: &mut Driver) -> (ReasonCode, Option<String>) {
    assert!(driver.client.is_closed());
    let reference = match driver.heard().pop() {
        Some(Packet::Disconnect(it)) => (it.reason, it.server_reference),
        Some(Packet::ConnAck(it)) => (it.reason, it.properties.server_reference),
        other => panic!("{other:?}"),
    };
    (reference.0, reference.1.map(|it| it.into_owned()))
}

fn log_in(driver: &mut Driver) {
    driver.log_in().now_or_never().expect("nobody to wait for");
}

#[test]
fn whoever_logs_in_during_a_shutdown_is_sent_away() {
    let broker = broker();
    let (mut inside, _) = Driver::enter(&broker, Visit::of("a"));
    let mut late = Driver::knock(&broker, Visit::of("b"));
    broker.shut_down(Instant::now());
    log_in(&mut late);
    assert_eq!(last_word(&mut late), (ReasonCode::ServerUnavailable, None));
    inside.client.obey(inside.now);
    assert_eq!(last_word(&mut inside), (ReasonCode::ServerShuttingDown, None));
}

#[test]
fn a_shutdown_sends_everybody_to_the_other_server_where_there_is_one() {
    for (moved, reason) in [(false, ReasonCode::UseAnotherServer), (true, ReasonCode::ServerMoved)]
    {
        let broker = redirecting(Redirect::AtShutdown, moved);
        let (mut inside, _) = Driver::enter(&broker, Visit::of("a"));
        let mut late = Driver::knock(&broker, Visit::of("b"));
        let mut shut_out = Driver::knock(&broker, Visit::of("c"));
        inside.subscribe("t", QoS::AtMostOnce);
        let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
        publisher.publish("t", false);
        broker.shut_down(Instant::now());
        log_in(&mut late);
        shut_out.client.shut_out(shut_out.now);
        inside.client.obey(inside.now);
        for driver in [&mut late, &mut shut_out] {
            assert_eq!(last_word(driver), (reason, Some(REFERENCE.to_owned())));
        }
        let packets = inside.heard();
        assert!(
            matches!(
                &packets[..],
                [Packet::Publish(_), Packet::Disconnect(it)]
                    if it.reason == reason && it.server_reference.as_deref() == Some(REFERENCE)
            ),
            "{packets:?}"
        );
    }
}

#[test]
fn a_broker_that_always_redirects_lets_nobody_in_and_asks_nobody_for_a_proof() {
    let broker = redirecting(Redirect::Always, false);
    let mut driver = Driver::knock(&broker, Visit::of("a"));
    log_in(&mut driver);
    let expected = (ReasonCode::UseAnotherServer, Some(REFERENCE.to_owned()));
    assert_eq!(last_word(&mut driver), expected);
    assert_eq!(broker.registry.len(), 0);
}

#[test]
fn a_will_that_waits_is_published_when_the_broker_shuts_down() {
    let broker = broker();
    let (mut reader, _) = Driver::enter(&broker, Visit::of("reader"));
    reader.subscribe("will", QoS::AtMostOnce);
    let visit = Visit { will: Some(("will", 1_000)), ..Visit::of("away") };
    let (mut away, _) = Driver::enter(&broker, visit);
    away.client.on_lost(away.now);
    let visit = Visit { will: Some(("will", 1_000)), ..Visit::of("connected") };
    let (mut connected, _) = Driver::enter(&broker, visit);
    assert_eq!(reader.topics(), [""; 0]);
    broker.shut_down(Instant::now());
    // Nobody has left yet.
    assert_eq!(reader.topics(), ["will"]);
    connected.client.obey(connected.now);
    assert_eq!(reader.topics(), ["will"]);
    reader.client.obey(reader.now);
    assert!(reader.client.is_closed());
}
