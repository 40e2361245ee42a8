//! Clients of Mosquitto that go on as before: with their old passwords, and what they might do.

use std::process::Stdio;

use crate::harness::raw::{CONNACK, Connect, PUBACK, PUBLISH, RawClient, publish_with};
use crate::harness::{Broker, Login, Process, Stream, bastionmq, clients, scratch};
use crate::site::Site;

pub(crate) const ALICE: Login = ("alice", "wonderland");
const BOB: Login = ("bob", "builder");
const CAROL: Login = ("carol", "singer");

const REFUSED: u8 = 0x87;

/// The broker that `configuration` of `site` describes, on a port of its own.
pub(crate) fn serve(site: &Site, configuration: &str) -> Broker {
    let mut command = bastionmq();
    command.arg("serve").arg("--config").arg(site.path(configuration));
    command.args(["--listen", "mqtt://127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    // Not to the file of a Mosquitto that may be on this machine.
    command.env("BASTIONMQ_LOG_TARGETS", "stderr");
    Broker::start(command, scratch())
}

fn moved(configuration: &str) -> Broker {
    let site = Site::recorded();
    let said = site.import(configuration, &["--map", "/mosquitto/config=."]);
    assert_eq!(said.code, Some(1), "{said:?}");
    serve(&site, "out/bastionmq.toml")
}

/// The reason that `login` is let in for, or not.
pub(crate) fn login(broker: &Broker, login: Option<Login>) -> u8 {
    let mut client = RawClient::plain(broker.plain_port());
    let connect = Connect::new(5, login.map_or("nobody", |login| login.0));
    let connect = if let Some(login) = login { connect.login(login) } else { connect };
    client.send(&connect.encode());
    client.expect(CONNACK).reason()
}

/// Whether a client may publish to `topic`.
pub(crate) fn publishes(broker: &Broker, login: Login, topic: &str) -> bool {
    // A client identifier belongs to the user that takes it.
    let connect = Connect::new(5, login.0).login(login);
    let mut client = RawClient::connected(broker.plain_port(), &connect);
    client.send(&publish_with(5, PUBLISH | 1 << 1, topic, Some(1), &[], b"x"));
    client.expect(PUBACK).acknowledged().1 < 0x80
}

/// Whether a client may subscribe to `filter`.
fn subscribes(broker: &Broker, login: Option<Login>, filter: &str) -> bool {
    let connect = Connect::new(5, login.map_or("nobody", |login| login.0));
    let connect = if let Some(login) = login { connect.login(login) } else { connect };
    let mut client = RawClient::connected(broker.plain_port(), &connect);
    client.subscribe(5, filter, 1) < 0x80
}

#[test]
fn users_log_in_with_the_passwords_that_mosquitto_passwd_made() {
    let broker = moved("mosquitto.conf");
    for user in [ALICE, BOB, CAROL] {
        assert_eq!(login(&broker, Some(user)), 0, "{user:?}");
        assert_eq!(login(&broker, Some((user.0, "wrong"))), 0x86, "{user:?}");
    }
    assert_eq!(login(&broker, None), 0);
    assert_eq!(login(&broker, Some(("mallory", "x"))), 0x86);
}

#[test]
fn permissions_are_those_of_the_acl_file() {
    let broker = moved("mosquitto.conf");
    permissions_hold(&broker);
}

#[test]
fn an_acl_file_is_read_as_it_is_too() {
    let site = Site::recorded();
    assert_eq!(site.import("mosquitto.conf", &["--map", "/mosquitto/config=."]).code, Some(1));
    let acl = site.path("acl");
    let config = site.read("out/bastionmq.toml").replace(
        "policy_file = \"policy.toml\"",
        &format!("policy_file = {:?}\nacl_format = \"mosquitto\"", acl.display().to_string()),
    );
    site.write("out/bastionmq.toml", config);
    permissions_hold(&serve(&site, "out/bastionmq.toml"));
}

fn permissions_hold(broker: &Broker) {
    for (user, topic, allowed) in [
        (ALICE, "home/lamp", true),
        (ALICE, "home/safe", false),
        (ALICE, "devices/alice/state", true),
        (ALICE, "devices/bob/state", false),
        (ALICE, "devices/alice/factory", false),
        (ALICE, "devices/bob/factory", false),
        (BOB, "in/bob", true),
        (BOB, "home/lamp", false),
        (CAROL, "public/x", false),
    ] {
        assert_eq!(publishes(broker, user, topic), allowed, "{user:?} {topic}");
    }
    for (user, filter, allowed) in [
        (Some(ALICE), "home/#", true),
        (Some(ALICE), "$SYS/#", true),
        (Some(BOB), "in/bob", false),
        (None, "public/#", true),
        (None, "home/#", false),
    ] {
        assert_eq!(subscribes(broker, user, filter), allowed, "{user:?} {filter}");
    }
}

#[test]
fn the_clients_of_mosquitto_go_on() {
    let broker = moved("mosquitto.conf");
    let tool = |program: &str, (user, password): Login| {
        let mut command = clients::mosquitto(program);
        command.args(["-h", "127.0.0.1", "-p", &broker.plain_port().to_string(), "-V", "5"]);
        command.args(["-u", user, "-P", password]);
        command
    };
    let mut command = tool("mosquitto_sub", ALICE);
    let subscriber = Process::spawn(
        "mosquitto_sub",
        command.args(["-d", "-t", "home/#", "-v"]).stdin(Stdio::null()),
    );
    subscriber.wait_for_text(Stream::Out, "received SUBACK");
    for topic in ["home/safe", "home/lamp"] {
        let mut command = tool("mosquitto_pub", ALICE);
        let mut publisher = Process::spawn(
            "mosquitto_pub",
            command.args(["-q", "1", "-t", topic, "-m", "on"]).stdin(Stdio::null()),
        );
        assert!(publisher.wait().success(), "{}", publisher.transcript());
    }
    subscriber.wait_for_text(Stream::Out, "home/lamp on");
    let lines = subscriber.lines(Stream::Out);
    assert!(!lines.iter().any(|line| line.starts_with("home/safe")), "{lines:?}");
}

#[test]
fn roles_of_the_dynamic_security_plugin_hold_in_the_same_order() {
    let broker = moved("dynamic-security.conf");
    let dave = ("dave", "davepw");
    let frank = ("frank", "frankpw");
    assert_eq!(login(&broker, Some(("erin", "erinpw"))), 0x86, "switched off");
    assert_eq!(login(&broker, None), REFUSED, "nobody without a name");
    assert!(publishes(&broker, dave, "devices/a/up"));
    assert!(!publishes(&broker, dave, "devices/secret/up"), "denied with a higher priority");
    assert!(!publishes(&broker, dave, "other"));
    assert!(!publishes(&broker, frank, "devices/a/up"), "the role that denies goes first");
    assert!(subscribes(&broker, Some(dave), "devices/#"));
    assert!(subscribes(&broker, Some(dave), "news"), "by its group");
    assert!(!subscribes(&broker, Some(frank), "news"));
    assert!(subscribes(&broker, Some(("admin", "adminpw")), "$SYS/#"));
    assert!(!publishes(&broker, ("admin", "adminpw"), "$CONTROL/dynamic-security/v1"));
}
