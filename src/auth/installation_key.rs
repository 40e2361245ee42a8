//! The key of an installation: what it keeps of passwords between logins is of use to nobody who has
//! not got it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Bytes of an installation key.
pub const INSTALLATION_KEY_BYTES: usize = 32;

/// 32 bytes that were random once. Authenticates credentials, and gives other keys.
#[derive(Clone)]
pub struct InstallationKey(Secret);

/// HMAC-SHA-256 of a user, its password and the hash that it was verified against.
#[derive(Clone)]
pub struct CredentialMac(pub(super) Zeroizing<[u8; 32]>);

impl InstallationKey {
    /// Takes random bytes.
    #[must_use]
    pub fn new(bytes: [u8; INSTALLATION_KEY_BYTES]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self(Secret::from(bytes.as_slice()))
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// The MAC of `user` with `password`, verified against `line`: the hash as it stands in the file.
    /// Another line of the same user is another MAC.
    #[must_use]
    pub fn mac(&self, user: &str, password: &Secret, line: &str) -> CredentialMac {
        let mut mac = self.keyed(b"credential");
        for part in [user.as_bytes(), password.expose(), line.as_bytes()] {
            // With its length before it, no part can be mistaken for a piece of another.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        CredentialMac(Zeroizing::new(mac.finalize().into_bytes().into()))
    }

    /// What decides how unknown users look: always the same, and known to nobody.
    #[must_use]
    pub fn decoy_key(&self) -> Secret {
        let key: Zeroizing<[u8; 32]> =
            Zeroizing::new(self.keyed(b"decoy").finalize().into_bytes().into());
        Secret::from(key.as_slice())
    }

    /// `label` is in a block of its own length, and no label starts with another.
    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length: RFC 2104")]
    fn keyed(&self, label: &[u8]) -> Hmac<Sha256> {
        let mac: Hmac<Sha256> = Hmac::new_from_slice(self.expose()).expect("a key of any length");
        mac.chain_update([label.len() as u8]).chain_update(label)
    }
}

impl PartialEq for CredentialMac {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0.as_slice()).into()
    }
}

impl fmt::Debug for InstallationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallationKey(..)")
    }
}

impl fmt::Debug for CredentialMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialMac(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_other_part_makes_another_mac() {
        let key = InstallationKey::new([7; 32]);
        let mac =
            |user: &str, password: &str, line: &str| key.mac(user, &Secret::from(password), line);
        assert!(mac("ann", "apple", "line") == mac("ann", "apple", "line"));
        for (user, password, line) in [
            ("anna", "pple", "line"),
            ("an", "napple", "line"),
            ("ann", "applel", "ine"),
            ("ann", "appl", "eline"),
            ("ann", "pear", "line"),
            ("bob", "apple", "line"),
            ("ann", "apple", "other"),
            ("", "", ""),
        ] {
            assert!(mac("ann", "apple", "line") != mac(user, password, line), "{user} {password}");
        }
        let other = InstallationKey::new([8; 32]).mac("ann", &Secret::from("apple"), "line");
        assert!(mac("ann", "apple", "line") != other);
    }

    #[test]
    fn debug_output_shows_no_key() {
        let key = InstallationKey::new([7; 32]);
        assert_eq!(format!("{key:?}"), "InstallationKey(..)");
        let mac = key.mac("ann", &Secret::from("apple"), "line");
        assert_eq!(format!("{mac:?}"), "CredentialMac(..)");
    }
}
