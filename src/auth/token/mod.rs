//! JSON Web Tokens (RFC 7519) in the place of a password: signed by a key of the operator's choice,
//! for this broker, and for a time.
//!
//! RS256, ES256 and EdDSA alone: what a key can verify is a matter of the key, so that a token cannot
//! choose, and there is neither `none` nor a shared secret (RFC 8725 section 3.1).

mod claims;
mod fault;
mod jwk;
mod keys;
mod object;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};

pub use fault::TokenFault;
pub use keys::{KeyFingerprint, KeysError, MAX_KEY_FILE_BYTES, TokenKeys};
pub use settings::Settings;

use self::claims::Claims;
use self::keys::Header;
use self::object::Object;
use crate::identity::Attributes;

/// Bytes of the longest token.
pub const MAX_TOKEN_BYTES: usize = 16 << 10;

/// What tokens are checked against.
#[derive(Clone, Debug)]
pub struct TokenVerifier {
    keys: TokenKeys,
    settings: Settings,
}

/// What a token says, which is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose it is.
    pub subject: Arc<str>,
    /// Its claims.
    pub attributes: Attributes,
    /// The key that has signed it.
    pub key: KeyFingerprint,
    /// When it ends, leeway included; since the Unix epoch.
    pub ends: Duration,
}

impl TokenVerifier {
    /// Checks tokens against `keys`, as `settings` ask.
    #[must_use]
    pub fn new(keys: TokenKeys, settings: Settings) -> Self {
        Self { keys, settings }
    }

    /// Whether the user name of a client must be the subject of its token.
    #[must_use]
    pub fn checks_user_name(&self) -> bool {
        self.settings.check_user_name
    }

    /// What `token` says, at `now` since the Unix epoch. The claims are read once the signature is
    /// found to be right.
    ///
    /// # Errors
    /// Why it is not to be believed. For the log: its bearer is told nothing of it.
    pub fn verify(&self, token: &[u8], now: Duration) -> Result<Token, TokenFault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenFault::TooLong);
        }
        let token = std::str::from_utf8(token).map_err(|_| TokenFault::Encoding)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::Encoding)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenFault::Encoding)?;
        if claims.contains('.') {
            return Err(TokenFault::Encoding);
        }
        let header = Header::read(&Object::parse(&decode(header)?)?)?;
        let key = self.keys.verify(&header, signed.as_bytes(), &decode(signature)?)?;
        let claims = Claims::read(Object::parse(&decode(claims)?)?)?;
        self.judge(&claims, key, now)
    }

    /// Whether the key is still one of those whose tokens are believed.
    #[must_use]
    pub fn has_key(&self, key: &KeyFingerprint) -> bool {
        self.keys.contains(key)
    }

    fn judge(
        &self,
        claims: &Claims,
        key: KeyFingerprint,
        now: Duration,
    ) -> Result<Token, TokenFault> {
        let Settings { issuer, audience, leeway_seconds, principal_claim, .. } = &self.settings;
        let leeway = Duration::from_secs((*leeway_seconds).into());
        let ends = claims.expires.saturating_add(leeway);
        if ends <= now {
            return Err(TokenFault::Expired);
        }
        if claims.not_before.is_some_and(|not_before| not_before > now.saturating_add(leeway)) {
            return Err(TokenFault::NotYet);
        }
        if issuer.is_some() && claims.issuer() != issuer.as_deref() {
            return Err(TokenFault::Issuer);
        }
        claims.check_audience(audience.as_deref())?;
        let subject = claims.subject(principal_claim)?;
        Ok(Token { subject, attributes: claims.attributes(), key, ends })
    }
}

/// Whether `password` has the form of a token: what has not is left to those who check passwords.
#[must_use]
pub fn looks_like_token(password: &[u8]) -> bool {
    // Every header is an object, and so begins with `{"`.
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    password.starts_with(b"eyJ")
        && password.iter().all(is_of_token)
        && password.iter().filter(|byte| **byte == b'.').count() == 2
}

/// Base64url without padding, and only as an encoder writes it (RFC 7515 section 2).
fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    Base64UrlUnpadded::decode_vec(part).map_err(|_| TokenFault::Encoding)
}
