//! Clients that do more than they may: each action as its client sees it, and that nobody else does.

use crate::budgets::until;
use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::websocket::{BINARY, WsClient};
use crate::harness::{
    ADMIN, Broker, DEVICE1, DEVICE2, Login, PATIENCE, Place, Stream, VISITOR, http,
};

pub(crate) const RATE_TOO_HIGH: u8 = 0x96;
pub(crate) const QUOTA_EXCEEDED: u8 = 0x97;

pub(crate) fn limited(rules: &str) -> Broker {
    Broker::secure_with_settings(rules)
}

pub(crate) fn rule(more: &str) -> String {
    format!("[[throttle]]\nname = \"test\"\n{more}\n")
}

pub(crate) fn enters(broker: &Broker, client_id: &str, login: Login) -> RawClient {
    RawClient::connected(broker.plain_port(), &Connect::new(5, client_id).login(login))
}

pub(crate) fn publish(topic: &str, qos: u8, id: u16) -> Vec<u8> {
    let first = raw::PUBLISH | qos << 1;
    raw::publish_with(5, first, topic, (qos > 0).then_some(id), &[], b"message")
}

pub(crate) fn counted(broker: &Broker, what: &str, action: &str) -> f64 {
    let name =
        format!("bastionmq_throttled_total{{rule=\"test\",what=\"{what}\",action=\"{action}\"}}");
    http::series(broker.admin_port(), &name)
}

#[test]
fn who_publishes_too_much_is_made_to_wait_and_loses_nothing() {
    // One at once, and one more in each quarter of a second.
    let broker = limited(&rule("rate = 4\nburst = 1"));
    let mut fast = enters(&broker, "fast", ADMIN);
    let mut other = enters(&broker, "other", ADMIN);
    let begin = std::time::Instant::now();
    let burst: Vec<u8> = (1..=5).flat_map(|id| publish("a", 1, id)).collect();
    fast.send(&burst);
    other.expect_silence();
    for id in 1..=5 {
        assert_eq!(fast.expect(raw::PUBACK).acknowledged().0, id);
    }
    // The second is taken, and waited for: three intervals lie between the others.
    assert!(begin.elapsed().as_millis() >= 740, "{:?}", begin.elapsed());
    fast.expect_silence();
    assert!(counted(&broker, "messages_in", "delay") > 0.5);
    let said = broker.process().wait_for_text(Stream::Err, "throttled");
    assert!(said.contains("\"test\"") && said.contains("fast"), "{said}");
}

#[test]
fn whoever_is_made_to_wait_is_not_taken_for_silent() {
    // After ten messages at once nothing is read for three seconds.
    let broker = limited(&rule("rate = 3\nburst = 1"));
    let connect = Connect { keep_alive: 1, ..Connect::new(5, "c").login(ADMIN) };
    let mut client = RawClient::connected(broker.plain_port(), &connect);
    let burst: Vec<u8> = (1..=10).flat_map(|id| publish("a", 1, id)).collect();
    client.send(&burst);
    for id in 1..=10 {
        assert_eq!(client.expect(raw::PUBACK).acknowledged().0, id);
    }
    client.expect_silence();
    // Whoever is silent indeed ends all the same, before the test's patience does.
    assert!(PATIENCE.as_secs() > 10);
    client.expect_disconnect(0x8D);
}

#[test]
fn many_bytes_and_large_packets_are_waited_for() {
    let broker = limited(&rule("what = \"bytes-in\"\nrate = 1000\nburst = 100"));
    let mut client = enters(&broker, "c", ADMIN);
    let begin = std::time::Instant::now();
    let large = raw::publish_with(5, 0x32, "a", Some(1), &[], &[b'x'; 600]);
    client.send(&[large, raw::packet(raw::PINGREQ, &[])].concat());
    client.expect(raw::PUBACK);
    client.expect(raw::PINGRESP);
    assert!(begin.elapsed().as_millis() >= 490, "{:?}", begin.elapsed());
    assert!(counted(&broker, "bytes_in", "delay") > 0.5);
}

