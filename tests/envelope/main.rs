//! The library of envelopes from outside: the vectors of the format, the attacks on it, and what it
//! allocates.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod allocations;
mod attacks;
mod scene;
mod vectors;
