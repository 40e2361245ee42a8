//! What is taken back: the columns.
//!
//! That a Unix peer is no longer let in at all is no column: `unix_allow_users` and its like are
//! settings of a listener, which take effect at a restart, and no session outlives one. What it may do
//! by its user, group or program is a matter of the policy, and is one. A ban other than by the policy
//! does not exist.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::scene::Scene;
use crate::harness::raw::{Connect, RawClient};
use crate::harness::{Authority, DEVICE1, DEVICE2, Stream, issuer::Issuer};
use crate::stage::{Kind, Proof, SUBJECT};

/// One thing that is taken back.
pub(super) struct Change {
    pub(super) name: &'static str,
    /// How the client proves who it is.
    pub(super) kind: Kind,
    /// By what `[[assign]]` gives it its role.
    pub(super) holder: &'static str,
    /// Makes the change, and returns when it is in force.
    pub(super) make: fn(&mut Scene),
    /// What becomes of the client.
    pub(super) then: Then,
    /// Ways that are none here, since what passes by them is allowed.
    pub(super) other_ways: &'static [&'static str],
}

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It is still who it is, and may come and go.
    Stays,
    /// Its connection ends, and its proof is not taken any more.
    Ends,
}

const USER: &str = "users = [\"device1\"]";
const CERTIFICATE: &str = "certificates = [\"device1\"]";
const TOKEN: &str = "claims = { roles = [\"subject\"] }";
const UNIX: &str = "unix = { uid = [\"${uid}\"] }";
const HTTP: &str = "http = { roles = [\"subject\"] }";
const CLIENT_IDS: &str = "client_ids = [\"device1-*\"]";

const NOTHING: Change = Change {
    name: "nothing is taken back",
    kind: Kind::Password,
    holder: USER,
    make: |_| {},
    then: Then::Stays,
    other_ways: &[],
};

/// One for each kind of proof.
pub(super) const NONE: [Change; 6] = [
    NOTHING,
    Change { kind: Kind::Certificate, holder: CERTIFICATE, ..NOTHING },
    Change { kind: Kind::Token { seconds: 600 }, holder: TOKEN, ..NOTHING },
    Change { kind: Kind::Unix, holder: UNIX, ..NOTHING },
    Change { kind: Kind::Http, holder: HTTP, ..NOTHING },
    Change { kind: Kind::Anonymous, holder: "anonymous = true", ..NOTHING },
];

/// Nobody is given the role any more.
fn unassign(Scene { stage, holder, .. }: &mut Scene) {
    stage.place.edit("policy.toml", holder, "users = [\"nobody\"]");
    stage.place.reloaded("policy");
}

pub(super) const ROLE_REMOVED: Change =
    Change { name: "its role was removed", make: unassign, ..NOTHING };

pub(super) const UNIX_PEER_NOT_ALLOWED: Change = Change {
    name: "the role of its user was removed",
    kind: Kind::Unix,
    holder: UNIX,
    ..ROLE_REMOVED
};

pub(super) const HTTP_ROLE_REMOVED: Change = Change {
    name: "the role of what the HTTP service says was removed",
    kind: Kind::Http,
    holder: HTTP,
    ..ROLE_REMOVED
};

/// What the service says from now on, and waits until the log has said `text` of every connection that
/// it has let in.
fn say(Scene { stage, .. }: &Scene, answer: Value, text: &str) {
    *stage.said.lock().expect("nobody has panicked") = answer;
    let (waiting, is_said) = (RefCell::new(BTreeSet::new()), Cell::new(false));
    stage.place.broker.process().wait_for(Stream::Err, |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let is_about =
            |message: &str| line["message"].as_str().is_some_and(|said| said.contains(message));
        let client_id = line["client_id"].as_str()?.to_owned();
        let mut waiting = waiting.borrow_mut();
        if line["principal"] == format!("http:{SUBJECT}") {
            if is_about(text) {
                is_said.set(true);
            }
            if is_about(text) || is_about("disconnected") {
                waiting.remove(&client_id);
            } else if line["message"] == "connected" {
                waiting.insert(client_id);
            }
        }
        (is_said.get() && waiting.is_empty()).then_some(())
    });
}

/// The service is not asked about clients that are away: what a session had when its client left, its
/// delayed will still has. Whoever comes back is asked about.
const DELAYED_WILL: &[&str] = &["delayed will"];

pub(super) const HTTP_REFUSED: Change = Change {
    name: "the HTTP service does not let it in any more",
    kind: Kind::Http,
    holder: HTTP,
    make: |scene| say(scene, json!({"result": "deny"}), "the session ends"),
    then: Then::Ends,
    other_ways: DELAYED_WILL,
};

pub(super) const HTTP_ROLES_CHANGED: Change = Change {
    name: "the HTTP service gives it no roles any more",
    kind: Kind::Http,
    holder: HTTP,
    make: |scene| say(scene, json!({"result": "allow"}), "says otherwise of it now"),
    then: Then::Stays,
    other_ways: DELAYED_WILL,
};

pub(super) const HTTP_DENIAL_ADDED: Change = Change {
    name: "the HTTP service has added a denial",
    make: |scene| {
        let denial = json!({"deny": ["publish", "subscribe"], "topics": ["#", "$SYS/#"]});
        let answer = json!({"result": "allow", "roles": ["subject"], "acl": [denial]});
        say(scene, answer, "says otherwise of it now");
    },
    ..HTTP_ROLES_CHANGED
};