#[test]
fn messages_of_qos_0_over_the_rate_are_lost_and_others_are_not() {
    let broker = limited(&rule("rate = 1\nburst = 2\nseconds = 3600\naction = \"drop\""));
    let mut reader = enters(&broker, "reader", ADMIN);
    assert_eq!(reader.subscribe(5, "of/#", 0), 0);
    let mut writer = enters(&broker, "writer", ADMIN);
    let many: Vec<u8> = (0..50).flat_map(|id| publish(&format!("of/{id}"), 0, 0)).collect();
    writer.send(&many);
    writer.expect_silence();
    for id in 0..2 {
        assert_eq!(reader.expect(raw::PUBLISH).publish(5).topic, format!("of/{id}"));
    }
    reader.expect_silence();
    assert!((counted(&broker, "messages_in", "drop") - 48.0).abs() < 0.5);
}

#[test]
fn what_is_rejected_says_so_and_is_not_routed() {
    let broker = limited(&rule("rate = 1\nseconds = 3600\naction = \"reject\"\ntopics = \"of/#\""));
    let mut client = enters(&broker, "c", ADMIN);
    assert_eq!(client.subscribe(5, "of/#", 0), 0);
    let mut answers = Vec::new();
    for (qos, ack) in [(1, raw::PUBACK), (1, raw::PUBACK), (2, raw::PUBREC), (2, raw::PUBREC)] {
        client.send(&publish("of/it", qos, 7));
        answers.push(client.expect_and_keep(ack).acknowledged().1);
    }
    assert_eq!(answers, [0, QUOTA_EXCEEDED, QUOTA_EXCEEDED, QUOTA_EXCEEDED]);
    // Other topics are not concerned.
    client.send(&publish("elsewhere", 1, 7));
    assert_eq!(client.expect_and_keep(raw::PUBACK).acknowledged().1, 0x10);
    assert_eq!(client.kept_or_next().publish(5).topic, "of/it");
    client.expect_silence();
}

#[test]
fn an_older_client_that_cannot_be_told_is_disconnected() {
    let broker = limited(&rule("rate = 1\nseconds = 3600\naction = \"reject\""));
    let mut old = RawClient::connected(broker.plain_port(), &Connect::new(4, "old").login(ADMIN));
    for id in [1, 2] {
        old.send(&raw::publish_with(4, 0x32, "a", Some(id), &[], b"x"));
    }
    old.expect(raw::PUBACK);
    old.expect_end();
}

#[test]
fn an_older_client_is_told_that_a_subscription_fails_and_stays() {
    let what = "what = \"subscriptions\"\nrate = 1\nseconds = 3600\naction = \"reject\"\n\
                per = \"client\"";
    let broker = limited(&rule(what));
    for (version, id) in [(4, "3.1.1"), (3, "3.1")] {
        let connect = Connect::new(version, id).login(ADMIN);
        let mut old = RawClient::connected(broker.plain_port(), &connect);
        let granted = ["a", "b"].map(|filter| old.subscribe(version, filter, 0));
        assert_eq!(granted, [0, 0x80], "{id}");
        old.send(&raw::packet(raw::PINGREQ, &[]));
        old.expect(raw::PINGRESP);
    }
}

#[test]
fn who_goes_too_far_is_disconnected_and_finds_its_bucket_again() {
    let rules = rule("rate = 2\nseconds = 3600\naction = \"disconnect\"\nper = \"client\"");
    let broker = limited(&rules);
    let mut client = enters(&broker, "c", ADMIN);
    for id in [1, 2] {
        client.send(&publish("a", 1, id));
        client.expect(raw::PUBACK);
    }
    client.send(&publish("a", 1, 3));
    assert_eq!(client.expect(raw::PUBACK).acknowledged().1, QUOTA_EXCEEDED);
    client.expect_disconnect(RATE_TOO_HIGH);
    let mut again = enters(&broker, "c", ADMIN);
    again.send(&publish("a", 0, 0));
    again.expect_disconnect(RATE_TOO_HIGH);
    enters(&broker, "other", ADMIN).expect_silence();
}

