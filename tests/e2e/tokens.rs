//! JSON Web Tokens in the place of passwords, as mosquitto's clients and rumqttc send them.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::harness::issuer::Issuer;
use crate::harness::raw::{self, CONNACK, CONNECT, Connect, RawClient};
use crate::harness::rumqtt::v5::{Client, Options, QoS};
use crate::harness::{Broker, Login, Process, Stream, bastionmq, clients, scratch};

const POLICY: &str = r##"
[[role]]
name = "sensor"
rules = [{ allow = ["publish", "subscribe"], topics = ["sensors/${username}/#"] }]

[[assign]]
claims = { roles = ["sensor"] }
roles = ["sensor"]
"##;

/// Believes the tokens of `issuer`, with a second of leeway.
fn broker(issuer: &Issuer) -> Broker {
    broker_and_keys(issuer).0
}

/// Also where the keys of the issuer are.
fn broker_and_keys(issuer: &Issuer) -> (Broker, PathBuf) {
    let directory = scratch();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let keys = write("issuer.jwks", &issuer.key_set());
    write("policy.toml", POLICY);
    let config = write(
        "bastionmq.toml",
        "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[admin]\naddress = \"off\"\n\
         [acl]\npolicy_file = \"policy.toml\"\n[jwt]\nkey_file = \"issuer.jwks\"\n\
         issuer = \"issuer\"\naudience = \"broker\"\nleeway_seconds = 1\n",
    );
    let mut command = bastionmq();
    command.arg("serve").arg("--config").arg(config);
    (Broker::start(command, directory), keys)
}

fn sensor(issuer: &Issuer, name: &str, seconds: i64) -> String {
    issuer.token(name, seconds, &json!({"roles": ["sensor"]}))
}

/// Lives as long as the test.
fn login(user: &str, token: String) -> Login {
    (user.to_owned().leak(), token.leak())
}

#[tokio::test]
async fn a_token_gives_its_bearer_a_name_and_roles() {
    let issuer = Issuer::new();
    let broker = broker(&issuer);
    let mut options = Options::new("bearer", "localhost", broker.plain_port());
    options.set_credentials("s1", sensor(&issuer, "s1", 600));
    let mut client = Client::connect(options).await;
    client.subscribe("sensors/s1/#", QoS::AtLeastOnce).await;
    client.publish("sensors/s1/heat", QoS::AtLeastOnce, "21").await;
    assert_eq!(client.payload().await, "21");
    broker.process().wait_for_text(Stream::Err, "\"principal\":\"token:s1\"");
    let log = broker.process().transcript();
    assert!(!log.contains("eyJ"), "{log}");
}

#[test]
fn what_its_claims_do_not_give_is_denied() {
    let issuer = Issuer::new();
    let broker = broker(&issuer);
    for (token, allowed) in
        [(sensor(&issuer, "s1", 600), true), (issuer.token("s1", 600, &json!({})), false)]
    {
        let mut command = clients::mosquitto("mosquitto_pub");
        command.args(["-p", &broker.plain_port().to_string(), "-V", "5", "-q", "1", "-d"]);
        command.args(["-t", "sensors/s1/heat", "-m", "21", "-u", "s1", "-P", &token]);
        let mut process = Process::spawn("mosquitto_pub", &mut command);
        process.wait();
        let said = process.transcript();
        assert!(said.contains("received CONNACK (0)"), "{said}");
        assert_eq!(said.contains("RC:135"), !allowed, "{said}");
    }
}

#[test]
fn u11_a_token_that_is_not_to_be_believed_is_refused_and_only_the_log_says_why() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let broker = broker(&issuer);
    for (user, token, why) in [
        ("s1", sensor(&stranger, "s1", 600), "the signature of the token is wrong"),
        ("s1", sensor(&issuer, "s1", -5), "the token has expired"),
        ("s2", sensor(&issuer, "s1", 600), "the user name is not the principal of the token"),
        ("s1", issuer.token("s1", 600, &json!({"aud": "shop"})), "the token has another `aud`"),
        ("s1", "eyJhbGciOiJub25lIn0.e30.".to_owned(), "no key is for the algorithm"),
        ("s1", "apple".to_owned(), "no authenticator of this listener takes a user and a password"),
    ] {
        let mut client = RawClient::plain(broker.plain_port());
        client.send(&Connect::new(5, "client").login(login(user, token)).encode());
        let answer = client.expect(CONNACK);
        assert_eq!(answer.reason(), 0x86, "{why}");
        let said = String::from_utf8_lossy(&answer.body);
        assert!(said.contains("bad user name or password"), "{said}");
        let line = broker.process().wait_for_text(Stream::Err, why);
        assert_eq!(
            line.contains("\"authenticator\":\"jwt\""),
            !why.starts_with("no auth"),
            "{line}"
        );
    }
}

#[test]
fn a_client_of_5_0_needs_no_user_name_beside_its_token() {
    let issuer = Issuer::new();
    let broker = broker(&issuer);
    let mut body = raw::data("MQTT");
    // A password alone.
    body.extend([5, 0x42, 0, 0]);
    body.extend(raw::properties(5, &[]));
    body.extend(raw::data("client"));
    body.extend(raw::data(sensor(&issuer, "s1", 600)));
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&raw::packet(CONNECT, &body));
    assert_eq!(client.expect(CONNACK).reason(), 0);
    assert_eq!(client.subscribe(5, "sensors/s1/#", 0), 0);
}

#[test]
fn a_session_ends_when_its_token_does_and_goes_on_with_the_next_one() {
    let issuer = Issuer::new();
    let broker = broker(&issuer);
    let enter = |seconds, clean| {
        let connect = Connect::new(5, "client").keep_session(clean, 600);
        let connect = connect.login(login("s1", sensor(&issuer, "s1", seconds)));
        RawClient::connected(broker.plain_port(), &connect)
    };
    let mut neighbour = RawClient::connected(
        broker.plain_port(),
        &Connect::new(5, "neighbour").login(login("s1", sensor(&issuer, "s1", 600))),
    );
    let mut client = enter(1, true);
    assert_eq!(client.subscribe(5, "sensors/s1/#", 1), 1);
    client.expect_disconnect(0x87);
    broker.process().wait_for_text(Stream::Err, "its proof has expired");
    // What comes meanwhile waits, and is for whoever proves to be the same.
    neighbour.send(&raw::publish_with(5, 0x32, "sensors/s1/heat", Some(1), &[], b"21"));
    neighbour.expect(raw::PUBACK);
    let mut client = enter(600, false);
    assert_eq!(client.read().publish(5).payload, b"21");
}

#[test]
fn u04_a_session_ends_when_the_key_of_its_token_is_taken_back() {
    let (issuer, next) = (Issuer::new(), Issuer::new());
    let (broker, keys) = broker_and_keys(&issuer);
    let connect = Connect::new(5, "client").login(login("s1", sensor(&issuer, "s1", 600)));
    let mut client = RawClient::connected(broker.plain_port(), &connect);
    fs::write(keys.with_extension("new"), next.key_set()).expect("a file");
    fs::rename(keys.with_extension("new"), &keys).expect("a file in its place");
    client.expect_disconnect(0x87);
    let connect = Connect::new(5, "client").login(login("s1", sensor(&next, "s1", 600)));
    RawClient::connected(broker.plain_port(), &connect);
}
