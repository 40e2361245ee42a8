//! The protocol of one client, without I/O: packets and answers in, bytes and requests out.
//!
//! A [`Session`] knows MQTT and nothing of users, keys or rates. It never waits, and never reads a
//! clock: [`Session::step`] takes one [`Input`] and appends to an [`Output`] what must now happen.
//! Acknowledgements follow the broker's answers, so that refusal and durability are one mechanism.

mod action;
mod authentication;
mod farewell;
mod handshake;
mod in_flight;
mod inbound;
mod input;
mod lifetime;
mod offer;
mod outbound;
mod settings;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

pub use action::{
    Action, Actions, AuthenticationRequest, Closed, ConnectRequest, Dropped, Output, Progress,
    SentAs, Stage, SubscribeRequest, Will,
};
pub use in_flight::{InFlight, Unfinished};
pub use inbound::Received;
pub use input::{Identified, Input, Outbound, Refusal};
pub use lifetime::SessionExpiry;
pub use settings::{Redirect, Settings};
pub use subscriptions::{Granted, Subscriptions};

use self::authentication::{Answer, Authentication};
use self::farewell::LastWord;
use self::handshake::Handshake;
use self::inbound::Inbound;
use self::lifetime::Lifetime;
use self::outbound::Sender;
use crate::clock::Now;
use crate::codec::{Packet, PacketId, ReasonCode, SubAck, Subscribe, Version};
use crate::message::Message;

/// The protocol state of one connection, and of the session that it serves.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    state: State,
}

#[derive(Debug)]
enum State {
    AwaitingConnect,
    Identifying(Box<Handshake>),
    Live(Box<Live>),
    /// It has said its last word, and waits to be left.
    Closing(Box<Live>),
    Closed,
}

/// What a session is while its client is connected.
#[derive(Debug)]
struct Live {
    version: Version,
    inbound: Inbound,
    sender: Sender,
    subscriptions: Subscriptions,
    lifetime: Lifetime,
    /// Where the client proves who it is by a method.
    authentication: Option<Authentication>,
}

/// What of a session outlives its connection: the Session State of the standard (5.0 section 4.1),
/// less the messages that wait in its mailbox.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// QoS 2 messages received and not released.
    pub received: Received,
    /// QoS 1 and 2 messages sent and not acknowledged.
    pub in_flight: InFlight,
    /// Its subscriptions.
    pub subscriptions: Subscriptions,
}

/// What a connection leaves when it ends.
#[derive(Debug)]
pub struct Remains {
    /// The session.
    pub image: Image,
    /// How long to keep it.
    pub expiry: SessionExpiry,
    /// The will, unless the client took it along.
    pub will: Option<Box<Will>>,
}