#[test]
fn clients_of_one_user_or_listener_are_counted_together() {
    for per in ["user", "listener", "broker"] {
        let rules = format!("per = \"{per}\"\nrate = 1\nseconds = 3600\naction = \"reject\"");
        let broker = limited(&rule(&rules));
        let publish_as = |id: &str, login: Login| {
            let mut client = enters(&broker, id, login);
            client.send(&publish("devices/device1/x", 1, 1));
            client.expect(raw::PUBACK).acknowledged().1
        };
        assert_ne!(publish_as("one", ADMIN), QUOTA_EXCEEDED, "{per}");
        assert_eq!(publish_as("two", ADMIN), QUOTA_EXCEEDED, "{per}");
        let of_another_user = publish_as("three", DEVICE1);
        assert_eq!(of_another_user == QUOTA_EXCEEDED, per != "user", "{per}");
    }
}

#[test]
fn rules_for_roles_concern_their_holders_alone_each_or_together() {
    for (per, second) in [("client", false), ("role", true)] {
        let rules = format!(
            "roles = [\"device\", \"visitor\"]\nper = \"{per}\"\nrate = 1\nseconds = 3600\n\
             action = \"reject\""
        );
        let broker = limited(&rule(&rules));
        let publish_as = |id: &str, login: Login, topic: &str| {
            let mut client = enters(&broker, id, login);
            client.send(&publish(topic, 1, 1));
            client.expect(raw::PUBACK).acknowledged().1 == QUOTA_EXCEEDED
        };
        assert!(!publish_as("one", DEVICE1, "devices/device1/x"), "{per}");
        assert!(publish_as("one", DEVICE1, "devices/device1/x"), "{per}");
        assert_eq!(publish_as("two", DEVICE2, "devices/device2/x"), second, "{per}");
        assert!(!publish_as("three", VISITOR, "lobby/three/x"), "{per}");
        assert!(!publish_as("four", ADMIN, "x") && !publish_as("four", ADMIN, "x"), "{per}");
    }
}

#[test]
fn a_client_that_gets_a_role_gets_its_limits_at_once() {
    let place = Place::of_site();
    let rules = "roles = [\"slow\"]\nrate = 1\nseconds = 3600\naction = \"reject\"";
    place.replace("bastionmq.toml", place.text("bastionmq.toml") + &rule(rules));
    place.log("which the policy does not have");
    let mut client =
        RawClient::connected(place.broker.plain_port(), &Connect::new(5, "c").login(ADMIN));
    let mut is_refused = |id| {
        client.send(&publish("a", 1, id));
        client.expect(raw::PUBACK).acknowledged().1 == QUOTA_EXCEEDED
    };
    assert_eq!([is_refused(1), is_refused(2)], [false; 2]);
    place.edit("policy.toml", "roles = [\"operator\"]", "roles = [\"operator\", \"slowest\"]\n");
    let inherits = "[[role]]\nname = \"slow\"\nrules = []\n[[role]]\nname = \"slowest\"\n\
                    inherits = [\"slow\"]\nrules = []\n";
    place.replace("policy.toml", place.text("policy.toml") + inherits);
    place.reloaded("policy");
    assert_eq!([is_refused(3), is_refused(4)], [false, true]);
}

#[test]
fn subscriptions_and_retained_messages_are_limited() {
    let rules = "[[throttle]]\nname = \"s\"\nwhat = \"subscriptions\"\nrate = 2\nseconds = 3600\n\
                 action = \"reject\"\n[[throttle]]\nname = \"r\"\nwhat = \"retained\"\nrate = 1\n\
                 seconds = 3600\naction = \"reject\"\n";
    let broker = limited(rules);
    let mut client = enters(&broker, "c", ADMIN);
    let granted = ["a", "b", "c"].map(|filter| client.subscribe(5, filter, 0));
    assert_eq!(granted, [0, 0, QUOTA_EXCEEDED]);
    let mut retain = |topic: &str| {
        client.send(&raw::publish_with(5, 0x33, topic, Some(1), &[], b"kept"));
        client.expect(raw::PUBACK).acknowledged().1
    };
    assert_ne!(retain("x/1"), QUOTA_EXCEEDED);
    assert_eq!(retain("x/2"), QUOTA_EXCEEDED);
    client.send(&publish("x/3", 1, 1));
    assert_eq!(client.expect(raw::PUBACK).acknowledged().1, 0x10);
}

