//! One client at the broker, without its socket: bytes in, bytes out, and what they set going.

mod deadlines;
mod door;
mod held;
mod judgement;
mod publishing;
mod renewal;
mod report;
mod throttling;
mod timing;
mod traces;
mod watching;
mod written;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use self::held::Held;
use self::timing::Timed;
use self::traces::Traces;
use super::Broker;
use super::bell::Bell;
use super::counts::Received;
use super::gate::{Delivery, Gate};
use super::lease::Lease;
use super::login::Caller;
use super::parked::Stored;
use super::publish_memo::PublishMemo;
use super::retained_backlog::Next;
use super::review::Review;
use super::round::Round;
use super::seat::{Order, Seat};
use super::throttles::{Throttled, Verdict};
use crate::audit::Event;
use crate::auth::{Authenticators, ScramExchange};
use crate::clock::Now;
use crate::codec::{self, DecodeError, Frame, Packet, ReasonCode, Version};
use crate::identity::Peer;
use crate::session::{Action, Closed, ConnectRequest, Dropped, Input, Outbound, Output, Session};
use crate::telemetry::{DropReason, ProtocolVersion};

/// Bytes of output above which no more messages are taken from the mailbox until they are sent.
const HIGH_WATER: usize = 256 << 10;
/// Messages taken from the mailbox at once.
const BATCH: usize = 128;
/// Messages looked at in one go, sent or not: what nobody may see is work, and no output.
const DELIVERIES_AT_ONCE: usize = 2_048;
/// Messages put into the mailboxes of others in one go: a few milliseconds of work.
const PUSHES_AT_ONCE: usize = 16_384;

/// A connection and the session that it serves. Dropping it is losing the connection: the session is
/// parked, handed over or ended.
#[derive(Debug)]
pub struct Client {
    broker: Arc<Broker>,
    peer: Peer,
    authenticators: Arc<Authenticators>,
    seat: Arc<Seat>,
    session: Session,
    stage: Stage,
    output: Output,
    /// How many bytes at the start of the output have been sent.
    sent: usize,
    /// What of it may not be sent yet; mostly there never is any.
    held: Option<Box<Held>>,
    round: Round,
    is_behind: bool,
    closed: Option<Closed>,
    version: ProtocolVersion,
    /// How many messages are shown as in flight to it.
    in_flight: u32,
    /// Until it is sent.
    timed: Option<Timed>,
    /// Where anything is traced.
    traces: Option<Box<Traces>>,
}

#[derive(Debug)]
enum Stage {
    /// Nothing is known of it yet.
    Stranger,
    /// It waits to be told whether it is let in.
    AtTheDoor(Box<Caller>),
    /// It has been asked for a proof.
    Challenged(Box<Challenged>),
    /// It is let in.
    Inside(Box<Inside>),
    /// It is gone.
    Outside,
}

#[derive(Debug)]
struct Challenged {
    request: Box<ConnectRequest>,
    exchange: ScramExchange,
}

#[derive(Debug)]
struct Inside {
    gate: Gate,
    /// When it was let in.
    since: Instant,
    /// Where its proof does not last for ever.
    lease: Option<Box<Lease>>,
    /// Where it is limited in what it does.
    throttled: Option<Box<Throttled>>,
    /// While it proves anew who it is.
    exchange: Option<Box<ScramExchange>>,
    /// There is none before the first PUBLISH.
    memo: Option<Box<PublishMemo>>,
    stored: Stored,
    batch: Vec<Outbound>,
    /// The generation of what decides under which the session was last judged, or is being.
    reviewed: u64,
    /// What is left of that.
    review: Option<Box<Review>>,
}

/// Why [`Client::deliver`] has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Nothing that waits can be sent now.
    All,
    /// There may be more, once some of the output is sent.
    UntilSent,
    /// There may be more, once others have had their turn.
    Slice,
}