pub(super) const CLIENT_UNASSIGNED: Change = Change {
    name: "the role of its client identifier was removed",
    holder: CLIENT_IDS,
    ..ROLE_REMOVED
};

pub(super) const DENIAL_ADDED: Change = Change {
    name: "a denial was added",
    make: |Scene { stage, .. }| {
        let role = "name = \"subject\"\nrules = [";
        let denial = "\n  { deny = [\"publish\", \"subscribe\"], topics = [\"#\", \"$SYS/#\"] },";
        stage.place.edit("policy.toml", role, &format!("{role}{denial}"));
        stage.place.reloaded("policy");
    },
    ..NOTHING
};

const BAN: &str = r##"
[[role]]
name = "banned"
rules = [{ deny = ["publish", "subscribe"], topics = ["#", "$SYS/#"] }]
[[assign]]
client_ids = ["device1-*"]
roles = ["banned"]
"##;

pub(super) const CLIENT_BANNED: Change = Change {
    name: "its client identifier was banned",
    make: |Scene { stage, .. }| {
        let policy = stage.place.text("policy.toml");
        stage.place.replace("policy.toml", policy + BAN);
        stage.place.reloaded("policy");
    },
    ..NOTHING
};

pub(super) const USER_DELETED: Change = Change {
    name: "its user was deleted",
    make: |Scene { stage, .. }| {
        let users = stage.place.text("passwd");
        let others = users.lines().filter(|line| !line.starts_with("device1:"));
        stage.place.replace("passwd", others.map(|line| format!("{line}\n")).collect::<String>());
        stage.place.reloaded("passwords");
    },
    then: Then::Ends,
    ..NOTHING
};

pub(super) const PASSWORD_CHANGED: Change = Change {
    name: "its password was changed",
    make: |Scene { stage, renewed, .. }| {
        let users = stage.place.text("passwd");
        let hash_of = |(user, _)| {
            let line = users.lines().find_map(|line| line.strip_prefix(user)?.strip_prefix(':'));
            line.expect("a user").to_owned()
        };
        stage.place.edit("passwd", &hash_of(DEVICE1), &hash_of(DEVICE2));
        stage.place.reloaded("passwords");
        *renewed = Some(Proof::Login((DEVICE1.0, DEVICE2.1)));
    },
    then: Then::Ends,
    ..NOTHING
};

pub(super) const CERTIFICATE_REVOKED: Change = Change {
    name: "its certificate was revoked",
    kind: Kind::Certificate,
    holder: CERTIFICATE,
    make: |Scene { stage, renewed, .. }| {
        stage.place.replace("crl/fleet.crl", stage.authority.list(&[1], 30));
        stage.place.reloaded("certificates");
        *renewed = Some(Proof::Certificate(stage.authority.client(SUBJECT, 2)));
    },
    then: Then::Ends,
    ..NOTHING
};

pub(super) const AUTHORITY_REPLACED: Change = Change {
    name: "the authority of its certificate was replaced",
    kind: Kind::Certificate,
    holder: CERTIFICATE,
    make: |Scene { stage, renewed, .. }| {
        let next = Authority::new();
        // The list of the earlier authority is not one of the next, which has the same name.
        stage.place.replace("crl/fleet.crl", next.list(&[], 30));
        stage.place.log("not reloaded");
        stage.place.replace("clients.crt", next.pem());
        stage.place.reloaded("certificates");
        *renewed = Some(Proof::Certificate(next.client(SUBJECT, 2)));
    },
    then: Then::Ends,
    ..NOTHING
};

/// The will of a client whose token has run out is published, as that of any connection that ends:
/// nobody has taken back what it was allowed.
const WILLS: &[&str] = &["will", "delayed will"];

pub(super) const TOKEN_KEY_TAKEN_BACK: Change = Change {
    name: "the key of its token was taken back",
    kind: Kind::Token { seconds: 600 },
    holder: TOKEN,
    make: |Scene { stage, renewed, .. }| {
        let next = Issuer::new();
        stage.place.replace("issuer.jwks", next.key_set());
        stage.place.reloaded("token_keys");
        *renewed = Some(Proof::token(&next, SUBJECT, 600));
    },
    then: Then::Ends,
    ..NOTHING
};

/// Who proves by another token to be the same gets what has waited for it: that way is the subject of
/// `tests/e2e/tokens.rs`.
pub(super) const TOKEN_EXPIRED: Change = Change {
    name: "its token has expired",
    kind: Kind::Token { seconds: LIFETIME },
    holder: TOKEN,
    make: |Scene { stage, .. }| {
        // Its token ends later than all that were there before.
        let token = stage.issuer.token(SUBJECT, LIFETIME + 1, &json!({"roles": ["subject"]}));
        let connect = Connect::new(5, "last").login((SUBJECT, token.leak()));
        let mut last = RawClient::connected(stage.place.broker.plain_port(), &connect);
        last.expect_disconnect(0x87);
    },
    then: Then::Ends,
    other_ways: WILLS,
};

/// Seconds in which every way can be begun.
const LIFETIME: i64 = 8;
