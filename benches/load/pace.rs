//! An open loop: messages leave when they are due, whatever has become of the earlier ones, and
//! each is timed from when it was due. A broker that stalls is so charged for all that waited.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::wire::Stamp;

/// How many messages of one publisher are due.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    due: Cell<u64>,
    waiting: RefCell<Option<Waker>>,
}

impl Pace {
    /// How many messages have been due so far; `waker` is told when there are more.
    pub(crate) fn allowed(&self, waker: &Waker) -> u64 {
        self.waiting.replace(Some(waker.clone()));
        self.due.get()
    }

    fn allow_one_more(&self) {
        self.due.set(self.due.get() + 1);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

/// When each message is due, and how much later it arrived.
#[derive(Debug)]
pub(crate) struct Schedule {
    begin: Instant,
    interval: Duration,
    publishers: usize,
    /// Messages that are sent before any is timed.
    untimed: u64,
    late_by: RefCell<Vec<Duration>>,
}

impl Schedule {
    /// A message every `interval`, of each of the `publishers` in turn.
    pub(crate) fn new(interval: Duration, publishers: usize, untimed: u64) -> Rc<Self> {
        let late_by = RefCell::new(Vec::new());
        Rc::new(Self { begin: Instant::now(), interval, publishers, untimed, late_by })
    }

    /// Compares the arrival of a message, which is now, with when it was due.
    pub(crate) fn note_arrival(&self, stamp: &Stamp) {
        let place = u64::from(stamp.number) * self.publishers as u64 + stamp.publisher as u64;
        if place >= self.untimed {
            let late_by = Instant::now().saturating_duration_since(self.due(place));
            self.late_by.borrow_mut().push(late_by);
        }
    }

    fn due(&self, place: u64) -> Instant {
        self.begin + Duration::from_nanos(self.interval.as_nanos() as u64 * place)
    }

    /// Lets `publishers` send `messages` in all, each when it is due.
    pub(crate) async fn run(&self, publishers: &[Rc<Pace>], messages: u64) -> anyhow::Result<()> {
        let alarm = Alarm::every(self.interval).context("no timer")?;
        let mut sent = 0;
        while sent < messages {
            alarm.ring().await?;
            while sent < messages && self.due(sent) <= Instant::now() {
                publishers[(sent % self.publishers as u64) as usize].allow_one_more();
                sent += 1;
            }
        }
        Ok(())
    }

    /// How late the messages were at the given shares of them all: 0.5 is the median.
    pub(crate) fn percentiles<const N: usize>(&self, shares: [f64; N]) -> [Duration; N] {
        let mut late_by = self.late_by.borrow_mut();
        late_by.sort_unstable();
        let last = late_by.len().saturating_sub(1);
        shares.map(|share| {
            let place = (last as f64 * share).ceil() as usize;
            late_by.get(place).copied().unwrap_or_default()
        })
    }
}

/// A timer of the kernel: those of the runtime are good to a millisecond only.
struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    fn every(interval: Duration) -> anyhow::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let interval = Timespec::try_from(interval)?;
        let first = Itimerspec { it_interval: interval, it_value: interval };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &first)?;
        #[allow(deprecated, reason = "what replaces it is unsafe; an OwnedFd stays what it is")]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Waits until it rings, or returns at once if it has since.
    async fn ring(&self) -> anyhow::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            let read = |timer: &AsyncFd<OwnedFd>| Ok(rustix::io::read(timer, &mut [0; 8])?);
            if let Ok(read) = ready.try_io(read) {
                read?;
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_timed_from_when_it_was_due() {
        let hour = Duration::from_secs(3600);
        let begin = Instant::now().checked_sub(10 * hour).unwrap();
        let late_by = RefCell::new(Vec::new());
        let schedule = Schedule { begin, interval: hour, publishers: 2, untimed: 3, late_by };
        for (publisher, number) in [(0, 1), (1, 1), (0, 2), (1, 2)] {
            schedule.note_arrival(&Stamp { publisher, topic: 0, number });
        }
        let hours = schedule.percentiles([0.0, 0.5, 0.99]).map(|late| late.as_secs() / 3600);
        assert_eq!(hours, [5, 6, 7]);
    }
}
