//! What a message allocates on its way: decode, session, gate, route, deliver, encode. Counted on
//! one thread, from the bytes of its publisher to those of its subscribers, without sockets. And how much
//! the rules of the sentinel remember.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use bastionmq::acl::Policy;
use bastionmq::auth::{self, Authenticator, Authenticators, PasswordFile};
use bastionmq::broker::{
    self, Broker, Client, Delivered, EnvelopeSettings, Parts, Patience, VerifiedCredentials,
    Windows,
};
use bastionmq::clock::Now;
use bastionmq::envelope::KeyRing;
use bastionmq::identity::{ClientId, Peer, TransportSecurity};
use bastionmq::sentinel::{Event, Kind, RuleSet, RuleSettings, Sentinel, Settings};
use bastionmq::session;
use bastionmq::telemetry::Metrics;
use bastionmq::webhook::Webhook;
use futures::FutureExt;

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const SUBACK: u8 = 9;

const TOPIC: &str = "plant/7/line/3/temperature";
const PAYLOAD: [u8; 64] = [0x42; 64];

/// A message, which all of its recipients share, and its payload.
const PER_MESSAGE: u64 = 2;

/// A list of what a round has for its one recipient.
const PER_ROUND: u64 = 1;

/// What each recipient keeps of a message of QoS 1 or 2 until it is acknowledged.
const PER_ACKNOWLEDGED_DELIVERY: u64 = 1;

/// Messages of a round. The window of a client is larger.
const MANY: u16 = 256;

/// What a client may allocate in a round of however many messages: outputs and queues that grow, and
/// are given back once they are empty.
const PER_CLIENT_AND_ROUND: u64 = 24;

/// One client of the broker, and what its calls have allocated.
struct Driven {
    client: Client,
    version: u8,
    now: Now,
    allocated: u64,
}

/// A packet that a client is sent: its type, and its QoS and identifier where it has any.
struct Heard {
    kind: u8,
    qos: u8,
    packet_id: [u8; 2],
}

impl Driven {
    fn enter(broker: &Arc<Broker>, version: u8, id: &str) -> Self {
        let peer = Peer {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)).into(),
            listener: Arc::from("test"),
            security: TransportSecurity::Plain,
            certificate: None,
        };
        let authenticators = Authenticators::new(vec![Authenticator::Anonymous]).expect("a list");
        let client = Client::new(Arc::clone(broker), peer, Arc::new(authenticators));
        let mut driven = Self { client, version, now: Now::read(), allocated: 0 };
        let mut body = b"\0\x04MQTT".to_vec();
        body.extend([version, 2, 0, 0]);
        driven.end_header(&mut body);
        body.extend([0, id.len() as u8]);
        body.extend(id.as_bytes());
        driven.say(&packet(0x10, &body));
        let deadline = Instant::now() + Duration::from_secs(60);
        let patience = Patience { deadline, departure: pending() };
        let log_in = driven.client.log_in(patience, Now::read).now_or_never();
        log_in.expect("there is nobody to wait for");
        assert_eq!(driven.kinds_heard(), [CONNACK]);
        driven
    }

    fn subscribe(&mut self, qos: u8) {
        let mut body = vec![0, 1];
        self.end_header(&mut body);
        body.extend([0, TOPIC.len() as u8]);
        body.extend(TOPIC.as_bytes());
        body.push(qos);
        self.say(&packet(0x82, &body));
        assert_eq!(self.kinds_heard(), [SUBACK]);
    }

    /// PUBLISH packets with the identifiers from 1 on, where the QoS has any.
    fn messages(&self, count: u16, qos: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        for id in 1..=count {
            let mut body = vec![0, TOPIC.len() as u8];
            body.extend(TOPIC.as_bytes());
            if qos > 0 {
                body.extend(id.to_be_bytes());
            }
            self.end_header(&mut body);
            body.extend(PAYLOAD);
            bytes.extend(packet(PUBLISH << 4 | qos << 1, &body));
        }
        bytes
    }

    /// No properties, where the version has any.
    fn end_header(&self, body: &mut Vec<u8>) {
        if self.version == 5 {
            body.push(0);
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        let Self { client, now, .. } = self;
        let mut taken = 0;
        self.allocated += measure(|| taken = client.receive(*now, bytes)).count_total;
        assert_eq!(taken, bytes.len());
    }

    /// All that it is sent.
    fn hear(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut delivered = Delivered::Slice;
        while delivered != Delivered::All {
            let Self { client, now, .. } = self;
            self.allocated += measure(|| delivered = client.deliver(*now)).count_total;
            read(self.client.output(), &mut heard);
            let Self { client, now, .. } = self;
            self.allocated += measure(|| client.on_sent(*now, client.output().len())).count_total;
        }
        heard
    }

    fn kinds_heard(&mut self) -> Vec<u8> {
        self.hear().iter().map(|heard| heard.kind).collect()
    }

    /// Answers what it is sent until there is nothing more; how many messages that were.
    fn play(&mut self) -> usize {
        let mut messages = 0;
        loop {
            let heard = self.hear();
            messages += heard.iter().filter(|heard| heard.kind == PUBLISH).count();
            let answers: Vec<_> = heard.iter().filter_map(Heard::answer).flatten().collect();
            if answers.is_empty() {
                return messages;
            }
            self.say(&answers);
        }
    }
}

