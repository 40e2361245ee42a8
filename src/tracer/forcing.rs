//! How often publishers have their messages traced by asking for it, so that no client has all of them traced.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Settings;
use crate::throttle::Rate;

/// The rates in force; without one, nobody is heard.
#[derive(Debug)]
pub(super) struct Forcing {
    of_all: Option<Rate>,
    of_one: Option<Rate>,
}

/// What all clients have asked for of late.
#[derive(Debug, Default)]
pub(super) struct Level(AtomicU64);

impl Forcing {
    pub(super) fn of(settings: &Settings) -> Self {
        let rate = |per_second| {
            let count = NonZeroU32::new(per_second)?;
            Some(Rate::new(count, NonZeroU32::MIN, count))
        };
        Self {
            of_all: rate(settings.forced_per_second),
            of_one: rate(settings.forced_per_client_per_second),
        }
    }

    /// Whether anybody is heard.
    pub(super) fn is_possible(&self) -> bool {
        self.of_all.is_some() && self.of_one.is_some()
    }

    /// Whether a client whose own level is `own` is heard at `now`, counted from any beginning. What one client asks
    /// for in vain takes nothing from the others.
    pub(super) fn admits(&self, own: &mut u64, all: &Level, now: Duration) -> bool {
        let (Some(of_all), Some(of_one)) = (self.of_all, self.of_one) else { return false };
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let Some(after) = of_one.admit(*own, now, 1) else { return false };
        let add = |level: u64| of_all.admit(level, now, 1);
        if all.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_err() {
            return false;
        }
        *own = after;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forcing(of_all: u32, of_one: u32) -> Forcing {
        Forcing::of(&Settings {
            forced_per_second: of_all,
            forced_per_client_per_second: of_one,
            ..Settings::default()
        })
    }

    /// How many of so many clients' messages are traced that all come at once, and then after a second.
    fn traced(forcing: &Forcing, clients: usize, messages: usize) -> (usize, usize) {
        let (mut own, all) = (vec![0; clients], Level::default());
        let mut count = |now| {
            let each = own.iter_mut().flat_map(|own| {
                (0..messages)
                    .map(|_| usize::from(forcing.admits(own, &all, now)))
                    .collect::<Vec<_>>()
            });
            each.sum()
        };
        let begin = Duration::from_secs(1_000_000_000);
        (count(begin), count(begin + Duration::from_secs(1)))
    }

    #[test]
    fn one_client_is_heard_so_often_and_all_of_them_together() {
        assert_eq!(traced(&forcing(10, 3), 1, 1_000), (3, 3));
        assert_eq!(traced(&forcing(10, 3), 100, 1_000), (10, 10));
        assert_eq!(traced(&forcing(10, 3), 2, 1), (2, 2));
    }

    #[test]
    fn nobody_is_heard_where_either_rate_is_0() {
        for (of_all, of_one) in [(0, 3), (10, 0), (0, 0)] {
            assert!(!forcing(of_all, of_one).is_possible());
            assert_eq!(traced(&forcing(of_all, of_one), 3, 3), (0, 0));
        }
    }
}
