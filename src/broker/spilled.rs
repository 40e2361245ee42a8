//! A message that waits on disk alone, and what is remembered of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::Broker;
use super::mailbox::Mailbox;
use crate::codec::SubscriptionIds;
use crate::message::{Kept, Message, QoS, SessionKey};
use crate::session::Outbound;
use crate::telemetry::DropReason;
use crate::topic::TopicFilter;

/// What the place of a message on disk is charged with: what waits in its stead, what the store knows of
/// its records, and what allocation adds.
pub(super) const PLACE_BYTES: usize = size_of::<Outbound>() + size_of::<Spilled>() + 144;

/// All of a delivery but the message, which the store has.
#[derive(Debug)]
pub(super) struct Spilled {
    pub(super) kept: Arc<Kept>,
    /// What the message is counted as: see [`Message::cost`].
    pub(super) cost: usize,
    pub(super) expiry: Option<Instant>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) subscription_ids: SubscriptionIds,
    pub(super) share: Option<TopicFilter>,
    pub(super) was_sent: bool,
}

/// What waits: in memory, or on disk alone. Takes no more room than what is in memory.
#[derive(Debug)]
pub(super) enum Entry {
    Here(Outbound),
    OnDisk(Box<Spilled>),
}

impl Spilled {
    /// The delivery, with its message.
    pub(super) fn with(&self, message: Arc<Message>) -> Outbound {
        Outbound {
            message,
            qos: self.qos,
            retain: self.retain,
            subscription_ids: self.subscription_ids.clone(),
            share: self.share.clone(),
            kept: Some(Arc::clone(&self.kept)),
            was_sent: self.was_sent,
        }
    }
}

impl Entry {
    /// Leaves the message to the store, if that keeps it.
    pub(super) fn spilled(outbound: Outbound) -> Self {
        let Some(kept) = outbound.kept.clone() else { return Self::Here(outbound) };
        let Outbound { message, qos, retain, subscription_ids, share, was_sent, .. } = outbound;
        let (cost, expiry) = (message.cost(), message.expiry);
        let spilled =
            Spilled { kept, cost, expiry, qos, retain, subscription_ids, share, was_sent };
        Self::OnDisk(Box::new(spilled))
    }

    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Here(outbound) => outbound.message.cost(),
            Self::OnDisk(spilled) => spilled.cost,
        }
    }

    pub(super) fn is_on_disk(&self) -> bool {
        matches!(self, Self::OnDisk(_))
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        match self {
            Self::Here(outbound) => outbound.message.is_expired(now),
            Self::OnDisk(spilled) => spilled.expiry.is_some_and(|expiry| expiry <= now),
        }
    }

    /// The shared subscription that it came by.
    pub(super) fn share(&self) -> Option<&TopicFilter> {
        match self {
            Self::Here(outbound) => outbound.share.as_ref(),
            Self::OnDisk(spilled) => spilled.share.as_ref(),
        }
    }

    /// What the store has of it.
    pub(super) fn kept(&self) -> Option<&Kept> {
        match self {
            Self::Here(outbound) => outbound.kept.as_deref(),
            Self::OnDisk(spilled) => Some(&spilled.kept),
        }
    }
}

impl Broker {
    /// Has some of what waits on disk alone in `mailbox` read.
    pub(super) fn recall(&self, mailbox: &Arc<Mailbox>) {
        if let Some(recall) = &self.recall {
            recall.ask(mailbox);
        }
    }

    /// What waited for `session`, with its message; nothing where that cannot be read, which is counted and
    /// logged. May wait for the disk: it is for what has to be given to somebody else at once.
    pub(super) fn fetched<'e>(
        &self,
        session: SessionKey,
        entry: &'e Entry,
    ) -> Option<Cow<'e, Outbound>> {
        let spilled = match entry {
            Entry::Here(outbound) => return Some(Cow::Borrowed(outbound)),
            Entry::OnDisk(spilled) => spilled,
        };
        let why = match self.keeper.as_ref()?.read_message(session, &spilled.kept) {
            Ok(Some(message)) => return Some(Cow::Owned(spilled.with(Arc::new(message)))),
            Ok(None) => "it is not there".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::error!(session = session.0, "a message that waits is lost: {why}");
        self.counts.dropped(DropReason::Unreadable, 1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_disk_takes_no_more_room_in_a_queue_and_costs_those_in_memory_none() {
        assert_eq!(size_of::<Entry>(), size_of::<Outbound>());
    }
}