impl Client {
    /// A connection from `peer` that has not said anything yet. It is asked who it is by
    /// `authenticators`.
    #[must_use]
    pub fn new(broker: Arc<Broker>, peer: Peer, authenticators: Arc<Authenticators>) -> Self {
        let session = Session::new(broker.live.mqtt.load_full());
        let traces = broker.tracer().and_then(Traces::new);
        Self {
            broker,
            peer,
            authenticators,
            seat: Arc::default(),
            session,
            stage: Stage::Stranger,
            output: Output::default(),
            sent: 0,
            held: None,
            round: Round::default(),
            is_behind: false,
            closed: None,
            version: ProtocolVersion::default(),
            in_flight: 0,
            timed: None,
            traces,
        }
    }

    /// Works off the whole packets at the start of `bytes`, and says how many bytes those were. Stops
    /// where a client waits to be let in: see [`Self::log_in`]; and after much work: see [`Self::is_behind`].
    pub fn receive(&mut self, now: Now, bytes: &[u8]) -> usize {
        self.tell_of_conduct(now);
        self.ends_with_lease(now);
        self.judge(now);
        if let Some(traces) = &mut self.traces {
            traces.follow();
        }
        self.is_behind = false;
        let mut taken = 0;
        let mut received = Received::default();
        while self.closed.is_none() && !matches!(self.stage, Stage::AtTheDoor(_)) {
            if self.round.pushes >= PUSHES_AT_ONCE {
                self.is_behind = true;
                break;
            }
            if self.has_to_pause(now) {
                break;
            }
            let rest = bytes.get(taken..).unwrap_or_default();
            match codec::next_frame(rest, self.packet_limit()) {
                Ok(Some(frame)) => {
                    let size = frame.size;
                    taken += size;
                    self.on_frame(now, frame, rest, &mut received);
                    self.weigh_bytes(now, size);
                }
                Ok(None) => break,
                Err(error) => self.on_malformed(now, error, rest),
            }
        }
        self.broker.counts.bytes_received(taken);
        self.broker.counts.add_received(received, self.version);
        self.settle(now);
        self.finish_round();
        taken
    }

    /// Whether [`Self::receive`] has left packets, so that others get their turn.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Whether the client has said all that it takes to let it in or not.
    #[must_use]
    pub fn is_at_the_door(&self) -> bool {
        matches!(self.stage, Stage::AtTheDoor(_))
    }