#[test]
fn deliveries_over_the_rate_come_later() {
    let broker = limited(&rule("what = \"messages-out\"\nrate = 4\nburst = 1"));
    let mut reader = enters(&broker, "reader", ADMIN);
    assert_eq!(reader.subscribe(5, "of/#", 0), 0);
    let mut writer = enters(&broker, "writer", ADMIN);
    let begin = std::time::Instant::now();
    let many: Vec<u8> = (0..5).flat_map(|id| publish(&format!("of/{id}"), 0, 0)).collect();
    writer.send(&many);
    writer.expect_silence();
    // It is heard meanwhile.
    reader.send(&raw::packet(raw::PINGREQ, &[]));
    reader.expect_and_keep(raw::PINGRESP);
    for id in 0..5 {
        assert_eq!(reader.kept_or_next().publish(5).topic, format!("of/{id}"));
    }
    assert!(begin.elapsed().as_millis() >= 740, "{:?}", begin.elapsed());
}

#[test]
fn deliveries_of_qos_0_over_the_rate_are_lost_and_others_wait() {
    let rules = "what = \"messages-out\"\nrate = 1\nburst = 2\nseconds = 3600\naction = \"drop\"";
    let broker = limited(&rule(rules));
    let mut reader = enters(&broker, "reader", ADMIN);
    assert_eq!(reader.subscribe(5, "of/#", 1), 1);
    let mut writer = enters(&broker, "writer", ADMIN);
    let many: Vec<u8> = (0..50).flat_map(|id| publish(&format!("of/{id}"), 0, 0)).collect();
    writer.send(&many);
    for id in 0..2 {
        assert_eq!(reader.expect(raw::PUBLISH).publish(5).topic, format!("of/{id}"));
    }
    until("the others are lost", || counted(&broker, "messages_out", "drop") > 47.5);
    reader.expect_silence();
    for id in [1, 2] {
        writer.send(&publish("of/more", 1, id));
        assert_eq!(writer.expect(raw::PUBACK).acknowledged(), (id, 0));
    }
    // The first is too early, so that the second has to wait for an hour.
    assert_eq!(reader.expect(raw::PUBLISH).publish(5).topic, "of/more");
    assert!(counted(&broker, "messages_out", "delay") > 0.5);
    reader.expect_silence();
    let dropped = "bastionmq_messages_dropped_total{reason=\"throttled\"}";
    assert!((http::series(broker.admin_port(), dropped) - 48.0).abs() < 0.5);
}

