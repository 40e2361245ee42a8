//! What a client that does wrong is told before it is sent away: the very reason code that the standard
//! names, and then the end of the connection, in order. Clients of 3.x are told nothing.

mod close;
mod malformed;
mod out_of_place;
mod random;
mod refused;

use crate::harness::raw::{CONNACK, Connect, DISCONNECT, Frame, RawClient};
use crate::harness::{Broker, bastionmq, scratch};

/// Anybody may do anything, within limits that a test can reach.
fn broker() -> Broker {
    const LIMITS: [(&str, &str); 5] = [
        ("MQTT_MAX_PACKET_SIZE", "1048576"),
        ("MQTT_RECEIVE_MAXIMUM", "2"),
        ("MQTT_TOPIC_ALIAS_MAXIMUM", "5"),
        ("MQTT_MAX_TOPIC_LEVELS", "8"),
        ("NETWORK_MAX_CONNECT_SIZE", "2000"),
    ];
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/open.toml");
    let mut command = bastionmq();
    command.args(["serve", "--config", config, "--listen", "mqtt://127.0.0.1:0"]);
    for (name, value) in LIMITS {
        command.env(format!("BASTIONMQ_{name}"), value);
    }
    Broker::start(command, scratch())
}

/// A client that has been let in.
fn client(broker: &Broker, version: u8) -> RawClient {
    RawClient::connected(broker.plain_port(), &Connect::new(version, "clumsy"))
}

/// Fails unless DISCONNECT `reason` comes next, with a Reason String, and then an orderly end.
fn expect_disconnect(client: &mut RawClient, reason: u8, why: &str) {
    expect_farewell(client, DISCONNECT, reason, why);
}

/// As [`expect_disconnect`], for a client that is not let in.
fn expect_connack(client: &mut RawClient, reason: u8, why: &str) {
    expect_farewell(client, CONNACK, reason, why);
}

fn expect_farewell(client: &mut RawClient, first: u8, reason: u8, why: &str) {
    let farewell = client.read_or_end();
    let found = farewell.as_ref().map(|frame| (frame.first, frame.reason()));
    assert_eq!(found, Some((first, reason)), "{why}: {}", hexadecimal(farewell.as_ref()));
    client.expect_orderly_end();
}

fn hexadecimal(frame: Option<&Frame>) -> String {
    frame.map_or_else(|| "no packet".to_owned(), |frame| format!("{frame:02x?}"))
}
