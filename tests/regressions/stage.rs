//! A broker with files that change, a client that proves itself in any way there is, and others whose
//! rights nobody takes back.

use std::cell::RefCell;
use std::fs;
use std::sync::{Arc, Mutex};

use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::harness::identity_service::{IdentityService, Reply};
use crate::harness::issuer::Issuer;
use crate::harness::raw::{
    CONNACK, Connect, DISCONNECT, PUBACK, PUBLISH, RawClient, packet, publish_with,
};
use crate::harness::{ADMIN, Authority, DEVICE1, Login, Place, bastionmq, place, scratch};

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
allow_anonymous = true
# The proof of before is tried again and again.
lockout_failures = 0

[jwt]
key_file = "issuer.jwks"
issuer = "issuer"
audience = "broker"
leeway_seconds = 0

[http]
url = "${service}"
revalidate_seconds = 1

[keys]
master_key_file = "master.key"
ring_file = "keyring"

[acl]
policy_file = "policy.toml"
acl_format = "${format}"

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

[[envelope]]
topics = ["sealed/#"]
mode = "seal"
"##;

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Password,
    Certificate,
    /// A token that ends in so many seconds.
    Token {
        seconds: i64,
    },
    Unix,
    /// By a password that an HTTP service knows.
    Http,
    /// Not at all.
    Anonymous,
}

/// What the service knows everybody's password to be, whatever the name.
const HTTP_PASSWORD: &str = "known-to-the-service";

/// A proof at hand.
pub(super) enum Proof {
    Login(Login),
    Certificate(Arc<ClientConfig>),
    Unix,
    Anonymous,
}

impl Proof {
    /// A token for `name`, with a claim that gives the role. It lives as long as the test.
    pub(super) fn token(issuer: &Issuer, name: &str, seconds: i64) -> Self {
        let token = issuer.token(name, seconds, &json!({"roles": ["subject"]}));
        Self::Login((name.to_owned().leak(), token.leak()))
    }
}

pub(super) struct Stage {
    pub(super) place: Place,
    pub(super) authority: Authority,
    pub(super) issuer: Issuer,
    /// What the HTTP service says of whoever it has let in.
    pub(super) said: Arc<Mutex<Value>>,
    publisher: RefCell<RawClient>,
}

impl Stage {
    /// A role that allows everything is given to whom `holder` names, as `[[assign]]` says it.
    pub(super) fn set(holder: &str) -> Self {
        Self::with_policy("bastionmq", &POLICY.replace("${holder}", holder))
    }

    pub(super) fn with_policy(format: &str, policy: &str) -> Self {
        Self::serving(policy, &CONFIG.replace("${format}", format))
    }

    /// As [`Stage::set`], with everybody, and a log of everything.
    pub(super) fn that_logs_everything() -> Self {
        let config = CONFIG.replace("${format}", "bastionmq") + "[log]\nlevel = \"trace\"\n";
        Self::serving(&POLICY.replace("${holder}", "everyone = true"), &config)
    }

    fn serving(policy: &str, config: &str) -> Self {
        let (authority, issuer) = (Authority::new(), Issuer::new());
        let said = Arc::new(Mutex::new(json!({"result": "allow", "roles": ["subject"]})));
        let service = IdentityService::start(that_says(&said));
        let config = config.replace("${service}", &service.url());
        let place = serve(&authority, &issuer, policy, &config);
        let publisher = RefCell::new(other(&place, "publisher"));
        Self { place, authority, issuer, said, publisher }
    }

    /// A proof of that kind, of the client that is the subject.
    pub(super) fn proof(&self, kind: Kind) -> Proof {
        self.proof_of(kind, SUBJECT)
    }

    /// As [`Stage::proof`], for another name where its kind has one that is ours to choose.
    pub(super) fn proof_of(&self, kind: Kind, name: &str) -> Proof {
        match kind {
            Kind::Password => Proof::Login(DEVICE1),
            Kind::Certificate => Proof::Certificate(self.authority.client(name, 1)),
            Kind::Token { seconds } => Proof::token(&self.issuer, name, seconds),
            Kind::Unix => Proof::Unix,
            Kind::Http => Proof::Login((name.to_owned().leak(), HTTP_PASSWORD)),
            Kind::Anonymous => Proof::Anonymous,
        }
    }

    /// A client with `proof`, and whether it goes on with a session; the reason where it is not let in,
    /// 0 if it learns none.
    pub(super) fn knock(
        &self,
        proof: &Proof,
        connect: Connect<'_>,
    ) -> Result<(RawClient, bool), u8> {
        let broker = &self.place.broker;
        let (mut client, connect) = match proof {
            Proof::Login(login) => (RawClient::plain(broker.plain_port()), connect.login(*login)),
            Proof::Anonymous => (RawClient::plain(broker.plain_port()), connect),
            Proof::Certificate(config) => {
                (RawClient::tls(broker.tls_port(), Arc::clone(config)), connect)
            }
            Proof::Unix => {
                let socket = RawClient::unix(&self.place.file("run/mqtt.sock"));
                (socket.expect("it is ours"), connect)
            }
        };
        // A handshake that fails ends the connection before there is anything to say.
        client.try_send(&connect.encode()).map_err(|_| 0)?;
        let answer = client.read_or_end().ok_or(0)?;
        assert_eq!(answer.first, CONNACK);
        match answer.reason() {
            0 => Ok((client, answer.body[0] == 1)),
            reason => Err(reason),
        }
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

/// The HTTP service: says what is to be said of whoever has the password, or has had it, and leaves
/// others to who knows them.
fn that_says(said: &Arc<Mutex<Value>>) -> impl Fn(&Value) -> Reply + Send + Sync + use<> {
    let said = Arc::clone(said);
    move |question| {
        let is_known = question["password"] == HTTP_PASSWORD || question["revalidate"] == true;
        Reply::Json(match is_known {
            true => said.lock().expect("nobody has panicked").clone(),
            false => json!({"result": "ignore"}),
        })
    }
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

fn serve(authority: &Authority, issuer: &Issuer, policy: &str, config: &str) -> Place {
    let directory = scratch();
    let at = directory.path();
    let write = |name: &str, text: &str| fs::write(at.join(name), text).expect("a file");
    place::copy(&["server.crt", "server.key", "passwd"], at);
    fs::create_dir(at.join("crl")).expect("a folder");
    write("crl/fleet.crl", &authority.list(&[], 30));
    write("clients.crt", authority.pem());
    write("issuer.jwks", &issuer.key_set());
    write("policy.toml", policy);
    let create = ["keys", "create", "--ring", "keyring", "--topic", "sealed/#"];
    let key = ["--master-key-file", "master.key"];
    let made = bastionmq().args(create).args(key).current_dir(at).output().expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    write("bastionmq.toml", &config.replace("${directory}", at.to_str().expect("UTF-8")));
    Place::serve(directory)
}