#[test]
fn who_subscribes_or_retains_too_much_is_made_to_wait_and_loses_nothing() {
    let retain = |id: u16| {
        let topic = format!("kept/{id}");
        (raw::publish_with(5, 0x33, &topic, Some(id), &[], b"kept"), raw::PUBACK, 0x10)
    };
    let subscribe = |id: u16| (raw::subscribe(5, id, &format!("of/{id}"), 0), raw::SUBACK, 0x00);
    type Doing<'a> = &'a dyn Fn(u16) -> (Vec<u8>, u8, u8);
    let doings: [(&str, Doing<'_>); 2] = [("subscriptions", &subscribe), ("retained", &retain)];
    for (what, doing) in doings {
        let broker = limited(&rule(&format!("what = \"{what}\"\nrate = 4\nburst = 1")));
        let mut client = enters(&broker, "c", ADMIN);
        let begin = std::time::Instant::now();
        client.send(&(1..=4).flat_map(|id| doing(id).0).collect::<Vec<_>>());
        for id in 1..=4 {
            let (_, answer, said) = doing(id);
            let frame = client.expect(answer);
            assert_eq!((&frame.body[..2], frame.body.last()), (&id.to_be_bytes()[..], Some(&said)));
        }
        // The second is taken, and waited for: two intervals lie between the others.
        assert!(begin.elapsed().as_millis() >= 490, "{what}: {:?}", begin.elapsed());
        client.expect_silence();
        assert!(counted(&broker, what, "delay") > 0.5, "{what}");
    }
}

#[test]
fn who_subscribes_or_retains_far_too_much_is_disconnected() {
    for what in ["subscriptions", "retained"] {
        let rules = format!("what = \"{what}\"\nrate = 2\nseconds = 3600\naction = \"disconnect\"");
        let broker = limited(&rule(&rules));
        let mut client = enters(&broker, "c", ADMIN);
        let mut other = enters(&broker, "other", ADMIN);
        for (topic, said) in [("x/1", 0), ("x/2", 0), ("x/3", QUOTA_EXCEEDED)] {
            let reason = match what {
                "subscriptions" => client.subscribe(5, topic, 0),
                _ => {
                    client.send(&raw::publish_with(5, 0x33, topic, Some(1), &[], b"kept"));
                    let reason = client.expect(raw::PUBACK).acknowledged().1;
                    // Nobody has subscribed.
                    if reason == 0x10 { 0 } else { reason }
                }
            };
            assert_eq!(reason, said, "{what} {topic}");
        }
        client.expect_disconnect(RATE_TOO_HIGH);
        assert!(counted(&broker, what, "disconnect") > 0.5, "{what}");
        // What was refused is not kept.
        assert_eq!(other.subscribe(5, "x/#", 0), 0);
        let kept = if what == "retained" { 2 } else { 0 };
        for _ in 0..kept {
            assert_ne!(other.expect(raw::PUBLISH).publish(5).topic, "x/3");
        }
        other.expect_silence();
    }
}

#[test]
fn rules_come_and_go_with_the_file() {
    let place = Place::of_site();
    let mut client =
        RawClient::connected(place.broker.plain_port(), &Connect::new(5, "c").login(ADMIN));
    let mut send = |id| {
        client.send(&publish("a", 1, id));
        client.expect(raw::PUBACK).acknowledged().1
    };
    assert_eq!([send(1), send(2)], [0x10; 2]);
    let before = place.text("bastionmq.toml");
    let strict = rule("rate = 1\nseconds = 3600\naction = \"reject\"");
    place.replace("bastionmq.toml", format!("{before}{strict}"));
    place.log("`throttle` is in force");
    assert_eq!([send(3), send(4)], [0x10, QUOTA_EXCEEDED]);
    // What does not hold changes nothing.
    place.replace("bastionmq.toml", format!("{before}{}", rule("action = \"drop\"")));
    assert!(place.log("not reloaded").contains("needs a `rate`"));
    assert_eq!(send(5), QUOTA_EXCEEDED);
    // Whoever has been made to wait for an hour goes on when that is taken back.
    place.replace("bastionmq.toml", format!("{before}{}", rule("rate = 1\nseconds = 3600")));
    place.reloaded_times("config", 2);
    // This one is taken, and the next has to wait.
    assert_eq!(send(6), 0x10);
    client.send(&publish("a", 1, 7));
    place.replace("bastionmq.toml", before);
    assert_eq!(client.expect(raw::PUBACK).acknowledged().1, 0x10);
}

#[test]
fn a_browser_is_made_to_wait_as_well() {
    let place = Place::of_site();
    let rules = rule("rate = 4\nburst = 1");
    let url = "[[listener]]\nurl = \"ws://127.0.0.1:0\"\n";
    place.replace("bastionmq.toml", format!("{}{url}{rules}", place.text("bastionmq.toml")));
    let port = place.broker.process().wait_for(Stream::Err, |line| {
        let (port, _) = line.split_once("listener ws://127.0.0.1:")?.1.split_once(": open")?;
        port.parse().ok()
    });
    let mut browser = WsClient::open(RawClient::plain(port));
    browser.send(BINARY, &Connect::new(5, "browser").login(ADMIN).encode());
    assert_eq!(browser.read_packet()[3], 0);
    let begin = std::time::Instant::now();
    let burst: Vec<u8> = (1..=3).flat_map(|id| publish("a", 1, id)).collect();
    browser.send(BINARY, &burst);
    for id in 1..=3 {
        assert_eq!(browser.read_packet()[3], id);
    }
    assert!(begin.elapsed().as_millis() >= 240, "{:?}", begin.elapsed());
}
