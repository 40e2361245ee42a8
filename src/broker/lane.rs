//! One lane of a mailbox: messages in order of arrival, and the bytes that they are charged with.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::spilled::Entry;
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
    entry: Entry,
}

impl Lane {
    /// What a message is charged with. One that is shared by many is charged to each: the bound must
    /// hold whoever is slow.
    pub(super) fn cost(message: &Message) -> usize {
        message.cost() + size_of::<Waiting>()
    }

    /// The same, wherever the message is.
    pub(super) fn cost_of(entry: &Entry) -> usize {
        entry.cost() + size_of::<Waiting>()
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

    /// When the packet of the message that comes next has come, where that is known.
    pub(super) fn since(&self) -> Option<Instant> {
        match &self.waiting.front()?.entry {
            Entry::Here(outbound) => outbound.message.arrived,
            Entry::OnDisk(_) => None,
        }
    }

    /// As [`Self::next_arrival`]; none where that message is on disk alone.
    pub(super) fn next_arrival_here(&self) -> Option<u64> {
        let next = self.waiting.front().filter(|next| !next.entry.is_on_disk());
        next.map(|waiting| waiting.arrival)
    }

    pub(super) fn push(&mut self, arrival: u64, entry: Entry) {
        self.bytes += Self::cost_of(&entry);
        self.waiting.push_back(Waiting { arrival, entry });
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        let Waiting { entry, .. } = self.waiting.pop_front()?;
        self.bytes -= Self::cost_of(&entry);
        if self.waiting.is_empty() && self.waiting.capacity() > IDLE_CAPACITY {
            self.waiting = VecDeque::new();
        }
        Some(entry)
    }

    /// As [`Self::pop`], of a message that is in memory.
    pub(super) fn pop_here(&mut self) -> Option<Outbound> {
        self.next_arrival_here()?;
        match self.pop()? {
            Entry::Here(outbound) => Some(outbound),
            Entry::OnDisk(_) => None,
        }
    }

    /// Those of the first `count` that are on disk alone, with their arrivals.
    pub(super) fn on_disk(&self, count: usize) -> impl Iterator<Item = (u64, &Entry)> {
        let first = self.waiting.iter().take(count);
        first.filter(|it| it.entry.is_on_disk()).map(|it| (it.arrival, &it.entry))
    }

    /// The message that came as `arrival` has been read from disk. Gives what its place was charged with, if it
    /// was waited for.
    pub(super) fn put_back(&mut self, arrival: u64, message: Arc<Message>) -> Option<usize> {
        let at = self.waiting.partition_point(|it| it.arrival < arrival);
        let waiting = self.waiting.get_mut(at).filter(|it| it.arrival == arrival);
        let Waiting { entry, .. } = waiting?;
        let Entry::OnDisk(spilled) = &*entry else { return None };
        let (here, cost) = (Entry::Here(spilled.with(message)), Self::cost_of(entry));
        self.bytes -= cost;
        self.bytes += Self::cost_of(&here);
        *entry = here;
        Some(cost)
    }

    /// Takes out the message that came as `arrival`, if it is on disk alone.
    pub(super) fn remove_from_disk(&mut self, arrival: u64) -> Option<Entry> {
        let at = self.waiting.partition_point(|it| it.arrival < arrival);
        let is_it = |it: &&Waiting| it.arrival == arrival && it.entry.is_on_disk();
        self.waiting.get(at).filter(is_it)?;
        let Waiting { entry, .. } = self.waiting.remove(at)?;
        self.bytes -= Self::cost_of(&entry);
        Some(entry)
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
        is_kept: impl Fn(&Entry) -> bool,
        removed: &mut Vec<Entry>,
    ) {
        let Self { waiting, bytes } = self;
        let start = waiting.partition_point(|it| it.arrival < arrivals.start);
        let end = waiting.partition_point(|it| it.arrival < arrivals.end);
        let mut kept = start;
        for at in start..end {
            if waiting.get(at).is_some_and(|it| is_kept(&it.entry)) {
                waiting.swap(kept, at);
                kept += 1;
            }
        }
        let mut out = waiting.drain(kept..end).collect::<Vec<_>>();
        out.sort_unstable_by_key(|it| it.arrival);
        for Waiting { entry, .. } in out {
            *bytes -= Self::cost_of(&entry);
            removed.push(entry);
        }
        if waiting.capacity() > IDLE_CAPACITY.max(4 * waiting.len()) {
            waiting.shrink_to(2 * waiting.len());
        }
    }
}
