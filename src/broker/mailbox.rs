//! What waits for one session: a bounded queue that publishers fill and its connection empties.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::bell::Bell;
use super::lane::Lane;
use super::queue::Queue;
pub(super) use super::queue::{Backlog, Bounds, Pushed};
use super::queue_budget::QueueBudget;
use super::spilled::Entry;
use crate::message::{Kept, Message, QoS, SessionKey};
use crate::router::Recipient;
use crate::session::Outbound;

/// Messages behind the next one that are read from disk before it is their turn, at most; and how many
/// bytes, but for the first of them.
const READ_AHEAD: usize = 64;
const READ_AHEAD_BYTES: usize = 64 << 10;

/// The queue of one session, connected or not.
#[derive(Debug)]
pub struct Mailbox {
    key: SessionKey,
    /// Whether the store keeps what waits here.
    is_durable: bool,
    budget: Arc<QueueBudget>,
    queue: Mutex<Queue>,
}

/// What a review has come to.
#[derive(Debug, Default)]
pub(super) struct MailboxSlice {
    /// What is taken out, each lane in order of arrival.
    pub(super) removed: Vec<Entry>,
    /// The next arrival that waits.
    pub(super) next: Option<u64>,
}

/// A message that is to be read from disk.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) arrival: u64,
    pub(super) kept: Arc<Kept>,
}

/// How many of the messages that were pushed together, or that made room for them, are lost. What a
/// session that has ended did not take counts for nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// The queue is full.
    pub(super) full: usize,
    /// QoS 0 does not wait for a client that is away.
    pub(super) away: usize,
}

impl Mailbox {
    pub(super) fn new(key: SessionKey, bounds: Bounds, budget: &Arc<QueueBudget>) -> Self {
        let queue = Mutex::new(Queue::bounded(bounds));
        Self { key, is_durable: false, budget: Arc::clone(budget), queue }
    }

    /// As [`Self::new`]; the store keeps what waits here.
    pub(super) fn durable(key: SessionKey, bounds: Bounds, budget: &Arc<QueueBudget>) -> Self {
        Self { is_durable: true, ..Self::new(key, bounds, budget) }
    }

    /// Of its session.
    pub(super) fn key(&self) -> SessionKey {
        self.key
    }

