//! A circuit breaker: a service that fails again and again is left alone for a while. Pure.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Counts failures in a row, and says whether the service may be asked.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Failures after which it opens.
    after: NonZeroU32,
    /// How long it then stays open.
    rest: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    /// Nothing is asked before `until`.
    Open {
        until: Instant,
    },
    /// One question tries whether the service is back.
    Probing,
}

/// A question that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// One of many.
    Ordinary,
    /// The one that decides.
    Probe,
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    Failed,
    /// Nobody waits for the answer any more.
    Abandoned,
}

/// What an outcome has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Opened,
    Closed,
}

impl Breaker {
    pub(super) fn new(after: NonZeroU32, rest: Duration) -> Self {
        Self { after, rest, state: State::Closed { failures: 0 } }
    }

    /// Opens after as many failures, and for as long, from now on.
    pub(super) fn follow(&mut self, after: NonZeroU32, rest: Duration) {
        self.after = after;
        self.rest = rest;
    }

    /// Whether a question that came now would be turned away.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => false,
            State::Open { until } => now < until,
            State::Probing => true,
        }
    }

    /// Leave to ask, whose outcome is told to [`Self::settle`].
    pub(super) fn pass(&mut self, now: Instant) -> Option<Pass> {
        if self.is_open(now) {
            return None;
        }
        match self.state {
            State::Closed { .. } => Some(Pass::Ordinary),
            State::Open { .. } | State::Probing => {
                self.state = State::Probing;
                Some(Pass::Probe)
            }
        }
    }

    /// Takes what came of a question, and says what that changes. Of those that were under way when
    /// it opened, nothing is learnt.
    pub(super) fn settle(&mut self, now: Instant, pass: Pass, outcome: Outcome) -> Option<Change> {
        match (pass, outcome, self.state) {
            (Pass::Probe, Outcome::Answered, _) => {
                self.state = State::Closed { failures: 0 };
                Some(Change::Closed)
            }
            (Pass::Probe, Outcome::Failed, _) => {
                self.state = State::Open { until: now + self.rest };
                None
            }
            (Pass::Probe, Outcome::Abandoned, _) => {
                self.state = State::Open { until: now };
                None
            }
            (Pass::Ordinary, Outcome::Answered, State::Closed { .. }) => {
                self.state = State::Closed { failures: 0 };
                None
            }
            (Pass::Ordinary, Outcome::Failed, State::Closed { failures }) => {
                let failures = failures.saturating_add(1);
                let opens = failures >= self.after.get();
                self.state = match opens {
                    true => State::Open { until: now + self.rest },
                    false => State::Closed { failures },
                };
                opens.then_some(Change::Opened)
            }
            (Pass::Ordinary, _, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Abandoned, Answered, Failed};
    use super::*;

    const REST: Duration = Duration::from_secs(10);

    fn breaker() -> Breaker {
        Breaker::new(NonZeroU32::new(3).unwrap(), REST)
    }

    /// Has failed three times in a row at `now`.
    fn open(now: Instant) -> Breaker {
        let mut breaker = breaker();
        for failure in 1..=3 {
            let pass = breaker.pass(now).unwrap();
            let change = (failure == 3).then_some(Change::Opened);
            assert_eq!(breaker.settle(now, pass, Failed), change);
        }
        breaker
    }

    #[test]
    fn only_failures_in_a_row_count() {
        let (mut breaker, now) = (breaker(), Instant::now());
        for outcome in [Failed, Failed, Answered, Failed, Failed, Abandoned, Answered, Failed] {
            let pass = breaker.pass(now).unwrap();
            assert_eq!(breaker.settle(now, pass, outcome), None, "{outcome:?}");
            assert!(!breaker.is_open(now));
        }
    }

    #[test]
    fn an_open_one_asks_once_after_its_rest_and_that_decides() {
        let now = Instant::now();
        for (outcome, change, is_open) in
            [(Answered, Some(Change::Closed), false), (Failed, None, true)]
        {
            let mut breaker = open(now);
            assert!(breaker.is_open(now + REST / 2) && breaker.pass(now + REST / 2).is_none());
            let later = now + REST;
            assert_eq!(breaker.pass(later), Some(Pass::Probe));
            assert!(breaker.is_open(later) && breaker.pass(later).is_none());
            assert_eq!(breaker.settle(later, Pass::Probe, outcome), change);
            assert_eq!(breaker.pass(later).is_none(), is_open);
            assert!(breaker.pass(later + REST).is_some());
        }
    }

    #[test]
    fn a_probe_that_nobody_waits_for_leaves_its_place_to_the_next() {
        let now = Instant::now();
        let mut breaker = open(now);
        let later = now + REST;
        assert_eq!(breaker.pass(later), Some(Pass::Probe));
        breaker.settle(later, Pass::Probe, Abandoned);
        assert_eq!(breaker.pass(later), Some(Pass::Probe));
    }

    #[test]
    fn what_was_under_way_when_it_opened_changes_nothing() {
        let now = Instant::now();
        let mut breaker = open(now);
        for outcome in [Answered, Failed, Abandoned] {
            assert_eq!(breaker.settle(now + REST / 2, Pass::Ordinary, outcome), None);
            assert!(breaker.is_open(now + REST / 2) && !breaker.is_open(now + REST));
        }
    }
}