impl Session {
    /// A connection that has not said anything yet.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self { settings, state: State::AwaitingConnect }
    }

    /// Takes one input, and appends what must now happen. After [`Action::Close`] nothing happens
    /// any more; answers that are still owed are remembered until [`Self::leave`].
    pub fn step(&mut self, now: Now, input: Input<'_>, output: &mut Output) {
        match &mut self.state {
            State::AwaitingConnect => self.await_connect(now, input, output),
            State::Identifying(_) => self.identify(now, input, output),
            State::Live(live) => {
                if let Err(closed) = live.step(now, input, &self.settings, output) {
                    live.say_farewell(closed, &self.settings, output);
                    self.end(closed, output);
                }
            }
            State::Closing(live) => live.take_late_answer(input),
            State::Closed => {}
        }
    }

    /// What it keeps to, and has announced.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When [`Input::Tick`] is due, once the client is connected.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Live(live) => Some(live.lifetime.deadline()),
            _ => None,
        }
    }

    /// The protocol version, once CONNECT has said it.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match &self.state {
            State::Identifying(handshake) => Some(handshake.version),
            State::Live(live) | State::Closing(live) => Some(live.version),
            State::AwaitingConnect | State::Closed => None,
        }
    }

    /// How many QoS 1 and 2 messages the client takes now.
    #[must_use]
    pub fn window(&self) -> usize {
        match &self.state {
            State::Live(live) => live.sender.window(),
            _ => 0,
        }
    }

    /// How many QoS 1 and 2 messages the client has not acknowledged.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        match &self.state {
            State::Live(live) => live.sender.in_flight.len(),
            _ => 0,
        }
    }

    /// Takes the client for heard: it may have said something while nobody listened.
    pub fn excuse_silence(&mut self, now: Instant) {
        if let State::Live(live) = &mut self.state {
            live.lifetime.heard(now);
        }
    }

    /// Forgets the messages of an earlier connection that wait to be sent again and that the client
    /// may no longer receive; says how many they were, and adds to `progress` what has become of them.
    pub fn forget_unsent(
        &mut self,
        is_allowed: impl Fn(&Message) -> bool,
        progress: &mut Vec<Progress>,
    ) -> usize {
        match &mut self.state {
            State::Live(live) => live.sender.forget_unsent(is_allowed, progress),
            _ => 0,
        }
    }

    /// Its subscriptions, once the client is connected.
    #[must_use]
    pub fn subscriptions(&self) -> Option<&Subscriptions> {
        match &self.state {
            State::Live(live) => Some(&live.subscriptions),
            _ => None,
        }
    }

    /// As [`Self::subscriptions`], for who takes some of them back.
    pub fn subscriptions_mut(&mut self) -> Option<&mut Subscriptions> {
        match &mut self.state {
            State::Live(live) => Some(&mut live.subscriptions),
            _ => None,
        }
    }

    /// How long it is to be kept without a connection, as its client has said by now.
    #[must_use]
    pub fn expiry(&self) -> Option<SessionExpiry> {
        match &self.state {
            State::Live(live) => Some(live.lifetime.session_expiry()),
            _ => None,
        }
    }

    /// The will of its client, once that is connected.
    #[must_use]
    pub fn will(&self) -> Option<&Will> {
        match &self.state {
            State::Live(live) => live.lifetime.will.as_deref(),
            _ => None,
        }
    }

    /// Ends the connection, and gives what outlives it; nothing where no client was let in.
    #[must_use]
    pub fn leave(&mut self) -> Option<Remains> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Live(live) | State::Closing(live) => Some(live.remains()),
            _ => None,
        }
    }

    fn await_connect(&mut self, now: Now, input: Input<'_>, output: &mut Output) {
        let closed = match input {
            Input::Packet(Packet::Connect(connect)) => {
                match Handshake::begin(&connect, &self.settings, now) {
                    Ok((handshake, request)) => {
                        self.state = State::Identifying(Box::new(handshake));
                        output.actions.push(Action::Identify(Box::new(request)));
                        return;
                    }
                    Err(closed) => {
                        let limit = outbound::maximum_packet_size(&connect.properties);
                        let version = connect.version;
                        let refusal =
                            farewell::refusal_of_connect(closed, &self.settings, version, limit);
                        output.send_any(refusal, version);
                        closed
                    }
                }
            }
            Input::Packet(_) => violation("the first packet is not CONNECT"),
            Input::Malformed { error, version } => {
                let closed = Closed::Malformed(error);
                if let Some(version) = version {
                    let settings = &self.settings;
                    let refusal =
                        farewell::refusal_of_connect(closed, settings, version, usize::MAX);
                    output.send_any(refusal, version);
                }
                closed
            }
            Input::End(reason) => Closed::ByBroker(reason),
            _ => Closed::Lost,
        };
        self.close(closed, output);
    }

    fn identify(&mut self, now: Now, input: Input<'_>, output: &mut Output) {
        let State::Identifying(mut handshake) = std::mem::replace(&mut self.state, State::Closed)
        else {
            return;
        };
        match input {
            Input::Identified(mut identified) => {
                if let Some(settings) = identified.settings.take() {
                    handshake.sender.narrow(&settings);
                    self.settings = settings;
                }
                let welcome = handshake.welcome(&identified, &self.settings);
                let mut live = Box::new(Live::new(*handshake, *identified, &self.settings));
                match welcome {
                    Some(welcome) => {
                        output.send(&welcome, live.version);
                        live.lifetime.heard(now.instant);
                        live.sender.resend(now.instant, output);
                        self.state = State::Live(live);
                    }
                    None => self.turn_away(live, output),
                }
            }
            Input::Refused(Refusal { reason, text }) => {
                let refusal = handshake.refusal(LastWord::new(reason, text, &self.settings));
                output.send_any(refusal, handshake.version);
                self.close(Closed::Refused(reason), output);
            }
            Input::End(reason) => {
                let word = LastWord::new(reason, Cow::Borrowed(""), &self.settings);
                let refusal = handshake.refusal(word);
                output.send_any(refusal, handshake.version);
                self.close(Closed::ByBroker(reason), output);
            }
            input => match handshake.step(input, output) {
                Ok(()) => self.state = State::Identifying(handshake),
                Err(closed) => {
                    let limit = handshake.sender.maximum_packet_size();
                    let version = handshake.version;
                    let refusal =
                        farewell::refusal_of_connect(closed, &self.settings, version, limit);
                    output.send_any(refusal, version);
                    self.close(closed, output);
                }
            },
        }
    }

    /// Its client was to be let in, but cannot be told so: the session waits for a better one.
    fn turn_away(&mut self, mut live: Box<Live>, output: &mut Output) {
        let reason = ReasonCode::PacketTooLarge;
        let limit = live.sender.maximum_packet_size();
        let word = LastWord::new(reason, Cow::Borrowed(""), &self.settings);
        let refusal = farewell::refusal(word, live.version, limit);
        output.send_any(refusal, live.version);
        live.lifetime.will = None;
        self.state = State::Closing(live);
        output.actions.push(Action::Close(Closed::Refused(reason)));
    }

    fn close(&mut self, closed: Closed, output: &mut Output) {
        self.state = State::Closed;
        output.actions.push(Action::Close(closed));
    }

    /// As [`Self::close`], where there is a client and so something to leave.
    fn end(&mut self, closed: Closed, output: &mut Output) {
        if let State::Live(live) = std::mem::replace(&mut self.state, State::Closed) {
            self.state = State::Closing(live);
        }
        output.actions.push(Action::Close(closed));
    }
}

