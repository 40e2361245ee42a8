//! A broker with files that change, a client whose rights are taken back, and others that keep theirs.

use std::cell::RefCell;
use std::fs;
use std::sync::Arc;

use rustix::process::geteuid;
use rustls::ClientConfig;
use serde_json::json;

use super::changes::Change;
use crate::harness::issuer::Issuer;
use crate::harness::raw::{
    CONNACK, Connect, DISCONNECT, PUBACK, PUBLISH, RawClient, packet, publish_with,
};
use crate::harness::{ADMIN, Authority, DEVICE1, Login, Place, place, scratch};

/// The name that every proof of the client carries, but that of the Unix socket.
pub(super) const SUBJECT: &str = DEVICE1.0;

const CONFIG: &str = r##"
[[listener]]
url = "mqtts://127.0.0.1:0"
tls_cert = "server.crt"
tls_key = "server.key"
client_auth = "optional"
client_ca = "clients.crt"
client_crl = "crl"

[[listener]]
url = "mqtt://127.0.0.1:0"

[[listener]]
url = "unix://${directory}/run/mqtt.sock"

[admin]
address = "127.0.0.1:0"

[auth]
password_file = "passwd"
# The proof of before is tried again and again.
lockout_failures = 0

[jwt]
key_file = "issuer.jwks"
issuer = "issuer"
audience = "broker"
leeway_seconds = 0

[acl]
policy_file = "policy.toml"

[broker]
sys_interval_seconds = 1
"##;

const POLICY: &str = r##"
[[role]]
name = "subject"
rules = [
  { allow = ["publish", "subscribe"], topics = ["#"] },
  { allow = ["subscribe"], topics = ["$SYS/#"] },
]

[[role]]
name = "other"
rules = [
  { allow = ["publish", "subscribe"], topics = ["#"] },
  { allow = ["subscribe"], topics = ["$SYS/#"] },
]

[[assign]]
${holder}
roles = ["subject"]

[[assign]]
users = ["admin"]
roles = ["other"]
"##;

/// How a client proves who it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Password,
    Certificate,
    /// A token that ends in so many seconds.
    Token {
        seconds: i64,
    },
    Unix,
}

/// A proof at hand.
pub(super) enum Proof {
    Login(Login),
    Certificate(Arc<ClientConfig>),
    Unix,
}

impl Proof {
    /// A token, with a claim that gives the role.
    pub(super) fn token(issuer: &Issuer, seconds: i64) -> Self {
        let token = issuer.token(SUBJECT, seconds, &json!({"roles": ["subject"]}));
        // It lives as long as the test.
        Self::Login((SUBJECT, token.leak()))
    }
}

pub(super) struct Stage {
    pub(super) place: Place,
    pub(super) authority: Authority,
    pub(super) issuer: Issuer,
    /// By what the policy gives the role.
    pub(super) holder: String,
    proof: Proof,
    /// What proves after the change that the client is who it was.
    pub(super) renewed: Option<Proof>,
    publisher: RefCell<RawClient>,
}

impl Stage {
    pub(super) fn set(change: &Change) -> Self {
        let (authority, issuer) = (Authority::new(), Issuer::new());
        let holder = change.holder.replace("${uid}", &geteuid().to_string());
        let place = serve(&authority, &issuer, &holder);
        let publisher = RefCell::new(other(&place, "publisher"));
        let proof = match change.kind {
            Kind::Password => Proof::Login(DEVICE1),
            Kind::Certificate => Proof::Certificate(authority.client(SUBJECT, 1)),
            Kind::Token { seconds } => Proof::token(&issuer, seconds),
            Kind::Unix => Proof::Unix,
        };
        Self { place, authority, issuer, holder, proof, renewed: None, publisher }
    }

    /// The client, as `connect` says, by `proof`; nobody where it is not let in.
    fn enter(&self, proof: &Proof, connect: Connect<'_>) -> Option<RawClient> {
        let broker = &self.place.broker;
        let (mut client, connect) = match proof {
            Proof::Login(login) => (RawClient::plain(broker.plain_port()), connect.login(*login)),
            Proof::Certificate(config) => {
                (RawClient::tls(broker.tls_port(), Arc::clone(config)), connect)
            }
            Proof::Unix => {
                let socket = RawClient::unix(&self.place.file("run/mqtt.sock"));
                (socket.expect("it is ours"), connect)
            }
        };
        // A handshake that fails ends the connection before there is anything to say.
        client.try_send(&connect.encode()).ok()?;
        let answer = client.read_or_end()?;
        (answer.first == CONNACK && answer.reason() == 0).then_some(client)
    }

