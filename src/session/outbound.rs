//! Messages to the client: the window, topic aliases, acknowledgements, sending again.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use super::in_flight::{Entry, InFlight, Phase, Published};
use super::{Action, Closed, Dropped, Outbound, Output, Progress, Settings, Stage};
use crate::codec::{
    Ack, ConnectProperties, Delivery, Packet, PacketId, PublishHeader, ReasonCode, Version,
    encode_publish, publish_size,
};
use crate::message::{Kept, Message, QoS};
use crate::topic::TopicName;

/// Bytes of output above which no more is sent again until the client has acknowledged some of it.
const RESEND_AHEAD: usize = 256 << 10;

/// What one connection is sent.
#[derive(Debug)]
pub(super) struct Sender {
    version: Version,
    receive_maximum: usize,
    maximum_packet_size: usize,
    alias_maximum: u16,
    aliases: HashMap<TopicName, NonZeroU16, foldhash::fast::RandomState>,
    /// How many entries have been sent on this connection: what fills the window.
    sent: usize,
    pub(super) in_flight: InFlight,
}

impl Sender {
    pub(super) fn new(
        version: Version,
        properties: &ConnectProperties<'_>,
        settings: &Settings,
    ) -> Self {
        let theirs = properties.receive_maximum.unwrap_or(NonZeroU16::MAX);
        Self {
            version,
            receive_maximum: theirs.min(settings.max_inflight).get().into(),
            maximum_packet_size: maximum_packet_size(properties),
            alias_maximum: properties
                .topic_alias_maximum
                .unwrap_or(0)
                .min(settings.outbound_topic_alias_maximum),
            aliases: HashMap::default(),
            sent: 0,
            in_flight: InFlight::default(),
        }
    }

    /// Now that it is known who the client is, it may be sent fewer messages at once.
    pub(super) fn narrow(&mut self, settings: &Settings) {
        self.receive_maximum = self.receive_maximum.min(settings.max_inflight.get().into());
    }

    pub(super) fn resume(&mut self, mut in_flight: InFlight) {
        in_flight.entries.iter_mut().for_each(|entry| entry.is_sent = false);
        in_flight.order_releases();
        self.in_flight = in_flight;
    }

    /// Forgets what an earlier connection left, has not been sent again and is no longer allowed;
    /// says how many messages that were.
    pub(super) fn forget_unsent(
        &mut self,
        is_allowed: impl Fn(&Message) -> bool,
        progress: &mut Vec<Progress>,
    ) -> usize {
        if self.sent == self.in_flight.len() {
            return 0;
        }
        self.in_flight.keep_allowed_or_sent(is_allowed, progress)
    }

    /// How many more QoS 1 and 2 messages may be sent now `[MQTT-3.3.4-9]`. What an earlier
    /// connection left unacknowledged goes first.
    pub(super) fn window(&self) -> usize {
        if self.sent < self.in_flight.len() {
            return 0;
        }
        self.receive_maximum.saturating_sub(self.in_flight.len())
    }

    pub(super) fn maximum_packet_size(&self) -> usize {
        self.maximum_packet_size
    }

    pub(super) fn deliver(&mut self, outbound: Outbound, now: Instant, output: &mut Output) {
        let Outbound { message, qos, retain, subscription_ids, share, kept, was_sent } = outbound;
        if message.is_expired(now) {
            drop_message(Dropped::Expired, kept, output);
            return;
        }
        if qos == QoS::AtMostOnce {
            let header = header(false, Delivery::AtMostOnce, retain, &subscription_ids, now);
            if !self.send(&message, header, output) {
                output.actions.push(Action::Dropped(Dropped::TooLarge));
            }
            return;
        }
        debug_assert!(self.window() > 0, "the driver asks for the window first");
        let is_exactly_once = qos == QoS::ExactlyOnce;
        let published = Published { message, is_exactly_once, retain, subscription_ids, share };
        let (packet_id, order) = self.in_flight.next_packet_id();
        if self.send_published(packet_id, &published, was_sent, now, output) {
            let phase = Phase::Published(Box::new(published));
            let mut entry = Entry::sent(packet_id, order, phase, kept);
            if is_exactly_once {
                // The client would take another message that has the identifier for this one.
                output.actions.extend(entry.note_sent().map(Action::Progress));
            }
            self.in_flight.entries.push_back(entry);
            self.sent += 1;
        } else {
            drop_message(Dropped::TooLarge, kept, output);
        }
    }

