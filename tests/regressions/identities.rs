//! What holds for a user holds for everybody, however somebody proves who it is: by password,
//! certificate, token, Unix socket or HTTP service, or not at all.

use serde_json::json;

use crate::harness::http::get;
use crate::harness::issuer::Issuer;
use crate::harness::raw::{
    BAD_CLIENT_ID, Connect, NOT_AUTHORIZED, PUBACK, PUBLISH, RawClient, Will, publish_with,
};
use crate::stage::{Kind, SUBJECT, Stage, leave};

const ALL: [Kind; 6] = [
    Kind::Password,
    Kind::Certificate,
    Kind::Token { seconds: 600 },
    Kind::Unix,
    Kind::Http,
    Kind::Anonymous,
];

const EVERYONE: &str = "everyone = true";

/// A name is all that a certificate, a token and a user of the HTTP service share with a user.
#[test]
fn r25_a_client_id_belongs_to_its_principal_whatever_that_is_and_whoever_else_comes() {
    let stage = Stage::set(EVERYONE);
    for owner in ALL {
        for thief in ALL.into_iter().filter(|thief| *thief != owner) {
            let id = format!("{owner:?} {thief:?}");
            let topic = format!("of/{owner:?}/{thief:?}");
            let mut witness = stage.witness(&format!("{id} witness"), &topic);
            let [owner, thief] = [owner, thief].map(|kind| stage.proof(kind));
            let is_refused = || {
                for clean in [true, false] {
                    let connect = Connect::new(5, &id).keep_session(clean, 3_600);
                    let reason = stage.knock(&thief, connect).err();
                    assert_eq!(reason, Some(BAD_CLIENT_ID), "{id}, clean start: {clean}");
                }
            };
            let will = Will { properties: AN_HOUR.to_vec(), ..Will::new(&topic, b"gone") };
            let connect = Connect { will: Some(will), ..Connect::new(5, &id) };
            let connect = connect.keep_session(true, 7_200);
            let (mut client, _) = stage.knock(&owner, connect).expect("it is let in");
            assert_eq!(client.subscribe(5, "queue/+", 1), 1);
            is_refused();
            client.expect_silence();
            client.break_off();
            let queued = format!("queue/{}", topic.replace('/', "-"));
            stage.publish(&queued);
            is_refused();
            assert!(!witness.has_heard(&topic), "{id}: its will is not sent");
            // All of it is still there, for its owner.
            let connect = Connect::new(5, &id).keep_session(false, 0);
            let (mut client, is_resumed) = stage.knock(&owner, connect).expect("it is let in");
            assert!(is_resumed && client.has_heard(&queued), "{id}");
            // Once it is over, the name is free, and nothing is left of it.
            leave(client);
            let connect = Connect::new(5, &id).keep_session(false, 0);
            let (mut client, is_resumed) = stage.knock(&thief, connect).expect("it is let in");
            stage.publish(&queued);
            assert!(!is_resumed && !client.has_heard(&queued), "{id}");
        }
    }
}

/// Of a will: its delay.
const AN_HOUR: [u8; 5] = [0x18, 0, 0, 0x0E, 0x10];

#[test]
fn r25_nobody_inherits_the_session_of_a_user_that_is_gone() {
    let stage = Stage::set(EVERYONE);
    let session = Connect::new(5, "the one").keep_session(false, 3_600);
    let user = stage.proof(Kind::Password);
    let (mut client, _) = stage.knock(&user, session.clone()).expect("it is let in");
    assert_eq!(client.subscribe(5, "queue", 1), 1);
    leave(client);
    stage.publish("queue");
    let users = stage.place.text("passwd");
    let others = users.lines().filter(|line| !line.starts_with("device1:"));
    stage.place.replace("passwd", others.map(|line| format!("{line}\n")).collect::<String>());
    stage.place.log("the session ends");
    for kind in ALL.into_iter().filter(|kind| *kind != Kind::Password) {
        let connect = Connect { clean: false, ..Connect::new(5, "the one") };
        let (mut heir, is_resumed) = stage.knock(&stage.proof(kind), connect).expect("let in");
        stage.publish("queue");
        assert!(!is_resumed && !heir.has_heard("queue"), "{kind:?}");
        leave(heir);
    }
}

/// The same permissions in both formats: everybody's own topics, by name.
const OF_NAMES: [(&str, &str); 2] = [
    (
        "bastionmq",
        "[[role]]\nname = \"own\"\nrules = [{ allow = [\"publish\", \"subscribe\"], topics = \
         [\"of/${username}/#\"] }]\n[[assign]]\neveryone = true\nroles = [\"own\"]\n",
    ),
    ("mosquitto", "pattern readwrite of/%u/#\n"),
];

