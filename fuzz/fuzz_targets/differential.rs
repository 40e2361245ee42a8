//! Lets libFuzzer call the check of this name.
#![no_main]

#[path = "../checks/differential.rs"]
mod differential;
#[path = "../../tests/codec/second_opinion.rs"]
mod second_opinion;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| differential::check(bytes));
