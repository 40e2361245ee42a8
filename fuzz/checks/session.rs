//! Any bytes as the connections of one client, one after the other: no panic, and what the session
//! sends is what the client has to be sent. `FF` ends a connection.
//!
//! The broker of this client decides by the last byte of each packet, so that the bytes alone say
//! all that happens.

use std::collections::{HashMap, HashSet};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bastionmq::clock::Now;
use bastionmq::codec::{
    Connect, Delivery, Frame, Packet, PacketId, ReasonCode, Version, answer_version, next_frame,
};
use bastionmq::identity::ClientId;
use bastionmq::message::{Message, QoS, SessionKey};
use bastionmq::session::{
    Action, ConnectRequest, Identified, Image, Input, Outbound, Output, Refusal, Session, Settings,
};

/// Bytes of the largest packet that is taken.
const LIMIT: usize = 1 << 16;
const WINDOW: u16 = 4;

static START: LazyLock<Now> = LazyLock::new(Now::read);

pub(crate) fn check(bytes: &[u8]) {
    let mut settings = Settings {
        outbound_topic_alias_maximum: 2,
        response_information: "responses/".to_owned(),
        ..Settings::default()
    };
    settings.receive_maximum = NonZeroU16::new(WINDOW).unwrap();
    settings.max_inflight = NonZeroU16::new(WINDOW).unwrap();
    settings.max_subscriptions = NonZeroU32::new(3).unwrap();
    let settings = Arc::new(settings);
    let mut now = *START;
    let mut image = None;
    for connection in bytes.split_inclusive(|byte| *byte == 0xFF) {
        let mut driver = Driver::new(&settings, now, image.take());
        driver.converse(connection);
        now = driver.now;
        image = driver.session.leave().map(|remains| remains.image).or(driver.image);
    }
}

/// One connection, and the broker that it has to do with.
struct Driver {
    session: Session,
    output: Output,
    client: Client,
    now: Now,
    /// What an earlier connection left.
    image: Option<Image>,
    /// By which the broker decides.
    choice: u8,
    is_closed: bool,
}

impl Driver {
    fn new(settings: &Arc<Settings>, now: Now, image: Option<Image>) -> Self {
        Self {
            session: Session::new(Arc::clone(settings)),
            output: Output::default(),
            client: Client::default(),
            now,
            image,
            choice: 0,
            is_closed: false,
        }
    }

    fn converse(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            match next_frame(rest, LIMIT) {
                Ok(Some(frame)) => {
                    self.on_frame(frame, rest);
                    rest = &rest[frame.size..];
                }
                Ok(None) => break,
                Err(error) => {
                    self.step(Input::Malformed { error, version: answer_version(rest) });
                    break;
                }
            }
        }
        self.step(match self.choice & 3 {
            0 => Input::End(ReasonCode::SessionTakenOver),
            1 => Input::End(ReasonCode::ServerShuttingDown),
            _ => Input::Lost,
        });
    }

    fn on_frame(&mut self, frame: Frame<'_>, bytes: &[u8]) {
        self.choice = frame.body.last().copied().unwrap_or_default();
        self.now = self.now.after(Duration::from_secs(u64::from(self.choice & 7)));
        if self.session.deadline().is_some_and(|deadline| deadline <= self.now.instant) {
            self.step(Input::Tick);
        }
        match frame.decode(self.session.version().unwrap_or(Version::V5)) {
            Ok(packet) => {
                if !self.is_closed {
                    self.client.say(&packet);
                }
                self.step(Input::Packet(packet));
            }
            Err(error) => self.step(Input::Malformed { error, version: answer_version(bytes) }),
        }
        if self.choice == 0x5A {
            let is_allowed = |message: &Message| message.payload.len().is_multiple_of(2);
            self.session.forget_unsent(is_allowed, &mut Vec::new());
        }
    }

    /// One step, and all that comes of it.
    fn step(&mut self, input: Input<'_>) {
        self.session.step(self.now, input, &mut self.output);
        self.listen();
        while !self.output.actions.is_empty() {
            for action in std::mem::take(&mut self.output.actions) {
                self.perform(action);
                self.listen();
            }
        }
    }

    fn listen(&mut self) {
        assert!(!self.is_closed || self.output.bytes.is_empty(), "said after the last word");
        self.client.hear(&std::mem::take(&mut self.output.bytes));
    }

    fn perform(&mut self, action: Action) {
        assert!(!self.is_closed, "{action:?} after the end");
        match action {
            Action::Progress(_) | Action::Released(_) => {}
            Action::Identify(request) => self.identify(&request),
            Action::Authenticate { data } => {
                let data = data.map_or_else(Vec::new, |data| data.expose().to_vec());
                match (self.choice & 3, self.session.deadline()) {
                    (0, _) => self.answer(Input::Challenge { data }),
                    (_, Some(_)) => self.answer(Input::Authenticated { data }),
                    (_, None) => self.let_in(Some(data)),
                }
            }
            Action::Reauthenticate { .. } => {
                self.answer(match self.choice & 3 {
                    0 => Input::Challenge { data: vec![self.choice; self.choice.into()] },
                    1 => Input::End(ReasonCode::NotAuthorized),
                    _ => Input::Authenticated { data: Vec::new() },
                });
            }
            Action::Publish { message, packet_id } => {
                if let Some(packet_id) = packet_id {
                    let reason = match self.choice {
                        0xED => ReasonCode::NotAuthorized,
                        0xEE => ReasonCode::QuotaExceeded,
                        _ => ReasonCode::Success,
                    };
                    self.answer(Input::Published { packet_id, reason });
                }
                let message = Outbound {
                    retain: message.retain,
                    message,
                    qos: QoS::AtMostOnce,
                    subscription_ids: (1..=u32::from(self.choice & 3)).collect(),
                    share: None,
                    kept: None,
                    was_sent: false,
                };
                self.deliver(&message);
            }
            Action::Subscribe { packet_id, requests: mut outcomes } => {
                if self.choice & 0x80 != 0
                    && let Some(first) = outcomes.first_mut()
                {
                    *first = Err(ReasonCode::NotAuthorized);
                }
                self.answer(Input::Subscribed { packet_id, outcomes });
            }
            Action::Close(_) => self.is_closed = true,
            Action::Unsubscribe(_) | Action::Dropped(_) => {}
        }
    }

    /// As [`Self::step`], while there are still actions to be performed.
    fn answer(&mut self, input: Input<'_>) {
        self.session.step(self.now, input, &mut self.output);
    }

    fn identify(&mut self, request: &ConnectRequest) {
        if request.clean_start {
            self.image = None;
        }
        match (self.choice, &request.authentication) {
            (0xEE, _) => {
                let refusal = Refusal::new(ReasonCode::NotAuthorized, "not allowed");
                self.answer(Input::Refused(refusal));
            }
            (_, Some(authentication)) if self.choice & 1 == 1 => {
                let data = authentication.data.as_ref().map_or(&[][..], |data| data.expose());
                self.answer(Input::Challenge { data: data.to_vec() });
            }
            (_, authentication) => self.let_in(authentication.as_ref().map(|_| Vec::new())),
        }
    }

    fn let_in(&mut self, authentication_data: Option<Vec<u8>>) {
        let identified = Identified {
            client_id: ClientId::new("fuzz"),
            assigned: self.choice & 2 == 0,
            key: SessionKey(1),
            is_durable: false,
            resumed: self.image.take(),
            authentication_data,
            settings: None,
        };
        self.answer(Input::Identified(Box::new(identified)));
    }

    /// With each QoS, as far as the client takes it.
    fn deliver(&mut self, message: &Outbound) {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            if qos == QoS::AtMostOnce || self.session.window() > 0 {
                self.answer(Input::Deliver(Outbound { qos, ..message.clone() }));
            }
        }
    }
}

