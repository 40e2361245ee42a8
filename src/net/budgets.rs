//! What one address, one prefix and all of them may have: connections in a time, connections at once, and
//! those of them whose clients have not been let in. It is counted before anything is read, so that who
//! asks for too much costs next to nothing.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::Settings;
use crate::telemetry::Refusal;
use crate::throttle::{Arrivals, Scope, Shares, Source};

/// The budgets of all addresses.
#[derive(Debug)]
pub(super) struct Budgets {
    /// What arrivals are timed from.
    started: Instant,
    spent: Mutex<Spent>,
}

#[derive(Debug)]
struct Spent {
    arrivals: Arrivals,
    connections: Shares,
    /// Connections whose clients have not been let in.
    handshakes: Shares,
}

/// What a connection takes of the budgets of its address, given back when it is dropped. A pointer to
/// nothing where there is nothing to give back.
#[derive(Debug, Default)]
pub(super) struct Place(Option<Box<Claim>>);

#[derive(Debug)]
struct Claim {
    budgets: Arc<Budgets>,
    source: Source,
    is_connection: bool,
    is_handshake: bool,
}

impl Budgets {
    pub(super) fn new(settings: &Settings) -> Self {
        // Seeded by the operating system, which is what it is made for.
        let seed = RandomState::new().hash_one(0_u8);
        let spent = Spent {
            arrivals: Arrivals::new(settings.arrival_rates(), seed),
            connections: Shares::new(settings.connection_bounds()),
            handshakes: Shares::new(settings.handshake_bounds()),
        };
        Self { started: Instant::now(), spent: Mutex::new(spent) }
    }

    /// Other bounds for who comes from now on. What came while there were none was not counted.
    pub(super) fn follow(&self, settings: &Settings) {
        let mut spent = self.spent.lock();
        spent.arrivals.follow(settings.arrival_rates());
        spent.connections.follow(settings.connection_bounds());
        spent.handshakes.follow(settings.handshake_bounds());
    }

    /// Counts a connection from `address` that comes now.
    ///
    /// # Errors
    /// Of what there have been too many lately.
    pub(super) fn admit(&self, address: IpAddr) -> Result<(), Refusal> {
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.spent.lock().arrivals.admit(Source::from(address), now).map_err(too_fast)
    }

    /// A place for a connection from `address`, whose client has not been let in.
    ///
    /// # Errors
    /// Which of its budgets is spent.
    pub(super) fn claim(self: &Arc<Self>, address: IpAddr) -> Result<Place, Refusal> {
        let source = Source::from(address);
        let mut spent = self.spent.lock();
        let Spent { connections, handshakes, .. } = &mut *spent;
        let is_connection = connections.take(source).map_err(too_many)?;
        let is_handshake = handshakes.take(source).map_err(|scope| {
            if is_connection {
                connections.give_back(source);
            }
            too_many_handshakes(scope)
        })?;
        drop(spent);
        let is_counted = is_connection || is_handshake;
        let claim = || Claim { budgets: Arc::clone(self), source, is_connection, is_handshake };
        Ok(Place(is_counted.then(|| Box::new(claim()))))
    }

    /// Clients that have not been let in, as far as they are counted.
    #[cfg(test)]
    fn handshakes(&self) -> u32 {
        self.spent.lock().handshakes.held()
    }
}

fn too_fast(scope: Scope) -> Refusal {
    match scope {
        Scope::Address => Refusal::RateOfAddress,
        Scope::Prefix => Refusal::RateOfPrefix,
        Scope::All => Refusal::Rate,
    }
}

fn too_many(scope: Scope) -> Refusal {
    match scope {
        Scope::Address => Refusal::TooManyOfAddress,
        Scope::Prefix => Refusal::TooManyOfPrefix,
        Scope::All => Refusal::TooMany,
    }
}

fn too_many_handshakes(scope: Scope) -> Refusal {
    match scope {
        Scope::Address => Refusal::HandshakesOfAddress,
        Scope::Prefix => Refusal::HandshakesOfPrefix,
        Scope::All => Refusal::Handshakes,
    }
}

impl Place {
    /// The client has been let in. Where only handshakes are bounded there is nothing left to hold.
    pub(super) fn let_in(&mut self) {
        if let Some(claim) = &mut self.0 {
            claim.end_handshake();
            if !claim.is_connection {
                self.0 = None;
            }
        }
    }
}

