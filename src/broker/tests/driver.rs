//! A broker and its clients, packet by packet, on one thread and without a socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::executor::block_on;

use crate::acl::Policy;
use crate::auth::{self, Authenticator, Authenticators, PasswordFile};
use crate::broker::{
    Broker, Client, Delivered, EnvelopeSettings, Parts, Patience, Settings, VerifiedCredentials,
    Windows,
};
use crate::clock::Now;
use crate::codec::{
    Ack, Connect, ConnectProperties, Delivery, Disconnect, Packet, PacketId, Publish, ReasonCode,
    Subscribe, SubscriptionIds, SubscriptionOptions, UserProperties, Version, Will, next_frame,
};
use crate::envelope::KeyRing;
use crate::identity::{
    Attributes, ClientCertificate, Credentials, Evidence, Peer, TransportSecurity,
};
use crate::message::QoS;
use crate::sentinel::RuleSet;
use crate::session::{self, ConnectRequest, SessionExpiry};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::topic::{TopicFilterRef, TopicNameRef};
use crate::webhook::Webhook;

/// Everybody may do everything.
pub(super) const OPEN: &str = include_str!("../../../acl/open.toml");

/// Everybody may do everything, but nobody reads or writes `secret` and what is below it.
pub(super) const NO_SECRETS: &str = r##"
[[role]]
name = "most"
rules = [
  { allow = ["publish", "subscribe"], topics = ["#"] },
  { deny = ["publish", "subscribe"], topics = ["secret/#"] },
]
[[assign]]
everyone = true
roles = ["most"]
"##;

/// Nobody may do anything.
pub(super) const CLOSED: &str = r##"
[[role]]
name = "none"
rules = [{ deny = ["publish", "subscribe"], topics = ["#"] }]
[[assign]]
everyone = true
roles = ["none"]
"##;

pub(super) fn policy(text: &str) -> Policy {
    Policy::parse(text).expect("a policy")
}

/// A broker where everybody may do everything.
pub(super) fn broker() -> Arc<Broker> {
    broker_with(Settings::default())
}

pub(super) fn broker_with(settings: Settings) -> Arc<Broker> {
    broker_of(settings, PasswordFile::default())
}

/// A broker with users.
pub(in crate::broker) fn broker_of(settings: Settings, passwords: PasswordFile) -> Arc<Broker> {
    broker_that_speaks(session::Settings::default(), settings, passwords)
}

pub(super) fn broker_that_speaks(
    mqtt: session::Settings,
    settings: Settings,
    passwords: PasswordFile,
) -> Arc<Broker> {
    let parts = Parts { settings, mqtt, ..parts(passwords) };
    Arc::new(Broker::new(parts).expect("threads"))
}

/// Those of a broker where everybody may do everything.
pub(super) fn parts(passwords: PasswordFile) -> Parts {
    let auth = auth::Settings { allow_anonymous: true, ..auth::Settings::default() };
    let metrics = Arc::new(Metrics::new());
    Parts {
        settings: Settings::default(),
        mqtt: session::Settings::default(),
        max_connect_size: 1 << 16,
        policy: policy(OPEN),
        passwords,
        credentials: VerifiedCredentials::in_memory(&auth).expect("randomness"),
        auth,
        tokens: None,
        identity_service: None,
        webhook: Webhook::new(None, Arc::clone(&metrics)),
        tracer: None,
        ring: KeyRing::default(),
        windows: Windows::in_memory(&EnvelopeSettings::default()).expect("randomness"),
        wrapped_dir: None,
        durable: None,
        audit: None,
        bans: crate::sanctions::Settings::default(),
        throttles: Vec::new(),
        sentinel: RuleSet::default(),
        metrics,
    }
}

/// Every authenticator of which no other one asks for more.
pub(super) fn all_authenticators() -> Authenticators {
    let is_alone = |each: &Authenticator| *each != Authenticator::CertificateAndPassword;
    let all = Authenticator::ALL.into_iter().filter(is_alone).collect();
    Authenticators::new(all).expect("a list")
}

/// The other end of a connection, with the name in its certificate.
pub(in crate::broker) fn peer(certificate: Option<&str>) -> Peer {
    Peer {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)).into(),
        listener: Arc::from("test"),
        security: TransportSecurity::Plain,
        certificate: certificate.map(shown),
    }
}

/// A minute, for a client that does not leave.
pub(in crate::broker) fn patience() -> Patience<impl Future<Output = ()>> {
    let deadline = Instant::now() + Duration::from_secs(60);
    Patience { deadline, departure: std::future::pending() }
}

/// What a CONNECT with these credentials asks for.
pub(in crate::broker) fn connect_request(credentials: Credentials) -> ConnectRequest {
    ConnectRequest {
        version: Version::V5,
        client_id: "client".to_owned(),
        clean_start: true,
        credentials,
        authentication: None,
        will: None,
        session_expiry: SessionExpiry::Now,
    }
}

