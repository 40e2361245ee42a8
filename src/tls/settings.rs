//! The TLS words of a `[[listener]]`: whom it asks for a certificate, and what it reads in one.

use serde::{Deserialize, Serialize};

/// `client_auth`: whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// Clients are not asked for one.
    #[default]
    Off,
    /// Clients are asked; who has none must prove itself otherwise, who shows a bad one is refused.
    Optional,
    /// Without a certificate of `client_ca` the handshake fails.
    Required,
}

/// `client_identity`: the part of a client certificate that names its principal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientIdentity {
    /// The common name of the subject.
    #[default]
    Cn,
    /// The DNS name among the subject alternative names.
    SanDns,
    /// The URI among the subject alternative names.
    SanUri,
    /// The e-mail address among the subject alternative names.
    SanEmail,
    /// SHA-256 over the certificate, in lower-case hexadecimal digits.
    Fingerprint,
}

impl ClientIdentity {
    /// Every one of them, as it is written.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Cn, "cn"),
        (Self::SanDns, "san-dns"),
        (Self::SanUri, "san-uri"),
        (Self::SanEmail, "san-email"),
        (Self::Fingerprint, "fingerprint"),
    ];
}

/// `client_crl_depth`: which certificates of a chain are looked for in the revocation lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationDepth {
    /// All but that of the authority at its end: each of their issuers needs a list.
    #[default]
    Chain,
    /// That of the client alone.
    EndEntity,
}

/// `client_crl_unknown` and `client_crl_expired`: what becomes of clients when the revocation lists
/// do not say, or do not say any more, whether a certificate has been taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutAnswer {
    /// They are refused.
    #[default]
    Deny,
    /// They are let in.
    Allow,
}

/// `tls_min_version`: the oldest TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MinimumVersion {
    /// TLS 1.2, with forward secrecy and authenticated encryption only.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Listener {
        client_auth: ClientAuth,
        client_identity: ClientIdentity,
        tls_min_version: MinimumVersion,
    }

    #[test]
    fn the_words_of_the_file_are_those_of_the_manual() {
        let text = "client_auth = \"required\"\nclient_identity = \"san-uri\"\n\
                    tls_min_version = \"1.3\"\n";
        let read: Listener = toml::from_str(text).unwrap();
        assert_eq!(
            read,
            Listener {
                client_auth: ClientAuth::Required,
                client_identity: ClientIdentity::SanUri,
                tls_min_version: MinimumVersion::Tls13,
            }
        );
        assert_eq!(toml::to_string(&read).unwrap(), text);
    }

    #[test]
    fn every_identity_is_listed_as_it_is_written() {
        for (identity, word) in ClientIdentity::ALL {
            let text = format!("client_identity = \"{word}\"");
            let read: Listener = toml::from_str(&text).unwrap();
            assert_eq!(read.client_identity, identity);
        }
    }

    #[test]
    fn other_words_are_refused() {
        assert!(toml::from_str::<Listener>("client_auth = \"maybe\"").is_err());
        assert!(toml::from_str::<Listener>("tls_min_version = \"1.1\"").is_err());
    }
}