impl Heard {
    fn answer(&self) -> Option<[u8; 4]> {
        let kind = match (self.kind, self.qos) {
            (PUBLISH, 1) => PUBACK,
            (PUBLISH, 2) => PUBREC,
            (PUBREC, _) => PUBREL,
            (PUBREL, _) => PUBCOMP,
            _ => return None,
        };
        let flags = if kind == PUBREL { 2 } else { 0 };
        let [high, low] = self.packet_id;
        Some([kind << 4 | flags, 2, high, low])
    }
}

/// A packet of less than 16 KiB.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let length = match body.len() {
        length @ 0..128 => vec![length as u8],
        length => vec![length as u8 | 0x80, (length >> 7) as u8],
    };
    [&[first], &length[..], body].concat()
}

/// Reads whole packets.
fn read(mut bytes: &[u8], into: &mut Vec<Heard>) {
    while let [first, rest @ ..] = bytes {
        let (length, body) = match rest {
            [length @ 0..128, body @ ..] => (usize::from(*length), body),
            [low, high, body @ ..] => (usize::from(low & 0x7F) | usize::from(*high) << 7, body),
            _ => panic!("half a packet"),
        };
        let (kind, qos) = (first >> 4, first >> 1 & 3);
        let at = if kind == PUBLISH { 2 + TOPIC.len() } else { 0 };
        let packet_id = body.get(at..at + 2).and_then(|id| id.try_into().ok()).unwrap_or_default();
        into.push(Heard { kind, qos, packet_id });
        bytes = &body[length..];
    }
}

/// The policy allows everything, and is asked about every message; the sentinel looks at what clients do by
/// the rules that come with the broker.
fn broker() -> Arc<Broker> {
    let auth = auth::Settings { allow_anonymous: true, ..auth::Settings::default() };
    let metrics = Arc::new(Metrics::new());
    let parts = Parts {
        settings: broker::Settings::default(),
        mqtt: session::Settings {
            max_inflight: 1_000.try_into().expect("not 0"),
            receive_maximum: 1_000.try_into().expect("not 0"),
            ..session::Settings::default()
        },
        credentials: VerifiedCredentials::in_memory(&auth).expect("randomness"),
        auth,
        max_connect_size: 1 << 16,
        policy: Policy::parse(include_str!("../acl/open.toml")).expect("a policy"),
        passwords: PasswordFile::default(),
        tokens: None,
        identity_service: None,
        webhook: Webhook::new(None, Arc::clone(&metrics)),
        tracer: None,
        ring: KeyRing::default(),
        windows: Windows::in_memory(&EnvelopeSettings::default()).expect("randomness"),
        wrapped_dir: None,
        durable: None,
        audit: None,
        bans: bastionmq::sanctions::Settings::default(),
        throttles: Vec::new(),
        sentinel: RuleSet::of(&Settings::default(), &[]).expect("rules"),
        metrics,
    };
    Arc::new(Broker::new(parts).expect("it starts"))
}

/// What a round of `count` messages allocates, once everything has been done before.
fn allocated(version: u8, qos: u8, subscribers: usize, count: u16) -> u64 {
    let broker = broker();
    let mut receiving: Vec<_> = (0..subscribers)
        .map(|number| Driven::enter(&broker, version, &format!("subscriber-{number}")))
        .collect();
    receiving.iter_mut().for_each(|subscriber| subscriber.subscribe(qos));
    let mut publisher = Driven::enter(&broker, version, "publisher");
    let messages = publisher.messages(count, qos);
    let mut last = 0;
    for _ in 0..3 {
        publisher.allocated = 0;
        publisher.say(&messages);
        publisher.play();
        last = publisher.allocated;
        for subscriber in &mut receiving {
            subscriber.allocated = 0;
            assert_eq!(subscriber.play(), usize::from(count));
            last += subscriber.allocated;
        }
    }
    last
}

