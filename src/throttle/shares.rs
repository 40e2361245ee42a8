//! What one address, one prefix and all of them hold at once of something that there is only so much of.

use foldhash::{HashMap, HashMapExt};

use super::{Scope, Source};

/// How many may be held at once; 0 is any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// By one address.
    pub address: u32,
    /// By one prefix.
    pub prefix: u32,
    /// By all.
    pub all: u32,
}

/// Who holds how many. There is an entry for whoever holds any, and so never more than are held.
#[derive(Debug)]
pub struct Shares {
    bounds: Bounds,
    addresses: HashMap<Source, u32>,
    prefixes: HashMap<Source, u32>,
    all: u32,
}

impl Shares {
    /// Nobody holds anything yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, addresses: HashMap::new(), prefixes: HashMap::new(), all: 0 }
    }

    /// Goes by other bounds, for whoever comes from now on.
    pub fn follow(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// One more for `source`. Says whether it was counted, and so is to be given back: where nothing is
    /// bounded it is not.
    ///
    /// # Errors
    /// Who holds as many as it may; nothing is counted then.
    pub fn take(&mut self, source: Source) -> Result<bool, Scope> {
        let Bounds { address, prefix, all } = self.bounds;
        if self.bounds == Bounds::default() {
            return Ok(false);
        }
        let held = |map: &HashMap<Source, u32>, source| map.get(&source).copied().unwrap_or(0);
        let room = |held, most, scope| if most > 0 && held >= most { Err(scope) } else { Ok(()) };
        room(held(&self.addresses, source), address, Scope::Address)?;
        room(held(&self.prefixes, source.prefix()), prefix, Scope::Prefix)?;
        room(self.all, all, Scope::All)?;
        *self.addresses.entry(source).or_default() += 1;
        *self.prefixes.entry(source.prefix()).or_default() += 1;
        self.all += 1;
        Ok(true)
    }

    /// One less for `source`, which was counted.
    pub fn give_back(&mut self, source: Source) {
        one_less(&mut self.addresses, source);
        one_less(&mut self.prefixes, source.prefix());
        self.all = self.all.saturating_sub(1);
    }

    /// How many are held, as far as they were counted.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.all
    }
}

fn one_less(map: &mut HashMap<Source, u32>, source: Source) {
    if let Some(held) = map.get_mut(&source) {
        *held -= 1;
        if *held == 0 {
            map.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn source(a: u8, b: u8) -> Source {
        IpAddr::from(Ipv4Addr::new(10, 0, a, b)).into()
    }

    #[test]
    fn each_address_each_prefix_and_all_have_their_own_bound() {
        let mut shares = Shares::new(Bounds { address: 1, prefix: 2, all: 3 });
        assert_eq!(shares.take(source(1, 1)), Ok(true));
        assert_eq!(shares.take(source(1, 1)), Err(Scope::Address));
        assert_eq!(shares.take(source(1, 2)), Ok(true));
        assert_eq!(shares.take(source(1, 3)), Err(Scope::Prefix));
        assert_eq!(shares.take(source(2, 1)), Ok(true));
        assert_eq!(shares.take(source(3, 1)), Err(Scope::All));
        shares.give_back(source(1, 1));
        assert_eq!(shares.take(source(1, 3)), Ok(true));
        for held in [source(1, 2), source(1, 3), source(2, 1)] {
            shares.give_back(held);
        }
        assert!(shares.addresses.is_empty() && shares.prefixes.is_empty());
        assert_eq!(shares.held(), 0);
    }

    #[test]
    fn a_bound_of_0_is_none_and_without_any_nothing_is_counted() {
        let mut shares = Shares::new(Bounds::default());
        assert!((0..100).all(|_| shares.take(source(1, 1)) == Ok(false)));
        assert!(shares.addresses.is_empty());
        shares.follow(Bounds { prefix: 2, ..Bounds::default() });
        assert_eq!([shares.take(source(1, 1)), shares.take(source(1, 1))], [Ok(true); 2]);
        assert_eq!(shares.take(source(1, 2)), Err(Scope::Prefix));
    }
}
