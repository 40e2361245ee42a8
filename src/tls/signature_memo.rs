//! Signatures of certificates and revocation lists that have been found right, so that a fleet whose
//! certificates are looked at again and again costs one verification of each.

use std::collections::HashSet;
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::crypto::{CryptoProvider, aws_lc_rs::default_provider};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

/// Signatures of one generation, at some 40 bytes each. There are two generations.
const GENERATION: usize = 32_768;

/// What a signature says of a message: algorithm, key, message and signature, digested.
type Statement = [u8; 32];

static ALGORITHMS: LazyLock<Vec<Remembering>> = LazyLock::new(|| {
    let provider = default_provider().signature_verification_algorithms;
    provider.all.iter().map(|algorithm| Remembering(*algorithm)).collect()
});

static REMEMBERING: LazyLock<Vec<&'static dyn SignatureVerificationAlgorithm>> =
    LazyLock::new(|| ALGORITHMS.iter().map(|algorithm| algorithm as _).collect());

static VERIFIED: LazyLock<Mutex<Memo>> = LazyLock::new(Mutex::default);

/// A provider that remembers which signatures in chains and revocation lists are right. Signatures of
/// handshakes are verified each time: none comes twice.
pub(super) fn remembering_provider() -> CryptoProvider {
    let mut provider = default_provider();
    provider.signature_verification_algorithms.all = &REMEMBERING;
    provider
}

/// An algorithm that asks the memo first.
#[derive(Debug)]
struct Remembering(&'static dyn SignatureVerificationAlgorithm);

impl SignatureVerificationAlgorithm for Remembering {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key_algorithm = self.public_key_alg_id();
        let algorithm = self.signature_alg_id();
        let statement =
            digest([key_algorithm.as_ref(), algorithm.as_ref(), public_key, message, signature]);
        if lock(&VERIFIED).holds(&statement) {
            return Ok(());
        }
        self.0.verify_signature(public_key, message, signature)?;
        lock(&VERIFIED).remember(statement);
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

/// The statements that are true. When the newer generation is full it becomes the older one, and the
/// older one is forgotten, unless it was asked about meanwhile.
#[derive(Default)]
struct Memo {
    newer: HashSet<Statement, foldhash::fast::RandomState>,
    older: HashSet<Statement, foldhash::fast::RandomState>,
}

impl Memo {
    fn holds(&mut self, statement: &Statement) -> bool {
        if self.newer.contains(statement) {
            return true;
        }
        let is_older = self.older.contains(statement);
        if is_older {
            self.remember(*statement);
        }
        is_older
    }

    fn remember(&mut self, statement: Statement) {
        if self.newer.len() >= GENERATION {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(statement);
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}

fn lock(memo: &Mutex<Memo>) -> std::sync::MutexGuard<'_, Memo> {
    memo.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each part with its length, so that no two lists of parts are one text.
fn digest(parts: [&[u8]; 5]) -> Statement {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut statement = Statement::default();
    statement.copy_from_slice(context.finish().as_ref());
    statement
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey};

    use super::*;

    fn algorithm() -> &'static Remembering {
        let wanted = rustls_pki_types::alg_id::ECDSA_SHA256;
        let key = rustls_pki_types::alg_id::ECDSA_P256;
        let is_wanted = |algorithm: &&Remembering| {
            algorithm.signature_alg_id() == wanted && algorithm.public_key_alg_id() == key
        };
        ALGORITHMS.iter().find(is_wanted).expect("ECDSA P-256 with SHA-256")
    }

    #[test]
    fn a_signature_that_is_right_once_is_right_again_and_a_wrong_one_never_is() {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let (key, other) = (pair.public_key_raw(), KeyPair::generate().unwrap());
        let signature = pair.sign(b"message").unwrap();
        let verify = |key: &[u8], message: &[u8], signature: &[u8]| {
            algorithm().verify_signature(key, message, signature).is_ok()
        };
        for _ in 0..3 {
            assert!(verify(key, b"message", &signature));
            assert!(!verify(key, b"another", &signature));
            assert!(!verify(key, b"message", &signature[..signature.len() - 1]));
            assert!(!verify(other.public_key_raw(), b"message", &signature));
            assert!(!verify(key, b"", &[b"message", &signature[..]].concat()));
        }
    }

    #[test]
    fn the_memo_is_bounded_and_keeps_what_is_asked_about() {
        let statement = |number: usize| {
            let mut statement = Statement::default();
            statement[..8].copy_from_slice(&number.to_be_bytes());
            statement
        };
        let mut memo = Memo::default();
        for number in 0..5 * GENERATION {
            memo.remember(statement(number));
            assert!(memo.holds(&statement(0)));
        }
        assert!(memo.newer.len() + memo.older.len() <= 2 * GENERATION);
        assert!(!memo.holds(&statement(1)));
        assert!(memo.holds(&statement(5 * GENERATION - 1)));
    }

    #[test]
    fn every_algorithm_of_the_provider_is_kept() {
        let (plain, remembering) = (default_provider(), remembering_provider());
        let (plain, remembering) = (
            plain.signature_verification_algorithms,
            remembering.signature_verification_algorithms,
        );
        assert_eq!(remembering.all.len(), plain.all.len());
        assert_eq!(remembering.supported_schemes(), plain.supported_schemes());
    }
}