    /// Sends again what an earlier connection left, as far as the window and the output allow, in
    /// its order `[MQTT-4.6.0-1]`. As long as any is left, an acknowledgement is due that goes on
    /// with it.
    pub(super) fn resend(&mut self, now: Instant, output: &mut Output) {
        let mut at = 0;
        while self.may_resend(output)
            && let Some(entry) = self.in_flight.entries.get(at)
        {
            if entry.is_sent {
                at += 1;
                continue;
            }
            let Entry { packet_id, phase, .. } = entry.clone();
            if self.send_phase(packet_id, &phase, now, output) {
                self.mark_sent(at);
            } else {
                self.give_up(at, output);
            }
        }
    }

    fn may_resend(&self, output: &Output) -> bool {
        let is_nothing_due = self.sent == 0;
        self.sent < self.in_flight.len().min(self.receive_maximum)
            && (is_nothing_due || output.bytes.len() < RESEND_AHEAD)
    }

    fn send_phase(
        &mut self,
        packet_id: PacketId,
        phase: &Phase,
        now: Instant,
        output: &mut Output,
    ) -> bool {
        match phase {
            Phase::Published(published) => {
                self.send_published(packet_id, published, true, now, output)
            }
            Phase::Released(_) => {
                self.send_release(packet_id, ReasonCode::Success, output);
                true
            }
        }
    }

    fn mark_sent(&mut self, at: usize) {
        if let Some(entry) = self.in_flight.entries.get_mut(at) {
            self.sent += usize::from(!entry.is_sent);
            entry.is_sent = true;
        }
    }

    fn give_up(&mut self, at: usize, output: &mut Output) {
        output.actions.push(Action::Dropped(Dropped::TooLarge));
        let (remains, progress) = self.in_flight.give_up(at);
        output.actions.extend(progress.map(Action::Progress));
        if !remains {
            self.in_flight.entries.remove(at);
        }
    }

    fn send_published(
        &mut self,
        packet_id: PacketId,
        published: &Published,
        dup: bool,
        now: Instant,
        output: &mut Output,
    ) -> bool {
        let delivery = published.delivery(packet_id);
        let Published { message, retain, subscription_ids, .. } = published;
        let header = header(dup, delivery, *retain, subscription_ids, now);
        self.send(message, header, output)
    }

    /// Whether it was sent: a packet above the client's maximum packet size is not
    /// `[MQTT-3.1.2-24]`. An alias is left out where the message only fits without it, and counts
    /// as known once it has been sent.
    fn send(&mut self, message: &Message, plain: PublishHeader<'_>, output: &mut Output) -> bool {
        if let Some((alias, topic_is_aliased)) = self.alias(&message.topic) {
            let aliased = PublishHeader { alias: Some(alias), topic_is_aliased, ..plain };
            if self.write(message, &aliased, output) {
                if !topic_is_aliased {
                    self.aliases.insert(message.topic.clone(), alias);
                }
                return true;
            }
        }
        self.write(message, &plain, output)
    }

    fn write(&self, message: &Message, header: &PublishHeader<'_>, output: &mut Output) -> bool {
        if self.maximum_packet_size != usize::MAX
            && publish_size(self.version, message, header) > self.maximum_packet_size
        {
            return false;
        }
        let before = output.bytes.len();
        encode_publish(self.version, message, header, &mut output.bytes);
        // Nothing is written where it is larger than any packet.
        let written = output.bytes.len() - before;
        let is_written = written > 0;
        let qos = header.delivery.qos() as usize;
        output.sent[3] += u32::from(is_written);
        output.published[qos] += u32::from(is_written);
        // No packet is larger than 2^28 bytes, and no round sends many of those.
        output.published_bytes[qos] = output.published_bytes[qos].saturating_add(written as u32);
        output.payload_bytes += if is_written { message.payload.len() as u64 } else { 0 };
        is_written
    }

