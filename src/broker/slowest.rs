//! For whom most messages wait. A connection is not asked for that, nor woken: its seat knows its queue.

use std::time::{Duration, Instant};

use super::Broker;
use super::gate::Who;
use super::mailbox::{Backlog, Mailbox};
use crate::identity::{ClientId, PeerAddress, Principal};

/// A session for which messages wait.
#[derive(Clone, Debug)]
pub struct LongQueue {
    /// Its client identifier.
    pub client_id: ClientId,
    /// Whose it is.
    pub principal: Principal,
    /// Where its client connects from, or last did.
    pub address: PeerAddress,
    /// Whether it is connected.
    pub is_connected: bool,
    /// Messages that wait.
    pub messages: usize,
    /// Their bytes, with what it takes to remember them.
    pub bytes: usize,
    /// For how long the first of them has waited; not known of those that an earlier run of the broker has
    /// left, or that are on disk alone.
    pub waits: Option<Duration>,
}

/// Those for whom most messages wait, most of them first.
#[derive(Clone, Debug, Default)]
pub struct LongestQueues {
    /// Clients that are connected and do not keep up.
    pub connected: Vec<LongQueue>,
    /// Sessions of clients that are away.
    pub away: Vec<LongQueue>,
}

impl Broker {
    /// The longest queues now, at most `most` of clients that are connected and as many of others. Looks at
    /// every session, a part of them at a time, and holds up nobody for longer than that takes: with very
    /// many it is long work, for a thread that may take its time.
    #[must_use]
    pub fn longest_queues(&self, most: usize) -> LongestQueues {
        let now = Instant::now();
        let (mut connected, mut away) = (Longest::of(most), Longest::of(most));
        self.registry.for_each_mailbox(|who, mailbox, is_connected| {
            let longest = if is_connected { &mut connected } else { &mut away };
            longest.offer(who, mailbox, is_connected, now);
        });
        LongestQueues { connected: connected.queues, away: away.queues }
    }
}

/// The longest of those that were seen so far, in order.
struct Longest {
    most: usize,
    queues: Vec<LongQueue>,
}

impl Longest {
    fn of(most: usize) -> Self {
        Self { most, queues: Vec::new() }
    }

    fn offer(&mut self, who: &Who, mailbox: &Mailbox, is_connected: bool, now: Instant) {
        let Backlog { messages, bytes, since } = mailbox.backlog();
        let at = self.queues.partition_point(|it| (it.messages, it.bytes) >= (messages, bytes));
        if messages == 0 || at >= self.most {
            return;
        }
        let queue = LongQueue {
            client_id: who.client_id.clone(),
            principal: who.principal.clone(),
            address: who.address.clone(),
            is_connected,
            messages,
            bytes,
            waits: since.map(|since| now.saturating_duration_since(since)),
        };
        self.queues.insert(at, queue);
        self.queues.truncate(self.most);
    }
}