/// How a client connects. The defaults: 5.0, a session of an hour that goes on, no will.
#[derive(Clone, Copy)]
pub(super) struct Visit {
    pub(super) id: &'static str,
    pub(super) clean_start: bool,
    /// Seconds.
    pub(super) expiry: u32,
    /// Topic and delay in seconds.
    pub(super) will: Option<(&'static str, u32)>,
    pub(super) receive_maximum: u16,
}

impl Visit {
    pub(super) fn of(id: &'static str) -> Self {
        Self { id, clean_start: false, expiry: 3_600, will: None, receive_maximum: 100 }
    }

    /// The CONNECT of an anonymous client.
    pub(super) fn connect(&self, version: Version) -> Connect<'static> {
        let will = self.will.map(|(topic, delay)| Will {
            topic: TopicNameRef::parse(topic).expect("a topic"),
            payload: b"gone",
            qos: QoS::AtMostOnce,
            retain: false,
            delay_interval: Some(delay),
            message_expiry_interval: None,
            properties: b"".into(),
        });
        let properties = ConnectProperties {
            session_expiry_interval: Some(self.expiry),
            receive_maximum: NonZeroU16::new(self.receive_maximum),
            ..ConnectProperties::default()
        };
        Connect {
            version,
            clean_start: self.clean_start,
            keep_alive: 60,
            client_id: self.id,
            will,
            user_name: None,
            password: None,
            properties,
        }
    }
}

/// One connection.
pub(super) struct Driver {
    pub(super) client: Client,
    pub(super) now: Now,
    store: Option<Arc<Store>>,
    version: Version,
    /// What has been sent and not been looked at.
    unread: Vec<Packet<'static>>,
}

/// The certificate of `name`, of which only that counts here.
fn shown(name: &str) -> Arc<ClientCertificate> {
    shown_until(name, Duration::MAX)
}

/// As [`shown`]; it holds until then.
pub(super) fn shown_until(name: &str, ends: Duration) -> Arc<ClientCertificate> {
    Arc::new(ClientCertificate {
        name: Arc::from(name),
        attributes: Attributes::default(),
        evidence: Some(Evidence {
            ends,
            generation: 0,
            own: Box::default(),
            between: Arc::default(),
        }),
    })
}

impl Driver {
    /// A connection whose CONNECT waits for its answer.
    pub(super) fn knock(broker: &Arc<Broker>, visit: Visit) -> Self {
        let mut driver = Self::stranger(broker);
        driver.say(&Packet::Connect(Box::new(visit.connect(Version::V5))));
        assert!(driver.client.is_at_the_door());
        driver
    }

    /// A connection on which nothing has been said.
    pub(super) fn stranger(broker: &Arc<Broker>) -> Self {
        Self::stranger_with(broker, Version::V5, None)
    }

    /// A connection on which nothing has been said but the name in a certificate.
    pub(super) fn stranger_with(
        broker: &Arc<Broker>,
        version: Version,
        certificate: Option<&str>,
    ) -> Self {
        Self::stranger_from(broker, version, peer(certificate))
    }

    /// A connection from `peer` on which nothing has been said.
    pub(super) fn stranger_from(broker: &Arc<Broker>, version: Version, peer: Peer) -> Self {
        let client = Client::new(Arc::clone(broker), peer, Arc::new(all_authenticators()));
        let store = broker.store().cloned();
        Self { client, now: Now::read(), store, version, unread: Vec::new() }
    }

    /// Asks to be let in.
    pub(super) async fn log_in(&mut self) {
        let now = self.now;
        self.client.log_in(patience(), || now).await;
    }

    /// A client that is let in: whether it found its session.
    pub(super) fn enter(broker: &Arc<Broker>, visit: Visit) -> (Self, bool) {
        let mut driver = Self::knock(broker, visit);
        driver.log_in().now_or_never().expect("nobody to wait for");
        let is_resumed = driver.welcome();
        (driver, is_resumed)
    }

    /// Takes the session over from `earlier`.
    pub(super) fn take_over(
        broker: &Arc<Broker>,
        visit: Visit,
        earlier: &mut Self,
    ) -> (Self, bool) {
        let mut driver = Self::knock(broker, visit);
        {
            let mut login = Box::pin(driver.log_in());
            assert!(login.as_mut().now_or_never().is_none());
            earlier.client.obey(earlier.now);
            login.now_or_never().expect("the session was handed over");
        }
        let is_resumed = driver.welcome();
        (driver, is_resumed)
    }

    /// Reads the CONNACK of a client that is let in: whether it found its session.
    pub(super) fn welcome(&mut self) -> bool {
        self.greeted().expect("it is let in")
    }

