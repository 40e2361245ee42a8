//! Where a login comes from, as finely as it makes sense to count.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::identity::Network;

/// An IPv4 address, or the 64 bits of an IPv6 address that its owner does not choose; the rest is
/// anybody's who has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A whole address.
    V4(Ipv4Addr),
    /// The first 64 bits of an address.
    V6(u64),
    /// A user of this machine, by its number.
    Local(u32),
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        match Network::of_owner(address).address() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// The text names no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an address such as 192.0.2.1 or 2001:db8::1, the /64 of an IPv6 address, or \"local user\" \
     and its number"
)]
pub struct OriginError;

impl FromStr for Origin {
    type Err = OriginError;

    /// Reads what [`fmt::Display`] writes, and any address: that of its origin.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        if let Some(user) = text.strip_prefix("local user ") {
            return user.parse().map(Self::Local).map_err(|_| OriginError);
        }
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| OriginError)?;
        match (Self::from(address), bits) {
            (origin, None)
            | (origin @ Self::V4(_), Some("32"))
            | (origin @ Self::V6(_), Some("64")) => Ok(origin),
            _ => Err(OriginError),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(prefix) => {
                write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*prefix) << 64))
            }
            Self::Local(user) => write!(f, "local user {user}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Origin {
        Origin::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn an_address_is_told_apart_as_far_as_its_owner_cannot_choose_it() {
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn an_origin_shows_as_operators_write_it() {
        assert_eq!(of("192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2::3").to_string(), "2001:db8:1:2::/64");
        assert_eq!(Origin::Local(1_000).to_string(), "local user 1000");
    }

    #[test]
    fn an_origin_is_read_as_it_is_shown() {
        for text in ["192.0.2.1", "2001:db8:1:2::/64", "local user 1000"] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
        assert_eq!("2001:db8:1:2::3".parse(), Ok(of("2001:db8:1:2::")));
        assert_eq!("192.0.2.1/32".parse(), Ok(of("192.0.2.1")));
        for text in ["", "192.0.2.0/24", "2001:db8::/48", "192.0.2.1/64", "anna", "local user x"] {
            assert_eq!(text.parse::<Origin>(), Err(OriginError), "{text}");
        }
    }
}