impl Claim {
    fn end_handshake(&mut self) {
        if std::mem::take(&mut self.is_handshake) {
            self.budgets.spent.lock().handshakes.give_back(self.source);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.end_handshake();
        if self.is_connection {
            self.budgets.spent.lock().connections.give_back(self.source);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn budgets(of: impl FnOnce(&mut Settings)) -> Arc<Budgets> {
        let mut settings = Settings::unbounded();
        of(&mut settings);
        Arc::new(Budgets::new(&settings))
    }

    fn claim(budgets: &Arc<Budgets>, address: &str) -> Result<Place, Refusal> {
        budgets.claim(address.parse().unwrap())
    }

    #[test]
    fn handshakes_of_an_address_are_bounded_until_they_are_over() {
        let budgets = budgets(|it| it.max_handshakes_per_address = 2);
        let mut one = claim(&budgets, "192.0.2.1").unwrap();
        let two = claim(&budgets, "192.0.2.1").unwrap();
        let refused = claim(&budgets, "192.0.2.1").unwrap_err();
        assert_eq!(refused, Refusal::HandshakesOfAddress);
        assert!(claim(&budgets, "192.0.2.2").is_ok());
        one.let_in();
        assert!(one.0.is_none(), "there is nothing left to hold");
        let three = claim(&budgets, "192.0.2.1").unwrap();
        assert!(claim(&budgets, "192.0.2.1").is_err());
        drop(two);
        assert!(claim(&budgets, "192.0.2.1").is_ok());
        drop((one, three));
        assert_eq!(budgets.handshakes(), 0);
    }

    #[test]
    fn connections_of_an_address_are_bounded_let_in_or_not() {
        let budgets = budgets(|it| {
            it.max_connections_per_address = 2;
            it.max_handshakes_per_address = 1;
        });
        let mut one = claim(&budgets, "192.0.2.1").unwrap();
        assert_eq!(claim(&budgets, "192.0.2.1").unwrap_err(), Refusal::HandshakesOfAddress);
        one.let_in();
        one.let_in();
        let mut two = claim(&budgets, "192.0.2.1").unwrap();
        two.let_in();
        assert_eq!(claim(&budgets, "192.0.2.1").unwrap_err(), Refusal::TooManyOfAddress);
        drop(one);
        let three = claim(&budgets, "192.0.2.1").unwrap();
        drop((two, three));
        assert_eq!((budgets.handshakes(), budgets.spent.lock().connections.held()), (0, 0));
    }

    #[test]
    fn a_prefix_and_all_have_bounds_of_their_own() {
        let budgets = budgets(|it| {
            it.max_handshakes_per_prefix = 2;
            it.max_handshakes = 3;
            it.max_connections_per_prefix = 3;
        });
        let mut held: Vec<_> =
            ["192.0.2.1", "192.0.2.2"].iter().map(|it| claim(&budgets, it).unwrap()).collect();
        assert_eq!(claim(&budgets, "192.0.2.3").unwrap_err(), Refusal::HandshakesOfPrefix);
        held.push(claim(&budgets, "198.51.100.1").unwrap());
        assert_eq!(claim(&budgets, "203.0.113.1").unwrap_err(), Refusal::Handshakes);
        held.iter_mut().for_each(Place::let_in);
        held.push(claim(&budgets, "192.0.2.3").unwrap());
        assert_eq!(claim(&budgets, "192.0.2.4").unwrap_err(), Refusal::TooManyOfPrefix);
        drop(held);
        assert!(claim(&budgets, "192.0.2.4").is_ok());
    }

    #[test]
    fn what_comes_faster_than_it_may_is_refused() {
        let of = |it: &mut Settings| {
            it.connection_rate_per_address = 1;
            it.connection_burst_per_address = NonZeroU32::new(1_000).unwrap();
        };
        let budgets = budgets(of);
        let come = |address: &str| budgets.admit(address.parse().unwrap());
        let admitted = (0..100_000).take_while(|_| come("192.0.2.1").is_ok()).count();
        assert!((1_000..2_000).contains(&admitted), "{admitted}");
        assert_eq!(come("192.0.2.1"), Err(Refusal::RateOfAddress));
        assert_eq!(come("192.0.2.2"), Ok(()));
    }

    #[test]
    fn an_address_of_ipv6_is_its_first_64_bits() {
        let budgets = budgets(|it| it.max_connections_per_address = 1);
        let _one = claim(&budgets, "2001:db8:1:2::3").unwrap();
        assert!(claim(&budgets, "2001:db8:1:2:ffff::").is_err());
        assert!(claim(&budgets, "2001:db8:1:3::3").is_ok());
        let _mapped = claim(&budgets, "::ffff:192.0.2.1").unwrap();
        assert!(claim(&budgets, "192.0.2.1").is_err());
    }

    #[test]
    fn without_bounds_nothing_is_counted() {
        let budgets = budgets(|_| ());
        let places: Vec<_> = (0..100).map(|_| claim(&budgets, "192.0.2.1").unwrap()).collect();
        assert!(places.iter().all(|place| place.0.is_none()));
    }
}
