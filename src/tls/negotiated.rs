//! What both ends of a TLS connection have agreed on, as it is counted.

use rustls::{HandshakeKind, NamedGroup, ServerConnection};

use crate::telemetry::{CipherSuite, KeyExchange};

/// Of one handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The cipher, and with it the version.
    pub cipher: CipherSuite,
    /// By what the keys were agreed on.
    pub key_exchange: KeyExchange,
    /// Whether the client went on with an earlier session.
    pub is_resumed: bool,
}

impl Negotiated {
    /// What a handshake that is over has come to.
    #[must_use]
    pub fn of(connection: &ServerConnection) -> Self {
        let cipher = connection.negotiated_cipher_suite().map(|suite| suite.suite());
        let group = connection.negotiated_key_exchange_group().map(|group| group.name());
        Self {
            cipher: cipher.map_or(CipherSuite::Other, cipher_of),
            key_exchange: group.map_or(KeyExchange::Other, key_exchange_of),
            is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

fn cipher_of(suite: rustls::CipherSuite) -> CipherSuite {
    use rustls::CipherSuite as Suite;
    match suite {
        Suite::TLS13_AES_128_GCM_SHA256 => CipherSuite::Aes128Gcm,
        Suite::TLS13_AES_256_GCM_SHA384 => CipherSuite::Aes256Gcm,
        Suite::TLS13_CHACHA20_POLY1305_SHA256 => CipherSuite::ChaCha20Poly1305,
        Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => CipherSuite::EcdsaAes128Gcm,
        Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => CipherSuite::EcdsaAes256Gcm,
        Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => CipherSuite::EcdsaChaCha20Poly1305,
        Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => CipherSuite::RsaAes128Gcm,
        Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => CipherSuite::RsaAes256Gcm,
        Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => CipherSuite::RsaChaCha20Poly1305,
        _ => CipherSuite::Other,
    }
}

fn key_exchange_of(group: NamedGroup) -> KeyExchange {
    match group {
        NamedGroup::X25519MLKEM768 => KeyExchange::X25519MlKem768,
        NamedGroup::secp256r1MLKEM768 => KeyExchange::Secp256r1MlKem768,
        NamedGroup::X25519 => KeyExchange::X25519,
        NamedGroup::secp256r1 => KeyExchange::Secp256r1,
        NamedGroup::secp384r1 => KeyExchange::Secp384r1,
        _ => KeyExchange::Other,
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, default_provider};

    use super::*;

    #[test]
    fn everything_that_we_may_agree_on_has_a_name_of_its_own() {
        for suite in ALL_CIPHER_SUITES {
            assert_ne!(cipher_of(suite.suite()), CipherSuite::Other, "{suite:?}");
        }
        for group in default_provider().kx_groups {
            assert_ne!(key_exchange_of(group.name()), KeyExchange::Other, "{group:?}");
        }
    }
}
