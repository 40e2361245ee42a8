//! Lets libFuzzer call the check of this name.
#![no_main]

#[path = "../checks/policy.rs"]
mod policy;
#[path = "../checks/text.rs"]
mod text;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policy::check(bytes));
