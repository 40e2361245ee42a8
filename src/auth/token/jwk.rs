//! JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037).

use serde::Deserialize;

use super::decode;
use super::keys::{Algorithm, Key, KeysError};

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

/// One key: the members that are looked at. What is not known is ignored (RFC 7517 section 4).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private part, wherever there is one; and a shared secret.
    d: Option<serde::de::IgnoredAny>,
}

/// The keys of a set that verify what is accepted. Others are passed over, since issuers publish what
/// they need for others too (RFC 7517 section 5).
pub(super) fn keys_of_set(text: &str) -> Result<Vec<Key>, KeysError> {
    let set: Set =
        serde_json::from_str(text).map_err(|error| KeysError::BrokenJson(error.to_string()))?;
    let mut keys = Vec::new();
    for (index, jwk) in set.keys.into_iter().enumerate() {
        let position = index + 1;
        if jwk.d.is_some() {
            return Err(KeysError::Private { position });
        }
        let Some(algorithm) = jwk.algorithm() else { continue };
        let key = jwk.key(algorithm).map_err(|what| KeysError::BrokenKey { position, what })?;
        keys.push(key.named(jwk.kid));
    }
    Ok(keys)
}

impl Jwk {
    /// What it verifies, if that is accepted.
    fn algorithm(&self) -> Option<Algorithm> {
        let algorithm = match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => Algorithm::Rs256,
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            _ => return None,
        };
        let is_meant =
            self.alg.as_deref().is_none_or(|alg| Algorithm::named(alg) == Some(algorithm));
        let signs = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let verifies =
            self.key_ops.as_ref().is_none_or(|all| all.iter().any(|each| each == "verify"));
        (is_meant && signs && verifies).then_some(algorithm)
    }

    fn key(&self, algorithm: Algorithm) -> Result<Key, &'static str> {
        match algorithm {
            Algorithm::Rs256 => Key::rsa(&member(&self.n)?, &member(&self.e)?),
            Algorithm::Es256 => {
                let (x, y) = (member(&self.x)?, member(&self.y)?);
                if x.len() != 32 || y.len() != 32 {
                    return Err("coordinates of P-256 have 32 bytes");
                }
                Key::p256(&[&[4], &x[..], &y].concat())
            }
            Algorithm::EdDsa => Key::ed25519(&member(&self.x)?),
        }
    }
}

fn member(text: &Option<String>) -> Result<Vec<u8>, &'static str> {
    let text = text.as_deref().ok_or("a member that it needs is missing")?;
    decode(text).map_err(|_| "a member is not base64url")
}