    /// The client before the change, as `connect` says.
    pub(super) fn enters(&self, connect: Connect<'_>) -> RawClient {
        self.enter(&self.proof, connect).expect("it is let in")
    }

    /// As [`Stage::enters`]; its session is kept. Each way has a client identifier of its own.
    pub(super) fn client(&self, way: &str) -> RawClient {
        self.enters(Connect::new(5, &client_id(way)).keep_session(true, 3_600))
    }

    /// The client after the change: by the proof of before, or by a new one. Goes on with its session.
    pub(super) fn returns(&self, way: &str) -> Option<RawClient> {
        let proofs = [Some(&self.proof), self.renewed.as_ref()];
        proofs.into_iter().flatten().find_map(|proof| {
            let id = client_id(way);
            self.enter(proof, Connect::new(5, &id).keep_session(false, 3_600))
        })
    }

    /// The client after the change, if the proof of before is still taken.
    pub(super) fn enters_by_the_proof_of_before(&self, connect: Connect<'_>) -> Option<RawClient> {
        self.enter(&self.proof, connect)
    }

    pub(super) fn takes_the_proof_of_before(&self) -> bool {
        self.enters_by_the_proof_of_before(Connect::new(5, &client_id("proof"))).is_some()
    }

    /// Another client, whose rights nobody takes back.
    pub(super) fn other(&self, client_id: &str) -> RawClient {
        other(&self.place, client_id)
    }

    /// Another client, which hears of `topic` whatever happens.
    pub(super) fn witness(&self, way: &str, topic: &str) -> RawClient {
        let mut witness = self.other(&format!("witness-{way}"));
        assert_eq!(witness.subscribe(5, topic, 0), 0);
        witness
    }

    /// Another client publishes a message, which is taken.
    pub(super) fn publish(&self, topic: &str) {
        self.publish_as(PUBLISH | 1 << 1, topic);
    }

    /// Another client has a message retained.
    pub(super) fn retain(&self, topic: &str) {
        self.publish_as(PUBLISH | 1 << 1 | 1, topic);
    }

    fn publish_as(&self, first: u8, topic: &str) {
        let mut publisher = self.publisher.borrow_mut();
        publisher.send(&publish_with(5, first, topic, Some(1), &[], b"message"));
        let (_, reason) = publisher.expect(PUBACK).acknowledged();
        assert!(reason < 0x80, "{topic}: {reason:#04x}");
    }

    /// Ends the broker in order.
    pub(super) fn shut_down(&self) {
        self.place.broker.terminate();
    }
}

/// The client identifier of the client in a way.
pub(super) fn client_id(way: &str) -> String {
    format!("{SUBJECT}-{way}")
}

/// The client goes away in order, and its session stays.
pub(super) fn leave(mut client: RawClient) {
    client.send(&packet(DISCONNECT, &[]));
    client.expect_end();
}

/// Somebody who may do everything, always.
fn other(place: &Place, client_id: &str) -> RawClient {
    RawClient::connected(place.broker.plain_port(), &Connect::new(5, client_id).login(ADMIN))
}

fn serve(authority: &Authority, issuer: &Issuer, holder: &str) -> Place {
    let directory = scratch();
    let at = directory.path();
    let write = |name: &str, text: &str| fs::write(at.join(name), text).expect("a file");
    place::copy(&["server.crt", "server.key", "passwd"], at);
    fs::create_dir(at.join("crl")).expect("a folder");
    write("crl/fleet.crl", &authority.list(&[], 30));
    write("clients.crt", authority.pem());
    write("issuer.jwks", &issuer.key_set());
    write("policy.toml", &POLICY.replace("${holder}", holder));
    write("bastionmq.toml", &CONFIG.replace("${directory}", at.to_str().expect("UTF-8")));
    Place::serve(directory)
}
