//! CONNECT and CONNACK.

use std::num::NonZeroU16;

use super::super::*;
use super::driver::{Driver, connect, connect_within};
use crate::codec::{self, ConnAck, Connect, DecodeError, Will};
use crate::identity::ClientId;
use crate::message::{QoS, SessionKey};
use crate::topic::TopicNameRef;

fn refusals(driver: &mut Driver) -> Vec<ConnAck<'static>> {
    let refusal = |packet| match packet {
        Packet::ConnAck(ack) => *ack,
        other => panic!("{other:?}"),
    };
    driver.heard().into_iter().map(refusal).collect()
}

fn at_the_door(connect: &Connect<'_>) -> Driver {
    let mut driver = Driver::new(&Settings::default(), connect.version);
    driver.say(Packet::Connect(Box::new(connect.clone())));
    driver
}

#[test]
fn a_connect_becomes_a_request_with_all_that_the_broker_must_know() {
    let will = Will {
        topic: TopicNameRef::parse("w").expect("a topic"),
        payload: b"gone",
        qos: QoS::AtLeastOnce,
        retain: true,
        delay_interval: Some(5),
        message_expiry_interval: Some(9),
        properties: Cow::Borrowed(&[]),
    };
    let mut driver = at_the_door(&Connect {
        user_name: Some("u"),
        password: Some(b"p"),
        will: Some(will),
        ..connect(Version::V5)
    });
    assert!(driver.heard().is_empty());
    let [Action::Identify(request)] = &driver.actions()[..] else { panic!("no request") };
    assert_eq!((request.version, &*request.client_id), (Version::V5, "c"));
    assert!(!request.clean_start);
    assert_eq!(request.credentials.user_name.as_deref(), Some("u"));
    assert!(request.credentials.password.as_ref().is_some_and(|it| it.expose() == b"p"));
    let will = request.will.as_ref().expect("a will");
    assert_eq!((will.message.topic.as_str(), &will.message.payload[..]), ("w", &b"gone"[..]));
    assert_eq!((will.message.qos, will.message.retain), (QoS::AtLeastOnce, true));
    assert_eq!((will.delay.as_secs(), will.message_expiry.map(|it| it.as_secs())), (5, Some(9)));
}

#[test]
fn connack_announces_every_bound_to_a_5_0_client() {
    let settings = Settings::default();
    let ack = Driver::new(&settings, Version::V5).welcome(&connect(Version::V5), None);
    assert!(!ack.session_present);
    let properties = ack.properties;
    assert_eq!(properties.receive_maximum, Some(settings.receive_maximum));
    assert_eq!(properties.maximum_packet_size, Some(settings.max_packet_size));
    assert_eq!(properties.topic_alias_maximum, Some(settings.topic_alias_maximum));
    assert_eq!(properties.session_expiry_interval, None, "as the client asked");
    assert_eq!(properties.server_keep_alive, None, "as the client asked");
    assert_eq!(properties.assigned_client_identifier, None);
    assert_eq!(properties.maximum_qos, None, "2 is said by silence");
}

#[test]
fn connack_says_nothing_that_the_standard_says_by_itself() {
    let settings = Settings {
        receive_maximum: NonZeroU16::MAX,
        topic_alias_maximum: 0,
        ..Settings::default()
    };
    let ack = Driver::new(&settings, Version::V5).welcome(&connect(Version::V5), None);
    assert_eq!((ack.properties.receive_maximum, ack.properties.topic_alias_maximum), (None, None));
}

#[test]
fn connack_says_whether_a_session_goes_on_but_not_in_3_1() {
    for (version, said) in [(Version::V5, true), (Version::V311, true), (Version::V31, false)] {
        let mut driver = Driver::new(&Settings::default(), version);
        let ack = driver.welcome(&connect(version), Some(Image::default()));
        assert_eq!(ack.session_present, said, "{version:?}");
    }
}

#[test]
fn a_client_without_identifier_is_told_the_one_it_was_given() {
    let mut driver = at_the_door(&Connect { client_id: "", ..connect(Version::V5) });
    let identified = Identified {
        client_id: ClientId::new("auto-1"),
        assigned: true,
        key: SessionKey(1),
        is_durable: false,
        resumed: None,
        authentication_data: None,
        settings: None,
    };
    driver.take(Input::Identified(Box::new(identified)));
    let [ack] = &refusals(&mut driver)[..] else { panic!("no answer") };
    assert_eq!(ack.properties.assigned_client_identifier.as_deref(), Some("auto-1"));
}

