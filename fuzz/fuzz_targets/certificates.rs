//! Lets libFuzzer call the check of this name.
#![no_main]

#[path = "../checks/certificates.rs"]
mod certificates;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| certificates::check(bytes));
