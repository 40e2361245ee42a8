//! Signatures of what is posted, as Standard Webhooks 1.0.0 has them: HMAC-SHA-256 over the number of the message,
//! the time and the body, by a secret that both sides have.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::http_client::{SecretFileError, read_secret};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// What the text of a secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a secret (Standard Webhooks, "Signature scheme").
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// What alerts are signed by. Never shown.
#[derive(Clone)]
pub struct SigningKey(Arc<Zeroizing<Vec<u8>>>);

/// Why there is no such key. Names its file, and shows nothing of it.
#[derive(Debug, Error)]
pub enum SigningKeyError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// It holds something else.
    #[error(
        "{} holds no secret: one line is wanted, \"whsec_\" and 24 to 64 bytes in base64, as by \
         'echo whsec_$(openssl rand -base64 32)'",
        path.display()
    )]
    NoSecret {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Reads the secret in the file `path`: one line, which nobody but its owner may read.
    ///
    /// # Errors
    /// When the file cannot be read, is there for others, or holds something else.
    pub fn read(path: &Path) -> Result<Self, SigningKeyError> {
        let line = read_secret(path)?;
        Self::parse(&line).ok_or_else(|| SigningKeyError::NoSecret { path: path.to_owned() })
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?.strip_prefix(PREFIX)?;
        let secret = Zeroizing::new(Base64::decode_vec(text).ok()?);
        LENGTHS.contains(&secret.len()).then(|| Self(Arc::new(secret)))
    }

    /// `v1,` and base64.
    fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", Base64::encode_string(&mac.finalize().into_bytes())))
    }
}

/// The number of a message, by which the other side knows one that comes again.
///
/// # Errors
/// When the system gives no randomness.
pub(super) fn new_id() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(random.iter().fold("msg_".to_owned(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    }))
}

/// What goes with `body` that is sent at `time`, since the Unix epoch.
pub(super) fn headers(
    id: &str,
    time: Duration,
    body: &[u8],
    key: Option<&SigningKey>,
) -> HeaderMap {
    let timestamp = time.as_secs();
    let mut headers = HeaderMap::new();
    headers.insert(TIMESTAMP, timestamp.into());
    let signature = key.and_then(|key| key.sign(id, timestamp, body));
    for (name, text) in [(ID, Some(id.to_owned())), (SIGNATURE, signature)] {
        // All of it is visible ASCII.
        let value = text.and_then(|text| HeaderValue::try_from(text).ok());
        headers.extend(value.map(|value| (name, value)));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the reference implementations of Standard Webhooks.
    const SECRET: &[u8] = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const MESSAGE: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = b"{\"test\": 2432232314}";

    #[test]
    fn a_signature_is_that_of_the_reference() {
        let key = SigningKey::parse(SECRET).unwrap();
        let headers = headers(MESSAGE, Duration::from_secs(1_614_265_330), BODY, Some(&key));
        assert_eq!(headers[TIMESTAMP], "1614265330");
        assert_eq!(headers[ID], MESSAGE);
        assert_eq!(headers[SIGNATURE], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(!format!("{key:?}").contains("Mf"), "{key:?}");
    }

    #[test]
    fn without_a_secret_there_is_no_signature() {
        let headers = headers(MESSAGE, Duration::from_secs(1), BODY, None);
        assert!(headers.contains_key(ID) && !headers.contains_key(SIGNATURE));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let short = format!("whsec_{}", Base64::encode_string(&[7; 23]));
        let long = format!("whsec_{}", Base64::encode_string(&[7; 65]));
        for line in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!", &short, &long] {
            assert!(SigningKey::parse(line.as_bytes()).is_none(), "{line}");
        }
    }

    #[test]
    fn no_two_messages_have_the_same_number() {
        assert_ne!(new_id().unwrap(), new_id().unwrap());
    }
}
