//! What waits to be written, and who waits for it: the place where the broker and the writer meet.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Health;
use super::batch::Batch;

/// Bytes that wait above which nothing is accepted any more.
const MAX_WAITING_BYTES: usize = 256 << 20;
/// Bytes that wait above which it is time to wait for the disk before more is asked for.
const BEHIND_BYTES: usize = 8 << 20;

/// For how long nothing comes before it is believed that no more does.
const LULL: Duration = Duration::from_micros(250);

/// Stands for a batch: those that were appended before it have lower ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Why nothing can be kept now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The disk is ill.
    #[error("{0}")]
    Ill(Health),
    /// More waits than the disk gets written.
    #[error("the disk is too slow")]
    Behind,
}

#[derive(Debug, Default)]
pub(super) struct Commits {
    queue: Mutex<Queue>,
    has_work: Condvar,
    /// The last ticket whose batch is kept.
    committed: AtomicU64,
    health: AtomicU8,
    /// Bytes that were appended and are not kept yet.
    waiting_bytes: AtomicUsize,
    /// How many there are who want that nothing is cleaned.
    pauses: AtomicUsize,
}

/// As long as there is one, nothing is cleaned.
pub(super) struct Pause<'a>(&'a Commits);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.pauses.fetch_sub(1, Ordering::SeqCst);
        self.0.has_work.notify_one();
    }
}

#[derive(Debug, Default)]
struct Queue {
    batches: Vec<Batch>,
    /// The last ticket that was given.
    last: u64,
    is_closing: bool,
    wakers: Vec<(Ticket, Waker)>,
}

/// What the writer has to do.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) batches: Vec<Batch>,
    /// The ticket of the last of them, or the last before.
    pub(super) last: Ticket,
    pub(super) is_closing: bool,
}

impl Commits {
    pub(super) fn append(&self, batch: Batch) -> Ticket {
        self.waiting_bytes.fetch_add(batch.bytes().len(), Ordering::Relaxed);
        let mut queue = self.queue.lock();
        queue.batches.push(batch);
        queue.last += 1;
        let ticket = Ticket(queue.last);
        if queue.batches.len() == 1 {
            self.has_work.notify_one();
        }
        ticket
    }

    pub(super) fn latest(&self) -> Ticket {
        Ticket(self.queue.lock().last)
    }

    pub(super) fn admit(&self) -> Result<(), Refused> {
        match self.health() {
            Health::Good if self.waiting_bytes.load(Ordering::Relaxed) < MAX_WAITING_BYTES => {
                Ok(())
            }
            Health::Good => Err(Refused::Behind),
            ill => Err(Refused::Ill(ill)),
        }
    }

    /// Nothing is cleaned from the next turn of the writer on.
    pub(super) fn pause_cleaning(&self) -> Pause<'_> {
        self.pauses.fetch_add(1, Ordering::SeqCst);
        Pause(self)
    }

    pub(super) fn is_cleaning_paused(&self) -> bool {
        self.pauses.load(Ordering::SeqCst) > 0
    }

    /// Bytes that were appended and are not kept yet.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn is_behind(&self) -> bool {
        self.waiting_bytes.load(Ordering::Relaxed) > BEHIND_BYTES
    }

    pub(super) fn is_committed(&self, ticket: Ticket) -> bool {
        self.committed.load(Ordering::Acquire) >= ticket.0
    }

    pub(super) fn wake_when_committed(&self, ticket: Ticket, waker: Waker) {
        let mut queue = self.queue.lock();
        // Looked at under the lock: whoever commits wakes those who are in the queue afterwards.
        match self.is_committed(ticket) {
            true => {
                drop(queue);
                waker.wake();
            }
            false => queue.wakers.push((ticket, waker)),
        }
    }

    pub(super) fn health(&self) -> Health {
        Health::from_number(self.health.load(Ordering::Acquire))
    }

    pub(super) fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Release);
    }

    /// No more is coming.
    pub(super) fn close(&self) {
        self.queue.lock().is_closing = true;
        self.has_work.notify_one();
    }

    /// Waits as long as more keeps coming, until the `deadline`.
    pub(super) fn gather(&self, deadline: Instant) {
        let mut seen = self.latest();
        while Instant::now() + LULL <= deadline {
            thread::sleep(LULL);
            let latest = self.latest();
            if latest == seen {
                return;
            }
            seen = latest;
        }
    }

    /// Takes what waits; where nothing does, for `patience` at most.
    pub(super) fn take(&self, patience: Duration) -> Work {
        let mut queue = self.queue.lock();
        if queue.batches.is_empty() && !queue.is_closing && !patience.is_zero() {
            self.has_work.wait_for(&mut queue, patience);
        }
        Work {
            batches: std::mem::take(&mut queue.batches),
            last: Ticket(queue.last),
            is_closing: queue.is_closing,
        }
    }

    /// Waits before the disk is tried again; not where the store is closing. Says whether it is.
    pub(super) fn rest(&self, time: Duration) -> bool {
        let mut queue = self.queue.lock();
        if !queue.is_closing {
            self.has_work.wait_for(&mut queue, time);
        }
        queue.is_closing
    }

    /// All batches up to `ticket` are kept, which were of so many `bytes`.
    pub(super) fn commit(&self, ticket: Ticket, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let mut queue = self.queue.lock();
        self.committed.store(ticket.0, Ordering::Release);
        let woken = queue.wakers.extract_if(.., |(waiting, _)| *waiting <= ticket);
        let woken = woken.map(|(_, waker)| waker).collect::<Vec<_>>();
        drop(queue);
        woken.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_gathered_while_more_comes_and_no_longer() {
        let commits = Commits::default();
        let (begin, minute) = (Instant::now(), Duration::from_secs(60));
        commits.gather(begin + minute);
        assert!(begin.elapsed() < minute / 2, "nothing comes");
        let is_over = AtomicU8::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                while is_over.load(Ordering::Relaxed) == 0 {
                    commits.append(Batch::default());
                }
            });
            // The other thread may rest now and then: not every time.
            loop {
                let deadline = Instant::now() + Duration::from_millis(2);
                commits.gather(deadline);
                if Instant::now() + LULL > deadline {
                    break;
                }
            }
            is_over.store(1, Ordering::Relaxed);
        });
    }
}