/// Kinds whose names others give them: an authority, an issuer of tokens, or an HTTP service.
const NAMED_BY_OTHERS: [Kind; 3] = [Kind::Certificate, Kind::Token { seconds: 600 }, Kind::Http];

#[test]
fn r01_a_name_that_others_have_given_widens_no_pattern() {
    for (format, policy) in OF_NAMES {
        let stage = Stage::with_policy(format, policy);
        for kind in NAMED_BY_OTHERS {
            for name in ["#", "+", "a/b", "a/#", "$SYS"] {
                let proof = stage.proof_of(kind, name);
                let place = format!("{format}, {kind:?} {name}");
                // Not to be let in at all is as safe.
                let Ok((mut client, _)) = stage.knock(&proof, Connect::new(5, &place)) else {
                    continue;
                };
                for filter in ["of/#", "of/+/x", "of/a/b/x", "of/a/x", "of/$SYS/x", "#"] {
                    let reason = client.subscribe(5, filter, 0);
                    assert_eq!(reason, NOT_AUTHORIZED, "{place}: {filter}");
                }
                assert_eq!(publishes(&mut client, "of/a/x"), NOT_AUTHORIZED, "{place}");
            }
            let id = format!("{format}, {kind:?}");
            let connect = Connect::new(5, &id);
            let (mut client, _) = stage.knock(&stage.proof_of(kind, "a"), connect).expect("let in");
            assert_eq!(client.subscribe(5, "of/a/#", 0), 0, "{format}, {kind:?}");
            assert_eq!(publishes(&mut client, "of/a/x"), 0, "{format}, {kind:?}");
        }
    }
}

/// The listener that is written first is one like all others.
#[test]
fn r06_the_policy_holds_by_every_listener_for_everybody() {
    for (format, policy) in OF_NAMES {
        let stage = Stage::with_policy(format, policy);
        for kind in ALL {
            let place = format!("{format}, {kind:?}");
            let connect = Connect::new(5, &place);
            let (mut client, _) = stage.knock(&stage.proof(kind), connect).expect("let in");
            assert_eq!(client.subscribe(5, "of/others/#", 0), NOT_AUTHORIZED, "{place}");
            assert_eq!(publishes(&mut client, "of/others/x"), NOT_AUTHORIZED, "{place}");
        }
    }
}

#[test]
fn r26_a_will_without_permission_is_refused_whoever_leaves_it() {
    for (format, policy) in OF_NAMES {
        let stage = Stage::with_policy(format, policy);
        for kind in ALL {
            let will = Some(Will::new("of/others/x", b"forged"));
            let connect = Connect { will, ..Connect::new(5, "c") };
            let reason = stage.knock(&stage.proof(kind), connect).err();
            assert_eq!(reason, Some(NOT_AUTHORIZED), "{format}, {kind:?}");
        }
    }
}

#[test]
fn r24_a_token_shows_in_no_log_metric_or_answer() {
    let stage = Stage::that_logs_everything();
    let stranger = Issuer::new();
    let tokens =
        [(&stage.issuer, 600, true), (&stage.issuer, -600, false), (&stranger, 600, false)];
    for (issuer, seconds, is_believed) in tokens {
        let token = issuer.token(SUBJECT, seconds, &json!({"secret": "canary-51d0b7"}));
        // In its own name, and in that of another.
        for user in [SUBJECT, "admin"] {
            let mut client = RawClient::plain(stage.place.broker.plain_port());
            let login = (user, &*token.clone().leak());
            client.send(&Connect::new(5, "c").login(login).encode());
            let answer = client.read();
            assert_eq!(answer.reason() == 0, is_believed && user == SUBJECT);
            leaks_nothing(&token, &answer.body);
        }
        let (_, metrics) = get(stage.place.broker.admin_port(), "/metrics");
        leaks_nothing(&token, metrics.as_bytes());
        leaks_nothing(&token, stage.place.broker.process().transcript().as_bytes());
    }
    let log = stage.place.broker.process().transcript();
    assert!(log.contains("DEBUG") && log.contains("refused"), "a log of everything");
}

/// Neither its claims nor its signature.
fn leaks_nothing(token: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    for part in token.split('.').skip(1) {
        assert!(!text.contains(part), "{text}");
    }
    assert!(!text.contains("canary-51d0b7"), "{text}");
}

/// The reason code of the answer.
fn publishes(client: &mut RawClient, topic: &str) -> u8 {
    client.send(&publish_with(5, PUBLISH | 1 << 1, topic, Some(1), &[], b"message"));
    // That nobody hears of it is fine.
    Some(client.expect(PUBACK).acknowledged().1).filter(|reason| *reason != 0x10).unwrap_or(0)
}
