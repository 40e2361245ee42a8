//! How many connections may come in a time: of one address, of one prefix, and in all.

use super::levels::Levels;
use super::{Rate, Scope, Source};

/// How many may come, and how many at once; nothing is any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArrivalRates {
    /// Of one address.
    pub address: Option<Rate>,
    /// Of one prefix.
    pub prefix: Option<Rate>,
    /// Of all.
    pub all: Option<Rate>,
}

/// Addresses, and prefixes, that are remembered.
const MOST_SOURCES: usize = 1 << 16;

/// What has come lately. It takes 1 MiB for addresses and 1 MiB for prefixes at most, however many there
/// are; where there is no rate, nothing.
#[derive(Debug)]
pub struct Arrivals {
    addresses: Option<Buckets>,
    prefixes: Option<Buckets>,
    all: Option<Rate>,
    level_of_all: u64,
    seed: u64,
}

#[derive(Debug)]
struct Buckets {
    rate: Rate,
    levels: Levels,
}

impl Arrivals {
    /// Nothing has come yet. `seed` is secret, so that nobody can choose addresses that share a place.
    #[must_use]
    pub fn new(rates: ArrivalRates, seed: u64) -> Self {
        let mut this = Self { addresses: None, prefixes: None, all: None, level_of_all: 0, seed };
        this.follow(rates);
        this
    }

    /// Goes by other rates. What has come goes on counting.
    pub fn follow(&mut self, rates: ArrivalRates) {
        let seed = self.seed;
        let buckets = |rate: Option<Rate>, before: Option<Buckets>| {
            let rate = rate?;
            let levels = before.map_or_else(|| Levels::new(MOST_SOURCES, seed), |it| it.levels);
            Some(Buckets { rate, levels })
        };
        self.addresses = buckets(rates.address, self.addresses.take());
        self.prefixes = buckets(rates.prefix, self.prefixes.take());
        self.all = rates.all;
    }

    /// Counts one that comes `now`, in nanoseconds of any clock.
    ///
    /// # Errors
    /// What there has been too much of; it is then not counted.
    pub fn admit(&mut self, source: Source, now: u64) -> Result<(), Scope> {
        let prefix = source.prefix();
        let after = |buckets: &Option<Buckets>, source: Source, scope| match buckets {
            Some(Buckets { rate, levels }) => {
                rate.admit(levels.of(source.number()), now, 1).ok_or(scope).map(Some)
            }
            None => Ok(None),
        };
        let of_address = after(&self.addresses, source, Scope::Address)?;
        let of_prefix = after(&self.prefixes, prefix, Scope::Prefix)?;
        if let Some(rate) = self.all {
            self.level_of_all = rate.admit(self.level_of_all, now, 1).ok_or(Scope::All)?;
        }
        if let (Some(buckets), Some(level)) = (&mut self.addresses, of_address) {
            buckets.levels.set(source.number(), level);
        }
        if let (Some(buckets), Some(level)) = (&mut self.prefixes, of_prefix) {
            buckets.levels.set(prefix.number(), level);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::num::NonZeroU32;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(count: u32, burst: u32) -> Option<Rate> {
        let [count, burst] = [count, burst].map(|it| NonZeroU32::new(it).unwrap());
        Some(Rate::new(count, NonZeroU32::MIN, burst))
    }

    fn source(a: u8, b: u8) -> Source {
        IpAddr::from(Ipv4Addr::new(10, 0, a, b)).into()
    }

    #[test]
    fn each_address_each_prefix_and_all_have_their_own_rate() {
        let rates = ArrivalRates { address: rate(1, 2), prefix: rate(1, 5), all: rate(1, 8) };
        let mut arrivals = Arrivals::new(rates, 1);
        let mut come = |a, b, now| arrivals.admit(source(a, b), now);
        let now = 100 * SECOND;
        assert_eq!([come(1, 1, now), come(1, 1, now)], [Ok(()); 2]);
        assert_eq!(come(1, 1, now), Err(Scope::Address));
        assert_eq!([come(1, 2, now), come(1, 2, now), come(1, 3, now)], [Ok(()); 3]);
        // What was refused of the address has not counted for its prefix.
        assert_eq!(come(1, 4, now), Err(Scope::Prefix));
        assert_eq!([come(2, 1, now), come(3, 1, now), come(4, 1, now)], [Ok(()); 3]);
        assert_eq!(come(5, 1, now), Err(Scope::All));
        assert_eq!(come(1, 1, now + SECOND), Ok(()));
        assert_eq!(come(1, 2, now + SECOND), Err(Scope::Prefix));
    }

    #[test]
    fn a_flood_of_one_address_leaves_room_for_others_and_comes_to_its_rate() {
        let rates = ArrivalRates { address: rate(10, 5), prefix: rate(20, 20), all: None };
        let mut arrivals = Arrivals::new(rates, 1);
        let (mut admitted, mut others) = (0, 0);
        // Ten seconds at 30,000 a second, and a neighbour once a second.
        for step in 0..300_000_u64 {
            let now = SECOND + step * SECOND / 30_000;
            admitted += u32::from(arrivals.admit(source(1, 1), now).is_ok());
            if step.is_multiple_of(30_000) {
                others += u32::from(arrivals.admit(source(1, 2), now).is_ok());
            }
        }
        assert!((100..=105).contains(&admitted), "{admitted}");
        assert_eq!(others, 10);
    }

    #[test]
    fn without_rates_nothing_is_kept_and_what_was_counted_outlives_a_change() {
        let mut arrivals = Arrivals::new(ArrivalRates::default(), 1);
        assert!((0..1_000).all(|_| arrivals.admit(source(1, 1), 0).is_ok()));
        assert!(arrivals.addresses.is_none() && arrivals.prefixes.is_none());
        let strict = ArrivalRates { address: rate(1, 1), ..ArrivalRates::default() };
        arrivals.follow(strict);
        assert_eq!(arrivals.admit(source(1, 1), SECOND), Ok(()));
        arrivals.follow(ArrivalRates { prefix: rate(9, 9), ..strict });
        assert_eq!(arrivals.admit(source(1, 1), SECOND), Err(Scope::Address));
    }
}