impl Live {
    fn new(handshake: Handshake, mut identified: Identified, settings: &Settings) -> Self {
        let Handshake { version, mut sender, mut lifetime, mut authentication, .. } = handshake;
        if let Some(authentication) = &mut authentication {
            authentication.end();
        }
        if let Some(will) = &mut lifetime.will {
            // A will is its client's own message, for the No Local option.
            will.message.publisher = Some(identified.key);
        }
        let image = identified.resumed.take().unwrap_or_default();
        sender.resume(image.in_flight);
        Self {
            version,
            inbound: Inbound::new(version, &identified, settings, image.received),
            sender,
            subscriptions: image.subscriptions,
            lifetime,
            authentication,
        }
    }

    fn step(
        &mut self,
        now: Now,
        input: Input<'_>,
        settings: &Settings,
        output: &mut Output,
    ) -> Result<(), Closed> {
        match input {
            Input::Packet(packet) => self.on_packet(now, packet, settings, output),
            Input::Deliver(outbound) => {
                self.sender.deliver(outbound, now.instant, output);
                Ok(())
            }
            Input::Challenge { data } => self.answer_auth(Answer::Challenge, data, output),
            Input::Authenticated { data } => self.answer_auth(Answer::Success, data, output),
            Input::Published { packet_id, reason } => {
                self.inbound.on_published(packet_id, reason, output)
            }
            Input::Subscribed { packet_id, outcomes } => {
                self.subscriptions.on_subscribed(packet_id, outcomes, self.version, output);
                Ok(())
            }
            Input::Malformed { error, .. } => Err(Closed::Malformed(error)),
            Input::End(reason) => Err(Closed::ByBroker(reason)),
            Input::Lost => Err(Closed::Lost),
            Input::Tick if self.lifetime.deadline() <= now.instant => Err(Closed::KeepAlive),
            Input::Tick | Input::Identified(_) | Input::Refused(_) => Ok(()),
        }
    }

