//! Each rule that comes with the broker, shown by an attack: it is told of, counted and written down. Those
//! about sealed payloads are in `tests/sealed`.

use std::fs;
use std::net::Ipv4Addr;

use serde_json::Value;
use tempfile::TempDir;

use crate::budgets::until;
use crate::harness::raw::{self, Connect, RawClient, Will};
use crate::harness::{ADMIN, Broker, DEVICE1, Login, Site, Stream, bastionmq, scratch};
use crate::sentinel::{
    alert_of, audited, device, fails_to_log_in, found, listener, recorded, watched,
};

/// A broker under attack, and somebody who hears of its alerts.
struct Scene {
    place: TempDir,
    broker: Broker,
    watcher: RawClient,
}

impl Scene {
    fn new() -> Self {
        Self::with("")
    }

    fn with(settings: &str) -> Self {
        let place = scratch();
        let broker = watched(place.path(), settings);
        let watcher = listener(&broker);
        Self { place, broker, watcher }
    }

    /// Nobody is locked out: guessing goes on until it succeeds.
    fn without_lockout() -> Self {
        let place = scratch();
        let config = Site::shared().configuration("optional");
        let config = config.replace("[auth]\n", "[auth]\nlockout_failures = 0\n");
        let file = place.path().join("bastionmq.toml");
        fs::write(&file, config + &audited(place.path())).expect("a configuration file");
        let mut command = bastionmq();
        command.arg("serve").arg("--config").arg(file);
        let broker = Broker::start(command, scratch());
        let watcher = listener(&broker);
        Self { place, broker, watcher }
    }

    fn enters(&self, client_id: &str, login: Login) -> RawClient {
        let connect = Connect::new(5, client_id).login(login);
        RawClient::connected(self.broker.plain_port(), &connect)
    }

    /// Connects, sends `packets` and goes in order, once the broker has taken all of them.
    fn visits(&self, client_id: &str, login: Login, packets: &[u8]) {
        let mut client = self.enters(client_id, login);
        client.send(packets);
        client.send(&raw::packet(raw::DISCONNECT, &[]));
        client.expect_orderly_end();
    }

    /// The alert of `rule`, which is counted and stands in the audit log; the broker has ended then.
    fn finds(mut self, rule: &str) -> Value {
        let told = alert_of(&mut self.watcher, rule);
        let severity = told["severity"].as_str().expect("a severity");
        assert!(found(&self.broker, rule, severity) > 0.5, "{rule} is not counted");
        let recorded = recorded(self.place.path(), &mut self.broker);
        let key = |it: &Value| it["key"].as_object().cloned().unwrap_or_default();
        let record = recorded.iter().find(|it| it["rule"] == rule && key(it) == key(&told));
        let record = record.unwrap_or_else(|| panic!("{rule} is not written down"));
        assert_eq!((&record["severity"], &record["value"]), (&told["severity"], &told["value"]));
        told
    }
}

fn change(rule: &str, settings: &str) -> String {
    format!("[[sentinel.rule]]\nname = \"{rule}\"\n{settings}\n")
}

fn loopback(network: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, network, 1)
}

/// So many connections from there, each of which is refused at once.
fn refused_from(broker: &Broker, source: Ipv4Addr, connections: u32) {
    for _ in 0..connections {
        RawClient::plain_from(source, broker.plain_port()).expect_end();
    }
}

const FEW_CONNECTIONS: &str = "[network]\nconnection_rate_per_address = 1\n\
                               connection_burst_per_address = 5\n";

#[test]
fn a_flood_of_connections_from_one_address() {
    let rule = change("connection-flood", "threshold = 50");
    let scene = Scene::with(&(FEW_CONNECTIONS.to_owned() + &rule));
    let attackers: Vec<_> =
        (0..5).map(|_| RawClient::plain_from(loopback(7), scene.broker.plain_port())).collect();
    refused_from(&scene.broker, loopback(7), 70);
    let told = scene.finds("connection-flood");
    let event = (&told["key"]["address"], &told["event"]);
    assert_eq!(event, (&"127.0.7.1".into(), &"connection_refused.rate_of_address".into()));
    // It is told of in sums: what a second has come to at once, and not one by one.
    assert!(told["value"].as_f64() >= Some(50.0), "{told}");
    assert!(told["listener"].as_str().is_some_and(|it| it.starts_with("mqtt://")), "{told}");
    drop(attackers);
}

#[test]
fn a_flood_of_connections_from_one_network() {
    let rule = change("connection-flood-of-network", "threshold = 60");
    let scene = Scene::with(&(FEW_CONNECTIONS.to_owned() + &rule));
    for host in 1..=4 {
        let source = Ipv4Addr::new(127, 0, 7, host);
        let attackers: Vec<_> =
            (0..5).map(|_| RawClient::plain_from(source, scene.broker.plain_port())).collect();
        refused_from(&scene.broker, source, 25);
        drop(attackers);
    }
    let told = scene.finds("connection-flood-of-network");
    assert_eq!(told["key"]["prefix"], "127.0.7.0/24");
}

