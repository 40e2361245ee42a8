//! For whom most messages wait. A connection is not asked for that, nor woken: its seat knows its queue.

use std::time::{Duration, Instant};

use super::Broker;
use super::gate::Who;
use super::mailbox::Backlog;
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
            let backlog = mailbox.backlog();
            longest.offer(&backlog, || LongQueue::of(who, &backlog, is_connected, now));
        });
        LongestQueues { connected: connected.queues, away: away.queues }
    }
}

impl LongQueue {
    fn of(who: &Who, backlog: &Backlog, is_connected: bool, now: Instant) -> Self {
        Self {
            client_id: who.client_id.clone(),
            principal: who.principal.clone(),
            address: who.address.clone(),
            is_connected,
            messages: backlog.messages,
            bytes: backlog.bytes,
            waits: backlog.since.map(|since| now.saturating_duration_since(since)),
        }
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

    /// Has the queue that `make` tells of among them, if it is long enough. Of two that are as long, the one
    /// that was seen first stays.
    fn offer(&mut self, backlog: &Backlog, make: impl FnOnce() -> LongQueue) {
        let size = (backlog.messages, backlog.bytes);
        let at = self.queues.partition_point(|it| (it.messages, it.bytes) >= size);
        if backlog.messages > 0 && at < self.most {
            self.queues.insert(at, make());
            self.queues.truncate(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn longest(most: usize, queues: &[(&str, usize, usize)]) -> Vec<String> {
        let mut longest = Longest::of(most);
        for &(name, messages, bytes) in queues {
            let backlog = Backlog { messages, bytes, since: None };
            longest.offer(&backlog, || LongQueue {
                client_id: ClientId::new(name),
                principal: Principal::Anonymous,
                address: PeerAddress::Network(SocketAddr::from(([127, 0, 0, 1], 1))),
                is_connected: true,
                messages,
                bytes,
                waits: None,
            });
        }
        longest.queues.iter().map(|it| it.client_id.as_str().to_owned()).collect()
    }

    #[test]
    fn the_longest_queues_come_first_and_of_as_many_messages_the_larger_ones() {
        let queues = [("a", 2, 10), ("b", 9, 1), ("c", 2, 11), ("d", 1, 1_000)];
        assert_eq!(longest(10, &queues), ["b", "c", "a", "d"]);
        assert_eq!(longest(10, &[("a", 3, 3), ("b", 3, 3), ("c", 3, 3)]), ["a", "b", "c"]);
    }

    #[test]
    fn no_more_are_kept_than_were_asked_for_whatever_their_order() {
        let mut queues: Vec<_> = [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)].to_vec();
        for _ in 0..2 {
            let sized: Vec<_> = queues.iter().map(|(name, count)| (*name, *count, 1)).collect();
            assert_eq!(longest(2, &sized), ["e", "d"]);
            queues.reverse();
        }
        assert_eq!(longest(0, &[("a", 1, 1)]), [""; 0]);
    }

    #[test]
    fn who_keeps_up_is_not_told_of() {
        assert_eq!(longest(3, &[("idle", 0, 0), ("a", 1, 1), ("also-idle", 0, 64)]), ["a"]);
    }
}