    /// Whether the session outlives the process, and so the store keeps what waits here.
    pub(super) fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Changes the queue, and what it takes of the budget of all.
    fn change<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.queue.lock();
        let (before, waiting) = (queue.charge(self.is_durable), queue.len());
        let outcome = work(&mut queue);
        let (after, waiting_after) = (queue.charge(self.is_durable), queue.len());
        if before != after {
            self.budget.settle(before, after);
        }
        if waiting != waiting_after {
            self.budget.messages.change(waiting, waiting_after);
        }
        outcome
    }

    /// Keeps room for a message of QoS 1 or 2, which comes by [`Self::push_reserved`].
    pub(super) fn reserve(&self, message: &Message) -> Pushed {
        self.change(|queue| queue.reserve(Lane::cost(message), &self.budget))
    }

    /// Adds a message that room is kept for; gives it back where the session has ended meanwhile. Where
    /// memory is short, it stays on disk alone.
    pub(super) fn push_reserved(
        &self,
        outbound: Outbound,
        wakes: &mut Vec<Arc<Bell>>,
    ) -> Result<(), Outbound> {
        self.change(|queue| {
            if queue.is_closed {
                return Err(outbound);
            }
            queue.take_reserved(Lane::cost(&outbound.message));
            let is_away = queue.bell.is_none();
            queue.add(self.place(outbound, is_away), wakes);
            Ok(())
        })
    }

    /// Where a message that is kept waits.
    fn place(&self, outbound: Outbound, is_away: bool) -> Entry {
        match self.budget.is_for_disk(outbound.message.cost(), is_away) {
            true => Entry::spilled(outbound),
            false => Entry::Here(outbound),
        }
    }

    /// Adds a message. Its connection is left asleep: the caller collects whom to wake, and wakes
    /// each once.
    ///
    /// Where the queue is full, messages of QoS 0 make room for one of QoS 1 or 2; otherwise it is
    /// the new message that is lost.
    pub(super) fn push(&self, outbound: Outbound, wakes: &mut Vec<Arc<Bell>>) -> Pushed {
        self.change(|queue| queue.push(outbound, &self.budget, wakes))
    }

    /// Adds messages as [`Self::push`] does, in their order.
    pub(super) fn push_all(&self, messages: Vec<Outbound>, wakes: &mut Vec<Arc<Bell>>) -> Lost {
        let mut lost = Lost::default();
        self.change(|queue| {
            for outbound in messages {
                match queue.push(outbound, &self.budget, wakes) {
                    Pushed::Waiting { shed } => lost.full += shed,
                    Pushed::Full => lost.full += 1,
                    Pushed::Away => lost.away += 1,
                    Pushed::Closed => {}
                }
            }
        });
        lost
    }

    /// Adds what waited before the process began, however much that is; only as much of it in memory as
    /// there is room for.
    pub(super) fn restore(&self, waiting: Vec<Entry>) {
        for entry in waiting {
            self.change(|queue| {
                let entry = match entry {
                    Entry::Here(outbound) => self.place(outbound, true),
                    on_disk => on_disk,
                };
                queue.add(entry, &mut Vec::new());
            });
        }
    }

    /// Moves what waits to `into`, in order of arrival: at most `window` messages of QoS 1 and 2, at
    /// most `messages` in all, and no more once they come to `bytes`. Says whether the caller is to have
    /// more of it read from disk: nobody else is told so before [`Self::end_reading`].
    pub(super) fn take(
        &self,
        mut window: usize,
        messages: usize,
        bytes: usize,
        into: &mut Vec<Outbound>,
    ) -> bool {
        self.change(|queue| {
            queue.is_awake = false;
            let mut taken = 0;
            while into.len() < messages && taken < bytes {
                let Some(outbound) = queue.next(window > 0) else { break };
                window -= usize::from(outbound.qos != QoS::AtMostOnce);
                taken += Lane::cost(&outbound.message);
                into.push(outbound);
            }
            let is_to_read = queue.on_disk().messages > 0
                && !queue.is_reading()
                && queue.acknowledged.on_disk(READ_AHEAD / 2).next().is_some();
            if is_to_read {
                queue.set_reading(true);
            }
            is_to_read
        })
    }

    /// What is to be read from disk next.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let queue = self.queue.lock();
        let mut bytes = 0;
        let missing = queue.acknowledged.on_disk(READ_AHEAD).filter_map(|(arrival, entry)| {
            let Entry::OnDisk(spilled) = entry else { return None };
            Some((Missing { arrival, kept: Arc::clone(&spilled.kept) }, spilled.cost))
        });
        let fits = |(missing, cost)| {
            let has_room = bytes < READ_AHEAD_BYTES;
            bytes += cost;
            has_room.then_some(missing)
        };
        missing.map_while(fits).collect()
    }

    /// A message has been read; nobody may wait for it any more.
    pub(super) fn put_back(&self, arrival: u64, message: Arc<Message>) {
        self.change(|queue| {
            if let Some(cost) = queue.acknowledged.put_back(arrival, message) {
                queue.leaves_disk(cost);
            }
        });
    }

    /// Takes out a message that cannot be read, if it still waits.
    pub(super) fn give_up(&self, arrival: u64) -> Option<Entry> {
        self.change(|queue| {
            let entry = queue.acknowledged.remove_from_disk(arrival)?;
            queue.leaves_disk(Lane::cost_of(&entry));
            Some(entry)
        })
    }

    /// What was to be read has been: its connection is to look again.
    pub(super) fn end_reading(&self) {
        let mut queue = self.queue.lock();
        queue.set_reading(false);
        let bell = queue.bell.clone();
        drop(queue);
        if let Some(bell) = bell {
            bell.ring();
        }
    }

    /// Whether some of what waits is being read.
    #[cfg(test)]
    pub(super) fn is_reading(&self) -> bool {
        self.queue.lock().is_reading()
    }

    /// From now on, no more than this waits; what waits already stays.
    pub(super) fn bound(&self, bounds: Bounds) {
        self.queue.lock().bounds = bounds;
    }

    /// A connection serves the session from now on.
    pub(super) fn connect(&self, bell: Arc<Bell>) {
        let mut queue = self.queue.lock();
        queue.is_awake = false;
        queue.bell = Some(bell);
    }

    /// The client is away: what it can miss is dropped, and the number of those messages returned.
    pub(super) fn disconnect(&self) -> usize {
        self.change(|queue| {
            queue.bell = None;
            std::mem::take(&mut queue.at_most_once).len()
        })
    }

    /// The session has ended: nothing waits for it any more, whoever still holds its queue. Gives
    /// what waited.
    pub(super) fn close(&self) -> impl Iterator<Item = Entry> + use<> {
        let mut queue = self.change(|queue| std::mem::replace(queue, Queue::closed()));
        std::iter::from_fn(move || queue.next_entry())
    }

    /// How many messages have ever come.
    pub(super) fn arrivals(&self) -> u64 {
        self.queue.lock().arrivals
    }

    /// Looks at `count` arrivals from the first one that waits at `from` or later, and takes out what
    /// is not kept.
    pub(super) fn review(
        &self,
        from: u64,
        count: u64,
        is_kept: impl Fn(&Entry) -> bool,
    ) -> MailboxSlice {
        self.change(|queue| {
            let mut removed = Vec::new();
            let Some(from) = queue.first_arrival(from) else { return MailboxSlice::default() };
            let arrivals = from..from.saturating_add(count);
            queue.at_most_once.review(&arrivals, &is_kept, &mut removed);
            queue.acknowledged.review(&arrivals, &is_kept, &mut removed);
            for entry in removed.iter().filter(|entry| entry.is_on_disk()) {
                queue.leaves_disk(Lane::cost_of(entry));
            }
            MailboxSlice { removed, next: queue.first_arrival(arrivals.end) }
        })
    }

    /// As [`Self::review`], of what has expired.
    pub(super) fn take_expired(&self, from: u64, count: u64, now: Instant) -> MailboxSlice {
        self.review(from, count, |entry| !entry.is_expired(now))
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.lock().len()
    }

    /// How much waits, and since when.
    pub(super) fn backlog(&self) -> Backlog {
        self.queue.lock().backlog()
    }

    /// How many messages wait, where a connection serves the session.
    pub(super) fn load(&self) -> Option<usize> {
        let queue = self.queue.lock();
        queue.bell.is_some().then(|| queue.len())
    }
}

impl Recipient for Arc<Mailbox> {
    fn key(&self) -> SessionKey {
        self.key
    }
}
