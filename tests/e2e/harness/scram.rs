//! A client's side of SCRAM-SHA-256 (RFC 5802), written for the tests alone: it shares no line with the
//! broker's.

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The nonce that each exchange begins with; a test needs no other.
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

/// One exchange of a client that believes to know a password.
pub(crate) struct Scram {
    bare: String,
    password: String,
    server_signature: Option<[u8; 32]>,
}

impl Scram {
    pub(crate) fn new(user: &str, password: &str) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={user},r={NONCE}");
        Self { bare, password: password.to_owned(), server_signature: None }
    }

    /// What the client opens with.
    pub(crate) fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.bare).into_bytes()
    }

    /// What the client answers to the server's challenge.
    pub(crate) fn last(&mut self, server_first: &[u8]) -> Vec<u8> {
        let server_first = std::str::from_utf8(server_first).expect("text");
        let parts = server_first.split(',').collect::<Vec<_>>();
        let [nonce, salt, iterations] = parts[..] else { panic!("not three: {server_first}") };
        let nonce = nonce.strip_prefix("r=").expect("a nonce");
        assert!(nonce.starts_with(NONCE) && nonce.len() > NONCE.len(), "{nonce}");
        let salt = Base64::decode_vec(salt.strip_prefix("s=").expect("a salt")).expect("base64");
        let iterations = iterations.strip_prefix("i=").expect("iterations");
        let salted = hi(self.password.as_bytes(), &salt, iterations.parse().expect("a number"));

        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{},{server_first},{without_proof}", self.bare);
        let client_key = mac(&salted, b"Client Key");
        let signature = mac(&Sha256::digest(client_key), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        self.server_signature = Some(mac(&mac(&salted, b"Server Key"), message.as_bytes()));
        format!("{without_proof},p={}", Base64::encode_string(&proof)).into_bytes()
    }

    /// Fails unless the server has shown that it knows the user, too.
    pub(crate) fn check(&self, server_final: &[u8]) {
        let expected = self.server_signature.expect("the last message comes first");
        let expected = format!("v={}", Base64::encode_string(&expected));
        assert_eq!(std::str::from_utf8(server_final), Ok(expected.as_str()));
    }
}

fn hi(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut last = mac(password, &[salt, &[0, 0, 0, 1]].concat());
    let mut all = last;
    for _ in 1..iterations {
        last = mac(password, &last);
        for at in 0..all.len() {
            all[at] ^= last[at];
        }
    }
    all
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(message);
    mac.finalize().into_bytes().into()
}
