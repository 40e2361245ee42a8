//! One lane of a mailbox: messages in order of arrival, and the bytes that they are charged with.

use std::collections::VecDeque;
use std::ops::Range;

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

    /// The first arrival that waits, at `from` or later.
    pub(super) fn first_arrival(&self, from: u64) -> Option<u64> {
        let at = self.waiting.partition_point(|waiting| waiting.arrival < from);
        self.waiting.get(at).map(|waiting| waiting.arrival)
    }

    /// Takes out what came with `arrivals` and is not kept.
    pub(super) fn review(
        &mut self,
        arrivals: &Range<u64>,
        is_kept: impl Fn(&Outbound) -> bool,
        removed: &mut Vec<Outbound>,
    ) {
        let Self { waiting, bytes } = self;
        let start = waiting.partition_point(|it| it.arrival < arrivals.start);
        let end = waiting.partition_point(|it| it.arrival < arrivals.end);
        let mut kept = start;
        for at in start..end {
            if waiting.get(at).is_some_and(|it| is_kept(&it.outbound)) {
                waiting.swap(kept, at);
                kept += 1;
            }
        }
        let mut out = waiting.drain(kept..end).collect::<Vec<_>>();
        out.sort_unstable_by_key(|it| it.arrival);
        for Waiting { outbound, .. } in out {
            *bytes -= Self::cost(&outbound.message);
            removed.push(outbound);
        }
        if waiting.capacity() > IDLE_CAPACITY.max(4 * waiting.len()) {
            waiting.shrink_to(2 * waiting.len());
        }
    }
}