    /// Whether the client has been let in.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        matches!(self.stage, Stage::Inside(_))
    }

    /// Sends what waits for the client, as far as its window, the output and the time of others
    /// allow.
    pub fn deliver(&mut self, now: Now) -> Delivered {
        self.resume_deliveries(now);
        self.ends_with_lease(now);
        let has_more_to_judge = self.judge(now);
        let mut looked_at = 0;
        let stopped = loop {
            if self.closed.is_some() {
                break Delivered::All;
            }
            if self.is_fed_up() {
                break Delivered::All;
            }
            if self.unsent() >= HIGH_WATER {
                break Delivered::UntilSent;
            }
            if looked_at >= DELIVERIES_AT_ONCE {
                break Delivered::Slice;
            }
            looked_at += match self.deliver_retained(now) {
                0 => match self.deliver_batch(now) {
                    0 if has_more_to_judge => break Delivered::Slice,
                    0 => break Delivered::All,
                    messages => messages,
                },
                messages => messages,
            };
        };
        self.finish_round();
        stopped
    }

    /// How many retained messages were looked at or looked for.
    fn deliver_retained(&mut self, now: Now) -> usize {
        let Stage::Inside(inside) = &mut self.stage else { return 0 };
        let has_window = self.session.window() > 0;
        match inside.stored.retained.next(&self.broker.retained, has_window, now.instant) {
            Next::Message(outbound) => {
                self.deliver_one(now, outbound);
                1
            }
            Next::Searched(steps) => steps,
            Next::Paid(steps, filter) => {
                let key = inside.stored.key;
                let subscriptions = self.session.subscriptions();
                let granted = subscriptions.and_then(|it| it.get(&filter));
                if let Some(granted) = granted {
                    self.broker.keep_paid(key, filter, granted, &mut self.round);
                }
                steps
            }
            Next::Nothing => 0,
        }
    }

    /// How many messages of the mailbox could be sent.
    fn deliver_batch(&mut self, now: Now) -> usize {
        let Stage::Inside(inside) = &mut self.stage else { return 0 };
        let mut batch = std::mem::take(&mut inside.batch);
        let room = HIGH_WATER.saturating_sub(self.output.bytes.len() - self.sent);
        // What is too much stays where it waits.
        let is_slow = inside.throttled.as_ref().is_some_and(|it| it.has_slow_deliveries);
        let most = if is_slow { 1 } else { BATCH };
        let mailbox = &inside.stored.mailbox;
        if mailbox.take(self.session.window(), most, room, &mut batch) {
            self.broker.recall(mailbox);
        }
        let found = batch.len();
        for outbound in batch.drain(..) {
            let (timing, traced) = (self.timing(&outbound), self.traced(&outbound));
            self.deliver_one(now, outbound);
            self.time(timing);
            if let Some(traced) = traced {
                self.trace_delivery(traced);
            }
        }
        if let Stage::Inside(inside) = &mut self.stage {
            inside.batch = batch;
        }
        found
    }

    fn deliver_one(&mut self, now: Now, outbound: Outbound) {
        let Stage::Inside(inside) = &mut self.stage else { return };
        inside.gate.refresh(&self.broker.authority);
        let delivery = inside.gate.may_receive(&outbound.message.topic, &self.broker.counts);
        if delivery == Delivery::Denied {
            self.drop_denied(&outbound);
            return;
        }
        if self.weigh_delivery(now, &outbound) != Verdict::Taken {
            self.broker.counts.dropped(DropReason::Throttled, 1);
            return;
        }
        self.round.allowed_deliveries += 1;
        let Stage::Inside(inside) = &mut self.stage else { return };
        let outbound = self.broker.kept(&inside.stored.mailbox, outbound, &mut self.round);
        if delivery == Delivery::AsItIs {
            self.step(now, Input::Deliver(outbound));
            return;
        }
        match self.broker.leaving(delivery, &outbound.message, now) {
            Some(message) => self.step(now, Input::Deliver(Outbound { message, ..outbound })),
            None => self.round.drop_kept(inside.stored.key, outbound.kept.as_deref()),
        }
    }

    /// Whether [`Self::obey`] would do anything but judge.
    #[must_use]
    pub fn has_orders(&self) -> bool {
        self.closed.is_none() && self.seat.has_orders()
    }

    /// Obeys what the connection has been told from outside. Call it when the bell has rung and all
    /// that has arrived is worked off, or soon: a client that keeps its connection busy must not
    /// keep it from obeying.
    pub fn obey(&mut self, now: Now) {
        self.judge(now);
        if self.closed.is_some() {
            return;
        }
        match self.seat.order() {
            Some(Order::End(reason)) => {
                if reason == self.broker.shutdown_reason() {
                    // Not all that waits survives the process: it leaves now, as far as it may.
                    self.deliver(now);
                }
                self.end(now, reason);
            }
            Some(Order::Tell(question)) => self.tell(question),
            None => {}
        }
    }

    /// What wakes this connection.
    #[must_use]
    pub fn bell(&self) -> &Arc<Bell> {
        self.seat.bell()
    }

    /// Ends the connection and tells the client why, where its version can be told.
    pub fn end(&mut self, now: Now, reason: ReasonCode) {
        self.step(now, Input::End(reason));
        self.finish_round();
    }

    /// The broker shuts down before the client has been let in: ends the connection.
    pub fn shut_out(&mut self, now: Now) {
        self.end(now, self.broker.shutdown_reason());
    }

    /// The network connection is gone.
    pub fn on_lost(&mut self, now: Now) {
        self.step(now, Input::Lost);
        self.finish_round();
    }

    /// What is to be sent now: see [`Self::on_sent`]. What is held until the disk has what it tells of
    /// is not among it; the bell rings when that changes.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        let end = self.held.as_ref().and_then(|held| held.start());
        let end = end.unwrap_or(self.output.bytes.len());
        self.output.bytes.get(self.sent..end).unwrap_or_default()
    }

    /// Bytes that have not been sent, those that are held among them.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.output.bytes.len() - self.sent
    }

    /// Whether nothing more should be asked for before the disk has come after.
    #[must_use]
    pub fn is_held_up(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.is_held_up())
    }

    /// The first `count` bytes of the output have left by `now`. Moves the rest only once it is the lesser
    /// part, so that a large output in small writes costs no more than it is long.
    pub fn on_sent(&mut self, now: Now, count: usize) {
        self.broker.counts.bytes_sent(count);
        self.note_sent(count, now.instant);
        self.trace_sent(count, now);
        self.sent += count;
        if self.sent >= self.output.bytes.len() {
            self.discard_output();
        } else if self.sent > self.output.bytes.len() / 2 {
            self.output.bytes.drain(..self.sent);
            if let Some(held) = &mut self.held {
                held.shift(self.sent);
            }
            self.sent = 0;
        }
    }

    /// Forgets the output: nobody is there to read it.
    pub fn discard_output(&mut self) {
        self.output.bytes = Vec::new();
        self.timed = None;
        self.trace_discarded();
        if let Some(held) = &mut self.held {
            held.clear();
        }
        self.sent = 0;
    }

    /// Whether the connection is to be closed, once what is to be sent has been.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Whether some of what waits for it is being read from disk.
    #[cfg(test)]
    pub(super) fn is_reading(&self) -> bool {
        matches!(&self.stage, Stage::Inside(inside) if inside.stored.mailbox.is_reading())
    }

    #[cfg(test)]
    pub(super) fn remembered_recipients(&self) -> usize {
        match &self.stage {
            Stage::Inside(inside) => inside.memo.as_ref().map_or(0, |memo| memo.recipients()),
            _ => 0,
        }
    }

    fn packet_limit(&self) -> usize {
        match self.stage {
            Stage::Inside(_) => self.session.settings().max_packet_size.get() as usize,
            _ => self.broker.live.max_connect_size.load(Ordering::Relaxed),
        }
    }

    fn on_frame(&mut self, now: Now, frame: Frame<'_>, bytes: &[u8], received: &mut Received) {
        received.packets[usize::from(frame.first >> 4)] += 1;
        match frame.decode(self.session.version().unwrap_or(Version::V5)) {
            Ok(packet) => {
                if let Packet::Publish(publish) = &packet {
                    let qos = publish.delivery.qos() as usize;
                    received.publishes[qos] += 1;
                    received.publish_bytes[qos] += frame.size as u64;
                    received.payload_bytes += publish.payload.len() as u64;
                }
                self.step(now, Input::Packet(packet));
            }
            Err(error) => self.on_malformed(now, error, bytes),
        }
    }

    fn on_malformed(&mut self, now: Now, error: DecodeError, bytes: &[u8]) {
        let version = codec::answer_version(bytes);
        self.step(now, Input::Malformed { error, version });
    }

    fn step(&mut self, now: Now, input: Input<'_>) {
        let start = self.output.bytes.len();
        self.session.step(now, input, &mut self.output);
        while !self.output.actions.is_empty() {
            for action in std::mem::take(&mut self.output.actions) {
                self.perform(now, action, start);
            }
        }
    }

    /// Does what the session asks for by a step that had the output begin at `start`.
    fn perform(&mut self, now: Now, action: Action, start: usize) {
        match action {
            Action::Identify(request) => {
                self.version = self.session.version().map_or(self.version, ProtocolVersion::Known);
                self.trace_connect(now);
                self.identify(now, request);
            }
            Action::Authenticate { data } => self.authenticate(now, data.as_ref()),
            Action::Reauthenticate { data } => self.reauthenticate(now, data.as_ref()),
            Action::Publish { message, packet_id } => self.publish(now, &message, packet_id),
            Action::Subscribe { packet_id, mut requests } => {
                self.settle(now);
                self.weigh_subscriptions(now, &mut requests);
                let Stage::Inside(inside) = &mut self.stage else { return };
                let Inside { gate, stored, .. } = &mut **inside;
                let outcomes = self.broker.subscribe(gate, stored, requests, &mut self.round);
                self.round.hold_from(self.output.bytes.len());
                self.session.step(now, Input::Subscribed { packet_id, outcomes }, &mut self.output);
            }
            Action::Unsubscribe(filters) => {
                self.settle(now);
                let Stage::Inside(inside) = &mut self.stage else { return };
                self.broker.unsubscribe(&mut inside.stored, &filters, &mut self.round);
                self.round.hold_from(start);
            }
            Action::Progress(progress) => self.note_progress(&progress, start),
            Action::Released(packet_id) => self.note_released(packet_id, start),
            Action::Dropped(why) => self.broker.counts.dropped(why.into(), 1),
            Action::Close(closed) => self.close(now, closed),
        }
    }

    /// The session is left at once, so that a successor does not wait for the farewell to be sent.
    fn close(&mut self, now: Now, closed: Closed) {
        self.report(closed);
        self.trace_close(closed);
        self.closed = Some(closed);
        self.leave(now.instant);
    }

    fn leave(&mut self, now: Instant) {
        self.settle(Now { instant: now, ..Now::read() });
        // The will comes after all that was published before.
        self.broker.push_all(&mut self.round);
        self.tell_of_last_conduct();
        let remains = self.session.leave();
        self.count_in_flight(0);
        if let (Stage::Inside(inside), Some(remains)) =
            (std::mem::replace(&mut self.stage, Stage::Outside), remains)
        {
            self.broker.counts.disconnected();
            let Inside { mut gate, stored, .. } = *inside;
            self.broker.leave(&mut gate, &self.seat, stored, remains, now);
        }
        // Whoever still waits here learns that there is nothing to wait for.
        drop(self.seat.leave());
    }

    fn report(&self, closed: Closed) {
        let (fault, text) = match closed {
            Closed::Violation { reason, what } => (Some(reason), what.to_owned()),
            Closed::Malformed(error) => (Some(error.reason()), error.to_string()),
            Closed::KeepAlive => {
                (Some(ReasonCode::KeepAliveTimeout), "keep alive timeout".to_owned())
            }
            Closed::ByClient(reason) => (None, format!("by the client: {reason:?}")),
            Closed::ByBroker(reason) | Closed::Refused(reason) => (None, format!("{reason:?}")),
            Closed::Lost => (None, "connection lost".to_owned()),
        };
        let fault = fault.map(|reason| self.broker.counts.fault(reason));
        self.watch_end(closed, fault);
        let Stage::Inside(inside) = &self.stage else {
            tracing::debug!(address = %self.peer.address, "closed before login: {text}");
            return;
        };
        let who = inside.gate.who();
        let client_id = who.client_id.as_str();
        self.broker
            .counts
            .audit(|| Event::Disconnected { who: who.as_subject(), why: text.clone() });
        if fault.is_some() {
            tracing::warn!(principal = %who.principal, client_id, "disconnected: {text}");
        } else {
            tracing::info!(principal = %who.principal, client_id, "disconnected: {text}");
        }
    }

    /// Wakes each connection that has messages waiting, once; and counts.
    fn finish_round(&mut self) {
        self.broker.finish_round(&mut self.round);
        self.hold_back();
        self.broker.counts.add_sent(&mut self.output, self.version);
        self.count_in_flight(self.session.in_flight());
    }
}

impl From<Dropped> for DropReason {
    fn from(dropped: Dropped) -> Self {
        match dropped {
            Dropped::Expired => Self::Expired,
            Dropped::TooLarge => Self::TooLarge,
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.leave(Instant::now());
    }
}
