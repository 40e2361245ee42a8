//! How many logins are under way: of one address, of one prefix and in all. Who comes on top is told that the
//! server is busy, before anything is looked at.

use parking_lot::Mutex;

use crate::auth;
use crate::identity::Peer;
use crate::throttle::{Bounds, Scope, Shares, Source};

/// Counts those who pass.
#[derive(Debug)]
pub(super) struct Turnstile(Mutex<Shares>);

/// A login that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Passing<'a> {
    turnstile: &'a Turnstile,
    /// Nothing where it is not counted: processes of this machine have no address.
    source: Option<Source>,
}

impl Turnstile {
    pub(super) fn new(settings: &auth::Settings) -> Self {
        Self(Mutex::new(Shares::new(bounds(settings))))
    }

    /// Goes by other bounds, for logins from now on.
    pub(super) fn follow(&self, settings: &auth::Settings) {
        self.0.lock().follow(bounds(settings));
    }

    /// A login from `peer` begins.
    ///
    /// # Errors
    /// Who has as many as it may.
    pub(super) fn enter(&self, peer: &Peer) -> Result<Passing<'_>, Scope> {
        let source = peer.address.ip().map(Source::from);
        let is_counted = source.map(|source| self.0.lock().take(source)).transpose()?;
        let source = source.filter(|_| is_counted == Some(true));
        Ok(Passing { turnstile: self, source })
    }

    /// How many are under way, as far as they are counted.
    pub(super) fn passing(&self) -> u32 {
        self.0.lock().held()
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        if let Some(source) = self.source {
            self.turnstile.0.lock().give_back(source);
        }
    }
}

fn bounds(settings: &auth::Settings) -> Bounds {
    Bounds {
        address: settings.max_logins_per_address,
        prefix: settings.max_logins_per_prefix,
        all: settings.max_logins,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{PeerAddress, TransportSecurity};

    fn peer(address: &str) -> Peer {
        Peer {
            address: PeerAddress::Network(address.parse().unwrap()),
            listener: "mqtt://127.0.0.1:1883".into(),
            security: TransportSecurity::Plain,
            certificate: None,
        }
    }

    #[test]
    fn an_address_a_prefix_and_all_have_so_many_logins_until_they_are_over() {
        let settings = auth::Settings {
            max_logins_per_address: 1,
            max_logins_per_prefix: 2,
            max_logins: 3,
            ..auth::Settings::default()
        };
        let turnstile = Turnstile::new(&settings);
        let enter = |address: &str| turnstile.enter(&peer(address));
        let one = enter("192.0.2.1:1").unwrap();
        assert_eq!(enter("192.0.2.1:2").unwrap_err(), Scope::Address);
        let two = enter("192.0.2.2:1").unwrap();
        assert_eq!(enter("192.0.2.3:1").unwrap_err(), Scope::Prefix);
        let three = enter("[2001:db8::1]:1").unwrap();
        assert_eq!(enter("198.51.100.1:1").unwrap_err(), Scope::All);
        assert_eq!(turnstile.passing(), 3);
        drop(one);
        let four = enter("192.0.2.1:2").unwrap();
        drop((two, three, four));
        assert_eq!(turnstile.passing(), 0);
    }
}
