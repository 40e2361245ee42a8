//! The list of authenticators of a listener, as mosquitto's clients and rumqttc meet it.

use std::fs;
use std::process::Command;

use crate::harness::raw::{self, CONNACK, Connect, RawClient};
use crate::harness::rumqtt::over_tls;
use crate::harness::rumqtt::v5::{Client, ConnectionError, Options, QoS};
use crate::harness::{
    Broker, DEVICE1, DEVICE2, Login, Process, Site, Stream, bastionmq, clients, scratch,
};

/// A TLS listener alone, with the users and the policy of [`Site`].
fn broker(client_auth: &str, authenticators: &str) -> Broker {
    let directory = scratch();
    let config = Site::shared().configuration(client_auth);
    let (tls, rest) = config.split_once("[[listener]]\nurl = \"mqtt:").expect("two listeners");
    let (_, rest) = rest.split_once('\n').expect("a line");
    let file = directory.path().join("bastionmq.toml");
    fs::write(&file, format!("{tls}authenticators = {authenticators}\n{rest}")).expect("a file");
    let mut command = bastionmq();
    command.arg("serve").arg("--config").arg(file);
    Broker::start(command, directory)
}

/// `mosquitto_pub` to the broker, which shows the certificate of device1 if `certified`.
fn mosquitto_pub(broker: &Broker, certified: bool, login: Option<Login>) -> Command {
    let site = Site::shared();
    let mut command = clients::mosquitto("mosquitto_pub");
    command.args(["-h", "localhost", "-p", &broker.tls_port().to_string(), "-V", "5", "-q", "1"]);
    command.args(["-t", "devices/device1/state", "-m", "on"]).arg("--cafile").arg(site.ca());
    if certified {
        command.arg("--cert").arg(site.file("device1.crt"));
        command.arg("--key").arg(site.file("device1.key"));
    }
    if let Some((user, password)) = login {
        command.args(["-u", user, "-P", password]);
    }
    command
}

/// Whether the message of `command` has been taken.
fn is_let_in(command: &mut Command) -> bool {
    Process::spawn("mosquitto_pub", command).wait().success()
}

fn log_line(broker: &Broker, text: &str) -> String {
    broker.process().wait_for_text(Stream::Err, text)
}

#[test]
fn where_certificate_and_password_are_asked_for_neither_is_enough() {
    let broker = broker("optional", "[\"certificate+password\"]");
    let right = Some(DEVICE1);
    assert!(is_let_in(&mut mosquitto_pub(&broker, true, right)));
    log_line(&broker, "\"principal\":\"user:device1\"");
    for (certified, login, why) in [
        (true, None, "a certificate without the user name and password that go with it"),
        (true, Some(DEVICE2), "the user name is not the one in the certificate"),
        (false, right, "no authenticator of this listener takes a user and a password"),
        (false, None, "no credentials"),
    ] {
        assert!(!is_let_in(&mut mosquitto_pub(&broker, certified, login)), "{certified} {login:?}");
        log_line(&broker, &format!("login refused: {why}"));
    }
    let line = log_line(&broker, "is not the one in the certificate");
    assert!(line.contains("\"authenticator\":\"certificate+password\""), "{line}");
}

#[tokio::test]
async fn with_a_certificate_required_and_a_password_taken_the_user_is_free() {
    let broker = broker("required", "[\"password\"]");
    let options = |login: Option<Login>| {
        let mut options = Options::new("free", "localhost", broker.tls_port());
        options.set_transport(over_tls(Site::shared().tls_as("device1")));
        if let Some((user, password)) = login {
            options.set_credentials(user, password);
        }
        options
    };
    let mut device2 = Client::connect(options(Some(DEVICE2))).await;
    device2.subscribe("devices/device2/#", QoS::AtLeastOnce).await;
    device2.publish("devices/device2/state", QoS::AtLeastOnce, "on").await;
    assert_eq!(device2.payload().await, "on");
    let refused = Client::try_connect(options(None)).await.err();
    assert!(matches!(refused, Some(ConnectionError::ConnectionRefused(_))), "{refused:?}");
    log_line(&broker, "no authenticator of this listener takes a certificate alone");
}

#[test]
fn u11_a_password_where_none_is_taken_is_refused_and_only_the_log_says_why() {
    let broker = broker("off", "[\"scram\"]");
    let mut client = RawClient::tls(broker.tls_port(), Site::shared().tls());
    client.send(&Connect::new(5, "simple").login(DEVICE1).encode());
    let answer = client.expect(CONNACK);
    assert_eq!(answer.reason(), 0x86);
    let said = String::from_utf8_lossy(&answer.body);
    assert!(said.contains("bad user name or password"), "{said}");
    let line = log_line(&broker, "login refused");
    let why = "login refused: no authenticator of this listener takes a user and a password";
    assert!(line.contains(why) && line.contains("\"user\":\"device1\""), "{line}");
    assert!(!line.contains(DEVICE1.1), "{line}");
}

#[test]
fn a_method_of_authentication_where_none_is_offered_is_refused_by_its_name() {
    let broker = broker("off", "[\"password\"]");
    let mut client = RawClient::tls(broker.tls_port(), Site::shared().tls());
    let properties =
        [&[0x15][..], &raw::data("SCRAM-SHA-256"), &[0x16], &raw::data("n,,n=a,r=b")].concat();
    client.send(&Connect { properties, ..Connect::new(5, "modern") }.encode());
    assert_eq!(client.expect(CONNACK).reason(), 0x8C);
    log_line(&broker, "login refused: this listener has no method of authentication");
}
