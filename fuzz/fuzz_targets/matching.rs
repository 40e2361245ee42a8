//! Lets libFuzzer call the check of this name.
#![no_main]

#[path = "../checks/matching.rs"]
mod matching;
#[path = "../checks/text.rs"]
mod text;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| matching::check(bytes));
