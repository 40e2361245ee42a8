//! Envelopes as an independent implementation in Python, written from `docs/envelope-format.md` alone, has them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../e2e/harness/mod.rs"]
mod harness;
mod reference;

/// Its own tests, and the vectors: it makes them, and they come out as they say.
#[test]
fn the_reference_passes_its_own_tests_and_makes_the_vectors() {
    let transcript =
        reference::run(&["-m", "unittest", "discover", "-v", "-t", ".", "-s", "envelope_ref"]);
    assert!(transcript.contains("test_each_vector_comes_out_as_it_says"), "{transcript}");
}