#[test]
fn more_connections_than_the_broker_takes() {
    let rule = change("connection-flood-of-all", "threshold = 20");
    let limit = "[network]\nconnection_rate = 1\nconnection_burst = 8\n";
    let scene = Scene::with(&(limit.to_owned() + &rule));
    let taken: Vec<_> =
        (0..8).map(|_| RawClient::plain_from(loopback(7), scene.broker.plain_port())).collect();
    // A second each lets one more in, of which there are few.
    (1..=30).for_each(|network| {
        let mut one_of_many = RawClient::plain_from(loopback(network), scene.broker.plain_port());
        one_of_many.send(b"\x10\xff\xff\xff\xff\xff\xff");
        one_of_many.expect_end();
    });
    let told = scene.finds("connection-flood-of-all");
    let event = (&told["key"], &told["event"]);
    assert_eq!(event, (&serde_json::json!({}), &"connection_refused.rate".into()));
    drop(taken);
}

#[test]
fn handshakes_that_fail_again_and_again() {
    let scene = Scene::with(&change("failed-handshakes", "threshold = 30"));
    for _ in 0..30 {
        let mut scanner = RawClient::plain_from(loopback(7), scene.broker.tls_port());
        scanner.send(b"GET / HTTP/1.0\r\n\r\n");
        while scanner.read_bytes::<1>().is_some() {}
    }
    let told = scene.finds("failed-handshakes");
    let event = (&told["key"]["address"], &told["event"]);
    assert_eq!(event, (&"127.0.7.1".into(), &"connection_refused.tls_handshake".into()));
}

#[test]
fn connections_that_say_nothing_or_too_little_in_their_time() {
    let scene = Scene::with("[network]\nconnect_timeout_seconds = 1\n");
    let dribble = |port: u16, said: &[u8]| {
        let mut slow = RawClient::plain_from(loopback(7), port);
        slow.send(said);
        slow
    };
    let (plain, tls) = (scene.broker.plain_port(), scene.broker.tls_port());
    let slow: Vec<_> = (0..5)
        .flat_map(|_| {
            [(plain, &b""[..]), (plain, b"\x10\x20\0\x04MQTT"), (tls, b""), (tls, b"\x16\x03")]
        })
        .map(|(port, said)| dribble(port, said))
        .collect();
    let told = scene.finds("slow-handshakes");
    let event = (&told["key"]["address"], &told["value"]);
    assert_eq!(event, (&"127.0.7.1".into(), &20.0.into()));
    drop(slow);
}

#[test]
fn a_first_packet_that_is_no_connect() {
    let scene = Scene::new();
    for _ in 0..10 {
        let mut scanner = RawClient::plain_from(loopback(7), scene.broker.plain_port());
        scanner.send(&raw::packet(raw::PINGREQ, &[]));
        scanner.expect_end();
    }
    let told = scene.finds("malformed-packets");
    let event = (&told["key"]["address"], &told["event"]);
    assert_eq!(event, (&"127.0.7.1".into(), &"connection_refused.protocol".into()));
}

#[test]
fn coming_past_the_proxy_or_with_a_forged_header() {
    let broker = Broker::behind_proxy(&[]);
    refused_from(&broker, loopback(7), 10);
    for _ in 0..10 {
        let mut forger = RawClient::plain(broker.plain_port());
        forger.send(b"PROXY TCP4 nobody nowhere 1 2\r\n");
        forger.expect_end();
    }
    // Whoever only looks whether somebody listens forges nothing.
    (0..10).for_each(|_| drop(RawClient::plain_from(loopback(1), broker.plain_port())));
    until("both are found", || found(&broker, "proxy-forgery", "warning") > 1.5);
    broker.process().wait_for_text(Stream::Err, "connection_refused.proxy_address");
}

#[test]
fn password_guessing() {
    let scene = Scene::new();
    (0..20).for_each(|_| fails_to_log_in(&scene.broker, "device1"));
    let told = scene.finds("password-guessing");
    assert_eq!(
        (&told["key"]["address"], &told["principal"]),
        (&"127.0.0.1".into(), &"user:device1".into())
    );
}

#[test]
fn password_spraying() {
    let scene = Scene::new();
    for user in ["ann", "ben", "cem", "dan", "eva", "fay", "gil", "ida", "jan", "kim"] {
        fails_to_log_in(&scene.broker, user);
    }
    let told = scene.finds("password-spraying");
    assert_eq!((&told["value"], &told["key"]["address"]), (&10.0.into(), &"127.0.0.1".into()));
}

