//! Lets libFuzzer call the check of this name.
#![no_main]

#[path = "../checks/scram.rs"]
mod scram;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scram::check(bytes));
