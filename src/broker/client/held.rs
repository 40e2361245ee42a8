//! Output that must not leave yet: what it says has happened would be forgotten if the power went now.
//!
//! It is held as a whole from where it might say so, rather than by acknowledgement: whatever a client
//! is sent after a change leaves after the change is kept, and in its order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use crate::broker::bell::Bell;
use crate::store::{Store, Ticket};

/// What is held of the output of one connection.
#[derive(Debug)]
pub(super) struct Held {
    store: Arc<Store>,
    /// From which byte of the output on to wait for which ticket; both grow.
    waits: VecDeque<(usize, Ticket)>,
    /// The last ticket that the bell is to be rung for.
    awaited: Option<Ticket>,
}

impl Held {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, waits: VecDeque::new(), awaited: None }
    }

    /// Holds what is from the byte `start` on until `ticket` is kept.
    pub(super) fn hold(&mut self, start: usize, ticket: Ticket) {
        match self.waits.back_mut() {
            // The bell is not set for the last one yet: it waits for this one as well.
            Some((_, last)) if self.awaited.is_none_or(|awaited| awaited < *last) => *last = ticket,
            _ => self.waits.push_back((start, ticket)),
        }
    }

    /// Has `bell` rung when what was held last may leave.
    pub(super) fn set_bell(&mut self, bell: &Arc<Bell>) {
        let last = self.waits.back().map(|(_, ticket)| *ticket);
        if let Some(ticket) = last.filter(|it| self.awaited.is_none_or(|awaited| awaited < *it)) {
            self.awaited = Some(ticket);
            self.store.wake_when_kept(ticket, Waker::from(Arc::clone(bell)));
        }
    }

    /// The first byte that may not leave.
    pub(super) fn start(&self) -> Option<usize> {
        let unkept = self.waits.iter().find(|(_, ticket)| !self.store.is_kept(*ticket));
        unkept.map(|(start, _)| *start)
    }

    /// `count` bytes have been taken off the start of the output.
    pub(super) fn shift(&mut self, count: usize) {
        while self.waits.front().is_some_and(|(_, ticket)| self.store.is_kept(*ticket)) {
            self.waits.pop_front();
        }
        self.waits.iter_mut().for_each(|(start, _)| *start = start.saturating_sub(count));
    }

    /// Nothing is left of the output.
    pub(super) fn clear(&mut self) {
        self.waits.clear();
    }

    /// Whether there is anything to wait for while the disk is far behind.
    pub(super) fn is_held_up(&self) -> bool {
        self.store.is_behind() && self.start().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::store::tests::{MASTER, SimulatedDisk};
    use crate::store::{Batch, Key, Opened, Settings, Table};

    struct Desk {
        disk: SimulatedDisk,
        store: Arc<Store>,
    }

    impl Desk {
        fn new() -> Self {
            let disk = SimulatedDisk::default();
            let opened = Opened::open(disk.clone(), &MASTER, Duration::ZERO).unwrap();
            Self {
                disk,
                store: Arc::new(opened.start(&Settings::default(), &Arc::default()).unwrap()),
            }
        }

        fn append(&self) -> Ticket {
            let mut batch = Batch::default();
            batch.put(Table(1), Key([1; 16]), b"value");
            self.store.append(batch)
        }
    }

    #[tokio::test]
    async fn output_is_held_from_the_first_change_that_is_not_kept_and_the_bell_rings_when_it_is() {
        let desk = Desk::new();
        desk.disk.fail_every(1, io::ErrorKind::StorageFull);
        let (mut held, bell) = (Held::new(Arc::clone(&desk.store)), Arc::new(Bell::default()));
        held.hold(10, desk.append());
        held.hold(20, desk.append());
        assert_eq!(held.start(), Some(10));
        held.set_bell(&bell);
        held.hold(30, desk.append());
        assert_eq!(held.waits.len(), 2, "one for each time that the bell is set");
        held.set_bell(&bell);
        held.shift(4);
        assert_eq!(held.start(), Some(6));
        desk.disk.work_again();
        while held.start().is_some() {
            bell.rung().await;
        }
        held.shift(6);
        assert!(held.waits.is_empty());
    }

    #[tokio::test]
    async fn what_is_kept_by_now_is_not_waited_for() {
        let desk = Desk::new();
        let (mut held, bell) = (Held::new(Arc::clone(&desk.store)), Arc::new(Bell::default()));
        let ticket = desk.append();
        held.hold(0, ticket);
        held.set_bell(&bell);
        bell.rung().await;
        assert_eq!(held.start(), None);
        held.hold(5, ticket);
        assert_eq!(held.start(), None);
        assert!(!held.is_held_up());
    }
}