    /// An alias for `topic` and whether the client knows it already. Topics get one as they come,
    /// while there are any `[MQTT-3.1.2-26]`.
    fn alias(&self, topic: &TopicName) -> Option<(NonZeroU16, bool)> {
        if self.alias_maximum == 0 {
            return None;
        }
        if let Some(alias) = self.aliases.get(topic) {
            return Some((*alias, true));
        }
        let next = u16::try_from(self.aliases.len()).ok().filter(|next| *next < self.alias_maximum);
        next.map(|next| (NonZeroU16::MIN.saturating_add(next), false))
    }

    fn send_release(&self, packet_id: PacketId, reason: ReasonCode, output: &mut Output) {
        output.send(&Packet::PubRel(Ack::new(packet_id, reason)), self.version);
    }

    /// PUBACK. One that nothing waits for changes nothing: it may belong to what was dropped.
    pub(super) fn on_acknowledged(
        &mut self,
        ack: &Ack<'_>,
        output: &mut Output,
    ) -> Result<(), Closed> {
        let Some(at) = self.in_flight.position(ack.packet_id) else { return Ok(()) };
        match &self.in_flight.entries[at].phase {
            Phase::Published(published) if !published.is_exactly_once => self.complete(at, output),
            _ => return Err(mismatch("PUBACK for a QoS 2 message")),
        }
        Ok(())
    }

    /// PUBREC: the client has it, or refuses it `[MQTT-4.3.3-4]`.
    pub(super) fn on_received(&mut self, ack: &Ack<'_>, output: &mut Output) -> Result<(), Closed> {
        let Some(at) = self.in_flight.position(ack.packet_id) else {
            if !ack.reason.is_error() {
                let reason = ReasonCode::PacketIdentifierNotFound;
                self.send_release(ack.packet_id, reason, output);
            }
            return Ok(());
        };
        match &self.in_flight.entries[at].phase {
            Phase::Published(published) if !published.is_exactly_once => {
                return Err(mismatch("PUBREC for a QoS 1 message"));
            }
            _ if ack.reason.is_error() => {
                self.complete(at, output);
                return Ok(());
            }
            Phase::Published(_) => {
                output.actions.extend(self.in_flight.release(at).map(Action::Progress));
            }
            Phase::Released(_) => {}
        }
        self.mark_sent(at);
        self.send_release(ack.packet_id, ReasonCode::Success, output);
        Ok(())
    }

    /// PUBCOMP.
    pub(super) fn on_completed(
        &mut self,
        ack: &Ack<'_>,
        output: &mut Output,
    ) -> Result<(), Closed> {
        let Some(at) = self.in_flight.position(ack.packet_id) else { return Ok(()) };
        match &self.in_flight.entries[at].phase {
            Phase::Released(_) => self.complete(at, output),
            Phase::Published(_) => return Err(mismatch("PUBCOMP before PUBREC")),
        }
        Ok(())
    }

    fn complete(&mut self, at: usize, output: &mut Output) {
        if let Some(entry) = self.in_flight.entries.remove(at) {
            self.sent -= usize::from(entry.is_sent);
            output.actions.extend(entry.done().map(Action::Progress));
        }
    }
}

/// A message that was never sent does not reach the client.
fn drop_message(why: Dropped, kept: Option<Arc<Kept>>, output: &mut Output) {
    output.actions.push(Action::Dropped(why));
    let done = |kept| Progress { kept, stage: Stage::Done { was_sent: false } };
    output.actions.extend(kept.map(done).map(Action::Progress));
}

/// Bytes of the largest packet that the client takes; `usize::MAX` is without limit.
pub(super) fn maximum_packet_size(properties: &ConnectProperties<'_>) -> usize {
    properties
        .maximum_packet_size
        .map_or(usize::MAX, |size| usize::try_from(size.get()).unwrap_or(usize::MAX))
}

fn header(
    dup: bool,
    delivery: Delivery,
    retain: bool,
    subscription_ids: &[u32],
    now: Instant,
) -> PublishHeader<'_> {
    PublishHeader {
        dup,
        delivery,
        retain,
        alias: None,
        topic_is_aliased: false,
        subscription_ids,
        now,
    }
}

fn mismatch(what: &'static str) -> Closed {
    Closed::Violation { reason: ReasonCode::ProtocolError, what }
}