#[test]
fn response_information_is_told_to_who_asks_where_there_is_some() {
    let root = "answers/".to_owned();
    for (asked, text, told) in [
        (Some(true), &*root, Some(&*root)),
        (Some(true), "", None),
        (Some(false), &root, None),
        (None, &root, None),
    ] {
        let settings = Settings { response_information: text.to_owned(), ..Settings::default() };
        let mut connect = connect(Version::V5);
        connect.properties.request_response_information = asked;
        let ack = Driver::new(&settings, Version::V5).welcome(&connect, None);
        assert_eq!(ack.properties.response_information.as_deref(), told);
    }
}

#[test]
fn a_refusal_is_explained_where_the_clients_maximum_packet_size_lets_it() {
    for (limit, text) in [(100, Some("no entry")), (15, None)] {
        let mut driver = at_the_door(&connect_within(1, limit));
        let refusal = Refusal::new(ReasonCode::NotAuthorized, "no entry");
        driver.take(Input::Refused(refusal));
        let [ack] = &refusals(&mut driver)[..] else { panic!("no answer") };
        assert_eq!(ack.reason, ReasonCode::NotAuthorized);
        assert_eq!(ack.properties.reason_string.as_deref(), text, "{limit}");
        assert_eq!(driver.closed(), Some(Closed::Refused(ReasonCode::NotAuthorized)));
        assert!(driver.session.leave().is_none(), "nobody was let in");
    }
}

#[test]
fn a_refusal_is_a_return_code_in_3_x() {
    let mut driver = at_the_door(&connect(Version::V311));
    driver.take(Input::Refused(Refusal::new(ReasonCode::BadUserNameOrPassword, "no entry")));
    assert_eq!(driver.bytes(), [0x20, 2, 0, 4]);
}

#[test]
fn the_first_packet_is_connect_and_nothing_is_said_to_who_begins_otherwise() {
    for packet in [Packet::PingReq, Packet::PingResp, super::driver::qos1(1)] {
        let mut driver = Driver::new(&Settings::default(), Version::V5);
        driver.say(packet);
        assert!(driver.heard().is_empty());
        assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
    }
}

#[test]
fn a_connect_that_cannot_be_read_is_answered_as_far_as_its_version_has_words() {
    let unsupported = DecodeError::UnsupportedVersion;
    let malformed = DecodeError::Malformed("bytes");
    for (error, version, answer) in [
        (unsupported, Some(Version::V311), &[0x20, 2, 0, 1][..]),
        (DecodeError::ClientIdentifier("no"), Some(Version::V31), &[0x20, 2, 0, 2]),
        (malformed, Some(Version::V311), &[]),
        (malformed, None, &[]),
    ] {
        let mut driver = Driver::new(&Settings::default(), Version::V311);
        driver.take(Input::Malformed { error, version });
        assert_eq!(driver.bytes(), answer);
        assert_eq!(driver.closed(), Some(Closed::Malformed(error)));
    }
    for error in [unsupported, malformed, DecodeError::QoS] {
        let mut driver = Driver::new(&Settings::default(), Version::V5);
        driver.take(Input::Malformed { error, version: Some(Version::V5) });
        let [ack] = &refusals(&mut driver)[..] else { panic!("no answer") };
        assert_eq!(ack.reason, error.reason());
        assert_eq!(ack.properties.reason_string, Some(error.to_string().into()));
    }
}

#[test]
fn a_second_connect_and_an_auth_end_the_connection() {
    let auth = codec::Auth::new(ReasonCode::ReAuthenticate, "SCRAM", None);
    for packet in [Packet::Connect(Box::new(connect(Version::V5))), Packet::Auth(auth)] {
        let mut driver = Driver::open(Version::V5);
        driver.say(packet);
        assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
        let [Packet::Disconnect(farewell)] = &driver.heard()[..] else { panic!("no farewell") };
        assert_eq!(farewell.reason, ReasonCode::ProtocolError);
    }
}

#[test]
fn r10_packets_of_servers_end_the_connection_in_every_version() {
    let ack = codec::SubAck::new(super::driver::id(1), &[ReasonCode::Success][..]);
    for version in [Version::V31, Version::V311, Version::V5] {
        for packet in [
            Packet::ConnAck(Box::new(ConnAck::new(ReasonCode::Success))),
            Packet::SubAck(ack.clone()),
            Packet::UnsubAck(ack.clone()),
            Packet::PingResp,
        ] {
            let mut driver = Driver::open(version);
            driver.say(packet);
            assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
            assert_eq!(driver.heard().len(), usize::from(version == Version::V5));
        }
    }
}

