//! Where a connection comes from, as finely and as coarsely as it makes sense to count.

use std::net::IpAddr;

use crate::identity::Network;

/// An address of IPv4, or the first 64 bits of one of IPv6, whose owner chooses the rest; or the prefix
/// of such: /24 and /56, which is what one customer has of a provider, or one place of its machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(u64);

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One address.
    Address,
    /// All of one prefix.
    Prefix,
    /// All there are.
    All,
}

/// Addresses of IPv4 are numbered as networks in `0::/8`, which IPv6 gives to nobody.
const OF_IPV4: u64 = 0xffff << 32;

/// The bits by which addresses of one prefix differ: 32 - 24, and 64 - 56.
const WITHIN_PREFIX: u64 = 0xff;

impl Source {
    /// The prefix that it is in.
    #[must_use]
    pub fn prefix(self) -> Self {
        Self(self.0 & !WITHIN_PREFIX)
    }

    /// Another number for each source.
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match Network::of_owner(address).address() {
            IpAddr::V4(address) => Self(OF_IPV4 | u64::from(address.to_bits())),
            IpAddr::V6(address) => Self((address.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Source {
        Source::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn an_address_is_told_apart_as_far_as_its_owner_cannot_choose_it() {
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("::c000:201"), of("192.0.2.1"));
    }

    #[test]
    fn a_prefix_is_the_first_24_bits_or_56() {
        assert_eq!(of("192.0.2.1").prefix(), of("192.0.2.255").prefix());
        assert_ne!(of("192.0.2.1").prefix(), of("192.0.3.1").prefix());
        assert_eq!(of("2001:db8:1:2::").prefix(), of("2001:db8:1:ff::").prefix());
        assert_ne!(of("2001:db8:1:2::").prefix(), of("2001:db8:1:102::").prefix());
    }
}
