//! What a client proves itself with shows nowhere.

use crate::harness::http::get;
use crate::harness::raw::{
    AUTH, CONNECT, Connect, PINGREQ, PINGRESP, RawClient, SUBACK, data, packet, subscribe,
    variable_byte_integer,
};
use crate::harness::{ADMIN, Broker};

/// A word that is nowhere else.
const CANARY: &str = "canary-51d0b7";

/// Logins of every outcome, each with the canary for a password or proof.
fn logins() -> Vec<Vec<u8>> {
    let wrong = |user| Connect::new(5, "c").login((user, CANARY));
    let mut trailing = wrong("admin").encode();
    trailing.push(0);
    trailing[1] += 1;
    let whole = wrong("admin").encode();
    let mut cut = whole[..whole.len() - 1].to_vec();
    cut[1] -= 1;
    let scram = [&[0x15][..], &data("SCRAM-SHA-256"), &[0x16], &data(CANARY)].concat();
    let other = [&[0x15][..], &data("OTHER"), &[0x16], &data(CANARY)].concat();
    let mut without_user = data("MQTT");
    without_user.extend([5, 0x42, 0, 0, 0]);
    without_user.extend([data("c"), data(CANARY)].concat());
    vec![
        whole,
        wrong("nobody").encode(),
        Connect { version: 4, ..wrong("admin") }.encode(),
        Connect { version: 3, ..wrong("admin") }.encode(),
        Connect { client_id: "\u{1}", ..wrong("admin") }.encode(),
        Connect { version: 6, ..wrong("admin") }.encode(),
        trailing,
        cut,
        packet(CONNECT, &without_user),
        Connect { properties: scram.clone(), ..Connect::new(5, "c") }.encode(),
        Connect { properties: other, ..Connect::new(5, "c") }.encode(),
        // Before any CONNECT.
        packet(AUTH, &[&[0x18][..], &variable_byte_integer(scram.len()), &scram].concat()),
    ]
}

#[test]
fn r24_a_password_shows_in_no_log_metric_answer_or_topic_of_the_broker() {
    let mut broker = Broker::secure_with_settings("\n[log]\nlevel = \"trace\"\n");
    // One login lacks its last letter.
    let holds_it = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&CANARY[..10]);
    for login in logins() {
        let mut client = RawClient::plain(broker.plain_port());
        client.send(&login);
        if let Some(answer) = client.read_or_end() {
            assert!(answer.reason() != 0 && !holds_it(&answer.body), "{answer:?}");
        }
    }
    // A second CONNECT, of one that is inside.
    let mut admin = RawClient::connected(broker.plain_port(), &Connect::new(5, "a").login(ADMIN));
    admin.send(&Connect::new(5, "a").login(("admin", CANARY)).encode());
    assert!(!holds_it(&admin.read().body));

    let mut reader = RawClient::connected(broker.plain_port(), &Connect::new(5, "r").login(ADMIN));
    reader.send(&[subscribe(5, 1, "$SYS/#", 0), packet(PINGREQ, &[])].concat());
    reader.expect_and_keep(SUBACK);
    reader.expect_and_keep(PINGRESP);
    reader.send(&packet(PINGREQ, &[]));
    let mut values = 0;
    while let frame = reader.kept_or_next()
        && frame.first != PINGRESP
    {
        assert!(!holds_it(&frame.body), "{frame:?}");
        values += 1;
    }
    assert!(values >= 10, "{values} values of $SYS");
    assert!(!holds_it(get(broker.admin_port(), "/metrics").1.as_bytes()));
    broker.terminate();
    assert!(broker.wait().success());
    let log = broker.process().transcript();
    assert!(log.contains("DEBUG"), "a log of everything");
    assert!(log.contains("refused"), "the refusals are in the log");
    assert!(!holds_it(log.as_bytes()) && !log.contains(ADMIN.1), "{log}");
}