#[test]
fn distributed_guessing() {
    let scene = Scene::new();
    for network in 0..10 {
        let mut stranger = RawClient::plain_from(loopback(network), scene.broker.plain_port());
        stranger.send(&Connect::new(5, "eve").login(("device1", "a guess")).encode());
        assert_ne!(stranger.expect(raw::CONNACK).reason(), 0);
    }
    let told = scene.finds("distributed-guessing");
    assert_eq!(told["key"]["principal"], "user:device1");
}

#[test]
fn a_guessed_password() {
    let scene = Scene::without_lockout();
    (0..15).for_each(|_| fails_to_log_in(&scene.broker, "device1"));
    let _guessed = device(&scene.broker);
    let told = scene.finds("guessed-password");
    assert_eq!((&told["severity"], &told["event"]), (&"critical".into(), &"connected.new".into()));
    assert_eq!(told["key"]["principal"], "user:device1");
}

#[test]
fn topic_probing() {
    let scene = Scene::new();
    let mut device = device(&scene.broker);
    for number in 0..20 {
        assert_eq!(device.subscribe(5, &format!("somebody/else/{number}"), 0), 0x87);
    }
    let told = scene.finds("topic-probing");
    assert_eq!(told["key"]["principal"], "user:device1");
    let event = (&told["event"], &told["topic"]);
    assert_eq!(event, (&"denied.subscribe".into(), &"somebody/else/19".into()));
}

#[test]
fn asking_again_and_again_for_what_is_denied() {
    let scene = Scene::new();
    let mut device = device(&scene.broker);
    // More than 32 in a second are not told one by one.
    let denied = raw::publish(5, "somebody/else", b"").repeat(200);
    device.send(&denied);
    device.expect_silence();
    let told = scene.finds("denied-again-and-again");
    assert_eq!(
        (&told["event"], &told["topic"]),
        (&"denied.publish".into(), &"somebody/else".into())
    );
}

#[test]
fn bytes_that_are_no_packets() {
    let scene = Scene::new();
    for _ in 0..10 {
        let mut scanner = RawClient::plain(scene.broker.plain_port());
        scanner.send(b"\x10\xff\xff\xff\xff\xff\xff");
        scanner.expect_end();
    }
    let told = scene.finds("malformed-packets");
    assert_eq!(told["key"]["address"], "127.0.0.1");
}

#[test]
fn breaking_the_protocol_again_and_again() {
    let scene = Scene::new();
    for _ in 0..10 {
        let mut device = device(&scene.broker);
        device.send(&Connect::new(5, "device1").encode());
        device.expect_disconnect(0x82);
    }
    let told = scene.finds("protocol-violations");
    let event = (&told["client_id"], &told["event"]);
    assert_eq!(event, (&"device1".into(), &"violation.protocol_error".into()));
}

#[test]
fn coming_and_going() {
    let scene = Scene::new();
    (0..15).for_each(|_| scene.visits("device1", DEVICE1, b""));
    let told = scene.finds("flapping");
    assert_eq!((&told["client_id"], &told["severity"]), (&"device1".into(), &"notice".into()));
}

#[test]
fn never_reading() {
    let rule = change("never-reads", "threshold = 1") + "[network]\nsend_timeout_seconds = 1\n";
    let scene = Scene::with(&rule);
    let mut stuck = scene.enters("stuck", ADMIN);
    assert_eq!(stuck.subscribe(5, "much", 0), 0);
    let mut publisher = scene.enters("publisher", ADMIN);
    // More than the buffers of two kernels' sockets hold.
    let payload = vec![0; 256 << 10];
    for _ in 0..80 {
        publisher.send(&raw::publish(5, "much", &payload));
    }
    let told = scene.finds("never-reads");
    let event = (&told["client_id"], &told["event"]);
    assert_eq!(event, (&"stuck".into(), &"violation.send_timeout".into()));
    drop((stuck, publisher));
}

#[test]
fn two_devices_with_one_identifier() {
    let scene = Scene::new();
    let twins: Vec<_> = (0..11).map(|_| device(&scene.broker)).collect();
    let told = scene.finds("twins");
    let event = (&told["key"]["client"], &told["event"]);
    assert_eq!(event, (&"device1".into(), &"taken_over".into()));
    drop(twins);
}

#[test]
fn a_storm_of_wills() {
    let scene = Scene::with(&change("will-storm", "threshold = 30"));
    let clients: Vec<_> = (0..30)
        .map(|number| {
            let client_id = format!("device1-{number}");
            let will = Some(Will::new("devices/device1/gone", b""));
            let connect = Connect { will, ..Connect::new(5, &client_id).login(DEVICE1) };
            RawClient::connected(scene.broker.plain_port(), &connect)
        })
        .collect();
    clients.into_iter().for_each(RawClient::break_off);
    let told = scene.finds("will-storm");
    assert_eq!((&told["value"], &told["topic"]), (&30.0.into(), &"devices/device1/gone".into()));
}

