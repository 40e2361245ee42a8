//! A broker, its clients and the oracle: each step is taken by all of them.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;

use super::super::driver::{OPEN, broker_that_speaks, policy};
use super::checks;
use super::ledger::Sent;
use super::oracle::{Oracle, Rules, Subscription};
use super::peer::{Peer, QUOTA};
use super::step::{Content, Ending, Hello, Name, Step, VERSIONS};
use super::wire::{self, Heard, Published, Wire, version};
use crate::auth::PasswordFile;
use crate::broker::{Broker, Settings, ShareStrategy};
use crate::clock::Now;
use crate::codec::{Ack, Delivery, Disconnect, Packet, ReasonCode, SubscriptionOptions, Version};
use crate::message::QoS;
use crate::session;

pub(super) struct World {
    broker: Arc<Broker>,
    began: Now,
    oracle: Oracle,
    peers: Vec<Peer>,
    /// Counts the messages that had an identifier.
    carried: u64,
    subscription_ids: std::ops::RangeFrom<u32>,
}

/// The client that looks at the end.
const AUDITOR: Name = VERSIONS.len();

impl World {
    pub(super) fn new(shared_subscriptions: ShareStrategy) -> Self {
        let receive_maximum = u16::try_from(QUOTA).ok().and_then(std::num::NonZeroU16::new);
        let mqtt = session::Settings {
            receive_maximum: receive_maximum.expect("not 0"),
            ..session::Settings::default()
        };
        let settings = Settings { shared_subscriptions, ..Settings::default() };
        Self {
            broker: broker_that_speaks(mqtt, settings, PasswordFile::default()),
            began: Now::read(),
            oracle: Oracle::new(),
            peers: (0..=AUDITOR).map(|_| Peer::default()).collect(),
            carried: 0,
            subscription_ids: 1..,
        }
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Connect(name, hello) => self.connect(name, hello),
            Step::Reload(rules) => self.reload(rules),
            Step::Pass(seconds) => self.pass(seconds),
            Step::End(name, _)
            | Step::Subscribe(name, ..)
            | Step::Unsubscribe(name, _)
            | Step::Publish(name, _)
            | Step::Read(name, _)
            | Step::Answer(name, _)
                if self.peers[name].wire.is_none() => {}
            Step::End(name, ending) => self.end(name, ending),
            Step::Subscribe(name, filter, subscription) => {
                self.subscribe(name, filter, subscription);
            }
            Step::Unsubscribe(name, filter) => self.unsubscribe(name, filter),
            Step::Publish(name, content) => self.publish(name, content),
            Step::Read(name, count) => self.read(name, count),
            Step::Answer(name, kind) => {
                self.answer(name, kind);
            }
        }
        checks::nothing_is_left_over(&self.broker, &self.oracle);
    }

    fn now(&self) -> Now {
        self.began.after(Duration::from_secs(self.oracle.now))
    }

    fn connect(&mut self, name: Name, mut hello: Hello) {
        let (now, version) = (self.now(), version(name));
        if let (Version::V311, Some(will)) = (version, &mut hello.will) {
            (will.delay, will.content.expiry) = (0, None);
        }
        let number = self.oracle.next_number();
        let mut earlier = self.peers[name].wire.take();
        let mut wire = wire::connect(name, version, &hello, number, |connect| {
            Wire::open(&self.broker, now, connect, version, || {
                if let Some(earlier) = &mut earlier {
                    earlier.client.obey(now);
                    assert!(earlier.client.is_closed());
                }
            })
        });
        let mut sent = wire.sent();
        if !self.oracle.lets_in(&hello) {
            assert!(matches!(sent[..], [Heard::TurnedAway(ReasonCode::NotAuthorized)]), "{sent:?}");
            assert!(wire.client.is_closed());
            self.peers[name].wire = earlier;
            return;
        }
        if let Some(mut earlier) = earlier {
            self.check_take_over(name, &mut earlier);
        }
        let is_resumed = self.oracle.connect(name, &hello, number);
        match sent.remove(0) {
            Heard::Welcome { is_resumed: said } => assert_eq!(said, is_resumed, "session present"),
            other => panic!("{other:?}"),
        }
        let receive_maximum = match version {
            Version::V5 => hello.receive_maximum.into(),
            _ => usize::from(u16::MAX),
        };
        self.peers[name].on_connected(wire, receive_maximum, is_resumed);
        self.note(name, sent);
        self.send_again(name);
    }

    /// The earlier connection is told why it ends; all else that was on its way is lost.
    fn check_take_over(&mut self, name: Name, earlier: &mut Wire) {
        let last = earlier.sent().pop();
        if version(name) == Version::V5 {
            let is_told = matches!(last, Some(Heard::SentAway(ReasonCode::SessionTakenOver)));
            assert!(is_told, "{last:?}");
        }
        self.peers[name].on_disconnected();
    }

    /// What the client has not had acknowledged `[MQTT-4.4.0-1]`.
    fn send_again(&mut self, name: Name) {
        for at in 0..self.peers[name].unacknowledged.len() {
            let sent = self.peers[name].unacknowledged[at];
            if sent.is_released {
                let release = Packet::PubRel(Ack::new(sent.packet_id, ReasonCode::Success));
                self.say(name, &release);
            } else {
                self.send(name, at, true);
            }
        }
    }

    fn end(&mut self, name: Name, ending: Ending) {
        let ending = self.possible(name, ending);
        let now = self.now();
        let mut wire = self.peers[name].wire.take().expect("it is connected");
        match ending {
            Ending::Lost => wire.client.on_lost(now),
            Ending::Violation => wire.say(now, &Packet::PingResp),
            Ending::Disconnect(session_expiry_interval) => {
                let normal = Disconnect::new(ReasonCode::Success);
                let farewell = Disconnect { session_expiry_interval, ..normal };
                wire.say(now, &Packet::Disconnect(farewell));
            }
            Ending::DisconnectWithWill => {
                let farewell = Disconnect::new(ReasonCode::DisconnectWithWill);
                wire.say(now, &Packet::Disconnect(farewell));
            }
        }
        assert!(wire.client.is_closed());
        self.peers[name].on_disconnected();
        self.oracle.end_connection(name, ending);
    }

    /// What the client may do: 3.1.1 has no reasons, and a session that was to end with its
    /// connection cannot be kept (5.0 section 3.14.2.2.2).
    fn possible(&self, name: Name, ending: Ending) -> Ending {
        match (version(name), ending) {
            (Version::V5, Ending::Disconnect(Some(_)))
                if self.oracle.ends_with_connection(name) =>
            {
                Ending::Disconnect(None)
            }
            (Version::V5, ending) => ending,
            (_, Ending::Disconnect(_)) => Ending::Disconnect(None),
            (_, Ending::DisconnectWithWill) => Ending::Lost,
            (_, ending) => ending,
        }
    }

    fn subscribe(&mut self, name: Name, filter: &'static str, subscription: Subscription) {
        let id = self.subscription_ids.next().filter(|_| version(name) == Version::V5);
        let subscription = Subscription { id, ..subscription };
        // The rules may forbid it, but not the state of the broker.
        let is_granted = self.oracle.subscribe(name, filter, subscription);
        let heard = self.ask(name, &wire::subscribe(filter, subscription));
        let wanted = match subscription.options.maximum_qos {
            _ if !is_granted && version(name) == Version::V5 => ReasonCode::NotAuthorized,
            _ if !is_granted => ReasonCode::UnspecifiedError,
            QoS::AtMostOnce => ReasonCode::Success,
            QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
            QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
        };
        assert!(matches!(&heard, Heard::SubAck(reasons) if *reasons == [wanted]), "{heard:?}");
    }

    fn unsubscribe(&mut self, name: Name, filter: &'static str) {
        let was_there = self.oracle.unsubscribe(name, filter);
        let heard = self.ask(name, &wire::unsubscribe(filter));
        let Heard::UnsubAck(reasons) = heard else { panic!("{heard:?}") };
        let wanted = match was_there {
            true => ReasonCode::Success,
            false => ReasonCode::NoSubscriptionExisted,
        };
        assert!(version(name) != Version::V5 || reasons == [wanted], "{reasons:?}");
    }

    fn publish(&mut self, name: Name, mut content: Content) {
        content.expiry = content.expiry.filter(|_| version(name) == Version::V5);
        let number = self.oracle.next_number();
        if content.qos == QoS::AtMostOnce {
            self.oracle.publish(name, number, content);
            let delivery = Delivery::AtMostOnce;
            wire::publish(content, number, delivery, false, |packet| self.say(name, packet));
        } else if self.peers[name].begin(number, content).is_some() {
            let last = self.peers[name].unacknowledged.len() - 1;
            self.send(name, last, false);
        }
    }

    /// QoS 1 is taken each time that it is sent; QoS 2 until it has been taken.
    fn send(&mut self, name: Name, at: usize, again: bool) {
        let sent = self.peers[name].unacknowledged[at];
        let (number, content) = (sent.number, sent.content);
        let is_taken = again && !sent.answer.is_error() && content.qos == QoS::ExactlyOnce;
        let answer = match is_taken {
            true => ReasonCode::Success,
            false => self.oracle.publish(name, number, content),
        };
        let answer = if version(name) == Version::V5 { answer } else { ReasonCode::Success };
        self.peers[name].unacknowledged[at].answer = answer;
        let delivery = match content.qos {
            QoS::ExactlyOnce => Delivery::ExactlyOnce(sent.packet_id),
            _ => Delivery::AtLeastOnce(sent.packet_id),
        };
        wire::publish(content, number, delivery, again, |packet| self.say(name, packet));
    }

    /// Says something that no packet but its answer follows from.
    fn ask(&mut self, name: Name, packet: &Packet<'_>) -> Heard {
        let now = self.now();
        let wire = self.peers[name].wire.as_mut().expect("it is connected");
        wire.say(now, packet);
        wire.sent().pop().expect("an answer")
    }

    fn say(&mut self, name: Name, packet: &Packet<'_>) {
        let now = self.now();
        let wire = self.peers[name].wire.as_mut().expect("it is connected");
        wire.say(now, packet);
        let sent = wire.sent();
        assert!(!wire.client.is_closed(), "the broker has sent a good client away: {sent:?}");
        self.note(name, sent);
    }

    /// Lets the broker send what it may, and reads `count` packets.
    fn read(&mut self, name: Name, count: usize) {
        let now = self.now();
        let wire = self.peers[name].wire.as_mut().expect("it is connected");
        wire.deliver(now);
        let sent = wire.sent();
        self.note(name, sent);
        for _ in 0..count {
            if let Some(debt) = self.peers[name].read() {
                let debt = &mut self.oracle.ledger.0[debt];
                debt.heard += 1;
                checks::it_is_heard_once(debt);
            }
        }
    }

    /// Whether there was something to answer.
    fn answer(&mut self, name: Name, kind: usize) -> bool {
        let Some((packet, done)) = self.peers[name].answer(kind) else { return false };
        if let Some(debt) = done {
            self.oracle.ledger.0[debt].is_acknowledged = true;
        }
        self.say(name, &packet);
        true
    }

    /// The broker has sent this just now: each message must be owed, and is then paid.
    fn note(&mut self, name: Name, sent: Vec<Heard>) {
        for heard in sent {
            let debt = match &heard {
                Heard::Message(message) => Some(self.pay(name, message)),
                _ => None,
            };
            self.peers[name].arriving.push_back((heard, debt));
        }
    }

    fn pay(&mut self, name: Name, message: &Published) -> usize {
        let (session, now) = (self.oracle.sessions[&name].id, self.oracle.now);
        let (peer, ledger) = (&mut self.peers[name], &mut self.oracle.ledger);
        checks::it_is_permitted(self.oracle.rules, name, message);
        if let Some(packet_id) = message.packet_id {
            checks::the_window_is_kept(peer, packet_id);
        }
        if message.dup {
            return checks::it_comes_again(peer, message, &ledger.0);
        }
        let Some(paid) = ledger.paid_by(session, message, now) else {
            panic!("{name} is sent what it is not owed: {message:?}")
        };
        checks::none_is_passed_over(&ledger.0, paid, session);
        ledger.0[paid].sent = Some(Sent { session, qos: message.qos });
        if let Some(packet_id) = message.packet_id {
            self.carried += 1;
            peer.carried.insert(packet_id, (self.carried, paid));
        }
        paid
    }

    fn reload(&mut self, rules: Rules) {
        self.oracle.reload(rules);
        self.broker.replace_policy(policy(rules.text()));
        let now = self.now();
        block_on(self.broker.judge_all(self.broker.registry.client_ids()));
        for wire in self.peers.iter_mut().filter_map(|peer| peer.wire.as_mut()) {
            wire.client.obey(now);
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.oracle.pass(seconds);
        let now = self.now().instant;
        self.broker.run_timers(now);
        self.broker.retained.remove_expired(now).now_or_never().expect("few messages");
    }

    /// Everybody may do everything, comes back, and reads and answers until nothing happens any
    /// more.
    pub(super) fn calm_down(&mut self) {
        self.reload(Rules::Open);
        let back = Hello { clean_start: false, expiry: 3_600, will: None, receive_maximum: 2 };
        for name in 0..AUDITOR {
            if self.oracle.sessions.contains_key(&name) && !self.oracle.is_here(name) {
                self.connect(name, back);
            }
        }
        while (0..AUDITOR).any(|name| self.is_busy(name)) {}
    }

    /// Reads and answers all that there is; whether there was anything.
    fn is_busy(&mut self, name: Name) -> bool {
        if self.peers[name].wire.is_none() {
            return false;
        }
        self.read(name, 0);
        let arriving = self.peers[name].arriving.len();
        self.read(name, arriving);
        let answers = (0..4).filter(|kind| self.answer(name, *kind)).count();
        arriving + answers > 0
    }

    pub(super) fn check(mut self) {
        checks::nothing_is_missing(&self.oracle.ledger.0);
        checks::nobody_waits(&self.peers);
        checks::the_retained_messages_are(&self.audit(), &self.oracle);
    }

    /// The retained messages, as a new client sees them.
    fn audit(&mut self) -> Vec<Published> {
        let hello = Hello { clean_start: true, expiry: 0, will: None, receive_maximum: 99 };
        let now = self.now();
        let mut wire = wire::connect(AUDITOR, Version::V5, &hello, 0, |connect| {
            Wire::open(&self.broker, now, connect, Version::V5, || {})
        });
        let options =
            SubscriptionOptions { maximum_qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
        wire.say(now, &wire::subscribe("#", Subscription { options, id: None }));
        wire.deliver(now);
        let message = |heard| match heard {
            Heard::Message(message) => Some(message),
            _ => None,
        };
        wire.sent().into_iter().filter_map(message).collect()
    }
}

impl Rules {
    fn text(self) -> &'static str {
        match self {
            Self::Open => OPEN,
            Self::NoSecrets => super::super::driver::NO_SECRETS,
            Self::Unreadable => {
                r##"
[[role]]
name = "most"
rules = [
  { allow = ["publish", "subscribe"], topics = ["#"] },
  { deny = ["subscribe"], topics = ["secret/#"] },
]
[[assign]]
everyone = true
roles = ["most"]
"##
            }
            Self::OneIsBlind => {
                r##"
[[role]]
name = "all"
rules = [{ allow = ["publish", "subscribe"], topics = ["#"] }]
[[role]]
name = "blind"
rules = [{ deny = ["subscribe"], topics = ["secret/#"] }]
[[assign]]
everyone = true
roles = ["all"]
[[assign]]
client_ids = ["c1"]
roles = ["blind"]
"##
            }
        }
    }
}
