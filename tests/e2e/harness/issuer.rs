//! An identity service that signs tokens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};

/// Signs by ES256, with a key called `key`.
pub(crate) struct Issuer(EcdsaKeyPair);

impl Issuer {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
    }

    /// What it publishes.
    pub(crate) fn key_set(&self) -> String {
        let point = self.0.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(Base64UrlUnpadded::encode_string);
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "key", "x": x, "y": y}]}).to_string()
    }

    /// A token for `subject` that ends in so many seconds, with more claims.
    pub(crate) fn token(&self, subject: &str, seconds: i64, more: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let exp = i64::try_from(now.as_secs()).expect("a time") + seconds;
        let mut claims = json!({"sub": subject, "iss": "issuer", "aud": "broker", "exp": exp});
        for (name, value) in more.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let part = |json: Value| Base64UrlUnpadded::encode_string(json.to_string().as_bytes());
        let signed = format!("{}.{}", part(json!({"alg": "ES256", "kid": "key"})), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", Base64UrlUnpadded::encode_string(signature.as_ref()))
    }
}
