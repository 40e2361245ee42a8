//! Messages on their way to the client: what was sent and not yet acknowledged in full.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::{Outbound, Progress, SentAs, Stage};
use crate::codec::{Delivery, PacketId, SubscriptionIds};
use crate::message::{Kept, Message, QoS};
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
    /// What the store has of the message, where it has anything.
    pub(super) kept: Option<Arc<Kept>>,
    /// Whether it has been sent on this connection.
    pub(super) is_sent: bool,
    /// Whether the store has been told that it was sent.
    is_noted: bool,
    /// Whether the message is as the store keeps it, and not as it leaves.
    is_raw: bool,
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

/// A message that an earlier process has sent, as the store has it.
#[derive(Debug)]
pub struct Unfinished(Entry);

impl Unfinished {
    /// One that was sent like that; and where the client has it, its place among those that it has.
    #[must_use]
    pub fn new(outbound: Outbound, sent_as: SentAs, released: Option<u64>) -> Self {
        let Outbound { message, qos, retain, subscription_ids, share, kept, .. } = outbound;
        let is_exactly_once = qos == QoS::ExactlyOnce;
        let published = Published { message, is_exactly_once, retain, subscription_ids, share };
        let published = || Phase::Published(Box::new(published));
        Self(Entry::restored(kept, sent_as, released.map_or_else(published, Phase::Released)))
    }

    /// One of which nothing else is left: it is released, so that the client takes the next one with its
    /// packet identifier for a new one.
    #[must_use]
    pub fn lost(kept: Arc<Kept>, sent_as: SentAs, released: Option<u64>) -> Self {
        Self(Entry::restored(Some(kept), sent_as, Phase::Released(released.unwrap_or(0))))
    }
}

impl InFlight {
    /// What an earlier process has left.
    #[must_use]
    pub fn restored(unfinished: Vec<Unfinished>) -> Self {
        let mut entries: Vec<_> = unfinished.into_iter().map(|Unfinished(entry)| entry).collect();
        entries.sort_by_key(|entry| entry.order);
        let given = entries.last().map_or(0, |last| last.order.saturating_add(1));
        let released = entries.iter().filter_map(|entry| match entry.phase {
            Phase::Released(order) => Some(order.saturating_add(1)),
            Phase::Published(_) => None,
        });
        let released = released.max().unwrap_or(0);
        Self { entries: entries.into(), given, released }
    }

    /// Makes of each message that an earlier process has left what leaves for the client: `open` says what
    /// that is. Those that must not leave any more are given up; adds to `progress` what has become of them.
    pub fn open_restored(
        &mut self,
        mut open: impl FnMut(&Arc<Message>) -> Option<Arc<Message>>,
        progress: &mut Vec<Progress>,
    ) {
        let Self { entries, released, .. } = self;
        entries.retain_mut(|entry| {
            let is_raw = std::mem::take(&mut entry.is_raw);
            let Phase::Published(published) = &mut entry.phase else { return true };
            let opened = if is_raw { open(&published.message) } else { return true };
            if let Some(opened) = opened {
                published.message = opened;
                return true;
            }
            let (remains, made) = entry.give_up(released);
            progress.extend(made);
            remains
        });
    }

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
    /// QoS 2 message that is already released stays: the client has it. Adds to `progress` what has
    /// become of those that are given up.
    pub fn keep_allowed(
        &mut self,
        is_allowed: impl Fn(&Message) -> bool,
        progress: &mut Vec<Progress>,
    ) -> usize {
        self.give_up_where(|_, message| !is_allowed(message), progress)
    }

    /// As [`Self::keep_allowed`], of what has not been sent on this connection.
    pub(super) fn keep_allowed_or_sent(
        &mut self,
        is_allowed: impl Fn(&Message) -> bool,
        progress: &mut Vec<Progress>,
    ) -> usize {
        self.give_up_where(|entry, message| !entry.is_sent && !is_allowed(message), progress)
    }

    /// As what those were sent that the store has not been told of yet.
    pub fn note_sent(&mut self) -> impl Iterator<Item = Progress> {
        self.entries.iter_mut().filter_map(Entry::note_sent)
    }

    /// All of them are given up with their session.
    pub fn done(&self) -> impl Iterator<Item = Progress> {
        self.entries.iter().filter_map(Entry::done)
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

    fn give_up_where(
        &mut self,
        is_given_up: impl Fn(&Entry, &Message) -> bool,
        progress: &mut Vec<Progress>,
    ) -> usize {
        let Self { entries, released, .. } = self;
        let mut given_up = 0;
        entries.retain_mut(|entry| match &entry.phase {
            Phase::Published(published) if is_given_up(entry, &published.message) => {
                given_up += 1;
                let (remains, made) = entry.give_up(released);
                progress.extend(made);
                remains
            }
            _ => true,
        });
        given_up
    }

    /// The message at `at` is not sent any more: see [`Entry::give_up`].
    pub(super) fn give_up(&mut self, at: usize) -> (bool, Option<Progress>) {
        let Self { entries, released, .. } = self;
        entries.get_mut(at).map_or((false, None), |entry| entry.give_up(released))
    }

    /// The client has the message at `at`.
    pub(super) fn release(&mut self, at: usize) -> Option<Progress> {
        let Self { entries, released, .. } = self;
        entries.get_mut(at).and_then(|entry| entry.release(released))
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
    /// On this connection.
    pub(super) fn sent(
        packet_id: PacketId,
        order: u64,
        phase: Phase,
        kept: Option<Arc<Kept>>,
    ) -> Self {
        Self { packet_id, order, phase, kept, is_sent: true, is_noted: false, is_raw: false }
    }

    /// As the store has it.
    fn restored(kept: Option<Arc<Kept>>, sent_as: SentAs, phase: Phase) -> Self {
        let SentAs { packet_id, order } = sent_as;
        Self { packet_id, order, phase, kept, is_sent: false, is_noted: true, is_raw: true }
    }

    /// The message is not sent any more. Whether anything remains to be said: the client may know
    /// the packet identifier of a QoS 2 message, and would take the next message that has it for
    /// the same, so it is released (5.0 section 4.3.3).
    fn give_up(&mut self, released: &mut u64) -> (bool, Option<Progress>) {
        match &self.phase {
            Phase::Published(published) if published.is_exactly_once => {
                (true, self.release(released))
            }
            Phase::Published(_) => (false, self.done()),
            Phase::Released(_) => (true, None),
        }
    }

    fn release(&mut self, released: &mut u64) -> Option<Progress> {
        let order = *released;
        *released += 1;
        self.phase = Phase::Released(order);
        self.progress(Stage::Released { sent_as: self.sent_as(), order })
    }

    /// That it has been sent, where the store is still to be told.
    pub(super) fn note_sent(&mut self) -> Option<Progress> {
        if self.is_noted {
            return None;
        }
        self.is_noted = true;
        self.progress(Stage::Sent(self.sent_as()))
    }

    pub(super) fn done(&self) -> Option<Progress> {
        self.progress(Stage::Done { was_sent: self.is_noted })
    }

    fn progress(&self, stage: Stage) -> Option<Progress> {
        self.kept.clone().map(|kept| Progress { kept, stage })
    }

    fn sent_as(&self) -> SentAs {
        SentAs { packet_id: self.packet_id, order: self.order }
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