#[track_caller]
fn allocates_at_most(allowed: u64, qos: u8, subscribers: usize, count: u16) {
    for version in [4, 5] {
        let allocated = allocated(version, qos, subscribers, count);
        assert!(
            allocated <= allowed,
            "{count} messages of QoS {qos} to {subscribers} subscribers in version {version} \
             allocate {allocated} times, where {allowed} are allowed"
        );
    }
}

#[test]
fn a_message_of_qos_0_allocates_itself_and_nothing_for_its_recipients() {
    for subscribers in [1, 10] {
        let clients = subscribers as u64 + 1;
        let allowed = u64::from(MANY) * PER_MESSAGE + clients * PER_CLIENT_AND_ROUND;
        allocates_at_most(allowed, 0, subscribers, MANY);
    }
}

#[test]
fn a_message_of_qos_1_or_2_allocates_one_entry_in_the_window_of_each_recipient() {
    for (qos, subscribers) in [(1, 1), (1, 10), (2, 1), (2, 10)] {
        let clients = subscribers as u64 + 1;
        let each = PER_MESSAGE + PER_ACKNOWLEDGED_DELIVERY * subscribers as u64;
        let allowed = u64::from(MANY) * each + clients * PER_CLIENT_AND_ROUND;
        allocates_at_most(allowed, qos, subscribers, MANY);
    }
}

#[test]
fn a_message_alone_allocates_itself_and_each_list_and_output_once() {
    // The subscriber's output; then that of the publisher too; then each for both halves of QoS 2.
    for (qos, outputs) in [(0, 1), (1, 2), (2, 4)] {
        let kept = if qos > 0 { PER_ACKNOWLEDGED_DELIVERY } else { 0 };
        allocates_at_most(PER_MESSAGE + PER_ROUND + kept + outputs, qos, 1, 1);
    }
}

/// Keys that a rule may remember here.
const KEYS: u64 = 1_000;

/// The bytes that a rule by client takes for each key that it remembers, after `keys` clients have done
/// something `times` times, each time on another topic.
fn bytes_per_key(measure_by: &str, keys: u32, times: u32) -> u64 {
    let text = format!(
        "name = \"r\"\nevents = [\"denied\"]\nper = [\"client\"]\nthreshold = 1e12\n{measure_by}"
    );
    let rule: RuleSettings = toml::from_str(&text).expect("a rule");
    let max_keys = u32::try_from(KEYS).ok().and_then(|it| it.try_into().ok()).expect("not 0");
    let settings = Settings {
        default_rules: false,
        max_keys,
        max_learned_keys: max_keys,
        ..Settings::default()
    };
    let mut sentinel = Sentinel::new(RuleSet::of(&settings, &[rule]).expect("rules"), 1);
    let mut findings = Vec::new();
    let taken = measure(|| {
        for key in 0..keys {
            let client = Some(ClientId::new(&key.to_string()));
            let mut event = Event { client, ..Event::new(Kind::Denied, "publish") };
            for topic in 0..times {
                event.topic = Some(topic.to_string().into());
                sentinel.observe(Duration::from_secs(1), &event, &mut findings);
            }
        }
    });
    assert!(findings.is_empty() && sentinel.keys() as u64 <= KEYS);
    // Of what is forgotten, nothing is left.
    u64::try_from(taken.bytes_current).expect("it takes some") / KEYS
}

#[test]
fn what_a_rule_remembers_is_bounded_under_a_million_keys() {
    let bytes = bytes_per_key("", 1_000_000, 1);
    assert!(bytes <= 512, "{bytes} bytes");
}

#[test]
fn what_a_rule_remembers_of_a_key_is_bounded_however_much_it_does() {
    for (measure_by, most) in [
        ("after = [\"denied\"]", 700),
        ("window = \"tumbling\"", 350),
        ("window = \"session\"", 350),
        ("measure = \"distinct\"\nof = \"topic\"", 1_500),
        ("measure = \"new\"\nof = \"topic\"", 250),
        ("measure = \"quantile\"\nquantile = 0.9", 4_000),
        ("measure = \"deviation\"", 250),
        ("measure = \"silence\"", 250),
    ] {
        let bytes = bytes_per_key(measure_by, 2_000, 40);
        assert!(bytes <= most, "{measure_by}: {bytes} bytes");
    }
    // As many different ones as it tells apart.
    let bytes = bytes_per_key("measure = \"new\"\nof = \"topic\"", 2_000, 32);
    assert!(bytes <= 800, "{bytes} bytes");
}
