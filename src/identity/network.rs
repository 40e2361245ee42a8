//! A network: all addresses that have their first bits in common.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that have their first bits in common; one address, where they have all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// Without bits behind the length, and not one of IPv4 in the form of IPv6.
    address: IpAddr,
    /// How many bits: at least one.
    length: u8,
}

/// A text is no address and no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither an address nor a network: write \"192.0.2.1\", \"10.0.0.0/8\" or \
     \"fd00::/8\", with no bits set behind the length, and that not 0: it would be everybody"
)]
pub struct NetworkError(String);

impl Network {
    /// The network that `address` is in, of this many bits: as many as the address has, at most, and at
    /// least one.
    #[must_use]
    pub fn around(address: IpAddr, length: u8) -> Self {
        let address = address.to_canonical();
        let (bits, most) = bits(address);
        let length = length.clamp(1, most);
        let bits = bits & mask(length);
        let address = match address {
            IpAddr::V4(_) => Ipv4Addr::from_bits((bits >> 96) as u32).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(bits).into(),
        };
        Self { address, length }
    }

    /// What the owner of `address` has at least: one address of IPv4, or the /64 of IPv6 within which it chooses
    /// any that it likes.
    #[must_use]
    pub fn of_owner(address: IpAddr) -> Self {
        Self::around(address, if address.to_canonical().is_ipv4() { 32 } else { 64 })
    }

    /// What one customer of a provider has, or one place of its machines: a /24 of IPv4, a /56 of IPv6.
    #[must_use]
    pub fn of_customer(address: IpAddr) -> Self {
        Self::around(address, if address.to_canonical().is_ipv4() { 24 } else { 56 })
    }

    /// Its first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses have in common.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether its addresses are of IPv4.
    #[must_use]
    pub fn is_ipv4(self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether it is one address.
    #[must_use]
    pub fn is_address(self) -> bool {
        self.length == bits(self.address).1
    }

    /// Whether `address` is in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let ((own, of), (other, of_other)) = (bits(self.address), bits(address.to_canonical()));
        of == of_other && (own ^ other) & mask(self.length) == 0
    }

    /// Whether an address is in both: one of them is then in the other.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address = IpAddr::from_str(address).ok()?;
        // Such an address is one of IPv4, and has to be written so.
        if address != address.to_canonical() {
            return None;
        }
        let (bits, most) = bits(address);
        let length = match length {
            None => most,
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            Some(_) => return None,
        };
        let is_network = (1..=most).contains(&length) && bits & !mask(length) == 0;
        is_network.then_some(Self { address, length })
    }
}

/// The bits of an address, the first of them in front, and how many there are.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// The first `length` bits, of which there is at least one.
fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0)
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        Self::parse(text).ok_or_else(|| NetworkError(text.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_address() {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect(text)
    }

    #[test]
    fn networks_overlap_where_one_is_in_the_other() {
        for (one, other, overlap) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "11.0.0.0/8", false),
            ("192.0.2.7", "192.0.2.0/24", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("2001:db8::/32", "2001:db8:5::/56", true),
            ("::/1", "10.0.0.0/8", false),
        ] {
            assert_eq!(network(one).overlaps(network(other)), overlap, "{one} {other}");
            assert_eq!(network(other).overlaps(network(one)), overlap, "{other} {one}");
        }
    }

    #[test]
    fn an_owner_has_what_nobody_else_chooses_and_a_customer_what_a_provider_gives() {
        for (address, owner, customer) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
            ("2001:db8:1:2345:6::7", "2001:db8:1:2345::/64", "2001:db8:1:2300::/56"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(Network::of_owner(address), network(owner));
            assert_eq!(Network::of_customer(address), network(customer));
        }
    }

    #[test]
    fn an_address_is_in_the_network_around_it() {
        for (address, length, around) in [
            ("192.0.2.7", 24, "192.0.2.0/24"),
            ("192.0.2.7", 128, "192.0.2.7"),
            ("::ffff:192.0.2.7", 32, "192.0.2.7"),
            ("2001:db8:1:2ff::3", 56, "2001:db8:1:200::/56"),
            ("ffff::1", 0, "8000::/1"),
        ] {
            let address = address.parse().unwrap();
            let found = Network::around(address, length);
            assert_eq!(found, network(around));
            assert!(found.contains(address));
            assert_eq!(found.to_string(), around);
        }
    }
}
