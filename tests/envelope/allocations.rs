//! What verifying and opening allocate: nothing, once a stream is known.

use allocation_counter::measure;
use bastionmq::envelope::{Envelope, KeyRing, Opener, Verifier};

use crate::scene::{NOW, SENDER, STREAM, check, key, name, ring, seal, sealer, verify_only};

/// Envelopes of one stream that a verifier or opener has seen the first of.
fn stream() -> Vec<Vec<u8>> {
    let mut sealer = sealer(SENDER, STREAM);
    (0..100).map(|_| seal(&mut sealer, NOW)).collect()
}

fn known(ring: &KeyRing, envelopes: &[Vec<u8>]) -> Verifier {
    let mut verifier = Verifier::default();
    assert_eq!(name(verifier.verify(ring, &check(), &envelopes[0])), "ok");
    verifier
}

#[test]
fn parsing_allocates_nothing() {
    let envelopes = stream();
    let counted = measure(|| {
        for bytes in &envelopes {
            assert!(Envelope::parse(bytes).is_ok());
            assert!(Envelope::parse(&bytes[1..]).is_err());
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn verifying_allocates_nothing_whether_it_accepts_or_refuses() {
    let (envelopes, ring) = (stream(), ring([verify_only()]));
    let mut forged = envelopes.clone();
    forged.iter_mut().for_each(|bytes| *bytes.last_mut().expect("a byte") ^= 1);
    let mut verifier = known(&ring, &envelopes);
    let counted = measure(|| {
        for (bytes, forged) in envelopes.iter().zip(&forged).skip(1) {
            assert_eq!(name(verifier.verify(&ring, &check(), forged)), "bad_tag");
            assert_eq!(name(verifier.verify(&ring, &check(), bytes)), "ok");
            assert_eq!(name(verifier.verify(&ring, &check(), bytes)), "replayed");
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn opening_into_memory_that_is_there_allocates_nothing() {
    let (envelopes, ring) = (stream(), ring([key()]));
    let (mut opener, mut payload) = (Opener::default(), Vec::with_capacity(64));
    assert_eq!(name(opener.open(&ring, &check(), &envelopes[0], &mut payload)), "ok");
    let counted = measure(|| {
        for bytes in &envelopes[1..] {
            payload.clear();
            assert_eq!(name(opener.open(&ring, &check(), bytes, &mut payload)), "ok");
        }
    });
    assert_eq!(counted.count_total, 0);
}
