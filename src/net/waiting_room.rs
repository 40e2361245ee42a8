//! Those who have been accepted and are served when it is their turn. Who stands in the system's queue
//! instead, when that is full, is not heard by it and tries again after a second, then after three: a fleet
//! that comes back would knock over and over, at the cost of everybody.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::accept_rate::AcceptRate;

/// In the order in which they came.
#[derive(Debug)]
pub(super) struct WaitingRoom<T> {
    waiting: VecDeque<T>,
    seats: usize,
    rate: AcceptRate,
    /// When the next one is served.
    opens: Instant,
}

impl<T> WaitingRoom<T> {
    /// Of which so many leave a second, while as many as there are `seats` may wait.
    pub(super) fn new(seats: NonZeroU32, per_second: NonZeroU32, now: Instant) -> Self {
        let rate = AcceptRate::new(per_second, now);
        Self { waiting: VecDeque::new(), seats: seats.get() as usize, rate, opens: now }
    }

    /// So many a second from now on.
    pub(super) fn follow(&mut self, per_second: NonZeroU32) {
        self.rate.follow(per_second);
    }

    /// Whether one more may wait.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < self.seats
    }

    /// Waits behind all the others.
    pub(super) fn enter(&mut self, who: T) {
        self.waiting.push_back(who);
    }

    /// How long whoever is next still has to wait; none where nobody does.
    pub(super) fn rest(&self, now: Instant) -> Option<Duration> {
        (!self.waiting.is_empty()).then(|| self.opens.saturating_duration_since(now))
    }

    /// Whose turn it is.
    pub(super) fn next(&mut self, now: Instant) -> Option<T> {
        if now < self.opens {
            return None;
        }
        let next = self.waiting.pop_front();
        if self.waiting.is_empty() {
            // A crowd has gone: its room is not kept for the next one.
            self.waiting.shrink_to(SEATS_KEPT);
        }
        next
    }

    /// Counts one who is served, after whom the next one has to wait for their turn.
    pub(super) fn count(&mut self, now: Instant) {
        self.opens = now + self.rate.rest_after(now).unwrap_or_default();
    }
}

/// Room for those who come in ordinary times.
const SEATS_KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn room(begin: Instant) -> WaitingRoom<u32> {
        let number = |number| NonZeroU32::new(number).unwrap();
        WaitingRoom::new(number(10), number(100), begin)
    }

    #[test]
    fn who_comes_alone_does_not_wait() {
        let begin = Instant::now();
        let mut room = room(begin);
        assert_eq!(room.rest(begin), None);
        assert_eq!(room.next(begin), None);
        room.enter(1);
        assert_eq!(room.rest(begin), Some(Duration::ZERO));
        assert_eq!(room.next(begin), Some(1));
        assert_eq!(room.rest(begin), None);
    }

    #[test]
    fn a_crowd_is_served_in_its_order_and_at_the_rate() {
        let begin = Instant::now();
        let mut room = room(begin);
        (0..10).for_each(|number| room.enter(number));
        assert!(!room.has_room());
        let mut now = begin;
        let mut served = Vec::new();
        while let Some(rest) = room.rest(now) {
            now += rest;
            served.extend(room.next(now));
            room.count(now);
        }
        assert!(room.has_room());
        assert_eq!(served, (0..10).collect::<Vec<_>>());
        assert_eq!(now - begin, MILLISECOND * 90, "one every 10 ms");
    }

    #[test]
    fn who_is_not_counted_takes_no_turn_from_others() {
        let begin = Instant::now();
        let mut room = room(begin);
        (0..3).for_each(|number| room.enter(number));
        assert_eq!([room.next(begin), room.next(begin)], [Some(0), Some(1)]);
        room.count(begin);
        assert_eq!(room.next(begin), None);
        assert_eq!(room.rest(begin), Some(MILLISECOND * 10));
    }

    #[test]
    fn a_higher_rate_counts_from_the_next_one_on() {
        let begin = Instant::now();
        let mut room = room(begin);
        room.count(begin);
        (0..2).for_each(|number| room.enter(number));
        room.follow(NonZeroU32::new(200).unwrap());
        let now = begin + room.rest(begin).unwrap();
        assert_eq!(room.next(now), Some(0));
        room.count(now);
        assert_eq!(room.rest(now), Some(MILLISECOND * 5));
    }
}