    /// Reads the CONNACK: whether the client found its session, or why it is not let in.
    pub(super) fn greeted(&mut self) -> Result<bool, ReasonCode> {
        let mut packets = self.heard();
        let Packet::ConnAck(ack) = packets.remove(0) else { panic!("no CONNACK") };
        self.unread = packets;
        if ack.reason == ReasonCode::Success { Ok(ack.session_present) } else { Err(ack.reason) }
    }

    pub(super) fn say(&mut self, packet: &Packet<'_>) {
        self.say_at_once(std::slice::from_ref(packet));
    }

    /// Says all of it before the broker looks at any.
    pub(super) fn say_at_once(&mut self, packets: &[Packet<'_>]) {
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| packet.encode(self.version, &mut bytes));
        let taken = self.client.receive(self.now, &bytes);
        assert!(taken == bytes.len() || self.client.is_closed());
    }

    /// Subscribes, and overlooks what comes at once.
    pub(super) fn subscribe(&mut self, filter: &str, maximum_qos: QoS) {
        self.ask_for(filter, maximum_qos);
        self.unread.clear();
    }

    /// Subscribes, and gives the answer. What comes at once is kept.
    pub(super) fn ask_for(&mut self, filter: &str, maximum_qos: QoS) -> ReasonCode {
        self.say_subscribe(filter, maximum_qos);
        let mut packets = self.heard();
        let Packet::SubAck(ack) = packets.remove(0) else { panic!("no SUBACK") };
        self.unread = packets;
        ack.reasons[0]
    }

    /// Says SUBSCRIBE, and does not listen.
    pub(super) fn say_subscribe(&mut self, filter: &str, maximum_qos: QoS) {
        let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
        let filter = TopicFilterRef::parse(filter).expect("a filter");
        self.say(&Packet::Subscribe(Subscribe {
            packet_id: id(1),
            subscription_id: None,
            user_properties: UserProperties::default(),
            filters: [(filter, options)].into_iter().collect(),
        }));
    }

    /// Publishes with QoS 1, and gives the answer.
    pub(super) fn publish(&mut self, topic: &str, retain: bool) -> ReasonCode {
        self.say(&publish(topic, Delivery::AtLeastOnce(id(9)), retain));
        match self.heard().as_slice() {
            [Packet::PubAck(ack)] => ack.reason,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn acknowledge(&mut self, packet_id: u16) {
        self.say(&Packet::PubAck(Ack::new(id(packet_id), ReasonCode::Success)));
    }

    pub(super) fn disconnect(&mut self, reason: ReasonCode) {
        self.say(&Packet::Disconnect(Disconnect::new(reason)));
    }

    /// Hears only what does not wait for the disk, from now on.
    pub(super) fn wait_for_nothing(&mut self) {
        self.store = None;
    }

    /// Everything that it is sent, until there is nothing more. The bytes are leaked.
    pub(super) fn heard(&mut self) -> Vec<Packet<'static>> {
        let mut bytes = Vec::new();
        loop {
            let delivered = self.client.deliver(self.now);
            self.store.iter().for_each(|store| wait_until_kept(store));
            bytes.extend_from_slice(self.client.output());
            self.client.on_sent(self.now, self.client.output().len());
            if self.store.is_some() && self.client.is_reading() {
                block_on(self.client.bell().rung());
            } else if delivered == Delivered::All {
                break;
            }
        }
        let mut rest: &'static [u8] = bytes.leak();
        let mut packets = std::mem::take(&mut self.unread);
        while let Some(frame) = next_frame(rest, usize::MAX).expect("a packet") {
            packets.push(frame.decode(self.version).expect("a packet of its version"));
            rest = &rest[frame.size..];
        }
        packets
    }

    /// The topics of the messages that it is sent.
    pub(super) fn topics(&mut self) -> Vec<&'static str> {
        let topic = |packet| match packet {
            Packet::Publish(publish) => publish.topic.map(TopicNameRef::as_str),
            _ => None,
        };
        self.heard().into_iter().filter_map(topic).collect()
    }
}

/// Waits until the store has all that there is to keep.
pub(super) fn wait_until_kept(store: &Store) {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let ticket = store.latest();
    store.wake_when_kept(ticket, Waker::from(Arc::new(Unpark(thread::current()))));
    while !store.is_kept(ticket) {
        thread::park();
    }
}

pub(super) fn publish<'a>(topic: &'a str, delivery: Delivery, retain: bool) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        delivery,
        retain,
        topic: Some(TopicNameRef::parse(topic).expect("a topic")),
        topic_alias: None,
        message_expiry_interval: None,
        subscription_ids: SubscriptionIds::new(),
        properties: (&[]).into(),
        payload: b"payload",
    })
}

pub(super) fn id(packet_id: u16) -> PacketId {
    PacketId::new(packet_id).expect("not 0")
}

pub(super) fn positive(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not 0")
}
