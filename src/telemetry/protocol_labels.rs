//! The values of labels that are the protocol's, or TLS's: how a client speaks.

use metrics::Label as Pair;

use super::Label;
use crate::codec::Version;

/// The protocol version of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtocolVersion {
    /// It has not said any yet, or none that there is.
    #[default]
    Unknown,
    /// It speaks this one.
    Known(Version),
}

impl Label for ProtocolVersion {
    const COUNT: usize = 4;

    fn at(index: usize) -> Option<Self> {
        match index {
            0 => Some(Self::Unknown),
            1 => Some(Self::Known(Version::V31)),
            2 => Some(Self::Known(Version::V311)),
            3 => Some(Self::Known(Version::V5)),
            _ => None,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Unknown => 0,
            Self::Known(Version::V31) => 1,
            Self::Known(Version::V311) => 2,
            Self::Known(Version::V5) => 3,
        }
    }

    fn pairs(self) -> Vec<Pair> {
        let value = match self {
            Self::Unknown => "unknown",
            Self::Known(Version::V31) => "3.1",
            Self::Known(Version::V311) => "3.1.1",
            Self::Known(Version::V5) => "5.0",
        };
        vec![Pair::from_static_parts("version", value)]
    }
}

/// Declares labels of several pairs, each value with its own.
macro_rules! paired_label {
    (
        $(#[$doc:meta])*
        $name:ident as $first:literal, $second:literal {
            $($(#[$variant_doc:meta])* $variant:ident = $one:literal, $two:literal;)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Both values, as Prometheus shows them.
            #[must_use]
            pub fn names(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$variant => ($one, $two),)+
                }
            }
        }

        impl Label for $name {
            const COUNT: usize = [$(Self::$variant),+].len();

            fn at(index: usize) -> Option<Self> {
                [$(Self::$variant),+].get(index).copied()
            }

            fn index(self) -> usize {
                self as usize
            }

            fn pairs(self) -> Vec<Pair> {
                let (one, two) = self.names();
                vec![Pair::from_static_parts($first, one), Pair::from_static_parts($second, two)]
            }
        }
    };
}

paired_label! {
    /// A cipher suite, which says the version of TLS as well, by the names of IANA.
    CipherSuite as "version", "cipher" {
        /// 0x1301.
        Aes128Gcm = "1.3", "TLS_AES_128_GCM_SHA256";
        /// 0x1302.
        Aes256Gcm = "1.3", "TLS_AES_256_GCM_SHA384";
        /// 0x1303.
        ChaCha20Poly1305 = "1.3", "TLS_CHACHA20_POLY1305_SHA256";
        /// 0xC02B.
        EcdsaAes128Gcm = "1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
        /// 0xC02C.
        EcdsaAes256Gcm = "1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
        /// 0xCCA9.
        EcdsaChaCha20Poly1305 = "1.2", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
        /// 0xC02F.
        RsaAes128Gcm = "1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        /// 0xC030.
        RsaAes256Gcm = "1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
        /// 0xCCA8.
        RsaChaCha20Poly1305 = "1.2", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256";
        /// Any other.
        Other = "other", "other";
    }
}

paired_label! {
    /// By what both ends of a TLS connection agreed on its keys, by the names of IANA.
    KeyExchange as "group", "post_quantum" {
        /// Hybrid: safe as long as one of its two parts is.
        X25519MlKem768 = "X25519MLKEM768", "true";
        /// Hybrid.
        Secp256r1MlKem768 = "SecP256r1MLKEM768", "true";
        /// Elliptic curves alone, as those below.
        X25519 = "x25519", "false";
        /// NIST P-256.
        Secp256r1 = "secp256r1", "false";
        /// NIST P-384.
        Secp384r1 = "secp384r1", "false";
        /// None anew: a session of TLS 1.2 goes on with the keys that it had; or any other.
        Other = "other", "false";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices_are_places<L: Label>() {
        for place in 0..L::COUNT {
            assert_eq!(L::at(place).unwrap().index(), place);
        }
        assert!(L::at(L::COUNT).is_none());
    }

    #[test]
    fn the_index_of_a_label_is_its_place_among_all() {
        indices_are_places::<ProtocolVersion>();
        indices_are_places::<CipherSuite>();
        indices_are_places::<KeyExchange>();
        indices_are_places::<(CipherSuite, KeyExchange)>();
    }

    #[test]
    fn a_handshake_names_all_that_it_came_to() {
        let label = (CipherSuite::Aes256Gcm, KeyExchange::X25519MlKem768);
        let pairs: Vec<_> = label.pairs().iter().map(|it| it.value().to_owned()).collect();
        assert_eq!(pairs, ["1.3", "TLS_AES_256_GCM_SHA384", "X25519MLKEM768", "true"]);
    }
}
