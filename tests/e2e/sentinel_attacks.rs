//! Each rule that comes with the broker, shown by an attack: it is told of, counted and written down, and what
//! the rule does about it happens to the attacker. Those about sealed payloads are in `tests/sealed`.

use std::net::Ipv4Addr;

use crate::harness::Answer::{Ban, Disconnect, Quarantine, Tighten, Told};
use crate::harness::raw::{self, Connect, RawClient, Will};
use crate::harness::{ADMIN, Broker, DEVICE1, Login, expect_thrown_out};
use crate::sentinel::device;
use crate::sentinel_scene::Scene;

fn loopback(network: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, network, 1)
}

/// So many connections from there, each of which is refused at once. Where a rate lets one more in each second,
/// those end as well.
fn refused_from(broker: &Broker, source: Ipv4Addr, connections: u32) {
    for _ in 0..connections {
        let mut connection = RawClient::plain_from(source, broker.plain_port());
        connection.send(NO_PACKET);
        connection.expect_end();
    }
}

const NO_PACKET: &[u8] = b"\x10\xff\xff\xff\xff\xff\xff";

const FEW_CONNECTIONS: &str = "[network]\nconnection_rate_per_address = 1\n\
                               connection_burst_per_address = 5\n";

#[test]
fn a_flood_of_connections_from_one_address() {
    let change = "threshold = 50";
    let scene = Scene::with("connection-flood", Ban("address"), change, FEW_CONNECTIONS);
    let attackers: Vec<_> =
        (0..5).map(|_| RawClient::plain_from(loopback(7), scene.broker.plain_port())).collect();
    refused_from(&scene.broker, loopback(7), 70);
    let told = scene.finds();
    let event = (&told["key"]["address"], &told["event"]);
    assert_eq!(event, (&"127.0.7.1".into(), &"connection_refused.rate_of_address".into()));
    // It is told of in sums: what a second has come to at once, and not one by one.
    assert!(told["value"].as_f64() >= Some(50.0), "{told}");
    assert!(told["listener"].as_str().is_some_and(|it| it.starts_with("mqtt://")), "{told}");
    drop(attackers);
}

#[test]
fn a_flood_of_connections_from_one_network() {
    let (rule, change) = ("connection-flood-of-network", "threshold = 60");
    let scene = Scene::with(rule, Ban("prefix"), change, FEW_CONNECTIONS);
    for host in 1..=4 {
        let source = Ipv4Addr::new(127, 0, 7, host);
        let attackers: Vec<_> =
            (0..5).map(|_| RawClient::plain_from(source, scene.broker.plain_port())).collect();
        refused_from(&scene.broker, source, 25);
        drop(attackers);
    }
    let told = scene.finds();
    assert_eq!(told["key"]["prefix"], "127.0.7.0/24");
}

#[test]
fn more_connections_than_the_broker_takes() {
    let limit = "[network]\nconnection_rate = 1\nconnection_burst = 8\n";
    let scene = Scene::with("connection-flood-of-all", Told, "threshold = 20", limit);
    let taken: Vec<_> =
        (0..8).map(|_| RawClient::plain_from(loopback(7), scene.broker.plain_port())).collect();
    (1..=30).for_each(|network| refused_from(&scene.broker, loopback(network), 1));
    let told = scene.finds();
    let event = (&told["key"], &told["event"]);
    assert_eq!(event, (&serde_json::json!({}), &"connection_refused.rate".into()));
    drop(taken);
}

#[test]
fn handshakes_that_fail_again_and_again() {
    let scene = Scene::with("failed-handshakes", Quarantine("address"), "threshold = 30", "");
    for _ in 0..30 {
        let mut scanner = RawClient::plain_from(loopback(7), scene.broker.tls_port());
        scanner.send(b"GET / HTTP/1.0\r\n\r\n");
        while scanner.read_bytes::<1>().is_some() {}
    }
    let told = scene.finds();
    let event = (&told["key"]["address"], &told["event"]);
    assert_eq!(event, (&"127.0.7.1".into(), &"connection_refused.tls_handshake".into()));
}

#[test]
fn connections_that_say_nothing_or_too_little_in_their_time() {
    let timeout = "[network]\nconnect_timeout_seconds = 1\n";
    let scene = Scene::with("slow-handshakes", Disconnect("address"), "", timeout);
    let inside = scene.enters_from(loopback(7), "inside", DEVICE1);
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
    let told = scene.finds();
    let event = (&told["key"]["address"], &told["value"]);
    assert_eq!(event, (&"127.0.7.1".into(), &20.0.into()));
    // It is an address that is answered, with whoever is behind it.
    expect_thrown_out(inside);
    drop(slow);
}

