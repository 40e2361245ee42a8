//! Which proxies a listener believes, and in what.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::identity::{Network, NetworkError};

/// How a listener takes connections that proxies forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// Who may say where a connection comes from, and must.
    pub from: Networks,
    /// Whether they are believed in whose certificate they have verified as well.
    pub certificates: bool,
}

/// Addresses of machines, one by one or by network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Vec<String>")]
pub struct Networks(Vec<Network>);

/// A list, or one text with commas between, as environment variables write it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a list of addresses such as [\"10.0.0.0/8\"] is needed")]
enum Written {
    List(Vec<String>),
    Text(String),
}

impl Networks {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address.to_canonical()))
    }

    /// Whether one of them is in `network`.
    #[must_use]
    pub fn overlap(&self, network: Network) -> bool {
        self.0.iter().any(|own| own.overlaps(network))
    }
}

impl TryFrom<Written> for Networks {
    type Error = NetworkError;

    fn try_from(written: Written) -> Result<Self, NetworkError> {
        let texts = match written {
            Written::List(texts) => texts,
            Written::Text(text) if text.trim().is_empty() => Vec::new(),
            Written::Text(text) => text.split(',').map(|each| each.trim().to_owned()).collect(),
        };
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Networks> for Vec<String> {
    fn from(networks: Networks) -> Self {
        networks.0.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Result<Networks, NetworkError> {
        Written::Text(text.to_owned()).try_into()
    }

    fn contain(list: &str, address: &str) -> bool {
        networks(list).unwrap().contain(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_its_network_and_in_no_other() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            ("192.0.2.1", ["192.0.2.1", "::ffff:192.0.2.1"], ["192.0.2.0", "192.0.2.2"]),
            ("128.0.0.0/1", ["128.0.0.0", "255.255.255.255"], ["127.255.255.255", "8000::"]),
            ("192.0.2.128/31", ["192.0.2.128", "192.0.2.129"], ["192.0.2.127", "192.0.2.130"]),
            ("fd00::/8", ["fd00::", "fdff:ffff::1"], ["fc00::1", "fe00::"]),
            ("2001:db8::1", ["2001:db8::1", "2001:db8:0:0::1"], ["2001:db8::2", "::1"]),
            ("8000::/1", ["8000::", "ffff::"], ["7fff::", "128.0.0.1"]),
        ] {
            for address in inside {
                assert!(contain(network, address), "{network} {address}");
            }
            for address in outside {
                assert!(!contain(network, address), "{network} {address}");
            }
        }
    }

    #[test]
    fn a_list_is_all_of_its_networks() {
        let list = "10.0.0.0/8, 192.0.2.1,fd00::/8";
        for address in ["10.1.2.3", "192.0.2.1", "fd00::1"] {
            assert!(contain(list, address), "{address}");
        }
        assert!(!contain(list, "192.0.2.2"));
        assert!(networks("").unwrap().is_empty());
        assert!(!contain("", "127.0.0.1"));
        let written: Vec<String> = networks(list).unwrap().into();
        assert_eq!(written, ["10.0.0.0/8", "192.0.2.1", "fd00::/8"]);
    }

    #[test]
    fn what_is_no_network_says_so() {
        for text in [
            "x",
            "10",
            "10.0.0.0/",
            "10.0.0.0/0",
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/-8",
            "10.0.0.0/8/8",
            "10.0.0.1/8",
            "fd00::/129",
            "fd00::1/8",
            "::ffff:10.0.0.1",
            "::ffff:10.0.0.0/104",
            "[::1]",
            "10.0.0.1:80",
            "10.0.0.1,,10.0.0.2",
        ] {
            assert!(networks(text).is_err(), "{text}");
        }
        let said = networks("10.0.0.1/8").unwrap_err().to_string();
        assert!(said.contains("\"10.0.0.1/8\""), "{said}");
    }
}
