//! Devices of five kinds, and how they live from day to day.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::super::{Event, Kind};
use crate::identity::{ClientId, Principal};

pub(super) const MINUTE: u64 = 60;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// What a device is, and how it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    /// Sleeps, and wakes every twenty minutes to say one thing.
    Sensor,
    /// Always there; says something every quarter of an hour, and retains it.
    Meter,
    /// On the road: loses its network and comes again from another one, sometimes before that was noticed.
    Tracker,
    /// Speaks all the time for many devices, by day three times as much as by night.
    Gateway,
    /// A person with an app, in an office with one address: mistypes its password, looks at what is
    /// everybody's, asks for what it may not have.
    App,
}

pub(super) struct Device {
    pub(super) number: u32,
    pub(super) sort: Sort,
    principal: Principal,
    client: ClientId,
    address: IpAddr,
    topics: Vec<Arc<str>>,
    pub(super) is_inside: bool,
    /// In seconds since midnight.
    pub(super) acts_at: u64,
}

/// Numbers that are the same in every run (Marsaglia's xorshift).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    pub(super) fn is_one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    /// Something about `usual`, up to a fifth more or less.
    fn about(&mut self, usual: u64) -> u64 {
        usual * (80 + self.roll(41)) / 100
    }
}

impl Sort {
    fn of(number: u32) -> Self {
        match number {
            0..4_000 => Self::Sensor,
            4_000..7_500 => Self::Meter,
            7_500..9_000 => Self::Tracker,
            9_000..9_020 => Self::Gateway,
            _ => Self::App,
        }
    }

    fn pause(self, is_day: bool) -> u64 {
        match self {
            Self::Sensor => 20 * MINUTE,
            Self::Meter => 15 * MINUTE,
            Self::Tracker => 10 * MINUTE,
            Self::Gateway => MINUTE,
            Self::App if is_day => 12 * MINUTE,
            Self::App => 3 * HOUR,
        }
    }

    /// Messages in a minute in which it says anything.
    fn messages(self, is_day: bool) -> u64 {
        match self {
            Self::Sensor | Self::Meter => 1,
            Self::Tracker | Self::App => 5,
            Self::Gateway if is_day => 900,
            Self::Gateway => 300,
        }
    }
}

impl Device {
    pub(super) fn new(number: u32, dice: &mut Dice) -> Self {
        let sort = Sort::of(number);
        let address = match sort {
            Sort::App => 0xc633_6400 + number % 24,
            _ => 0x0a00_0000 + number * 97,
        };
        let topics = match sort {
            Sort::Gateway => {
                (0..6).map(|room| format!("building/{room}/{number}").into()).collect()
            }
            _ => vec![format!("device/{number}/state").into()],
        };
        Self {
            number,
            sort,
            principal: Principal::User(format!("user-{number}").into()),
            client: ClientId::new(&format!("client-{number}")),
            address: Ipv4Addr::from_bits(address).into(),
            topics,
            is_inside: false,
            acts_at: dice.roll(sort.pause(false)),
        }
    }

    pub(super) fn event(&self, kind: Kind, reason: &'static str) -> Event {
        Event {
            principal: Some(self.principal.clone()),
            client: Some(self.client.clone()),
            address: Some(self.address),
            topic: self.topics.first().cloned(),
            ..Event::new(kind, reason)
        }
    }

    /// What becomes of its connections before anybody has said who it is: a bad network, a clock or certificates
    /// that are wrong for a day, a port that is not this one's.
    fn knock(&self, dice: &mut Dice, events: &mut Vec<Event>) {
        let mut refused = |reason, times| {
            let address = Some(self.address);
            events.push(Event { address, times, ..Event::new(Kind::ConnectionRefused, reason) });
        };
        match self.sort {
            Sort::Tracker if dice.is_one_in(20) => refused("handshake_timeout", 1),
            Sort::Tracker if dice.is_one_in(50) => refused("connect_timeout", 1),
            Sort::Sensor if dice.is_one_in(500) => refused("tls_handshake", 20),
            Sort::App if dice.is_one_in(100) => refused("websocket_handshake", 3),
            Sort::App if dice.is_one_in(1_000) => refused("protocol", 2),
            _ => {}
        }
    }