#[test]
fn a_first_packet_that_is_no_connect() {
    let scene = Scene::new("malformed-packets", Tighten("address"));
    for _ in 0..10 {
        let mut scanner = RawClient::plain_from(loopback(7), scene.broker.plain_port());
        scanner.send(&raw::packet(raw::PINGREQ, &[]));
        scanner.expect_end();
    }
    let told = scene.finds();
    let event = (&told["key"]["address"], &told["event"]);
    assert_eq!(event, (&"127.0.7.1".into(), &"connection_refused.protocol".into()));
}

#[test]
fn coming_past_the_proxy() {
    let scene = Scene::behind_proxy("proxy-forgery", Ban("address"));
    refused_from(&scene.broker, loopback(7), 10);
    let told = scene.finds();
    let event = (&told["key"]["address"], &told["event"]);
    assert_eq!(event, (&"127.0.7.1".into(), &"connection_refused.proxy_address".into()));
}

#[test]
fn forging_what_a_proxy_says() {
    // Behind the address are all who come through the proxy, so that nothing is done to it.
    let scene = Scene::behind_proxy("proxy-forgery", Told);
    // Whoever only looks whether somebody listens forges nothing.
    (0..10).for_each(|_| drop(RawClient::plain(scene.broker.plain_port())));
    for _ in 0..10 {
        let mut forger = RawClient::plain(scene.broker.plain_port());
        forger.send(b"PROXY TCP4 nobody nowhere 1 2\r\n");
        forger.expect_end();
    }
    let told = scene.finds();
    let event = (&told["key"]["address"], &told["event"], &told["value"]);
    let forged = "connection_refused.proxy_header".into();
    assert_eq!(event, (&"127.0.0.1".into(), &forged, &10.0.into()));
}

#[test]
fn password_guessing() {
    let scene = Scene::new("password-guessing", Ban("prefix"));
    (0..20).for_each(|_| scene.guesses(loopback(7), "device1"));
    let told = scene.finds();
    assert_eq!(
        (&told["key"]["address"], &told["principal"]),
        (&"127.0.7.1".into(), &"user:device1".into())
    );
}

#[test]
fn password_spraying() {
    let scene = Scene::new("password-spraying", Ban("address"));
    for user in ["ann", "ben", "cem", "dan", "eva", "fay", "gil", "ida", "jan", "kim"] {
        scene.guesses(loopback(7), user);
    }
    let told = scene.finds();
    assert_eq!((&told["value"], &told["key"]["address"]), (&10.0.into(), &"127.0.7.1".into()));
}

#[test]
fn distributed_guessing() {
    // Nothing may be done to the user, whose name anybody can claim, and there is no address in common.
    let scene = Scene::new("distributed-guessing", Told);
    (0..10).for_each(|network| scene.guesses(loopback(network), "device1"));
    let told = scene.finds();
    assert_eq!(told["key"]["principal"], "user:device1");
}

#[test]
fn a_guessed_password() {
    let scene = Scene::without_lockout("guessed-password", Disconnect("principal"));
    (0..15).for_each(|_| scene.guesses(Ipv4Addr::LOCALHOST, "device1"));
    let guessed = device(&scene.broker);
    let told = scene.finds();
    expect_thrown_out(guessed);
    assert_eq!((&told["severity"], &told["event"]), (&"critical".into(), &"connected.new".into()));
    assert_eq!(told["key"]["principal"], "user:device1");
}

#[test]
fn topic_probing() {
    let scene = Scene::new("topic-probing", Quarantine("principal"));
    let mut device = device(&scene.broker);
    for number in 0..20 {
        assert_eq!(device.subscribe(5, &format!("somebody/else/{number}"), 0), 0x87);
    }
    let told = scene.finds();
    assert_eq!(told["key"]["principal"], "user:device1");
    let event = (&told["event"], &told["topic"]);
    assert_eq!(event, (&"denied.subscribe".into(), &"somebody/else/19".into()));
}

