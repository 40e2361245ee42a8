//! Clients that are sent to another server.

use super::super::*;
use super::driver::{Driver, connect, connect_within};
use crate::codec::Connect;

const REFERENCE: &str = "other.example.com:8883";

fn settings(server_moved: bool) -> Settings {
    Settings { server_reference: REFERENCE.to_owned(), server_moved, ..Settings::default() }
}

fn at_the_door(settings: &Settings, connect: &Connect<'_>) -> Driver {
    let mut driver = Driver::new(settings, connect.version);
    driver.say(Packet::Connect(Box::new(connect.clone())));
    driver.actions();
    driver
}

/// The reason code, the server reference and the reason string of the only packet.
fn told(driver: &mut Driver) -> Option<(ReasonCode, Option<String>, Option<String>)> {
    let mut packets = driver.heard();
    assert!(packets.len() <= 1, "{packets:?}");
    let own = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
    Some(match packets.pop()? {
        Packet::Disconnect(it) => (it.reason, own(it.server_reference), own(it.reason_string)),
        Packet::ConnAck(it) => {
            (it.reason, own(it.properties.server_reference), own(it.properties.reason_string))
        }
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_client_that_is_sent_away_is_told_where_to() {
    for (moved, reason) in [(false, ReasonCode::UseAnotherServer), (true, ReasonCode::ServerMoved)]
    {
        let settings = settings(moved);
        assert_eq!(settings.redirection(), Some(reason));
        let mut inside = Driver::open_with(&connect(Version::V5), &settings, None);
        inside.take(Input::End(reason));
        let mut refused = at_the_door(&settings, &connect(Version::V5));
        refused.take(Input::Refused(Refusal::new(reason, "go")));
        let mut ended = at_the_door(&settings, &connect(Version::V5));
        ended.take(Input::End(reason));
        for driver in [&mut inside, &mut refused, &mut ended] {
            let (said, reference, _) = told(driver).expect("a last word");
            assert_eq!((said, reference.as_deref()), (reason, Some(REFERENCE)));
        }
    }
}

#[test]
fn who_must_go_for_another_reason_is_sent_nowhere() {
    for reason in [ReasonCode::SessionTakenOver, ReasonCode::ServerMoved] {
        let mut driver = Driver::open_with(&connect(Version::V5), &settings(false), None);
        driver.take(Input::End(reason));
        let (said, reference, _) = told(&mut driver).expect("a last word");
        assert_eq!((said, reference), (reason, None));
    }
    assert_eq!(Settings::default().redirection(), None);
}

#[test]
fn a_3_x_client_that_is_sent_away_finds_the_server_unavailable() {
    for version in [Version::V31, Version::V311] {
        let mut driver = at_the_door(&settings(false), &connect(version));
        driver.take(Input::Refused(Refusal::new(ReasonCode::UseAnotherServer, "go")));
        assert_eq!(driver.bytes(), [0x20, 2, 0, 3]);
        let mut driver = Driver::open_with(&connect(version), &settings(false), None);
        driver.take(Input::End(ReasonCode::UseAnotherServer));
        assert!(driver.bytes().is_empty() && driver.closed().is_some());
    }
}

#[test]
fn the_server_reference_is_left_out_last_where_the_client_takes_no_packet_of_that_size() {
    let reason = ReasonCode::UseAnotherServer;
    let settings = settings(false);
    let largest = 2 * REFERENCE.len();
    let (mut with_both, mut with_one, mut with_none) = (0, 0, 0);
    for limit in 1..=u32::try_from(2 * largest).expect("small") {
        let connect = connect_within(1, limit);
        let mut refused = at_the_door(&settings, &connect);
        refused.take(Input::Refused(Refusal::new(reason, "x".repeat(largest / 2))));
        // The session as it would be, were its client let in: whom it takes no CONNACK to is not.
        let mut inside = Driver::new(&settings, Version::V5);
        inside.say(Packet::Connect(Box::new(connect.clone())));
        inside.actions();
        inside.identify(None);
        let is_inside = inside.closed().is_none();
        let mut drivers = vec![&mut refused];
        if is_inside {
            inside.bytes();
            inside.take(Input::End(reason));
            drivers.push(&mut inside);
        }
        for driver in drivers {
            let bytes = driver.bytes();
            assert!(bytes.len() <= limit as usize, "{limit}: {bytes:02x?}");
            let has = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
            match (has(REFERENCE.as_bytes()), bytes.len() > REFERENCE.len() + 12) {
                (true, true) => with_both += 1,
                (true, false) => with_one += 1,
                (false, is_long) => {
                    assert!(!is_long, "{limit}: explained, but not where to go");
                    with_none += 1;
                }
            }
        }
    }
    assert!(with_both > 0 && with_one > 0 && with_none > 0);
}