    /// What it does `now`.
    pub(super) fn act(&mut self, now: u64, dice: &mut Dice, events: &mut Vec<Event>) {
        let is_day = (7 * HOUR..20 * HOUR).contains(&now);
        if !self.is_inside {
            self.knock(dice, events);
            self.enter(dice, events);
        }
        for topic in self.topics.clone() {
            let on = |event| Event { topic: Some(Arc::clone(&topic)), ..event };
            let messages = dice.about(self.sort.messages(is_day) * 100) / 100;
            let number = messages.max(1) as f64;
            events.push(on(Event { number, ..self.event(Kind::Published, "") }));
            let number = dice.about(200) as f64;
            events.push(on(Event { number, ..self.event(Kind::Payload, "") }));
        }
        self.err(dice, events);
        self.leave(dice, events);
        self.acts_at = now + dice.about(self.sort.pause(is_day));
    }

    fn enter(&mut self, dice: &mut Dice, events: &mut Vec<Event>) {
        if self.sort == Sort::App && dice.is_one_in(20) {
            let mistakes = 1 + dice.roll(3);
            events.extend((0..mistakes).map(|_| self.event(Kind::LoginRefused, "credentials")));
        }
        events.push(self.event(Kind::Connected, "resumed"));
        match self.sort {
            Sort::Sensor => {}
            Sort::App => events.push(self.event(Kind::Subscribed, "narrow")),
            Sort::Meter | Sort::Tracker | Sort::Gateway => {
                events.push(self.event(Kind::Subscribed, "topic"));
            }
        }
        self.is_inside = true;
    }

    /// What is not as it should be, and is every day.
    fn err(&self, dice: &mut Dice, events: &mut Vec<Event>) {
        match self.sort {
            Sort::Meter => events.push(self.event(Kind::Overwritten, "")),
            Sort::App if dice.is_one_in(20) => self.look_around(dice, events),
            Sort::Gateway if dice.is_one_in(50) => {
                events.push(Event { times: 20, ..self.event(Kind::Throttled, "messages_in") });
            }
            Sort::Gateway if dice.is_one_in(50) => {
                events.push(self.event(Kind::Violation, "packet_too_large"));
            }
            Sort::Tracker if dice.is_one_in(200) => {
                events.push(self.event(Kind::Malformed, "malformed_packet"));
                events.push(self.event(Kind::Violation, "protocol_error"));
                events.push(self.event(Kind::Violation, "send_timeout"));
            }
            Sort::Sensor if dice.is_one_in(5_000) => {
                events.push(self.event(Kind::ClockSkew, "behind"));
                events.push(self.event(Kind::EnvelopeRefused, "expired"));
            }
            // An acknowledgement was lost, and what was sealed before is sent as something new.
            Sort::Sensor if dice.is_one_in(300) => {
                events.push(self.event(Kind::EnvelopeRefused, "replayed"));
            }
            Sort::Sensor if dice.is_one_in(3_000) => {
                events.push(self.event(Kind::EnvelopeRefused, "bad_tag"));
            }
            _ => {}
        }
    }

    /// An app that asks for what others of its kind may have: some topics, one after the other.
    fn look_around(&self, dice: &mut Dice, events: &mut Vec<Event>) {
        for other in 0..1 + dice.roll(8) {
            let topic = Some(format!("office/{}/{other}", self.number).into());
            let reason = if other == 7 { "publish" } else { "subscribe" };
            events.push(Event { topic, ..self.event(Kind::Denied, reason) });
        }
    }

    fn leave(&mut self, dice: &mut Dice, events: &mut Vec<Event>) {
        let why = match self.sort {
            Sort::Sensor => Some("by_client"),
            Sort::App => dice.is_one_in(4).then_some("by_client"),
            Sort::Tracker => dice.is_one_in(10).then_some("lost"),
            Sort::Meter | Sort::Gateway => dice.is_one_in(200).then_some("keep_alive"),
        };
        let Some(why) = why else { return };
        self.is_inside = false;
        if self.sort == Sort::Tracker {
            self.address = Ipv4Addr::from_bits(0x6440_0000 + dice.roll(1 << 16) as u32).into();
            if dice.is_one_in(3) {
                events.push(self.event(Kind::TakenOver, ""));
                return;
            }
        }
        events.push(self.event(Kind::Disconnected, why));
        if why != "by_client" {
            events.push(self.event(Kind::Will, ""));
        }
    }
}
