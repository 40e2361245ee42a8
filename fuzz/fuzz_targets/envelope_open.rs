//! Lets libFuzzer call the check of this name.
#![no_main]

#[path = "../checks/envelope_open.rs"]
mod envelope_open;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| envelope_open::check(bytes));
