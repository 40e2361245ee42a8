//! Messages on their way to the client: what was sent and not yet acknowledged in full.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::codec::{Delivery, PacketId, SubscriptionIds};
use crate::message::Message;
use crate::topic::TopicFilter;

/// QoS 1 and 2 messages that were sent and not yet acknowledged in full, oldest first. They outlive
/// the connection `[MQTT-4.4.0-1]`.
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    pub(super) entries: VecDeque<Entry>,
    /// Counts the packet identifiers ever given out: the next one follows from it.
    given: u64,
    /// Counts the messages ever released.
    released: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) packet_id: PacketId,
    /// The value of `given` when it was sent first, or less. Never more than that of the next entry.
    pub(super) order: u64,
    pub(super) phase: Phase,
    /// Whether it has been sent on this connection.
    pub(super) is_sent: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// PUBLISH, until PUBACK or PUBREC.
    Published(Box<Published>),
    /// PUBREL, until PUBCOMP; with the value of `released` when it was sent first.
    Released(u64),
}

#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) message: Arc<Message>,
    pub(super) is_exactly_once: bool,
    pub(super) retain: bool,
    pub(super) subscription_ids: SubscriptionIds,
    pub(super) share: Option<TopicFilter>,
}

impl InFlight {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Gives up the messages that the client may no longer receive, and says how many they were. A
    /// QoS 2 message that is already released stays: the client has it.
    pub fn keep_allowed(&mut self, is_allowed: impl Fn(&Message) -> bool) -> usize {
        self.give_up_where(|_, message| !is_allowed(message))
    }

    /// As [`Self::keep_allowed`], of what has not been sent on this connection.
    pub(super) fn keep_allowed_or_sent(&mut self, is_allowed: impl Fn(&Message) -> bool) -> usize {
        self.give_up_where(|entry, message| !entry.is_sent && !is_allowed(message))
    }

    /// The messages of QoS 1 that a share group has not had acknowledged, oldest first, with the
    /// group. Those of QoS 2 go to no other member `[MQTT-4.8.2-5]`.
    pub fn owed_to_shares(&self) -> impl Iterator<Item = (&TopicFilter, &Arc<Message>)> {
        self.entries.iter().filter_map(|entry| match &entry.phase {
            Phase::Published(published) if !published.is_exactly_once => {
                Some((published.share.as_ref()?, &published.message))
            }
            _ => None,
        })
    }

    fn give_up_where(&mut self, is_given_up: impl Fn(&Entry, &Message) -> bool) -> usize {
        let Self { entries, released, .. } = self;
        let mut given_up = 0;
        entries.retain_mut(|entry| match &entry.phase {
            Phase::Published(published) if is_given_up(entry, &published.message) => {
                given_up += 1;
                entry.give_up(released)
            }
            _ => true,
        });
        given_up
    }

    /// The message at `at` is not sent any more: see [`Entry::give_up`].
    pub(super) fn give_up(&mut self, at: usize) -> bool {
        let Self { entries, released, .. } = self;
        entries.get_mut(at).is_some_and(|entry| entry.give_up(released))
    }

    /// The client has the message at `at`.
    pub(super) fn release(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.release(&mut self.released);
        }
    }

    /// Lets those that are released change places among themselves: PUBREL goes in the order of
    /// PUBREC `[MQTT-4.6.0-4]`, all else in the order of the messages.
    pub(super) fn order_releases(&mut self) {
        let is_released = |entry: &Entry| matches!(entry.phase, Phase::Released(_));
        let mut released: Vec<_> =
            self.entries.iter().filter(|entry| is_released(entry)).cloned().collect();
        released.sort_by_key(|entry| match entry.phase {
            Phase::Released(order) => order,
            Phase::Published(_) => u64::MAX,
        });
        let places = self.entries.iter_mut().filter(|entry| is_released(entry));
        for (place, entry) in places.zip(released) {
            *place = entry;
        }
        let mut lowest = u64::MAX;
        for entry in self.entries.iter_mut().rev() {
            lowest = lowest.min(entry.order);
            entry.order = lowest;
        }
    }

    pub(super) fn next_packet_id(&mut self) -> (PacketId, u64) {
        loop {
            let order = self.given;
            self.given += 1;
            let id = (order % u64::from(u16::MAX)) as u16;
            let packet_id = NonZeroU16::MIN.saturating_add(id);
            if !self.is_taken(packet_id, order) {
                return (packet_id, order);
            }
        }
    }

    fn is_taken(&self, packet_id: PacketId, order: u64) -> bool {
        let has_come_round =
            self.entries.front().is_some_and(|oldest| order - oldest.order >= u16::MAX.into());
        has_come_round && self.position(packet_id).is_some()
    }

    pub(super) fn position(&self, packet_id: PacketId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.packet_id == packet_id)
    }
}

impl Entry {
    /// The message is not sent any more. Whether anything remains to be said: the client may know
    /// the packet identifier of a QoS 2 message, and would take the next message that has it for
    /// the same, so it is released (5.0 section 4.3.3).
    fn give_up(&mut self, released: &mut u64) -> bool {
        match &self.phase {
            Phase::Published(published) if published.is_exactly_once => {
                self.release(released);
                true
            }
            Phase::Published(_) => false,
            Phase::Released(_) => true,
        }
    }

    fn release(&mut self, released: &mut u64) {
        self.phase = Phase::Released(*released);
        *released += 1;
    }
}

impl Published {
    pub(super) fn delivery(&self, packet_id: PacketId) -> Delivery {
        match self.is_exactly_once {
            true => Delivery::ExactlyOnce(packet_id),
            false => Delivery::AtLeastOnce(packet_id),
        }
    }
}