#[test]
fn doing_more_than_is_allowed_and_not_slowing_down() {
    let throttle = "[[throttle]]\nname = \"test\"\nrate = 1\nseconds = 3600\naction = \"drop\"\n";
    let scene = Scene::with(throttle);
    scene.visits("device1", DEVICE1, &raw::publish(5, "devices/device1/x", b"").repeat(3_000));
    let told = scene.finds("throttled-again-and-again");
    assert_eq!(
        (&told["event"], &told["topic"]),
        (&"throttled.messages_in".into(), &"devices/device1/x".into())
    );
}

#[test]
fn listening_to_everybody() {
    let scene = Scene::new();
    let mut curious = scene.enters("curious", ADMIN);
    assert_eq!(curious.subscribe(5, "devices/#", 0), 0);
    assert_eq!(curious.subscribe(5, "+/+/state", 0), 0);
    let told = scene.finds("broad-subscription");
    assert_eq!((&told["event"], &told["topic"]), (&"subscribed.broad".into(), &"+/+/state".into()));
    assert_eq!(told["key"]["client"], "curious");
}

#[test]
fn subscribing_to_one_topic_after_the_other() {
    let scene = Scene::new();
    // The last ones may be told of with what comes later.
    let sweep: Vec<u8> = (0..1_000)
        .flat_map(|number| raw::subscribe(5, 1 + number, &format!("devices/device1/{number}"), 0))
        .collect();
    let mut device = device(&scene.broker);
    device.send(&sweep);
    let told = scene.finds("subscription-sweep");
    assert_eq!(told["key"]["client"], "device1");
    drop(device);
}

#[test]
fn overwriting_retained_messages() {
    let scene = Scene::new();
    let retained = raw::publish_with(5, raw::PUBLISH | 1, "devices/device1/state", None, &[], b"x");
    scene.visits("device1", DEVICE1, &retained.repeat(6_001));
    let told = scene.finds("retained-flood");
    assert_eq!((&told["event"], &told["value"]), (&"overwritten".into(), &6_000.0.into()));
}

#[test]
fn publishing_more_larger_and_elsewhere_than_usual() {
    let usual = raw::publish(5, "site/pump/speed", b"1200");
    let learned = |attack: &[u8]| {
        let scene = Scene::new();
        (0..60).for_each(|_| scene.visits("pump", ADMIN, &usual));
        scene.visits("pump", ADMIN, attack);
        scene
    };
    let told = learned(&usual.repeat(1_000)).finds("unusual-rate");
    let key = (&told["key"]["principal"], &told["key"]["topic_class"]);
    assert_eq!(key, (&"user:admin".into(), &"site/pump".into()));
    assert!(told["value"].as_f64().is_some_and(|value| value > 900.0), "{told}");

    let told = learned(&raw::publish(5, "site/pump/speed", &[0; 5_000])).finds("unusual-payload");
    assert_eq!((&told["event"], &told["client_id"]), (&"payload".into(), &"pump".into()));

    let told = learned(&raw::publish(5, "valve/main", b"open")).finds("unusual-topic");
    let event = (&told["topic"], &told["key"]["client"]);
    assert_eq!(event, (&"valve/main".into(), &"pump".into()));
}

#[test]
fn coming_from_a_new_network_and_with_a_new_identifier() {
    let learned = || {
        let scene = Scene::new();
        (0..50).for_each(|_| scene.visits("device1", DEVICE1, b""));
        scene
    };
    let scene = learned();
    let mut elsewhere = RawClient::plain_from(loopback(99), scene.broker.plain_port());
    elsewhere.send(&Connect::new(5, "device1").login(DEVICE1).encode());
    assert_eq!(elsewhere.expect(raw::CONNACK).reason(), 0);
    let told = scene.finds("new-network");
    assert_eq!(
        (&told["address"], &told["principal"]),
        (&"127.0.99.1".into(), &"user:device1".into())
    );

    let scene = learned();
    let _other = scene.enters("device1-other", DEVICE1);
    assert_eq!(scene.finds("new-client")["client_id"], "device1-other");
}

#[test]
fn coming_again_after_a_long_time() {
    let scene = Scene::with(&change("dormant-client", "threshold = 0.000_001"));
    scene.visits("device1", DEVICE1, b"");
    scene.visits("device1", DEVICE1, b"");
    let told = scene.finds("dormant-client");
    assert_eq!(
        (&told["key"]["client"], &told["event"]),
        (&"device1".into(), &"connected.new".into())
    );
}