#[test]
fn asking_again_and_again_for_what_is_denied() {
    let scene = Scene::new("denied-again-and-again", Quarantine("client"));
    let mut device = device(&scene.broker);
    // More than 32 in a second are not told one by one.
    let denied = raw::publish(5, "somebody/else", b"").repeat(200);
    device.send(&denied);
    device.expect_silence();
    let told = scene.finds();
    assert_eq!(
        (&told["event"], &told["topic"]),
        (&"denied.publish".into(), &"somebody/else".into())
    );
}

#[test]
fn bytes_that_are_no_packets() {
    let scene = Scene::new("malformed-packets", Ban("prefix"));
    for _ in 0..10 {
        let mut scanner = RawClient::plain_from(loopback(7), scene.broker.plain_port());
        scanner.send(NO_PACKET);
        scanner.expect_end();
    }
    let told = scene.finds();
    assert_eq!(told["key"]["address"], "127.0.7.1");
}

#[test]
fn breaking_the_protocol_again_and_again() {
    let scene = Scene::new("protocol-violations", Ban("client"));
    for _ in 0..10 {
        let mut device = device(&scene.broker);
        device.send(&Connect::new(5, "device1").encode());
        device.expect_disconnect(0x82);
    }
    let told = scene.finds();
    let event = (&told["client_id"], &told["event"]);
    assert_eq!(event, (&"device1".into(), &"violation.protocol_error".into()));
}

#[test]
fn coming_and_going() {
    let scene = Scene::new("flapping", Tighten("principal"));
    (0..15).for_each(|_| scene.visits("device1", DEVICE1, b""));
    let told = scene.finds();
    assert_eq!((&told["client_id"], &told["severity"]), (&"device1".into(), &"notice".into()));
}

#[test]
fn never_reading() {
    let timeout = "[network]\nsend_timeout_seconds = 1\n";
    let scene = Scene::with("never-reads", Quarantine("client"), "threshold = 1", timeout);
    let mut stuck = scene.enters("stuck", ADMIN);
    assert_eq!(stuck.subscribe(5, "much", 0), 0);
    let mut publisher = scene.enters("publisher", ADMIN);
    // More than the buffers of two kernels' sockets hold.
    let payload = vec![0; 256 << 10];
    for _ in 0..80 {
        publisher.send(&raw::publish(5, "much", &payload));
    }
    let told = scene.finds();
    let event = (&told["client_id"], &told["event"]);
    assert_eq!(event, (&"stuck".into(), &"violation.send_timeout".into()));
    drop((stuck, publisher));
}

#[test]
fn two_devices_with_one_identifier() {
    let scene = Scene::new("twins", Ban("client"));
    let twins: Vec<_> = (0..10).map(|_| device(&scene.broker)).collect();
    let mut last = RawClient::plain(scene.broker.plain_port());
    last.send(&Connect::new(5, "device1").login(DEVICE1).encode());
    let told = scene.finds();
    let event = (&told["key"]["client"], &told["event"]);
    assert_eq!(event, (&"device1".into(), &"taken_over".into()));
    drop((twins, last));
}

#[test]
fn a_storm_of_wills() {
    let scene = Scene::with("will-storm", Told, "threshold = 30", "");
    let clients: Vec<_> = (0..30)
        .map(|number| {
            let client_id = format!("device1-{number}");
            let will = Some(Will::new("devices/device1/gone", b""));
            let connect = Connect { will, ..Connect::new(5, &client_id).login(DEVICE1) };
            RawClient::connected(scene.broker.plain_port(), &connect)
        })
        .collect();
    clients.into_iter().for_each(RawClient::break_off);
    let told = scene.finds();
    assert_eq!((&told["value"], &told["topic"]), (&30.0.into(), &"devices/device1/gone".into()));
}

#[test]
fn doing_more_than_is_allowed_and_not_slowing_down() {
    let throttle = "[[throttle]]\nname = \"test\"\nrate = 1\nseconds = 3600\naction = \"drop\"\n";
    let scene = Scene::with("throttled-again-and-again", Ban("principal"), "", throttle);
    let mut device = device(&scene.broker);
    device.send(&raw::publish(5, "devices/device1/x", b"").repeat(3_000));
    let told = scene.finds();
    assert_eq!(
        (&told["event"], &told["topic"]),
        (&"throttled.messages_in".into(), &"devices/device1/x".into())
    );
}

#[test]
fn listening_to_everybody() {
    let scene = Scene::new("broad-subscription", Disconnect("client"));
    let mut curious = scene.enters("curious", ADMIN);
    assert_eq!(curious.subscribe(5, "devices/#", 0), 0);
    assert_eq!(curious.subscribe(5, "+/+/state", 0), 0);
    let told = scene.finds();
    expect_thrown_out(curious);
    assert_eq!((&told["event"], &told["topic"]), (&"subscribed.broad".into(), &"+/+/state".into()));
    assert_eq!(told["key"]["client"], "curious");
}

