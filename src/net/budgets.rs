//! What one address may hold at once: connections, and those of them whose clients have not been let
//! in. It is counted before anything is read, so that who asks for too much costs next to nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::HashMap;
use parking_lot::Mutex;

use super::Settings;
use crate::auth::Origin;
use crate::telemetry::Refusal;

/// The budgets of all addresses: one each of IPv4, and of IPv6 one for each 64 bits in front.
#[derive(Debug)]
pub(super) struct Budgets {
    /// 0 is no bound.
    max_connections: AtomicU32,
    /// 0 is no bound.
    max_handshakes: AtomicU32,
    /// Those that hold anything.
    held: Mutex<HashMap<Origin, Held>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    connections: u32,
    /// Those of them whose clients have not been let in.
    handshakes: u32,
}

/// What a connection takes of the budget of its address, given back when it is dropped. A pointer to
/// nothing where there is nothing to give back.
#[derive(Debug, Default)]
pub(super) struct Place(Option<Box<Claim>>);

#[derive(Debug)]
struct Claim {
    budgets: Arc<Budgets>,
    origin: Origin,
    is_handshake: bool,
}

impl Budgets {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            max_connections: settings.max_connections_per_address.into(),
            max_handshakes: settings.max_handshakes_per_address.into(),
            held: Mutex::default(),
        }
    }

    /// Other bounds for who comes from now on. What came while there were none was not counted.
    pub(super) fn follow(&self, settings: &Settings) {
        self.max_connections.store(settings.max_connections_per_address, Ordering::Relaxed);
        self.max_handshakes.store(settings.max_handshakes_per_address, Ordering::Relaxed);
    }

    /// A place for a connection from `address`, whose client has not been let in.
    ///
    /// # Errors
    /// Which of its budgets is spent.
    pub(super) fn claim(self: &Arc<Self>, address: IpAddr) -> Result<Place, Refusal> {
        let max_connections = self.max_connections.load(Ordering::Relaxed);
        let max_handshakes = self.max_handshakes.load(Ordering::Relaxed);
        if max_connections == 0 && max_handshakes == 0 {
            return Ok(Place::default());
        }
        let origin = Origin::from(address);
        let mut all = self.held.lock();
        let held = all.get(&origin).copied().unwrap_or_default();
        if is_spent(held.connections, max_connections) {
            return Err(Refusal::TooManyOfAddress);
        }
        if is_spent(held.handshakes, max_handshakes) {
            return Err(Refusal::TooManyHandshakes);
        }
        let held = Held { connections: held.connections + 1, handshakes: held.handshakes + 1 };
        all.insert(origin, held);
        drop(all);
        let budgets = Arc::clone(self);
        Ok(Place(Some(Box::new(Claim { budgets, origin, is_handshake: true }))))
    }

    fn give_back(&self, origin: Origin, given: Held) {
        let mut all = self.held.lock();
        let Some(held) = all.get_mut(&origin) else { return };
        held.connections = held.connections.saturating_sub(given.connections);
        held.handshakes = held.handshakes.saturating_sub(given.handshakes);
        if held.connections == 0 {
            all.remove(&origin);
        }
    }
}

fn is_spent(held: u32, most: u32) -> bool {
    most > 0 && held >= most
}

impl Place {
    /// The client has been let in. Where only handshakes are bounded there is nothing left to hold.
    pub(super) fn let_in(&mut self) {
        match &mut self.0 {
            Some(claim) if claim.budgets.max_connections.load(Ordering::Relaxed) > 0 => {
                claim.let_in()
            }
            _ => self.0 = None,
        }
    }
}

impl Claim {
    fn let_in(&mut self) {
        if std::mem::take(&mut self.is_handshake) {
            self.budgets.give_back(self.origin, Held { connections: 0, handshakes: 1 });
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let handshakes = u32::from(self.is_handshake);
        self.budgets.give_back(self.origin, Held { connections: 1, handshakes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets(max_connections_per_address: u32, max_handshakes_per_address: u32) -> Arc<Budgets> {
        let default = Settings::default();
        let bounds =
            Settings { max_connections_per_address, max_handshakes_per_address, ..default };
        Arc::new(Budgets::new(&bounds))
    }

    fn claim(budgets: &Arc<Budgets>, address: &str) -> Result<Place, Refusal> {
        budgets.claim(address.parse().unwrap())
    }

    #[test]
    fn handshakes_of_an_address_are_bounded_until_they_are_over() {
        let budgets = budgets(0, 2);
        let mut one = claim(&budgets, "192.0.2.1").unwrap();
        let two = claim(&budgets, "192.0.2.1").unwrap();
        let refused = claim(&budgets, "192.0.2.1").unwrap_err();
        assert_eq!(refused, Refusal::TooManyHandshakes);
        assert!(claim(&budgets, "192.0.2.2").is_ok());
        one.let_in();
        assert!(one.0.is_none(), "there is nothing left to hold");
        let three = claim(&budgets, "192.0.2.1").unwrap();
        assert!(claim(&budgets, "192.0.2.1").is_err());
        drop(two);
        assert!(claim(&budgets, "192.0.2.1").is_ok());
        drop((one, three));
        assert!(budgets.held.lock().is_empty());
    }

    #[test]
    fn connections_of_an_address_are_bounded_let_in_or_not() {
        let budgets = budgets(2, 1);
        let mut one = claim(&budgets, "192.0.2.1").unwrap();
        assert_eq!(claim(&budgets, "192.0.2.1").unwrap_err(), Refusal::TooManyHandshakes);
        one.let_in();
        one.let_in();
        let mut two = claim(&budgets, "192.0.2.1").unwrap();
        two.let_in();
        assert_eq!(claim(&budgets, "192.0.2.1").unwrap_err(), Refusal::TooManyOfAddress);
        drop(one);
        let three = claim(&budgets, "192.0.2.1").unwrap();
        drop((two, three));
        assert!(budgets.held.lock().is_empty());
    }

    #[test]
    fn an_address_of_ipv6_is_its_first_64_bits() {
        let budgets = budgets(1, 0);
        let _one = claim(&budgets, "2001:db8:1:2::3").unwrap();
        assert!(claim(&budgets, "2001:db8:1:2:ffff::").is_err());
        assert!(claim(&budgets, "2001:db8:1:3::3").is_ok());
        let _mapped = claim(&budgets, "::ffff:192.0.2.1").unwrap();
        assert!(claim(&budgets, "192.0.2.1").is_err());
    }

    #[test]
    fn without_bounds_nothing_is_counted() {
        let budgets = budgets(0, 0);
        let places: Vec<_> = (0..100).map(|_| claim(&budgets, "192.0.2.1").unwrap()).collect();
        assert!(places.iter().all(|place| place.0.is_none()));
        assert!(budgets.held.lock().is_empty());
    }
}
