//! Sessions judged again: what ends, what goes on, and what becomes of what waited.

use std::sync::{Arc, OnceLock};

use futures::FutureExt;

use super::driver::{Driver, NO_SECRETS, OPEN, Visit, broker, broker_of, policy};
use crate::auth::{HashParameters, PasswordFile, hash};
use crate::broker::{Broker, Settings};
use crate::codec::{Connect, Delivery, Packet, ReasonCode, Version};
use crate::message::QoS;
use crate::secret::Secret;

const USERS: [(&str, &str); 2] = [("ann", "apple"), ("bob", "banana")];

/// A password file of these users; each password is hashed once for all tests.
pub(super) fn users(of: &[(&str, &str)]) -> PasswordFile {
    static CHEAP: OnceLock<HashParameters> = OnceLock::new();
    let cheap = CHEAP.get_or_init(|| HashParameters::new(8, 1, 1).expect("parameters"));
    let mut users = PasswordFile::default();
    for (user, password) in of {
        let hash = hash(&Secret::from(*password), *cheap, [7; 16]).expect("a hash");
        users.set(user, &hash).expect("a user");
    }
    users
}

fn broker_with_users() -> Arc<Broker> {
    broker_of(Settings::default(), users(&USERS))
}

/// A client of `user` that has logged in.
async fn enter(broker: &Arc<Broker>, user: &'static str, visit: Visit) -> Driver {
    let user = USERS.iter().find(|(name, _)| *name == user).expect("a user");
    enter_as(broker, *user, visit).await.0
}

/// Also whether it goes on with a session.
pub(super) async fn enter_as(
    broker: &Arc<Broker>,
    user: (&'static str, &'static str),
    visit: Visit,
) -> (Driver, bool) {
    let mut driver = knock_as(broker, user, visit).await;
    let is_resumed = driver.welcome();
    (driver, is_resumed)
}

/// A client that has said who it is, and has been answered.
pub(super) async fn knock_as(
    broker: &Arc<Broker>,
    (user, password): (&'static str, &'static str),
    visit: Visit,
) -> Driver {
    let (user_name, password) = (Some(user), Some(password.as_bytes()));
    let mut driver = Driver::stranger_with(broker, Version::V5, None);
    let connect = Connect { user_name, password, ..visit.connect(Version::V5) };
    driver.say(&Packet::Connect(Box::new(connect)));
    driver.log_in().await;
    driver
}

/// What the broker does by itself after a change.
fn judge(broker: &Broker) {
    let all = broker.judge_all(broker.registry.client_ids());
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(all);
}

/// Why the client was sent away, if it was.
fn farewell(client: &mut Driver) -> Option<ReasonCode> {
    client.client.obey(client.now);
    client.heard().into_iter().find_map(|packet| match packet {
        Packet::Disconnect(disconnect) => Some(disconnect.reason),
        _ => None,
    })
}

#[test]
fn a_live_subscription_that_is_no_longer_allowed_ends() {
    let broker = broker();
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    for filter in ["secret/a", "$share/group/secret/#", "open", "#"] {
        reader.subscribe(filter, QoS::AtLeastOnce);
    }
    broker.replace_policy(policy(NO_SECRETS));
    judge(&broker);
    assert!(reader.client.bell().rung().now_or_never().is_some(), "the connection is woken");
    assert_eq!(farewell(&mut reader), None);
    assert_eq!(broker.routes.len(), 2);
    // It does not come back by itself.
    broker.replace_policy(policy(OPEN));
    assert_eq!(farewell(&mut reader), None);
    assert_eq!(broker.routes.len(), 2);
}