#[test]
fn subscribing_to_one_topic_after_the_other() {
    let scene = Scene::new("subscription-sweep", Ban("client"));
    // The last ones may be told of with what comes later.
    let sweep: Vec<u8> = (0..1_000)
        .flat_map(|number| raw::subscribe(5, 1 + number, &format!("devices/device1/{number}"), 0))
        .collect();
    let mut device = device(&scene.broker);
    device.send(&sweep);
    let told = scene.finds();
    assert_eq!(told["key"]["client"], "device1");
    drop(device);
}

#[test]
fn overwriting_retained_messages() {
    let scene = Scene::new("retained-flood", Tighten("client"));
    let retained = raw::publish_with(5, raw::PUBLISH | 1, "devices/device1/state", None, &[], b"x");
    scene.visits("device1", DEVICE1, &retained.repeat(6_001));
    let told = scene.finds();
    assert_eq!((&told["event"], &told["value"]), (&"overwritten".into(), &6_000.0.into()));
}

/// A device that has published so long enough for it to be known what is usual, and then something else.
fn learned(scene: Scene, client_id: &str, login: Login, usual: &[u8], attack: &[u8]) -> Scene {
    (0..60).for_each(|_| scene.visits(client_id, login, usual));
    scene.visits(client_id, login, attack);
    scene
}

const USUAL: &str = "devices/device1/speed";

#[test]
fn publishing_more_than_usual() {
    let usual = raw::publish(5, USUAL, b"1200");
    let scene = Scene::new("unusual-rate", Tighten("principal"));
    let told = learned(scene, "pump", DEVICE1, &usual, &usual.repeat(1_000)).finds();
    let key = (&told["key"]["principal"], &told["key"]["topic_class"]);
    assert_eq!(key, (&"user:device1".into(), &"devices/device1".into()));
    assert!(told["value"].as_f64().is_some_and(|value| value > 900.0), "{told}");
}

#[test]
fn publishing_a_larger_payload_than_usual() {
    let usual = raw::publish(5, USUAL, b"1200");
    let scene = Scene::new("unusual-payload", Ban("principal"));
    let attack = raw::publish(5, USUAL, &[0; 5_000]);
    let told = learned(scene, "pump", DEVICE1, &usual, &attack).finds();
    assert_eq!((&told["event"], &told["client_id"]), (&"payload".into(), &"pump".into()));
}

#[test]
fn publishing_elsewhere_than_usual() {
    let usual = raw::publish(5, "site/pump/speed", b"1200");
    let scene = Scene::new("unusual-topic", Quarantine("client"));
    let attack = raw::publish(5, "valve/main", b"open");
    let told = learned(scene, "pump", ADMIN, &usual, &attack).finds();
    let event = (&told["topic"], &told["key"]["client"]);
    assert_eq!(event, (&"valve/main".into(), &"pump".into()));
}

/// Of which the network and the client identifier are known.
fn known(scene: Scene) -> Scene {
    (0..50).for_each(|_| scene.visits("device1", DEVICE1, b""));
    scene
}

#[test]
fn coming_from_a_new_network() {
    let scene = known(Scene::new("new-network", Disconnect("principal")));
    let elsewhere = scene.enters_from(loopback(99), "device1", DEVICE1);
    let told = scene.finds();
    assert_eq!(
        (&told["address"], &told["principal"]),
        (&"127.0.99.1".into(), &"user:device1".into())
    );
    expect_thrown_out(elsewhere);
}

#[test]
fn coming_with_a_new_identifier() {
    let scene = known(Scene::new("new-client", Ban("principal")));
    let other = scene.enters("device1-other", DEVICE1);
    assert_eq!(scene.finds()["client_id"], "device1-other");
    expect_thrown_out(other);
}

#[test]
fn coming_again_after_a_long_time() {
    let change = "threshold = 0.000_001";
    let scene = Scene::with("dormant-client", Quarantine("principal"), change, "");
    scene.visits("device1", DEVICE1, b"");
    scene.visits("device1", DEVICE1, b"");
    let told = scene.finds();
    assert_eq!(
        (&told["key"]["client"], &told["event"]),
        (&"device1".into(), &"connected.new".into())
    );
}
