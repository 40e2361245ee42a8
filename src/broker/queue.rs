//! What waits for one session, and how much of it may.

use std::sync::Arc;
use std::time::Instant;

use super::bell::Bell;
use super::lane::Lane;
use super::queue_budget::{Charge, FREE_BYTES, QueueBudget};
use super::spilled::{Entry, PLACE_BYTES};
use crate::message::QoS;
use crate::session::Outbound;

/// The most that may wait for one session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// Two lanes, since QoS 0 needs no room in the client's window. Numbered in order of arrival, so
/// that they are emptied in that order where the window allows.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) at_most_once: Lane,
    pub(super) acknowledged: Lane,
    pub(super) arrivals: u64,
    pub(super) bounds: Bounds,
    /// Of its connection; nobody is connected without one.
    pub(super) bell: Option<Arc<Bell>>,
    /// Whether the connection has been told and has not looked yet.
    pub(super) is_awake: bool,
    /// Whether the session has ended. A publisher may still know it for a while.
    pub(super) is_closed: bool,
    /// There is none before the first message that is kept.
    elsewhere: Option<Box<Elsewhere>>,
}

/// What is not, or not only, in the lanes.
#[derive(Debug, Default)]
struct Elsewhere {
    /// For messages that are on their way here.
    reserved: Bounds,
    /// Of those that are on disk alone.
    on_disk: Bounds,
    /// Whether some of these are being read.
    is_reading: bool,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backlog {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// When the first of it has come, where that is known.
    pub(super) since: Option<Instant>,
}

/// What became of a message that was pushed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits.
    Waiting {
        /// How many messages of QoS 0 have made room for it.
        shed: usize,
    },
    /// It was not taken: the queue is full, or what waits for all sessions is too much.
    Full,
    /// It was not taken: QoS 0 does not wait for a client that is away.
    Away,
    /// It was not taken: the session has ended.
    Closed,
}

impl Queue {
    /// An empty one.
    pub(super) fn bounded(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// That of a session that has ended.
    pub(super) fn closed() -> Self {
        Self { is_closed: true, ..Self::default() }
    }

    /// What it takes of the budget of all.
    pub(super) fn charge(&self, is_durable: bool) -> Charge {
        let bytes = self.at_most_once.bytes() + self.acknowledged.bytes();
        if !is_durable {
            return Charge { memory: bytes - bytes % FREE_BYTES, ..Charge::default() };
        }
        let (reserved, on_disk) = (self.reserved(), self.on_disk());
        Charge {
            memory: bytes + reserved.bytes + on_disk.messages * PLACE_BYTES - on_disk.bytes,
            kept: self.acknowledged.bytes() + reserved.bytes,
            on_disk: on_disk.bytes,
        }
    }

    pub(super) fn reserved(&self) -> Bounds {
        self.elsewhere.as_ref().map_or(Bounds::default(), |it| it.reserved)
    }

    pub(super) fn on_disk(&self) -> Bounds {
        self.elsewhere.as_ref().map_or(Bounds::default(), |it| it.on_disk)
    }

    pub(super) fn is_reading(&self) -> bool {
        self.elsewhere.as_ref().is_some_and(|it| it.is_reading)
    }

    pub(super) fn set_reading(&mut self, is_reading: bool) {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.is_reading = is_reading;
        }
    }

    pub(super) fn push(
        &mut self,
        outbound: Outbound,
        budget: &QueueBudget,
        wakes: &mut Vec<Arc<Bell>>,
    ) -> Pushed {
        if self.is_closed {
            return Pushed::Closed;
        }
        if outbound.qos == QoS::AtMostOnce && self.bell.is_none() {
            return Pushed::Away;
        }
        let cost = Lane::cost(&outbound.message);
        let shed = match outbound.qos {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce | QoS::ExactlyOnce => self.make_room(cost),
        };
        if !self.has_room(cost) || !self.has_memory(budget) {
            return Pushed::Full;
        }
        self.add(Entry::Here(outbound), wakes);
        Pushed::Waiting { shed }
    }

    /// Whether there is memory for one more that cannot be on disk alone.
    fn has_memory(&self, budget: &QueueBudget) -> bool {
        let bytes = self.at_most_once.bytes() + self.acknowledged.bytes();
        bytes < FREE_BYTES || budget.has_memory()
    }