/// What a client knows, and holds what it is sent against.
#[derive(Default)]
struct Client {
    version: Option<Version>,
    receive_maximum: usize,
    maximum_packet_size: Option<usize>,
    alias_maximum: u16,
    aliases: HashMap<NonZeroU16, String>,
    /// QoS 1 and 2 messages that were sent on this connection and that the client is not done with.
    in_flight: HashSet<PacketId>,
    is_answered: bool,
    is_over: bool,
}

impl Client {
    fn say(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Connect(connect) if self.version.is_none() => self.connect(connect),
            Packet::PubAck(ack) | Packet::PubComp(ack) => {
                self.in_flight.remove(&ack.packet_id);
            }
            Packet::PubRec(ack) if ack.reason.is_error() => {
                self.in_flight.remove(&ack.packet_id);
            }
            _ => {}
        }
    }

    fn connect(&mut self, connect: &Connect<'_>) {
        let properties = &connect.properties;
        self.version = Some(connect.version);
        self.receive_maximum = properties.receive_maximum.map_or(65_535, |it| it.get().into());
        self.maximum_packet_size = properties.maximum_packet_size.map(|size| size.get() as usize);
        self.alias_maximum = properties.topic_alias_maximum.unwrap_or_default();
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let frame = next_frame(bytes, usize::MAX).expect("a packet").expect("all of it");
            let version = self.version.or(answered_version(frame)).unwrap_or(Version::V5);
            let packet = frame.decode(version).expect("a packet of its version");
            assert!(self.maximum_packet_size.is_none_or(|most| frame.size <= most), "{packet:?}");
            assert!(!self.is_over, "{packet:?} after DISCONNECT");
            self.take(packet, version);
            bytes = &bytes[frame.size..];
        }
    }

    fn take(&mut self, packet: Packet<'_>, version: Version) {
        match packet {
            Packet::ConnAck(_) => {
                assert!(!std::mem::replace(&mut self.is_answered, true), "a second CONNACK");
                return;
            }
            Packet::Auth(_) => return assert_eq!(version, Version::V5),
            Packet::Disconnect(_) => {
                assert_eq!(version, Version::V5);
                self.is_over = true;
            }
            Packet::Publish(publish) => {
                self.resolve(publish.topic.map(|topic| topic.as_str()), publish.topic_alias);
                if let Delivery::AtLeastOnce(id) | Delivery::ExactlyOnce(id) = publish.delivery {
                    assert!(self.in_flight.insert(id), "{id:?} is in use");
                    assert!(self.in_flight.len() <= self.receive_maximum.min(WINDOW.into()));
                }
            }
            Packet::PubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => {}
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq => {
                panic!("{packet:?} from a server")
            }
        }
        assert!(self.is_answered, "a packet before CONNACK");
    }

    /// An alias is one that the client allows, and known before it is used.
    fn resolve(&mut self, topic: Option<&str>, alias: Option<NonZeroU16>) {
        assert!(alias.is_none_or(|alias| alias.get() <= self.alias_maximum), "{alias:?}");
        match (topic, alias) {
            (Some(topic), Some(alias)) => drop(self.aliases.insert(alias, topic.to_owned())),
            (None, Some(alias)) => assert!(self.aliases.contains_key(&alias), "{alias}"),
            (Some(_), None) => {}
            (None, None) => panic!("a message without a topic"),
        }
    }
}

/// A CONNECT that could not be read is answered in what it seemed to speak: 3.x says it in 2 bytes.
fn answered_version(frame: Frame<'_>) -> Option<Version> {
    (frame.body.len() == 2).then_some(Version::V311)
}
