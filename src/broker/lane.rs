//! One lane of a mailbox: messages in order of arrival, and the bytes that they are charged with.

use std::collections::VecDeque;

use crate::message::Message;
use crate::session::Outbound;

/// What an empty lane may keep allocated: a burst must not stay in memory for ever.
const IDLE_CAPACITY: usize = 64;

/// Messages that wait.
#[derive(Debug, Default)]
pub(super) struct Lane {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    arrival: u64,
    outbound: Outbound,
}

impl Lane {
    /// What a message is charged with. One that is shared by many is charged to each: the bound must
    /// hold whoever is slow.
    pub(super) fn cost(message: &Message) -> usize {
        message.cost() + size_of::<Waiting>()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The arrival of the message that comes next.
    pub(super) fn next_arrival(&self) -> Option<u64> {
        self.waiting.front().map(|waiting| waiting.arrival)
    }

    pub(super) fn push(&mut self, arrival: u64, outbound: Outbound) {
        self.bytes += Self::cost(&outbound.message);
        self.waiting.push_back(Waiting { arrival, outbound });
    }

    pub(super) fn pop(&mut self) -> Option<Outbound> {
        let Waiting { outbound, .. } = self.waiting.pop_front()?;
        self.bytes -= Self::cost(&outbound.message);
        if self.waiting.is_empty() && self.waiting.capacity() > IDLE_CAPACITY {
            self.waiting = VecDeque::new();
        }
        Some(outbound)
    }

    pub(super) fn retain(&mut self, is_of_use: impl Fn(&Message) -> bool) {
        let Self { waiting, bytes } = self;
        waiting.retain(|waiting| {
            let message = &waiting.outbound.message;
            let is_kept = is_of_use(message);
            *bytes -= if is_kept { 0 } else { Self::cost(message) };
            is_kept
        });
        waiting.shrink_to(waiting.len() * 2);
    }
}