#[test]
fn a_session_without_a_connection_is_judged_as_well() {
    let broker = broker();
    let (mut writer, _) = Driver::enter(&broker, Visit::of("w"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    for filter in ["secret/a", "+/+"] {
        reader.subscribe(filter, QoS::AtLeastOnce);
    }
    reader.client.on_lost(reader.now);
    for topic in ["secret/a", "open/a", "secret/b"] {
        writer.publish(topic, false);
    }
    broker.replace_policy(policy(NO_SECRETS));
    judge(&broker);
    assert_eq!(broker.routes.len(), 1);
    // What is allowed again has not come back.
    broker.replace_policy(policy(OPEN));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    assert_eq!(reader.topics(), ["open/a"]);
}

#[test]
fn a_granted_qos_is_lowered_with_the_policy_connected_or_not() {
    const LOWER: &str = r##"
[[role]]
name = "low"
rules = [
  { allow = ["publish"], topics = ["#"] },
  { allow = ["subscribe"], topics = ["#"], max_qos = 0 },
]
[[assign]]
everyone = true
roles = ["low"]
"##;
    let broker = broker();
    let (mut writer, _) = Driver::enter(&broker, Visit::of("w"));
    let (mut here, _) = Driver::enter(&broker, Visit::of("here"));
    let (mut away, _) = Driver::enter(&broker, Visit::of("away"));
    for reader in [&mut here, &mut away] {
        reader.subscribe("a", QoS::ExactlyOnce);
    }
    away.client.on_lost(away.now);
    broker.replace_policy(policy(LOWER));
    judge(&broker);
    assert_eq!(farewell(&mut here), None);
    let (mut away, is_resumed) = Driver::enter(&broker, Visit::of("away"));
    assert!(is_resumed);
    writer.publish("a", false);
    for reader in [&mut here, &mut away] {
        let packets = reader.heard();
        let [Packet::Publish(publish)] = packets.as_slice() else { panic!("{packets:?}") };
        assert_eq!(publish.delivery, Delivery::AtMostOnce);
    }
}

#[test]
fn r12_what_a_member_may_not_have_any_more_goes_to_another_of_its_share() {
    const ONE_OF_TWO: &str = r##"
[[role]]
name = "reader"
rules = [{ allow = ["publish", "subscribe"], topics = ["#"] }]
[[assign]]
client_ids = ["good", "writer"]
roles = ["reader"]
"##;
    let broker = broker();
    let (mut writer, _) = Driver::enter(&broker, Visit::of("writer"));
    let (mut bad, _) = Driver::enter(&broker, Visit { receive_maximum: 1, ..Visit::of("bad") });
    bad.subscribe("$share/group/a", QoS::AtLeastOnce);
    for _ in 0..5 {
        writer.publish("a", false);
    }
    let (mut good, _) = Driver::enter(&broker, Visit::of("good"));
    good.subscribe("$share/group/a", QoS::AtLeastOnce);
    broker.replace_policy(policy(ONE_OF_TWO));
    for _ in 0..5 {
        writer.publish("a", false);
    }
    assert_eq!(bad.topics(), [""; 0]);
    assert_eq!(good.topics().len(), 10);
    writer.publish("a", false);
    assert_eq!((bad.topics().len(), good.topics().len()), (0, 1));
}

#[tokio::test]
async fn r12_sessions_of_a_user_that_is_gone_end_and_leave_nothing() {
    let broker = broker_with_users();
    let mut ann = enter(&broker, "ann", Visit { will: Some(("will", 0)), ..Visit::of("a") }).await;
    let mut away = enter(&broker, "ann", Visit { will: Some(("will", 9)), ..Visit::of("b") }).await;
    let mut bob = enter(&broker, "bob", Visit::of("c")).await;
    for client in [&mut ann, &mut away, &mut bob] {
        client.subscribe("#", QoS::AtLeastOnce);
    }
    away.client.on_lost(away.now);
    broker.replace_passwords(users(&USERS[1..]));
    broker.judge_all(broker.registry.client_ids()).await;
    assert_eq!(farewell(&mut ann), Some(ReasonCode::NotAuthorized));
    assert_eq!(farewell(&mut bob), None);
    broker.run_timers(ann.now.after(std::time::Duration::from_secs(60)).instant);
    assert_eq!(bob.topics(), [""; 0], "no will is published");
    assert_eq!((broker.registry.len(), broker.routes.len()), (1, 1));
    let metrics = broker.metrics().render();
    assert!(metrics.contains("bastionmq_sessions_revoked_total{why=\"user_removed\"} 2"));
}

#[tokio::test]
async fn r12_a_user_with_another_password_proves_itself_again_and_others_stay() {
    let broker = broker_with_users();
    let mut ann = enter(&broker, "ann", Visit::of("a")).await;
    let mut bob = enter(&broker, "bob", Visit::of("b")).await;
    broker.replace_passwords(users(&USERS));
    assert_eq!((farewell(&mut ann), farewell(&mut bob)), (None, None), "nothing has changed");
    broker.replace_passwords(users(&[("ann", "apricot"), USERS[1]]));
    assert_eq!(farewell(&mut ann), Some(ReasonCode::NotAuthorized));
    assert_eq!(farewell(&mut bob), None);
    // The password of before is back, and who logs in with it stays.
    broker.replace_passwords(users(&USERS));
    let mut ann = enter(&broker, "ann", Visit::of("a")).await;
    broker.replace_passwords(users(&USERS));
    assert_eq!((farewell(&mut ann), farewell(&mut bob)), (None, None));
}

#[tokio::test]
async fn r12_what_waits_for_a_user_that_is_gone_is_not_sent_first() {
    let broker = broker_with_users();
    let mut ann = enter(&broker, "ann", Visit::of("a")).await;
    let mut bob = enter(&broker, "bob", Visit::of("b")).await;
    ann.subscribe("#", QoS::AtLeastOnce);
    bob.publish("news", false);
    // It is in the output, and has not left.
    ann.client.deliver(ann.now);
    assert!(!ann.client.output().is_empty());
    broker.replace_passwords(users(&USERS[1..]));
    ann.client.obey(ann.now);
    assert!(ann.client.is_closed());
    assert!(ann.client.output().is_empty());
}

/// Nobody has got round to judging the session that waits.
#[tokio::test]
async fn r12_whoever_proves_itself_anew_gets_nothing_of_what_another_password_has_left() {
    const ANEW: (&str, &str) = ("ann", "apricot");
    for clean_start in [false, true] {
        let broker = broker_with_users();
        let mut bob = enter(&broker, "bob", Visit::of("b")).await;
        bob.subscribe("will", QoS::AtLeastOnce);
        let visit = Visit { will: Some(("will", 9)), ..Visit::of("a") };
        let mut ann = enter(&broker, "ann", visit).await;
        ann.subscribe("news", QoS::AtLeastOnce);
        ann.client.on_lost(ann.now);
        bob.publish("news", false);
        broker.replace_passwords(users(&[ANEW, USERS[1]]));
        let visit = Visit { clean_start, ..Visit::of("a") };
        let (mut ann, is_resumed) = enter_as(&broker, ANEW, visit).await;
        assert!(!is_resumed, "clean start: {clean_start}");
        bob.publish("news", false);
        assert_eq!(ann.topics(), [""; 0], "clean start: {clean_start}");
        assert_eq!(bob.topics(), [""; 0], "no will is published");
    }
}

#[test]
fn a_long_queue_is_judged_in_slices_and_whole() {
    let broker = broker();
    let (mut writer, _) = Driver::enter(&broker, Visit::of("w"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("+/a", QoS::AtLeastOnce);
    reader.client.on_lost(reader.now);
    for _ in 0..1_500 {
        writer.publish("secret/a", false);
        writer.publish("open/a", false);
    }
    broker.replace_policy(policy(NO_SECRETS));
    judge(&broker);
    let metrics = broker.metrics().render();
    assert!(metrics.contains("messages_dropped_total{reason=\"denied\"} 1500"), "{metrics}");
}