#[test]
fn bounds_of_the_client_are_kept_from_the_first_packet() {
    let mut driver = Driver::open_with(&connect_within(3, 100), &Settings::default(), None);
    assert_eq!(driver.session.window(), 3);
    driver.deliver(&"t".repeat(100), QoS::AtMostOnce);
    assert!(driver.heard().is_empty());
}

#[test]
fn a_client_that_cannot_be_told_the_bounds_is_turned_away_and_keeps_its_session() {
    let mut image = Image::default();
    for limit in 1..40 {
        let will = Will {
            topic: TopicNameRef::parse("w").expect("a topic"),
            payload: b"gone",
            qos: QoS::AtMostOnce,
            retain: false,
            delay_interval: None,
            message_expiry_interval: None,
            properties: Cow::Borrowed(&[]),
        };
        let mut driver = at_the_door(&Connect { will: Some(will), ..connect_within(1, limit) });
        driver.actions();
        driver.identify(Some(image.clone()));
        let bytes = driver.bytes();
        assert!(bytes.len() <= limit as usize, "{limit}");
        let closed = driver.closed();
        let remains = driver.session.leave().expect("a session");
        if limit >= 16 {
            assert_eq!(closed, None);
        } else {
            assert_eq!(closed, Some(Closed::Refused(ReasonCode::PacketTooLarge)));
            assert_eq!(bytes.is_empty(), limit < 5);
            assert!(remains.will.is_none(), "it was not let in");
        }
        image = remains.image;
    }
}

#[test]
fn a_refusal_is_not_said_to_a_client_that_takes_no_packet_of_its_size() {
    let mut driver = at_the_door(&connect_within(1, 4));
    driver.take(Input::Refused(Refusal::new(ReasonCode::NotAuthorized, "no entry")));
    assert!(driver.bytes().is_empty());
    let mut connect = connect_within(1, 4);
    connect.properties.authentication_method = Some("SCRAM-SHA-256");
    assert!(at_the_door(&connect).bytes().is_empty());
}

#[test]
fn response_information_gives_way_to_the_clients_maximum_packet_size() {
    let settings = Settings { response_information: "x".repeat(100), ..Settings::default() };
    let mut connect = connect_within(1, 50);
    connect.properties.request_response_information = Some(true);
    let ack = Driver::new(&settings, Version::V5).welcome(&connect, None);
    assert_eq!(ack.properties.response_information, None);
    assert!(ack.properties.maximum_packet_size.is_some());
}

#[test]
fn r08_the_topic_of_a_will_has_no_more_levels_than_any_other() {
    for (version, answers) in [(Version::V5, 1), (Version::V311, 0)] {
        let topic = &*"/".repeat(65_535).leak();
        let will = Will {
            topic: TopicNameRef::parse(topic).expect("a topic"),
            payload: b"",
            qos: QoS::AtMostOnce,
            retain: true,
            delay_interval: None,
            message_expiry_interval: None,
            properties: Cow::Borrowed(&[]),
        };
        let mut driver = at_the_door(&Connect { will: Some(will), ..connect(version) });
        let answer = refusals(&mut driver);
        assert!(answer.iter().all(|ack| ack.reason == ReasonCode::TopicNameInvalid));
        assert_eq!(answer.len(), answers, "3.x has no word for it");
        assert_eq!(driver.violation(), Some(ReasonCode::TopicNameInvalid));
    }
}

#[test]
fn the_broker_may_refuse_for_any_reason_and_connack_says_one_that_it_has() {
    for reason in ReasonCode::ALL.into_iter().filter(|reason| reason.is_error()) {
        for input in [Input::Refused(Refusal::new(reason, "")), Input::End(reason)] {
            let mut driver = at_the_door(&connect(Version::V5));
            driver.take(input);
            let [ack] = &refusals(&mut driver)[..] else { panic!("no answer") };
            assert!(ack.reason.is_error());
        }
    }
    let mut driver = at_the_door(&connect(Version::V5));
    driver.take(Input::Refused(Refusal::new(ReasonCode::ServerShuttingDown, "")));
    assert_eq!(refusals(&mut driver)[0].reason, ReasonCode::ServerUnavailable);
}