    fn on_packet(
        &mut self,
        now: Now,
        packet: Packet<'_>,
        settings: &Settings,
        output: &mut Output,
    ) -> Result<(), Closed> {
        self.lifetime.heard(now.instant);
        match packet {
            Packet::Publish(publish) => {
                offer::check_message(settings, publish.delivery.qos(), publish.retain)?;
                self.inbound.on_publish(publish, now.instant, output)
            }
            Packet::PubRel(ack) => self.inbound.on_release(ack.packet_id, output),
            Packet::PubAck(ack) => {
                let result = self.sender.on_acknowledged(&ack, output);
                self.after_acknowledgement(result, now, output)
            }
            Packet::PubRec(ack) => {
                let result = self.sender.on_received(&ack, output);
                self.after_acknowledgement(result, now, output)
            }
            Packet::PubComp(ack) => {
                let result = self.sender.on_completed(&ack, output);
                self.after_acknowledgement(result, now, output)
            }
            Packet::Subscribe(subscribe) => self.on_subscribe(&subscribe, settings, output),
            Packet::Unsubscribe(packet) => {
                self.check_answer(packet.packet_id, packet.filters.len())?;
                self.subscriptions.on_unsubscribe(&packet, self.version, output);
                Ok(())
            }
            Packet::PingReq => {
                output.send(&Packet::PingResp, self.version);
                Ok(())
            }
            Packet::Disconnect(disconnect) => {
                self.lifetime.on_disconnect(&disconnect)?;
                Err(Closed::ByClient(disconnect.reason))
            }
            Packet::Connect(_) => Err(violation("a second CONNECT")),
            Packet::Auth(auth) => {
                output.actions.push(authentication::on_auth(&mut self.authentication, &auth)?);
                Ok(())
            }
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                Err(violation("a packet that only a server sends"))
            }
        }
    }

    fn answer_auth(
        &mut self,
        answer: Answer,
        data: Vec<u8>,
        output: &mut Output,
    ) -> Result<(), Closed> {
        let Some(authentication) = &mut self.authentication else { return Ok(()) };
        let limit = self.sender.maximum_packet_size();
        let packet = authentication.answer(answer, data, limit)?;
        output.send_any(packet, self.version);
        Ok(())
    }

    /// An acknowledgement opens the window for what waits to be sent again.
    fn after_acknowledgement(
        &mut self,
        result: Result<(), Closed>,
        now: Now,
        output: &mut Output,
    ) -> Result<(), Closed> {
        result?;
        self.sender.resend(now.instant, output);
        Ok(())
    }

    fn on_subscribe(
        &mut self,
        packet: &Subscribe<'_>,
        settings: &Settings,
        output: &mut Output,
    ) -> Result<(), Closed> {
        let has_no_local_share = packet
            .filters
            .iter()
            .any(|(filter, options)| options.no_local && filter.share().is_some());
        if has_no_local_share {
            return Err(violation("No Local on a shared subscription"));
        }
        if self.version == Version::V5 {
            offer::check_subscribe(settings, packet)?;
        }
        self.check_answer(packet.packet_id, packet.filters.len())?;
        self.subscriptions.on_subscribe(packet, settings, output);
        Ok(())
    }

    /// SUBACK and UNSUBACK cannot be cut short: a client that would not take the one that it asks for
    /// must not get it `[MQTT-3.1.2-24]`.
    fn check_answer(&self, packet_id: PacketId, filters: usize) -> Result<(), Closed> {
        let limit = self.sender.maximum_packet_size();
        let size = || {
            let reasons = vec![ReasonCode::Success; filters];
            Packet::SubAck(SubAck::new(packet_id, reasons)).encoded_size(self.version)
        };
        if limit == usize::MAX || size() <= limit {
            return Ok(());
        }
        Err(Closed::Violation {
            reason: ReasonCode::PacketTooLarge,
            what: "more filters than the client's maximum packet size has room to answer",
        })
    }

    /// What the broker has done by now is done, though nobody hears of it any more.
    fn take_late_answer(&mut self, input: Input<'_>) {
        let mut unheard = Output::default();
        match input {
            Input::Published { packet_id, reason } => {
                // The connection has ended: it cannot end once more.
                let _ = self.inbound.on_published(packet_id, reason, &mut unheard);
            }
            Input::Subscribed { packet_id, outcomes } => {
                self.subscriptions.on_subscribed(packet_id, outcomes, self.version, &mut unheard);
            }
            _ => {}
        }
    }

    /// 3.x has no farewell: its connections just end.
    fn say_farewell(&self, closed: Closed, settings: &Settings, output: &mut Output) {
        if self.version == Version::V5 {
            let limit = self.sender.maximum_packet_size();
            output.send_any(farewell::disconnect(closed, settings, limit), self.version);
        }
    }

    fn remains(self) -> Remains {
        Remains {
            expiry: self.lifetime.session_expiry(),
            will: self.lifetime.will,
            image: Image {
                received: self.inbound.received,
                in_flight: self.sender.in_flight,
                subscriptions: self.subscriptions,
            },
        }
    }
}

fn violation(what: &'static str) -> Closed {
    Closed::Violation { reason: ReasonCode::ProtocolError, what }
}
