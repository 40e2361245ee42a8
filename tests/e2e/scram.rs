//! SCRAM-SHA-256 by enhanced authentication, over TLS, as an operator sees it.

use crate::harness::raw::{self, AUTH, CONNACK, Connect, Frame, RawClient, data, packet};
use crate::harness::scram::Scram;
use crate::harness::{Broker, DEVICE1, Login, Site, Stream, http};

const METHOD: u8 = 0x15;
const DATA: u8 = 0x16;

fn properties(method: &str, message: &[u8]) -> Vec<u8> {
    [&[METHOD][..], &data(method), &[DATA], &data(message)].concat()
}

fn auth(reason: u8, message: &[u8]) -> Vec<u8> {
    let section = properties("SCRAM-SHA-256", message);
    let length = raw::variable_byte_integer(section.len());
    packet(AUTH, &[&[reason], &length[..], &section[..]].concat())
}

/// The data in a packet, which is the last thing in it.
fn data_of(frame: &Frame) -> &[u8] {
    let starts_here = |at: &usize| {
        let length = frame.body.get(at + 1..at + 3).map(|it| u16::from_be_bytes([it[0], it[1]]));
        let rest = frame.body.len() - at;
        frame.body[*at] == DATA && length.is_some_and(|length| usize::from(length) + 3 == rest)
    };
    let at = (0..frame.body.len()).find(starts_here).expect("data at the end");
    &frame.body[at + 3..]
}

/// As far as the CONNACK.
fn log_in(broker: &Broker, (user, password): Login) -> (RawClient, Scram, Frame) {
    let mut client = RawClient::tls(broker.tls_port(), Site::shared().tls());
    let mut scram = Scram::new(user, password);
    let properties = properties("SCRAM-SHA-256", &scram.first());
    client.send(&Connect { properties, ..Connect::new(5, user) }.encode());
    let challenge = client.expect(AUTH);
    client.send(&auth(0x18, &scram.last(data_of(&challenge))));
    let answer = client.expect(CONNACK);
    (client, scram, answer)
}

#[test]
fn a_device_logs_in_publishes_and_proves_itself_anew_without_ever_sending_its_password() {
    let broker = Broker::secure();
    let (mut client, scram, welcome) = log_in(&broker, DEVICE1);
    assert_eq!(welcome.reason(), 0, "{welcome:?}");
    // It has the permissions of its user, and no others.
    assert_eq!(client.subscribe(5, "devices/device1/#", 0), 0);
    assert_eq!(client.subscribe(5, "devices/device2/#", 0), 0x87);
    client.send(&raw::publish(5, "devices/device1/x", b"hello"));
    assert_eq!(client.read().publish(5).payload, b"hello");
    drop(scram);

    let mut scram = Scram::new(DEVICE1.0, DEVICE1.1);
    client.send(&auth(0x19, &scram.first()));
    let challenge = client.expect(AUTH);
    client.send(&auth(0x18, &scram.last(data_of(&challenge))));
    let done = client.expect(AUTH);
    assert_eq!(done.reason(), 0);
    scram.check(data_of(&done));
    client.expect_silence();
}

#[test]
fn logins_by_scram_are_counted_and_logged_without_what_proves_them() {
    let broker = Broker::secure();
    let (_client, _, welcome) = log_in(&broker, DEVICE1);
    assert_eq!(welcome.reason(), 0);
    for login in [(DEVICE1.0, "wrong"), ("nobody", "wrong")] {
        let (mut refused, _, answer) = log_in(&broker, login);
        assert_eq!(answer.reason(), 0x86, "{login:?}");
        refused.expect_end();
        broker.process().wait_for_text(Stream::Err, &format!("\"user\":\"{}\"", login.0));
    }
    let said = broker.process().transcript();
    for secret in [DEVICE1.1, "wrong", "biws", "p=", "r="] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    let (_, metrics) = http::get(broker.admin_port(), "/metrics");
    for (result, count) in [("accepted", 1), ("refused", 2)] {
        let line =
            format!("bastionmq_logins_total{{method=\"scram\",result=\"{result}\"}} {count}");
        assert!(metrics.lines().any(|found| found == line), "no {line} in {metrics}");
    }
}

#[test]
fn a_client_that_does_not_answer_the_challenge_is_cut_off_with_the_connect_timeout() {
    let broker = Broker::secure_with_settings("\n[network]\nconnect_timeout_seconds = 1\n");
    let mut client = RawClient::tls(broker.tls_port(), Site::shared().tls());
    let properties = properties("SCRAM-SHA-256", &Scram::new(DEVICE1.0, DEVICE1.1).first());
    client.send(&Connect { properties, ..Connect::new(5, "silent") }.encode());
    client.expect(AUTH);
    client.expect_end();
}
