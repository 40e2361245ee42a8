//! A broker with everything that has metrics, ordinary traffic on it, and all that makes alerts fire.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::identity_service::{IdentityService, Reply};
use crate::harness::place::copy;
use crate::harness::raw::{self, Connect, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, RawClient};
use crate::harness::{ADMIN, DEVICE1, DEVICE2, Login, Place, Site, scratch};

const QOS1: u8 = PUBLISH | 1 << 1;
const QOS2: u8 = PUBLISH | 2 << 1;
/// What is above a second's rate over a minute.
const MANY: u16 = 100;

/// The scene of the drill.
pub(crate) struct Stage {
    pub(crate) place: Place,
    publisher: RawClient,
    subscriber: RawClient,
    is_service_ill: Arc<AtomicBool>,
    _service: IdentityService,
}

impl Stage {
    pub(crate) fn set() -> Self {
        let is_service_ill = Arc::new(AtomicBool::new(false));
        let is_ill = Arc::clone(&is_service_ill);
        let service =
            IdentityService::start(move |_: &Value| match is_ill.load(Ordering::Acquire) {
                true => Reply::Bytes(b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n".to_vec()),
                false => Reply::Json(json!({"result": "ignore"})),
            });
        let place = Place::serve(prepared(&service.url()));
        let port = place.broker.tls_port();
        let subscriber = Connect::new(5, "subscriber").login(ADMIN).keep_session(true, 60);
        let mut subscriber = enter(RawClient::tls(port, Site::shared().tls()), &subscriber);
        assert_eq!(subscriber.subscribe(5, "flow/#", 2), 2);
        let publisher = Connect::new(4, "publisher").login(ADMIN);
        let publisher = enter(RawClient::plain(place.broker.plain_port()), &publisher);
        Self { place, publisher, subscriber, is_service_ill, _service: service }
    }

    /// A message of each QoS, from one end to the other.
    pub(crate) fn flow(&mut self) {
        let Self { publisher, subscriber, .. } = self;
        publisher.send(&raw::publish(4, "flow/0", b"at most once"));
        assert_eq!(subscriber.expect(PUBLISH).publish(5).topic, "flow/0");
        publisher.send(&raw::publish_with(4, QOS1, "flow/1", Some(1), &[], b"at least once"));
        publisher.expect(PUBACK);
        let id = subscriber.expect(QOS1).publish(5).id.expect("an identifier");
        subscriber.send(&raw::acknowledge(PUBACK, id));
        publisher.send(&raw::publish_with(4, QOS2, "flow/2", Some(2), &[], b"exactly once"));
        publisher.expect(PUBREC);
        publisher.send(&raw::acknowledge(PUBREL, 2));
        publisher.expect(PUBCOMP);
        let id = subscriber.expect(QOS2).publish(5).id.expect("an identifier");
        subscriber.send(&raw::acknowledge(PUBREC, id));
        subscriber.expect(PUBREL);
        subscriber.send(&raw::acknowledge(PUBCOMP, id));
        publisher.send(&raw::publish_with(4, QOS1 | 1, "kept", Some(3), &[], b"retained"));
        publisher.expect(PUBACK);
    }

    /// Everything that clients should not do, and operators neither. Logins that fail come last, since
    /// the address is locked out then.
    pub(crate) fn attack(&mut self) {
        let secure = RawClient::tls(self.place.broker.tls_port(), Site::shared().tls());
        drop(enter(secure, &Connect::new(5, "secure").login(ADMIN)));
        self.does_what_it_may_not();
        self.overflows();
        self.floods();
        self.takes_over();
        self.loses_its_password();
        self.guesses();
        self.asks_an_ill_service();
        self.breaks_the_policy();
    }

    fn port(&self) -> u16 {
        self.place.broker.plain_port()
    }

    fn does_what_it_may_not(&self) {
        let connect = Connect::new(5, "curious").login(DEVICE1);
        let mut device = RawClient::connected(self.port(), &connect);
        for id in 1..=MANY {
            device.send(&raw::publish_with(5, QOS1, "devices/device2/x", Some(id), &[], b""));
            assert_eq!(device.expect(PUBACK).acknowledged().1, 0x87);
        }
        // A rule rejects all but the first of these.
        for id in 1..=MANY {
            let topic = "devices/device1/limited";
            device.send(&raw::publish_with(5, QOS1, topic, Some(id), &[], b""));
            device.expect(PUBACK);
        }
    }

    /// More than may wait, for a client that is away.
    fn overflows(&mut self) {
        let connect = Connect::new(5, "away").login(ADMIN).keep_session(true, 60);
        let mut away = RawClient::connected(self.port(), &connect);
        assert_eq!(away.subscribe(5, "waits", 1), 1);
        away.break_off();
        for _ in 0..2 * MANY {
            self.publisher.send(&raw::publish_with(4, QOS1, "waits", Some(9), &[], b""));
            self.publisher.expect(PUBACK);
        }
    }

    fn floods(&self) {
        for _ in 0..7 * MANY {
            let mut scanner = RawClient::plain(self.port());
            scanner.send(&raw::packet(raw::PINGREQ, &[]));
            scanner.expect_end();
        }
    }

    fn takes_over(&self) {
        let connect = Connect::new(5, "twin").login(ADMIN);
        let _last = (0..MANY).fold(RawClient::connected(self.port(), &connect), |_first, _| {
            RawClient::connected(self.port(), &connect)
        });
    }

    fn loses_its_password(&self) {
        let connect = Connect::new(5, "leaves").login(DEVICE2);
        let mut leaves = RawClient::connected(self.port(), &connect);
        let users = self.place.text("passwd");
        let others = users.lines().filter(|line| !line.contains("device2"));
        self.place.replace("passwd", others.map(|line| format!("{line}\n")).collect::<String>());
        leaves.expect_disconnect(0x87);
    }

    fn guesses(&self) {
        const USERS: [&str; 7] = ["root", "user", "mqtt", "pi", "test", "guest", "iot"];
        for turn in 0..MANY {
            let user = USERS[usize::from(turn) % USERS.len()];
            log_in(self.port(), (user, "password"));
        }
    }

    fn asks_an_ill_service(&self) {
        self.is_service_ill.store(true, Ordering::Release);
        let http = "bastionmq_http_auth_breaker_open ";
        // Each from an address of its own: those above are locked out here.
        let mut sources = (2..250).map(|last| std::net::Ipv4Addr::new(127, 0, 0, last));
        while self.place.metric(http) < 0.5 {
            let source = sources.next().expect("the service is left alone by now");
            let mut client = RawClient::plain_from(source, self.port());
            client.send(&Connect::new(5, "ann").login(("ann", "apple")).encode());
            client.expect(raw::CONNACK);
        }
    }

    fn breaks_the_policy(&self) {
        self.place.replace("policy.toml", "this is no policy");
        self.place.log("policy.toml");
    }
}

fn log_in(port: u16, login: Login) {
    let mut client = RawClient::plain(port);
    client.send(&Connect::new(5, "guesser").login(login).encode());
    client.expect(raw::CONNACK);
}

fn enter(mut client: RawClient, connect: &Connect<'_>) -> RawClient {
    client.send(&connect.encode());
    let reason = client.expect(raw::CONNACK).reason();
    assert_eq!(reason, 0, "it is let in");
    client
}

/// A directory with a configuration that has a store, throttle rules and a service that is asked.
fn prepared(service: &str) -> tempfile::TempDir {
    let (site, directory) = (Site::shared(), scratch());
    copy(&["policy.toml", "passwd", "server.crt", "server.key", "ca.crt"], directory.path());
    let config = site.configuration("optional").replace(
        site.file("").to_str().expect("UTF-8"),
        &format!("{}/", directory.path().display()),
    );
    let more = format!(
        "[keys]\nmaster_key_file = \"master.key\"\n[store]\ndir = \"data\"\n\
         [broker]\nmax_queued_messages = 20\n[network]\nmax_connections_per_second = 100000\n\
         [http]\nurl = \"{service}\"\nbreaker_failures = 3\nbreaker_seconds = 600\n\
         [[throttle]]\nname = \"limited\"\ntopics = \"devices/+/limited\"\nrate = 1\nburst = 1\n\
         seconds = 3600\naction = \"reject\"\n\
         [[throttle]]\nname = \"delayed\"\nrate = 1000000\n"
    );
    fs::write(directory.path().join("bastionmq.toml"), config + &more).expect("a configuration");
    directory
}