    pub(super) fn reserve(&mut self, cost: usize, budget: &QueueBudget) -> Pushed {
        if self.is_closed {
            return Pushed::Closed;
        }
        let shed = self.make_room(cost);
        if !self.has_room(cost) || !budget.takes(cost) {
            return Pushed::Full;
        }
        let reserved = &mut self.elsewhere.get_or_insert_default().reserved;
        reserved.messages += 1;
        reserved.bytes += cost;
        Pushed::Waiting { shed }
    }

    /// A message that room was kept for is here.
    pub(super) fn take_reserved(&mut self, cost: usize) {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.reserved.messages -= 1;
            elsewhere.reserved.bytes -= cost;
        }
    }

    /// How many wait, those that are on their way here among them.
    pub(super) fn len(&self) -> usize {
        self.at_most_once.len() + self.acknowledged.len() + self.reserved().messages
    }

    pub(super) fn backlog(&self) -> Backlog {
        let lanes = [&self.at_most_once, &self.acknowledged];
        Backlog {
            messages: self.len(),
            bytes: lanes.iter().map(|lane| lane.bytes()).sum::<usize>() + self.reserved().bytes,
            since: lanes.iter().filter_map(|lane| lane.since()).min(),
        }
    }

    fn has_room(&self, cost: usize) -> bool {
        let bytes = self.at_most_once.bytes() + self.acknowledged.bytes() + self.reserved().bytes;
        self.len() < self.bounds.messages && bytes + cost <= self.bounds.bytes
    }

    /// Sheds messages of QoS 0, oldest first, for one of QoS 1 or 2, and says how many; none where
    /// even all of them would not do.
    fn make_room(&mut self, cost: usize) -> usize {
        let bounds = self.bounds;
        let Bounds { messages, bytes } = self.reserved();
        let can_have_room = self.acknowledged.len() + messages < bounds.messages
            && self.acknowledged.bytes() + bytes + cost <= bounds.bytes;
        let mut shed = 0;
        while can_have_room && !self.has_room(cost) && self.at_most_once.pop().is_some() {
            shed += 1;
        }
        shed
    }

    pub(super) fn add(&mut self, entry: Entry, wakes: &mut Vec<Arc<Bell>>) {
        let arrival = self.arrivals;
        self.arrivals += 1;
        match entry {
            Entry::Here(ref outbound) if outbound.qos == QoS::AtMostOnce => {
                self.at_most_once.push(arrival, entry);
            }
            entry => {
                if entry.is_on_disk() {
                    let on_disk = &mut self.elsewhere.get_or_insert_default().on_disk;
                    on_disk.messages += 1;
                    on_disk.bytes += Lane::cost_of(&entry);
                }
                self.acknowledged.push(arrival, entry);
            }
        }
        if !self.is_awake {
            wakes.extend(self.bell.clone());
            self.is_awake = self.bell.is_some();
        }
    }

    /// The message is not on disk alone any more, or does not wait any more.
    pub(super) fn leaves_disk(&mut self, cost: usize) {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.on_disk.messages -= 1;
            elsewhere.on_disk.bytes -= cost;
        }
    }

    /// The first arrival that waits, at `from` or later.
    pub(super) fn first_arrival(&self, from: u64) -> Option<u64> {
        let lanes = [&self.at_most_once, &self.acknowledged];
        lanes.into_iter().filter_map(|lane| lane.first_arrival(from)).min()
    }

    /// What can leave next. A message that is on disk alone holds up those behind it, but for QoS 0, as a
    /// closed window does.
    pub(super) fn next(&mut self, has_window: bool) -> Option<Outbound> {
        let acknowledged = self.acknowledged.next_arrival_here().filter(|_| has_window);
        match (self.at_most_once.next_arrival(), acknowledged) {
            (Some(first), Some(second)) if first < second => self.at_most_once.pop_here(),
            (_, Some(_)) => self.acknowledged.pop_here(),
            (_, None) => self.at_most_once.pop_here(),
        }
    }

    /// What comes next, wherever it is: for a queue that is taken apart.
    pub(super) fn next_entry(&mut self) -> Option<Entry> {
        match (self.at_most_once.next_arrival(), self.acknowledged.next_arrival()) {
            (Some(first), Some(second)) if second < first => self.acknowledged.pop(),
            (None, Some(_)) => self.acknowledged.pop(),
            _ => self.at_most_once.pop(),
        }
    }
}
